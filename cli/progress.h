/*
 * progress: how far a long command is: a line on the terminal that is redrawn a few times a second, or with --json a "status"
 * object a second. Nothing when stderr is no terminal, nothing with --quiet. One thread.
 */
#ifndef NIGHTJAR_CLI_PROGRESS_H
#define NIGHTJAR_CLI_PROGRESS_H

#include <stdint.h>
#include <time.h>

#include "cli/out.h"

struct progress {
	struct out *out;
	bool terminal;
	struct timespec started, shown;
};

/* What is known; 0 totals are not known. */
struct progress_state {
	const char *phase; /* "snapshot", "files", … */
	const char *unit;  /* what is counted: NULL = "files" */
	uint64_t files, files_total;
	uint64_t bytes, bytes_total; /* both 0: only the unit counts */
	const char *path;            /* under way; NULL or "" = none */
};

void progress_begin(struct progress *p, struct out *out);
/* Cheap when nothing is due. */
void progress_show(struct progress *p, const struct progress_state *state);
/* Takes the line away. */
void progress_end(struct progress *p);

double progress_seconds(const struct progress *p); /* since progress_begin */

#endif
