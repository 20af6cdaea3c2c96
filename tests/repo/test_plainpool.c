#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "repo/plainpool.h"
#include "tests/support/must.h"

#define MOST 4000

static struct id number(unsigned n)
{
	struct id id = {{0}};

	memcpy(id.b, &n, sizeof(n));
	return id;
}

static void put(struct plainpool *pool, unsigned n, uint8_t depth, size_t len)
{
	char bytes[2000];
	struct id id = number(n);

	memset(bytes, 'a' + (int)(n % 26), sizeof(bytes));
	plainpool_put(pool, 1, &id, depth, bytes, len);
	assert_true(plainpool_bytes(pool) <= MOST);
}

static bool has(struct plainpool *pool, unsigned n, unsigned below)
{
	struct span plain;
	struct id id = number(n);

	if (!plainpool_get(pool, 1, &id, below, &plain))
		return false;
	for (size_t i = 0; i < plain.len; i++)
		assert_int_equal(plain.p[i], 'a' + n % 26);
	return true;
}

static void the_least_used_goes(void **state)
{
	struct plainpool *pool = NULL;
	struct err err = {0};

	(void)state;
	MUST(plainpool_new(MOST, &pool, &err), &err);
	for (unsigned n = 0; n < 4; n++)
		put(pool, n, 0, 1000);
	assert_int_equal(plainpool_bytes(pool), 4000);
	assert_true(has(pool, 0, 256));
	put(pool, 4, 0, 1000);
	assert_true(has(pool, 0, 256) && has(pool, 4, 256));
	assert_false(has(pool, 1, 256));
	put(pool, 5, 0, 1001); /* too large to be worth it */
	assert_false(has(pool, 5, 256));
	assert_true(has(pool, 2, 256));
	put(pool, 6, 0, 0);
	assert_true(has(pool, 6, 256));
	plainpool_free(pool);
	plainpool_free(NULL);
}

static void many_small_ones_are_bounded_too(void **state)
{
	struct plainpool *pool = NULL;
	struct err err = {0};

	(void)state;
	MUST(plainpool_new(MOST, &pool, &err), &err);
	for (unsigned n = 0; n < 3000; n++)
		put(pool, n, 0, 1);
	assert_true(has(pool, 2999, 256));
	assert_false(has(pool, 0, 256));
	plainpool_free(pool);
}

/* What was decoded from a deep place is no answer to one that may only use lower ones. */
static void depth_counts(void **state)
{
	struct plainpool *pool = NULL;
	struct err err = {0};
	struct span plain;
	struct id id = number(1);

	(void)state;
	MUST(plainpool_new(MOST, &pool, &err), &err);
	put(pool, 1, 5, 10);
	assert_false(has(pool, 1, 5));
	assert_true(has(pool, 1, 6));
	put(pool, 1, 9, 10); /* worse: changes nothing */
	assert_true(has(pool, 1, 6));
	put(pool, 1, 2, 10);
	assert_true(has(pool, 1, 3));
	assert_int_equal(plainpool_bytes(pool), 10);
	assert_false(plainpool_get(pool, 2, &id, 256, &plain)); /* of another kind */
	plainpool_free(pool);
}

/* Bytes go in without a copy, and what they push out comes back as memory. */
static void memory_goes_round(void **state)
{
	struct plainpool *pool = NULL;
	struct err err = {0};
	struct buf plain = {0}, large = {0};
	struct id id = number(1);
	const uint8_t *first = NULL, *second = NULL;
	struct span got;

	(void)state;
	MUST(plainpool_new(2048, &pool, &err), &err);
	for (unsigned n = 1; n <= 4; n++) {
		id = number(n);
		buf_put_zeros(&plain, 500);
		first = n == 1 ? plain.data : first;
		second = n == 2 ? plain.data : second;
		assert_true(plainpool_give(pool, 1, &id, 3, &plain));
		assert_int_equal(plain.len, 0);
		assert_null(plain.data);
		assert_int_equal(plainpool_bytes(pool), n * 512);
	}
	buf_put_zeros(&plain, 10);
	assert_false(plainpool_give(pool, 1, &id, 3, &plain)); /* is there */
	assert_int_equal(plain.len, 10);
	buf_free(&plain);
	buf_put_zeros(&plain, 500);
	assert_true(plainpool_give(pool, 1, &id, 2, &plain)); /* is better, but takes its place */
	assert_null(plain.data);
	id = number(5);
	buf_put_zeros(&plain, 400);
	assert_true(plainpool_give(pool, 1, &id, 3, &plain));
	assert_ptr_equal(plain.data, first);
	assert_int_equal(plain.len, 0);
	assert_false(has(pool, 1, 256));
	assert_true(plainpool_get(pool, 1, &id, 256, &got) && got.len == 400);
	buf_put_zeros(&large, 513);
	assert_false(plainpool_give(pool, 1, &id, 1, &large)); /* not worth it */
	assert_true(plainpool_get(pool, 1, &id, 256, &got) && got.len == 400);
	id = number(6);
	buf_put_zeros(&plain, 500);
	assert_true(plainpool_give(pool, 1, &id, 3, &plain));
	assert_ptr_equal(plain.data, second);
	buf_free(&plain);
	buf_free(&large);
	plainpool_free(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_least_used_goes),
	    cmocka_unit_test(many_small_ones_are_bounded_too),
	    cmocka_unit_test(depth_counts),
	    cmocka_unit_test(memory_goes_round),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
