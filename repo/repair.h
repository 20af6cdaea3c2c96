/*
 * repair: puts right what can be put right of a damaged repository. What is new is published before anything old goes, and nothing
 * that holds data is ever removed: of index segments the broken ones, of packs and manifests none. So a repair that is interrupted
 * is repeated, and one that is repeated does nothing. One thread.
 */
#ifndef NIGHTJAR_REPO_REPAIR_H
#define NIGHTJAR_REPO_REPAIR_H

#include "repo/repo.h"

struct repair_callbacks {
	/* What was wrong with an object ("index/…", "data/…", "snapshots/…"), and what was done about it. */
	void (*repaired)(void *arg, const char *object, const char *text);
	/* What is lost, or could not be repaired. */
	void (*lost)(void *arg, const char *object, const char *text);
	/* One line for each path of a manifest that is lost. */
	void (*touched)(void *arg, const struct id *manifest, const char *path, const char *text);
	/* Nonzero cancels. */
	int (*progress)(void *arg, uint64_t done, uint64_t total, const char *what);
	void *arg;
}; /* each may be NULL */

/* --- the index --- */

struct repair_index_options {
	bool read_all_packs; /* compare the directory of every pack with the index, not only of those that no segment names */
	struct repair_callbacks cb;
};

struct repair_index_result {
	uint64_t segments, packs;  /* that there were */
	uint64_t replaced;         /* segments that were damaged or wrong, and are gone */
	uint64_t written;          /* new ones */
	uint64_t packs_added;      /* that no segment named */
	uint64_t packs_missing;    /* that a segment named and the store has not; they are named no more */
	uint64_t packs_unreadable; /* whose directory does not open: > 0: exit 20 */
};

/*
 * Packs that no segment names get into new segments, signed by G, from their own directories; then segments that are damaged, or
 * name packs that are not there, are removed. ERR_KEY without G's secret, and with a maintain key where no segment is left; ERR_VERSION when something is of a
 * newer format, ERR_IO when something cannot be read though it may be whole: nothing was changed then. ERR_CANCELLED.
 */
int repair_index(struct repo *repo, const struct repair_index_options *options,
		 struct repair_index_result *out_result, struct err *err) ERR_UNUSED_WARN;

#endif
