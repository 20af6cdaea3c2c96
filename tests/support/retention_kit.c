#include "tests/support/retention_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/bytes.h"
#include "tests/support/must.h"

#define NS RETENTION_KIT_NS
#define DAY RETENTION_KIT_DAY
#define MONDAY RETENTION_KIT_MONDAY

struct retention_kit *retention_kit_new(void)
{
	struct retention_kit *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	b->policy.now_ns = (MONDAY + 4000 * DAY) * NS;
	return b;
}

struct retention_item *retention_kit_add(struct retention_kit *b, int64_t at_s)
{
	size_t n = b->count++;
	struct retention_item *item = &b->items[n];

	assert_true(n < RETENTION_KIT_MANY);
	b->names[n] = bytes_id(0);
	b->names[n].b[0] = (uint8_t)(n >> 8);
	b->names[n].b[1] = (uint8_t)n;
	b->groups[n] = bytes_id(77);
	*item = (struct retention_item){
	    .writer = b->writers[n],
	    .sequence = n + 1,
	    .time_ns = at_s * NS,
	    .name = &b->names[n],
	    .group = &b->groups[n],
	    .set = bytes_id(77),
	    .considered = true,
	};
	return item;
}

void retention_kit_judge(struct retention_kit *b)
{
	struct err err = {0};

	MUST(retention_judge(&b->policy, b->items, b->count, &err), &err);
}

/* "0 3 4": the numbers of those that are kept, by sequence. */
void retention_kit_expect(struct retention_kit *b, const char *want)
{
	char got[RETENTION_KIT_MANY * 6] = "";
	size_t used = 0;

	retention_kit_judge(b);
	for (size_t i = 0; i < b->count; i++) {
		if (b->items[i].reasons)
			used += (size_t)snprintf(got + used, sizeof(got) - used, "%s%llu",
						 used ? " " : "",
						 (unsigned long long)b->items[i].sequence - 1);
	}
	assert_string_equal(got, want);
}

struct retention_item *retention_kit_at(struct retention_kit *b, uint64_t number)
{
	for (size_t i = 0; i < b->count; i++)
		if (b->items[i].sequence == number + 1)
			return &b->items[i];
	fail();
	return NULL;
}

/* Three a day, at 6, 12 and 18 o'clock, over two weeks from Monday: 42 backups, 3 * day + 0…2. */
struct retention_kit *retention_kit_fortnight(void)
{
	struct retention_kit *b = retention_kit_new();

	for (int i = 0; i < 42; i++)
		(void)retention_kit_add(b, MONDAY + i / 3 * DAY + (i % 3 + 1) * 6 * 3600);
	return b;
}

int32_t retention_kit_summer(int64_t utc_s)
{
	return utc_s < MONDAY + 90 * DAY ? 3600 : 7200;
}
