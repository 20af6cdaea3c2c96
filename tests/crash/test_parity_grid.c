/*
 * The whole grid of tests/support/parity_grid.h: packs of all sizes, of both levels, with damage of every sort. Seeds are fixed, so each
 * run does the same. NIGHTJAR_LONG_FULL=1 takes ten times as many random places, and every length of burst up to 64.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/parity_grid.h"

static unsigned times(unsigned rounds)
{
	const char *full = getenv("NIGHTJAR_LONG_FULL");

	return full && *full == '1' ? 10 * rounds : rounds;
}

static void grid_of(struct parity_grid *g, enum parity_kind kind, size_t blocks, size_t steps,
		    unsigned rounds)
{
	parity_grid_single(g, kind, blocks, times(8 * rounds));
	parity_grid_bursts(g, kind, blocks, times(1) > 1 ? 64 : steps, times(rounds));
	parity_grid_scattered(g, kind, blocks, times(2 * rounds));
	parity_grid_lengths(g, kind, blocks);
	parity_grid_tables(g, kind, blocks);
}

/* Below 32 KiB. */
static void copies(void **state)
{
	static const size_t sizes[] = {1, 2, 3, 4, 5, 6, 7};
	struct parity_grid g = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		grid_of(&g, PARITY_COPY, sizes[i], sizes[i] < 16 ? sizes[i] : 16, 10);
	parity_grid_print(&g, "packs under 32 KiB");
}

/* From 32 KiB on: part of a stripe, one, two, and a last one that is short by all numbers of blocks. */
static void stripes_of(enum parity_kind kind, const char *what)
{
	static const size_t sizes[] = {8, 9, 16, 32, 63, 64, 65, 127, 129, 256, 384};
	struct parity_grid g = {0};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		grid_of(&g, kind, sizes[i], 9, 3);
	parity_grid_print(&g, what);
}

static void two_of_64(void **state)
{
	(void)state;
	stripes_of(PARITY_TWO, "32 KiB to 1.5 MiB, 64 + 2");
}

static void four_of_64(void **state)
{
	(void)state;
	stripes_of(PARITY_FOUR, "32 KiB to 1.5 MiB, 64 + 4");
}

/* Tables of several segments; the length that packs aim at. */
static void large(void **state)
{
	struct parity_grid g = {0};

	(void)state;
	grid_of(&g, PARITY_TWO, 600, 3, 1);
	grid_of(&g, PARITY_FOUR, 1100, 3, 1);
	grid_of(&g, PARITY_TWO, 4096, 1, 1);
	parity_grid_print(&g, "2.3 to 16 MiB");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(copies),
	    cmocka_unit_test(two_of_64),
	    cmocka_unit_test(four_of_64),
	    cmocka_unit_test(large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
