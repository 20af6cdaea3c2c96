/*
 * backup_filter: what a backup leaves out. Both walks of a run ask here and nowhere else, so that they agree.
 * Decides and reads only; the caller tells. One thread.
 */
#ifndef NIGHTJAR_REPO_BACKUP_FILTER_H
#define NIGHTJAR_REPO_BACKUP_FILTER_H

#include <stdbool.h>
#include <sys/stat.h>

#include "repo/fsread.h"
#include "repo/sources.h"

/* A folder of nightjar's own that must not come into a backup. */
struct backup_own {
	const char *
	    path; /* one that is not there, or no local folder, is ignored; a symlink is followed */
	const char *text; /* to be told: "is the repository of this backup; left out" */
};

/* {0} leaves nothing out. */
struct backup_filter_options {
	const char *const *excludes; /* glob.h patterns, valid */
	size_t exclude_count;
	const char *const
	    *if_present; /* "NAME" or "NAME:header": a folder that holds it is emptied */
	size_t if_present_count;
	bool has_largest; /* files, databases too, of more bytes are left out */
	uint64_t largest_bytes;
	bool one_file_system; /* mount points below the sources are kept as empty folders */
	const struct backup_own *own;
	size_t own_count;
};

struct backup_filter;

/*
 * options and sources must stay. Looks at the sources' devices and at the own folders. ERR_USAGE for an if_present
 * name that is empty or a path; ERR_NOMEM.
 */
int backup_filter_new(const struct backup_filter_options *options, const struct sources *sources,
		      struct backup_filter **out_filter, struct err *err) ERR_UNUSED_WARN;
void backup_filter_free(struct backup_filter *f); /* NULL is fine */

/*
 * False when the entry `name` of dirfd is left out. path: its name in the backup. *out_st: its lstat, all zeros when
 * that failed (the entry is then wanted, and its reader says why it cannot be had) or was not needed to leave it out.
 * *out_own: what to tell when it is left out because it is ours, else NULL.
 */
bool backup_filter_wants(const struct backup_filter *f, int dirfd, const char *name,
			 const char *path, struct stat *out_st, const char **out_own);

/* The half of it that needs no look: is it left out because of its name? */
bool backup_filter_excludes(const struct backup_filter *f, const char *path);

/* Does nothing but a name leave anything out? */
bool backup_filter_by_path(const struct backup_filter *f);

/*
 * fs_list without what an --exclude-if-present file or a file system of its own keeps out. What is in there and is still
 * wanted must be asked for with backup_filter_wants.
 */
int backup_filter_list(const struct backup_filter *f, int dirfd, const char *path,
		       char ***out_names, size_t *out_count, struct err *err) ERR_UNUSED_WARN;

#endif
