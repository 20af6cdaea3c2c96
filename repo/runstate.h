/*
 * runstate: when this host last backed up into, checked and drilled a repository, and how that ended: what `status` and the metrics tell
 * without a key. One file a repository, <state_dir>/<repository id>/status. One thread.
 */
#ifndef NIGHTJAR_REPO_RUNSTATE_H
#define NIGHTJAR_REPO_RUNSTATE_H

#include "core/id.h"
#include "core/header.h"

#define RUNSTATE_LOCATION_CHARS 4097
#define RUNSTATE_ID_CHARS (2u * REPO_ID_BYTES)

/* Times in seconds since 1970; 0 = never. Exit codes as the program's. */
struct runstate {
	char repo[RUNSTATE_ID_CHARS + 1];
	char location[RUNSTATE_LOCATION_CHARS]; /* without credentials; a local one absolute */
	char manifest[ID_HEX_CHARS + 1];        /* of the last backup; "" = none */
	int64_t backup_at_s, backup_exit;       /* the last that made a manifest */
	int64_t nightly_at_s, nightly_exit;     /* the last, however it ended */
	/* Files of immutable folders that those found to be not what they were. */
	int64_t backup_alarms, nightly_alarms;
	int64_t nightly_good_at_s;      /* the last that backed up every source */
	int64_t nightly_clean_at_s;     /* the last that ended with 0 */
	int64_t check_at_s, check_exit; /* the last that came to its end */
	int64_t drill_good_at_s;
};

/* A repository's id as its folder is called. */
void runstate_id(const uint8_t repo[REPO_ID_BYTES], char out[RUNSTATE_ID_CHARS + 1]);

/*
 * 1, or 0 when nothing was kept yet: then *out_state has only its repo. ERR_DAMAGED for a file that does not read as a status (the next update writes it
 * anew), ERR_IO; both name the path. ERR_USAGE: repo_hex is no id.
 */
int runstate_load(const char *state_dir, const char *repo_hex, struct runstate *out_state,
		  struct err *err) ERR_UNUSED_WARN;

/* Loads, lets change alter it, and saves, while nobody else does. A damaged one counts as nothing kept. */
int runstate_update(const char *state_dir, const char *repo_hex,
		    void (*change)(void *arg, struct runstate *state), void *arg,
		    struct err *err) ERR_UNUSED_WARN;

/*
 * Ids of the repositories that something was kept about, sorted; *out_ids is one allocation, free(). A folder that is not there holds none.
 */
int runstate_list(const char *state_dir, char (**out_ids)[RUNSTATE_ID_CHARS + 1], size_t *out_count,
		  struct err *err) ERR_UNUSED_WARN;

#endif
