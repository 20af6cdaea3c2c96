/*
 * cells_cut: gathers cells in key order and gives them away as chunks, which begin where the keys say (FORMAT.md §11). Internal to
 * cells. Pure.
 */
#ifndef NIGHTJAR_CORE_CELLS_CUT_H
#define NIGHTJAR_CORE_CELLS_CUT_H

#include "core/cells.h"

#define CELLS_BIG_BYTES (128u << 10) /* a larger payload is cut by FastCDC, apart from its cell */
#define CELLS_WINDOW_BYTES                                                                         \
	(112u                                                                                      \
	 << 10) /* a chunk of smaller cells ends at the least hash from CELLS_CHUNK_MIN_BYTES to here */
/* The first byte of a chunk of CELLS_DATA. */
#define CELLS_CHUNK_CELLS 1
#define CELLS_CHUNK_PIECE 2

struct cells_cut;

/* FORMAT.md §11: the key of a tree's hashes; type and name as sqlite_schema stores them. ERR_NOMEM only. */
int cells_tree_key(const struct chunker *cutter, const struct span *type, const struct span *name,
		   uint8_t out_key[16], struct err *err) ERR_UNUSED_WARN;
/* The hash of a cell; key: an index's payload, of a long one its local part. */
uint64_t cells_key_hash(const uint8_t tree_key[16], bool table, uint64_t rowid, const void *key,
			size_t len);

int cells_cut_new(const struct chunker *cutter, const struct cells_sink *sink,
		  struct cells_cut **out_cut, struct err *err) ERR_UNUSED_WARN;
void cells_cut_free(struct cells_cut *cut); /* NULL is fine */

/* Names the tree that the next cells are of. */
int cells_cut_tree(struct cells_cut *cut, bool table, const struct span *type,
		   const struct span *name, struct err *err) ERR_UNUSED_WARN;
/* A cell with at most CELLS_BIG_BYTES of payload. */
int cells_cut_cell(struct cells_cut *cut, uint64_t rowid, const void *payload, size_t len,
		   struct err *err) ERR_UNUSED_WARN;
/* A larger one: begin gives its length and its local bytes, which are hashed if it has no rowid; then all bytes follow in parts, and end. */
int cells_cut_big_begin(struct cells_cut *cut, uint64_t rowid, uint64_t len, const void *local,
			size_t local_len, struct err *err) ERR_UNUSED_WARN;
/* Pieces of a file that is no database: put and end follow as for a cell. */
int cells_cut_pieces_begin(struct cells_cut *cut, struct err *err) ERR_UNUSED_WARN;
int cells_cut_big_put(struct cells_cut *cut, const void *bytes, size_t len,
		      struct err *err) ERR_UNUSED_WARN;
int cells_cut_big_end(struct cells_cut *cut, struct err *err) ERR_UNUSED_WARN;
/* Gives away what is left. */
int cells_cut_finish(struct cells_cut *cut, struct err *err) ERR_UNUSED_WARN;

/* Bytes of the layout stream, in parts; cells_cut_finish ends both. */
int cells_cut_layout(struct cells_cut *cut, const void *bytes, size_t len,
		     struct err *err) ERR_UNUSED_WARN;

/* Chunks and bytes of both streams so far. */
void cells_cut_count(const struct cells_cut *cut, struct cells_stats *stats);

#endif
