/*
 * copy: backups of one repository once more in another, under its keys, with all that they rest on. What is stored is what a
 * backup of the same files straight into the other one would store: contents are cut anew by its keys, so that copies and
 * direct backups share their chunks, and databases are deltas of the copied night before. One thread.
 */
#ifndef NIGHTJAR_REPO_COPY_H
#define NIGHTJAR_REPO_COPY_H

#include "repo/manifests.h"

struct copy_progress {
	uint64_t manifests, manifests_total;
	uint64_t bytes, bytes_total; /* of contents, as their manifests say */
	const char *path;            /* under way; may be "" */
};

struct copy_one {
	struct id source, made; /* made: zero where it was there already, or could not be copied */
	struct id there;        /* the manifest that it is there as */
	uint64_t bytes_stored;  /* objects written, padding included */
};

struct copy_callbacks {
	void (*copied)(void *arg, const struct copy_one *one);
	void (*skipped)(void *arg, const struct copy_one *one);
	/* A backup of the source that cannot be had whole, and so is not copied: exit 20. */
	void (*damaged)(void *arg, const struct id *source, const char *text);
	/* An object of either repository ("index/…") that could not be used; nothing is missing for that yet. */
	void (*warning)(void *arg, const char *object, const char *text);
	/* Now and then; nonzero cancels. */
	int (*progress)(void *arg, const struct copy_progress *at);
	void *arg;
}; /* each may be NULL */

struct copy_options {
	const struct manifest_list *from; /* of the source, oldest first */
	const bool *wanted;               /* one for each of them */
	const char *cache_dir; /* where database images spill, encrypted; NULL: memory must do */
	const char *state_dir; /* where this host remembers damage; NULL = nowhere */
	unsigned workers;      /* threads that compress; 0 = one a processor */
	struct copy_callbacks cb;
};

struct copy_result {
	uint64_t copied, skipped, damaged; /* manifests */
	uint64_t bytes;                    /* contents that were read */
	uint64_t bytes_added;              /* plaintext of new chunks */
	uint64_t bytes_packed;             /* the same, compressed and sealed */
	uint64_t bytes_stored;             /* objects written, padding included */
};

/*
 * Copies oldest first, each with its own commit: what was copied before an interruption or an error stays, and the next run goes on
 * behind it. A manifest that is in the other repository already, as a copy or as the original of a copy, is skipped. What is
 * damaged in the source costs the manifests that rest on it, no others. ERR_USAGE the two are one repository; ERR_KEY the source's
 * key cannot read, or the other one's is not full (only that can see what is there); ERR_CANCELLED; ERR_FULL, ERR_IO the other repository.
 */
int copy_run(struct repo *from, struct repo *to, const struct copy_options *options,
	     struct copy_result *out_result, struct err *err) ERR_UNUSED_WARN;

#endif
