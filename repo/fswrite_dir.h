/*
 * fswrite_dir: the folders below one target, opened without ever following a symlink. For fswrite only.
 *
 * A few folders stay open, the least recently used leaves first, so that writing a hundred thousand
 * files does not mean as many walks. A folder that was changed is synced when it leaves and in
 * fsw_dirs_sync; after a sync that failed every later call fails with that error. One thread.
 *
 * What cannot be promised: when somebody moves a folder out of the target while it is open here,
 * what is written to it moves along.
 */
#ifndef NIGHTJAR_REPO_FSWRITE_DIR_H
#define NIGHTJAR_REPO_FSWRITE_DIR_H

#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"

struct fsw_dirs;

struct fsw_dir {
	int fd;
	/* private */
	char *path;
	size_t path_len;
	unsigned refs;
	bool changed;
};

/* As fsw_open; without make, ERR_MISSING when target is not there. */
int fsw_dirs_open(const char *target, bool make, struct fsw_dirs **out_dirs,
		  struct err *err) ERR_UNUSED_WARN;
void fsw_dirs_close(struct fsw_dirs *dirs); /* every folder was put; NULL is fine */
/* Syncs every folder that was changed, those that were left before included. */
int fsw_dirs_sync(struct fsw_dirs *dirs, struct err *err) ERR_UNUSED_WARN;
/* The target itself, open for reading; the caller closes it. */
int fsw_dirs_root(struct fsw_dirs *dirs, int *out_fd, struct err *err) ERR_UNUSED_WARN;
/* Closes what is kept open: after a folder was moved its path means something else. */
void fsw_dirs_forget(struct fsw_dirs *dirs);

/*
 * The folder that path is an entry of, and the last component (pointing into path). ERR_DAMAGED when path is not
 * a plain relative path, ERR_EXISTS when something that is no folder is in the way, ERR_MISSING when there is
 * nothing. The folder must be given back.
 */
int fsw_dir_parent(struct fsw_dirs *dirs, const char *path, struct fsw_dir **out_dir,
		   const char **out_name, struct err *err) ERR_UNUSED_WARN;
void fsw_dir_put(struct fsw_dirs *dirs, struct fsw_dir *dir); /* NULL is fine */
/* An entry was made, renamed or removed in it. */
void fsw_dir_changed(struct fsw_dir *dir);

#endif
