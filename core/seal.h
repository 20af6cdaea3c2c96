/*
 * seal: XChaCha20-Poly1305 with a counter for a nonce (FORMAT.md §1). Each key seals one counter once; the
 * caller keeps that. Pure; any thread.
 */
#ifndef NIGHTJAR_CORE_SEAL_H
#define NIGHTJAR_CORE_SEAL_H

#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"

#define SEAL_TAG_BYTES 16

/* Appends ciphertext and tag to out. ad may lie in out ("all bytes before"); plain may not. */
int seal_put(const uint8_t key[32], uint64_t counter, const void *ad, size_t ad_len,
	     const void *plain, size_t len, struct buf *out, struct err *err) ERR_UNUSED_WARN;
/* Appends the plaintext (len − 16 bytes) to out. ERR_DAMAGED naming `what` when it does not open; out unchanged. */
int seal_get(const uint8_t key[32], uint64_t counter, const void *ad, size_t ad_len,
	     const void *sealed, size_t len, const char *what, struct buf *out,
	     struct err *err) ERR_UNUSED_WARN;

#endif
