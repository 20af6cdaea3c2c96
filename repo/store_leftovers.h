/*
 * store_leftovers: temporary files that killed puts left in the folders of a local store. No object is ever touched. Any thread.
 */
#ifndef NIGHTJAR_REPO_STORE_LEFTOVERS_H
#define NIGHTJAR_REPO_STORE_LEFTOVERS_H

#include "repo/store.h"

/* A temporary name: this and so many lowercase hex digits. */
#define STORE_LEFTOVERS_PREFIX ".tmp-"
#define STORE_LEFTOVERS_DIGITS 16

/* Removes, or only counts, those below root that were last written at newest_s or before, by the disk's clock. ERR_IO names what does not go. */
int store_leftovers_sweep(const char *root, int64_t newest_s, bool dry_run,
			  struct store_leftovers *out, struct err *err) ERR_UNUSED_WARN;

#endif
