#include "cli/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

void text_size(uint64_t bytes, char out[TEXT_SIZE_CHARS])
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	uint64_t unit = 1024, thousandths;
	size_t i = 0;

	if (bytes < 1024) {
		(void)snprintf(out, TEXT_SIZE_CHARS, "%" PRIu64 " B", bytes);
		return;
	}
	while (i + 1 < sizeof(units) / sizeof(units[0]) && bytes / unit >= 1024) {
		unit *= 1024;
		i++;
	}
	/* The unit has zeros below its top bit, so the remainder of an EiB is scaled before the product. */
	thousandths = unit > UINT64_C(1) << 50 ? (bytes % unit >> 10) * 1000 / (unit >> 10)
					       : bytes % unit * 1000 / unit;
	(void)snprintf(out, TEXT_SIZE_CHARS, "%" PRIu64 ".%03" PRIu64 " %s", bytes / unit,
		       thousandths, units[i]);
}

void text_count(uint64_t count, char out[TEXT_SIZE_CHARS])
{
	char digits[24];
	size_t len, to = 0;

	(void)snprintf(digits, sizeof(digits), "%" PRIu64, count);
	len = strlen(digits);
	for (size_t i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			out[to++] = ',';
		out[to++] = digits[i];
	}
	out[to] = '\0';
}

const char *text_plural(uint64_t count)
{
	return count == 1 ? "" : "s";
}

void text_part(uint64_t part, uint64_t whole, char out[TEXT_SIZE_CHARS])
{
	double times = part ? (double)whole / (double)part : 0;

	if (times <= 0)
		(void)snprintf(out, TEXT_SIZE_CHARS, "-");
	else if (times < 9.95)
		(void)snprintf(out, TEXT_SIZE_CHARS, "1/%.1f", times);
	else
		(void)snprintf(out, TEXT_SIZE_CHARS, "1/%.0f", times);
}

void text_duration(uint64_t seconds, char out[TEXT_SIZE_CHARS])
{
	uint64_t hours = seconds / 3600, minutes = seconds / 60 % 60;

	if (hours > 0)
		(void)snprintf(out, TEXT_SIZE_CHARS, "%" PRIu64 ":%02" PRIu64 ":%02" PRIu64, hours,
			       minutes, seconds % 60);
	else
		(void)snprintf(out, TEXT_SIZE_CHARS, "%" PRIu64 ":%02" PRIu64, minutes,
			       seconds % 60);
}

#define YEAR_0_BEGIN INT64_C(-62167219200)
#define YEAR_9999_END INT64_C(253402300799)

static time_t clamped(int64_t seconds)
{
	if (seconds < YEAR_0_BEGIN)
		return (time_t)YEAR_0_BEGIN;
	return (time_t)(seconds > YEAR_9999_END ? YEAR_9999_END : seconds);
}

void text_time_json(int64_t seconds, uint32_t ns, char out[TEXT_TIME_CHARS])
{
	time_t when = clamped(seconds);
	struct tm tm = {0};

	(void)gmtime_r(&when, &tm);
	(void)snprintf(out, TEXT_TIME_CHARS, "%04d-%02d-%02dT%02d:%02d:%02d.%09" PRIu32 "Z",
		       tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
		       tm.tm_sec, ns % 1000000000u);
}

void text_time_local(int64_t seconds, char out[TEXT_TIME_CHARS])
{
	time_t when = clamped(seconds);
	struct tm tm = {0};

	(void)localtime_r(&when, &tm);
	if (strftime(out, TEXT_TIME_CHARS, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		out[0] = '\0';
}

/* The number that the digits of text spell where pattern has '0's. */
static int digits(const char *text, size_t at, size_t count)
{
	int n = 0;

	for (size_t i = at; i < at + count; i++)
		n = 10 * n + (text[i] - '0');
	return n;
}

static bool looks_like_time(const char *text)
{
	static const char pattern[] = "0000-00-00 00:00:00";

	if (strlen(text) != sizeof(pattern) - 1)
		return false;
	for (size_t i = 0; i < sizeof(pattern) - 1; i++) {
		if (pattern[i] == '0' ? text[i] < '0' || text[i] > '9' : text[i] != pattern[i])
			return false;
	}
	return true;
}

bool text_time_parse(const char *text, int64_t *out_ns)
{
	struct tm tm = {.tm_isdst = -1}, asked;
	time_t when;

	if (!looks_like_time(text))
		return false;
	tm.tm_year = digits(text, 0, 4) - 1900;
	tm.tm_mon = digits(text, 5, 2) - 1;
	tm.tm_mday = digits(text, 8, 2);
	tm.tm_hour = digits(text, 11, 2);
	tm.tm_min = digits(text, 14, 2);
	tm.tm_sec = digits(text, 17, 2);
	if (tm.tm_year < 1678 - 1900 || tm.tm_year > 2261 - 1900 || tm.tm_hour > 23 ||
	    tm.tm_min > 59 || tm.tm_sec > 59)
		return false;
	asked = tm;
	when = mktime(&tm);
	/* The 31st of February comes back as a day in March. The hour may move: clocks jump over one in spring. */
	if (tm.tm_year != asked.tm_year || tm.tm_mon != asked.tm_mon || tm.tm_mday != asked.tm_mday)
		return false;
	*out_ns = (int64_t)when * 1000000000;
	return true;
}

bool text_span_parse(const char *text, int64_t *out_s)
{
	static const struct {
		char unit;
		int64_t seconds;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 7 * 86400}};
	const size_t most_digits = 10;
	size_t len = strspn(text, "0123456789");
	int64_t n = 0;

	if (len < 1 || len > most_digits || !text[len] || text[len + 1])
		return false;
	for (size_t i = 0; i < len; i++)
		n = 10 * n + (text[i] - '0');
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (text[len] == units[i].unit) {
			*out_s = n * units[i].seconds;
			return *out_s <= INT64_C(36525) * 86400;
		}
	}
	return false;
}

void text_age(int64_t seconds, char out[TEXT_TIME_CHARS])
{
	static const struct {
		const char *name;
		int64_t seconds;
	} units[] = {{"days", 86400}, {"h", 3600}, {"min", 60}, {"s", 1}};
	size_t i = 0;

	while (i < 3 && seconds < 2 * units[i].seconds)
		i++;
	(void)snprintf(out, TEXT_TIME_CHARS, "%" PRId64 " %s", seconds / units[i].seconds,
		       units[i].name);
}

void text_location(const char *location, char *out, size_t out_size)
{
	const char *host = strstr(location, "://"), *at, *end;
	int head, tail;

	if (!host) {
		(void)snprintf(out, out_size, "%s", location);
		return;
	}
	host += 3;
	end = host + strcspn(host, "/?#");
	/* The last @ of the authority: a password may hold one, too. */
	for (at = end; at > host && at[-1] != '@'; at--)
		;
	head = (int)(host - location);
	tail = (int)strcspn(at, "?#");
	while (tail > 0 && at[tail - 1] == '/')
		tail--;
	(void)snprintf(out, out_size, "%.*s%.*s", head, location, tail, at);
}

/*
 * Bytes of the UTF-8 character at s that a terminal shows as it is; 0 for a control character (C1, which some terminals
 * obey, too) and for what is not UTF-8: a lone 0x9b begins an escape sequence on an 8-bit terminal.
 */
static size_t shown_bytes(const unsigned char *s)
{
	size_t more = s[0] < 0x80 ? 0 : s[0] < 0xc2 ? 4 : s[0] < 0xe0 ? 1 : s[0] < 0xf0 ? 2 : 3;

	if (more == 0)
		return s[0] >= 0x20 && s[0] != 0x7f;
	if (more == 4 || s[0] > 0xf4)
		return 0;
	for (size_t i = 1; i <= more; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((s[0] == 0xc2 && s[1] < 0xa0) || (s[0] == 0xe0 && s[1] < 0xa0) ||
	    (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
	    (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return more + 1;
}

size_t text_printable(const char *in, char *out, size_t out_size)
{
	size_t used = 0, len, shown;
	char escape[8];

	for (; *in; in += shown ? shown : 1) {
		unsigned char c = (unsigned char)*in;

		shown = shown_bytes((const unsigned char *)in);
		if (shown)
			(void)snprintf(escape, sizeof(escape), "%.*s", (int)shown, in);
		else if (c == '\n')
			(void)snprintf(escape, sizeof(escape), "\\n");
		else if (c == '\t')
			(void)snprintf(escape, sizeof(escape), "\\t");
		else
			(void)snprintf(escape, sizeof(escape), "\\x%02x", (unsigned)c);
		len = strlen(escape);
		if (used + len + 1 > out_size)
			break;
		memcpy(out + used, escape, len);
		used += len;
	}
	out[used] = '\0';
	return used;
}
