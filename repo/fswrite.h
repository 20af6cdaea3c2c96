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
 * Files that are there can also be compared and written to in place, see "what is there already"; only those that have no other name.
 * Errors name the path below the target. One thread uses an fsw.
 */
#ifndef NIGHTJAR_REPO_FSWRITE_H
#define NIGHTJAR_REPO_FSWRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

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
/* The same of a target that is only looked at, and not made: *out_fsw is NULL when it is not there. */
int fsw_open_there(const char *target, struct fsw **out_fsw, struct err *err) ERR_UNUSED_WARN;
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

/* --- what is there already --- */

/* What lies under path; a symlink is not followed. Nothing, or no folder that it could be in: *out_any is false. */
int fsw_look(struct fsw *w, const char *path, bool *out_any, struct stat *out_st,
	     struct err *err) ERR_UNUSED_WARN;
/* The names in a folder, as fs_list; "" is the target itself. */
int fsw_list(struct fsw *w, const char *path, char ***out_names, size_t *out_count,
	     struct err *err) ERR_UNUSED_WARN;

/* Opens the regular file at path for fsw_file_read. ERR_MISSING; ERR_EXISTS: it is something else. */
int fsw_file_open(struct fsw *w, const char *path, struct fsw_file **out_file,
		  struct err *err) ERR_UNUSED_WARN;
uint64_t fsw_file_size(const struct fsw_file *f);
int fsw_file_fd(const struct fsw_file *f); /* stays the file's */
/* Where data is at or after offset; the file's size when only a hole is left. */
int fsw_file_next_data(struct fsw_file *f, uint64_t offset, uint64_t *out_offset,
		       struct err *err) ERR_UNUSED_WARN;
/*
 * From here on fsw_file_write changes the opened file itself, which gets size_bytes. ERR_EXISTS, and nothing was done: it has other
 * names, which may lie outside the target, or it may not be written to (a program that runs). Otherwise who has it
 * open sees it change.
 */
int fsw_file_update(struct fsw_file *f, uint64_t size_bytes, struct err *err) ERR_UNUSED_WARN;
/* Makes a range read as zeros: a hole where the file system has them. */
int fsw_file_zero(struct fsw_file *f, uint64_t offset, uint64_t len,
		  struct err *err) ERR_UNUSED_WARN;
/*
 * Ends a file that was opened: its new bytes are synced, then it gets its attributes, so that one with the right size and time is
 * whole. *out_left false: nothing was done, since it has other names and its attributes are not the wanted ones. Frees f.
 */
int fsw_file_keep(struct fsw_file *f, const struct fsw_attrs *attrs, bool *out_left,
		  struct err *err) ERR_UNUSED_WARN;

/*
 * Removes what lies under path, with everything below it; symlinks are removed, not followed. ERR_EXISTS at a mount point.
 * *out_removed counts what is gone, after a failure too.
 */
int fsw_remove(struct fsw *w, const char *path, uint64_t *out_removed,
	       struct err *err) ERR_UNUSED_WARN;
/* Removes path when it is a temporary file of an fsw that is no more. True: it did. */
bool fsw_clear_left_over(struct fsw *w, const char *path);

/* --- databases --- */

#define FSW_ASIDE_INFIX ".before-restore-"

/* What was moved aside. {0} = nothing. */
struct fsw_aside {
	char *
	    name; /* what the database is called now, or would be; what lay beside it: name with -wal, -shm, -journal */
	bool database, wal, shm, journal;
};
void fsw_aside_wipe(struct fsw_aside *a); /* {0} is fine */

/*
 * As fsw_file_commit, but whatever has the name, and what lies beside it as -wal, -shm and -journal, is kept under other names:
 * "<name>.before-restore-YYYYMMDDTHHMMSSZ" (UTC, with ".2", ".3"… when any of the set is taken), so that they still
 * belong together. Killed at any moment, or after a power cut, the old set is whole under its old names or the new ones, and never
 * does the new file have the old -wal beside it. While a -wal or -journal with content is moved, there is no file of that name for a
 * moment; otherwise there always is one. On a file system without hard links the set is renamed, one after the other, and may be found
 * apart. *out_aside is filled also when it failed after that. Everything is synced.
 */
int fsw_file_commit_aside(struct fsw_file *f, const struct fsw_attrs *attrs,
			  struct fsw_aside *out_aside, struct err *err) ERR_UNUSED_WARN;
/* Only moves the set aside. */
int fsw_aside(struct fsw *w, const char *path, struct fsw_aside *out_aside,
	      struct err *err) ERR_UNUSED_WARN;

#endif
