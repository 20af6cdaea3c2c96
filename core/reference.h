/*
 * reference: the words of `--refs "app.db: SELECT path FROM files"`, and which file of a backup a path from such a query
 * means. Pure; any thread.
 */
#ifndef NIGHTJAR_CORE_REFERENCE_H
#define NIGHTJAR_CORE_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

/*
 * Takes DATABASE: QUERY apart. The query begins with SELECT, WITH or VALUES in any case; the database's name is what is before the
 * first ':' that such a word follows, so it may hold colons and blanks itself. Both texts are the caller's to free, also after a
 * failure. ERR_USAGE says what is wrong; ERR_NOMEM.
 */
int reference_split(const char *text, char **out_database, char **out_query,
		    struct err *err) ERR_UNUSED_WARN;

/* Do the last components of path, whole ones, read like name? A name that begins with '/' must be the path. */
bool reference_matches(const char *name, const char *path);

/*
 * The absolute path, without "//", "." and "..", that len bytes mean in a database whose own path in the backup is
 * db_path: relative ones count from its folder; ".." above "/" stays there. What follows a zero byte is dropped; at most
 * LIMIT_PATH_BYTES are given. malloc'd; NULL: no memory.
 */
char *reference_path(const char *db_path, const void *bytes, size_t len);

/* 64 hexadecimal digits of either case, or 32 bytes. */
bool reference_sha256(const void *bytes, size_t len, uint8_t out_sha256[32]);

#endif
