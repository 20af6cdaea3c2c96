/*
 * copy_run: what the parts of a copy share (copy.c, copy_tree.c, copy_image.c). Internal to them.
 */
#ifndef NIGHTJAR_REPO_COPY_RUN_H
#define NIGHTJAR_REPO_COPY_RUN_H

#include "repo/content.h"
#include "repo/copy.h"
#include "repo/footing.h"
#include "repo/former.h"
#include "repo/idset.h"
#include "repo/reader.h"
#include "repo/rested.h"

struct copy_run {
	struct repo *from, *to;
	const struct copy_options *options;
	struct copy_result *result;
	struct index *from_index, *to_index;
	struct reader *from_reader, *to_reader;
	struct manifest_list list; /* of the other repository, what was copied at its end */
	size_t list_cap;
	struct idset whole;   /* trees of the other repository in which nothing is missing, */
	struct rested rested; /* and where their chunks lie */
	struct footing footing;
	uint64_t total, total_bytes, done, done_bytes;

	/* of the manifest under way */
	struct packer *packer;
	struct content_writer *writer;
	const struct manifest_item *source;
	struct manifest m;            /* to be published */
	struct packer_tally *tallies; /* of each database */
	bool again;                   /* a prune has condemned meanwhile what it rests on */
	bool
	    to_failed; /* a failure was the other repository's: it ends the run, where one of the source costs this manifest only */
};

/* What a copied manifest is compared with: the same folder or file in an earlier one. NULL: there is none. */
struct copy_before {
	const struct id *from; /* in the source; only where to is its exact copy */
	const struct id *to;   /* in the other repository */
};

/* Notes whose failure r is, and gives it again. */
int copy_to(struct copy_run *run, int r);
/* ERR_CANCELLED when progress says so. bytes: that were read since. */
int copy_tick(struct copy_run *run, const char *path, uint64_t bytes,
	      struct err *err) ERR_UNUSED_WARN;

/* The tree of the source manifest, into the packer. */
int copy_tree(struct copy_run *run, const struct copy_before *before, struct id *out_root,
	      struct err *err) ERR_UNUSED_WARN;
/* Is everything of a tree of the other repository there? 0 or 1, or ERR_NOMEM. */
int copy_is_whole(struct copy_run *run, const struct id *root, struct err *err) ERR_UNUSED_WARN;

/*
 * One database. former, former_children: the entry that it had in the other repository before, or NULL. Its image has the SHA-256
 * that the manifest names.
 */
int copy_image(struct copy_run *run, const char *path, const struct entry *e,
	       const struct chunk_ref *children, const struct entry *former,
	       const struct chunk_ref *former_children, struct content *out_content,
	       struct err *err) ERR_UNUSED_WARN;

#endif
