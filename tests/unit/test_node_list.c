/* node: chunk-list bodies, and bodies against the lists that they refer to (FORMAT.md §7). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/node.h"
#include "tests/support/bytes.h"
#include "tests/support/nodes.h"
#include "tests/vectors/node.inc"

/* --- bodies against lists --- */

static int check_tree(const char *hex, const uint8_t *kinds, size_t count)
{
	struct chunk_ref children[16] = {0};
	struct tree_body body = {0};
	struct err err = {0};
	struct buf b = {0};
	int rc;

	for (size_t i = 0; i < count; i++)
		children[i].kind = kinds[i];
	bytes_put_hex(&b, hex);
	assert_int_equal(tree_body_get(b.data, b.len, &body, &err), 0);
	rc = tree_body_check(&body, children, count, &err);
	tree_body_free(&body);
	buf_free(&b);
	return rc;
}

static void test_tree_against_list(void **state)
{
	uint8_t kinds[9] = {3, 1, 1, 4, 1, 2, 1, 2, 1};

	(void)state;
	assert_int_equal(check_tree(tree_hex, kinds, 8), 0);
	assert_int_equal(check_tree(tree_hex, kinds, 7), -ERR_DAMAGED);
	assert_int_equal(check_tree(tree_hex, kinds, 9), -ERR_DAMAGED);
	assert_int_equal(check_tree(tree_hex, kinds, 0), -ERR_DAMAGED);
	for (size_t i = 0; i < 8; i++) {
		uint8_t kept = kinds[i];

		kinds[i] = kept == 4 ? 1 : 4;
		assert_int_equal(check_tree(tree_hex, kinds, 8), -ERR_DAMAGED);
		kinds[i] = kept;
	}
	assert_int_equal(check_tree(inner_hex, (const uint8_t[]){3, 2, 2}, 3), 0);
	assert_int_equal(check_tree(inner_hex, (const uint8_t[]){3, 2, 1}, 3), -ERR_DAMAGED);
	assert_int_equal(check_tree(inner_hex, (const uint8_t[]){5, 2, 2}, 3), -ERR_DAMAGED);
	assert_int_equal(check_tree(inner_hex, (const uint8_t[]){3, 2}, 2), -ERR_DAMAGED);
}

static int check_list(const char *hex, const uint8_t *kinds, size_t count)
{
	struct chunk_ref children[16] = {0};
	struct list_body body = {0};
	struct err err = {0};
	struct buf b = {0};
	int rc;

	for (size_t i = 0; i < count; i++)
		children[i].kind = kinds[i];
	bytes_put_hex(&b, hex);
	assert_int_equal(list_body_get(b.data, b.len, &body, &err), 0);
	rc = list_body_check(&body, children, count, &err);
	list_body_free(&body);
	buf_free(&b);
	return rc;
}

static void test_chunk_list_against_list(void **state)
{
	(void)state;
	assert_int_equal(check_list(chunks_hex, (const uint8_t[]){5, 1, 1, 1}, 4), 0);
	assert_int_equal(check_list(chunks_hex, (const uint8_t[]){5, 1, 1, 4}, 4), -ERR_DAMAGED);
	assert_int_equal(check_list(chunks_hex, (const uint8_t[]){3, 1, 1, 1}, 4), -ERR_DAMAGED);
	assert_int_equal(check_list(chunks_hex, (const uint8_t[]){5, 1, 1}, 3), -ERR_DAMAGED);
	assert_int_equal(check_list(chunks_hex, (const uint8_t[]){5, 1, 1, 1, 1}, 5), -ERR_DAMAGED);
	assert_int_equal(check_list(chunks_hex, NULL, 0), -ERR_DAMAGED);
	assert_int_equal(check_list(chunk_lists_hex, (const uint8_t[]){5, 4, 4}, 3), 0);
	assert_int_equal(check_list(chunk_lists_hex, (const uint8_t[]){5, 4, 1}, 3), -ERR_DAMAGED);
}

/* --- chunk-list bodies --- */

static int try_list_body(uint8_t level, const uint64_t *bytes, size_t count)
{
	struct buf b = {0};
	int rc;

	list_body_put(&b, level, bytes, NULL, count);
	assert_false(b.failed);
	rc = nodes_same_or_refused(nodes_list_body, b.data, b.len);
	buf_free(&b);
	return rc;
}

static void test_list_bodies(void **state)
{
	uint64_t most = LIMIT_CHUNK_BYTES, above = LIMIT_CHUNK_BYTES + 1, zero = 0;
	uint64_t file = INT64_MAX, wraps[] = {INT64_MAX, INT64_MAX, 2};
	struct buf b = {0};

	(void)state;
	assert_int_equal(try_list_body(0, &most, 1), 0);
	assert_int_equal(try_list_body(0, &above, 1), -ERR_LIMIT);
	assert_int_equal(try_list_body(0, &zero, 1), -ERR_DAMAGED);
	assert_int_equal(try_list_body(1, &zero, 1), -ERR_DAMAGED);
	assert_int_equal(try_list_body(1, &file, 1), 0);
	assert_int_equal(try_list_body(1, wraps, 3), -ERR_LIMIT);
	assert_int_equal(try_list_body(0, NULL, 0), -ERR_DAMAGED);
	assert_int_equal(try_list_body(LIMIT_NODE_LEVELS, &most, 1), -ERR_LIMIT);
	bytes_put_hex(&b, chunks_hex);
	b.data[1] = 1; /* the format */
	assert_int_equal(nodes_same_or_refused(nodes_list_body, b.data, b.len), -ERR_DAMAGED);
	buf_reset(&b);
	list_body_put(&b, 0, &file, NULL, 1); /* which no u32 holds */
	assert_true(b.failed);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_tree_against_list),
	    cmocka_unit_test(test_chunk_list_against_list),
	    cmocka_unit_test(test_list_bodies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
