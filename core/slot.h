/*
 * slot: the entries of a key table, X25519 to a recipient (FORMAT.md §3 "Slot"). Pure; any thread.
 */
#ifndef NIGHTJAR_CORE_SLOT_H
#define NIGHTJAR_CORE_SLOT_H

#include "core/buf.h"
#include "core/keys.h"

#define SLOT_BYTES 44
#define SLOT_R 1
#define SLOT_M 2

struct slot {
	uint8_t eph[32];
	uint8_t recipient; /* SLOT_R or SLOT_M */
	uint32_t epoch;    /* of R; 0 for M */
	uint32_t domain;
};

/* What hedges the ephemeral secret. */
struct slot_hedge {
	uint64_t sequence, pack_number;
	uint16_t slot_index;
	const void *transcript;
	size_t transcript_len;
};

void slot_put(struct buf *b, const struct slot *slot);
/* ERR_DAMAGED for an unknown recipient, nonzero reserved bytes, an epoch on M or epoch 0 on R. */
int slot_get(struct rd *r, struct slot *out_slot, struct err *err) ERR_UNUSED_WARN;

/*
 * Makes a slot for recipient in the keys' newest R epoch and gives its symmetric key. Needs the public
 * keys and, for R, the domain's pre-shared key. The keys must have a writer or G, for what they seal is signed.
 */
int slot_make(struct keys *keys, uint8_t recipient, uint32_t domain, const struct slot_hedge *hedge,
	      struct slot *out_slot, uint8_t out_key[32], struct err *err) ERR_UNUSED_WARN;
/* Gives a slot's key to who holds the recipient's secret; otherwise ERR_KEY naming the role needed. */
int slot_open(struct keys *keys, const struct slot *slot, uint8_t out_key[32],
	      struct err *err) ERR_UNUSED_WARN;

#endif
