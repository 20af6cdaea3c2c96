/*
 * pack_move: a pack of records that lie in other packs already (FORMAT.md §5, moved = 1). Nothing is decrypted: a record keeps its slot,
 * its counter and who stored it first, and the slots come along. Needs M's public key and G. Pure; one thread a mover.
 */
#ifndef NIGHTJAR_CORE_PACK_MOVE_H
#define NIGHTJAR_CORE_PACK_MOVE_H

#include "core/pack.h"

struct pack_mover;

/* All records are of one domain. */
int pack_mover_new(struct keys *keys, uint32_t domain, unsigned floor_log2,
		   struct pack_mover **out_mover, struct err *err) ERR_UNUSED_WARN;
void pack_mover_free(struct pack_mover *m); /* NULL is fine */
/* As pack_builder_set_parity. */
void pack_mover_set_parity(struct pack_mover *m, unsigned level);

/* A record as it lies in its pack. */
struct pack_moved {
	struct record_info info;
	const struct slot *slot;
	const struct pack_source *source;
	uint32_t counter;
	const void *sealed;
	size_t sealed_bytes;
};

/*
 * Takes a record (bytes are copied). The same record a second time, from another copy of its pack, adds nothing. ERR_LIMIT: the pack is
 * full, or has another one of the same slot and counter, which only a directory that lies brings about: finish it first; the mover is as before.
 */
int pack_mover_add(struct pack_mover *m, const struct pack_moved *record,
		   struct err *err) ERR_UNUSED_WARN;
size_t pack_mover_bytes(
    const struct pack_mover *m); /* about what finish would give, without a parity tail */
size_t pack_mover_records(const struct pack_mover *m);

/* As pack_builder_finish. */
int pack_mover_finish(struct pack_mover *m, struct buf *out, struct pack_dir *out_dir,
		      struct id *out_name, struct err *err) ERR_UNUSED_WARN;

#endif
