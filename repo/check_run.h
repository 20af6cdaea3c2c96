/*
 * check_run: what the parts of a check share (check.c, check_read.c). Internal to them.
 */
#ifndef NIGHTJAR_REPO_CHECK_RUN_H
#define NIGHTJAR_REPO_CHECK_RUN_H

#include "repo/check.h"
#include "repo/idset.h"
#include "repo/notes.h"
#include "repo/reader.h"

/* A copy that does not give its chunk. */
struct check_found {
	uint32_t place; /* of the index */
	char *text;
};

struct check_run {
	struct repo *repo;
	const struct check_options *options;
	struct check_result *result;
	struct index *index;
	struct reader *reader;
	uint32_t indexed;          /* packs that segments name; later ones were found by rescue */
	struct idset clean;        /* lists below which nothing is wrong */
	struct idset unnamed;      /* rescued packs that were reported */
	struct idset rested_on;    /* bases whose packs were looked at for that */
	struct check_found *found; /* whether it is a loss is known when all has been read */
	size_t found_count, found_cap;
	struct idset scope;        /* what the chosen backups rest on */
	bool gathering;            /* the scope is being found: nothing is told */
	const struct id *manifest; /* under way */
	struct id told_manifest;   /* of the last path that was told, so that it is told once */
	char *told_path;
};

void check_tell_damage(struct check_run *run, enum store_type type, const struct id *name,
		       const char *text);
int check_tick(struct check_run *run, uint64_t done, uint64_t total, const char *what,
	       struct err *err) ERR_UNUSED_WARN;
/* Is the chunk one that the chosen backups rest on? Without a choice: yes. */
bool check_in_scope(const struct check_run *run, const struct id *id);
/* Marks a copy as damaged and remembers it. */
int check_find(struct check_run *run, uint32_t place, const char *text,
	       struct err *err) ERR_UNUSED_WARN;

/* Notes what was found and is in none of the notes. What cannot be noted is told, and no error. */
int check_note(struct check_run *run, const struct notes *known, struct err *err) ERR_UNUSED_WARN;
/* --read-data: every record of every pack, or of those in scope. */
int check_read_packs(struct check_run *run, struct err *err) ERR_UNUSED_WARN;

#endif
