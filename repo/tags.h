/*
 * tags: the tag records of a repository (FORMAT.md §8): which of them hold, and new ones. Manifests never change; what
 * manifests_load gives has the tags that hold now. One thread.
 */
#ifndef NIGHTJAR_REPO_TAGS_H
#define NIGHTJAR_REPO_TAGS_H

#include "core/tagrec.h"
#include "repo/manifests.h"

struct tags_item {
	struct id name;
	struct tagrec t;
};

/* Records as they are loaded. {0} is none. */
struct tags {
	struct tags_item *items;
	size_t count, cap;
};
void tags_free(struct tags *tags);

/* Verifies a record and adds it. ERR_DAMAGED also for one that G did not sign. */
int tags_take(struct repo *repo, const struct id *name, const struct buf *bytes, struct tags *tags,
	      struct err *err) ERR_UNUSED_WARN;

/*
 * Gives each manifest of list, ascending by name here, the tags of its last record, and lists the records, those of manifests that are not
 * among the objects (ascending too) as absent.
 */
int tags_apply(struct tags *tags, struct manifest_list *list, const struct id *objects,
	       size_t object_count, struct err *err) ERR_UNUSED_WARN;

/*
 * Publishes a record that gives a manifest this complete set, signed by G where the key holds it. Needs the manifest's R part
 * (ERR_KEY), and gives the set to item. ERR_LIMIT too many or too long, ERR_USAGE an empty one.
 */
int tags_put(struct repo *repo, struct manifest_item *item, const char *const *set, size_t count,
	     int64_t now_ns, struct id *out_name, struct err *err) ERR_UNUSED_WARN;

#endif
