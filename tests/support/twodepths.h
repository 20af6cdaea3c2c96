/*
 * twodepths: a chunk of which there are two copies, as two writers at once leave them: one in full, and one as a delta. A third writer's delta
 * rests on the full one, and for that the other one lies too deep. Everything here fails the running cmocka test when something is not as said.
 */
#ifndef NIGHTJAR_TESTS_SUPPORT_TWODEPTHS_H
#define NIGHTJAR_TESTS_SUPPORT_TWODEPTHS_H

#include "tests/support/repo_case.h"

struct twodepths {
	struct id chunk;  /* CHUNK_DATA, at depth 0 and 1 */
	struct id rests;  /* on it: at depth 1 */
	struct id root;   /* a list of both, as a manifest may have */
	struct id packed; /* the pack of the full copy, of nothing else */
};

/* In a repository without packs. */
struct twodepths twodepths_make(struct repo_case *c);

/* What rests on it reads back as it was. */
void twodepths_assert_reads(struct repo_case *c, const struct twodepths *t);

#endif
