/*
 * tracer: runs a program under ptrace and stops it before and after each system call, so that a test can
 * kill it at a moment of its choice: always the same one, whatever the machine's speed.
 *
 * One thread, one traced program at a time, no other child of the caller meanwhile. The program must not fork.
 */
#ifndef NIGHTJAR_TESTS_SUPPORT_TRACER_H
#define NIGHTJAR_TESTS_SUPPORT_TRACER_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define TRACER_PATH (2 * PATH_MAX)

struct tracer_stop {
	pid_t pid;       /* of the thread */
	unsigned thread; /* 0 is the first */
	bool before;     /* the call has not been made yet: killed here, it never is */
	uint64_t call;
	uint64_t args[6];
	int64_t result; /* after the call: what it returned, or -errno */
	bool changes;   /* one that creates, writes, syncs, renames or removes */
	/* What the call names, made absolute by its folder, or what its descriptor is open on; "" none. */
	char path[TRACER_PATH];
};

/* True: kill it now. */
typedef bool tracer_fn(void *arg, const struct tracer_stop *stop);

enum tracer_end {
	TRACER_EXITED,  /* by itself; *out_status is its exit status, or 128 + a signal */
	TRACER_KILLED,  /* because fn said so */
	TRACER_REFUSED, /* ptrace, or a look into the program's memory, is not permitted here */
};

/*
 * The program's output goes to the file log, from its beginning. tracer_run stops the first thread alone, the others go on
 * until it is killed; tracer_run_threads stops all of them, in the order in which they come.
 */
enum tracer_end tracer_run(char *const argv[], const char *log, tracer_fn *fn, void *arg,
			   int *out_status);
enum tracer_end tracer_run_threads(char *const argv[], const char *log, tracer_fn *fn, void *arg,
				   int *out_status);

/* For fn: bytes of the program's memory; returns how many could be read. */
size_t tracer_read(const struct tracer_stop *stop, uint64_t from, void *out, size_t len);

/* For fn: the path at an address, made absolute by a folder's descriptor or AT_FDCWD. False: not permitted. */
bool tracer_path(const struct tracer_stop *stop, uint64_t folder, uint64_t from,
		 char out[TRACER_PATH]);

/* "openat", or "call 257" for what the tracer has no name for. */
const char *tracer_name(uint64_t call, char out[32]);

#endif
