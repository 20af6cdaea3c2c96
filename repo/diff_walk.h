/*
 * diff_walk: the entries of a folder, in order, one at a time, so that two folders can be walked side by side and nodes that both have
 * are passed over unread. Internal to diff. One thread.
 */
#ifndef NIGHTJAR_REPO_DIFF_WALK_H
#define NIGHTJAR_REPO_DIFF_WALK_H

#include "repo/tree_read.h"

typedef int diff_node_fn(void *arg, const struct id *list, const struct tree_node *node,
			 struct err *err);

struct diff_walk {
	struct reader *reader;
	diff_node_fn *node_fn; /* told of each node that is read */
	void *arg;
	struct tree_node nodes[LIMIT_NODE_LEVELS];
	size_t at[LIMIT_NODE_LEVELS]; /* the next entry, or child, of each */
	size_t depth;                 /* how many nodes are open */
};

int diff_walk_begin(struct diff_walk *w, struct reader *reader, const struct id *list,
		    diff_node_fn *node_fn, void *arg, struct err *err) ERR_UNUSED_WARN;
void diff_walk_end(struct diff_walk *w); /* {0} is fine */

/* What comes next: an entry, or a node that was not opened; neither: the end. */
const struct entry *diff_walk_entry(const struct diff_walk *w);
const struct chunk_ref *diff_walk_children(const struct diff_walk *w); /* of that entry */
const struct id *diff_walk_node(const struct diff_walk *w);
struct span diff_walk_name(const struct diff_walk *w); /* of the entry, or the node's first */

void diff_walk_pass(struct diff_walk *w);                                 /* over it */
int diff_walk_open(struct diff_walk *w, struct err *err) ERR_UNUSED_WARN; /* the node */

#endif
