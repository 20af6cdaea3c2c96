/*
 * Where the streams of cells are cut (FORMAT.md): sizes, and what a change of the database leaves alone. All images are
 * vacuumed, so every change moves cells between pages; what is compared are chunks of cells.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/cellbox.h"
#include "tests/support/dbgrid_fill.h"
#include "tests/support/dbkit.h"
#include "tests/support/must.h"

#define CUT_MIN (16u << 10)
#define CUT_MAX (256u << 10)

#define COUNT(rows)                                                                                \
	"WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < " rows ") "
/* 7 MB and an index of 2 MB. */
#define TABLE "CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB, w TEXT);"
#define INDEX "CREATE INDEX t_w ON t(w);"
#define ROWS COUNT("60000") "INSERT INTO t SELECT i * 2, noise(40 + rnd(90)), hex(noise(9)) FROM c;"

struct fixture {
	struct dbgrid_recipe recipe; /* its numbers feed the SQL functions */
	struct chunker cutter;
	sqlite3 *db;
	struct cellbox before, after;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	uint8_t key[32];

	assert_non_null(f);
	memset(key, 21, sizeof(key));
	chunker_init(&f->cutter, key);
	f->recipe.page_bytes = 4096;
	f->db = kit_open(":memory:");
	dbgrid_functions(f->db, &f->recipe);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	cellbox_free(&f->before);
	cellbox_free(&f->after);
	(void)sqlite3_close(f->db);
	free(f);
	return 0;
}

/* What the codec makes of the database as it is now. */
static struct cells_stats encode_as_it_is(struct fixture *f, const struct chunker *cutter,
					  struct cellbox *out)
{
	struct cells_stats stats = {0};
	struct err err = {0};
	sqlite3_int64 len = 0;
	uint8_t *image = sqlite3_serialize(f->db, "main", &len, 0);

	assert_non_null(image);
	MUST(cellbox_encode(out, image, (size_t)len, cutter, &stats, &err), &err);
	sqlite3_free(image);
	return stats;
}

static struct cells_stats encode(struct fixture *f, const struct chunker *cutter,
				 struct cellbox *out)
{
	kit_exec(f->db, "VACUUM");
	return encode_as_it_is(f, cutter, out);
}

/* --- comparing --- */

static int by_content(const void *a, const void *b)
{
	const struct cellbox_chunk *x = a, *y = b;

	if (x->len != y->len)
		return x->len < y->len ? -1 : 1;
	return memcmp(x->bytes, y->bytes, x->len);
}

static int by_key(const void *a, const void *b)
{
	const struct cellbox_chunk *x = a, *y = b;

	return x->key_hash < y->key_hash ? -1 : x->key_hash > y->key_hash;
}

/* How many data chunks of box have no equal in other. */
static size_t missing_in(const struct cellbox *box, const struct cellbox *other,
			 int (*compare)(const void *, const void *))
{
	size_t count = other->count[CELLS_DATA], missing = 0;
	struct cellbox_chunk *sorted = calloc(count + 1, sizeof(*sorted));

	assert_non_null(sorted);
	assert_true(count > 0);
	memcpy(sorted, other->chunks[CELLS_DATA], count * sizeof(*sorted));
	qsort(sorted, count, sizeof(*sorted), compare);
	for (size_t i = 0; i < box->count[CELLS_DATA]; i++)
		missing +=
		    !bsearch(&box->chunks[CELLS_DATA][i], sorted, count, sizeof(*sorted), compare);
	free(sorted);
	return missing;
}

static size_t small_chunks(const struct cellbox *box)
{
	size_t small = 0;

	for (size_t i = 0; i < box->count[CELLS_DATA]; i++)
		small += box->chunks[CELLS_DATA][i].len < CUT_MIN;
	return small;
}

static void sizes_are_in_bounds(const struct cellbox *box, const struct cells_stats *stats)
{
	uint64_t average = stats->data_bytes / box->count[CELLS_DATA];

	assert_true(stats->data_bytes > (5u << 20));
	for (size_t i = 0; i < box->count[CELLS_DATA]; i++)
		assert_in_range(box->chunks[CELLS_DATA][i].len, 1, CUT_MAX);
	/* A tree's last chunk may be small. */
	assert_true(small_chunks(box) <= stats->trees);
	assert_in_range(average, 40u << 10, 90u << 10);
}

/* --- tests --- */

static void sizes(void **state)
{
	struct fixture *f = *state;
	struct cells_stats stats;

	kit_exec(f->db, TABLE INDEX ROWS);
	stats = encode(f, &f->cutter, &f->before);
	sizes_are_in_bounds(&f->before, &stats);
	assert_true(stats.cells >= 120000);
	kit_exec(
	    f->db,
	    "DROP TABLE t; CREATE TABLE w(a TEXT, b BLOB, PRIMARY KEY(a, b)) WITHOUT ROWID;" COUNT(
		"60000") "INSERT INTO w SELECT hex(noise(12)), noise(rnd(160)) FROM c");
	stats = encode(f, &f->cutter, &f->before);
	sizes_are_in_bounds(&f->before, &stats);
}

/* Keys that all look alike to a weak hash: equal payloads, consecutive rowids; a text index of few values. */
static void sizes_of_dull_data(void **state)
{
	struct fixture *f = *state;
	struct cells_stats stats;

	kit_exec(f->db, "CREATE TABLE t(a, b); CREATE INDEX t_b ON t(b, a);" COUNT(
			    "150000") "INSERT INTO t SELECT 'the same everywhere', i % 3 FROM c");
	stats = encode(f, &f->cutter, &f->before);
	sizes_are_in_bounds(&f->before, &stats);
}

/* Cells whose key takes more room than what they hold. */
static void sizes_of_lean_rows(void **state)
{
	struct fixture *f = *state;
	struct cells_stats stats;

	kit_exec(f->db, "CREATE TABLE t(id INTEGER PRIMARY KEY, a);" COUNT(
			    "500000") "INSERT OR IGNORE INTO t SELECT rnd64(), NULL FROM c");
	stats = encode(f, &f->cutter, &f->before);
	sizes_are_in_bounds(&f->before, &stats);
}

/* In the order made, with their names. Layouts are told apart by the change counter in the header. */
static void streams_are_equal(const struct fixture *f, enum cells_stream stream)
{
	assert_int_equal(f->after.count[stream], f->before.count[stream]);
	for (size_t i = 0; i < f->after.count[stream]; i++) {
		const struct cellbox_chunk *a = &f->before.chunks[stream][i],
					   *b = &f->after.chunks[stream][i];

		assert_int_equal(by_content(a, b), 0);
		assert_true(a->key_hash == b->key_hash);
	}
}

static void same_image_same_chunks(void **state)
{
	struct fixture *f = *state;

	kit_exec(f->db, TABLE INDEX ROWS);
	(void)encode(f, &f->cutter, &f->before);
	(void)encode_as_it_is(f, &f->cutter, &f->after);
	streams_are_equal(f, CELLS_LAYOUT);
	streams_are_equal(f, CELLS_DATA);
	(void)encode(f, &f->cutter, &f->after);
	streams_are_equal(f, CELLS_DATA);
}

static void another_key_other_boundaries(void **state)
{
	struct fixture *f = *state;
	struct chunker other;
	uint8_t key[32];

	memset(key, 22, sizeof(key));
	chunker_init(&other, key);
	kit_exec(f->db, TABLE INDEX ROWS);
	(void)encode(f, &f->cutter, &f->before);
	(void)encode(f, &other, &f->after);
	/* Not one hash of a key, and nearly no chunk: the few at the start of a tree may end alike. */
	assert_int_equal(missing_in(&f->after, &f->before, by_key), f->after.count[CELLS_DATA]);
	assert_true(missing_in(&f->after, &f->before, by_content) * 20 >=
		    f->after.count[CELLS_DATA] * 19);
}

static void few_rows_change_few_chunks(void **state)
{
	struct fixture *f = *state;
	size_t changed;

	kit_exec(f->db, TABLE INDEX ROWS);
	(void)encode(f, &f->cutter, &f->before);
	kit_exec(f->db, "INSERT INTO t VALUES(31001, noise(50), hex(noise(9))), (1, x'', 'A'),"
			" (60001, noise(3000), hex(noise(9)));"
			"DELETE FROM t WHERE id IN (40002, 90000, 90002)");
	(void)encode(f, &f->cutter, &f->after);
	/* Six rows, each in the table and in the index, and for each the chunk behind a boundary that moved. */
	changed = missing_in(&f->after, &f->before, by_content);
	assert_true(changed > 0);
	assert_true(changed <= 24);
	assert_true(f->after.count[CELLS_DATA] > 100);
	assert_true(missing_in(&f->before, &f->after, by_content) <= 24);
}

static void rows_of_a_tree_without_rowids(void **state)
{
	struct fixture *f = *state;

	kit_exec(f->db, "CREATE TABLE w(k TEXT PRIMARY KEY, v) WITHOUT ROWID;" COUNT(
			    "60000") "INSERT INTO w SELECT hex(noise(8)), noise(100) FROM c");
	(void)encode(f, &f->cutter, &f->before);
	kit_exec(f->db, "DELETE FROM w WHERE k IN (SELECT k FROM w LIMIT 2 OFFSET 30000);"
			"INSERT INTO w VALUES('7FFF', noise(70)), ('', 1)");
	(void)encode(f, &f->cutter, &f->after);
	assert_true(missing_in(&f->after, &f->before, by_content) <= 12);
	assert_true(f->after.count[CELLS_DATA] > 60);
}

/* All rows get other payloads of the same length: no boundary moves, and every chunk keeps its name for delta. */
static void update_moves_no_boundary(void **state)
{
	struct fixture *f = *state;

	kit_exec(f->db, TABLE ROWS);
	(void)encode(f, &f->cutter, &f->before);
	kit_exec(f->db, "UPDATE t SET v = noise(length(v))");
	(void)encode(f, &f->cutter, &f->after);
	assert_int_equal(f->after.count[CELLS_DATA], f->before.count[CELLS_DATA]);
	for (size_t i = 0; i < f->after.count[CELLS_DATA]; i++)
		assert_true(f->after.chunks[CELLS_DATA][i].key_hash ==
			    f->before.chunks[CELLS_DATA][i].key_hash);
	assert_true(missing_in(&f->after, &f->before, by_content) + 3 >=
		    f->after.count[CELLS_DATA]);
}

/* Other lengths move a boundary only where the smallest or the largest size decides. */
static void longer_rows_move_few_boundaries(void **state)
{
	struct fixture *f = *state;

	kit_exec(f->db, TABLE ROWS);
	(void)encode(f, &f->cutter, &f->before);
	kit_exec(f->db, "UPDATE t SET v = noise(rnd(200)) WHERE id % 200 = 0");
	(void)encode(f, &f->cutter, &f->after);
	assert_true(missing_in(&f->after, &f->before, by_key) * 20 <= f->after.count[CELLS_DATA]);
	assert_true(missing_in(&f->before, &f->after, by_key) * 20 <= f->before.count[CELLS_DATA]);
}

/* A cell larger than a chunk is cut by what it holds: a byte put in front leaves most of it as it was. */
static void large_cells_are_cut_by_content(void **state)
{
	struct fixture *f = *state;

	kit_exec(f->db, "CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB);"
			"INSERT INTO t VALUES(1, 'a'), (2, noise(20000000)), (3, 'b')");
	(void)encode(f, &f->cutter, &f->before);
	kit_exec(f->db, "UPDATE t SET v = CAST(x'55' || v AS BLOB) WHERE id = 2");
	(void)encode(f, &f->cutter, &f->after);
	assert_true(f->after.count[CELLS_DATA] >= 5);
	assert_true(missing_in(&f->after, &f->before, by_content) * 3 <=
		    f->after.count[CELLS_DATA]);
	for (size_t i = 0; i < f->after.count[CELLS_DATA]; i++)
		assert_true(f->after.chunks[CELLS_DATA][i].len <= CHUNK_MAX_BYTES);
}

/* The first chunk begins with the first row of sqlite_schema, whatever the tree is called that it ends in. */
static void a_key_is_of_its_own_tree(void **state)
{
	struct fixture *f = *state;

	kit_exec(f->db, TABLE ROWS);
	(void)encode(f, &f->cutter, &f->before);
	kit_exec(f->db, "ALTER TABLE t RENAME TO u");
	(void)encode(f, &f->cutter, &f->after);
	assert_true(f->before.chunks[CELLS_DATA][0].key_hash ==
		    f->after.chunks[CELLS_DATA][0].key_hash);
	assert_false(f->before.chunks[CELLS_DATA][1].key_hash ==
		     f->after.chunks[CELLS_DATA][1].key_hash);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(sizes),
	    TEST(sizes_of_dull_data),
	    TEST(sizes_of_lean_rows),
	    TEST(same_image_same_chunks),
	    TEST(another_key_other_boundaries),
	    TEST(few_rows_change_few_chunks),
	    TEST(rows_of_a_tree_without_rowids),
	    TEST(update_moves_no_boundary),
	    TEST(longer_rows_move_few_boundaries),
	    TEST(large_cells_are_cut_by_content),
	    TEST(a_key_is_of_its_own_tree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
