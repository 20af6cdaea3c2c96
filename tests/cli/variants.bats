# Databases of every kind that SQLite makes come back with the same rows, settings and verdict.
load helpers
load roundtrip

setup() {
	common_setup
	new_repository
	mkdir "$WORK/app"
	db=$WORK/app/app.db
}

# made PRAGMAS: 600 rows, some with overflow pages, indexes, and holes from deleted rows.
made() {
	sqlite3 "$db" >"$WORK/made.log" <<SQL
$1
CREATE TABLE notes (id INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT, body BLOB, price REAL);
CREATE INDEX notes_title ON notes (title COLLATE NOCASE, price DESC);
CREATE UNIQUE INDEX notes_part ON notes (title, id) WHERE price > 3;
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 600)
INSERT INTO notes SELECT i, 'Überschrift ' || i, CASE i % 50 WHEN 0 THEN randomblob(9000) ELSE 'body ' || i END,
	i / 7.0 FROM n;
DELETE FROM notes WHERE id BETWEEN 200 AND 320;
CREATE VIEW dear AS SELECT * FROM notes WHERE price > 10;
CREATE TRIGGER renamed AFTER UPDATE OF title ON notes BEGIN UPDATE notes SET price = 0 WHERE id = new.id; END;
PRAGMA user_version = 7;
PRAGMA application_id = 252006675;
SQL
}

round_trip_of_one() {
	round_trip "$WORK/app"
	[ "$databases" -eq 1 ]
}

@test "page sizes from 512 to 65536" {
	for size in 512 1024 2048 4096 8192 16384 32768 65536; do
		db=$WORK/app/$size.db
		made "PRAGMA page_size = $size;"
		[ "$(sqlite3 "$db" 'PRAGMA page_size')" = "$size" ]
	done
	round_trip "$WORK/app"
	[ "$databases" -eq 8 ]
}

@test "UTF-16, little and big endian" {
	for encoding in UTF-16le UTF-16be; do
		db=$WORK/app/$encoding.db
		made "PRAGMA encoding = '$encoding';"
		[ "$(sqlite3 "$db" 'PRAGMA encoding')" = "$encoding" ]
	done
	round_trip "$WORK/app"
	[ "$databases" -eq 2 ]
}

@test "auto_vacuum, full and incremental" {
	for mode in 1 2; do
		db=$WORK/app/$mode.db
		made "PRAGMA auto_vacuum = $mode;"
		[ "$(sqlite3 "$db" 'PRAGMA auto_vacuum')" = "$mode" ]
	done
	round_trip "$WORK/app"
	[ "$databases" -eq 2 ]
}

@test "a WAL left behind is read, and stays" {
	made ".dbconfig no_ckpt_on_close on
PRAGMA journal_mode = WAL;"
	[ -s "$db-wal" ]
	round_trip_of_one
	[ -s "$db-wal" ]
}

@test "a WAL that was checkpointed" {
	made "PRAGMA journal_mode = WAL;"
	[ ! -e "$db-wal" ]
	round_trip_of_one
}

@test "WITHOUT ROWID, STRICT, keys of several columns" {
	sqlite3 "$db" <<-'SQL'
		CREATE TABLE words (lang TEXT, word TEXT, n INT, PRIMARY KEY (lang DESC, word)) WITHOUT ROWID, STRICT;
		CREATE INDEX words_n ON words (n);
		WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 3000)
		INSERT INTO words SELECT 'l' || (i % 7), 'w' || (i * 7919 % 3001), i FROM c;
		INSERT INTO words VALUES ('long', hex(zeroblob(20000)), 1);
	SQL
	round_trip_of_one
}

@test "FTS3, FTS4 and FTS5, with and without content" {
	sqlite3 "$db" <<-'SQL'
		CREATE VIRTUAL TABLE three USING fts3 (body);
		CREATE VIRTUAL TABLE four USING fts4 (title, body, prefix='2,3', tokenize=porter);
		CREATE VIRTUAL TABLE five USING fts5 (title, body, prefix='2');
		CREATE VIRTUAL TABLE five_bare USING fts5 (body, content='');
		WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 800)
		INSERT INTO three SELECT 'one word and ' || (i * 7919 % 811) || ' more' FROM c;
		INSERT INTO four SELECT 'title', body FROM three;
		INSERT INTO five SELECT 'title', body FROM three;
		INSERT INTO five_bare (rowid, body) SELECT rowid, body FROM three;
		DELETE FROM four WHERE docid % 3 = 0;
		DELETE FROM five WHERE rowid % 3 = 0;
		CREATE TABLE after_them (a);
	SQL
	round_trip_of_one
	[ "$(sqlite3 "$WORK/out$db" "SELECT count(*) FROM five WHERE five MATCH 'word'")" -gt 500 ]
	sqlite3 "$WORK/out$db" "INSERT INTO five (five) VALUES ('integrity-check')"
}

@test "R-Tree" {
	sqlite3 "$db" <<-'SQL'
		CREATE VIRTUAL TABLE boxes USING rtree (id, x0, x1, y0, y1, +name TEXT);
		WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 2000)
		INSERT INTO boxes SELECT i, i % 97, i % 97 + 1, i % 89, i % 89 + 2, 'box ' || i FROM c;
	SQL
	round_trip_of_one
	[ "$(sqlite3 "$WORK/out$db" "SELECT rtreecheck('boxes')")" = ok ]
}

@test "generated columns and indexes on expressions" {
	sqlite3 "$db" <<-'SQL'
		CREATE TABLE t (a INT, b TEXT, c INT GENERATED ALWAYS AS (a * 2) STORED, d TEXT AS (upper(b)) VIRTUAL);
		CREATE INDEX t_d ON t (d);
		CREATE INDEX t_e ON t (json_extract(b, '$.k')) WHERE json_valid(b);
		WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 500)
		INSERT INTO t (a, b) SELECT i, json_object('k', i) FROM c;
	SQL
	round_trip_of_one
}

@test "no table at all, and rows that were analysed" {
	sqlite3 "$WORK/app/bare.db" 'PRAGMA user_version = 3'
	made ""
	sqlite3 "$db" ANALYZE
	: >"$WORK/app/empty.db"
	round_trip "$WORK/app"
	[ "$databases" -eq 2 ]
	[ -f "$WORK/out$WORK/app/empty.db" ]
}

@test "bytes reserved on each page" {
	made ".filectrl reserve_bytes 32
VACUUM;"
	[ "$(od -An -tu1 -j20 -N1 "$db" | tr -d ' ')" -eq 32 ]
	round_trip_of_one
}

@test "the second night of a database that changed" {
	made "PRAGMA journal_mode = WAL;"
	round_trip_of_one
	sqlite3 "$db" "UPDATE notes SET title = title || '!' WHERE id % 3 = 0; DELETE FROM notes WHERE id % 11 = 0; VACUUM"
	round_trip_of_one
	[ "$(nightjar manifests --json | jq length)" -eq 2 ]
}
