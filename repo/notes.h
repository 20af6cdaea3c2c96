/*
 * notes: the damage notes of a repository (FORMAT.md §8), and what this host itself remembers of damage where its key may not sign or the
 * store does not take a note. A writer that applies them stores again what they name, so the next backup heals. One thread.
 */
#ifndef NIGHTJAR_REPO_NOTES_H
#define NIGHTJAR_REPO_NOTES_H

#include "core/damage.h"
#include "repo/index.h"

/* Noted places, of all notes together. {0} is none. */
struct notes {
	struct damage_place *places;
	size_t count, cap;
	uint64_t number; /* the highest */
};
void notes_free(struct notes *n);

/* Verifies a note and adds what it says. ERR_DAMAGED also for one that G did not sign. */
int notes_take(struct repo *repo, const struct buf *bytes, struct notes *n,
	       struct err *err) ERR_UNUSED_WARN;
/* Adds one place; twice is once after notes_settle. */
int notes_add(struct notes *n, const struct damage_place *place, struct err *err) ERR_UNUSED_WARN;
/* Sorts them and drops repetitions; what follows needs it. */
void notes_settle(struct notes *n);
bool notes_have(const struct notes *n, const struct damage_place *place);

/* How a note names a place of the index, and the place that it names; INDEX_NONE: the index does not know the pack, or not so many records of it. */
struct damage_place notes_place(const struct index *index, uint32_t at);
uint32_t notes_find(const struct index *index, const struct damage_place *place);

/* Marks every noted place that the index knows: they are not rested on, nor counted as stored. */
void notes_apply(const struct notes *n, struct index *index);

/* The same with what this host itself remembers (state_dir NULL: nothing), as far as that can be read. ERR_NOMEM only. */
int notes_apply_all(const struct notes *n, const char *state_dir, const struct repo *repo,
		    struct index *index, struct err *err) ERR_UNUSED_WARN;

/*
 * Publishes notes, several where one cannot take all, signed by G. found: settled. *number: the highest that was seen,
 * then the last one's.
 */
int notes_put(struct repo *repo, const struct notes *found, int64_t now_ns, uint64_t *number,
	      struct err *err) ERR_UNUSED_WARN;

/*
 * The same on this host: <state_dir>/<repository id>/damage, a line a place. A file that is not there holds none; a damaged one is
 * ERR_DAMAGED, and what could be read of it was added. At most 2^20 places are kept.
 */
int notes_load_local(const char *state_dir, const uint8_t repo[REPO_ID_BYTES], struct notes *n,
		     struct err *err) ERR_UNUSED_WARN;
/* Replaces the file by these places. */
int notes_save_local(const char *state_dir, const uint8_t repo[REPO_ID_BYTES],
		     const struct notes *n, struct err *err) ERR_UNUSED_WARN;

#endif
