#include "tests/support/dbgrid_fill.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/dbkit.h"

/* "COUNT(i)" with as many i as the recipe wants. */
#define COUNT "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < rows()) "

struct flavour {
	const char *name;
	const char *fill, *churn;
	const char *lies; /* NULL = none */
};

static const struct flavour flavours[DBGRID_FLAVOURS] = {
    {"rows",
     "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b INT, c REAL, d BLOB);"
     "CREATE INDEX t_a ON t(a); CREATE INDEX t_bc ON t(b, c);" COUNT
     "INSERT INTO t SELECT i, words(3), rnd(1000), i / 7.0, noise(rnd(40)) FROM c",
     "DELETE FROM t WHERE id % 7 = 3;"
     "UPDATE t SET a = words(2) WHERE id % 11 = 0; UPDATE t SET d = noise(90) WHERE id % 13 = 0;"
     "INSERT INTO t(a, b) SELECT words(5), id FROM t WHERE id % 5 = 0",
     "UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 't')"},
    {"random keys",
     "CREATE TABLE r(k INTEGER PRIMARY KEY, v); CREATE INDEX r_v ON r(v);"
     "INSERT INTO r VALUES(-9223372036854775808, 'least'), (9223372036854775807, 'most'),"
     " (-1, NULL), (0, 0), (1, 1), (127, x''), (128, ''), (16384, 1.5), (2147483648, -129);" COUNT
     "INSERT OR IGNORE INTO r SELECT rnd64(), noise(rnd(60)) FROM c;" COUNT
     "INSERT OR IGNORE INTO r SELECT -rnd(100000), words(4) FROM c",
     "DELETE FROM r WHERE k % 3 = 0; UPDATE r SET v = words(6) WHERE k % 5 = 0;" COUNT
     "INSERT OR REPLACE INTO r SELECT rnd64(), rnd64() FROM c WHERE i % 4 = 0;"
     "UPDATE r SET k = rnd64() WHERE k % 31 = 1",
     NULL},
    {"without rowid",
     "CREATE TABLE w(a TEXT, b BLOB, c, d, PRIMARY KEY(a, b DESC)) WITHOUT ROWID;"
     "CREATE INDEX w_c ON w(c); CREATE UNIQUE INDEX w_d ON w(d DESC, c);"
     "CREATE TABLE n(k INT PRIMARY KEY) WITHOUT ROWID;" COUNT
     "INSERT INTO w SELECT words(1), noise(8), rnd(50), i FROM c;" COUNT
     "INSERT OR IGNORE INTO n SELECT rnd64() FROM c",
     "DELETE FROM w WHERE d % 5 = 1; UPDATE w SET c = words(9) WHERE d % 9 = 0;"
     "INSERT INTO w SELECT words(2), noise(20), c, -d FROM w WHERE d % 4 = 0",
     "UPDATE sqlite_schema SET sql = replace(sql, 'WITHOUT ROWID', '')"},
    {"indexes",
     "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b INT, c);"
     "CREATE INDEX i1 ON t(a COLLATE NOCASE DESC); CREATE INDEX i2 ON t(b) WHERE b > 500;"
     "CREATE INDEX i3 ON t(lower(a), b * 2); CREATE UNIQUE INDEX i4 ON t(c, id DESC);"
     "CREATE INDEX i5 ON t(a, b, c) WHERE a IS NOT NULL;" COUNT
     "INSERT INTO t SELECT i, iif(i % 6, words(2), NULL), rnd(1000), rnd64() FROM c",
     "UPDATE t SET b = 1000 - b WHERE id % 3 = 0; DELETE FROM t WHERE id % 8 = 5; REINDEX i3;"
     "DROP INDEX i5; CREATE INDEX i6 ON t(c)",
     "UPDATE sqlite_schema SET type = 'table' WHERE name = 'i1'"},
    {"fts5",
     "CREATE VIRTUAL TABLE f USING fts5(a, b, prefix='2 3');"
     "CREATE VIRTUAL TABLE g USING fts5(a, content='', detail=none);" COUNT
     "INSERT INTO f SELECT words(6), words(2) FROM c;" COUNT "INSERT INTO g SELECT words(4) FROM c",
     "DELETE FROM f WHERE rowid % 4 = 1; UPDATE f SET a = words(3) WHERE rowid % 5 = 0;"
     "INSERT INTO f(f) VALUES('optimize'); INSERT INTO f SELECT words(3), 'late' FROM g",
     NULL},
    {"fts4",
     "CREATE VIRTUAL TABLE f USING fts4(a, b, order=desc);"
     "CREATE VIRTUAL TABLE g USING fts4(content='', a);" COUNT
     "INSERT INTO f SELECT words(6), words(2) FROM c;" COUNT "INSERT INTO g(docid, a) SELECT i, "
     "words(4) FROM c",
     "DELETE FROM f WHERE rowid % 4 = 1; UPDATE f SET a = words(3) WHERE rowid % 5 = 0", NULL},
    {"fts3",
     "CREATE VIRTUAL TABLE f USING fts3(a, tokenize=porter);" COUNT
     "INSERT INTO f SELECT words(9) FROM c",
     "UPDATE f SET a = words(2) WHERE rowid % 6 = 0; INSERT INTO f(f) VALUES('optimize');"
     "DELETE FROM f WHERE rowid % 9 = 2",
     NULL},
    {"r-tree",
     "CREATE VIRTUAL TABLE b USING rtree(id, x0, x1, y0, y1, +note TEXT);"
     "CREATE VIRTUAL TABLE n USING rtree_i32(id, x0, x1);" COUNT
     "INSERT INTO b SELECT i, i, i + rnd(9), -i, rnd(90) - i + 90, words(1) FROM c;" COUNT
     "INSERT INTO n SELECT i, rnd(99), 100 + rnd(99) FROM c",
     "DELETE FROM b WHERE id % 3 = 0; UPDATE n SET x0 = 0 WHERE id % 4 = 0", NULL},
    {"generated",
     "CREATE TABLE g(id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT, l INT AS (length(a)),"
     " u TEXT GENERATED ALWAYS AS (upper(a)) STORED) ; CREATE INDEX g_l ON g(l, u);" COUNT
     "INSERT INTO g(a) SELECT words(1 + i % 5) FROM c",
     "UPDATE g SET a = a || '-' || id WHERE id % 3 = 1; DELETE FROM g WHERE l % 4 = 0",
     "UPDATE sqlite_schema SET name = 'g', tbl_name = x'00', type = 'table'"},
    {"overflow",
     "CREATE TABLE o(id INTEGER PRIMARY KEY, a BLOB, b TEXT); CREATE INDEX o_b ON o(b);"
     "CREATE TABLE w(k BLOB PRIMARY KEY, v) WITHOUT ROWID;"
     "WITH RECURSIVE c(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM c WHERE i < 24)"
     "INSERT INTO o SELECT i, noise(i * pagesize() / 8 + rnd(5)), words(1 + i) FROM c;"
     "INSERT INTO o(a) VALUES(noise(300000)); INSERT INTO o(a) VALUES(zeroblob(270000));"
     "WITH RECURSIVE c(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM c WHERE i < 30)"
     "INSERT INTO w SELECT noise(i * pagesize() / 12), words(9) FROM c",
     "DELETE FROM o WHERE id % 5 = 2; UPDATE o SET a = noise(pagesize() * 2) WHERE id % 4 = 0;"
     "UPDATE w SET v = noise(pagesize() + 3) WHERE length(k) % 3 = 0",
     "UPDATE sqlite_schema SET sql = sql || printf('%*c', 99999, ' ')"},
    {"empty", "PRAGMA user_version = 7; PRAGMA application_id = 305419896",
     "CREATE TABLE t(a);" COUNT "INSERT INTO t SELECT words(9) FROM c; DROP TABLE t",
     "INSERT INTO sqlite_schema VALUES('table', 'x', 'x', 2, 'CREATE TABLE x(a)')"},
    {"no rows",
     "CREATE TABLE t(a PRIMARY KEY, b UNIQUE); CREATE TABLE w(a PRIMARY KEY) WITHOUT ROWID;"
     "CREATE VIEW v AS SELECT * FROM t; CREATE TABLE s(id INTEGER PRIMARY KEY AUTOINCREMENT);"
     "CREATE TRIGGER g AFTER INSERT ON t BEGIN DELETE FROM w; END",
     "INSERT INTO t SELECT 1, 2; DELETE FROM t; INSERT INTO s DEFAULT VALUES",
     "UPDATE sqlite_schema SET rootpage = -rootpage"},
    {"many tables", NULL, "DROP TABLE t3; CREATE TABLE again(x); INSERT INTO t1(a) SELECT words(5)",
     "UPDATE sqlite_schema SET rootpage = 2 + rnd(90)"},
    {"deep",
     "CREATE TABLE d(k TEXT, n INT); CREATE INDEX d_k ON d(k, n);" COUNT
     "INSERT INTO d SELECT hex(noise(pagesize() / 14)), i FROM c WHERE i < 120;" COUNT
     "INSERT INTO d SELECT NULL, i FROM c",
     "DELETE FROM d WHERE n % 3 = 0; INSERT INTO d SELECT k || n, n FROM d WHERE n % 7 = 0",
     "UPDATE sqlite_schema SET rootpage = 1 WHERE name = 'd'"},
    {"odd schema",
     "CREATE TABLE \"\"(\"\" TEXT); CREATE TABLE 'naïve \"table\" 日本'(a, b);"
     "CREATE TABLE t(a, b DEFAULT 'x', c CHECK(c IS NULL)); CREATE INDEX ta ON t(a);"
     "CREATE TABLE u(x REFERENCES t, y); CREATE TABLE seq(id INTEGER PRIMARY KEY AUTOINCREMENT, z);"
     "CREATE VIEW v AS SELECT a FROM t; CREATE TEMP TABLE temporary(a);" COUNT
     "INSERT INTO t(a, b) SELECT words(1), i FROM c; INSERT INTO seq(z) SELECT a FROM t; ANALYZE",
     "ALTER TABLE t RENAME TO renamed; ALTER TABLE u DROP COLUMN y;"
     "ALTER TABLE renamed ADD COLUMN late DEFAULT 5; DROP VIEW v;"
     "CREATE TRIGGER tr BEFORE DELETE ON seq BEGIN SELECT raise(ABORT, 'no'); END",
     "INSERT INTO sqlite_schema SELECT * FROM sqlite_schema;"
     "UPDATE sqlite_schema SET name = NULL, type = 5.5 WHERE rowid % 3 = 0"},
    {"holes",
     "CREATE TABLE a(id INTEGER PRIMARY KEY, v); CREATE TABLE b(id INTEGER PRIMARY KEY, v);"
     "CREATE TABLE gone(v); CREATE INDEX a_v ON a(v);" COUNT
     "INSERT INTO a SELECT i, words(rnd(9)) FROM c;" COUNT
     "INSERT INTO b SELECT i * 5, noise(rnd(pagesize() / 4)) FROM c WHERE i < 300;"
     "INSERT INTO gone SELECT v FROM a",
     "DELETE FROM a WHERE rnd(3) = 0; UPDATE a SET v = substr(v, 2) WHERE rnd(2) = 0;"
     "DELETE FROM b WHERE rnd(4) < 3; UPDATE b SET v = noise(17) WHERE rnd(2) = 0;"
     "INSERT OR IGNORE INTO b SELECT id + 1, noise(9) FROM b; DROP TABLE gone;"
     "PRAGMA incremental_vacuum(3)",
     "UPDATE sqlite_schema SET rootpage = 3"},
};

const char *dbgrid_flavour_name(unsigned flavour)
{
	return flavours[flavour].name;
}

/* --- the SQL functions --- */

static struct dbgrid_recipe *recipe_of(sqlite3_context *ctx)
{
	return sqlite3_user_data(ctx);
}

/* Enough for trees of some pages, little enough for many images. */
static void sql_rows(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	unsigned page = recipe_of(ctx)->page_bytes;

	(void)argc;
	(void)argv;
	sqlite3_result_int(ctx, page <= 1024 ? 250 : page <= 8192 ? 400 : 900);
}

static void sql_pagesize(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	(void)argc;
	(void)argv;
	sqlite3_result_int(ctx, (int)recipe_of(ctx)->page_bytes);
}

static void sql_rnd(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	uint64_t limit = (uint64_t)sqlite3_value_int64(argv[0]);

	(void)argc;
	sqlite3_result_int64(ctx, (sqlite3_int64)dbgrid_below(&recipe_of(ctx)->rng, limit));
}

static void sql_rnd64(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	(void)argc;
	(void)argv;
	sqlite3_result_int64(ctx, (sqlite3_int64)dbgrid_next(&recipe_of(ctx)->rng));
}

static void sql_noise(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	int len = sqlite3_value_int(argv[0]);
	uint8_t *bytes = sqlite3_malloc(len + 1);

	(void)argc;
	if (bytes == NULL) {
		sqlite3_result_error_nomem(ctx);
		return;
	}
	dbgrid_noise(&recipe_of(ctx)->rng, bytes, (size_t)len);
	sqlite3_result_blob(ctx, bytes, len, sqlite3_free);
}

static void sql_words(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	static const char *const words[] = {"harbour", "Ñandú",   "of",     "日本語", "🦉 owl",
					    "a",       "gravity", "Straße", "0012",   "nightjar"};
	struct dbgrid_rng *rng = &recipe_of(ctx)->rng;
	int count = sqlite3_value_int(argv[0]);
	sqlite3_str *text = sqlite3_str_new(NULL);

	(void)argc;
	for (int i = 0; i < count; i++)
		sqlite3_str_appendf(text, "%s%s", i ? " " : "", words[dbgrid_below(rng, 10)]);
	if (count > 0 && dbgrid_below(rng, 4) == 0)
		sqlite3_str_appendf(text, " %llx", (unsigned long long)dbgrid_next(rng));
	sqlite3_result_text(ctx, sqlite3_str_finish(text), -1, sqlite3_free);
}

void dbgrid_functions(sqlite3 *db, struct dbgrid_recipe *r)
{
	static const struct {
		const char *name;
		int args;
		void (*fn)(sqlite3_context *, int, sqlite3_value **);
	} functions[] = {{"rows", 0, sql_rows},   {"pagesize", 0, sql_pagesize},
			 {"rnd", 1, sql_rnd},     {"rnd64", 0, sql_rnd64},
			 {"noise", 1, sql_noise}, {"words", 1, sql_words}};

	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		assert_int_equal(sqlite3_create_function(db, functions[i].name, functions[i].args,
							 SQLITE_UTF8, r, functions[i].fn, NULL,
							 NULL),
				 SQLITE_OK);
}

/* --- filling --- */

/* 1,000 where a page is small; a megabyte or so in all where it is not. */
static void fill_many_tables(sqlite3 *db, const struct dbgrid_recipe *r)
{
	unsigned count = r->page_bytes <= 1024 ? 1000 : r->page_bytes <= 8192 ? 100 : 20;
	char sql[160];

	for (unsigned i = 0; i < count; i++) {
		(void)sqlite3_snprintf(sizeof(sql), sql,
				       i % 10 == 9 ? "CREATE INDEX i%u ON t%u(a)"
						   : "CREATE TABLE t%u(a, b%u INT)",
				       i, i % 10 == 9 ? i - 1 : i);
		kit_exec(db, sql);
		(void)sqlite3_snprintf(sizeof(sql), sql, "INSERT INTO t%u(a) SELECT words(3)", i);
		if (i % 3 == 0 && i % 10 != 9)
			kit_exec(db, sql);
	}
}

/* A few recipes get a cell of some MiB, which the changes that follow leave there. */
static void fill_large_cell(sqlite3 *db, const struct dbgrid_recipe *r)
{
	if (r->page_bytes == 512 || r->page_bytes == 4096)
		kit_exec(db, "INSERT INTO o(id, a) VALUES(1001, noise(2500000))");
}

void dbgrid_fill(sqlite3 *db, const struct dbgrid_recipe *r)
{
	const struct flavour *f = &flavours[r->flavour];

	kit_exec(db, "BEGIN");
	if (f->fill != NULL)
		kit_exec(db, f->fill);
	else
		fill_many_tables(db, r);
	if (strcmp(f->name, "overflow") == 0)
		fill_large_cell(db, r);
	kit_exec(db, "COMMIT");
	kit_exec(db, r->secure_delete ? "PRAGMA secure_delete = 1" : "PRAGMA secure_delete = 0");
	kit_exec(db, f->churn);
}

bool dbgrid_lies(sqlite3 *db, const struct dbgrid_recipe *r)
{
	if (flavours[r->flavour].lies == NULL)
		return false;
	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 0, NULL);
	kit_exec(db, "PRAGMA writable_schema = ON");
	kit_exec(db, flavours[r->flavour].lies);
	return true;
}
