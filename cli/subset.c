#include "cli/subset.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#define PERCENT_PARTS 1000000u /* of one percent: what can be said behind the point */

/* Digits only: strtoull takes signs and blanks, too. */
static bool number(const char **at, uint64_t *out)
{
	char *end;

	if (**at < '0' || **at > '9')
		return false;
	errno = 0;
	*out = strtoull(*at, &end, 10);
	*at = end;
	return errno == 0;
}

static bool parse_nth(const char *text, struct check_options *o)
{
	uint64_t n, t;

	if (!number(&text, &n) || *text++ != '/' || !number(&text, &t) || *text || n < 1 || n > t)
		return false;
	o->part = CHECK_ARC;
	o->arc = rotation_nth(n, t);
	return true;
}

/* "2.5" in millionths. */
static bool parse_decimal(const char **at, uint64_t *out)
{
	uint64_t unit = PERCENT_PARTS;

	if (!number(at, out) || *out > 100)
		return false;
	*out *= PERCENT_PARTS;
	if (**at != '.')
		return true;
	for (++*at; **at >= '0' && **at <= '9' && unit > 1; ++*at) {
		unit /= 10;
		*out += (uint64_t)(**at - '0') * unit;
	}
	return true;
}

static bool parse_percent(const char *text, uint64_t from, struct check_options *o)
{
	uint64_t share;

	if (!parse_decimal(&text, &share) || strcmp(text, "%") != 0 || share == 0 ||
	    share > 100 * (uint64_t)PERCENT_PARTS)
		return false;
	o->part = CHECK_ARC;
	o->arc = rotation_share(from, share, 100 * (uint64_t)PERCENT_PARTS);
	return true;
}

static bool parse_size(const char *text, uint64_t from, struct check_options *o)
{
	static const char units[] = "kmgt";
	const char *unit;
	unsigned shift = 0;
	uint64_t bytes;

	if (!number(&text, &bytes))
		return false;
	unit = *text ? strchr(units, *text | 0x20) : NULL;
	if (unit) {
		shift = 10 * ((unsigned)(unit - units) + 1);
		text++;
	}
	if (*text || bytes == 0 || bytes > UINT64_MAX >> shift)
		return false;
	o->part = CHECK_BYTES;
	o->part_bytes = bytes << shift;
	o->arc = (struct rotation){.from = from};
	return true;
}

int subset_parse(const char *text, struct check_options *options, struct err *err)
{
	uint64_t from;

	randombytes_buf(&from, sizeof(from));
	options->read_data = true;
	if (parse_nth(text, options) || parse_percent(text, from, options) ||
	    parse_size(text, from, options))
		return 0;
	return err_set(err, ERR_USAGE,
		       "--read-data-subset takes a part as 2/5, 10%% or 500M, not '%s'", text);
}
