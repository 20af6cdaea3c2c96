/*
 * pagevfs: an SQLite VFS whose one database is a pageimage. Everything SQLite may want to write besides
 * (rollback journal, statement journals, temporary files) is a small pageimage of its own, so nothing
 * that passes through it reaches a disk in the clear. There is no -wal, no shared memory and no locking:
 * one thread, and one connection that writes at a time.
 *
 * A connection opened read-only sees the header's journal version bytes as "rollback journal": a page
 * copy of a WAL database can then be checked although there is no WAL here. The image keeps its bytes.
 */
#ifndef NIGHTJAR_REPO_PAGEVFS_H
#define NIGHTJAR_REPO_PAGEVFS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "repo/pageimage.h"

struct pagevfs;

/* The name of the database in it: "file:image?vfs=<pagevfs_name>". */
#define PAGEVFS_DATABASE "image"

/*
 * Registers a VFS under a name of its own. image is borrowed and must outlive the VFS; cache_dir (copied) is
 * where journals spill. ERR_NOMEM, ERR_IO.
 */
int pagevfs_new(struct pageimage *image, const char *cache_dir, struct pagevfs **out_vfs,
		struct err *err) ERR_UNUSED_WARN;

const char *pagevfs_name(const struct pagevfs *v);

/* True once SQLite has opened the database here: it did understand the URI. */
bool pagevfs_was_opened(const struct pagevfs *v);

/* Bytes of the database SQLite has read so far, to show progress of a check. */
uint64_t pagevfs_bytes_read(const struct pagevfs *v);

/*
 * The journal that the next connection finds beside the database: filled before the first open, it is
 * a hot journal, which SQLite rolls back. Owned by the VFS; made at the first call. NULL: no memory.
 */
struct pageimage *pagevfs_journal(struct pagevfs *v);

/* What made a call of SQLite fail with I/O error, full or no memory; code 0 = nothing here did. */
const struct err *pagevfs_error(const struct pagevfs *v);

/* Unregisters. No connection may use it any more. NULL is fine. */
void pagevfs_free(struct pagevfs *v);

#endif
