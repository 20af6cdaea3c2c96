/* A slot of a key table: read, it is written again as the same bytes; no keys of ours open one that somebody else made to another key twice. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/slot.h"
#include "fuzz/fuzzkeys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void open_twice(const struct slot *slot)
{
	uint8_t key[32], again[32];
	struct err err = {0};

	if (slot_open(fuzzkeys_full(), slot, key, &err) == 0 &&
	    (slot_open(fuzzkeys_full(), slot, again, &err) || memcmp(key, again, 32) != 0))
		abort();
}

/* One made for the same recipient and domain, hedged by these bytes, opens to its key. */
static void make(const struct slot *like, const uint8_t *data, size_t size)
{
	const struct slot_hedge hedge = {
	    .sequence = 1, .pack_number = 1, .transcript = data, .transcript_len = size};
	struct slot slot;
	uint8_t key[32], again[32];
	struct err err = {0};

	/* Domains stay with the keys, of which there are few. */
	if (slot_make(fuzzkeys_full(), like->recipient, like->domain % 4, &hedge, &slot, key,
		      &err) ||
	    slot_open(fuzzkeys_full(), &slot, again, &err) || memcmp(key, again, 32) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_of(data, size);
	struct slot slot;
	struct err err = {0};
	struct buf out = {0};

	if (slot_get(&r, &slot, &err) != 0)
		return 0;
	slot_put(&out, &slot);
	if (out.len != SLOT_BYTES || memcmp(out.data, data, SLOT_BYTES) != 0)
		abort();
	buf_free(&out);
	slot.domain %= 4;
	open_twice(&slot);
	make(&slot, data, size);
	return 0;
}
