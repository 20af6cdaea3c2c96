/*
 * former: the nodes that a folder or a file had in an earlier backup, and which of them a new node is a version of, so
 * that it can be stored as a delta. Only a guess at what is alike: what is stored is right whatever it says. One thread.
 */
#ifndef NIGHTJAR_REPO_FORMER_H
#define NIGHTJAR_REPO_FORMER_H

#include "core/node.h"
#include "repo/reader.h"

struct tree_node;

struct former_node {
	struct id list, body;
	uint8_t level;
	char *first_name; /* owned; tree nodes only */
	size_t first_name_len;
};

/* A child of a chunk-list node: eight bytes of its id are enough to tell it. */
struct former_child {
	uint64_t mark;
	uint32_t node;
	uint8_t level; /* of its node */
};

/* {0} is valid, and has none. */
struct former {
	struct former_node *nodes; /* those of one level in the order of their names or bytes */
	size_t count, cap;
	struct former_child *children; /* ascending by mark, once loaded */
	size_t child_count, child_cap;
};
void former_free(struct former *f);

/* Adds one node of a folder, as a walk comes to it. */
int former_add_tree(struct former *f, const struct id *list, const struct id *body, uint8_t level,
		    const void *first_name, size_t first_name_len, struct err *err) ERR_UNUSED_WARN;
/* The same of a node that was read. */
int former_add_node(struct former *f, const struct id *list, const struct tree_node *n,
		    struct err *err) ERR_UNUSED_WARN;
/* Of that level, the node of that first name, else the last one before it, else the first. NULL: none. */
const struct former_node *former_find_tree(const struct former *f, uint8_t level,
					   const void *first_name, size_t first_name_len);

/* Adds the nodes of a chunk list, from its root. After an error it has none. */
int former_load_list(struct former *f, struct reader *reader, const struct id *root,
		     struct err *err) ERR_UNUSED_WARN;
/* Of that level, the node that has most of these children in common; where there is none, the number-th of the level. */
const struct former_node *former_find_list(const struct former *f, uint8_t level,
					   const struct chunk_ref *children, size_t count,
					   size_t number);

#endif
