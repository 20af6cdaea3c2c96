/* snapshot: what a good database gives, whatever its shape. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "tests/support/dbkit.h"

#define ROWS                                                                                       \
	"WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i<500) "              \
	"INSERT INTO t(a, b) SELECT i, 'SECRET-MARKER row ' || i || hex(randomblob(60)) FROM n;"
#define TABLE "CREATE TABLE t(a INTEGER, b TEXT); CREATE INDEX ti ON t(b);"

/* Opens the image as a file: it must be sound and hold the rows. */
static void image_holds(const struct kit *k, struct snapshot *s, const char *sql, int64_t want)
{
	char copy[400];
	sqlite3 *db;
	sqlite3_stmt *st = NULL;

	kit_write_image(s, kit_path(k, "image.db", copy));
	db = kit_open(copy);
	assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &st, NULL),
			 SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	assert_string_equal((const char *)sqlite3_column_text(st, 0), "ok");
	(void)sqlite3_finalize(st);
	assert_int_equal(kit_int(db, sql), want);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	(void)unlink(copy);
}

static uint64_t rows_of(const struct snapshot_info *info, const char *name)
{
	size_t i;

	for (i = 0; i < info->table_count; i++)
		if (strcmp(info->tables[i].name, name) == 0)
			return info->tables[i].rows;
	fail_msg("no table %s", name);
	return 0;
}

static void wal_database_gives_image_and_facts(void **state)
{
	struct kit *k = *state;
	const struct snapshot_info *info;
	uint8_t hash[32], *all;
	struct snapshot *s;
	sqlite3 *app;
	struct err err = {0};

	app = kit_open(k->db);
	kit_exec(app,
		 "PRAGMA journal_mode=wal; PRAGMA user_version=77; PRAGMA application_id=99;" TABLE
		 "CREATE TABLE empty(x); CREATE VIEW v AS SELECT 1;" ROWS);
	s = kit_snapshot(k, NULL);
	info = snapshot_info(s);
	assert_int_equal(info->method, SNAPSHOT_VACUUM);
	assert_null(info->method_reason);
	assert_int_equal(info->verdict, SNAPSHOT_CLEAN);
	assert_null(info->check_text);
	assert_int_equal(info->check_kind, SNAPSHOT_CHECK_QUICK);
	assert_int_equal(info->page_size, 4096);
	assert_int_equal(info->image_bytes, info->page_count * 4096);
	assert_int_equal(info->encoding, 1);
	assert_string_equal(info->journal_mode, "wal");
	assert_int_equal(info->user_version, 77);
	assert_int_equal(info->application_id, 99);
	assert_int_equal(info->table_count, 2);
	assert_int_equal(rows_of(info, "t"), 500);
	assert_int_equal(rows_of(info, "empty"), 0);
	assert_string_equal(info->sqlite_version, sqlite3_libversion());
	assert_true(info->started_at_ns > 0 && info->finished_at_ns >= info->started_at_ns);
	all = malloc(info->image_bytes);
	assert_int_equal(snapshot_read(s, 0, all, info->image_bytes, &err), 0);
	(void)crypto_hash_sha256(hash, all, info->image_bytes);
	assert_memory_equal(hash, info->image_sha256, 32);
	assert_int_equal(snapshot_read(s, 1, all, info->image_bytes, &err), -ERR_USAGE);
	free(all);
	image_holds(k, s, "SELECT count(*) FROM t WHERE b LIKE 'SECRET-MARKER%'", 500);
	snapshot_free(s);
	assert_int_equal(sqlite3_close(app), SQLITE_OK);
}

static void every_page_size_and_shape(void **state)
{
	struct kit *k = *state;
	static const char *const shapes[] = {"PRAGMA encoding='UTF-16le'; PRAGMA auto_vacuum=1",
					     "PRAGMA encoding='UTF-16be'; PRAGMA auto_vacuum=2",
					     "PRAGMA encoding='UTF-8'; PRAGMA auto_vacuum=0"};
	static const uint8_t encodings[] = {2, 3, 1}, vacuums[] = {1, 2, 0};
	unsigned size;

	for (size = 512; size <= 65536; size *= 2) {
		unsigned shape = (size / 512) % 3;
		const struct snapshot_info *info;
		struct snapshot *s;
		char sql[200];
		sqlite3 *app;

		(void)snprintf(sql, sizeof(sql), "PRAGMA page_size=%u; %s;", size, shapes[shape]);
		app = kit_open(k->db);
		kit_exec(app, sql);
		kit_exec(app, TABLE ROWS "DELETE FROM t WHERE a % 3 = 0;"
					 "CREATE TABLE w(k TEXT PRIMARY KEY, v) WITHOUT ROWID;"
					 "INSERT INTO w SELECT b, zeroblob(3000) FROM t LIMIT 50;");
		s = kit_snapshot(k, &(struct snapshot_options){.integrity_full = true});
		info = snapshot_info(s);
		assert_int_equal(info->page_size, size);
		assert_int_equal(info->encoding, encodings[shape]);
		assert_int_equal(info->auto_vacuum, vacuums[shape]);
		assert_string_equal(info->journal_mode, "delete");
		assert_int_equal(info->check_kind, SNAPSHOT_CHECK_INTEGRITY);
		assert_int_equal(info->verdict, SNAPSHOT_CLEAN);
		assert_int_equal(rows_of(info, "w"), 50);
		image_holds(k, s, "SELECT count(*) FROM t", 334);
		snapshot_free(s);
		assert_int_equal(sqlite3_close(app), SQLITE_OK);
		assert_int_equal(unlink(k->db), 0);
	}
}

static void virtual_tables_and_reserved_bytes(void **state)
{
	struct kit *k = *state;
	struct snapshot *s;
	sqlite3 *app = kit_open(k->db);
	uint8_t head[100];
	struct err err = {0};
	int reserve = 16;

	assert_int_equal(sqlite3_file_control(app, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserve),
			 SQLITE_OK);
	kit_exec(app, "CREATE VIRTUAL TABLE f USING fts5(x); CREATE VIRTUAL TABLE r USING "
		      "rtree(id, a, b); INSERT INTO f VALUES('one two'),('three'); INSERT INTO r "
		      "VALUES(1, 2.0, 3.0);" TABLE ROWS);
	s = kit_snapshot(k, &(struct snapshot_options){.integrity_full = true});
	assert_int_equal(snapshot_info(s)->method, SNAPSHOT_VACUUM);
	assert_int_equal(snapshot_info(s)->verdict, SNAPSHOT_CLEAN);
	assert_int_equal(rows_of(snapshot_info(s), "f"), 2);
	assert_int_equal(rows_of(snapshot_info(s), "r"), 1);
	assert_int_equal(snapshot_read(s, 0, head, sizeof(head), &err), 0);
	assert_int_equal(head[20], 16);
	image_holds(k, s, "SELECT count(*) FROM f WHERE f MATCH 'two'", 1);
	snapshot_free(s);
	assert_int_equal(sqlite3_close(app), SQLITE_OK);
}

/* The same schema hashes the same in any encoding and order; another one does not. */
static void schema_hash_is_about_the_schema(void **state)
{
	struct kit *k = *state;
	static const char *const sql[] = {
	    "CREATE TABLE a(x); CREATE TABLE b(y); CREATE INDEX i ON b(y); INSERT INTO a VALUES(1)",
	    "PRAGMA encoding='UTF-16';CREATE TABLE b(y);CREATE INDEX i ON b(y);CREATE TABLE a(x)",
	    "CREATE TABLE a(x); CREATE TABLE b(z); CREATE INDEX i ON b(z)"};
	uint8_t hash[3][32], zero[32] = {0};
	int i;

	for (i = 0; i < 3; i++) {
		struct snapshot *s;

		kit_make(k->db, sql[i]);
		s = kit_snapshot(k, NULL);
		memcpy(hash[i], snapshot_info(s)->schema_hash, 32);
		snapshot_free(s);
		assert_int_equal(unlink(k->db), 0);
	}
	assert_memory_not_equal(hash[0], zero, 32);
	assert_memory_equal(hash[0], hash[1], 32);
	assert_memory_not_equal(hash[0], hash[2], 32);
}

/* Moves money between accounts, in transactions, with checkpoints, until it is killed. */
static void move_money(const char *path)
{
	sqlite3 *db = kit_open(path);
	unsigned i;

	for (i = 0;; i++) {
		kit_exec(db, "BEGIN IMMEDIATE; UPDATE acc SET n = n - 7 WHERE id = abs(random()) % "
			     "200; UPDATE acc SET n = n + 7 * (SELECT 20000 - sum(n) FROM acc) / 7 "
			     "WHERE id = 5; INSERT INTO log(x) VALUES(randomblob(900)); COMMIT");
		if (i % 20 == 19)
			kit_exec(db, "PRAGMA wal_checkpoint(RESTART); DELETE FROM log");
	}
}

static void snapshots_beside_a_busy_writer(void **state)
{
	struct kit *k = *state;
	uint64_t versions = 0;
	uint8_t last[32] = {0};
	pid_t pid;
	int i;

	kit_make(k->db, "PRAGMA journal_mode=wal; CREATE TABLE acc(id INTEGER PRIMARY KEY, n);"
			"CREATE TABLE log(x); CREATE INDEX li ON log(x);"
			"WITH RECURSIVE n(i) AS (VALUES(0) UNION ALL SELECT i+1 FROM n WHERE i<199)"
			"INSERT INTO acc SELECT i, 100 FROM n");
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		move_money(k->db);
		_exit(1);
	}
	for (i = 0; i < 20; i++) {
		struct snapshot *s = kit_snapshot(k, NULL);

		assert_int_equal(snapshot_info(s)->method, SNAPSHOT_VACUUM);
		assert_int_equal(snapshot_info(s)->verdict, SNAPSHOT_CLEAN);
		image_holds(k, s, "SELECT sum(n) FROM acc", 20000);
		if (memcmp(last, snapshot_info(s)->image_sha256, 32) != 0)
			versions++;
		memcpy(last, snapshot_info(s)->image_sha256, 32);
		snapshot_free(s);
		(void)usleep(10000);
	}
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0); /* the writer never failed */
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(versions > 3); /* it did write meanwhile */
}

static void small_budget_spills_and_gives_the_same(void **state)
{
	struct kit *k = *state;
	uint8_t want[32];
	struct snapshot *s;

	kit_make(k->db, TABLE ROWS "INSERT INTO t SELECT a, zeroblob(3000) FROM t");
	s = kit_snapshot(k, NULL);
	memcpy(want, snapshot_info(s)->image_sha256, 32);
	snapshot_free(s);
	s = kit_snapshot(k, &(struct snapshot_options){.ram_budget_bytes = 1});
	assert_true(snapshot_info(s)->image_bytes > 1000000);
	assert_memory_equal(want, snapshot_info(s)->image_sha256, 32);
	image_holds(k, s, "SELECT count(*) FROM t", 1000);
	snapshot_free(s);
}

struct seen {
	unsigned calls, cancel_at;
	uint64_t done, total;
};

static int on_progress(void *arg, uint64_t done, uint64_t total)
{
	struct seen *seen = arg;

	assert_true(total == 0 || done <= total);
	seen->done = done > seen->done ? done : seen->done;
	seen->total = total;
	return ++seen->calls == seen->cancel_at;
}

static void progress_and_cancel(void **state)
{
	struct kit *k = *state;
	struct seen seen = {0};
	struct snapshot_options o = {
	    .cache_dir = k->cache, .progress = on_progress, .progress_arg = &seen};
	struct snapshot *s = NULL;
	struct err err = {0};
	unsigned taken, all;

	kit_make(k->db,
		 TABLE ROWS "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n "
			    "WHERE i<40000) INSERT INTO t SELECT i, i || hex(zeroblob(50)) FROM n");
	assert_int_equal(snapshot_take(k->db, &o, &s, &err), 0);
	taken = seen.calls;
	assert_true(taken > 2 && seen.done > 0 && seen.total > 0);
	assert_int_equal(snapshot_verify(s, &o, &err), 0);
	all = seen.calls;
	assert_true(all > taken);
	seen = (struct seen){.cancel_at = 2};
	assert_int_equal(snapshot_verify(s, &o, &err), -ERR_CANCELLED);
	snapshot_free(s);
	s = NULL;
	seen = (struct seen){.cancel_at = taken};
	assert_int_equal(snapshot_take(k->db, &o, &s, &err), -ERR_CANCELLED);
	assert_non_null(strstr(err.text, k->db));
	assert_null(s);
}

static void header_decides_what_is_a_database(void **state)
{
	(void)state;
	assert_true(snapshot_is_database("SQLite format 3", 16));
	assert_true(snapshot_is_database("SQLite format 3\0more", 20));
	assert_false(snapshot_is_database("SQLite format 3", 15));
	assert_false(snapshot_is_database("\xff\xd8\xff\xe0 a JPEG it is, this", 24));
	assert_false(snapshot_is_database("", 0));
	assert_false(snapshot_is_database("S", 1));
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, kit_setup, kit_teardown)
	const struct CMUnitTest tests[] = {
	    TEST(wal_database_gives_image_and_facts),
	    TEST(every_page_size_and_shape),
	    TEST(virtual_tables_and_reserved_bytes),
	    TEST(schema_hash_is_about_the_schema),
	    TEST(snapshots_beside_a_busy_writer),
	    TEST(small_budget_spills_and_gives_the_same),
	    TEST(progress_and_cancel),
	    TEST(header_decides_what_is_a_database),
	};

	/* Debian's SQLite reads URIs everywhere; elsewhere only the flag of the connection makes it. */
	(void)sqlite3_config(SQLITE_CONFIG_URI, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
