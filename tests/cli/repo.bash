# For tests that work on a repository: one with a key file (no KDF, so it is quick), its objects, and damage.

# A repository repo (key file key) with two backups of src: a database, a photo of several chunks, small files.
# The second adds two.bin. PARITY: what init is told, else nothing. Made once a file in $BATS_FILE_TMPDIR, copied for each test.
make_repo() {
	local base=$BATS_FILE_TMPDIR/base
	if [ ! -e "$base/done" ]; then
		mkdir -p "$base/src/sub" && (
			cd "$base" || exit 1
			head -c 300000 /dev/urandom >src/photo.jpg
			echo small >src/sub/a.txt
			sqlite3 src/app.db "CREATE TABLE t(a INTEGER PRIMARY KEY, b); INSERT INTO t(b) VALUES('one'),('two')"
			nightjar -q -r repo init --key-file key ${PARITY:+--parity "$PARITY"}
			nightjar -q -r repo --key-file key backup src
			head -c 200000 /dev/urandom >src/two.bin
			nightjar -q -r repo --key-file key backup src
		) >/dev/null && touch "$base/done"
	fi
	cp -a "$base/." .
	SRC=$base/src # as the manifests name it
	export NIGHTJAR_REPOSITORY=repo NIGHTJAR_KEY_FILE=key
	BIG=$(object data)
	FIRST=$(nightjar manifests --json | jq -r '.[0].id')
	SECOND=$(nightjar manifests --json | jq -r '.[1].id')
}

# object FOLDER: the largest object below it
object() {
	find "repo/$1" -type f -printf '%s %p\n' | sort -n | tail -1 | cut -d' ' -f2
}

# cut FILE BYTES
cut_short() {
	chmod u+w "$1" && truncate -s "$2" "$1"
}

# newer FILE: an object of the format version after ours, under its right name; prints the path
newer() {
	local name dir
	put_byte "$1" 4 2
	name=$(sha256sum <"$1" | cut -d' ' -f1)
	dir=$(dirname "$1")
	[ "$(basename "$(dirname "$dir")")" != data ] || dir=repo/data/${name:0:2}
	mkdir -p "$dir" && mv "$1" "$dir/$name"
	echo "$dir/$name"
}

# fails CODE PATTERN ARG…: exit code, and one line on stderr that matches
fails() {
	local code=$1 pattern=$2
	shift 2
	run --separate-stderr nightjar "$@"
	assert_status "$code"
	assert_error "$pattern"
}

# says PATTERN: some line of stderr matches
says() {
	local line
	while IFS= read -r line; do
		# shellcheck disable=SC2053
		[[ $line == $1 ]] && return 0
	done <<<"$stderr"
	printf 'no line of stderr matches %s:\n%s\n' "$1" "$stderr"
	return 1
}

# restores MANIFEST: it comes back whole and equal to src
restores() {
	rm -rf back
	run --separate-stderr nightjar restore "$1" --target back
	assert_status 0
	diff -r --exclude=app.db "${2:-src}" "back$SRC"
	[ "$(sqlite3 "back$SRC/app.db" 'SELECT group_concat(b) FROM t')" = one,two ]
}

need_root() {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
}

# as_nobody ARG…: the program as an ordinary user, with a home of its own
as_nobody() {
	need_root
	chmod 711 "$WORK" "$BATS_FILE_TMPDIR" "$BATS_RUN_TMPDIR"
	mkdir -p nobody && chown 65534:65534 nobody
	[ -e nightjar-copy ] || { cp "$NIGHTJAR" nightjar-copy && chmod 755 nightjar-copy; }
	HOME=$WORK/nobody NIGHTJAR_CACHE_DIR=$WORK/nobody/c NIGHTJAR_STATE_DIR=$WORK/nobody/s \
		setpriv --reuid 65534 --regid 65534 --clear-groups ./nightjar-copy "$@"
}
