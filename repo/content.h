/*
 * content: a file's bytes become chunks and, when there are many, chunk-list nodes (FORMAT.md §7). One thread.
 */
#ifndef NIGHTJAR_REPO_CONTENT_H
#define NIGHTJAR_REPO_CONTENT_H

#include "core/node.h"
#include "repo/former.h"
#include "repo/packer.h"

/* What an entry says of its content. {0} is a dense empty file. */
struct content {
	uint8_t shape;
	struct chunk_ref *children; /* owned */
	size_t child_count;
	uint64_t bytes;
	uint64_t data_bytes; /* of a database's streams: the first of its bytes that are cells */
};
void content_free(struct content *content);

struct content_writer;

/* Holds a buffer of 8 MiB; used for one file after the other. */
int content_writer_new(struct packer *packer, struct content_writer **out_writer,
		       struct err *err) ERR_UNUSED_WARN;
void content_writer_free(struct content_writer *w); /* NULL is fine */

/* Forgets what was put since the last finish. */
void content_writer_reset(struct content_writer *w);
int content_writer_put(struct content_writer *w, const void *bytes, size_t len,
		       struct err *err) ERR_UNUSED_WARN;
/*
 * Instead of bytes: a chunk of a database's streams that the caller has stored, with the hash of its first key. All chunks
 * of such a content come this way, and it becomes a list, however short.
 */
int content_writer_chunk(struct content_writer *w, const struct id *id, size_t len, uint64_t key,
			 struct err *err) ERR_UNUSED_WARN;
/* Bytes of the chunks so far. */
uint64_t content_writer_bytes(const struct content_writer *w);
/*
 * The chunk-list nodes that the file had before, for the finishes to come: new ones are stored as deltas of those that
 * they are most like. Stays the caller's; NULL: none are known.
 */
void content_writer_follow(struct content_writer *w, const struct former *former);
/* Ends the file; the writer is ready for the next. */
int content_writer_finish(struct content_writer *w, struct content *out_content,
			  struct err *err) ERR_UNUSED_WARN;

#endif
