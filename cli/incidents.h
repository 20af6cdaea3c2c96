/*
 * incidents: what a backup has to tell besides its counts: files that databases name and that are missing, and immutable files that
 * changed. One thread.
 */
#ifndef NIGHTJAR_CLI_INCIDENTS_H
#define NIGHTJAR_CLI_INCIDENTS_H

#include "cli/command.h"
#include "cli/lines.h"
#include "core/manifest.h"
#include "repo/backup.h"

struct incidents {
	struct lines alarms; /* path, text, manifest, and so on; the first INCIDENTS_ALARMS */
	bool incomplete;     /* no memory for one more */
};
#define INCIDENTS_ALARMS 1000u

void incidents_free(struct incidents *n); /* {0} is fine */

/* Callbacks of backup.h, told at once. */
void incidents_missing(struct cli *cli, const char *database, const char *path, const char *text);
void incidents_alarm(struct incidents *n, struct cli *cli, const char *path, const char *what,
		     const struct id *manifest);

/* One object of the summary's array "references", and the array "alarms". */
void incidents_reference_json(struct json *j, const struct manifest_ref *ref);
void incidents_alarms_json(const struct incidents *n, struct json *j);
/* The counts, as members of the summary, and for people. */
void incidents_counts_json(const struct backup_result *res, struct json *j);
void incidents_print(struct cli *cli, const struct backup_result *res);

#endif
