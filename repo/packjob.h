/*
 * packjob: what a worker does with one new chunk: compresses it, as a delta where that is clearly smaller (FORMAT.md §4
 * "Delta records"), and counts its new cells. What comes out depends on the job alone. Pure core code; one thread a job.
 */
#ifndef NIGHTJAR_REPO_PACKJOB_H
#define NIGHTJAR_REPO_PACKJOB_H

#include "repo/bases.h"

struct packer_tally;

struct packjob {
	struct record_info info; /* id, kind and plain_bytes are given; run fills in the rest */
	struct buf plain;
	struct bases_choice choice;    /* count 0: to be stored full */
	int level;                     /* of a delta */
	struct buf bases;              /* their plaintext, one after the other */
	size_t base_ends[LIMIT_BASES]; /* where each ends in it */
	struct packer_tally *tally;    /* for the packer; NULL: none */
	bool count_cells;              /* plain is a data chunk of FORMAT.md §11 */
	struct buf
	    last; /* what it was in the backup before, when an older version, or nothing, is the first base; else empty */
	uint64_t
	    cells_new; /* run counts them: those that are not in last, or else the first base, nor in the others */
	struct buf compressed, delta; /* what run made; result() tells which one counts */
	bool is_delta;
	int result;
	struct err err;
};

void packjob_run(struct comp *comp, struct packjob *job);
/* The bytes to be sealed, after a run without error. */
const struct buf *packjob_result(const struct packjob *job);
void packjob_wipe(struct packjob *job);

#endif
