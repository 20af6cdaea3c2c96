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

#define INDEXSEG_NONCE_BYTES 24
#define INDEXSEG_DOMAIN_KEY_BYTES 48
#define INDEXSEG_BOX_BYTES 80

/*
 * A segment key as a writer has sealed it, for its domain and for M. What G signs borrows one: who maintains holds no domain's key to
 * seal a new one with.
 */
struct indexseg_wrap {
	uint8_t writer[32];
	uint8_t nonce[INDEXSEG_NONCE_BYTES];
	uint8_t for_domain[INDEXSEG_DOMAIN_KEY_BYTES];
	uint8_t for_maint[INDEXSEG_BOX_BYTES];
};

struct indexseg {
	uint8_t signer[32];
	uint8_t kind; /* 1 writer, 2 G */
	uint32_t domain;
	struct indexseg_wrap wrap;
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
/*
 * Signs with G what maintenance has made. wrap: of any segment of the domain, whose key the new one's is derived from. ERR_KEY without
 * G's secret or a key that opens the wrap.
 */
int indexseg_enc_gc(struct keys *keys, uint32_t domain, const struct indexseg_wrap *wrap,
		    const struct indexseg_pack *packs, size_t count, unsigned floor_log2,
		    struct buf *out, struct err *err) ERR_UNUSED_WARN;
/*
 * Checks the signature by the signer it names, then opens (by the domain's index key, or M's secret). The caller
 * checks that the signer is in the roster (kind 1) or is G (kind 2).
 */
int indexseg_dec(struct keys *keys, const void *bytes, size_t len, struct indexseg *out_seg,
		 struct err *err) ERR_UNUSED_WARN;

#endif
