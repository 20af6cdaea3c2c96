/*
 * hook: an operator's script, run by `/bin/sh -e` in a process group of its own, with a minimal environment and a limit of time. The
 * script is on no command line. What it prints goes line by line into our output, as far as HOOK_OUTPUT_BYTES. It ends with us, even when
 * we are killed. One thread.
 */
#ifndef NIGHTJAR_CLI_HOOK_H
#define NIGHTJAR_CLI_HOOK_H

#include <stdint.h>

#include "cli/out.h"

#define HOOK_OUTPUT_BYTES 65536u /* what is more is thrown away, and that is said */
#define HOOK_LIMIT_S 3600        /* when the configuration says nothing */

/* What it is told: NIGHTJAR_EVENT, …; NULL and "" are left out. Nothing secret is in them. */
struct hook_facts {
	const char *event;  /* "before", "after", "failed" */
	const char *source; /* name of the section */
	const char *manifest;
	const char *location;
	int exit_code;   /* so far */
	uint64_t alarms; /* files of immutable folders that are not what they were, so far */
};

/*
 * ERR_IO: it did not run, or failed, or took longer than limit_s (then it was ended, SIGTERM first); ERR_CANCELLED: an interrupt that came
 * after it began ended it in the same way. The text names event and source.
 */
int hook_run(struct out *out, const char *script, int64_t limit_s, const struct hook_facts *facts,
	     struct err *err) ERR_UNUSED_WARN;

#endif
