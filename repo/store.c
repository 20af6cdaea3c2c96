#include "repo/store.h"

#include <stdio.h>
#include <string.h>

#include "repo/store_net.h"

const char *store_type_name(enum store_type type)
{
	switch (type) {
	case STORE_CONFIG:
		return "config";
	case STORE_KEYS:
		return "keys";
	case STORE_DATA:
		return "data";
	case STORE_INDEX:
		return "index";
	case STORE_SNAPSHOTS:
		return "snapshots";
	case STORE_LOCKS:
		return "locks";
	}
	return "?";
}

void store_path(enum store_type type, const struct id *name, char out[STORE_PATH_CHARS])
{
	const char *folder = store_type_name(type);
	char hex[ID_HEX_CHARS + 1];

	if (type == STORE_CONFIG) {
		(void)snprintf(out, STORE_PATH_CHARS, "%s", folder);
		return;
	}
	id_hex(name, hex);
	if (type == STORE_DATA)
		(void)snprintf(out, STORE_PATH_CHARS, "%s/%.2s/%s", folder, hex, hex);
	else
		(void)snprintf(out, STORE_PATH_CHARS, "%s/%s", folder, hex);
}

int store_create(struct store *s, struct err *err)
{
	return s->ops->create(s, err);
}

int store_put(struct store *s, enum store_type type, const struct id *name, const void *bytes,
	      size_t len, struct err *err)
{
	return s->ops->put(s, type, name, bytes, len, err);
}

int store_get(struct store *s, enum store_type type, const struct id *name, size_t max_bytes,
	      struct buf *out, struct err *err)
{
	return s->ops->get(s, type, name, max_bytes, out, err);
}

int store_get_range(struct store *s, enum store_type type, const struct id *name, uint64_t offset,
		    size_t len, struct buf *out, struct err *err)
{
	return s->ops->get_range(s, type, name, offset, len, out, err);
}

int store_size(struct store *s, enum store_type type, const struct id *name, uint64_t *out_bytes,
	       struct err *err)
{
	return s->ops->size(s, type, name, out_bytes, err);
}

int store_list(struct store *s, enum store_type type, store_list_fn *fn, void *arg, struct err *err)
{
	return s->ops->list(s, type, fn, arg, err);
}

int store_remove(struct store *s, enum store_type type, const struct id *name, struct err *err)
{
	return s->ops->remove(s, type, name, err);
}

int store_replace(struct store *s, enum store_type type, const struct id *name, const void *bytes,
		  size_t len, struct err *err)
{
	char path[STORE_PATH_CHARS];

	if (s->ops->replace)
		return s->ops->replace(s, type, name, bytes, len, err);
	store_path(type, name, path);
	return err_set(err, ERR_DENIED, "%s/%s: a store of this kind cannot replace an object",
		       s->location, path);
}

int store_now(struct store *s, int64_t *out_s, struct err *err)
{
	return s->ops->now(s, out_s, err);
}

int store_sweep(struct store *s, int64_t least_age_s, bool dry_run, struct store_leftovers *out,
		struct err *err)
{
	return s->ops->sweep ? s->ops->sweep(s, least_age_s, dry_run, out, err) : 0;
}

int store_put_later(struct store *s, enum store_type type, const struct id *name, const void *bytes,
		    size_t len, struct err *err)
{
	struct err why = {0};
	int r;

	if (s->ops->put_later)
		return s->ops->put_later(s, type, name, bytes, len, err);
	r = store_put(s, type, name, bytes, len, &why);
	if (!r || r == -ERR_EXISTS)
		return 0;
	*err = why;
	return r;
}

int store_flush(struct store *s, struct err *err)
{
	return s->ops->flush ? s->ops->flush(s, err) : 0;
}

bool store_is_away(int rc)
{
	return rc == -ERR_AGAIN || rc == -ERR_CANCELLED;
}

bool store_distrust(struct store *s, enum store_type type, const struct id *name)
{
	return s->ops->distrust && s->ops->distrust(s, type, name);
}

void store_expect(struct store *s, enum store_type type, const struct id *names, size_t count)
{
	if (s->ops->expect)
		s->ops->expect(s, type, names, count);
}

void store_free(struct store *s)
{
	if (s)
		s->ops->free(s);
}

/*
 * "word:…" before any slash reads as a backend, never as a folder: `sftp:host:/x` or a mistyped
 * `ssh:host` must not quietly become a local folder of that name.
 */
int store_open(const char *location, const struct net *net, struct store **out_store,
	       struct err *err)
{
	size_t word = strcspn(location, ":/");

	if (location[word] != ':')
		return store_local_open(location, out_store, err);
	if (strncmp(location, "sftp:", 5) == 0)
		return store_sftp_open(location, net, out_store, err);
	if (strncmp(location, "rest:", 5) == 0)
		return store_rest_open(location, net, out_store, err);
	if (strncmp(location, "s3:", 3) == 0)
		return store_s3_open(location, net, out_store, err);
	/* The rest of it may hold a password. */
	return err_set(err, ERR_USAGE,
		       "no backend is called \"%.*s\"; a folder of that name is written ./%.*s:…",
		       (int)word, location, (int)word, location);
}
