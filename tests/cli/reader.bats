# The second reader, written from FORMAT.md alone, on repositories that the program makes: what it lists and
# extracts is what the program does, and what is damaged it refuses.
load helpers

READER=$BATS_TEST_DIRNAME/../reader/nightjar_reader.py

reader() {
	"$PYTHON" "$READER" -r "$WORK/repo" "${SECRET[@]}" "$@"
}

setup() {
	PYTHON=$(python3 -c 'import ctypes, sys
ctypes.CDLL("libsodium.so.23"), ctypes.CDLL("libzstd.so.1"), print(sys.executable)') ||
		skip "needs python3, libsodium.so.23 and libzstd.so.1"
	common_setup
	export NIGHTJAR_REPOSITORY=$WORK/repo NIGHTJAR_KEY_FILE=$WORK/key
	export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$BATS_TEST_DIRNAME/../reader
	SECRET=(--key-file "$WORK/key")
}

teardown() {
	stop_application
	common_teardown
}

# An application that has its WAL database open while it is backed up.
start_application() {
	mkdir -p app/attachments
	coproc SQL { sqlite3 app/app.db 3>&-; }
	APP=${SQL[1]}
	cat >&"$APP" <<-SQL
		PRAGMA journal_mode = WAL;
		PRAGMA wal_autocheckpoint = 0;
		CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT);
	SQL
}

write_rows() { # N
	local line=
	cat >&"$APP" <<-SQL
		WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
		INSERT INTO notes (body) SELECT 'note ' || i || hex(randomblob(60)) FROM n;
		SELECT 'written';
	SQL
	until [ "$line" = written ]; do read -r -t 20 line <&"${SQL[0]}"; done
	[ -s app/app.db-wal ]
}

stop_application() {
	[ -n "${APP:-}" ] || return 0
	exec {APP}>&-
	APP=
	wait "$SQL_PID" || true
}

# Every sort of entry, a file of two dozen chunks, a folder of several nodes (of both reasons to end one).
many_files() {
	"$PYTHON" - <<-'PYTHON'
		import os, random
		r = random.Random(7)
		for i in range(20):
		    open(f'app/attachments/{i}.bin', 'wb').write(r.randbytes(9000 + i * 1777))
		open('app/big.bin', 'wb').write(r.randbytes(21 << 20))
		open('app/text', 'w').writelines(f'line {i}\n' for i in range(90000))
		os.mkdir('app/many')
		for i in range(3000):
		    open(f'app/many/{i:04d}' + 'n' * (220 if i < 1500 else 9), 'w').write(str(i % 50))
		with open('app/sparse', 'wb') as f:
		    for at in (3 << 20, 9 << 20):
		        f.seek(at)
		        f.write(r.randbytes(300000))
		    f.truncate(30 << 20)
		with open('app/hole', 'wb') as f:
		    f.truncate(1 << 20)
		open('app/empty', 'w').close()
		os.mkdir('app/empty folder')
		os.mkfifo('app/fifo')
		os.link('app/attachments/1.bin', 'app/many/first')
		os.symlink('attachments/1.bin', 'app/symlink')
		os.symlink('/nowhere/at all', 'app/dangling')
		open(b'app/not\xff\n\x1btext', 'w').close()
		os.chmod('app/attachments/2.bin', 0o4710)
		os.chmod('app/attachments', 0o2750)
		os.utime('app/empty', ns=(0, -10**18 + 5))
	PYTHON
}

# facts DIR: everything about a tree that diff -r does not see; blocks, because a hole must stay one.
facts() {
	(cd "$1" && find . -mindepth 1 -type d -printf '%p %m %U %G %T@\n' -o \
		-printf '%p %y %m %U %G %n %l %T@ %s\n' | sort)
}

# same_trees A B: byte for byte, but for the database, of which the same is asked as of any database.
same_trees() {
	local database
	diff -r --no-dereference -x fifo -x app.db "$1" "$2"
	diff <(facts "$1") <(facts "$2")
	for database in "$1/app.db" "$2/app.db"; do
		[ "$(sqlite3 "$database" 'PRAGMA integrity_check; PRAGMA journal_mode')" = $'ok\nwal' ]
	done
	cmp <(sqlite3 "$1/app.db" .dump) <(sqlite3 "$2/app.db" .dump)
}

small_repository() {
	nightjar -q init --key-file "$WORK/key"
	mkdir app
	seq 20000 >app/numbers
	nightjar -q backup --host one app
}

@test "a live database and every sort of file: the reader gives what the program restores" {
	start_application
	write_rows 5000
	many_files
	nightjar -q init --key-file "$WORK/key"
	nightjar -q backup --host one --tag nightly --tag first app
	write_rows 700
	rm app/text
	nightjar -q backup --host two app
	stop_application

	first=$(nightjar manifests --json | jq -r '.[0].id')
	run reader list
	assert_status 0
	[ "${#lines[@]}" -eq 2 ]
	assert_output "$first*one*first,nightly $WORK/app*two*"

	# --cuts: chunks and nodes end where FORMAT.md says, too.
	run reader verify --cuts
	assert_status 0
	assert_output "whole: 2 manifests, * packs, * records"

	nightjar -q restore "$first" --target theirs-1
	nightjar -q restore latest --target theirs-2
	reader extract "${first:0:8}" ours-1
	reader --no-index extract latest ours-2
	for night in 1 2; do
		same_trees "ours-$night$WORK/app" "theirs-$night$WORK/app"
	done
	[ -e "ours-1$WORK/app/text" ]
	[ ! -e "ours-2$WORK/app/text" ]
	[ "$(sqlite3 "ours-2$WORK/app/app.db" 'SELECT count(*) FROM notes')" -eq 5700 ]
	diff -r --no-dereference -x fifo -x 'app.db*' app "ours-2$WORK/app"
	cmp "ours-2$WORK/app/attachments/1.bin" app/attachments/1.bin
	[ "ours-2$WORK/app/many/first" -ef "ours-2$WORK/app/attachments/1.bin" ]
	# What the file system keeps of holes is its own matter, but it is not 30 MiB.
	[ "$(stat -c %b "ours-2$WORK/app/sparse")" -lt 8000 ]

	run reader ls latest
	assert_status 0
	assert_output "*-rws--x--- * $WORK/app/attachments/2.bin*dangling -> /nowhere/at all*"
	[ "${#lines[@]}" -eq "$(find ours-2 -mindepth 1 -printf x | wc -c)" ]
	[[ $output != *$'\e'* ]]
}

@test "with a password, and not with another one" {
	SECRET=(--password-file "$WORK/password")
	(umask 077 && printf 'c\xc3\xb4t\xc3\xa9 \xff\n' >password && echo another >wrong)
	nightjar -q init --password-file password
	mkdir app
	seq 1000 >app/numbers
	nightjar -q backup --password-file password app
	reader extract latest out
	cmp app/numbers "out$WORK/app/numbers"
	SECRET=(--password-file "$WORK/wrong")
	run --separate-stderr reader list
	assert_status 1
	[ -z "$output" ]
	[[ $stderr == *"wrong password"* ]]
}

@test "a flipped byte is refused, wherever it is" {
	small_repository
	nightjar -q backup --host two app
	"$PYTHON" - "$READER" "$WORK" >log 2>&1 <<-'PYTHON' || { tail -5 log && return 1; }
		import glob, os, runpy, sys
		reader, work = sys.argv[1:]
		sys.argv = [reader, '-r', work + '/repo', '--key-file', work + '/key', 'verify']

		def verify():
		    try:
		        runpy.run_path(reader, run_name='__main__')
		    except SystemExit as end:
		        return end.code or 0

		assert verify() == 0
		files = [f for f in glob.glob(work + '/repo/**', recursive=True) if os.path.isfile(f)]
		assert len(files) >= 8
		for path in files:
		    whole = open(path, 'rb').read()
		    for at in (4, 5, 9, 40, 100, len(whole) // 2, len(whole) - 30, len(whole) - 1):
		        with open(path, 'r+b') as file:
		            os.pwrite(file.fileno(), bytes([whole[at] ^ 1]), at)
		            assert verify() not in (0, None), f'{path} at {at}'
		            os.pwrite(file.fileno(), whole, 0)
		assert verify() == 0
	PYTHON
}

@test "of a damaged pack, what is whole is extracted, and the rest is named" {
	small_repository
	mkdir more
	head -c 300000 /dev/urandom >more/noise
	nightjar -q backup --host one app more
	# Most of this pack is noise.
	pack=$(find repo/data -type f -size +250k)
	"$PYTHON" -c 'import os, sys
with open(sys.argv[1], "r+b") as f:
    at = f.seek(os.path.getsize(sys.argv[1]) // 2)
    byte = f.read(1)[0]
    f.seek(at), f.write(bytes([byte ^ 1]))' "$pack"
	run --separate-stderr reader extract latest out
	assert_status 1
	[[ $stderr == *"$WORK/more/noise: left out"* ]]
	cmp app/numbers "out$WORK/app/numbers"
	[ ! -e "out$WORK/more/noise" ]
}

@test "what is missing, and keys of another repository" {
	small_repository
	nightjar -q -r other init --key-file other.key
	SECRET=(--key-file "$WORK/other.key")
	run reader list
	assert_status 1
	assert_output "*another repository*"
	SECRET=(--key-file "$WORK/key")
	mkdir full
	touch full/file
	run reader extract latest full
	assert_status 1
	assert_output "*not empty*"
	run reader extract 0000000000 out
	assert_status 1
	[ ! -e out ]
	mv repo/index index
	run --separate-stderr reader extract latest out
	assert_status 1
	reader --no-index extract latest again
	cmp app/numbers "again$WORK/app/numbers"
	mv index repo/index
	rm repo/data/*/*
	run --separate-stderr reader verify
	assert_status 1
	[[ $stderr == *"is missing or damaged"* ]]
}

# How many records, by their codec: "full delta deepest".
codecs() {
	"$PYTHON" - "$READER" "$WORK" <<-'PYTHON'
		import argparse, importlib.util, sys
		spec = importlib.util.spec_from_file_location('reader', sys.argv[1])
		reader = importlib.util.module_from_spec(spec)
		spec.loader.exec_module(reader)
		repository = reader.Repository(sys.argv[2] + '/repo', argparse.Namespace(
		    key_file=sys.argv[2] + '/key', password_file=None))
		entries = [e for pack in repository.directory_packs() for e in pack.entries]
		deltas = [e for e in entries if e.codec == 2]
		for e in deltas:
		    assert e.depth >= 1 and e.lineage >= 1 and e.chain > e.stored and e.bases
		for e in entries:
		    assert e.codec == 2 or (e.lineage, e.chain) == (0, e.stored)
		print(len(entries) - len(deltas), len(deltas), max((e.depth for e in deltas), default=0))
	PYTHON
}

@test "deltas: what rests on earlier nights is read, and damage below it is found" {
	nightjar -q init --key-file "$WORK/key"
	mkdir -p app/below
	for i in {100..400}; do echo "$i" >"app/below/a file named $i"; done
	for night in 1 2 3 4 5 6 7 8 9 10 11; do
		echo "night $night" >"app/below/a file named 250"
		nightjar -q backup --host one app
		[ "$night" != 1 ] || first=$(find repo/data -type f)
	done
	read -r _ deltas deepest < <(codecs)
	# How many depends on where the key ends the folder's nodes, for the large ones are stored full less often.
	[ "$deltas" -ge 12 ]
	[ "$deepest" -ge 3 ]
	reader verify --cuts
	nightjar check --read-data
	nightjar -q restore latest --target theirs
	reader extract latest ours
	reader --no-index extract latest ours-without
	diff -r app "ours$WORK/app"
	diff -r "theirs$WORK/app" "ours$WORK/app"
	diff -r "theirs$WORK/app" "ours-without$WORK/app"
	rm "$first"
	run nightjar check
	assert_status 20
	run --separate-stderr reader extract latest damaged
	assert_status 1
	nightjar -q backup --host one app
	reader extract latest healed
	diff -r app "healed$WORK/app"
}

# One database of each kind that §11 says something about, below app/.
databases_of_every_kind() {
	mkdir -p app
	"$PYTHON" - <<-'PYTHON'
		import random, sqlite3
		r = random.Random(11)

		def made(name, *pragmas):
		    db = sqlite3.connect(f'app/{name}.db', isolation_level=None)
		    db.create_collation('own', lambda a, b: (a > b) - (a < b))
		    for pragma in pragmas:
		        db.execute('PRAGMA ' + pragma)
		    return db

		def fill(db, rows, blob=60):
		    db.execute('CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE, b BLOB)')
		    db.execute('CREATE INDEX tb ON t (b, a)')
		    db.execute('BEGIN')
		    for i in range(rows):
		        db.execute('INSERT INTO t VALUES (?, ?, ?)', (i * (1 + i % 3 * 900) + i, f'{r.random()} {i}', r.randbytes(r.randrange(blob))))
		    db.execute('COMMIT')
		    return db

		for size in 512, 1024, 65536:
		    fill(made(f'page-{size}', f'page_size = {size}'), 6000)
		for encoding in 'UTF-16le', 'UTF-16be':
		    db = fill(made(encoding, f'encoding = "{encoding}"'), 2000)
		    db.execute('CREATE TABLE "große Tabelle" (x)')
		for mode in 1, 2:
		    fill(made(f'auto-vacuum-{mode}', f'auto_vacuum = {mode}'), 3000).execute('DELETE FROM t WHERE id % 3 = 0')
		made('empty').execute('VACUUM')
		# Cells so small that what the numbers beside a payload take decides where chunks end.
		db = made('small-rows')
		db.execute('CREATE TABLE s (id INTEGER PRIMARY KEY, n)')
		db.execute('CREATE TABLE far (id INTEGER PRIMARY KEY, n)')
		db.execute('BEGIN')
		db.executemany('INSERT INTO s VALUES (?, ?)', ((i, i % 100) for i in range(60000)))
		db.executemany('INSERT INTO far VALUES (?, 1)', ((n,) for n in {r.randrange(-2**63, 2**63) for _ in range(20000)}))
		db.execute('COMMIT')
		db = made('without-rowid', 'page_size = 1024')
		db.execute('CREATE TABLE w (a TEXT, b INT, c BLOB, PRIMARY KEY (a, b)) WITHOUT ROWID')
		for i in range(1500):
		    db.execute('INSERT INTO w VALUES (?, ?, ?)', (f'{i * 7919 % 5000:06}', i, r.randbytes(r.choice((9, 40, 300, 5000)))))
		db = made('fts5')
		try:
		    db.execute('CREATE VIRTUAL TABLE f USING fts5 (body)')
		except sqlite3.OperationalError:
		    pass
		else:
		    words = [hex(r.randrange(1 << 30)) for _ in range(900)]
		    db.executemany('INSERT INTO f VALUES (?)', [(' '.join(r.choices(words, k=40)),) for _ in range(1500)])
		# Chains; payloads around the lengths from which they overflow and are in pieces, in a table and an index.
		db = made('overflow', 'page_size = 1024')
		db.execute('CREATE TABLE o (id INTEGER PRIMARY KEY, b BLOB)')
		db.execute('CREATE INDEX ob ON o (b)')
		for n in (10, *range(220, 232), *range(980, 992), 5000, *range(131060, 131072, 2), 1 << 20, 140000, 3 << 20, 100, 70000):
		    db.execute('INSERT INTO o (b) VALUES (?)', (r.randbytes(n),))
		# VACUUM lacks the collation, so these stay page by page: free pages, gaps, rows in no order.
		for name, size, blob in ('kept', 1024, 200), ('kept-overflow', 512, 3000), ('kept-large', 512, 60):
		    db = made(name, f'page_size = {size}')
		    db.execute('CREATE TABLE own (a TEXT COLLATE own PRIMARY KEY)')
		    fill(db, 900 if blob > 1000 else 4000, blob)
		    db.execute('CREATE TABLE more (x INTEGER PRIMARY KEY, y)')
		    db.execute('BEGIN')
		    for i in range(1000 if name != 'kept-large' else 30000):
		        db.execute('INSERT OR IGNORE INTO more VALUES (?, ?)', (r.randrange(1 << 40), r.randbytes(r.randrange(90))))
		    db.execute('DELETE FROM t WHERE id > 50000')
		    db.execute('DELETE FROM t WHERE id % 5 = 1')
		    db.execute('UPDATE t SET b = zeroblob(length(b) * 2) WHERE id % 7 = 1')
		    db.execute('COMMIT')

		# Kept as they are: bytes that are wrong, an end in a page, no schema, no database but for its magic.
		whole = open('app/page-1024.db', 'rb').read()
		torn = bytearray(whole)
		for _ in range(60):
		    torn[r.randrange(1024, len(torn))] ^= 255
		torn[2048:2060] = b'\xff' * 12
		headless = bytearray(whole)
		headless[100:140] = b'\xff' * 40
		for name, data in (('torn', torn), ('cut', open('app/overflow.db', 'rb').read()[:777777]),
		                   ('headless', headless), ('magic', whole[:16] + r.randbytes(2 << 20))):
		    open(f'app/raw-{name}.db', 'wb').write(data)
	PYTHON
}

# A line for each database of the latest manifest: its name, its method, its encoding.
methods() {
	"$PYTHON" - "$WORK" <<-'PYTHON'
		import argparse, sys
		import nightjar_reader as reader
		repository = reader.Repository(sys.argv[1] + '/repo', argparse.Namespace(
		    key_file=sys.argv[1] + '/key', password_file=None))
		repository.find_records(False)
		manifest = repository.manifests()[-1]
		method = {d.path: d.method for d in manifest.databases}
		for path, file in reader.Tree(repository, manifest.domain).walk(manifest.roots[0]):
		    if file.type == 1:
		        print(path.decode().rpartition('/')[2], method[path], file.encoding)
	PYTHON
}

@test "databases of every kind that cells are taken from, and such as are none" {
	nightjar -q init --key-file "$WORK/key"
	databases_of_every_kind
	count=$(find app -type f | wc -l)
	run nightjar -q backup --host one app
	assert_status 21
	methods >kinds
	[ "$(grep -c ' 2$' kinds)" -eq "$count" ]
	[ "$(grep -c '^kept.* 2 2$' kinds)" -eq 3 ]
	[ "$(grep -c '^raw-.* [23] 2$' kinds)" -eq 4 ]
	[ "$(grep -cE '^raw-(cut|magic).* 3 2$' kinds)" -eq 2 ]
	[ "$(grep -c ' 1 2$' kinds)" -eq $((count - 7)) ]

	run reader verify --cuts
	assert_status 0
	assert_output "whole: 1 manifests, * packs, * records"
	nightjar -q restore latest --target theirs
	reader extract latest ours
	diff -r "theirs$WORK/app" "ours$WORK/app"
	cmp app/raw-magic.db "ours$WORK/app/raw-magic.db"
	cmp app/raw-cut.db "ours$WORK/app/raw-cut.db"
}

@test "cells and layouts that are wrong are refused, and not by a crash" {
	nightjar -q init --key-file "$WORK/key"
	mkdir app
	"$PYTHON" - <<-'PYTHON'
		import random, sqlite3
		db = sqlite3.connect('app/app.db', isolation_level=None)
		db.create_collation('own', lambda a, b: (a > b) - (a < b))
		db.execute('PRAGMA page_size = 512')
		db.execute('CREATE TABLE own (a TEXT COLLATE own PRIMARY KEY)')
		db.execute('CREATE TABLE t (id INTEGER PRIMARY KEY, b BLOB)')
		db.execute('CREATE INDEX i ON t (b)')
		for n in range(40):
		    db.execute('INSERT INTO t VALUES (?, ?)', (n * n * 7919 % 100003, b'%d' % n * (1 + n % 9 * 40)))
		db.execute('DELETE FROM t WHERE id % 5 = 1')
	PYTHON
	nightjar -q backup app
	"$PYTHON" - "$WORK" <<-'PYTHON'
		import argparse, sys
		import nightjar_cells as cells, nightjar_reader as reader
		repository = reader.Repository(sys.argv[1] + '/repo', argparse.Namespace(
		    key_file=sys.argv[1] + '/key', password_file=None))
		repository.find_records(False)
		manifest, = repository.manifests()
		tree = reader.Tree(repository, manifest.domain)
		file, = (f for _, f in tree.walk(manifest.roots[0]) if f.type == 1)
		*data, layout = (repository.chunk(reader.DATA, c) for c, _, _ in tree.chunk_list(file.children[0][1], True))
		assert len(layout) > 150 and sum(map(len, data)) == file.data_bytes
		image = cells.Image(data, layout, file.size).bytes

		def refused(data, layout, size=file.size):
		    try:
		        return cells.Image(data, layout, size).bytes != image
		    except cells.Damage:
		        return True

		assert not refused(data, layout)
		assert refused(data, layout, file.size - 512) and refused(data, layout, file.size + 1)
		assert refused(data, layout + b'\0') and refused(data + [b'\1\3\0\1x'], layout)
		for at in range(len(layout)):
		    for broken in layout[:at], layout[:at] + bytes([layout[at] ^ 1 << at % 8]) + layout[at + 1:]:
		        assert refused(data, broken), f'byte {at} of the layout'
		for n, chunk in enumerate(data):
		    for at in range(n, len(chunk), 7):
		        for part in chunk[:at], chunk[:at] + bytes([chunk[at] ^ 1 << at % 8]) + chunk[at + 1:]:
		            assert refused(data[:n] + [part] + data[n + 1:], layout), f'byte {at} of chunk {n}'
	PYTHON
}

@test "damage notes: verified, and no backups; a foreign one is refused" {
	nightjar -q init --key-file "$WORK/key"
	mkdir -p app
	head -c 50000 /dev/urandom >app/file
	nightjar -q backup app
	local pack note size
	pack=$(find repo/data -type f)
	size=$(stat -c %s "$pack")
	chmod u+w "$pack" && cp "$pack" sound
	printf 'some other bytes' | dd of="$pack" bs=1 seek=$((size / 4)) conv=notrunc status=none
	manifest=$(ls repo/snapshots)
	run nightjar check --read-data
	assert_status 20
	note=$(find repo/snapshots -type f ! -name "$manifest")
	[ "$(od -An -tu1 -j5 -N2 "$note" | tr -s ' ')" = " 6 5" ]
	cat sound >"$pack"
	reader verify
	[ "$(reader list | grep -c "${manifest:0:8}")" = 1 ]
	# Its name is that of its bytes, but nobody signed these.
	chmod u+w "$note" && cp "$note" note-bytes
	for at in 30 56 64 200; do
		cp "$note" other
		# shellcheck disable=SC2059
		printf "\\x$(printf %02x $(($(od -An -tu1 -j$at -N1 note-bytes) ^ 4)))" |
			dd of=other bs=1 seek=$at conv=notrunc status=none
		name=$(sha256sum <other | cut -d' ' -f1)
		mv other "repo/snapshots/$name"
		run --separate-stderr reader verify
		assert_status 1
		[[ $stderr == *"snapshots/$name: "* ]]
		rm -f "repo/snapshots/$name"
	done
	reader verify
}

@test "references, files carried over and alarms are read" {
	mkdir -p src/att && echo x >src/att/x
	sqlite3 src/app.db "CREATE TABLE f(p); INSERT INTO f VALUES('att/x')"
	nightjar -q init --key-file key
	nightjar -q backup --refs 'app.db: SELECT p FROM f' --immutable src/att src
	echo changed >src/att/x
	nightjar -q backup --refs 'app.db: SELECT p FROM f' --immutable src/att src
	run reader verify
	assert_status 0
	[[ $output == "whole: 2 manifests"* ]]
}

@test "the known bytes of a database taken apart (tests/vectors/cells.hex): the image" {
	"$PYTHON" - "$BATS_TEST_DIRNAME/../vectors/cells.hex" <<-'PYTHON'
		import sys
		from nightjar_cells import Image
		known = {name: bytes.fromhex(digits) for name, digits in map(str.split, open(sys.argv[1]))}
		image = Image(iter([known["data"]]), known["layout"], len(known["image"]))
		assert bytes(image.bytes) == known["image"]
	PYTHON
}
