/* A sample of the damage matrix (tests/crash/test_damage_matrix.c), quick enough for every run and for the sanitizers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/specimen.h"

static void test_sample(void **state)
{
	struct specimen *s = specimen_new();
	const struct specimen_matrix m = {.every = 600, .heal_every = 40, .bits = 1, .seed = 1};

	(void)state;
	specimen_try(s, NULL, "nothing at all", false, true);
	assert_int_equal(s->found, 0);
	specimen_run(s, &m);
	specimen_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_sample)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
