/* cells_diff: which cells of a chunk are new beside its bases, and any bytes at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/cells_cut.h"
#include "core/cells_diff.h"

#define MOST 4

/* Chunks, written as the codec writes them. */
struct box {
	struct buf chunks[MOST];
};

static int setup(void **state)
{
	*state = calloc(1, sizeof(struct box));
	assert_non_null(*state);
	return 0;
}

static int teardown(void **state)
{
	struct box *box = *state;

	for (size_t i = 0; i < MOST; i++)
		buf_free(&box->chunks[i]);
	free(box);
	return 0;
}

static struct buf *begin(struct box *box, size_t n)
{
	buf_reset(&box->chunks[n]);
	buf_put_u8(&box->chunks[n], CELLS_CHUNK_CELLS);
	return &box->chunks[n];
}

/* A group of a table: a rowid and a payload each; those of an index have rowid 0 and are told by table false. */
static void put_group(struct buf *b, bool table, const int64_t *rowids, const char *const *payloads,
		      size_t count)
{
	buf_put_varint(b, count << 1 | table);
	for (size_t i = 0; table && i < count; i++)
		buf_put_zigzag(b,
			       (int64_t)((uint64_t)rowids[i] - (i ? (uint64_t)rowids[i - 1] : 0)));
	for (size_t i = 0; i < count; i++)
		buf_put_varint(b, strlen(payloads[i]));
	for (size_t i = 0; i < count; i++)
		buf_put(b, payloads[i], strlen(payloads[i]));
}
#define ROWIDS(...) ((const int64_t[]){__VA_ARGS__})
#define TEXTS(...) ((const char *const[]){__VA_ARGS__})

static struct span span_of(const struct buf *b)
{
	return (struct span){b->data, b->len};
}

/* New cells of chunk 0 beside chunks 1 to base_count. */
static uint64_t diff(const struct box *box, size_t base_count)
{
	struct span chunk = span_of(&box->chunks[0]), bases[MOST - 1];
	struct err err = {0};
	uint64_t count = 77;

	for (size_t i = 0; i < base_count; i++)
		bases[i] = span_of(&box->chunks[i + 1]);
	assert_int_equal(cells_diff(&chunk, bases, base_count, &count, &err), 0);
	return count;
}

static void test_without_a_base_all_are_new(void **state)
{
	struct box *box = *state;
	struct buf *b = begin(box, 0);

	assert_int_equal(diff(box, 0), 0);
	put_group(b, true, ROWIDS(1, 2, 9), TEXTS("a", "a", ""), 3);
	put_group(b, false, NULL, TEXTS("k", "k", "k", ""), 4); /* alike ones are cells, too */
	assert_int_equal(diff(box, 0), 7);
	/* Nor does a base without a cell make one known. */
	(void)begin(box, 1);
	assert_int_equal(diff(box, 1), 7);
}

static void test_a_cell_is_its_rowid_and_payload(void **state)
{
	struct box *box = *state;

	put_group(begin(box, 1), true, ROWIDS(-5, 2, 3, 4), TEXTS("a", "b", "c", "d"), 4);
	put_group(begin(box, 0), true, ROWIDS(-5, 2, 3, 4), TEXTS("a", "b", "c", "d"), 4);
	assert_int_equal(diff(box, 1), 0);
	put_group(begin(box, 0), true, ROWIDS(-5, 2, 3, 4), TEXTS("a", "B", "c", "d"), 4);
	assert_int_equal(diff(box, 1), 1);
	put_group(begin(box, 0), true, ROWIDS(-5, 2, 3, 4), TEXTS("a", "b", "c", "dd"), 4);
	assert_int_equal(diff(box, 1), 1);
	put_group(begin(box, 0), true, ROWIDS(-5, 7, 8, 4), TEXTS("a", "b", "c", "d"), 4);
	assert_int_equal(diff(box, 1), 2);
	/* Deleted rows are no new ones, and those behind an inserted one are the same. */
	put_group(begin(box, 0), true, ROWIDS(0, 3, 4), TEXTS("x", "c", "d"), 3);
	assert_int_equal(diff(box, 1), 1);
}

static void test_cells_of_an_index(void **state)
{
	struct box *box = *state;

	put_group(begin(box, 1), false, NULL, TEXTS("apple", "pear"), 2);
	put_group(begin(box, 0), false, NULL, TEXTS("apple", "fig", "pear"), 3);
	assert_int_equal(diff(box, 1), 1);
}

/* What lay in another group, or in another of the chunks, is known. */
static void test_groups_and_bases(void **state)
{
	struct box *box = *state;
	struct buf *b = begin(box, 0);

	put_group(b, true, ROWIDS(1, 2), TEXTS("a", "b"), 2);
	put_group(b, true, ROWIDS(1, 3), TEXTS("x", "y"), 2);
	put_group(b, false, NULL, TEXTS("k"), 1);
	b = begin(box, 1);
	put_group(b, true, ROWIDS(1), TEXTS("x"), 1);
	put_group(b, false, NULL, TEXTS("l", "k"), 2);
	put_group(begin(box, 2), true, ROWIDS(1), TEXTS("a"), 1);
	assert_int_equal(diff(box, 1), 3);
	assert_int_equal(diff(box, 2), 2);
}

static void test_many_cells(void **state)
{
	struct box *box = *state;

	/* More than the set begins with. Of the base each third cell is another. */
	for (size_t n = 0; n < 2; n++) {
		struct buf *b = begin(box, n);
		uint32_t cells = 20000;

		buf_put_varint(b, (uint64_t)cells << 1);
		for (uint32_t i = 0; i < cells; i++)
			buf_put_varint(b, sizeof(i));
		for (uint32_t i = 0; i < cells; i++)
			buf_put_u32(b, n && i % 3 == 0 ? i + cells : i);
	}
	assert_int_equal(diff(box, 1), 6667);
	assert_int_equal(diff(box, 0), 20000);
}

/* A payload of more than 128 KiB is not in its cell's chunk: pieces are no cells, and it is known by its length. */
static void test_pieces(void **state)
{
	struct box *box = *state;
	struct buf *b;

	for (size_t n = 0; n < 2; n++) {
		b = begin(box, n);
		buf_put_varint(b, 2 << 1 | 1);
		buf_put_zigzag(b, 1);
		buf_put_zigzag(b, 1);
		buf_put_varint(b, 1);
		buf_put_varint(b, CELLS_BIG_BYTES + 2 - n);
		buf_put_u8(b, 'a');
	}
	assert_int_equal(diff(box, 0), 2);
	assert_int_equal(diff(box, 1), 1);
	buf_reset(&box->chunks[1]);
	buf_put(&box->chunks[1], box->chunks[0].data, box->chunks[0].len);
	assert_int_equal(diff(box, 1), 0);
	/* A piece that looks like cells. */
	put_group(begin(box, 0), false, NULL, TEXTS("k"), 1);
	box->chunks[0].data[0] = CELLS_CHUNK_PIECE;
	assert_int_equal(diff(box, 0), 0);
	/* As a base it knows nothing. */
	put_group(begin(box, 1), false, NULL, TEXTS("k"), 1);
	box->chunks[1].data[0] = CELLS_CHUNK_PIECE;
	put_group(begin(box, 0), false, NULL, TEXTS("k"), 1);
	assert_int_equal(diff(box, 1), 1);
}

/* Copies of exactly their length, so that a read beyond meets the sanitizer. There are never more cells than bytes. */
static void try_bytes(const uint8_t *bytes, size_t len, const struct span *base)
{
	uint8_t *copy = malloc(len ? len : 1);
	struct span chunk = {copy, len};
	struct err err = {0};
	uint64_t count;

	assert_non_null(copy);
	memcpy(copy, bytes, len);
	assert_int_equal(cells_diff(&chunk, base, 1, &count, &err), 0);
	assert_true(count <= len);
	assert_int_equal(cells_diff(base, &chunk, 1, &count, &err), 0);
	assert_true(count <= base->len);
	free(copy);
}

static void test_any_bytes(void **state)
{
	struct box *box = *state;
	struct buf *b = begin(box, 0);
	struct span base;

	put_group(b, true, ROWIDS(1, INT64_MAX, INT64_MIN), TEXTS("abc", "d", "efg"), 3);
	put_group(b, false, NULL, TEXTS("k", "l"), 2);
	put_group(begin(box, 1), true, ROWIDS(1), TEXTS("abc"), 1);
	base = span_of(&box->chunks[1]);
	for (size_t len = 0; len <= b->len; len++)
		try_bytes(b->data, len, &base);
	for (size_t i = 0; i < b->len; i++) {
		uint8_t kept = b->data[i];

		for (unsigned v = 0; v < 256; v++) {
			b->data[i] = (uint8_t)v;
			try_bytes(b->data, b->len, &base);
		}
		b->data[i] = kept;
	}
	/* A count that nothing could hold. */
	b = begin(box, 0);
	buf_put_varint(b, UINT64_MAX);
	buf_put_zeros(b, 100);
	try_bytes(b->data, b->len, &base);
	assert_int_equal(diff(box, 0), 0);
}

/* What comes before the damage counts. */
static void test_cut_short(void **state)
{
	struct box *box = *state;
	struct buf *b = begin(box, 0);

	put_group(b, false, NULL, TEXTS("k", "l", "m"), 3);
	b->len--;
	assert_int_equal(diff(box, 0), 2);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_without_a_base_all_are_new),
	    CASE(test_a_cell_is_its_rowid_and_payload),
	    CASE(test_cells_of_an_index),
	    CASE(test_groups_and_bases),
	    CASE(test_many_cells),
	    CASE(test_pieces),
	    CASE(test_any_bytes),
	    CASE(test_cut_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
