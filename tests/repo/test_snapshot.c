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

#include "repo/dbconn.h"
#include "tests/support/dbkit.h"

#define ROWS                                                                                       \
	"WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i<500) "              \
	"INSERT INTO t(a, b) SELECT i, 'SECRET-MARKER row ' || i || hex(randomblob(60)) FROM n;"
#define TABLE "CREATE TABLE t(a INTEGER, b TEXT); CREATE INDEX ti ON t(b);"

static int setup(void **state)
{
	struct kit *k = calloc(1, sizeof(*k));

	kit_new(k);
	*state = k;
	return 0;
}

static int teardown(void **state)
{
	kit_free(*state);
	free(*state);
	return 0;
}

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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(wal_database_gives_image_and_facts, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
