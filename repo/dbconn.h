/*
 * dbconn: a connection to somebody else's database that cannot harm it, and one meaning for what
 * SQLite answers.
 *
 * A source is opened READONLY|URI with temp_store=MEMORY and secure_delete on, never immutable, and only ever
 * read. Waiting for locks and long statements ask the caller's progress function, so both can be
 * cancelled. One thread.
 */
#ifndef NIGHTJAR_REPO_DBCONN_H
#define NIGHTJAR_REPO_DBCONN_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"

#define DBCONN_BUSY_TIMEOUT_MS 10000u /* what 0 means */

struct dbconn {
	sqlite3 *db;
	const char *path;       /* for messages; borrowed */
	unsigned timeout_ms;    /* how long a lock is waited for */
	int (*tick)(void *arg); /* asked now and then; nonzero cancels. May be NULL */
	void *tick_arg;
	int64_t waiting_since_ms;
	bool cancelled;
};

/* malloc'd "file:" URI for an absolute path of any bytes; NULL = no memory. query: "mode=ro" or NULL. */
char *dbconn_uri(const char *abs_path, const char *query);

/*
 * Opens abs_path read-only. Fill path, timeout_ms, tick and tick_arg of a zeroed c before; c must stay where it is.
 * Returns SQLite's extended result code of the open and a first read of the header: so a lock, a hot journal,
 * or a missing -shm shows here. abs_path is resolved: a symlink in it is SQLITE_CANTOPEN. Close in any case.
 */
int dbconn_open_source(struct dbconn *c, const char *abs_path);

/* Opens the database of a page VFS; flags: SQLITE_OPEN_READONLY, or READWRITE|CREATE. As above otherwise. */
int dbconn_open_vfs(struct dbconn *c, const char *vfs_name, int flags);

/* Runs statements; returns the extended result code. */
int dbconn_exec(struct dbconn *c, const char *sql);

/* First column of the first row as an integer; *out is untouched on failure. */
int dbconn_get_int(struct dbconn *c, const char *sql, int64_t *out);

void dbconn_close(struct dbconn *c);

/*
 * Turns a result code into an error naming c->path: ERR_BUSY (locked), ERR_CANCELLED, ERR_FULL, ERR_NOMEM,
 * otherwise ERR_SOURCE with SQLite's words.
 */
int dbconn_fail(const struct dbconn *c, int sqlite_rc, struct err *err) ERR_UNUSED_WARN;

/* True when the file is held, the run was cancelled, or room ran out: another method would not help. */
bool dbconn_is_final(int sqlite_rc);

/* ERR_SOURCE that says why SQLite could not open abs_path, naming the permission that is missing. */
int dbconn_explain_cantopen(const struct dbconn *c, const char *abs_path, bool is_wal,
			    struct err *err) ERR_UNUSED_WARN;

#endif
