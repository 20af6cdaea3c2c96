/*
 * image_read: a database that is kept as streams of cells (FORMAT.md §11), from its chunks. One thread.
 */
#ifndef NIGHTJAR_REPO_IMAGE_READ_H
#define NIGHTJAR_REPO_IMAGE_READ_H

#include "core/cells.h"
#include "repo/tree_read.h"

struct image_chunk {
	struct id id;
	uint64_t key; /* a hash of its first key */
	uint32_t bytes;
};

/* All chunks of one database: those of the cells, then those of the layout. {0} is valid for image_map_free. */
struct image_map {
	struct image_chunk *chunks;
	size_t count, data_count;
};
/* children: those of the entry, whose encoding is ENCODING_CELLS. ERR_DAMAGED, ERR_MISSING as reader_get. */
int image_map_load(struct reader *reader, const struct entry *entry,
		   const struct chunk_ref *children, struct image_map *out_map,
		   struct err *err) ERR_UNUSED_WARN;
void image_map_free(struct image_map *map);

/* Puts the image together; the target gets its pages in any order. Errors also those of the target and of cells_decode. */
int image_decode(struct reader *reader, const struct entry *entry, const struct chunk_ref *children,
		 const struct cells_target *target, struct err *err) ERR_UNUSED_WARN;

/* The same of a file of any encoding, into a page image that is empty and gets the file's size. */
struct pageimage;
int image_load(struct reader *reader, const struct entry *entry, const struct chunk_ref *children,
	       struct pageimage *image, struct err *err) ERR_UNUSED_WARN;

/* As content_each, of an entry whose encoding is ENCODING_CELLS. */
int image_each(struct reader *reader, const struct entry *entry, const struct chunk_ref *children,
	       content_bytes_fn *fn, void *arg, struct err *err) ERR_UNUSED_WARN;

#endif
