/*
 * 32 bytes of key, u32 length, a pattern that is repeated to that length (at most 5 MiB), so that little input makes
 * long streams. Every cut is where the rule of FORMAT.md §7 puts it, read from the chunk's first byte.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/chunker.h"

#define STREAM_MAX (5u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t cut_slowly(const struct chunker *c, const uint8_t *p, size_t len)
{
	uint64_t h = 0;

	for (size_t n = 1; n <= len && n < CHUNK_MAX_BYTES; n++) {
		h = 2 * h + c->gear[p[n - 1]];
		if (n >= CHUNK_MIN_BYTES &&
		    (h * c->multiplier) >> (64 - (n < CHUNK_AVG_BYTES ? 22 : 18)) == 0)
			return n;
	}
	return len < CHUNK_MAX_BYTES ? len : CHUNK_MAX_BYTES;
}

static void check_stream(const struct chunker *c, const uint8_t *p, size_t len)
{
	size_t at = 0;

	while (at < len) {
		size_t cut = chunker_cut(c, p + at, len - at);

		if (cut == 0 || cut != cut_slowly(c, p + at, len - at))
			abort();
		at += cut;
	}
}

static void check_nodes(const struct chunker *c, const uint8_t *p, size_t len)
{
	struct id child = {{0}};

	memcpy(child.b, p, len < ID_BYTES ? len : ID_BYTES);
	(void)chunker_tree_ends(c, p[0], p, len, len, 1);
	(void)chunker_list_ends(&child, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_of(data, size);
	uint8_t key[32], *stream;
	struct chunker c;
	size_t len;

	rd_copy(&r, key, sizeof(key));
	len = rd_u32(&r) % (STREAM_MAX + 1);
	if (r.bad || r.left == 0)
		return 0;
	chunker_init(&c, key);
	check_nodes(&c, r.p, r.left);
	stream = malloc(len ? len : 1);
	if (!stream)
		return 0;
	for (size_t i = 0; i < len; i++)
		stream[i] = r.p[i % r.left];
	check_stream(&c, stream, len);
	free(stream);
	return 0;
}
