#include "repo/store_stack.h"

#include <stdlib.h>
#include <string.h>

#define SLICE_BYTES ((size_t)64 << 10)

struct limit {
	struct store base;
	struct store *inner;
	const struct net *net;
};

static struct limit *limit_of(struct store *s)
{
	return (struct limit *)s;
}

static int pass(struct limit *l, struct net_pace *pace, size_t len, struct err *err)
{
	while (len > 0 && !net_stopped(l->net)) {
		size_t n = len < SLICE_BYTES ? len : SLICE_BYTES;

		net_pace_take(pace, n, l->net);
		len -= n;
	}
	if (net_stopped(l->net))
		return err_set(err, ERR_CANCELLED, "%s: interrupted", l->base.location);
	return 0;
}

static int limit_create(struct store *s, struct err *err)
{
	return store_create(limit_of(s)->inner, err);
}

static int limit_put(struct store *s, enum store_type type, const struct id *name,
		     const void *bytes, size_t len, struct err *err)
{
	struct limit *l = limit_of(s);
	int r = pass(l, l->net->up, len, err);

	return r ? r : store_put(l->inner, type, name, bytes, len, err);
}

/* What was read has gone through already: the next read waits for it. */
static int received(struct limit *l, size_t before, struct buf *out, struct err *err)
{
	int r = pass(l, l->net->down, out->len - before, err);

	if (r)
		out->len = before;
	return r;
}

static int limit_get(struct store *s, enum store_type type, const struct id *name, size_t max_bytes,
		     struct buf *out, struct err *err)
{
	struct limit *l = limit_of(s);
	size_t before = out->len;
	int r = store_get(l->inner, type, name, max_bytes, out, err);

	return r ? r : received(l, before, out, err);
}

static int limit_get_range(struct store *s, enum store_type type, const struct id *name,
			   uint64_t offset, size_t len, struct buf *out, struct err *err)
{
	struct limit *l = limit_of(s);
	size_t before = out->len;
	int r = store_get_range(l->inner, type, name, offset, len, out, err);

	return r ? r : received(l, before, out, err);
}

static int limit_size(struct store *s, enum store_type type, const struct id *name,
		      uint64_t *out_bytes, struct err *err)
{
	return store_size(limit_of(s)->inner, type, name, out_bytes, err);
}

static int limit_list(struct store *s, enum store_type type, store_list_fn *fn, void *arg,
		      struct err *err)
{
	return store_list(limit_of(s)->inner, type, fn, arg, err);
}

static int limit_remove(struct store *s, enum store_type type, const struct id *name,
			struct err *err)
{
	return store_remove(limit_of(s)->inner, type, name, err);
}

static int limit_now(struct store *s, int64_t *out_s, struct err *err)
{
	return store_now(limit_of(s)->inner, out_s, err);
}

static int limit_sweep(struct store *s, int64_t least_age_s, bool dry_run,
		       struct store_leftovers *out, struct err *err)
{
	return store_sweep(limit_of(s)->inner, least_age_s, dry_run, out, err);
}

static int limit_flush(struct store *s, struct err *err)
{
	return store_flush(limit_of(s)->inner, err);
}

static bool limit_distrust(struct store *s, enum store_type type, const struct id *name)
{
	return store_distrust(limit_of(s)->inner, type, name);
}

static void limit_free(struct store *s)
{
	store_free(limit_of(s)->inner);
	free(s->location);
	free(s);
}

static const struct store_ops limit_ops = {
    .create = limit_create,
    .put = limit_put,
    .get = limit_get,
    .get_range = limit_get_range,
    .size = limit_size,
    .list = limit_list,
    .remove = limit_remove,
    .now = limit_now,
    .sweep = limit_sweep,
    .free = limit_free,
    .flush = limit_flush,
    .distrust = limit_distrust,
};

int store_limit_new(struct store *inner, const struct net *net, struct store **out_store,
		    struct err *err)
{
	struct limit *l = calloc(1, sizeof(*l));
	char *location = strdup(inner->location);

	if (!l || !location) {
		free(l);
		free(location);
		return err_nomem(err);
	}
	l->base = (struct store){.ops = &limit_ops, .location = location};
	l->inner = inner;
	l->net = net;
	*out_store = &l->base;
	return 0;
}
