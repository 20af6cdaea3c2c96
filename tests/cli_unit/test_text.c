/* Sizes, durations, times and control bytes as people are shown them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/text.h"

static void sizes(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} table[] = {
	    {0, "0 B"},
	    {1023, "1023 B"},
	    {1024, "1.000 KiB"},
	    {1536, "1.500 KiB"},
	    {1048575, "1023.999 KiB"},
	    {1048576, "1.000 MiB"},
	    {1293942, "1.233 MiB"},
	    {UINT64_C(1) << 30, "1.000 GiB"},
	    {UINT64_C(3) << 39, "1.500 TiB"},
	    {UINT64_C(3) << 49, "1.500 PiB"},
	    {UINT64_C(1) << 60, "1.000 EiB"},
	    {UINT64_MAX, "15.999 EiB"},
	};
	char out[TEXT_SIZE_CHARS];

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		text_size(table[i].bytes, out);
		assert_string_equal(out, table[i].text);
	}
}

static void counts(void **state)
{
	char out[TEXT_SIZE_CHARS];

	(void)state;
	assert_string_equal(text_plural(0), "s");
	assert_string_equal(text_plural(1), "");
	assert_string_equal(text_plural(2), "s");
	text_count(0, out);
	assert_string_equal(out, "0");
	text_count(999, out);
	assert_string_equal(out, "999");
	text_count(1000, out);
	assert_string_equal(out, "1,000");
	text_count(12000345, out);
	assert_string_equal(out, "12,000,345");
	text_count(UINT64_MAX, out);
	assert_string_equal(out, "18,446,744,073,709,551,615");
}

static void parts(void **state)
{
	static const struct {
		uint64_t part, whole;
		const char *text;
	} table[] = {
	    {1, 870, "1/870"},  {100, 270, "1/2.7"},   {100, 994, "1/9.9"},      {100, 996, "1/10"},
	    {2, 1741, "1/870"}, {300, 300, "1/1.0"},   {3, 2, "1/0.7"},          {0, 7, "-"},
	    {7, 0, "-"},        {1, UINT64_MAX, NULL}, {UINT64_MAX, 1, "1/0.0"},
	};
	char out[TEXT_SIZE_CHARS];

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		text_part(table[i].part, table[i].whole, out);
		if (table[i].text)
			assert_string_equal(out, table[i].text);
		assert_true(strlen(out) < TEXT_SIZE_CHARS);
	}
}

static void durations(void **state)
{
	static const struct {
		uint64_t seconds;
		const char *text;
	} table[] = {{0, "0:00"},     {7, "0:07"},       {195, "3:15"},
		     {3599, "59:59"}, {3723, "1:02:03"}, {360000, "100:00:00"}};
	char out[TEXT_SIZE_CHARS];

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		text_duration(table[i].seconds, out);
		assert_string_equal(out, table[i].text);
	}
}

static void times_for_json(void **state)
{
	char out[TEXT_TIME_CHARS];

	(void)state;
	text_time_json(0, 0, out);
	assert_string_equal(out, "1970-01-01T00:00:00.000000000Z");
	text_time_json(1714532645, 6, out);
	assert_string_equal(out, "2024-05-01T03:04:05.000000006Z");
	text_time_json(-1, 999999999, out);
	assert_string_equal(out, "1969-12-31T23:59:59.999999999Z");
	text_time_json(INT64_MAX, 0, out);
	assert_string_equal(out, "9999-12-31T23:59:59.000000000Z");
	text_time_json(INT64_MIN, 0, out);
	assert_string_equal(out, "0000-01-01T00:00:00.000000000Z");
}

static void times_for_people(void **state)
{
	char out[TEXT_TIME_CHARS];

	(void)state;
	assert_int_equal(setenv("TZ", "XYZ-3", 1), 0);
	tzset();
	text_time_local(1714532645, out);
	assert_string_equal(out, "2024-05-01 06:04:05");
}

static void control_bytes(void **state)
{
	char out[32];

	(void)state;
	assert_int_equal(text_printable("a\n\t\x1b[0m\x7f \\ \xc3\xa9", out, sizeof(out)), 21);
	assert_string_equal(out, "a\\n\\t\\x1b[0m\\x7f \\ \xc3\xa9");
}

static void what_is_not_utf8(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
	    {"\x9b", "\\x9b"},
	    {"\xc2\x9b", "\\xc2\\x9b"},
	    {"\xc2\xa0", "\xc2\xa0"},
	    {"caf\xe9", "caf\\xe9"},
	    {"\xc3", "\\xc3"},
	    {"\xe2\x82\xac", "\xe2\x82\xac"},
	    {"\xe0\x80\x9b", "\\xe0\\x80\\x9b"},
	    {"\xed\xa0\x80", "\\xed\\xa0\\x80"},
	    {"\xf0\x9f\x90\xa6", "\xf0\x9f\x90\xa6"},
	    {"\xf0\x80\x80\x80", "\\xf0\\x80\\x80\\x80"},
	    {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},
	    {"\xff\xfe", "\\xff\\xfe"},
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		(void)text_printable(cases[i].in, out, sizeof(out));
		assert_string_equal(out, cases[i].out);
	}
}

static void a_long_line_is_cut_between_escapes(void **state)
{
	char out[6];

	(void)state;
	assert_int_equal(text_printable("abc\x01z", out, sizeof(out)), 3);
	assert_string_equal(out, "abc");
	assert_int_equal(text_printable("abcdefgh", out, 1), 0);
	assert_string_equal(out, "");
}

static void times_as_typed(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds;
	} good[] = {
	    {"1970-01-01 00:00:00", 0},
	    {"2024-02-29 23:59:59", 1709251199},
	    {"1969-12-31 23:59:59", -1},
	    {"2261-12-31 00:00:00", INT64_C(9214560000)},
	};
	static const char *const bad[] = {
	    "",
	    "now",
	    "2024-02-30 00:00:00",
	    "2023-02-29 00:00:00",
	    "2024-00-01 00:00:00",
	    "2024-01-00 00:00:00",
	    "2024-01-01 24:00:00",
	    "2024-01-01 00:60:00",
	    "2024-01-01 00:00:60",
	    "2024-01-01 00:00:00 ",
	    "2024-1-01 00:00:000",
	    "2024-01-01T00:00:00",
	    "+024-01-01 00:00:00",
	    "2262-01-01 00:00:00",
	    "1677-12-31 00:00:00",
	};
	int64_t ns;

	(void)state;
	assert_int_equal(setenv("TZ", "UTC", 1), 0);
	tzset();
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(text_time_parse(good[i].text, &ns));
		assert_true(ns == good[i].seconds * 1000000000);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (text_time_parse(bad[i], &ns))
			fail_msg("'%s' was taken for a time", bad[i]);
	}
}

static void spans(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds; /* -1 = refused */
	} table[] = {
	    {"0s", 0},
	    {"90s", 90},
	    {"15m", 900},
	    {"36h", 129600},
	    {"2d", 172800},
	    {"1w", 604800},
	    {"36525d", INT64_C(3155760000)},
	    {"36526d", -1},
	    {"9999999999w", -1},
	    {"10000000000s", -1},
	    {"", -1},
	    {"5", -1},
	    {"h", -1},
	    {"-1h", -1},
	    {"+1h", -1},
	    {" 1h", -1},
	    {"1h ", -1},
	    {"1 h", -1},
	    {"1h30m", -1},
	    {"1H", -1},
	    {"1.5h", -1},
	    {"1y", -1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		int64_t got = -2;
		bool ok = text_span_parse(table[i].text, &got);

		assert_int_equal(ok, table[i].seconds >= 0);
		if (ok)
			assert_true(got == table[i].seconds);
	}
}

static void ages(void **state)
{
	static const struct {
		int64_t seconds;
		const char *text;
	} table[] = {{0, "0 s"},         {119, "119 s"},        {120, "2 min"},
		     {7199, "119 min"},  {7200, "2 h"},         {172799, "47 h"},
		     {172800, "2 days"}, {8640000, "100 days"}, {-5, "-5 s"}};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char got[TEXT_TIME_CHARS];

		text_age(table[i].seconds, got);
		assert_string_equal(got, table[i].text);
	}
}

static void locations(void **state)
{
	static const char *const table[][2] = {
	    {"/srv/a@b:c", "/srv/a@b:c"},
	    {"sftp:user@host:/p", "sftp:user@host:/p"},
	    {"rest:https://host:8000/x@y/", "rest:https://host:8000/x@y"},
	    {"rest:https://me:pass@host/x", "rest:https://host/x"},
	    {"rest:https://me:p@ss@host/x", "rest:https://host/x"},
	    {"rest:https://me@host", "rest:https://host"},
	    {"s3:https://host/b?token=1#2", "s3:https://host/b"},
	    {"rest:https://me:pass@host//", "rest:https://host"},
	    {"https://", "https://"},
	};
	char got[64];

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		text_location(table[i][0], got, sizeof(got));
		assert_string_equal(got, table[i][1]);
	}
	text_location("rest:https://me:pass@host/x", got, 8);
	assert_string_equal(got, "rest:ht");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(spans),
	    cmocka_unit_test(ages),
	    cmocka_unit_test(locations),
	    cmocka_unit_test(times_as_typed),
	    cmocka_unit_test(sizes),
	    cmocka_unit_test(counts),
	    cmocka_unit_test(parts),
	    cmocka_unit_test(durations),
	    cmocka_unit_test(times_for_json),
	    cmocka_unit_test(times_for_people),
	    cmocka_unit_test(control_bytes),
	    cmocka_unit_test(what_is_not_utf8),
	    cmocka_unit_test(a_long_line_is_cut_between_escapes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
