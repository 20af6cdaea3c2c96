#include "repo/content.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#define BUFFER_BYTES (2 * (size_t)CHUNK_MAX_BYTES)

struct content_writer {
	struct packer *packer;
	const struct former *former; /* NULL: none */
	uint8_t *buffer;             /* bytes [at, end) wait for a cut */
	size_t at, end;
	struct chunk_ref *refs;
	uint64_t *lens, *keys;
	size_t count, cap;
	bool keyed; /* the chunks of a database's streams */
	uint64_t bytes;
	struct buf object;
};

void content_free(struct content *content)
{
	free(content->children);
	*content = (struct content){0};
}

int content_writer_new(struct packer *packer, struct content_writer **out_writer, struct err *err)
{
	struct content_writer *w = calloc(1, sizeof(*w));

	if (!w)
		return err_nomem(err);
	w->packer = packer;
	w->buffer = malloc(BUFFER_BYTES);
	if (!w->buffer) {
		content_writer_free(w);
		return err_nomem(err);
	}
	*out_writer = w;
	return 0;
}

void content_writer_free(struct content_writer *w)
{
	if (!w)
		return;
	if (w->buffer)
		sodium_memzero(w->buffer, BUFFER_BYTES);
	free(w->buffer);
	free(w->refs);
	free(w->lens);
	free(w->keys);
	buf_free(&w->object);
	free(w);
}

void content_writer_reset(struct content_writer *w)
{
	w->at = w->end = w->count = 0;
	w->bytes = 0;
	w->keyed = false;
}

void content_writer_follow(struct content_writer *w, const struct former *former)
{
	w->former = former;
}

static int reserve(struct content_writer *w, struct err *err)
{
	size_t cap = w->cap ? w->cap * 2 : 64;
	struct chunk_ref *refs = realloc(w->refs, cap * sizeof(*refs));
	uint64_t *lens, *keys;

	if (!refs)
		return err_nomem(err);
	w->refs = refs;
	lens = realloc(w->lens, cap * sizeof(*lens));
	if (!lens)
		return err_nomem(err);
	w->lens = lens;
	keys = realloc(w->keys, cap * sizeof(*keys));
	if (!keys)
		return err_nomem(err);
	w->keys = keys;
	w->cap = cap;
	return 0;
}

static int push(struct content_writer *w, const struct id *id, uint64_t len, uint64_t key,
		struct err *err)
{
	int r = w->count == w->cap ? reserve(w, err) : 0;

	if (r)
		return r;
	w->refs[w->count] = (struct chunk_ref){CHUNK_DATA, *id};
	w->keys[w->count] = key;
	w->lens[w->count++] = len;
	w->bytes += len;
	return 0;
}

int content_writer_chunk(struct content_writer *w, const struct id *id, size_t len, uint64_t key,
			 struct err *err)
{
	w->keyed = true;
	return push(w, id, len, key, err);
}

static int cut_one(struct content_writer *w, struct err *err)
{
	size_t len = chunker_cut(packer_chunker(w->packer), w->buffer + w->at, w->end - w->at);
	struct id id;
	int r = packer_add(w->packer, CHUNK_DATA, w->buffer + w->at, len, &id, err);

	if (!r)
		r = push(w, &id, len, 0, err);
	w->at += len;
	return r;
}

int content_writer_put(struct content_writer *w, const void *bytes, size_t len, struct err *err)
{
	const uint8_t *p = bytes;
	int r = 0;

	while (!r && len) {
		size_t room, take;

		if (w->end == BUFFER_BYTES) {
			memmove(w->buffer, w->buffer + w->at, w->end - w->at);
			w->end -= w->at;
			w->at = 0;
		}
		room = BUFFER_BYTES - w->end;
		take = len < room ? len : room;
		memcpy(w->buffer + w->end, p, take);
		w->end += take;
		p += take;
		len -= take;
		while (!r && w->end - w->at >= CHUNK_MAX_BYTES)
			r = cut_one(w, err);
	}
	return r;
}

uint64_t content_writer_bytes(const struct content_writer *w)
{
	return w->bytes;
}

/* Stores refs[first, first+count), the number-th node of the level. */
static int put_node(struct content_writer *w, uint8_t level, size_t number, size_t first,
		    size_t count, struct id *out_list, struct err *err)
{
	struct chunk_ref body = {.kind = CHUNK_LIST_BODY};
	const struct former_node *old =
	    w->former ? former_find_list(w->former, level, w->refs + first, count, number) : NULL;
	struct chunk_ref *children = malloc((count + 1) * sizeof(*children));
	int r;

	if (!children)
		return err_nomem(err);
	buf_reset(&w->object);
	list_body_put(&w->object, level, w->lens + first,
		      w->keyed && level == 0 ? w->keys + first : NULL, count);
	r = buf_check(&w->object, err);
	if (!r)
		r = packer_add_delta(w->packer, CHUNK_LIST_BODY, w->object.data, w->object.len,
				     old ? &old->body : NULL, old ? 1 : 0, &body.id, err);
	if (!r) {
		children[0] = body;
		memcpy(children + 1, w->refs + first, count * sizeof(*children));
		buf_reset(&w->object);
		list_put(&w->object, children, count + 1);
		r = buf_check(&w->object, err);
	}
	if (!r)
		r = packer_add_delta(w->packer, CHUNK_LIST, w->object.data, w->object.len,
				     old ? &old->list : NULL, old ? 1 : 0, out_list, err);
	free(children);
	return r;
}

/* Replaces refs by the nodes that list them; what is written never passes what is still to be read. */
static int level_up(struct content_writer *w, uint8_t level, struct err *err)
{
	size_t first = 0, nodes = 0;
	uint64_t total = 0;

	for (size_t i = 0; i < w->count; i++) {
		struct id list;
		int r;

		total += w->lens[i];
		if (i + 1 < w->count && !chunker_list_ends(&w->refs[i].id, i + 1 - first))
			continue;
		r = put_node(w, level, nodes, first, i + 1 - first, &list, err);
		if (r)
			return r;
		w->refs[nodes] = (struct chunk_ref){CHUNK_LIST, list};
		w->lens[nodes++] = total;
		first = i + 1;
		total = 0;
	}
	w->count = nodes;
	return 0;
}

int content_writer_finish(struct content_writer *w, struct content *out_content, struct err *err)
{
	struct content c = {.shape = SHAPE_INLINE};
	int r = 0;

	while (!r && w->at < w->end)
		r = cut_one(w, err);
	if (!r && (w->keyed || w->count > INLINE_CHUNKS)) {
		c.shape = SHAPE_LIST;
		for (uint8_t level = 0; !r && (level == 0 || w->count > 1); level++)
			r = level < LIMIT_NODE_LEVELS
				? level_up(w, level, err)
				: err_set(err, ERR_LIMIT, "a file has too many chunks");
	}
	if (!r && w->count) {
		c.children = malloc(w->count * sizeof(*c.children));
		if (c.children)
			memcpy(c.children, w->refs, w->count * sizeof(*c.children));
		else
			r = err_nomem(err);
	}
	c.child_count = w->count;
	c.bytes = w->bytes;
	content_writer_reset(w);
	if (!r)
		*out_content = c;
	return r;
}
