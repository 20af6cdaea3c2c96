/* retention: the calendar, and what each word of a policy keeps (DESIGN §5). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/retention.h"
#include "tests/support/must.h"
#include "tests/support/retention_kit.h"

#define NS RETENTION_KIT_NS
#define DAY RETENTION_KIT_DAY
#define MONDAY RETENTION_KIT_MONDAY

/* --- words --- */

static void test_counts(void **state)
{
	static const struct {
		const char *text;
		int64_t want; /* 0: refused */
	} cases[] = {
	    {"1", 1},
	    {"7", 7},
	    {"007", 7},
	    {"1000000000", 1000000000},
	    {"-1", -1},
	    {"unlimited", -1},
	    {"0", 0},
	    {"-0", 0},
	    {"-2", 0},
	    {"", 0},
	    {"7d", 0},
	    {" 7", 0},
	    {"+7", 0},
	    {"1000000001", 0},
	    {"18446744073709551617", 0},
	    {"7.5", 0},
	    {"Unlimited", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err err = {0};
		int64_t got = 0;
		int rc = retention_parse_count("--keep-last", cases[i].text, &got, &err);

		assert_int_equal(rc, cases[i].want ? 0 : -ERR_USAGE);
		assert_true(got == cases[i].want);
		if (rc)
			assert_non_null(strstr(err.text, "--keep-last"));
	}
}

static void test_spans(void **state)
{
	static const struct {
		const char *text;
		uint32_t y, m, d, h;
	} good[] = {
	    {"7d", 0, 0, 7, 0},
	    {"2y5m7d3h", 2, 5, 7, 3},
	    {"3h7d5m2y", 2, 5, 7, 3},
	    {"1y0h", 1, 0, 0, 0},
	    {"9999y99999m3650000d87600000h", 9999, 99999, 3650000, 87600000},
	};
	static const char *const bad[] = {
	    "",         "7",         "d",         "0d",
	    "0y0m0d0h", "7d7d",      "-7d",       "7w",
	    "7D",       "7d ",       "1.5d",      "10000y",
	    "100000m",  "3650001d",  "87600001h", "99999999999999999999h",
	    "7days",    "unlimitedd"};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct err err = {0};
		struct retention_span s = {0};

		MUST(retention_parse_span("--keep-within", good[i].text, &s, &err), &err);
		assert_true(s.given && !s.unlimited);
		assert_true(s.years == good[i].y && s.months == good[i].m && s.days == good[i].d &&
			    s.hours == good[i].h);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err = {0};
		struct retention_span s = {0};

		MUST_FAIL(retention_parse_span("--keep-within", bad[i], &s, &err), ERR_USAGE, &err);
		assert_false(s.given);
	}
}

static void test_unlimited_span(void **state)
{
	struct retention_span s = {0};
	struct err err = {0};

	(void)state;
	MUST(retention_parse_span("--keep-within", "unlimited", &s, &err), &err);
	assert_true(s.given && s.unlimited);
}

/* --- the calendar --- */

static int32_t east(int64_t utc_s)
{
	(void)utc_s;
	return 2 * 3600;
}

static void test_buckets(void **state)
{
	struct retention_policy p = {0};
	static const struct {
		enum retention_unit unit;
		int64_t first, last; /* of one bucket, from MONDAY */
	} cases[] = {
	    {RETENTION_HOURLY, 0, 3599},
	    {RETENTION_DAILY, 0, DAY - 1},
	    {RETENTION_WEEKLY, 0, 7 * DAY - 1},
	    {RETENTION_MONTHLY, 0, 31 * DAY - 1},
	    {RETENTION_MONTHLY, 31 * DAY, 60 * DAY - 1}, /* a leap year's February */
	    {RETENTION_YEARLY, 0, 366 * DAY - 1},
	    {RETENTION_YEARLY, -365 * DAY, -1},
	    {RETENTION_WEEKLY, -19723 * DAY + 4 * DAY,
	     -19723 * DAY + 11 * DAY - 1}, /* 1970-01-05 */
	    {RETENTION_WEEKLY, -19723 * DAY - 3 * DAY, -19723 * DAY + 4 * DAY - 1},
	};

	(void)state;
	for (int zone = 0; zone < 2; zone++) {
		int64_t shift = zone ? -7200 : 0;

		p.utc_offset_s = zone ? east : NULL;
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			int64_t first = MONDAY + cases[i].first + shift,
				last = MONDAY + cases[i].last + shift;
			int64_t bucket = retention_bucket(&p, cases[i].unit, first);

			assert_true(retention_bucket(&p, cases[i].unit, last) == bucket);
			assert_true(retention_bucket(&p, cases[i].unit, last + 1) == bucket + 1);
			assert_true(retention_bucket(&p, cases[i].unit, first - 1) == bucket - 1);
		}
	}
}

static void test_before(void **state)
{
	struct retention_policy p = {0};
	const struct retention_span month = {.given = true, .months = 1},
				    year = {.given = true, .years = 1, .hours = 3},
				    days = {.given = true, .days = 1};

	(void)state;
	/* 2024-03-31 minus a month is "the 31st of February": the 2nd of March, as restic counts */
	assert_true(retention_before(&p, &month, MONDAY + 90 * DAY) == MONDAY + 61 * DAY);
	assert_true(retention_before(&p, &month, MONDAY + 5) == MONDAY - 31 * DAY + 5);
	assert_true(retention_before(&p, &year, MONDAY) == MONDAY - 365 * DAY - 3 * 3600);
	/* a day before noon is noon, also over a change of the clocks */
	p.utc_offset_s = retention_kit_summer;
	assert_true(retention_before(&p, &days, MONDAY + 90 * DAY + 36000) ==
		    MONDAY + 89 * DAY + 36000 + 3600);
}

/* --- the words of a policy --- */

static void test_each_word(void **state)
{
	static const struct {
		enum retention_unit unit;
		int64_t count;
		const char *want;
	} cases[] = {
	    {RETENTION_LAST, 1, "41"},
	    {RETENTION_LAST, 3, "39 40 41"},
	    {RETENTION_HOURLY, 4, "38 39 40 41"},
	    {RETENTION_DAILY, 1, "39 41"}, /* the first of the day, and the newest */
	    {RETENTION_DAILY, 3, "33 36 39 41"},
	    {RETENTION_DAILY, 14, "0 3 6 9 12 15 18 21 24 27 30 33 36 39 41"},
	    {RETENTION_DAILY, 1000, "0 3 6 9 12 15 18 21 24 27 30 33 36 39 41"},
	    {RETENTION_DAILY, -1, "0 3 6 9 12 15 18 21 24 27 30 33 36 39 41"},
	    {RETENTION_WEEKLY, 1, "21 41"},
	    {RETENTION_WEEKLY, 2, "0 21 41"},
	    {RETENTION_MONTHLY, 12, "0 41"},
	    {RETENTION_YEARLY, 2, "0 41"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct retention_kit *b = retention_kit_fortnight();

		b->policy.count[cases[i].unit] = cases[i].count;
		retention_kit_expect(b, cases[i].want);
		retention_kit_expect(b, cases[i].want); /* judged again from scratch */
		free(b);
	}
}

static void test_each_span(void **state)
{
	static const struct {
		enum retention_unit unit;
		struct retention_span span;
		const char *want;
	} cases[] = {
	    {RETENTION_LAST, {.given = true, .days = 1}, "39 40 41"}, /* 18 o'clock is a day ago */
	    {RETENTION_LAST, {.given = true, .days = 1, .hours = 1}, "38 39 40 41"},
	    {RETENTION_LAST, {.given = true, .hours = 7}, "40 41"},
	    {RETENTION_HOURLY, {.given = true, .hours = 12}, "39 40 41"},
	    {RETENTION_DAILY, {.given = true, .days = 2}, "33 36 39 41"},
	    {RETENTION_WEEKLY, {.given = true, .days = 3}, "21 41"},
	    {RETENTION_WEEKLY, {.given = true, .days = 7}, "0 21 41"}, /* Sunday to Sunday */
	    {RETENTION_MONTHLY, {.given = true, .years = 1}, "0 41"},
	    {RETENTION_YEARLY, {.given = true, .years = 1}, "0 41"},
	    {RETENTION_DAILY,
	     {.given = true, .unlimited = true},
	     "0 3 6 9 12 15 18 21 24 27 30 33 36 39 41"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct retention_kit *b = retention_kit_fortnight();

		b->policy.within[cases[i].unit] = cases[i].span;
		retention_kit_expect(b, cases[i].want);
		free(b);
	}
}

static void test_reasons_and_words_together(void **state)
{
	struct retention_kit *b = retention_kit_fortnight();

	(void)state;
	b->policy.count[RETENTION_LAST] = 2;
	b->policy.count[RETENTION_DAILY] = 2;
	b->policy.count[RETENTION_WEEKLY] = 1;
	b->policy.keep_tagged = true;
	b->items[5].tagged = true;
	retention_kit_expect(b, "5 21 36 39 40 41");
	assert_int_equal(retention_kit_at(b, 5)->reasons, RETENTION_TAGGED);
	assert_int_equal(retention_kit_at(b, 21)->reasons, RETENTION_KEPT(RETENTION_WEEKLY));
	assert_int_equal(retention_kit_at(b, 39)->reasons, RETENTION_KEPT(RETENTION_DAILY));
	assert_int_equal(retention_kit_at(b, 40)->reasons, RETENTION_KEPT(RETENTION_LAST));
	assert_int_equal(retention_kit_at(b, 41)->reasons,
			 RETENTION_KEPT(RETENTION_LAST) | RETENTION_NEWEST | RETENTION_CLEAN);
	free(b);
}

/* A tag counts only when the policy says so. */
static void test_empty_policy(void **state)
{
	struct retention_policy p = {0};

	(void)state;
	assert_true(retention_policy_empty(&p));
	p.min_age.given = true;
	assert_true(retention_policy_empty(&p));
	p.keep_tagged = true;
	assert_false(retention_policy_empty(&p));
	p = (struct retention_policy){.count = {[RETENTION_YEARLY] = 1}};
	assert_false(retention_policy_empty(&p));
	p = (struct retention_policy){.within = {[RETENTION_LAST] = {.given = true}}};
	assert_false(retention_policy_empty(&p));
}

static void test_ten_years_of_nights(void **state)
{
	struct retention_kit *b = retention_kit_new();
	size_t kept = 0;
	int64_t oldest = INT64_MAX;

	(void)state;
	for (int i = 0; i < 3653; i++)
		(void)retention_kit_add(b, MONDAY + i * DAY + 3 * 3600);
	b->policy.count[RETENTION_DAILY] = 7;
	b->policy.count[RETENTION_WEEKLY] = 4;
	b->policy.count[RETENTION_MONTHLY] = 12;
	b->policy.count[RETENTION_YEARLY] = -1;
	retention_kit_judge(b);
	for (size_t i = 0; i < b->count; i++) {
		kept += b->items[i].reasons != 0;
		if (b->items[i].reasons && b->items[i].time_ns < oldest)
			oldest = b->items[i].time_ns;
	}
	assert_true(oldest == (MONDAY + 3 * 3600) * NS);
	/* 7 days, at most 4 weeks, 12 months and 10 years more */
	assert_in_range(kept, 27, 33);
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_counts),
	    cmocka_unit_test(test_spans),
	    cmocka_unit_test(test_unlimited_span),
	    cmocka_unit_test(test_buckets),
	    cmocka_unit_test(test_before),
	    cmocka_unit_test(test_each_word),
	    cmocka_unit_test(test_each_span),
	    cmocka_unit_test(test_reasons_and_words_together),
	    cmocka_unit_test(test_empty_policy),
	    cmocka_unit_test(test_ten_years_of_nights),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
