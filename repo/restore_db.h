/*
 * restore_db: what is done to a database that restore has written, before it gets its name, and how one that is there is compared. All
 * of it goes through the open file: somebody else may be able to put other things under its temporary name, and beside it. One thread.
 */
#ifndef NIGHTJAR_REPO_RESTORE_DB_H
#define NIGHTJAR_REPO_RESTORE_DB_H

#include "core/manifest.h"
#include "repo/dbfile.h"
#include "repo/fswrite.h"

struct restore_run;

/* integrity_check. ERR_DAMAGED with its words; ERR_CANCELLED; the file's errors. path is for messages. */
int restore_db_verify(struct fsw_file *file, const char *path, uint64_t size,
		      const struct dbfile_progress *progress, struct err *err) ERR_UNUSED_WARN;

/* Gives the image the journal_mode of the manifest, where it has lost it (FORMAT.md §9). */
int restore_db_put_mode(struct fsw_file *file, uint64_t size, const struct manifest_db *db,
			struct err *err) ERR_UNUSED_WARN;

/* Is the open file, byte for byte, what a restore of this database would write? path is for the progress. */
int restore_db_same(struct restore_run *run, struct fsw_file *file, const char *path,
		    const struct manifest_db *db, bool *out_same, struct err *err) ERR_UNUSED_WARN;

#endif
