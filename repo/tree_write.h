/*
 * tree_write: one folder's entries become nodes (FORMAT.md §7 "Cutting nodes"): the same entries give the same
 * nodes, whatever the history. One thread.
 */
#ifndef NIGHTJAR_REPO_TREE_WRITE_H
#define NIGHTJAR_REPO_TREE_WRITE_H

#include "core/node.h"
#include "repo/former.h"
#include "repo/packer.h"
#include "repo/tree_sum.h"

struct dir_writer;

int dir_writer_new(struct packer *packer, struct dir_writer **out_writer,
		   struct err *err) ERR_UNUSED_WARN;
void dir_writer_free(struct dir_writer *w); /* NULL is fine */

/*
 * The nodes that the folder had before: each new one is a version of the one of the same first name, or of the one
 * before it, and stored as a delta of it where that is small. Stays the caller's, until finish; NULL: none are known.
 */
void dir_writer_follow(struct dir_writer *w, const struct former *former);

/* Every entry that is added is added to sum, too, which stays the caller's; and the nodes are remembered. */
void dir_writer_sum(struct dir_writer *w, struct tree_sum *sum);
/* After finish, what dir_writer_sum was asked for: lists and bodies, the root list the last. They stay the writer's. */
const struct chunk_ref *dir_writer_nodes(const struct dir_writer *w, size_t *out_count);

/*
 * Entries come in strictly ascending order of their names. children: what the entry takes from the list, in number as
 * FORMAT.md §7 says. Everything is copied.
 */
int dir_writer_add(struct dir_writer *w, const struct entry *entry,
		   const struct chunk_ref *children, size_t child_count,
		   struct err *err) ERR_UNUSED_WARN;

/* Ends the folder: the id of its root list. The writer can then only be freed. */
int dir_writer_finish(struct dir_writer *w, struct id *out_list, struct err *err) ERR_UNUSED_WARN;

#endif
