# What a person at a terminal sees while it runs, what a pipe sees, and Ctrl-C.
load helpers
load repo

setup() {
	common_setup
	export NIGHTJAR_REPOSITORY=$WORK/repo NIGHTJAR_KEY_FILE=$WORK/key
	export OPENSSL_CONF=/dev/null
	mkdir src
	for name in one two three; do random_file 120000000 "src/$name"; done
	nightjar -q init
}

# random_file BYTES FILE
random_file() {
	head -c "$1" /dev/zero | openssl enc -aes-128-ctr -k "$2" -nosalt -pbkdf2 >"$2" 2>/dev/null ||
		head -c "$1" /dev/urandom >"$2"
}

# on_terminal ARG…: the program; what the terminal got is in `shown`, a line for each time that the meter was drawn
on_terminal() {
	code=0
	python3 "$BATS_TEST_DIRNAME/../tools/onpty.py" "$@" >raw || code=$?
	tr '\r' '\n' <raw | sed 's/\x1b\[K//g' >shown
}

# interrupted PATTERN: Ctrl-C came at PATTERN and counted. A machine too fast to show it was done before.
interrupted() {
	[ "$code" -eq 130 ] || ! grep -q "$1" shown
}

@test "a terminal is shown phase, files, bytes, rate, time left; then only the result stays" {
	on_terminal "$NIGHTJAR" backup src
	[ "$code" -eq 0 ]
	grep -Eq '^\[0:[0-9]+\] files  [0-3]/3 files  [0-9.]+ MiB/343.* MiB  [0-9.]+ MiB/s' shown
	# Every line of the meter is taken away, and none is wider than the terminal.
	[ "$(awk '/^\[/ && length > 79' shown | wc -l)" -eq 0 ]
	grep -q '^manifest ........ saved' shown
	[ "$(grep -c $'\r''\[' raw)" -eq 0 ]
	on_terminal "$NIGHTJAR" restore latest --target back
	[ "$code" -eq 0 ]
	grep -Eq '^\[0:[0-9]+\] restore  [0-9]+/3 files  [0-9.]+ [KM]iB/343.* MiB  [0-9.]+ [KM]iB/s' shown
}

@test "a pipe, a file, -q and --json get no meter" {
	nightjar backup src >out 2>err
	[ ! -s err ]
	[ "$(grep -c $'[\r\x1b]' out)" -eq 0 ]
	on_terminal "$NIGHTJAR" -q backup --force src
	[ "$(grep -vc '^$' shown)" -eq 1 ] # "manifest … saved"
	on_terminal "$NIGHTJAR" --json backup --force src
	[ "$(grep -c '^\[' shown)" -eq 0 ]
}

@test "-v lists what is new or modified, -vv the rest too; --json has the same as objects" {
	rm src/* && mkdir src/sub && echo 1 >src/a && echo 2 >"src/sub/$(printf 'b\nc')"
	sqlite3 src/app.db 'CREATE TABLE t (x); INSERT INTO t VALUES (1)'
	run nightjar backup -v src
	assert_output "*new*2 B  $WORK/src/a"$'\n'"*new*KiB  $WORK/src/app.db"$'\n'"*new*2 B  $WORK/src/sub/b?nc*"
	echo other >src/a
	run nightjar backup -v src
	assert_output "*modified*6 B  $WORK/src/a"$'\n'"files:*"
	run nightjar backup -vv src
	assert_output "*unchanged*$WORK/src/a"$'\n'"*unchanged*app.db*unchanged*b?nc*"
	run nightjar backup src
	[[ $output != *unchanged* && $output != *app.db* ]]
	echo third >src/a
	nightjar backup --json -v src | jq -c 'select(.message_type == "verbose_status")' >said
	[ "$(jq -c '[.action, .item, .size]' said)" = "[\"modified\",\"$WORK/src/a\",6]" ]
}

@test "Ctrl-C in the files: 130, what was kept is said, the next backup goes on from there" {
	on_terminal --int 'files  [12]/3 files' "$NIGHTJAR" backup src
	[ "$code" -eq 130 ]
	grep -Eq 'nightjar: interrupted; no manifest was made, .*; the [0-9]+ KiB that were stored are kept' shown
	[ -z "$(find repo -name '*tmp*' -type f)" ]
	nightjar check --read-data
	[ "$(nightjar manifests --json | jq length)" -eq 0 ]
	added=$(nightjar backup --json src | jq 'select(.message_type == "summary").data_added')
	[ "$added" -lt 300000000 ]
	nightjar check --read-data
}

@test "Ctrl-C in restore, check and db copy: 130, one line, nothing half is left under its name" {
	nightjar -q backup src
	on_terminal --int 'restore  [12]/3 files' "$NIGHTJAR" restore latest --target back
	[ "$code" -eq 130 ]
	grep -q 'nightjar: interrupted; the same restore, run again, goes on from here' shown
	for file in back/"$WORK"/src/*; do cmp "$file" "src/${file##*/}"; done
	on_terminal --int 'read data' "$NIGHTJAR" check --read-data
	interrupted 'read data'
	[ "$code" -eq 0 ] || grep -q 'nightjar: interrupted; the check is not complete' shown
	sqlite3 big.db "CREATE TABLE t (a INTEGER PRIMARY KEY, b);
		WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400000)
		INSERT INTO t SELECT i, randomblob(200) FROM n; CREATE INDEX b ON t (b)"
	on_terminal --int 'verify' "$NIGHTJAR" db copy big.db copy.db
	interrupted 'verify'
	[ "$code" -eq 0 ] || [ ! -e copy.db ]
	[ "$(find . -maxdepth 1 -name '*copy*' ! -name copy.db | wc -l)" -eq 0 ]
}

@test "with several reasons the first of the order is the exit code" {
	rm src/*
	sqlite3 src/a.db "CREATE TABLE t (x); WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900)
		INSERT INTO t SELECT randomblob(90) FROM n; CREATE INDEX i ON t (x)"
	printf '\377\377\377\377' | dd of=src/a.db bs=1 seek=9000 conv=notrunc status=none
	printf '%s\n' "$WORK/src" "$WORK/not-there-*" >list
	run --separate-stderr nightjar backup --files-from list
	assert_status 21 # and 3
	says "nightjar: */a.db: *"
	says "nightjar: *not-there-*"
	run --separate-stderr nightjar --json -r nowhere backup --files-from list
	assert_status 10 # and 3
	[ "$(tail -n 1 <<<"$stderr" | jq .code)" -eq 10 ]
}
