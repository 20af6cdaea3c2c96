/*
 * httphead: what the header lines of an HTTP answer say (RFC 9110), as far as a store asks. Lines that it does not know, or whose value is
 * not what its header may have, say nothing; of a header that comes twice the last counts. It allocates nothing, whatever it is fed.
 * Pure; one thread uses a struct.
 */
#ifndef NIGHTJAR_CORE_HTTPHEAD_H
#define NIGHTJAR_CORE_HTTPHEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTPHEAD_LINE_BYTES 512u /* longer lines are none of those that are read */
#define HTTPHEAD_WANTED_CHARS 64

/* Of the last block of lines: after a 100 another follows, which begins with its status. */
struct httphead {
	bool chunked;   /* Transfer-Encoding: chunked, and nothing else */
	int64_t date_s; /* Date, seconds since 1970; -1 without a good one */
	bool
	    has_range; /* a good Content-Range of bytes was there; then offset + len <= total, and len > 0: */
	uint64_t range_offset, range_len, range_total;
	char wanted
	    [HTTPHEAD_WANTED_CHARS]; /* the value of the header that was asked for; "" when it was not there, or longer */
	int64_t retry_s;    /* Retry-After as a number; -1 without */
	int64_t retry_at_s; /* Retry-After as a time; -1 without */
};

void httphead_init(struct httphead *head);
/* A line, with or without its end; want is the name of one more header to look for, NULL for none. */
void httphead_line(struct httphead *head, const char *want, const void *line, size_t len);
/*
 * How long to wait before the next try, 0 to most_s; 0 when nothing says. A time is compared with Date, the server's own
 * clock, and says nothing without it.
 */
int httphead_wait_s(const struct httphead *head, int most_s);

/*
 * A time as HTTP writes it, in any of its three forms, seconds since 1970; -1 for anything else, before 1970 and for a day
 * that there is not. The name of the day is not judged. A year of two digits is one from 1970 to 2069.
 */
int64_t httphead_time(const void *text, size_t len);

/* The start of an error's body on one line, for the reader of a message: printable characters, one space for all others. */
void httphead_body_line(const void *body, size_t len, char *out, size_t out_size);

#endif
