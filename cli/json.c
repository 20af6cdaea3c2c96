#include "cli/json.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void json_free(struct json *j)
{
	buf_free(&j->text);
	memset(j, 0, sizeof(*j));
}

void json_reset(struct json *j)
{
	buf_reset(&j->text);
	j->depth = 0;
}

static void put_text(struct json *j, const char *text)
{
	buf_put(&j->text, text, strlen(text));
}

/*
 * How many of the left bytes at p are one well-formed character of two bytes or more (Unicode table 3-7:
 * no overlong forms, no surrogates, nothing above U+10FFFF); 0 when they are not.
 */
static size_t utf8_length(const uint8_t *p, size_t left)
{
	uint8_t low = 0x80, high = 0xbf;
	size_t len;

	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	if (left < len || p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++) {
		if (p[i] < 0x80 || p[i] > 0xbf)
			return 0;
	}
	return len;
}

static void put_ascii(struct json *j, uint8_t c)
{
	char escape[8];

	if (c == '"' || c == '\\') {
		buf_put_u8(&j->text, '\\');
		buf_put_u8(&j->text, c);
	} else if (c < 0x20 || c == 0x7f) {
		(void)snprintf(escape, sizeof(escape), "\\u%04x", (unsigned)c);
		put_text(j, escape);
	} else {
		buf_put_u8(&j->text, c);
	}
}

static void put_string(struct json *j, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;
	size_t at = 0, step;

	buf_put_u8(&j->text, '"');
	while (at < len) {
		step = 1;
		if (p[at] < 0x80) {
			put_ascii(j, p[at]);
		} else if ((step = utf8_length(p + at, len - at)) > 0) {
			buf_put(&j->text, p + at, step);
		} else {
			put_text(j, "\xef\xbf\xbd");
			step = 1;
		}
		at += step;
	}
	buf_put_u8(&j->text, '"');
}

/* Comma and key, whatever the value is. */
static void begin_value(struct json *j, const char *key)
{
	if (j->depth == 0) {
		assert(!key && j->text.len == 0);
		return;
	}
	assert((key == NULL) == j->is_array[j->depth - 1]);
	if (j->has_member[j->depth - 1])
		buf_put_u8(&j->text, ',');
	j->has_member[j->depth - 1] = true;
	if (key) {
		put_string(j, key, strlen(key));
		buf_put_u8(&j->text, ':');
	}
}

static void open_nest(struct json *j, const char *key, bool is_array)
{
	assert(j->depth < JSON_DEPTH);
	begin_value(j, key);
	buf_put_u8(&j->text, is_array ? '[' : '{');
	j->is_array[j->depth] = is_array;
	j->has_member[j->depth] = false;
	j->depth++;
}

void json_object(struct json *j, const char *key)
{
	open_nest(j, key, false);
}

void json_array(struct json *j, const char *key)
{
	open_nest(j, key, true);
}

void json_close(struct json *j)
{
	assert(j->depth > 0);
	j->depth--;
	buf_put_u8(&j->text, j->is_array[j->depth] ? ']' : '}');
}

void json_bytes(struct json *j, const char *key, const void *bytes, size_t len)
{
	begin_value(j, key);
	put_string(j, bytes, len);
}

void json_str(struct json *j, const char *key, const char *text)
{
	if (text)
		json_bytes(j, key, text, strlen(text));
	else
		json_null(j, key);
}

void json_u64(struct json *j, const char *key, uint64_t value)
{
	char digits[24];

	begin_value(j, key);
	(void)snprintf(digits, sizeof(digits), "%" PRIu64, value);
	put_text(j, digits);
}

void json_i64(struct json *j, const char *key, int64_t value)
{
	char digits[24];

	begin_value(j, key);
	(void)snprintf(digits, sizeof(digits), "%" PRId64, value);
	put_text(j, digits);
}

void json_double(struct json *j, const char *key, double value)
{
	char digits[40];
	double again;

	if (!isfinite(value)) {
		json_null(j, key);
		return;
	}
	begin_value(j, key);
	/* The shorter form when it means the same number: 0.1, not 0.10000000000000001. */
	(void)snprintf(digits, sizeof(digits), "%.15g", value);
	again = strtod(digits, NULL);
	if (again < value || again > value)
		(void)snprintf(digits, sizeof(digits), "%.17g", value);
	put_text(j, digits);
}

void json_bool(struct json *j, const char *key, bool value)
{
	begin_value(j, key);
	put_text(j, value ? "true" : "false");
}

void json_null(struct json *j, const char *key)
{
	begin_value(j, key);
	put_text(j, "null");
}

int json_end(const struct json *j, struct err *err)
{
	assert(j->depth == 0);
	return buf_check(&j->text, err);
}
