#include "core/retention.h"

#include <stdlib.h>
#include <string.h>

#define NS_PER_S INT64_C(1000000000)
#define COUNT_MOST INT64_C(1000000000)

/* --- the calendar --- */

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static int64_t offset_at(const struct retention_policy *p, int64_t utc_s)
{
	return p->utc_offset_s ? p->utc_offset_s(utc_s) : 0;
}

/* Days since 1970-01-01 of a day of the Gregorian calendar; month from 1, any number of days. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = floor_div(y, 400), of_era = y - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void civil_of(int64_t days, int64_t *out_year, int64_t *out_month, int64_t *out_day)
{
	int64_t z = days + 719468, era = floor_div(z, 146097), of_era = z - era * 146097;
	int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
	int64_t month = (5 * of_year + 2) / 153;

	*out_day = of_year - (153 * month + 2) / 5 + 1;
	*out_month = month < 10 ? month + 3 : month - 9;
	*out_year = year + era * 400 + (*out_month <= 2);
}

int64_t retention_bucket(const struct retention_policy *policy, enum retention_unit unit,
			 int64_t utc_s)
{
	int64_t local = utc_s + offset_at(policy, utc_s), days = floor_div(local, 86400);
	int64_t year, month, day;

	civil_of(days, &year, &month, &day);
	switch (unit) {
	case RETENTION_HOURLY:
		return floor_div(local, 3600);
	case RETENTION_DAILY:
		return days;
	case RETENTION_WEEKLY:
		return floor_div(days + 3, 7); /* 1970 began on a Thursday */
	case RETENTION_MONTHLY:
		return year * 12 + month;
	case RETENTION_YEARLY:
		return year;
	case RETENTION_LAST:
		break;
	}
	return 0;
}

int64_t retention_before(const struct retention_policy *policy, const struct retention_span *span,
			 int64_t utc_s)
{
	int64_t offset = offset_at(policy, utc_s), local = utc_s + offset;
	int64_t days = floor_div(local, 86400), year, month, day, months;

	civil_of(days, &year, &month, &day);
	months = (year - span->years) * 12 + month - 1 - span->months;
	local -= days * 86400;
	days = days_of(floor_div(months, 12), months - floor_div(months, 12) * 12 + 1, day);
	local += (days - span->days) * 86400;
	/* The clocks may have been changed in between; where they were at that time decides. */
	offset = offset_at(policy, local - offset);
	return local - offset - (int64_t)span->hours * 3600;
}

/* --- words --- */

bool retention_policy_empty(const struct retention_policy *policy)
{
	for (size_t u = 0; u < RETENTION_UNITS; u++)
		if (policy->count[u] || policy->within[u].given)
			return false;
	return !policy->keep_tagged;
}

/* Decimal digits at *text, at most most; leaves *text behind them. -1: none, or more. */
static int64_t parse_digits(const char **text, int64_t most)
{
	int64_t n = **text >= '0' && **text <= '9' ? 0 : -1;

	for (; **text >= '0' && **text <= '9'; ++*text) {
		n = n * 10 + (**text - '0');
		if (n > most)
			return -1;
	}
	return n;
}

int retention_parse_count(const char *word, const char *text, int64_t *out_count, struct err *err)
{
	const char *at = text;
	int64_t n;

	if (strcmp(text, "-1") == 0 || strcmp(text, "unlimited") == 0) {
		*out_count = RETENTION_UNLIMITED;
		return 0;
	}
	n = parse_digits(&at, COUNT_MOST);
	if (n < 1 || *at)
		return err_set(err, ERR_USAGE,
			       "%s: '%.40s' is not a number of backups: at least 1, or 'unlimited'",
			       word, text);
	*out_count = n;
	return 0;
}

/* The field of a unit's letter, and the most that it may be: within what times can say. */
static uint32_t *span_field(struct retention_span *span, char letter, int64_t *out_most)
{
	switch (letter) {
	case 'y':
		*out_most = 9999;
		return &span->years;
	case 'm':
		*out_most = 99999;
		return &span->months;
	case 'd':
		*out_most = 3650000;
		return &span->days;
	case 'h':
		*out_most = 87600000;
		return &span->hours;
	default:
		return NULL;
	}
}

static bool parse_parts(const char *text, struct retention_span *span)
{
	char seen[4];
	size_t count = 0;

	while (*text) {
		int64_t most = 0, n = parse_digits(&text, 87600000);
		uint32_t *field = span_field(span, *text, &most);

		if (n < 0 || !field || n > most || (count && memchr(seen, *text, count)))
			return false;
		seen[count++] = *text++;
		*field = (uint32_t)n;
	}
	return span->years || span->months || span->days || span->hours;
}

int retention_parse_span(const char *word, const char *text, struct retention_span *out_span,
			 struct err *err)
{
	struct retention_span span = {.given = true, .unlimited = strcmp(text, "unlimited") == 0};

	if (!span.unlimited && !parse_parts(text, &span))
		return err_set(err, ERR_USAGE,
			       "%s: '%.40s' is no duration: such as 2y5m7d3h (years, months, days, "
			       "hours), or 'unlimited'",
			       word, text);
	*out_span = span;
	return 0;
}

/* --- order --- */

static int by_age(const struct retention_item *x, const struct retention_item *y)
{
	int order = memcmp(x->writer, y->writer, 32);

	if (order == 0)
		order = (x->sequence > y->sequence) - (x->sequence < y->sequence);
	if (order == 0)
		order = (x->time_ns > y->time_ns) - (x->time_ns < y->time_ns);
	return order ? order : id_cmp(x->name, y->name);
}

static int by_set(const void *a, const void *b)
{
	const struct retention_item *x = a, *y = b;
	int order = id_cmp(&x->set, &y->set);

	return order ? order : by_age(x, y);
}

static int by_group(const void *a, const void *b)
{
	const struct retention_item *const *x = a, *const *y = b;
	int order = id_cmp((*x)->group, (*y)->group);

	return order ? order : by_age(*x, *y);
}

/* --- rules for all --- */

static bool same_chain(const struct retention_item *a, const struct retention_item *b)
{
	return id_eq(a->group, b->group) && memcmp(a->writer, b->writer, 32) == 0;
}

/* Of one (writer, group), oldest first: its newest, all of them where it forked, and the newest of each better rank. */
static void protect_chain(struct retention_item *const *v, size_t n)
{
	enum retention_rank best = RETENTION_RANK_FAILED + 1;

	for (size_t i = n; i-- > 0;) {
		if (v[i]->sequence == v[n - 1]->sequence)
			v[i]->reasons |= RETENTION_NEWEST;
		if (v[i]->rank < best && v[i]->rank != RETENTION_RANK_FAILED)
			v[i]->reasons |= RETENTION_CLEAN;
		best = v[i]->rank < best ? v[i]->rank : best;
	}
}

static int64_t seconds_of(int64_t ns)
{
	return floor_div(ns, NS_PER_S);
}

static void protect_time(const struct retention_policy *p, struct retention_item *item)
{
	int64_t now_s = seconds_of(p->now_ns);

	if (item->time_ns > p->now_ns)
		item->reasons |= RETENTION_FUTURE;
	if (p->min_age.given &&
	    (p->min_age.unlimited ||
	     seconds_of(item->time_ns) > retention_before(p, &p->min_age, now_s)))
		item->reasons |= RETENTION_YOUNG;
	if (!item->considered)
		item->reasons |= RETENTION_OUTSIDE;
}

int retention_protect(const struct retention_policy *policy, struct retention_item *items,
		      size_t count, struct err *err)
{
	struct retention_item **v;
	size_t end;

	if (count == 0)
		return 0;
	v = calloc(count, sizeof(struct retention_item *));
	if (!v)
		return err_nomem(err);
	for (size_t i = 0; i < count; i++) {
		v[i] = &items[i];
		items[i].reasons = 0;
		if (!items[i].retired)
			protect_time(policy, &items[i]);
	}
	qsort(v, count, sizeof(struct retention_item *), by_group);
	for (size_t i = 0; i < count; i = end) {
		for (end = i + 1; end < count && same_chain(v[i], v[end]);)
			end++;
		protect_chain(v + i, end - i);
	}
	free(v);
	return 0;
}

/* --- the policy --- */

/* One reading of a judged set, oldest first. */
struct reading {
	const struct retention_policy *policy;
	struct retention_item **v;
	int64_t *at_s;
	size_t n;
};

/* A claim counts as no earlier than those before it: junk that came later cannot go before them. */
static void read_raised(struct reading *r)
{
	int64_t now_s = seconds_of(r->policy->now_ns);

	for (size_t i = 0; i < r->n; i++) {
		int64_t claim = seconds_of(r->v[i]->time_ns);

		r->at_s[i] = claim < now_s ? claim : now_s;
		if (i && r->at_s[i] < r->at_s[i - 1])
			r->at_s[i] = r->at_s[i - 1];
	}
}

/* Or as no later than those after it: junk with a late date cannot drag them all into its bucket. */
static void read_lowered(struct reading *r)
{
	int64_t now_s = seconds_of(r->policy->now_ns);

	for (size_t i = r->n; i-- > 0;) {
		int64_t claim = seconds_of(r->v[i]->time_ns);

		r->at_s[i] = claim < now_s ? claim : now_s;
		if (i + 1 < r->n && r->at_s[i] > r->at_s[i + 1])
			r->at_s[i] = r->at_s[i + 1];
	}
}

/* Whether this reading takes a backup's time as it claims it. */
static bool is_believed(const struct reading *r, size_t i)
{
	return r->at_s[i] == seconds_of(r->v[i]->time_ns);
}

/* The first of the best in a bucket, of all and of those that are believed; the latter may be none (n). */
struct winners {
	size_t all, believed;
};

/* Of the bucket that v[i] is the last of; *out_next: where the bucket before ends, plus one. */
static struct winners bucket_winners(const struct reading *r, enum retention_unit unit, size_t i,
				     size_t *out_next)
{
	int64_t bucket = retention_bucket(r->policy, unit, r->at_s[i]);
	struct winners w = {.all = i, .believed = r->n};
	size_t at = i + 1;

	while (at > 0 && retention_bucket(r->policy, unit, r->at_s[at - 1]) == bucket) {
		at--;
		if (r->v[at]->rank <= r->v[w.all]->rank)
			w.all = at;
		if (is_believed(r, at) &&
		    (w.believed == r->n || r->v[at]->rank <= r->v[w.believed]->rank))
			w.believed = at;
	}
	*out_next = at;
	return w;
}

/* What was moved here from another date costs nothing its place that is here by its own. */
static void keep_winners(const struct reading *r, const struct winners *w, uint32_t reason)
{
	r->v[w->all]->reasons |= reason;
	if (w->believed < r->n)
		r->v[w->believed]->reasons |= reason;
}

/*
 * A bucket lies within a span when any of it does, whatever is left in it: were the winner's own time to decide, it would go as soon as
 * those that it won against have gone.
 */
static void apply_unit(const struct reading *r, enum retention_unit unit)
{
	const struct retention_span *span = &r->policy->within[unit];
	int64_t left = r->policy->count[unit], latest = r->at_s[r->n - 1], first = INT64_MIN;

	if (left == 0 && !span->given)
		return;
	if (span->given && !span->unlimited)
		first =
		    retention_bucket(r->policy, unit, retention_before(r->policy, span, latest));
	for (size_t next = r->n; next > 0;) {
		size_t last = next - 1;
		struct winners w = bucket_winners(r, unit, last, &next);

		if (left != 0)
			keep_winners(r, &w, RETENTION_KEPT(unit));
		left -= left > 0;
		if (span->given && retention_bucket(r->policy, unit, r->at_s[last]) >= first)
			keep_winners(r, &w, RETENTION_WITHIN(unit));
	}
}

static void apply_within(const struct reading *r)
{
	const struct retention_span *span = &r->policy->within[RETENTION_LAST];
	int64_t after = INT64_MIN;

	if (!span->given)
		return;
	if (!span->unlimited)
		after = retention_before(r->policy, span, r->at_s[r->n - 1]);
	for (size_t i = 0; i < r->n; i++)
		if (r->at_s[i] > after)
			r->v[i]->reasons |= RETENTION_WITHIN(RETENTION_LAST);
}

static void apply_plain(const struct reading *r)
{
	int64_t left = r->policy->count[RETENTION_LAST];

	r->v[r->n - 1]->reasons |= RETENTION_NEWEST;
	for (size_t i = r->n; i-- > 0;) {
		if (left != 0)
			r->v[i]->reasons |= RETENTION_KEPT(RETENTION_LAST);
		left -= left > 0;
		if (r->policy->keep_tagged && r->v[i]->tagged)
			r->v[i]->reasons |= RETENTION_TAGGED;
	}
}

/*
 * What is removed no longer bounds the times of the others; so the rest is judged again until nothing more goes, and a second run with the
 * same words removes nothing.
 */
static void judge_set(struct reading *r)
{
	size_t before;

	do {
		before = r->n;
		for (size_t i = 0; i < r->n; i++)
			r->v[i]->reasons &= ~RETENTION_BY_POLICY;
		apply_plain(r);
		for (int lowered = 0; lowered < 2; lowered++) {
			if (lowered)
				read_lowered(r);
			else
				read_raised(r);
			apply_within(r);
			for (size_t u = RETENTION_HOURLY; u < RETENTION_UNITS; u++)
				apply_unit(r, (enum retention_unit)u);
		}
		r->n = 0;
		for (size_t i = 0; i < before; i++)
			if (r->v[i]->reasons)
				r->v[r->n++] = r->v[i];
	} while (r->n > 0 && r->n < before);
}

static bool same_set(const struct retention_item *a, const struct retention_item *b)
{
	return id_eq(&a->set, &b->set) && memcmp(a->writer, b->writer, 32) == 0;
}

int retention_judge(const struct retention_policy *policy, struct retention_item *items,
		    size_t count, struct err *err)
{
	struct reading r = {.policy = policy};
	size_t end;
	int rc = retention_protect(policy, items, count, err);

	if (rc != 0 || count == 0)
		return rc;
	r.v = calloc(count, sizeof(struct retention_item *));
	r.at_s = calloc(count, sizeof(*r.at_s));
	if (!r.v || !r.at_s)
		rc = err_nomem(err);
	if (rc == 0)
		qsort(items, count, sizeof(*items), by_set);
	for (size_t i = 0; rc == 0 && i < count; i = end) {
		r.n = 0;
		for (end = i; end < count && same_set(&items[i], &items[end]); end++)
			if (items[end].considered && !items[end].retired)
				r.v[r.n++] = &items[end];
		if (r.n)
			judge_set(&r);
	}
	free(r.v);
	free(r.at_s);
	return rc;
}
