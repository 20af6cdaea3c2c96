/*
 * image_write: a database image taken apart into streams of cells (FORMAT.md §11) and stored, each chunk as a delta of what took its
 * place in the backup before. One thread.
 */
#ifndef NIGHTJAR_REPO_IMAGE_WRITE_H
#define NIGHTJAR_REPO_IMAGE_WRITE_H

#include "repo/content.h"
#include "repo/image_read.h"

struct image_write_options {
	struct cells_source source;
	const struct image_map *before; /* of the same database, or NULL */
	struct packer_tally *tally;     /* of its new chunks, until packer_finish; or NULL */
};

/* The writer must be fresh. Errors are those of source and packer. */
int image_write(struct packer *packer, struct content_writer *writer,
		const struct image_write_options *options, struct content *out_content,
		struct cells_stats *out_stats, struct err *err) ERR_UNUSED_WARN;

#endif
