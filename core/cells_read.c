#include "core/cells_read.h"

#include <string.h>

#include "core/btree.h"
#include "core/cells_cut.h"

static int damaged(struct err *err, const char *what)
{
	return err_set(err, ERR_DAMAGED, "the streams of a database: %s", what);
}

/* --- layout --- */

struct layout_reader layout_reader_of(const struct cells_feed *feed)
{
	return (struct layout_reader){.feed = feed};
}

int layout_bad(struct layout_reader *r, const char *what, struct err *err)
{
	if (r->failed) {
		*err = r->err;
		return r->failed;
	}
	return damaged(err, what);
}

int layout_check(const struct layout_reader *r, struct err *err)
{
	if (r->failed)
		*err = r->err;
	return r->failed;
}

/* True when there is a byte. */
static bool fill(struct layout_reader *r)
{
	while (!r->failed && !r->ended && r->left == 0) {
		r->failed = r->feed->next(r->feed->arg, CELLS_LAYOUT, &r->p, &r->left, &r->err);
		r->ended = !r->failed && r->left == 0;
	}
	if (r->failed)
		r->left = 0;
	return r->left > 0;
}

uint8_t layout_u8(struct layout_reader *r)
{
	if (!fill(r)) {
		if (!r->failed)
			r->failed = damaged(&r->err, "the layout is cut short");
		return 0;
	}
	r->left--;
	return *r->p++;
}

uint64_t layout_varint(struct layout_reader *r)
{
	uint64_t v = 0;

	for (unsigned shift = 0;; shift += 7) {
		uint8_t byte = layout_u8(r);

		if (!r->failed && ((shift == 63 && byte > 1) || (shift && byte == 0)))
			r->failed = damaged(&r->err, "a number is too long");
		if (r->failed)
			return 0;
		v |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			return v;
	}
}

int64_t layout_zigzag(struct layout_reader *r)
{
	return zigzag_back(layout_varint(r));
}

void layout_copy(struct layout_reader *r, uint8_t *out, size_t len)
{
	for (size_t take; len; len -= take, out += take) {
		take = 1;
		if (!fill(r)) {
			*out = layout_u8(r);
			continue;
		}
		take = len < r->left ? len : r->left;
		memcpy(out, r->p, take);
		r->p += take;
		r->left -= take;
	}
}

int layout_end(struct layout_reader *r, struct err *err)
{
	if (fill(r))
		return damaged(err, "the layout has bytes too many");
	return layout_check(r, err);
}

/* --- data --- */

struct cells_reader cells_reader_of(const struct cells_feed *feed)
{
	return (struct cells_reader){.feed = feed};
}

/* The next chunk of a kind. *out empty: the stream has ended. */
static int next_chunk(struct cells_reader *r, uint8_t kind, struct rd *out, struct err *err)
{
	const uint8_t *p = NULL;
	size_t len = 0;
	int rc = r->ended ? 0 : r->feed->next(r->feed->arg, CELLS_DATA, &p, &len, err);

	*out = (struct rd){0};
	if (rc)
		return rc;
	if (len == 0) {
		r->ended = true;
		return 0;
	}
	if (len == 1 || p[0] != kind)
		return damaged(err, "a chunk of another kind");
	*out = rd_of(p + 1, len - 1);
	return 0;
}

/* A column of count numbers: where it begins; r goes behind it. */
static struct rd column(struct rd *r, uint64_t count)
{
	struct rd from = *r;

	for (uint64_t i = 0; i < count && !r->bad; i++)
		(void)rd_varint(r);
	return from;
}

static int next_group(struct cells_reader *r, struct err *err)
{
	uint64_t head;
	int rc = 0;

	if (r->bytes.left == 0)
		rc = next_chunk(r, CELLS_CHUNK_CELLS, &r->bytes, err);
	if (rc || r->ended)
		return rc;
	head = rd_varint(&r->bytes);
	r->table = head & 1;
	r->left = head >> 1;
	r->before = 0;
	/* Each cell takes a byte of the group at least, which bounds the count. */
	if (r->left == 0 || r->left > r->bytes.left)
		return damaged(err, "a group of no cells");
	if (r->table)
		r->rowids = column(&r->bytes, r->left);
	r->lens = column(&r->bytes, r->left);
	return r->bytes.bad ? damaged(err, "a group of cells is cut short") : 0;
}

int cells_look(struct cells_reader *r, struct cell_ahead *out_cell, struct err *err)
{
	struct cell_ahead *a = &r->ahead;
	int rc = 0;

	if (r->pieces)
		return damaged(err, "a payload is not where it must be");
	if (!r->looked && r->left == 0)
		rc = next_group(r, err);
	if (rc)
		return rc;
	if (!r->looked) {
		*a = (struct cell_ahead){.any = r->left > 0, .table = r->table};
		if (a->any) {
			if (a->table)
				r->before += (uint64_t)zigzag_back(rd_varint(&r->rowids));
			a->rowid = a->table ? r->before : 0;
			a->payload = rd_varint(&r->lens);
			a->big = a->payload > CELLS_BIG_BYTES;
			r->left--;
			if (a->payload > BTREE_PAYLOAD_MAX)
				return damaged(err, "a payload is too long");
		}
		r->looked = true;
	}
	*out_cell = *a;
	return 0;
}

int cells_take(struct cells_reader *r, const uint8_t **out_payload, struct err *err)
{
	r->looked = false;
	*out_payload = NULL;
	if (!r->ahead.big) {
		*out_payload = rd_bytes(&r->bytes, (size_t)r->ahead.payload);
		return r->bytes.bad ? damaged(err, "a payload is cut short") : 0;
	}
	if (r->left || r->bytes.left)
		return damaged(err, "cells lie between a cell and its payload");
	r->pieces = r->ahead.payload;
	return 0;
}

int cells_pieces(struct cells_reader *r, uint8_t *out, size_t len, struct err *err)
{
	while (len) {
		size_t take = len < r->piece.left ? len : r->piece.left;

		if (take == 0) {
			int rc = next_chunk(r, CELLS_CHUNK_PIECE, &r->piece, err);

			if (rc)
				return rc;
			if (r->ended || r->piece.left > r->pieces)
				return damaged(err, "a payload is cut short or too long");
			continue;
		}
		rd_copy(&r->piece, out, take);
		out += take;
		len -= take;
		r->pieces -= take;
	}
	return 0;
}

int cells_file_piece(struct cells_reader *r, struct rd *out_piece, struct err *err)
{
	return next_chunk(r, CELLS_CHUNK_PIECE, out_piece, err);
}

int cells_end(struct cells_reader *r, struct err *err)
{
	struct cell_ahead ahead;
	int rc = cells_look(r, &ahead, err);

	if (!rc && ahead.any)
		rc = damaged(err, "cells that no page holds");
	return rc;
}
