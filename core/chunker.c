#include "core/chunker.h"

#include <string.h>

#include <sodium.h>

#include "core/limits.h"

#define STREAM_BYTES 2096
#define GEAR_WINDOW 64 /* a byte's gear value has left h after this many more */
#define BITS_BEFORE_AVG 22
#define BITS_FROM_AVG 18
#define ONE_IN_512 (UINT64_C(1) << 55) /* 2^64 / 512 */
#define TREE_BODY_BYTES 262144u
#define TREE_CHILDREN 32768u
#define LIST_CHILDREN 4096u

void chunker_init(struct chunker *c, const uint8_t chunker_key[32])
{
	static const uint8_t nonce[] = "nightjar chunker stream 1";
	uint8_t stream[STREAM_BYTES];
	struct rd r;

	_Static_assert(sizeof(nonce) >= crypto_stream_xchacha20_NONCEBYTES, "nonce is cut");
	crypto_stream_xchacha20(stream, sizeof(stream), nonce, chunker_key);
	r = rd_of(stream, sizeof(stream));
	for (size_t i = 0; i < 256; i++)
		c->gear[i] = rd_u64(&r);
	rd_copy(&r, c->tree_key, sizeof(c->tree_key));
	c->multiplier = rd_u64(&r) | 1;
	(void)rd_u64(&r);
	rd_copy(&r, c->cell_key, sizeof(c->cell_key));
	sodium_memzero(stream, sizeof(stream));
}

void chunker_wipe(struct chunker *c)
{
	sodium_memzero(c, sizeof(*c));
}

/* Hashes bytes at…end of p; returns the length after which a cut falls, or end + 1. */
static inline size_t scan(const struct chunker *c, const uint8_t *p, size_t at, size_t end,
			  unsigned bits, uint64_t *h_inout)
{
	const uint64_t below = UINT64_C(1) << (64 - bits), multiplier = c->multiplier;
	const uint64_t *gear = c->gear;
	uint64_t h = *h_inout;

	for (; at < end; at++) {
		h = (h << 1) + gear[p[at]];
		if (h * multiplier < below)
			return at + 1;
	}
	*h_inout = h;
	return end + 1;
}

/*
 * h shifts left by one bit a byte, so at the first place where a cut is allowed it depends on the last 64 bytes
 * only, and the bytes before those need not be looked at.
 */
size_t chunker_cut(const struct chunker *c, const uint8_t *p, size_t len)
{
	size_t end = len < CHUNK_MAX_BYTES ? len : CHUNK_MAX_BYTES;
	size_t middle = end < CHUNK_AVG_BYTES - 1 ? end : CHUNK_AVG_BYTES - 1;
	size_t at = CHUNK_MIN_BYTES - GEAR_WINDOW, cut;
	uint64_t h = 0;

	if (end <= CHUNK_MIN_BYTES)
		return end;
	for (; at < CHUNK_MIN_BYTES - 1; at++)
		h = (h << 1) + c->gear[p[at]];
	cut = scan(c, p, at, middle, BITS_BEFORE_AVG, &h);
	if (cut > middle)
		cut = scan(c, p, middle, end, BITS_FROM_AVG, &h);
	return cut > end ? end : cut;
}

static uint64_t first_u64(const uint8_t *bytes)
{
	struct rd r = rd_of(bytes, 8);

	return rd_u64(&r);
}

/* A name longer than LIMIT_NAME_BYTES is never stored; its first bytes decide. */
bool chunker_tree_ends(const struct chunker *c, uint8_t level, const void *name, size_t name_len,
		       size_t body_bytes, size_t children)
{
	uint8_t in[1 + LIMIT_NAME_BYTES], hash[crypto_shorthash_BYTES];
	size_t used = name_len < LIMIT_NAME_BYTES ? name_len : LIMIT_NAME_BYTES;

	if (body_bytes >= TREE_BODY_BYTES || children >= TREE_CHILDREN)
		return true;
	in[0] = level;
	if (used)
		memcpy(in + 1, name, used);
	crypto_shorthash(hash, in, 1 + used, c->tree_key);
	return first_u64(hash) < ONE_IN_512;
}

bool chunker_list_ends(const struct id *child, size_t children)
{
	return children >= LIST_CHILDREN || first_u64(child->b) < ONE_IN_512;
}
