/* One page of the walk over an image. */
#include "core/cells_enc.h"

#include <stdlib.h>
#include <string.h>

#include "core/limits.h"

/* So many pages are read in vain, and as many times what the image has; then every page is refused unread. */
#define VAIN_LEAST 1024
#define VAIN_IMAGES 2

bool enc_is_claimed(const struct enc *e, uint64_t page)
{
	return e->claimed[(page - 1) / 8] >> ((page - 1) % 8) & 1;
}

static bool claim(struct enc *e, uint64_t page)
{
	if (page < 1 || page > e->g.page_count || enc_is_claimed(e, page))
		return false;
	e->claimed[(page - 1) / 8] |= (uint8_t)(1u << ((page - 1) % 8));
	return true;
}

static void unclaim(struct enc *e, uint64_t page)
{
	e->claimed[(page - 1) / 8] &= (uint8_t) ~(1u << ((page - 1) % 8));
}

int enc_read_page(const struct enc *e, uint64_t page, void *out, size_t len, struct err *err)
{
	return e->source->read(e->source->arg, (page - 1) * e->g.page_bytes, out, len, err);
}

static int level_get(struct enc *e, unsigned depth, struct enc_level **out, struct err *err)
{
	struct enc_level *l = e->levels[depth];
	size_t most = page_cells_max(&e->g);

	*out = l;
	if (l)
		return 0;
	*out = l = e->levels[depth] = calloc(1, sizeof(*l));
	if (!l)
		return err_nomem(err);
	l->page = malloc(e->g.page_bytes);
	l->built = malloc(e->g.page_bytes);
	l->cells = malloc(most * sizeof(*l->cells));
	l->places = malloc(most * sizeof(*l->places));
	return l->page && l->built && l->cells && l->places ? 0 : err_nomem(err);
}

/* --- is it a page of this tree? --- */

static bool page_parse(const struct enc *e, struct enc_level *l, uint64_t number)
{
	const uint8_t *header = l->page + btree_header_at(number);
	uint8_t type = header[0];
	uint32_t cells_from, room;

	if (type != (e->table ? BTREE_TABLE_LEAF : BTREE_INDEX_LEAF) &&
	    type != (e->table ? BTREE_TABLE_INTERIOR : BTREE_INDEX_INTERIOR))
		return false;
	l->count = btree_u16(header + 3);
	if (l->count > page_cells_max(&e->g))
		return false;
	cells_from = btree_header_at(number) + btree_header_bytes(type) + 2 * l->count;
	if (cells_from > e->g.usable)
		return false;
	room = e->g.usable - cells_from;
	for (uint32_t i = 0; i < l->count; i++) {
		const uint8_t *pointer = header + btree_header_bytes(type) + (size_t)2 * i;
		struct btree_cell *c = &l->cells[i];
		uint32_t at = btree_u16(pointer);

		if (at < cells_from || !btree_cell_get(&e->g, type, l->page, at, c))
			return false;
		l->places[i] = (struct page_cell){at, c->size, at};
		if (page_cell_room(c->size) > room || page_cell_room(c->size) > e->g.usable - at)
			return false;
		room -= page_cell_room(c->size);
	}
	l->room = room;
	return true;
}

static int chain_push(struct enc_level *l, uint32_t page, struct err *err)
{
	if (l->chain_count == l->chain_cap) {
		size_t cap = l->chain_cap ? l->chain_cap * 2 : 16;
		uint32_t *chain = realloc(l->chain, cap * sizeof(*chain));

		if (!chain)
			return err_nomem(err);
		l->chain = chain;
		l->chain_cap = cap;
	}
	l->chain[l->chain_count++] = page;
	return 0;
}

/* 1 when the chain of a cell is not one of as many pages as it must have. */
static int chain_claim(struct enc *e, struct enc_level *l, const struct btree_cell *c, uint8_t type,
		       struct err *err)
{
	uint64_t left = btree_overflow_pages(&e->g, type, c->payload);
	uint32_t page = c->overflow;

	for (int r; left; left--) {
		uint8_t next[4];

		if (!claim(e, page))
			return 1;
		r = chain_push(l, page, err);
		if (!r)
			r = enc_read_page(e, page, next, sizeof(next), err);
		if (r)
			return r;
		page = btree_u32(next);
	}
	return 0;
}

/* 1 when a chain is broken: the pages that were claimed for the others are free again. */
static int chains_claim(struct enc *e, struct enc_level *l, uint8_t type, struct err *err)
{
	int r = 0;

	for (uint32_t i = 0; !r && i < l->count; i++) {
		if (l->cells[i].overflow || l->cells[i].local < l->cells[i].payload)
			r = chain_claim(e, l, &l->cells[i], type, err);
	}
	for (size_t i = 0; r == 1 && i < l->chain_count; i++)
		unclaim(e, l->chain[i]);
	return r;
}

/* --- cells --- */

static int tree_add(struct enc *e, const struct btree_schema *row, struct err *err)
{
	struct enc_tree *t;

	if (e->tree_count >= LIMIT_DB_TREES)
		return 0;
	if (e->tree_count == e->tree_cap) {
		size_t cap = e->tree_cap ? e->tree_cap * 2 : 16;

		t = realloc(e->trees, cap * sizeof(*t));
		if (!t)
			return err_nomem(err);
		e->trees = t;
		e->tree_cap = cap;
	}
	t = &e->trees[e->tree_count++];
	*t = (struct enc_tree){.root = row->root, .type_len = row->type.len};
	buf_put(&t->id, row->type.p, row->type.len);
	buf_put(&t->id, row->name.p, row->name.len);
	return buf_check(&t->id, err);
}

static void note_ovpatch(struct enc *e, struct enc_level *l, size_t ordinal,
			 const uint8_t *expected, const uint8_t *actual)
{
	size_t before = l->ovpatch.len;

	buf_put_varint(&l->ovpatch, ordinal);
	if (page_patch_put(&l->ovpatch, expected, actual, e->g.page_bytes))
		l->ovpatches++;
	else
		l->ovpatch.len = before;
}

typedef int bytes_fn(struct enc *e, const void *bytes, size_t len, struct err *err);

/* Gives the payload of a cell whose chain begins at chain[from] of the level, and notes what else is on its overflow pages. */
static int payload_each(struct enc *e, struct enc_level *l, const struct btree_cell *c, size_t from,
			bytes_fn *fn, struct err *err)
{
	uint8_t page[BTREE_PAGE_MAX], expected[BTREE_PAGE_MAX];
	uint32_t front = c->size - c->local - (c->local < c->payload ? 4 : 0);
	uint64_t left = c->payload - c->local;
	int r = fn(e, l->page + c->at + front, c->local, err);

	for (size_t i = from; !r && left; i++) {
		uint32_t len = left < e->g.usable - 4 ? (uint32_t)left : e->g.usable - 4;

		r = enc_read_page(e, l->chain[i], page, e->g.page_bytes, err);
		if (r)
			break;
		left -= len;
		memset(expected, 0, e->g.page_bytes);
		btree_put_u32(expected, left ? l->chain[i + 1] : 0);
		memcpy(expected + 4, page + 4, len);
		note_ovpatch(e, l, i, expected, page);
		r = fn(e, page + 4, len, err);
	}
	return r;
}

static int to_payload(struct enc *e, const void *bytes, size_t len, struct err *err)
{
	buf_put(&e->payload, bytes, len);
	return buf_check(&e->payload, err);
}

static int to_pieces(struct enc *e, const void *bytes, size_t len, struct err *err)
{
	return cells_cut_big_put(e->cut, bytes, len, err);
}

static int big_cell(struct enc *e, struct enc_level *l, const struct btree_cell *c, size_t from,
		    struct err *err)
{
	const uint8_t *local = l->page + c->at + c->size - 4 - c->local;
	int r = cells_cut_big_begin(e->cut, c->rowid, c->payload, local, c->local, err);

	if (!r)
		r = payload_each(e, l, c, from, to_pieces, err);
	return r ? r : cells_cut_big_end(e->cut, err);
}

int enc_put_cell(struct enc *e, struct enc_level *l, const struct btree_cell *c, size_t from,
		 struct err *err)
{
	struct btree_schema row;
	int r;

	layout_next_cell(&e->layout, &e->g, e->table, c->rowid, c->payload);
	e->last_rowid = c->rowid;
	if (c->payload > CELLS_BIG_BYTES)
		return big_cell(e, l, c, from, err);
	if (c->local == c->payload) {
		const uint8_t *p = l->page + c->at + c->size - c->local;

		r = cells_cut_cell(e->cut, c->rowid, p, c->local, err);
		if (!r && e->schema && btree_schema_get(p, c->local, &row))
			r = tree_add(e, &row, err);
		return r;
	}
	buf_reset(&e->payload);
	r = payload_each(e, l, c, from, to_payload, err);
	if (!r)
		r = cells_cut_cell(e->cut, c->rowid, e->payload.data, e->payload.len, err);
	if (!r && e->schema && btree_schema_get(e->payload.data, e->payload.len, &row))
		r = tree_add(e, &row, err);
	return r;
}

/*
 * What is refused is free to be asked for again. Of an image that was made so that every page leads to the same long broken chain, that
 * would take the square of its pages.
 */
static bool gives_up(const struct enc *e)
{
	return e->vain > VAIN_LEAST + VAIN_IMAGES * e->g.page_count;
}

int enc_page_take(struct enc *e, uint64_t number, unsigned depth, struct enc_level **out,
		  struct err *err)
{
	struct enc_level *l;
	int r;

	if (depth >= BTREE_DEPTH || gives_up(e) || !claim(e, number))
		return 1;
	r = level_get(e, depth, &l, err);
	if (!r)
		r = enc_read_page(e, number, l->page, e->g.page_bytes, err);
	if (r)
		return r;
	l->chain_count = 0;
	r = page_parse(e, l, number) ? chains_claim(e, l, l->page[btree_header_at(number)], err)
				     : 1;
	if (r == 1) {
		unclaim(e, number);
		e->vain += 1 + l->chain_count;
	}
	*out = l;
	return r;
}

/* --- what is unusual about a page --- */

struct page_plan enc_plan(const struct enc *e, const struct enc_level *l, uint32_t number,
			  uint8_t type, uint32_t right)
{
	return (struct page_plan){
	    .geom = &e->g,
	    .head = e->head,
	    .number = number,
	    .type = type,
	    .right = right,
	    .bytes = l->page,
	    .cells = l->places,
	    .count = l->count,
	};
}

/* Appends order, place and patch to `rest`; returns their flags. */
unsigned enc_describe(struct enc *e, struct enc_level *l, const struct page_plan *p)
{
	uint32_t usual = page_misplaced(p, page_last_first(p->type, 0)), other = usual;
	unsigned flags = 0;

	if (!usual && page_is_usual(p, l->page))
		return 0;
	if (usual)
		other = page_misplaced(p, page_last_first(p->type, PAGE_ORDER));
	if (other < usual)
		flags |= PAGE_ORDER;
	if (usual && other) {
		flags |= PAGE_PLACE;
		page_place_put(&e->rest, p, page_last_first(p->type, flags));
	}
	page_build(p, l->built);
	if (page_patch_put(&e->rest, l->built, l->page, e->g.page_bytes))
		flags |= PAGE_PATCH;
	return flags;
}

unsigned enc_describe_overflow(struct enc *e, const struct enc_level *l)
{
	if (!l->ovpatches)
		return 0;
	buf_put_varint(&e->rest, l->ovpatches);
	buf_put(&e->rest, l->ovpatch.data, l->ovpatch.len);
	return PAGE_OVPATCH;
}
