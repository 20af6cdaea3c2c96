/*
 * restore: files, folders and databases of a manifest written below a target folder and nowhere else, and single
 * files to a stream. One thread.
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
	bool verify; /* read everything back and compare; integrity_check each database */
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

/* The bytes of one file or database image, holes as zeros. ERR_USAGE when path is not a file. */
int restore_dump(struct reader *reader, const struct manifest *m, const char *path,
		 content_bytes_fn *fn, void *arg, struct err *err) ERR_UNUSED_WARN;

/*
 * Every entry below sub (NULL or "/" = all), depth first, in order, for `ls` and later `find`. path is the full path. fn
 * nonzero ends the walk.
 */
typedef int restore_list_fn(void *arg, const char *path, const struct entry *entry,
			    struct err *err);
int restore_list(struct reader *reader, const struct manifest *m, const char *sub,
		 restore_list_fn *fn, void *arg, struct err *err) ERR_UNUSED_WARN;

#endif
