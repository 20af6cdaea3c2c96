/* The retry layer: what it tries again, for how long, and that a lost answer is recognised. Time is virtual. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/sha256.h"
#include "repo/store_stack.h"
#include "tests/support/must.h"
#include "tests/support/store_fault.h"
#include "tests/support/store_suite.h"

#define SECOND INT64_C(1000000000)

struct fixture {
	struct store *inner, *fault, *store;
	struct net net;
	struct net_counts counts;
	struct buf buf;
	struct err err;
	int64_t now_ns, slept_ns;
	unsigned sleeps;
	int64_t waits[64];
	bool stop;
	uint64_t (*random)(void *arg, uint64_t below);
	unsigned told;
	char told_text[200];
};

/* --- a store that fails as often as it is told, which store_fault does once --- */

struct flaky {
	struct store base;
	struct store *inner;
	unsigned failures; /* that are still to come */
	unsigned calls;
	int wait_s;
	unsigned spoiled; /* answers of get that are still to be spoiled */
	bool works;       /* the failing calls do what they should, and their answer is lost */
	bool half;        /* a failing put leaves half of the object */
	bool tells;       /* a failing list gives its names first */
};

static bool fails(struct flaky *f)
{
	f->calls++;
	if (!f->failures)
		return false;
	f->failures--;
	return true;
}

static int lost(struct flaky *f, struct err *err)
{
	int r = err_set(err, ERR_AGAIN, "flaky: connection reset");

	err->wait_s = f->wait_s;
	return r;
}

static int flaky_create(struct store *s, struct err *err)
{
	struct flaky *f = (struct flaky *)s;

	return fails(f) ? lost(f, err) : store_create(f->inner, err);
}

static int flaky_put(struct store *s, enum store_type type, const struct id *name,
		     const void *bytes, size_t len, struct err *err)
{
	struct flaky *f = (struct flaky *)s;

	if (!fails(f))
		return store_put(f->inner, type, name, bytes, len, err);
	if (f->works || f->half)
		(void)!store_put(f->inner, type, name, bytes, f->half ? len / 2 : len, err);
	return lost(f, err);
}

static int flaky_get(struct store *s, enum store_type type, const struct id *name, size_t max_bytes,
		     struct buf *out, struct err *err)
{
	struct flaky *f = (struct flaky *)s;

	if (!fails(f)) {
		size_t before = out->len;
		int r = store_get(f->inner, type, name, max_bytes, out, err);

		if (!r && f->spoiled) {
			f->spoiled--;
			out->data[before] ^= 0x20;
		}
		return r;
	}
	buf_put(out, "rubbish", 7); /* worse than the contract allows */
	return lost(f, err);
}

static int flaky_get_range(struct store *s, enum store_type type, const struct id *name,
			   uint64_t offset, size_t len, struct buf *out, struct err *err)
{
	struct flaky *f = (struct flaky *)s;

	if (!fails(f))
		return store_get_range(f->inner, type, name, offset, len, out, err);
	buf_put(out, "rubbish", 7);
	return lost(f, err);
}

static int flaky_size(struct store *s, enum store_type type, const struct id *name,
		      uint64_t *out_bytes, struct err *err)
{
	struct flaky *f = (struct flaky *)s;

	return fails(f) ? lost(f, err) : store_size(f->inner, type, name, out_bytes, err);
}

static int flaky_list(struct store *s, enum store_type type, store_list_fn *fn, void *arg,
		      struct err *err)
{
	struct flaky *f = (struct flaky *)s;

	if (!fails(f))
		return store_list(f->inner, type, fn, arg, err);
	if (f->tells)
		MUST(store_list(f->inner, type, fn, arg, err), err);
	return lost(f, err);
}

static int flaky_remove(struct store *s, enum store_type type, const struct id *name,
			struct err *err)
{
	struct flaky *f = (struct flaky *)s;

	if (!fails(f))
		return store_remove(f->inner, type, name, err);
	if (f->works)
		(void)!store_remove(f->inner, type, name, err);
	return lost(f, err);
}

static int flaky_now(struct store *s, int64_t *out_s, struct err *err)
{
	struct flaky *f = (struct flaky *)s;

	return fails(f) ? lost(f, err) : store_now(f->inner, out_s, err);
}

static void flaky_free(struct store *s)
{
	free(s);
}

static const struct store_ops flaky_ops = {
    .create = flaky_create,
    .put = flaky_put,
    .get = flaky_get,
    .get_range = flaky_get_range,
    .size = flaky_size,
    .list = flaky_list,
    .remove = flaky_remove,
    .now = flaky_now,
    .free = flaky_free,
};

static struct flaky *flaky_of(struct fixture *f)
{
	return (struct flaky *)f->fault;
}

/* --- virtual time --- */

static int64_t now_ns(void *arg)
{
	return ((struct fixture *)arg)->now_ns;
}

static bool sleep_ns(void *arg, int64_t ns)
{
	struct fixture *f = arg;

	f->now_ns += ns;
	f->slept_ns += ns;
	if (f->sleeps < 64)
		f->waits[f->sleeps] = ns;
	f->sleeps++;
	return !f->stop;
}

static uint64_t most(void *arg, uint64_t below)
{
	(void)arg;
	return below - 1;
}

static uint64_t least(void *arg, uint64_t below)
{
	(void)arg;
	(void)below;
	return 0;
}

static uint64_t chosen(void *arg, uint64_t below)
{
	struct fixture *f = arg;

	return f->random(f, below);
}

static void retrying(void *arg, const char *text, unsigned tries, unsigned wait_s)
{
	struct fixture *f = arg;

	if (f->told++ == 0)
		(void)snprintf(f->told_text, sizeof(f->told_text), "%s|%u|%u", text, tries, wait_s);
}

static const struct id id_a = {{1}}, id_b = {{2}};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct flaky *flaky = calloc(1, sizeof(*flaky));
	struct store_retry_clock clock = {now_ns, sleep_ns, chosen, f};

	assert_non_null(f);
	assert_non_null(flaky);
	f->random = most;
	f->net = (struct net){.counts = &f->counts, .retrying = retrying, .retrying_arg = f};
	MUST(store_mem_new(&f->inner, &f->err), &f->err);
	flaky->base = (struct store){.ops = &flaky_ops, .location = f->inner->location};
	flaky->inner = f->inner;
	f->fault = &flaky->base;
	MUST(store_retry_new(f->fault, &f->net, &clock, &f->store, &f->err), &f->err);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	store_free(f->store);
	store_free(f->inner);
	buf_free(&f->buf);
	free(f);
	return 0;
}

static int put(struct fixture *f, const struct id *id, const char *text)
{
	return store_put(f->store, STORE_DATA, id, text, strlen(text), &f->err);
}

struct seen {
	unsigned a, b;
};

static int see(void *arg, const struct id *name, uint64_t size_bytes, struct err *err)
{
	struct seen *s = arg;

	(void)size_bytes;
	(void)err;
	s->a += id_eq(name, &id_a);
	s->b += id_eq(name, &id_b);
	return 0;
}

/* Every call gets over three failures, and nothing of the failed tries is left. */
static void every_call_gets_over_it(void **state)
{
	struct fixture *f = *state;
	struct flaky *flaky = flaky_of(f);
	struct id id;
	uint64_t size;
	int64_t now;

	MUST(sha256_of("abcdef", 6, &id, &f->err), &f->err);
	flaky->failures = 3;
	MUST(store_create(f->store, &f->err), &f->err);
	flaky->failures = 3;
	MUST(put(f, &id, "abcdef"), &f->err);
	buf_put(&f->buf, ">", 1);
	flaky->failures = 3;
	MUST(store_get(f->store, STORE_DATA, &id, 9, &f->buf, &f->err), &f->err);
	flaky->failures = 3;
	MUST(store_get_range(f->store, STORE_DATA, &id, 1, 2, &f->buf, &f->err), &f->err);
	assert_int_equal(f->buf.len, 9);
	assert_memory_equal(f->buf.data, ">abcdefbc", 9);
	flaky->failures = 3;
	MUST(store_size(f->store, STORE_DATA, &id, &size, &f->err), &f->err);
	assert_int_equal(size, 6);
	flaky->failures = 3;
	MUST(store_now(f->store, &now, &f->err), &f->err);
	flaky->failures = 3;
	MUST(store_remove(f->store, STORE_DATA, &id, &f->err), &f->err);
	assert_int_equal(f->counts.retries, 21);
	assert_int_equal(f->sleeps, 21);
	assert_int_equal(f->err.code, 0);
}

/* Bytes that do not have their name are read twice more, then given; config has no name of its own. */
static void spoiled_bytes_are_read_again(void **state)
{
	struct fixture *f = *state;
	struct flaky *flaky = flaky_of(f);
	struct id id;

	MUST(sha256_of("abcdef", 6, &id, &f->err), &f->err);
	MUST(put(f, &id, "abcdef"), &f->err);
	for (unsigned spoiled = 1; spoiled <= 3; spoiled++) {
		buf_reset(&f->buf);
		buf_put(&f->buf, ">", 1);
		flaky->spoiled = spoiled;
		MUST(store_get(f->store, STORE_DATA, &id, 9, &f->buf, &f->err), &f->err);
		assert_int_equal(f->buf.len, 7);
		assert_memory_equal(f->buf.data, spoiled < 3 ? ">abcdef" : ">Abcdef", 7);
		assert_int_equal(flaky->spoiled, 0);
	}
	assert_int_equal(f->sleeps, 5);
	/* A part has no name of its own: whoever cannot open it may ask for it once more. */
	assert_true(store_distrust(f->store, STORE_DATA, &id));
	assert_false(store_distrust(f->store, STORE_INDEX, &id));
	MUST(store_put(f->store, STORE_CONFIG, NULL, "abcdef", 6, &f->err), &f->err);
	MUST(store_get(f->store, STORE_CONFIG, NULL, 9, &f->buf, &f->err), &f->err);
	assert_int_equal(f->sleeps, 5);
}

/* 0.5, 1, 2, 4 … 60 s at most; and a random part of it. */
static void waits_grow_to_a_minute(void **state)
{
	static const int64_t want[] = {SECOND / 2,  SECOND,      2 * SECOND,
				       4 * SECOND,  8 * SECOND,  16 * SECOND,
				       32 * SECOND, 60 * SECOND, 60 * SECOND};
	struct fixture *f = *state;
	struct flaky *flaky = flaky_of(f);
	int64_t now;

	flaky->failures = 9;
	MUST(store_now(f->store, &now, &f->err), &f->err);
	for (size_t i = 0; i < 9; i++)
		assert_int_equal(f->waits[i], want[i]);
	f->random = least;
	flaky->failures = 9;
	f->slept_ns = 0;
	MUST(store_now(f->store, &now, &f->err), &f->err);
	assert_int_equal(f->slept_ns, 9);
}

static void it_ends_when_the_time_is_up(void **state)
{
	struct fixture *f = *state;
	struct flaky *flaky = flaky_of(f);
	int64_t now;

	flaky->failures = UINT32_MAX;
	MUST_FAIL(store_now(f->store, &now, &f->err), ERR_AGAIN, &f->err);
	assert_int_equal(f->slept_ns, NET_RETRY_S * SECOND); /* the last try is at the end */
	assert_non_null(strstr(f->err.text, "flaky: connection reset; tried "));
	assert_non_null(strstr(f->err.text, " times in 900 s"));
	f->net.retry_s = 10;
	f->counts = (struct net_counts){0};
	f->slept_ns = 0;
	flaky->calls = 0;
	MUST_FAIL(store_now(f->store, &now, &f->err), ERR_AGAIN, &f->err);
	assert_int_equal(f->slept_ns, 10 * SECOND);
}

/* A server that is down costs the time once, however many calls follow; an answer of any kind gives it anew. */
static void a_server_that_was_given_up_has_one_try(void **state)
{
	struct fixture *f = *state;
	struct flaky *flaky = flaky_of(f);
	uint64_t size;
	int64_t now;

	f->net.retry_s = 10;
	flaky->failures = UINT32_MAX;
	MUST_FAIL(store_now(f->store, &now, &f->err), ERR_AGAIN, &f->err);
	assert_true(net_is_given_up(&f->net));
	f->slept_ns = 0;
	flaky->calls = 0;
	for (int i = 0; i < 50; i++)
		MUST_FAIL(store_now(f->store, &now, &f->err), ERR_AGAIN, &f->err);
	assert_int_equal(f->slept_ns, 0);
	assert_int_equal(flaky->calls, 50);
	assert_string_equal(f->err.text, "flaky: connection reset");
	flaky->failures = 0;
	MUST_FAIL(store_size(f->store, STORE_DATA, &id_a, &size, &f->err), ERR_MISSING, &f->err);
	assert_false(net_is_given_up(&f->net));
	flaky->failures = 2;
	MUST(store_now(f->store, &now, &f->err), &f->err);
	assert_int_equal(f->slept_ns, SECOND / 2 + SECOND);
}

static void it_waits_as_long_as_the_server_asks(void **state)
{
	struct fixture *f = *state;
	struct flaky *flaky = flaky_of(f);
	int64_t now;

	flaky->failures = 2;
	flaky->wait_s = 30;
	MUST(store_now(f->store, &now, &f->err), &f->err);
	assert_int_equal(f->waits[0], 30 * SECOND);
	assert_int_equal(f->waits[1], 30 * SECOND);
	assert_string_equal(f->told_text, "flaky: connection reset|1|30");
	/* Longer than there is time: it says so at once. */
	flaky->failures = 1;
	flaky->wait_s = 3600;
	f->slept_ns = 0;
	MUST_FAIL(store_now(f->store, &now, &f->err), ERR_AGAIN, &f->err);
	assert_int_equal(f->slept_ns, 0);
	assert_non_null(strstr(f->err.text, "asks to wait for 3600 s"));
}

static void other_failures_are_final(void **state)
{
	struct fixture *f = *state;
	enum err_code codes[] = {ERR_IO, ERR_FULL, ERR_DENIED, ERR_MISSING, ERR_DAMAGED};
	struct store *fault = NULL, *store = NULL;
	struct store_retry_clock clock = {now_ns, sleep_ns, chosen, f};

	MUST(store_fault_new(f->inner, &fault, &f->err), &f->err);
	MUST(store_retry_new(fault, &f->net, &clock, &store, &f->err), &f->err);
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		uint64_t size;

		store_fault_arm(fault, &(struct store_fault_plan){
					   .kind = FAULT_BEFORE, .at = 1, .code = codes[i]});
		MUST_FAIL(store_size(store, STORE_DATA, &id_a, &size, &f->err), codes[i], &f->err);
	}
	assert_int_equal(f->sleeps, 0);
	assert_int_equal(f->told, 0);
	store_free(store);
}

static void stop_ends_a_wait(void **state)
{
	struct fixture *f = *state;
	struct flaky *flaky = flaky_of(f);

	flaky->failures = 5;
	f->stop = true;
	MUST_FAIL(put(f, &id_a, "x"), ERR_CANCELLED, &f->err);
	assert_int_equal(flaky->calls, 1);
	assert_non_null(strstr(f->err.text, "connection reset"));
}

/* The object was stored, the answer was lost. */
static void a_put_that_was_done_is_recognised(void **state)
{
	struct fixture *f = *state;
	struct flaky *flaky = flaky_of(f);

	flaky->failures = 1;
	flaky->works = true;
	MUST(put(f, &id_a, "abcdef"), &f->err);
	assert_int_equal(f->err.code, 0);
	/* Also when asking for its size fails at first. */
	flaky->failures = 1;
	MUST(put(f, &id_b, "abcdef"), &f->err);
	/* But without a failure before, it is somebody else's. */
	MUST_FAIL(put(f, &id_b, "abcdef"), ERR_EXISTS, &f->err);
	/* A backend that breaks the contract left half of it. */
	MUST(store_remove(f->inner, STORE_DATA, &id_b, &f->err), &f->err);
	flaky->works = false;
	flaky->half = true;
	flaky->failures = 1;
	MUST_FAIL(put(f, &id_b, "abcdef"), ERR_DAMAGED, &f->err);
	assert_non_null(strstr(f->err.text, "3 of 6 bytes"));
	assert_non_null(strstr(f->err.text, "data/02/02"));
}

static void a_config_is_ours_or_not(void **state)
{
	struct fixture *f = *state;
	struct flaky *flaky = flaky_of(f);

	flaky->failures = 1;
	flaky->works = true;
	MUST(store_put(f->store, STORE_CONFIG, NULL, "ours", 4, &f->err), &f->err);
	flaky->failures = 1;
	flaky->works = false;
	MUST_FAIL(store_put(f->store, STORE_CONFIG, NULL, "mine", 4, &f->err), ERR_EXISTS, &f->err);
	flaky->failures = 1;
	MUST_FAIL(store_put(f->store, STORE_CONFIG, NULL, "longer", 6, &f->err), ERR_EXISTS,
		  &f->err);
	buf_reset(&f->buf);
	MUST(store_get(f->store, STORE_CONFIG, NULL, 9, &f->buf, &f->err), &f->err);
	assert_memory_equal(f->buf.data, "ours", 4);
}

static void a_remove_that_was_done_is_recognised(void **state)
{
	struct fixture *f = *state;
	struct flaky *flaky = flaky_of(f);

	MUST(put(f, &id_a, "x"), &f->err);
	flaky->failures = 1;
	flaky->works = true;
	MUST(store_remove(f->store, STORE_DATA, &id_a, &f->err), &f->err);
	assert_int_equal(f->err.code, 0);
	MUST_FAIL(store_remove(f->store, STORE_DATA, &id_a, &f->err), ERR_MISSING, &f->err);
}

static void a_listing_gives_no_name_twice(void **state)
{
	struct fixture *f = *state;
	struct flaky *flaky = flaky_of(f);
	struct seen seen = {0};

	MUST(put(f, &id_a, "x"), &f->err);
	MUST(put(f, &id_b, "y"), &f->err);
	flaky->failures = 2;
	flaky->tells = true;
	MUST(store_list(f->store, STORE_DATA, see, &seen, &f->err), &f->err);
	assert_int_equal(seen.a, 1);
	assert_int_equal(seen.b, 1);
	/* And none at all when it fails in the end. */
	seen = (struct seen){0};
	flaky->failures = UINT32_MAX;
	MUST_FAIL(store_list(f->store, STORE_DATA, see, &seen, &f->err), ERR_AGAIN, &f->err);
	assert_int_equal(seen.a + seen.b, 0);
}

/* The suite's names are no hashes: what it gets is read again, and nobody waits for that. */
static bool no_sleep(void *arg, int64_t ns)
{
	(void)arg;
	(void)ns;
	return true;
}

static void open_layer(struct store_fixture *s)
{
	const struct store_retry_clock clock = {.sleep = no_sleep};
	struct store *inner = NULL;

	MUST(store_mem_new(&inner, &s->err), &s->err);
	MUST(store_retry_new(inner, NULL, &clock, &s->store, &s->err), &s->err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    T(every_call_gets_over_it),
	    T(spoiled_bytes_are_read_again),
	    T(waits_grow_to_a_minute),
	    T(it_ends_when_the_time_is_up),
	    T(a_server_that_was_given_up_has_one_try),
	    T(it_waits_as_long_as_the_server_asks),
	    T(other_failures_are_final),
	    T(stop_ends_a_wait),
	    T(a_put_that_was_done_is_recognised),
	    T(a_config_is_ours_or_not),
	    T(a_remove_that_was_done_is_recognised),
	    T(a_listing_gives_no_name_twice),
	};
	const struct store_backend layer = {"retry", open_layer};
	int failed = cmocka_run_group_tests_name("retry", tests, NULL, NULL);

	return failed + store_suite_run(&layer);
}
