# --immutable: known files are not opened, changed ones are an alarm.
bats_require_minimum_version 1.5.0
load helpers
load repo

setup() {
	common_setup
	nightjar -q -r repo init --key-file key
	export NIGHTJAR_REPOSITORY=$WORK/repo NIGHTJAR_KEY_FILE=$WORK/key
	mkdir -p src/att/sub
	for i in 1 2 3; do
		echo "content $i of this file" >src/att/$i
		echo "below $i of this folder" >src/att/sub/$i
	done
	echo free >src/free
	find src -exec touch -h -d '3 hours ago' {} +
	nightjar -q backup --immutable src/att src
}

night() {
	run --separate-stderr nightjar backup --json --immutable src/att src
	assert_status 0
	summary=$(jq -c 'select(.message_type == "summary")' <<<"$output")
}

@test "nothing changed: no alarm" {
	night
	[ "$(jq -r '.immutable_alarms, .files_unmodified, (.alarms | length)' <<<"$summary" | xargs)" = "0 7 0" ]
}

@test "another inode and ctime, no cache: not opened, and the backup is whole" {
	command -v strace >/dev/null || skip "needs strace"
	cp -a src copy && rm -rf src && mv copy src && rm -rf "$NIGHTJAR_CACHE_DIR"
	ASAN_OPTIONS=detect_leaks=0 strace -f -qq -e trace=openat,open -o trace "$NIGHTJAR" -q backup --immutable src/att src
	run grep 'att/[123]"\|"[123]"' trace
	assert_status 1
	grep -q '"free"' trace
	ASAN_OPTIONS=detect_leaks=0 strace -f -qq -e trace=openat,open -o trace "$NIGHTJAR" -q backup --force --immutable src/att src
	grep -q '"1"' trace
	nightjar -q restore latest --target back
	diff -r src "back$PWD/src"
	run nightjar check --read-data
	assert_status 0
}

@test "changed, cut short, replaced: an alarm with its path and the way back; a new and a touched file are none" {
	local first
	first=$(nightjar manifests --json | jq -r '.[0].short_id')
	echo "CONTENT 1 of this file" >src/att/1
	: >src/att/sub/2
	rm src/att/3 && ln -s 2 src/att/3
	touch src/att/2
	echo new >src/att/4
	rm src/att/sub/3
	echo other >src/free
	night
	[ "$(jq -r .immutable_alarms <<<"$summary")" = 3 ]
	[ "$(jq -r '.alarms[] | .path' <<<"$summary" | sed 's|.*/src/||' | sort | xargs)" = "att/1 att/3 att/sub/2" ]
	says "*ALARM: */att/1 has another content*$first*"
	says "*ALARM: */sub/2 was cut short*"
	says "*ALARM: */att/3 is no file any more*"
	nightjar dump "$first:$PWD/src/att/1" >old
	[ "$(cat old)" = "content 1 of this file" ]
	night # the new content is what is known now
	[ "$(jq -r .immutable_alarms <<<"$summary")" = 0 ]
}

@test "the alarm is told even with --quiet, and counted for people" {
	echo "CONTENT 1 of this file" >src/att/1
	run --separate-stderr nightjar -q backup --immutable src/att src
	assert_status 0
	says "nightjar: ALARM: */src/att/1 has another content*"
	echo "content 1 of this file" >src/att/1
	run --separate-stderr nightjar backup --immutable src/att src
	[[ $output == *"ALARM: files of immutable folders that are not what they were: 1"* ]]
}

@test "same size and time but another content: seen by --force, not without" {
	touch -r src/att/1 stamp
	printf 'CONTENT 1 of this file\n' >src/att/1
	touch -r stamp src/att/1
	night
	[ "$(jq -r .immutable_alarms <<<"$summary")" = 0 ]
	run --separate-stderr nightjar backup --json --force --immutable src/att src
	[ "$(jq -r 'select(.message_type == "summary") | .immutable_alarms' <<<"$output")" = 1 ]
}

@test "a folder that lies elsewhere, is none, or is not there" {
	mkdir other
	fails 2 "*--immutable */other: lies below no PATH*" backup --immutable other src
	fails 2 "*--immutable */free: is not a folder" backup --immutable src/free src
	fails 1 "*nowhere*" backup --immutable nowhere src
	run nightjar backup --immutable src src
	assert_status 0
}

@test "a database in it is a database" {
	sqlite3 src/att/x.db 'CREATE TABLE t(a)'
	night
	sqlite3 src/att/x.db 'INSERT INTO t VALUES(1)'
	night
	[ "$(jq -r '.immutable_alarms, .databases' <<<"$summary" | xargs)" = "0 1" ]
}
