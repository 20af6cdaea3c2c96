/*
 * drill: a backup is restored for practice, whole: every database into an encrypted image in memory, which is then checked as if it were to be
 * used, every other file by reading all its chunks. No plaintext reaches a disk, unless a target is named: then real files are restored there,
 * and those are checked. What was found is kept as a signed note (FORMAT.md §8), or by this host. One thread.
 */
#ifndef NIGHTJAR_REPO_DRILL_H
#define NIGHTJAR_REPO_DRILL_H

#include "repo/manifests.h"
#include "repo/reader.h"

/* A query of the operator's: one row, whose first column is true. */
struct drill_assertion {
	char *database; /* the last components of its path; matches exactly one */
	char *query;
};

struct drill_callbacks {
	/* One line of what is wrong: a path, or what else it is about. */
	void (*failed)(void *arg, const char *item, const char *text);
	void (*warning)(void *arg, const char *item, const char *text);
	int (*progress)(void *arg, uint64_t files, uint64_t bytes, const char *path);
	void *arg;
}; /* each may be NULL */

struct drill_options {
	const char *cache_dir;   /* where images spill, encrypted; NULL = nowhere */
	size_t ram_budget_bytes; /* of one image; 0 = 64 MiB */
	const char *target; /* NULL: into memory; otherwise a folder that is empty or not there */
	const struct drill_assertion *assertions;
	size_t assertion_count;
	uint64_t most_steps; /* of an assertion, see dbquery.h; 0 = the default */
	struct drill_callbacks cb;
};

/*
 * Drills. What is wrong is told and counted, and no error; drillnote_judge says what it comes to. ERR_KEY; ERR_USAGE a target that holds
 * something, an assertion's database; ERR_FULL; ERR_CANCELLED; ERR_NOMEM: there is no verdict then.
 */
int drill_run(struct reader *reader, const struct manifest *m, const struct drill_options *options,
	      struct drillnote_counts *out_counts, struct err *err) ERR_UNUSED_WARN;

/*
 * Keeps what came of it: as a note in the repository, otherwise in state_dir (NULL = nowhere). *out_why: why it is not in the repository; code
 * 0 when it is. Fails only when it could be kept nowhere. drills: those of the repository; notes that this one makes useless go.
 */
int drill_keep(struct repo *repo, const struct manifest_list *list,
	       const struct manifest_item *item, const char *state_dir, struct drillnote *note,
	       struct err *out_why, struct err *err) ERR_UNUSED_WARN;

/*
 * The last drill and the last good one, of the repository's notes and of what this host remembers (state_dir may be NULL); false: there
 * was none. For stats, metrics and status.
 */
bool drill_last(const struct manifest_list *list, const uint8_t repo[REPO_ID_BYTES],
		const char *state_dir, struct drillnote *out_note);
bool drill_last_good(const struct manifest_list *list, const uint8_t repo[REPO_ID_BYTES],
		     const char *state_dir, struct drillnote *out_note);

#endif
