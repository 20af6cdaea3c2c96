/* dbfunctions: they give what SQLite's own give, and no call takes long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "repo/dbfunctions.h"

#define MOST_SET 250

struct pair {
	sqlite3 *own, *theirs;
	uint64_t random;
};

static int setup(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	assert_int_equal(sqlite3_open(":memory:", &p->own), SQLITE_OK);
	assert_int_equal(sqlite3_open(":memory:", &p->theirs), SQLITE_OK);
	assert_int_equal(dbfunctions_add(p->own, MOST_SET), SQLITE_OK);
	p->random = 88172645463325252u;
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct pair *p = *state;

	(void)sqlite3_close(p->own);
	(void)sqlite3_close(p->theirs);
	free(p);
	return 0;
}

static unsigned pick(struct pair *p, unsigned below)
{
	p->random ^= p->random << 13;
	p->random ^= p->random >> 7;
	p->random ^= p->random << 17;
	return (unsigned)(p->random % below);
}

/* A literal: NULL, a number, a blob, or a text of few different characters, some of several bytes. */
static void literal(struct pair *p, char *out, size_t room)
{
	static const char *const chars[] = {"a", "b", "\xc3\xa4", "\xe2\x82\xac", "\xc3\xb6"};
	size_t at = 0;
	unsigned kind = pick(p, 12);

	if (kind == 0) {
		(void)snprintf(out, room, "NULL");
	} else if (kind == 1) {
		(void)snprintf(out, room, "%u", pick(p, 200));
	} else if (kind == 2) {
		(void)snprintf(out, room, "zeroblob(%u)", pick(p, 4));
	} else {
		at += (size_t)snprintf(out, room, kind < 5 ? "CAST('" : "'");
		for (unsigned n = pick(p, kind < 9 ? 4 : 14); n; n--)
			at += (size_t)snprintf(out + at, room - at, "%s", chars[pick(p, 5)]);
		(void)snprintf(out + at, room - at, kind < 5 ? "' AS BLOB)" : "'");
	}
}

static void answer(sqlite3 *db, const char *sql, char *out, size_t room)
{
	sqlite3_stmt *st = NULL;

	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	(void)snprintf(out, room, "%s %s", (const char *)sqlite3_column_text(st, 0),
		       (const char *)sqlite3_column_text(st, 1));
	(void)sqlite3_finalize(st);
}

static void same_as_sqlite(void **state)
{
	static const char *const calls[] = {"instr(%s, %s)", "trim(%s, %s)", "ltrim(%s, %s)",
					    "rtrim(%s, %s)", "replace(%s, %s, %s)"};
	struct pair *p = *state;
	char a[120], b[120], c[120], call[400], sql[1000], own[300], theirs[300];

	for (unsigned i = 0; i < 40000; i++) {
		literal(p, a, sizeof(a));
		literal(p, b, sizeof(b));
		literal(p, c, sizeof(c));
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		(void)snprintf(call, sizeof(call), calls[i % 5], a, b, c);
#pragma GCC diagnostic pop
		(void)snprintf(sql, sizeof(sql), "SELECT typeof(v), hex(v) FROM (SELECT %s AS v)",
			       call);
		answer(p->own, sql, own, sizeof(own));
		answer(p->theirs, sql, theirs, sizeof(theirs));
		if (strcmp(own, theirs) != 0)
			fail_msg("%s: %s, and SQLite says %s", call, own, theirs);
	}
}

static void in_an_index(void **state)
{
	struct pair *p = *state;

	assert_int_equal(
	    sqlite3_exec(
		p->own,
		"CREATE TABLE t(a, b AS (replace(a, 'x', 'y'))); INSERT INTO t VALUES('x');"
		"CREATE INDEX i ON t(trim(a, 'z'))",
		NULL, NULL, NULL),
	    SQLITE_OK);
}

/* Each would be minutes and hours. */
static void not_with_the_square(void **state)
{
	static const char *const calls[] = {
	    "SELECT instr(zeroblob(4000000), CAST(zeroblob(2000000) || 'x' AS BLOB))",
	    "SELECT length(replace(hex(zeroblob(2000000)), hex(zeroblob(500000)) || 'x', ''))",
	    "SELECT length(trim(hex(zeroblob(2000000)), substr(hex(zeroblob(200)), 1, 249)))",
	};
	struct pair *p = *state;
	char *why = NULL;
	clock_t began = clock();

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		assert_int_equal(sqlite3_exec(p->own, calls[i], NULL, NULL, NULL), SQLITE_OK);
	assert_int_not_equal(
	    sqlite3_exec(p->own, "SELECT trim('a', hex(zeroblob(126)))", NULL, NULL, &why),
	    SQLITE_OK);
	assert_string_equal(why, "the characters of a trim are more than 250 bytes");
	sqlite3_free(why);
	(void)sqlite3_limit(p->own, SQLITE_LIMIT_LENGTH, 1000000);
	assert_int_equal(sqlite3_exec(p->own,
				      "SELECT replace(hex(zeroblob(1000)), '0', "
				      "hex(zeroblob(10000)))",
				      NULL, NULL, NULL),
			 SQLITE_TOOBIG);
	assert_true((clock() - began) / CLOCKS_PER_SEC < 20);
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
	    CASE(same_as_sqlite),
	    CASE(in_an_index),
	    CASE(not_with_the_square),
	};

	return cmocka_run_group_tests_name("dbfunctions", tests, NULL, NULL);
}
