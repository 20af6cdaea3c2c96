/*
 * I1 to I4, I6, I7: every command with its k-th allocation failing, once and from there on, the allocations of libraries and of glibc
 * included: exit 1 with one line, never a verdict about data or keys, and nothing lost.
 *
 * Of long series an even sample, the same each time; with NIGHTJAR_LONG_FULL=1 every k, which takes an hour (TEST_TIMEOUT_S=7200).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "tests/support/faultmatrix.h"

static const struct faultkind kinds[] = {
    {FAULT_ALLOC, ENOMEM, 0, 250},
    {FAULT_ALLOC, ENOMEM, 1, 120},
    {FAULT_CRYPTO, ENOMEM, 0, 10},
    {FAULT_CRYPTO, ENOMEM, 1, 10},
};

static void every_allocation_fails_once(void **state)
{
	(void)state;
	faultmatrix_test(kinds, sizeof(kinds) / sizeof(kinds[0]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_fails_once)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
