/*
 * deltaorder: the order in which all deltas of an index are decoded with each base at hand: a base, then at once all
 * that rests on it. One thread.
 */
#ifndef NIGHTJAR_REPO_DELTAORDER_H
#define NIGHTJAR_REPO_DELTAORDER_H

#include "repo/index.h"

/*
 * The places of all deltas, each after the place of its first base if it is a delta and whole, and the versions of one
 * chunk together. *out_places is malloc'd, also when there are none.
 */
int deltaorder_of(const struct index *index, uint32_t **out_places, size_t *out_count,
		  struct err *err) ERR_UNUSED_WARN;

#endif
