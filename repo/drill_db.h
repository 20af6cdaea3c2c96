/*
 * drill_db: what a drill does with one database that it has restored (drill.c). Internal to the drill.
 */
#ifndef NIGHTJAR_REPO_DRILL_DB_H
#define NIGHTJAR_REPO_DRILL_DB_H

#include "repo/drill.h"
#include "repo/pageimage.h"

struct drill {
	struct reader *reader;
	const struct manifest *m;
	const struct drill_options *options;
	struct drillnote_counts *counts;
	bool *seen;     /* of the manifest's databases: it was checked */
	bool *asserted; /* of the assertions: it was run */
};

/* Tells how far it is; nonzero: to be cancelled. */
int drill_tick(struct drill *run, const char *path);

/*
 * A restored image: SHA-256, integrity_check, foreign_key_check, the assertions about it. What is wrong is told and counted. Errors: those
 * that end the drill.
 */
int drill_db_image(struct drill *run, const char *path, struct pageimage *image,
		   struct err *err) ERR_UNUSED_WARN;
/* The same of the file below the target; that its bytes are those of the image, restore has verified. */
int drill_db_file(struct drill *run, const char *path, struct err *err) ERR_UNUSED_WARN;
/* This database, if it is one, could not even be restored, which was told: it counts as failed. */
void drill_db_lose(struct drill *run, const char *path);
/* Tells those assertions as failed whose database could not be asked. */
void drill_db_unasserted(struct drill *run);

#endif
