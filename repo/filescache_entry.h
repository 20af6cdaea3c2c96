/*
 * filescache_entry: the bytes of one entry of the files cache, inside its buckets. Entries are sealed by ourselves, and still
 * nothing is believed beyond the bytes that are there. Internal to filescache.c. Pure.
 */
#ifndef NIGHTJAR_REPO_FILESCACHE_ENTRY_H
#define NIGHTJAR_REPO_FILESCACHE_ENTRY_H

#include "repo/filescache.h"

#define FILESCACHE_KEY_BYTES 16 /* an entry begins with the keyed hash of its path */

/* What a file looked like, and when. */
struct filescache_look {
	uint64_t inode, size;
	int64_t mtime_ns, ctime_ns, looked_ns;
};

struct filescache_look filescache_look_of(const struct stat *st, int64_t looked_ns);
/* Had it not been touched for FILESCACHE_RACY_NS when it was looked at? */
bool filescache_look_settled(const struct filescache_look *look);
/* Settled, and st is what was seen then; the type is not asked for. */
bool filescache_look_fits(const struct filescache_look *look, const struct stat *st);

void filescache_entry_put(struct buf *b, const uint8_t key[FILESCACHE_KEY_BYTES],
			  const struct filescache_look *look, const struct filescache_file *f);
/* How long the entry at r is, r then past it; 0 when it does not fit, or is too short to be one. */
size_t filescache_entry_bytes(struct rd *r);
/* Of an entry that filescache_entry_bytes has measured. */
void filescache_entry_keep(uint8_t *entry, bool kept);
bool filescache_entry_kept(const uint8_t *entry);
struct filescache_look filescache_entry_look(const uint8_t *entry);
/* The rest of the entry at r. ERR_DAMAGED, ERR_NOMEM; f is to be wiped in any case. */
int filescache_entry_get(struct rd r, struct filescache_file *f, struct err *err) ERR_UNUSED_WARN;

#endif
