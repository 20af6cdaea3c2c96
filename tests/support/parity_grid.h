/*
 * parity_grid: damage of every sort done to packs with parity, and what must become of it: mended up to the promise of core/parity.h,
 * refused beyond it or mended all the same, never mended to anything but what it was. Fails the running cmocka test.
 */
#ifndef NIGHTJAR_TESTS_SUPPORT_PARITY_GRID_H
#define NIGHTJAR_TESTS_SUPPORT_PARITY_GRID_H

#include "core/parity.h"

struct parity_grid {
	uint64_t tries, promised, beyond, refused,
	    lucky; /* lucky: beyond the promise, and mended */
};

/* The body of gen_parity.py with its tail. Free with buf_free. */
struct buf parity_grid_object(enum parity_kind kind, size_t blocks);

/* Single bits, and single blocks of zeros, `rounds` at random places beside the ends of all parts. */
void parity_grid_single(struct parity_grid *g, enum parity_kind kind, size_t blocks,
			unsigned rounds);
/* Runs of 1 … limit + 2 blocks (up to steps lengths of them) at the ends of every part, and at random places. */
void parity_grid_bursts(struct parity_grid *g, enum parity_kind kind, size_t blocks, size_t steps,
			unsigned rounds);
/* Scattered blocks: up to the promise in every stripe at once, and more. */
void parity_grid_scattered(struct parity_grid *g, enum parity_kind kind, size_t blocks,
			   unsigned rounds);
/* Cut short and lengthened, by bytes and by blocks. */
void parity_grid_lengths(struct parity_grid *g, enum parity_kind kind, size_t blocks);
/* One table, both, and the same segment of both. */
void parity_grid_tables(struct parity_grid *g, enum parity_kind kind, size_t blocks);

/* Counts, as a comment of TAP. */
void parity_grid_print(const struct parity_grid *g, const char *what);

#endif
