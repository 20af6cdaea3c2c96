/*
 * header: the 8 bytes in front of every object (FORMAT.md §1), and the bucket that hides its size
 * (§2). Pure; any thread.
 */
#ifndef NIGHTJAR_CORE_HEADER_H
#define NIGHTJAR_CORE_HEADER_H

#include <stdint.h>

#include "core/buf.h"

#define HEADER_BYTES 8
#define HEADER_VERSION 1
#define REPO_ID_BYTES 16

enum object_type {
	OBJECT_CONFIG = 1,
	OBJECT_KEYSLOT = 2,
	OBJECT_ROSTER = 3,
	OBJECT_PACK = 4,
	OBJECT_INDEX = 5,
	OBJECT_SNAPSHOT = 6,
	OBJECT_CONDEMN = 7,
	OBJECT_KEYFILE = 8
};

void header_put(struct buf *b, enum object_type type, uint8_t kind);
/* Reads it; ERR_VERSION for a newer version, ERR_DAMAGED for anything but a header of this type. */
int header_get(struct rd *r, enum object_type type, uint8_t *out_kind,
	       struct err *err) ERR_UNUSED_WARN;
/* The type of an object's first bytes, 0 when it is no header of version 1. For keys/, which mixes types. */
uint8_t header_type(const void *bytes, size_t len);

/* The bucket of FORMAT.md §2. floor_log2 12…20. n up to 2^40. */
uint64_t bucket_bytes(uint64_t n, unsigned floor_log2);
/* Padmé alone (§2), which gives away a little more than buckets do. n 16…2^40. */
uint64_t padme_bytes(uint64_t n);
/* The same, at least 2^floor_log2: for what another length in clear tells as finely already. n up to 2^40. */
uint64_t bucket_fine_bytes(uint64_t n, unsigned floor_log2);

#endif
