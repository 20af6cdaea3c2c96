/*
 * dbstate: what a database's files look like from outside, so that a database to which nothing happened is known without being
 * read (DESIGN §4). A few hundred bytes are read: the header's counters, and of the log the frame headers that lead to its
 * last commit.
 *
 * Two states that are equal, the first of them settled, are states of the same content: whatever writes to a file moves its ctime,
 * which no program can set back, and what a database's users commit goes through the file, its -wal or its -journal.
 * Whatever cannot be told for certain is not known, and equal to nothing.
 *
 * An absent -wal and an empty one are the same: a reader that opens a closed database in WAL mode leaves an empty one.
 * Opens and closes the file: as with snapshot_take, no connection of this process may have the database open.
 */
#ifndef NIGHTJAR_REPO_DBSTATE_H
#define NIGHTJAR_REPO_DBSTATE_H

#include "core/id.h"
#include "repo/walfile.h"

#define DBSTATE_RACY_NS INT64_C(2000000000)

/* Of one file. Times in nanoseconds since 1970. */
struct dbstate_file {
	uint64_t device, inode, size;
	int64_t mtime_ns, ctime_ns;
};

struct dbstate {
	bool known;
	bool
	    settled; /* nothing of it was modified within DBSTATE_RACY_NS of the look, or after it */
	struct dbstate_file db;
	uint8_t change_counter[4], version_valid_for[4]; /* bytes 24 and 92 of the header */
	struct dbstate_file wal;                         /* all zero: none, or an empty one */
	struct walfile_mark log;                         /* of the -wal */
};

/* path: the main file; a symlink is not followed. now_ns: when the look is taken. Never fails: see known. */
void dbstate_read(const char *path, int64_t now_ns, struct dbstate *out_state);
/* Is a file system with this f_type of statfs(2) one of this machine, with times that every write moves? Others are not known. */
bool dbstate_trusts(uint64_t fs_type);
/* False when one of them is not known. */
bool dbstate_equal(const struct dbstate *a, const struct dbstate *b);
/* SHA-256 over all that is compared, and over what the caller adds to it. ERR_NOMEM only. */
int dbstate_hash(const struct dbstate *s, const void *more, size_t len, struct id *out_hash,
		 struct err *err) ERR_UNUSED_WARN;

#endif
