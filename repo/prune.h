/*
 * prune: gives back the space that no manifest needs, while writers and other prunes go on (FORMAT.md §12, whose rules R1 to R9 the code
 * cites). What is not needed is condemned first, and deleted by a later run when the grace is over and no manifest has come to need it. Packs
 * with much in them that nobody needs are repacked without being decrypted. One thread; killed at any moment it leaves nothing
 * that a later run does not take up.
 */
#ifndef NIGHTJAR_REPO_PRUNE_H
#define NIGHTJAR_REPO_PRUNE_H

#include "repo/repo.h"

/* How much that nobody needs may stay in packs because moving the rest would cost more. */
enum prune_unused {
	PRUNE_UNUSED_DEFAULT,
	PRUNE_UNUSED_PERCENT,
	PRUNE_UNUSED_BYTES,
	PRUNE_UNUSED_ALL
};
#define PRUNE_UNUSED_DEFAULT_PERCENT 5

struct prune_options {
	enum prune_unused unused;
	double unused_percent; /* of what the packs hold in the end: 0…100 */
	uint64_t unused_bytes;
	uint64_t max_repack_bytes; /* read for repacking at most; 0 = no limit */
	int64_t grace_s;           /* 0 = 72 h; at least CONDEMNED_GRACE_LEAST_S, else ERR_USAGE */
	/*
	 * The caller knows that no backup and no other prune runs, and that none starts before this is done: what nobody needs is deleted at
	 * once.
	 */
	bool no_writers;
	bool dry_run; /* nothing is put or removed */
	/* Seconds that go on while the machine sleeps; NULL = CLOCK_BOOTTIME. */
	int64_t (*boot_s)(void *arg);
	/* Something to know; object is a path in the repository, or "". */
	void (*warning)(void *arg, const char *object, const char *text);
	/* What is done with a pack, in a word or two. */
	void (*detail)(void *arg, const char *object, const char *text);
	int (*progress)(void *arg, const char *phase, uint64_t done, uint64_t total);
	void *arg;
}; /* callbacks may be NULL */

struct prune_sum {
	uint64_t packs, bytes;
};

struct prune_result {
	uint64_t manifests, chunks;     /* chunks that are needed */
	uint64_t used_bytes;            /* their records */
	uint64_t unused_bytes;          /* records that nobody needs, in packs that stay */
	struct prune_sum before, after; /* of data/ */
	struct prune_sum deleted;       /* condemned earlier, and due */
	struct prune_sum condemned;     /* by this run, repacked ones included */
	struct prune_sum repacked; /* of condemned: what was needed of them lies in new packs */
	struct prune_sum written;  /* the new packs */
	struct prune_sum waiting;  /* condemned, not due yet: after this run */
	struct prune_sum
	    needed_again;         /* condemned, but needed again: that was moved, as in repacked */
	struct prune_sum watched; /* left by backups that did not end, or of one that runs now */
	uint64_t segments_written, segments_removed;
	struct store_leftovers left; /* by puts that were killed, the grace ago: removed */
	int64_t now_s,
	    due_s; /* the store's clock; when the first of waiting is due, 0 = none waits */
	bool
	    unfinished; /* an hour was not enough to delete all that is due: the next run goes on */
};

/*
 * Needs a full or maintain key. ERR_KEY; ERR_DAMAGED a manifest cannot be read, or something that it needs is lost: its text names it and
 * nothing was deleted; ERR_USAGE, ERR_CANCELLED, ERR_IO, ERR_FULL. With a dry run the sums say what would be. The result is filled as
 * far as it got.
 */
int prune_run(struct repo *repo, const struct prune_options *options,
	      struct prune_result *out_result, struct err *err) ERR_UNUSED_WARN;

#endif
