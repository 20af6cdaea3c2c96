/* reference: the words of --refs, and which file a path means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/limits.h"
#include "core/reference.h"

static void splits(const char *text, const char *database, const char *query)
{
	char *got_database, *got_query;
	struct err err = {0};

	assert_int_equal(reference_split(text, &got_database, &got_query, &err), 0);
	assert_string_equal(got_database, database);
	assert_string_equal(got_query, query);
	free(got_database);
	free(got_query);
}

static void test_split(void **state)
{
	(void)state;
	splits("app.db: SELECT path FROM f", "app.db", "SELECT path FROM f");
	splits("app.db:select 1", "app.db", "select 1");
	splits(" data/my app.db :\n WITH x AS (SELECT 1) SELECT 2", "data/my app.db",
	       "WITH x AS (SELECT 1) SELECT 2");
	splits("C: drive: a:b.db: SELECT ':' || p", "C: drive: a:b.db", "SELECT ':' || p");
	splits("a.db: VALUES('x: SELECT y')", "a.db", "VALUES('x: SELECT y')");
	splits("select: SELECT 1", "select", "SELECT 1");
}

static void test_what_is_no_reference(void **state)
{
	static const char *const wrong[] = {"",
					    "app.db",
					    "SELECT path FROM f",
					    "app.db SELECT 1",
					    ": SELECT 1",
					    "  : SELECT 1",
					    "app.db: selected",
					    "app.db: DELETE FROM f",
					    "app.db:",
					    "app.db: SELECTED x"};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char *database, *query;
		struct err err = {0};

		assert_int_equal(reference_split(wrong[i], &database, &query, &err), -ERR_USAGE);
		assert_null(database);
		assert_null(query);
	}
}

static void test_too_long(void **state)
{
	char *text = malloc(LIMIT_REF_BYTES + 100), *database, *query;
	struct err err = {0};

	(void)state;
	assert_non_null(text);
	memset(text, ' ', LIMIT_REF_BYTES + 100);
	memcpy(text, "a.db: SELECT", 12);
	text[LIMIT_REF_BYTES + 6] = '\0';
	assert_int_equal(reference_split(text, &database, &query, &err), 0);
	free(database);
	free(query);
	text[LIMIT_REF_BYTES + 6] = ' ';
	text[LIMIT_REF_BYTES + 7] = '\0';
	assert_int_equal(reference_split(text, &database, &query, &err), -ERR_USAGE);
	free(text);
}

static void test_matches(void **state)
{
	(void)state;
	assert_true(reference_matches("app.db", "/srv/app/app.db"));
	assert_true(reference_matches("app/app.db", "/srv/app/app.db"));
	assert_true(reference_matches("/srv/app/app.db", "/srv/app/app.db"));
	assert_true(reference_matches("app.db", "/app.db"));
	assert_false(reference_matches("pp.db", "/srv/app/app.db"));
	assert_false(reference_matches("p/app.db", "/srv/app/app.db"));
	assert_false(reference_matches("/app.db", "/srv/app/app.db"));
	assert_false(reference_matches("/app/app.db", "/srv/app/app.db"));
	assert_false(reference_matches("x/srv/app/app.db", "/srv/app/app.db"));
	assert_false(reference_matches("", "/srv/app/app.db"));
}

static void means(const char *db, const char *path, const char *want)
{
	char *got = reference_path(db, path, strlen(path));

	assert_non_null(got);
	assert_string_equal(got, want);
	free(got);
}

static void test_paths(void **state)
{
	char *got;

	(void)state;
	means("/srv/app/app.db", "att/x", "/srv/app/att/x");
	means("/srv/app/app.db", "./att//x/", "/srv/app/att/x");
	means("/srv/app/app.db", "../files/./x", "/srv/files/x");
	means("/srv/app/app.db", "/abs//x/../y", "/abs/y");
	means("/srv/app/app.db", "../../../../x", "/x");
	means("/app.db", "x", "/x");
	means("/app.db", "..", "/");
	means("/srv/app/app.db", ".", "/srv/app");
	means("/srv/app/app.db", "...", "/srv/app/...");
	means("/srv/app/app.db", "a%20b c", "/srv/app/a%20b c");
	means("/srv/app/app.db", "\xff\xfe/x", "/srv/app/\xff\xfe/x");
	got = reference_path("/srv/app.db", "x\0y", 3);
	assert_string_equal(got, "/srv/x");
	free(got);
}

static void test_a_path_without_end(void **state)
{
	size_t len = 200000;
	char *text = malloc(len), *got;

	(void)state;
	assert_non_null(text);
	memset(text, 'x', len);
	got = reference_path("/a.db", text, len);
	assert_int_equal(strlen(got), LIMIT_PATH_BYTES);
	free(got);
	free(text);
}

static void test_sha256(void **state)
{
	uint8_t out[32], raw[32];
	char text[65];

	(void)state;
	memset(raw, 0xab, sizeof(raw));
	for (size_t i = 0; i < 64; i += 2)
		memcpy(text + i, i % 4 ? "aB" : "Ab", 2);
	assert_true(reference_sha256(text, 64, out));
	assert_memory_equal(out, raw, 32);
	memset(out, 0, sizeof(out));
	assert_true(reference_sha256(raw, 32, out));
	assert_memory_equal(out, raw, 32);
	text[63] = 'g';
	assert_false(reference_sha256(text, 64, out));
	assert_false(reference_sha256(text, 63, out));
	assert_false(reference_sha256("", 0, out));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_split),    cmocka_unit_test(test_what_is_no_reference),
	    cmocka_unit_test(test_too_long), cmocka_unit_test(test_matches),
	    cmocka_unit_test(test_paths),    cmocka_unit_test(test_a_path_without_end),
	    cmocka_unit_test(test_sha256),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
