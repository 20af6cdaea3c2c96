/* The grammar of SQLite's pages as far as the cell codec needs it, against numbers of SQLite's own documentation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/btree.h"

static void make_head(uint8_t head[BTREE_HEAD_BYTES], uint32_t page_size_field, uint8_t reserved)
{
	memset(head, 0, BTREE_HEAD_BYTES);
	memcpy(head, "SQLite format 3", 16);
	btree_put_u16(head + 16, page_size_field);
	head[20] = reserved;
}

static bool geom(uint32_t page_size_field, uint8_t reserved, uint64_t bytes, struct btree_geom *g)
{
	uint8_t head[BTREE_HEAD_BYTES];

	make_head(head, page_size_field, reserved);
	return btree_geom_get(head, bytes, g);
}

static void test_geometry(void **state)
{
	uint8_t head[BTREE_HEAD_BYTES];
	struct btree_geom g;

	(void)state;
	assert_true(geom(4096, 32, 3 * 4096 + 7, &g));
	assert_int_equal(g.page_bytes, 4096);
	assert_int_equal(g.usable, 4064);
	assert_int_equal(g.page_count, 3);
	assert_int_equal(g.tail_bytes, 7);
	assert_true(geom(1, 0, 65536, &g));
	assert_int_equal(g.page_bytes, 65536);
	assert_true(geom(512, 32, 512, &g));
	assert_false(geom(512, 33, 512, &g));
	assert_false(geom(256, 0, 4096, &g));
	assert_false(geom(1000, 0, 4096, &g));
	assert_false(geom(0, 0, 4096, &g));
	assert_false(geom(4096, 0, 4095, &g));
	make_head(head, 4096, 0);
	head[15] = 'x';
	assert_false(btree_geom_get(head, 4096, &g));
}

/* fileformat2.html §1.6: X = U - 35 for table leaves, ((U-12)*64/255)-23 for indexes, M = ((U-12)*32/255)-23. */
static void test_local_payload(void **state)
{
	struct btree_geom g;

	(void)state;
	assert_true(geom(4096, 0, 4096, &g));
	assert_int_equal(btree_local(&g, BTREE_TABLE_LEAF, 4061), 4061);
	assert_int_equal(btree_local(&g, BTREE_TABLE_LEAF, 4062), 489);
	assert_int_equal(btree_overflow_pages(&g, BTREE_TABLE_LEAF, 4061), 0);
	assert_int_equal(btree_overflow_pages(&g, BTREE_TABLE_LEAF, 4062), 1);
	assert_int_equal(btree_local(&g, BTREE_INDEX_LEAF, 1002), 1002);
	assert_int_equal(btree_local(&g, BTREE_INDEX_LEAF, 1003), 489);
	/* K = M + (P - M) mod (U - 4): what fills the overflow pages exactly stays as small as it can. */
	assert_int_equal(btree_local(&g, BTREE_TABLE_LEAF, 489 + 4092 + 10), 499);
	assert_int_equal(btree_overflow_pages(&g, BTREE_TABLE_LEAF, 489 + 4092 + 10), 1);
	assert_int_equal(btree_overflow_pages(&g, BTREE_TABLE_LEAF, 1000000), 244);
}

static void cell_survives(uint8_t type, uint64_t rowid, uint64_t payload)
{
	struct btree_cell in = {.child = 0x01020304, .rowid = rowid, .payload = payload}, out;
	uint8_t page[4096] = {0};
	struct btree_geom g;
	uint32_t front;

	assert_true(geom(4096, 0, 4096, &g));
	front = btree_cell_front(type, &in, page + 100);
	assert_true(btree_cell_get(&g, type, page, 100, &out));
	if (btree_is_table(type))
		assert_int_equal(out.rowid, rowid);
	if (btree_is_interior(type))
		assert_int_equal(out.child, in.child);
	if (type != BTREE_TABLE_INTERIOR) {
		assert_int_equal(out.payload, payload);
		assert_int_equal(out.local, btree_local(&g, type, payload));
	}
	assert_int_equal(out.size, front + out.local + (out.local < out.payload ? 4 : 0));
}

static void test_cells(void **state)
{
	static const uint64_t rowids[] = {0,
					  127,
					  128,
					  16383,
					  16384,
					  UINT64_C(1) << 55,
					  (UINT64_C(1) << 56) - 1,
					  UINT64_C(1) << 56,
					  UINT64_MAX};

	(void)state;
	for (size_t i = 0; i < sizeof(rowids) / sizeof(rowids[0]); i++) {
		cell_survives(BTREE_TABLE_LEAF, rowids[i], 200);
		cell_survives(BTREE_TABLE_INTERIOR, rowids[i], 0);
	}
	cell_survives(BTREE_INDEX_LEAF, 0, 0);
	cell_survives(BTREE_INDEX_LEAF, 0, 100000);
	cell_survives(BTREE_INDEX_INTERIOR, 0, 127);
}

static void test_refused_cells(void **state)
{
	struct btree_cell c;
	struct btree_geom g;
	uint8_t page[4096] = {0};

	(void)state;
	assert_true(geom(4096, 0, 4096, &g));
	assert_false(btree_cell_get(&g, BTREE_INDEX_LEAF, page, 4096, &c));
	/* A length in a longer form than SQLite writes: it would not come back the same. */
	memcpy(page, "\x80\x05", 2);
	assert_false(btree_cell_get(&g, BTREE_INDEX_LEAF, page, 0, &c));
	/* A payload that ends behind the page. */
	page[4090] = 6;
	assert_false(btree_cell_get(&g, BTREE_INDEX_LEAF, page, 4090, &c));
	page[4090] = 5;
	assert_true(btree_cell_get(&g, BTREE_INDEX_LEAF, page, 4090, &c));
	/* Longer than any payload. */
	memcpy(page, "\x88\x80\x80\x80\x00", 5);
	assert_false(btree_cell_get(&g, BTREE_INDEX_LEAF, page, 0, &c));
	/* A rowid that is cut off. */
	memcpy(page + 4094, "\x00\x81", 2);
	assert_false(btree_cell_get(&g, BTREE_TABLE_LEAF, page, 4094, &c));
}

/* Header: its length, then the types of five columns; table "t", root 5. */
static const uint8_t row[] = "\x06\x17\x0f\x0f\x01\x0d"
			     "tablett\x05";

static void test_schema_rows(void **state)
{
	uint8_t copy[sizeof(row) - 1];
	struct btree_schema s;

	(void)state;
	memcpy(copy, row, sizeof(copy));
	assert_true(btree_schema_get(copy, sizeof(copy), &s));
	assert_int_equal(s.root, 5);
	assert_int_equal(s.type.len, 5);
	assert_memory_equal(s.type.p, "table", 5);
	assert_int_equal(s.name.len, 1);
	for (size_t len = 0; len < sizeof(copy); len++)
		assert_false(btree_schema_get(copy, len, &s));
	copy[4] = 7; /* a REAL is no page number */
	assert_false(btree_schema_get(copy, sizeof(copy), &s));
	copy[4] = 9; /* the constant 1: page 1 is sqlite_schema itself */
	assert_false(btree_schema_get(copy, sizeof(copy), &s));
	copy[4] = 1;
	copy[0] = 0x7f; /* a header longer than the row */
	assert_false(btree_schema_get(copy, sizeof(copy), &s));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_geometry),    cmocka_unit_test(test_local_payload),
	    cmocka_unit_test(test_cells),       cmocka_unit_test(test_refused_cells),
	    cmocka_unit_test(test_schema_rows),
	};

	return cmocka_run_group_tests_name("btree", tests, NULL, NULL);
}
