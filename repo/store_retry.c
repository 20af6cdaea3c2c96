#include "repo/store_stack.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#include "core/limits.h"
#include "core/sha256.h"

#define SECOND_NS INT64_C(1000000000)
#define FIRST_WAIT_NS (SECOND_NS / 2)
#define MOST_WAIT_NS (60 * SECOND_NS)

/* So often an object whose bytes do not have its name is read again. */
#define MOST_SPOILED 2

struct retry {
	struct store base;
	struct store *inner;
	const struct net *net;
	struct store_retry_clock clock;
};

/* One call and its tries. */
struct attempt {
	struct retry *r;
	unsigned failures;
	int64_t first_at_ns; /* when it failed first */
};

static int64_t now_ns(const struct retry *r)
{
	struct timespec t;

	if (r->clock.now_ns)
		return r->clock.now_ns(r->clock.arg);
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * SECOND_NS + t.tv_nsec;
}

static bool sleep_ns(const struct retry *r, int64_t ns)
{
	return r->clock.sleep ? r->clock.sleep(r->clock.arg, ns) : net_sleep(r->net, ns);
}

static uint64_t random_below(const struct retry *r, uint64_t below)
{
	uint64_t random;

	if (r->clock.random)
		return r->clock.random(r->clock.arg, below);
	randombytes_buf(&random, sizeof(random));
	return random % below;
}

static struct retry *retry_of(struct store *s)
{
	return (struct retry *)s;
}

/* Full jitter: of several clients that failed together no two come back together. */
static int64_t next_wait(const struct attempt *a, int asked_s)
{
	int64_t most = FIRST_WAIT_NS, asked = asked_s * SECOND_NS, wait;

	for (unsigned i = 1; i < a->failures && most < MOST_WAIT_NS; i++)
		most *= 2;
	if (most > MOST_WAIT_NS)
		most = MOST_WAIT_NS;
	wait = (int64_t)random_below(a->r, (uint64_t)most) + 1;
	return wait > asked ? wait : asked;
}

static void say_how_long(const struct attempt *a, int64_t ns, struct err *err)
{
	long long s = ns / SECOND_NS;
	struct err was = *err;

	if (was.wait_s > 0)
		(void)err_set(err, ERR_AGAIN,
			      "%s; tried %u times in %lld s, and the server asks to wait for %d s",
			      was.text, a->failures, s, was.wait_s);
	else
		(void)err_set(err, ERR_AGAIN, "%s; tried %u times in %lld s", was.text, a->failures,
			      s);
	err->sys_errno = was.sys_errno;
	err->wait_s = was.wait_s;
}

/*
 * After a try that gave *rc: shall there be another? If so, the wait is over. The last try is made when the time is up,
 * not one that would come later.
 */
static bool again(struct attempt *a, int *rc, struct err *err)
{
	const struct net *net = a->r->net;
	int64_t now, left, wait;

	if (*rc != -ERR_AGAIN) {
		/* Of the server's, or nobody has asked it: an interrupt says nothing about it. */
		if (*rc != -ERR_CANCELLED && *rc != -ERR_NOMEM)
			net_count_answer(net);
		return false;
	}
	if (!a->failures && net_is_given_up(net)) {
		net_count_given_up(net);
		return false;
	}
	now = now_ns(a->r);
	if (a->failures++ == 0)
		a->first_at_ns = now;
	left = a->first_at_ns +
	       (int64_t)(net && net->retry_s ? net->retry_s : NET_RETRY_S) * SECOND_NS - now;
	if (left <= 0 || err->wait_s * SECOND_NS > left) {
		say_how_long(a, now - a->first_at_ns, err);
		net_count_given_up(net);
		return false;
	}
	wait = next_wait(a, err->wait_s);
	if (wait > left)
		wait = left;
	if (net && net->retrying)
		net->retrying(net->retrying_arg, err->text, a->failures,
			      (unsigned)((wait + SECOND_NS - 1) / SECOND_NS));
	if (!sleep_ns(a->r, wait)) {
		struct err was = *err;

		*rc = err_set(err, ERR_CANCELLED, "interrupted before it was tried again: %s",
			      was.text);
		return false;
	}
	net_count_retry(net);
	*err = (struct err){0};
	return true;
}

static int retry_create(struct store *s, struct err *err)
{
	struct attempt a = {.r = retry_of(s)};
	int rc;

	do
		rc = store_create(a.r->inner, err);
	while (again(&a, &rc, err));
	return rc;
}

static int retry_size(struct store *s, enum store_type type, const struct id *name,
		      uint64_t *out_bytes, struct err *err)
{
	struct attempt a = {.r = retry_of(s)};
	int rc;

	do
		rc = store_size(a.r->inner, type, name, out_bytes, err);
	while (again(&a, &rc, err));
	return rc;
}

/* What was read must have its name; a server or a wire that spoils it may not do so twice. */
static int judge_bytes(const struct store *s, enum store_type type, const struct id *name,
		       const uint8_t *bytes, size_t len, struct err *err)
{
	char path[STORE_PATH_CHARS];
	struct id is;
	int rc = type == STORE_CONFIG ? 0 : sha256_of(bytes, len, &is, err);

	if (rc || type == STORE_CONFIG || id_eq(&is, name))
		return rc;
	store_path(type, name, path);
	return err_set(err, ERR_AGAIN, "%s/%s: its bytes are not those of its name", s->location,
		       path);
}

static int retry_get(struct store *s, enum store_type type, const struct id *name, size_t max_bytes,
		     struct buf *out, struct err *err)
{
	struct attempt a = {.r = retry_of(s)};
	size_t before = out->len;
	unsigned spoiled = 0;
	int rc;

	do {
		out->len = before;
		rc = store_get(a.r->inner, type, name, max_bytes, out, err);
		if (!rc) /* an answer, however spoiled */
			net_count_answer(a.r->net);
		/* What is still wrong then is for the caller to judge. */
		if (!rc && spoiled++ < MOST_SPOILED)
			rc = judge_bytes(s, type, name, out->data + before, out->len - before, err);
	} while (again(&a, &rc, err));
	if (rc)
		out->len = before;
	return rc;
}

static int retry_get_range(struct store *s, enum store_type type, const struct id *name,
			   uint64_t offset, size_t len, struct buf *out, struct err *err)
{
	struct attempt a = {.r = retry_of(s)};
	size_t before = out->len;
	int rc;

	do {
		out->len = before;
		rc = store_get_range(a.r->inner, type, name, offset, len, out, err);
	} while (again(&a, &rc, err));
	if (rc)
		out->len = before;
	return rc;
}

/* The one config: is it ours, or did somebody else come first? */
static int own_config(struct store *s, const void *bytes, size_t len, struct err *err)
{
	struct err exists = *err;
	struct buf there = {0};
	int rc = retry_get(s, STORE_CONFIG, NULL, LIMIT_CONFIG_BYTES, &there, err);

	if ((!rc && (there.len != len || memcmp(there.data, bytes, len) != 0)) ||
	    rc == -ERR_LIMIT) {
		*err = exists;
		rc = -ERR_EXISTS;
	}
	buf_free(&there);
	return rc;
}

static int own_object(struct store *s, enum store_type type, const struct id *name, size_t len,
		      struct err *err)
{
	char path[STORE_PATH_CHARS];
	uint64_t size;
	int rc = retry_size(s, type, name, &size, err);

	if (rc || size == len)
		return rc;
	store_path(type, name, path);
	return err_set(err, ERR_DAMAGED,
		       "%s/%s: an interrupted transfer has left %llu of %zu bytes under this name; "
		       "remove it",
		       s->location, path, (unsigned long long)size, len);
}

static int retry_put(struct store *s, enum store_type type, const struct id *name,
		     const void *bytes, size_t len, struct err *err)
{
	struct attempt a = {.r = retry_of(s)};
	int rc;

	do
		rc = store_put(a.r->inner, type, name, bytes, len, err);
	while (again(&a, &rc, err));
	if (rc != -ERR_EXISTS || !a.failures)
		return rc;
	if (type == STORE_CONFIG)
		rc = own_config(s, bytes, len, err);
	else
		rc = own_object(s, type, name, len, err);
	if (!rc)
		*err = (struct err){0};
	return rc;
}

static int retry_replace(struct store *s, enum store_type type, const struct id *name,
			 const void *bytes, size_t len, struct err *err)
{
	struct attempt a = {.r = retry_of(s)};
	int rc;

	do
		rc = store_replace(a.r->inner, type, name, bytes, len, err);
	while (again(&a, &rc, err));
	return rc;
}

static int retry_remove(struct store *s, enum store_type type, const struct id *name,
			struct err *err)
{
	struct attempt a = {.r = retry_of(s)};
	int rc;

	do
		rc = store_remove(a.r->inner, type, name, err);
	while (again(&a, &rc, err));
	if (rc != -ERR_MISSING || !a.failures)
		return rc;
	*err = (struct err){0};
	return 0;
}

static int retry_now(struct store *s, int64_t *out_s, struct err *err)
{
	struct attempt a = {.r = retry_of(s)};
	int rc;

	do
		rc = store_now(a.r->inner, out_s, err);
	while (again(&a, &rc, err));
	return rc;
}

static int retry_sweep(struct store *s, int64_t least_age_s, bool dry_run,
		       struct store_leftovers *out, struct err *err)
{
	struct attempt a = {.r = retry_of(s)};
	int rc;

	do
		rc = store_sweep(a.r->inner, least_age_s, dry_run, out, err);
	while (again(&a, &rc, err));
	return rc;
}

/* --- list --- */

struct name {
	struct id id;
	uint64_t size_bytes;
};

struct names {
	struct name *items;
	size_t count, cap;
	const char *location;
};

static int keep_name(void *arg, const struct id *id, uint64_t size_bytes, struct err *err)
{
	struct names *n = arg;

	if (n->count == n->cap) {
		size_t cap = n->cap ? n->cap * 2 : 64;
		struct name *items;

		if (cap > LIMIT_STORE_NAMES)
			return err_set(err, ERR_LIMIT, "%s lists more than %u objects", n->location,
				       LIMIT_STORE_NAMES);
		items = realloc(n->items, cap * sizeof(*items));
		if (!items)
			return err_nomem(err);
		n->items = items;
		n->cap = cap;
	}
	n->items[n->count++] = (struct name){*id, size_bytes};
	return 0;
}

/* A try that fails half way must not have told half of the names: the next one tells them all. */
static int retry_list(struct store *s, enum store_type type, store_list_fn *fn, void *arg,
		      struct err *err)
{
	struct attempt a = {.r = retry_of(s)};
	struct names n = {.location = s->location};
	int rc;

	do {
		n.count = 0;
		rc = store_list(a.r->inner, type, keep_name, &n, err);
	} while (again(&a, &rc, err));
	for (size_t i = 0; !rc && i < n.count; i++)
		rc = fn(arg, &n.items[i].id, n.items[i].size_bytes, err);
	free(n.items);
	return rc;
}

/* What does not open may have been spoiled on its way; where it lies it may be whole. */
static bool retry_distrust(struct store *s, enum store_type type, const struct id *name)
{
	(void)store_distrust(retry_of(s)->inner, type, name);
	return type == STORE_DATA;
}

static void retry_free(struct store *s)
{
	store_free(retry_of(s)->inner);
	free(s->location);
	free(s);
}

static void retry_expect(struct store *s, enum store_type type, const struct id *names,
			 size_t count)
{
	store_expect(((struct retry *)s)->inner, type, names, count);
}

static const struct store_ops retry_ops = {
    .create = retry_create,
    .put = retry_put,
    .get = retry_get,
    .get_range = retry_get_range,
    .size = retry_size,
    .list = retry_list,
    .remove = retry_remove,
    .now = retry_now,
    .sweep = retry_sweep,
    .free = retry_free,
    .replace = retry_replace,
    .distrust = retry_distrust,
    .expect = retry_expect,
};

int store_retry_new(struct store *inner, const struct net *net,
		    const struct store_retry_clock *clock, struct store **out_store,
		    struct err *err)
{
	struct retry *r = calloc(1, sizeof(*r));
	char *location = strdup(inner->location);

	if (!r || !location) {
		free(r);
		free(location);
		return err_nomem(err);
	}
	r->base = (struct store){.ops = &retry_ops, .location = location};
	r->inner = inner;
	r->net = net;
	if (clock)
		r->clock = *clock;
	*out_store = &r->base;
	return 0;
}
