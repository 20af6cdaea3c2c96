/*
 * prune_job: what the parts of one prune share (prune.c, prune_plan.c, prune_repack.c, prune_index.c). Internal to them.
 */
#ifndef NIGHTJAR_REPO_PRUNE_JOB_H
#define NIGHTJAR_REPO_PRUNE_JOB_H

#include "repo/condemned.h"
#include "repo/liveness.h"
#include "repo/prune.h"

/* What is to become of a pack of the index. */
enum prune_fate {
	PRUNE_GONE, /* the store has it no more, or not as it was */
	PRUNE_KEEP,
	PRUNE_CONDEMNED, /* by a record that is there */
	PRUNE_NEEDED,    /* condemned, but what is live in it is to be moved (R4) */
	PRUNE_DEAD,      /* to be condemned */
	PRUNE_REPACK,    /* to be moved, then condemned */
	PRUNE_ORPHAN     /* dead, and perhaps of a backup that has not ended yet */
};

struct prune_pack {
	enum prune_fate fate;
	uint64_t live_bytes, dead_bytes; /* of records */
};

/* Names that grow. */
struct prune_names {
	struct id *ids;
	size_t count, cap;
};

struct prune_job {
	struct repo *repo;
	const struct prune_options *options;
	struct prune_result *result;
	int64_t grace_s;
	/* one survey */
	int64_t boot_s, now_s; /* before anything was listed */
	struct condemned condemned;
	struct manifest_list manifests;
	struct index *index;
	struct reader *reader;
	struct id *names; /* of data/, ascending */
	uint64_t *sizes;
	size_t name_count;
	struct liveness liveness;
	struct prune_pack *packs;  /* by pack of the index */
	struct err bad_manifest;   /* the first */
	bool lacks;                /* the last survey has not found what a manifest needs */
	struct prune_names rotten; /* records that do not verify */
	/* all of them */
	struct idset distrusted; /* packs whose bytes turned out not to be their name's */
	struct idset deleted;
};

int64_t prune_boot_s(const struct prune_job *job);
void prune_warning(struct prune_job *job, enum store_type type, const struct id *name,
		   const char *text);
void prune_detail(struct prune_job *job, const struct id *pack, const char *text);
int prune_tick(struct prune_job *job, const char *phase, uint64_t done, uint64_t total,
	       struct err *err) ERR_UNUSED_WARN;
/* The listed size of a pack in data/; false: it is not there. */
bool prune_in_store(const struct prune_job *job, const struct id *pack, uint64_t *out_bytes);
int prune_names_add(struct prune_names *n, const struct id *name, struct err *err) ERR_UNUSED_WARN;
/* Gets a whole pack and compares it with its name; one that differs is distrusted from now on: ERR_DAMAGED. */
int prune_get_pack(struct prune_job *job, const struct id *pack, struct buf *out,
		   struct err *err) ERR_UNUSED_WARN;

void prune_add(struct prune_sum *sum, uint64_t bytes); /* one pack more */

/* A record of packs that may be deleted by now. */
bool prune_is_due(const struct prune_job *job, const struct condemned_record *record);
/*
 * Deletes what is due. The index first (R8): after a kill between the two a pack is an orphan that a record condemns, and the next prune
 * deletes it. *out_again: another survey is needed.
 */
int prune_delete_due(struct prune_job *job, bool *out_again, struct err *err) ERR_UNUSED_WARN;

/* Decides the fate of each pack of the survey, and the sums that follow from it. */
int prune_plan(struct prune_job *job, struct err *err) ERR_UNUSED_WARN;
/* Packs in data/ that the index does not have, as they do not open, and that no record condemns. */
int prune_strangers(struct prune_job *job, struct prune_names *out,
		    struct err *err) ERR_UNUSED_WARN;
/*
 * By these fates: the names of all packs that are to be condemned now (moved ones included), and of those that are to be watched from
 * now on; counts both.
 */
int prune_verdict(struct prune_job *job, struct prune_names *dead, struct prune_names *fresh,
		  struct err *err) ERR_UNUSED_WARN;

/* Moves what is needed of packs that are to be moved into new ones, which a new segment names. */
int prune_repack(struct prune_job *job, struct err *err) ERR_UNUSED_WARN;

/*
 * Puts segments of G for packs (of the index) that are new, and for what else segments name that are to go: those that name a pack of
 * gone, and small ones where there are many. Then removes these (R8).
 */
int prune_index(struct prune_job *job, const struct idset *gone, const struct prune_names *fresh,
		struct err *err) ERR_UNUSED_WARN;

#endif
