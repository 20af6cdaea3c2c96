/*
 * durable: small files made for good: written, synced, and their folder too. One thread.
 */
#ifndef NIGHTJAR_REPO_DURABLE_H
#define NIGHTJAR_REPO_DURABLE_H

#include <stddef.h>
#include <sys/types.h>

#include "core/err.h"

/* Writes all of it where the descriptor stands, however often that takes. 0, or what errno was. */
int durable_write(int fd, const void *bytes, size_t len) ERR_UNUSED_WARN;

/*
 * Makes path with mode 0600 and these bytes. ERR_EXISTS when there is something of that name (symlinks are not
 * followed); after any failure nothing of ours is left.
 */
int durable_create(const char *path, const void *bytes, size_t len,
		   struct err *err) ERR_UNUSED_WARN;

/*
 * Puts these bytes in place of whatever has that name (a symlink itself is replaced), with exactly this mode: who reads sees the old file or
 * the new one, whole. After a failure the old one is there, and nothing of ours.
 */
int durable_replace(const char *path, mode_t mode, const void *bytes, size_t len,
		    struct err *err) ERR_UNUSED_WARN;

#endif
