/* The fault store does what its header says, and a loop over k meets every call once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "repo/store.h"
#include "tests/support/must.h"
#include "tests/support/store_fault.h"

struct fixture {
	struct store *inner, *store;
	struct buf buf;
	struct err err;
};

static const struct id id_a = {{1}}, id_b = {{2}}, id_c = {{3}};
static const char text[] = "0123456789abcdef";

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	MUST(store_mem_new(&f->inner, &f->err), &f->err);
	MUST(store_fault_new(f->inner, &f->store, &f->err), &f->err);
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

static void arm(struct fixture *f, enum store_fault_kind kind, enum store_fault_op op)
{
	store_fault_arm(f->store,
			&(struct store_fault_plan){.kind = kind, .at = 1, .ops = FAULT_OP(op)});
}

static int put(struct fixture *f, const struct id *id)
{
	return store_put(f->store, STORE_DATA, id, text, 16, &f->err);
}

static int get(struct fixture *f)
{
	buf_reset(&f->buf);
	buf_put(&f->buf, ">", 1);
	return store_get(f->store, STORE_DATA, &id_a, 99, &f->buf, &f->err);
}

static int range(struct fixture *f)
{
	buf_reset(&f->buf);
	buf_put(&f->buf, ">", 1);
	return store_get_range(f->store, STORE_DATA, &id_a, 4, 8, &f->buf, &f->err);
}

static int count_name(void *arg, const struct id *name, uint64_t size_bytes, struct err *err)
{
	(void)name, (void)size_bytes, (void)err;
	++*(unsigned *)arg;
	return 0;
}

static int list(struct fixture *f, unsigned *out_names)
{
	*out_names = 0;
	return store_list(f->store, STORE_DATA, count_name, out_names, &f->err);
}

static uint64_t size_below(struct fixture *f, const struct id *id)
{
	uint64_t size = 0;

	MUST(store_size(f->inner, STORE_DATA, id, &size, &f->err), &f->err);
	return size;
}

static void assert_missing_below(struct fixture *f, const struct id *id)
{
	uint64_t size;

	MUST_FAIL(store_size(f->inner, STORE_DATA, id, &size, &f->err), ERR_MISSING, &f->err);
}

static void assert_got(struct fixture *f, const char *want, size_t len)
{
	assert_int_equal(f->buf.len, len + 1);
	assert_memory_equal(f->buf.data + 1, want, len);
}

static void before_does_nothing(void **state)
{
	struct fixture *f = *state;
	uint64_t size = 77;
	unsigned names;

	MUST(put(f, &id_a), &f->err);
	arm(f, FAULT_BEFORE, FAULT_PUT);
	MUST_FAIL(put(f, &id_b), ERR_IO, &f->err);
	assert_missing_below(f, &id_b);
	arm(f, FAULT_BEFORE, FAULT_GET);
	MUST_FAIL(get(f), ERR_IO, &f->err);
	assert_int_equal(f->buf.len, 1);
	arm(f, FAULT_BEFORE, FAULT_RANGE);
	MUST_FAIL(range(f), ERR_IO, &f->err);
	assert_int_equal(f->buf.len, 1);
	arm(f, FAULT_BEFORE, FAULT_SIZE);
	MUST_FAIL(store_size(f->store, STORE_DATA, &id_a, &size, &f->err), ERR_IO, &f->err);
	assert_int_equal(size, 77);
	arm(f, FAULT_BEFORE, FAULT_LIST);
	MUST_FAIL(list(f, &names), ERR_IO, &f->err);
	assert_int_equal(names, 0);
	arm(f, FAULT_BEFORE, FAULT_REMOVE);
	MUST_FAIL(store_remove(f->store, STORE_DATA, &id_a, &f->err), ERR_IO, &f->err);
	assert_int_equal(size_below(f, &id_a), 16);
	arm(f, FAULT_BEFORE, FAULT_CREATE);
	MUST_FAIL(store_create(f->store, &f->err), ERR_IO, &f->err);
	MUST(store_create(f->store, &f->err), &f->err);
}

static void after_has_done_it(void **state)
{
	struct fixture *f = *state;
	uint64_t size = 77;
	unsigned names;

	arm(f, FAULT_AFTER, FAULT_PUT);
	MUST_FAIL(put(f, &id_a), ERR_IO, &f->err);
	assert_int_equal(size_below(f, &id_a), 16);
	MUST_FAIL(put(f, &id_a), ERR_EXISTS, &f->err);
	arm(f, FAULT_AFTER, FAULT_GET);
	MUST_FAIL(get(f), ERR_IO, &f->err);
	assert_int_equal(f->buf.len, 1);
	arm(f, FAULT_AFTER, FAULT_RANGE);
	MUST_FAIL(range(f), ERR_IO, &f->err);
	assert_int_equal(f->buf.len, 1);
	arm(f, FAULT_AFTER, FAULT_SIZE);
	MUST_FAIL(store_size(f->store, STORE_DATA, &id_a, &size, &f->err), ERR_IO, &f->err);
	assert_int_equal(size, 77);
	arm(f, FAULT_AFTER, FAULT_LIST);
	MUST_FAIL(list(f, &names), ERR_IO, &f->err);
	assert_int_equal(names, 1);
	arm(f, FAULT_AFTER, FAULT_REMOVE);
	MUST_FAIL(store_remove(f->store, STORE_DATA, &id_a, &f->err), ERR_IO, &f->err);
	assert_missing_below(f, &id_a);
	arm(f, FAULT_AFTER, FAULT_CREATE);
	MUST_FAIL(store_create(f->store, &f->err), ERR_IO, &f->err);
}

static void tear_gives_halves(void **state)
{
	struct fixture *f = *state;
	uint64_t size = 0;
	unsigned names;

	arm(f, FAULT_TEAR, FAULT_PUT);
	MUST_FAIL(put(f, &id_b), ERR_IO, &f->err);
	assert_int_equal(size_below(f, &id_b), 8);
	MUST(put(f, &id_a), &f->err);
	MUST(put(f, &id_c), &f->err);
	arm(f, FAULT_TEAR, FAULT_GET);
	MUST(get(f), &f->err);
	assert_got(f, "01234567", 8);
	arm(f, FAULT_TEAR, FAULT_RANGE);
	MUST(range(f), &f->err);
	assert_got(f, "4567\0\0\0\0", 8);
	arm(f, FAULT_TEAR, FAULT_SIZE);
	MUST(store_size(f->store, STORE_DATA, &id_a, &size, &f->err), &f->err);
	assert_int_equal(size, 8);
	arm(f, FAULT_TEAR, FAULT_LIST);
	MUST(list(f, &names), &f->err);
	assert_int_equal(names, 1);
	MUST(list(f, &names), &f->err);
	assert_int_equal(names, 3);
	arm(f, FAULT_TEAR, FAULT_REMOVE);
	MUST_FAIL(store_remove(f->store, STORE_DATA, &id_a, &f->err), ERR_IO, &f->err);
	assert_int_equal(size_below(f, &id_a), 16);
}

static void flip_turns_one_bit(void **state)
{
	struct fixture *f = *state;

	arm(f, FAULT_FLIP, FAULT_PUT);
	MUST(put(f, &id_a), &f->err);
	MUST(get(f), &f->err);
	assert_got(f,
		   "01234567\x28"
		   "9abcdef",
		   16);
	MUST(store_remove(f->inner, STORE_DATA, &id_a, &f->err), &f->err);
	MUST(put(f, &id_a), &f->err);
	arm(f, FAULT_FLIP, FAULT_GET);
	MUST(get(f), &f->err);
	assert_got(f,
		   "01234567\x28"
		   "9abcdef",
		   16);
	MUST(get(f), &f->err);
	assert_got(f, text, 16);
	arm(f, FAULT_FLIP, FAULT_RANGE);
	MUST(range(f), &f->err);
	assert_got(f,
		   "4567\x28"
		   "9ab",
		   8);
	arm(f, FAULT_FLIP, FAULT_PUT);
	MUST(store_put(f->store, STORE_DATA, &id_b, NULL, 0, &f->err), &f->err);
	assert_int_equal(size_below(f, &id_b), 0);
}

static void lie_says_done(void **state)
{
	struct fixture *f = *state;

	arm(f, FAULT_LIE, FAULT_PUT);
	MUST(put(f, &id_a), &f->err);
	assert_missing_below(f, &id_a);
	MUST(put(f, &id_a), &f->err);
	arm(f, FAULT_LIE, FAULT_REMOVE);
	MUST(store_remove(f->store, STORE_DATA, &id_a, &f->err), &f->err);
	assert_int_equal(size_below(f, &id_a), 16);
}

static void stop_is_for_good(void **state)
{
	struct fixture *f = *state;
	uint64_t size;
	unsigned names;

	store_fault_arm(f->store, &(struct store_fault_plan){
				      .kind = FAULT_STOP, .at = 2, .ops = FAULT_OP(FAULT_PUT)});
	MUST(put(f, &id_a), &f->err);
	MUST(get(f), &f->err);
	assert_false(store_fault_fired(f->store));
	MUST_FAIL(put(f, &id_b), ERR_IO, &f->err);
	assert_true(store_fault_fired(f->store));
	MUST_FAIL(put(f, &id_c), ERR_IO, &f->err);
	MUST_FAIL(get(f), ERR_IO, &f->err);
	MUST_FAIL(range(f), ERR_IO, &f->err);
	MUST_FAIL(list(f, &names), ERR_IO, &f->err);
	MUST_FAIL(store_size(f->store, STORE_DATA, &id_a, &size, &f->err), ERR_IO, &f->err);
	MUST_FAIL(store_remove(f->store, STORE_DATA, &id_a, &f->err), ERR_IO, &f->err);
	MUST_FAIL(store_create(f->store, &f->err), ERR_IO, &f->err);
	assert_int_equal(size_below(f, &id_a), 16);
	assert_missing_below(f, &id_b);
	assert_missing_below(f, &id_c);
	assert_int_equal(store_fault_calls(f->store, FAULT_PUT), 3);
	assert_int_equal(store_fault_calls(f->store, FAULT_GET), 2);
}

static void plans_choose_by_type_and_code(void **state)
{
	struct fixture *f = *state;
	struct store *s = f->store;

	store_fault_arm(s, &(struct store_fault_plan){.kind = FAULT_BEFORE,
						      .at = 1,
						      .types = FAULT_TYPE(STORE_SNAPSHOTS),
						      .code = ERR_FULL});
	MUST(store_create(s, &f->err), &f->err);
	MUST(put(f, &id_a), &f->err);
	MUST_FAIL(store_put(s, STORE_SNAPSHOTS, &id_a, "x", 1, &f->err), ERR_FULL, &f->err);
	assert_non_null(strstr(f->err.text, "injected into put"));
	MUST(store_put(s, STORE_SNAPSHOTS, &id_a, "x", 1, &f->err), &f->err);
	assert_int_equal(store_fault_calls(s, FAULT_PUT), 3);
	store_fault_arm(s, &(struct store_fault_plan){0});
	assert_int_equal(store_fault_calls(s, FAULT_PUT), 0);
	assert_false(store_fault_fired(s));
}

static void errors_below_come_through(void **state)
{
	static const enum store_fault_kind kinds[] = {FAULT_NONE, FAULT_AFTER, FAULT_TEAR,
						      FAULT_FLIP};
	struct fixture *f = *state;
	uint64_t size;

	for (size_t i = 0; i < 4; i++) {
		arm(f, kinds[i], FAULT_GET);
		MUST_FAIL(get(f), ERR_MISSING, &f->err);
		arm(f, kinds[i], FAULT_RANGE);
		MUST_FAIL(range(f), ERR_MISSING, &f->err);
		arm(f, kinds[i], FAULT_SIZE);
		MUST_FAIL(store_size(f->store, STORE_DATA, &id_a, &size, &f->err), ERR_MISSING,
			  &f->err);
	}
}

/* A small stand-in for a backup: what it refers to goes first, the record that commits goes last. */
static int publish(struct fixture *f)
{
	static const enum store_type order[] = {STORE_DATA, STORE_INDEX, STORE_SNAPSHOTS};
	unsigned names;
	int rc = store_list(f->store, STORE_SNAPSHOTS, count_name, &names, &f->err);

	for (size_t i = 0; i < 3 && rc == 0; i++) {
		rc = store_put(f->store, order[i], &id_a, text, 16, &f->err);
		if (rc == -ERR_EXISTS)
			rc = 0;
	}
	return rc;
}

static void assert_commit_is_complete(struct fixture *f)
{
	uint64_t size;

	if (store_size(f->inner, STORE_SNAPSHOTS, &id_a, &size, &f->err) != 0)
		return;
	MUST(store_size(f->inner, STORE_INDEX, &id_a, &size, &f->err), &f->err);
	MUST(store_size(f->inner, STORE_DATA, &id_a, &size, &f->err), &f->err);
}

static void a_loop_meets_every_call_once(void **state)
{
	static const enum store_fault_kind kinds[] = {FAULT_BEFORE, FAULT_AFTER, FAULT_STOP};

	for (size_t i = 0; i < 3; i++) {
		uint64_t k;

		for (k = 1;; k++) {
			struct fixture *f;
			bool fired;
			int rc;

			setup(state);
			f = *state;
			store_fault_arm(f->store,
					&(struct store_fault_plan){.kind = kinds[i], .at = k});
			rc = publish(f);
			fired = store_fault_fired(f->store);
			assert_int_equal(rc, fired ? -ERR_IO : 0);
			assert_commit_is_complete(f);
			store_fault_arm(f->store, &(struct store_fault_plan){0});
			MUST(publish(f), &f->err);
			assert_commit_is_complete(f);
			teardown(state);
			if (!fired)
				break;
		}
		assert_int_equal(k, 5);
	}
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH(before_does_nothing),
	    WITH(after_has_done_it),
	    WITH(tear_gives_halves),
	    WITH(flip_turns_one_bit),
	    WITH(lie_says_done),
	    WITH(stop_is_for_good),
	    WITH(plans_choose_by_type_and_code),
	    WITH(errors_below_come_through),
	    cmocka_unit_test(a_loop_meets_every_call_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
