/* parity: known tails, the code by all that can be lost, and a quick part of the grid of tests/crash/test_parity_grid.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <xxhash.h>

#include "core/header.h"
#include "core/parity.h"
#include "core/parity_layout.h"
#include "core/sha256.h"
#include "tests/support/must.h"
#include "tests/support/parity_grid.h"
#include "tests/support/vector.h"

#define BLOCKS (PARITY_CODE_DATA + PARITY_CODE_ROWS)

static void test_known_tails(void **state)
{
	static const struct {
		int kind;
		size_t blocks;
	} tails[] = {{1, 1},  {1, 2},   {1, 5},   {1, 7}, {2, 8},  {2, 33}, {2, 64},
		     {2, 65}, {2, 130}, {2, 600}, {4, 8}, {4, 64}, {4, 65}, {4, 520}};

	(void)state;
	for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
		enum parity_kind kind = (enum parity_kind)tails[i].kind;
		struct buf object = parity_grid_object(kind, tails[i].blocks), want;
		size_t body = tails[i].blocks * PARITY_BLOCK_BYTES;
		struct err err = {0};
		struct id digest;
		char name[32];

		(void)snprintf(name, sizeof(name), "tail_%d_%zu", tails[i].kind, tails[i].blocks);
		want = vector_get("parity.txt", name);
		assert_int_equal(object.len - body, parity_tail_bytes(kind, body));
		MUST(sha256_of(object.data + body, object.len - body, &digest, &err), &err);
		assert_int_equal(want.len, ID_BYTES);
		assert_memory_equal(digest.b, want.data, ID_BYTES);
		buf_free(&object);
		buf_free(&want);
	}
}

/* --- the code --- */

struct stripe {
	uint8_t blocks[BLOCKS][PARITY_BLOCK_BYTES]; /* data, then parity */
	unsigned rows;
};

static struct stripe *stripe_new(unsigned rows)
{
	struct stripe *s = calloc(1, sizeof(*s));
	const uint8_t *data[PARITY_CODE_DATA];
	uint32_t x = 7;

	assert_non_null(s);
	s->rows = rows;
	for (unsigned i = 0; i < PARITY_CODE_DATA; i++) {
		for (size_t k = 0; k < PARITY_BLOCK_BYTES; k++)
			s->blocks[i][k] = (uint8_t)((x = x * 1664525u + 1013904223u) >> 24);
		data[i] = s->blocks[i];
	}
	for (unsigned row = 0; row < rows; row++)
		parity_code_put(data, PARITY_CODE_DATA, row, s->blocks[PARITY_CODE_DATA + row]);
	return s;
}

static bool is_in(const unsigned *set, size_t count, unsigned n)
{
	bool in = false;

	for (size_t i = 0; i < count; i++)
		in = in || set[i] == n;
	return in;
}

/* Loses these blocks of the stripe, and has the data back. */
static bool solves(const struct stripe *s, const unsigned *gone, size_t count)
{
	static uint8_t back[PARITY_CODE_DATA][PARITY_BLOCK_BYTES];
	const uint8_t *data[PARITY_CODE_DATA], *parity[PARITY_CODE_ROWS];
	unsigned lost[PARITY_CODE_DATA];
	uint8_t *out[PARITY_CODE_DATA];
	size_t n = 0;
	bool good;

	for (unsigned i = 0; i < PARITY_CODE_DATA; i++) {
		data[i] = is_in(gone, count, i) ? NULL : s->blocks[i];
		out[i] = back[i];
		if (!data[i])
			lost[n++] = i;
	}
	for (unsigned i = 0; i < s->rows; i++)
		parity[i] = is_in(gone, count, PARITY_CODE_DATA + i)
				? NULL
				: s->blocks[PARITY_CODE_DATA + i];
	good = parity_code_solve(data, PARITY_CODE_DATA, parity, s->rows, lost, n, out);
	for (size_t i = 0; good && i < n; i++)
		good = memcmp(back[i], s->blocks[lost[i]], PARITY_BLOCK_BYTES) == 0;
	return good;
}

static void test_all_pairs(void **state)
{
	struct stripe *s = stripe_new(2);
	const unsigned three[] = {1, 5, 9};

	(void)state;
	for (unsigned a = 0; a < PARITY_CODE_DATA + 2; a++) {
		for (unsigned b = a; b < PARITY_CODE_DATA + 2; b++) {
			const unsigned gone[] = {a, b};

			if (!solves(s, gone, 1u + (a != b)))
				fail_msg("%u and %u do not come back", a, b);
		}
	}
	assert_false(solves(s, three, 3));
	free(s);
}

static void test_random_quadruples(void **state)
{
	struct stripe *s = stripe_new(4);
	const unsigned five[] = {1, 5, 9, 12, 13};
	uint32_t x = 11;

	(void)state;
	for (unsigned round = 0; round < 1500; round++) {
		unsigned gone[4];

		for (size_t i = 0; i < 4; i++)
			gone[i] = ((x = x * 1664525u + 1013904223u) >> 8) % BLOCKS;
		if (!solves(s, gone, 4))
			fail_msg("%u %u %u %u do not come back", gone[0], gone[1], gone[2],
				 gone[3]);
	}
	assert_false(solves(s, five, 5));
	free(s);
}

static uint8_t det(uint8_t m[4][4], size_t n)
{
	uint8_t sum = 0;

	if (n == 1)
		return m[0][0];
	for (size_t k = 0; k < n; k++) {
		uint8_t minor[4][4] = {{0}};

		for (size_t i = 1; i < n; i++) {
			for (size_t j = 0, to = 0; j < n; j++) {
				if (j != k)
					minor[i - 1][to++] = m[i][j];
			}
		}
		sum ^= parity_code_mul(m[0][k], det(minor, n - 1));
	}
	return sum;
}

/* Which rows are there, and which columns are lost: no such part of the matrix is singular, so everything comes back. */
static void check_minors(const unsigned *rows, size_t n)
{
	unsigned columns[4] = {0, 1, 2, 3};
	uint8_t m[4][4] = {{0}}, factors[4][PARITY_CODE_DATA];
	size_t at;

	for (size_t i = 0; i < n; i++) {
		for (unsigned k = 0; k < PARITY_CODE_DATA; k++)
			factors[i][k] = parity_code_factor(rows[i], k);
	}
	do {
		for (size_t i = 0; i < n; i++) {
			for (size_t k = 0; k < n; k++)
				m[i][k] = factors[i][columns[k]];
		}
		if (det(m, n) == 0)
			fail_msg("columns %u %u %u with %zu rows", columns[0], columns[1],
				 columns[2], n);
		/* The next choice, in order. */
		for (at = n; at > 0 && columns[at - 1] == PARITY_CODE_DATA - n + at - 1;)
			at--;
		if (at == 0)
			break;
		columns[at - 1]++;
		for (; at < n; at++)
			columns[at] = columns[at - 1] + 1;
	} while (true);
}

static void test_no_singular_part(void **state)
{
	(void)state;
	for (unsigned a = 0; a < 4; a++) {
		check_minors(&a, 1);
		for (unsigned b = a + 1; b < 4; b++) {
			check_minors((const unsigned[]){a, b}, 2);
			for (unsigned c = b + 1; c < 4; c++)
				check_minors((const unsigned[]){a, b, c}, 3);
		}
	}
	check_minors((const unsigned[]){0, 1, 2, 3}, 4);
}

/* --- the tail --- */

static void test_kinds(void **state)
{
	(void)state;
	for (uint64_t level = 0; level < 256; level++)
		assert_int_equal(parity_is_level(level), level == 0 || level == 2 || level == 4);
	assert_int_equal(parity_kind_of(0, 4096), PARITY_NONE);
	assert_int_equal(parity_kind_of(2, 4096), PARITY_COPY);
	assert_int_equal(parity_kind_of(4, 28 << 10), PARITY_COPY);
	assert_int_equal(parity_kind_of(2, 32 << 10), PARITY_TWO);
	assert_int_equal(parity_kind_of(4, 64 << 20), PARITY_FOUR);
	assert_int_equal(parity_tail_bytes(PARITY_NONE, 4096), 0);
	assert_int_equal(parity_tail_bytes(PARITY_COPY, 4096), 4096 + 2 * 24);
	assert_int_equal(parity_tail_bytes(PARITY_COPY, 32 << 10), 0);
	assert_int_equal(parity_tail_bytes(PARITY_COPY, 4095), 0);
	assert_int_equal(parity_tail_bytes(PARITY_COPY, 0), 0);
	assert_int_equal(parity_tail_bytes(PARITY_TWO, 28 << 10), 0);
	assert_int_equal(parity_tail_bytes(PARITY_TWO, 32 << 10), 4 * 4096);
	assert_int_equal(parity_tail_bytes(PARITY_TWO, 256 << 10), 4 * 4096);
	assert_int_equal(parity_tail_bytes(PARITY_FOUR, 16 << 20), (256 + 2 * 9) * 4096);
	assert_int_equal(parity_tail_bytes((enum parity_kind)3, 256 << 10), 0);
	/* Body and tail together are no more than a pack may be. */
	assert_int_equal(parity_tail_bytes(PARITY_TWO, 64 << 20), 0);
	assert_int_not_equal(parity_tail_bytes(PARITY_FOUR, 60 << 20), 0);
}

static void test_what_has_no_tail(void **state)
{
	struct buf object = {0};
	struct err err = {0};

	(void)state;
	buf_put_zeros(&object, 4096);
	MUST(parity_put(PARITY_NONE, 0, &object, &err), &err);
	assert_int_equal(object.len, 4096);
	MUST_FAIL(parity_put(PARITY_TWO, 0, &object, &err), ERR_USAGE, &err);
	MUST_FAIL(parity_put(PARITY_COPY, 1, &object, &err), ERR_USAGE, &err);
	assert_int_equal(object.len, 4096);
	buf_free(&object);
}

/* Behind other bytes, before which nothing is touched. */
static void test_behind_others(void **state)
{
	struct buf object = {0}, out = {0}, alone = parity_grid_object(PARITY_COPY, 2);
	struct parity_mended mended;
	struct err err = {0};
	struct id name;

	(void)state;
	buf_put(&object, "before", 6);
	buf_put(&object, alone.data, 8192);
	MUST(parity_put(PARITY_COPY, 6, &object, &err), &err);
	assert_int_equal(object.len, 6 + alone.len);
	assert_memory_equal(object.data + 6, alone.data, alone.len);
	MUST(sha256_of(alone.data, alone.len, &name, &err), &err);
	buf_put(&out, "before", 6);
	alone.data[5000] ^= 4;
	alone.data[alone.len - 1] ^= 4;
	MUST(parity_mend(alone.data, alone.len, &name, &out, &mended, &err), &err);
	assert_int_equal(out.len, object.len);
	assert_memory_equal(out.data, object.data, out.len);
	assert_int_equal(mended.blocks, 2);
	assert_int_equal(mended.of, 5);
	/* What nothing of the name can be made of is refused, and out is left alone. */
	name.b[0] ^= 1;
	MUST_FAIL(parity_mend(alone.data, alone.len, &name, &out, &mended, &err), ERR_DAMAGED,
		  &err);
	assert_int_equal(out.len, object.len);
	buf_free(&object);
	buf_free(&out);
	buf_free(&alone);
}

static void must_mend(const struct buf *damaged, const struct buf *whole)
{
	struct parity_mended mended;
	struct buf out = {0};
	struct err err = {0};
	struct id name;

	MUST(sha256_of(whole->data, whole->len, &name, &err), &err);
	MUST(parity_mend(damaged->data, damaged->len, &name, &out, &mended, &err), &err);
	assert_int_equal(out.len, whole->len);
	assert_memory_equal(out.data, whole->data, out.len);
	buf_free(&out);
}

/* No sum tells any more which copy is good: each is tried, and the name judges. */
static void test_either_copy_without_sums(void **state)
{
	struct buf whole = parity_grid_object(PARITY_COPY, 2);
	const size_t half = whole.len / 2;

	(void)state;
	for (size_t copy = 0; copy < 2; copy++) {
		struct buf damaged = {0};

		buf_put(&damaged, whole.data, whole.len);
		damaged.data[half - 1] ^= 4;
		damaged.data[whole.len - 1] ^= 4;
		damaged.data[copy * half + 100] ^= 4;
		must_mend(&damaged, &whole);
		buf_free(&damaged);
	}
	buf_free(&whole);
}

/* A segment that is whole, but another's, gives no sums of blocks that it does not speak of. */
static void test_swapped_segments(void **state)
{
	struct buf whole = parity_grid_object(PARITY_TWO, 600), damaged = {0};
	uint8_t *first, *second, swap[PARITY_SEGMENT_BYTES];
	struct parity_layout l;

	(void)state;
	assert_true(parity_layout_of(PARITY_TWO, 600, &l));
	assert_true(l.segments >= 2);
	buf_put(&damaged, whole.data, whole.len);
	first = damaged.data + parity_layout_segment(&l, 0, 0);
	second = damaged.data + parity_layout_segment(&l, 0, 1);
	memcpy(swap, first, sizeof(swap));
	memcpy(first, second, sizeof(swap));
	memcpy(second, swap, sizeof(swap));
	must_mend(&damaged, &whole);
	buf_free(&whole);
	buf_free(&damaged);
}

/* --- the grid --- */

static void grid_of(struct parity_grid *g, enum parity_kind kind, size_t blocks, unsigned rounds)
{
	parity_grid_single(g, kind, blocks, 4 * rounds);
	parity_grid_bursts(g, kind, blocks, 3, rounds);
	parity_grid_scattered(g, kind, blocks, rounds);
	parity_grid_lengths(g, kind, blocks);
	parity_grid_tables(g, kind, blocks);
}

static void test_grid(void **state)
{
	struct parity_grid g = {0};

	(void)state;
	grid_of(&g, PARITY_COPY, 1, 8);
	grid_of(&g, PARITY_COPY, 2, 8);
	grid_of(&g, PARITY_COPY, 5, 4);
	grid_of(&g, PARITY_COPY, 7, 4);
	grid_of(&g, PARITY_TWO, 8, 4);
	grid_of(&g, PARITY_FOUR, 8, 4);
	grid_of(&g, PARITY_TWO, 33, 3);
	grid_of(&g, PARITY_TWO, 64, 3);
	grid_of(&g, PARITY_TWO, 65, 3);
	grid_of(&g, PARITY_FOUR, 64, 2);
	grid_of(&g, PARITY_FOUR, 130, 2);
	grid_of(&g, PARITY_TWO, 600, 1);
	parity_grid_print(&g, "quick grid");
}

static bool segment(uint32_t blocks, uint8_t kind, uint8_t zero, uint16_t number, size_t len)
{
	uint8_t bytes[PARITY_SEGMENT_BYTES] = {0},
		*end = bytes + sizeof(bytes) - PARITY_SEGMENT_END;
	struct parity_layout l;
	uint64_t sum;
	size_t k;

	memcpy(end, &blocks, 4);
	end[4] = kind;
	end[5] = zero;
	memcpy(end + 6, &number, 2);
	sum = XXH3_64bits(bytes, sizeof(bytes) - 8);
	memcpy(end + 8, &sum, 8);
	memmove(bytes + len - PARITY_SEGMENT_END, end, PARITY_SEGMENT_END);
	return parity_segment_get(bytes, len, &l, &k);
}

/* What its sum vouches for and cannot be. */
static void test_segments(void **state)
{
	(void)state;
	assert_true(segment(64, PARITY_TWO, 0, 0, PARITY_SEGMENT_BYTES));
	assert_true(segment(3, PARITY_COPY, 0, 0, 3 * 8 + PARITY_SEGMENT_END));
	assert_false(segment(64, PARITY_TWO, 1, 0, PARITY_SEGMENT_BYTES));
	assert_false(segment(64, PARITY_TWO, 0, 1, PARITY_SEGMENT_BYTES));
	assert_false(segment(64, PARITY_NONE, 0, 0, PARITY_SEGMENT_BYTES));
	assert_false(segment(64, 3, 0, 0, PARITY_SEGMENT_BYTES));
	assert_false(segment(0, PARITY_COPY, 0, 0, PARITY_SEGMENT_BYTES));
	assert_false(segment(UINT32_MAX, PARITY_TWO, 0, 0, PARITY_SEGMENT_BYTES));
	assert_false(segment(7, PARITY_TWO, 0, 0, PARITY_SEGMENT_BYTES));
	assert_false(segment(8, PARITY_COPY, 0, 0, 8 * 8 + PARITY_SEGMENT_END));
	assert_true(segment(8, PARITY_TWO, 0, 0, PARITY_SEGMENT_BYTES));
	assert_false(segment(3, PARITY_COPY, 0, 0, PARITY_SEGMENT_BYTES));
	assert_false(parity_segment_get(NULL, PARITY_SEGMENT_END - 1, NULL, NULL));
	assert_false(parity_segment_get(NULL, PARITY_SEGMENT_BYTES + 1, NULL, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_known_tails),
	    cmocka_unit_test(test_all_pairs),
	    cmocka_unit_test(test_random_quadruples),
	    cmocka_unit_test(test_no_singular_part),
	    cmocka_unit_test(test_kinds),
	    cmocka_unit_test(test_what_has_no_tail),
	    cmocka_unit_test(test_segments),
	    cmocka_unit_test(test_behind_others),
	    cmocka_unit_test(test_either_copy_without_sums),
	    cmocka_unit_test(test_swapped_segments),
	    cmocka_unit_test(test_grid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
