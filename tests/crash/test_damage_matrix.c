/*
 * Every object of a small repository damaged in every way: a bit of each byte flipped, cut to each length, longer, missing, doubled, swapped.
 * check finds it; what is restored is what was backed up, or refused by an error that names what is wrong; the next backup is whole.
 *
 * By default one byte, and one length, in 12 is tried, which a seed draws; NIGHTJAR_LONG_FULL=1 tries all of them, and all 8 bits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/specimen.h"

static void test_matrix(void **state)
{
	const char *seed = getenv("NIGHTJAR_SEED");
	struct specimen_matrix m = {.every = 12, .heal_every = 150, .bits = 1, .seed = 20261128};
	struct specimen *s;

	(void)state;
	if (getenv("NIGHTJAR_LONG_FULL")) {
		m.every = 1;
		m.bits = 8;
		m.heal_every = 1000;
	}
	if (seed)
		m.seed = strtoull(seed, NULL, 10);
	printf("# one in %u, seed %llu\n", m.every, (unsigned long long)m.seed);
	s = specimen_new();
	specimen_run(s, &m);
	specimen_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_matrix)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
