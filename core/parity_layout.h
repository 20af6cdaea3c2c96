/*
 * parity_layout: where everything of a parity tail lies (FORMAT.md §5 "Parity"). Internal to parity.c and parity_mend.c.
 */
#ifndef NIGHTJAR_CORE_PARITY_LAYOUT_H
#define NIGHTJAR_CORE_PARITY_LAYOUT_H

#include "core/parity.h"

#define PARITY_COPY_BELOW                                                                          \
	8u /* blocks: 32 KiB, where parity blocks and tables take as much as a copy or less */
#define PARITY_SEGMENT_BYTES 4096u
#define PARITY_SEGMENT_SUMS 510u
#define PARITY_SEGMENT_END 16u /* behind the sums */

/*
 * Object = body ‖ table ‖ middle ‖ table. A coded block is one that has a sum: those of the body, then the parity
 * blocks. Coded block c belongs to stripe c mod stripes.
 */
struct parity_layout {
	enum parity_kind kind;
	size_t blocks;        /* of the body */
	size_t stripes, rows; /* parity blocks = stripes × rows; of a copy 0 */
	size_t coded;         /* blocks with a sum */
	size_t segments;      /* of a table */
	size_t segment_bytes; /* of each */
	size_t table_bytes;   /* of each of the two */
	size_t middle_bytes;  /* between them: copy or parity blocks */
	size_t object_bytes;
};

/* False when a body of so many blocks has no tail of that kind, or the object would be longer than a pack may be. */
bool parity_layout_of(enum parity_kind kind, uint64_t blocks, struct parity_layout *out);
/* Where coded block c is in the object. */
size_t parity_layout_block(const struct parity_layout *l, size_t c);
/* The coded block that is parity block `row` of a stripe. */
size_t parity_layout_coded(const struct parity_layout *l, size_t stripe, unsigned row);
/* Where segment k of the first (0) or second (1) table is. */
size_t parity_layout_segment(const struct parity_layout *l, unsigned table, size_t k);

/* XXH3-64 of a block. */
uint64_t parity_sum(const uint8_t block[PARITY_BLOCK_BYTES]);
/* Is what lies there a segment of some table, undamaged? Then it says of which layout, and which one of it. */
bool parity_segment_get(const uint8_t *bytes, size_t len, struct parity_layout *out, size_t *out_k);
/* Sum i of a segment. */
uint64_t parity_segment_sum(const uint8_t *bytes, size_t i);

#endif
