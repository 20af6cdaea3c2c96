/*
 * rotation: which packs a part of `check --read-data` reads. The names of packs are hashes, so they lie evenly on a ring of 2^64 points; a part
 * is an arc of it. Arcs that join read every pack once a round, whatever packs come and go meanwhile. Pure; any thread.
 */
#ifndef NIGHTJAR_CORE_ROTATION_H
#define NIGHTJAR_CORE_ROTATION_H

#include <stdbool.h>
#include <stdint.h>

#include "core/id.h"

struct rotation {
	bool all; /* the whole ring */
	uint64_t from,
	    span; /* the points from, from + 1, … span of them, wrapping round; 0 = none */
};

bool rotation_has(const struct rotation *part, const struct id *pack);
/* The point after it, where the next one begins. */
uint64_t rotation_end(const struct rotation *part);

/* Part n of t that cover the ring together; 1 <= n <= t. */
struct rotation rotation_nth(uint64_t n, uint64_t t);
/* An arc from a point that is to the ring what share is to whole; everything when share >= whole or whole is 0. */
struct rotation rotation_share(uint64_t from, uint64_t share, uint64_t whole);

#endif
