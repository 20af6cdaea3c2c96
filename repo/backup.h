/*
 * backup: one backup run: databases are snapshotted first, close together, then files are read; packs, index segment
 * and manifest are published in that order (FORMAT.md §2). The manifest's appearance is the commit (I1, I2).
 * One thread.
 */
#ifndef NIGHTJAR_REPO_BACKUP_H
#define NIGHTJAR_REPO_BACKUP_H

#include "core/id.h"
#include "repo/backup_filter.h"
#include "repo/repo.h"

struct manifest_db;
struct manifest_ref;

enum backup_phase { BACKUP_SCAN, BACKUP_SNAPSHOT, BACKUP_FILES, BACKUP_PUBLISH };

struct backup_progress {
	enum backup_phase phase;
	uint64_t files, bytes;             /* done */
	uint64_t files_total, bytes_total; /* as the scan counted them */
	uint64_t pages,
	    pages_total;  /* of the database that is copied or checked; 0 = not now, not known */
	const char *path; /* under way; may be "" */
};

/* A file against the parent manifest. */
enum backup_change { BACKUP_NEW, BACKUP_CHANGED, BACKUP_UNMODIFIED };

struct backup_callbacks {
	/* Something that was left out or is doubtful: exit 3. path may be "". */
	void (*unreadable)(void *arg, const char *path, const char *text);
	/* A database that failed its integrity check, or a file that was one in the parent manifest; kept as it is: exit 21. */
	void (*corrupt)(void *arg, const char *path, const char *text);
	/* Each database that is in the backup, once all is known of it: just before the manifest. */
	void (*database)(void *arg, const struct manifest_db *db);
	/* Something to know; the exit code stays. */
	void (*warning)(void *arg, const char *path, const char *text);
	/* Only worth saying to who asks for details. */
	void (*detail)(void *arg, const char *path, const char *text);
	/*
	 * A file that --refs names and that is not in the backup as it should be, or with path "" something about the whole query:
	 * exit 22. database: as the query named it.
	 */
	void (*missing)(void *arg, const char *database, const char *path, const char *text);
	/* Each query of --refs, after the databases. */
	void (*reference)(void *arg, const struct manifest_ref *ref);
	/* A file of an immutable folder is not what it was; manifest has the old one. The exit code stays. */
	void (*alarm)(void *arg, const char *path, const char *text, const struct id *manifest);
	/* Each file that is kept, databases too, when it is. */
	void (*kept)(void *arg, const char *path, enum backup_change change, uint64_t bytes);
	/* Now and then; nonzero cancels the run with ERR_CANCELLED. */
	int (*progress)(void *arg, const struct backup_progress *at);
	void *arg;
}; /* each may be NULL */

struct backup_options {
	const char *const
	    *paths; /* operands as typed; relative ones count from the working directory */
	size_t path_count;
	const char *const *tags;
	size_t tag_count;
	struct backup_filter_options filter;
	const char *host;        /* not empty */
	const char *user;        /* may be "" */
	const char *program;     /* "nightjar 0.1.0" */
	const char *state_dir;   /* where this host remembers damage; NULL = nowhere */
	const char *cache_dir;   /* for the snapshot spill and the files cache */
	size_t ram_budget_bytes; /* of all snapshots together; 0 = 96 MiB */
	unsigned busy_timeout_ms;
	unsigned workers;    /* threads that compress; 0 = one a processor */
	bool integrity_full; /* integrity_check each database even when it is not due */
	bool
	    no_delta_cache; /* keep no chunks on this host; a key that cannot read stores all of them full */
	bool force; /* read every file, also those that the files cache knows */
	bool dry_run;
	const char *const *refs; /* "DATABASE: QUERY": core/reference.h */
	size_t ref_count;
	const char *const
	    *immutable; /* folders at or below the paths in which files never change */
	size_t immutable_count;
	const struct id *parent; /* NULL: the newest manifest of the same host and paths */
	int64_t now_ns;          /* 0 = the clock */
	const int64_t *time_ns;  /* the manifest's time; NULL = now */
	/* Seconds that go on while the machine sleeps; NULL = CLOCK_BOOTTIME. */
	int64_t (*boot_s)(void *arg);
	void *boot_arg;
	struct backup_callbacks cb;
};

struct backup_result {
	struct id manifest; /* zero in a dry run */
	bool committed;
	uint64_t files, dirs, others;                        /* entries in the tree */
	uint64_t files_new, files_changed, files_unmodified; /* against the parent manifest */
	uint64_t bytes;        /* processed: file contents and database images */
	uint64_t bytes_added;  /* plaintext of new chunks */
	uint64_t bytes_packed; /* the same, compressed and sealed */
	uint64_t bytes_stored; /* objects written, padding included */
	uint64_t databases, databases_failed, databases_unchecked;
	uint64_t image_bytes, cells, cells_changed; /* of all databases; as in the manifest */
	uint64_t image_packed;                      /* what they came to of bytes_packed */
	uint64_t unreadable;                        /* > 0: exit 3 */
	uint64_t refs_referenced, refs_missing, refs_orphans; /* of all queries */
	uint64_t refs_unhashed; /* files whose SHA-256 a query knows and that were not read */
	uint64_t refs_failed;   /* queries that could not be run; > 0, or some missing: exit 22 */
	uint64_t carried;       /* files that vanished meanwhile, kept as the parent has them */
	uint64_t alarms;        /* files of immutable folders that are not what they were */
};

/*
 * Errors: ERR_MISSING a path operand that does not exist, or no such parent (nothing is stored); ERR_KEY a parent that
 * this key cannot read; ERR_USAGE no paths, a query that means no database or more than one, an immutable folder that lies elsewhere; ERR_CANCELLED;
 * ERR_FULL, ERR_IO the store. On failure no manifest appeared; what was packed before is an orphan that the next
 * run or prune deals with. Only a cancelled run puts the index of it, too: the next one need not store it again. The
 * result is filled as far as it got. Where a prune condemns meanwhile what the manifest was to rest on, the sources are gone over once
 * more (FORMAT.md §12 R6); ERR_BUSY when that happens again and again.
 */
int backup_run(struct repo *repo, const struct backup_options *options,
	       struct backup_result *out_result, struct err *err) ERR_UNUSED_WARN;

#endif
