/*
 * store_cache: the folder that the cache layer keeps objects in: "<2 hex>/<name>" and "<2 hex>/<name>.<offset>.<length>",
 * and what a killed process left, "<2 hex>/.tmp-…". Made and read by store_cache.c; here is what looks at all of it. Any
 * number of processes at once. One thread.
 */
#ifndef NIGHTJAR_REPO_STORE_CACHE_H
#define NIGHTJAR_REPO_STORE_CACHE_H

#include <stddef.h>
#include <stdint.h>

#define STORE_CACHE_FOLDER "store" /* in <cache_dir>/<repository id> */
#define STORE_CACHE_TEMP ".tmp-"

/*
 * Removes what was used longest ago while the files take more than limit_bytes on disk, or are more than limit_files. A
 * whole object counts as if it had been used a month later than it was: opening the repository needs all of them, and a
 * restore, which reads a million ranges, must not drive them out. What cannot be looked at or removed stays.
 */
void store_cache_sweep(int fd, uint64_t limit_bytes, size_t limit_files);

/* What there is. */
struct store_cache_sum {
	uint64_t bytes; /* on disk */
	size_t files;
	int64_t used_at_s; /* the last use of one, to the hour; 0 of none */
};
void store_cache_add_up(int fd, struct store_cache_sum *out_sum);
/* Removes all of it; the folder itself stays. 0, or the errno of the first failure. */
int store_cache_clear(int fd);

#endif
