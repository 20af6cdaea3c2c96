/*
 * plainpool: the plaintext of chunks that were decoded lately, for those that rest on them. Bounded in memory; what is
 * pushed out is wiped, or handed to the caller to be written over. One thread.
 */
#ifndef NIGHTJAR_REPO_PLAINPOOL_H
#define NIGHTJAR_REPO_PLAINPOOL_H

#include "core/buf.h"
#include "core/id.h"

struct plainpool;

/* most_bytes of memory together; a chunk that takes more than a quarter of it is not kept. */
int plainpool_new(size_t most_bytes, struct plainpool **out_pool, struct err *err) ERR_UNUSED_WARN;
void plainpool_free(struct plainpool *pool); /* NULL is fine */

/*
 * The chunk, if it is there and was decoded from a place below that depth: what only a deeper place gave must not hide
 * that no other gives it. Valid until the next put or give.
 */
bool plainpool_get(struct plainpool *pool, uint8_t kind, const struct id *id, unsigned below_depth,
		   struct span *out_plain);
/* Keeps a copy, or does not: without memory for it, it is only slower. */
void plainpool_put(struct plainpool *pool, uint8_t kind, const struct id *id, uint8_t depth,
		   const void *plain, size_t len);
/*
 * Keeps the bytes themselves and leaves in *plain an empty buffer, with the memory of what was pushed out if anything was: nothing is
 * copied and little allocated. False: they are not kept (or were already), and *plain is as it was.
 */
bool plainpool_give(struct plainpool *pool, uint8_t kind, const struct id *id, uint8_t depth,
		    struct buf *plain);
size_t plainpool_bytes(const struct plainpool *pool);

#endif
