/* One page of an image that is put together. */
#include "core/cells_dec.h"

#include <stdlib.h>
#include <string.h>

#include "core/limits.h"

int dec_damaged(struct dec *d, const char *what, struct err *err)
{
	return layout_bad(&d->layout, what, err);
}

int dec_page_begin(struct dec *d, uint64_t number, struct err *err)
{
	uint8_t bit;

	if (number < 1 || number > d->g.page_count)
		return dec_damaged(d, "a page lies outside of the image", err);
	bit = (uint8_t)(1u << ((number - 1) % 8));
	if (d->written[(number - 1) / 8] & bit)
		return dec_damaged(d, "a page is made twice", err);
	d->written[(number - 1) / 8] |= bit;
	return 0;
}

int dec_page_write(struct dec *d, uint64_t number, uint32_t at, const uint8_t *bytes, size_t len,
		   struct err *err)
{
	return d->target->write(d->target->arg, (number - 1) * d->g.page_bytes + at, bytes, len,
				err);
}

int dec_level_get(struct dec *d, unsigned depth, struct dec_level **out, struct err *err)
{
	size_t most = page_cells_max(&d->g) + 1;
	struct dec_level *l = d->levels[depth];

	*out = l;
	if (!l) {
		*out = l = d->levels[depth] = calloc(1, sizeof(*l));
		if (!l)
			return err_nomem(err);
		l->bytes = malloc(d->g.page_bytes);
		l->cells = malloc(most * sizeof(*l->cells));
		l->children = malloc(most * sizeof(*l->children));
		l->keys = malloc(most * sizeof(*l->keys));
		if (!l->bytes || !l->cells || !l->children || !l->keys)
			return err_nomem(err);
	}
	l->used = l->count = 0;
	l->run_count = l->run_at = l->pages = 0;
	l->run_base = 0;
	return 0;
}

/* --- overflow pages --- */

static int run_add(struct dec *d, struct dec_level *l, uint64_t first, uint64_t count,
		   struct err *err)
{
	/* No two have a page in common; what they say else would be memory without bound. */
	if (first < 1 || count < 1 || first > UINT32_MAX || count > UINT32_MAX ||
	    l->run_count >= d->g.page_count)
		return dec_damaged(d, "overflow pages lie outside of the image", err);
	if (l->run_count == l->run_cap) {
		size_t cap = l->run_cap ? l->run_cap * 2 : 16;
		struct dec_run *runs = realloc(l->runs, cap * sizeof(*runs));

		if (!runs)
			return err_nomem(err);
		l->runs = runs;
		l->run_cap = cap;
	}
	l->runs[l->run_count++] = (struct dec_run){(uint32_t)first, (uint32_t)count};
	return 0;
}

int dec_chain_get(struct dec *d, struct dec_level *l, struct err *err)
{
	uint64_t runs = layout_varint(&d->layout), next = d->next;
	int r = layout_check(&d->layout, err);

	for (uint64_t i = 0; !r && i < runs; i++) {
		uint64_t first = next + (uint64_t)layout_zigzag(&d->layout);
		uint64_t count = layout_varint(&d->layout);

		r = layout_check(&d->layout, err);
		if (!r)
			r = run_add(d, l, first, count, err);
		next = first + count;
	}
	return r;
}

/* The k-th overflow page of the level's runs. */
static int chain_page(struct dec *d, struct dec_level *l, uint64_t k, uint32_t *out,
		      struct err *err)
{
	if (k < l->run_base)
		l->run_base = l->run_at = 0;
	for (; l->run_at < l->run_count; l->run_at++) {
		const struct dec_run *run = &l->runs[l->run_at];

		if (k - l->run_base < run->count) {
			*out = run->first + (uint32_t)(k - l->run_base);
			return 0;
		}
		l->run_base += run->count;
	}
	return dec_damaged(d, "a payload has too few overflow pages", err);
}

int dec_overflow_page(struct dec *d, const struct dec_chain *c, uint64_t k, uint32_t *out,
		      struct err *err)
{
	uint64_t page;

	if (c->runs)
		return chain_page(d, c->runs, k, out, err);
	page = layout_expect_overflow(c->next, c->number, c->root, c->first, (size_t)k);
	*out = (uint32_t)page;
	return page <= UINT32_MAX ? 0 : dec_damaged(d, "a page lies outside of the image", err);
}

/* --- cells --- */

static int root_add(struct dec *d, uint32_t root, struct err *err)
{
	if (d->root_count >= LIMIT_DB_TREES)
		return 0;
	if (d->root_count == d->root_cap) {
		size_t cap = d->root_cap ? d->root_cap * 2 : 16;
		uint32_t *roots = realloc(d->roots, cap * sizeof(*roots));

		if (!roots)
			return err_nomem(err);
		d->roots = roots;
		d->root_cap = cap;
	}
	d->roots[d->root_count++] = root;
	return 0;
}

static int payload_part(struct dec *d, const uint8_t **payload, uint8_t *out, size_t len,
			struct err *err)
{
	if (!*payload)
		return cells_pieces(&d->data, out, len, err);
	memcpy(out, *payload, len);
	*payload += len;
	return 0;
}

static int overflow_put(struct dec *d, struct dec_level *l, const struct dec_chain *c,
			uint64_t left, const uint8_t *payload, struct err *err)
{
	uint32_t page, next = 0;
	int r = dec_overflow_page(d, c, l->pages, &page, err);

	while (!r && left) {
		size_t len = left < d->g.usable - 4 ? (size_t)left : d->g.usable - 4;

		left -= len;
		l->pages++;
		if (left)
			r = dec_overflow_page(d, c, l->pages, &next, err);
		if (!r)
			r = dec_page_begin(d, page, err);
		if (r)
			break;
		memset(d->overflow, 0, d->g.page_bytes);
		btree_put_u32(d->overflow, left ? next : 0);
		r = payload_part(d, &payload, d->overflow + 4, len, err);
		if (!r)
			r = dec_page_write(d, page, 0, d->overflow, d->g.page_bytes, err);
		page = next;
	}
	return r;
}

int dec_take_cell(struct dec *d, struct dec_level *l, uint8_t type, uint32_t child,
		  const struct dec_chain *chain, struct err *err)
{
	const struct cell_ahead a = d->data.ahead;
	struct btree_cell cell = {.child = child, .rowid = a.rowid, .payload = a.payload};
	uint8_t front[32], *at = l->bytes + l->used;
	uint32_t front_bytes = btree_cell_front(type, &cell, front), size;
	const uint8_t *payload;
	struct btree_schema row;
	int r;

	cell.local = btree_local(&d->g, type, a.payload);
	size = front_bytes + cell.local + (cell.local < a.payload ? 4 : 0);
	if (size > d->g.usable - l->used || l->count >= page_cells_max(&d->g))
		return dec_damaged(d, "a cell does not fit on its page", err);
	memcpy(at, front, front_bytes);
	r = cells_take(&d->data, &payload, err);
	if (!r && d->schema && !a.big && btree_schema_get(payload, (size_t)a.payload, &row))
		r = root_add(d, row.root, err);
	if (!r)
		r = payload_part(d, &payload, at + front_bytes, cell.local, err);
	if (!r && cell.local < a.payload) {
		r = dec_overflow_page(d, chain, l->pages, &cell.overflow, err);
		btree_put_u32(at + size - 4, cell.overflow);
		if (!r)
			r = overflow_put(d, l, chain, a.payload - cell.local, payload, err);
	}
	l->cells[l->count++] = (struct page_cell){.from = l->used, .size = size};
	l->used += size;
	d->last_rowid = a.rowid;
	return r;
}

/* --- what is unusual about a page --- */

static int place_get(struct dec *d, struct dec_level *l, const struct page_plan *p, unsigned flags,
		     struct err *err)
{
	bool last_first = page_last_first(p->type, flags);
	uint64_t misplaced = flags & PAGE_PLACE ? layout_varint(&d->layout) : 0, skip = 0;
	int64_t at = d->g.usable;

	if (misplaced > l->count)
		return dec_damaged(d, "more cells are misplaced than there are", err);
	if (misplaced)
		skip = layout_varint(&d->layout);
	for (uint32_t k = 0; k < l->count; k++) {
		struct page_cell *c = &l->cells[page_place_index(p, last_first, k)];

		at -= page_cell_room(c->size);
		if (misplaced && skip-- == 0) {
			int64_t off = layout_zigzag(&d->layout);

			if (off < -(int64_t)BTREE_PAGE_MAX || off > (int64_t)BTREE_PAGE_MAX)
				return dec_damaged(d, "a cell lies outside of its page", err);
			at += off;
			skip = --misplaced ? layout_varint(&d->layout) : 0;
		}
		if (at < 0 || at + c->size > d->g.usable)
			return dec_damaged(d, "a cell lies outside of its page", err);
		c->at = (uint32_t)at;
	}
	if (misplaced)
		return dec_damaged(d, "a cell is misplaced that is not there", err);
	return layout_check(&d->layout, err);
}

/* Runs of bytes over a page in memory (page), or one that is written (number). */
static int patch_get(struct dec *d, uint8_t *page, uint64_t number, struct err *err)
{
	uint64_t runs = layout_varint(&d->layout), at = 0;
	int r = layout_check(&d->layout, err);

	for (uint64_t i = 0; !r && i < runs; i++) {
		uint64_t skip = layout_varint(&d->layout), len = layout_varint(&d->layout);

		if (skip > d->g.page_bytes - at || len < 1 || len > d->g.page_bytes - at - skip)
			return dec_damaged(d, "a patch lies outside of its page", err);
		at += skip;
		layout_copy(&d->layout, page + at, (size_t)len);
		r = layout_check(&d->layout, err);
		if (!r && number)
			r = dec_page_write(d, number, (uint32_t)at, page + at, (size_t)len, err);
		at += len;
	}
	return r;
}

static int overflow_patches(struct dec *d, const struct dec_level *l, const struct dec_chain *chain,
			    struct err *err)
{
	uint64_t count = layout_varint(&d->layout), least = 0;
	int r = layout_check(&d->layout, err);

	for (uint64_t i = 0; !r && i < count; i++) {
		uint64_t ordinal = layout_varint(&d->layout);
		uint32_t page = 0;

		r = ordinal >= least && ordinal < l->pages
			? dec_overflow_page(d, chain, ordinal, &page, err)
			: dec_damaged(d, "an overflow page is patched that is not there", err);
		if (!r)
			r = patch_get(d, d->overflow, page, err);
		least = ordinal + 1;
	}
	return r;
}

int dec_page_finish(struct dec *d, struct dec_level *l, uint32_t number, uint8_t type,
		    uint32_t right, unsigned flags, const struct dec_chain *chain, struct err *err)
{
	uint32_t from = btree_header_at(number) + btree_header_bytes(type) + 2 * l->count;
	struct page_plan plan = {.geom = &d->g,
				 .head = d->head,
				 .number = number,
				 .type = type,
				 .right = right,
				 .bytes = l->bytes,
				 .cells = l->cells,
				 .count = l->count};
	int r;

	if (from > d->g.usable)
		return dec_damaged(d, "a page has too many cells", err);
	r = place_get(d, l, &plan, flags, err);
	if (r)
		return r;
	page_build(&plan, d->page);
	if (flags & PAGE_PATCH)
		r = patch_get(d, d->page, 0, err);
	if (!r)
		r = dec_page_write(d, number, 0, d->page, d->g.page_bytes, err);
	if (!r && flags & PAGE_OVPATCH)
		r = overflow_patches(d, l, chain, err);
	return r;
}
