/*
 * parts: the frame of a signed record (FORMAT.md §8): its clear bytes, a part sealed for maintenance, a part sealed for
 * reading, and a signature over all. What the parts say is the caller's. Pure; any thread.
 */
#ifndef NIGHTJAR_CORE_PARTS_H
#define NIGHTJAR_CORE_PARTS_H

#include "core/buf.h"
#include "core/keys.h"
#include "core/slot.h"

/* Which record, and what sealing one needs to know of it. */
struct parts_form {
	const char *name;             /* "manifest", for messages */
	const char *tag;              /* of the signature */
	const uint8_t *signer_secret; /* Ed25519, 64 bytes; NULL = the keys' writer */
	size_t limit_bytes;
	uint32_t domain;
	uint64_t sequence; /* hedges the ephemeral keys */
	unsigned floor_log2;
};

/*
 * object holds the clear bytes; appends the parts, padded so that the whole is a bucket, and the signature.
 * maint and read are plaintexts, which get their padding. ERR_LIMIT, ERR_KEY. After a failure object is of no use.
 */
int parts_put(struct keys *keys, const struct parts_form *form, struct buf *maint, struct buf *read,
	      struct buf *object, struct err *err) ERR_UNUSED_WARN;

struct part {
	struct slot slot;
	const uint8_t *sealed;
	size_t len;
	size_t front; /* bytes of the object before the sealed ones */
};

/* Both parts of an object whose signature was checked; points into it. */
struct parts {
	const uint8_t *object;
	size_t object_len;
	const char *name;
	struct part maint, read;
	uint32_t domain;
};

/*
 * Finds the parts. r has read the clear bytes of the object and ends before the signature. Everything that can be
 * checked without a key is: ERR_DAMAGED.
 */
int parts_get(struct rd *r, const void *object, size_t len, const char *name,
	      struct parts *out_parts, struct err *err) ERR_UNUSED_WARN;

/* Reads a part's plaintext and leaves r at its padding. */
typedef int parts_read_fn(struct rd *r, void *arg, struct err *err);

/*
 * Opens what the keys can open: neither part for the write role, the maintenance part or ERR_KEY for others, the reading
 * part when they can. The padding is checked.
 */
int parts_open(struct keys *keys, const struct parts *parts, parts_read_fn *maint,
	       parts_read_fn *read, void *arg, struct err *err) ERR_UNUSED_WARN;

#endif
