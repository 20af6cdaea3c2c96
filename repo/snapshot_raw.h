/*
 * snapshot_raw: reads a database file and what lies beside it as bytes, for when SQLite will not.
 *
 * The main file is read under SQLite's own SHARED lock; the -wal under locks that keep its application from
 * checkpointing or restarting it meanwhile (it may go on committing). Committed WAL frames whose salts
 * and checksums hold are applied to the image. Nothing is written. Closing a file drops every
 * POSIX lock that this process holds on it, so no SQLite connection of this process may have
 * the database open during the call.
 */
#ifndef NIGHTJAR_REPO_SNAPSHOT_RAW_H
#define NIGHTJAR_REPO_SNAPSHOT_RAW_H

#include <stdbool.h>

#include "core/err.h"
#include "repo/pageimage.h"

struct snapshot_raw {
	const char *path;     /* for messages */
	const char *abs_path; /* what is opened */
	unsigned timeout_ms;
	int (*tick)(void *arg); /* nonzero cancels; may be NULL */
	void *tick_arg;
};

/*
 * Fills the empty out_image. out_journal: NULL, or an empty image that receives the rollback journal when a hot
 * one lies there (a writer died in its transaction); *out_hot says so. ERR_BUSY, ERR_CANCELLED, ERR_SOURCE (unreadable;
 * or a hot journal that belongs to a transaction over several databases), and what pageimage_write gives.
 */
int snapshot_raw_read(const struct snapshot_raw *r, struct pageimage *out_image,
		      struct pageimage *out_journal, bool *out_hot,
		      struct err *err) ERR_UNUSED_WARN;

#endif
