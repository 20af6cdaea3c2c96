/*
 * chunker: where a byte stream is cut, and where tree nodes end (FORMAT.md §7). Pure; one thread a chunker.
 */
#ifndef NIGHTJAR_CORE_CHUNKER_H
#define NIGHTJAR_CORE_CHUNKER_H

#include <stdbool.h>

#include "core/buf.h"
#include "core/id.h"

#define CHUNK_MIN_BYTES (256u << 10)
#define CHUNK_AVG_BYTES (1u << 20)
#define CHUNK_MAX_BYTES (4u << 20)

struct chunker {
	uint64_t gear[256];
	uint64_t multiplier;
	uint8_t tree_key[16];
	uint8_t cell_key[16]; /* FORMAT.md §11: where streams of cells are cut */
};

/* Derives the tables from a domain's chunker key. */
void chunker_init(struct chunker *c, const uint8_t chunker_key[32]);
void chunker_wipe(struct chunker *c);

/*
 * How many of the len bytes at p belong to the chunk that starts at p. When the cut is not reached within len,
 * returns len (the caller gives at least CHUNK_MAX_BYTES unless the stream ends).
 */
size_t chunker_cut(const struct chunker *c, const uint8_t *p, size_t len);

/* FORMAT.md §7 "Cutting nodes": does a tree node of this level end after the entry of this name? */
bool chunker_tree_ends(const struct chunker *c, uint8_t level, const void *name, size_t name_len,
		       size_t body_bytes, size_t children);
bool chunker_list_ends(const struct id *child, size_t children);

#endif
