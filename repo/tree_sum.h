/*
 * tree_sum: the entries of one folder as one digest, over everything that its tree nodes are made of: two folders of equal sums, under the
 * same keys, have the same nodes. Cheaper than the nodes themselves, and made before it is known whether those are needed. Pure; one thread.
 */
#ifndef NIGHTJAR_REPO_TREE_SUM_H
#define NIGHTJAR_REPO_TREE_SUM_H

#include "core/node.h"
#include "core/sha256.h"

struct tree_sum {
	struct sha256 *ctx;
	struct buf bytes; /* not digested yet */
	uint64_t files, file_bytes,
	    others; /* of what was added; databases and folders are others */
	uint64_t folders, databases;
	uint64_t least_file_bytes; /* UINT64_MAX: there is no file */
};

/* {0} before, and valid for the free. */
int tree_sum_new(struct tree_sum *sum, struct err *err) ERR_UNUSED_WARN;
void tree_sum_free(struct tree_sum *sum);
/* In the order of the names. */
int tree_sum_add(struct tree_sum *sum, const struct entry *e, const struct chunk_ref *children,
		 size_t child_count, struct err *err) ERR_UNUSED_WARN;
/* The sum can then only be freed; its counts stay. */
int tree_sum_final(struct tree_sum *sum, struct id *out_sum, struct err *err) ERR_UNUSED_WARN;

#endif
