/*
 * condemn: the records in locks/, signed by G, by which prune deletes without stopping anybody (FORMAT.md §8 "Condemn record", §12). Pure
 * codec; the array of a decoded record is owned by it and freed by condemn_free.
 */
#ifndef NIGHTJAR_CORE_CONDEMN_H
#define NIGHTJAR_CORE_CONDEMN_H

#include "core/buf.h"
#include "core/id.h"
#include "core/keys.h"

#define CONDEMN_SALT_BYTES 16

enum condemn_kind {
	CONDEMN_PACKS = 1, /* these packs are condemned from the moment this is visible */
	CONDEMN_DATE = 2,  /* a condemn record was visible at this time */
	CONDEMN_WATCH =
	    3 /* no manifest has named these packs at this time; they are not condemned */
};

struct condemn {
	enum condemn_kind kind;
	int64_t time_s;    /* of the store's clock */
	struct id *packs;  /* CONDEMN_PACKS, CONDEMN_WATCH: ascending, none twice, at least one */
	size_t pack_count; /* 0 in CONDEMN_DATE */
	struct id record;  /* CONDEMN_DATE: the one that it dates */
	uint8_t salt[CONDEMN_SALT_BYTES];
};
void condemn_free(struct condemn *c); /* {0} is fine */

/*
 * Appends the whole object, signed by G, with a fresh salt (no two records are the same object). ERR_KEY without G's secret, ERR_LIMIT too
 * many packs, ERR_USAGE what a reader would refuse; out is unchanged then.
 */
int condemn_enc(const struct keys *keys, struct condemn *c, struct buf *out,
		struct err *err) ERR_UNUSED_WARN;

/* Checks that it is of this repository and signed by gc_pub. */
int condemn_dec(const uint8_t repo[REPO_ID_BYTES], const uint8_t gc_pub[32], const void *bytes,
		size_t len, struct condemn *out_condemn, struct err *err) ERR_UNUSED_WARN;

/* All but the signature: for tests and the fuzzer. The repository is passed over. */
void condemn_put(struct buf *b, const uint8_t repo[REPO_ID_BYTES], const struct condemn *c);
int condemn_get(struct rd *r, uint8_t out_repo[REPO_ID_BYTES], struct condemn *c,
		struct err *err) ERR_UNUSED_WARN;

#endif
