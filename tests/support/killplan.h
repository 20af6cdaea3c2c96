/*
 * killplan: the phases of a traced `backup`, told from its system calls, and the moments at which a test kills it.
 */
#ifndef NIGHTJAR_TESTS_SUPPORT_KILLPLAN_H
#define NIGHTJAR_TESTS_SUPPORT_KILLPLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/support/tracer.h"

enum phase { OPENING, KEYS, SNAPSHOT, FILES, PACK, INDEX, MANIFEST, PHASES };

const char *killplan_name(enum phase phase);

/* One stop of a traced run: the ordinal-th of its phase. */
struct moment {
	enum phase phase;
	unsigned ordinal;
	bool before, changes;
	uint64_t call;
};

/* What follows a run. The first two are set by the caller, and stops or until. */
struct watch {
	const char *app;  /* what is backed up; databases in it are named *.db */
	const char *repo; /* where to */
	struct moment *stops;
	size_t stop_count, stop_cap; /* every stop, as far as there is room */
	const struct moment *until;  /* where it is killed; NULL: nowhere */
	enum phase phase;
	unsigned counts[PHASES];
};

/* A tracer_fn over a watch. */
bool killplan_on_stop(void *arg, const struct tracer_stop *stop);

/*
 * Of the stops of one phase: those that change something, however many they are; then others, evenly, until
 * there are `wanted`. Returns how many moments it wrote, at most cap.
 */
size_t killplan_choose(const struct moment *stops, size_t count, enum phase phase, size_t wanted,
		       struct moment *out_moments, size_t cap);

#endif
