/*
 * backup_old: what the parent manifest says of one folder, for the second walk of a backup. Internal to it; one thread.
 */
#ifndef NIGHTJAR_REPO_BACKUP_OLD_H
#define NIGHTJAR_REPO_BACKUP_OLD_H

#include "repo/backup_run.h"
#include "repo/tree_read.h"

struct backup_old_entry {
	char *name;
	uint8_t type, shape, encoding;
	uint64_t size;
	int64_t mtime_s;
	uint32_t mtime_ns;
	struct id content; /* backup_fold_ids of the children; a folder's or a file's list */
	struct filescache_file
	    file; /* of a file in an immutable folder; no more than {0} of others */
};

/* {0}: nothing is known. */
struct backup_old {
	struct backup_old_entry *entries; /* ascending by name, as the tree has them */
	size_t count, cap, at;
	size_t expected; /* up to here the index knows what will be asked of it */
	struct former nodes;
	const struct index *index;
	const struct id *list; /* of the folder; borrowed, NULL: there was none */
	bool keeps;            /* what files became, too */
};

/*
 * list: of the folder in the parent manifest, or NULL. A parent that cannot be read makes everything new: it is only for the counts of
 * the summary, and for what new nodes are stored as deltas of.
 */
void backup_old_load(struct backup_run *run, const char *path, const struct id *list,
		     struct backup_old *out_old);
void backup_old_free(struct backup_old *f);
/* Names are asked for in strictly ascending order; what is at f->at was not asked for yet. */
const struct backup_old_entry *backup_old_find(struct backup_old *f, const char *name);
/* The one id; of several a hash in their order: equal for equal contents only. */
struct id backup_fold_ids(const struct chunk_ref *children, size_t count);

#endif
