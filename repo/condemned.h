/*
 * condemned: the records in locks/ (FORMAT.md §12): which packs prune is about to delete, since when. Writers rest nothing on them; prune
 * puts and removes the records. One thread.
 */
#ifndef NIGHTJAR_REPO_CONDEMNED_H
#define NIGHTJAR_REPO_CONDEMNED_H

#include "core/condemn.h"
#include "repo/index.h"

/*
 * No grace is shorter, and who publishes a manifest does so at most half of it after the last listing of locks/ (R5, R6), so any
 * number of writers need not know what grace a prune was given.
 */
#define CONDEMNED_GRACE_LEAST_S (2 * 3600)
#define CONDEMNED_GRACE_DEFAULT_S (72 * 3600)

struct condemned_record {
	struct id name;
	struct condemn c;
	bool dated; /* of CONDEMN_PACKS: some record says when it was visible */
	int64_t dated_s;
};

struct condemned {
	struct condemned_record *records;
	size_t count, cap;
};
void condemned_free(struct condemned *c); /* {0} is fine */

/* Told of each record that could not be used: as nobody else can use it either, it condemns nothing. May be NULL. */
typedef void condemned_bad_fn(void *arg, const struct id *name, const struct err *why);

/*
 * Every record whose signature verifies; one that is removed meanwhile is passed over. One listing where there is none. ERR_VERSION for
 * one of a newer format; ERR_IO and the like: what is condemned is not known then, and nobody may go on.
 */
int condemned_load(struct repo *repo, condemned_bad_fn *bad, void *bad_arg, struct condemned *out,
		   struct err *err) ERR_UNUSED_WARN;

/* Condemns in the index the packs that records name and it knows. Returns how many were not condemned before. */
size_t condemned_apply(const struct condemned *c, struct index *index);

/*
 * Publishes records of kind CONDEMN_PACKS or CONDEMN_WATCH about packs (any order, none twice): several where one cannot take all; each of
 * the former is then dated (R3). Times are read from the store's clock.
 */
int condemned_put(struct repo *repo, enum condemn_kind kind, struct id *packs, size_t count,
		  struct err *err) ERR_UNUSED_WARN;
/* Dates a record that is visible. */
int condemned_date(struct repo *repo, const struct id *record, struct err *err) ERR_UNUSED_WARN;

/*
 * Removes a record that could not be used, once it has been read again: *why says what is wrong with it. One that is whole after all, or
 * gone, stays so: why->code is 0 then (R1).
 */
int condemned_remove_bad(struct repo *repo, const struct id *name, struct err *why,
			 struct err *err) ERR_UNUSED_WARN;

/* Removes a record and then what dates it. What is gone already is fine. */
int condemned_remove(struct repo *repo, const struct condemned *c, const struct id *record,
		     struct err *err) ERR_UNUSED_WARN;

#endif
