/* What the parts of witness share; nobody else includes this. */
#ifndef NIGHTJAR_REPO_WITNESS_RUN_H
#define NIGHTJAR_REPO_WITNESS_RUN_H

#include "repo/idset.h"
#include "repo/witness.h"

struct witness {
	struct witness_options o; /* texts are owned */
	struct sightings base;    /* as they were before the listing */
	struct idset told;
	uint64_t standing; /* of the last look */
	bool misplaced;    /* WITNESS_PLACE stands */
	bool warned;
};

/* A name that is not there and that manifests have. */
struct witness_ref {
	struct id name, by;
	uint8_t writer[32];
	uint64_t sequence; /* 0: not known */
};

struct witness_run {
	struct repo *repo;
	struct witness *w;
	struct manifest_list *list;
	const struct id *names; /* the first listing, ascending */
	size_t count;
	struct id *more; /* the second */
	size_t more_count;
	struct witness_ref *refs; /* by name, none twice */
	size_t ref_count, ref_cap;
	struct witness_finding *findings;
	size_t finding_count, finding_cap;
};

bool witness_is_gone(const struct witness_run *run, const struct id *name);
const struct witness_ref *witness_find_ref(const struct witness_run *run, const struct id *name);

/* Finds what manifests name and is not there, then everything that is wrong, anew. */
int witness_judge(struct witness_run *run, struct err *err) ERR_UNUSED_WARN;

void witness_warn(struct witness *w, const struct err *why);

/* Loads what is kept, lets change alter it, and keeps it where that made a difference; nobody else does meanwhile. */
int witness_update(const struct repo *repo,
		   int (*change)(void *arg, struct sightings *s, struct err *err), void *arg,
		   struct err *err) ERR_UNUSED_WARN;
/* Takes in what the run has seen: a change for witness_update. */
int witness_merge(void *run, struct sightings *s, struct err *err) ERR_UNUSED_WARN;

#endif
