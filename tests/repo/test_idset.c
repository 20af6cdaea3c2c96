#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "repo/idset.h"
#include "tests/support/must.h"
#include "tests/support/repo_case.h"

static struct id number(uint64_t n)
{
	struct id id;

	repo_case_bytes(n * 77 + 1, id.b, sizeof(id.b));
	return id;
}

static void test_empty(void **state)
{
	struct idset s = {0};
	struct id id = number(1);

	(void)state;
	assert_false(idset_has(&s, &id));
	idset_free(&s);
	assert_false(idset_has(&s, &id));
}

static void test_holds_what_was_added_and_nothing_else(void **state)
{
	struct idset s = {0};
	struct err err = {0};

	(void)state;
	for (uint64_t n = 0; n < 20000; n++) {
		struct id id = number(n), next = number(n + 1);

		MUST(idset_add(&s, &id, &err), &err);
		assert_true(idset_has(&s, &id));
		assert_false(idset_has(&s, &next));
	}
	assert_int_equal(s.count, 20000);
	for (uint64_t n = 0; n < 40000; n++) {
		struct id id = number(n);

		assert_true(idset_has(&s, &id) == (n < 20000));
	}
	idset_free(&s);
}

static void test_twice_is_once(void **state)
{
	struct idset s = {0};
	struct err err = {0};
	struct id id = number(3);

	(void)state;
	for (int i = 0; i < 1000; i++)
		MUST(idset_add(&s, &id, &err), &err);
	assert_int_equal(s.count, 1);
	idset_free(&s);
	assert_int_equal(s.count, 0);
}

/* Ids whose first bytes are the same fall on one cell and must go on to the next, round the end of the table. */
static void test_collisions(void **state)
{
	struct idset s = {0};
	struct err err = {0};
	struct id id;

	(void)state;
	memset(&id, 0xff, sizeof(id));
	for (unsigned i = 0; i < 300; i++) {
		id.b[20] = (uint8_t)i;
		id.b[21] = (uint8_t)(i >> 8);
		assert_false(idset_has(&s, &id));
		MUST(idset_add(&s, &id, &err), &err);
	}
	assert_int_equal(s.count, 300);
	for (unsigned i = 0; i < 300; i++) {
		id.b[20] = (uint8_t)i;
		id.b[21] = (uint8_t)(i >> 8);
		assert_true(idset_has(&s, &id));
	}
	id.b[31] = 0;
	assert_false(idset_has(&s, &id));
	idset_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_empty),
	    cmocka_unit_test(test_holds_what_was_added_and_nothing_else),
	    cmocka_unit_test(test_twice_is_once),
	    cmocka_unit_test(test_collisions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
