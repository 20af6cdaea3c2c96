/*
 * One thread calls the store; workers send what it has put away for later, each over a connection of its own. They give
 * the uploads back in the order in which they were put, so nothing here is shared but the flag that ends them.
 */
#include "repo/store_stack.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "repo/workers.h"

/* One object under way. */
struct upload {
	bool busy;
	enum store_type type;
	struct id name;
	struct buf bytes; /* its memory is kept for the next */
	struct err err;   /* how it ended */
};

struct parallel;

struct connection {
	struct parallel *all;
	struct store *store; /* NULL: not opened yet. Its worker's alone */
};

struct parallel {
	struct store base;
	struct store *first;
	struct store_parallel_options options;
	struct net net;          /* of the connections */
	const struct net *outer; /* of the caller */
	atomic_bool ending;      /* nobody waits for what is under way */
	struct connection *connections;
	void **contexts; /* of the workers: the connections */
	struct upload *uploads;
	size_t next;             /* the upload that the next object takes */
	struct workers *workers; /* NULL: nothing was put yet */
	struct err failed;       /* the first failure */
};

static struct parallel *parallel_of(struct store *s)
{
	return (struct parallel *)s;
}

static bool stopped(void *arg)
{
	struct parallel *p = arg;

	return atomic_load(&p->ending) || net_stopped(p->outer);
}

static void send(void *context, void *job)
{
	struct connection *c = context;
	struct upload *u = job;
	struct parallel *p = c->all;
	struct err why = {0};
	int r = 0;

	if (atomic_load(&p->ending))
		return;
	if (!c->store)
		r = p->options.connect(p->options.arg, &p->net, &c->store, &why);
	if (!r)
		r = store_put(c->store, u->type, &u->name, u->bytes.data, u->bytes.len, &why);
	if (r && r != -ERR_EXISTS)
		u->err = why;
}

static void take_one(struct parallel *p)
{
	struct upload *u = workers_take(p->workers);

	u->busy = false;
	if (u->err.code && !p->failed.code)
		p->failed = u->err;
}

static int failed_before(const struct parallel *p, struct err *err)
{
	if (p->failed.code)
		*err = p->failed;
	return -p->failed.code;
}

static int wait_for_all(struct parallel *p, struct err *err)
{
	while (p->workers && workers_pending(p->workers))
		take_one(p);
	return failed_before(p, err);
}

static struct upload *under_way(struct parallel *p, enum store_type type, const struct id *name)
{
	for (unsigned i = 0; p->workers && i < p->options.connections; i++) {
		struct upload *u = &p->uploads[i];

		if (u->busy && u->type == type && type != STORE_CONFIG && id_eq(&u->name, name))
			return u;
	}
	return NULL;
}

/* Whoever reads what was put a moment ago gets it, or is told why it is not there. */
static int wait_for(struct parallel *p, enum store_type type, const struct id *name,
		    struct err *err)
{
	struct upload *u = under_way(p, type, name);

	if (!u)
		return 0;
	while (u->busy)
		take_one(p);
	if (u->err.code)
		*err = u->err;
	return -u->err.code;
}

static int start(struct parallel *p, struct err *err)
{
	if (p->workers)
		return 0;
	return workers_new(p->options.connections, p->options.connections, send, p->contexts,
			   &p->workers, err);
}

static int parallel_put_later(struct store *s, enum store_type type, const struct id *name,
			      const void *bytes, size_t len, struct err *err)
{
	struct parallel *p = parallel_of(s);
	struct upload *u;
	int r = start(p, err);

	if (r)
		return r;
	while (workers_ready(p->workers) || workers_full(p->workers))
		take_one(p);
	r = failed_before(p, err);
	if (r)
		return r;
	u = &p->uploads[p->next % p->options.connections];
	buf_reset(&u->bytes);
	buf_put(&u->bytes, bytes, len);
	r = buf_check(&u->bytes, err);
	if (r)
		return r;
	u->type = type;
	u->name = *name;
	u->err = (struct err){0};
	u->busy = true;
	p->next++;
	workers_submit(p->workers, u);
	return 0;
}

static int parallel_flush(struct store *s, struct err *err)
{
	return wait_for_all(parallel_of(s), err);
}

static bool parallel_distrust(struct store *s, enum store_type type, const struct id *name)
{
	return store_distrust(parallel_of(s)->first, type, name);
}

static int parallel_create(struct store *s, struct err *err)
{
	return store_create(parallel_of(s)->first, err);
}

static int parallel_put(struct store *s, enum store_type type, const struct id *name,
			const void *bytes, size_t len, struct err *err)
{
	struct parallel *p = parallel_of(s);
	int r = wait_for_all(p, err);

	return r ? r : store_put(p->first, type, name, bytes, len, err);
}

static int parallel_get(struct store *s, enum store_type type, const struct id *name,
			size_t max_bytes, struct buf *out, struct err *err)
{
	struct parallel *p = parallel_of(s);
	int r = wait_for(p, type, name, err);

	return r ? r : store_get(p->first, type, name, max_bytes, out, err);
}

static int parallel_get_range(struct store *s, enum store_type type, const struct id *name,
			      uint64_t offset, size_t len, struct buf *out, struct err *err)
{
	struct parallel *p = parallel_of(s);
	int r = wait_for(p, type, name, err);

	return r ? r : store_get_range(p->first, type, name, offset, len, out, err);
}

static int parallel_size(struct store *s, enum store_type type, const struct id *name,
			 uint64_t *out_bytes, struct err *err)
{
	struct parallel *p = parallel_of(s);
	int r = wait_for(p, type, name, err);

	return r ? r : store_size(p->first, type, name, out_bytes, err);
}

static int parallel_list(struct store *s, enum store_type type, store_list_fn *fn, void *arg,
			 struct err *err)
{
	struct parallel *p = parallel_of(s);
	int r = wait_for_all(p, err);

	return r ? r : store_list(p->first, type, fn, arg, err);
}

static int parallel_remove(struct store *s, enum store_type type, const struct id *name,
			   struct err *err)
{
	struct parallel *p = parallel_of(s);
	int r = wait_for_all(p, err);

	return r ? r : store_remove(p->first, type, name, err);
}

static int parallel_now(struct store *s, int64_t *out_s, struct err *err)
{
	return store_now(parallel_of(s)->first, out_s, err);
}

static int parallel_sweep(struct store *s, int64_t least_age_s, bool dry_run,
			  struct store_leftovers *out, struct err *err)
{
	struct parallel *p = parallel_of(s);
	int r = wait_for_all(p, err);

	return r ? r : store_sweep(p->first, least_age_s, dry_run, out, err);
}

/* All but what the caller keeps after a failure: first and arg. */
static void free_own(struct parallel *p)
{
	unsigned count = p->options.connections;

	atomic_store(&p->ending, true);
	workers_free(p->workers);
	for (unsigned i = 0; p->connections && i < count; i++)
		store_free(p->connections[i].store);
	for (unsigned i = 0; p->uploads && i < count; i++)
		buf_free(&p->uploads[i].bytes);
	free(p->connections);
	free(p->contexts);
	free(p->uploads);
	free(p->base.location);
	free(p);
}

static void parallel_free(struct store *s)
{
	struct parallel *p = parallel_of(s);
	struct store *first = p->first;
	struct store_parallel_options o = p->options;

	free_own(p);
	store_free(first);
	if (o.release)
		o.release(o.arg);
}

static const struct store_ops parallel_ops = {
    .create = parallel_create,
    .put = parallel_put,
    .get = parallel_get,
    .get_range = parallel_get_range,
    .size = parallel_size,
    .list = parallel_list,
    .remove = parallel_remove,
    .now = parallel_now,
    .sweep = parallel_sweep,
    .free = parallel_free,
    .put_later = parallel_put_later,
    .flush = parallel_flush,
    .distrust = parallel_distrust,
};

int store_parallel_new(struct store *first, const struct store_parallel_options *options,
		       struct store **out_store, struct err *err)
{
	struct parallel *p = calloc(1, sizeof(*p));
	unsigned count = options->connections;

	if (!p)
		return err_nomem(err);
	p->options = *options;
	p->outer = options->net;
	p->first = first;
	p->base = (struct store){.ops = &parallel_ops, .location = strdup(first->location)};
	p->connections = calloc(count, sizeof(*p->connections));
	p->contexts = calloc(count, sizeof(*p->contexts));
	p->uploads = calloc(count, sizeof(*p->uploads));
	if (!p->base.location || !p->connections || !p->contexts || !p->uploads) {
		free_own(p);
		return err_nomem(err);
	}
	for (unsigned i = 0; i < count; i++) {
		p->connections[i].all = p;
		p->contexts[i] = &p->connections[i];
	}
	if (options->net)
		p->net = *options->net;
	p->net.stopped = stopped;
	p->net.stopped_arg = p;
	*out_store = &p->base;
	return 0;
}
