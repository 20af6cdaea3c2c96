/*
 * store_layer: what a store over a store leaves alone: a layer names these in its table for each call that it only passes on.
 * Its struct begins with a struct store_layer.
 */
#ifndef NIGHTJAR_REPO_STORE_LAYER_H
#define NIGHTJAR_REPO_STORE_LAYER_H

#include "repo/store.h"

struct store_layer {
	struct store base;
	struct store *inner; /* owned */
};

/* As inner's location. ERR_NOMEM; then nothing is to be undone. */
int store_layer_init(struct store_layer *layer, const struct store_ops *ops, struct store *inner,
		     struct err *err) ERR_UNUSED_WARN;
/* Frees inner and what init made, not the layer. */
void store_layer_end(struct store_layer *layer);

int store_layer_create(struct store *s, struct err *err);
int store_layer_put(struct store *s, enum store_type type, const struct id *name, const void *bytes,
		    size_t len, struct err *err);
int store_layer_replace(struct store *s, enum store_type type, const struct id *name,
			const void *bytes, size_t len, struct err *err);
int store_layer_put_later(struct store *s, enum store_type type, const struct id *name,
			  const void *bytes, size_t len, struct err *err);
int store_layer_flush(struct store *s, struct err *err);
int store_layer_get(struct store *s, enum store_type type, const struct id *name, size_t max_bytes,
		    struct buf *out, struct err *err);
void store_layer_expect(struct store *s, enum store_type type, const struct id *names,
			size_t count);
int store_layer_size(struct store *s, enum store_type type, const struct id *name,
		     uint64_t *out_bytes, struct err *err);
int store_layer_list(struct store *s, enum store_type type, store_list_fn *fn, void *arg,
		     struct err *err);
int store_layer_remove(struct store *s, enum store_type type, const struct id *name,
		       struct err *err);
int store_layer_now(struct store *s, int64_t *out_s, struct err *err);
int store_layer_sweep(struct store *s, int64_t least_age_s, bool dry_run,
		      struct store_leftovers *out, struct err *err);
bool store_layer_distrust(struct store *s, enum store_type type, const struct id *name);

#endif
