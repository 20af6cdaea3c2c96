/*
 * restore: files, folders and databases of a manifest written below a target folder and nowhere else.
 *
 * What is there already is compared, chunk by chunk, without reading the repository where it is the same. So a restore that was
 * interrupted goes on when it is run again, and of a large file only blocks that differ are written, in place. Replaced
 * as a whole, in one step, are: small files, files with other names (which may lie outside the target, and stay as they are),
 * programs that run. A file that is written to in place is half old and half new while that goes on, also for who has it open;
 * killed then, it does not have its time yet, and the next run finishes it. RESTORE_IF_NEWER would take such a file for a newer
 * one, so it replaces every file as a whole.
 *
 * Databases are never written in place: the new one is completed and verified under a temporary name; then the old one with its
 * -wal, -shm and -journal is moved aside and kept (fswrite.h), also when what gets its name is no database. Where another process has the old one open nothing at all is
 * restored, unless forced. One thread.
 */
#ifndef NIGHTJAR_REPO_RESTORE_H
#define NIGHTJAR_REPO_RESTORE_H

#include "repo/manifests.h"
#include "repo/tree_read.h"

/* What happened, or in a dry run would happen, to one entry. */
enum restore_action {
	RESTORE_RESTORED,  /* written anew */
	RESTORE_UPDATED,   /* parts of it, in place */
	RESTORE_UNCHANGED, /* left as it is: the same already, or the overwrite option says so */
	RESTORE_DELETED
};

struct restore_callbacks {
	/* An entry that could not be restored as it was; the rest goes on, the run ends with exit 1. */
	void (*failed)(void *arg, const char *path, const char *text);
	/* Something to know: an owner that could not be set, a stale -wal moved aside. */
	void (*warning)(void *arg, const char *path, const char *text);
	int (*progress)(void *arg, uint64_t files, uint64_t bytes, const char *path);
	/* size_bytes: 0 of what is no file. */
	void (*action)(void *arg, enum restore_action action, const char *path,
		       uint64_t size_bytes);
	/* The database that was at path is kept, under this name beside it. */
	void (*aside)(void *arg, const char *path, const char *name);
	void *arg;
}; /* each may be NULL */

/* What becomes of an entry whose name is taken; folders are entered in any case. restic's words and meanings. */
enum restore_overwrite {
	RESTORE_ALWAYS,     /* made as it was; what is the same already is not written again */
	RESTORE_IF_CHANGED, /* the same, and equal size and time mean equal content */
	RESTORE_IF_NEWER,   /* only where the backup's is newer */
	RESTORE_NEVER
};

struct restore_options {
	const char *target;
	const char *
	    sub; /* NULL = everything; else a path in the manifest; contents appear under their full path below target */
	const char *const *includes; /* glob.h; none = everything */
	size_t include_count;
	const char *const *excludes;
	size_t exclude_count;
	enum restore_overwrite overwrite;
	/*
	 * Removes what lies in the restored folders and is not in the manifest, and what is in the way; of these only what the
	 * options choose. Never: in folders that were only passed through, databases that were moved aside, what belongs
	 * to a database that stays, an open database, mount points; nor a folder with one of these in it.
	 */
	bool remove;
	bool force;   /* replaces databases that another process has open */
	bool verify;  /* read everything back and compare; integrity_check each database */
	bool dry_run; /* the target is looked at, not changed nor made */
	struct restore_callbacks cb;
};

struct restore_result {
	uint64_t files, dirs, others, databases; /* restored or updated */
	uint64_t bytes;                          /* of the contents of these files */
	uint64_t skipped, bytes_skipped;         /* files that were left as they are */
	uint64_t bytes_written;                  /* of contents */
	uint64_t deleted;                        /* a folder with all that is in it counts once */
	uint64_t failed;                         /* entries */
	uint64_t damaged;                        /* of these: what the repository has of them is */
	uint64_t verified;                       /* files read back */
};

/*
 * ERR_MISSING sub is not in the manifest; ERR_IO, ERR_FULL the target; ERR_BUSY a database is open elsewhere, nothing was
 * changed; ERR_CANCELLED. Damage of single entries is reported through failed and counted; the function then still returns 0.
 */
int restore_run(struct reader *reader, const struct manifest *m,
		const struct restore_options *options, struct restore_result *out_result,
		struct err *err) ERR_UNUSED_WARN;

#endif
