/*
 * restore: files, folders and databases of a manifest written below a target folder and nowhere else.
 * One thread.
 */
#ifndef NIGHTJAR_REPO_RESTORE_H
#define NIGHTJAR_REPO_RESTORE_H

#include "repo/manifests.h"
#include "repo/tree_read.h"

struct restore_callbacks {
	/* An entry that could not be restored as it was; the rest goes on, the run ends with exit 1. */
	void (*failed)(void *arg, const char *path, const char *text);
	/* Something to know: an owner that could not be set, a stale -wal moved aside. */
	void (*warning)(void *arg, const char *path, const char *text);
	int (*progress)(void *arg, uint64_t files, uint64_t bytes, const char *path);
	/* A dry run: what would be written. */
	void (*would)(void *arg, const char *path, const struct entry *entry);
	void *arg;
}; /* each may be NULL */

struct restore_options {
	const char *target;
	const char *
	    sub; /* NULL = everything; else a path in the manifest; contents appear under their full path below target */
	const char *const *includes; /* glob.h; none = everything */
	size_t include_count;
	const char *const *excludes;
	size_t exclude_count;
	bool verify;  /* read everything back and compare; integrity_check each database */
	bool dry_run; /* nothing is read but the tree, and the target is not looked at, nor made */
	struct restore_callbacks cb;
};

struct restore_result {
	uint64_t files, dirs, others, databases;
	uint64_t bytes;
	uint64_t failed;   /* entries */
	uint64_t verified; /* files read back */
};

/*
 * ERR_MISSING sub is not in the manifest; ERR_IO, ERR_FULL the target; ERR_CANCELLED. Damage of single entries is
 * reported through failed and counted; the function then still returns 0.
 */
int restore_run(struct reader *reader, const struct manifest *m,
		const struct restore_options *options, struct restore_result *out_result,
		struct err *err) ERR_UNUSED_WARN;

#endif
