/*
 * cells: an image of a SQLite database taken apart into the cells of its b-trees, and put together again (FORMAT.md §11).
 *
 * Law: decode(encode(x)) = x for every x, whatever its bytes. What follows SQLite's file format becomes streams of cells in
 * key order, which a repacking of pages does not move; everything else about a page is predicted, and what was
 * predicted wrong is written down; a page that does not follow the grammar is kept raw, and so is a file that is no
 * database. Memory does not grow with the image, but for a bit a page. Pure; one thread a call.
 */
#ifndef NIGHTJAR_CORE_CELLS_H
#define NIGHTJAR_CORE_CELLS_H

#include "core/chunker.h"

#define CELLS_CHUNK_MIN_BYTES (16u << 10)
#define CELLS_CHUNK_MAX_BYTES (256u << 10)

/* The image. read gives exactly len bytes from offset, within bytes. */
struct cells_source {
	void *arg;
	uint64_t bytes;
	int (*read)(void *arg, uint64_t offset, void *out, size_t len, struct err *err);
};

/* CELLS_LAYOUT says where on its page each cell lies; CELLS_DATA is the cells. */
enum cells_stream { CELLS_LAYOUT, CELLS_DATA };

/*
 * Takes the chunks of both streams, each stream in order. key_hash: a keyed hash of the first cell's key, which the chunk that
 * took this one's place has as well on another day; of a layout chunk, its number. bytes stay the codec's.
 */
struct cells_sink {
	void *arg;
	int (*chunk)(void *arg, enum cells_stream stream, uint64_t key_hash, const void *bytes,
		     size_t len, struct err *err);
};

struct cells_stats {
	uint64_t cells, trees;
	uint64_t pages,
	    raw_pages; /* raw: kept as they are; pages that are all zeros are not counted */
	uint64_t layout_bytes, data_bytes;
	uint64_t layout_chunks, data_chunks;
};

/* Errors are those of source and sink, and ERR_NOMEM. */
int cells_encode(const struct cells_source *source, const struct chunker *cutter,
		 const struct cells_sink *sink, struct cells_stats *out_stats,
		 struct err *err) ERR_UNUSED_WARN;

/* Gives the next chunk of a stream; *out_len 0 after the last. The bytes stay good until the next call for the same stream. */
struct cells_feed {
	void *arg;
	int (*next)(void *arg, enum cells_stream stream, const uint8_t **out_bytes, size_t *out_len,
		    struct err *err);
};

/* The image to be: what is never written is zeros. Offsets come in any order, within image_bytes. */
struct cells_target {
	void *arg;
	int (*write)(void *arg, uint64_t offset, const void *bytes, size_t len, struct err *err);
};

/* ERR_DAMAGED when the streams do not make an image of that size; memory and time are bounded by the streams whatever they say. */
int cells_decode(const struct cells_feed *feed, uint64_t image_bytes,
		 const struct cells_target *target, struct err *err) ERR_UNUSED_WARN;

#endif
