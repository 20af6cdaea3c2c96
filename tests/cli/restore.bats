# restore into a folder where things are already: --overwrite, --delete, going on after an interruption, databases in place.
load helpers
load repo

setup() {
	common_setup
	export NIGHTJAR_REPOSITORY=$WORK/r NIGHTJAR_KEY_FILE=$WORK/k
	nightjar -q init
	mkdir -p app/docs
	head -c 20000000 /dev/urandom >app/big
	head -c 600000 /dev/urandom >app/docs/mid
	echo small >app/docs/small
	chmod 444 app/docs/mid
	touch -d '2020-05-05 05:05:05.123456789' app/big app/docs/mid app/docs/small
	B=$WORK/back$WORK/app # where it is restored to
}

# restore ARG…: the summary goes to $WORK/sum
restore() {
	nightjar --json restore latest --target back "$@" >lines || return
	grep '"summary"' lines >sum
}

sum() { # FIELD
	jq ".$1" sum
}

# poke FILE OFFSET: other bytes there, the same times
poke() {
	local before
	before=$(stat -c %y "$1")
	printf 'OTHER' | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
	[ "${3:-}" = new ] || touch -d "$before" "$1"
}

aside() { # the one name that the database was moved to
	find "$B" -name 'app.db.before-restore-*Z' | sort | tail -1
}

@test "of a large file only the blocks that differ are written, in place; modes and times are as they were" {
	nightjar -q backup app
	restore
	[ "$(sum bytes_written)" -eq 20600006 ]
	inode=$(stat -c %i "$B/big")
	restore
	[ "$(sum files_restored) $(sum files_skipped) $(sum bytes_written) $(sum bytes_skipped)" = "0 3 0 20600006" ]
	poke "$B/big" 100000 # where no chunk can end: the first has 256 KiB
	restore --verify
	[ "$(sum files_restored) $(sum bytes_written) $(sum files_verified)" = "1 4096 3" ]
	cmp app/big "$B/big"
	[ "$(stat -c %i "$B/big")" = "$inode" ]
	[ "$(stat -c '%Y %y %a' "$B/big")" = "$(stat -c '%Y %y %a' app/big)" ]
	# read-only, cut short, too long, two blocks that lie together
	poke "$B/docs/mid" 4094
	truncate -s 19999000 "$B/big"
	restore
	[ "$(sum bytes_written)" -eq $((8192 + 3328)) ]
	head -c 5000 /dev/zero >>"$B/big"
	restore
	[ "$(sum files_restored) $(sum bytes_written)" = "1 0" ]
	diff -r app "$B"
	[ "$(stat -c '%y %a' "$B/docs/mid")" = "$(stat -c '%y %a' app/docs/mid)" ]
	# what was changed in its attributes only
	chmod 600 "$B/big"
	touch -d 2001-01-01 "$B/docs/small"
	restore
	[ "$(sum files_skipped) $(sum bytes_written)" = "3 0" ]
	[ "$(stat -c '%y %a' "$B/big" "$B/docs/small")" = "$(stat -c '%y %a' app/big app/docs/small)" ]
}

@test "--overwrite: always, if-changed, if-newer, never" {
	nightjar -q backup app
	restore
	poke "$B/big" 77
	poke "$B/docs/small" 0
	restore --overwrite if-changed # size and time are right
	[ "$(sum files_skipped) $(sum bytes_written)" = "3 0" ]
	restore --overwrite never
	[ "$(sum files_skipped) $(sum bytes_written)" = "3 0" ]
	restore --overwrite if-newer
	[ "$(sum files_skipped)" = 3 ]
	restore --overwrite always
	[ "$(sum files_restored) $(sum bytes_written)" = "2 $((4096 + 6))" ]
	poke "$B/big" 77 new
	restore --overwrite if-changed
	[ "$(sum files_restored) $(sum bytes_written)" = "1 4096" ]
	# the backup's is newer, then older
	poke "$B/big" 77
	touch -d 2019-01-01 "$B/big"
	poke "$B/docs/small" 0 new
	rm "$B/docs/mid"
	ln -s gone "$B/docs/mid"
	restore --overwrite if-newer
	[ "$(sum files_restored) $(sum files_skipped)" = "1 2" ]
	[ "$(sum bytes_written)" -gt 4096 ] # as a whole: half a file would look newer
	grep -q OTHER "$B/docs/small"
	[ "$(readlink "$B/docs/mid")" = gone ]
	rm "$B/big"
	restore --overwrite never
	[ "$(sum files_restored) $(sum files_skipped)" = "1 2" ]
	cmp app/big "$B/big"
	restore
	diff -r app "$B"
	[ ! -L "$B/docs/mid" ]
	fails 2 "*--overwrite is one of always, if-changed, if-newer, never, not 'maybe'*" restore latest --target back --overwrite maybe
}

@test "--dry-run says what would be restored, updated, left and deleted, and changes nothing" {
	sqlite3 app/app.db 'CREATE TABLE t (a); INSERT INTO t VALUES (1)'
	nightjar -q backup app
	restore
	sqlite3 "$B/app.db" 'INSERT INTO t VALUES (2)'
	poke "$B/big" 5
	rm "$B/docs/small"
	echo more >"$B/docs/more"
	find back -printf '%p %i %s %T@ %C@\n' | sort >before
	run nightjar restore latest --target back -n -v --delete
	assert_status 0
	find back -printf '%p %i %s %T@ %C@\n' | sort | diff before -
	[[ $output == *"would update $WORK/app/big with size "* && $output == *"would leave $WORK/app/docs/mid with"* ]]
	[[ $output == *"would restore $WORK/app/docs/small with"* && $output == *"would delete $WORK/app/docs/more with"* ]]
	[[ $output == *"would restore $WORK/app/app.db with"* && $output == *"would restore 3 files (1 database)"* ]]
	restore -n --delete
	[ "$(sum files_restored) $(sum files_skipped) $(sum files_deleted)" = "3 1 1" ]
	nightjar restore latest --target back -v --delete >said
	grep -q "^updated $WORK/app/big with" said && grep -q "^unchanged $WORK/app/docs/mid" said
	grep -q "^restored $WORK/app/docs/small" said && grep -q "^deleted $WORK/app/docs/more" said
	[ ! -e "$B/docs/more" ]
}

@test "--delete: only below what was backed up, never through a symlink, within include and exclude" {
	sqlite3 app/app.db 'CREATE TABLE t (a); INSERT INTO t VALUES (1)'
	mkdir app/turned app/empty
	echo x >app/turned/x
	ln -s docs app/link
	nightjar -q backup app
	restore
	mkdir -p outside/deep "$B/new/deeper" "$B/docs/more"
	echo keep | tee outside/a outside/deep/b back/at-the-top "back$WORK/beside" >/dev/null
	echo go | tee "$B/one" "$B/new/deeper/two" "$B/docs/more/three" "$B/docs/four.tmp" "$B/empty/five" >/dev/null
	ln -s "$WORK/outside" "$B/to-outside"
	ln -s "$WORK/outside" "$B/new/to-outside"
	rm -r "$B/turned" && ln -s "$WORK/outside" "$B/turned" # a folder of the backup became a way out
	rm "$B/link" && mkdir -p "$B/link/now" && echo go >"$B/link/now/a-folder"
	printf log >"$B/app.db-wal.copy"
	: >"$B/app.db-wal"
	run nightjar restore latest --target back --exclude '*.tmp' --delete
	assert_status 0
	[ -z "$(ls "$B/empty")" ] && [ ! -e "$B/one" ] && [ ! -e "$B/new" ] && [ ! -e "$B/docs/more" ] && [ ! -e "$B/app.db-wal.copy" ]
	[ ! -L "$B/to-outside" ] && [ -d "$B/turned" ] && [ ! -L "$B/turned" ] && [ "$(readlink "$B/link")" = docs ]
	[ -e "$B/docs/four.tmp" ] && [ -e "$B/app.db-wal" ]
	[ "$(cat outside/a outside/deep/b back/at-the-top "back$WORK/beside")" = $'keep\nkeep\nkeep\nkeep' ]
	[ "$(find outside | wc -l)" -eq 4 ]
	# include, and a part of the backup
	echo go | tee "$B/a.pdf" "$B/docs/b.pdf" "$B/docs/c.txt" >/dev/null
	restore --include '*.pdf' --delete
	[ "$(sum files_deleted)" -eq 2 ]
	[ -e "$B/docs/c.txt" ] && [ ! -e "$B/a.pdf" ] && [ ! -e "$B/docs/b.pdf" ]
	echo go >"$B/stays"
	nightjar -q restore "latest:$WORK/app/docs" --target back --delete
	[ -e "$B/stays" ] && [ ! -e "$B/docs/c.txt" ]
	# without --delete what is in the way is an error and stays
	rm "$B/docs/small" && mkdir "$B/docs/small" && echo here >"$B/docs/small/x"
	run --separate-stderr nightjar restore latest --target back
	assert_status 1
	says "*docs/small: something of another kind is in the way; --delete removes it*"
	[ -e "$B/docs/small/x" ]
}

@test "--delete keeps databases that were moved aside, open ones, and what belongs to them" {
	sqlite3 app/app.db 'CREATE TABLE t (a); INSERT INTO t VALUES (1)'
	nightjar -q backup app
	restore
	sqlite3 "$B/app.db" 'INSERT INTO t VALUES (2)'
	sqlite3 "$B/open.db" 'PRAGMA journal_mode=wal; CREATE TABLE t (a)'
	sqlite3 "$B/shut.db" 'CREATE TABLE t (a)'
	hold open.db "SELECT * FROM t; INSERT INTO t VALUES (9);"
	run --separate-stderr nightjar restore latest --target back --delete
	release
	assert_status 1
	says "*open.db: sqlite3 (process *) has this database open*"
	[ -e "$B/open.db" ] && [ -e "$B/open.db-wal" ] && [ ! -e "$B/shut.db" ]
	[ "$(sqlite3 "$(aside)" 'SELECT count(*) FROM t')" -eq 2 ]
	restore --delete
	[ ! -e "$B/open.db" ] && [ -e "$(aside)" ]
}

@test "--delete looks into a folder before it goes: an open database, one moved aside, what is mounted there" {
	nightjar -q backup app
	restore
	mkdir -p "$B/more/deep" "$B/kept/deep" "$B/mount"
	sqlite3 "$B/more/deep/open.db" 'PRAGMA journal_mode=wal; CREATE TABLE t (a)'
	hold more/deep/open.db "SELECT * FROM t; INSERT INTO t VALUES (9);"
	touch "$B/kept/deep/app.db.before-restore-20240101T000000Z-wal"
	run --separate-stderr nightjar restore latest --target back --delete
	release
	assert_status 1
	says "*/more/deep/open.db: sqlite3 (process *) has this database open*"
	says "*/kept/deep/app.db.before-restore-20240101T000000Z-wal was moved aside by a restore, and is kept*"
	[ -e "$B/more/deep/open.db" ] && [ -e "$B/kept/deep/app.db.before-restore-20240101T000000Z-wal" ] && [ ! -e "$B/mount" ]
	rm -r "$B/kept"
	restore --delete
	[ ! -e "$B/more" ]
}

@test "--delete does not empty what is mounted in the target from the same file system" {
	[ "$(id -u)" -eq 0 ] || skip "mounting needs root"
	nightjar -q backup app
	restore
	mkdir -p "$B/more/mount" else
	echo precious >else/file
	mount --bind else "$B/more/mount" 2>/dev/null || skip "mounting is not allowed here"
	run --separate-stderr nightjar restore latest --target back --delete
	umount "$B/more/mount"
	assert_status 1
	says "*a file system is mounted*"
	[ "$(cat else/file)" = precious ]
}

@test "a database is moved aside for whatever gets its name, and not written over in place" {
	head -c 300000 /dev/urandom >app/a
	echo small >app/b
	ln -s nowhere app/c
	ln app/a app/d
	nightjar -q backup app
	restore
	for name in a b c d; do
		rm "$B/$name"
		sqlite3 "$B/$name" 'CREATE TABLE t (x); INSERT INTO t VALUES (randomblob(400000))'
	done
	hold b "BEGIN IMMEDIATE;"
	run --separate-stderr nightjar restore latest --target back
	release
	assert_status 1
	says "*app/b: sqlite3 (process *) has this database open*"
	[ "$(sqlite3 "$B/b" 'SELECT count(*) FROM t')" -eq 1 ]
	restore
	for name in a b c d; do
		[ "$(sqlite3 "$(echo "$B/$name".before-restore-*Z)" 'SELECT count(*) FROM t')" -eq 1 ]
	done
	cmp app/a "$B/a" && cmp app/b "$B/b" && cmp app/a "$B/d" && [ "$(readlink "$B/c")" = nowhere ]
}

@test "if-newer, interrupted in a large file: the next run goes on" {
	nightjar -q backup app
	restore
	poke "$B/big" 100
	poke "$B/big" 19000000
	touch -d '2019-01-01' "$B/big"
	run --separate-stderr bash -c 'ulimit -f 4000; "$0" restore latest --target back --overwrite if-newer' "$NIGHTJAR"
	restore --overwrite if-newer
	cmp app/big "$B/big"
}

# hold DB SQL: another process has it open, after it ran SQL, until release
hold() {
	mkfifo hold.in hold.out
	(cd "$B" && exec sqlite3 "$1" <"$WORK/hold.in" >"$WORK/hold.out" 2>/dev/null) 3>&- &
	exec 7>hold.in 8<hold.out
	echo "$2 SELECT 'ready';" >&7
	while read -r line <&8; do [ "$line" != ready ] || break; done
}

release() {
	exec 7>&- 8<&-
	wait
	rm -f hold.in hold.out
}

@test "a database that another process has open: nothing is restored, or with --force the restore goes on" {
	for mode in wal delete; do
		sqlite3 "app/$mode.db" "PRAGMA journal_mode=$mode; CREATE TABLE t (a); INSERT INTO t VALUES (1)" >/dev/null
	done
	nightjar -q backup app
	restore
	echo older >"$B/docs/small"
	for holder in "wal.db:BEGIN; SELECT * FROM t;" "wal.db:SELECT * FROM t;" "delete.db:BEGIN IMMEDIATE; INSERT INTO t VALUES (5);" \
		"delete.db:SELECT * FROM t;"; do
		db=${holder%%:*}
		sqlite3 "$B/$db" 'INSERT INTO t VALUES (2)'
		hold "$db" "${holder#*:}"
		find "$B" -name "$db*" ! -name '*-shm' -exec sha256sum {} + | sort >before
		for more in "" "--overwrite if-changed" "--dry-run"; do
			# shellcheck disable=SC2086
			run --separate-stderr nightjar restore latest --target back $more
			assert_status 11
			assert_error "*app/$db: sqlite3 (process *) has this database open: stop it and restore again, or use --force*"
		done
		grep -q older "$B/docs/small"
		find "$B" -name "$db*" ! -name '*-shm' -exec sha256sum {} + | sort | diff before -
		restore --overwrite never # leaves it alone, so who has it open does not matter
		release
	done
	sqlite3 "$B/wal.db" 'INSERT INTO t VALUES (2)'
	hold wal.db "SELECT * FROM t;"
	run --separate-stderr nightjar restore latest --target back --force
	assert_status 0
	says "*wal.db: sqlite3 (process *) has it open, and keeps the old file*"
	[ "$(sqlite3 "$B/wal.db" 'SELECT count(*) FROM t')" -eq 1 ]
	echo "INSERT INTO t VALUES (77);" >&7
	release
	[ "$(sqlite3 "$B/wal.db" 'SELECT count(*) FROM t WHERE a = 77')" -eq 0 ]
	# the same as the backup's: left alone, whoever has it open
	hold wal.db "SELECT * FROM t;"
	inode=$(stat -c %i "$B/wal.db")
	restore
	release
	[ "$(stat -c %i "$B/wal.db")" = "$inode" ]
}

@test "a database in place: the old one is kept with its -wal, and told; the same one is left" {
	sqlite3 app/app.db 'PRAGMA journal_mode=wal; CREATE TABLE t (a); INSERT INTO t VALUES (1)' >/dev/null
	nightjar -q backup app
	restore
	restore
	[ "$(sum databases_restored) $(sum files_skipped)" = "0 4" ]
	# a crashed application's: the last commit is in the -wal only
	kill_after app.db 'INSERT INTO t VALUES (2)'
	[ -s "$B/app.db-wal" ]
	cp "$B/app.db-wal" wal
	run nightjar restore latest --target back --overwrite if-changed
	assert_status 0
	assert_output "*app.db: what was there is kept beside it as app.db.before-restore-*Z*"
	[ ! -e "$B/app.db-wal" ] && [ "$(sqlite3 "$B/app.db" 'SELECT count(*) FROM t')" -eq 1 ]
	cmp wal "$(aside)-wal"
	[ "$(sqlite3 "$(aside)" 'SELECT count(*) FROM t')" -eq 2 ]
	[ "$(sqlite3 "$B/app.db" 'PRAGMA journal_mode')" = wal ]
	# a -wal alone is newer
	sleep 0.01
	kill_after app.db 'INSERT INTO t VALUES (3)'
	touch -d 2010-01-01 "$B/app.db"
	restore --overwrite if-newer
	[ "$(sum databases_restored)" -eq 0 ]
	[ "$(sqlite3 "$B/app.db" 'SELECT count(*) FROM t')" -eq 2 ]
	restore
	grep -q '"message_type":"moved_aside"' lines
	nightjar db verify "$B/app.db"
	# a symlink to a database is moved aside, what it points to is not touched
	mv "$B/app.db" elsewhere.db && ln -s "$WORK/elsewhere.db" "$B/app.db"
	sqlite3 elsewhere.db 'INSERT INTO t VALUES (8)'
	restore
	[ ! -L "$B/app.db" ] && [ "$(sqlite3 elsewhere.db 'SELECT count(*) FROM t')" -eq 2 ]
	[ "$(sqlite3 "$B/app.db" 'SELECT count(*) FROM t')" -eq 1 ]
}

# kill_after DB SQL: an application that dies without closing
kill_after() {
	python3 -c '
import os, sqlite3, sys
c = sqlite3.connect(sys.argv[1])
c.executescript(sys.argv[2])
os._exit(0)' "$B/$1" "$2"
}

@test "back where it was: --target /" {
	sqlite3 app/app.db 'PRAGMA journal_mode=wal; CREATE TABLE t (a); INSERT INTO t VALUES (1)' >/dev/null
	cp -a app saved
	nightjar -q backup app
	sqlite3 app/app.db 'DELETE FROM t'
	poke app/big 3
	rm app/docs/mid
	echo new >app/new
	above=$(stat -c '%a %y' "$WORK")
	run nightjar restore latest --target / --delete --verify
	assert_status 0
	diff -r --exclude='app.db*' saved app
	[ "$(sqlite3 app/app.db 'SELECT count(*) FROM t')" -eq 1 ]
	[ "$(stat -c '%a' "$WORK")" = "${above%% *}" ]
}

@test "hard links: names outside the backup keep what they had; names in it stay one file" {
	ln app/big app/big2
	nightjar -q backup app
	restore
	[ "$(stat -c %i "$B/big")" = "$(stat -c %i "$B/big2")" ]
	restore
	[ "$(sum files_skipped) $(sum bytes_written)" = "4 0" ]
	ln "$B/docs/mid" outside
	chmod u+w outside
	poke "$B/docs/mid" 9
	restore
	[ "$(stat -c %h outside)" -eq 1 ] && grep -q OTHER outside && cmp app/docs/mid "$B/docs/mid"
	ln -f "$B/docs/mid" outside
	chmod 600 outside # the same content: an attribute is the other name's, too
	restore
	[ "$(stat -c %a outside)" = 600 ] && [ "$(stat -c %a "$B/docs/mid")" = 444 ]
	poke "$B/big2" 100
	restore
	cmp app/big "$B/big" && [ "$(stat -c %i "$B/big")" = "$(stat -c %i "$B/big2")" ]
	rm "$B/big2" && cp app/big "$B/big2"
	restore
	[ "$(stat -c %i "$B/big")" = "$(stat -c %i "$B/big2")" ]
}

@test "a program that runs, and what may not be written to, is replaced" {
	cp "$(command -v bash)" app/prog
	nightjar -q backup app
	restore
	poke "$B/prog" 1000000
	inode=$(stat -c %i "$B/prog")
	"$B/prog" -c 'read -r line' < <(sleep 20) 3>&- &
	restore
	kill $!
	cmp app/prog "$B/prog"
	[ "$(stat -c %i "$B/prog")" != "$inode" ]
}

@test "sparse files: holes stay holes, what was written into one goes" {
	truncate -s 50000000 app/sparse
	printf data | dd of=app/sparse bs=1 seek=30000000 conv=notrunc status=none
	truncate -s 3000000 app/hole
	nightjar -q backup app
	restore
	poke "$B/sparse" 12345
	poke "$B/hole" 2999000
	restore --verify
	[ "$(sum files_restored) $(sum bytes_written)" = "2 0" ]
	cmp app/sparse "$B/sparse" && cmp app/hole "$B/hole"
	[ "$(stat -c %b "$B/sparse")" -lt 1000 ]
	poke "$B/sparse" 30000001
	restore
	[ "$(sum bytes_written)" -eq 4096 ]
	cmp app/sparse "$B/sparse"
}

@test "a full disk, and Ctrl-C: the database that was there is there still; the next run goes on" {
	sqlite3 app/app.db "CREATE TABLE t (a); WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9000)
		INSERT INTO t SELECT hex(randomblob(90)) FROM n"
	nightjar -q backup app
	restore
	sqlite3 "$B/app.db" 'DELETE FROM t; VACUUM'
	sum=$(sha256sum <"$B/app.db")
	run --separate-stderr bash -c 'ulimit -f 200; "$0" restore latest --target back' "$NIGHTJAR"
	assert_status 1
	[ "$(sha256sum <"$B/app.db")" = "$sum" ] && [ -z "$(aside)" ]
	[ -z "$(find back -name '.nightjar-*')" ]
	restore
	[ "$(sum databases_restored) $(sum files_skipped)" = "1 3" ]
	[ "$(sqlite3 "$B/app.db" 'SELECT count(*) FROM t')" -eq 9000 ]
}

@test "what a killed restore left is removed by the next; what one at work writes is not" {
	nightjar -q backup app
	restore
	echo left >"$B/docs/.nightjar-0123abcd.tmp"
	echo mine >"$B/docs/.nightjar-mine.tmp"
	echo live >"$B/.nightjar-89abcdef.tmp"
	exec 9<"$B/.nightjar-89abcdef.tmp"
	flock 9
	restore
	[ ! -e "$B/docs/.nightjar-0123abcd.tmp" ] && [ -e "$B/docs/.nightjar-mine.tmp" ] && [ -e "$B/.nightjar-89abcdef.tmp" ]
	exec 9<&-
	restore
	[ ! -e "$B/.nightjar-89abcdef.tmp" ]
}

@test "a database that was broken when it was backed up is restored as it was, and that is said" {
	sqlite3 app/app.db "CREATE TABLE t (a); WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
		INSERT INTO t SELECT hex(randomblob(40)) FROM n"
	head -c 8192 /dev/urandom | dd of=app/app.db bs=4096 seek=10 conv=notrunc status=none
	run nightjar -q backup app
	assert_status 21
	for again in new same; do
		run --separate-stderr nightjar restore latest --target back --verify
		assert_status 0
		[ "$(grep -c "warning: $WORK/app/app.db: was broken already when it was backed up, and is so now" <<<"$stderr")" -eq 1 ]
		[ -s "$B/app.db" ]
	done
	run --separate-stderr nightjar restore latest --target back --overwrite never
	[[ $stderr != *broken* ]]
}
