/*
 * damage: a damage note: records that a check has found not to give their chunks, signed (FORMAT.md §8). It is clear throughout and names
 * a record by its place in a pack's directory: so who maintains can write it, who only writes can read it and heals with the next
 * backup, and the store learns no chunk's id. Pure codec; the array of a decoded note is owned by it and freed by damage_free.
 */
#ifndef NIGHTJAR_CORE_DAMAGE_H
#define NIGHTJAR_CORE_DAMAGE_H

#include "core/buf.h"
#include "core/id.h"
#include "core/signrec.h"

#define DAMAGE_KIND 5 /* in the object header */

/* One copy of one chunk. */
struct damage_place {
	struct id pack;
	uint32_t record; /* of the pack's directory, from 0; below LIMIT_PACK_RECORDS */
};
int damage_place_cmp(const struct damage_place *a, const struct damage_place *b);

struct damage {
	struct signrec_head head;
	struct damage_place *places; /* ascending, none twice, at least one */
	size_t count;
};
void damage_free(struct damage *d); /* {0} is fine */

/*
 * Appends the whole object, signed by G where the keys hold it, otherwise by their writer, which no reader takes. Takes number, time and places from d. ERR_LIMIT too
 * many places, ERR_USAGE what a reader would refuse, ERR_KEY without a signer; out is unchanged then.
 */
int damage_enc(const struct keys *keys, struct damage *d, struct buf *out,
	       struct err *err) ERR_UNUSED_WARN;

/* Checks the signature by the signer it names; the caller compares that with G. Any key can. */
int damage_dec(const struct keys *keys, const void *bytes, size_t len, struct damage *out_damage,
	       struct err *err) ERR_UNUSED_WARN;

/* All but the signature: for tests and the fuzzer. */
void damage_put_clear(struct buf *b, const struct damage *d);
int damage_get_clear(struct rd *r, struct damage *d, struct err *err) ERR_UNUSED_WARN;

#endif
