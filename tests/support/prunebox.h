/*
 * prunebox: a repository in memory with a clock of its own, a folder with a database and attachments that is backed up night after night,
 * and what a prune must never break. Everything here fails the running cmocka test when something is not as said.
 */
#ifndef NIGHTJAR_TESTS_SUPPORT_PRUNEBOX_H
#define NIGHTJAR_TESTS_SUPPORT_PRUNEBOX_H

#include "repo/backup.h"
#include "repo/prune.h"
#include "tests/support/dbkit.h"
#include "tests/support/repo_case.h"

#define PRUNEBOX_HOUR INT64_C(3600)
#define PRUNEBOX_DAY (24 * PRUNEBOX_HOUR)
#define PRUNEBOX_GRACE (72 * PRUNEBOX_HOUR) /* what prune waits unless told otherwise */
#define PRUNEBOX_NIGHTS 80

struct prunebox {
	struct kit kit;
	struct repo_case *c;
	struct err *err;
	char src[400], db[400];
	int64_t now_s; /* of the store and of all hosts */
	int64_t
	    boot_s; /* what the clock that goes on asleep says: it stands still unless a test moves it */
	struct id nights[PRUNEBOX_NIGHTS]; /* of those that are not forgotten */
	size_t night_count;
	unsigned boot_asked; /* how often the last backup has asked for it */
	unsigned
	    asleep_at; /* at which question it falls asleep, after the answer: meanwhile happens then. 0 = never */
	unsigned targets, warnings;
	int (*meanwhile)(
	    struct prunebox *b); /* once, when a backup is about to publish; NULL = nothing */
	struct backup_result backup;
	struct prune_options options; /* of the next prune */
	struct prune_result result;
};

int prunebox_setup(void **state);
int prunebox_teardown(void **state);

/* The clock goes on. */
void prunebox_pass(struct prunebox *b, int64_t seconds);
/* Writes an attachment: len bytes that seed decides. */
void prunebox_attach(struct prunebox *b, const char *name, uint64_t seed, size_t len);
/* Backs up by the next run of the program, a day after the one before. Returns the result code. */
int prunebox_try_night(struct prunebox *b);
void prunebox_night(struct prunebox *b);
/* Nights of which each changes a little of the database and has attachments of its own, small ones. */
void prunebox_nights(struct prunebox *b, unsigned count);
/* Three nights, of which the first had a large attachment that the others have not, and is forgotten. */
void prunebox_dead_pack(struct prunebox *b);
#define PRUNEBOX_LARGE 300000
/* Removes the manifest of a night, as forget does. */
void prunebox_forget(struct prunebox *b, size_t night);

size_t prunebox_count(struct prunebox *b, enum store_type type);

/* Prunes by the next run of the program, with the full key. */
void prunebox_prune(struct prunebox *b);
int prunebox_try_prune(struct prunebox *b, struct repo *repo);

/* check finds nothing, reading every byte if so said. */
void prunebox_assert_clean(struct prunebox *b, struct repo *repo, bool read_data);
/* Every night restores, verified, its database with the SHA-256 that the manifest has. */
void prunebox_assert_restores(struct prunebox *b);

/* A store in memory with the same objects and the same clock. */
struct store *prunebox_clone(struct prunebox *b);

#endif
