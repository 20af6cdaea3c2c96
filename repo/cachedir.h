/*
 * cachedir: what the cache directory keeps, a folder a repository, named by its id in hex. Looks at and removes only files
 * that are caches by their names (files and chunks of backups, and what repo/store_cache.h keeps), so state that lies beside them, or among them, is safe. One thread.
 */
#ifndef NIGHTJAR_REPO_CACHEDIR_H
#define NIGHTJAR_REPO_CACHEDIR_H

#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "core/header.h"

#define CACHEDIR_UNUSED_S (INT64_C(30) * 24 * 3600)

struct cachedir_repo {
	char id[2 * REPO_ID_BYTES + 1]; /* lowercase hex */
	uint64_t bytes;                 /* on disk */
	size_t files;
	int64_t used_at_s; /* the last use of one of them */
};

/* Every repository with at least one cache, by id. *out_repos: free(). A directory that is not there holds none. */
int cachedir_list(const char *cache_dir, struct cachedir_repo **out_repos, size_t *out_count,
		  struct err *err) ERR_UNUSED_WARN;
/* Removes a repository's caches, and its folder when nothing else is in it. */
int cachedir_remove(const char *cache_dir, const struct cachedir_repo *repo,
		    struct err *err) ERR_UNUSED_WARN;

#endif
