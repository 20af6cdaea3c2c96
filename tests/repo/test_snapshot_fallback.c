/* snapshot: what VACUUM INTO cannot copy is kept by another method, and marked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/dbkit.h"

#define FILL                                                                                       \
	"CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT); CREATE INDEX ti ON t(b);"                  \
	"WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i<2000) "             \
	"INSERT INTO t(b) SELECT 'old ' || i || hex(randomblob(50)) FROM n;"
/* --- what VACUUM INTO refuses --- */

static int compare_backwards(void *arg, int an, const void *a, int bn, const void *b)
{
	int d = memcmp(b, a, (size_t)(an < bn ? an : bn));

	(void)arg;
	return d != 0 ? d : bn - an;
}

static void answer(sqlite3_context *c, int n, sqlite3_value **v)
{
	(void)n;
	(void)v;
	sqlite3_result_int(c, 42);
}

static void make_with_extras(const char *path, const char *sql)
{
	sqlite3 *db = kit_open(path);

	assert_int_equal(
	    sqlite3_create_collation(db, "backwards", SQLITE_UTF8, NULL, compare_backwards), 0);
	assert_int_equal(sqlite3_create_function(
			     db, "answer", 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS,
			     NULL, answer, NULL, NULL),
			 0);
	kit_exec(db, sql);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void application_collation_gives_pages_unchecked(void **state)
{
	struct kit *k = *state;
	static const char *const journals[] = {"PRAGMA journal_mode=delete;",
					       "PRAGMA journal_mode=wal;"};
	int i, full;

	for (i = 0; i < 2; i++) {
		char sql[1200];

		(void)snprintf(sql, sizeof(sql), "%s%s", journals[i],
			       FILL "CREATE INDEX bi ON t(b COLLATE backwards);");
		make_with_extras(k->db, sql);
		for (full = 0; full < 2; full++) {
			struct snapshot_options o = {.integrity_full = full == 1};
			struct snapshot *s = kit_snapshot(k, &o);
			const struct snapshot_info *info = snapshot_info(s);
			struct kit_bytes db = kit_remember(k, "app.db");
			uint8_t *image = malloc(info->image_bytes);
			struct err err = {0};

			assert_int_equal(info->method, SNAPSHOT_PAGES);
			assert_non_null(strstr(info->method_reason, "backwards"));
			assert_int_equal(info->verdict, SNAPSHOT_UNCHECKED);
			assert_non_null(strstr(info->check_text, "backwards"));
			assert_int_equal(info->table_count, 1);
			assert_int_equal(info->tables[0].rows, 2000);
			/* A page copy is the file, apart from counters in the header. */
			assert_int_equal(info->image_bytes, db.len);
			assert_int_equal(snapshot_read(s, 0, image, db.len, &err), 0);
			assert_memory_equal(image + 100, db.p + 100, db.len - 100);
			assert_memory_equal(image + 16, db.p + 16, 8);
			free(image);
			free(db.p);
			snapshot_free(s);
		}
		assert_int_equal(unlink(k->db), 0);
	}
}

static void application_function_gives_unchecked(void **state)
{
	struct kit *k = *state;
	struct snapshot *s;

	make_with_extras(k->db, FILL "CREATE INDEX fi ON t(answer(b)); CREATE TABLE ok(x)");
	s = kit_snapshot(k, &(struct snapshot_options){.integrity_full = true});
	assert_int_equal(snapshot_info(s)->verdict, SNAPSHOT_UNCHECKED);
	assert_non_null(strstr(snapshot_info(s)->check_text, "answer"));
	assert_int_equal(kit_image_int(k, s, "SELECT count(*) FROM t"), 2000);
	snapshot_free(s);
}

static void missing_module_gives_unchecked(void **state)
{
	struct kit *k = *state;
	struct snapshot *s;

	kit_make(k->db, FILL "CREATE VIRTUAL TABLE f USING fts5(x); PRAGMA writable_schema=on;"
			     "UPDATE sqlite_schema SET sql = replace(sql, 'fts5', 'nomod') WHERE "
			     "name = 'f'");
	s = kit_snapshot(k, NULL);
	assert_int_equal(snapshot_info(s)->verdict, SNAPSHOT_UNCHECKED);
	assert_non_null(strstr(snapshot_info(s)->check_text, "nomod"));
	assert_int_equal(kit_image_int(k, s, "SELECT count(*) FROM t"), 2000);
	snapshot_free(s);
}

/* A missing collation must not hide damage elsewhere. */
static void damage_beside_a_missing_collation_is_found(void **state)
{
	struct kit *k = *state;
	struct snapshot *s;
	struct kit_bytes db;
	sqlite3 *app;
	int64_t root;

	make_with_extras(k->db, FILL "CREATE TABLE c(x COLLATE backwards PRIMARY KEY) WITHOUT "
				     "ROWID; INSERT INTO c VALUES('a'),('b')");
	app = kit_open(k->db);
	root = kit_int(app, "SELECT rootpage FROM sqlite_schema WHERE name = 't'");
	assert_int_equal(sqlite3_close(app), SQLITE_OK);
	db = kit_remember(k, "app.db");
	memset(db.p + (root - 1) * 4096, 0x77, 4096);
	kit_spew(k->db, db.p, db.len);
	s = kit_snapshot(k, NULL);
	assert_int_equal(snapshot_info(s)->verdict, SNAPSHOT_FAILED);
	snapshot_free(s);
	free(db.p);
}

/* --- damage --- */

static void same_as_file(const struct kit *k, struct snapshot *s)
{
	struct kit_bytes db = kit_remember(k, "app.db");
	uint8_t *image = malloc(db.len);
	struct err err = {0};

	assert_int_equal(snapshot_info(s)->image_bytes, db.len);
	assert_int_equal(snapshot_read(s, 0, image, db.len, &err), 0);
	assert_memory_equal(image, db.p, db.len);
	free(image);
	free(db.p);
}

static void corrupt_page_is_kept_and_marked(void **state)
{
	struct kit *k = *state;
	const struct snapshot_info *info;
	struct snapshot *s;
	struct kit_bytes db;
	size_t page;
	unsigned lines = 1;
	const char *p;

	kit_make(k->db, FILL);
	db = kit_remember(k, "app.db");
	for (page = 3; page < db.len / 4096; page += 3)
		memset(db.p + page * 4096, 0xa5, 4096);
	kit_spew(k->db, db.p, db.len);
	s = kit_snapshot(k, NULL);
	info = snapshot_info(s);
	assert_int_equal(info->method, SNAPSHOT_PAGES);
	assert_non_null(strstr(info->method_reason, "malformed"));
	assert_int_equal(info->verdict, SNAPSHOT_FAILED);
	assert_non_null(info->check_text);
	for (p = info->check_text; *p != '\0'; p++)
		lines += *p == '\n';
	assert_true(lines >= 2 && lines <= 10);
	assert_true(strlen(info->check_text) < 10 * 301);
	snapshot_free(s);
	kit_unchanged(k, "app.db", db);
}

/* SQLite says of it that the disk is full. */
static void pointer_beyond_any_database_is_damage(void **state)
{
	struct kit *k = *state;
	const struct snapshot_info *info;
	struct snapshot *s;
	struct kit_bytes db;

	kit_make(k->db, "CREATE TABLE t(a); INSERT INTO t VALUES(zeroblob(20000))");
	db = kit_remember(k, "app.db");
	memset(db.p + 2 * 4096, 0xff, 4); /* behind an overflow page */
	kit_spew(k->db, db.p, db.len);
	s = kit_snapshot(k, NULL);
	info = snapshot_info(s);
	assert_int_equal(info->method, SNAPSHOT_PAGES);
	assert_non_null(strstr(info->method_reason, "full"));
	assert_int_equal(info->verdict, SNAPSHOT_FAILED);
	snapshot_free(s);
	kit_unchanged(k, "app.db", db);
}

static void header_and_rubbish_is_kept_raw(void **state)
{
	struct kit *k = *state;
	static const size_t lengths[] = {16, 17, 99, 100, 511, 512, 5000, 70001};
	uint8_t *bytes = malloc(70001);
	size_t i, j;

	for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct snapshot *s;

		for (j = 0; j < lengths[i]; j++)
			bytes[j] = (uint8_t)(j * 7919 >> 3);
		memcpy(bytes, "SQLite format 3", 16);
		kit_spew(k->db, bytes, lengths[i]);
		s = kit_snapshot(k, NULL);
		assert_int_equal(snapshot_info(s)->method, SNAPSHOT_RAW);
		assert_non_null(snapshot_info(s)->method_reason);
		assert_int_equal(snapshot_info(s)->verdict, SNAPSHOT_FAILED);
		same_as_file(k, s);
		snapshot_free(s);
	}
	free(bytes);
}

static void truncated_database_is_kept(void **state)
{
	struct kit *k = *state;
	struct kit_bytes db;
	struct snapshot *s;

	kit_make(k->db, FILL);
	db = kit_remember(k, "app.db");
	assert_int_equal(truncate(k->db, (off_t)(db.len / 2 + 77)), 0);
	s = kit_snapshot(k, NULL);
	assert_int_equal(snapshot_info(s)->method, SNAPSHOT_RAW);
	assert_int_equal(snapshot_info(s)->verdict, SNAPSHOT_FAILED);
	assert_int_equal(snapshot_info(s)->page_size, 4096);
	same_as_file(k, s);
	snapshot_free(s);
	free(db.p);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, kit_setup, kit_teardown)
	const struct CMUnitTest tests[] = {
	    TEST(application_collation_gives_pages_unchecked),
	    TEST(application_function_gives_unchecked),
	    TEST(missing_module_gives_unchecked),
	    TEST(damage_beside_a_missing_collation_is_found),
	    TEST(corrupt_page_is_kept_and_marked),
	    TEST(pointer_beyond_any_database_is_damage),
	    TEST(header_and_rubbish_is_kept_raw),
	    TEST(truncated_database_is_kept),
	};

	/* Debian's SQLite reads URIs everywhere; elsewhere only the flag of the connection makes it. */
	(void)sqlite3_config(SQLITE_CONFIG_URI, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
