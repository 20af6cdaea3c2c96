/*
 * dbquery: runs one query that somebody wrote on a database image that somebody else filled. Neither is trusted: they can write, attach,
 * load or call nothing but SQLite's own harmless functions, and both time and memory are bounded. For references and for the assertions of a
 * drill. One thread.
 */
#ifndef NIGHTJAR_REPO_DBQUERY_H
#define NIGHTJAR_REPO_DBQUERY_H

#include <sqlite3.h>

#include "repo/pageimage.h"

/* A row, as sqlite3_step left the statement. Nonzero ends the query with that. */
typedef int dbquery_row_fn(void *arg, sqlite3_stmt *row, struct err *err);

struct dbquery {
	const char *path; /* of the database, for messages */
	const char *what; /* "the query of --refs", for messages */
	const char *sql;
	int most_columns;         /* 0 = any */
	const char *columns_text; /* which these are, for messages */
	struct pageimage *image;
	const char *cache_dir; /* for what the page VFS spills; may be "" */
	uint64_t most_steps;   /* of SQLite's virtual machine; 0 = 4,000,000,000: about a minute */
	int64_t most_s;        /* half an hour where 0; a step may take long */
	int (*tick)(
	    void *arg); /* now and then, every few seconds at worst; nonzero cancels. May be NULL */
	void *tick_arg;
	dbquery_row_fn *row;
	void *row_arg;
};

/*
 * ERR_SOURCE: the query is at fault or asks too much, and the text says why; ERR_DAMAGED: the image is no database, or a damaged one; ERR_CANCELLED, ERR_NOMEM, what row gives. Never
 * changes the image.
 */
int dbquery_run(const struct dbquery *q, struct err *err) ERR_UNUSED_WARN;

#endif
