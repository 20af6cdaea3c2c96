/* Puts a database image together from its streams. */
#include "core/cells_dec.h"

#include <stdlib.h>
#include <string.h>

/* --- leaves --- */

/* Is there another cell of this tree's kind, and room for it? */
static int fits(struct dec *d, uint32_t *room, bool *out_fits, struct err *err)
{
	struct cell_ahead a;
	uint32_t takes;
	int r = cells_look(&d->data, &a, err);

	*out_fits = false;
	if (r || !a.any || a.table != d->table)
		return r;
	takes = btree_room(btree_leaf_cell_bytes(&d->g, a.table, a.rowid, a.payload));
	*out_fits = takes <= *room;
	if (*out_fits)
		*room -= takes;
	return 0;
}

static int leaf_cells(struct dec *d, struct dec_level *l, uint8_t type,
		      const struct dec_chain *chain, uint64_t count, struct err *err)
{
	uint32_t room = d->g.usable - btree_header_at(chain->number) - btree_header_bytes(type);
	bool fit;
	int r = 0;

	while (!r && l->count < count) {
		if (count != UINT64_MAX) {
			struct cell_ahead a;

			r = cells_look(&d->data, &a, err);
			fit = a.any && a.table == d->table;
			if (!r && !fit)
				r = dec_damaged(d, "a page has too few cells", err);
		} else {
			r = fits(d, &room, &fit, err);
			if (!r && !fit)
				break;
		}
		if (!r)
			r = dec_take_cell(d, l, type, 0, chain, err);
	}
	if (!r && count && l->count == 0)
		r = dec_damaged(d, "a page has no cells", err);
	return r;
}

/* How many overflow pages the cell ahead has as one of this leaf. */
static int pages_ahead(struct dec *d, uint8_t type, size_t *out, struct err *err)
{
	struct cell_ahead a;
	int r = cells_look(&d->data, &a, err);

	*out = 0;
	if (!r && a.any && a.table == d->table)
		*out = (size_t)btree_overflow_pages(&d->g, type, a.payload);
	return r;
}

static int leaf(struct dec *d, struct dec_level *l, uint64_t root, unsigned flags,
		uint32_t *out_number, struct err *err)
{
	uint8_t type = d->table ? BTREE_TABLE_LEAF : BTREE_INDEX_LEAF;
	struct dec_chain chain = {.root = root > 0, .next = d->next};
	uint64_t number, count = UINT64_MAX;
	uint32_t last = 0;
	int r = 0;

	if (flags & ~(unsigned)PAGE_LEAF_FLAGS)
		return dec_damaged(d, "a page has unknown flags", err);
	r = pages_ahead(d, type, &chain.first, err);
	if (r)
		return r;
	number = flags & PAGE_NUMBER ? (uint64_t)layout_zigzag(&d->layout) : 0;
	if (flags & PAGE_COUNT)
		count = layout_varint(&d->layout);
	if (count == 0)
		chain.first = 0;
	number += root ? root : layout_expect_leaf(d->next, chain.first);
	r = layout_check(&d->layout, err);
	if (!r)
		r = dec_page_begin(d, number, err);
	if (r)
		return r;
	chain.number = *out_number = (uint32_t)number;
	if (flags & PAGE_CHAIN) {
		chain.runs = l;
		r = dec_chain_get(d, l, err);
	}
	if (!r)
		r = leaf_cells(d, l, type, &chain, count, err);
	if (!r && l->pages)
		r = dec_overflow_page(d, &chain, l->pages - 1, &last, err);
	if (!r)
		r = dec_page_finish(d, l, (uint32_t)number, type, 0, flags, &chain, err);
	d->next =
	    layout_next_page(chain.next, (uint32_t)number, chain.root, chain.first, l->pages, last);
	return r;
}

/* --- interior pages --- */

static int visit(struct dec *d, uint64_t root, unsigned depth, uint32_t *out_number,
		 struct err *err);

static int divider(struct dec *d, struct dec_level *l, uint32_t child,
		   const struct dec_chain *chain, struct err *err)
{
	struct cell_ahead a;
	uint64_t pages;
	int r = cells_look(&d->data, &a, err);

	if (r)
		return r;
	if (!a.any || a.table)
		return dec_damaged(d, "an interior page has too few cells", err);
	pages = btree_overflow_pages(&d->g, BTREE_INDEX_INTERIOR, a.payload);
	if (pages)
		r = dec_chain_get(d, l, err);
	if (!r)
		r = dec_take_cell(d, l, BTREE_INDEX_INTERIOR, child, chain, err);
	if (!r && pages) {
		uint32_t last = 0;

		r = dec_overflow_page(d, chain, l->pages - 1, &last, err);
		d->next = (uint64_t)last + 1;
	}
	return r;
}

/* Keys of a table's interior page that were not foreseen. */
static int keys_get(struct dec *d, struct dec_level *l, uint32_t count, struct err *err)
{
	uint64_t keys = layout_varint(&d->layout), at = 0;
	int r = layout_check(&d->layout, err);

	for (uint64_t i = 0; !r && i < keys; i++) {
		uint64_t skip = layout_varint(&d->layout);
		int64_t off = layout_zigzag(&d->layout);

		if (skip >= count - at)
			return dec_damaged(d, "a key belongs to no cell", err);
		at += skip;
		l->keys[at] += (uint64_t)off;
		r = layout_check(&d->layout, err);
	}
	return r;
}

static int table_cells(struct dec *d, struct dec_level *l, uint32_t count, struct err *err)
{
	for (uint32_t i = 0; i < count; i++) {
		struct btree_cell c = {.child = l->children[i], .rowid = l->keys[i]};
		uint8_t front[32];
		uint32_t size = btree_cell_front(BTREE_TABLE_INTERIOR, &c, front);

		if (size > d->g.usable - l->used)
			return dec_damaged(d, "a cell does not fit on its page", err);
		memcpy(l->bytes + l->used, front, size);
		l->cells[l->count++] = (struct page_cell){.from = l->used, .size = size};
		l->used += size;
	}
	return 0;
}

static int interior_end(struct dec *d, struct dec_level *l, uint32_t number, uint32_t count,
			const struct dec_chain *chain, struct err *err)
{
	uint8_t type = d->table ? BTREE_TABLE_INTERIOR : BTREE_INDEX_INTERIOR;
	uint64_t flags = layout_varint(&d->layout);
	int r = layout_check(&d->layout, err);

	if (!r && (d->usual || flags & ~(uint64_t)PAGE_POST_FLAGS ||
		   (flags & PAGE_KEYS && (!d->table || !count))))
		r = dec_damaged(d, "an interior page has unknown flags", err);
	if (!r && flags & PAGE_KEYS)
		r = keys_get(d, l, count, err);
	if (!r && d->table)
		r = table_cells(d, l, count, err);
	return r ? r
		 : dec_page_finish(d, l, number, type, l->children[count], (unsigned)flags, chain,
				   err);
}

static int interior(struct dec *d, struct dec_level *l, uint64_t root, unsigned flags,
		    unsigned depth, uint32_t *out_number, struct err *err)
{
	struct dec_chain chain = {.runs = l};
	uint64_t number = root ? root : d->next, count;
	int r;

	if (flags & ~(unsigned)PAGE_PRE_FLAGS)
		return dec_damaged(d, "a page has unknown flags", err);
	if (flags & PAGE_NUMBER)
		number += (uint64_t)layout_zigzag(&d->layout);
	count = layout_varint(&d->layout);
	r = layout_check(&d->layout, err);
	if (!r && count > page_cells_max(&d->g))
		r = dec_damaged(d, "a page has too many cells", err);
	if (!r)
		r = dec_page_begin(d, number, err);
	if (r)
		return r;
	*out_number = chain.number = (uint32_t)number;
	for (uint32_t i = 0; !r && i <= count; i++) {
		r = visit(d, 0, depth + 1, &l->children[i], err);
		if (r || i == count)
			break;
		l->keys[i] = d->last_rowid;
		if (!d->table)
			r = divider(d, l, l->children[i], &chain, err);
	}
	return r ? r : interior_end(d, l, (uint32_t)number, (uint32_t)count, &chain, err);
}

/* The next page's flags. */
static int flags_get(struct dec *d, unsigned *out_flags, struct err *err)
{
	uint64_t token;
	int r;

	*out_flags = 0;
	if (d->usual) {
		d->usual--;
		return 0;
	}
	token = layout_varint(&d->layout);
	r = layout_check(&d->layout, err);
	if (r)
		return r;
	if (token & 1) {
		*out_flags = (unsigned)(token >> 1);
		return token >> 1 && token >> 1 < 2 * PAGE_KEYS
			   ? 0
			   : dec_damaged(d, "a page has unknown flags", err);
	}
	d->usual = token >> 1;
	return 0;
}

/* root: the number of a root page, 0 for others. */
static int visit(struct dec *d, uint64_t root, unsigned depth, uint32_t *out_number,
		 struct err *err)
{
	struct dec_level *l;
	unsigned flags;
	int r = flags_get(d, &flags, err);

	if (r)
		return r;
	if (flags == PAGE_REFUSED) {
		uint64_t number = layout_varint(&d->layout);

		*out_number = (uint32_t)number;
		r = layout_check(&d->layout, err);
		return r || number <= UINT32_MAX
			   ? r
			   : dec_damaged(d, "a page number is too large", err);
	}
	if (depth >= BTREE_DEPTH)
		return dec_damaged(d, "a tree is too deep", err);
	r = dec_level_get(d, depth, &l, err);
	if (r)
		return r;
	if (flags & PAGE_INTERIOR)
		return interior(d, l, root, flags, depth, out_number, err);
	return leaf(d, l, root, flags, out_number, err);
}

/* --- the whole image --- */

static int walk_tree(struct dec *d, uint64_t root, struct err *err)
{
	uint32_t number;
	uint8_t kind;

	if (d->usual)
		return dec_damaged(d, "a tree has pages too many", err);
	kind = layout_u8(&d->layout);
	if (kind > 1)
		return dec_damaged(d, "a tree of an unknown kind", err);
	d->table = kind == 1;
	d->last_rowid = 0;
	return visit(d, root, 0, &number, err);
}

static int raw_page(struct dec *d, struct err *err)
{
	uint32_t most = d->g.page_bytes;
	const uint8_t *payload;
	struct cell_ahead a;
	int r = cells_look(&d->data, &a, err);

	if (r)
		return r;
	if (!a.any || !a.table || a.big)
		return dec_damaged(d, "there are too few raw pages", err);
	if (a.rowid == d->g.page_count + 1)
		most = d->g.tail_bytes;
	else
		r = dec_page_begin(d, a.rowid, err);
	if (!r && a.payload > most)
		r = dec_damaged(d, "a raw page is too long", err);
	if (r)
		return r;
	r = cells_take(&d->data, &payload, err);
	return r ? r : dec_page_write(d, a.rowid, 0, payload, (size_t)a.payload, err);
}

static int decode_database(struct dec *d, uint64_t image_bytes, struct err *err)
{
	uint64_t raw;
	int r;

	layout_copy(&d->layout, d->head, sizeof(d->head));
	r = layout_check(&d->layout, err);
	if (!r && !btree_geom_get(d->head, image_bytes, &d->g))
		r = dec_damaged(d, "they do not begin as a database of that size does", err);
	if (r)
		return r;
	d->written = calloc((size_t)(d->g.page_count / 8 + 1), 1);
	d->page = malloc(d->g.page_bytes);
	d->overflow = malloc(d->g.page_bytes);
	if (!d->written || !d->page || !d->overflow)
		return err_nomem(err);
	d->next = 2;
	d->schema = true;
	r = walk_tree(d, 1, err);
	d->schema = false;
	for (size_t i = 0; !r && i < d->root_count; i++)
		r = walk_tree(d, d->roots[i], err);
	if (!r && d->usual)
		r = dec_damaged(d, "a tree has pages too many", err);
	if (r)
		return r;
	raw = layout_varint(&d->layout);
	r = layout_check(&d->layout, err);
	for (uint64_t i = 0; !r && i < raw; i++)
		r = raw_page(d, err);
	return r ? r : cells_end(&d->data, err);
}

static int decode_file(struct dec *d, uint64_t image_bytes, struct err *err)
{
	uint64_t at = 0;
	struct rd piece;
	int r;

	while (!(r = cells_file_piece(&d->data, &piece, err)) && piece.left) {
		if (piece.left > image_bytes - at)
			return dec_damaged(d, "they are longer than the image", err);
		r = d->target->write(d->target->arg, at, piece.p, piece.left, err);
		if (r)
			return r;
		at += piece.left;
	}
	return r || at == image_bytes ? r : dec_damaged(d, "they are shorter than the image", err);
}

static void dec_free(struct dec *d)
{
	for (size_t i = 0; i < BTREE_DEPTH; i++) {
		struct dec_level *l = d->levels[i];

		if (!l)
			continue;
		free(l->bytes);
		free(l->cells);
		free(l->children);
		free(l->keys);
		free(l->runs);
		free(l);
	}
	free(d->written);
	free(d->page);
	free(d->overflow);
	free(d->roots);
}

int cells_decode(const struct cells_feed *feed, uint64_t image_bytes,
		 const struct cells_target *target, struct err *err)
{
	struct dec d = {
	    .target = target,
	    .layout = layout_reader_of(feed),
	    .data = cells_reader_of(feed),
	};
	uint8_t kind = layout_u8(&d.layout);
	int r = layout_check(&d.layout, err);

	if (!r && kind == CELLS_DATABASE)
		r = decode_database(&d, image_bytes, err);
	else if (!r && kind == CELLS_FILE)
		r = decode_file(&d, image_bytes, err);
	else if (!r)
		r = dec_damaged(&d, "they are of an unknown kind", err);
	if (!r)
		r = layout_end(&d.layout, err);
	dec_free(&d);
	return r;
}
