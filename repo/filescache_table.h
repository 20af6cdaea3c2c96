/*
 * filescache_table: the entries of the files cache by their keys, whatever they are of. Internal to filescache*.c; one thread.
 */
#ifndef NIGHTJAR_REPO_FILESCACHE_TABLE_H
#define NIGHTJAR_REPO_FILESCACHE_TABLE_H

#include "repo/filescache_entry.h"

/* A path as it is is the key of a file; a path with something behind it is that of something else. */
void filescache_key(const struct filescache *c, const char *bytes, size_t len,
		    uint8_t out_key[FILESCACHE_KEY_BYTES]);
/* The entry of a key, until the next is set, or NULL; *out_rest is what begins with it. */
uint8_t *filescache_entry_of(struct filescache *c, const uint8_t key[FILESCACHE_KEY_BYTES],
			     struct rd *out_rest);
/* Replaces the entry of a key, and keeps it. ERR_NOMEM only. */
int filescache_entry_set(struct filescache *c, const uint8_t key[FILESCACHE_KEY_BYTES],
			 const struct filescache_look *look, const struct filescache_file *file,
			 struct err *err) ERR_UNUSED_WARN;

#endif
