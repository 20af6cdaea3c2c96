/*
 * This runs beside every delta, which takes some 50 ns a KiB. So a chunk and its bases are first walked side by side, and runs
 * that are the same are compared as a whole; only cells without a partner there are hashed.
 */
#include "core/cells_diff.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/btree.h"
#include "core/cells_cut.h"

#define RUN_BYTES 1024 /* compared at once */
#define AHEAD 16       /* cells that are looked at to be in step again */

struct cell {
	uint64_t rowid;
	const uint8_t *payload; /* NULL: in pieces */
	uint32_t len;
};

/* {0} is empty. Freed by free(cells). */
struct list {
	struct cell *cells;
	size_t count, cap;
};

/* --- a chunk's cells --- */

static inline uint64_t varint(struct rd *r)
{
	if (r->left && *r->p < 0x80) {
		r->left--;
		return *r->p++;
	}
	return rd_varint(r);
}

static int reserve(struct list *l, uint64_t more, struct err *err)
{
	struct cell *cells;
	size_t cap = l->count + (size_t)more;

	if (cap <= l->cap)
		return 0;
	cells = realloc(l->cells, cap * sizeof(*cells));
	if (!cells)
		return err_nomem(err);
	l->cells = cells;
	l->cap = cap;
	return 0;
}

/* The columns of a group; false when they are cut short. */
static bool read_columns(struct rd *r, bool table, struct cell *cells, uint64_t count)
{
	uint64_t rowid = 0;

	for (uint64_t i = 0; i < count; i++) {
		rowid += table ? (uint64_t)zigzag_back(varint(r)) : 0;
		cells[i].rowid = rowid;
	}
	for (uint64_t i = 0; i < count; i++) {
		uint64_t len = varint(r);

		if (len > BTREE_PAYLOAD_MAX)
			return false;
		cells[i].len = (uint32_t)len;
	}
	return !r->bad;
}

/* Says where the payloads are; gives how many cells are there whole. */
static uint64_t read_payloads(struct rd *r, struct cell *cells, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		bool big = cells[i].len > CELLS_BIG_BYTES;

		if (!big && cells[i].len > r->left)
			return i;
		cells[i].payload = big ? NULL : rd_bytes(r, cells[i].len);
	}
	return count;
}

/* Adds the cells of a chunk, as far as it is one of cells. ERR_NOMEM only; no more than its bytes are taken for cells. */
static int read_chunk(const struct span *chunk, struct list *l, struct err *err)
{
	struct rd r = rd_of(chunk->p, chunk->len);

	if (rd_u8(&r) != CELLS_CHUNK_CELLS)
		return 0;
	while (r.left) {
		uint64_t head = rd_varint(&r), count = head >> 1, whole;

		if (r.bad || count == 0 || count > r.left)
			return 0;
		if (reserve(l, count, err) != 0)
			return -err->code;
		if (!read_columns(&r, head & 1, l->cells + l->count, count))
			return 0;
		whole = read_payloads(&r, l->cells + l->count, count);
		l->count += (size_t)whole;
		if (whole < count)
			return 0;
	}
	return 0;
}

/* --- in step --- */

static bool alike(const struct cell *a, const struct cell *b)
{
	return a->rowid == b->rowid && a->len == b->len && !a->payload == !b->payload;
}

static bool same(const struct cell *a, const struct cell *b)
{
	return alike(a, b) && (!a->payload || memcmp(a->payload, b->payload, a->len) == 0);
}

static bool follows(const struct cell *c)
{
	return c[1].payload && c[0].payload + c[0].len == c[1].payload;
}

/* How many bytes are the same, where some are not. */
static size_t same_bytes(const uint8_t *a, const uint8_t *b)
{
	size_t at = 0;

	while (a[at] == b[at])
		at++;
	return at;
}

/* How many cells from here on are the same, of at most most; 0: the first is not. */
static size_t same_run(const struct cell *a, const struct cell *b, size_t most)
{
	size_t count = 0, bytes = 0;

	if (!most || !alike(a, b))
		return 0;
	if (!a->payload)
		return 1;
	do {
		bytes += a[count++].len;
	} while (count < most && bytes < RUN_BYTES && follows(a + count - 1) &&
		 follows(b + count - 1) && alike(a + count, b + count));
	if (memcmp(a->payload, b->payload, bytes) == 0)
		return count;
	bytes = same_bytes(a->payload, b->payload);
	for (count = 0; a[count].len <= bytes;)
		bytes -= a[count++].len;
	return count;
}

/*
 * Where both lists are in step again: behind as many cells that were changed, inserted or deleted, whatever is nearest. False:
 * not soon; one step on, in both, it may be.
 */
static bool find_step(const struct list *a, const struct list *b, size_t *i, size_t *j)
{
	for (size_t far = 1; far <= AHEAD; far++) {
		const size_t ways[3][2] = {{far, far}, {far, 0}, {0, far}};

		for (size_t w = 0; w < 3; w++) {
			size_t at = *i + ways[w][0], other = *j + ways[w][1];

			if (at < a->count && other < b->count &&
			    same(&a->cells[at], &b->cells[other])) {
				*i = at;
				*j = other;
				return true;
			}
		}
	}
	return false;
}

/* Moves the cells that have no partner to the front of their lists, and leaves only them. */
static void strip_same(struct list *a, struct list *b)
{
	size_t i = 0, j = 0, kept_a = 0, kept_b = 0;

	while (i < a->count && j < b->count) {
		size_t most = a->count - i < b->count - j ? a->count - i : b->count - j;
		size_t run = same_run(a->cells + i, b->cells + j, most);
		size_t to_i = i, to_j = j;

		if (run) {
			i += run;
			j += run;
			continue;
		}
		if (!find_step(a, b, &to_i, &to_j)) {
			to_i = i + 1;
			to_j = j + 1;
		}
		while (i < to_i)
			a->cells[kept_a++] = a->cells[i++];
		while (j < to_j)
			b->cells[kept_b++] = b->cells[j++];
	}
	while (i < a->count)
		a->cells[kept_a++] = a->cells[i++];
	while (j < b->count)
		b->cells[kept_b++] = b->cells[j++];
	a->count = kept_a;
	b->count = kept_b;
}

/* --- the others --- */

/* Never 0, which marks a free slot. */
static uint64_t hash_of(const struct cell *c)
{
	uint64_t hash = c->payload ? XXH3_64bits_withSeed(c->payload, c->len, c->rowid)
				   : XXH3_64bits_withSeed(&c->len, sizeof(c->len), ~c->rowid);

	return hash ? hash : 1;
}

static uint64_t *slot_of(uint64_t *slots, size_t mask, uint64_t hash)
{
	size_t at = (size_t)hash & mask;

	while (slots[at] && slots[at] != hash)
		at = (at + 1) & mask;
	return &slots[at];
}

/* How many of a are not in b. */
static int count_missing(const struct list *a, const struct list *b, uint64_t *out_count,
			 struct err *err)
{
	size_t mask = 15;
	uint64_t *slots;

	*out_count = a->count;
	if (!a->count || !b->count)
		return 0;
	while (mask < b->count * 2)
		mask = mask * 2 + 1;
	slots = calloc(mask + 1, sizeof(*slots));
	if (!slots)
		return err_nomem(err);
	for (size_t i = 0; i < b->count; i++) {
		uint64_t hash = hash_of(&b->cells[i]);

		*slot_of(slots, mask, hash) = hash;
	}
	for (size_t i = 0; i < a->count; i++)
		*out_count -= *slot_of(slots, mask, hash_of(&a->cells[i])) != 0;
	free(slots);
	return 0;
}

int cells_diff(const struct span *chunk, const struct span *bases, size_t base_count,
	       uint64_t *out_new, struct err *err)
{
	struct list cells = {0}, known = {0};
	int r = read_chunk(chunk, &cells, err);

	*out_new = 0;
	for (size_t i = 0; !r && i < base_count; i++)
		r = read_chunk(&bases[i], &known, err);
	if (!r) {
		strip_same(&cells, &known);
		r = count_missing(&cells, &known, out_new, err);
	}
	free(cells.cells);
	free(known.cells);
	return r;
}
