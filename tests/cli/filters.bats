# What a backup takes and leaves out: files of paths and patterns, markers, sizes, mount points, our own folders.
load helpers

setup() {
	common_setup
	export NIGHTJAR_REPOSITORY=$WORK/repo NIGHTJAR_KEY_FILE=$WORK/key
	nightjar init -q
	mkdir -p src/logs src/deep/er
	echo one >src/one.txt
	echo two >src/two.tmp
	echo log >src/logs/a.log
	echo deep >src/deep/er/x.txt
}

teardown() {
	mountpoint -q "$WORK/src/mnt" 2>/dev/null && umount "$WORK/src/mnt"
	common_teardown
}

names() { # what the latest backup holds below src, one a line
	nightjar ls "latest:$WORK/src" | sed -n "s|^$WORK/src/||p"
}

holds() { # NAME…: exactly these, in the order of the listing
	[ "$(names)" = "$(printf '%s\n' "$@")" ] || {
		names
		return 1
	}
}

database() { # FILE ROWS
	sqlite3 "$1" "PRAGMA journal_mode=DELETE; CREATE TABLE t(x); WITH RECURSIVE n(i) AS
		(SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<$2) INSERT INTO t SELECT hex(randomblob(50)) FROM n" >/dev/null
}

@test "exclude-file: patterns, comments, blank lines, white space" {
	printf '# a comment\n\n  *.tmp  \r\n\tlogs\n' >patterns
	run nightjar backup --exclude-file patterns src
	assert_status 0
	holds deep deep/er deep/er/x.txt one.txt
}

@test "exclude-file: two of them and --exclude together; a bad pattern is named; a missing file" {
	echo '*.tmp' >p1
	echo 'logs' >p2
	nightjar backup -q --exclude-file p1 --exclude-file p2 -e deep src
	holds one.txt
	echo '[a' >p3
	run --separate-stderr nightjar backup --exclude-file p3 src
	assert_status 2
	assert_error "*[[]a*"
	run --separate-stderr nightjar backup --exclude-file nowhere src
	assert_status 1
	assert_error "*nowhere*"
}

@test "files-from: patterns, comments, more than one, with operands" {
	printf '#x\n%s/src/*.t[xm]?\n\n' "$WORK" >list
	echo "$WORK/src/logs" >more
	nightjar backup -q --files-from list --files-from more src/deep
	holds deep deep/er deep/er/x.txt logs logs/a.log one.txt two.tmp
}

@test "files-from -: standard input, hidden files too" {
	echo hidden >src/.hidden
	nightjar backup -q --files-from - <<<"src/*"
	holds .hidden deep deep/er deep/er/x.txt logs logs/a.log one.txt two.tmp
}

@test "files-from: a pattern without a match is said, exit 3, the rest is saved" {
	printf 'src/one.txt\nsrc/nothing*\n' >list
	run --separate-stderr nightjar backup --files-from list
	assert_status 3
	[[ $stderr == *"src/nothing*"* ]]
	holds one.txt
}

@test "files-from: nothing at all is a usage error, a missing list an error" {
	: >list
	run --separate-stderr nightjar backup --files-from list
	assert_status 2
	assert_error "*needs a PATH*"
	run --separate-stderr nightjar backup
	assert_status 2
	run --separate-stderr nightjar backup --files-from nowhere
	assert_status 1
	assert_error "*nowhere*"
}

@test "files-from-verbatim and -raw take names as they are" {
	echo star >'src/*'
	echo nl >$'src/new\nline'
	echo 'src/*' >list
	nightjar backup -q --files-from-verbatim list
	holds '*'
	printf 'src/new\nline\0src/one.txt\0' >raw
	nightjar backup -q --files-from-raw raw
	[ "$(nightjar ls latest --json | jq -r 'select(.type == "file").name' | wc -l)" -eq 3 ]
	printf 'src/one.txt' >cut
	run --separate-stderr nightjar backup --files-from-raw cut
	assert_status 2
	assert_error "*cut short*"
}

@test "exclude-if-present keeps the folder and the marker" {
	touch src/deep/.nobackup src/deep/y.txt
	database src/deep/app.db 10
	nightjar backup -q --exclude-if-present .nobackup src
	holds deep deep/.nobackup logs logs/a.log one.txt two.tmp
	[ "$(nightjar manifests --json | jq '.[-1].databases | length')" -eq 0 ]
}

@test "exclude-if-present with a header: only files that begin with it" {
	printf 'Signature: 8a477f' >src/deep/TAG
	printf 'Signature: other' >src/logs/TAG
	nightjar backup -q --exclude-if-present "TAG:Signature: 8a477f" src
	holds deep deep/TAG logs logs/TAG logs/a.log one.txt two.tmp
	printf 'Signature: 8a47' >src/deep/TAG
	nightjar backup -q --exclude-if-present "TAG:Signature: 8a477f" src
	[[ $(names) == *deep/er/x.txt* ]]
}

@test "exclude-if-present: a path or nothing as a name is a usage error" {
	run --separate-stderr nightjar backup --exclude-if-present a/b src
	assert_status 2
	run --separate-stderr nightjar backup --exclude-if-present :head src
	assert_status 2
	[ -z "$(ls repo/snapshots)" ]
}

@test "exclude-larger-than: files and databases, not folders" {
	head -c 4096 /dev/zero >src/even
	head -c 4097 /dev/zero >src/more
	database src/small.db 1
	database src/large.db 1000
	nightjar backup -q --exclude-larger-than 8k src
	holds deep deep/er deep/er/x.txt even logs logs/a.log more one.txt small.db two.tmp
	nightjar backup -q --exclude-larger-than 4K -e '*.db' src
	holds deep deep/er deep/er/x.txt even logs logs/a.log one.txt two.tmp
	[ "$(nightjar manifests --json | jq '.[0].databases | length')" -eq 1 ]
	run nightjar backup --exclude-larger-than lots src
	assert_status 2
}

@test "one-file-system keeps a mount point as an empty folder, unless it is a source itself" {
	[ "$(id -u)" -eq 0 ] || skip "mounting needs root"
	mkdir src/mnt
	mount -t tmpfs -o size=1m none src/mnt 2>/dev/null || skip "mounting is not allowed here"
	echo in >src/mnt/in.txt
	database src/mnt/in.db 1
	nightjar backup -q src
	[[ $(names) == *mnt/in.txt* ]]
	nightjar backup -q -x src
	holds deep deep/er deep/er/x.txt logs logs/a.log mnt one.txt two.tmp
	[ "$(nightjar manifests --json | jq '.[-1].databases | length')" -eq 0 ]
	nightjar backup -q --one-file-system src src/mnt
	[[ $(names) == *mnt/in.db*mnt/in.txt* ]]
	umount src/mnt
}

@test "the repository and the cache inside a source are left out, and that is said" {
	mv repo src/repo
	export NIGHTJAR_REPOSITORY=$WORK/src/repo NIGHTJAR_CACHE_DIR=$WORK/src/deep/cache
	mkdir src/deep/cache
	database src/deep/cache/c.db 1
	run --separate-stderr nightjar backup src
	assert_status 0
	[[ $stderr == *"$WORK/src/repo: is the repository of this backup; left out"* ]]
	[[ $stderr == *"$WORK/src/deep/cache: is nightjar's cache; left out"* ]]
	holds deep deep/er deep/er/x.txt logs logs/a.log one.txt two.tmp
	[ "$(nightjar manifests --json | jq '.[-1].databases | length')" -eq 0 ]
}

@test "the repository is recognised through a symlink and a bind of names" {
	mv repo src/repo
	ln -s src/repo link
	NIGHTJAR_REPOSITORY=$WORK/link run --separate-stderr nightjar backup .
	assert_status 0
	[[ $stderr == *"src/repo: is the repository"* ]]
	[ -z "$(nightjar -r src/repo ls latest | grep '/repo/')" ]
}

@test "--time: recorded in local time, listed by it; invalid ones are usage errors" {
	export TZ=UTC
	nightjar backup -q --time "2024-02-29 23:59:58" src
	[ "$(nightjar manifests --json | jq -r '.[0].time')" = 2024-02-29T23:59:58.000000000Z ]
	TZ=Europe/Paris nightjar backup -q --time "2024-01-01 12:00:00" src
	[ "$(nightjar manifests --json | jq -r '.[0].time')" = 2024-01-01T11:00:00.000000000Z ]
	nightjar backup -q --time now src
	for bad in "2023-02-29 00:00:00" "2024-01-01" "2024-13-01 00:00:00" "2024-01-01 24:00:00" \
		"2024-01-01T00:00:00" " 2024-01-01 00:00:00" "1200-01-01 00:00:00" yesterday; do
		run --separate-stderr nightjar backup --time "$bad" src
		assert_status 2
	done
	[ "$(nightjar manifests --json | jq length)" -eq 3 ]
}

@test "MANIFEST: latest, a prefix, latest:/sub, and what is none" {
	nightjar backup -q --time "2024-01-01 00:00:00" src/one.txt
	nightjar backup -q --host other --time "2024-01-02 00:00:00" src/deep
	id=$(nightjar manifests --json | jq -r '.[0].id')
	run nightjar ls "${id:0:8}:$WORK/src"
	assert_status 0
	[[ $output == *one.txt* ]]
	run nightjar ls "$id"
	[[ $output == *one.txt* ]]
	run nightjar ls latest
	[[ $output == *deep/er/x.txt* && $output != *one.txt* ]]
	run nightjar ls --host "$(hostname)" latest
	[[ $output == *one.txt* ]]
	run nightjar restore "latest:$WORK/src/deep/er" --target out
	assert_status 0
	[ "$(cat "out$WORK/src/deep/er/x.txt")" = deep ]
	run --separate-stderr nightjar ls "latest:/nowhere"
	assert_status 1
	assert_error "*nowhere*"
	run nightjar ls "${id:0:3}"
	assert_status 2
	run nightjar ls --host nobody latest
	assert_status 1
}

@test "ls -l: mode, owner, size, time, link target; JSON fields" {
	chmod 4751 src/one.txt
	ln -s one.txt src/link
	touch -d '2024-03-04 05:06:07 UTC' src/one.txt
	nightjar backup -q src
	TZ=UTC run nightjar ls -l "latest:$WORK/src"
	assert_status 0
	[[ $output == *"-rwsr-x--x"*" 4 2024-03-04 05:06:07 $WORK/src/one.txt"* ]]
	[[ $output == *"lrwxrwxrwx"*"$WORK/src/link -> one.txt"* ]]
	run nightjar ls --json "latest:$WORK/src/one.txt"
	[ "$(jq -r '[.type, .size, .permissions, .mtime] | join(" ")' <<<"$output")" = \
		"file 4 -rwsr-x--x 2024-03-04T05:06:07.000000000Z" ]
}
