/*
 * retention: which backups a policy keeps (DESIGN §5, FORMAT.md §8 "Retire record"). Pure: no clock, no zone, no names; the caller says what
 * it is now, what a zone's offset is, and which backups belong together.
 *
 * Backups of one set (a group of --group-by) and one writer are judged together, so no writer can push out another's. Their order is that
 * of their sequences. Times are claims: none counts as later than now, and none as earlier than that of a backup before it, nor - in a second
 * reading - as later than one after it; where both readings differ, what either keeps is kept. So neither an early nor a late date on
 * later junk costs a good backup. In a bucket (an hour, day, week from Monday, month, year of the calendar) the first backup wins, among
 * the best there are: clean before unchecked before failed; so does the first among those whose own time is in it.
 *
 * Kept whatever the policy says: the newest of a (writer, group), of a judged set, and the newest whose databases passed their check; what is
 * younger than min_age; what claims a time that is still to come.
 */
#ifndef NIGHTJAR_CORE_RETENTION_H
#define NIGHTJAR_CORE_RETENTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "core/id.h"

enum retention_unit {
	RETENTION_LAST, /* of a span: whatever is within it */
	RETENTION_HOURLY,
	RETENTION_DAILY,
	RETENTION_WEEKLY,
	RETENTION_MONTHLY,
	RETENTION_YEARLY
};
#define RETENTION_UNITS 6

/* "2y5m7d3h" of the calendar. {0} = not given. */
struct retention_span {
	bool given, unlimited;
	uint32_t years, months, days, hours;
};

#define RETENTION_UNLIMITED INT64_C(-1)

struct retention_policy {
	int64_t count[RETENTION_UNITS]; /* 0 = not given, RETENTION_UNLIMITED */
	struct retention_span within[RETENTION_UNITS];
	bool keep_tagged; /* items say themselves whether they are */
	struct retention_span min_age;
	int64_t now_ns;
	/* Seconds to add to UTC at this time, for the calendar's bounds. NULL = UTC. */
	int32_t (*utc_offset_s)(int64_t utc_s);
};

/* Why something is kept; reasons of both readings together. */
#define RETENTION_KEPT(unit) (UINT32_C(1) << (unit))
#define RETENTION_WITHIN(unit) (UINT32_C(1) << (RETENTION_UNITS + (unit)))
#define RETENTION_TAGGED (UINT32_C(1) << 12)
#define RETENTION_NEWEST (UINT32_C(1) << 13)  /* of its (writer, group), or of what was judged */
#define RETENTION_CLEAN (UINT32_C(1) << 14)   /* the newest whose databases passed their check */
#define RETENTION_YOUNG (UINT32_C(1) << 15)   /* min_age */
#define RETENTION_FUTURE (UINT32_C(1) << 16)  /* its time is still to come */
#define RETENTION_OUTSIDE (UINT32_C(1) << 17) /* not considered */
/* What the words of a policy keep, rather than the rules that hold for all. */
#define RETENTION_BY_POLICY ((UINT32_C(1) << 13) - 1)
/* What no word, no explicit name and no earlier record removes. */
#define RETENTION_NEVER (RETENTION_NEWEST | RETENTION_CLEAN)

enum retention_rank { RETENTION_RANK_CLEAN, RETENTION_RANK_UNCHECKED, RETENTION_RANK_FAILED };

/* One backup. */
struct retention_item {
	const uint8_t *writer; /* 32 bytes */
	uint64_t sequence;
	int64_t time_ns;
	const struct id *name, *group; /* the manifest's */
	struct id set;                 /* of --group-by */
	enum retention_rank rank;      /* the worst of its databases */
	bool considered;               /* no filter excludes it */
	bool tagged;                   /* with a tag to keep */
	bool
	    retired; /* a record retires it: it counts for nothing, and is not kept but by the rules for all */
	void *cookie;     /* the caller's */
	uint32_t reasons; /* out; 0 = to be removed */
};

/* Gives every item its reasons, and sorts them by set, writer, sequence. ERR_NOMEM. */
int retention_judge(const struct retention_policy *policy, struct retention_item *items,
		    size_t count, struct err *err) ERR_UNUSED_WARN;
/* Only the reasons that hold without a policy: RETENTION_NEVER, YOUNG, FUTURE. For removing by name. ERR_NOMEM. */
int retention_protect(const struct retention_policy *policy, struct retention_item *items,
		      size_t count, struct err *err) ERR_UNUSED_WARN;

/* Nothing is said about what to keep. */
bool retention_policy_empty(const struct retention_policy *policy);

/* "7", "-1" and "unlimited"; what is not a number of at least 1 is ERR_USAGE, naming word. */
int retention_parse_count(const char *word, const char *text, int64_t *out_count,
			  struct err *err) ERR_UNUSED_WARN;
/* "2y5m7d3h" in any order, each unit once, or "unlimited". ERR_USAGE naming word; a span of nothing is one. */
int retention_parse_span(const char *word, const char *text, struct retention_span *out_span,
			 struct err *err) ERR_UNUSED_WARN;

/* The bucket of a time, ever higher with it. For tests. unit: not LAST. */
int64_t retention_bucket(const struct retention_policy *policy, enum retention_unit unit,
			 int64_t utc_s);
/* The time a span before another, in seconds. For tests. */
int64_t retention_before(const struct retention_policy *policy, const struct retention_span *span,
			 int64_t utc_s);

#endif
