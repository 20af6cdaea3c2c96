/*
 * btree: the grammar of SQLite's file format as far as cells need it: where pages lie, what a cell is, where its payload
 * goes on, which tables a schema row names (https://www.sqlite.org/fileformat2.html). Nothing here trusts a byte:
 * what is not as SQLite would write it is refused with false. Pure; any thread.
 */
#ifndef NIGHTJAR_CORE_BTREE_H
#define NIGHTJAR_CORE_BTREE_H

#include "core/buf.h"

#define BTREE_HEAD_BYTES 100 /* in front of page 1 */
#define BTREE_DEPTH 20       /* no cursor of SQLite goes deeper */
#define BTREE_PAGE_MAX 65536u
#define BTREE_CELL_MIN 4u /* a smaller cell takes that many bytes of its page */
#define BTREE_PAYLOAD_MAX 0x7fffffffu

enum btree_type {
	BTREE_INDEX_INTERIOR = 2,
	BTREE_TABLE_INTERIOR = 5,
	BTREE_INDEX_LEAF = 10,
	BTREE_TABLE_LEAF = 13
};

struct btree_geom {
	uint32_t page_bytes, usable; /* usable: without the reserved bytes at each page's end */
	uint64_t page_count;         /* whole pages */
	uint32_t tail_bytes;         /* behind them */
};

/* False when the image is no database, by its first BTREE_HEAD_BYTES. */
bool btree_geom_get(const uint8_t *head, uint64_t image_bytes, struct btree_geom *out_geom);

static inline bool btree_is_interior(uint8_t type)
{
	return type == BTREE_INDEX_INTERIOR || type == BTREE_TABLE_INTERIOR;
}
static inline bool btree_is_table(uint8_t type)
{
	return type == BTREE_TABLE_INTERIOR || type == BTREE_TABLE_LEAF;
}

/* Where the page's own header starts, and how long header and right child are. */
static inline uint32_t btree_header_at(uint64_t page)
{
	return page == 1 ? BTREE_HEAD_BYTES : 0;
}
static inline uint32_t btree_header_bytes(uint8_t type)
{
	return btree_is_interior(type) ? 12 : 8;
}

struct btree_cell {
	uint32_t child;    /* interior pages */
	uint64_t rowid;    /* tables; an i64's bits */
	uint64_t payload;  /* bytes in all; 0 in a table's interior page */
	uint32_t local;    /* bytes of it on this page */
	uint32_t overflow; /* the first page of the rest, 0 = none */
	uint32_t at, size; /* on the page; without the padding to BTREE_CELL_MIN */
};

/* How much of a payload lies on the page itself. */
uint32_t btree_local(const struct btree_geom *g, uint8_t type, uint64_t payload);
/* How many overflow pages the rest takes. */
uint64_t btree_overflow_pages(const struct btree_geom *g, uint8_t type, uint64_t payload);
/* On a leaf page, without padding. */
uint32_t btree_leaf_cell_bytes(const struct btree_geom *g, bool table, uint64_t rowid,
			       uint64_t payload);
/* Bytes that a cell and its pointer take. */
static inline uint32_t btree_room(uint32_t cell_bytes)
{
	return (cell_bytes < BTREE_CELL_MIN ? BTREE_CELL_MIN : cell_bytes) + 2;
}

/* Reads the cell at an offset of a page of that type; its numbers must have SQLite's shortest form. */
bool btree_cell_get(const struct btree_geom *g, uint8_t type, const uint8_t *page, uint32_t at,
		    struct btree_cell *out_cell);
/* Writes what stands in front of the payload; returns its length, at most 4 + 9 + 9. */
uint32_t btree_cell_front(uint8_t type, const struct btree_cell *cell, uint8_t *out);

uint32_t btree_u16(const uint8_t *p);
uint32_t btree_u32(const uint8_t *p);
void btree_put_u16(uint8_t *p, uint32_t v);
void btree_put_u32(uint8_t *p, uint32_t v);

/* A row of sqlite_schema that names a b-tree. type and name point into the payload. */
struct btree_schema {
	struct span type, name;
	uint32_t root;
};
bool btree_schema_get(const uint8_t *payload, size_t len, struct btree_schema *out_row);

#endif
