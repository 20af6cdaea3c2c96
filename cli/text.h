/* text: sizes, times and names as people are shown them. Pure; any thread. */
#ifndef NIGHTJAR_CLI_TEXT_H
#define NIGHTJAR_CLI_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TEXT_SIZE_CHARS 64
#define TEXT_TIME_CHARS 64

/* "0 B", "1023 B", "1.000 KiB", "1.234 MiB", … "15.999 EiB". Cut, not rounded. */
void text_size(uint64_t bytes, char out[TEXT_SIZE_CHARS]);

/* "0", "999", "1,000", "12,000,000". */
void text_count(uint64_t count, char out[TEXT_SIZE_CHARS]);

/* "" for one, "s" for all else: what follows a count in "%llu file%s". */
const char *text_plural(uint64_t count);

/* What part is of whole: "1/870", below ten "1/2.7"; "-" when there is no part or no whole. */
void text_part(uint64_t part, uint64_t whole, char out[TEXT_SIZE_CHARS]);

/* "0:07", "3:15", "1:02:03": minutes and seconds, hours when there are any. */
void text_duration(uint64_t seconds, char out[TEXT_SIZE_CHARS]);

/* "2024-05-01T03:04:05.000000006Z", for JSON. Times outside the years 0–9999 become the nearest of them. */
void text_time_json(int64_t seconds, uint32_t ns, char out[TEXT_TIME_CHARS]);

/* "2024-05-01 03:04:05" in the local zone, for people. */
void text_time_local(int64_t seconds, char out[TEXT_TIME_CHARS]);

/*
 * Reads "2024-05-01 03:04:05" in the local zone, as people type it, into nanoseconds since 1970 UTC. False when it is
 * not exactly that, no such day or second, or outside the years 1678–2261 that nanoseconds can say.
 */
bool text_time_parse(const char *text, int64_t *out_ns);

/*
 * Reads a length of time as 90s, 15m, 36h, 2d or 3w into seconds; a number alone is none. False when it is not exactly that, or more than
 * 100 years.
 */
bool text_span_parse(const char *text, int64_t *out_s);

/* "8 s", "15 min", "36 h", "12 days": the largest unit of which there are at least two. */
void text_age(int64_t seconds, char out[TEXT_TIME_CHARS]);

/*
 * Copies a location without what may be secret in it: the user and password of a URL, and its query; a slash at its end is dropped, too. Cuts what does not fit. "sftp:user@host:/path" is
 * no URL and has no password.
 */
void text_location(const char *location, char *out, size_t out_size);

/*
 * Copies a line with control characters (names and messages may hold newlines and terminal escapes) and bytes that are not
 * UTF-8 written as \n, \t or \x1b. Cuts what does not fit; out_size at least 1. Returns the length written.
 */
size_t text_printable(const char *in, char *out, size_t out_size);

#endif
