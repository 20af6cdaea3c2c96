/* Images and streams that were made to take more time or memory than they are long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/btree.h"
#include "tests/support/cellbox.h"

#define PAGE 512u
#define FAN 40u /* children of each interior page */
#define CHAIN_PAGES 6000u
#define LEAST_READS 1100u /* what any image may take, see VAIN_LEAST */
#define FAIR 8u           /* calls of the other side for each page */

struct image {
	uint8_t *bytes;
	uint32_t pages, room;
};

static uint8_t *page_of(struct image *m, uint32_t number)
{
	return m->bytes + (size_t)(number - 1) * PAGE;
}

static uint32_t add_page(struct image *m)
{
	assert_true(m->pages < m->room);
	return ++m->pages;
}

static void head(uint8_t *page, uint32_t at, uint8_t type, uint32_t cells, uint32_t first)
{
	page[at] = type;
	btree_put_u16(page + at + 3, cells);
	btree_put_u16(page + at + 5, first);
}

/* Page 1: one row, whose table has its root on page 2. */
static struct image image_new(uint32_t room)
{
	static const uint8_t row[] = {14,  1,   6,   23,  15,  15,  1,   13,
				      't', 'a', 'b', 'l', 'e', 't', 't', 2};
	struct image m = {.bytes = calloc(room, PAGE), .room = room};
	uint8_t *page;

	assert_non_null(m.bytes);
	page = page_of(&m, add_page(&m));
	memcpy(page, "SQLite format 3", 16);
	btree_put_u16(page + 16, PAGE);
	btree_put_u32(page + 56, 1);
	head(page, BTREE_HEAD_BYTES, BTREE_TABLE_LEAF, 1, PAGE - sizeof(row));
	btree_put_u16(page + BTREE_HEAD_BYTES + 8, PAGE - sizeof(row));
	memcpy(page + PAGE - sizeof(row), row, sizeof(row));
	return m;
}

/* An interior page of a table; all its keys are 1. */
static void interior(struct image *m, uint32_t number, const uint32_t children[FAN])
{
	uint8_t *page = page_of(m, number);
	uint32_t at = PAGE;

	for (uint32_t i = 0; i + 1 < FAN; i++) {
		at -= 5;
		btree_put_u32(page + at, children[i]);
		page[at + 4] = 1;
		btree_put_u16(page + 12 + (size_t)2 * i, at);
	}
	head(page, 0, BTREE_TABLE_INTERIOR, FAN - 1, at);
	btree_put_u32(page + 8, children[FAN - 1]);
}

/* A leaf of one cell: so long a payload that its chain must have a page more than there are. */
static void leaf(struct image *m, uint32_t number, uint32_t overflow)
{
	const struct btree_geom g = {.page_bytes = PAGE, .usable = PAGE};
	struct btree_cell c = {.rowid = 1, .payload = 39 + (CHAIN_PAGES + 1) * (PAGE - 4)};
	uint8_t *page = page_of(m, number), front[32];
	uint32_t len = btree_cell_front(BTREE_TABLE_LEAF, &c, front), at;

	c.local = btree_local(&g, BTREE_TABLE_LEAF, c.payload);
	assert_true(btree_overflow_pages(&g, BTREE_TABLE_LEAF, c.payload) > CHAIN_PAGES);
	at = PAGE - len - c.local - 4;
	memcpy(page + at, front, len);
	btree_put_u32(page + PAGE - 4, overflow);
	btree_put_u16(page + 8, at);
	head(page, 0, BTREE_TABLE_LEAF, 1, at);
}

static void chain(struct image *m, uint32_t first)
{
	for (uint32_t i = 0; i < CHAIN_PAGES; i++) {
		uint8_t *page = page_of(m, add_page(m));

		memset(page, (int)i & 0xff, PAGE);
		btree_put_u32(page, i + 1 < CHAIN_PAGES ? first + i + 1 : 0);
	}
}

static void round_trip_is_fair(struct image *m)
{
	struct cellbox box = {0};
	struct cells_stats stats;
	struct chunker cutter;
	struct err err = {0};
	size_t len = (size_t)m->pages * PAGE;
	uint8_t *back = malloc(len), key[32] = {7};

	assert_non_null(back);
	chunker_init(&cutter, key);
	assert_int_equal(cellbox_encode(&box, m->bytes, len, &cutter, &stats, &err), 0);
	if (box.calls > LEAST_READS + (uint64_t)FAIR * m->pages)
		fail_msg("%lu calls for %u pages", box.calls, m->pages);
	assert_int_equal(cellbox_decode(&box, back, len, &err), 0);
	assert_memory_equal(back, m->bytes, len);
	cellbox_free(&box);
	free(back);
	free(m->bytes);
}

/* Each leaf's payload is said to be on the same chain, which ends too early. */
static void leaves_share_a_broken_chain(void **state)
{
	struct image m = image_new(3 + FAN + FAN * FAN + CHAIN_PAGES);
	uint32_t root = add_page(&m), first = root + 1 + FAN + FAN * FAN, above[FAN], below[FAN];

	(void)state;
	for (uint32_t i = 0; i < FAN; i++)
		above[i] = add_page(&m);
	for (uint32_t i = 0; i < FAN; i++) {
		for (uint32_t k = 0; k < FAN; k++) {
			below[k] = add_page(&m);
			leaf(&m, below[k], first);
		}
		interior(&m, above[i], below);
	}
	interior(&m, root, above);
	chain(&m, first);
	round_trip_is_fair(&m);
}

/* All children of all pages are the same page, which is none of a tree. */
static void pages_share_a_bad_child(void **state)
{
	struct image m = image_new(3 + FAN + FAN * FAN);
	uint32_t root = add_page(&m), bad = add_page(&m), above[FAN], middle[FAN], below[FAN];

	(void)state;
	for (uint32_t i = 0; i < FAN; i++)
		below[i] = bad;
	for (uint32_t i = 0; i < FAN; i++)
		above[i] = add_page(&m);
	for (uint32_t i = 0; i < FAN; i++) {
		for (uint32_t k = 0; k < FAN; k++) {
			middle[k] = add_page(&m);
			interior(&m, middle[k], below);
		}
		interior(&m, above[i], middle);
	}
	interior(&m, root, above);
	memset(page_of(&m, bad), 0xee, PAGE);
	round_trip_is_fair(&m);
}

/* A first leaf without cells that names that many runs of one overflow page each, in an image of so many pages. */
static int decode_runs(uint8_t runs, uint32_t pages)
{
	struct image m = image_new(pages);
	uint8_t layout[1 + BTREE_HEAD_BYTES + 64], *back = malloc((size_t)pages * PAGE);
	struct cellbox_chunk chunk = {.bytes = layout};
	struct cellbox box = {.chunks = {[CELLS_LAYOUT] = &chunk}, .count = {[CELLS_LAYOUT] = 1}};
	/* A table; flags of count and chain; no cell. */
	const uint8_t tree[] = {1, 0x89, 1, 0, runs};
	struct err err = {0};
	int rc;

	assert_non_null(back);
	layout[chunk.len++] = 1;
	memcpy(layout + chunk.len, m.bytes, BTREE_HEAD_BYTES);
	chunk.len += BTREE_HEAD_BYTES;
	memcpy(layout + chunk.len, tree, sizeof(tree));
	chunk.len += sizeof(tree);
	for (uint8_t i = 0; i < runs; i++) {
		layout[chunk.len++] = 0;
		layout[chunk.len++] = 1;
	}
	layout[chunk.len++] = 0; /* raw pages */
	rc = cellbox_decode(&box, back, (size_t)pages * PAGE, &err);
	free(back);
	free(m.bytes);
	return rc;
}

static void runs_are_no_more_than_pages(void **state)
{
	(void)state;
	assert_int_equal(decode_runs(4, 4), 0);
	assert_int_equal(decode_runs(5, 4), -ERR_DAMAGED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(leaves_share_a_broken_chain),
	    cmocka_unit_test(pages_share_a_bad_child),
	    cmocka_unit_test(runs_are_no_more_than_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
