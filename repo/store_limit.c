#include "repo/store_stack.h"

#include <stdlib.h>

#include "repo/store_layer.h"

#define SLICE_BYTES ((size_t)64 << 10)

struct limit {
	struct store_layer layer;
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
		return err_set(err, ERR_CANCELLED, "%s: interrupted", l->layer.base.location);
	return 0;
}

static int limit_put(struct store *s, enum store_type type, const struct id *name,
		     const void *bytes, size_t len, struct err *err)
{
	struct limit *l = limit_of(s);
	int r = pass(l, l->net->up, len, err);

	return r ? r : store_put(l->layer.inner, type, name, bytes, len, err);
}

static int limit_replace(struct store *s, enum store_type type, const struct id *name,
			 const void *bytes, size_t len, struct err *err)
{
	struct limit *l = limit_of(s);
	int r = pass(l, l->net->up, len, err);

	return r ? r : store_layer_replace(s, type, name, bytes, len, err);
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
	int r = store_get(l->layer.inner, type, name, max_bytes, out, err);

	return r ? r : received(l, before, out, err);
}

static int limit_get_range(struct store *s, enum store_type type, const struct id *name,
			   uint64_t offset, size_t len, struct buf *out, struct err *err)
{
	struct limit *l = limit_of(s);
	size_t before = out->len;
	int r = store_get_range(l->layer.inner, type, name, offset, len, out, err);

	return r ? r : received(l, before, out, err);
}

static void limit_free(struct store *s)
{
	store_layer_end(&limit_of(s)->layer);
	free(s);
}

static const struct store_ops limit_ops = {
    .create = store_layer_create,
    .put = limit_put,
    .get = limit_get,
    .get_range = limit_get_range,
    .size = store_layer_size,
    .list = store_layer_list,
    .remove = store_layer_remove,
    .now = store_layer_now,
    .sweep = store_layer_sweep,
    .free = limit_free,
    .replace = limit_replace,
    .flush = store_layer_flush,
    .distrust = store_layer_distrust,
};

int store_limit_new(struct store *inner, const struct net *net, struct store **out_store,
		    struct err *err)
{
	struct limit *l = calloc(1, sizeof(*l));
	int r = l ? store_layer_init(&l->layer, &limit_ops, inner, err) : err_nomem(err);

	if (r) {
		free(l);
		return r;
	}
	l->net = net;
	*out_store = &l->layer.base;
	return 0;
}
