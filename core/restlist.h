/*
 * restlist: reads a listing of restic's REST protocol, version 2: a JSON array of {"name": …, "size": …}, as it comes
 * in, in slices of any length. The reader is strict about JSON and lenient about what it does not know: further
 * members of an entry are passed over, and so are entries whose name is no name of an object (64 lowercase hex
 * digits), which nothing of ours wrote. It allocates nothing, whatever it is fed. `null` is an empty listing: so
 * wrote older servers.
 * Pure; one thread uses a reader.
 */
#ifndef NIGHTJAR_CORE_RESTLIST_H
#define NIGHTJAR_CORE_RESTLIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "core/id.h"

#define RESTLIST_MAX_DEPTH 16u /* arrays and objects inside one another */
#define RESTLIST_TEXT_BYTES 80 /* kept of a string or a number; longer ones mean nothing here */

/* Called once an entry, in the order of the listing, which may name one twice. Nonzero ends the reading. */
typedef int restlist_fn(void *arg, const struct id *name, uint64_t size_bytes, struct err *err);

/* Opaque, but on the caller's stack. */
struct restlist {
	restlist_fn *fn;
	void *arg;
	uint64_t at;     /* bytes read, for messages */
	unsigned expect; /* what may come next */
	unsigned depth;
	uint32_t objects; /* bit d: level d is an object, else an array */
	unsigned lexing;  /* inside which token */
	unsigned hex_left, hex;
	char text[RESTLIST_TEXT_BYTES];
	size_t text_len;
	bool odd; /* the text is longer than that, or holds a byte that no name and no key has */
	unsigned member; /* which of an entry's the coming value is */
	unsigned seen;   /* members so far */
	bool named;      /* the entry's name is one of ours */
	struct id name;
	uint64_t size_bytes;
};

void restlist_init(struct restlist *r, restlist_fn *fn, void *arg);
/*
 * The next len bytes. ERR_DAMAGED for what is no such listing, saying where and why; ERR_VERSION for one of version 1,
 * which has no sizes; ERR_LIMIT for a size above INT64_MAX or a nesting above the limit; what fn returned. After an
 * error the reader is of no use.
 */
int restlist_feed(struct restlist *r, const void *bytes, size_t len,
		  struct err *err) ERR_UNUSED_WARN;
/* 0 when the listing is complete; ERR_DAMAGED. */
int restlist_end(const struct restlist *r, struct err *err) ERR_UNUSED_WARN;

#endif
