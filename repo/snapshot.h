/*
 * snapshot: a consistent image of a live SQLite database, taken while its application goes on.
 *
 * Promises: the source is never opened read-write, never written, checkpointed or truncated; a
 * -wal left behind stays byte-identical; no plaintext page ever reaches a disk (pages stay in RAM up
 * to a budget, the rest spills, encrypted under a throw-away key, to an unnamed file in the cache
 * directory); the image is complete (page_count × page_size bytes) or the call fails.
 *
 * Method: VACUUM INTO our own page VFS over a READONLY|URI connection; where VACUUM INTO refuses,
 * sqlite3_backup into the same VFS ("pages"); where that fails too, the file and its -wal are read
 * raw under a shared lock ("raw": the image is then the raw main file with the committed WAL frames
 * applied where that is possible). DESIGN §4. Not thread-safe: one thread uses snapshots.
 */
#ifndef NIGHTJAR_REPO_SNAPSHOT_H
#define NIGHTJAR_REPO_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

enum snapshot_method { SNAPSHOT_VACUUM = 1, SNAPSHOT_PAGES = 2, SNAPSHOT_RAW = 3 };
enum snapshot_check { SNAPSHOT_CHECK_QUICK = 1, SNAPSHOT_CHECK_INTEGRITY = 2 };
enum snapshot_verdict {
	SNAPSHOT_CLEAN = 1,
	SNAPSHOT_FAILED = 2,   /* the check found damage; exit 21 */
	SNAPSHOT_UNCHECKED = 3 /* a collation, function or module is missing: warning */
};

struct snapshot_options {
	const char *cache_dir;    /* where the spill goes; must exist, must not be a tmpfs */
	size_t ram_budget_bytes;  /* 0 = 64 MiB; for one snapshot */
	unsigned busy_timeout_ms; /* 0 = 10,000 */
	bool integrity_full;      /* integrity_check instead of quick_check */
	/* Called now and then with pages done and in all (0 = not known); nonzero cancels. May be NULL. */
	int (*progress)(void *arg, uint64_t pages_done, uint64_t pages_total);
	void *progress_arg;
};

struct snapshot_table {
	char *name; /* UTF-8, as sqlite_schema gives it */
	uint64_t rows;
};

/* Everything DESIGN §2 lists about a database. Owned by the snapshot. */
struct snapshot_info {
	enum snapshot_method method;
	char *method_reason; /* why not vacuum: SQLite's words; NULL for vacuum */
	uint32_t page_size;
	uint64_t page_count;
	uint8_t encoding;      /* 1 UTF-8, 2 UTF-16le, 3 UTF-16be, 0 not known */
	char journal_mode[16]; /* of the source: "wal", "delete", …, "" not known */
	uint8_t auto_vacuum;   /* 0 none, 1 full, 2 incremental */
	uint32_t user_version;
	uint32_t application_id;
	uint8_t schema_hash
	    [32]; /* SHA-256 over type, name, tbl_name, sql of sqlite_schema, sorted; zero: not readable */
	struct snapshot_table *tables; /* ordinary and virtual tables whose rows could be counted */
	size_t table_count;
	uint8_t image_sha256[32];
	uint64_t image_bytes;
	enum snapshot_check check_kind;
	enum snapshot_verdict verdict;
	char *check_text; /* the first lines the check printed, or why unchecked; NULL when clean */
	char sqlite_version[24];
	int64_t started_at_ns, finished_at_ns; /* CLOCK_REALTIME around the copy */
};

struct snapshot;

/*
 * True when the first bytes of a file are SQLite's header string. head_len may be short. A zero-length
 * file is no database here: it is kept as a file.
 */
bool snapshot_is_database(const void *head, size_t head_len);

/*
 * Takes the image and its facts, without the check. path: the main database file (a symlink is not
 * followed here: the caller resolves). Errors: ERR_BUSY still locked after the timeout; ERR_SOURCE
 * unreadable or without SQLite's header, a WAL database in a directory we may not write and without -shm (the message names the
 * permission and what to do), a hot journal that cannot be rolled back on a copy; ERR_FULL no room for
 * the spill; ERR_MISSING not there; ERR_CANCELLED; ERR_NOMEM. Messages name the path.
 * Opens and closes the file itself, too, which drops every POSIX lock that this process holds on it: no other
 * connection of this process may have the database open. A raw image may end inside a page. SIGXFSZ
 * should be ignored, else a file size limit kills where ERR_FULL is meant.
 * Verdict of the result is SNAPSHOT_UNCHECKED until snapshot_verify.
 */
int snapshot_take(const char *path, const struct snapshot_options *options,
		  struct snapshot **out_snapshot, struct err *err) ERR_UNUSED_WARN;

/* Runs quick_check or integrity_check on the image, fills check_kind, verdict, check_text, tables' rows, schema_hash. */
int snapshot_verify(struct snapshot *s, const struct snapshot_options *options,
		    struct err *err) ERR_UNUSED_WARN;

const struct snapshot_info *snapshot_info(const struct snapshot *s);

/* Reads len bytes of the image from offset; offset + len must not exceed image_bytes. */
int snapshot_read(struct snapshot *s, uint64_t offset, void *out_bytes, size_t len,
		  struct err *err) ERR_UNUSED_WARN;

void snapshot_free(struct snapshot *s); /* NULL is fine; wipes pages and key */

#endif
