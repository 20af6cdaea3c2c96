/*
 * reader: chunks by id: finds a place, opens the slot, reads, unseals, recomputes the id, and goes on to the next
 * place when one does not give the chunk. A delta is decoded through places of its bases of strictly lower depth, whose
 * plaintexts are kept a while (5 MiB, wiped at the end). When no place gives the chunk it looks once at packs that no index
 * segment names. One thread.
 */
#ifndef NIGHTJAR_REPO_READER_H
#define NIGHTJAR_REPO_READER_H

#include "repo/index.h"

struct reader;

/* Neither repo nor index is taken over. */
int reader_new(struct repo *repo, struct index *index, struct reader **out_reader,
	       struct err *err) ERR_UNUSED_WARN;
void reader_free(struct reader *reader); /* NULL is fine */

/*
 * Appends the chunk's plaintext to out. ERR_MISSING no place has it; ERR_DAMAGED every place is damaged, or rests on
 * what cannot be had; the text names the chunk and the last pack tried.
 */
int reader_get(struct reader *reader, uint8_t kind, const struct id *id, struct buf *out,
	       struct err *err) ERR_UNUSED_WARN;

/*
 * The same from what the index knows, and for a chunk that others rest on: it is kept a while. For writers, who must
 * not come to rest on packs that no segment names.
 */
int reader_get_base(struct reader *reader, uint8_t kind, const struct id *id, struct buf *out,
		    struct err *err) ERR_UNUSED_WARN;

/*
 * Where chunks are looked for before the repository, as by a key that opens nothing there: get appends exactly the bytes of that id, which it
 * has authenticated, or gives ERR_MISSING and appends nothing.
 */
typedef int reader_aside_fn(void *arg, uint8_t kind, const struct id *id, struct buf *out,
			    struct err *err);
void reader_set_aside(struct reader *reader, reader_aside_fn *get, void *arg);

/*
 * Opens one record whose sealed bytes the caller has: for `check --read-data`, which reads whole packs.
 * The plaintext is appended to out, and kept a while for what rests on it. ERR_MISSING: bases of it cannot be had, and
 * nothing is said about the record itself.
 */
int reader_open_place(struct reader *reader, const struct index_place *place, const void *sealed,
		      size_t len, struct buf *out, struct err *err) ERR_UNUSED_WARN;

/*
 * Where database images may spill, encrypted, while they are put together (repo/pageimage.h); without it they must fit in
 * memory. The text is copied.
 */
int reader_set_scratch(struct reader *reader, const char *dir, struct err *err) ERR_UNUSED_WARN;
const char *reader_scratch(const struct reader *reader); /* "" = none */

struct index *reader_index(struct reader *reader);
struct repo *reader_repo(struct reader *reader);

#endif
