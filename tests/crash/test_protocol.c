/*
 * The protocol of deletion, model-checked (tests/model/model.h says what the model is): with every rule in force no
 * promise is broken in any state of the bounded space, and everything that should happen does; with any one rule removed
 * the shortest way to a broken promise is found, and told (V=1 shows it).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "tests/model/model.h"

/* 32 bytes each and 11 for the table: 1.0 GB. */
#define STATES_MOST 24000000

struct search {
	const char *name;
	enum world world;
	struct bounds bounds;
};

/* {writers' runs, prunes that find something due, packs condemned, packs made by repacking} */
#define ONE_ID(...)                                                                                \
	{                                                                                          \
		1,                                                                                 \
		{                                                                                  \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}
#define TWO_IDS(...)                                                                               \
	{                                                                                          \
		2,                                                                                 \
		{                                                                                  \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}

static void line(const char *text)
{
	printf("# %s\n", text);
}

static struct found search(const struct model *m)
{
	struct found f;

	explore(m, STATES_MOST, line, &f);
	return f;
}

/* --- with every rule --- */

static const struct search whole[] = {
    {"one id", WORLD_STRICT, ONE_ID(2, 2, 2, 2)},
    {"one id", WORLD_STALL, ONE_ID(2, 2, 2, 1)},
    {"one id", WORLD_LOSS, ONE_ID(2, 2, 2, 1)},
    {"one id", WORLD_NAMED, ONE_ID(2, 2, 2, 1)},
    {"two ids, deltas", WORLD_STRICT, TWO_IDS(1, 2, 2, 1)},
    {"two ids, deltas", WORLD_STRICT, TWO_IDS(2, 1, 2, 0)},
};

static void test_holds(void **state)
{
	uint64_t events[EVENTS] = {0};
	size_t states = 0;

	(void)state;
	for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
		const struct search *w = &whole[i];
		const struct model m = {.world = w->world, .bounds = w->bounds};
		struct found f = search(&m);

		printf("# %s, %s: %zu states, %llu steps, the farthest %zu away\n",
		       world_name(w->world), w->name, f.states, (unsigned long long)f.transitions,
		       f.steps_longest);
		if (f.broken)
			fail_msg("%s, %s: %s", world_name(w->world), w->name, f.broken);
		assert_false(f.full);
		states += f.states;
		for (unsigned e = 0; e < EVENTS; e++)
			events[e] += f.events[e];
	}
	printf("# %zu states in all\n", states);
	for (unsigned e = 0; e < EVENTS; e++) {
		printf("# %s: %llu\n", event_name(e), (unsigned long long)events[e]);
		assert_true(events[e] > 0); /* or nothing was tested */
	}
}

/* --- without one of them --- */

/* Where each removal is noticed: the least of everything that does it, and no more than what holds above. */
static const struct bounds least[] = {ONE_ID(2, 2, 2, 1), TWO_IDS(1, 2, 2, 0)};

static void test_without(void **state)
{
	enum rule r = (enum rule)(uintptr_t)*state;
	struct model m = {.world = rule_world(r), .bounds = least[rule_ids(r) - 1]};
	struct found f;

	m.off[r] = true;
	printf("# %s: \"%s\" Without it:\n", rule_name(r), rule_text(r));
	f = search(&m);
	if (!f.broken)
		fail_msg("without %s nothing goes wrong in %zu states", rule_name(r), f.states);
	printf("#     %s (%s; %zu states seen)\n", f.broken, world_name(m.world), f.states);
}

int main(void)
{
	static char names[RULES][60];
	struct CMUnitTest tests[RULES + 1] = {cmocka_unit_test(test_holds)};

	for (unsigned r = 0; r < RULES; r++) {
		(void)snprintf(names[r], sizeof names[r], "test_without_%s", rule_name(r));
		tests[1 + r] =
		    (struct CMUnitTest){names[r], test_without, NULL, NULL, (void *)(uintptr_t)r};
	}
	return cmocka_run_group_tests_name("protocol", tests, NULL, NULL);
}
