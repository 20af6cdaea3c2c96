/*
 * treesum: one digest over a folder: names, types, modes, owners, times, link targets and every byte of content.
 * Anything that goes wrong prints why and aborts.
 */
#ifndef NIGHTJAR_TESTS_SUPPORT_TREESUM_H
#define NIGHTJAR_TESTS_SUPPORT_TREESUM_H

#include <stdbool.h>
#include <stdint.h>

#define TREESUM_BYTES 32

/* True: the entry, and what lies below it, does not count. May be NULL. */
typedef bool treesum_skip_fn(const char *path);

void treesum(const char *folder, treesum_skip_fn *skip, uint8_t out_sum[TREESUM_BYTES]);

/* Calls fn for each entry below the folder, the folder itself left out; true when fn was, for one. */
typedef bool treesum_fn(void *arg, const char *path, bool is_folder);
bool treesum_any(const char *folder, treesum_fn *fn, void *arg);

/* Is this text somewhere in the file? False for what is none. */
bool treesum_file_holds(const char *path, const char *text);

#endif
