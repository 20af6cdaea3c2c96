/*
 * statefile: small files that a host keeps about a repository, <state_dir>/<repository id>/<name>. One thread.
 */
#ifndef NIGHTJAR_REPO_STATEFILE_H
#define NIGHTJAR_REPO_STATEFILE_H

#include "core/buf.h"
#include "core/header.h"

#define STATEFILE_BYTES 65536u /* more is not read */

/*
 * Appends what it holds to out. 1, or 0 when it is not there. ERR_IO; ERR_DAMAGED for one that is too long or no plain file; both name the
 * path.
 */
int statefile_load(const char *state_dir, const char *repo_hex, const char *name, struct buf *out,
		   struct err *err) ERR_UNUSED_WARN;
/* Replaces it as a whole (durable_replace, mode 0600), and makes the folder. */
int statefile_save(const char *state_dir, const char *repo_hex, const char *name, const void *bytes,
		   size_t len, struct err *err) ERR_UNUSED_WARN;

#define STATEFILE_HEX_CHARS (2u * REPO_ID_BYTES)
void statefile_hex(const uint8_t repo[REPO_ID_BYTES], char out[STATEFILE_HEX_CHARS + 1]);

#endif
