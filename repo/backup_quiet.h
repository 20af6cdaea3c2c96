/*
 * backup_quiet: a folder in which nothing happened since the last backup is not stored again, nor are its nodes in the parent manifest read.
 * Each of its names is still looked at, and must be what the files cache knows; all that would become entries together must have the sum
 * (repo/tree_sum.h) of those that became the parent's nodes. Anything else, and the folder is gone over as if it was not known.
 *
 * Only folders that hold neither folders nor databases. Internal to backup_*.c; one thread.
 */
#ifndef NIGHTJAR_REPO_BACKUP_QUIET_H
#define NIGHTJAR_REPO_BACKUP_QUIET_H

#include "repo/backup_run.h"
#include "repo/tree_write.h"

/* What is watched of a folder while it is stored. {0} to begin. */
struct backup_quiet {
	bool watched;
	struct tree_sum sum;
	struct stat st; /* before it was listed */
	int64_t looked_at_ns;
	uint64_t unreadable, carried; /* before */
};

/* Before the folder is listed. */
int backup_quiet_begin(struct backup_run *run, int dirfd, const char *path, struct backup_quiet *q,
		       struct err *err) ERR_UNUSED_WARN;
void backup_quiet_end(struct backup_quiet *q);
/*
 * 1 when the names of the folder are all as its list in the parent manifest has them: then they are counted, and the manifest rests on what they
 * became. 0 when not, or when each file is to be told.
 */
int backup_quiet_same(struct backup_run *run, int dirfd, const char *path, char *const *names,
		      size_t count, const struct id *list, const struct backup_quiet *q,
		      struct err *err) ERR_UNUSED_WARN;
/* Notes for the next backup what w, which was given q->sum and has finished, made of a folder of so many names. */
int backup_quiet_note(struct backup_run *run, const char *path, size_t names,
		      const struct dir_writer *w, struct backup_quiet *q,
		      struct err *err) ERR_UNUSED_WARN;

/*
 * First walk: 1 when a folder, by what fstat has just said of it, has the names that the parent manifest has, none of which was a database:
 * then it need not be listed. Counts its files.
 */
int backup_quiet_scan(struct backup_run *run, const char *path, const struct stat *st,
		      struct err *err) ERR_UNUSED_WARN;

#endif
