/* retention: what neither a word, another writer nor a lying clock may cost, and that a second run removes nothing more (DESIGN §5). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "core/retention.h"
#include "tests/support/bytes.h"
#include "tests/support/must.h"
#include "tests/support/retention_kit.h"

#define NS RETENTION_KIT_NS
#define DAY RETENTION_KIT_DAY
#define MONDAY RETENTION_KIT_MONDAY

/* --- what is never removed --- */

static void test_clean_before_failed(void **state)
{
	struct retention_kit *b = retention_kit_fortnight();

	(void)state;
	for (int i = 20; i < 42; i++)
		b->items[i].rank = RETENTION_RANK_FAILED;
	b->items[30].rank = RETENTION_RANK_UNCHECKED;
	b->policy.count[RETENTION_LAST] = 2;
	retention_kit_expect(b, "19 30 40 41");
	assert_int_equal(retention_kit_at(b, 19)->reasons, RETENTION_CLEAN);
	free(b);
}

static void test_clean_wins_the_bucket(void **state)
{
	struct retention_kit *b = retention_kit_fortnight();

	(void)state;
	b->items[39].rank = RETENTION_RANK_FAILED;
	b->items[40].rank = RETENTION_RANK_UNCHECKED;
	b->items[36].rank = RETENTION_RANK_FAILED;
	b->items[37].rank = RETENTION_RANK_FAILED;
	b->items[38].rank = RETENTION_RANK_UNCHECKED;
	b->items[33].rank = b->items[34].rank = b->items[35].rank = RETENTION_RANK_FAILED;
	b->policy.count[RETENTION_DAILY] = 3;
	retention_kit_expect(b, "33 38 41");
	free(b);
}

/* Of each writer and group, whatever the set it is judged in. */
static void test_newest_of_every_group(void **state)
{
	struct retention_kit *b = retention_kit_fortnight();

	(void)state;
	b->groups[7] = bytes_id(1);
	b->groups[9] = bytes_id(1);
	b->policy.count[RETENTION_LAST] = 1;
	retention_kit_expect(b, "9 41");
	free(b);
}

/* And of each set, which tags may make smaller than the group: what durations count from stays. */
static void test_newest_of_every_set(void **state)
{
	struct retention_kit *b = retention_kit_fortnight();

	(void)state;
	for (int i = 0; i < 20; i++)
		b->items[i].set = bytes_id(1);
	b->policy.count[RETENTION_DAILY] = 1;
	retention_kit_expect(b, "18 19 39 41");
	free(b);
}

static void test_writers_do_not_compete(void **state)
{
	struct retention_kit *b = retention_kit_fortnight();

	(void)state;
	/* another writer claims each morning, earlier than the first backup of the day, and numbers on */
	for (int i = 0; i < 14; i++) {
		struct retention_item *item = retention_kit_add(b, MONDAY + i * DAY + 60);

		b->writers[b->count - 1][0] = 9;
		item->rank = RETENTION_RANK_CLEAN;
	}
	b->policy.count[RETENTION_DAILY] = 2;
	retention_kit_expect(b, "36 39 41 54 55");
	b->policy.count[RETENTION_DAILY] = 0;
	b->policy.count[RETENTION_LAST] = 2;
	retention_kit_expect(b, "40 41 54 55");
	free(b);
}

static void test_filtered_and_retired(void **state)
{
	struct retention_kit *b = retention_kit_fortnight();

	(void)state;
	b->items[3].considered = false;
	b->items[38].retired = true;
	b->items[39].retired = true; /* counts for nothing: the day's first is then 40 */
	b->policy.count[RETENTION_DAILY] = 2;
	retention_kit_expect(b, "3 36 40 41");
	assert_int_equal(retention_kit_at(b, 3)->reasons, RETENTION_OUTSIDE);
	/* but a retired one is not removed where it is the last clean one after all */
	b->items[41].rank = RETENTION_RANK_FAILED;
	for (int i = 0; i < 42; i++)
		retention_kit_at(b, (uint64_t)i)->rank =
		    i == 38 ? RETENTION_RANK_CLEAN : RETENTION_RANK_FAILED;
	retention_kit_expect(b, "3 36 38 40 41");
	assert_int_equal(retention_kit_at(b, 38)->reasons, RETENTION_CLEAN);
	free(b);
}

static void test_min_age(void **state)
{
	struct retention_kit *b = retention_kit_fortnight();

	(void)state;
	b->policy.count[RETENTION_LAST] = 1;
	b->policy.min_age = (struct retention_span){.given = true, .days = 1};
	b->policy.now_ns = (MONDAY + 13 * DAY + 20 * 3600) * NS;
	retention_kit_expect(b, "39 40 41");
	/* What is just as old as it must be may go. */
	b->policy.now_ns = retention_kit_at(b, 40)->time_ns + DAY * NS;
	retention_kit_expect(b, "41");
	b->policy.now_ns -= NS;
	retention_kit_expect(b, "40 41");
	b->policy.min_age.unlimited = true;
	retention_kit_judge(b);
	for (size_t i = 0; i < b->count; i++)
		assert_true(b->items[i].reasons & RETENTION_YOUNG);
	free(b);
}

static void test_protect_alone(void **state)
{
	struct retention_kit *b = retention_kit_fortnight();
	struct err err = {0};

	(void)state;
	b->items[41].rank = RETENTION_RANK_FAILED;
	b->items[5].considered = false;
	MUST(retention_protect(&b->policy, b->items, b->count, &err), &err);
	for (size_t i = 0; i < b->count; i++)
		assert_int_equal(b->items[i].reasons, i == 41   ? RETENTION_NEWEST
						      : i == 40 ? RETENTION_CLEAN
						      : i == 5  ? RETENTION_OUTSIDE
								: 0);
	MUST(retention_protect(&b->policy, b->items, 0, &err), &err);
	MUST(retention_judge(&b->policy, b->items, 0, &err), &err);
	free(b);
}

/* Two backups of one sequence: both newest, and an order that does not depend on how they came. */
static void test_fork(void **state)
{
	struct retention_kit *b = retention_kit_fortnight();

	(void)state;
	b->items[40].sequence = 42;
	b->policy.count[RETENTION_LAST] = 1;
	retention_kit_expect(b, "41 41");
	b->items[41].sequence = b->items[40].sequence = 20;
	retention_kit_judge(b);
	free(b);
}

/* --- clocks that lie --- */

/* Later junk with early dates, one for each day: none of it goes before what was there. */
static void test_backdated_junk(void **state)
{
	struct retention_kit *b = retention_kit_fortnight();

	(void)state;
	for (int i = 0; i < 14; i++)
		(void)retention_kit_add(b, MONDAY + i * DAY + 60);
	b->policy.count[RETENTION_DAILY] = 3;
	retention_kit_judge(b);
	for (uint64_t good = 33; good <= 39; good += 3)
		assert_true(retention_kit_at(b, good)->reasons & RETENTION_KEPT(RETENTION_DAILY));
	free(b);
}

/* Junk with a late date that has come since does not draw all later ones into its day. */
static void test_late_junk(void **state)
{
	struct retention_kit *b = retention_kit_new();

	(void)state;
	for (int i = 0; i < 6; i++)
		(void)retention_kit_add(b, MONDAY + i * DAY);
	(void)retention_kit_add(b, MONDAY + 20 * DAY);
	for (int i = 6; i < 20; i++)
		(void)retention_kit_add(b, MONDAY + i * DAY);
	b->policy.count[RETENTION_DAILY] = 5;
	retention_kit_judge(b);
	for (uint64_t good = 16; good <= 20; good++)
		assert_true(retention_kit_at(b, good)->reasons & RETENTION_KEPT(RETENTION_DAILY));
	free(b);
}

static void test_future(void **state)
{
	struct retention_kit *b = retention_kit_fortnight();

	(void)state;
	b->policy.now_ns = (MONDAY + 14 * DAY) * NS;
	b->items[4].time_ns = INT64_MAX;
	b->policy.count[RETENTION_DAILY] = 2;
	retention_kit_judge(b);
	assert_true(retention_kit_at(b, 4)->reasons & RETENTION_FUTURE);
	assert_true(retention_kit_at(b, 36)->reasons && retention_kit_at(b, 39)->reasons);
	for (size_t i = 0; i < b->count; i++)
		b->items[i].time_ns = i % 2 ? INT64_MIN : INT64_MAX;
	retention_kit_judge(b); /* no overflow anywhere */
	free(b);
}

/* --- properties --- */

static uint64_t next_random(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return *seed >> 33;
}

static void random_backups(struct retention_kit *b, uint64_t *seed)
{
	size_t n = next_random(seed) % 60;
	int64_t at_s = MONDAY;
	bool liar = next_random(seed) % 2;

	for (size_t i = 0; i < n; i++) {
		struct retention_item *item;
		int64_t lie = (int64_t)(next_random(seed) % 80) * DAY;

		at_s += (int64_t)(next_random(seed) % (2 * DAY));
		item =
		    retention_kit_add(b, liar && next_random(seed) % 5 == 0 ? MONDAY + lie : at_s);
		item->rank =
		    (enum retention_rank)(next_random(seed) % 4 ? 0 : next_random(seed) % 3);
		item->tagged = next_random(seed) % 9 == 0;
		item->considered = next_random(seed) % 9 != 0;
		item->retired = next_random(seed) % 20 == 0;
		b->writers[b->count - 1][0] = (uint8_t)(next_random(seed) % 2);
		b->groups[b->count - 1] = bytes_id((unsigned)(next_random(seed) % 2));
		item->set = bytes_id((unsigned)(next_random(seed) % 2));
		if (next_random(seed) % 15 == 0 && b->count > 1)
			item->sequence--;
	}
	b->policy.now_ns = (at_s + (int64_t)(next_random(seed) % (3 * DAY)) - DAY) * NS;
}

static void random_policy(struct retention_kit *b, uint64_t *seed)
{
	for (size_t u = 0; u < RETENTION_UNITS; u++) {
		if (next_random(seed) % 3 == 0)
			b->policy.count[u] = 1 + (int64_t)(next_random(seed) % 5);
		if (next_random(seed) % 5 == 0)
			b->policy.within[u] = (struct retention_span){
			    .given = true,
			    .months = (uint32_t)(next_random(seed) % 2),
			    .days = (uint32_t)(next_random(seed) % 20),
			};
	}
	b->policy.keep_tagged = next_random(seed) % 4 == 0;
	b->policy.count[RETENTION_LAST] += retention_policy_empty(&b->policy);
	b->policy.utc_offset_s = next_random(seed) % 2 ? retention_kit_summer : NULL;
}

static void drop_removed(struct retention_kit *b)
{
	size_t kept = 0;

	for (size_t i = 0; i < b->count; i++)
		if (b->items[i].reasons)
			b->items[kept++] = b->items[i];
	b->count = kept;
}

/* Nothing that is considered comes to nothing, and what is left is left. */
static void test_twice_removes_nothing_more(void **state)
{
	uint64_t seed = 5;

	(void)state;
	for (int round = 0; round < 3000; round++) {
		struct retention_kit *b = retention_kit_new();
		size_t before, left;

		random_backups(b, &seed);
		random_policy(b, &seed);
		before = b->count;
		retention_kit_judge(b);
		drop_removed(b);
		left = b->count;
		assert_true(left > 0 || before == 0);
		retention_kit_judge(b);
		drop_removed(b);
		assert_int_equal(b->count, left);
		free(b);
	}
}

/* With honest clocks: a night more and a forget each night keep what one forget at the end keeps of each unit. */
static void test_every_night_as_at_once(void **state)
{
	struct retention_kit *nightly = retention_kit_new(), *once = retention_kit_new();

	(void)state;
	for (int night = 0; night < 400; night++) {
		(void)retention_kit_add(once, MONDAY + night * DAY + 7200);
		*retention_kit_add(nightly, 0) = once->items[once->count - 1];
		nightly->items[nightly->count - 1].writer = nightly->writers[0];
		nightly->policy = once->policy;
		nightly->policy.count[RETENTION_DAILY] = 7;
		nightly->policy.count[RETENTION_WEEKLY] = 4;
		nightly->policy.count[RETENTION_MONTHLY] = 12;
		retention_kit_judge(nightly);
		drop_removed(nightly);
	}
	once->policy = nightly->policy;
	retention_kit_judge(once);
	drop_removed(once);
	assert_int_equal(once->count, nightly->count);
	for (size_t i = 0; i < once->count; i++)
		assert_true(once->items[i].sequence == nightly->items[i].sequence);
	free(nightly);
	free(once);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_clean_before_failed),
	    cmocka_unit_test(test_clean_wins_the_bucket),
	    cmocka_unit_test(test_newest_of_every_group),
	    cmocka_unit_test(test_newest_of_every_set),
	    cmocka_unit_test(test_writers_do_not_compete),
	    cmocka_unit_test(test_filtered_and_retired),
	    cmocka_unit_test(test_min_age),
	    cmocka_unit_test(test_protect_alone),
	    cmocka_unit_test(test_fork),
	    cmocka_unit_test(test_backdated_junk),
	    cmocka_unit_test(test_late_junk),
	    cmocka_unit_test(test_future),
	    cmocka_unit_test(test_twice_removes_nothing_more),
	    cmocka_unit_test(test_every_night_as_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
