/*
 * bucketdb: a small SQLite file that holds opaque rows, as a container for caches. It is never trusted: whoever keeps
 * rows in it seals them, so a torn, stale or foreign file shows when they are opened. That is why nothing is synced and no
 * journal is left on disk: a power loss costs the cache, not a backup.
 *
 * Each call opens the file, does its one transaction and closes it; two processes may do so at once, and the last one to save
 * wins. Symlinks, folders and devices in its place are refused. One thread.
 */
#ifndef NIGHTJAR_REPO_BUCKETDB_H
#define NIGHTJAR_REPO_BUCKETDB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"

#define BUCKETDB_ROW_BYTES (4u << 20) /* no row is longer; a longer one is damage */

/* Nonzero ends the load, which returns it. */
typedef int bucketdb_row_fn(void *arg, int64_t row, const void *bytes, size_t len, struct err *err);

/*
 * Gives every row, in no order. ERR_MISSING there is no file; ERR_DAMAGED it is no such database; ERR_BUSY; ERR_IO, also for
 * what is no regular file. Rows may have been given before an error.
 */
int bucketdb_load(const char *path, bucketdb_row_fn *fn, void *arg,
		  struct err *err) ERR_UNUSED_WARN;

struct bucketdb_change {
	bool anew; /* what is there is removed, rows and damage alike */
	const int64_t *remove;
	size_t remove_count;
	const struct buf *add; /* rows; they get numbers of their own */
	size_t add_count;
};
/*
 * One transaction; makes the file (mode 0600), not its folder. After ERR_DAMAGED the file is gone; after another error it holds what it
 * held before, except that `anew` may have removed it.
 */
int bucketdb_save(const char *path, const struct bucketdb_change *change,
		  struct err *err) ERR_UNUSED_WARN;

#endif
