/*
 * sha256: SHA-256 and HMAC-SHA-256, by libcrypto where it was found at build time (hardware
 * instructions), by libsodium otherwise; the same bytes. Pure; a context belongs to one thread.
 */
#ifndef NIGHTJAR_CORE_SHA256_H
#define NIGHTJAR_CORE_SHA256_H

#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "core/id.h"

/* The digest of one piece of memory. ERR_NOMEM only. */
int sha256_of(const void *bytes, size_t len, struct id *out_digest,
	      struct err *err) ERR_UNUSED_WARN;

struct sha256;
int sha256_new(struct sha256 **out_ctx, struct err *err) ERR_UNUSED_WARN;
int sha256_update(struct sha256 *ctx, const void *bytes, size_t len,
		  struct err *err) ERR_UNUSED_WARN;
int sha256_final(struct sha256 *ctx, struct id *out_digest, struct err *err) ERR_UNUSED_WARN;
void sha256_free(struct sha256 *ctx); /* NULL is fine */

struct hmac_part {
	const void *p;
	size_t len;
};
/* HMAC-SHA-256 under a 32-byte key over the concatenation of the parts. */
int hmac256_of(const uint8_t key[32], const struct hmac_part *parts, size_t count,
	       struct id *out_mac, struct err *err) ERR_UNUSED_WARN;

#endif
