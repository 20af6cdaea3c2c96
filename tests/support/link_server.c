#include "tests/support/link_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "tests/support/must.h"
#include "tests/support/tmpdir.h"

struct link {
	struct store base;
	struct store *inner;
	struct link_server *server;
	const struct net *net;
};

static void nap(unsigned ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	(void)nanosleep(&t, NULL);
}

static void begin(struct link_server *v)
{
	unsigned now = atomic_fetch_add(&v->at_once, 1) + 1;
	unsigned most = atomic_load(&v->most_at_once);

	while (now > most && !atomic_compare_exchange_weak(&v->most_at_once, &most, now))
		;
	nap(atomic_load(&v->naps_ms));
}

static int link_put(struct store *s, enum store_type type, const struct id *name, const void *bytes,
		    size_t len, struct err *err)
{
	struct link *l = (struct link *)s;
	struct link_server *v = l->server;
	char path[STORE_PATH_CHARS];
	unsigned number;
	int r = 0;

	begin(v);
	while (atomic_load(&v->hang) && !net_stopped(l->net))
		nap(1);
	store_path(type, name, path);
	if (atomic_load(&v->hang))
		r = err_set(err, ERR_CANCELLED, "%s: stopped", path);
	number = atomic_fetch_add(&v->puts, 1) + 1;
	if (!r && (number == atomic_load(&v->fail_put) ||
		   (number >= atomic_load(&v->cut_put) && atomic_load(&v->cut_put))))
		r = err_set(err, (enum err_code)atomic_load(&v->fail_code), "%s: no space left",
			    path);
	if (!r)
		r = store_put(l->inner, type, name, bytes, len, err);
	(void)atomic_fetch_sub(&v->at_once, 1);
	return r;
}

static int link_create(struct store *s, struct err *err)
{
	return store_create(((struct link *)s)->inner, err);
}

static int link_get(struct store *s, enum store_type type, const struct id *name, size_t max_bytes,
		    struct buf *out, struct err *err)
{
	struct link_server *v = ((struct link *)s)->server;
	int r;

	atomic_fetch_add(&v->gets, 1);
	begin(v);
	r = store_get(((struct link *)s)->inner, type, name, max_bytes, out, err);
	atomic_fetch_sub(&v->at_once, 1);
	return r;
}

static int link_get_range(struct store *s, enum store_type type, const struct id *name,
			  uint64_t offset, size_t len, struct buf *out, struct err *err)
{
	return store_get_range(((struct link *)s)->inner, type, name, offset, len, out, err);
}

static int link_size(struct store *s, enum store_type type, const struct id *name,
		     uint64_t *out_bytes, struct err *err)
{
	return store_size(((struct link *)s)->inner, type, name, out_bytes, err);
}

static int link_list(struct store *s, enum store_type type, store_list_fn *fn, void *arg,
		     struct err *err)
{
	return store_list(((struct link *)s)->inner, type, fn, arg, err);
}

static int link_remove(struct store *s, enum store_type type, const struct id *name,
		       struct err *err)
{
	return store_remove(((struct link *)s)->inner, type, name, err);
}

static int link_now(struct store *s, int64_t *out_s, struct err *err)
{
	return store_now(((struct link *)s)->inner, out_s, err);
}

static void link_free(struct store *s)
{
	struct link *l = (struct link *)s;

	store_free(l->inner);
	free(l);
}

static const struct store_ops link_ops = {
    .create = link_create,
    .put = link_put,
    .get = link_get,
    .get_range = link_get_range,
    .size = link_size,
    .list = link_list,
    .remove = link_remove,
    .now = link_now,
    .free = link_free,
};

int link_connect(void *arg, const struct net *net, struct store **out_store, struct err *err)
{
	struct link_server *v = arg;
	struct link *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return err_nomem(err);
	if (atomic_load(&v->no_connection)) {
		free(l);
		return err_set(err, ERR_AGAIN, "no connection");
	}
	r = store_local_open(v->path, &l->inner, err);
	if (r) {
		free(l);
		return r;
	}
	l->base = (struct store){.ops = &link_ops, .location = l->inner->location};
	l->server = v;
	l->net = net;
	(void)atomic_fetch_add(&v->opened, 1);
	*out_store = &l->base;
	return 0;
}

struct link_server *link_server_new(char *dir)
{
	struct link_server *v = calloc(1, sizeof(*v));

	assert_non_null(v);
	v->dir = dir;
	v->path = tmpdir_path(dir, "repo");
	atomic_store(&v->fail_code, ERR_FULL);
	return v;
}

void link_server_free(void *arg)
{
	struct link_server *v = arg;

	free(v->path);
	free(v);
}
