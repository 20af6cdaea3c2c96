/*
 * fswrite: creating files below one target folder and nowhere else. The writing half of restore.
 *
 * Promise: nothing outside the target is created, changed, opened for writing or removed, whatever the
 * relative paths say and whatever symlinks are planted in the target before or while we work. Paths are
 * relative to the target, components separated by '/'; a component that is empty, ".", "..", or holds NUL
 * is ERR_DAMAGED. Folders on the way are opened component by component, O_NOFOLLOW (or openat2 with
 * RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS); a symlink in the way is ERR_EXISTS, naming it.
 *
 * Files are written to a temporary name (".nightjar-XXXXXXXX.tmp", removed on failure), given owner, mode,
 * xattrs, times, synced, then renamed over the final name, and the folder is synced by fsw_finish.
 * Errors name the path below the target. One thread uses an fsw.
 */
#ifndef NIGHTJAR_REPO_FSWRITE_H
#define NIGHTJAR_REPO_FSWRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

struct fsw;      /* a target folder */
struct fsw_file; /* a file being written */

struct fsw_xattr {
	const char *name;
	const uint8_t *value;
	size_t value_len;
};

/* What is put on an entry once its content is there. */
struct fsw_attrs {
	uint32_t mode; /* permission bits with setuid, setgid, sticky: 07777 */
	uint32_t uid, gid;
	const char *user,
	    *group; /* names win over numbers when this machine knows them; "" = no name */
	int64_t mtime_s;
	uint32_t mtime_ns;
	const struct fsw_xattr *xattrs;
	size_t xattr_count;
};

/*
 * Called for what could not be put on an entry but does not spoil its content: owner as an ordinary user,
 * an xattr that the file system does not take. May be NULL.
 */
typedef void fsw_warn_fn(void *arg, const char *path, const char *text);

/* Opens target, making it (and missing parents) when it is not there. ERR_IO when it is not a folder. */
int fsw_open(const char *target, fsw_warn_fn *warn, void *warn_arg, struct fsw **out_fsw,
	     struct err *err) ERR_UNUSED_WARN;
/* Syncs every folder that was touched. */
int fsw_finish(struct fsw *w, struct err *err) ERR_UNUSED_WARN;
void fsw_close(struct fsw *w); /* NULL is fine */

/*
 * A folder that is there is kept. Anything else of that name: ERR_EXISTS. Mode 0700 until fsw_attrs_set. *out_made, unless NULL, says
 * whether it is new.
 */
int fsw_mkdir(struct fsw *w, const char *path, bool *out_made, struct err *err) ERR_UNUSED_WARN;

/* Begins a regular file of size_bytes; nothing is visible under path until fsw_file_commit. */
int fsw_file_begin(struct fsw *w, const char *path, uint64_t size_bytes, struct fsw_file **out_file,
		   struct err *err) ERR_UNUSED_WARN;
/* Offsets may leave holes; they stay holes. */
int fsw_file_write(struct fsw_file *f, uint64_t offset, const void *bytes, size_t len,
		   struct err *err) ERR_UNUSED_WARN;
/* Reads back what was written. */
int fsw_file_read(struct fsw_file *f, uint64_t offset, void *out_bytes, size_t len,
		  struct err *err) ERR_UNUSED_WARN;
/* Attributes, sync, rename over path. A folder in the way is ERR_EXISTS. Frees f either way. */
int fsw_file_commit(struct fsw_file *f, const struct fsw_attrs *attrs,
		    struct err *err) ERR_UNUSED_WARN;
void fsw_file_abort(struct fsw_file *f); /* removes the temporary file; NULL is fine */

int fsw_symlink(struct fsw *w, const char *path, const char *target, const struct fsw_attrs *attrs,
		struct err *err) ERR_UNUSED_WARN;
/* A hard link path → existing, both below the target. An existing file at path is replaced. */
int fsw_hardlink(struct fsw *w, const char *existing, const char *path,
		 struct err *err) ERR_UNUSED_WARN;
/* type: S_IFIFO, S_IFCHR, S_IFBLK, S_IFSOCK. ERR_IO with EPERM when the user may not. */
int fsw_special(struct fsw *w, const char *path, uint32_t type, uint32_t dev_major,
		uint32_t dev_minor, const struct fsw_attrs *attrs, struct err *err) ERR_UNUSED_WARN;
/* For folders, last, deepest first, so that their times stay. */
int fsw_attrs_set(struct fsw *w, const char *path, const struct fsw_attrs *attrs,
		  struct err *err) ERR_UNUSED_WARN;

/*
 * Moves an entry that is in the way aside, to "<path>.before-restore-YYYYMMDDTHHMMSSZ" (UTC, with ".2", ".3"…
 * when taken). *out_moved says whether there was one. For a stale -wal, -shm, -journal beside a database.
 */
int fsw_move_aside(struct fsw *w, const char *path, bool *out_moved,
		   struct err *err) ERR_UNUSED_WARN;

#endif
