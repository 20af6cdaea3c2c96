/*
 * index: where every chunk lies, in memory, from all index segments (FORMAT.md §6). Several places for
 * one id are kept. One thread.
 */
#ifndef NIGHTJAR_REPO_INDEX_H
#define NIGHTJAR_REPO_INDEX_H

#include "core/indexseg.h"
#include "repo/idset.h"
#include "repo/repo.h"

#define INDEX_NONE UINT32_MAX

struct index_pack {
	struct id name;
	uint64_t pack_bytes;
	struct slot *slots; /* owned */
	size_t slot_count;
	struct pack_source *sources; /* owned */
	size_t source_count;
	uint32_t first_place, place_count; /* its chunks, one after the other in places */
	/* missing, of a wrong size, or damaged: readers use other places first. Set by index_mark_pack */
	bool bad;
	bool
	    condemned; /* prune may delete it: nothing new rests on it. Set by index_condemn_pack */
	bool named;    /* by a segment; not only by its own directory */
	bool
	    settled; /* segments contradicted one another about it: what is here is its own word, or it is bad */
};

/* One place of one chunk. What a look-up reads comes first, together. */
struct index_place {
	uint32_t pack; /* position in packs */
	uint32_t next; /* another place of the same id, or INDEX_NONE */
	uint32_t memo; /* of index_place_whole */
	uint16_t slot, source;
	bool bad; /* these bytes are known not to give the chunk; set by index_mark_place */
	struct record_info info;
	uint32_t counter, offset, stored_bytes;
};

/* With 32 bits of the id, so that other places are not looked at on the way: each would be a miss of the processor's caches. */
struct index_cell {
	uint32_t at; /* in places, or INDEX_NONE = free */
	uint32_t tag;
};

struct index {
	struct index_pack *packs;
	size_t pack_count, pack_cap;
	struct index_place *places;
	size_t place_count, place_cap;
	struct index_cell *table; /* open addressing */
	size_t table_size;
	struct idset segments;     /* that were read, or could not be used */
	bool rescued;              /* packs that no segment names were added too */
	uint32_t marks, additions; /* how often something was marked bad, or added */
};

/* Told of each segment that could not be used; loading goes on. May be NULL. */
typedef void index_bad_fn(void *arg, const struct id *segment, const struct err *why);

/*
 * Loads every segment. A damaged, foreign or unsigned one is reported and left out: what it named is then
 * stored again by the next backup, or found by index_rescue. One that contradicts another about a pack is reported, too, and the pack's own
 * directory is believed, or, by keys that do not open it, neither: the pack is bad. ERR_VERSION when one is of a newer format: a
 * newer nightjar works here, and this one must not guess.
 */
int index_load(struct repo *repo, index_bad_fn *bad, void *bad_arg, struct index **out_index,
	       struct err *err) ERR_UNUSED_WARN;
/* Adds what segments say that have come since the index was loaded. */
int index_refresh(struct repo *repo, struct index *index, index_bad_fn *bad, void *bad_arg,
		  struct err *err) ERR_UNUSED_WARN;
int index_new(struct index **out_index, struct err *err) ERR_UNUSED_WARN;
void index_free(struct index *index); /* NULL is fine */

/* Adds the chunks of a pack (copies what it needs of dir). A pack that is there already adds nothing. */
int index_add_pack(struct index *index, const struct id *name, uint64_t pack_bytes,
		   const struct pack_dir *dir, struct err *err) ERR_UNUSED_WARN;

/* What the index has of a pack is this, and nothing else; makes it so. */
bool index_says_so(const struct index *index, uint32_t pack, uint64_t pack_bytes,
		   const struct pack_dir *dir);
int index_replace_pack(struct index *index, uint32_t pack, uint64_t pack_bytes,
		       const struct pack_dir *dir, struct err *err) ERR_UNUSED_WARN;

/*
 * Adds, once, the packs in the store that no segment names, from their own directories: the way out when
 * index objects are lost. Packs that do not open are left out, but ERR_VERSION for one of a newer
 * format. Needs a key that opens directories.
 */
int index_rescue(struct repo *repo, struct index *index, struct err *err) ERR_UNUSED_WARN;

/*
 * One segment: it has its name, its signature is of a writer that the roster names or of G, and it opens. ERR_DAMAGED when
 * not; indexseg_free.
 */
int index_get_segment(struct repo *repo, const struct id *name, struct indexseg *out_seg,
		      struct err *err) ERR_UNUSED_WARN;
/* The directory of a pack of that length, from its front. Needs a key that opens directories; pack_dir_free. */
int index_get_directory(struct repo *repo, const struct id *pack, uint64_t pack_bytes,
			struct pack_dir *out_dir, struct err *err) ERR_UNUSED_WARN;

/*
 * Marks as bad the packs that the store lacks, or holds with another length than their segment says, so that a writer
 * stores again what only they had (I2). Lists data/ once. *out_bad counts them.
 */
int index_mark_lost(struct repo *repo, struct index *index, uint64_t *out_bad,
		    struct err *err) ERR_UNUSED_WARN;

/* What is marked bad here stays so; whatever rests on it alone is no longer whole. */
void index_mark_pack(struct index *index, uint32_t pack);
void index_mark_place(struct index *index, uint32_t place);
/*
 * Marks as bad what writers have stored that are revoked by now, so that no new backup rests on it: who holds such a key may have put
 * anything under the ids of chunks to come, and may still do so. Packs that prune has made of theirs are meant, too: they name who stored first.
 */
void index_mark_revoked(const struct repo *repo, struct index *index);
/* As index_mark_pack, but it can be taken back. */
void index_condemn_pack(struct index *index, uint32_t pack);
void index_pardon_pack(struct index *index, uint32_t pack);

/*
 * This id will be looked up, or added, soon. Where it is said of some dozens of ids before the first is looked up, the memory is fetched
 * for all of them at once and not for one after the other. index_expect_place: once more, after index_expect, before a look-up.
 */
void index_expect(const struct index *index, const struct id *id);
void index_expect_place(const struct index *index, const struct id *id);
/* The first place of an id, or INDEX_NONE; follow .next. */
uint32_t index_find(const struct index *index, uint8_t kind, const struct id *id);
/*
 * FORMAT.md §4 "Delta records": neither it nor its pack is bad, nor is that condemned, and of each of its bases there is a whole place of
 * strictly lower depth. Remembered until something is marked or added.
 */
bool index_place_whole(const struct index *index, uint32_t place);
/* The first whole place, or INDEX_NONE: what a manifest may rest on (I2). */
uint32_t index_find_good(const struct index *index, uint8_t kind, const struct id *id);
/* A whole place of the same id in another pack, that lies no deeper: what rests on this one may rest on it. INDEX_NONE: there is none. */
uint32_t index_find_instead(const struct index *index, uint32_t place);
/* The whole place of least depth, of those below a depth: what a delta of that depth may rest on. INDEX_NONE: there is none. */
uint32_t index_find_base(const struct index *index, uint8_t kind, const struct id *id,
			 unsigned below_depth);
/* Position of a pack by name, or INDEX_NONE. Linear search is not used. */
uint32_t index_find_pack(const struct index *index, const struct id *name);

#endif
