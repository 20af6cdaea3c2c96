/*
 * node: lists, tree bodies and chunk-list bodies (FORMAT.md §7). Pure codecs: they say what a node is; repo/
 * decides where it goes. Decoded entries point into the body's bytes, which must stay.
 */
#ifndef NIGHTJAR_CORE_NODE_H
#define NIGHTJAR_CORE_NODE_H

#include "core/buf.h"
#include "core/record.h"

/* --- lists --- */
void list_put(struct buf *b, const struct chunk_ref *children, size_t count);
/* *out_children: one allocation, free(). Kinds are checked; a body may only be the first child. */
int list_get(const void *bytes, size_t len, struct chunk_ref **out_children, size_t *out_count,
	     struct err *err) ERR_UNUSED_WARN;

/* --- tree bodies --- */
enum entry_type {
	ENTRY_FILE = 1,
	ENTRY_DIR = 2,
	ENTRY_SYMLINK = 3,
	ENTRY_FIFO = 4,
	ENTRY_SOCKET = 5,
	ENTRY_CHAR = 6,
	ENTRY_BLOCK = 7
};
#define ENCODING_BYTES 0
#define ENCODING_IMAGE 1 /* a database, byte by byte */
#define ENCODING_CELLS 2 /* a database, taken apart: FORMAT.md §11 */
#define SHAPE_INLINE 0
#define SHAPE_LIST 1
#define INLINE_CHUNKS 16

struct entry_xattr {
	struct span name, value;
};
struct entry_extent {
	uint64_t offset, len;
};

struct entry {
	struct span name;
	uint8_t type;
	uint16_t mode;
	uint32_t uid, gid;
	struct span user, group;
	int64_t mtime_s;
	uint32_t mtime_ns;
	uint64_t link;
	struct entry_xattr *xattrs;
	size_t xattr_count;
	uint64_t size;       /* file */
	uint8_t encoding;    /* file */
	uint8_t shape;       /* file */
	uint64_t data_bytes; /* ENCODING_CELLS: of the content; the rest is layout */
	struct entry_extent *extents;
	size_t extent_count;
	struct span target; /* symlink */
	uint32_t dev_major, dev_minor;
	uint32_t child_count; /* how many children of the list are this entry's */
	uint32_t
	    child_first; /* position of the first in the list (1 is the first after the body) */
};

static inline bool entry_is_database(const struct entry *e)
{
	return e->type == ENTRY_FILE && e->encoding != ENCODING_BYTES;
}

/* Level 0. Entries are put one after the other; begin leaves room for the count, end fills it in. */
size_t tree_body_begin(struct buf *b, uint8_t level); /* gives the count's position */
void tree_body_entry(struct buf *b, const struct entry *e);
void tree_body_child(struct buf *b, const void *first_name, size_t name_len,
		     uint64_t entries_below);
void tree_body_end(struct buf *b, size_t count_at, uint32_t count);

struct tree_child {
	struct span first_name;
	uint64_t entries_below;
};
struct tree_body {
	uint8_t level;
	size_t count;
	struct entry *entries;       /* level 0 */
	struct tree_child *children; /* level ≥ 1 */
	void *pool;                  /* xattrs and extents */
};
/*
 * Every rule of §7 that the body alone can show is checked. How many children there are and of which kinds is checked
 * by the caller that holds the list, with tree_body_check.
 */
int tree_body_get(const void *bytes, size_t len, struct tree_body *out_body,
		  struct err *err) ERR_UNUSED_WARN;
/* Do these children (the whole list) fit these entries, in number and kind? */
int tree_body_check(const struct tree_body *body, const struct chunk_ref *children, size_t count,
		    struct err *err) ERR_UNUSED_WARN;
void tree_body_free(struct tree_body *body);

/* --- chunk-list bodies --- */
struct list_body {
	uint8_t level;
	size_t count;
	uint64_t *bytes; /* of each child */
	uint64_t *keys;  /* of each chunk of cells (format 1, level 0), or NULL */
};
/* keys: NULL, or at level 0 a hash of each child's first key. */
void list_body_put(struct buf *b, uint8_t level, const uint64_t *child_bytes, const uint64_t *keys,
		   size_t count);
int list_body_get(const void *bytes, size_t len, struct list_body *out_body,
		  struct err *err) ERR_UNUSED_WARN;
int list_body_check(const struct list_body *body, const struct chunk_ref *children, size_t count,
		    struct err *err) ERR_UNUSED_WARN;
void list_body_free(struct list_body *body);

#endif
