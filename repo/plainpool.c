#include "repo/plainpool.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

/* Enough for 4 MiB of chunks of 64 KiB four times over; smaller ones push each other out by number. */
#define KEPT 256

struct kept {
	uint8_t *plain; /* NULL: free */
	size_t len;
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
	if (k->plain)
		sodium_memzero(k->plain, k->len);
	free(k->plain);
	pool->bytes -= k->len;
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

		if (s->plain && s->kind == kind && id_eq(&s->id, id))
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
	*out_plain = (struct span){s->plain, s->len};
	return true;
}

static struct kept *oldest(struct plainpool *pool, bool only_used)
{
	struct kept *found = NULL;

	for (size_t i = 0; i < KEPT; i++) {
		struct kept *s = &pool->kept[i];

		if (only_used && !s->plain)
			continue;
		if (!found || s->used < found->used)
			found = s;
	}
	return found;
}

void plainpool_put(struct plainpool *pool, uint8_t kind, const struct id *id, uint8_t depth,
		   const void *plain, size_t len)
{
	struct kept *s = find(pool, kind, id);
	uint8_t *copy;

	if (s && s->depth <= depth) {
		s->used = ++pool->clock;
		return;
	}
	if (len > pool->most / 4)
		return;
	copy = malloc(len ? len : 1);
	if (!copy)
		return;
	if (len)
		memcpy(copy, plain, len);
	if (s)
		drop(pool, s);
	while (pool->bytes + len > pool->most)
		drop(pool, oldest(pool, true));
	s = oldest(pool, false);
	drop(pool, s);
	*s = (struct kept){.plain = copy,
			   .len = len,
			   .id = *id,
			   .used = ++pool->clock,
			   .kind = kind,
			   .depth = depth};
	pool->bytes += len;
}

size_t plainpool_bytes(const struct plainpool *pool)
{
	return pool->bytes;
}
