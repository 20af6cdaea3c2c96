# What check finds damaged it notes, and the next backup stores it again, though no source changed.
load helpers
load repo

setup() {
	common_setup
	make_repo
}

notes() {
	find repo/snapshots -type f -printf '%f\n' | sort | comm -23 - <(nightjar manifests --json | jq -r '.[].id' | sort)
}

note_count() {
	notes | wc -l
}

@test "a flipped bit in a record: noted, stored again by a backup of unchanged sources, and every backup is whole" {
	flip "$BIG" 150000
	run nightjar check --read-data
	assert_status 20
	[[ $output == *"noted 1 damaged record"* ]]
	[ "$(note_count)" -eq 1 ]
	run --separate-stderr nightjar --json backup "$SRC"
	assert_status 0
	[ "$(jq -r 'select(.message_type == "summary") | .files_changed' <<<"$output")" = 0 ]
	# The photo is one chunk or, by chance of the key, two.
	[ "$(jq -r 'select(.message_type == "summary") | .data_added' <<<"$output")" -ge 200000 ]
	run --separate-stderr nightjar check --read-data latest
	assert_status 0
	run --separate-stderr nightjar check --read-data "$FIRST" "$SECOND"
	assert_status 0
	restores "$SECOND"
	restores latest
	# The bad copy is still there: told, and no damage.
	run --separate-stderr nightjar check --read-data
	assert_status 0
	says "nightjar: warning: ${BIG#repo/}: *another copy*"
	[ "$(note_count)" -eq 1 ]
	# Nothing is stored a third time.
	run --separate-stderr nightjar --json backup "$SRC"
	assert_status 0
	[ "$(jq -r 'select(.message_type == "summary") | .data_added' <<<"$output")" -lt 100000 ]
}

@test "damage that is noted already is not noted again" {
	flip "$BIG" 150000
	run nightjar check --read-data
	assert_status 20
	[ "$(note_count)" -eq 1 ]
	run nightjar check --read-data
	assert_status 20
	[ "$(note_count)" -eq 1 ]
	[ "$(nightjar check --read-data --json 2>/dev/null | jq -r 'select(.message_type == "summary") | .noted')" = 0 ]
	# More of it is, alone.
	flip "$(find repo/data -type f -size +190k ! -path "$BIG" | head -1)" 100000
	run nightjar check --read-data
	assert_status 20
	[[ $output == *"noted 1 damaged record"* ]]
	[ "$(note_count)" -eq 2 ]
	# Without reading it is not known whether it is still so.
	run nightjar check
	assert_status 0
	[[ $output == *"an earlier check noted"*": 2 records"* ]]
	run nightjar -q backup "$SRC"
	run nightjar check
	assert_status 0
	[[ $output != *"an earlier check noted"* ]]
}

@test "a note says nothing about bytes that read well: a false alarm costs a copy, and no exit code" {
	cp "$BIG" sound
	flip "$BIG" 150000
	run nightjar check --read-data
	assert_status 20
	cp -f sound "$BIG"
	run --separate-stderr nightjar check --read-data
	assert_status 0
	[ -z "$stderr" ]
	restores latest
}

@test "check of one backup tells what that one loses, and no more" {
	only=$(comm -13 <(cd repo/data && find . -type f -newer "../snapshots/$SECOND" | sort) \
		<(cd repo/data && find . -type f | sort) | wc -l)
	[ "$only" -ge 2 ]
	# two.bin came with the second backup.
	pack=$(find repo/data -type f -size +190k ! -path "$BIG" | head -1)
	flip "$pack" 100000
	run --separate-stderr nightjar check --read-data "$FIRST"
	assert_status 0
	run --separate-stderr nightjar check --read-data latest
	assert_status 20
	says "nightjar: manifest ${SECOND:0:8}: $SRC/two.bin: *"
	run ! grep -q "${FIRST:0:8}" <<<"$stderr"
	run --separate-stderr nightjar check --read-data
	assert_status 20
}

@test "check of what is no backup" {
	fails 1 "*no backup whose id begins with 00000000*" check 00000000
	fails 2 "*names no backup*" check xyz
	fails 2 "*whole backup*" check "latest:/srv"
}

@test "a store that takes no note: the damage is told, remembered on this host, and healed from here" {
	need_root
	flip "$BIG" 150000
	chmod -R a+rX repo && chown 65534 key
	run --separate-stderr as_nobody check --read-data -v
	assert_status 20
	[[ $output$stderr == *"could not be noted in the repository"* ]]
	[ "$(note_count)" -eq 0 ]
	state=$(find nobody/s -type f -name damage)
	[ "$(stat -c %a "$state")" = 600 ]
	[ "$(grep -c . "$state")" -eq 1 ]
	run ! grep -q photo "$state"
	mkdir -p state && cp -r nobody/s/. state/
	run nightjar -q backup "$SRC"
	assert_status 0
	run --separate-stderr nightjar check --read-data latest
	assert_status 0
}

@test "what this host remembers is damaged: a warning, and the backup goes on" {
	flip "$BIG" 150000
	run nightjar check --read-data
	file=$(find state -type f -name damage)
	echo nonsense >"$file"
	run --separate-stderr nightjar -q backup "$SRC"
	assert_status 0
	run --separate-stderr nightjar backup "$SRC"
	says "nightjar: warning: *$file*"
	run nightjar check --read-data
	run ! grep -q nonsense "$file"
}

@test "a note that rots, or is somebody else's, is named and left out" {
	flip "$BIG" 150000
	run nightjar check --read-data
	note=repo/snapshots/$(notes)
	flip "$note" 100
	run --separate-stderr nightjar check
	assert_status 20
	says "nightjar: *${note#repo/}: damaged*"
	run --separate-stderr nightjar backup "$SRC"
	assert_status 0
	says "nightjar: warning: *${note#repo/}: *"
}

@test "a damaged base: whatever rests on it is named, and after one backup all are whole" {
	mkdir app
	sqlite3 app/a.db "CREATE TABLE t(a INTEGER PRIMARY KEY, b);
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
		INSERT INTO t SELECT i, hex(randomblob(20)) FROM n"
	nightjar -q init -r deltas --key-file dkey
	export NIGHTJAR_REPOSITORY=deltas NIGHTJAR_KEY_FILE=dkey
	nightjar -q backup app
	pack=$(find deltas/data -type f)
	sqlite3 app/a.db "UPDATE t SET b = 'changed' WHERE a % 100 = 0"
	nightjar -q backup app
	for at in 200000 300000 400000; do flip "$pack" "$at"; done
	run --separate-stderr nightjar check --read-data
	assert_status 20
	[ "$(grep -c "/app/a.db: " <<<"$stderr")" -eq 2 ]
	run nightjar backup app
	assert_status 0
	run --separate-stderr nightjar check --read-data latest
	assert_status 0
	run --separate-stderr nightjar check --read-data
	assert_status 20 # the first night's own rows are gone with what they were changed into
	run nightjar restore latest --target back
	assert_status 0
	[ "$(sqlite3 "back$PWD/app/a.db" 'SELECT count(*) FROM t')" = 20000 ]
}
