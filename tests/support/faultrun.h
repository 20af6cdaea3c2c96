/*
 * faultrun: running the program under test with tests/tools/faultlib.c preloaded. Anything that goes wrong here prints why and aborts.
 */
#ifndef NIGHTJAR_TESTS_SUPPORT_FAULTRUN_H
#define NIGHTJAR_TESTS_SUPPORT_FAULTRUN_H

#include <stddef.h>
#include <stdint.h>

#include "tests/support/faultplan.h"

#define FAULTRUN_HUNG 255 /* it did not end by itself */
#define FAULTRUN_LINE 1200

struct faultrun {
	struct faultplan *plan;
	char *plan_path, *library;
	char *out, *log; /* where a run's stdout and stderr are */
};

/* Its files lie in dir. The library is looked for beside the running test. */
void faultrun_open(struct faultrun *r, const char *dir);
void faultrun_close(struct faultrun *r);

/* No fault, the clock as it is. */
void faultrun_clear(struct faultrun *r);

/* Runs to the end, for 20 s at most; gives the exit status, or 128 + a signal, or FAULTRUN_HUNG. The plan's results begin anew. */
int faultrun_go(struct faultrun *r, const char *const argv[]);

/* How many errors the last run told, warnings left out, and the first of them. */
size_t faultrun_errors(const struct faultrun *r, char out_first[FAULTRUN_LINE]);

/* All that it told on stderr, on one line, as far as there is room. */
void faultrun_said(const struct faultrun *r, char out[FAULTRUN_LINE]);

#endif
