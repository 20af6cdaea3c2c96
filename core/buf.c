#include "core/buf.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

void buf_free(struct buf *b)
{
	free(b->data);
	*b = (struct buf){0};
}

void buf_wipe(struct buf *b)
{
	if (b->data)
		sodium_memzero(b->data, b->cap);
	buf_free(b);
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	b->failed = false;
}

/* Grows by copying, never by realloc: a buffer may hold plaintext, and realloc leaves it behind. */
static bool grow(struct buf *b, size_t extra)
{
	size_t want, cap = b->cap ? b->cap : 256;
	uint8_t *data;

	if (b->failed || extra > SIZE_MAX / 2 - b->len) {
		b->failed = true;
		return false;
	}
	want = b->len + extra;
	if (want <= b->cap && b->data)
		return true;
	while (cap < want)
		cap *= 2;
	data = malloc(cap);
	if (!data) {
		b->failed = true;
		return false;
	}
	if (b->data) {
		memcpy(data, b->data, b->len);
		sodium_memzero(b->data, b->len);
		free(b->data);
	}
	b->data = data;
	b->cap = cap;
	return true;
}

uint8_t *buf_extend(struct buf *b, size_t len)
{
	uint8_t *at;

	if (!grow(b, len))
		return NULL;
	at = b->data + b->len;
	b->len += len;
	return at;
}

void buf_put(struct buf *b, const void *bytes, size_t len)
{
	uint8_t *at = buf_extend(b, len);

	if (at && len)
		memcpy(at, bytes, len);
}

static void put_le(struct buf *b, uint64_t v, size_t len)
{
	uint8_t bytes[8];

	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(v >> (8 * i));
	buf_put(b, bytes, len);
}

void buf_put_u8(struct buf *b, uint8_t v)
{
	put_le(b, v, 1);
}

void buf_put_u16(struct buf *b, uint16_t v)
{
	put_le(b, v, 2);
}

void buf_put_u32(struct buf *b, uint32_t v)
{
	put_le(b, v, 4);
}

void buf_put_u64(struct buf *b, uint64_t v)
{
	put_le(b, v, 8);
}

void buf_put_i64(struct buf *b, int64_t v)
{
	put_le(b, (uint64_t)v, 8);
}

void buf_put_zeros(struct buf *b, size_t len)
{
	uint8_t *at = buf_extend(b, len);

	if (at && len)
		memset(at, 0, len);
}

void buf_put_varint(struct buf *b, uint64_t v)
{
	uint8_t bytes[10];
	size_t len = 0;

	for (; v >= 0x80; v >>= 7)
		bytes[len++] = (uint8_t)(v | 0x80);
	bytes[len++] = (uint8_t)v;
	buf_put(b, bytes, len);
}

uint64_t zigzag_of(int64_t v)
{
	return v < 0 ? ~((uint64_t)v << 1) : (uint64_t)v << 1;
}

int64_t zigzag_back(uint64_t z)
{
	return (int64_t)(z & 1 ? ~(z >> 1) : z >> 1);
}

void buf_put_zigzag(struct buf *b, int64_t v)
{
	buf_put_varint(b, zigzag_of(v));
}

void buf_put_str16(struct buf *b, const void *bytes, size_t len)
{
	if (len > UINT16_MAX) {
		b->failed = true;
		return;
	}
	buf_put_u16(b, (uint16_t)len);
	buf_put(b, bytes, len);
}

void buf_put_str32(struct buf *b, const void *bytes, size_t len)
{
	if (len > UINT32_MAX) {
		b->failed = true;
		return;
	}
	buf_put_u32(b, (uint32_t)len);
	buf_put(b, bytes, len);
}

int buf_check(const struct buf *b, struct err *err)
{
	return b->failed ? err_nomem(err) : 0;
}

struct rd rd_of(const void *bytes, size_t len)
{
	return (struct rd){.p = bytes, .left = len};
}

const uint8_t *rd_bytes(struct rd *r, size_t len)
{
	const uint8_t *at = r->p;

	if (r->bad || len > r->left) {
		r->bad = true;
		return NULL;
	}
	r->p += len;
	r->left -= len;
	return at;
}

void rd_copy(struct rd *r, void *out, size_t len)
{
	const uint8_t *at = rd_bytes(r, len);

	if (at && len)
		memcpy(out, at, len);
	else
		memset(out, 0, len);
}

/* Spelt out, so that the compiler makes one load of it. */
static uint32_t le32(const uint8_t *at)
{
	return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
	       (uint32_t)at[3] << 24;
}

uint8_t rd_u8(struct rd *r)
{
	const uint8_t *at = rd_bytes(r, 1);

	return at ? *at : 0;
}

uint16_t rd_u16(struct rd *r)
{
	const uint8_t *at = rd_bytes(r, 2);

	return (uint16_t)(at ? at[0] | at[1] << 8 : 0);
}

uint32_t rd_u32(struct rd *r)
{
	const uint8_t *at = rd_bytes(r, 4);

	return at ? le32(at) : 0;
}

uint64_t rd_u64(struct rd *r)
{
	const uint8_t *at = rd_bytes(r, 8);

	return at ? le32(at) | (uint64_t)le32(at + 4) << 32 : 0;
}

int64_t rd_i64(struct rd *r)
{
	return (int64_t)rd_u64(r);
}

uint64_t rd_varint(struct rd *r)
{
	uint64_t v = 0;

	for (unsigned shift = 0;; shift += 7) {
		uint8_t byte = rd_u8(r);

		if (r->bad || (shift == 63 && byte > 1) || (shift && byte == 0)) {
			r->bad = true;
			return 0;
		}
		v |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			return v;
	}
}

static struct span rd_span(struct rd *r, size_t len)
{
	const uint8_t *at = rd_bytes(r, len);

	return (struct span){.p = at, .len = at ? len : 0};
}

struct span rd_str16(struct rd *r)
{
	return rd_span(r, rd_u16(r));
}

struct span rd_str32(struct rd *r)
{
	return rd_span(r, rd_u32(r));
}

bool rd_zeros_to_end(struct rd *r)
{
	uint8_t any = 0;

	for (size_t i = 0; i < r->left; i++)
		any |= r->p[i];
	r->p += r->left;
	r->left = 0;
	return any == 0;
}

int rd_end(const struct rd *r, const char *what, struct err *err)
{
	if (r->bad)
		return err_set(err, ERR_DAMAGED, "%s is cut short", what);
	if (r->left)
		return err_set(err, ERR_DAMAGED, "%s has %zu bytes too many", what, r->left);
	return 0;
}
