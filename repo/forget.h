/*
 * forget: removes backups that a policy does not keep, or that are named, and leaves a signed retire record of it (FORMAT.md §8). It frees no
 * space: that is prune's. What is to go is decided by core/retention; first planned, then done. A repaired backup stands where the damaged one
 * stood, and a copy is kept when the order of sequences or that of times keeps it; one that
 * lacks something unreadable counts as unchecked. All that it goes by is in the part for maintenance, so a maintain key decides as a full key
 * does, where no name is asked for. One thread.
 */
#ifndef NIGHTJAR_REPO_FORGET_H
#define NIGHTJAR_REPO_FORGET_H

#include "core/retention.h"
#include "repo/manifests.h"

/* What makes a group. */
#define FORGET_BY_HOST 1u
#define FORGET_BY_PATHS 2u
#define FORGET_BY_TAGS 4u

/* Matches what has all of these tags; an empty tag matches what has none. */
struct forget_tags {
	char **tags;
	size_t count;
};

struct forget_options {
	struct retention_policy policy; /* keep_tagged is set by forget_plan */
	unsigned group_by;
	const struct forget_tags *keep_tags; /* any of these lists is kept */
	size_t keep_tag_count;
	/* Only these are considered: any of the hosts, any of the lists of tags, all of the paths. */
	const char *const *hosts;
	size_t host_count;
	const struct forget_tags *tags;
	size_t tag_count;
	const char *const *paths;
	size_t path_count;
	/* Or exactly these manifests, of the list; the policy has nothing but a minimal age then. */
	const struct id *names;
	size_t name_count;
};

struct forget_backup {
	const struct manifest_item *item;
	uint32_t reasons; /* RETENTION_…; 0 = to be removed */
	bool retired;     /* an earlier forget was interrupted before it removed this */
};

/* backups[first…] of one group, oldest first by sequence. */
struct forget_group {
	size_t first, count, removed;
};

struct forget_plan {
	struct forget_backup *backups; /* those that were considered, group by group */
	size_t count, removed;
	struct forget_group *groups; /* in the order of their oldest backups */
	size_t group_count;
};
void forget_plan_free(struct forget_plan *plan); /* {0} is fine */

/*
 * Decides; changes nothing. The plan points into list. ERR_KEY: forget needs a full or maintain key, and of what names hosts, paths or tags a
 * full one. ERR_USAGE: no policy; a named backup that is never removed or too young; a policy of tags that no backup of a group has.
 */
int forget_plan(struct repo *repo, const struct manifest_list *list,
		const struct forget_options *options, struct forget_plan *out_plan,
		struct err *err) ERR_UNUSED_WARN;

struct forget_callbacks {
	int (*progress)(void *arg, size_t done, size_t total); /* nonzero cancels */
	void *arg;
}; /* may be NULL */

struct forget_result {
	size_t removed; /* manifests; another forget may have been first */
};

/*
 * Publishes the retire record, then removes the plan's manifests, then tag records of manifests that are gone. A run that ends in between
 * leaves backups that are whole, and that the next forget removes. ERR_CANCELLED, ERR_IO, …
 */
int forget_apply(struct repo *repo, const struct manifest_list *list,
		 const struct forget_plan *plan, int64_t now_ns, const struct forget_callbacks *cb,
		 struct forget_result *out_result, struct err *err) ERR_UNUSED_WARN;

#endif
