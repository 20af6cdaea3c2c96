/* sha256_sodium: core/sha256.c as it is built without libcrypto, under other names, to compare the two. */
#ifndef NIGHTJAR_TESTS_SHA256_SODIUM_H
#define NIGHTJAR_TESTS_SHA256_SODIUM_H

#include "core/sha256.h"

struct sha256_sodium;
int sha256_sodium_of(const void *bytes, size_t len, struct id *out_digest, struct err *err);
int sha256_sodium_new(struct sha256_sodium **out_ctx, struct err *err);
int sha256_sodium_update(struct sha256_sodium *ctx, const void *bytes, size_t len, struct err *err);
int sha256_sodium_final(struct sha256_sodium *ctx, struct id *out_digest, struct err *err);
void sha256_sodium_free(struct sha256_sodium *ctx);
int hmac256_sodium_of(const uint8_t key[32], const struct hmac_part *parts, size_t count,
		      struct id *out_mac, struct err *err);

#endif
