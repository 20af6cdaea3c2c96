#include "core/httphead.h"

#include <string.h>

#define DAY_S 86400

/* What is left of a line. */
struct text {
	const char *p;
	size_t len;
};

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool take(struct text *t, const char *word)
{
	size_t len = strlen(word);

	if (t->len < len)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (lower(t->p[i]) != lower(word[i]))
			return false;
	}
	t->p += len;
	t->len -= len;
	return true;
}

/* All digits that there are, at least one; false for more than 64 bits. */
static bool number(struct text *t, uint64_t *out)
{
	size_t before = t->len;

	*out = 0;
	for (; t->len && *t->p >= '0' && *t->p <= '9'; t->p++, t->len--) {
		uint64_t digit = (uint64_t)(*t->p - '0');

		if (*out > (UINT64_MAX - digit) / 10)
			return false;
		*out = *out * 10 + digit;
	}
	return t->len != before;
}

/* --- times --- */

struct date {
	unsigned year, month, day, second; /* of the day */
};

/* Exactly count of them. */
static bool digits(struct text *t, size_t count, unsigned *out)
{
	struct text part = {t->p, count};
	uint64_t n;

	if (t->len < count || !number(&part, &n) || part.len)
		return false;
	*out = (unsigned)n;
	t->p += count;
	t->len -= count;
	return true;
}

static bool take_month(struct text *t, unsigned *out)
{
	static const char *const names[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
					    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

	for (unsigned i = 0; i < 12; i++) {
		if (take(t, names[i])) {
			*out = i + 1;
			return true;
		}
	}
	return false;
}

static bool take_clock(struct text *t, unsigned *out)
{
	unsigned h, m, s;

	if (!digits(t, 2, &h) || !take(t, ":") || !digits(t, 2, &m) || !take(t, ":") ||
	    !digits(t, 2, &s))
		return false;
	*out = (h * 60 + m) * 60 + s;
	return h < 24 && m < 60 && s <= 60; /* one that is put in */
}

/* "06 Nov 1994 08:49:37 GMT", or of old "06-Nov-94 08:49:37 GMT" */
static bool take_date(struct text *t, struct date *d)
{
	bool old;

	if (!digits(t, 2, &d->day))
		return false;
	old = t->len && *t->p == '-';
	if (!take(t, old ? "-" : " ") || !take_month(t, &d->month) || !take(t, old ? "-" : " ") ||
	    !digits(t, old ? 2 : 4, &d->year))
		return false;
	if (old)
		d->year += d->year < 70 ? 2000 : 1900;
	return take(t, " ") && take_clock(t, &d->second) && take(t, " ") &&
	       (take(t, "GMT") || take(t, "UTC"));
}

/* "Nov  6 08:49:37 1994", as asctime writes it */
static bool take_asctime(struct text *t, struct date *d)
{
	if (!take_month(t, &d->month) || !take(t, " ") ||
	    !(take(t, " ") ? digits(t, 1, &d->day) : digits(t, 2, &d->day)))
		return false;
	return take(t, " ") && take_clock(t, &d->second) && take(t, " ") && digits(t, 4, &d->year);
}

static bool is_leap(unsigned year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int64_t seconds_of(const struct date *d)
{
	static const unsigned before[] = {0,   31,  59,  90,  120, 151, 181,
					  212, 243, 273, 304, 334, 365};
	unsigned leap = is_leap(d->year), past = d->year - 1;
	unsigned month_days = before[d->month] - before[d->month - 1] + (d->month == 2 ? leap : 0);
	int64_t days;

	if (d->year < 1970 || d->day < 1 || d->day > month_days)
		return -1;
	/* Of the years before, less those before 1970. */
	days = (int64_t)past * 365 + past / 4 - past / 100 + past / 400 - 719162;
	days += before[d->month - 1] + (d->month > 2 ? leap : 0) + d->day - 1;
	return days * DAY_S + d->second;
}

int64_t httphead_time(const void *text, size_t len)
{
	struct text t = {text, len};
	struct date d = {0};
	size_t name = 0;
	bool good;

	while (name < len && lower(t.p[name]) >= 'a' && lower(t.p[name]) <= 'z')
		name++;
	if (name < 3)
		return -1;
	t.p += name;
	t.len -= name;
	good = take(&t, ", ") ? take_date(&t, &d) : take(&t, " ") && take_asctime(&t, &d);
	return good && t.len == 0 ? seconds_of(&d) : -1;
}

/* --- lines --- */

/* "bytes 0-499/1234" */
static void read_range(struct httphead *head, struct text value)
{
	uint64_t first, last, total;

	head->has_range = false;
	if (!take(&value, "bytes ") || !number(&value, &first) || !take(&value, "-") ||
	    !number(&value, &last) || !take(&value, "/") || !number(&value, &total) || value.len)
		return;
	if (first > last || last >= total)
		return;
	head->has_range = true;
	head->range_offset = first;
	head->range_len = last - first + 1;
	head->range_total = total;
}

static void read_retry(struct httphead *head, struct text value)
{
	struct text t = value;
	uint64_t n;

	head->retry_s = -1;
	head->retry_at_s = httphead_time(value.p, value.len);
	if (number(&t, &n) && t.len == 0)
		head->retry_s = n > INT64_MAX ? INT64_MAX : (int64_t)n;
}

static void read_wanted(struct httphead *head, struct text value)
{
	head->wanted[0] = '\0';
	if (value.len >= sizeof(head->wanted) || memchr(value.p, '\0', value.len))
		return;
	memcpy(head->wanted, value.p, value.len);
	head->wanted[value.len] = '\0';
}

void httphead_init(struct httphead *head)
{
	*head = (struct httphead){.date_s = -1, .retry_s = -1, .retry_at_s = -1};
}

static bool is_header(struct text *t, const char *name)
{
	struct text value = *t;

	if (!take(&value, name) || !take(&value, ":"))
		return false;
	for (; value.len && is_blank(*value.p); value.p++)
		value.len--;
	*t = value;
	return true;
}

void httphead_line(struct httphead *head, const char *want, const void *line, size_t len)
{
	struct text t = {line, len}, chunked;

	while (t.len && is_blank(t.p[t.len - 1]))
		t.len--;
	if (t.len == 0 || t.len >= HTTPHEAD_LINE_BYTES)
		return;
	if (t.len >= 5 && memcmp(t.p, "HTTP/", 5) == 0) {
		httphead_init(head);
	} else if (is_header(&t, "Date")) {
		head->date_s = httphead_time(t.p, t.len);
	} else if (is_header(&t, "Content-Range")) {
		read_range(head, t);
	} else if (is_header(&t, "Retry-After")) {
		read_retry(head, t);
	} else if (is_header(&t, "Transfer-Encoding")) {
		chunked = t;
		head->chunked = take(&chunked, "chunked") && chunked.len == 0;
	} else if (want && is_header(&t, want)) {
		read_wanted(head, t);
	}
}

int httphead_wait_s(const struct httphead *head, int most_s)
{
	int64_t wait = 0;

	if (head->retry_s >= 0)
		wait = head->retry_s;
	else if (head->retry_at_s >= 0 && head->date_s >= 0)
		wait = head->retry_at_s - head->date_s;
	if (wait < 0)
		return 0;
	return wait > most_s ? most_s : (int)wait;
}

void httphead_body_line(const void *body, size_t len, char *out, size_t out_size)
{
	const char *p = body;
	size_t n = 0;

	for (size_t i = 0; i < len && n + 1 < out_size; i++) {
		if (p[i] > ' ' && p[i] < 0x7f)
			out[n++] = p[i];
		else if (n && out[n - 1] != ' ')
			out[n++] = ' ';
	}
	while (n && out[n - 1] == ' ')
		n--;
	out[n] = '\0';
}
