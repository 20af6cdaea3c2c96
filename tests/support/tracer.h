/*
 * tracer: runs a program under ptrace and stops it before and after each system call, so that a test can
 * kill it at a moment of its choice: always the same one, whatever the machine's speed.
 *
 * One thread, one traced program at a time. The program must not fork; of its threads only the first is
 * stopped, the others go on until it is killed.
 */
#ifndef NIGHTJAR_TESTS_SUPPORT_TRACER_H
#define NIGHTJAR_TESTS_SUPPORT_TRACER_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct tracer_stop {
	bool before; /* the call has not been made yet: killed here, it never is */
	uint64_t call;
	uint64_t args[6];
	bool changes; /* one that creates, writes, syncs, renames or removes */
	/* What the call names, made absolute by its folder, or what its descriptor is open on; "" none. */
	char path[2 * PATH_MAX];
};

/* True: kill it now. */
typedef bool tracer_fn(void *arg, const struct tracer_stop *stop);

enum tracer_end {
	TRACER_EXITED,  /* by itself; *out_status is its exit status, or 128 + a signal */
	TRACER_KILLED,  /* because fn said so */
	TRACER_REFUSED, /* ptrace, or a look into the program's memory, is not permitted here */
};

/* The program's output goes to the file log, from its beginning. */
enum tracer_end tracer_run(char *const argv[], const char *log, tracer_fn *fn, void *arg,
			   int *out_status);

/* "openat", or "call 257" for what the tracer has no name for. */
const char *tracer_name(uint64_t call, char out[32]);

#endif
