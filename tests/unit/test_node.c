/* node: vectors, round trips, and everything that a reader must refuse (FORMAT.md §7). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/node.h"
#include "tests/support/bytes.h"
#include "tests/support/nodes.h"
#include "tests/vectors/node.inc"

struct vector {
	const char *hex;
	nodes_fn again;
};
static const struct vector vectors[] = {
    {list_hex, nodes_list},
    {tree_hex, nodes_tree},
    {inner_hex, nodes_tree},
    {chunks_hex, nodes_list_body},
    {chunk_lists_hex, nodes_list_body},
};
#define VECTORS (sizeof(vectors) / sizeof(vectors[0]))

static void test_vectors_come_back(void **state)
{
	(void)state;
	for (size_t v = 0; v < VECTORS; v++) {
		struct buf b = {0};

		bytes_put_hex(&b, vectors[v].hex);
		assert_int_equal(nodes_same_or_refused(vectors[v].again, b.data, b.len), 0);
		buf_free(&b);
	}
}

static void test_every_truncation_and_extension(void **state)
{
	(void)state;
	for (size_t v = 0; v < VECTORS; v++) {
		struct buf b = {0};

		bytes_put_hex(&b, vectors[v].hex);
		for (size_t len = 0; len < b.len; len++)
			assert_int_not_equal(nodes_same_or_refused(vectors[v].again, b.data, len),
					     0);
		buf_put_u8(&b, 0);
		assert_int_not_equal(nodes_same_or_refused(vectors[v].again, b.data, b.len), 0);
		buf_free(&b);
	}
}

static void test_every_bit_flip(void **state)
{
	(void)state;
	for (size_t v = 0; v < VECTORS; v++) {
		struct buf b = {0};

		bytes_put_hex(&b, vectors[v].hex);
		for (size_t i = 0; i < b.len * 8; i++) {
			b.data[i / 8] ^= (uint8_t)(1u << (i % 8));
			(void)nodes_same_or_refused(vectors[v].again, b.data, b.len);
			b.data[i / 8] ^= (uint8_t)(1u << (i % 8));
		}
		buf_free(&b);
	}
}

/*
 * Whatever field holds these, no memory is asked for that the input does not cover: nodes_same_or_refused does not
 * accept ERR_NOMEM, and the sanitizers refuse allocations of that size.
 */
static void test_hostile_counts(void **state)
{
	static const uint32_t counts[] = {0xffffffff, 0x7fffffff, 0x00ffffff, 0x0000ffff};

	(void)state;
	for (size_t v = 0; v < VECTORS; v++) {
		struct buf b = {0};

		bytes_put_hex(&b, vectors[v].hex);
		for (size_t i = 0; i + 4 <= b.len; i++) {
			uint8_t kept[4];

			memcpy(kept, b.data + i, 4);
			for (size_t c = 0; c < 4; c++) {
				for (size_t k = 0; k < 4; k++)
					b.data[i + k] = (uint8_t)(counts[c] >> (8 * k));
				(void)nodes_same_or_refused(vectors[v].again, b.data, b.len);
			}
			memcpy(b.data + i, kept, 4);
		}
		buf_free(&b);
	}
}

/* --- lists --- */

static void test_list_fields(void **state)
{
	struct chunk_ref *children = NULL;
	struct err err = {0};
	struct buf b = {0};
	struct id third = bytes_id(2);
	size_t count = 0;

	(void)state;
	bytes_put_hex(&b, list_hex);
	assert_int_equal(list_get(b.data, b.len, &children, &count, &err), 0);
	assert_int_equal(count, 3);
	assert_int_equal(children[0].kind, CHUNK_TREE_BODY);
	assert_int_equal(children[1].kind, CHUNK_TREE_LIST);
	assert_int_equal(children[2].kind, CHUNK_DATA);
	assert_true(id_eq(&children[2].id, &third));
	free(children);
	buf_free(&b);
}

static int try_list(const uint8_t *kinds, size_t count)
{
	struct chunk_ref *children = calloc(count + 1, sizeof(*children));
	struct buf b = {0};
	int rc;

	assert_non_null(children);
	for (size_t i = 0; i < count; i++)
		children[i].kind = kinds[i];
	list_put(&b, children, count);
	rc = nodes_same_or_refused(nodes_list, b.data, b.len);
	free(children);
	buf_free(&b);
	return rc;
}

static void test_list_kinds(void **state)
{
	(void)state;
	assert_int_equal(try_list((const uint8_t[]){3}, 1), 0);
	assert_int_equal(try_list((const uint8_t[]){3, 1, 2, 4, 4}, 5), 0);
	assert_int_equal(try_list((const uint8_t[]){5, 1, 1}, 3), 0);
	assert_int_equal(try_list((const uint8_t[]){5, 4}, 2), 0);
	assert_int_equal(try_list((const uint8_t[]){0}, 0), -ERR_DAMAGED);
	assert_int_equal(try_list((const uint8_t[]){1}, 1), -ERR_DAMAGED);
	assert_int_equal(try_list((const uint8_t[]){2, 3}, 2), -ERR_DAMAGED);
	assert_int_equal(try_list((const uint8_t[]){3, 3}, 2), -ERR_DAMAGED);
	assert_int_equal(try_list((const uint8_t[]){3, 5}, 2), -ERR_DAMAGED);
	assert_int_equal(try_list((const uint8_t[]){5, 2}, 2), -ERR_DAMAGED);
	assert_int_equal(try_list((const uint8_t[]){3, 0}, 2), -ERR_DAMAGED);
	assert_int_equal(try_list((const uint8_t[]){3, 6}, 2), -ERR_DAMAGED);
}

static void test_list_limit(void **state)
{
	size_t count = LIMIT_NODE_CHILDREN + 1;
	uint8_t *kinds = malloc(count);

	(void)state;
	assert_non_null(kinds);
	memset(kinds, CHUNK_DATA, count);
	kinds[0] = CHUNK_TREE_BODY;
	assert_int_equal(try_list(kinds, count - 1), 0);
	assert_int_equal(try_list(kinds, count), -ERR_LIMIT);
	free(kinds);
}

/* --- tree bodies --- */

static void check_first_entry(const struct entry *e)
{
	assert_int_equal(e->name.len, 6);
	assert_memory_equal(e->name.p, "a-file", 6);
	assert_int_equal(e->mode, 0644);
	assert_int_equal(e->uid, 1000);
	assert_int_equal(e->gid, 1001);
	assert_memory_equal(e->user.p, "app", 3);
	assert_memory_equal(e->group.p, "www", 3);
	assert_int_equal(e->mtime_s, 1700000000);
	assert_int_equal(e->mtime_ns, 999999999);
	assert_true(e->link == 0x1122334455667788);
	assert_int_equal(e->size, 3000000);
	assert_int_equal(e->xattr_count, 2);
	assert_memory_equal(e->xattrs[0].name.p, "user.a", 6);
	assert_int_equal(e->xattrs[0].value.len, 2);
	assert_memory_equal(e->xattrs[1].name.p, "user.b", 6);
	assert_int_equal(e->xattrs[1].value.len, 0);
}

static void test_tree_fields(void **state)
{
	static const uint32_t first[] = {1, 3, 4, 5, 6, 6, 6, 6, 6, 6, 6, 6, 7};
	static const uint32_t taken[] = {2, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1};
	struct tree_body body = {0};
	struct err err = {0};
	struct buf b = {0};

	(void)state;
	bytes_put_hex(&b, tree_hex);
	assert_int_equal(tree_body_get(b.data, b.len, &body, &err), 0);
	assert_int_equal(body.count, 13);
	check_first_entry(&body.entries[0]);
	for (size_t i = 0; i < body.count; i++) {
		assert_int_equal(body.entries[i].child_first, first[i]);
		assert_int_equal(body.entries[i].child_count, taken[i]);
	}
	assert_true(body.entries[1].mtime_s == -1 && body.entries[1].shape == SHAPE_LIST);
	assert_int_equal(body.entries[2].encoding, ENCODING_IMAGE);
	assert_int_equal(body.entries[6].extent_count, 1);
	assert_int_equal(body.entries[6].extents[0].len, 0);
	assert_memory_equal(body.entries[7].target.p, "../a-file", 9);
	assert_int_equal(body.entries[8].dev_major, 1);
	assert_int_equal(body.entries[8].dev_minor, 3);
	assert_int_equal(body.entries[11].extents[1].offset, 8192);
	assert_int_equal(body.entries[11].extents[1].len, 4096);
	tree_body_free(&body);
	buf_free(&b);
}

static int try_tree(const struct entry *entries, size_t count)
{
	struct buf b = {0};
	size_t at = tree_body_begin(&b, 0);
	int rc;

	for (size_t i = 0; i < count; i++)
		tree_body_entry(&b, &entries[i]);
	tree_body_end(&b, at, (uint32_t)count);
	assert_false(b.failed);
	rc = nodes_same_or_refused(nodes_tree, b.data, b.len);
	buf_free(&b);
	return rc;
}

static struct entry_xattr two_xattrs[2];
static struct entry_extent two_extents[2];

/* Any type, with everything that may be spoilt. */
static struct entry sound_entry(uint8_t type)
{
	struct entry e = {.name = bytes_span("name"), .type = type, .mode = 0644};

	two_xattrs[0] = (struct entry_xattr){bytes_span("user.a"), bytes_span("1")};
	two_xattrs[1] = (struct entry_xattr){bytes_span("user.b"), bytes_span("2")};
	two_extents[0] = (struct entry_extent){0, 10};
	two_extents[1] = (struct entry_extent){20, 10};
	e.xattrs = two_xattrs;
	e.xattr_count = 2;
	if (type == ENTRY_FILE) {
		e.size = 100;
		e.child_count = 1;
		e.extents = two_extents;
		e.extent_count = 2;
	}
	e.target = bytes_span("target");
	return e;
}

static void test_names(void **state)
{
	static const char *good[] = {"a", "...", ".a", "..a", " ", "\xff", "\n", "a\\b"};
	static const char *bad[] = {"", ".", "..", "/", "a/b", "/a", "a/"};
	struct entry e = sound_entry(ENTRY_FIFO);
	char *longest = malloc(LIMIT_NAME_BYTES + 1);

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		e.name = bytes_span(good[i]);
		assert_int_equal(try_tree(&e, 1), 0);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		e.name = bytes_span(bad[i]);
		assert_int_equal(try_tree(&e, 1), -ERR_DAMAGED);
	}
	e.name = (struct span){(const uint8_t *)"a\0b", 3};
	assert_int_equal(try_tree(&e, 1), -ERR_DAMAGED);
	assert_non_null(longest);
	memset(longest, 'n', LIMIT_NAME_BYTES + 1);
	e.name = (struct span){(const uint8_t *)longest, LIMIT_NAME_BYTES};
	assert_int_equal(try_tree(&e, 1), 0);
	e.name.len++;
	assert_int_equal(try_tree(&e, 1), -ERR_LIMIT);
	free(longest);
}

static int try_order(const char *a, const char *b)
{
	struct entry pair[2] = {sound_entry(ENTRY_DIR), sound_entry(ENTRY_DIR)};

	pair[0].name = bytes_span(a);
	pair[1].name = bytes_span(b);
	return try_tree(pair, 2);
}

static void test_entry_order(void **state)
{
	(void)state;
	assert_int_equal(try_order("a", "b"), 0);
	assert_int_equal(try_order("a", "a0"), 0);
	assert_int_equal(try_order("z", "\x80"), 0);
	assert_int_equal(try_order("b", "a"), -ERR_DAMAGED);
	assert_int_equal(try_order("a", "a"), -ERR_DAMAGED);
	assert_int_equal(try_order("aa", "a"), -ERR_DAMAGED);
	assert_int_equal(try_order("\x80", "z"), -ERR_DAMAGED);
}

static void test_plain_fields(void **state)
{
	struct entry e = sound_entry(ENTRY_SYMLINK);

	(void)state;
	assert_int_equal(try_tree(&e, 1), 0);
	assert_int_equal(try_tree(NULL, 0), 0);
	for (unsigned type = 0; type < 256; type++) {
		e = sound_entry((uint8_t)type);
		assert_int_equal(try_tree(&e, 1), type >= 1 && type <= 7 ? 0 : -ERR_DAMAGED);
	}
	e = sound_entry(ENTRY_DIR);
	e.mode = 07777;
	e.mtime_s = INT64_MIN;
	e.mtime_ns = 999999999;
	e.link = UINT64_MAX;
	e.uid = e.gid = UINT32_MAX;
	assert_int_equal(try_tree(&e, 1), 0);
	e.mode = 010000;
	assert_int_equal(try_tree(&e, 1), -ERR_DAMAGED);
	e.mode = 0;
	e.mtime_ns = 1000000000;
	assert_int_equal(try_tree(&e, 1), -ERR_DAMAGED);
	e = sound_entry(ENTRY_SYMLINK);
	e.target.len = 0;
	assert_int_equal(try_tree(&e, 1), -ERR_DAMAGED);
	e.target = (struct span){(const uint8_t *)"a\0b", 3};
	assert_int_equal(try_tree(&e, 1), -ERR_DAMAGED);
	e = sound_entry(ENTRY_FIFO);
	e.user = (struct span){(const uint8_t *)"a\0b", 3};
	assert_int_equal(try_tree(&e, 1), -ERR_DAMAGED);
	e.user.len = 0;
	e.group = (struct span){(const uint8_t *)"\0", 1};
	assert_int_equal(try_tree(&e, 1), -ERR_DAMAGED);
}

static void test_xattrs(void **state)
{
	struct entry e = sound_entry(ENTRY_DIR);
	struct entry_xattr swap = two_xattrs[0];
	uint8_t *value = calloc(1, LIMIT_XATTR_BYTES + 1);

	(void)state;
	assert_non_null(value);
	two_xattrs[0] = two_xattrs[1];
	two_xattrs[1] = swap;
	assert_int_equal(try_tree(&e, 1), -ERR_DAMAGED);
	two_xattrs[0] = two_xattrs[1];
	assert_int_equal(try_tree(&e, 1), -ERR_DAMAGED);
	e.xattr_count = 1;
	assert_int_equal(try_tree(&e, 1), 0);
	two_xattrs[0].name.len = 0;
	assert_int_equal(try_tree(&e, 1), -ERR_DAMAGED);
	two_xattrs[0].name = (struct span){(const uint8_t *)"u\0", 2};
	assert_int_equal(try_tree(&e, 1), -ERR_DAMAGED);
	two_xattrs[0].name.len = 1;
	two_xattrs[0].value = (struct span){value, LIMIT_XATTR_BYTES};
	assert_int_equal(try_tree(&e, 1), 0);
	two_xattrs[0].value.len++;
	assert_int_equal(try_tree(&e, 1), -ERR_LIMIT);
	free(value);
}

static int try_extents(uint64_t size, uint32_t children, size_t count, uint64_t o1, uint64_t n1,
		       uint64_t o2, uint64_t n2)
{
	struct entry e = sound_entry(ENTRY_FILE);

	e.size = size;
	e.child_count = children;
	e.extent_count = count;
	two_extents[0] = (struct entry_extent){o1, n1};
	two_extents[1] = (struct entry_extent){o2, n2};
	return try_tree(&e, 1);
}

static void test_extents(void **state)
{
	(void)state;
	assert_int_equal(try_extents(100, 1, 2, 0, 10, 11, 89), 0);
	assert_int_equal(try_extents(100, 1, 1, 99, 1, 0, 0), 0);
	assert_int_equal(try_extents(100, 0, 1, 0, 0, 0, 0), 0);
	assert_int_equal(try_extents(INT64_MAX, 1, 1, 1, INT64_MAX - 1, 0, 0), 0);
	/* touching, overlapping, descending */
	assert_int_equal(try_extents(100, 1, 2, 0, 10, 10, 10), -ERR_DAMAGED);
	assert_int_equal(try_extents(100, 1, 2, 0, 10, 5, 10), -ERR_DAMAGED);
	assert_int_equal(try_extents(100, 1, 2, 50, 10, 0, 10), -ERR_DAMAGED);
	/* beyond the size, also by wrapping around */
	assert_int_equal(try_extents(100, 1, 1, 91, 10, 0, 0), -ERR_DAMAGED);
	assert_int_equal(try_extents(100, 1, 1, 101, 0, 0, 0), -ERR_DAMAGED);
	assert_int_equal(try_extents(100, 1, 1, 50, UINT64_MAX - 10, 0, 0), -ERR_DAMAGED);
	assert_int_equal(try_extents(100, 1, 2, 0, 10, UINT64_MAX, 20), -ERR_DAMAGED);
	/* empty ones, and a second way to say dense or empty */
	assert_int_equal(try_extents(100, 1, 2, 0, 10, 20, 0), -ERR_DAMAGED);
	assert_int_equal(try_extents(100, 0, 1, 5, 0, 0, 0), -ERR_DAMAGED);
	assert_int_equal(try_extents(100, 1, 1, 0, 100, 0, 0), -ERR_DAMAGED);
	assert_int_equal(try_extents(0, 0, 1, 0, 0, 0, 0), -ERR_DAMAGED);
	/* children that the content does not need, or none where it does */
	assert_int_equal(try_extents(100, 1, 1, 0, 0, 0, 0), -ERR_DAMAGED);
	assert_int_equal(try_extents(100, 0, 2, 0, 10, 20, 10), -ERR_DAMAGED);
}

static void test_many_extents_and_xattrs(void **state)
{
	struct entry_extent *extents = calloc(LIMIT_EXTENTS + 1, sizeof(*extents));
	struct entry_xattr *xattrs = calloc(LIMIT_XATTRS + 1, sizeof(*xattrs));
	uint8_t names[LIMIT_XATTRS + 1][2];
	struct entry e = sound_entry(ENTRY_FILE);

	(void)state;
	assert_true(extents && xattrs);
	for (size_t i = 0; i <= LIMIT_EXTENTS; i++)
		extents[i] = (struct entry_extent){2 * i, 1};
	for (size_t i = 0; i <= LIMIT_XATTRS; i++) {
		names[i][0] = (uint8_t)(1 + i / 200);
		names[i][1] = (uint8_t)(1 + i % 200);
		xattrs[i].name = (struct span){names[i], 2};
	}
	e.size = UINT32_MAX;
	e.extents = extents;
	e.extent_count = LIMIT_EXTENTS;
	e.xattrs = xattrs;
	e.xattr_count = LIMIT_XATTRS;
	assert_int_equal(try_tree(&e, 1), 0);
	e.extent_count++;
	assert_int_equal(try_tree(&e, 1), -ERR_LIMIT);
	e.extent_count--;
	e.xattr_count++;
	assert_int_equal(try_tree(&e, 1), -ERR_LIMIT);
	free(extents);
	free(xattrs);
}

static int try_shape(uint64_t size, uint8_t encoding, uint8_t shape, uint32_t children)
{
	struct entry e = sound_entry(ENTRY_FILE);

	e.size = size;
	e.encoding = encoding;
	e.shape = shape;
	e.child_count = children;
	e.extent_count = 0;
	return try_tree(&e, 1);
}

static void test_shapes(void **state)
{
	(void)state;
	assert_int_equal(try_shape(0, 0, SHAPE_INLINE, 0), 0);
	assert_int_equal(try_shape(100, 1, SHAPE_INLINE, INLINE_CHUNKS), 0);
	assert_int_equal(try_shape(INT64_MAX, 0, SHAPE_LIST, 1), 0);
	assert_int_equal(try_shape(1u << 31, 0, SHAPE_INLINE, INLINE_CHUNKS + 1), -ERR_DAMAGED);
	assert_int_equal(try_shape(1u << 31, 0, SHAPE_LIST, 2), -ERR_DAMAGED);
	assert_int_equal(try_shape(1u << 31, 0, SHAPE_LIST, 0), -ERR_DAMAGED);
	assert_int_equal(try_shape(0, 0, SHAPE_LIST, 1), -ERR_DAMAGED);
	assert_int_equal(try_shape(0, 0, SHAPE_INLINE, 1), -ERR_DAMAGED);
	assert_int_equal(try_shape(1, 0, SHAPE_INLINE, 2), -ERR_DAMAGED);
	assert_int_equal(try_shape(1, 0, SHAPE_INLINE, 0), -ERR_DAMAGED);
	assert_int_equal(try_shape(1, 2, SHAPE_INLINE, 1), -ERR_DAMAGED);
	assert_int_equal(try_shape(1, 0, 2, 1), -ERR_DAMAGED);
	assert_int_equal(try_shape((uint64_t)INT64_MAX + 1, 0, SHAPE_LIST, 1), -ERR_LIMIT);
}

static int try_inner(uint8_t level, const char *a, const char *b, uint64_t below)
{
	struct buf out = {0};
	size_t at = tree_body_begin(&out, level);
	int rc;

	if (a)
		tree_body_child(&out, a, strlen(a), below);
	if (b)
		tree_body_child(&out, b, strlen(b), below);
	tree_body_end(&out, at, (uint32_t)((a ? 1 : 0) + (b ? 1 : 0)));
	rc = nodes_same_or_refused(nodes_tree, out.data, out.len);
	buf_free(&out);
	return rc;
}

static void test_inner_trees(void **state)
{
	(void)state;
	assert_int_equal(try_inner(1, "a", "b", 1), 0);
	assert_int_equal(try_inner(LIMIT_NODE_LEVELS - 1, "a", "b", UINT64_MAX), 0);
	assert_int_equal(try_inner(LIMIT_NODE_LEVELS, "a", "b", 1), -ERR_LIMIT);
	assert_int_equal(try_inner(1, "b", "a", 1), -ERR_DAMAGED);
	assert_int_equal(try_inner(1, "a", "a", 1), -ERR_DAMAGED);
	assert_int_equal(try_inner(1, "a", "..", 1), -ERR_DAMAGED);
	assert_int_equal(try_inner(1, "a", "b", 0), -ERR_DAMAGED);
	assert_int_equal(try_inner(1, NULL, NULL, 1), -ERR_DAMAGED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_vectors_come_back),
	    cmocka_unit_test(test_every_truncation_and_extension),
	    cmocka_unit_test(test_every_bit_flip),
	    cmocka_unit_test(test_hostile_counts),
	    cmocka_unit_test(test_list_fields),
	    cmocka_unit_test(test_list_kinds),
	    cmocka_unit_test(test_list_limit),
	    cmocka_unit_test(test_tree_fields),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_entry_order),
	    cmocka_unit_test(test_plain_fields),
	    cmocka_unit_test(test_xattrs),
	    cmocka_unit_test(test_extents),
	    cmocka_unit_test(test_many_extents_and_xattrs),
	    cmocka_unit_test(test_shapes),
	    cmocka_unit_test(test_inner_trees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
