#include "tests/support/cache_box.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/must.h"

static const uint8_t repo_id[REPO_ID_BYTES] = "0123456789abcde";
const uint8_t cache_box_secret[32] = "thirty-two bytes of a secret key";
static const char *const sources[] = {"/srv/app"};

int cache_box_setup(void **state)
{
	struct cache_box *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	kit_new(&b->kit);
	b->owner = (struct cache_owner){b->kit.cache, repo_id, cache_box_secret, "db1", sources, 1};
	*state = b;
	return 0;
}

int cache_box_teardown(void **state)
{
	struct cache_box *b = *state;

	kit_free(&b->kit);
	free(b);
	return 0;
}

struct filescache *cache_box_open(struct cache_box *b)
{
	struct filescache *c = NULL;

	MUST(filescache_open(&b->owner, false, &c, &b->err), &b->err);
	return c;
}

void cache_box_save(struct cache_box *b, struct filescache *c)
{
	MUST(filescache_save(c, &b->err), &b->err);
	filescache_close(c);
}

/* A file that was quiet for a minute when it was looked at. */
struct stat cache_box_stat(uint64_t inode)
{
	struct stat st = {.st_mode = S_IFREG | 0644, .st_ino = inode, .st_size = 4000};

	st.st_mtim = (struct timespec){CACHE_BOX_LOOKED / CACHE_BOX_S - 60, 123456789};
	st.st_ctim = (struct timespec){CACHE_BOX_LOOKED / CACHE_BOX_S - 59, 987654321};
	return st;
}

void cache_box_put(struct cache_box *b, struct filescache *c, const char *path, uint64_t inode,
		   uint8_t tag)
{
	struct chunk_ref ref = {.kind = CHUNK_DATA};
	struct filescache_file f = {.size = 4000,
				    .content = {.children = &ref, .child_count = 1, .bytes = 4000}};
	struct stat st = cache_box_stat(inode);

	memset(ref.id.b, tag, ID_BYTES);
	MUST(filescache_put(c, path, &st, CACHE_BOX_LOOKED, &f, &b->err), &b->err);
}

/* The tag of what is found, or -1. */
int cache_box_found(struct cache_box *b, struct filescache *c, const char *path,
		    const struct stat *st)
{
	struct filescache_file f = {0};
	int r = filescache_get(c, path, st, &f, &b->err), tag = -1;

	assert_in_range(r, 0, 1);
	assert_int_equal(filescache_knows(c, path, st), r);
	if (r) {
		assert_int_equal(f.content.child_count, 1);
		assert_int_equal(f.content.bytes, 4000);
		tag = f.content.children[0].id.b[31];
	}
	filescache_file_wipe(&f);
	return tag;
}

/* The one file of the cache; freed by the caller. */
char *cache_box_file(const struct cache_box *b)
{
	char *folder, *path = NULL;
	struct dirent *e;
	DIR *dir;

	assert_true(asprintf(&folder, "%s/30313233343536373839616263646500", b->kit.cache) > 0);
	dir = opendir(folder);
	assert_non_null(dir);
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		assert_null(path);
		assert_true(asprintf(&path, "%s/%s", folder, e->d_name) > 0);
	}
	(void)closedir(dir);
	free(folder);
	assert_non_null(path);
	return path;
}

void cache_box_put_many(struct cache_box *b, struct filescache *c)
{
	char path[32];

	for (unsigned i = 0; i < CACHE_BOX_MANY; i++) {
		(void)snprintf(path, sizeof(path), "/many/%u", i);
		cache_box_put(b, c, path, i + 1, 5);
	}
}

void cache_box_get_many(struct cache_box *b, struct filescache *c, unsigned first, unsigned end,
			int want)
{
	char path[32];

	for (unsigned i = first; i < end; i++) {
		struct stat st = cache_box_stat(i + 1);

		(void)snprintf(path, sizeof(path), "/many/%u", i);
		assert_int_equal(cache_box_found(b, c, path, &st), want);
	}
}
