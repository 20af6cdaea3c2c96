/* What a backup says of each database: cells, cells changed, bytes stored; and the parent that an operator names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "repo/backup.h"
#include "tests/support/dbkit.h"
#include "tests/support/must.h"
#include "tests/support/repo_case.h"

#define ROWS 4000
#define MOST_DBS 3

struct box {
	struct kit kit;
	struct repo_case *c;
	char src[300], a[400], b[400]; /* the folder, and its databases */
	const char *host;
	const struct id *parent;
	unsigned workers;
	bool dry_run, no_cache; /* no_cache: one that nothing was put into */
	/* of the last backup */
	struct backup_result result;
	struct told {
		uint64_t bytes, cells, changed, stored;
	} told[MOST_DBS];
	size_t told_count;
};

/* Rows of 60 bytes: some chunks of a table and of an index. */
static const char make_rows[] =
    "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); CREATE INDEX i ON t (v);"
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000)"
    "INSERT INTO t SELECT i, printf('%016x%044d', i * 2654435761 % 4294967296, i) FROM n";

static int setup(void **state)
{
	struct box *b = calloc(1, sizeof(*b));
	void *c = NULL;

	assert_non_null(b);
	kit_new(&b->kit);
	(void)snprintf(b->src, sizeof(b->src), "%s/src", b->kit.dir);
	(void)snprintf(b->a, sizeof(b->a), "%s/a.db", b->src);
	(void)snprintf(b->b, sizeof(b->b), "%s/b.db", b->src);
	assert_int_equal(mkdir(b->src, 0755), 0);
	kit_make(b->a, make_rows);
	assert_int_equal(repo_case_setup(&c), 0);
	b->c = c;
	b->host = REPO_CASE_HOST;
	b->workers = 1;
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct box *b = *state;
	void *c = b->c;

	(void)repo_case_teardown(&c);
	kit_free(&b->kit);
	free(b);
	return 0;
}

static void on_database(void *arg, const struct manifest_db *db)
{
	struct box *b = arg;

	assert_true(b->told_count < MOST_DBS);
	b->told[b->told_count++] =
	    (struct told){db->image_bytes, db->cells, db->cells_changed, db->bytes_stored};
}

static int try_backup(struct box *b)
{
	static int64_t now_ns = 1000;
	const char *const paths[] = {b->src};
	char fresh[400];
	const struct backup_options options = {
	    .paths = paths,
	    .path_count = 1,
	    .host = b->host,
	    .cache_dir = b->no_cache ? fresh : b->kit.cache,
	    .workers = b->workers,
	    .dry_run = b->dry_run,
	    .force = true,
	    .parent = b->parent,
	    .now_ns = now_ns += 1000,
	    .cb = {.database = on_database, .arg = b},
	};

	b->told_count = 0;
	(void)snprintf(fresh, sizeof(fresh), "%s/cache%lld", b->kit.dir, (long long)now_ns);
	if (b->no_cache)
		assert_int_equal(mkdir(fresh, 0700), 0);
	repo_case_reopen(b->c);
	return backup_run(b->c->repo, &options, &b->result, &b->c->err);
}

/* And what is told is what the manifest says, and what the sums are of. */
static void back_up(struct box *b)
{
	struct manifest_list list = {0};
	struct told sum = {0};
	const struct manifest *m;

	MUST(try_backup(b), &b->c->err);
	for (size_t i = 0; i < b->told_count; i++) {
		sum.bytes += b->told[i].bytes;
		sum.cells += b->told[i].cells;
		sum.changed += b->told[i].changed;
		sum.stored += b->told[i].stored;
	}
	assert_int_equal(b->result.image_bytes, sum.bytes);
	assert_int_equal(b->result.cells, sum.cells);
	assert_int_equal(b->result.cells_changed, sum.changed);
	assert_int_equal(b->result.image_packed, sum.stored);
	assert_true(sum.stored <= b->result.bytes_packed);
	if (b->dry_run)
		return;
	MUST(manifests_load(b->c->repo, NULL, NULL, &list, &b->c->err), &b->c->err);
	m = &list.items[list.count - 1].m;
	assert_int_equal(m->db_count, b->told_count);
	for (size_t i = 0; i < m->db_count; i++) {
		assert_int_equal(m->dbs[i].image_bytes, b->told[i].bytes);
		assert_int_equal(m->dbs[i].cells, b->told[i].cells);
		assert_int_equal(m->dbs[i].cells_changed, b->told[i].changed);
		assert_int_equal(m->dbs[i].bytes_stored, b->told[i].stored);
	}
	manifest_list_free(&list);
}

static void test_first_backup(void **state)
{
	struct box *b = *state;
	struct told first;

	b->dry_run = true;
	back_up(b);
	first = b->told[0];
	b->dry_run = false;
	back_up(b);
	assert_int_equal(b->told_count, 1);
	/* A row, its index entry, two rows of the schema, and no more. */
	assert_int_equal(b->told[0].cells, 2 * ROWS + 2);
	assert_int_equal(b->told[0].changed, b->told[0].cells);
	assert_true(b->told[0].stored > 10000 && b->told[0].stored < b->told[0].bytes);
	/* A dry run knows it before. */
	assert_int_equal(first.changed, b->told[0].changed);
	assert_int_equal(first.stored, b->told[0].stored);
}

static void changes_of(struct box *b)
{
	uint64_t full;

	back_up(b);
	full = b->told[0].stored;
	kit_make(b->a, "UPDATE t SET v = v || 'x' WHERE id IN (7, 3994)");
	back_up(b);
	assert_int_equal(b->told[0].cells, 2 * ROWS + 2);
	assert_int_equal(b->told[0].changed, 4);
	assert_true(b->told[0].stored > 0 && b->told[0].stored < full / 10);
	back_up(b);
	assert_int_equal(b->told[0].cells, 2 * ROWS + 2);
	assert_int_equal(b->told[0].changed, 0);
	assert_int_equal(b->told[0].stored, 0);
	/* Rows that went are no new ones. */
	kit_make(b->a, "DELETE FROM t WHERE id = 100; INSERT INTO t VALUES (5000, 'new')");
	back_up(b);
	assert_int_equal(b->told[0].cells, 2 * ROWS + 2);
	assert_int_equal(b->told[0].changed, 2);
}

static void test_changes(void **state)
{
	changes_of(*state);
}

/* Bases come from the repository, where there is no cache; and workers say the same as one. */
static void test_changes_without_a_cache(void **state)
{
	struct box *b = *state;

	b->no_cache = true;
	b->workers = 4;
	changes_of(b);
}

/* Some nights rest on an older one than the last, or on none: what changed since the last is counted all the same. */
static void test_many_nights(void **state)
{
	struct box *b = *state;

	back_up(b);
	for (unsigned night = 1; night <= 20; night++) {
		char sql[100];

		(void)snprintf(sql, sizeof(sql), "UPDATE t SET v = v || 'x' WHERE id = %u",
			       100 + night);
		kit_make(b->a, sql);
		back_up(b);
		assert_int_equal(b->told[0].changed, 2);
	}
}

static void test_two_databases(void **state)
{
	struct box *b = *state;
	uint64_t first_stored;

	kit_make(b->b, "CREATE TABLE u (x); INSERT INTO u VALUES (1), (2), (3)");
	b->workers = 3;
	back_up(b);
	assert_int_equal(b->told_count, 2);
	assert_int_equal(b->told[0].changed, 2 * ROWS + 2);
	assert_int_equal(b->told[1].cells, 4);
	assert_int_equal(b->told[1].changed, 4);
	first_stored = b->told[1].stored;
	assert_true(first_stored > 0 && first_stored < b->told[0].stored / 10);
	kit_make(b->b, "UPDATE u SET x = 9 WHERE x = 2");
	back_up(b);
	assert_int_equal(b->told[0].changed, 0);
	assert_int_equal(b->told[0].stored, 0);
	assert_int_equal(b->told[1].changed, 1);
	/* A copy of what is stored already costs nothing more. */
	{
		size_t len;
		uint8_t *bytes = kit_slurp(b->b, &len);
		char path[400];

		(void)snprintf(path, sizeof(path), "%s/c.db", b->src);
		kit_spew(path, bytes, len);
		free(bytes);
	}
	back_up(b);
	assert_int_equal(b->told_count, 3);
	assert_int_equal(b->told[2].cells, 4);
	assert_int_equal(b->told[2].changed, 0);
	assert_int_equal(b->told[2].stored, 0);
}

/* A payload in pieces: its cell counts once, its pieces' bytes are stored for it. */
static void test_pieces(void **state)
{
	struct box *b = *state;

	kit_make(b->b, "CREATE TABLE u (x); INSERT INTO u VALUES (randomblob(3000000))");
	back_up(b);
	assert_int_equal(b->told[1].cells, 2);
	assert_int_equal(b->told[1].changed, 2);
	assert_true(b->told[1].stored > 3000000);
}

/* A file that only begins as a database has no cells, and is stored all the same. */
static void test_no_cells(void **state)
{
	struct box *b = *state;
	uint8_t bytes[5000] = "SQLite format 3";

	kit_spew(b->a, bytes, sizeof(bytes));
	assert_int_equal(try_backup(b), 0);
	assert_int_equal(b->told_count, 1);
	assert_int_equal(b->told[0].cells, 0);
	assert_int_equal(b->told[0].changed, 0);
	assert_true(b->told[0].stored > 0);
}

/* --- the parent --- */

static void write_note(const struct box *b, const char *text)
{
	char path[400];

	(void)snprintf(path, sizeof(path), "%s/note", b->src);
	kit_spew(path, text, strlen(text));
}

static void test_named_parent(void **state)
{
	struct box *b = *state;
	struct id first, second;
	struct manifest_list list = {0};
	const struct manifest *m;

	write_note(b, "one");
	back_up(b);
	first = b->result.manifest;
	write_note(b, "and two");
	back_up(b);
	second = b->result.manifest;
	back_up(b);
	assert_int_equal(b->result.files_changed, 0);
	b->parent = &first;
	back_up(b);
	assert_int_equal(b->result.files_changed, 1);
	assert_int_equal(b->result.files_unmodified, 1);
	b->parent = &second;
	back_up(b);
	assert_int_equal(b->result.files_changed, 0);
	/* What the next manifest follows is not an operator's to say. */
	MUST(manifests_load(b->c->repo, NULL, NULL, &list, &b->c->err), &b->c->err);
	assert_int_equal(list.count, 5);
	m = &list.items[4].m;
	assert_int_equal(m->sequence, 5);
	assert_int_equal(m->parent_count, 1);
	assert_true(id_eq(&m->parents[0], &list.items[3].name));
	manifest_list_free(&list);
}

/* The first backup under another name rests on nothing, unless it is told what to rest on. */
static void test_parent_of_another_host(void **state)
{
	struct box *b = *state;
	struct id first;
	uint64_t full;

	back_up(b);
	first = b->result.manifest;
	kit_make(b->a, "UPDATE t SET v = replace(v, '0', 'x') WHERE id = 7");
	b->host = "another";
	b->dry_run = true;
	back_up(b);
	full = b->told[0].stored;
	assert_true(b->told[0].changed > 100); /* whole chunks */
	b->parent = &first;
	back_up(b);
	assert_int_equal(b->told[0].changed, 2);
	assert_true(b->told[0].stored < full / 4);
}

static void test_no_such_parent(void **state)
{
	struct box *b = *state;
	struct id none = {{9}};
	size_t objects;

	back_up(b);
	objects = repo_case_count(b->c->inner, STORE_DATA);
	kit_make(b->a, "DELETE FROM t WHERE id = 7");
	b->parent = &none;
	MUST_FAIL(try_backup(b), ERR_MISSING, &b->c->err);
	assert_int_equal(repo_case_count(b->c->inner, STORE_DATA), objects);
	assert_int_equal(repo_case_count(b->c->inner, STORE_SNAPSHOTS), 1);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_first_backup),   CASE(test_changes),       CASE(test_changes_without_a_cache),
	    CASE(test_many_nights),    CASE(test_two_databases), CASE(test_pieces),
	    CASE(test_no_cells),       CASE(test_named_parent),  CASE(test_parent_of_another_host),
	    CASE(test_no_such_parent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
