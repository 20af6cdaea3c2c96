/*
 * faultmatrix: every case of faultlab with faults of some kinds, at every k (or an even sample), by two workers; what came out is judged by
 * I1 to I4, I6 and I7, counted, and printed as TAP comments.
 */
#ifndef NIGHTJAR_TESTS_SUPPORT_FAULTMATRIX_H
#define NIGHTJAR_TESTS_SUPPORT_FAULTMATRIX_H

#include <stddef.h>
#include <stdint.h>

#include "tests/support/faultplan.h"

struct faultkind {
	enum fault_class call_class;
	int error; /* an errno, or FAULT_SHORT */
	uint32_t lasting;
	unsigned
	    most; /* of a command's calls in one place so many are failed, evenly; all with NIGHTJAR_LONG_FULL=1 */
};

/* A cmocka test of all these kinds: it fails when there are findings, each of which is printed. Skipped under a sanitizer. */
void faultmatrix_test(const struct faultkind *kinds, size_t count);

#endif
