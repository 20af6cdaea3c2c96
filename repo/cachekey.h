/*
 * cachekey: whose cache a file in the cache directory is, where it lies, and the keys that seal it. One thread.
 */
#ifndef NIGHTJAR_REPO_CACHEKEY_H
#define NIGHTJAR_REPO_CACHEKEY_H

#include "core/header.h"
#include "core/id.h"
#include "core/err.h"

/* Whose cache: the strings are only hashed. */
struct cache_owner {
	const char *cache_dir;
	const uint8_t *repo;   /* REPO_ID_BYTES */
	const uint8_t *secret; /* 32 bytes: the id key of the domain that is stored into */
	const char *host;
	const char *const *sources; /* in order */
	size_t source_count;
};

/*
 * The key of one sort of cache ("files cache 1") of this owner, under the domain's id key: whoever does not hold that sees only how
 * large the files are. Another user may see other extended attributes, so caches are not shared between users.
 */
int cachekey_root(const struct cache_owner *owner, const char *sort, struct id *out_root,
		  struct err *err) ERR_UNUSED_WARN;
int cachekey_derive(const struct id *root, const char *what, struct id *out_key,
		    struct err *err) ERR_UNUSED_WARN;
/* "<cache_dir>/<repository id>", and "<head><16 digits of root's><tail>" in it. Both are the caller's to free, after a failure too. */
int cachekey_folder(const struct cache_owner *owner, char **out_folder,
		    struct err *err) ERR_UNUSED_WARN;
int cachekey_file(const char *folder, const struct id *root, const char *head, const char *tail,
		  char **out_path, struct err *err) ERR_UNUSED_WARN;

#endif
