/* drill: what a practice restore finds, what it tells, and that none of it is readable on a disk (DESIGN §5, I5). */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/drill_box.h"
#include "tests/support/must.h"

static void test_good(void **state)
{
	struct drill_box *f = *state;

	drill_box_make_db(f, DRILL_BOX_SOUND);
	assert_int_equal(drill_box_drill(f), DRILLNOTE_GOOD);
	assert_string_equal(f->told, "");
	assert_string_equal(f->warned, "");
	assert_true(f->counts.files == 2 && f->counts.databases == 1);
	assert_true(f->counts.bytes > 400000);
	f->options.target = f->target;
	assert_int_equal(drill_box_drill(f), DRILLNOTE_GOOD);
	assert_true(f->counts.files == 2 && f->counts.databases == 1);
	assert_string_equal(f->told, "");
	MUST_FAIL(drill_box_drill_as(f, f->c->repo, &f->c->err), ERR_USAGE, &f->c->err);
	assert_non_null(strstr(f->c->err.text, "not empty"));
}

static void test_foreign_keys(void **state)
{
	struct drill_box *f = *state;

	drill_box_make_db(
	    f, "CREATE TABLE p(a INTEGER PRIMARY KEY); CREATE TABLE c(x REFERENCES p(a));"
	       "INSERT INTO c VALUES(NULL),(7),(8)");
	for (int files = 0; files < 2; files++) {
		f->options.target = files ? f->target : NULL;
		assert_int_equal(drill_box_drill(f), DRILLNOTE_FAILED);
		assert_int_equal(f->counts.databases_failed, 1);
		assert_string_equal(f->told,
				    "app.db: foreign_key_check: 2 rows refer to what is not "
				    "there; the first: row 2 of c refers to p\n");
	}
}

/* A database that was broken when it was backed up: the drill says so, whatever the backup said. */
static void test_corrupt(void **state)
{
	struct drill_box *f = *state;
	size_t len;
	uint8_t *bytes;

	kit_make(f->kit.db, "CREATE TABLE t(a INTEGER PRIMARY KEY, b); CREATE INDEX i ON t(b);"
			    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE "
			    "i<3000) INSERT INTO t(b) SELECT hex(randomblob(50)) FROM n");
	bytes = kit_slurp(f->kit.db, &len);
	memset(bytes + 20 * 4096, 0xff, 4096);
	kit_spew(f->kit.db, bytes, len);
	free(bytes);
	drill_box_back_up(f, 1000);
	assert_int_equal(drill_box_drill(f), DRILLNOTE_FAILED);
	assert_int_equal(f->counts.databases_failed, 1);
	assert_memory_equal(f->told, "app.db: integrity_check: ", 25);
	assert_ptr_equal(strchr(f->told, '\n') + 1, f->told + strlen(f->told)); /* one line */
}

static void test_other_image(void **state)
{
	struct drill_box *f = *state;

	drill_box_make_db(f, DRILL_BOX_SOUND);
	f->spoil = true;
	for (int files = 0; files < 2; files++) {
		f->options.target = files ? f->target : NULL;
		assert_int_equal(drill_box_drill(f), DRILLNOTE_FAILED);
		assert_int_equal(f->counts.databases_failed, 1);
		assert_non_null(strstr(f->told, "app.db: the image is not the one"));
		assert_ptr_equal(strchr(f->told, '\n') + 1, f->told + strlen(f->told));
	}
}

/* An index that lacks rows: quick_check, which a backup makes, does not see it. */
static void test_whole_integrity_check(void **state)
{
	struct drill_box *f = *state;

	kit_make(f->kit.db,
		 "CREATE TABLE t(a INTEGER PRIMARY KEY, b); CREATE INDEX i ON t(b);"
		 "CREATE TABLE keep AS SELECT * FROM sqlite_schema WHERE name = 'i';"
		 "PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = 'i'");
	kit_make(f->kit.db, "INSERT INTO t(b) VALUES(1),(2),(3); PRAGMA writable_schema = ON;"
			    "INSERT INTO sqlite_schema SELECT * FROM keep; DROP TABLE keep");
	drill_box_back_up(f, 1000);
	assert_int_equal(drill_box_drill(f), DRILLNOTE_FAILED);
	assert_non_null(strstr(f->told, "index i"));
}

static int any_order(void *arg, int a_len, const void *a, int b_len, const void *b)
{
	(void)arg;
	return a_len != b_len ? a_len - b_len : memcmp(a, b, (size_t)a_len);
}

static void test_unchecked(void **state)
{
	struct drill_box *f = *state;
	sqlite3 *db = kit_open(f->kit.db);

	assert_int_equal(sqlite3_create_collation(db, "odd", SQLITE_UTF8, NULL, any_order),
			 SQLITE_OK);
	kit_exec(db, "CREATE TABLE t(a TEXT COLLATE odd); CREATE INDEX i ON t(a);"
		     "INSERT INTO t VALUES('x'),('y')");
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	drill_box_back_up(f, 1000);
	assert_int_equal(drill_box_drill(f), DRILLNOTE_GOOD);
	assert_int_equal(f->counts.databases_unchecked, 1);
	assert_non_null(strstr(f->warned, "no such collation"));
}

/* --- damage --- */

static void flip_largest_pack(struct drill_box *f, unsigned sixteenth)
{
	struct id *names = NULL;
	uint64_t *sizes = NULL;
	size_t count = 0, at = 0;

	MUST(repo_list(f->c->inner, STORE_DATA, &names, &sizes, &count, &f->c->err), &f->c->err);
	for (size_t i = 0; i < count; i++)
		at = sizes[i] > sizes[at] ? i : at;
	repo_case_flip(f->c->inner, STORE_DATA, &names[at], (size_t)sizes[at] / 16 * sixteenth, 3);
	free(names);
	free(sizes);
}

static void test_damaged_pack(void **state)
{
	struct drill_box *f = *state;

	drill_box_make_db(f, DRILL_BOX_SOUND);
	flip_largest_pack(f, 8);
	for (int files = 0; files < 2; files++) {
		f->options.target = files ? f->target : NULL;
		assert_int_equal(drill_box_drill(f), DRILLNOTE_FAILED);
		assert_true(f->counts.files_failed == 1);
		assert_memory_equal(f->told, "photo: ", 7);
	}
}

static unsigned lines(const char *text)
{
	unsigned n = 0;

	for (; (text = strchr(text, '\n')); text++)
		n++;
	return n;
}

/* Wherever a bit is wrong, each thing that is lost has its line, and no other. */
static void test_damage_anywhere(void **state)
{
	struct drill_box *f = *state;
	unsigned databases = 0;

	drill_box_make_db(
	    f, "CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB); WITH RECURSIVE n(i) AS (SELECT 1 "
	       "UNION ALL SELECT i+1 FROM n WHERE i<100) INSERT INTO t(b) SELECT "
	       "randomblob(9000) FROM n");
	for (unsigned sixteenth = 1; sixteenth < 16; sixteenth++) {
		flip_largest_pack(f, sixteenth);
		(void)drill_box_drill(f);
		assert_int_equal(lines(f->told), f->counts.files_failed);
		assert_true(f->counts.databases_failed <= f->counts.files_failed);
		databases += f->counts.databases_failed;
		flip_largest_pack(f, sixteenth);
	}
	assert_true(databases > 0);
}

static void test_lost_packs(void **state)
{
	char database[] = "app.db", sql[] = "SELECT 1";
	const struct drill_assertion ask = {database, sql};
	struct drill_box *f = *state;
	struct id *names = NULL;
	size_t count = 0;

	drill_box_make_db(f, DRILL_BOX_SOUND);
	MUST(repo_list(f->c->inner, STORE_DATA, &names, NULL, &count, &f->c->err), &f->c->err);
	for (size_t i = 0; i < count; i++)
		MUST(store_remove(f->c->inner, STORE_DATA, &names[i], &f->c->err), &f->c->err);
	free(names);
	f->options.assertions = &ask;
	f->options.assertion_count = 1;
	assert_int_equal(drill_box_drill(f), DRILLNOTE_FAILED);
	assert_int_equal(f->counts.databases_failed, 1);
	assert_int_equal(f->counts.assertions_failed, 1);
	assert_non_null(strstr(f->told, "could not be asked"));
}

/* --- assertions --- */

static void test_assertions(void **state)
{
	static const struct {
		const char *sql, *told; /* told NULL: it holds */
	} cases[] = {
	    {"SELECT count(*) = 2 FROM t", NULL},
	    {"SELECT -1", NULL},
	    {"SELECT 0.5, 'more', 'columns'", NULL},
	    {"SELECT '1'", NULL},
	    {"WITH x AS (SELECT 1) SELECT * FROM x;", NULL},
	    {"SELECT count(*) > 2 FROM t", "gives 0, not true"},
	    {"SELECT NULL", "gives NULL, not true"},
	    {"SELECT b FROM t WHERE a = 1", "gives one, not true"},
	    {"SELECT 1 FROM t", "gives 2 rows, not one"},
	    {"SELECT 1 FROM t WHERE 0", "gives 0 rows, not one"},
	    {"SELECT 1 FROM nothere", "no such table: nothere"},
	    {"SELECT 1; SELECT 1", "more than one statement"},
	    {"WITH x AS (SELECT 1) DELETE FROM t", "could not be run"},
	    {"SELECT load_extension('x')", "could not be run"},
	    {"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT sum(i) FROM n",
	     "takes too long"},
	};
	struct drill_box *f = *state;

	drill_box_make_db(f, DRILL_BOX_SOUND);
	f->options.most_steps = 1000000;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char database[] = "app.db", sql[200];
		const struct drill_assertion a = {database, sql};

		(void)snprintf(sql, sizeof(sql), "%s", cases[i].sql);
		f->options.assertions = &a;
		f->options.assertion_count = 1;
		assert_int_equal(drill_box_drill(f),
				 cases[i].told ? DRILLNOTE_FAILED : DRILLNOTE_GOOD);
		assert_int_equal(f->counts.assertions_failed, cases[i].told != NULL);
		assert_int_equal(f->counts.databases_failed, 0);
		if (!cases[i].told)
			assert_string_equal(f->told, "");
		else if (!strstr(f->told, cases[i].told) || !strstr(f->told, cases[i].sql))
			fail_msg("%s: %s", cases[i].sql, f->told);
	}
}

static void test_assertion_of_no_database(void **state)
{
	struct drill_box *f = *state;
	char other[] = "pp.db", sql[] = "SELECT 1";
	const struct drill_assertion a = {other, sql};

	drill_box_make_db(f, DRILL_BOX_SOUND);
	f->options.assertions = &a;
	f->options.assertion_count = 1;
	MUST_FAIL(drill_box_drill_as(f, f->c->repo, &f->c->err), ERR_USAGE, &f->c->err);
	assert_int_equal(f->ticks, 0);
}

/* --- nothing readable, nothing left --- */

static unsigned entries(const char *dir)
{
	DIR *d = opendir(dir);
	const struct dirent *e;
	unsigned n = 0;

	assert_non_null(d);
	while ((e = readdir(d)))
		n += e->d_name[0] != '.' && strcmp(e->d_name, "files") != 0;
	(void)closedir(d);
	return n;
}

static void test_no_plaintext(void **state)
{
	struct drill_box *f = *state;
	char sql[] =
	    "SELECT count(*) = 0 FROM (SELECT b, row_number() OVER (ORDER BY b DESC) FROM t)",
	     database[] = "app.db";
	const struct drill_assertion a = {database, sql}; /* makes SQLite sort all of it */
	unsigned before;

	drill_box_make_db(
	    f, "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT); CREATE INDEX i ON t(b);"
	       "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<20000) "
	       "INSERT INTO t(b) SELECT '" DRILL_BOX_MARKER "' || i FROM n");
	before = entries(f->kit.cache);
	f->options.ram_budget_bytes = 1;
	f->options.assertions = &a;
	f->options.assertion_count = 1;
	assert_int_equal(drill_box_drill(f), DRILLNOTE_FAILED);
	assert_true(f->spilled > 0);
	assert_false(f->leaked);
	assert_int_equal(entries(f->kit.cache), before);
}

static void test_cancel(void **state)
{
	struct drill_box *f = *state;
	unsigned ticks;

	drill_box_make_db(f, DRILL_BOX_SOUND);
	(void)drill_box_drill(f);
	ticks = f->ticks;
	assert_true(ticks > 3);
	for (f->cancel_at = 1; f->cancel_at <= ticks; f->cancel_at++)
		MUST_FAIL(drill_box_drill_as(f, f->c->repo, &f->c->err), ERR_CANCELLED, &f->c->err);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, drill_box_setup, drill_box_teardown)
	const struct CMUnitTest tests[] = {
	    CASE(test_good),
	    CASE(test_foreign_keys),
	    CASE(test_corrupt),
	    CASE(test_other_image),
	    CASE(test_whole_integrity_check),
	    CASE(test_unchecked),
	    CASE(test_damaged_pack),
	    CASE(test_damage_anywhere),
	    CASE(test_lost_packs),
	    CASE(test_assertions),
	    CASE(test_assertion_of_no_database),
	    CASE(test_no_plaintext),
	    CASE(test_cancel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
