/*
 * lineage: when a chunk is stored as a delta, and when it begins anew: the writer's policy of FORMAT.md §4 "Delta
 * records", in numbers alone. Which records those are, repo/bases finds. Pure.
 */
#ifndef NIGHTJAR_CORE_LINEAGE_H
#define NIGHTJAR_CORE_LINEAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINEAGE_STEP 8 /* every so many versions rest on the one so many before */
#define LINEAGE_DEPTH 24
#define LINEAGE_NODE_DEPTH 60 /* of lists and bodies, which are few and small */
#define LINEAGE_CLOSURE 64
#define LINEAGE_PLAIN_BYTES (1u << 20) /* of the chunk, and of its bases together */

/* What a delta would rest on. */
struct lineage_ground {
	bool node;           /* a list or a body, no data */
	uint32_t follows;    /* lineage of the version it follows */
	uint8_t depth;       /* of its deepest base */
	size_t closure;      /* different records to be decoded for its bases */
	size_t base_count;   /* at least 1 */
	uint64_t base_bytes; /* plaintext of the bases together */
	uint64_t
	    chain_bytes; /* stored, from its first base along first bases to the root, both included */
	uint32_t root_stored, root_plain; /* of the full record at the end of that chain */
};

/* What a record that rests on it says, and how long it may be. */
struct lineage_plan {
	uint32_t lineage;
	uint8_t depth;
	uint32_t chain_before; /* the record's chain bytes, less its own */
	uint32_t extra;        /* bytes that base ids cost beside the record */
	uint64_t
	    most; /* stored bytes at most, by what the root's length tells of a full record's */
	unsigned roots; /* full records that a chain may weigh */
	uint64_t good;  /* no full record need be tried up to so many, extra included */
};

/*
 * Does the version after this one rest on the version LINEAGE_STEP before itself, of lineage *out_wanted? Not a node: most of what
 * changes in one are ids, which eight nights change in eight times as many places.
 */
bool lineage_jumps(bool node, uint32_t follows, uint32_t *out_wanted);

/* False: to be stored full. plain_bytes is that of the chunk. */
bool lineage_plan(const struct lineage_ground *ground, uint64_t plain_bytes,
		  struct lineage_plan *out_plan);

/* stored: of the delta; full: of the full record. */
bool lineage_good(const struct lineage_plan *plan, uint64_t stored);
bool lineage_keeps(const struct lineage_plan *plan, uint64_t stored, uint64_t full);

#endif
