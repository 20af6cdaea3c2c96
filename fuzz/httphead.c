/* The header lines of an HTTP answer, the first of them the name of one more to look for, and the same as the body of an error. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/httphead.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MOST_WAIT_S 3600

/* Whatever form it came in, written in the usual one it is the same time. */
static void same_time(int64_t at_s)
{
	time_t at = (time_t)at_s;
	char text[64];
	struct tm tm;
	size_t len;

	if (at_s == -1)
		return;
	if (at_s < 0 || !gmtime_r(&at, &tm))
		abort();
	len = strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	/* A second put in at the end of 9999 is of 10000. */
	if (tm.tm_year + 1900 < 10000 && httphead_time(text, len) != at_s)
		abort();
}

static void check(const struct httphead *head)
{
	int wait = httphead_wait_s(head, MOST_WAIT_S);

	same_time(head->date_s);
	same_time(head->retry_at_s);
	if (wait < 0 || wait > MOST_WAIT_S || head->retry_s < -1)
		abort();
	if (head->has_range && (head->range_len == 0 || head->range_offset >= head->range_total ||
				head->range_len > head->range_total - head->range_offset))
		abort();
	if (!memchr(head->wanted, '\0', sizeof(head->wanted)))
		abort();
}

static void body(const uint8_t *data, size_t size)
{
	char out[40];

	httphead_body_line(data, size, out, sizeof(out));
	for (const char *p = out; *p; p++) {
		if (*p < ' ' || *p > '~' || (*p == ' ' && (p == out || p[1] == ' ' || !p[1])))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
	size_t first = end ? (size_t)(end - data) : size;
	struct httphead head;
	char want[32] = "";

	if (first)
		memcpy(want, data, first < sizeof(want) - 1 ? first : sizeof(want) - 1);
	httphead_init(&head);
	body(data, size);
	for (size_t at = first + 1; at < size;) {
		end = memchr(data + at, '\n', size - at);
		first = end ? (size_t)(end - data) + 1 - at : size - at;
		httphead_line(&head, want[0] ? want : NULL, data + at, first);
		check(&head);
		at += first;
	}
	return 0;
}
