/*
 * json: writes one JSON document into memory, always valid: keys and strings are escaped, bytes that
 * are not UTF-8 become U+FFFD, numbers that JSON cannot say (NaN, infinity) become null, 64-bit
 * integers keep every digit. Sticky like core/buf: a failed allocation shows in json_end.
 * No thread shares one.
 *
 * Inside an object every call takes the key; inside an array, and for the document itself, NULL.
 * Calls that break the grammar (a key in an array, a close too many) are our bugs and assert.
 */
#ifndef NIGHTJAR_CLI_JSON_H
#define NIGHTJAR_CLI_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"

#define JSON_DEPTH 16

/* {0} is a document not begun. Free with json_free. */
struct json {
	struct buf text;
	unsigned depth;
	bool is_array[JSON_DEPTH];
	bool has_member[JSON_DEPTH];
};

void json_free(struct json *j);
void json_reset(struct json *j); /* a new document in the same memory */

void json_object(struct json *j, const char *key); /* until json_close */
void json_array(struct json *j, const char *key);
void json_close(struct json *j);

void json_str(struct json *j, const char *key, const char *text); /* NULL text = null */
void json_bytes(struct json *j, const char *key, const void *bytes, size_t len);
void json_u64(struct json *j, const char *key, uint64_t value);
void json_i64(struct json *j, const char *key, int64_t value);
void json_double(struct json *j, const char *key, double value);
void json_bool(struct json *j, const char *key, bool value);
void json_null(struct json *j, const char *key);

/* 0 when the document is whole, or ERR_NOMEM. j->text then holds it, without a newline or NUL. */
int json_end(const struct json *j, struct err *err) ERR_UNUSED_WARN;

#endif
