#include "repo/image_write.h"

#include <stdlib.h>

#define NO_CHUNK SIZE_MAX

/* The chunks of the backup before, by their keys. */
struct known {
	uint64_t key;
	size_t at;
};

/* Chunks of the layout, which follow the others in the content. */
struct layout_chunk {
	struct id id;
	uint64_t key;
	size_t len;
};

struct image_writer {
	struct packer *packer;
	struct content_writer *writer;
	const struct image_map *before;
	struct packer_tally *tally;
	struct known *known; /* ascending by key; of the cells' chunks */
	struct buf held; /* the chunk of cells that waits until it is known where the next begins */
	bool holding;
	uint64_t held_key;
	size_t held_at; /* the chunk of before that begins as the held one does, or NO_CHUNK */
	/* Where the held chunk lay in before, if none begins alike: in this chunk, so many bytes from its beginning. */
	size_t guess, guess_skip;
	struct layout_chunk *layout;
	size_t layout_count, layout_cap;
};

static int compare_known(const void *a, const void *b)
{
	const struct known *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->at < y->at ? -1 : x->at > y->at;
}

static int know(struct image_writer *w, struct err *err)
{
	size_t count = w->before ? w->before->data_count : 0;

	if (!count)
		return 0;
	w->known = malloc(count * sizeof(*w->known));
	if (!w->known)
		return err_nomem(err);
	for (size_t i = 0; i < count; i++)
		w->known[i] = (struct known){w->before->chunks[i].key, i};
	qsort(w->known, count, sizeof(*w->known), compare_known);
	return 0;
}

/* The chunk of before that begins with this key; of several, the first. */
static size_t find(const struct image_writer *w, uint64_t key)
{
	size_t low = 0, high = w->known ? w->before->data_count : 0;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (w->known[mid].key < key)
			low = mid + 1;
		else
			high = mid;
	}
	if (!w->known || low == w->before->data_count || w->known[low].key != key)
		return NO_CHUNK;
	return w->known[low].at;
}

struct bases {
	struct id ids[LIMIT_BASES];
	size_t count;
};

static void add_base(const struct image_map *before, size_t at, size_t end, struct bases *b)
{
	if (at >= end || b->count == LIMIT_BASES)
		return;
	for (size_t i = 0; i < b->count; i++) {
		if (id_eq(&b->ids[i], &before->chunks[at].id))
			return;
	}
	b->ids[b->count++] = before->chunks[at].id;
}

/* How many of the len bytes behind the first skip ones a chunk has. */
static size_t overlap(size_t bytes, size_t skip, size_t len)
{
	return skip >= bytes ? 0 : bytes - skip < len ? bytes - skip : len;
}

/*
 * Where no chunk begins as before, such as in a table that has another name now, the same bytes still follow one another: those
 * of before that lie where this one does, the one that has most of it first.
 */
static void add_covering(const struct image_writer *w, struct bases *b)
{
	size_t end = w->before ? w->before->data_count : 0, best = end, most = 0;
	size_t skip = w->guess_skip, left = w->held.len;

	for (size_t at = w->guess; at < end && left; at++, skip = 0) {
		size_t share = overlap(w->before->chunks[at].bytes, skip, left);

		if (share > most) {
			most = share;
			best = at;
		}
		left -= share;
	}
	add_base(w->before, best, end, b);
	left = w->held.len;
	skip = w->guess_skip;
	for (size_t at = w->guess; at < end && left && b->count < LIMIT_BASES; at++, skip = 0) {
		add_base(w->before, at, end, b);
		left -= overlap(w->before->chunks[at].bytes, skip, left);
	}
	if (w->guess > 0)
		add_base(w->before, w->guess - 1, end, b);
}

/*
 * Chunks keep their order, so what a chunk was lies at the one of before that begins alike, and, where the next one
 * does not begin alike, at those up to where it is.
 */
static void choose_bases(const struct image_writer *w, size_t next_at, struct bases *b)
{
	size_t at = w->held_at;
	size_t end = w->before ? w->before->data_count : 0;

	if (at != NO_CHUNK) {
		add_base(w->before, at, end, b);
		if (next_at == at + 1)
			return;
		if (next_at != NO_CHUNK && next_at > at + 1)
			add_base(w->before, next_at - 1, end, b);
		add_base(w->before, at + 1, end, b);
		return;
	}
	if (next_at != NO_CHUNK && next_at > 0) {
		add_base(w->before, next_at - 1, end, b);
		if (next_at > 1)
			add_base(w->before, next_at - 2, end, b);
	}
	add_covering(w, b);
}

/* The held chunk is passed by: what follows it lay as many bytes further on. */
static void pass_by(struct image_writer *w)
{
	size_t end = w->before ? w->before->data_count : 0;

	if (w->held_at != NO_CHUNK) {
		w->guess = w->held_at;
		w->guess_skip = 0;
	}
	w->guess_skip += w->held.len;
	while (w->guess < end && w->guess_skip >= w->before->chunks[w->guess].bytes)
		w->guess_skip -= w->before->chunks[w->guess++].bytes;
}

static int store(struct image_writer *w, const struct bases *b, const void *bytes, size_t len,
		 struct id *out_id, struct err *err)
{
	return packer_add_delta(w->packer, CHUNK_DATA, bytes, len, b->ids, b->count, out_id, err);
}

/* Stores the held chunk; next_at: where the next one lies in before. */
static int release(struct image_writer *w, size_t next_at, struct err *err)
{
	struct bases b = {0};
	struct id id;
	int r;

	if (!w->holding)
		return 0;
	choose_bases(w, next_at, &b);
	r = store(w, &b, w->held.data, w->held.len, &id, err);
	if (!r)
		r = content_writer_chunk(w->writer, &id, w->held.len, w->held_key, err);
	pass_by(w);
	w->holding = false;
	return r;
}

static int hold(struct image_writer *w, uint64_t key, const void *bytes, size_t len,
		struct err *err)
{
	size_t at = find(w, key);
	int r = release(w, at, err);

	if (r)
		return r;
	buf_reset(&w->held);
	buf_put(&w->held, bytes, len);
	w->holding = true;
	w->held_key = key;
	w->held_at = at;
	return buf_check(&w->held, err);
}

static int keep_layout(struct image_writer *w, const struct layout_chunk *c, struct err *err)
{
	if (w->layout_count == w->layout_cap) {
		size_t cap = w->layout_cap ? w->layout_cap * 2 : 4;
		struct layout_chunk *layout = realloc(w->layout, cap * sizeof(*layout));

		if (!layout)
			return err_nomem(err);
		w->layout = layout;
		w->layout_cap = cap;
	}
	w->layout[w->layout_count++] = *c;
	return 0;
}

static int store_layout(struct image_writer *w, uint64_t key, const void *bytes, size_t len,
			struct err *err)
{
	struct layout_chunk c = {.key = key, .len = len};
	struct bases b = {0};
	int r;

	if (w->before)
		add_base(w->before, w->before->data_count + w->layout_count, w->before->count, &b);
	packer_count_in(w->packer, w->tally, false);
	r = store(w, &b, bytes, len, &c.id, err);
	packer_count_in(w->packer, w->tally, true);
	return r ? r : keep_layout(w, &c, err);
}

static int take_chunk(void *arg, enum cells_stream stream, uint64_t key, const void *bytes,
		      size_t len, struct err *err)
{
	struct image_writer *w = arg;

	return stream == CELLS_DATA ? hold(w, key, bytes, len, err)
				    : store_layout(w, key, bytes, len, err);
}

static int finish(struct image_writer *w, struct content *out, struct err *err)
{
	uint64_t data_bytes = content_writer_bytes(w->writer);
	int r = 0;

	for (size_t i = 0; !r && i < w->layout_count; i++)
		r = content_writer_chunk(w->writer, &w->layout[i].id, w->layout[i].len,
					 w->layout[i].key, err);
	if (!r)
		r = content_writer_finish(w->writer, out, err);
	out->data_bytes = data_bytes;
	return r;
}

int image_write(struct packer *packer, struct content_writer *writer,
		const struct image_write_options *options, struct content *out_content,
		struct cells_stats *out_stats, struct err *err)
{
	struct image_writer w = {.packer = packer,
				 .writer = writer,
				 .before = options->before,
				 .tally = options->tally,
				 .held_at = NO_CHUNK};
	const struct cells_sink sink = {&w, take_chunk};
	int r = know(&w, err);

	packer_count_in(packer, w.tally, true);
	if (!r)
		r = cells_encode(&options->source, packer_chunker(packer), &sink, out_stats, err);
	if (!r)
		r = release(&w, w.before ? w.before->data_count : NO_CHUNK, err);
	if (!r)
		r = finish(&w, out_content, err);
	packer_count_in(packer, NULL, false);
	buf_wipe(&w.held);
	free(w.known);
	free(w.layout);
	return r;
}
