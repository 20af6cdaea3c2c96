#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "core/chunker.h"
#include "tests/support/vector.h"

#define STREAM_BYTES (12u << 20)

/* The stream of gen_pack.py. The caller frees it. */
static uint8_t *stream_of(uint8_t seed, size_t len)
{
	uint8_t key[32], nonce[24] = {0}, *p = malloc(len);

	assert_non_null(p);
	memset(key, seed, sizeof(key));
	crypto_stream_xchacha20(p, len, nonce, key);
	return p;
}

static struct chunker known_chunker(void)
{
	struct buf key = vector_get("chunker.txt", "chunker_key");
	struct chunker c;

	chunker_init(&c, key.data);
	buf_free(&key);
	return c;
}

/* FORMAT.md §7 word for word, from the first byte. */
static size_t cut_slowly(const struct chunker *c, const uint8_t *p, size_t len)
{
	uint64_t h = 0;

	for (size_t n = 1; n <= len; n++) {
		h = 2 * h + c->gear[p[n - 1]];
		if (n == CHUNK_MAX_BYTES)
			return n;
		if (n >= CHUNK_MIN_BYTES &&
		    (h * c->multiplier) >> (64 - (n < CHUNK_AVG_BYTES ? 22 : 18)) == 0)
			return n;
	}
	return len;
}

static void tables_are_known(void **state)
{
	struct buf gear = vector_get("chunker.txt", "gear");
	struct buf tree_key = vector_get("chunker.txt", "tree_key");
	struct buf multiplier = vector_get("chunker.txt", "multiplier");
	struct chunker c = known_chunker();
	struct rd r = rd_of(gear.data, gear.len);

	(void)state;
	for (size_t i = 0; i < 256; i++)
		assert_true(c.gear[i] == rd_u64(&r));
	assert_memory_equal(c.tree_key, tree_key.data, 16);
	r = rd_of(multiplier.data, multiplier.len);
	assert_true(c.multiplier == rd_u64(&r));
	assert_true(c.multiplier & 1);
	chunker_wipe(&c);
	for (size_t i = 0; i < 256; i++)
		assert_true(c.gear[i] == 0);
	buf_free(&gear);
	buf_free(&tree_key);
	buf_free(&multiplier);
}

static void cuts_are_known(void **state)
{
	struct buf cuts = vector_get("chunker.txt", "cuts");
	struct chunker c = known_chunker();
	uint8_t *data = stream_of(7, STREAM_BYTES);
	struct rd r = rd_of(cuts.data, cuts.len);
	size_t at = 0;

	(void)state;
	assert_true(cuts.len / 4 > 5);
	while (at < STREAM_BYTES) {
		at += chunker_cut(&c, data + at, STREAM_BYTES - at);
		assert_int_equal(at, rd_u32(&r));
	}
	assert_int_equal(r.left, 0);
	free(data);
	buf_free(&cuts);
}

static void cuts_follow_the_rule_in_any_data(void **state)
{
	struct chunker c = known_chunker();
	uint8_t *data = stream_of(8, STREAM_BYTES);

	(void)state;
	/* Text-like, periodic and constant data; starts that are not aligned. */
	for (size_t i = 0; i < (3u << 20); i++)
		data[i] = (uint8_t)('a' + data[i] % 3);
	for (size_t i = 0; i < (2u << 20); i++)
		data[(3u << 20) + i] = (uint8_t)(i % 251);
	for (size_t at = 0; at < STREAM_BYTES; at += 777777)
		assert_int_equal(chunker_cut(&c, data + at, STREAM_BYTES - at),
				 cut_slowly(&c, data + at, STREAM_BYTES - at));
	memset(data, 0, STREAM_BYTES);
	assert_int_equal(chunker_cut(&c, data, STREAM_BYTES), cut_slowly(&c, data, STREAM_BYTES));
	free(data);
}

/* Every length around the places where the rule changes, and around the cut itself. */
static void short_streams_end_where_they_end(void **state)
{
	struct chunker c = known_chunker();
	uint8_t *data = stream_of(7, STREAM_BYTES);
	size_t cut = chunker_cut(&c, data, STREAM_BYTES);
	const size_t lens[] = {CHUNK_MIN_BYTES - 65,
			       CHUNK_MIN_BYTES - 64,
			       CHUNK_MIN_BYTES - 1,
			       CHUNK_MIN_BYTES,
			       CHUNK_MIN_BYTES + 1,
			       CHUNK_AVG_BYTES - 1,
			       CHUNK_AVG_BYTES,
			       CHUNK_AVG_BYTES + 1,
			       cut - 1,
			       cut,
			       cut + 1,
			       0,
			       1,
			       63,
			       64};

	(void)state;
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++)
		assert_int_equal(chunker_cut(&c, data, lens[i]), lens[i] < cut ? lens[i] : cut);
	free(data);
}

/*
 * A cut exactly at the least length, just below and at the average, each forced by choosing the multiplier: with 0
 * every allowed place is a cut, so the first one shows where the rule begins.
 */
static void the_first_allowed_cut_is_at_the_least_length(void **state)
{
	struct chunker c = known_chunker();
	uint8_t *data = stream_of(7, STREAM_BYTES);

	(void)state;
	c.multiplier = 0;
	assert_int_equal(chunker_cut(&c, data, STREAM_BYTES), CHUNK_MIN_BYTES);
	/* gear and multiplier of 1: after 64 bytes h is all ones, which is never a cut. */
	for (size_t i = 0; i < 256; i++)
		c.gear[i] = 1;
	c.multiplier = 1;
	assert_int_equal(chunker_cut(&c, data, STREAM_BYTES), CHUNK_MAX_BYTES);
	assert_int_equal(chunker_cut(&c, data, CHUNK_MAX_BYTES - 1), CHUNK_MAX_BYTES - 1);
	/* A product with 20 leading zero bits: a cut for 18 bits, none for 22. */
	c.multiplier = UINT64_MAX - ((UINT64_C(1) << 43) - 1);
	assert_int_equal(chunker_cut(&c, data, STREAM_BYTES), CHUNK_AVG_BYTES);
	free(data);
}

static void chunks_are_about_a_mebibyte(void **state)
{
	const size_t len = 96u << 20;
	struct chunker c = known_chunker();
	uint8_t *data = stream_of(9, len);
	size_t at = 0, count = 0;

	(void)state;
	for (; at < len; count++) {
		size_t cut = chunker_cut(&c, data + at, len - at);

		assert_true(cut <= CHUNK_MAX_BYTES);
		assert_true(cut >= CHUNK_MIN_BYTES || at + cut == len);
		at += cut;
	}
	assert_in_range(len / count, CHUNK_AVG_BYTES * 3 / 4, CHUNK_AVG_BYTES * 5 / 4);
	free(data);
}

/* An insertion near the front changes chunks near it, and the rest are the same again. */
static void an_insertion_moves_few_cuts(void **state)
{
	const size_t len = 32u << 20, shift = 1000;
	struct chunker c = known_chunker();
	uint8_t *a = stream_of(10, len), *b = malloc(len + shift);
	size_t at_a = 0, at_b = 0, same = 0, total = 0;

	(void)state;
	assert_non_null(b);
	memset(b, 'x', shift);
	memcpy(b + shift, a, len);
	while (at_a < len) {
		size_t cut_a = at_a + chunker_cut(&c, a + at_a, len - at_a);

		while (at_b < cut_a + shift)
			at_b += chunker_cut(&c, b + at_b, len + shift - at_b);
		same += at_b == cut_a + shift;
		total++;
		at_a = cut_a;
	}
	assert_true(total >= 20);
	assert_true(same >= total - 8);
	free(a);
	free(b);
}

static void tree_nodes_end_as_known(void **state)
{
	struct buf ends = vector_get("chunker.txt", "tree_ends");
	struct chunker c = known_chunker();
	struct rd r = rd_of(ends.data, ends.len);
	uint8_t level = rd_u8(&r);
	unsigned next = rd_u16(&r);
	char name[32];

	(void)state;
	for (uint8_t l = 0; l < 2; l++) {
		for (unsigned n = 0; n < 3000; n++) {
			int len = snprintf(name, sizeof(name), "name-%u", n);
			bool known = l == level && n == next;

			assert_int_equal(chunker_tree_ends(&c, l, name, (size_t)len, 100, 3),
					 known);
			if (known) {
				level = rd_u8(&r);
				next = rd_u16(&r);
			}
		}
	}
	assert_true(r.bad);
	buf_free(&ends);
}

static void nodes_end_at_their_limits(void **state)
{
	struct chunker c = known_chunker();
	char longest[LIMIT_NAME_BYTES + 10];
	struct id child;

	(void)state;
	assert_false(chunker_tree_ends(&c, 0, "name-0", 6, 262143, 32767));
	assert_true(chunker_tree_ends(&c, 0, "name-0", 6, 262144, 1));
	assert_true(chunker_tree_ends(&c, 0, "name-0", 6, 1, 32768));
	memset(longest, 'l', sizeof(longest));
	assert_int_equal(chunker_tree_ends(&c, 0, longest, sizeof(longest), 1, 1),
			 chunker_tree_ends(&c, 0, longest, LIMIT_NAME_BYTES, 1, 1));
	(void)chunker_tree_ends(&c, 0, NULL, 0, 1, 1);
	memset(child.b, 0xff, sizeof(child.b));
	assert_false(chunker_list_ends(&child, 4095));
	assert_true(chunker_list_ends(&child, 4096));
	/* 2^55 little-endian is byte 6 = 0x80; one less is below. */
	memset(child.b, 0, 8);
	child.b[6] = 0x80;
	assert_false(chunker_list_ends(&child, 1));
	memset(child.b, 0xff, 6);
	child.b[6] = 0x7f;
	assert_true(chunker_list_ends(&child, 1));
	child.b[7] = 1;
	assert_false(chunker_list_ends(&child, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(tables_are_known),
	    cmocka_unit_test(cuts_are_known),
	    cmocka_unit_test(cuts_follow_the_rule_in_any_data),
	    cmocka_unit_test(short_streams_end_where_they_end),
	    cmocka_unit_test(the_first_allowed_cut_is_at_the_least_length),
	    cmocka_unit_test(chunks_are_about_a_mebibyte),
	    cmocka_unit_test(an_insertion_moves_few_cuts),
	    cmocka_unit_test(tree_nodes_end_as_known),
	    cmocka_unit_test(nodes_end_at_their_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
