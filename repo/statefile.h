/*
 * statefile: a small file that this host keeps about a repository, <state_dir>/<repository id>/<name>; replaced whole, and durable then. One
 * thread.
 */
#ifndef NIGHTJAR_REPO_STATEFILE_H
#define NIGHTJAR_REPO_STATEFILE_H

#include "core/buf.h"
#include "core/header.h"

/* ERR_DAMAGED that names the file and says what is wrong with it; ERR_NOMEM. */
int statefile_damaged(const char *state_dir, const uint8_t repo[REPO_ID_BYTES], const char *name,
		      const char *what, struct err *err) ERR_UNUSED_WARN;

/* Appends its bytes; a file that is not there adds none. ERR_LIMIT more than most_bytes; ERR_IO also for what is no file. */
int statefile_read(const char *state_dir, const uint8_t repo[REPO_ID_BYTES], const char *name,
		   size_t most_bytes, struct buf *out, struct err *err) ERR_UNUSED_WARN;
int statefile_write(const char *state_dir, const uint8_t repo[REPO_ID_BYTES], const char *name,
		    const void *bytes, size_t len, struct err *err) ERR_UNUSED_WARN;

/*
 * Until *out_fd is closed, or the process dies, nobody else holds it: for who reads, changes and writes. The folder is what is locked, as
 * the files in it are replaced; it is made when it is not there.
 */
int statefile_lock(const char *state_dir, const uint8_t repo[REPO_ID_BYTES], int *out_fd,
		   struct err *err) ERR_UNUSED_WARN;

#endif
