# Databases that the first walk of a backup takes for the files they were last night: it does not look at those, and the second does.
bats_require_minimum_version 1.5.0
load helpers

setup() {
	common_setup
	nightjar -q -r repo init --key-file key
	export NIGHTJAR_REPOSITORY=$WORK/repo NIGHTJAR_KEY_FILE=$WORK/key
	mkdir -p src/sub
	for name in a b z sub/m; do
		printf 'no database, and longer than a header: %s' "$name" >"src/$name"
	done
	nightjar -q backup src
}

# Written over in place, so that nothing is seen in the folder.
becomes() { # NAME ROWS
	sqlite3 new.db "CREATE TABLE t(x); WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i<$2) INSERT INTO t SELECT i FROM n"
	cat new.db >"src/$1"
	rm new.db
}

rows() { sqlite3 "out$WORK/src/$1" 'SELECT count(*) FROM t'; }

# As one whom permissions bind, with the same cache.
bound() {
	if [ "$(id -u)" -eq 0 ]; then
		cp "$NIGHTJAR" nightjar-copy
		chmod 711 "$BATS_FILE_TMPDIR" "$BATS_RUN_TMPDIR"
		chown -R 65534 "$WORK"
		setpriv --reuid 65534 --clear-groups ./nightjar-copy "$@"
	else
		nightjar "$@"
	fi
}

summary() { # FIELD
	jq -r --arg field "$1" 'select(.message_type == "summary")[$field]' <<<"$output"
}

@test "they are copied as databases, each in its place" {
	becomes z 300
	becomes a 100
	becomes sub/m 20000
	run --separate-stderr nightjar backup --json src
	assert_status 0
	[ "$(summary files_changed)" = 3 ]
	[ "$(summary databases)" = 3 ]
	run nightjar check --read-data
	assert_status 0
	nightjar -q restore latest --target out
	[ "$(rows a) $(rows sub/m) $(rows z)" = "100 20000 300" ]
	cmp src/b "out$WORK/src/b"
	# The first walk knows them now.
	run --separate-stderr nightjar backup -v src
	assert_status 0
	[[ $output != *"copied after the others"* ]]
}

@test "beside others, and without what lies beside them" {
	sqlite3 src/app.db 'CREATE TABLE t(x); INSERT INTO t VALUES(1)'
	nightjar -q backup src
	rm src/b
	mkfifo go
	sqlite3 src/b <go 3>&- &
	exec 9>go
	echo 'PRAGMA journal_mode=wal; CREATE TABLE t(x); INSERT INTO t VALUES(1), (2);' >&9
	until [ "$(sqlite3 -readonly src/b 'SELECT count(*) FROM t' 2>&1)" = 2 ]; do sleep 0.1; done
	[ -s src/b-wal ]
	run --separate-stderr nightjar backup -v --json src
	exec 9>&-
	wait
	assert_status 0
	[ "$(summary databases)" = 2 ]
	nightjar -q restore latest --target out
	[ "$(rows b)" = 2 ]
	[ ! -e "out$WORK/src/b-wal" ]
	[ ! -e "out$WORK/src/b-shm" ]
}

@test "one that --refs means is known before" {
	sqlite3 new.db "CREATE TABLE t(p); INSERT INTO t VALUES('b')"
	cat new.db >src/z
	run --separate-stderr nightjar backup --refs 'z: SELECT p FROM t' src
	assert_status 0
	[[ $output == *"references of z: 1 file named, 0 missing"* ]]
}

@test "one that cannot be copied is named, and left out" {
	becomes z 10
	sqlite3 src/z 'PRAGMA journal_mode=wal' >/dev/null
	chmod 0555 src
	run --separate-stderr bound backup src
	chmod 0755 src
	assert_status 3
	[[ $stderr == *"/src/z"* ]]
	run nightjar ls latest
	[[ $output != *"/src/z"* ]]
}

@test "excluded ones stay out" {
	becomes z 10
	run --separate-stderr nightjar backup --json --exclude '*/z' src
	assert_status 0
	[ "$(summary databases)" = 0 ]
}
