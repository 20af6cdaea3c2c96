/* refs_query: what a query may give, and everything that a hostile one, or a hostile database, may not do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "repo/dbquery.h"
#include "repo/refs_query.h"
#include "tests/support/dbkit.h"
#include "tests/support/must.h"

struct fixture {
	struct kit kit;
	struct pageimage *image;
	struct err err;
	char rows[4096]; /* "path|size|sha256 bytes;" of each */
	uint64_t count;
	uint64_t most_steps;
	int (*tick)(void *arg);
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	kit_new(&f->kit);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	pageimage_free(f->image);
	kit_free(&f->kit);
	free(f);
	return 0;
}

static void database(struct fixture *f, const char *sql)
{
	size_t len;
	uint8_t *bytes;

	kit_make(f->kit.db, sql);
	bytes = kit_slurp(f->kit.db, &len);
	MUST(pageimage_new(f->kit.cache, 1u << 20, &f->image, &f->err), &f->err);
	MUST(pageimage_write(f->image, 0, bytes, len, &f->err), &f->err);
	free(bytes);
}

static int on_row(void *arg, const struct refs_row *row, struct err *err)
{
	struct fixture *f = arg;
	size_t at = strlen(f->rows);

	(void)err;
	f->count++;
	if (at + row->path_len + 64 < sizeof(f->rows))
		(void)snprintf(f->rows + at, sizeof(f->rows) - at, "%.*s|%lld|%zu;",
			       (int)row->path_len, (const char *)row->path,
			       row->has_size ? (long long)row->size : -1,
			       row->has_sha256 ? row->sha256_len : 0);
	return 0;
}

static int ask(struct fixture *f, const char *sql)
{
	struct refs_query q = {
	    .path = "/srv/app.db",
	    .sql = sql,
	    .image = f->image,
	    .cache_dir = f->kit.cache,
	    .most_steps = f->most_steps,
	    .tick = f->tick,
	    .row = on_row,
	    .row_arg = f,
	};

	f->rows[0] = '\0';
	f->count = 0;
	return refs_query_run(&q, &f->err);
}

static void gives(struct fixture *f, const char *sql, const char *rows)
{
	MUST(ask(f, sql), &f->err);
	assert_string_equal(f->rows, rows);
}

/* Refused, with a reason, and no byte of the image is another. */
static void refuses_as(struct fixture *f, const char *sql, int code, const char *why)
{
	size_t size = (size_t)pageimage_size(f->image);
	uint8_t *before = malloc(size), *after = malloc(size);

	assert_true(before && after);
	MUST(pageimage_read(f->image, 0, before, size, &f->err), &f->err);
	assert_int_equal(ask(f, sql), -code);
	if (!strstr(f->err.text, why))
		fail_msg("%s: '%s' does not say '%s'", sql, f->err.text, why);
	assert_non_null(strstr(f->err.text, "/srv/app.db"));
	assert_int_equal(pageimage_size(f->image), size);
	MUST(pageimage_read(f->image, 0, after, size, &f->err), &f->err);
	assert_memory_equal(before, after, size);
	free(before);
	free(after);
}

static void refuses(struct fixture *f, const char *sql, const char *why)
{
	refuses_as(f, sql, ERR_SOURCE, why);
}

static void values(void **state)
{
	struct fixture *f = *state;

	database(
	    f, "CREATE TABLE f(p, s, h); INSERT INTO f VALUES('a b:c',3,NULL),(NULL,1,1),('',1,1),"
	       "(x'',1,1),(x'ff2f00',NULL,x'00'),(12,'7',''),('d',-4,'x')");
	gives(f, "SELECT p FROM f", "a b:c|-1|0;\xff/|-1|0;12|-1|0;d|-1|0;");
	gives(f, "SELECT p,s FROM f WHERE s IS NOT NULL; -- the end", "a b:c|3|0;12|7|0;d|-4|0;");
	gives(f, "SELECT p,s,h FROM f", "a b:c|3|0;\xff/|-1|1;12|7|0;d|-4|1;");
	gives(f, "WITH x AS (SELECT 'y') SELECT * FROM x;;", "y|-1|0;");
	gives(f, "VALUES('v')", "v|-1|0;");
}

static void utf16_and_views(void **state)
{
	struct fixture *f = *state;

	database(
	    f, "PRAGMA encoding='UTF-16le'; CREATE TABLE f(p); INSERT INTO f VALUES('s\xc3\xa4ge');"
	       "CREATE VIEW v AS SELECT p, length(p) AS s FROM f");
	gives(f, "SELECT p, s FROM v", "s\xc3\xa4ge|4|0;");
}

static void full_text_search(void **state)
{
	struct fixture *f = *state;

	database(f,
		 "CREATE VIRTUAL TABLE f USING fts5(p); INSERT INTO f VALUES('one two'),('three')");
	gives(f, "SELECT p FROM f WHERE f MATCH 'three'", "three|-1|0;");
}

/* A sound schema which SQLite of some versions only reads when it is trusted. */
static void index_over_json(void **state)
{
	struct fixture *f = *state;

	database(f, "CREATE TABLE f(j); INSERT INTO f VALUES('{\"p\":\"x\"}');"
		    "CREATE INDEX i ON f(json_extract(j,'$.p'))");
	gives(f, "SELECT json_extract(j,'$.p') FROM f", "x|-1|0;");
}

static void what_is_refused(void **state)
{
	static const char *const wrong[][2] = {
	    {"INSERT INTO f VALUES('x')", "not authorized"},
	    {"DELETE FROM f", "not authorized"},
	    {"WITH x AS (SELECT 1) DELETE FROM f", "not authorized"},
	    {"UPDATE f SET p = 'y'", "not authorized"},
	    {"UPDATE sqlite_master SET sql = 1", "may not be modified"},
	    {"CREATE TABLE g(a)", "not authorized"},
	    {"CREATE TEMP TABLE g(a)", "not authorized"},
	    {"DROP TABLE f", "not authorized"},
	    {"ATTACH '/tmp/x.db' AS x", "not authorized"},
	    {"ATTACH ':memory:' AS x", "not authorized"},
	    {"PRAGMA writable_schema=ON", "not authorized"},
	    {"PRAGMA query_only=OFF", "not authorized"},
	    {"SELECT name FROM pragma_table_info('f')", "not authorized"},
	    {"VACUUM INTO '/tmp/nightjar-out.db'", "only a SELECT"},
	    {"SELECT load_extension('libm.so')", "not authorized"},
	    {"SELECT fts3_tokenizer('simple')", "not authorized"},
	    {"BEGIN", "not authorized"},
	    {"EXPLAIN SELECT 1", "only a SELECT"},
	    {"SELECT 1; DELETE FROM f", "more than one statement"},
	    {"SELECT 1; SELECT 2", "more than one statement"},
	    {"SELECT 1; nonsense", "more than one statement"},
	    {"-- nothing", "it is empty"},
	    {"SELECT 1,2,3,4", "its columns are more"},
	    {"SELECT q FROM f", "no such column"},
	    {"SELEC", "syntax error"},
	    {"SELECT randomblob(1000000000)", "too big (4 MiB at most)"},
	    {"SELECT json_patch('{}', '{}')", "not authorized"},
	    {"SELECT trim('a', hex(zeroblob(126)))", "more than 250 bytes"},
	    {"SELECT p LIKE hex(zeroblob(126)) FROM f", "too complex"},
	};
	struct fixture *f = *state;

	database(f, "CREATE TABLE f(p); INSERT INTO f VALUES('x')");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		refuses(f, wrong[i][0], wrong[i][1]);
	assert_false(kit_exists("/tmp/nightjar-out.db"));
}

static void without_end(void **state)
{
	struct fixture *f = *state;

	database(f, "CREATE TABLE f(p)");
	f->most_steps = 10000000;
	refuses(f,
		"WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT x FROM c "
		"WHERE x<0",
		"takes too long (10000000 steps at most)");
	f->most_steps = 0;
	refuses(f,
		"WITH RECURSIVE c(x) AS (SELECT 1 UNION SELECT hex(randomblob(1000000))) , "
		"d(x) AS (SELECT x FROM c UNION ALL SELECT hex(randomblob(1000000)) FROM d) "
		"SELECT x FROM d ORDER BY x",
		"too much memory (256 MiB at most)");
	/* Within one step of SQLite's machine nobody asks for the time. */
	refuses(f, "SELECT 1 WHERE hex(zeroblob(1000000)) LIKE '%' || hex(zeroblob(10000)) || 'x'",
		"too complex");
	gives(f, "SELECT 'still fine'", "still fine|-1|0;");
}

static int count_ticks(void *arg)
{
	int *ticks = arg;

	++*ticks;
	return 0;
}

/* Few steps, each of which takes long: by the clock it ends, and it was asked all the time. */
static void by_the_clock(void **state)
{
	struct fixture *f = *state;
	int ticks = 0;
	struct dbquery q = {
	    .path = "/srv/app.db",
	    .what = "the query",
	    .sql = "WITH RECURSIVE c(x) AS (SELECT 0 UNION ALL "
		   "SELECT instr(zeroblob(4000000 + x), x'01') FROM c) SELECT x FROM c WHERE x > 0",
	    .cache_dir = f->kit.cache,
	    .most_s = 2,
	    .tick = count_ticks,
	    .tick_arg = &ticks,
	};

	database(f, "CREATE TABLE f(p)");
	q.image = f->image;
	assert_int_equal(dbquery_run(&q, &f->err), -ERR_SOURCE);
	assert_non_null(strstr(f->err.text, "too long (2 seconds at most)"));
	assert_true(ticks >= 5);
}

static int cancel(void *arg)
{
	(void)arg;
	return 1;
}

static void cancelled(void **state)
{
	struct fixture *f = *state;

	database(f, "CREATE TABLE f(p)");
	f->tick = cancel;
	assert_int_equal(
	    ask(f, "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT x "
		   "FROM c WHERE x<0"),
	    -ERR_CANCELLED);
}

/* A view that hides what the query did not say. */
static void hostile_schema(void **state)
{
	struct fixture *f = *state;

	database(f, "CREATE TABLE f(p); CREATE VIEW v AS SELECT load_extension('x') AS p;"
		    "CREATE TRIGGER t INSTEAD OF INSERT ON v BEGIN DELETE FROM f; END");
	refuses(f, "SELECT p FROM v", "");
}

static void no_database(void **state)
{
	struct fixture *f = *state;

	MUST(pageimage_new(f->kit.cache, 1u << 20, &f->image, &f->err), &f->err);
	MUST(pageimage_write(f->image, 0, "this is no database at all", 26, &f->err), &f->err);
	refuses_as(f, "SELECT p FROM f", ERR_DAMAGED, "not a database");
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
	    CASE(values),          CASE(utf16_and_views), CASE(full_text_search),
	    CASE(index_over_json), CASE(what_is_refused), CASE(without_end),
	    CASE(by_the_clock),    CASE(cancelled),       CASE(hostile_schema),
	    CASE(no_database),
	};

	return cmocka_run_group_tests_name("refs_query", tests, NULL, NULL);
}
