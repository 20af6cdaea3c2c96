/* How the layers are put together, and the limit: bytes go through as fast as was said, on a store that knows no pace. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "repo/store_stack.h"
#include "tests/support/must.h"
#include "tests/support/store_suite.h"
#include "tests/support/tmpdir.h"

static double now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct fixture {
	struct net net;
	struct net_pace up, down;
	struct store *store;
	struct buf buf;
	struct err err;
	bool stop;
};

static bool stopped(void *arg)
{
	return ((struct fixture *)arg)->stop;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct store *inner = NULL;

	assert_non_null(f);
	net_pace_init(&f->up, 2000000);
	net_pace_init(&f->down, 1000000);
	f->net = (struct net){.up = &f->up, .down = &f->down, .stopped = stopped, .stopped_arg = f};
	MUST(store_mem_new(&inner, &f->err), &f->err);
	MUST(store_limit_new(inner, &f->net, &f->store, &f->err), &f->err);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	store_free(f->store);
	buf_free(&f->buf);
	free(f);
	return 0;
}

static const struct id id_a = {{1}}, id_b = {{2}};

static void bytes_take_their_time(void **state)
{
	struct fixture *f = *state;
	char *bytes = calloc(1, 1000000);
	double began = now();

	MUST(store_put(f->store, STORE_DATA, &id_a, bytes, 1000000, &f->err), &f->err);
	assert_true(now() - began >= 0.45);
	began = now();
	MUST(store_get_range(f->store, STORE_DATA, &id_a, 0, 300000, &f->buf, &f->err), &f->err);
	MUST(store_get_range(f->store, STORE_DATA, &id_a, 0, 300000, &f->buf, &f->err), &f->err);
	assert_true(now() - began >= 0.55);
	assert_int_equal(f->buf.len, 600000);
	buf_reset(&f->buf);
	began = now();
	MUST(store_get(f->store, STORE_DATA, &id_a, 1000000, &f->buf, &f->err), &f->err);
	assert_true(now() - began >= 0.9);
	free(bytes);
}

static void stop_ends_it(void **state)
{
	struct fixture *f = *state;
	uint64_t size;

	f->stop = true;
	MUST_FAIL(store_put(f->store, STORE_DATA, &id_b, "x", 1, &f->err), ERR_CANCELLED, &f->err);
	f->stop = false;
	MUST_FAIL(store_size(f->store, STORE_DATA, &id_b, &size, &f->err), ERR_MISSING, &f->err);
	MUST(store_put(f->store, STORE_DATA, &id_b, "x", 1, &f->err), &f->err);
	f->stop = true;
	MUST_FAIL(store_get(f->store, STORE_DATA, &id_b, 1, &f->buf, &f->err), ERR_CANCELLED,
		  &f->err);
	assert_int_equal(f->buf.len, 0);
	f->stop = false;
}

static void a_local_store_has_the_layers_it_needs(void **state)
{
	struct fixture *f = *state;
	char *dir = tmpdir_make(), *path = tmpdir_path(dir, "repo");
	struct net plain = {0};
	struct store *bare = NULL, *none = NULL, *limited = NULL;

	MUST(store_local_open(path, &bare, &f->err), &f->err);
	MUST(store_stack_open(path, &plain, dir, &none, &f->err), &f->err);
	assert_ptr_equal(none->ops, bare->ops);
	store_free(none);
	MUST(store_stack_open(path, NULL, dir, &none, &f->err), &f->err);
	assert_ptr_equal(none->ops, bare->ops);
	MUST(store_stack_open(path, &f->net, dir, &limited, &f->err), &f->err);
	assert_ptr_equal(limited->ops, f->store->ops);
	assert_string_equal(limited->location, path);
	store_free(bare);
	store_free(none);
	store_free(limited);
	free(path);
	tmpdir_remove(dir);
}

static void what_is_remote_is_told_by_its_location(void **state)
{
	struct fixture *f = *state;
	struct store *s = NULL;

	assert_true(store_is_remote("sftp:host:/x"));
	assert_true(store_is_remote("rest:https://h/"));
	assert_false(store_is_remote("/a/b:c"));
	assert_false(store_is_remote("./s3:x"));
	assert_false(store_is_remote("repo"));
	assert_false(store_is_remote(""));
	MUST_FAIL(store_stack_open("ftp:me:hush@host", &f->net, "/nowhere", &s, &f->err), ERR_USAGE,
		  &f->err);
	assert_null(strstr(f->err.text, "hush"));
	MUST_FAIL(store_stack_open("", &f->net, NULL, &s, &f->err), ERR_USAGE, &f->err);
	assert_null(s);
}

static void open_layer(struct store_fixture *s)
{
	static const struct net net;
	struct store *inner = NULL;

	MUST(store_mem_new(&inner, &s->err), &s->err);
	MUST(store_limit_new(inner, &net, &s->store, &s->err), &s->err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    T(bytes_take_their_time),
	    T(stop_ends_it),
	    T(a_local_store_has_the_layers_it_needs),
	    T(what_is_remote_is_told_by_its_location),
	};
	const struct store_backend layer = {"limit", open_layer};
	int failed = cmocka_run_group_tests_name("stack", tests, NULL, NULL);

	return failed + store_suite_run(&layer);
}
