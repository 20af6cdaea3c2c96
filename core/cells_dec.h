/*
 * cells_dec: what the parts of the decoder share: one page at a time, its cells taken from the data stream, then placed, patched and
 * written. Internal to them. Pure.
 */
#ifndef NIGHTJAR_CORE_CELLS_DEC_H
#define NIGHTJAR_CORE_CELLS_DEC_H

#include "core/cells_layout.h"
#include "core/cells_read.h"

/* Overflow pages that follow one another. */
struct dec_run {
	uint32_t first, count;
};

/* A page under way: its cells as they will stand on it. */
struct dec_level {
	uint8_t *bytes; /* of the cells, one after the other */
	uint32_t used;
	struct page_cell *cells;
	uint32_t count;
	uint32_t *children;
	uint64_t *keys; /* of an interior page of a table */
	struct dec_run *runs;
	size_t run_count, run_cap;
	size_t run_at;     /* the run that was asked for last: chains are read onwards */
	uint64_t run_base; /* pages in the runs before it */
	size_t pages;      /* in runs that cells have taken */
};

struct dec {
	struct btree_geom g;
	uint8_t head[BTREE_HEAD_BYTES];
	const struct cells_target *target;
	struct layout_reader layout;
	struct cells_reader data;
	uint8_t *written; /* a bit a page */
	struct dec_level *levels[BTREE_DEPTH];
	uint8_t *page, *overflow;
	uint32_t *roots;
	size_t root_count, root_cap;
	bool schema, table;
	uint64_t usual; /* leaves still to come about which nothing is unusual */
	uint64_t next;
	uint64_t last_rowid;
};

/* Where the chain of a page is: written down, or as expected. */
struct dec_chain {
	struct dec_level *runs; /* NULL: as expected of a leaf */
	uint32_t number;
	bool root;
	size_t first;
	uint64_t next; /* when the page began */
};

/* ERR_DAMAGED, or what failed before. */
int dec_damaged(struct dec *d, const char *what, struct err *err) ERR_UNUSED_WARN;
/* A page may be made once only: that, too, bounds what hostile streams can ask for. */
int dec_page_begin(struct dec *d, uint64_t number, struct err *err) ERR_UNUSED_WARN;
int dec_page_write(struct dec *d, uint64_t number, uint32_t at, const uint8_t *bytes, size_t len,
		   struct err *err) ERR_UNUSED_WARN;
int dec_level_get(struct dec *d, unsigned depth, struct dec_level **out,
		  struct err *err) ERR_UNUSED_WARN;
/* Reads runs of overflow pages from the layout and adds them to the level's. */
int dec_chain_get(struct dec *d, struct dec_level *l, struct err *err) ERR_UNUSED_WARN;
/* The k-th overflow page of a page's chain. */
int dec_overflow_page(struct dec *d, const struct dec_chain *c, uint64_t k, uint32_t *out,
		      struct err *err) ERR_UNUSED_WARN;
/* Takes the cell ahead as the next one of the level's page; writes its overflow pages. */
int dec_take_cell(struct dec *d, struct dec_level *l, uint8_t type, uint32_t child,
		  const struct dec_chain *chain, struct err *err) ERR_UNUSED_WARN;
/* Everything that follows a page's cells; writes the page. */
int dec_page_finish(struct dec *d, struct dec_level *l, uint32_t number, uint8_t type,
		    uint32_t right, unsigned flags, const struct dec_chain *chain,
		    struct err *err) ERR_UNUSED_WARN;

#endif
