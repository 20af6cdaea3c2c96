/*
 * damage: a damage note: records that a check has found not to give their chunks, signed (FORMAT.md §8). Pure codec; the arrays of a
 * decoded note are owned by it and freed by damage_free.
 */
#ifndef NIGHTJAR_CORE_DAMAGE_H
#define NIGHTJAR_CORE_DAMAGE_H

#include "core/buf.h"
#include "core/id.h"
#include "core/keys.h"

#define DAMAGE_KIND 5 /* in the object header */

/* One copy of one chunk. */
struct damage_place {
	struct id pack, chunk;
	uint8_t kind; /* enum chunk_kind */
};
int damage_place_cmp(const struct damage_place *a, const struct damage_place *b);

struct damage {
	/* clear */
	uint8_t repo[REPO_ID_BYTES];
	uint8_t signer[32];
	uint64_t number; /* from 1 */
	int64_t time_ns;
	struct id *packs; /* those of the places, ascending: for a write key, which opens no part */
	size_t pack_count;
	uint32_t domain;
	/* maintenance */
	bool has_maint;
	struct damage_place *places; /* ascending, none twice, at least one */
	size_t count;
};
void damage_free(struct damage *d); /* {0} is fine */

/*
 * Appends the whole object, signed by G where the keys hold it, otherwise by their writer. Takes number, time, domain and places
 * from d; which packs those are it finds itself. ERR_LIMIT too many places, ERR_USAGE what a reader would refuse, ERR_KEY without a signer or the domain; out is unchanged then.
 */
int damage_enc(struct keys *keys, struct damage *d, unsigned floor_log2, struct buf *out,
	       struct err *err) ERR_UNUSED_WARN;

/* Checks the signature by the signer it names (the caller finds that in the roster, or G), then opens what the keys can open. */
int damage_dec(struct keys *keys, const void *bytes, size_t len, struct damage *out_damage,
	       struct err *err) ERR_UNUSED_WARN;

/* The clear bytes, and the places of the maintenance part: for tests and the fuzzer. */
void damage_put_clear(struct buf *b, const struct damage *d);
int damage_get_clear(struct rd *r, struct damage *d, struct err *err) ERR_UNUSED_WARN;
void damage_put_places(struct buf *b, const struct damage *d);
int damage_get_places(struct rd *r, struct damage *d, struct err *err) ERR_UNUSED_WARN;

#endif
