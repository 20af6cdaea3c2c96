/*
 * cells_layout: the layout stream of the cell codec (FORMAT.md §11): its writer, and what both directions expect of page numbers. Internal
 * to cells. Pure.
 */
#ifndef NIGHTJAR_CORE_CELLS_LAYOUT_H
#define NIGHTJAR_CORE_CELLS_LAYOUT_H

#include "core/cells_page.h"

/* The first byte of the stream. */
#define CELLS_FILE 0
#define CELLS_DATABASE 1

/* A leaf page as the walk saw it. */
struct layout_leaf {
	uint32_t number, count;
	uint64_t expected; /* its number, by layout_expect_leaf */
	unsigned flags;    /* without PAGE_NUMBER and PAGE_COUNT, which the writer finds out */
	uint32_t free;     /* room that its cells leave */
	bool table;
};

/*
 * Leaves about which nothing is unusual are only counted. Whether a leaf holds as many cells as fit is known when the
 * next cell is, so the last leaf waits for it, and what comes after the leaf waits as well.
 */
struct layout_writer {
	struct buf out; /* ready */
	uint64_t usual; /* usual leaves to be written after it */
	bool waiting;
	struct layout_leaf leaf; /* the one that waits */
	struct buf rest, after;  /* its details; what follows it */
};
void layout_writer_free(struct layout_writer *w);

/* The next cell of the data stream: settles the leaf that waits for it. */
void layout_next_cell(struct layout_writer *w, const struct btree_geom *g, bool table,
		      uint64_t rowid, uint64_t payload);
/* A tree begins. */
void layout_tree(struct layout_writer *w, bool table);
/* A leaf whose cells were announced; rest: its details after number and count. */
void layout_leaf(struct layout_writer *w, const struct layout_leaf *leaf, const struct buf *rest);
void layout_interior(struct layout_writer *w, uint32_t number, uint64_t expected, uint32_t count);
void layout_refused(struct layout_writer *w, uint64_t number);
void layout_bytes(struct layout_writer *w, const struct buf *bytes);
/* Moves what is ready to out; all: at the end, when no cell comes any more. */
void layout_take(struct layout_writer *w, bool all, struct buf *out);

/*
 * What VACUUM does: a leaf page follows the overflow pages of its first cell, which were there before it was, and those of its other
 * cells follow it. A root was there before all of them. next: the page after the last one so taken; first: how
 * many overflow pages the first cell has.
 */
uint64_t layout_expect_leaf(uint64_t next, size_t first);
/* The k-th overflow page of a leaf. */
uint64_t layout_expect_overflow(uint64_t next, uint32_t number, bool root, size_t first, size_t k);
/* count: of the chain; last: its last page. */
uint64_t layout_next_page(uint64_t next, uint32_t number, bool root, size_t first, size_t count,
			  uint64_t last);
/* Overflow pages as runs: how many runs; of each the number - the expected one, how many. */
void layout_chain_put(struct buf *b, uint64_t next, const uint32_t *chain, size_t count);

#endif
