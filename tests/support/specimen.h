/*
 * specimen: a small repository in memory that has an object of every kind, two backups with databases in cells, deltas, small and large files;
 * and what is asked of it after it was damaged. Everything here fails the running cmocka test when something is not as said.
 */
#ifndef NIGHTJAR_TESTS_SUPPORT_SPECIMEN_H
#define NIGHTJAR_TESTS_SUPPORT_SPECIMEN_H

#include "tests/support/dbkit.h"
#include "tests/support/repo_case.h"

/* One stored object, as it was. */
struct specimen_object {
	enum store_type type;
	struct id name;
	struct buf bytes;
	bool
	    needless; /* an orphan, or a pack that nobody needs any more: its damage costs nothing */
};

/* What an entry of a backup restores to. */
struct specimen_entry {
	char *path;
	struct id digest; /* of its attributes and bytes */
};

struct specimen_backup {
	struct id name;
	struct specimen_entry *entries;
	size_t count;
};

#define SPECIMEN_BACKUPS 2

struct specimen {
	struct kit kit;
	struct repo_case *c;
	char src[400];
	struct specimen_object *objects;
	size_t object_count, bytes;
	struct specimen_backup backups[SPECIMEN_BACKUPS];
	/* sums over all trials */
	uint64_t trials, found, harmless, restored, refused, healed;
};

struct specimen *specimen_new(void);
void specimen_free(struct specimen *s);

/* Reads a backup through: 0 when all of it is what it was, else why not. Other bytes fail the test. */
int specimen_restore(struct repo *repo, struct index *index, const struct manifest *m,
		     const struct specimen_backup *wanted, struct err *err);
/* Another backup of the same source. */
int specimen_night(struct specimen *s, struct repo *repo, int64_t now_s, struct id *out_name,
		   struct err *err);

/*
 * The store is damaged now; damaged: the object, for messages and what errors have to name (NULL: several). Opens, checks, restores each
 * backup: its bytes are those that they were, or a clear error says what is wrong. must_find: check has to see it, which otherwise it may.
 * heal: then a clone of the store gets another backup of the same source, which must be whole.
 */
void specimen_try(struct specimen *s, const struct specimen_object *damaged, const char *what,
		  bool must_find, bool heal);

/* Puts other bytes in an object's place; len SIZE_MAX removes it. specimen_mend puts it back as it was. */
void specimen_set(struct specimen *s, const struct specimen_object *o, const void *bytes,
		  size_t len);
void specimen_mend(struct specimen *s, const struct specimen_object *o);

/*
 * The whole matrix, of which every (byte, length) whose number is one of `every` by the seed is tried (of more than 100: few of the swaps
 * between folders, too), and one trial in heal_every is followed by a backup. bits: how many of a byte's bits are flipped, one after the other. Prints the counts.
 */
struct specimen_matrix {
	unsigned every, heal_every, bits;
	uint64_t seed;
};
void specimen_run(struct specimen *s, const struct specimen_matrix *m);

#endif
