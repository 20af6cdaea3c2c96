#include "core/parity.h"

#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "core/limits.h"
#include "core/parity_layout.h"

bool parity_is_level(uint64_t level)
{
	return level == 0 || level == 2 || level == 4;
}

enum parity_kind parity_kind_of(unsigned level, uint64_t body_bytes)
{
	if (level == 0)
		return PARITY_NONE;
	if (body_bytes < (uint64_t)PARITY_COPY_BELOW * PARITY_BLOCK_BYTES)
		return PARITY_COPY;
	return level == 4 ? PARITY_FOUR : PARITY_TWO;
}

/* --- layout --- */

static void layout_copy(struct parity_layout *l)
{
	l->stripes = l->rows = 0;
	l->coded = l->blocks;
	l->segments = 1;
	l->segment_bytes = 8 * l->blocks + PARITY_SEGMENT_END;
	l->middle_bytes = l->blocks * PARITY_BLOCK_BYTES;
}

static void layout_stripes(struct parity_layout *l)
{
	l->rows = (size_t)l->kind;
	l->stripes = (l->blocks + PARITY_CODE_DATA - 1) / PARITY_CODE_DATA;
	l->coded = l->blocks + l->stripes * l->rows;
	l->segments = (l->coded + PARITY_SEGMENT_SUMS - 1) / PARITY_SEGMENT_SUMS;
	l->segment_bytes = PARITY_SEGMENT_BYTES;
	l->middle_bytes = l->stripes * l->rows * PARITY_BLOCK_BYTES;
}

bool parity_layout_of(enum parity_kind kind, uint64_t blocks, struct parity_layout *out)
{
	struct parity_layout l = {.kind = kind, .blocks = (size_t)blocks};

	if (kind != PARITY_COPY && kind != PARITY_TWO && kind != PARITY_FOUR)
		return false;
	if (blocks == 0 || blocks > LIMIT_PACK_BYTES / PARITY_BLOCK_BYTES ||
	    (kind == PARITY_COPY) != (blocks < PARITY_COPY_BELOW))
		return false;
	if (kind == PARITY_COPY)
		layout_copy(&l);
	else
		layout_stripes(&l);
	l.table_bytes = l.segments * l.segment_bytes;
	l.object_bytes = l.blocks * PARITY_BLOCK_BYTES + 2 * l.table_bytes + l.middle_bytes;
	if (l.object_bytes > LIMIT_PACK_BYTES)
		return false;
	*out = l;
	return true;
}

size_t parity_layout_block(const struct parity_layout *l, size_t c)
{
	return c * PARITY_BLOCK_BYTES + (c < l->blocks ? 0 : l->table_bytes);
}

size_t parity_layout_coded(const struct parity_layout *l, size_t stripe, unsigned row)
{
	size_t first =
	    l->blocks % l->stripes; /* the stripe of the first parity block of each row */

	return l->blocks + row * l->stripes + (stripe + l->stripes - first) % l->stripes;
}

size_t parity_layout_segment(const struct parity_layout *l, unsigned table, size_t k)
{
	return l->blocks * PARITY_BLOCK_BYTES + k * l->segment_bytes +
	       (table ? l->table_bytes + l->middle_bytes : 0);
}

uint64_t parity_tail_bytes(enum parity_kind kind, uint64_t body_bytes)
{
	struct parity_layout l;

	if (body_bytes % PARITY_BLOCK_BYTES != 0 ||
	    !parity_layout_of(kind, body_bytes / PARITY_BLOCK_BYTES, &l))
		return 0;
	return l.object_bytes - body_bytes;
}

/* --- the table of sums --- */

uint64_t parity_sum(const uint8_t block[PARITY_BLOCK_BYTES])
{
	return XXH3_64bits(block, PARITY_BLOCK_BYTES);
}

static void put_le(uint8_t *p, uint64_t v, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

uint64_t parity_segment_sum(const uint8_t *bytes, size_t i)
{
	struct rd r = rd_of(bytes + 8 * i, 8);

	return rd_u64(&r);
}

/* A whole segment; in a copied pack the zeros behind the last sum are left out. */
static void segment_put(const struct parity_layout *l, size_t k, const uint64_t *sums,
			uint8_t out[PARITY_SEGMENT_BYTES])
{
	uint8_t *end = out + PARITY_SEGMENT_BYTES - PARITY_SEGMENT_END;
	size_t first = k * PARITY_SEGMENT_SUMS;

	memset(out, 0, PARITY_SEGMENT_BYTES);
	for (size_t i = 0; i < PARITY_SEGMENT_SUMS && first + i < l->coded; i++)
		put_le(out + 8 * i, sums[first + i], 8);
	put_le(end, l->blocks, 4);
	end[4] = (uint8_t)l->kind;
	put_le(end + 6, k, 2);
	put_le(end + 8, XXH3_64bits(out, PARITY_SEGMENT_BYTES - 8), 8);
}

bool parity_segment_get(const uint8_t *bytes, size_t len, struct parity_layout *out, size_t *out_k)
{
	uint8_t whole[PARITY_SEGMENT_BYTES] = {0};
	uint8_t *end = whole + PARITY_SEGMENT_BYTES - PARITY_SEGMENT_END;
	struct rd r = rd_of(end, PARITY_SEGMENT_END);
	enum parity_kind kind;
	uint64_t blocks;
	uint8_t zero;

	if (len < PARITY_SEGMENT_END || len > PARITY_SEGMENT_BYTES)
		return false;
	memcpy(whole, bytes, len - PARITY_SEGMENT_END);
	memcpy(end, bytes + len - PARITY_SEGMENT_END, PARITY_SEGMENT_END);
	blocks = rd_u32(&r);
	kind = (enum parity_kind)rd_u8(&r);
	zero = rd_u8(&r);
	*out_k = rd_u16(&r);
	return !zero && rd_u64(&r) == XXH3_64bits(whole, PARITY_SEGMENT_BYTES - 8) &&
	       parity_layout_of(kind, blocks, out) && *out_k < out->segments &&
	       len == out->segment_bytes;
}

/* --- making it --- */

static void put_tables(const struct parity_layout *l, const uint64_t *sums, uint8_t *object)
{
	uint8_t segment[PARITY_SEGMENT_BYTES];

	for (size_t k = 0; k < l->segments; k++) {
		segment_put(l, k, sums, segment);
		for (unsigned table = 0; table < 2; table++) {
			uint8_t *to = object + parity_layout_segment(l, table, k);
			size_t kept = l->segment_bytes - PARITY_SEGMENT_END;

			memcpy(to, segment, kept);
			memcpy(to + kept, segment + PARITY_SEGMENT_BYTES - PARITY_SEGMENT_END,
			       PARITY_SEGMENT_END);
		}
	}
}

static void put_stripe(const struct parity_layout *l, size_t stripe, uint8_t *object)
{
	const uint8_t *data[PARITY_CODE_DATA];
	size_t count = 0;

	for (size_t c = stripe; c < l->blocks; c += l->stripes)
		data[count++] = object + c * PARITY_BLOCK_BYTES;
	for (unsigned row = 0; row < l->rows; row++)
		parity_code_put(data, count, row,
				object +
				    parity_layout_block(l, parity_layout_coded(l, stripe, row)));
}

static void put_middle(const struct parity_layout *l, uint8_t *object)
{
	if (l->kind == PARITY_COPY)
		memcpy(object + l->middle_bytes + l->table_bytes, object, l->middle_bytes);
	for (size_t stripe = 0; stripe < l->stripes; stripe++)
		put_stripe(l, stripe, object);
}

int parity_put(enum parity_kind kind, size_t start, struct buf *object, struct err *err)
{
	size_t body_bytes = object->len - start;
	struct parity_layout l;
	uint64_t *sums;
	uint8_t *whole;

	if (kind == PARITY_NONE)
		return 0;
	if (body_bytes % PARITY_BLOCK_BYTES != 0 ||
	    !parity_layout_of(kind, body_bytes / PARITY_BLOCK_BYTES, &l))
		return err_set(err, ERR_USAGE, "%zu bytes have no parity of kind %d", body_bytes,
			       (int)kind);
	sums = calloc(l.coded, sizeof(*sums));
	if (!sums || !buf_extend(object, l.object_bytes - body_bytes)) {
		free(sums);
		return err_nomem(err);
	}
	whole = object->data + start;
	put_middle(&l, whole);
	for (size_t c = 0; c < l.coded; c++)
		sums[c] = parity_sum(whole + parity_layout_block(&l, c));
	put_tables(&l, sums, whole);
	free(sums);
	return 0;
}
