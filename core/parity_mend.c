/* Mending by a parity tail: which blocks are damaged, what they were, and whether the name agrees. */
#include "core/parity.h"

#include <stdlib.h>
#include <string.h>

#include "core/limits.h"
#include "core/parity_layout.h"
#include "core/sha256.h"

struct mend {
	const uint8_t *bytes;
	size_t len;
	const struct id *name;
	struct parity_layout l;
	struct buf *out;
	size_t start; /* of the object in out */
	bool
	    second; /* of a copied pack the second copy first: when no sum tells which one is good */
	struct err *err;
};

/* What of the object is there, NULL where it was cut off. */
static const uint8_t *part(const struct mend *m, size_t at, size_t len)
{
	return at <= m->len && len <= m->len - at ? m->bytes + at : NULL;
}

/* --- the layout --- */

static bool same_layout(const struct parity_layout *a, const struct parity_layout *b)
{
	return a->kind == b->kind && a->blocks == b->blocks;
}

/* Segment k of the layout in one of the two tables; NULL where both are damaged. */
static const uint8_t *find_segment(const struct mend *m, size_t k)
{
	for (unsigned table = 0; table < 2; table++) {
		const uint8_t *at =
		    part(m, parity_layout_segment(&m->l, table, k), m->l.segment_bytes);
		struct parity_layout l;
		size_t number;

		if (at && parity_segment_get(at, m->l.segment_bytes, &l, &number) && number == k &&
		    same_layout(&l, &m->l))
			return at;
	}
	return NULL;
}

/* The layout of a kind with which the object would have this length. It grows with the blocks, so there is one at most. */
static bool layout_by_length(enum parity_kind kind, size_t len, struct parity_layout *out)
{
	size_t low = 1, high = LIMIT_PACK_BYTES / PARITY_BLOCK_BYTES + 1;

	if (kind == PARITY_COPY)
		high = PARITY_COPY_BELOW;
	else
		low = PARITY_COPY_BELOW;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (parity_layout_of(kind, middle, out) && out->object_bytes < len)
			low = middle + 1;
		else
			high = middle;
	}
	return parity_layout_of(kind, low, out) && out->object_bytes == len;
}

static bool has_any_segment(const struct mend *m)
{
	bool has = false;

	for (size_t k = 0; !has && k < m->l.segments; k++)
		has = find_segment(m, k) != NULL;
	return has;
}

/* The length of the object says it, unless that is damaged, too. */
static bool find_by_length(struct mend *m)
{
	static const enum parity_kind kinds[] = {PARITY_COPY, PARITY_TWO, PARITY_FOUR};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (layout_by_length(kinds[i], m->len, &m->l) && has_any_segment(m))
			return true;
	}
	return false;
}

/* Is there a segment at this place that says that it belongs there? */
static bool segment_at(struct mend *m, size_t at, size_t len)
{
	const uint8_t *p = part(m, at, len);
	size_t k;

	return p && parity_segment_get(p, len, &m->l, &k) &&
	       (at == parity_layout_segment(&m->l, 0, k) ||
		at == parity_layout_segment(&m->l, 1, k));
}

/* Of an object that was cut short or lengthened: any segment tells the layout. */
static bool find_by_search(struct mend *m)
{
	for (size_t blocks = 1; blocks < PARITY_COPY_BELOW; blocks++) {
		size_t bytes = 8 * blocks + PARITY_SEGMENT_END, at = blocks * PARITY_BLOCK_BYTES;

		if (segment_at(m, at, bytes) || segment_at(m, at + bytes + at, bytes))
			return true;
	}
	for (size_t at = 0; at < m->len; at += PARITY_SEGMENT_BYTES) {
		if (segment_at(m, at, PARITY_SEGMENT_BYTES))
			return true;
	}
	return false;
}

/* --- the blocks --- */

/* sums[c] of the coded blocks of which one is known; known[k] of segment k. */
static void read_sums(const struct mend *m, uint64_t *sums, bool *known)
{
	for (size_t k = 0; k < m->l.segments; k++) {
		const uint8_t *segment = find_segment(m, k);
		size_t first = k * PARITY_SEGMENT_SUMS;

		known[k] = segment != NULL;
		for (size_t i = 0; segment && i < PARITY_SEGMENT_SUMS && first + i < m->l.coded;
		     i++)
			sums[first + i] = parity_segment_sum(segment, i);
	}
}

/* The block at this place where it is what its sum says; what has no sum any more is taken as it is, and the name will judge. */
static const uint8_t *good_block(const struct mend *m, size_t at, size_t c, const uint64_t *sums,
				 const bool *known)
{
	const uint8_t *p = part(m, at, PARITY_BLOCK_BYTES);

	return p && known[c / PARITY_SEGMENT_SUMS] && parity_sum(p) != sums[c] ? NULL : p;
}

static int beyond(struct mend *m, const char *text)
{
	return err_set(m->err, ERR_DAMAGED, "beyond what its parity can mend: %s", text);
}

static int mend_copy(struct mend *m, const uint64_t *sums, const bool *known, uint8_t *body)
{
	size_t other = m->l.middle_bytes + m->l.table_bytes;

	for (size_t c = 0; c < m->l.blocks; c++) {
		size_t at = c * PARITY_BLOCK_BYTES;
		const uint8_t *p = good_block(m, m->second ? other + at : at, c, sums, known);

		if (!p)
			p = good_block(m, m->second ? at : other + at, c, sums, known);
		if (!p)
			return beyond(m, "both copies of a block are damaged");
		memcpy(body + at, p, PARITY_BLOCK_BYTES);
	}
	return 0;
}

static int mend_stripe(struct mend *m, const uint64_t *sums, const bool *known, size_t stripe,
		       uint8_t *body)
{
	const uint8_t *data[PARITY_CODE_DATA], *parity[PARITY_CODE_ROWS];
	unsigned lost[PARITY_CODE_DATA];
	uint8_t *out[PARITY_CODE_DATA];
	size_t count = 0, lost_count = 0;

	for (size_t c = stripe; c < m->l.blocks; c += m->l.stripes, count++) {
		const uint8_t *p = good_block(m, c * PARITY_BLOCK_BYTES, c, sums, known);

		data[count] = p;
		out[lost_count] = body + c * PARITY_BLOCK_BYTES;
		if (p)
			memcpy(out[lost_count], p, PARITY_BLOCK_BYTES);
		else
			lost[lost_count++] = (unsigned)count;
	}
	for (unsigned row = 0; row < m->l.rows; row++) {
		size_t c = parity_layout_coded(&m->l, stripe, row);

		parity[row] = good_block(m, parity_layout_block(&m->l, c), c, sums, known);
	}
	if (lost_count &&
	    !parity_code_solve(data, count, parity, (unsigned)m->l.rows, lost, lost_count, out))
		return beyond(m, "too many blocks of one stripe are damaged");
	return 0;
}

static int mend_body(struct mend *m, uint8_t *body)
{
	uint64_t *sums = calloc(m->l.coded, sizeof(*sums));
	bool *known = calloc(m->l.segments, sizeof(*known));
	int r = sums && known ? 0 : err_nomem(m->err);

	if (!r)
		read_sums(m, sums, known);
	if (!r && m->l.kind == PARITY_COPY)
		r = mend_copy(m, sums, known, body);
	for (size_t stripe = 0; !r && stripe < m->l.stripes; stripe++)
		r = mend_stripe(m, sums, known, stripe, body);
	free(sums);
	free(known);
	return r;
}

/* The body gives the tail, and the name says whether it is the right one. */
static int finish(struct mend *m)
{
	struct id digest;
	int r = parity_put(m->l.kind, m->start, m->out, m->err);

	if (!r)
		r = sha256_of(m->out->data + m->start, m->out->len - m->start, &digest, m->err);
	if (!r && !id_eq(&digest, m->name))
		r = beyond(m, "what it gives is not what the name says");
	return r;
}

static int mend_as(struct mend *m)
{
	uint8_t *body = buf_extend(m->out, m->l.blocks * PARITY_BLOCK_BYTES);
	int r = body ? mend_body(m, body) : err_nomem(m->err);

	if (!r)
		r = finish(m);
	if (r)
		m->out->len = m->start;
	return r;
}

/* No sum is left: the length tells the layout, and one copy or the body may be well as it is. */
static int mend_blindly(struct mend *m)
{
	static const enum parity_kind kinds[] = {PARITY_COPY, PARITY_COPY, PARITY_TWO, PARITY_FOUR};
	int r = -ERR_DAMAGED;

	for (size_t i = 0; r == -ERR_DAMAGED && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		m->second = i == 1;
		if (layout_by_length(kinds[i], m->len, &m->l))
			r = mend_as(m);
	}
	return r == -ERR_DAMAGED
		   ? err_set(m->err, ERR_DAMAGED, "it has no parity, or none that is left")
		   : r;
}

static void count_blocks(const struct mend *m, struct parity_mended *out)
{
	const uint8_t *whole = m->out->data + m->start;
	size_t len = m->out->len - m->start;

	*out = (struct parity_mended){0};
	for (size_t at = 0; at < len; at += PARITY_BLOCK_BYTES, out->of++) {
		size_t n = len - at < PARITY_BLOCK_BYTES ? len - at : PARITY_BLOCK_BYTES;
		const uint8_t *was = part(m, at, n);

		out->blocks += !was || memcmp(was, whole + at, n) != 0;
	}
}

int parity_mend(const void *bytes, size_t len, const struct id *name, struct buf *out,
		struct parity_mended *out_mended, struct err *err)
{
	struct mend m = {
	    .bytes = bytes, .len = len, .name = name, .out = out, .start = out->len, .err = err};
	int r;

	r = find_by_length(&m) || find_by_search(&m) ? mend_as(&m) : mend_blindly(&m);
	if (!r)
		count_blocks(&m, out_mended);
	return r;
}
