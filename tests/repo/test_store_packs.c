/* The layer that fetches a pack whole once many of its parts are read: the promises of a store, and what it asks for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "repo/store_stack.h"
#include "tests/support/must.h"
#include "tests/support/store_fault.h"
#include "tests/support/store_suite.h"

#define PACK_BYTES 4096

struct fixture {
	struct store *mem, *fault, *store;
	uint8_t bytes[PACK_BYTES];
	struct buf buf;
	struct err err;
};

static struct id nth(unsigned n)
{
	struct id id = {{0}};

	id.b[0] = (uint8_t)n;
	return id;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	for (size_t i = 0; i < sizeof(f->bytes); i++)
		f->bytes[i] = (uint8_t)(i * 7 + i / 256);
	MUST(store_mem_new(&f->mem, &f->err), &f->err);
	MUST(store_fault_new(f->mem, &f->fault, &f->err), &f->err);
	MUST(store_packs_new(f->fault, &f->store, &f->err), &f->err);
	for (unsigned n = 0; n < 6; n++) {
		struct id id = nth(n);

		MUST(store_put(f->store, STORE_DATA, &id, f->bytes, PACK_BYTES, &f->err), &f->err);
	}
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	store_free(f->store);
	store_free(f->mem);
	buf_free(&f->buf);
	free(f);
	return 0;
}

/* Reads a few bytes of pack n, which must be right, as often as told. */
static void parts(struct fixture *f, unsigned n, unsigned count)
{
	struct id id = nth(n);

	for (unsigned i = 0; i < count; i++) {
		buf_reset(&f->buf);
		MUST(store_get_range(f->store, STORE_DATA, &id, i * 100, 50, &f->buf, &f->err),
		     &f->err);
		assert_int_equal(f->buf.len, 50);
		assert_memory_equal(f->buf.data, f->bytes + i * 100, 50);
	}
}

/* From now on the at-th call of these operations fails. */
static void arm(struct fixture *f, unsigned ops, uint64_t at)
{
	store_fault_arm(f->fault,
			&(struct store_fault_plan){.kind = FAULT_BEFORE, .at = at, .ops = ops});
}

static void eight_parts_then_the_whole(void **state)
{
	struct fixture *f = *state;

	arm(f, FAULT_OP(FAULT_RANGE) | FAULT_OP(FAULT_GET), 10);
	parts(f, 0, 40);
	assert_false(store_fault_fired(f->fault));
	arm(f, FAULT_OP(FAULT_GET), 1);
	parts(f, 1, 8);
	assert_false(store_fault_fired(f->fault));
}

/* Four are held; each of more packs than that is fetched twice, and then its parts alone. */
static void no_more_than_twice(void **state)
{
	struct fixture *f = *state;

	arm(f, FAULT_OP(FAULT_GET), 13);
	for (int round = 0; round < 20; round++)
		for (unsigned n = 0; n < 6; n++)
			parts(f, n, 2);
	assert_false(store_fault_fired(f->fault));
	arm(f, FAULT_OP(FAULT_RANGE), 7);
	for (unsigned n = 0; n < 6; n++)
		parts(f, n, 1);
	assert_false(store_fault_fired(f->fault));
}

/* What cannot be had whole is had in parts; what is beyond the end is told; what is gone, too. */
static void failures_are_those_of_the_parts(void **state)
{
	struct fixture *f = *state;
	struct id id = nth(0);

	arm(f, FAULT_OP(FAULT_GET), 1);
	parts(f, 0, 12);
	assert_true(store_fault_fired(f->fault));
	MUST_FAIL(store_get_range(f->store, STORE_DATA, &id, 4000, 97, &f->buf, &f->err),
		  ERR_DAMAGED, &f->err);
	MUST_FAIL(store_get_range(f->store, STORE_DATA, &id, UINT64_MAX, 2, &f->buf, &f->err),
		  ERR_DAMAGED, &f->err);
	MUST(store_remove(f->store, STORE_DATA, &id, &f->err), &f->err);
	MUST_FAIL(store_get_range(f->store, STORE_DATA, &id, 0, 1, &f->buf, &f->err), ERR_MISSING,
		  &f->err);
}

static void distrusted_bytes_go(void **state)
{
	struct fixture *f = *state;
	struct id id = nth(0);

	parts(f, 0, 9);
	assert_true(store_distrust(f->store, STORE_DATA, &id));
	assert_false(store_distrust(f->store, STORE_DATA, &id));
	arm(f, 0, 1);
	parts(f, 0, 1);
	assert_true(store_fault_fired(f->fault));
}

static void open_packs(struct store_fixture *f)
{
	struct store *mem = NULL;

	MUST(store_mem_new(&mem, &f->err), &f->err);
	MUST(store_packs_new(mem, &f->store, &f->err), &f->err);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(eight_parts_then_the_whole),
	    T(no_more_than_twice),
	    T(failures_are_those_of_the_parts),
	    T(distrusted_bytes_go),
	};
	const struct store_backend packs = {"packs", open_packs};

	return cmocka_run_group_tests(tests, NULL, NULL) + store_suite_run(&packs);
}
