/*
 * One thread calls the store; workers send what it has put away for later and get what it said it would read, each over a
 * connection of its own. They give both back in the order in which they were begun, so nothing here is shared but the flag
 * that ends them.
 */
#include "repo/store_stack.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "repo/workers.h"

/* One object under way. */
struct transfer {
	bool busy, reads;
	enum store_type type;
	struct id name;
	struct buf bytes; /* its memory is kept for the next */
	struct err err;   /* how it ended */
};

/*
 * What will be read. Those from at to begun are under way or here, number i in reads[i % connections]; of the ones before
 * at nothing is kept.
 */
struct expected {
	enum store_type type;
	struct id *names;
	size_t count, at, begun;
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
	struct transfer *uploads, *reads;
	size_t next; /* the upload that the next object takes */
	struct expected expected;
	struct workers *workers; /* NULL: not needed yet */
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

static int move(struct store *store, struct transfer *t, struct err *err)
{
	if (t->reads)
		return store_get(store, t->type, &t->name, STORE_AHEAD_BYTES, &t->bytes, err);
	return store_put(store, t->type, &t->name, t->bytes.data, t->bytes.len, err);
}

static void run(void *context, void *job)
{
	struct connection *c = context;
	struct transfer *t = job;
	struct parallel *p = c->all;
	struct err why = {0};
	int r = 0;

	if (atomic_load(&p->ending))
		return;
	if (!c->store)
		r = p->options.connect(p->options.arg, &p->net, &c->store, &why);
	if (!r)
		r = move(c->store, t, &why);
	if (r && (t->reads || r != -ERR_EXISTS))
		t->err = why;
}

static void take_one(struct parallel *p)
{
	struct transfer *t = workers_take(p->workers);

	t->busy = false;
	if (!t->reads && t->err.code && !p->failed.code)
		p->failed = t->err;
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

static struct transfer *under_way(struct parallel *p, enum store_type type, const struct id *name)
{
	for (unsigned i = 0; p->workers && i < p->options.connections; i++) {
		struct transfer *u = &p->uploads[i];

		if (u->busy && u->type == type && type != STORE_CONFIG && id_eq(&u->name, name))
			return u;
	}
	return NULL;
}

/* Whoever reads what was put a moment ago gets it, or is told why it is not there. */
static int wait_for(struct parallel *p, enum store_type type, const struct id *name,
		    struct err *err)
{
	struct transfer *u = under_way(p, type, name);

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
	return workers_new(p->options.connections, p->options.connections, run, p->contexts,
			   &p->workers, err);
}

static int parallel_put_later(struct store *s, enum store_type type, const struct id *name,
			      const void *bytes, size_t len, struct err *err)
{
	struct parallel *p = parallel_of(s);
	struct transfer *u;
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

/* --- reads ahead --- */

static void forget_expected(struct parallel *p)
{
	struct expected *e = &p->expected;

	for (; e->at < e->begun; e->at++) {
		struct transfer *t = &p->reads[e->at % p->options.connections];

		while (t->busy)
			take_one(p);
	}
	free(e->names);
	*e = (struct expected){0};
}

static void begin_reads(struct parallel *p)
{
	struct expected *e = &p->expected;

	while (e->begun < e->count && e->begun - e->at < p->options.connections &&
	       !workers_full(p->workers)) {
		struct transfer *t = &p->reads[e->begun % p->options.connections];

		buf_reset(&t->bytes);
		t->reads = t->busy = true;
		t->type = e->type;
		t->name = e->names[e->begun++];
		t->err = (struct err){0};
		workers_submit(p->workers, t);
	}
}

/* A connection is worth opening for some objects, not for one. */
#define EXPECT_LEAST 4

/* No more than a hint: where it cannot be followed, each is read when it is asked for. */
static void parallel_expect(struct store *s, enum store_type type, const struct id *names,
			    size_t count)
{
	struct parallel *p = parallel_of(s);
	struct expected *e = &p->expected;
	struct err ignored = {0};

	forget_expected(p);
	if (count < EXPECT_LEAST || start(p, &ignored) != 0)
		return;
	e->names = malloc(count * sizeof(*names));
	if (!e->names)
		return;
	memcpy(e->names, names, count * sizeof(*names));
	e->type = type;
	e->count = count;
	begin_reads(p);
}

/* The number of one that is expected; what was passed over is dropped. count when it is not. */
static size_t reach(struct parallel *p, enum store_type type, const struct id *name)
{
	struct expected *e = &p->expected;
	size_t to = e->at;

	while (to < e->count && (type != e->type || !id_eq(&e->names[to], name)))
		to++;
	if (to == e->count)
		return to;
	for (; e->at < to; e->at++) {
		struct transfer *t = &p->reads[e->at % p->options.connections];

		while (e->at < e->begun && t->busy)
			take_one(p);
	}
	if (e->begun < e->at)
		e->begun = e->at;
	begin_reads(p);
	return to;
}

/* 1: it was not read ahead, or there it was too long. */
static int get_ahead(struct parallel *p, enum store_type type, const struct id *name,
		     size_t max_bytes, struct buf *out, struct err *err)
{
	struct expected *e = &p->expected;
	size_t at = type == STORE_CONFIG ? e->count : reach(p, type, name);
	struct transfer *t = &p->reads[at % p->options.connections];
	int r;

	if (at == e->count || at >= e->begun)
		return 1;
	while (t->busy)
		take_one(p);
	e->at = at + 1;
	r = -t->err.code;
	if (r == -ERR_LIMIT || r == -ERR_NOMEM || (!r && t->bytes.len > max_bytes))
		r = 1;
	else if (r)
		*err = t->err;
	else {
		buf_put(out, t->bytes.data, t->bytes.len);
		r = buf_check(out, err);
	}
	begin_reads(p);
	return r;
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
	int r;

	forget_expected(p);
	r = wait_for_all(p, err);
	return r ? r : store_put(p->first, type, name, bytes, len, err);
}

static int parallel_replace(struct store *s, enum store_type type, const struct id *name,
			    const void *bytes, size_t len, struct err *err)
{
	struct parallel *p = parallel_of(s);
	int r;

	forget_expected(p);
	r = wait_for_all(p, err);
	return r ? r : store_replace(p->first, type, name, bytes, len, err);
}

static int parallel_get(struct store *s, enum store_type type, const struct id *name,
			size_t max_bytes, struct buf *out, struct err *err)
{
	struct parallel *p = parallel_of(s);
	int r = wait_for(p, type, name, err);

	if (!r)
		r = get_ahead(p, type, name, max_bytes, out, err);
	return r <= 0 ? r : store_get(p->first, type, name, max_bytes, out, err);
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
	int r;

	forget_expected(p);
	r = wait_for_all(p, err);
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
	for (unsigned i = 0; p->reads && i < count; i++)
		buf_free(&p->reads[i].bytes);
	free(p->connections);
	free(p->contexts);
	free(p->uploads);
	free(p->reads);
	free(p->expected.names);
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
    .replace = parallel_replace,
    .put_later = parallel_put_later,
    .flush = parallel_flush,
    .distrust = parallel_distrust,
    .expect = parallel_expect,
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
	p->reads = calloc(count, sizeof(*p->reads));
	if (!p->base.location || !p->connections || !p->contexts || !p->uploads || !p->reads) {
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
