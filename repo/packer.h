/*
 * packer: takes plaintext chunks, leaves out those that the repository has, gathers the rest into packs,
 * and publishes packs and then their index (FORMAT.md §2 "Write order"): a segment of its own for 8 packs, or for what was
 * stored in 5 minutes, so that a run that is cut off need not be sent again, but for little. One thread.
 */
#ifndef NIGHTJAR_REPO_PACKER_H
#define NIGHTJAR_REPO_PACKER_H

#include "core/chunker.h"
#include "repo/index.h"
#include "repo/reader.h"

struct packer;

struct packer_stats {
	uint64_t chunks_seen, chunks_new;
	uint64_t bytes_new;    /* plaintext of new chunks */
	uint64_t bytes_packed; /* new chunks, compressed and sealed */
	uint64_t bytes_stored; /* objects that were put, padding included */
	uint64_t deltas;       /* new chunks that were stored as deltas */
	uint64_t bytes_deltas; /* of bytes_packed, theirs */
	size_t held_most;      /* memory of the chunks under way at most, two buffers each */
	uint64_t
	    packs_lost; /* packs that the index names and the store has no more: not rested on (I2) */
};

/*
 * Where the packer gets the plaintext of chunks that new ones are to rest on: a cache, say. get appends exactly the bytes
 * of that id, which it has authenticated: a delta of other bytes could not be read. Any error but ERR_NOMEM means that
 * the chunk is stored full. Called by the thread that calls the packer.
 */
struct base_source {
	int (*get)(void *arg, uint8_t kind, const struct id *id, struct buf *out, struct err *err);
	/*
	 * Told of every chunk that packer_add_delta was given: the next backup may rest something on it. NULL: nobody
	 * is. ERR_NOMEM only.
	 */
	int (*keep)(void *arg, uint8_t kind, const struct id *id, const void *plain, size_t len,
		    struct err *err);
	void *arg;
};

/* The repository as a source, by a reader that must stay. */
struct base_source base_source_of(struct reader *reader);

/* Seconds that only grow. */
typedef int64_t packer_clock_fn(void *arg);

struct packer_options {
	uint64_t sequence; /* of the backup under way */
	unsigned
	    workers; /* threads that compress; 0 = one a processor. What is stored does not depend on it */
	const struct base_source *bases; /* copied; NULL = the repository, where the key may read */
	bool dry_run;                    /* ids and sizes are computed, nothing is stored */
	size_t pack_bytes;               /* a pack is full; 0 = PACK_TARGET_BYTES */
	packer_clock_fn *clock;          /* NULL = CLOCK_MONOTONIC; when a segment is due */
	void *clock_arg;
};

/*
 * The repo must have a writer (repo_use_writer). Neither repo nor index is taken over; packs that the store has lost
 * are marked in the index, new chunks are added to it once their pack is stored. When a put has failed, so does
 * every later add and finish, in the same words.
 */
int packer_new(struct repo *repo, struct index *index, const struct packer_options *options,
	       struct packer **out_packer, struct err *err) ERR_UNUSED_WARN;
void packer_free(struct packer *p); /* NULL is fine; what was not finished is dropped */

/* The chunk's id; stores it unless a good copy is known or pending. len ≤ LIMIT_CHUNK_BYTES. */
int packer_add(struct packer *p, uint8_t kind, const void *plain, size_t len, struct id *out_id,
	       struct err *err) ERR_UNUSED_WARN;

/*
 * The same for a chunk that is like others of its kind: bases names former versions of it, the best first, of which the
 * first LIMIT_BASES that may be rested on count. It is stored as a delta of them where that is clearly smaller and
 * FORMAT.md §4 "Delta records" allows it; else full, as is an id of which the index knows a place that is not whole. Bases
 * that are not whole, of another domain, or new in this run are passed over. Few need be read: bases that are not used
 * are not, nor any for a chunk that is stored already.
 */
int packer_add_delta(struct packer *p, uint8_t kind, const void *plain, size_t len,
		     const struct id *bases, size_t base_count, struct id *out_id,
		     struct err *err) ERR_UNUSED_WARN;

/* What the new chunks of one thing, a database say, came to. */
struct packer_tally {
	uint64_t cells_new;    /* cells that the version before, or another base, has not */
	uint64_t bytes_packed; /* as in packer_stats */
};

/*
 * New chunks that are added from now on count in tally, too; NULL: in none. It must stay until packer_finish or packer_free:
 * workers know late what a chunk comes to. cells: chunks of CHUNK_DATA are data chunks of FORMAT.md §11, whose cells are counted.
 */
void packer_count_in(struct packer *p, struct packer_tally *tally, bool cells);

/*
 * What the next manifest rests on: each id that was added, and each place that the caller says so of, being known good without being
 * added again. packer_lacking gives, after packer_finish, those of them that have no whole copy by now, as the index has been marked
 * meanwhile (*out_refs is the caller's).
 */
int packer_rest_on(struct packer *p, uint32_t place, struct err *err) ERR_UNUSED_WARN;
int packer_lacking(const struct packer *p, struct chunk_ref **out_refs, size_t *out_count,
		   struct err *err) ERR_UNUSED_WARN;

/* Puts the last pack and the last index segment. Afterwards everything that was added can be read by others. */
int packer_finish(struct packer *p, struct err *err) ERR_UNUSED_WARN;

const struct packer_stats *packer_stats(const struct packer *p);
const struct domain_keys *packer_domain(const struct packer *p);
const struct chunker *packer_chunker(const struct packer *p);

#endif
