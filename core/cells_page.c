#include "core/cells_page.h"

#include <string.h>

#define PATCH_MERGE 4 /* equal bytes that do not end a run of a patch */

uint32_t page_cells_max(const struct btree_geom *g)
{
	return g->usable / (BTREE_CELL_MIN + 2);
}

/* i64: what is expected may lie in front of the page's first byte. */
static int64_t expected_place(int64_t before, const struct page_cell *c)
{
	return before - page_cell_room(c->size);
}

uint32_t page_misplaced(const struct page_plan *p, bool last_first)
{
	int64_t before = p->geom->usable;
	uint32_t misplaced = 0;

	for (uint32_t k = 0; k < p->count; k++) {
		const struct page_cell *c = &p->cells[page_place_index(p, last_first, k)];

		misplaced += c->at != expected_place(before, c);
		before = c->at;
	}
	return misplaced;
}

void page_place_put(struct buf *b, const struct page_plan *p, bool last_first)
{
	int64_t before = p->geom->usable;
	uint32_t skipped = 0;

	buf_put_varint(b, page_misplaced(p, last_first));
	for (uint32_t k = 0; k < p->count; k++) {
		const struct page_cell *c = &p->cells[page_place_index(p, last_first, k)];
		int64_t expected = expected_place(before, c);

		if (c->at == expected) {
			skipped++;
		} else {
			buf_put_varint(b, skipped);
			buf_put_zigzag(b, c->at - expected);
			skipped = 0;
		}
		before = c->at;
	}
}

void page_build(const struct page_plan *p, uint8_t *out)
{
	uint32_t at = btree_header_at(p->number), first = p->geom->usable;
	uint8_t *header = out + at, *pointers = header + btree_header_bytes(p->type);

	memset(out, 0, p->geom->page_bytes);
	if (at)
		memcpy(out, p->head, at);
	for (uint32_t i = 0; i < p->count; i++) {
		const struct page_cell *c = &p->cells[i];

		memcpy(out + c->at, p->bytes + c->from, c->size);
		if (c->at < first)
			first = c->at;
	}
	for (uint32_t i = 0; i < p->count; i++)
		btree_put_u16(pointers + (size_t)2 * i, p->cells[i].at);
	header[0] = p->type;
	btree_put_u16(header + 3, p->count);
	btree_put_u16(header + 5, first);
	if (btree_is_interior(p->type))
		btree_put_u32(header + 8, p->right);
}

static bool all_zeros(const uint8_t *p, uint32_t len)
{
	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

bool page_is_usual(const struct page_plan *p, const uint8_t *page)
{
	uint32_t usable = p->geom->usable, header_at = btree_header_at(p->number), first = usable;
	const uint8_t *header = page + header_at;
	uint32_t end = header_at + btree_header_bytes(p->type) + 2 * p->count;

	for (uint32_t i = 0; i < p->count; i++) {
		const struct page_cell *c = &p->cells[i];

		first -= page_cell_room(c->size);
		if (c->size < BTREE_CELL_MIN &&
		    !all_zeros(page + c->at + c->size, BTREE_CELL_MIN - c->size))
			return false;
	}
	return memcmp(page, p->head, header_at) == 0 && header[0] == p->type &&
	       btree_u16(header + 1) == 0 && btree_u16(header + 3) == p->count &&
	       btree_u16(header + 5) == (first & 0xffff) && header[7] == 0 &&
	       all_zeros(page + end, first - end) &&
	       all_zeros(page + usable, p->geom->page_bytes - usable);
}

/* The next run of differing bytes from at on; false when there is none. */
static bool next_run(const uint8_t *a, const uint8_t *b, uint32_t len, uint32_t *at,
		     uint32_t *out_len)
{
	uint32_t from = *at, end, equal = 0;

	while (from < len && a[from] == b[from])
		from++;
	if (from == len)
		return false;
	for (end = from + 1; end < len && equal < PATCH_MERGE; end++)
		equal = a[end] == b[end] ? equal + 1 : 0;
	*at = from;
	*out_len = end - equal - from;
	return true;
}

bool page_patch_put(struct buf *b, const uint8_t *expected, const uint8_t *actual, uint32_t len)
{
	uint32_t runs = 0, run, before = 0;

	if (memcmp(expected, actual, len) == 0)
		return false;
	for (uint32_t at = 0; next_run(expected, actual, len, &at, &run); at += run)
		runs++;
	buf_put_varint(b, runs);
	for (uint32_t at = 0; next_run(expected, actual, len, &at, &run); at += run) {
		buf_put_varint(b, at - before);
		buf_put_varint(b, run);
		buf_put(b, actual + at, run);
		before = at + run;
	}
	return true;
}
