/*
 * liveness: which records do all manifests rest on? Walks lists alone, which every key with M opens, so who maintains can ask without
 * reading a name. One thread.
 *
 * Of each chunk that a manifest reaches every whole copy is live, and with a copy every whole one of each of its bases that is of strictly
 * lower depth (FORMAT.md §12 R7): a writer in the same domain may have planted another content under the id, and only a reading key could
 * tell. Of copies that are the same record, byte for byte, one is.
 */
#ifndef NIGHTJAR_REPO_LIVENESS_H
#define NIGHTJAR_REPO_LIVENESS_H

#include "repo/manifests.h"
#include "repo/reader.h"

struct liveness_options {
	bool merge_writers; /* one copy is enough, once it was opened: needs a reading key */
	int (*progress)(void *arg); /* now and then; nonzero cancels */
	void *arg;
};

struct liveness {
	uint8_t *live; /* by place of the index */
	size_t place_count;
	bool *needed; /* by pack: condemned, but some chunk has no whole copy elsewhere */
	size_t pack_count, needed_count;
	uint64_t chunks; /* live ids */
};
void liveness_free(struct liveness *l); /* {0} is fine */

/*
 * The index is to be complete (index_rescue), with what is lost, noted and condemned marked, and stays so. Where only
 * condemned packs have a chunk, copies in them are live. ERR_DAMAGED, naming the manifest, when something that it reaches has no whole copy: then nothing can be said
 * of any pack.
 */
int liveness_mark(struct reader *reader, const struct manifest_list *list,
		  const struct liveness_options *options, struct liveness *out_liveness,
		  struct err *err) ERR_UNUSED_WARN;

#endif
