/*
 * chunkcache: the plaintext of the chunks that last night's databases and folders became, so that tonight's can be stored as
 * deltas of them without reading and decoding the repository; for a key that may not read, it is the only way to have them. Two files a
 * repository, host and set of sources: <cache_dir>/<repository id>/chunks-<group>.dat and .idx, mode 0600.
 *
 * It saves time and is never needed: a cache that is lost, torn, foreign or in use by another backup is as good as none, and no call here
 * fails for it; chunkcache_note tells what happened. Only a lack of memory is an error.
 *
 * On disk (I5): each chunk is sealed under a key derived from the deduplication domain's id key, and so is the list of them, so the files show
 * sizes and nothing else. What was not used tonight is given back to the file system. One thread.
 */
#ifndef NIGHTJAR_REPO_CHUNKCACHE_H
#define NIGHTJAR_REPO_CHUNKCACHE_H

#include "core/buf.h"
#include "core/id.h"
#include "repo/cachekey.h"

#define CHUNKCACHE_LIMIT_BYTES (UINT64_C(1) << 30)

struct chunkcache;

/* limit_bytes: of sealed chunks, 0 = CHUNKCACHE_LIMIT_BYTES; when they are together, further ones are not kept. */
int chunkcache_open(const struct cache_owner *owner, uint64_t limit_bytes,
		    struct chunkcache **out_cache, struct err *err) ERR_UNUSED_WARN;
void chunkcache_close(struct chunkcache *c); /* NULL is fine; what was not saved is forgotten */

/* Appends the plaintext of a chunk. ERR_MISSING it is not here, or does not open any more; ERR_NOMEM. */
int chunkcache_get(struct chunkcache *c, uint8_t kind, const struct id *id, struct buf *out,
		   struct err *err) ERR_UNUSED_WARN;
/* Keeps a chunk for the next backup; one that is here is marked as used. */
int chunkcache_keep(struct chunkcache *c, uint8_t kind, const struct id *id, const void *plain,
		    size_t len, struct err *err) ERR_UNUSED_WARN;
/* The same for one whose plaintext nobody has at hand: it stays if it is here. NULL c: nothing. */
void chunkcache_touch(struct chunkcache *c, uint8_t kind, const struct id *id);
/* Makes what was kept in this run the cache, and drops all else. Call it once, when the backup is made. ERR_NOMEM only. */
int chunkcache_save(struct chunkcache *c, struct err *err) ERR_UNUSED_WARN;

/* Removes its files from the disk; nothing is kept from then on. NULL c: nothing. */
void chunkcache_remove(struct chunkcache *c);

const char *chunkcache_note(const struct chunkcache *c); /* "" when all went well */

#endif
