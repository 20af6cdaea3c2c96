#include "tests/support/store_suite.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/must.h"
#include "tests/support/tmpdir.h"

static int setup(void **state)
{
	const struct store_backend *b = *state;
	struct store_fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	b->open(f);
	MUST(store_create(f->store, &f->err), &f->err);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct store_fixture *f = *state;

	store_free(f->store);
	store_free(f->below);
	tmpdir_remove(f->dir);
	buf_free(&f->buf);
	free(f);
	return 0;
}
static struct id id_of(unsigned first, unsigned rest)
{
	struct id id;

	memset(id.b, (int)rest, sizeof(id.b));
	id.b[0] = (uint8_t)first;
	return id;
}

static void put(struct store_fixture *f, enum store_type type, const struct id *id,
		const char *text)
{
	MUST(store_put(f->store, type, id, text, strlen(text), &f->err), &f->err);
}

static void assert_text(struct store_fixture *f, enum store_type type, const struct id *id,
			const char *text)
{
	buf_reset(&f->buf);
	MUST(store_get(f->store, type, id, 1000, &f->buf, &f->err), &f->err);
	assert_int_equal(f->buf.len, strlen(text));
	assert_memory_equal(f->buf.data, text, strlen(text));
}

static void assert_names(const struct store_fixture *f, enum store_type type, const struct id *id)
{
	char path[STORE_PATH_CHARS];

	store_path(type, id, path);
	assert_non_null(strstr(f->err.text, path));
	assert_non_null(strstr(f->err.text, f->store->location));
}

struct seen {
	size_t names;
	uint64_t bytes;
	unsigned first[256]; /* how often a name with this first byte came */
	int stop;            /* what to return at the second name */
};

static int see(void *arg, const struct id *name, uint64_t size_bytes, struct err *err)
{
	struct seen *s = arg;

	s->names++;
	s->bytes += size_bytes;
	s->first[name->b[0]]++;
	if (s->stop && s->names == 2)
		return err_set(err, ERR_CANCELLED, "enough");
	return 0;
}

static void put_then_get_gives_the_bytes(void **state)
{
	static const size_t sizes[] = {0, 1, 4095, 65536, (1 << 20) + 3};
	struct store_fixture *f = *state;
	uint8_t *bytes = malloc(sizes[4]);

	for (size_t i = 0; i < sizes[4]; i++)
		bytes[i] = (uint8_t)(i * 31 >> 3);
	for (int t = STORE_KEYS; t < STORE_TYPES; t++)
		for (unsigned i = 0; i < 5; i++) {
			enum store_type type = (enum store_type)t;
			struct id id = id_of(i, 7);
			uint64_t size = 99;

			MUST(store_put(f->store, type, &id, bytes, sizes[i], &f->err), &f->err);
			buf_reset(&f->buf);
			MUST(store_get(f->store, type, &id, sizes[i], &f->buf, &f->err), &f->err);
			assert_int_equal(f->buf.len, sizes[i]);
			assert_memory_equal(f->buf.data, bytes, sizes[i]);
			MUST(store_size(f->store, type, &id, &size, &f->err), &f->err);
			assert_int_equal(size, sizes[i]);
		}
	free(bytes);
}

static void get_appends(void **state)
{
	struct store_fixture *f = *state;
	struct id id = id_of(1, 1);

	put(f, STORE_INDEX, &id, "defg");
	buf_put(&f->buf, "abc", 3);
	MUST(store_get(f->store, STORE_INDEX, &id, 4, &f->buf, &f->err), &f->err);
	MUST(store_get_range(f->store, STORE_INDEX, &id, 1, 2, &f->buf, &f->err), &f->err);
	assert_int_equal(f->buf.len, 9);
	assert_memory_equal(f->buf.data, "abcdefgef", 9);
}

static void put_never_replaces(void **state)
{
	struct store_fixture *f = *state;
	struct id id = id_of(1, 1);

	for (int t = STORE_CONFIG; t < STORE_TYPES; t++) {
		enum store_type type = (enum store_type)t;

		put(f, type, &id, "first");
		MUST_FAIL(store_put(f->store, type, &id, "2nd", 3, &f->err), ERR_EXISTS, &f->err);
		assert_names(f, type, &id);
		assert_text(f, type, &id, "first");
	}
}

static void types_do_not_share_names(void **state)
{
	struct store_fixture *f = *state;
	struct id id = id_of(9, 9);

	for (int t = STORE_CONFIG; t < STORE_TYPES; t++)
		put(f, (enum store_type)t, &id, store_type_name((enum store_type)t));
	for (int t = STORE_CONFIG; t < STORE_TYPES; t++)
		assert_text(f, (enum store_type)t, &id, store_type_name((enum store_type)t));
}

static void config_ignores_its_name(void **state)
{
	struct store_fixture *f = *state;
	struct id id = id_of(9, 9);

	put(f, STORE_CONFIG, NULL, "the one");
	assert_text(f, STORE_CONFIG, &id, "the one");
	MUST_FAIL(store_put(f->store, STORE_CONFIG, &id, "", 0, &f->err), ERR_EXISTS, &f->err);
	MUST(store_remove(f->store, STORE_CONFIG, NULL, &f->err), &f->err);
	MUST_FAIL(store_get(f->store, STORE_CONFIG, &id, 100, &f->buf, &f->err), ERR_MISSING,
		  &f->err);
}

static void what_is_missing_says_so(void **state)
{
	struct store_fixture *f = *state;
	struct id there = id_of(1, 1), id = id_of(1, 2);
	uint64_t size = 5;

	buf_put(&f->buf, "kept", 4);
	for (int t = STORE_CONFIG; t < STORE_TYPES; t++) {
		enum store_type type = (enum store_type)t;
		struct store *s = f->store;
		struct err *err = &f->err;

		if (type != STORE_CONFIG)
			put(f, type, &there, "another");
		MUST_FAIL(store_get(s, type, &id, 9, &f->buf, err), ERR_MISSING, err);
		assert_names(f, type, &id);
		MUST_FAIL(store_get_range(s, type, &id, 0, 0, &f->buf, err), ERR_MISSING, err);
		assert_names(f, type, &id);
		MUST_FAIL(store_size(s, type, &id, &size, err), ERR_MISSING, err);
		assert_names(f, type, &id);
		MUST_FAIL(store_remove(s, type, &id, err), ERR_MISSING, err);
		assert_names(f, type, &id);
	}
	assert_int_equal(f->buf.len, 4);
	assert_memory_equal(f->buf.data, "kept", 4);
}

static void get_keeps_to_the_limit(void **state)
{
	struct store_fixture *f = *state;
	struct id id = id_of(1, 1);

	put(f, STORE_DATA, &id, "0123456789");
	buf_put(&f->buf, "kept", 4);
	MUST_FAIL(store_get(f->store, STORE_DATA, &id, 9, &f->buf, &f->err), ERR_LIMIT, &f->err);
	assert_names(f, STORE_DATA, &id);
	MUST_FAIL(store_get(f->store, STORE_DATA, &id, 0, &f->buf, &f->err), ERR_LIMIT, &f->err);
	assert_int_equal(f->buf.len, 4);
	MUST(store_get(f->store, STORE_DATA, &id, 10, &f->buf, &f->err), &f->err);
	assert_int_equal(f->buf.len, 14);
}

static void ranges_are_exact(void **state)
{
	static const struct {
		uint64_t offset;
		size_t len;
		const char *want; /* NULL: too far */
	} cases[] = {{0, 10, "0123456789"},
		     {3, 4, "3456"},
		     {9, 1, "9"},
		     {0, 0, ""},
		     {10, 0, ""},
		     {9, 2, NULL},
		     {0, 11, NULL},
		     {11, 0, NULL},
		     {10, 1, NULL},
		     {UINT64_MAX, 1, NULL},
		     {UINT64_MAX, 0, NULL},
		     {5, SIZE_MAX, NULL},
		     {UINT64_MAX - 3, 8, NULL}};
	struct store_fixture *f = *state;
	struct id id = id_of(1, 1);

	put(f, STORE_DATA, &id, "0123456789");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int rc;

		buf_reset(&f->buf);
		buf_put(&f->buf, ">", 1);
		rc = store_get_range(f->store, STORE_DATA, &id, cases[i].offset, cases[i].len,
				     &f->buf, &f->err);
		if (!cases[i].want) {
			MUST_FAIL(rc, ERR_DAMAGED, &f->err);
			assert_names(f, STORE_DATA, &id);
			assert_int_equal(f->buf.len, 1);
			continue;
		}
		MUST(rc, &f->err);
		assert_int_equal(f->buf.len, 1 + cases[i].len);
		assert_memory_equal(f->buf.data + 1, cases[i].want, cases[i].len);
	}
}

static void list_gives_each_name_of_the_type_once(void **state)
{
	struct store_fixture *f = *state;

	for (int t = STORE_KEYS; t < STORE_TYPES; t++) {
		struct seen none = {0}, all = {0};

		MUST(store_list(f->store, (enum store_type)t, see, &none, &f->err), &f->err);
		assert_int_equal(none.names, 0);
		for (unsigned i = 0; i < 256; i += 5) {
			struct id id = id_of(i, (unsigned)t);

			put(f, (enum store_type)t, &id, i < 100 ? "ab" : "abc");
		}
		MUST(store_list(f->store, (enum store_type)t, see, &all, &f->err), &f->err);
		assert_int_equal(all.names, 52);
		assert_int_equal(all.bytes, 20 * 2 + 32 * 3);
		for (unsigned i = 0; i < 256; i++)
			assert_int_equal(all.first[i], i % 5 == 0);
	}
}

static void list_gives_config_a_zero_name(void **state)
{
	struct store_fixture *f = *state;
	struct seen none = {0}, one = {0};

	MUST(store_list(f->store, STORE_CONFIG, see, &none, &f->err), &f->err);
	assert_int_equal(none.names, 0);
	put(f, STORE_CONFIG, NULL, "12345");
	MUST(store_list(f->store, STORE_CONFIG, see, &one, &f->err), &f->err);
	assert_int_equal(one.names, 1);
	assert_int_equal(one.first[0], 1);
	assert_int_equal(one.bytes, 5);
}

static void list_stops_when_told(void **state)
{
	static const enum store_type types[] = {STORE_KEYS, STORE_DATA};
	struct store_fixture *f = *state;

	for (size_t t = 0; t < 2; t++) {
		struct seen s = {.stop = 1};

		for (unsigned i = 0; i < 4; i++) {
			struct id id = id_of(i / 2, i);

			put(f, types[t], &id, "x");
		}
		MUST_FAIL(store_list(f->store, types[t], see, &s, &f->err), ERR_CANCELLED, &f->err);
		assert_int_equal(s.names, 2);
		assert_string_equal(f->err.text, "enough");
	}
}

static void removed_is_gone_and_may_come_back(void **state)
{
	struct store_fixture *f = *state;
	struct id a = id_of(1, 1), b = id_of(1, 2);

	for (int t = STORE_KEYS; t < STORE_TYPES; t++) {
		enum store_type type = (enum store_type)t;
		struct seen s = {0};

		put(f, type, &a, "a");
		put(f, type, &b, "b");
		MUST(store_remove(f->store, type, &a, &f->err), &f->err);
		MUST_FAIL(store_get(f->store, type, &a, 9, &f->buf, &f->err), ERR_MISSING, &f->err);
		MUST(store_list(f->store, type, see, &s, &f->err), &f->err);
		assert_int_equal(s.names, 1);
		assert_text(f, type, &b, "b");
		put(f, type, &a, "again");
		assert_text(f, type, &a, "again");
	}
}

/* Where the store can: a rest: server cannot, and says so. */
static void replace_puts_another_in_its_place(void **state)
{
	struct store_fixture *f = *state;
	const struct id one = {{1, 2}}, none = {{1, 3}};
	int rc;

	put(f, STORE_DATA, &one, "rotten");
	buf_reset(&f->buf);
	MUST(store_get_range(f->store, STORE_DATA, &one, 1, 2, &f->buf, &f->err), &f->err);
	rc = store_replace(f->store, STORE_DATA, &one, "what it was", 11, &f->err);
	if (rc == -ERR_DENIED) {
		f->err = (struct err){0};
		assert_text(f, STORE_DATA, &one, "rotten");
		return;
	}
	MUST(rc, &f->err);
	assert_text(f, STORE_DATA, &one, "what it was");
	buf_reset(&f->buf);
	MUST(store_get_range(f->store, STORE_DATA, &one, 5, 6, &f->buf, &f->err), &f->err);
	assert_memory_equal(f->buf.data, "it was", 6);
	MUST_FAIL(store_replace(f->store, STORE_DATA, &none, "x", 1, &f->err), ERR_MISSING,
		  &f->err);
	assert_names(f, STORE_DATA, &none);
}

static void create_refuses_a_second_repository(void **state)
{
	struct store_fixture *f = *state;
	struct id id = id_of(1, 1);

	put(f, STORE_KEYS, &id, "a slot of a killed init");
	MUST(store_create(f->store, &f->err), &f->err);
	put(f, STORE_CONFIG, NULL, "config");
	MUST_FAIL(store_create(f->store, &f->err), ERR_EXISTS, &f->err);
	assert_non_null(strstr(f->err.text, f->store->location));
	assert_text(f, STORE_CONFIG, NULL, "config");
	assert_text(f, STORE_KEYS, &id, "a slot of a killed init");
}

static void the_clock_goes_on(void **state)
{
	struct store_fixture *f = *state;
	int64_t first = -1, second = -1;
	size_t objects = 0;
	struct seen seen;

	MUST(store_now(f->store, &first, &f->err), &f->err);
	MUST(store_now(f->store, &second, &f->err), &f->err);
	assert_true(first >= 0 && second >= first);
	for (int t = 0; t < STORE_TYPES; t++) {
		seen = (struct seen){0};
		MUST(store_list(f->store, (enum store_type)t, see, &seen, &f->err), &f->err);
		objects += seen.names;
	}
	assert_int_equal(objects, 0); /* asking leaves nothing */
}
static const struct CMUnitTest promises[] = {
    cmocka_unit_test(put_then_get_gives_the_bytes),
    cmocka_unit_test(get_appends),
    cmocka_unit_test(put_never_replaces),
    cmocka_unit_test(types_do_not_share_names),
    cmocka_unit_test(config_ignores_its_name),
    cmocka_unit_test(what_is_missing_says_so),
    cmocka_unit_test(get_keeps_to_the_limit),
    cmocka_unit_test(ranges_are_exact),
    cmocka_unit_test(list_gives_each_name_of_the_type_once),
    cmocka_unit_test(list_gives_config_a_zero_name),
    cmocka_unit_test(list_stops_when_told),
    cmocka_unit_test(removed_is_gone_and_may_come_back),
    cmocka_unit_test(replace_puts_another_in_its_place),
    cmocka_unit_test(create_refuses_a_second_repository),
    cmocka_unit_test(the_clock_goes_on),
};
#define PROMISES (sizeof(promises) / sizeof(promises[0]))

int store_suite_run(const struct store_backend *b)
{
	struct store_backend copy = *b;
	struct CMUnitTest tests[PROMISES];

	for (size_t i = 0; i < PROMISES; i++) {
		tests[i] = promises[i];
		tests[i].setup_func = setup;
		tests[i].teardown_func = teardown;
		tests[i].initial_state = &copy;
	}
	return cmocka_run_group_tests_name(b->name, tests, NULL, NULL);
}
