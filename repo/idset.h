/*
 * idset: a set of ids, for walks that must not visit a shared node twice. One thread.
 */
#ifndef NIGHTJAR_REPO_IDSET_H
#define NIGHTJAR_REPO_IDSET_H

#include <stdbool.h>

#include "core/err.h"
#include "core/id.h"

struct idset {
	struct id *cells; /* open addressing; all zeros = free */
	size_t size, count;
};

void idset_free(struct idset *s); /* {0} is a valid empty set */
/* ids are never all zeros (they are hashes). */
int idset_add(struct idset *s, const struct id *id, struct err *err) ERR_UNUSED_WARN;
bool idset_has(const struct idset *s, const struct id *id);

#endif
