/* httphead: the times and lines of an HTTP answer, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/httphead.h"

static int64_t time_of(const char *text)
{
	return httphead_time(text, strlen(text));
}

static void times(void **state)
{
	static const struct {
		const char *text;
		int64_t want;
	} table[] = {
	    {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
	    {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
	    {"Sun Nov  6 08:49:37 1994", 784111777},
	    {"Wed Nov 16 08:49:37 1994", 784975777},
	    {"sun, 06 nov 1994 08:49:37 utc", 784111777},
	    {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
	    {"Wed, 31 Dec 1969 23:59:59 GMT", -1},
	    {"Tue, 29 Feb 2000 00:00:00 GMT", 951782400},
	    {"Thu, 29 Feb 2024 23:59:59 GMT", 1709251199},
	    {"Fri, 01 Mar 2024 00:00:00 GMT", 1709251200},
	    {"Wed, 29 Feb 2023 00:00:00 GMT", -1},
	    {"Mon, 29 Feb 2100 00:00:00 GMT", -1},
	    {"Mon, 01 Mar 2100 00:00:00 GMT", 4107542400},
	    {"Sat, 31 Dec 2016 23:59:60 GMT", 1483228800},
	    {"Fri, 31 Dec 9999 23:59:59 GMT", 253402300799},
	    {"Monday, 01-Jan-69 00:00:00 GMT", 3124224000},
	    {"Thursday, 01-Jan-70 00:00:00 GMT", 0},
	    {"Sun, 00 Nov 1994 08:49:37 GMT", -1},
	    {"Sun, 31 Nov 1994 08:49:37 GMT", -1},
	    {"Sun, 06 Nox 1994 08:49:37 GMT", -1},
	    {"Sun, 06 Nov 1994 24:49:37 GMT", -1},
	    {"Sun, 06 Nov 1994 08:60:37 GMT", -1},
	    {"Sun, 06 Nov 1994 08:49:61 GMT", -1},
	    {"Sun, 06 Nov 1994 08:49:37 CET", -1},
	    {"Sun, 06 Nov 1994 08:49:37 GMT ", -1},
	    {"Sun, 06 Nov 1994 08:49:37", -1},
	    {"Sun, 6 Nov 1994 08:49:37 GMT", -1},
	    {"Sun, 06-Nov-1994 08:49:37 GMT", -1},
	    {"Sun, 06-Nov 94 08:49:37 GMT", -1},
	    {"Sun, 06 Nov 94 08:49:37 GMT", -1},
	    {"Sun, +6 Nov 1994 08:49:37 GMT", -1},
	    {"Sun Nov 06 08:49:37 1994 GMT", -1},
	    {"Sun Nov  16 08:49:37 1994", -1},
	    {"Su, 06 Nov 1994 08:49:37 GMT", -1},
	    {"06 Nov 1994 08:49:37 GMT", -1},
	    {"784111777", -1},
	    {"yesterday", -1},
	    {"", -1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (time_of(table[i].text) != table[i].want)
			fail_msg("%s: %lld", table[i].text, (long long)time_of(table[i].text));
	}
}

/* Every day from 1970 to 2200 is one more than the day before. */
static void days_follow_one_another(void **state)
{
	static const unsigned long_months =
	    1u << 1 | 1u << 3 | 1u << 5 | 1u << 7 | 1u << 8 | 1u << 10 | 1u << 12;
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	int64_t day = 0;

	(void)state;
	for (unsigned year = 1970; year < 2200; year++) {
		for (unsigned month = 1; month <= 12; month++) {
			unsigned last = long_months & 1u << month ? 31 : 30;

			if (month == 2)
				last = year % 4 || year == 2100 ? 28 : 29;
			for (unsigned d = 1; d <= 31; d++) {
				char text[40];

				(void)snprintf(text, sizeof(text), "Day, %02u %.3s %u 00:00:00 GMT",
					       d, months + (size_t)(month - 1) * 3, year);
				if (time_of(text) != (d <= last ? 86400 * day++ : -1))
					fail_msg("%s", text);
			}
		}
	}
}

static struct httphead head_of(const char *want, const char *lines)
{
	struct httphead head;

	httphead_init(&head);
	while (*lines) {
		size_t len = strcspn(lines, "\n");

		httphead_line(&head, want, lines, len + (lines[len] == '\n'));
		lines += len + (lines[len] == '\n');
	}
	return head;
}

static void lines_are_read(void **state)
{
	struct httphead h =
	    head_of("x-own", "HTTP/1.1 206 Partial\r\ndate:Sun, 06 Nov 1994 08:49:37 GMT\r\n"
			     "content-RANGE:\tbytes 5-7/99 \r\nX-Own: what\r\nDates: x\r\n"
			     "Transfer-Encoding: Chunked\r\nRetry-After: 9\r\n\r\n");

	(void)state;
	assert_true(h.chunked && h.has_range);
	assert_int_equal(h.date_s, 784111777);
	assert_int_equal(h.range_offset, 5);
	assert_int_equal(h.range_len, 3);
	assert_int_equal(h.range_total, 99);
	assert_string_equal(h.wanted, "what");
	assert_int_equal(h.retry_s, 9);
	/* Another block, another answer. */
	h = head_of("x-own", "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nX-Own: what\nRetry-After: 9\n"
			     "Content-Range: bytes 5-7/99\nTransfer-Encoding: chunked\n"
			     "HTTP/1.1 200 OK\r\n");
	assert_true(!h.chunked && !h.has_range && h.date_s == -1 && h.retry_s == -1);
	assert_string_equal(h.wanted, "");
	/* What comes twice. */
	h = head_of(NULL, "Date: Sun, 06 Nov 1994 08:49:37 GMT\nDate: never\n"
			  "Content-Range: bytes 5-7/99\nContent-Range: bytes 5-7/*\n"
			  "Transfer-Encoding: chunked\nTransfer-Encoding: gzip, chunked\n");
	assert_true(!h.chunked && !h.has_range && h.date_s == -1);
}

static void bad_lines_say_nothing(void **state)
{
	static const char *const ranges[] = {
	    "bytes 7-5/99", "bytes 5-99/99",    "bytes 5-7/",
	    "bytes -7/99",  "bytes 5-7/99x",    "items 5-7/99",
	    "bytes 5-7",    "bytes 5 - 7 / 99", "bytes 0-18446744073709551616/18446744073709551617",
	};
	char line[HTTPHEAD_LINE_BYTES + 1] = "Date: Sun, 06 Nov 1994 08:49:37 GMT";
	struct httphead h;

	(void)state;
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		char text[100];

		(void)snprintf(text, sizeof(text), "Content-Range: %s", ranges[i]);
		if (head_of(NULL, text).has_range)
			fail_msg("%s", text);
	}
	assert_false(head_of(NULL, "Date").has_range);
	/* One that is too long for its place, one with a zero byte, and a line too long for any. */
	memset(line, 'x', 2 + HTTPHEAD_WANTED_CHARS);
	line[1] = ':';
	line[2 + HTTPHEAD_WANTED_CHARS] = '\0';
	assert_string_equal(head_of("x", line).wanted, "");
	line[2 + HTTPHEAD_WANTED_CHARS - 1] = '\0';
	assert_int_equal(strlen(head_of("x", line).wanted), HTTPHEAD_WANTED_CHARS - 1);
	httphead_init(&h);
	httphead_line(&h, "x", "x:a\0b", 5);
	assert_string_equal(h.wanted, "");
	memset(line, ' ', sizeof(line));
	memcpy(line, "Retry-After:", 12);
	line[HTTPHEAD_LINE_BYTES - 2] = '7';
	httphead_line(&h, NULL, line, sizeof(line));
	assert_int_equal(h.retry_s, 7);
	line[HTTPHEAD_LINE_BYTES - 1] = '7';
	httphead_line(&h, NULL, line, HTTPHEAD_LINE_BYTES);
	assert_int_equal(h.retry_s, 7);
}

static void waits(void **state)
{
	static const struct {
		const char *lines;
		int want;
	} table[] = {
	    {"", 0},
	    {"Retry-After: 7", 7},
	    {"Retry-After: 70000", 100},
	    {"Retry-After: 18446744073709551615", 100},
	    {"Retry-After: 18446744073709551616", 0},
	    {"Retry-After: -7", 0},
	    {"Retry-After: 7 s", 0},
	    {"Retry-After: Sun, 06 Nov 1994 08:49:37 GMT", 0},
	    {"Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\nDate: Sun, 06 Nov 1994 08:49:30 GMT", 7},
	    {"Date: Sun, 06 Nov 1994 08:49:30 GMT\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT", 7},
	    {"Retry-After: Mon, 07 Nov 1994 08:49:37 GMT\nDate: Sun, 06 Nov 1994 08:49:30 GMT",
	     100},
	    {"Retry-After: Sun, 06 Nov 1994 08:49:20 GMT\nDate: Sun, 06 Nov 1994 08:49:30 GMT", 0},
	    {"Retry-After: 7\nRetry-After: later", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct httphead h = head_of(NULL, table[i].lines);

		if (httphead_wait_s(&h, 100) != table[i].want)
			fail_msg("%s: %d", table[i].lines, httphead_wait_s(&h, 100));
	}
}

static void a_body_becomes_a_line(void **state)
{
	char out[9];

	(void)state;
	httphead_body_line("\n so\n\t\001bad<> ", 13, out, sizeof(out));
	assert_string_equal(out, "so bad<>");
	httphead_body_line("123456789", 9, out, sizeof(out));
	assert_string_equal(out, "12345678");
	httphead_body_line("\377\0", 2, out, sizeof(out));
	assert_string_equal(out, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(times),          cmocka_unit_test(days_follow_one_another),
	    cmocka_unit_test(lines_are_read), cmocka_unit_test(bad_lines_say_nothing),
	    cmocka_unit_test(waits),          cmocka_unit_test(a_body_becomes_a_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
