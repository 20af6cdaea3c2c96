/*
 * rowtrees: the b-trees of one image and which of its chunks hold cells of which, as far as they have to be known. Internal to
 * rowdiff. One thread.
 */
#ifndef NIGHTJAR_REPO_ROWTREES_H
#define NIGHTJAR_REPO_ROWTREES_H

#include "core/cells_read.h"
#include "repo/image_read.h"
#include "repo/rowdiff.h"

#define ROWTREES_NONE UINT32_MAX

enum rowtree_fill { ROWTREE_UNKNOWN, ROWTREE_EMPTY, ROWTREE_FILLED };

/* A part of a tree: the group-th group of a chunk. */
struct rowtree_part {
	uint32_t chunk, group;
};

struct rowtree {
	char *name;      /* UTF-8 */
	uint8_t key[16]; /* of its cells' hashes */
	bool is_table, without_rowid, internal;
	bool raw;             /* no tree: pages that are kept as they are, the last in the stream */
	bool partial;         /* an index of some of a table's rows */
	uint32_t key_columns; /* WITHOUT ROWID: the first of a row, 0 = not known */
	enum rowtree_fill fill;
	struct rowtree_part *parts;
	size_t part_count, part_cap;
	uint64_t cells; /* in parts */
};

struct rowtrees {
	struct reader *reader;
	const struct rowdiff_side *side;
	struct image_map map;
	uint32_t
	    *partner; /* of each data chunk: the same one in the other image, or ROWTREES_NONE */
	uint8_t schema_key[16];
	struct rowtree
	    *trees; /* in the order of the stream, without sqlite_schema; raw pages last */
	size_t count, cap;
	rowdiff_tick_fn *tick;
	void *tick_arg;
	const char *uncounted; /* NULL, or why this image's rows cannot be counted */
};

/* Reads the schema. Errors are those of reading; see uncounted. Free it in any case. */
int rowtrees_open(struct rowtrees *t, struct reader *reader, const struct rowdiff_side *side,
		  struct err *err) ERR_UNUSED_WARN;
void rowtrees_free(struct rowtrees *t);

/* Finds the parts of all trees in the chunks without a partner. */
int rowtrees_find_parts(struct rowtrees *t, struct err *err) ERR_UNUSED_WARN;

/* Appends a data chunk to an emptied buffer. */
int rowtrees_chunk(struct rowtrees *t, size_t chunk, struct buf *out,
		   struct err *err) ERR_UNUSED_WARN;

/* One chunk of cells, to be read by groups. feed points here: not copied once it was begun. */
struct rowchunk {
	struct buf bytes;
	bool given;
	struct cells_feed feed;
	struct cells_reader reader;
};
void rowchunk_begin(struct rowchunk *c); /* over bytes */
bool rowchunk_is_cells(const struct rowchunk *c);
/* True where the next cell begins a group, as seen before it is looked at. */
bool rowchunk_at_group(const struct rowchunk *c);

#endif
