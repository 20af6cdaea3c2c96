/*
 * footing: the duty of who publishes a manifest while prunes may run (FORMAT.md §12 R5, R6): nothing in it may rest on what is condemned or
 * gone. Any number of footings and prunes go on at once, and none waits for another. One thread.
 *
 *	footing_open    before the packer is made: what is condemned counts as not there
 *	…               packer_add, packer_rest_on, packer_finish
 *	footing_look    just before the manifest is put; not firm: begin anew, with another index
 *	footing_in_time right before the put; false: look again
 *	footing_look    after the put; not firm: store again what is lacking, or publish another manifest
 */
#ifndef NIGHTJAR_REPO_FOOTING_H
#define NIGHTJAR_REPO_FOOTING_H

#include "repo/condemned.h"
#include "repo/packer.h"

/* Seconds that go on while the machine sleeps; NULL = CLOCK_BOOTTIME. */
typedef int64_t footing_clock_fn(void *arg);

struct footing {
	struct repo *repo;
	struct index *index;
	footing_clock_fn *clock;
	void *clock_arg;
	int64_t listed_s; /* before locks/ was listed last */
	int64_t
	    packs_listed_s; /* before locks/ was listed, of the last time that data/ was listed after it */
};

/* Lists locks/ and marks the index. Nothing to close; repo and index must stay. */
int footing_open(struct footing *f, struct repo *repo, struct index *index, footing_clock_fn *clock,
		 void *clock_arg, struct err *err) ERR_UNUSED_WARN;

/*
 * Lists locks/ again, and where something is new, or much time has gone, the index and data/, too. *out_lacking, the caller's, names what
 * the packer rests on and no whole copy gives any more; 0 of them: firm.
 */
int footing_look(struct footing *f, struct packer *packer, struct chunk_ref **out_lacking,
		 size_t *out_count, struct err *err) ERR_UNUSED_WARN;

/* The last look is not older than half the least grace. */
bool footing_in_time(const struct footing *f);

#endif
