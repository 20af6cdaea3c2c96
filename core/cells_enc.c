/* The walk over an image that takes its b-trees apart. */
#include "core/cells_enc.h"

#include <stdlib.h>
#include <string.h>

#define LAYOUT_PART_BYTES (256u << 10) /* passed on when so much is ready */

/* --- leaves --- */

static int flush_layout(struct enc *e, bool all, struct err *err)
{
	struct buf out = {0};
	int r;

	layout_take(&e->layout, all, &out);
	r = buf_check(&out, err);
	if (!r)
		r = cells_cut_layout(e->cut, out.data, out.len, err);
	buf_free(&out);
	return r;
}

/* Puts all cells of a leaf; *out_first: overflow pages of the first cell. */
static int leaf_cells(struct enc *e, struct enc_level *l, uint8_t type, size_t *out_first,
		      struct err *err)
{
	size_t from = 0;
	int r = 0;

	buf_reset(&l->ovpatch);
	l->ovpatches = 0;
	*out_first = 0;
	for (uint32_t i = 0; !r && i < l->count; i++) {
		const struct btree_cell *c = &l->cells[i];

		r = enc_put_cell(e, l, c, from, err);
		if (c->local < c->payload)
			from += (size_t)btree_overflow_pages(&e->g, type, c->payload);
		if (i == 0)
			*out_first = from;
	}
	return r;
}

static bool chain_usual(const struct enc *e, const struct enc_level *l, uint32_t number, bool root,
			size_t first)
{
	for (size_t k = 0; k < l->chain_count; k++) {
		if (l->chain[k] != layout_expect_overflow(e->next, number, root, first, k))
			return false;
	}
	return true;
}

static int leaf(struct enc *e, struct enc_level *l, uint32_t number, bool root, struct err *err)
{
	uint8_t type = e->table ? BTREE_TABLE_LEAF : BTREE_INDEX_LEAF;
	struct page_plan plan = enc_plan(e, l, number, type, 0);
	struct layout_leaf at = {.number = number, .count = l->count};
	size_t first;
	int r = leaf_cells(e, l, type, &first, err);

	if (r)
		return r;
	at.expected = root ? number : layout_expect_leaf(e->next, first);
	buf_reset(&e->rest);
	if (!chain_usual(e, l, number, root, first)) {
		at.flags |= PAGE_CHAIN;
		layout_chain_put(&e->rest, e->next, l->chain, l->chain_count);
	}
	at.flags |= enc_describe(e, l, &plan);
	at.flags |= enc_describe_overflow(e, l);
	e->next = layout_next_page(e->next, number, root, first, l->chain_count,
				   l->chain_count ? l->chain[l->chain_count - 1] : 0);
	at.free = l->room;
	at.table = e->table;
	layout_leaf(&e->layout, &at, &e->rest);
	r = buf_check(&e->rest, err);
	return r || e->layout.out.len < LAYOUT_PART_BYTES ? r : flush_layout(e, false, err);
}

/* --- interior pages --- */

static int visit(struct enc *e, uint64_t number, bool root, unsigned depth, struct err *err);

/* The key of an interior cell of a table: that of the last cell before it, or written down. */
static void note_key(struct enc *e, struct enc_level *l, uint32_t i)
{
	if (l->cells[i].rowid == e->last_rowid)
		return;
	buf_put_varint(&l->keys, i - l->key_before);
	buf_put_zigzag(&l->keys, (int64_t)(l->cells[i].rowid - e->last_rowid));
	l->key_before = i;
	l->key_count++;
}

static int interior_cell(struct enc *e, struct enc_level *l, uint32_t i, size_t *from,
			 struct err *err)
{
	const struct btree_cell *c = &l->cells[i];
	size_t pages;
	int r;

	if (e->table) {
		note_key(e, l, i);
		return 0;
	}
	pages = (size_t)btree_overflow_pages(&e->g, BTREE_INDEX_INTERIOR, c->payload);
	r = enc_put_cell(e, l, c, *from, err);
	if (pages) {
		buf_reset(&e->rest);
		layout_chain_put(&e->rest, e->next, l->chain + *from, pages);
		layout_bytes(&e->layout, &e->rest);
		e->next = (uint64_t)l->chain[*from + pages - 1] + 1;
	}
	*from += pages;
	return r;
}

static void interior_end(struct enc *e, struct enc_level *l, const struct page_plan *plan)
{
	unsigned flags;
	struct buf post = {0};

	buf_reset(&e->rest);
	if (l->key_count) {
		buf_put_varint(&e->rest, l->key_count);
		buf_put(&e->rest, l->keys.data, l->keys.len);
	}
	flags = l->key_count ? PAGE_KEYS : 0;
	flags |= enc_describe(e, l, plan);
	flags |= enc_describe_overflow(e, l);
	buf_put_varint(&post, flags);
	buf_put(&post, e->rest.data, e->rest.len);
	layout_bytes(&e->layout, &post);
	e->rest.failed |= post.failed;
	buf_free(&post);
}

static int interior(struct enc *e, struct enc_level *l, uint32_t number, bool root, unsigned depth,
		    struct err *err)
{
	uint8_t type = e->table ? BTREE_TABLE_INTERIOR : BTREE_INDEX_INTERIOR;
	uint32_t right = btree_u32(l->page + btree_header_at(number) + 8);
	struct page_plan plan = enc_plan(e, l, number, type, right);
	size_t from = 0;
	int r = 0;

	buf_reset(&l->ovpatch);
	buf_reset(&l->keys);
	l->ovpatches = l->key_count = l->key_before = 0;
	layout_interior(&e->layout, number, root ? number : e->next, l->count);
	for (uint32_t i = 0; !r && i <= l->count; i++) {
		r = visit(e, i < l->count ? l->cells[i].child : right, false, depth + 1, err);
		if (!r && i < l->count)
			r = interior_cell(e, l, i, &from, err);
	}
	if (r)
		return r;
	interior_end(e, l, &plan);
	return buf_check(&e->rest, err);
}

static int visit(struct enc *e, uint64_t number, bool root, unsigned depth, struct err *err)
{
	struct enc_level *l;
	int r = enc_page_take(e, number, depth, &l, err);

	if (r < 0)
		return r;
	if (r == 1) {
		layout_refused(&e->layout, number);
		return 0;
	}
	e->stats->pages++;
	if (btree_is_interior(l->page[btree_header_at(number)]))
		return interior(e, l, (uint32_t)number, root, depth, err);
	return leaf(e, l, (uint32_t)number, root, err);
}

/* --- trees and what is in none --- */

static int walk_tree(struct enc *e, uint64_t root, const struct span *type, const struct span *name,
		     struct err *err)
{
	uint8_t first = 0;
	int r = 0;

	if (root >= 1 && root <= e->g.page_count)
		r = e->source->read(e->source->arg,
				    (root - 1) * e->g.page_bytes + btree_header_at(root), &first, 1,
				    err);
	if (r)
		return r;
	e->table = btree_is_table(first);
	e->last_rowid = 0;
	e->stats->trees++;
	layout_tree(&e->layout, e->table);
	r = cells_cut_tree(e->cut, e->table, type, name, err);
	return r ? r : visit(e, root, true, 0, err);
}

static struct span words(const char *text)
{
	return (struct span){(const uint8_t *)text, strlen(text)};
}

static int walk_trees(struct enc *e, struct err *err)
{
	const struct span schema = words("schema"), none = {0};
	int r;

	e->schema = true;
	r = walk_tree(e, 1, &schema, &none, err);
	e->schema = false;
	for (size_t i = 0; !r && i < e->tree_count; i++) {
		const struct enc_tree *t = &e->trees[i];
		const struct span type = {t->id.data, t->type_len};
		const struct span name = {t->id.data + t->type_len, t->id.len - t->type_len};

		r = walk_tree(e, t->root, &type, &name, err);
		if (!r)
			r = flush_layout(e, false, err);
	}
	return r;
}

/* A page of no tree, and what is behind the last whole page: what is not zeros is kept. */
static int raw_page(struct enc *e, uint64_t number, uint32_t len, uint64_t *count, struct err *err)
{
	uint8_t page[BTREE_PAGE_MAX];
	int r = enc_read_page(e, number, page, len, err);

	if (r)
		return r;
	while (len && page[len - 1] == 0)
		len--;
	if (!len)
		return 0;
	++*count;
	layout_next_cell(&e->layout, &e->g, true, number, len);
	return cells_cut_cell(e->cut, number, page, len, err);
}

static int raw_pages(struct enc *e, struct err *err)
{
	const struct span raw = words("raw"), none = {0};
	uint64_t count = 0;
	int r = cells_cut_tree(e->cut, true, &raw, &none, err);

	for (uint64_t n = 1; !r && n <= e->g.page_count; n++) {
		if (!enc_is_claimed(e, n))
			r = raw_page(e, n, e->g.page_bytes, &count, err);
	}
	if (!r && e->g.tail_bytes)
		r = raw_page(e, e->g.page_count + 1, e->g.tail_bytes, &count, err);
	e->stats->raw_pages = count;
	buf_reset(&e->rest);
	buf_put_varint(&e->rest, count);
	layout_bytes(&e->layout, &e->rest);
	return r ? r : buf_check(&e->rest, err);
}

static int encode_database(struct enc *e, struct err *err)
{
	static const uint8_t database = CELLS_DATABASE;
	int r;

	e->claimed = calloc((size_t)(e->g.page_count / 8 + 1), 1);
	if (!e->claimed)
		return err_nomem(err);
	e->next = 2;
	r = cells_cut_layout(e->cut, &database, 1, err);
	if (!r)
		r = cells_cut_layout(e->cut, e->head, sizeof(e->head), err);
	if (!r)
		r = walk_trees(e, err);
	if (!r)
		r = raw_pages(e, err);
	return r ? r : flush_layout(e, true, err);
}

/* No database: its bytes as they are. */
static int encode_file(struct enc *e, struct err *err)
{
	static const uint8_t file = CELLS_FILE;
	uint8_t bytes[BTREE_PAGE_MAX];
	int r = cells_cut_layout(e->cut, &file, 1, err);

	if (!r)
		r = cells_cut_pieces_begin(e->cut, err);
	for (uint64_t at = 0; !r && at < e->source->bytes;) {
		uint64_t left = e->source->bytes - at;
		size_t len = left < sizeof(bytes) ? (size_t)left : sizeof(bytes);

		r = e->source->read(e->source->arg, at, bytes, len, err);
		if (!r)
			r = cells_cut_big_put(e->cut, bytes, len, err);
		at += len;
	}
	return r ? r : cells_cut_big_end(e->cut, err);
}

static void enc_free(struct enc *e)
{
	for (size_t i = 0; i < BTREE_DEPTH; i++) {
		struct enc_level *l = e->levels[i];

		if (!l)
			continue;
		free(l->page);
		free(l->built);
		free(l->cells);
		free(l->places);
		free(l->chain);
		buf_free(&l->ovpatch);
		buf_free(&l->keys);
		free(l);
	}
	for (size_t i = 0; i < e->tree_count; i++)
		buf_free(&e->trees[i].id);
	free(e->trees);
	free(e->claimed);
	buf_wipe(&e->payload);
	buf_free(&e->rest);
	layout_writer_free(&e->layout);
	cells_cut_free(e->cut);
}

int cells_encode(const struct cells_source *source, const struct chunker *cutter,
		 const struct cells_sink *sink, struct cells_stats *out_stats, struct err *err)
{
	struct enc e = {.source = source, .stats = out_stats};
	int r;

	*out_stats = (struct cells_stats){0};
	r = cells_cut_new(cutter, sink, &e.cut, err);
	if (!r && source->bytes >= BTREE_HEAD_BYTES)
		r = source->read(source->arg, 0, e.head, sizeof(e.head), err);
	if (!r)
		r = btree_geom_get(e.head, source->bytes, &e.g) ? encode_database(&e, err)
								: encode_file(&e, err);
	if (!r)
		r = cells_cut_finish(e.cut, err);
	if (e.cut)
		cells_cut_count(e.cut, out_stats);
	enc_free(&e);
	return r;
}
