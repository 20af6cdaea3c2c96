/*
 * record: one chunk as it is stored: id → compress → seal, and back (FORMAT.md §4). Pure.
 */
#ifndef NIGHTJAR_CORE_RECORD_H
#define NIGHTJAR_CORE_RECORD_H

#include "core/buf.h"
#include "core/comp.h"
#include "core/id.h"
#include "core/keys.h"

enum chunk_kind {
	CHUNK_DATA = 1,
	CHUNK_TREE_LIST = 2,
	CHUNK_TREE_BODY = 3,
	CHUNK_LIST = 4,
	CHUNK_LIST_BODY = 5
};

/* A child's name: ids are bound to kinds. */
struct chunk_ref {
	uint8_t kind; /* enum chunk_kind */
	struct id id;
};

/* What is known about a stored chunk besides its place. */
struct record_info {
	struct id id;
	uint8_t kind, codec, depth, base_count;
	struct id bases[LIMIT_BASES];
	uint32_t plain_bytes;
	uint32_t lineage, chain_bytes;
};

bool chunk_kind_valid(uint8_t kind);
/* SLOT_R or SLOT_M: who a kind is sealed for. */
uint8_t chunk_kind_recipient(uint8_t kind);
/* What §4 and §5 do not allow about these fields together, in words; NULL when all is well. */
const char *record_info_fault(const struct record_info *info);

int record_id(const struct domain_keys *domain, uint8_t kind, const void *plain, size_t len,
	      struct id *out_id, struct err *err) ERR_UNUSED_WARN;
/* Appends the sealed record: len + 16 bytes. counter from 1; no (slot key, counter) may be used twice. */
int record_seal(const uint8_t slot_key[32], uint32_t counter, const uint8_t repo[REPO_ID_BYTES],
		const struct record_info *info, const void *compressed, size_t len, struct buf *out,
		struct err *err) ERR_UNUSED_WARN;
/* 0 when the bytes are those that were sealed as this record; nothing is said of what they decompress to. Else ERR_DAMAGED. */
int record_check(const uint8_t slot_key[32], uint32_t counter, const uint8_t repo[REPO_ID_BYTES],
		 const struct record_info *info, const void *sealed, size_t len,
		 struct err *err) ERR_UNUSED_WARN;
/*
 * Appends the plaintext: opens, decompresses, and compares the recomputed id. ERR_DAMAGED otherwise, naming
 * the chunk. domain NULL: the id cannot be recomputed and is not (the maintenance role). A delta is refused.
 */
int record_open(struct comp *comp, const uint8_t slot_key[32], uint32_t counter,
		const uint8_t repo[REPO_ID_BYTES], const struct domain_keys *domain,
		const struct record_info *info, const void *sealed, size_t len, struct buf *out,
		struct err *err) ERR_UNUSED_WARN;
/*
 * The same for any codec. bases: the plaintext of info's bases, one after the other in their order, when it is a delta;
 * wrong ones give wrong bytes, which only a domain tells from right ones.
 */
int record_open_delta(struct comp *comp, const uint8_t slot_key[32], uint32_t counter,
		      const uint8_t repo[REPO_ID_BYTES], const struct domain_keys *domain,
		      const struct record_info *info, struct span bases, const void *sealed,
		      size_t len, struct buf *out, struct err *err) ERR_UNUSED_WARN;

#endif
