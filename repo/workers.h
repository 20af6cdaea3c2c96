/*
 * workers: a fixed number of threads that run pure core code on jobs, and give them back in the order they were
 * submitted, so that what comes out does not depend on how many there are. The only file with threads.
 *
 * The one exception to "pure core code" is store_parallel, whose workers hold a connection each and send packs.
 *
 * One thread, the coordinator, calls everything here; it owns store, index and SQLite handles. A worker sees nothing but
 * its own context and one job at a time. At most `depth` jobs are under way, which bounds memory.
 */
#ifndef NIGHTJAR_REPO_WORKERS_H
#define NIGHTJAR_REPO_WORKERS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"

struct workers;

/* Runs one job. What it has to say, errors included, it leaves in the job. */
typedef void workers_fn(void *context, void *job);

/*
 * contexts: one for each of count ≥ 1 workers, owned by the caller, who frees them after workers_free. depth ≥ count.
 * ERR_NOMEM, ERR_IO when a thread cannot be made. Signals stay with the coordinator.
 */
int workers_new(unsigned count, unsigned depth, workers_fn *fn, void *const *contexts,
		struct workers **out_workers, struct err *err) ERR_UNUSED_WARN;
/* Waits for the jobs under way, whose results are dropped: the caller knows its jobs. NULL is fine. */
void workers_free(struct workers *w);

/* True when depth jobs are under way: one must be taken before the next is submitted. */
bool workers_full(const struct workers *w);
size_t workers_pending(const struct workers *w);
/* Hands a job over until workers_take gives it back. Must not be full. */
void workers_submit(struct workers *w, void *job);
/* The oldest job, waiting for it. NULL when none is under way. */
void *workers_take(struct workers *w);

/* Would workers_take return at once? False when none is under way. */
bool workers_ready(struct workers *w);

/* How many this machine should have by default: its processors, at least 1 and at most 8. */
unsigned workers_default_count(void);

#endif
