/* What a layer only passes on arrives: each call that has a silent default, through every layer, once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "repo/store_stack.h"
#include "tests/support/must.h"
#include "tests/support/tmpdir.h"

enum call { PUT_LATER, FLUSH, EXPECT, SWEEP, DISTRUST, CALLS };

/* Counts the calls that a backend may leave out, and fails what it can. */
struct recorder {
	struct store base;
	unsigned calls[CALLS];
};

static int came(struct store *s, enum call call, struct err *err)
{
	((struct recorder *)s)->calls[call]++;
	return err_set(err, ERR_BUSY, "recorded");
}

static int record_put_later(struct store *s, enum store_type type, const struct id *name,
			    const void *bytes, size_t len, struct err *err)
{
	(void)name;
	assert_int_equal(type, STORE_DATA);
	assert_int_equal(len, 3);
	assert_memory_equal(bytes, "abc", 3);
	return came(s, PUT_LATER, err);
}

static int record_flush(struct store *s, struct err *err)
{
	return came(s, FLUSH, err);
}

static void record_expect(struct store *s, enum store_type type, const struct id *names,
			  size_t count)
{
	struct err ignored = {0};

	assert_int_equal(type, STORE_INDEX);
	assert_int_equal(count, 5);
	assert_int_equal(names[4].b[0], 5);
	(void)came(s, EXPECT, &ignored);
}

static int record_sweep(struct store *s, int64_t least_age_s, bool dry_run,
			struct store_leftovers *out, struct err *err)
{
	assert_int_equal(least_age_s, 77);
	assert_true(dry_run);
	out->files = 4;
	return came(s, SWEEP, err);
}

static bool record_distrust(struct store *s, enum store_type type, const struct id *name)
{
	struct err ignored = {0};

	assert_int_equal(type, STORE_DATA);
	assert_int_equal(name->b[0], 1);
	(void)came(s, DISTRUST, &ignored);
	return true;
}

static void record_free(struct store *s)
{
	(void)s; /* the test's, which looks at it afterwards */
}

static const struct store_ops record_ops = {
    .free = record_free,
    .put_later = record_put_later,
    .flush = record_flush,
    .expect = record_expect,
    .sweep = record_sweep,
    .distrust = record_distrust,
};

struct layer {
	const char *name;
	int (*open)(struct store *inner, const char *dir, struct store **out, struct err *err);
	unsigned want[CALLS];
};

static int open_packs(struct store *inner, const char *dir, struct store **out, struct err *err)
{
	(void)dir;
	return store_packs_new(inner, out, err);
}

static int open_cache(struct store *inner, const char *dir, struct store **out, struct err *err)
{
	return store_cache_new(inner, dir, 0, out, err);
}

static int open_limit(struct store *inner, const char *dir, struct store **out, struct err *err)
{
	static const struct net net = {0};

	(void)dir;
	return store_limit_new(inner, &net, out, err);
}

static void everything_arrives(void **state)
{
	const struct layer *l = *state;
	struct recorder rec = {.base = {.ops = &record_ops, .location = (char[]){"here"}}};
	const struct id names[5] = {{{1}}, {{2}}, {{3}}, {{4}}, {{5}}};
	struct store_leftovers left = {0};
	struct store *store = NULL;
	struct err err = {0};
	char *dir = tmpdir_make();

	MUST(l->open(&rec.base, dir, &store, &err), &err);
	if (l->want[PUT_LATER])
		MUST_FAIL(store_put_later(store, STORE_DATA, &names[0], "abc", 3, &err), ERR_BUSY,
			  &err);
	MUST_FAIL(store_flush(store, &err), ERR_BUSY, &err);
	store_expect(store, STORE_INDEX, names, 5);
	MUST_FAIL(store_sweep(store, 77, true, &left, &err), ERR_BUSY, &err);
	assert_int_equal(left.files, 4);
	assert_true(store_distrust(store, STORE_DATA, &names[0]));
	store_free(store);
	for (int i = 0; i < CALLS; i++)
		if (rec.calls[i] != l->want[i])
			fail_msg("call %d: %u times", i, rec.calls[i]);
	tmpdir_remove(dir);
}

int main(void)
{
	/* A limit paces each put itself, so put_later is put there; nothing is read ahead in a local folder. */
	static struct layer layers[] = {
	    {"packs", open_packs, {1, 1, 1, 1, 1}},
	    {"cache", open_cache, {1, 1, 1, 1, 1}},
	    {"limit", open_limit, {0, 1, 0, 1, 1}},
	};
	int broken = 0;

	for (size_t i = 0; i < sizeof(layers) / sizeof(layers[0]); i++) {
		const struct CMUnitTest tests[] = {
		    cmocka_unit_test_prestate(everything_arrives, &layers[i])};

		broken += cmocka_run_group_tests_name(layers[i].name, tests, NULL, NULL);
	}
	return broken;
}
