/*
 * tree_read: from a root list to folders' entries and files' bytes (FORMAT.md §7). Everything is authenticated by
 * the reader before it is parsed here. One thread.
 */
#ifndef NIGHTJAR_REPO_TREE_READ_H
#define NIGHTJAR_REPO_TREE_READ_H

#include "core/node.h"
#include "repo/reader.h"

/* One tree node with what its entries point into. {0} is valid for tree_node_free. */
struct tree_node {
	struct buf list_bytes, body_bytes;
	struct chunk_ref *children;
	size_t child_count;
	struct tree_body body;
};
int tree_node_load(struct reader *reader, const struct id *list, struct tree_node *out_node,
		   struct err *err) ERR_UNUSED_WARN;
void tree_node_free(struct tree_node *node);

/* children: those that the entry takes. Nonzero ends the walk, and tree_each returns it. */
typedef int tree_entry_fn(void *arg, const struct entry *entry, const struct chunk_ref *children,
			  struct err *err);
/* Every entry of one folder, in order; does not enter folders below. */
int tree_each(struct reader *reader, const struct id *list, tree_entry_fn *fn, void *arg,
	      struct err *err) ERR_UNUSED_WARN;

/* The same, and node_fn is told of each node, before its entries and those of the nodes below it. */
typedef int tree_node_fn(void *arg, const struct id *list, const struct tree_node *node,
			 struct err *err);
int tree_each_node(struct reader *reader, const struct id *list, tree_node_fn *node_fn,
		   tree_entry_fn *fn, void *arg, struct err *err) ERR_UNUSED_WARN;

/*
 * Finds the entry of a path ("/srv/app"; "/" has none) below a root. ERR_MISSING names the path. fn is called once with
 * it, before its node is freed, and tree_lookup returns what it does.
 */
int tree_lookup(struct reader *reader, const struct id *root, const char *path, tree_entry_fn *fn,
		void *arg, struct err *err) ERR_UNUSED_WARN;

/* One chunk-list node. {0} is valid for list_node_free. */
struct list_node {
	struct chunk_ref *children; /* [0] is the body */
	size_t count;
	struct list_body body;
};
int list_node_load(struct reader *reader, const struct id *list, unsigned max_level,
		   struct list_node *out_node, struct err *err) ERR_UNUSED_WARN;
void list_node_free(struct list_node *node);

typedef int content_bytes_fn(void *arg, const void *bytes, size_t len, struct err *err);
/*
 * The bytes of a file entry, in order (of a sparse file, its extents' data; of a database, its image, which is put together in
 * memory and encrypted scratch space first: image_read does without where order does not matter). ERR_DAMAGED when they are not
 * as many as the entry says.
 */
int content_each(struct reader *reader, const struct entry *entry, const struct chunk_ref *children,
		 content_bytes_fn *fn, void *arg, struct err *err) ERR_UNUSED_WARN;

/*
 * Every chunk that a file's content rests on, chunk lists and their bodies included, in order; data chunks are not read. What lies
 * below a list that is there twice comes once. Other entries have none. path is passed on.
 */
typedef int content_ref_fn(void *arg, const struct chunk_ref *ref, const char *path,
			   struct err *err);
int content_refs(struct reader *reader, const struct entry *entry, const struct chunk_ref *children,
		 const char *path, content_ref_fn *fn, void *arg, struct err *err) ERR_UNUSED_WARN;

/* Every node of a chunk list, a node before those below it; children are the whole list, the body first. Data is not read. */
typedef int list_node_fn(void *arg, const struct id *list, const struct chunk_ref *children,
			 size_t count, uint8_t level, struct err *err);
int list_each_node(struct reader *reader, const struct id *root, list_node_fn *fn, void *arg,
		   struct err *err) ERR_UNUSED_WARN;

/*
 * Where stored bytes go in the file: straight on, or through the extents of a sparse file. {.entry = e} to begin. Gives how
 * many of the next len > 0 bytes belong at *out_offset; at least 1 while the content is no longer than the entry says, which
 * content_each makes sure of.
 */
struct content_spread {
	const struct entry *entry;
	size_t extent;
	uint64_t done; /* of this extent, or of a dense file */
};
size_t content_spread_next(struct content_spread *s, size_t len, uint64_t *out_offset);

/* Bytes of a file entry: its size, or the sum of its extents. */
uint64_t content_stored_bytes(const struct entry *entry);

#endif
