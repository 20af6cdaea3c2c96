/*
 * filescache_seal: a bucket of the files cache as it lies on disk: a random salt, and what is sealed under a key made of it. Internal to
 * filescache.c. Any thread.
 */
#ifndef NIGHTJAR_REPO_FILESCACHE_SEAL_H
#define NIGHTJAR_REPO_FILESCACHE_SEAL_H

#include "core/buf.h"
#include "core/limits.h"
#include "repo/cachekey.h"

/* Appends the row of a bucket. */
int filescache_seal(const uint8_t seal_key[32], const uint8_t repo[REPO_ID_BYTES],
		    const struct buf *plain, struct buf *out, struct err *err) ERR_UNUSED_WARN;
/* Appends what a row holds. ERR_DAMAGED when it was changed, or belongs elsewhere. */
int filescache_unseal(const uint8_t seal_key[32], const uint8_t repo[REPO_ID_BYTES],
		      const uint8_t *row, size_t len, struct buf *out_plain,
		      struct err *err) ERR_UNUSED_WARN;

#endif
