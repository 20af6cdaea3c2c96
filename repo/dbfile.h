/*
 * dbfile: the plain database functions: `db copy`, `db verify`, and what restore does to a database
 * file that it has just written. No repository is involved. One thread at a time.
 */
#ifndef NIGHTJAR_REPO_DBFILE_H
#define NIGHTJAR_REPO_DBFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "repo/pageimage.h"

struct dbfile_progress {
	/* phase: "copy", "verify"; done and total in pages, total 0 = not known. Nonzero cancels. */
	int (*fn)(void *arg, const char *phase, uint64_t done, uint64_t total);
	void *arg;
};

/*
 * VACUUM INTO of the live database src to the new file dest: through a temporary name beside dest,
 * verified by integrity_check, synced, given its name without replacing, directory synced. The source is
 * opened read-only and the application goes on. dest gets mode 0600 & the source's mode, and the source's
 * journal_mode. Errors: ERR_EXISTS dest is there; ERR_MISSING no src; ERR_SOURCE src is no database or
 * cannot be read; ERR_BUSY; ERR_DAMAGED the copy failed its check (nothing is left at dest);
 * ERR_FULL; ERR_CANCELLED.
 */
int dbfile_copy(const char *src, const char *dest, unsigned busy_timeout_ms,
		const struct dbfile_progress *progress, struct err *err) ERR_UNUSED_WARN;

/*
 * PRAGMA integrity_check of a database that may be live, read-only. 0 when it ran; *out_ok says what it
 * found and *out_text (malloc'd, the caller frees; NULL when ok) its first lines. ERR_SOURCE when path is
 * no database or cannot be opened, ERR_MISSING when it is not there, ERR_BUSY. *out_unchecked: a missing
 * collation or module kept part of it from being checked (text says which).
 */
int dbfile_verify(const char *path, unsigned busy_timeout_ms,
		  const struct dbfile_progress *progress, bool *out_ok, bool *out_unchecked,
		  char **out_text, struct err *err) ERR_UNUSED_WARN;

struct dbfile_bytes {
	pageimage_read_fn *read;
	void *arg;
	uint64_t size_bytes;
};

/*
 * integrity_check of a database that lies in no file of a name. Nothing is written anywhere, and no -wal or -journal
 * belongs to it. path is for messages; the rest is as with dbfile_verify, and ERR_CANCELLED and read's own errors.
 */
int dbfile_verify_bytes(const char *path, const struct dbfile_bytes *bytes,
			const struct dbfile_progress *progress, bool *out_ok, char **out_text,
			struct err *err) ERR_UNUSED_WARN;

#define DBFILE_MODE_BYTES 20u

/*
 * Puts journal_mode into the first bytes of a database that no connection has open: a file can only say "wal", or not
 * (delete, persist, truncate). Other modes change nothing, nor do bytes that no database begins with.
 */
void dbfile_put_mode(const char *journal_mode, uint8_t head[DBFILE_MODE_BYTES]);

#endif
