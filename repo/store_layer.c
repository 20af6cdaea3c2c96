#include "repo/store_layer.h"

#include <stdlib.h>
#include <string.h>

static struct store *inner_of(struct store *s)
{
	return ((struct store_layer *)s)->inner;
}

int store_layer_init(struct store_layer *layer, const struct store_ops *ops, struct store *inner,
		     struct err *err)
{
	char *location = strdup(inner->location);

	if (!location)
		return err_nomem(err);
	layer->base = (struct store){.ops = ops, .location = location};
	layer->inner = inner;
	return 0;
}

void store_layer_end(struct store_layer *layer)
{
	store_free(layer->inner);
	free(layer->base.location);
}

int store_layer_create(struct store *s, struct err *err)
{
	return store_create(inner_of(s), err);
}

int store_layer_put(struct store *s, enum store_type type, const struct id *name, const void *bytes,
		    size_t len, struct err *err)
{
	return store_put(inner_of(s), type, name, bytes, len, err);
}

int store_layer_replace(struct store *s, enum store_type type, const struct id *name,
			const void *bytes, size_t len, struct err *err)
{
	return store_replace(inner_of(s), type, name, bytes, len, err);
}

int store_layer_put_later(struct store *s, enum store_type type, const struct id *name,
			  const void *bytes, size_t len, struct err *err)
{
	return store_put_later(inner_of(s), type, name, bytes, len, err);
}

int store_layer_flush(struct store *s, struct err *err)
{
	return store_flush(inner_of(s), err);
}

int store_layer_get(struct store *s, enum store_type type, const struct id *name, size_t max_bytes,
		    struct buf *out, struct err *err)
{
	return store_get(inner_of(s), type, name, max_bytes, out, err);
}

void store_layer_expect(struct store *s, enum store_type type, const struct id *names, size_t count)
{
	store_expect(inner_of(s), type, names, count);
}

int store_layer_size(struct store *s, enum store_type type, const struct id *name,
		     uint64_t *out_bytes, struct err *err)
{
	return store_size(inner_of(s), type, name, out_bytes, err);
}

int store_layer_list(struct store *s, enum store_type type, store_list_fn *fn, void *arg,
		     struct err *err)
{
	return store_list(inner_of(s), type, fn, arg, err);
}

int store_layer_remove(struct store *s, enum store_type type, const struct id *name,
		       struct err *err)
{
	return store_remove(inner_of(s), type, name, err);
}

int store_layer_now(struct store *s, int64_t *out_s, struct err *err)
{
	return store_now(inner_of(s), out_s, err);
}

int store_layer_sweep(struct store *s, int64_t least_age_s, bool dry_run,
		      struct store_leftovers *out, struct err *err)
{
	return store_sweep(inner_of(s), least_age_s, dry_run, out, err);
}

bool store_layer_distrust(struct store *s, enum store_type type, const struct id *name)
{
	return store_distrust(inner_of(s), type, name);
}
