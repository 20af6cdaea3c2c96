/*
 * What is written into a JSON document, call by call: u8 call, then for texts u8 length and bytes. The document is one by RFC 8259 whatever
 * the bytes are, and UTF-8.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* --- a reader, as small as can be --- */

static void need(bool what)
{
	if (!what)
		abort();
}

static size_t utf8_at(const uint8_t *p, const uint8_t *end)
{
	uint32_t code = p[0];
	size_t n = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

	need(p[0] < 0x80 || (p[0] >= 0xc2 && p[0] <= 0xf4));
	need((size_t)(end - p) >= n);
	code &= n == 1 ? 0x7f : (0xffu >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		need((p[i] & 0xc0) == 0x80);
		code = code << 6 | (p[i] & 0x3f);
	}
	need(code <= 0x10ffff && (code < 0xd800 || code > 0xdfff));
	need(n != 3 || code >= 0x800);
	need(n != 4 || code >= 0x10000);
	return n;
}

static const uint8_t *string_at(const uint8_t *p, const uint8_t *end)
{
	need(p < end && *p == '"');
	for (p++; p < end && *p != '"';) {
		need(*p >= 0x20);
		if (*p != '\\') {
			p += utf8_at(p, end);
			continue;
		}
		p++;
		need(p < end && strchr("\"\\/bfnrtu", *p) && *p);
		if (*p == 'u') {
			need(end - p > 4);
			for (int i = 1; i <= 4; i++)
				need(strchr("0123456789abcdefABCDEF", p[i]) && p[i]);
			p += 4;
		}
		p++;
	}
	need(p < end);
	return p + 1;
}

static const uint8_t *value_at(const uint8_t *p, const uint8_t *end, unsigned depth);

static const uint8_t *members_at(const uint8_t *p, const uint8_t *end, unsigned depth)
{
	uint8_t close = *p == '{' ? '}' : ']';

	need(depth < 64);
	p++;
	need(p < end);
	if (*p == close)
		return p + 1;
	for (;;) {
		if (close == '}') {
			p = string_at(p, end);
			need(p < end && *p == ':');
			p++;
			while (p < end && *p == ' ')
				p++;
		}
		p = value_at(p, end, depth + 1);
		need(p < end && (*p == ',' || *p == close));
		if (*p++ == close)
			return p;
		while (p < end && *p == ' ')
			p++;
	}
}

static const uint8_t *value_at(const uint8_t *p, const uint8_t *end, unsigned depth)
{
	static const char *const words[] = {"true", "false", "null"};
	const uint8_t *begin = p;

	need(p < end);
	if (*p == '"')
		return string_at(p, end);
	if (*p == '{' || *p == '[')
		return members_at(p, end, depth);
	for (size_t i = 0; i < 3; i++) {
		size_t n = strlen(words[i]);

		if ((size_t)(end - p) >= n && memcmp(p, words[i], n) == 0)
			return p + n;
	}
	while (p < end && (strchr("+-.eE", *p) || (*p >= '0' && *p <= '9')) && *p)
		p++;
	need(p > begin && (begin[0] == '-' || (begin[0] >= '0' && begin[0] <= '9')));
	return p;
}

/* --- the calls --- */

static void put(struct json *j, const char *key, uint8_t call, struct rd *r)
{
	size_t len = rd_u8(r);
	const uint8_t *bytes;
	double d;

	len = len < r->left ? len : r->left;
	if (call % 8 == 3) {
		json_u64(j, key, rd_u64(r));
	} else if (call % 8 == 4) {
		json_i64(j, key, rd_i64(r));
	} else if (call % 8 == 5) {
		uint64_t bits = rd_u64(r);

		memcpy(&d, &bits, sizeof(d));
		json_double(j, key, d);
	} else {
		bytes = rd_bytes(r, len);
		json_bytes(j, key, bytes, len);
	}
}

static void write_it(struct json *j, struct rd *r)
{
	json_array(j, NULL);
	while (r->left && !r->bad) {
		uint8_t call = rd_u8(r);
		char key[32] = {0};

		if (!j->is_array[j->depth - 1])
			rd_copy(r, key, call % (sizeof(key) - 1));
		if (call % 8 == 0 && j->depth > 1)
			json_close(j);
		else if (call % 8 == 1 && j->depth < JSON_DEPTH - 1)
			json_object(j, j->is_array[j->depth - 1] ? NULL : key);
		else if (call % 8 == 2 && j->depth < JSON_DEPTH - 1)
			json_array(j, j->is_array[j->depth - 1] ? NULL : key);
		else
			put(j, j->is_array[j->depth - 1] ? NULL : key, call, r);
	}
	while (j->depth)
		json_close(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_of(data, size);
	struct json j = {0};
	struct err err = {0};

	write_it(&j, &r);
	if (json_end(&j, &err) == 0)
		need(value_at(j.text.data, j.text.data + j.text.len, 0) ==
		     j.text.data + j.text.len);
	json_free(&j);
	return 0;
}
