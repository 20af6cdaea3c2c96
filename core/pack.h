/*
 * pack: many records in one object (FORMAT.md §5): the builder that gathers compressed records in memory and
 * seals them together, and the codec of header, key table and directory. Pure; one thread a builder.
 */
#ifndef NIGHTJAR_CORE_PACK_H
#define NIGHTJAR_CORE_PACK_H

#include "core/buf.h"
#include "core/parity.h"
#include "core/record.h"
#include "core/slot.h"

#define PACK_TARGET_BYTES (16u << 20)
#define PACK_HEAD_BYTES 36   /* up to the key table */
#define PACK_SOURCE_BYTES 40 /* in the directory body */

struct pack_source {
	uint8_t writer[32];
	uint64_t sequence;
};

struct pack_entry {
	struct record_info info;
	uint16_t slot, source;
	uint32_t counter, offset, stored_bytes;
};

/* Key table and directory: what one needs to read records. Owned arrays; {0} is empty. */
struct pack_dir {
	struct slot *slots;
	size_t slot_count;
	struct pack_source *sources;
	size_t source_count;
	struct pack_entry *entries; /* by offset */
	size_t entry_count;
};
void pack_dir_free(struct pack_dir *dir);

/* Reads a key table of count slots into an empty dir. */
int pack_slots_get(struct rd *r, size_t count, struct pack_dir *dir,
		   struct err *err) ERR_UNUSED_WARN;
/*
 * The directory body (§5), also used inside index segments (§6). Entries are such as pack_builder_finish gives or
 * pack_dir_get accepts; their offsets are not written.
 */
void pack_dir_put(struct buf *b, const struct pack_dir *dir);
/* One entry of it whose slot, source and counter go without saying, as in every pack of a builder. */
void pack_entry_put(struct buf *b, const struct pack_entry *e);
/* How long a directory is, sealed, whose body has so many bytes. */
uint64_t pack_dir_sealed_bytes(uint64_t body_bytes);
/*
 * Reads sources and entries for the slots already in dir; every rule of §5 is checked, and offsets follow from the
 * length of the body. pack_bytes bounds them. After a failure dir may be half filled; free it.
 */
int pack_dir_get(struct rd *r, uint64_t pack_bytes, struct pack_dir *dir,
		 struct err *err) ERR_UNUSED_WARN;

struct pack_head {
	uint8_t repo[REPO_ID_BYTES];
	uint32_t directory_bytes;
	uint16_t slot_count;
	uint8_t parity_kind; /* of enum parity_kind */
	uint32_t parity_bytes;
};
/* From the first PACK_HEAD_BYTES. */
int pack_head_get(const void *bytes, size_t len, struct pack_head *out_head,
		  struct err *err) ERR_UNUSED_WARN;
/* How many bytes from the front hold header, key table and directory. */
uint64_t pack_front_bytes(const struct pack_head *head);
/* Opens the directory from the front bytes. Needs M's secret (keys with read, maintain or full role). */
int pack_front_dec(struct keys *keys, const void *front, size_t len, uint64_t pack_bytes,
		   struct pack_dir *out_dir, struct err *err) ERR_UNUSED_WARN;

/* --- building --- */

/* How long a pack with so many bytes before the tail is; UINT64_MAX when no pack may be that long. */
uint64_t pack_bytes_with_parity(unsigned level, uint64_t body_bytes);
/* The head of a pack of these keys' repository, whose body of so many bytes gets the tail of that level. */
struct pack_head pack_head_of(const struct keys *keys, uint64_t directory_bytes, size_t slots,
			      unsigned level, uint64_t body_bytes);
void pack_head_put(struct buf *out, const struct pack_head *head);
/* Entries, and where the record of each starts, in an order that tells nothing about which records came together. */
void pack_entries_shuffle(struct pack_entry *entries, size_t *starts, size_t count);

struct pack_builder;
/* The keys must have a writer and stay alive. sequence is that of the backup under way. */
int pack_builder_new(struct keys *keys, uint64_t sequence, unsigned floor_log2,
		     struct pack_builder **out_builder, struct err *err) ERR_UNUSED_WARN;
void pack_builder_free(struct pack_builder *b);
/* Packs get the parity tail of a level (core/parity.h) from now on; at first they get none. */
void pack_builder_set_parity(struct pack_builder *b, unsigned level);
/*
 * Takes a compressed record (bytes are copied). info's recipient decides the slot: M is 0, R is 1. lineage and
 * chain_bytes matter in a delta alone, where chain_bytes include the record itself; a full one is its own chain.
 */
int pack_builder_add(struct pack_builder *b, const struct record_info *info, const void *compressed,
		     size_t len, struct err *err) ERR_UNUSED_WARN;
size_t pack_builder_bytes(
    const struct pack_builder *b); /* what finish would give, without a parity tail */
size_t pack_builder_records(const struct pack_builder *b);
/*
 * Seals everything: appends the pack object to out, fills out_dir (owned by the caller) and its name. The builder
 * is empty afterwards and the pack number counts up. On failure the builder must be freed.
 */
int pack_builder_finish(struct pack_builder *b, struct buf *out, struct pack_dir *out_dir,
			struct id *out_name, struct err *err) ERR_UNUSED_WARN;

#endif
