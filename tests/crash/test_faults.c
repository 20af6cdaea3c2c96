/*
 * I1 to I4, I6, I7: every command with every k-th of its calls failing, in the repository, the cache, the state, the target and the source:
 * EIO, ENOSPC, no descriptors, no permission, short and interrupted transfers, a failed fsync; once, and from there on.
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
    {FAULT_READ, EIO, 0, 30},        {FAULT_READ, EIO, 1, 12},
    {FAULT_READ, FAULT_SHORT, 1, 4}, {FAULT_READ, EINTR, 0, 12},
    {FAULT_WRITE, EIO, 0, 30},       {FAULT_WRITE, ENOSPC, 0, 30},
    {FAULT_WRITE, ENOSPC, 1, 12},    {FAULT_WRITE, FAULT_SHORT, 1, 4},
    {FAULT_WRITE, EINTR, 0, 12},     {FAULT_SYNC, EIO, 0, 40},
    {FAULT_SYNC, EIO, 1, 12},        {FAULT_CREATE, ENOSPC, 0, 30},
    {FAULT_CREATE, ENOSPC, 1, 12},   {FAULT_CREATE, EMFILE, 0, 8},
    {FAULT_CREATE, EACCES, 0, 8},    {FAULT_OPEN, EIO, 0, 12},
    {FAULT_OPEN, EMFILE, 1, 12},     {FAULT_OPEN, EACCES, 0, 8},
    {FAULT_NAME, EIO, 0, 30},        {FAULT_NAME, ENOSPC, 1, 16},
    {FAULT_SIZE, ENOSPC, 0, 20},     {FAULT_SIZE, EIO, 1, 8},
    {FAULT_LIST, EIO, 0, 12},        {FAULT_STAT, EIO, 0, 16},
    {FAULT_MAP, ENOMEM, 0, 12},      {FAULT_MAP, ENOMEM, 1, 6},
};

static void every_call_fails_once(void **state)
{
	(void)state;
	faultmatrix_test(kinds, sizeof(kinds) / sizeof(kinds[0]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(every_call_fails_once)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
