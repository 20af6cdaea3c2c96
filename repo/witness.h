/*
 * witness: notices when something vanishes from a repository that nobody removed on purpose: a store that was set back to an older state, a
 * manifest that was deleted, another repository in the place of the first. Two sources: the names that manifests have of each other
 * (FORMAT.md §8, "What vanished"), and what this host has seen before (core/sightings.h in <state_dir>/<repository id>/seen-…, one a location, since a mirror may be behind; repo/place.h).
 *
 * A witness is attached to an open repository; manifests_load then looks, and manifests_put and retires_put tell it what they did. All of it
 * works without one, and then nothing is noticed. What was found stays found until it is back or accepted. Several processes may share a
 * state folder. One thread.
 */
#ifndef NIGHTJAR_REPO_WITNESS_H
#define NIGHTJAR_REPO_WITNESS_H

#include "core/sightings.h"
#include "repo/manifests.h"

enum witness_kind {
	WITNESS_MANIFEST = 1, /* a manifest is gone, and no retire record names it */
	WITNESS_RETIRE,       /* the record is gone that said of a manifest that it was removed */
	WITNESS_RECORDS,      /* the newest retire record is gone */
	WITNESS_ROSTER,       /* the newest roster is gone */
	WITNESS_WRITER,       /* a writer is no longer in the roster */
	WITNESS_UNDONE,       /* a writer has a right back that was taken from it */
	WITNESS_READ_KEY,     /* an epoch of the read key is gone, or is another */
	WITNESS_OWNER,        /* config has another owner */
	WITNESS_PLACE         /* another repository is where this host has found one with backups */
};

struct witness_finding {
	enum witness_kind kind;
	const char *location; /* the repository's, as the store says it */
	struct id name;       /* MANIFEST, RETIRE */
	uint8_t writer[32];   /* MANIFEST, RETIRE, WRITER, UNDONE */
	uint64_t sequence;    /* MANIFEST, RETIRE; 0: not known */
	int64_t time_ns;      /* MANIFEST, RETIRE; 0: not known */
	bool seen;            /* MANIFEST: by this host; otherwise only named */
	struct id by;         /* MANIFEST: of a manifest that names it; zero: none */
	uint64_t was, is;     /* RECORDS: numbers; ROSTER: epochs; READ_KEY: was alone */
	uint8_t was_repo[REPO_ID_BYTES], is_repo[REPO_ID_BYTES]; /* PLACE */
};

struct witness_options {
	const char *state_dir; /* NULL: nothing is kept, and only what manifests name is missed */
	const char *place;     /* the location as it is kept (without credentials); NULL: none */
	bool accept; /* what is found is taken for right from now on; found is told all the same */
	void (*found)(void *arg, const struct witness_finding *f); /* of each once */
	void (*looked)(void *arg, size_t told); /* after a look that told something new */
	void (*warning)(void *arg, const char *text);
	void *arg;
};

/*
 * Attaches a witness that repo_close frees, and looks at the place. The callbacks may be used until then. ERR_NOMEM; with accept also what
 * keeps it from being kept.
 */
int witness_attach(struct repo *repo, const struct witness_options *options,
		   struct err *err) ERR_UNUSED_WARN;
void witness_free(struct witness *w); /* NULL is fine */

/* What stands: of the last look, and the place. */
uint64_t witness_findings(const struct repo *repo);
/* ERR_ROLLBACK while something stands: on a view that may be forged nothing is removed. what: "forget". */
int witness_allow_removal(const struct repo *repo, const char *what,
			  struct err *err) ERR_UNUSED_WARN;

/*
 * Before the listing, and once the list is made of it: names are what was listed, ascending. With a finding the store is asked once more, as
 * a forget on another host may have been in between; what that gives goes into the list's retires.
 */
int witness_begin(struct repo *repo, struct err *err) ERR_UNUSED_WARN;
int witness_look(struct repo *repo, struct manifest_list *list, const struct id *names,
		 size_t count, struct err *err) ERR_UNUSED_WARN;

/* This host has published it; has published record `number`, which says that these are to go. A failure is a warning. */
void witness_made(struct repo *repo, const struct manifest *m, const struct id *name);
void witness_retired(struct repo *repo, const struct retire_entry *entries, size_t count,
		     uint64_t number);

/* This host has published the roster that repo has now: taken away, it is missed also by who has looked at nothing since. */
void witness_enrolled(struct repo *repo);

/* What this host knows of a manifest, before the last look; NULL when nothing. */
const struct sighting *witness_recall(const struct repo *repo, const struct id *name);

/* What this host has seen of a repository at a place (as of the options); {0} when nothing. ERR_DAMAGED names the file, whose place the next look takes. */
int witness_load(const char *state_dir, const uint8_t repo[REPO_ID_BYTES], const char *place,
		 struct sightings *out_sightings, struct err *err) ERR_UNUSED_WARN;

enum witness_word { WITNESS_UNKNOWN, WITNESS_THERE, WITNESS_REMOVED };
/* What the repository knows of a manifest that somebody wrote down; a record of another writer or sequence is not the same. */
enum witness_word witness_ask(const struct manifest_list *list, const struct sighting *wanted);

#endif
