/*
 * linktable: the first name that was restored of each hard-linked file, so that later names are linked to it. One thread.
 */
#ifndef NIGHTJAR_REPO_LINKTABLE_H
#define NIGHTJAR_REPO_LINKTABLE_H

#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

struct linktable {
	struct linktable_cell *cells; /* open addressing over number; 0 = free */
	size_t count, size;
};

/* {0} is a valid empty table. */
void linktable_free(struct linktable *t);
/* number: a tree entry's link; 0 = not hard-linked, and nothing is kept. The first path of a number stays. */
int linktable_add(struct linktable *t, uint64_t number, const char *path,
		  struct err *err) ERR_UNUSED_WARN;
/* NULL when there is none yet, and for number 0. */
const char *linktable_find(const struct linktable *t, uint64_t number);

#endif
