/*
 * restore_run: what the parts of restore share. For them only. One thread.
 */
#ifndef NIGHTJAR_REPO_RESTORE_RUN_H
#define NIGHTJAR_REPO_RESTORE_RUN_H

#include "core/buf.h"
#include "repo/fswrite.h"
#include "repo/linktable.h"
#include "repo/restore.h"

#define RESTORE_IO_BYTES (1u << 20)

struct restore_run {
	struct reader *reader;
	const struct manifest *m;
	const struct restore_options *options;
	struct restore_result *result;
	struct fsw *fsw;        /* NULL: a dry run, and there is no target */
	char *sub;              /* tidy; "/" = everything */
	struct linktable links; /* first names of hard-linked files */
	uint8_t *io;
	struct buf have, want; /* chunks under comparison */
	const struct domain_keys *domain;
};

/* One file that is to be restored. rel is path without its first '/'. */
struct restore_item {
	const char *path, *rel;
	const struct entry *e;
	const struct chunk_ref *children;
	const struct fsw_attrs *attrs;
	bool any;       /* something has the name: */
	struct stat st; /* that */
	bool whole;     /* the entry's content is there now: further names may be linked to it */
};

void restore_tell_failed(struct restore_run *run, const char *path, const char *text);
void restore_tell_warning(void *run, const char *path, const char *text); /* an fsw_warn_fn */
/* Warns of a database that was broken when it was backed up. */
void restore_tell_verdict(struct restore_run *run, const struct manifest_db *db);
void restore_tell_action(struct restore_run *run, enum restore_action action, const char *path,
			 const struct entry *e);
/* ERR_CANCELLED when the caller wants to stop. */
int restore_tick(struct restore_run *run, const char *path, struct err *err) ERR_UNUSED_WARN;
/* Failures that end the run: nothing further would fare better. */
bool restore_fatal(int r);

/* --- choosing --- */
bool restore_wants(const struct restore_run *run, const char *path);
/* May something at or below a folder be wanted? */
bool restore_enters(const struct restore_run *run, const char *path);
/* The folder was not backed up, only passed through. */
bool restore_above_sources(const struct restore_run *run, const char *path);
/* Do the options let the entry have the name? newest_s, newest_ns: of what has it. */
bool restore_may_replace(const struct restore_run *run, const struct entry *e, int64_t newest_s,
			 long newest_ns);

/* --- files: restore_file.c --- */
int restore_file(struct restore_run *run, struct restore_item *item,
		 struct err *err) ERR_UNUSED_WARN;
/* Writes the whole content into a file that was begun, checks it as the options say. */
int restore_content(struct restore_run *run, struct fsw_file *file, const struct restore_item *item,
		    struct err *err) ERR_UNUSED_WARN;
/* Feeds a range of a file to a digest. */
struct sha256;
int restore_hash_range(struct restore_run *run, struct fsw_file *file, uint64_t offset,
		       uint64_t len, struct sha256 *sha, struct err *err) ERR_UNUSED_WARN;
/* Counts and tells a file that stays as it is. */
void restore_left(struct restore_run *run, const struct restore_item *item);
void restore_left_whole(struct restore_run *run,
			struct restore_item *item); /* it is the same already */
/* Counts and tells one that was, or would be, written. */
void restore_written(struct restore_run *run, enum restore_action action,
		     struct restore_item *item);

/* --- files that are there: restore_update.c --- */
/* *out_done false: it must be written as a whole, and nothing was done or told. */
int restore_update(struct restore_run *run, struct restore_item *item, bool *out_done,
		   struct err *err) ERR_UNUSED_WARN;

/* --- databases: restore_place.c --- */
/*
 * ERR_BUSY when a database that would be replaced is open elsewhere; with the force option that is a warning. Asked before
 * anything is changed.
 */
int restore_check_busy(struct restore_run *run, struct err *err) ERR_UNUSED_WARN;
int restore_database(struct restore_run *run, struct restore_item *item,
		     struct err *err) ERR_UNUSED_WARN;
/* Before another file gets the name of a database: moves the set aside. ERR_BUSY. */
int restore_set_aside(struct restore_run *run, const struct restore_item *item,
		      struct err *err) ERR_UNUSED_WARN;
/* The same where what has the name is a database by its header, whatever the new file is. Else nothing. */
int restore_save_database(struct restore_run *run, const struct restore_item *item,
			  struct err *err) ERR_UNUSED_WARN;
/* Does the file begin as SQLite's do? */
bool restore_has_header(struct fsw_file *file);
/* Is what lies at rel a database that another process has open? Then ERR_BUSY. */
int restore_not_open(struct restore_run *run, const char *path, const char *rel,
		     struct err *err) ERR_UNUSED_WARN;
const struct manifest_db *restore_db_of(const struct restore_run *run, const char *path);
int restore_db_tick(void *run, const char *phase, uint64_t done,
		    uint64_t total); /* a dbfile_progress's fn */

/* --- clearing up: restore_clear.c --- */
/*
 * A folder that was there before and is restored: removes what an interrupted restore left, and with the option remove
 * whatever the manifest's folder, list, does not have. Failures are told; an error ends the run.
 */
int restore_clear(struct restore_run *run, const char *path, const struct id *list,
		  struct err *err) ERR_UNUSED_WARN;
/* Something at path is of another kind than the entry: with the option remove it goes. *out_gone says whether. */
int restore_clear_way(struct restore_run *run, const char *path, bool *out_gone,
		      struct err *err) ERR_UNUSED_WARN;

#endif
