# db copy and db verify: plain SQLite files, no repository.
load helpers
load repo

setup() {
	common_setup
	sqlite3 app.db "PRAGMA journal_mode=WAL; CREATE TABLE t(a INTEGER PRIMARY KEY, b);
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<3000)
		INSERT INTO t(b) SELECT hex(randomblob(100)) FROM n" >/dev/null
}

@test "db copy: verified, same content, same journal mode, not readable by others" {
	run nightjar db copy app.db copy.db
	assert_status 0
	assert_output "app.db: copied to copy.db and verified*ok)"
	[ "$(sqlite3 copy.db .dump | sha256sum)" = "$(sqlite3 app.db .dump | sha256sum)" ]
	[ "$(sqlite3 copy.db 'PRAGMA journal_mode')" = wal ]
	[ "$(find . -name '*nightjar*' | wc -l)" -eq 0 ]
}

@test "db copy while the application holds a transaction open" {
	{
		echo "BEGIN; INSERT INTO t(b) VALUES('not yet');"
		sleep 3
	} | sqlite3 app.db &
	sleep 0.5
	run nightjar db copy app.db copy.db
	wait
	assert_status 0
	[ "$(sqlite3 copy.db "SELECT count(*) FROM t WHERE b='not yet'")" = 0 ]
}

@test "db copy never overwrites, and says what is in the way" {
	echo precious >copy.db
	fails 1 "*copy.db: exists already; it was not touched" db copy app.db copy.db
	[ "$(cat copy.db)" = precious ]
	fails 1 "*app.db: exists already*" db copy app.db app.db
	rm copy.db && touch copy.db-wal
	fails 1 "*copy.db-wal: is in the way*" db copy app.db copy.db
	[ ! -e copy.db ]
}

@test "db copy of what is not there, no database, into no folder" {
	fails 1 "*nope.db: No such file*" db copy nope.db copy.db
	head -c 100000 /dev/urandom >photo.db
	fails 1 "*photo.db: not an SQLite database" db copy photo.db copy.db
	: >zero.db
	fails 1 "*zero.db: not an SQLite database" db copy zero.db copy.db
	fails 1 "nightjar: nowhere/copy.db: cannot be created: No such file*" db copy app.db nowhere/copy.db
	fails 2 "*'db copy' needs*" db copy app.db
	[ "$(find . -name 'copy*' | wc -l)" -eq 0 ]
}

@test "db copy with no room: names the target, leaves nothing, works when there is room" {
	run --separate-stderr bash -c 'ulimit -f 100; "$0" db copy app.db copy.db' "$NIGHTJAR"
	assert_status 1
	assert_error "nightjar: copy.db: no room left*"
	[ "$(find . -name 'copy*' | wc -l)" -eq 0 ]
	run nightjar db copy app.db copy.db
	assert_status 0
}

@test "db verify: 0 sound, 21 damaged, 1 no database" {
	run nightjar db verify app.db
	assert_status 0
	sqlite3 app.db "PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode=DELETE" >/dev/null
	head -c 4096 /dev/zero | tr '\0' '\377' | dd of=app.db bs=4096 seek=20 conv=notrunc status=none
	fails 21 "nightjar: app.db: *" db verify app.db
	run --separate-stderr nightjar --json db verify app.db
	assert_status 21
	[ "$(jq -r .verdict <<<"$output")" = failed ]
	printf 'SQLite format 3\0' >head.db
	fails 21 "nightjar: head.db: *" db verify head.db
	printf x >one.db
	fails 1 "*one.db: not an SQLite database" db verify one.db
	fails 1 "*nope.db: No such file*" db verify nope.db
	mkdir folder
	fails 1 "*folder: not an SQLite database" db verify folder
}

@test "db verify with an application's collation: 0 and a warning" {
	python3 -c 'import sqlite3' 2>/dev/null || skip "needs python3 with sqlite3"
	python3 -c '
import sqlite3
c = sqlite3.connect("coll.db")
c.create_collation("app", lambda a, b: (a > b) - (a < b))
c.execute("create table t(a text collate app)")
c.execute("create index i on t(a)")
c.executemany("insert into t values(?)", [(str(i),) for i in range(100)])
c.commit()'
	run --separate-stderr nightjar db verify coll.db
	assert_status 0
	assert_error "nightjar: warning: coll.db: *app*"
	fails 1 "*coll.db: no such collation sequence: app*" db copy coll.db copy.db
	[ ! -e copy.db ]
}
