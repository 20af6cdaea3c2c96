/*
 * repair_tree: a tree without what of it cannot be had any more. Internal to repair_manifests.c. One thread.
 */
#ifndef NIGHTJAR_REPO_REPAIR_TREE_H
#define NIGHTJAR_REPO_REPAIR_TREE_H

#include "repo/idset.h"
#include "repo/packer.h"
#include "repo/repair.h"
#include "repo/tree_read.h"

struct repair_tree {
	struct index *index; /* what is lost is marked in it */
	struct reader *reader;
	const struct repair_callbacks *cb;
	struct idset whole; /* trees in which nothing is missing: many manifests share them */
	const struct id *manifest; /* under way */
	uint64_t left_out;         /* paths */
};

/* Is anything missing below that list? 1 nothing, 0 something; ERR_NOMEM, ERR_CANCELLED, ERR_KEY. */
int repair_tree_whole(struct repair_tree *t, const struct id *list,
		      struct err *err) ERR_UNUSED_WARN;

/*
 * Stores what is left, by a packer over another index of the same repository, and tells each path that is left out. packer NULL: only
 * tells. 1: of the root itself nothing can be had, and nothing was told.
 */
int repair_tree_rest(struct repair_tree *t, struct packer *packer, const struct id *root,
		     struct id *out_root, struct err *err) ERR_UNUSED_WARN;

/* Every chunk that a tree rests on, nodes and contents, those that folders share again and again. fn nonzero ends the walk. */
int repair_tree_refs(struct reader *reader, const struct id *root, content_ref_fn *fn, void *arg,
		     struct err *err) ERR_UNUSED_WARN;

#endif
