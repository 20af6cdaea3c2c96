#include "core/cells_layout.h"

void layout_writer_free(struct layout_writer *w)
{
	buf_free(&w->out);
	buf_free(&w->rest);
	buf_free(&w->after);
}

static void put_usual(struct layout_writer *w)
{
	if (w->usual)
		buf_put_varint(&w->out, (w->usual - 1) << 1);
	w->usual = 0;
}

/* Where the next bytes go. */
static struct buf *place(struct layout_writer *w)
{
	if (w->waiting)
		return &w->after;
	put_usual(w);
	return &w->out;
}

static void put_flags(struct buf *b, unsigned flags)
{
	buf_put_varint(b, (uint64_t)flags << 1 | 1);
}

static void put_leaf(struct buf *b, const struct layout_leaf *leaf, const struct buf *rest)
{
	put_flags(b, leaf->flags);
	if (leaf->flags & PAGE_NUMBER)
		buf_put_zigzag(b, (int64_t)(leaf->number - leaf->expected));
	if (leaf->flags & PAGE_COUNT)
		buf_put_varint(b, leaf->count);
	buf_put(b, rest->data, rest->len);
	b->failed |= rest->failed;
}

static void append(struct buf *to, struct buf *from)
{
	buf_put(to, from->data, from->len);
	to->failed |= from->failed;
	buf_reset(from);
}

static void settle(struct layout_writer *w)
{
	w->waiting = false;
	if (w->leaf.flags) {
		put_usual(w);
		put_leaf(&w->out, &w->leaf, &w->rest);
	} else {
		w->usual++;
	}
	if (w->after.len)
		put_usual(w);
	append(&w->out, &w->after);
}

void layout_next_cell(struct layout_writer *w, const struct btree_geom *g, bool table,
		      uint64_t rowid, uint64_t payload)
{
	if (!w->waiting)
		return;
	if (w->leaf.table == table &&
	    btree_room(btree_leaf_cell_bytes(g, table, rowid, payload)) <= w->leaf.free)
		w->leaf.flags |= PAGE_COUNT;
	settle(w);
}

void layout_tree(struct layout_writer *w, bool table)
{
	buf_put_u8(place(w), table);
}

void layout_leaf(struct layout_writer *w, const struct layout_leaf *leaf, const struct buf *rest)
{
	struct layout_leaf at = *leaf;

	if (at.number != at.expected)
		at.flags |= PAGE_NUMBER;
	if (at.count == 0) {
		at.flags |= PAGE_COUNT;
		put_leaf(place(w), &at, rest);
		return;
	}
	w->leaf = at;
	w->waiting = true;
	buf_reset(&w->rest);
	buf_put(&w->rest, rest->data, rest->len);
}

void layout_interior(struct layout_writer *w, uint32_t number, uint64_t expected, uint32_t count)
{
	struct buf *b = place(w);

	put_flags(b, PAGE_INTERIOR | (number == expected ? 0 : PAGE_NUMBER));
	if (number != expected)
		buf_put_zigzag(b, (int64_t)(number - expected));
	buf_put_varint(b, count);
}

void layout_refused(struct layout_writer *w, uint64_t number)
{
	struct buf *b = place(w);

	put_flags(b, PAGE_REFUSED);
	buf_put_varint(b, number);
}

void layout_bytes(struct layout_writer *w, const struct buf *bytes)
{
	struct buf *b = place(w);

	buf_put(b, bytes->data, bytes->len);
	b->failed |= bytes->failed;
}

void layout_take(struct layout_writer *w, bool all, struct buf *out)
{
	if (all && w->waiting)
		settle(w);
	if (all)
		put_usual(w);
	append(out, &w->out);
}

uint64_t layout_expect_leaf(uint64_t next, size_t first)
{
	return next + first;
}

uint64_t layout_expect_overflow(uint64_t next, uint32_t number, bool root, size_t first, size_t k)
{
	return root || k < first ? next + k : (uint64_t)number + 1 + (k - first);
}

uint64_t layout_next_page(uint64_t next, uint32_t number, bool root, size_t first, size_t count,
			  uint64_t last)
{
	if (count > first || (root && count))
		return last + 1;
	return root ? next : (uint64_t)number + 1;
}

/* How many pages from chain[at] on follow one another. */
static size_t run_length(const uint32_t *chain, size_t count, size_t at)
{
	size_t run = 1;

	while (at + run < count && chain[at + run] == (uint64_t)chain[at] + run)
		run++;
	return run;
}

void layout_chain_put(struct buf *b, uint64_t next, const uint32_t *chain, size_t count)
{
	uint64_t runs = 0;

	for (size_t i = 0; i < count; i += run_length(chain, count, i))
		runs++;
	buf_put_varint(b, runs);
	for (size_t i = 0, run; i < count; i += run) {
		run = run_length(chain, count, i);
		buf_put_zigzag(b, (int64_t)(chain[i] - next));
		buf_put_varint(b, run);
		next = (uint64_t)chain[i] + run;
	}
}
