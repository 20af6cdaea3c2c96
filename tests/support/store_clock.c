#include "tests/support/store_clock.h"

#include <stdlib.h>

struct clocked {
	struct store store;
	struct store *inner;
	const _Atomic int64_t *now_s;
};

static struct store *inner_of(struct store *s)
{
	return ((struct clocked *)s)->inner;
}

static int clock_create(struct store *s, struct err *err)
{
	return store_create(inner_of(s), err);
}

static int clock_put(struct store *s, enum store_type type, const struct id *name,
		     const void *bytes, size_t len, struct err *err)
{
	return store_put(inner_of(s), type, name, bytes, len, err);
}

static int clock_get(struct store *s, enum store_type type, const struct id *name, size_t max_bytes,
		     struct buf *out, struct err *err)
{
	return store_get(inner_of(s), type, name, max_bytes, out, err);
}

static int clock_get_range(struct store *s, enum store_type type, const struct id *name,
			   uint64_t offset, size_t len, struct buf *out, struct err *err)
{
	return store_get_range(inner_of(s), type, name, offset, len, out, err);
}

static int clock_size(struct store *s, enum store_type type, const struct id *name,
		      uint64_t *out_bytes, struct err *err)
{
	return store_size(inner_of(s), type, name, out_bytes, err);
}

static int clock_list(struct store *s, enum store_type type, store_list_fn *fn, void *arg,
		      struct err *err)
{
	return store_list(inner_of(s), type, fn, arg, err);
}

static int clock_remove(struct store *s, enum store_type type, const struct id *name,
			struct err *err)
{
	return store_remove(inner_of(s), type, name, err);
}

static int clock_now(struct store *s, int64_t *out_s, struct err *err)
{
	(void)err;
	*out_s = atomic_load(((struct clocked *)s)->now_s);
	return 0;
}

static void clock_free(struct store *s)
{
	store_free(inner_of(s));
	free(s);
}

static const struct store_ops ops = {
    .create = clock_create,
    .put = clock_put,
    .get = clock_get,
    .get_range = clock_get_range,
    .size = clock_size,
    .list = clock_list,
    .remove = clock_remove,
    .now = clock_now,
    .free = clock_free,
};

int store_clock_new(struct store *inner, const _Atomic int64_t *now_s, struct store **out_store,
		    struct err *err)
{
	struct clocked *c = calloc(1, sizeof(*c));

	if (!c)
		return err_nomem(err);
	c->store = (struct store){.ops = &ops, .location = inner->location};
	c->inner = inner;
	c->now_s = now_s;
	*out_store = &c->store;
	return 0;
}
