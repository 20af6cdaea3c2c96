/*
 * fswrite_attrs: owner, xattrs, mode and times put on an entry through its descriptor. For fswrite only.
 * What the system refuses is told to the caller's warning function and is no error. One thread.
 */
#ifndef NIGHTJAR_REPO_FSWRITE_ATTRS_H
#define NIGHTJAR_REPO_FSWRITE_ATTRS_H

#include <stdbool.h>
#include <sys/stat.h>

#include "repo/fswrite.h"

struct fsw_ids; /* remembers the numbers of user and group names */

struct fsw_ids *fsw_ids_new(void); /* NULL = out of memory */
void fsw_ids_free(struct fsw_ids *ids);

/* Who is warned, about which path. */
struct fsw_warning {
	fsw_warn_fn *fn; /* may be NULL */
	void *arg;
	const char *path;
};

/*
 * fd is the entry itself: open, or opened with O_PATH (by_path true), which is all that a symlink, a fifo or
 * a device allows. setuid and setgid are set last, and only when the owner, the group, is as wanted.
 */
void fsw_attrs_put(struct fsw_ids *ids, int fd, bool by_path, const struct fsw_attrs *attrs,
		   const struct fsw_warning *warning);

/*
 * Whether fsw_attrs_put would leave the entry at fd, whose status is st, as it is. Owners count only for who may change them. Attributes
 * that are there beyond the wanted ones do not count.
 */
bool fsw_attrs_same(struct fsw_ids *ids, int fd, const struct stat *st,
		    const struct fsw_attrs *attrs);

#endif
