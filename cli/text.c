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
