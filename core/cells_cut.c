#include "core/cells_cut.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#define GONE_BYTES                                                                                 \
	(256u                                                                                      \
	 << 10) /* given away payloads lie in front of the kept ones until there is so much of them */

struct kept {
	uint64_t rowid, hash;
	uint32_t payload, tree, weight;
	bool table, big, hashed;
};

struct cells_cut {
	const struct chunker *cutter;
	const struct cells_sink *sink;
	uint8_t key[16]; /* of the tree */
	bool table;
	uint32_t tree;
	uint64_t last_rowid; /* of the tree's last cell, or 0 */
	struct kept *cells;  /* the kept ones are those from first on */
	size_t first, count, cap;
	size_t weight;    /* of all kept cells */
	struct buf bytes; /* their payloads, from here on: */
	size_t bytes_from;
	struct buf chunk;  /* one being written */
	struct buf pieces; /* of a big payload, behind a byte for the chunk's kind */
	struct buf layout;
	uint64_t piece_hash; /* of the big cell's first piece */
	struct cells_stats stats;
};

int cells_cut_new(const struct chunker *cutter, const struct cells_sink *sink,
		  struct cells_cut **out_cut, struct err *err)
{
	struct cells_cut *cut = calloc(1, sizeof(*cut));

	if (!cut)
		return err_nomem(err);
	cut->cutter = cutter;
	cut->sink = sink;
	*out_cut = cut;
	/* Never NULL, so that nothing begins at a place in it. */
	buf_put_u8(&cut->bytes, 0);
	cut->bytes.len = 0;
	return buf_check(&cut->bytes, err);
}

void cells_cut_free(struct cells_cut *cut)
{
	if (!cut)
		return;
	free(cut->cells);
	buf_wipe(&cut->bytes);
	buf_wipe(&cut->chunk);
	buf_wipe(&cut->pieces);
	buf_free(&cut->layout);
	free(cut);
}

uint64_t cells_key_hash(const uint8_t tree_key[16], bool table, uint64_t rowid, const void *key,
			size_t len)
{
	uint8_t number[8], hash[crypto_shorthash_BYTES] = {0};
	struct rd r = rd_of(hash, sizeof(hash));

	for (size_t i = 0; table && i < sizeof(number); i++)
		number[i] = (uint8_t)(rowid >> (8 * i));
	crypto_shorthash(hash, table ? number : key, table ? sizeof(number) : len, tree_key);
	return rd_u64(&r);
}

/* Hashes are needed of about three cells in four: not of those with which no chunk can begin. at: where the payload is. */
static uint64_t hash_at(const struct cells_cut *cut, struct kept *c, size_t at)
{
	if (!c->hashed) {
		c->hash = cells_key_hash(cut->key, c->table, c->rowid, cut->bytes.data + at,
					 (size_t)c->payload);
		c->hashed = true;
	}
	return c->hash;
}

static size_t payload_kept(const struct kept *c)
{
	return c->big ? 0 : c->payload;
}

/* What waits for its hash is of the tree that ends. */
static void hash_all(struct cells_cut *cut)
{
	size_t at = cut->bytes_from;

	for (size_t i = 0; i < cut->count; i++) {
		struct kept *c = &cut->cells[cut->first + i];

		(void)hash_at(cut, c, at);
		at += payload_kept(c);
	}
}

int cells_tree_key(const struct chunker *cutter, const struct span *type, const struct span *name,
		   uint8_t out_key[16], struct err *err)
{
	struct buf id = {0};
	int r;

	buf_put_u8(&id, 0);
	buf_put_str32(&id, type->p, type->len);
	buf_put(&id, name->p, name->len);
	r = buf_check(&id, err);
	for (uint8_t half = 0; !r && half < 2; half++) {
		id.data[0] = half;
		crypto_shorthash(out_key + 8 * half, id.data, id.len, cutter->cell_key);
	}
	buf_free(&id);
	return r;
}

int cells_cut_tree(struct cells_cut *cut, bool table, const struct span *type,
		   const struct span *name, struct err *err)
{
	int r;

	hash_all(cut);
	r = cells_tree_key(cut->cutter, type, name, cut->key, err);
	cut->table = table;
	cut->tree++;
	cut->last_rowid = 0;
	return r;
}

static uint32_t varint_bytes(uint64_t v)
{
	return (70u - (uint32_t)__builtin_clzll(v | 1)) / 7;
}

static uint32_t zigzag_bytes(uint64_t v)
{
	return varint_bytes(v << 1 ^ (v >> 63 ? UINT64_MAX : 0));
}

/*
 * What the cell takes in a chunk, whether it is the first there or follows the last cell of its tree, whichever is less: a
 * chunk is never smaller than it weighs, and not much larger.
 */
static uint32_t weight_of(const struct cells_cut *cut, const struct kept *c)
{
	uint32_t alone = zigzag_bytes(c->rowid), behind = zigzag_bytes(c->rowid - cut->last_rowid);
	uint32_t key = !c->table ? 0 : alone < behind ? alone : behind;

	return key + varint_bytes(c->payload) + (c->big ? 0 : (uint32_t)c->payload);
}

/* --- writing a chunk --- */

static int give(struct cells_cut *cut, enum cells_stream stream, uint64_t hash, const void *bytes,
		size_t len, struct err *err)
{
	bool layout = stream == CELLS_LAYOUT;

	*(layout ? &cut->stats.layout_chunks : &cut->stats.data_chunks) += 1;
	*(layout ? &cut->stats.layout_bytes : &cut->stats.data_bytes) += len;
	return cut->sink->chunk(cut->sink->arg, stream, hash, bytes, len, err);
}

static uint8_t *put_varint(uint8_t *out, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		*out++ = (uint8_t)(v | 0x80);
	*out++ = (uint8_t)v;
	return out;
}

#define CELL_NUMBERS_MOST 15 /* bytes of a cell's rowid and length */

/* These cells are of one tree, and their payloads begin there. *out_bytes: how much of those is written. */
static void put_group(struct cells_cut *cut, const struct kept *c, size_t count, size_t at,
		      size_t *out_bytes)
{
	uint64_t before = 0;
	uint8_t *out;

	*out_bytes = 0;
	buf_put_varint(&cut->chunk, (uint64_t)count << 1 | c->table);
	out = buf_extend(&cut->chunk, count * CELL_NUMBERS_MOST);
	if (!out)
		return;
	for (size_t i = 0; c->table && i < count; i++) {
		out = put_varint(out, zigzag_of((int64_t)(c[i].rowid - before)));
		before = c[i].rowid;
	}
	for (size_t i = 0; i < count; i++) {
		out = put_varint(out, c[i].payload);
		*out_bytes += payload_kept(&c[i]);
	}
	cut->chunk.len = (size_t)(out - cut->chunk.data);
	buf_put(&cut->chunk, cut->bytes.data + at, *out_bytes);
}

/* Forgets the first cells. */
static void drop(struct cells_cut *cut, size_t count, size_t weight, size_t bytes)
{
	size_t left = cut->bytes.len - cut->bytes_from - bytes;

	cut->first += count;
	cut->count -= count;
	cut->weight -= weight;
	cut->bytes_from += bytes;
	if (cut->bytes_from < GONE_BYTES)
		return;
	if (left)
		memmove(cut->bytes.data, cut->bytes.data + cut->bytes_from, left);
	cut->bytes.len = left;
	cut->bytes_from = 0;
	memmove(cut->cells, cut->cells + cut->first, cut->count * sizeof(*cut->cells));
	cut->first = 0;
}

static int give_cells(struct cells_cut *cut, size_t count, size_t weight, struct err *err)
{
	size_t at = cut->bytes_from, first = 0, group;
	struct kept *cells;
	uint64_t hash;
	int r;

	if (!count)
		return 0;
	cells = cut->cells + cut->first;
	hash = hash_at(cut, cells, at);
	buf_reset(&cut->chunk);
	buf_put_u8(&cut->chunk, CELLS_CHUNK_CELLS);
	for (size_t i = 1; i <= count; i++) {
		if (i < count && cells[i].tree == cells[first].tree)
			continue;
		put_group(cut, cells + first, i - first, at, &group);
		at += group;
		first = i;
	}
	r = buf_check(&cut->chunk, err);
	if (!r)
		r = give(cut, CELLS_DATA, hash, cut->chunk.data, cut->chunk.len, err);
	drop(cut, count, weight, at - cut->bytes_from);
	return r;
}

/*
 * The window is full: the cell with the least hash among those that begin in it starts the next chunk; when none begins in
 * it, the last one does. Which it is depends on keys, and on lengths only near the window's ends.
 */
static int give_window(struct cells_cut *cut, struct err *err)
{
	struct kept *cells = cut->cells + cut->first;
	size_t weight = 0, best = 0, best_weight = 0, at = cut->bytes_from;

	for (size_t i = 0; i < cut->count; i++) {
		if (weight > CELLS_WINDOW_BYTES && best)
			break;
		if (weight >= CELLS_CHUNK_MIN_BYTES) {
			uint64_t hash = hash_at(cut, &cells[i], at);

			if (!best || hash < cells[best].hash) {
				best = i;
				best_weight = weight;
			}
		}
		weight += cells[i].weight;
		at += payload_kept(&cells[i]);
	}
	return best ? give_cells(cut, best, best_weight, err) : 0;
}

/* All that are kept: the stream, or what can be cut between cells, ends here. */
static int give_rest(struct cells_cut *cut, struct err *err)
{
	int r = 0;

	while (!r && cut->weight > CELLS_WINDOW_BYTES) {
		size_t before = cut->count;

		r = give_window(cut, err);
		if (cut->count == before)
			break;
	}
	if (!r)
		r = give_cells(cut, cut->count, cut->weight, err);
	return r;
}

static int grow(struct cells_cut *cut, struct err *err)
{
	size_t cap = cut->cap ? cut->cap * 2 : 1024;
	struct kept *cells = realloc(cut->cells, cap * sizeof(*cells));

	if (!cells)
		return err_nomem(err);
	cut->cells = cells;
	cut->cap = cap;
	return 0;
}

static int keep(struct cells_cut *cut, const struct kept *c, struct err *err)
{
	int r = cut->weight > CELLS_WINDOW_BYTES ? give_window(cut, err) : 0;
	struct kept *kept;

	if (!r && cut->first + cut->count == cut->cap)
		r = grow(cut, err);
	if (r)
		return r;
	kept = &cut->cells[cut->first + cut->count++];
	*kept = *c;
	kept->weight = weight_of(cut, c);
	cut->last_rowid = c->rowid;
	cut->weight += kept->weight;
	cut->stats.cells++;
	return 0;
}

int cells_cut_cell(struct cells_cut *cut, uint64_t rowid, const void *payload, size_t len,
		   struct err *err)
{
	struct kept c = {
	    .rowid = rowid,
	    .payload = (uint32_t)len,
	    .tree = cut->tree,
	    .table = cut->table,
	};
	struct buf *bytes = &cut->bytes;
	int r = keep(cut, &c, err);

	if (r)
		return r;
	if (len && len <= bytes->cap - bytes->len) {
		memcpy(bytes->data + bytes->len, payload, len);
		bytes->len += len;
		return 0;
	}
	buf_put(bytes, payload, len);
	return buf_check(bytes, err);
}

/* --- payloads that are cut apart from their cells --- */

int cells_cut_pieces_begin(struct cells_cut *cut, struct err *err)
{
	buf_reset(&cut->pieces);
	buf_put_u8(&cut->pieces, CELLS_CHUNK_PIECE);
	return buf_check(&cut->pieces, err);
}

int cells_cut_big_begin(struct cells_cut *cut, uint64_t rowid, uint64_t len, const void *local,
			size_t local_len, struct err *err)
{
	struct kept c = {
	    .rowid = rowid,
	    .hash = cells_key_hash(cut->key, cut->table, rowid, local, local_len),
	    .payload = (uint32_t)len,
	    .tree = cut->tree,
	    .table = cut->table,
	    .big = true,
	    .hashed = true,
	};
	int r = keep(cut, &c, err);

	cut->piece_hash = c.hash + 1;
	if (!r)
		r = give_rest(cut, err);
	return r ? r : cells_cut_pieces_begin(cut, err);
}

static int give_piece(struct cells_cut *cut, struct err *err)
{
	size_t len = chunker_cut(cut->cutter, cut->pieces.data + 1, cut->pieces.len - 1);
	int r = give(cut, CELLS_DATA, cut->piece_hash++, cut->pieces.data, len + 1, err);

	memmove(cut->pieces.data + 1, cut->pieces.data + 1 + len, cut->pieces.len - 1 - len);
	cut->pieces.len -= len;
	return r;
}

int cells_cut_big_put(struct cells_cut *cut, const void *bytes, size_t len, struct err *err)
{
	int r;

	buf_put(&cut->pieces, bytes, len);
	r = buf_check(&cut->pieces, err);
	while (!r && cut->pieces.len > CHUNK_MAX_BYTES)
		r = give_piece(cut, err);
	return r;
}

int cells_cut_big_end(struct cells_cut *cut, struct err *err)
{
	int r = 0;

	while (!r && cut->pieces.len > 1)
		r = give_piece(cut, err);
	return r;
}

/* --- the layout, and the end --- */

static int give_layout(struct cells_cut *cut, struct err *err)
{
	size_t len = chunker_cut(cut->cutter, cut->layout.data, cut->layout.len);
	int r = give(cut, CELLS_LAYOUT, cut->stats.layout_chunks, cut->layout.data, len, err);

	memmove(cut->layout.data, cut->layout.data + len, cut->layout.len - len);
	cut->layout.len -= len;
	return r;
}

int cells_cut_layout(struct cells_cut *cut, const void *bytes, size_t len, struct err *err)
{
	int r;

	buf_put(&cut->layout, bytes, len);
	r = buf_check(&cut->layout, err);
	while (!r && cut->layout.len >= CHUNK_MAX_BYTES)
		r = give_layout(cut, err);
	return r;
}

int cells_cut_finish(struct cells_cut *cut, struct err *err)
{
	int r = give_rest(cut, err);

	while (!r && cut->layout.len)
		r = give_layout(cut, err);
	return r;
}

void cells_cut_count(const struct cells_cut *cut, struct cells_stats *stats)
{
	stats->cells = cut->stats.cells;
	stats->layout_bytes = cut->stats.layout_bytes;
	stats->data_bytes = cut->stats.data_bytes;
	stats->layout_chunks = cut->stats.layout_chunks;
	stats->data_chunks = cut->stats.data_chunks;
}
