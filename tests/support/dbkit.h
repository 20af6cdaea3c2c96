/* dbkit: what tests of databases share: a temporary directory, SQL, file bytes, snapshots written out. */
#ifndef NIGHTJAR_TESTS_SUPPORT_DBKIT_H
#define NIGHTJAR_TESTS_SUPPORT_DBKIT_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "repo/snapshot.h"

/* Temporary directory below $TMPDIR or /tmp; kit_free removes it with everything in it. */
struct kit {
	char dir[256];
	char db[300];    /* dir/app.db */
	char cache[300]; /* dir/cache, exists */
};

void kit_new(struct kit *k);
void kit_free(struct kit *k);
/* For tests whose whole state is a kit. */
int kit_setup(void **state);
int kit_teardown(void **state);
const char *kit_path(const struct kit *k, const char *name, char out[400]);

sqlite3 *kit_open(const char *path);              /* read-write, create */
void kit_exec(sqlite3 *db, const char *sql);      /* fails the test on an error */
void kit_make(const char *path, const char *sql); /* open, exec, close */
int64_t kit_int(sqlite3 *db, const char *sql);

uint8_t *kit_slurp(const char *path, size_t *out_len); /* NULL when it is not there */
void kit_spew(const char *path, const void *bytes, size_t len);
bool kit_exists(const char *path);

/* Forks; runs fn in the child, which dies by _exit without closing anything. Waits unless fn keeps running. */
void kit_in_dead_process(void (*fn)(const char *path), const char *path);

/* Takes a snapshot with the kit's cache directory; fails the test on an error. */
struct snapshot *kit_snapshot(const struct kit *k, const struct snapshot_options *more);
void kit_write_image(struct snapshot *s, const char *path);

/* The bytes of a file of the kit; p is NULL when it is not there. */
struct kit_bytes {
	uint8_t *p;
	size_t len;
};

struct kit_bytes kit_remember(const struct kit *k, const char *name);
/* Fails the test unless the file is as before; frees before. */
void kit_unchanged(const struct kit *k, const char *name, struct kit_bytes before);
/* What sql gives on the image, written out as a file. */
int64_t kit_image_int(const struct kit *k, struct snapshot *s, const char *sql);

#endif
