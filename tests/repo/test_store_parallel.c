/* Uploads in parallel: what put_later promises, and that a failure is told before anything rests on it. Run under ThreadSanitizer, too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "core/err.h"
#include "repo/store_stack.h"
#include "tests/support/link_server.h"
#include "tests/support/must.h"
#include "tests/support/store_suite.h"
#include "tests/support/tmpdir.h"

static void nap(unsigned ms)
{
	struct timespec t = {.tv_nsec = (long)ms * 1000000};

	(void)nanosleep(&t, NULL);
}

struct fixture {
	struct link_server *server;
	struct store *store, *direct;
	char *dir;
	struct buf buf;
	struct err err;
};

static struct store *open_parallel(struct link_server *v, unsigned connections,
				   void (*release)(void *arg), struct err *err)
{
	struct store *first = NULL, *store = NULL;
	struct store_parallel_options options = {
	    .connections = connections, .connect = link_connect, .arg = v, .release = release};

	MUST(link_connect(v, NULL, &first, err), err);
	MUST(store_parallel_new(first, &options, &store, err), err);
	return store;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->dir = tmpdir_make();
	f->server = link_server_new(f->dir);
	f->store = open_parallel(f->server, 4, NULL, &f->err);
	MUST(store_local_open(f->server->path, &f->direct, &f->err), &f->err);
	MUST(store_create(f->store, &f->err), &f->err);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	store_free(f->store);
	store_free(f->direct);
	link_server_free(f->server);
	tmpdir_remove(f->dir);
	buf_free(&f->buf);
	free(f);
	return 0;
}

static struct id id_of(unsigned n)
{
	struct id id = {{(uint8_t)n, (uint8_t)(n >> 8), 7}};

	return id;
}

static int later(struct fixture *f, unsigned n, struct err *err)
{
	struct id id = id_of(n);
	char bytes[5000];

	memset(bytes, (int)n, sizeof(bytes));
	return store_put_later(f->store, STORE_DATA, &id, bytes, sizeof(bytes), err);
}

static bool is_stored(struct fixture *f, unsigned n)
{
	struct id id = id_of(n);
	struct err ignored = {0};
	uint64_t size;

	return store_size(f->direct, STORE_DATA, &id, &size, &ignored) == 0 && size == 5000;
}

static unsigned stored(struct fixture *f, unsigned count)
{
	unsigned n = 0;

	for (unsigned i = 0; i < count; i++)
		n += is_stored(f, i);
	return n;
}

static void they_go_at_once_and_flush_waits(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(f->server->opened, 1); /* no more than are needed */
	atomic_store(&f->server->naps_ms, 20);
	for (unsigned i = 0; i < 40; i++)
		MUST(later(f, i, &f->err), &f->err);
	MUST(store_flush(f->store, &f->err), &f->err);
	assert_int_equal(stored(f, 40), 40);
	assert_int_equal(f->server->most_at_once, 4);
	assert_int_equal(f->server->opened, 5);
	MUST(store_flush(f->store, &f->err), &f->err);
}

static int put_index(struct fixture *f, struct err *err)
{
	struct id id = id_of(1000);

	return store_put(f->store, STORE_INDEX, &id, "segment", 7, err);
}

static int nothing(void *arg, const struct id *name, uint64_t size_bytes, struct err *err)
{
	(void)name, (void)size_bytes, (void)err;
	++*(unsigned *)arg;
	return 0;
}

/* Index after packs (I2): put, list and remove find all of them stored. */
static void what_rests_on_them_waits(void **state)
{
	struct fixture *f = *state;
	struct id id = id_of(1000);
	unsigned names = 0;

	atomic_store(&f->server->naps_ms, 20);
	for (unsigned i = 0; i < 4; i++)
		MUST(later(f, i, &f->err), &f->err);
	MUST(put_index(f, &f->err), &f->err);
	assert_int_equal(stored(f, 4), 4);
	for (unsigned i = 4; i < 7; i++)
		MUST(later(f, i, &f->err), &f->err);
	MUST(store_list(f->store, STORE_DATA, nothing, &names, &f->err), &f->err);
	assert_int_equal(names, 7);
	for (unsigned i = 7; i < 10; i++)
		MUST(later(f, i, &f->err), &f->err);
	MUST(store_remove(f->store, STORE_INDEX, &id, &f->err), &f->err);
	assert_int_equal(stored(f, 10), 10);
}

static void reads_wait_for_what_they_read(void **state)
{
	struct fixture *f = *state;
	uint64_t size;

	atomic_store(&f->server->naps_ms, 20);
	for (unsigned i = 0; i < 12; i++) {
		struct id id = id_of(i);

		MUST(later(f, i, &f->err), &f->err);
		if (i % 3 == 0)
			MUST(store_size(f->store, STORE_DATA, &id, &size, &f->err), &f->err);
		buf_reset(&f->buf);
		if (i % 3 == 1)
			MUST(store_get(f->store, STORE_DATA, &id, 5000, &f->buf, &f->err), &f->err);
		if (i % 3 == 2)
			MUST(store_get_range(f->store, STORE_DATA, &id, 3, 5, &f->buf, &f->err),
			     &f->err);
		if (f->buf.len)
			assert_int_equal(f->buf.data[0], i);
	}
}

/* A failure is told by each call that something could rest on, in its own words, and by those after it. */
static void a_failure_is_told_and_stays(void **state)
{
	struct fixture *f = *state;
	struct id id = id_of(0), other = id_of(77);
	unsigned names = 0;
	uint64_t size;

	MUST(store_put(f->direct, STORE_DATA, &other, "x", 1, &f->err), &f->err);
	atomic_store(&f->server->naps_ms, 20);
	atomic_store(&f->server->fail_put, 1);
	MUST(later(f, 0, &f->err), &f->err);
	MUST_FAIL(put_index(f, &f->err), ERR_FULL, &f->err);
	assert_non_null(strstr(f->err.text, "data/00/0000"));
	assert_non_null(strstr(f->err.text, "no space left"));
	MUST_FAIL(put_index(f, &f->err), ERR_FULL, &f->err);
	MUST_FAIL(store_flush(f->store, &f->err), ERR_FULL, &f->err);
	MUST_FAIL(later(f, 1, &f->err), ERR_FULL, &f->err);
	MUST_FAIL(store_list(f->store, STORE_DATA, nothing, &names, &f->err), ERR_FULL, &f->err);
	MUST_FAIL(store_remove(f->store, STORE_DATA, &other, &f->err), ERR_FULL, &f->err);
	/* Nobody is kept from reading. */
	MUST(store_size(f->store, STORE_DATA, &other, &size, &f->err), &f->err);
	MUST_FAIL(store_size(f->store, STORE_DATA, &id, &size, &f->err), ERR_MISSING, &f->err);
	names = 0;
	MUST(store_list(f->direct, STORE_INDEX, nothing, &names, &f->err), &f->err);
	assert_int_equal(names, 0);
}

static void a_read_of_what_failed_says_why(void **state)
{
	struct fixture *f = *state;
	struct id id = id_of(0);
	uint64_t size;

	atomic_store(&f->server->naps_ms, 30);
	atomic_store(&f->server->fail_put, 1);
	MUST(later(f, 0, &f->err), &f->err);
	MUST_FAIL(store_size(f->store, STORE_DATA, &id, &size, &f->err), ERR_FULL, &f->err);
	MUST_FAIL(put_index(f, &f->err), ERR_FULL, &f->err); /* it was not used up */
}

/* Wherever one of them fails: nothing that comes after the next flush is lost silently. */
static void any_of_them_may_fail(void **state)
{
	struct fixture *f = *state;

	for (unsigned k = 1; k <= 12; k++) {
		struct err err = {0};
		unsigned put = 0;
		int r = 0;

		store_free(f->store);
		f->store = open_parallel(f->server, 3, NULL, &f->err);
		atomic_store(&f->server->puts, 0);
		atomic_store(&f->server->fail_put, k);
		for (unsigned i = 0; !r && i < 12; i++) {
			r = later(f, k * 100 + i, &err);
			put += !r;
		}
		if (!r)
			r = store_flush(f->store, &err);
		MUST_FAIL(r, ERR_FULL, &err);
		/* At most what was on its way when it was noticed. */
		assert_true(put >= k && put <= 12);
	}
}

static void what_is_there_is_no_failure(void **state)
{
	struct fixture *f = *state;

	MUST(later(f, 1, &f->err), &f->err);
	MUST(later(f, 1, &f->err), &f->err);
	MUST(store_flush(f->store, &f->err), &f->err);
	MUST(later(f, 1, &f->err), &f->err);
	MUST(store_flush(f->store, &f->err), &f->err);
}

static void no_connection_is_told(void **state)
{
	struct fixture *f = *state;

	atomic_store(&f->server->no_connection, true);
	MUST(later(f, 1, &f->err), &f->err);
	MUST_FAIL(store_flush(f->store, &f->err), ERR_AGAIN, &f->err);
	assert_string_equal(f->err.text, "no connection");
}

/* Freed with uploads that would take for ever. */
static void free_cancels(void **state)
{
	struct fixture *f = *state;

	atomic_store(&f->server->hang, true);
	for (unsigned i = 0; i < 4; i++)
		MUST(later(f, i, &f->err), &f->err);
	while (atomic_load(&f->server->at_once) < 4)
		nap(1);
	store_free(f->store);
	f->store = NULL;
	assert_int_equal(stored(f, 4), 0);
}

static void fill(struct fixture *f, unsigned count, struct id *names)
{
	for (unsigned i = 0; i < count; i++) {
		names[i] = id_of(i);
		MUST(store_put(f->direct, STORE_DATA, &names[i], &i, sizeof(i), &f->err), &f->err);
	}
}

static void reads(struct fixture *f, unsigned n)
{
	struct id id = id_of(n);

	buf_reset(&f->buf);
	buf_put(&f->buf, "x", 1);
	MUST(store_get(f->store, STORE_DATA, &id, 4, &f->buf, &f->err), &f->err);
	assert_int_equal(f->buf.len, 1 + sizeof(n));
	assert_memory_equal(f->buf.data + 1, &n, sizeof(n));
}

static void what_is_expected_is_read_ahead_once(void **state)
{
	struct fixture *f = *state;
	struct id names[40];

	fill(f, 40, names);
	atomic_store(&f->server->naps_ms, 10);
	store_expect(f->store, STORE_DATA, names, 40);
	for (unsigned i = 0; i < 40; i++)
		reads(f, i);
	assert_int_equal(f->server->gets, 40);
	assert_int_equal(f->server->most_at_once, 4);
	assert_int_equal(f->server->opened, 5);
}

static void a_few_are_not_worth_a_connection(void **state)
{
	struct fixture *f = *state;
	struct id names[3];

	fill(f, 3, names);
	store_expect(f->store, STORE_DATA, names, 3);
	for (unsigned i = 0; i < 3; i++)
		reads(f, i);
	assert_int_equal(f->server->opened, 1);
}

/* Passed over, backwards, again, others in between, expected anew: each read gives what is there. */
static void a_hint_that_is_wrong_does_no_harm(void **state)
{
	static const unsigned order[] = {0, 1, 9, 3, 10, 25, 25, 11, 39, 38, 2, 0};
	struct fixture *f = *state;
	struct id names[40], id = id_of(1000);
	unsigned count = 0;

	fill(f, 40, names);
	MUST(put_index(f, &f->err), &f->err);
	for (unsigned round = 0; round < 3; round++) {
		store_expect(f->store, STORE_DATA, names, 40 - round);
		for (unsigned i = 0; i < sizeof(order) / sizeof(*order); i++) {
			reads(f, order[i]);
			buf_reset(&f->buf);
			MUST(store_get(f->store, STORE_INDEX, &id, 7, &f->buf, &f->err), &f->err);
			MUST(later(f, 100 + i, &f->err), &f->err);
		}
	}
	MUST(store_list(f->store, STORE_DATA, nothing, &count, &f->err), &f->err);
	assert_int_equal(count, 52);
}

static void nothing_is_given_that_is_gone(void **state)
{
	struct fixture *f = *state;
	struct id names[8];

	fill(f, 8, names);
	store_expect(f->store, STORE_DATA, names, 8);
	reads(f, 0);
	MUST(store_remove(f->store, STORE_DATA, &names[1], &f->err), &f->err);
	MUST_FAIL(store_get(f->store, STORE_DATA, &names[1], 4, &f->buf, &f->err), ERR_MISSING,
		  &f->err);
	reads(f, 2);
}

static void a_read_ahead_fails_as_it_would(void **state)
{
	struct fixture *f = *state;
	struct id names[8];

	fill(f, 8, names);
	MUST(store_remove(f->direct, STORE_DATA, &names[2], &f->err), &f->err);
	store_expect(f->store, STORE_DATA, names, 8);
	reads(f, 1);
	buf_reset(&f->buf);
	MUST_FAIL(store_get(f->store, STORE_DATA, &names[2], 4, &f->buf, &f->err), ERR_MISSING,
		  &f->err);
	MUST_FAIL(store_get(f->store, STORE_DATA, &names[3], 3, &f->buf, &f->err), ERR_LIMIT,
		  &f->err);
	assert_int_equal(f->buf.len, 0);
	reads(f, 4);
	MUST(put_index(f, &f->err), &f->err); /* it keeps nobody from writing */
	store_expect(f->store, STORE_DATA, names + 3, 5);
}

static void open_layer(struct store_fixture *s)
{
	s->dir = tmpdir_make();
	s->store = open_parallel(link_server_new(s->dir), 2, link_server_free, &s->err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    T(they_go_at_once_and_flush_waits),
	    T(what_rests_on_them_waits),
	    T(reads_wait_for_what_they_read),
	    T(a_failure_is_told_and_stays),
	    T(a_read_of_what_failed_says_why),
	    T(any_of_them_may_fail),
	    T(what_is_there_is_no_failure),
	    T(no_connection_is_told),
	    T(free_cancels),
	    T(what_is_expected_is_read_ahead_once),
	    T(a_few_are_not_worth_a_connection),
	    T(a_hint_that_is_wrong_does_no_harm),
	    T(nothing_is_given_that_is_gone),
	    T(a_read_ahead_fails_as_it_would),
	};
	const struct store_backend layer = {"parallel", open_layer};
	int failed = cmocka_run_group_tests_name("parallel", tests, NULL, NULL);

	return failed + store_suite_run(&layer);
}
