/* The policy of deltas, number by number (FORMAT.md §4 "Delta records"). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/lineage.h"

/* A chunk of 64 KiB that changed once since it was stored full in 20,000 bytes. */
static const struct lineage_ground ground = {
    .follows = 1,
    .depth = 1,
    .closure = 2,
    .base_count = 1,
    .base_bytes = 65536,
    .chain_bytes = 21000,
    .root_stored = 20000,
    .root_plain = 65536,
};

static void what_follows_is_one_more(void **state)
{
	struct lineage_plan plan;

	(void)state;
	assert_true(lineage_plan(&ground, 65536, &plan));
	assert_int_equal(plan.lineage, 2);
	assert_int_equal(plan.depth, 2);
	assert_int_equal(plan.chain_before, 21000);
	assert_int_equal(plan.extra, 32);
	assert_int_equal(plan.most, 19000);
	assert_int_equal(plan.good, 6000);
	/* Half the plaintext, half the expectation. */
	assert_true(lineage_plan(&ground, 32768, &plan));
	assert_int_equal(plan.good, 3000);
}

static void every_eighth_version_jumps(void **state)
{
	uint32_t wanted = 77;

	(void)state;
	for (uint32_t follows = 0; follows < 100; follows++) {
		bool jumps = lineage_jumps(false, follows, &wanted);

		assert_int_equal(jumps, follows % 8 == 7);
		if (jumps)
			assert_int_equal(wanted, follows - 7);
	}
	assert_false(lineage_jumps(false, UINT32_MAX, &wanted));
	assert_false(lineage_jumps(true, 7, &wanted));
	assert_true(lineage_jumps(false, UINT32_MAX - 8, &wanted));
	assert_int_equal(wanted, UINT32_MAX - 15);
}

static bool planned(struct lineage_ground g, uint64_t plain)
{
	struct lineage_plan plan;

	return lineage_plan(&g, plain, &plan);
}

/* The root was short, as it held something else; what counts is what full would cost now. */
static void a_chunk_that_has_grown(void **state)
{
	struct lineage_ground g = ground;
	struct lineage_plan plan;

	(void)state;
	g.chain_bytes = 41000;
	assert_true(lineage_plan(&g, 65536, &plan));
	assert_int_equal(plan.most, 0);
	assert_false(lineage_good(&plan, 1));
	assert_true(lineage_keeps(&plan, 1000, 21000));
	assert_false(lineage_keeps(&plan, 1000, 20999));
	g.node = true;
	assert_true(lineage_plan(&g, 65536, &plan));
	assert_int_equal(plan.most, 8 * 20000 - 41000);
}

static void limits_are_kept(void **state)
{
	struct lineage_ground g = ground;

	(void)state;
	g.depth = 23;
	assert_true(planned(g, 65536));
	g.depth = 24;
	assert_false(planned(g, 65536));
	g = ground;
	g.closure = 63;
	assert_true(planned(g, 65536));
	g.closure = 64;
	assert_false(planned(g, 65536));
	g = ground;
	g.node = true;
	g.depth = 59;
	assert_true(planned(g, 65536));
	g.depth = 60;
	assert_false(planned(g, 65536));
	g = ground;
	g.base_bytes = 1u << 20;
	assert_true(planned(g, 1u << 20));
	assert_false(planned(g, (1u << 20) + 1));
	g.base_bytes++;
	assert_false(planned(g, 65536));
	g = ground;
	g.follows = UINT32_MAX;
	assert_false(planned(g, 65536));
	g = ground;
	g.root_plain = 0;
	assert_false(planned(g, 65536));
}

/* Nothing that an index may hold overflows. */
static void the_largest_numbers_fit(void **state)
{
	struct lineage_ground g = {.follows = UINT32_MAX - 1,
				   .depth = 23,
				   .closure = 63,
				   .base_count = 3,
				   .base_bytes = 1u << 20,
				   .chain_bytes = 2ull * UINT32_MAX - 1,
				   .root_stored = UINT32_MAX,
				   .root_plain = 1};
	struct lineage_plan plan;

	(void)state;
	assert_false(lineage_plan(&g, 1u << 20, &plan));
	g.chain_bytes = UINT32_MAX - (9u << 20);
	assert_true(lineage_plan(&g, 1u << 20, &plan));
	assert_int_equal(plan.lineage, UINT32_MAX);
	assert_int_equal(plan.extra, 96);
}

static void small_deltas_are_kept(void **state)
{
	struct lineage_plan plan;

	(void)state;
	assert_true(lineage_plan(&ground, 65536, &plan));
	assert_true(lineage_good(&plan, 6000 - 32));
	assert_false(lineage_good(&plan, 6001 - 32));
	assert_true(lineage_keeps(&plan, 14999 - 32, 20000));
	assert_false(lineage_keeps(&plan, 15000 - 32, 20000));
	/* Beyond what the root lets expect, a full record must be tried; and the chain weighs no more than two of them. */
	plan.most = 5000;
	assert_true(lineage_good(&plan, 5000));
	assert_false(lineage_good(&plan, 5001));
	assert_true(lineage_keeps(&plan, 5001, 13001));
	assert_false(lineage_keeps(&plan, 5001, 13000));
	/* A chunk so small that the base's id outweighs it. */
	assert_false(lineage_keeps(&plan, 20, 60));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_follows_is_one_more),
	    cmocka_unit_test(every_eighth_version_jumps),
	    cmocka_unit_test(a_chunk_that_has_grown),
	    cmocka_unit_test(limits_are_kept),
	    cmocka_unit_test(the_largest_numbers_fit),
	    cmocka_unit_test(small_deltas_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
