/*
 * cells_page: what both directions of the cell codec know of one b-tree page: where its cells lie, what the page is when nothing is
 * unusual about it, and how what is unusual is written (FORMAT.md §11). Internal to cells. Pure.
 */
#ifndef NIGHTJAR_CORE_CELLS_PAGE_H
#define NIGHTJAR_CORE_CELLS_PAGE_H

#include "core/btree.h"
#include "core/cells.h"

/* Flags of a page in the layout stream; 0 = nothing is unusual. */
enum page_flag {
	PAGE_INTERIOR = 1,
	PAGE_NUMBER = 2,    /* it is not where it was expected */
	PAGE_COUNT = 4,     /* how many cells; otherwise as many as fit */
	PAGE_ORDER = 8,     /* the other of the two usual orders of cells on the page */
	PAGE_PLACE = 16,    /* some cells lie elsewhere than that order says */
	PAGE_PATCH = 32,    /* bytes that differ from the page that was expected */
	PAGE_CHAIN = 64,    /* where the overflow pages are */
	PAGE_OVPATCH = 128, /* bytes of overflow pages that differ */
	PAGE_REFUSED = 256, /* no page of this tree: a number that leads to none */
	PAGE_KEYS =
	    512 /* keys of an interior table page that are not those of the left child's last cell */
};
#define PAGE_PRE_FLAGS (PAGE_INTERIOR | PAGE_NUMBER)
#define PAGE_POST_FLAGS (PAGE_ORDER | PAGE_PLACE | PAGE_PATCH | PAGE_OVPATCH | PAGE_KEYS)
#define PAGE_LEAF_FLAGS                                                                            \
	(PAGE_NUMBER | PAGE_COUNT | PAGE_ORDER | PAGE_PLACE | PAGE_PATCH | PAGE_CHAIN |            \
	 PAGE_OVPATCH)

/* One cell as it stands on a page. */
struct page_cell {
	uint32_t from; /* where its bytes lie in the plan's bytes */
	uint32_t size; /* without padding */
	uint32_t at;   /* on the page */
};

/* A page to be built. */
struct page_plan {
	const struct btree_geom *geom;
	const uint8_t *head; /* BTREE_HEAD_BYTES, for page 1 */
	uint32_t number;
	uint8_t type;
	uint32_t right; /* child; interior pages */
	const uint8_t *bytes;
	struct page_cell *cells;
	uint32_t count;
};

/* Index leaves of VACUUM have their last cell first; everything else goes down from the end. */
static inline bool page_last_first(uint8_t type, unsigned flags)
{
	return (type == BTREE_INDEX_LEAF) != ((flags & PAGE_ORDER) != 0);
}

/* Most cells that a page of this geometry can hold. */
uint32_t page_cells_max(const struct btree_geom *g);

/* Cells (known places) that are not where the order expects them: 0 = all are. */
uint32_t page_misplaced(const struct page_plan *p, bool last_first);
/* Writes the misplaced ones. */
void page_place_put(struct buf *b, const struct page_plan *p, bool last_first);
/* Which cell is the k-th in that order. */
static inline uint32_t page_place_index(const struct page_plan *p, bool last_first, uint32_t k)
{
	if (!last_first)
		return k;
	return k == 0 ? p->count - 1 : k - 1;
}
static inline uint32_t page_cell_room(uint32_t size)
{
	return size < BTREE_CELL_MIN ? BTREE_CELL_MIN : size;
}

/* The page as it is expected: page_bytes of it. Places must lie on the page. */
void page_build(const struct page_plan *p, uint8_t *out);

/* Is the page as it is expected? It must be the plan's own bytes, and no cell of them misplaced in that order. */
bool page_is_usual(const struct page_plan *p, const uint8_t *page);

/* Where two blocks differ: count, then (skip, length, bytes) each. False and nothing written when they do not. */
bool page_patch_put(struct buf *b, const uint8_t *expected, const uint8_t *actual, uint32_t len);

#endif
