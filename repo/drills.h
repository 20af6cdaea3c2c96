/*
 * drills: the drill notes of a repository (FORMAT.md §8), and what this host itself remembers of drills where its key may not sign or the
 * store does not take a note. One thread.
 */
#ifndef NIGHTJAR_REPO_DRILLS_H
#define NIGHTJAR_REPO_DRILLS_H

#include "core/drillnote.h"
#include "repo/repo.h"

struct drills_item {
	struct id name; /* of the note; zeros: this host remembers it */
	struct drillnote d;
};

/* Notes as they are loaded. {0} is none. */
struct drills {
	struct drills_item *items;
	size_t count, cap;
	uint64_t number; /* the highest */
};
void drills_free(struct drills *d);

/* Verifies a note and adds it. ERR_DAMAGED also for one that G did not sign. */
int drills_take(struct repo *repo, const struct id *name, const struct buf *bytes, struct drills *d,
		struct err *err) ERR_UNUSED_WARN;

/* The last of them in time, of all or of the good ones; NULL when there is none, or this key cannot tell. */
const struct drillnote *drills_last(const struct drills *d);
const struct drillnote *drills_last_good(const struct drills *d);

/*
 * Publishes a note, signed by G; gives it its number. ERR_KEY when this key signs nothing. is_superseded: notes that
 * are of no use any more go then, as far as the store lets them: a drill a night adds no object a night.
 */
int drills_put(struct repo *repo, const struct drills *d, struct drillnote *note,
	       const bool *is_superseded, struct err *err) ERR_UNUSED_WARN;

/*
 * The same on this host: <state_dir>/<repository id>/drills. Loading adds at most two, the last and the last good one; a file that is not
 * there holds none, a damaged one is ERR_DAMAGED.
 */
int drills_load_local(const char *state_dir, const uint8_t repo[REPO_ID_BYTES], struct drills *d,
		      struct err *err) ERR_UNUSED_WARN;
/* Puts a note there, instead of those that it supersedes. */
int drills_save_local(const char *state_dir, const uint8_t repo[REPO_ID_BYTES],
		      const struct drillnote *note, struct err *err) ERR_UNUSED_WARN;

#endif
