/*
 * rowdiff: how many rows of each table were added, removed and changed between two images of a database that are kept as streams of
 * cells (FORMAT.md §11).
 *
 * A chunk that both images have, at the same place of the same table, holds the same rows: it is not read. The others are walked
 * side by side, by rowid; rows of WITHOUT ROWID tables are compared by hashes of their keys and contents. A row is what SQLite stores:
 * one whose table got a column since is the same until it is written again. A table under another name is another table. Indexes,
 * sqlite_schema and SQLite's own tables do not count; a virtual table's shadow tables do. Memory grows with the
 * number of chunks that differ, and by 16 bytes for each row of a WITHOUT ROWID table in them. One thread.
 */
#ifndef NIGHTJAR_REPO_ROWDIFF_H
#define NIGHTJAR_REPO_ROWDIFF_H

#include "core/manifest.h"
#include "repo/tree_read.h"

struct rowdiff_side {
	const struct manifest_db *db;
	const struct entry *e;
	const struct chunk_ref *children;
	const struct domain_keys *domain;
};

enum rowdiff_table_is { ROWDIFF_KEPT, ROWDIFF_NEW, ROWDIFF_GONE };

struct rowdiff_table {
	char *name; /* UTF-8 */
	enum rowdiff_table_is is;
	uint64_t added, removed, changed;
};

struct rowdiff {
	struct rowdiff_table *tables; /* in which something differs; ascending by name */
	size_t count;
	char *uncounted; /* NULL, or why rows could not be counted: tables is then empty */
};
void rowdiff_wipe(struct rowdiff *d); /* {0} is fine */

typedef int rowdiff_tick_fn(void *arg); /* asked for each chunk; nonzero cancels */

/* Errors are those of reading, and ERR_CANCELLED. What cannot be counted is no error. */
int rowdiff_run(struct reader *reader, const struct rowdiff_side *before,
		const struct rowdiff_side *after, rowdiff_tick_fn *tick, void *tick_arg,
		struct rowdiff *out_diff, struct err *err) ERR_UNUSED_WARN;

#endif
