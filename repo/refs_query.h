/*
 * refs_query: runs one query of --refs on a database image. The database and the query are not trusted: neither can write, attach,
 * load or call anything but SQLite's own harmless functions, and both time and memory are bounded. One thread.
 */
#ifndef NIGHTJAR_REPO_REFS_QUERY_H
#define NIGHTJAR_REPO_REFS_QUERY_H

#include "repo/pageimage.h"

/* One row whose path is neither NULL nor empty. */
struct refs_row {
	const void *path; /* as it is stored; text is UTF-8, a blob any bytes */
	size_t path_len;
	bool has_size, has_sha256;
	int64_t size;
	const void *sha256; /* 32 bytes or 64 digits, if it is right */
	size_t sha256_len;
};
typedef int refs_row_fn(void *arg, const struct refs_row *row, struct err *err);

struct refs_query {
	const char *path; /* of the database, for messages */
	const char *sql;
	struct pageimage *image;
	const char *cache_dir;  /* for what the page VFS spills; may be "" */
	uint64_t most_steps;    /* of SQLite's virtual machine; 0 = 4,000,000,000: about a minute */
	int (*tick)(void *arg); /* now and then; nonzero cancels. May be NULL */
	void *tick_arg;
	refs_row_fn *row; /* nonzero ends the query with that */
	void *row_arg;
};

/*
 * ERR_SOURCE: the query is at fault or asks too much, and the text says why; ERR_DAMAGED: the image is no database, or a damaged one; ERR_CANCELLED, ERR_NOMEM, what row gives. Never
 * changes the image.
 */
int refs_query_run(const struct refs_query *q, struct err *err) ERR_UNUSED_WARN;

#endif
