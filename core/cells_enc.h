/*
 * cells_enc: what the parts of the encoder share: one page at a time, taken as a page of the tree under way or refused, its
 * cells put into the data stream, and what is unusual about it. Internal to them. Pure.
 */
#ifndef NIGHTJAR_CORE_CELLS_ENC_H
#define NIGHTJAR_CORE_CELLS_ENC_H

#include "core/cells_cut.h"
#include "core/cells_layout.h"

/* What one level of the walk holds: a page, its cells, and its overflow pages one chain after the other. */
struct enc_level {
	uint8_t *page, *built;
	struct btree_cell *cells;
	struct page_cell *places;
	uint32_t count, room; /* room: bytes that its cells leave */
	uint32_t *chain;
	size_t chain_count, chain_cap;
	struct buf ovpatch, keys;
	uint32_t ovpatches, key_count, key_before;
};

struct enc_tree {
	struct buf id; /* type, then name */
	size_t type_len;
	uint32_t root;
};

struct enc {
	const struct cells_source *source;
	struct btree_geom g;
	uint8_t head[BTREE_HEAD_BYTES];
	uint8_t *claimed; /* a bit a page */
	uint64_t vain;    /* pages that were read and then refused, with their overflow pages */
	struct cells_cut *cut;
	struct layout_writer layout;
	struct enc_level *levels[BTREE_DEPTH];
	struct enc_tree *trees;
	size_t tree_count, tree_cap;
	bool schema; /* the tree under way is sqlite_schema */
	bool table;
	uint64_t next; /* the page that is expected next */
	uint64_t last_rowid;
	struct buf payload, rest;
	struct cells_stats *stats;
};

bool enc_is_claimed(const struct enc *e, uint64_t page);
int enc_read_page(const struct enc *e, uint64_t page, void *out, size_t len,
		  struct err *err) ERR_UNUSED_WARN;
/* 1 when the page cannot be taken as one of this tree; nothing of it is claimed then. */
int enc_page_take(struct enc *e, uint64_t number, unsigned depth, struct enc_level **out,
		  struct err *err) ERR_UNUSED_WARN;
/* One cell into the data stream. from: where its chain begins in the level's. */
int enc_put_cell(struct enc *e, struct enc_level *l, const struct btree_cell *c, size_t from,
		 struct err *err) ERR_UNUSED_WARN;
struct page_plan enc_plan(const struct enc *e, const struct enc_level *l, uint32_t number,
			  uint8_t type, uint32_t right);
/* Append what is unusual to e->rest; return the flags. */
unsigned enc_describe(struct enc *e, struct enc_level *l, const struct page_plan *p);
unsigned enc_describe_overflow(struct enc *e, const struct enc_level *l);

#endif
