#include "tests/support/store_fault.h"

#include <stdlib.h>
#include <string.h>

struct fault {
	struct store base;
	struct store *inner;
	struct store_fault_plan plan;
	uint64_t counted;
	uint64_t calls[FAULT_OPS];
	bool fired;
};

static struct fault *fault_of(struct store *s)
{
	return (struct fault *)s;
}

static bool counts(const struct store_fault_plan *plan, enum store_fault_op op, int type)
{
	if (plan->ops != 0 && (plan->ops & FAULT_OP(op)) == 0)
		return false;
	return plan->types == 0 || (type >= 0 && (plan->types & FAULT_TYPE(type)) != 0);
}

/* What this call must do wrong. type -1: create. */
static enum store_fault_kind arrive(struct fault *f, enum store_fault_op op, int type)
{
	f->calls[op]++;
	if (f->fired && f->plan.kind == FAULT_STOP)
		return FAULT_BEFORE;
	if (!counts(&f->plan, op, type) || ++f->counted != f->plan.at || f->plan.kind == FAULT_NONE)
		return FAULT_NONE;
	f->fired = true;
	return f->plan.kind == FAULT_STOP ? FAULT_BEFORE : f->plan.kind;
}

static int fail(const struct fault *f, const char *op, struct err *err)
{
	return err_set(err, f->plan.code != 0 ? f->plan.code : ERR_IO,
		       "%s: a fault was injected into %s", f->base.location, op);
}

static int fault_create(struct store *s, struct err *err)
{
	struct fault *f = fault_of(s);
	enum store_fault_kind kind = arrive(f, FAULT_CREATE, -1);
	int rc;

	if (kind == FAULT_BEFORE || kind == FAULT_TEAR)
		return fail(f, "create", err);
	rc = store_create(f->inner, err);
	return rc == 0 && kind == FAULT_AFTER ? fail(f, "create", err) : rc;
}

static int put_flipped(struct fault *f, enum store_type type, const struct id *name,
		       const void *bytes, size_t len, struct err *err)
{
	uint8_t *copy = malloc(len);
	int rc;

	if (!copy)
		return err_nomem(err);
	memcpy(copy, bytes, len);
	copy[len / 2] ^= 0x10;
	rc = store_put(f->inner, type, name, copy, len, err);
	free(copy);
	return rc;
}

static int fault_put(struct store *s, enum store_type type, const struct id *name,
		     const void *bytes, size_t len, struct err *err)
{
	struct fault *f = fault_of(s);
	enum store_fault_kind kind = arrive(f, FAULT_PUT, (int)type);
	int rc;

	if (kind == FAULT_BEFORE)
		return fail(f, "put", err);
	if (kind == FAULT_LIE)
		return 0;
	if (kind == FAULT_FLIP && len > 0)
		return put_flipped(f, type, name, bytes, len, err);
	rc = store_put(f->inner, type, name, bytes, kind == FAULT_TEAR ? len / 2 : len, err);
	return rc == 0 && (kind == FAULT_AFTER || kind == FAULT_TEAR) ? fail(f, "put", err) : rc;
}

static int fault_get(struct store *s, enum store_type type, const struct id *name, size_t max_bytes,
		     struct buf *out, struct err *err)
{
	struct fault *f = fault_of(s);
	enum store_fault_kind kind = arrive(f, FAULT_GET, (int)type);
	size_t before = out->len, got;
	int rc;

	if (kind == FAULT_BEFORE)
		return fail(f, "get", err);
	rc = store_get(f->inner, type, name, max_bytes, out, err);
	if (rc != 0)
		return rc;
	got = out->len - before;
	if (kind == FAULT_TEAR)
		out->len = before + got / 2;
	if (kind == FAULT_FLIP && got > 0)
		out->data[before + got / 2] ^= 0x10;
	if (kind != FAULT_AFTER)
		return 0;
	out->len = before;
	return fail(f, "get", err);
}

static int fault_get_range(struct store *s, enum store_type type, const struct id *name,
			   uint64_t offset, size_t len, struct buf *out, struct err *err)
{
	struct fault *f = fault_of(s);
	enum store_fault_kind kind = arrive(f, FAULT_RANGE, (int)type);
	size_t before = out->len;
	int rc;

	if (kind == FAULT_BEFORE)
		return fail(f, "get_range", err);
	rc = store_get_range(f->inner, type, name, offset, len, out, err);
	if (rc != 0)
		return rc;
	if (kind == FAULT_TEAR)
		memset(out->data + before + len / 2, 0, len - len / 2);
	if (kind == FAULT_FLIP && len > 0)
		out->data[before + len / 2] ^= 0x10;
	if (kind != FAULT_AFTER)
		return 0;
	out->len = before;
	return fail(f, "get_range", err);
}

static int fault_size(struct store *s, enum store_type type, const struct id *name,
		      uint64_t *out_bytes, struct err *err)
{
	struct fault *f = fault_of(s);
	enum store_fault_kind kind = arrive(f, FAULT_SIZE, (int)type);
	uint64_t bytes;
	int rc;

	if (kind == FAULT_BEFORE)
		return fail(f, "size", err);
	rc = store_size(f->inner, type, name, &bytes, err);
	if (rc != 0)
		return rc;
	if (kind == FAULT_AFTER)
		return fail(f, "size", err);
	*out_bytes = kind == FAULT_TEAR ? bytes / 2 : bytes;
	return 0;
}

struct half {
	uint64_t left;
	store_list_fn *fn;
	void *arg;
};

static int count_name(void *arg, const struct id *name, uint64_t size_bytes, struct err *err)
{
	(void)name, (void)size_bytes, (void)err;
	++*(uint64_t *)arg;
	return 0;
}

static int pass_while_left(void *arg, const struct id *name, uint64_t size_bytes, struct err *err)
{
	struct half *h = arg;

	if (h->left == 0)
		return 0;
	h->left--;
	return h->fn(h->arg, name, size_bytes, err);
}

static int fault_list(struct store *s, enum store_type type, store_list_fn *fn, void *arg,
		      struct err *err)
{
	struct fault *f = fault_of(s);
	enum store_fault_kind kind = arrive(f, FAULT_LIST, (int)type);
	struct half half = {.fn = fn, .arg = arg};
	uint64_t names = 0;
	int rc;

	if (kind == FAULT_BEFORE)
		return fail(f, "list", err);
	if (kind == FAULT_TEAR) {
		rc = store_list(f->inner, type, count_name, &names, err);
		half.left = names / 2;
		return rc != 0 ? rc : store_list(f->inner, type, pass_while_left, &half, err);
	}
	rc = store_list(f->inner, type, fn, arg, err);
	return rc == 0 && kind == FAULT_AFTER ? fail(f, "list", err) : rc;
}

static int fault_remove(struct store *s, enum store_type type, const struct id *name,
			struct err *err)
{
	struct fault *f = fault_of(s);
	enum store_fault_kind kind = arrive(f, FAULT_REMOVE, (int)type);
	int rc;

	if (kind == FAULT_BEFORE || kind == FAULT_TEAR)
		return fail(f, "remove", err);
	if (kind == FAULT_LIE)
		return 0;
	rc = store_remove(f->inner, type, name, err);
	return rc == 0 && kind == FAULT_AFTER ? fail(f, "remove", err) : rc;
}

/* Counts as a put; one that is torn changes nothing, as it is atomic. */
static int fault_replace(struct store *s, enum store_type type, const struct id *name,
			 const void *bytes, size_t len, struct err *err)
{
	struct fault *f = fault_of(s);
	enum store_fault_kind kind = arrive(f, FAULT_PUT, (int)type);
	int rc;

	if (kind == FAULT_BEFORE || kind == FAULT_TEAR)
		return fail(f, "replace", err);
	if (kind == FAULT_LIE)
		return 0;
	rc = store_replace(f->inner, type, name, bytes, len, err);
	return rc == 0 && kind == FAULT_AFTER ? fail(f, "replace", err) : rc;
}

static int fault_now(struct store *s, int64_t *out_s, struct err *err)
{
	struct fault *f = fault_of(s);
	enum store_fault_kind kind = arrive(f, FAULT_NOW, -1);
	int rc;

	if (kind == FAULT_BEFORE || kind == FAULT_TEAR)
		return fail(f, "now", err);
	rc = store_now(f->inner, out_s, err);
	return rc == 0 && kind == FAULT_AFTER ? fail(f, "now", err) : rc;
}

static void fault_free(struct store *s)
{
	free(s->location);
	free(s);
}

static const struct store_ops fault_ops = {
    .create = fault_create,
    .put = fault_put,
    .get = fault_get,
    .get_range = fault_get_range,
    .size = fault_size,
    .list = fault_list,
    .remove = fault_remove,
    .now = fault_now,
    .free = fault_free,
    .replace = fault_replace,
};

int store_fault_new(struct store *inner, struct store **out_store, struct err *err)
{
	struct fault *f = calloc(1, sizeof(*f));
	char *location = strdup(inner->location);

	if (!f || !location) {
		free(f);
		free(location);
		return err_nomem(err);
	}
	f->base = (struct store){.ops = &fault_ops, .location = location};
	f->inner = inner;
	*out_store = &f->base;
	return 0;
}

void store_fault_arm(struct store *fault, const struct store_fault_plan *plan)
{
	struct fault *f = fault_of(fault);

	f->plan = *plan;
	f->counted = 0;
	f->fired = false;
	memset(f->calls, 0, sizeof(f->calls));
}

bool store_fault_fired(const struct store *fault)
{
	return ((const struct fault *)fault)->fired;
}

uint64_t store_fault_calls(const struct store *fault, enum store_fault_op op)
{
	return ((const struct fault *)fault)->calls[op];
}
