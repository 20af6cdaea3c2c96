# drill: restoring for practice, as an operator sees it.
load helpers
load repo

READER=$BATS_TEST_DIRNAME/../reader/nightjar_reader.py

setup() {
	common_setup
	export NIGHTJAR_REPOSITORY=$WORK/repo NIGHTJAR_KEY_FILE=$WORK/key
	nightjar init -q
	mkdir -p src/att
	head -c 300000 /dev/urandom >src/att/photo
	sqlite3 src/app.db "CREATE TABLE t(a INTEGER PRIMARY KEY, b); INSERT INTO t(b) VALUES('only here in clear'),('two');
		CREATE TABLE f(p); INSERT INTO f VALUES('att/photo')"
}

need_reader() {
	python3 -c 'import ctypes; ctypes.CDLL("libsodium.so.23"), ctypes.CDLL("libzstd.so.1")' ||
		skip "needs python3, libsodium.so.23 and libzstd.so.1"
	export PYTHONDONTWRITEBYTECODE=1
}

records() {
	ls repo/snapshots | wc -l
}

@test "a good drill: 0, a note in the repository, nothing restored, stats shows its age" {
	nightjar backup -q src
	run nightjar stats
	[[ $output == *"Last good drill:"*"never; 'nightjar drill'"* ]]
	run --separate-stderr nightjar drill
	assert_status 0
	[[ $output == *"read 2 files (1 database)"*"drill of "*": good" ]]
	[ -z "$stderr" ]
	[ "$(records)" -eq 2 ]
	run nightjar stats
	[[ $output == *"Last good drill:"*"(0 days ago)"* ]]
	[ "$(nightjar stats --json | jq -r '.last_good_drill.manifest_id')" = "$(nightjar manifests --json | jq -r '.[0].id')" ]
	run nightjar check --read-data
	assert_status 0
}

@test "the second reader verifies drill notes, and refuses changed ones" {
	need_reader
	nightjar backup -q src
	manifest=$(ls repo/snapshots)
	nightjar drill -q
	note=$(find repo/snapshots -type f ! -name "$manifest")
	reader() { python3 "$READER" -r repo --key-file key verify; }
	reader
	for at in 6 30 56 64 90 200; do
		cp "$note" other && chmod u+w other
		flip other $at
		name=$(sha256sum <other | cut -d' ' -f1)
		mv other "repo/snapshots/$name"
		run reader
		assert_status 1
		run nightjar check
		assert_status 20
		rm -f "repo/snapshots/$name"
	done
	reader
}

@test "drills do not pile up; a failed one does not hide the last good one" {
	nightjar backup -q src
	for n in 1 2 3; do nightjar drill -q; done
	[ "$(records)" -eq 2 ]
	for n in 1 2 3; do
		run --separate-stderr nightjar drill --assert 'app.db: SELECT 1 = 2'
		assert_status 23
	done
	[ "$(records)" -eq 3 ]
	run nightjar stats
	[[ $output == *"Last good drill:"*"days ago)"*"Last drill:"*": FAILED"* ]]
}

@test "assertions: what holds, what does not, and what cannot be meant" {
	nightjar backup -q src
	run nightjar drill --assert 'app.db: SELECT count(*) = 2 FROM t' --assert 'src/app.db: WITH x AS (SELECT 1) SELECT * FROM x'
	assert_status 0
	[[ $output == *"assertions that hold: 2 of 2"* ]]
	run --separate-stderr nightjar drill --assert 'app.db: SELECT count(*) FROM t WHERE b IS NULL'
	assert_status 23
	assert_error "nightjar: app.db: assertion 'SELECT count(\*) FROM t WHERE b IS NULL' gives 0, not true"
	for words in 'nothere.db: SELECT 1' 'pp.db: SELECT 1' 'app.db' 'app.db: DELETE FROM t'; do
		run --separate-stderr nightjar drill --assert "$words"
		assert_status 2
		assert_error "*--assert*"
	done
}

@test "references are looked for again" {
	nightjar backup -q --refs 'app.db: SELECT p FROM f' src
	run nightjar drill
	assert_status 0
	[[ $output == *"files that databases name: 1, missing: 0"* ]]
	rm src/att/photo && touch src/att/other
	run nightjar backup -q --refs 'app.db: SELECT p FROM f' src
	assert_status 22
	run --separate-stderr nightjar drill
	assert_status 23
	says "*att/photo*"
	run nightjar drill "$(nightjar manifests --json | jq -r '.[0].id')"
	assert_status 0
}

@test "a damaged pack: 23, one line for each file, and a note says so" {
	nightjar backup -q src
	flip "$(object data)" 150000
	run --separate-stderr nightjar drill
	assert_status 23
	assert_error "nightjar: $WORK/src/att/photo: *"
	[[ $output == *"FAILED" ]]
	[ "$(nightjar stats --json | jq -r '.last_drill.verdict, has("last_good_drill")' | xargs)" = "failed false" ]
}

@test "--target: real files, into a folder that holds nothing else" {
	nightjar backup -q src
	run nightjar drill --target out
	assert_status 0
	diff -r --exclude=app.db src "out$WORK/src"
	[ "$(sqlite3 "out$WORK/src/app.db" 'SELECT count(*) FROM t')" -eq 2 ]
	run --separate-stderr nightjar drill --target out
	assert_status 2
	assert_error "*out is not empty*"
	[ "$(records)" -eq 2 ]
}

@test "nothing readable is written to any file" {
	command -v strace >/dev/null || skip "needs strace"
	nightjar backup -q src
	before=$(find . -type f | sort)
	writes() { # ARG…: how many calls write what only the database holds
		strace -f -qq -s 100000 -e trace=write,writev,pwrite64,pwritev,pwritev2 -o trace "$NIGHTJAR" "$@" >out
		grep -a -c -F 'only here in clear' trace || true
	}
	[ "$(writes drill)" -eq 0 ]
	rm -f trace out
	after=$(find . -type f | sort)
	[ "$(comm -13 <(echo "$before") <(echo "$after") | grep -vcE '^./(repo/snapshots/|state/[0-9a-f]+/status$)')" -eq 0 ]
	[ "$(writes drill --target there)" -gt 0 ] # so it would have been seen
}

@test "a key that only reads: told, this host remembers; other keys cannot" {
	nightjar backup -q src
	before=$(ls repo/snapshots)
	read_key() {
		python3 - "$WORK" <<'PY'
import base64, ctypes, hashlib, struct, sys
work = sys.argv[1]
sodium = ctypes.CDLL("libsodium.so.23")
def kdf(key, context, number):
    out = ctypes.create_string_buffer(32)
    sodium.crypto_kdf_derive_from_key(out, ctypes.c_size_t(32), ctypes.c_uint64(number), context, key)
    return out.raw
def ed_pub(seed):
    pub, sec = ctypes.create_string_buffer(32), ctypes.create_string_buffer(64)
    sodium.crypto_sign_seed_keypair(pub, sec, seed)
    return pub.raw
raw = base64.b64decode("".join(open(work + "/key").read().split("\n")[1:]))
repo, master = raw[8:24], raw[24:56]
body = (b"njar\1\x08\4\0" + repo + kdf(master, b"njkeys01", 2) + ed_pub(kdf(master, b"njkeys01", 1)) +
        ed_pub(kdf(master, b"njkeys01", 3)) + struct.pack("<HI", 1, 1) + kdf(master, b"njread01", 1) +
        struct.pack("<HI", 1, 0) + kdf(master, b"njdomain", 0))
text = base64.b64encode(body + hashlib.sha256(body).digest()[:8]).decode()
lines = [text[i:i + 76] for i in range(0, len(text), 76)]
open(work + "/readkey", "w").write("nightjar-key-1 read\n" + "\n".join(lines) + "\n")
PY
		chmod 600 readkey
	}
	need_reader
	read_key
	run --separate-stderr nightjar --key-file readkey drill
	assert_status 0
	assert_error "nightjar: warning: this key signs nothing*"
	[ "$(ls repo/snapshots)" = "$before" ]
	run nightjar --key-file readkey stats
	[[ $output == *"Last good drill:"*"(0 days ago)"* ]]
	run --separate-stderr nightjar --key-file readkey forget --keep-last 1
	assert_status 12
	assert_error "*forget needs a full or maintain key; this is a read key"
}
