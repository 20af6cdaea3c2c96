/* The rows that `diff` counts are those that SQL counts on the same two images: random nights, every kind of table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "repo/backup.h"
#include "repo/diff.h"
#include "tests/support/dbkit.h"
#include "tests/support/must.h"
#include "tests/support/repo_case.h"

#define NIGHTS 30
#define TABLES_MOST 64u
#define COUNT(n) "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < " n ") "

static const char fill[] =
    "CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT, b BLOB);"
    "CREATE INDEX t_a ON t(a);"
    "CREATE TABLE empty1(x); CREATE TABLE empty2(k PRIMARY KEY, v) WITHOUT ROWID;"
    "CREATE TABLE u(x, y); CREATE INDEX u_part ON u(x) WHERE x > 1000000;"
    "CREATE TABLE w(k TEXT PRIMARY KEY, v) WITHOUT ROWID;"
    "CREATE TABLE w2(a, b TEXT, c, d AS (a || b) VIRTUAL, PRIMARY KEY(b, a)) WITHOUT ROWID;"
    "CREATE INDEX w2_c ON w2(c);"
    "CREATE TABLE long(id INTEGER PRIMARY KEY, data BLOB);"
    "CREATE TABLE \"odd \"\"näme\"(x); CREATE TABLE nums(id INT, v REAL);"
    "CREATE VIRTUAL TABLE f USING fts5(body);" COUNT(
	"3000") "INSERT INTO t(a, b) SELECT "
		"hex(randomblob(6)), "
		"randomblob(abs(random()) % 200) FROM "
		"c;" COUNT(
		    "2500") "INSERT INTO u "
			    "SELECT "
			    "abs(random()) % "
			    "100000, "
			    "hex(randomblob(20)"
			    ") FROM c;" COUNT(
				"2000") "INSERT INTO w SELECT hex(randomblob(9)), i FROM "
					"c;" COUNT(
					    "1500") "INSERT INTO w2 SELECT i % 40, "
						    "hex(randomblob(4)), randomblob(30) "
						    "FROM c;" COUNT(
							"400") "INSERT "
							       "INTO f "
							       "SELECT "
							       "hex("
							       "randomb"
							       "lob(4))"
							       " || ' "
							       "word' "
							       "|| (i "
							       "% 20) "
							       "FROM "
							       "c"
							       ";" COUNT(
								   "6") "INSERT INTO long SELECT "
									"i, randomblob(i * 90000) "
									"FROM c;" COUNT("90") "IN"
											      "SE"
											      "RT"
											      " I"
											      "NT"
											      "O "
											      "nu"
											      "ms"
											      " S"
											      "EL"
											      "EC"
											      "T "
											      "i,"
											      " i"
											      " *"
											      " 1"
											      ".5"
											      " F"
											      "RO"
											      "M "
											      "c;"
											      "IN"
											      "SE"
											      "RT"
											      " I"
											      "NT"
											      "O "
											      "\""
											      "od"
											      "d "
											      "\""
											      "\""
											      "nä"
											      "me"
											      "\""
											      " V"
											      "AL"
											      "UE"
											      "S "
											      "(1"
											      "),"
											      " ("
											      "2)"
											      ";";

/* What a night may bring; # is a random number. */
static const char *const changes[] = {
    "INSERT INTO t(a, b) VALUES (hex(randomblob(6)), randomblob(# % 300))",
    "DELETE FROM t WHERE id % 97 = # % 97",
    "UPDATE t SET a = a || 'x' WHERE id % 211 = # % 211",
    "UPDATE t SET b = randomblob(length(b)) WHERE id % 311 = # % 311",
    "DELETE FROM u WHERE rowid % 59 = # % 59",
    "INSERT INTO u VALUES (#, 'new'), (2000000, 'in the index')",
    "UPDATE w SET v = v + 1 WHERE v % 83 = # % 83",
    "DELETE FROM w WHERE v % 71 = # % 71",
    "INSERT OR IGNORE INTO w VALUES (hex(randomblob(9)), #), ('fixed', #)",
    "UPDATE w2 SET c = randomblob(30) WHERE a = # % 40",
    "UPDATE w2 SET a = a + 100 WHERE a = # % 40",
    "UPDATE long SET data = randomblob(length(data)) WHERE id = 1 + # % 6",
    "UPDATE long SET data = zeroblob(# % 500000) WHERE id = 2",
    "UPDATE long SET data = CAST(substr(data, 1, length(data) - 3) || 'end' AS BLOB) WHERE id = 5",
    "INSERT INTO f VALUES ('word# and more')",
    "DELETE FROM f WHERE rowid % 31 = # % 31",
    "INSERT INTO empty1 VALUES (#)",
    "DELETE FROM empty1",
    "INSERT OR REPLACE INTO empty2 VALUES (# % 4, #)",
    "DELETE FROM empty2",
    "ANALYZE",
    "UPDATE nums SET v = v + 1 WHERE id % 13 = # % 13",
    "CREATE TABLE IF NOT EXISTS later(x); INSERT INTO later VALUES (#)",
    "DROP TABLE IF EXISTS later",
    "ALTER TABLE u RENAME TO u_; ALTER TABLE u_ RENAME TO u",
    "ALTER TABLE nums RENAME TO nums_; CREATE TABLE nums AS SELECT * FROM nums_; DROP TABLE nums_",
    "DELETE FROM t WHERE id > 2000 + # % 1500",
    "DELETE FROM \"odd \"\"näme\"; INSERT INTO \"odd \"\"näme\" VALUES (#)",
};

struct fixture {
	struct kit kit;
	struct repo_case *c;
	sqlite3 *db;
	int64_t now_ns;
	uint64_t seed;
	struct rowdiff_table got[TABLES_MOST];
	size_t got_count;
	char uncounted[200];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	void *c = NULL;

	assert_non_null(f);
	kit_new(&f->kit);
	assert_int_equal(repo_case_setup(&c), 0);
	f->c = c;
	f->now_ns = 1000;
	f->seed = 88172645463325252u;
	f->db = kit_open(f->kit.db);
	*state = f;
	return 0;
}

static void forget(struct fixture *f)
{
	for (size_t i = 0; i < f->got_count; i++)
		free(f->got[i].name);
	f->got_count = 0;
	f->uncounted[0] = '\0';
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	void *c = f->c;

	forget(f);
	(void)sqlite3_close(f->db);
	(void)repo_case_teardown(&c);
	kit_free(&f->kit);
	free(f);
	return 0;
}

static unsigned random_below(struct fixture *f, unsigned n)
{
	f->seed ^= f->seed << 13;
	f->seed ^= f->seed >> 7;
	f->seed ^= f->seed << 17;
	return (unsigned)(f->seed >> 20) % n;
}

static void back_up(struct fixture *f)
{
	const char *const paths[] = {f->kit.db};
	struct backup_options options = {.paths = paths,
					 .path_count = 1,
					 .host = REPO_CASE_HOST,
					 .cache_dir = f->kit.cache,
					 .force = true,
					 .now_ns = f->now_ns};
	struct backup_result result = {0};

	f->now_ns += INT64_C(86400000000000);
	MUST(backup_run(f->c->repo, &options, &result, &f->c->err), &f->c->err);
}

/* The image as the backup sees it, kept under a name. */
static void keep_image(struct fixture *f, const char *name)
{
	char path[400], *sql;

	(void)unlink(kit_path(&f->kit, name, path));
	sql = sqlite3_mprintf("VACUUM INTO %Q", path);
	kit_exec(f->db, sql);
	sqlite3_free(sql);
}

/* --- what diff says --- */

static void on_database(void *arg, const char *path, const struct rowdiff *rows, uint64_t before,
			uint64_t after)
{
	struct fixture *f = arg;

	(void)path;
	(void)before;
	(void)after;
	if (rows->uncounted)
		(void)snprintf(f->uncounted, sizeof(f->uncounted), "%s", rows->uncounted);
	for (size_t i = 0; i < rows->count && f->got_count < TABLES_MOST; i++) {
		f->got[f->got_count] = rows->tables[i];
		f->got[f->got_count++].name = strdup(rows->tables[i].name);
	}
}

static struct diff_result diff_last(struct fixture *f)
{
	struct diff_options options = {.cb = {.database = on_database, .arg = f}};
	struct manifest_list list = {0};
	struct index *index = repo_case_index(f->c);
	struct reader *reader = NULL;
	struct diff_result result = {0};
	struct err *err = &f->c->err;
	struct diff_side a = {0}, b = {0};

	forget(f);
	MUST(manifests_load(f->c->repo, NULL, NULL, &list, err), err);
	MUST(reader_new(f->c->repo, index, &reader, err), err);
	assert_true(list.count >= 2);
	a.m = &list.items[list.count - 2].m;
	b.m = &list.items[list.count - 1].m;
	MUST(diff_run(reader, &a, &b, &options, &result, err), err);
	reader_free(reader);
	index_free(index);
	manifest_list_free(&list);
	return result;
}

/* --- what SQL says --- */

/* A list of quoted columns of a table as one text; those of the key only. */
static char *columns_of(sqlite3 *db, const char *schema, const char *table, bool key)
{
	sqlite3_stmt *st = NULL;
	char *text = sqlite3_mprintf("''"), *sql;

	sql = sqlite3_mprintf("SELECT name FROM pragma_table_xinfo(%Q, %Q) WHERE hidden <> 2%s",
			      table, schema, key ? " AND pk > 0" : "");
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
	while (sqlite3_step(st) == SQLITE_ROW) {
		char *more = sqlite3_mprintf("%s || ',' || quote(\"%w\")", text,
					     (const char *)sqlite3_column_text(st, 0));

		sqlite3_free(text);
		text = more;
	}
	(void)sqlite3_finalize(st);
	sqlite3_free(sql);
	return text;
}

static bool is_there(sqlite3 *db, const char *schema, const char *table, bool *out_rowid)
{
	char *sql =
	    sqlite3_mprintf("SELECT 1 + (SELECT wr FROM pragma_table_list WHERE schema = %Q AND "
			    "name = %Q) FROM %s.sqlite_schema "
			    "WHERE type = 'table' AND name = %Q",
			    schema, table, schema, table);
	int64_t is = 0;
	sqlite3_stmt *st = NULL;

	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
	if (sqlite3_step(st) == SQLITE_ROW)
		is = sqlite3_column_int64(st, 0);
	(void)sqlite3_finalize(st);
	sqlite3_free(sql);
	*out_rowid = is == 1;
	return is > 0;
}

static void collect(sqlite3 *db, const char *schema, const char *table, bool *out_there)
{
	bool rowid;
	char *sql;

	sql = sqlite3_mprintf("DELETE FROM temp.%s_", schema);
	kit_exec(db, sql);
	sqlite3_free(sql);
	*out_there = is_there(db, schema, table, &rowid);
	if (*out_there) {
		char *key = rowid ? sqlite3_mprintf("rowid") : columns_of(db, schema, table, true);
		char *row = columns_of(db, schema, table, false);

		sql = sqlite3_mprintf("INSERT INTO temp.%s_ SELECT %s, %s FROM %s.\"%w\"", schema,
				      key, row, schema, table);
		kit_exec(db, sql);
		sqlite3_free(sql);
		sqlite3_free(key);
		sqlite3_free(row);
	}
}

static struct rowdiff_table count_by_sql(sqlite3 *db, const char *table)
{
	struct rowdiff_table t = {0};
	bool before, after;

	collect(db, "a", table, &before);
	collect(db, "b", table, &after);
	t.is = !before ? ROWDIFF_NEW : !after ? ROWDIFF_GONE : ROWDIFF_KEPT;
	t.added =
	    (uint64_t)kit_int(db, "SELECT count(*) FROM b_ WHERE k NOT IN (SELECT k FROM a_)");
	t.removed =
	    (uint64_t)kit_int(db, "SELECT count(*) FROM a_ WHERE k NOT IN (SELECT k FROM b_)");
	t.changed = (uint64_t)kit_int(
	    db, "SELECT count(*) FROM a_ JOIN b_ USING (k) WHERE a_.r IS NOT b_.r");
	return t;
}

static const struct rowdiff_table *got_of(const struct fixture *f, const char *name)
{
	static const struct rowdiff_table none;

	for (size_t i = 0; i < f->got_count; i++) {
		if (strcmp(f->got[i].name, name) == 0)
			return &f->got[i];
	}
	return &none;
}

/* Gives how many tables differ. */
static size_t compare_with_sql(struct fixture *f, unsigned night)
{
	static const char names[] = "SELECT name FROM (SELECT name, rootpage, type FROM "
				    "a.sqlite_schema UNION SELECT name, 1, type "
				    "FROM b.sqlite_schema WHERE rootpage > 0) WHERE type = 'table' "
				    "AND rootpage > 0 AND name "
				    "NOT LIKE 'sqlite\\_%' ESCAPE '\\' GROUP BY name";
	char a[400], b[400], *sql;
	sqlite3_stmt *st = NULL;
	sqlite3 *db = kit_open(":memory:");
	size_t differ = 0;

	/* attached databases must have the encoding of the first */
	if (kit_int(f->db, "SELECT encoding = 'UTF-16le' FROM pragma_encoding"))
		kit_exec(db, "PRAGMA encoding = 'UTF-16le'");
	sql = sqlite3_mprintf("ATTACH %Q AS a; ATTACH %Q AS b", kit_path(&f->kit, "before", a),
			      kit_path(&f->kit, "after", b));
	kit_exec(db, sql);
	sqlite3_free(sql);
	kit_exec(db,
		 "CREATE TEMP TABLE a_(k PRIMARY KEY, r); CREATE TEMP TABLE b_(k PRIMARY KEY, r)");
	assert_int_equal(sqlite3_prepare_v2(db, names, -1, &st, NULL), SQLITE_OK);
	while (sqlite3_step(st) == SQLITE_ROW) {
		char *name = strdup((const char *)sqlite3_column_text(st, 0));
		struct rowdiff_table want = count_by_sql(db, name);
		const struct rowdiff_table *got = got_of(f, name);

		differ += want.is || want.added || want.removed || want.changed;
		if (got->is != want.is || got->added != want.added ||
		    got->removed != want.removed || got->changed != want.changed)
			fail_msg("night %u, table %s: %d +%llu -%llu ~%llu, SQL says %d +%llu "
				 "-%llu ~%llu",
				 night, name, got->is, (unsigned long long)got->added,
				 (unsigned long long)got->removed, (unsigned long long)got->changed,
				 want.is, (unsigned long long)want.added,
				 (unsigned long long)want.removed,
				 (unsigned long long)want.changed);
		free(name);
	}
	(void)sqlite3_finalize(st);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	assert_int_equal(f->got_count, differ);
	return differ;
}

static void change_one(struct fixture *f)
{
	unsigned n = random_below(f, 100000);
	const char *c = changes[random_below(f, sizeof(changes) / sizeof(changes[0]))];
	char sql[600];
	size_t used = 0;

	for (; *c && used + 12 < sizeof(sql); c++) {
		if (*c == '#')
			used += (size_t)snprintf(sql + used, 12, "%u", n);
		else
			sql[used++] = *c;
	}
	sql[used] = '\0';
	kit_exec(f->db, sql);
}

static void live(struct fixture *f, const char *pragmas)
{
	char before[400], after[400];
	size_t differ = 0;

	kit_exec(f->db, pragmas);
	kit_exec(f->db, fill);
	back_up(f);
	keep_image(f, "after");
	for (unsigned night = 1; night <= NIGHTS; night++) {
		assert_int_equal(
		    rename(kit_path(&f->kit, "after", after), kit_path(&f->kit, "before", before)),
		    0);
		for (unsigned i = random_below(f, 6); i > 0; i--)
			change_one(f);
		back_up(f);
		keep_image(f, "after");
		(void)diff_last(f);
		assert_string_equal(f->uncounted, "");
		differ += compare_with_sql(f, night);
	}
	assert_true(differ > NIGHTS);
}

static void random_nights(void **state)
{
	live(*state, "PRAGMA page_size = 4096");
}

static void random_nights_utf16(void **state)
{
	live(*state,
	     "PRAGMA page_size = 1024; PRAGMA encoding = 'UTF-16le'; PRAGMA auto_vacuum = 1");
}

/* Small tables that share a chunk with the end of a large one: nothing but their order says which is which. */
static void small_tables_in_one_chunk(void **state)
{
	static const char *const cases[][2] = {
	    /* under another name, the same rows in the same place */
	    {"CREATE TABLE tiny(x); INSERT INTO tiny VALUES (1), (2)",
	     "ALTER TABLE tiny RENAME TO other"},
	    /* of two tables first one has the rows, then the other */
	    {"CREATE TABLE x(v); CREATE TABLE y(v); INSERT INTO y VALUES (1), (2)",
	     "DELETE FROM y; INSERT INTO x VALUES (1), (2)"},
	    /* an sqlite_sequence that is empty, and one that is not */
	    {"CREATE TABLE none(id INTEGER PRIMARY KEY AUTOINCREMENT); CREATE TABLE z(v, w);"
	     "INSERT INTO z VALUES ('a', 1), ('none of them', 2)",
	     "UPDATE z SET w = 3 WHERE v = 'a'"},
	    {"CREATE TABLE some(id INTEGER PRIMARY KEY AUTOINCREMENT, v); CREATE TABLE z(v, w);"
	     "INSERT INTO some(v) VALUES (1); INSERT INTO z VALUES ('a', 1), ('b', 2)",
	     "UPDATE z SET w = 3 WHERE v = 'a'; INSERT INTO some(v) VALUES (2)"},
	    /* an index of no row, and of one, before rows that lie like an index */
	    {"CREATE TABLE u(a); CREATE INDEX p ON u(a) WHERE a > 9; INSERT INTO u VALUES (1);"
	     "CREATE TABLE r(k PRIMARY KEY, v, w) WITHOUT ROWID; INSERT INTO r VALUES (1, 2, 3)",
	     "UPDATE r SET w = 4"},
	    {"CREATE TABLE u(a); CREATE INDEX p ON u(a) WHERE a > 9; INSERT INTO u VALUES (10);"
	     "CREATE TABLE r(k PRIMARY KEY, v, w) WITHOUT ROWID; INSERT INTO r VALUES (1, 2, 3)",
	     "UPDATE r SET w = 4; UPDATE u SET a = 11"},
	};
	struct fixture *f = *state;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		(void)sqlite3_close(f->db);
		(void)unlink(f->kit.db);
		f->db = kit_open(f->kit.db);
		kit_exec(f->db, "CREATE TABLE big(id INTEGER PRIMARY KEY, a TEXT);" COUNT(
				    "4000") "INSERT INTO big SELECT i, hex(randomblob(60)) FROM c");
		kit_exec(f->db, cases[i][0]);
		back_up(f);
		keep_image(f, "before");
		kit_exec(f->db, cases[i][1]);
		back_up(f);
		keep_image(f, "after");
		(void)diff_last(f);
		assert_string_equal(f->uncounted, "");
		assert_true(compare_with_sql(f, i) > 0);
	}
}

/* One row of many: nearly all chunks are shared, and not read. */
static void only_what_differs_is_read(void **state)
{
	struct fixture *f = *state;
	struct diff_result result;

	kit_exec(f->db, "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT);" COUNT(
			    "60000") "INSERT INTO t SELECT i, hex(randomblob(60)) FROM c");
	back_up(f);
	kit_exec(f->db, "UPDATE t SET a = hex(randomblob(60)) WHERE id = 30000");
	back_up(f);
	result = diff_last(f);
	assert_int_equal(result.changed_files, 1);
	assert_true(result.added.data_blobs <= 4);
	assert_int_equal(f->got_count, 1);
	assert_int_equal(f->got[0].changed, 1);
	assert_int_equal(f->got[0].added + f->got[0].removed, 0);
}

/* What VACUUM INTO could not take was kept page by page: only said to differ. */
static void not_by_vacuum(void **state)
{
	struct fixture *f = *state;

	kit_exec(f->db, "CREATE TABLE t(a TEXT COLLATE NOCASE); CREATE INDEX i ON t(a);"
			"INSERT INTO t VALUES ('x')");
	back_up(f);
	kit_exec(f->db, "PRAGMA writable_schema = 1; UPDATE sqlite_schema SET sql = "
			"replace(sql, 'NOCASE', 'OURS'); PRAGMA writable_schema = 0;");
	back_up(f);
	(void)diff_last(f);
	assert_string_equal(f->uncounted, "it was not backed up by VACUUM INTO");
	assert_int_equal(f->got_count, 0);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(random_nights),
	    TEST(random_nights_utf16),
	    TEST(small_tables_in_one_chunk),
	    TEST(only_what_differs_is_read),
	    TEST(not_by_vacuum),
	};

	return cmocka_run_group_tests_name("rowdiff", tests, NULL, NULL);
}
