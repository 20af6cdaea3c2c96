/*
 * rested: what a manifest that is being made rests on, a byte for each place of the index: a place stands for its id. One thread.
 */
#ifndef NIGHTJAR_REPO_RESTED_H
#define NIGHTJAR_REPO_RESTED_H

#include "repo/index.h"

struct rested {
	uint8_t *by_place;
	size_t cap;
};
void rested_free(struct rested *r); /* {0} is fine */

int rested_add(struct rested *r, const struct index *index, uint32_t place,
	       struct err *err) ERR_UNUSED_WARN;
/* Every place of a pack. */
int rested_add_pack(struct rested *r, const struct index *index, uint32_t pack,
		    struct err *err) ERR_UNUSED_WARN;

/* The ids among them of which no whole copy is known any more; *out_refs is the caller's. */
int rested_lacking(const struct rested *r, const struct index *index, struct chunk_ref **out_refs,
		   size_t *out_count, struct err *err) ERR_UNUSED_WARN;

#endif
