/* cache_box: a files cache in a throw-away folder, and entries to put into it. Fails the running test when something is not as said. */
#ifndef NIGHTJAR_TESTS_SUPPORT_CACHE_BOX_H
#define NIGHTJAR_TESTS_SUPPORT_CACHE_BOX_H

#include "repo/filescache.h"
#include "tests/support/dbkit.h"

#define CACHE_BOX_S INT64_C(1000000000)
#define CACHE_BOX_LOOKED (INT64_C(1700000000) * CACHE_BOX_S)
#define CACHE_BOX_MANY 3000

struct cache_box {
	struct kit kit;
	struct cache_owner owner;
	struct err err;
};

extern const uint8_t cache_box_secret[32]; /* the owner's */

int cache_box_setup(void **state);
int cache_box_teardown(void **state);

struct filescache *cache_box_open(struct cache_box *b);
void cache_box_save(struct cache_box *b, struct filescache *c); /* and closes */

/* A file that was quiet for a minute when it was looked at (at CACHE_BOX_LOOKED). */
struct stat cache_box_stat(uint64_t inode);
/* Puts such a file, whose one chunk's id is tag over and over. */
void cache_box_put(struct cache_box *b, struct filescache *c, const char *path, uint64_t inode,
		   uint8_t tag);
/* The tag of what is found, or -1. */
int cache_box_found(struct cache_box *b, struct filescache *c, const char *path,
		    const struct stat *st);
/* CACHE_BOX_MANY files "/many/<i>" of inode i + 1 and tag 5; and those [first, end) again. */
void cache_box_put_many(struct cache_box *b, struct filescache *c);
void cache_box_get_many(struct cache_box *b, struct filescache *c, unsigned first, unsigned end,
			int want);

/* The one file of the cache; freed by the caller. */
char *cache_box_file(const struct cache_box *b);

#endif
