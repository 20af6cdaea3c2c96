/* retention_kit: backups to be judged by core/retention. Everything here fails the running cmocka test when something is not as said. */
#ifndef NIGHTJAR_TESTS_SUPPORT_RETENTION_KIT_H
#define NIGHTJAR_TESTS_SUPPORT_RETENTION_KIT_H

#include "core/retention.h"

#define RETENTION_KIT_NS INT64_C(1000000000)
#define RETENTION_KIT_DAY INT64_C(86400)
#define RETENTION_KIT_MONDAY INT64_C(1704067200) /* 2024-01-01 00:00:00 UTC */
#define RETENTION_KIT_MANY 4096

struct retention_kit {
	struct retention_policy policy; /* nothing yet; it is years after all backups */
	struct retention_item items[RETENTION_KIT_MANY];
	struct id names[RETENTION_KIT_MANY], groups[RETENTION_KIT_MANY];
	uint8_t writers[RETENTION_KIT_MANY][32];
	size_t count;
};

struct retention_kit *retention_kit_new(void); /* free() */
/* Three a day, at 6, 12 and 18 o'clock, over two weeks from Monday: 42 backups, 3 * day + 0…2. */
struct retention_kit *retention_kit_fortnight(void);
/* One more, numbered from 0 by its sequence less one; clean, of one writer, group and set until it is changed. */
struct retention_item *retention_kit_add(struct retention_kit *b, int64_t at_s);
/* The backup of that number, wherever judging has sorted it. */
struct retention_item *retention_kit_at(struct retention_kit *b, uint64_t number);
void retention_kit_judge(struct retention_kit *b);
/* Judges; the numbers of those that are kept are these: "0 3 4". */
void retention_kit_expect(struct retention_kit *b, const char *want);
/* A zone whose summer time begins 90 days after that Monday. */
int32_t retention_kit_summer(int64_t utc_s);

#endif
