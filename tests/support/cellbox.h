/*
 * cellbox: what the cell codec makes of an image, kept in memory and fed back. A decoder that reads beyond a chunk,
 * or keeps one longer than until it asks for the next of its stream, meets the sanitizer: each is lent as a fresh copy.
 */
#ifndef NIGHTJAR_TESTS_SUPPORT_CELLBOX_H
#define NIGHTJAR_TESTS_SUPPORT_CELLBOX_H

#include <stddef.h>
#include <stdint.h>

#include "core/cells.h"

#define CELLBOX_STREAMS 2

struct cellbox_chunk {
	uint64_t key_hash;
	uint8_t *bytes;
	size_t len;
};

/* {0} is a valid empty one. */
struct cellbox {
	struct cellbox_chunk *chunks[CELLBOX_STREAMS]; /* by enum cells_stream, in the order made */
	size_t count[CELLBOX_STREAMS], room[CELLBOX_STREAMS];
	size_t fed[CELLBOX_STREAMS];
	unsigned
	    ends[CELLBOX_STREAMS]; /* how often the decoder was told that the stream has ended */
	uint8_t *lent[CELLBOX_STREAMS];
	/* Calls of the other side that may still succeed before they fail with ERR_BUSY; 0 = all. */
	unsigned long fail_at, calls;
};

/* Empties the box, then encodes len bytes into it. An empty chunk fails the test. */
int cellbox_encode(struct cellbox *box, const uint8_t *image, size_t len,
		   const struct chunker *cutter, struct cells_stats *out_stats, struct err *err);
/* Decodes into out, which has len bytes. A write outside of it fails the test. The box can be decoded again. */
int cellbox_decode(struct cellbox *box, uint8_t *out, size_t len, struct err *err);
void cellbox_free(struct cellbox *box);

#endif
