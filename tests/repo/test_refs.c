/* refs: files that queries name against those that a backup has: links, twins, orphans, how much is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "repo/refs.h"
#include "tests/support/dbkit.h"
#include "tests/support/must.h"

#define DB "/srv/app/app.db"

struct fixture {
	struct kit kit;
	struct refs *refs;
	struct err err;
	char told[8192]; /* "path: text;" of each */
	unsigned told_count;
};

static void on_missing(void *arg, const char *database, const char *path, const char *text)
{
	struct fixture *f = arg;
	size_t at = strlen(f->told);

	(void)database;
	f->told_count++;
	(void)snprintf(f->told + at, sizeof(f->told) - at, "%s: %s;", path, text);
}

static void begin(struct fixture *f, uint64_t most_bytes)
{
	const struct refs_options options = {
	    .cache_dir = f->kit.cache, .most_bytes = most_bytes, .missing = on_missing, .arg = f};

	refs_free(f->refs);
	f->told[0] = '\0';
	f->told_count = 0;
	MUST(refs_new(&options, &f->refs, &f->err), &f->err);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	kit_new(&f->kit);
	begin(f, 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	refs_free(f->refs);
	kit_free(&f->kit);
	free(f);
	return 0;
}

/* One query on an empty database: VALUES say all. */
static void ask(struct fixture *f, const char *query)
{
	struct pageimage *image;
	uint8_t *bytes;
	size_t len, number = refs_query_count(f->refs);

	if (!kit_exists(f->kit.db))
		kit_make(f->kit.db, "CREATE TABLE t(a)");
	bytes = kit_slurp(f->kit.db, &len);
	MUST(pageimage_new(f->kit.cache, 1u << 20, &image, &f->err), &f->err);
	MUST(pageimage_write(image, 0, bytes, len, &f->err), &f->err);
	MUST(refs_add(f->refs, "app.db", query, &f->err), &f->err);
	MUST(refs_ask(f->refs, number, DB, image, &f->err), &f->err);
	pageimage_free(image);
	free(bytes);
}

static void ready(struct fixture *f)
{
	static const char *const sources[] = {"/srv", "/var/files"};

	MUST(refs_ready(f->refs, sources, 2, &f->err), &f->err);
}

static void saw(struct fixture *f, const char *path, uint64_t size)
{
	const struct entry e = {.type = ENTRY_FILE, .size = size};

	MUST(refs_saw(f->refs, path, &e, &f->err), &f->err);
}

static void saw_link(struct fixture *f, const char *path, const char *target)
{
	const struct entry e = {.type = ENTRY_SYMLINK,
				.target = {(const uint8_t *)target, strlen(target)}};

	MUST(refs_saw(f->refs, path, &e, &f->err), &f->err);
}

static void judged(struct fixture *f, uint64_t referenced, uint64_t missing, uint64_t orphans)
{
	const struct refs_count *c = refs_counted(f->refs, 0);

	MUST(refs_judge(f->refs, &f->err), &f->err);
	assert_int_equal(c->referenced, referenced);
	assert_int_equal(c->missing, missing);
	assert_int_equal(c->orphans, orphans);
}

static void all_there(void **state)
{
	struct fixture *f = *state;

	ask(f, "VALUES('att/a',1),('./att//b',2),('/srv/app/att/b',2),('att/c',NULL)");
	ready(f);
	saw(f, "/srv/app/att/a", 1);
	saw(f, "/srv/app/att/b", 2);
	saw(f, "/srv/app/att/c", 77);
	judged(f, 3, 0, 0);
	assert_string_equal(f->told, "");
}

static void what_is_missing(void **state)
{
	struct fixture *f = *state;

	ask(f, "VALUES('a',1,NULL),('b',2,NULL),('c',-1,NULL),('d',1,'zz'),('e',NULL,NULL)");
	ready(f);
	saw(f, "/srv/app/a", 1);
	saw(f, "/srv/app/b", 3);
	saw(f, "/srv/app/c", 1);
	saw(f, "/srv/app/d", 1);
	judged(f, 5, 4, 0);
	assert_string_equal(
	    f->told, "/srv/app/b: its size differs: 2 bytes in the database, 3 in this backup;"
		     "/srv/app/c: its size differs: -1 bytes in the database, 1 in this backup;"
		     "/srv/app/d: what the database has as its SHA-256 is none;"
		     "/srv/app/e: is not in this backup;");
}

/* A file that is named twice counts once, and is told once, though both demands must be met. */
static void twins(void **state)
{
	struct fixture *f = *state;

	ask(f, "VALUES('a',1),('a',2),('a',3),('a',1),('b',5),('b',NULL)");
	ready(f);
	saw(f, "/srv/app/a", 1);
	saw(f, "/srv/app/b", 5);
	judged(f, 2, 1, 0);
	assert_int_equal(f->told_count, 1);
}

static void hashes(void **state)
{
	struct fixture *f = *state;
	uint8_t sum[32];

	memset(sum, 0xaa, sizeof(sum));
	ask(f, "VALUES('a',NULL,replace(hex(zeroblob(32)),'00','AA')),('b',NULL,zeroblob(32)),"
	       "('c',NULL,zeroblob(32)),('d',NULL,NULL)");
	ready(f);
	assert_true(refs_wants_hash(f->refs, "/srv/app/a"));
	assert_false(refs_wants_hash(f->refs, "/srv/app/d"));
	assert_false(refs_wants_hash(f->refs, "/srv/app/x"));
	assert_false(refs_wants_hash(NULL, "/srv/app/a"));
	for (const char *p = "abcd"; *p; p++) {
		char path[] = "/srv/app/?";

		path[sizeof(path) - 2] = *p;
		saw(f, path, 1);
	}
	refs_hashed(f->refs, "/srv/app/a", sum);
	refs_hashed(f->refs, "/srv/app/b", sum);
	judged(f, 4, 1, 0);
	assert_string_equal(f->told,
			    "/srv/app/b: its SHA-256 differs from the one in the database;");
	assert_int_equal(refs_counted(f->refs, 0)->unhashed, 1);
}

static void links(void **state)
{
	struct fixture *f = *state;

	ask(f,
	    "VALUES('att/a',1),('att/sub/b',1),('rel',1),('loop/x',1),('broken',1),('deep/a',1)");
	ready(f);
	saw_link(f, "/srv/app/att", "/var/files/att/");
	saw_link(f, "/var/files/att/sub", "../other");
	saw_link(f, "/srv/app/rel", "./target");
	saw_link(f, "/srv/app/loop", "loop");
	saw_link(f, "/srv/app/broken", "nowhere");
	saw_link(f, "/srv/app/deep", "att");
	saw(f, "/var/files/att/a", 1);
	saw(f, "/var/files/other/b", 1);
	saw(f, "/srv/app/target", 1);
	judged(f, 6, 2, 0);
	assert_string_equal(f->told, "/srv/app/broken: is not in this backup;"
				     "/srv/app/loop/x: is not in this backup;");
}

static void orphans(void **state)
{
	const struct entry database = {.type = ENTRY_FILE, .encoding = ENCODING_CELLS};
	struct fixture *f = *state;

	ask(f,
	    "VALUES('att/2024/01/a'),('att/2024/02/b'),('img/x'),('beside'),('/var/files/p/q/r'),"
	    "('/var/files/p/s/t')");
	ready(f);
	saw(f, "/srv/app/att/2024/01/a", 1);
	saw(f, "/srv/app/att/2024/02/b", 1);
	saw(f, "/srv/app/att/2024/03/orphan", 1);
	saw(f, "/srv/app/att/2024/orphan", 1);
	saw(f, "/srv/app/att/2024x", 1); /* outside */
	saw(f, "/srv/app/att/other", 1); /* outside */
	saw(f, "/srv/app/img/x", 1);
	saw(f, "/srv/app/img/orphan", 1);
	saw(f, "/srv/app/beside", 1);
	saw(f, "/srv/app/config.ini", 1); /* beside the database nothing is looked for */
	saw(f, "/var/files/p/q/r", 1);
	saw(f, "/var/files/p/s/t", 1);
	saw(f, "/var/files/p/orphan", 1);
	saw(f, "/var/files/z", 1);
	MUST(refs_saw(f->refs, "/srv/app/img/thumbs.db", &database, &f->err), &f->err);
	judged(f, 6, 0, 4);
}

/* What one query leaves another may name. */
static void two_queries(void **state)
{
	struct fixture *f = *state;

	ask(f, "VALUES('att/a')");
	ask(f, "VALUES('att/b'),('att/gone')");
	ready(f);
	saw(f, "/srv/app/att/a", 1);
	saw(f, "/srv/app/att/b", 1);
	saw(f, "/srv/app/att/c", 1);
	judged(f, 1, 0, 1);
	assert_int_equal(refs_counted(f->refs, 1)->missing, 1);
	assert_int_equal(refs_counted(f->refs, 1)->orphans, 0);
}

static void the_list_is_bounded(void **state)
{
	struct fixture *f = *state;

	ask(f, "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c WHERE x<10000) "
	       "SELECT 'att/' || (x % 100) || '/' || x FROM c");
	ready(f);
	saw(f, "/srv/app/att/1/1", 1);
	judged(f, 10000, 9999, 0);
	assert_int_equal(f->told_count, REFS_TOLD + 1);
	assert_non_null(strstr(f->told, ": and 9899 more;"));
}

static void too_many(void **state)
{
	struct fixture *f = *state;

	begin(f, 100000);
	ask(f, "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT x FROM c");
	ready(f);
	judged(f, 0, 0, 0);
	assert_true(refs_counted(f->refs, 0)->failed);
	assert_string_equal(f->told, ": " DB ": the query of --refs names too many files;");
}

/* Orphans of others are not counted either: what the failed query names is not known. */
static void a_failed_query(void **state)
{
	struct fixture *f = *state;

	ask(f, "VALUES('att/a')");
	ask(f, "SELECT p FROM nowhere");
	ready(f);
	saw(f, "/srv/app/att/a", 1);
	saw(f, "/srv/app/att/b", 1);
	judged(f, 1, 0, 0);
	assert_true(refs_counted(f->refs, 1)->failed);
	assert_non_null(strstr(f->told, "no such table: nowhere"));
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
	    CASE(all_there), CASE(what_is_missing), CASE(twins),       CASE(hashes),
	    CASE(links),     CASE(orphans),         CASE(two_queries), CASE(the_list_is_bounded),
	    CASE(too_many),  CASE(a_failed_query),
	};

	return cmocka_run_group_tests_name("refs", tests, NULL, NULL);
}
