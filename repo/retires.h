/*
 * retires: the retire records of a repository (FORMAT.md §8): which backups were removed on purpose, and new records. One thread.
 */
#ifndef NIGHTJAR_REPO_RETIRES_H
#define NIGHTJAR_REPO_RETIRES_H

#include "core/retire.h"
#include "repo/repo.h"

#define RETIRES_FOLD 16 /* that many records become one with the next */

struct retires_record {
	struct id name;
	struct retire r;
};

/* Records as they are loaded. {0} is none. */
struct retires {
	struct retires_record *records;
	size_t count, cap;
	struct id *names; /* of every retired manifest, ascending, after retires_settle */
	size_t name_count;
	uint64_t number; /* the highest */
};
void retires_free(struct retires *r);

/* Verifies a record and adds it. ERR_DAMAGED also for one that G did not sign. */
int retires_take(struct repo *repo, const struct id *name, const struct buf *bytes,
		 struct retires *r, struct err *err) ERR_UNUSED_WARN;
/* To be called once all are there; retires_have needs it. */
int retires_settle(struct retires *r, struct err *err) ERR_UNUSED_WARN;
/* Was this manifest removed on purpose, or is to be? */
bool retires_have(const struct retires *r, const struct id *manifest);
/* The same of one whose writer and sequence a record must say, too; needs no retires_settle. */
bool retires_say(const struct retires *r, const struct retire_entry *entry);

/*
 * Publishes that these are to go: sorts entries, of which each is there once. From RETIRES_FOLD records on the new one says what they
 * say, too, and they are removed: a forget a night adds no object a night. ERR_KEY without G.
 */
int retires_put(struct repo *repo, const struct retires *r, struct retire_entry *entries,
		size_t count, int64_t now_ns, struct err *err) ERR_UNUSED_WARN;

#endif
