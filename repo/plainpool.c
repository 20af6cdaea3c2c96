#include "repo/plainpool.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

/* Enough for 4 MiB of chunks of 64 KiB four times over; smaller ones push each other out by number. */
#define KEPT 256

struct kept {
	struct buf plain; /* without memory: free */
	struct id id;
	uint64_t used; /* clock of the last use */
	uint8_t kind, depth;
};

struct plainpool {
	struct kept kept[KEPT];
	size_t bytes, most;
	uint64_t clock;
};

int plainpool_new(size_t most_bytes, struct plainpool **out_pool, struct err *err)
{
	struct plainpool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return err_nomem(err);
	pool->most = most_bytes;
	*out_pool = pool;
	return 0;
}

static void drop(struct plainpool *pool, struct kept *k)
{
	pool->bytes -= k->plain.cap;
	buf_wipe(&k->plain);
	*k = (struct kept){0};
}

void plainpool_free(struct plainpool *pool)
{
	if (!pool)
		return;
	for (size_t i = 0; i < KEPT; i++)
		drop(pool, &pool->kept[i]);
	free(pool);
}

static struct kept *find(struct plainpool *pool, uint8_t kind, const struct id *id)
{
	for (size_t i = 0; i < KEPT; i++) {
		struct kept *s = &pool->kept[i];

		if (s->plain.data && s->kind == kind && id_eq(&s->id, id))
			return s;
	}
	return NULL;
}

bool plainpool_get(struct plainpool *pool, uint8_t kind, const struct id *id, unsigned below_depth,
		   struct span *out_plain)
{
	struct kept *s = find(pool, kind, id);

	if (!s || s->depth >= below_depth)
		return false;
	s->used = ++pool->clock;
	*out_plain = (struct span){s->plain.data, s->plain.len};
	return true;
}

static struct kept *oldest(struct plainpool *pool, bool only_used)
{
	struct kept *found = NULL;

	for (size_t i = 0; i < KEPT; i++) {
		struct kept *s = &pool->kept[i];

		if (only_used && !s->plain.data)
			continue;
		if (!found || s->used < found->used)
			found = s;
	}
	return found;
}

/* An empty buffer of about so many bytes: that of the one used longest ago, if room must be made for it. */
static struct kept *make_room(struct plainpool *pool, size_t bytes, struct buf *out_spare)
{
	struct kept *k;

	*out_spare = (struct buf){0};
	while (pool->bytes + bytes > pool->most) {
		k = oldest(pool, true);
		if (!out_spare->data) {
			*out_spare = k->plain;
			pool->bytes -= k->plain.cap;
			*k = (struct kept){0};
		} else {
			drop(pool, k);
		}
	}
	k = oldest(pool, false);
	drop(pool, k);
	buf_reset(out_spare);
	return k;
}

bool plainpool_give(struct plainpool *pool, uint8_t kind, const struct id *id, uint8_t depth,
		    struct buf *plain)
{
	struct kept *k = find(pool, kind, id);
	struct buf spare;

	if (k && k->depth <= depth) {
		k->used = ++pool->clock;
		return false;
	}
	if (!plain->data || plain->failed || plain->cap > pool->most / 4)
		return false;
	if (k)
		drop(pool, k);
	k = make_room(pool, plain->cap, &spare);
	*k = (struct kept){
	    .plain = *plain, .id = *id, .used = ++pool->clock, .kind = kind, .depth = depth};
	pool->bytes += plain->cap;
	*plain = spare;
	return true;
}

void plainpool_put(struct plainpool *pool, uint8_t kind, const struct id *id, uint8_t depth,
		   const void *plain, size_t len)
{
	struct buf copy = {.data = malloc(len ? len : 1), .cap = len ? len : 1};

	if (!copy.data)
		return;
	buf_put(&copy, plain, len);
	(void)plainpool_give(pool, kind, id, depth, &copy);
	buf_wipe(&copy);
}

size_t plainpool_bytes(const struct plainpool *pool)
{
	return pool->bytes;
}
