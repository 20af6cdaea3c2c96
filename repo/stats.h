/*
 * stats: what the objects of a repository take, and what each backup added to it. Reads tree nodes, no data. One thread.
 */
#ifndef NIGHTJAR_REPO_STATS_H
#define NIGHTJAR_REPO_STATS_H

#include "repo/manifests.h"
#include "repo/reader.h"

struct stats_objects {
	uint64_t count, bytes;
};

/* A night: the chunks that no earlier backup of the list needs are those that it added. */
struct stats_night {
	uint64_t chunks, plain_bytes, stored_bytes;
	uint64_t *db_stored; /* of each of the manifest's databases */
};

struct stats {
	struct stats_objects objects[STORE_TYPES];
	uint64_t chunks, plain_bytes; /* different ones */
	uint64_t stored_bytes;        /* their records, second copies included */
	uint64_t parity_bytes;        /* of packs that the index names: their tails */
	uint64_t restore_bytes,
	    restore_files;          /* of all manifests together, as if each was restored */
	struct stats_night *nights; /* of each manifest of the list */
	size_t night_count;
};
void stats_free(struct stats *s); /* {0} is fine */

struct stats_callbacks {
	/* A manifest that cannot be walked whole: what it added is counted as far as it goes. */
	manifest_bad_fn *bad;
	int (*progress)(void *arg); /* nonzero cancels */
	void *arg;
}; /* each may be NULL */

/* list: all manifests, oldest first. ERR_KEY, ERR_IO, ERR_CANCELLED, ERR_NOMEM. */
int stats_run(struct reader *reader, const struct manifest_list *list,
	      const struct stats_callbacks *cb, struct stats *out_stats,
	      struct err *err) ERR_UNUSED_WARN;

#endif
