/*
 * indexseg: an index segment (FORMAT.md §6). Pure.
 */
#ifndef NIGHTJAR_CORE_INDEXSEG_H
#define NIGHTJAR_CORE_INDEXSEG_H

#include "core/pack.h"

struct indexseg_pack {
	struct id name;
	uint64_t pack_bytes;
	struct pack_dir dir;
};

struct indexseg {
	uint8_t signer[32];
	uint8_t kind; /* 1 writer, 2 G */
	uint32_t domain;
	struct indexseg_pack *packs; /* ascending by name after decoding */
	size_t pack_count;
};
void indexseg_free(struct indexseg *seg);

/* The packs part of the body, which indexseg_enc sorts and seals, and its reader (no padding; the rest is left in r). */
void indexseg_packs_put(struct buf *b, const struct indexseg_pack *const *packs, size_t count);
int indexseg_packs_get(struct rd *r, struct indexseg *seg, struct err *err) ERR_UNUSED_WARN;

/* Signs with the keys' writer. Packs may come in any order. */
int indexseg_enc(struct keys *keys, uint32_t domain, const struct indexseg_pack *packs,
		 size_t count, unsigned floor_log2, struct buf *out,
		 struct err *err) ERR_UNUSED_WARN;
/* The same signed by G, of packs that others wrote: kind 2. ERR_KEY without G's secret or the domain. */
int indexseg_enc_gc(struct keys *keys, uint32_t domain, const struct indexseg_pack *packs,
		    size_t count, unsigned floor_log2, struct buf *out,
		    struct err *err) ERR_UNUSED_WARN;
/*
 * Checks the signature by the signer it names, then opens (by the domain's index key, or M's secret). The caller
 * checks that the signer is in the roster (kind 1) or is G (kind 2).
 */
int indexseg_dec(struct keys *keys, const void *bytes, size_t len, struct indexseg *out_seg,
		 struct err *err) ERR_UNUSED_WARN;

#endif
