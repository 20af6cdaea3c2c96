/*
 * diff: what differs between two manifests, or two folders of them: entries, and in databases rows. Folders and parts of folders that
 * are the same are not read: a node's id tells. One thread.
 */
#ifndef NIGHTJAR_REPO_DIFF_H
#define NIGHTJAR_REPO_DIFF_H

#include "repo/manifests.h"
#include "repo/rowdiff.h"

/* restic's letters, of which 'T' may come with another: "TU". */
#define DIFF_ADDED '+'
#define DIFF_REMOVED '-'
#define DIFF_MODIFIED 'M'
#define DIFF_METADATA 'U'
#define DIFF_TYPE 'T'

struct diff_side {
	const struct manifest *m;
	const char *sub; /* a path in it; NULL = all */
};

struct diff_callbacks {
	/* path: in the manifest; of a sub below it, "/" being the sub itself. A folder's ends with '/'. */
	void (*change)(void *arg, const char *modifier, const char *path);
	/* A database of which the content differs; after its change. */
	void (*database)(void *arg, const char *path, const struct rowdiff *rows,
			 uint64_t bytes_before, uint64_t bytes_after);
	int (*progress)(void *arg); /* nonzero cancels */
	void *arg;
}; /* each may be NULL */

struct diff_options {
	bool metadata; /* tells entries of which only owner, mode, times or attributes differ */
	struct diff_callbacks cb;
};

/* Of what was added, or removed. Blobs and bytes (stored): of the parts that differ, what the other side's do not have. */
struct diff_counts {
	uint64_t files, dirs, others, data_blobs, tree_blobs, bytes;
};
struct diff_result {
	uint64_t changed_files;
	struct diff_counts added, removed;
};

/* ERR_MISSING a sub is not in its manifest; ERR_CANCELLED; the reader's errors. */
int diff_run(struct reader *reader, const struct diff_side *before, const struct diff_side *after,
	     const struct diff_options *options, struct diff_result *out_result,
	     struct err *err) ERR_UNUSED_WARN;

#endif
