#include "repo/store_stack.h"

#include <stdlib.h>

#include "core/limits.h"
#include "repo/store_layer.h"

/* Packs of which something was read are remembered, so many; and so many of them are held whole. */
#define SEEN 1024
#define HELD 4

/* A pack that is read from this often is fetched whole, and when it had to go again, once more. */
#define PARTS 8
#define FETCHES 2

struct seen {
	struct id name;
	unsigned parts, fetches;
	uint64_t used; /* when, in reads */
};

struct held {
	struct id name;
	struct buf bytes; /* empty: the place is free */
	uint64_t used;
};

struct packs {
	struct store_layer layer;
	struct seen seen[SEEN];
	size_t seen_count;
	struct held held[HELD];
	uint64_t reads;
};

static struct packs *packs_of(struct store *s)
{
	return (struct packs *)s;
}

static struct held *held_find(struct packs *p, const struct id *name)
{
	for (size_t i = 0; i < HELD; i++)
		if (p->held[i].bytes.len && id_eq(&p->held[i].name, name))
			return &p->held[i];
	return NULL;
}

static void held_drop(struct packs *p, enum store_type type, const struct id *name)
{
	struct held *h = type == STORE_DATA ? held_find(p, name) : NULL;

	if (h)
		buf_free(&h->bytes);
}

/* The one that was used longest ago goes. */
static struct held *held_place(struct packs *p)
{
	struct held *oldest = &p->held[0];

	for (size_t i = 1; i < HELD; i++)
		if (p->held[i].used < oldest->used)
			oldest = &p->held[i];
	return oldest;
}

static struct seen *seen_of(struct packs *p, const struct id *name)
{
	struct seen *oldest = &p->seen[0];

	for (size_t i = 0; i < p->seen_count; i++) {
		if (id_eq(&p->seen[i].name, name))
			return &p->seen[i];
		if (p->seen[i].used < oldest->used)
			oldest = &p->seen[i];
	}
	if (p->seen_count < SEEN)
		oldest = &p->seen[p->seen_count++];
	*oldest = (struct seen){.name = *name};
	return oldest;
}

/* A pack that cannot be had whole is read in parts, as before. */
static struct held *fetch(struct packs *p, const struct id *name)
{
	struct held *h = held_place(p);
	struct err ignored = {0};

	buf_free(&h->bytes);
	h->name = *name;
	if (store_get(p->layer.inner, STORE_DATA, name, LIMIT_PACK_BYTES, &h->bytes, &ignored) != 0)
		buf_free(&h->bytes);
	return h->bytes.len ? h : NULL;
}

/* The pack, when it is held or worth holding. */
static struct held *whole(struct packs *p, const struct id *name)
{
	struct held *h = held_find(p, name);
	struct seen *seen;

	p->reads++;
	if (!h) {
		seen = seen_of(p, name);
		seen->used = p->reads;
		if (++seen->parts <= PARTS || seen->fetches >= FETCHES)
			return NULL;
		seen->fetches++;
		h = fetch(p, name);
	}
	if (h)
		h->used = p->reads;
	return h;
}

static int packs_get_range(struct store *s, enum store_type type, const struct id *name,
			   uint64_t offset, size_t len, struct buf *out, struct err *err)
{
	struct packs *p = packs_of(s);
	const struct held *h = type == STORE_DATA ? whole(p, name) : NULL;

	/* What goes beyond its end is for the inner store to say. */
	if (!h || offset > h->bytes.len || len > h->bytes.len - offset)
		return store_get_range(p->layer.inner, type, name, offset, len, out, err);
	buf_put(out, h->bytes.data + offset, len);
	return buf_check(out, err);
}

static int packs_remove(struct store *s, enum store_type type, const struct id *name,
			struct err *err)
{
	struct packs *p = packs_of(s);

	held_drop(p, type, name);
	return store_remove(p->layer.inner, type, name, err);
}

static int packs_replace(struct store *s, enum store_type type, const struct id *name,
			 const void *bytes, size_t len, struct err *err)
{
	held_drop(packs_of(s), type, name);
	return store_layer_replace(s, type, name, bytes, len, err);
}

static bool packs_distrust(struct store *s, enum store_type type, const struct id *name)
{
	struct packs *p = packs_of(s);
	bool below = store_distrust(p->layer.inner, type, name);
	bool here = type == STORE_DATA && held_find(p, name) != NULL;

	held_drop(p, type, name);
	return here || below;
}

static void packs_free(struct store *s)
{
	struct packs *p = packs_of(s);

	for (size_t i = 0; i < HELD; i++)
		buf_free(&p->held[i].bytes);
	store_layer_end(&p->layer);
	free(s);
}

static const struct store_ops packs_ops = {
    .create = store_layer_create,
    .put = store_layer_put,
    .get = store_layer_get,
    .get_range = packs_get_range,
    .size = store_layer_size,
    .list = store_layer_list,
    .remove = packs_remove,
    .now = store_layer_now,
    .sweep = store_layer_sweep,
    .free = packs_free,
    .replace = packs_replace,
    .put_later = store_layer_put_later,
    .flush = store_layer_flush,
    .expect = store_layer_expect,
    .distrust = packs_distrust,
};

int store_packs_new(struct store *inner, struct store **out_store, struct err *err)
{
	struct packs *p = calloc(1, sizeof(*p));
	int r = p ? store_layer_init(&p->layer, &packs_ops, inner, err) : err_nomem(err);

	if (r)
		free(p);
	else
		*out_store = &p->layer.base;
	return r;
}
