#include "repo/store.h"

#include <stdlib.h>
#include <string.h>

struct object {
	struct object *next;
	enum store_type type;
	struct id name;
	struct buf bytes;
};

struct mem {
	struct store base;
	struct object *first;
	int64_t now_s;
};

/* Where the pointer to the object is, or the end of the list: put and remove change that place. */
static struct object **find(struct store *s, enum store_type type, const struct id *name)
{
	struct object **at = &((struct mem *)s)->first;

	while (*at && !((*at)->type == type && (type == STORE_CONFIG || id_eq(&(*at)->name, name))))
		at = &(*at)->next;
	return at;
}

static int say(const char *what, struct store *s, enum err_code code, enum store_type type,
	       const struct id *name, struct err *err)
{
	char path[STORE_PATH_CHARS];

	store_path(type, name, path);
	return err_set(err, code, "%s/%s %s", s->location, path, what);
}

static int lookup(struct store *s, enum store_type type, const struct id *name, struct object **out,
		  struct err *err)
{
	*out = *find(s, type, name);
	return *out ? 0 : say("is not there", s, ERR_MISSING, type, name, err);
}

static int mem_create(struct store *s, struct err *err)
{
	if (*find(s, STORE_CONFIG, NULL))
		return err_set(err, ERR_EXISTS, "a repository is in %s already", s->location);
	return 0;
}

static int mem_put(struct store *s, enum store_type type, const struct id *name, const void *bytes,
		   size_t len, struct err *err)
{
	struct object **at = find(s, type, name);
	struct object *o;

	if (*at)
		return say("exists already", s, ERR_EXISTS, type, name, err);
	o = calloc(1, sizeof(*o));
	if (!o)
		return err_nomem(err);
	o->type = type;
	if (type != STORE_CONFIG)
		o->name = *name;
	buf_put(&o->bytes, bytes, len);
	if (o->bytes.failed) {
		free(o);
		return err_nomem(err);
	}
	*at = o;
	return 0;
}

static int mem_replace(struct store *s, enum store_type type, const struct id *name,
		       const void *bytes, size_t len, struct err *err)
{
	struct object *o;
	struct buf fresh = {0};
	int rc = lookup(s, type, name, &o, err);

	if (rc != 0)
		return rc;
	buf_put(&fresh, bytes, len);
	if (fresh.failed)
		return buf_check(&fresh, err);
	buf_free(&o->bytes);
	o->bytes = fresh;
	return 0;
}

static int mem_get(struct store *s, enum store_type type, const struct id *name, size_t max_bytes,
		   struct buf *out, struct err *err)
{
	struct object *o;
	int rc = lookup(s, type, name, &o, err);

	if (rc != 0)
		return rc;
	if (o->bytes.len > max_bytes)
		return say("is too large", s, ERR_LIMIT, type, name, err);
	buf_put(out, o->bytes.data, o->bytes.len);
	return buf_check(out, err);
}

static int mem_get_range(struct store *s, enum store_type type, const struct id *name,
			 uint64_t offset, size_t len, struct buf *out, struct err *err)
{
	struct object *o;
	int rc = lookup(s, type, name, &o, err);

	if (rc != 0)
		return rc;
	if (offset > o->bytes.len || len > o->bytes.len - offset)
		return say("is too short", s, ERR_DAMAGED, type, name, err);
	buf_put(out, o->bytes.data + offset, len);
	return buf_check(out, err);
}

static int mem_size(struct store *s, enum store_type type, const struct id *name,
		    uint64_t *out_bytes, struct err *err)
{
	struct object *o;
	int rc = lookup(s, type, name, &o, err);

	if (rc == 0)
		*out_bytes = o->bytes.len;
	return rc;
}

static int mem_list(struct store *s, enum store_type type, store_list_fn *fn, void *arg,
		    struct err *err)
{
	int rc = 0;

	for (struct object *o = ((struct mem *)s)->first; o && rc == 0; o = o->next)
		if (o->type == type)
			rc = fn(arg, &o->name, o->bytes.len, err);
	return rc;
}

static int mem_remove(struct store *s, enum store_type type, const struct id *name, struct err *err)
{
	struct object **at = find(s, type, name), *o = *at;

	if (!o)
		return say("is not there", s, ERR_MISSING, type, name, err);
	*at = o->next;
	buf_free(&o->bytes);
	free(o);
	return 0;
}

static int mem_now(struct store *s, int64_t *out_s, struct err *err)
{
	(void)err;
	*out_s = ((struct mem *)s)->now_s;
	return 0;
}

void store_mem_set_now(struct store *mem, int64_t now_s)
{
	((struct mem *)mem)->now_s = now_s;
}

static void mem_free(struct store *s)
{
	struct object *o, *next;

	for (o = ((struct mem *)s)->first; o; o = next) {
		next = o->next;
		buf_free(&o->bytes);
		free(o);
	}
	free(s->location);
	free(s);
}

static const struct store_ops mem_ops = {
    .create = mem_create,
    .put = mem_put,
    .get = mem_get,
    .get_range = mem_get_range,
    .size = mem_size,
    .list = mem_list,
    .remove = mem_remove,
    .now = mem_now,
    .free = mem_free,
    .replace = mem_replace,
};

int store_mem_new(struct store **out_store, struct err *err)
{
	struct mem *m = calloc(1, sizeof(*m));
	char *location = strdup("memory");

	if (!m || !location) {
		free(m);
		free(location);
		return err_nomem(err);
	}
	m->base = (struct store){.ops = &mem_ops, .location = location};
	*out_store = &m->base;
	return 0;
}
