#include "repo/store_stack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

#include "core/limits.h"
#include "core/repoconf.h"
#include "core/sha256.h"
#include "repo/durable.h"
#include "repo/store_cache.h"
#include "repo/store_layer.h"

#define NAME_CHARS 128
#define TOUCH_S 3600                     /* a use is noted when the last one is so long ago */
#define SWEEP_BYTES ((uint64_t)64 << 20) /* looked at the size after so much was added */

struct cache {
	struct store_layer layer;
	char *cache_dir;
	int fd; /* of the folder; -1: not known yet, or there is none */
	bool known, read_only;
	uint64_t limit_bytes, added_bytes;
	/* The object that is read from the inner store whatever is here. */
	bool has_past;
	struct id past;
	struct buf scratch;
	struct err note;
};

static struct cache *cache_of(struct store *s)
{
	return (struct cache *)s;
}

/* --- the folder --- */

static void give_up(struct cache *c, int errnum, const char *what)
{
	c->read_only = true;
	if (!c->note.code)
		(void)err_sys(&c->note, errnum, "cache %s: %s", c->cache_dir, what);
}

static int open_below(int at, const char *name)
{
	if (mkdirat(at, name, 0700) != 0 && errno != EEXIST && errno != EROFS && errno != EACCES)
		return -1;
	return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* The config that was read tells whose objects these are. One that is none leaves the cache out. */
static void learn(struct cache *c, const uint8_t *bytes, size_t len)
{
	char id[2 * REPO_ID_BYTES + 1];
	struct repoconf conf;
	struct err ignored = {0};
	int top, repo = -1;

	if (c->known || repoconf_dec(bytes, len, &conf, &ignored) != 0)
		return;
	c->known = true;
	(void)sodium_bin2hex(id, sizeof(id), conf.repo, sizeof(conf.repo));
	top = open(c->cache_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (top >= 0)
		repo = open_below(top, id);
	if (repo >= 0)
		c->fd = open_below(repo, STORE_CACHE_FOLDER);
	if (c->fd < 0)
		give_up(c, errno, "cannot be used");
	if (repo >= 0)
		(void)close(repo);
	if (top >= 0)
		(void)close(top);
}

/* --- files --- */

/* "3f/3fa9…" of a whole object, "3f/3fa9….<offset>.<length>" of a range. */
static void whole_path(const struct id *name, char out[NAME_CHARS])
{
	char hex[ID_HEX_CHARS + 1];

	id_hex(name, hex);
	(void)snprintf(out, NAME_CHARS, "%.2s/%s", hex, hex);
}

static void range_path(const struct id *name, uint64_t offset, size_t len, char out[NAME_CHARS])
{
	char hex[ID_HEX_CHARS + 1];

	id_hex(name, hex);
	(void)snprintf(out, NAME_CHARS, "%.2s/%s.%llx.%zx", hex, hex, (unsigned long long)offset,
		       len);
}

/* The folder of a path; links that were planted here lead nowhere. */
static int open_folder(const struct cache *c, const char *path)
{
	const char folder[3] = {path[0], path[1], '\0'};

	if (c->fd < 0)
		return -1;
	return openat(c->fd, folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static const char *name_in(const char *path)
{
	return path + 3;
}

static int open_file(const struct cache *c, const char *path)
{
	int folder = open_folder(c, path), fd;

	if (folder < 0)
		return -1;
	/* O_NONBLOCK: a pipe in a file's place must not hang us. */
	fd = openat(folder, name_in(path), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	(void)close(folder);
	return fd;
}

static void remove_file(const struct cache *c, const char *path)
{
	int folder = open_folder(c, path);

	if (folder < 0)
		return;
	(void)unlinkat(folder, name_in(path), 0);
	(void)close(folder);
}

static void note_use(int fd, const struct stat *st)
{
	if (time(NULL) - st->st_mtim.tv_sec > TOUCH_S)
		(void)futimens(fd, NULL);
}

/* Into scratch. False: it is not here, or longer than most. */
static bool read_file(struct cache *c, const char *path, size_t most)
{
	int fd = open_file(c, path);
	uint8_t *at = NULL;
	size_t len = 0, got = 0;
	struct stat st;
	ssize_t n = 1;

	if (fd < 0)
		return false;
	buf_reset(&c->scratch);
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size <= most) {
		len = (size_t)st.st_size;
		at = buf_extend(&c->scratch, len);
	}
	while (at && got < len && n > 0) {
		n = read(fd, at + got, len - got);
		got += n > 0 ? (size_t)n : 0;
	}
	if (at && got == len)
		note_use(fd, &st);
	(void)close(fd);
	return at && got == len;
}

/* 0, or an errno. Not synced: what a crash tears is not used. */
static int write_in(int folder, const char *name, const void *head, size_t head_len,
		    const void *bytes, size_t len)
{
	char temp[NAME_CHARS];
	int fd, failed;

	(void)snprintf(temp, sizeof(temp), STORE_CACHE_TEMP "%08x%08x", randombytes_random(),
		       randombytes_random());
	fd = openat(folder, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno;
	failed = durable_write(fd, head, head_len);
	if (!failed)
		failed = durable_write(fd, bytes, len);
	(void)close(fd);
	if (!failed && renameat(folder, temp, folder, name) != 0)
		failed = errno;
	if (failed)
		(void)unlinkat(folder, temp, 0);
	return failed;
}

static void write_file(struct cache *c, const char *path, const void *head, size_t head_len,
		       const void *bytes, size_t len)
{
	const char name[3] = {path[0], path[1], '\0'};
	int folder = -1, failed = 0;

	if (c->fd < 0 || c->read_only)
		return;
	if (mkdirat(c->fd, name, 0700) != 0 && errno != EEXIST)
		failed = errno;
	else if ((folder = open_folder(c, path)) < 0)
		failed = errno;
	else
		failed = write_in(folder, name_in(path), head, head_len, bytes, len);
	if (folder >= 0)
		(void)close(folder);
	if (failed)
		give_up(c, failed, "cannot be written");
	else
		c->added_bytes += head_len + len;
}

/* Everything of an object. How many files that were. */
static size_t drop(struct cache *c, const struct id *name)
{
	char hex[ID_HEX_CHARS + 1];
	const struct dirent *e;
	size_t count = 0;
	DIR *dir;
	int fd;

	id_hex(name, hex);
	fd = open_folder(c, hex);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir && fd >= 0)
		(void)close(fd);
	while (dir && (e = readdir(dir))) {
		if (strncmp(e->d_name, hex, ID_HEX_CHARS) != 0)
			continue;
		(void)unlinkat(dirfd(dir), e->d_name, 0);
		count++;
	}
	if (dir)
		(void)closedir(dir);
	return count;
}

static void maybe_sweep(struct cache *c, uint64_t when_added)
{
	if (c->fd < 0 || c->added_bytes < when_added)
		return;
	c->added_bytes = 0;
	store_cache_sweep(c->fd, c->limit_bytes, STORE_CACHE_FILES);
}

/* --- what is kept --- */

static bool keeps(enum store_type type)
{
	return type == STORE_KEYS || type == STORE_INDEX || type == STORE_SNAPSHOTS;
}

static bool is_past(const struct cache *c, const struct id *name)
{
	return c->has_past && id_eq(&c->past, name);
}

static void go_past(struct cache *c, const struct id *name)
{
	c->has_past = true;
	c->past = *name;
}

static bool has_name(const void *bytes, size_t len, const struct id *name)
{
	struct err ignored = {0};
	struct id digest;

	return sha256_of(bytes, len, &digest, &ignored) == 0 && id_eq(&digest, name);
}

static void keep_whole(struct cache *c, const struct id *name, const void *bytes, size_t len)
{
	char path[NAME_CHARS];

	if (c->fd < 0 || !has_name(bytes, len, name))
		return;
	whole_path(name, path);
	write_file(c, path, NULL, 0, bytes, len);
	maybe_sweep(c, SWEEP_BYTES);
}

static bool find_whole(struct cache *c, const struct id *name, size_t max_bytes)
{
	char path[NAME_CHARS];

	if (c->fd < 0 || is_past(c, name))
		return false;
	whole_path(name, path);
	if (!read_file(c, path, max_bytes))
		return false;
	if (has_name(c->scratch.data, c->scratch.len, name))
		return true;
	remove_file(c, path);
	return false;
}

/* Of the bytes and of where they belong. */
static bool range_sum(const struct id *name, uint64_t offset, const void *bytes, size_t len,
		      struct id *out_sum)
{
	struct err ignored = {0};
	struct buf b = {0};
	bool ok;

	buf_put(&b, name->b, ID_BYTES);
	buf_put_u64(&b, offset);
	buf_put(&b, bytes, len);
	ok = !b.failed && sha256_of(b.data, b.len, out_sum, &ignored) == 0;
	buf_free(&b);
	return ok;
}

static void keep_range(struct cache *c, const struct id *name, uint64_t offset, const void *bytes,
		       size_t len)
{
	char path[NAME_CHARS];
	struct id sum;

	if (c->fd < 0 || !range_sum(name, offset, bytes, len, &sum))
		return;
	range_path(name, offset, len, path);
	write_file(c, path, sum.b, ID_BYTES, bytes, len);
	maybe_sweep(c, SWEEP_BYTES);
}

static bool find_range(struct cache *c, const struct id *name, uint64_t offset, size_t len)
{
	char path[NAME_CHARS];
	struct id sum;

	if (c->fd < 0 || is_past(c, name))
		return false;
	range_path(name, offset, len, path);
	if (!read_file(c, path, ID_BYTES + len))
		return false;
	if (c->scratch.len == ID_BYTES + len &&
	    range_sum(name, offset, c->scratch.data + ID_BYTES, len, &sum) &&
	    memcmp(sum.b, c->scratch.data, ID_BYTES) == 0)
		return true;
	remove_file(c, path);
	return false;
}

/* --- the table --- */

static int cache_put(struct store *s, enum store_type type, const struct id *name,
		     const void *bytes, size_t len, struct err *err)
{
	struct cache *c = cache_of(s);
	int r = store_put(c->layer.inner, type, name, bytes, len, err);

	if (!r && keeps(type))
		keep_whole(c, name, bytes, len);
	else if (r == -ERR_EXISTS && type != STORE_CONFIG)
		go_past(c, name);
	return r;
}

static int cache_get(struct store *s, enum store_type type, const struct id *name, size_t max_bytes,
		     struct buf *out, struct err *err)
{
	struct cache *c = cache_of(s);
	size_t before = out->len;
	int r;

	if (keeps(type) && find_whole(c, name, max_bytes)) {
		buf_put(out, c->scratch.data, c->scratch.len);
		return buf_check(out, err);
	}
	r = store_get(c->layer.inner, type, name, max_bytes, out, err);
	if (!r && type == STORE_CONFIG)
		learn(c, out->data + before, out->len - before);
	else if (!r && keeps(type))
		keep_whole(c, name, out->data + before, out->len - before);
	return r;
}

static int cache_get_range(struct store *s, enum store_type type, const struct id *name,
			   uint64_t offset, size_t len, struct buf *out, struct err *err)
{
	struct cache *c = cache_of(s);
	bool small = type == STORE_DATA && len > 0 && len <= STORE_CACHE_RANGE_BYTES;
	size_t before = out->len;
	int r;

	if (small && find_range(c, name, offset, len)) {
		buf_put(out, c->scratch.data + ID_BYTES, len);
		return buf_check(out, err);
	}
	r = store_get_range(c->layer.inner, type, name, offset, len, out, err);
	if (!r && small)
		keep_range(c, name, offset, out->data + before, len);
	return r;
}

static int cache_remove(struct store *s, enum store_type type, const struct id *name,
			struct err *err)
{
	struct cache *c = cache_of(s);

	if (type != STORE_CONFIG)
		(void)drop(c, name);
	return store_remove(c->layer.inner, type, name, err);
}

static int cache_replace(struct store *s, enum store_type type, const struct id *name,
			 const void *bytes, size_t len, struct err *err)
{
	if (type != STORE_CONFIG)
		(void)drop(cache_of(s), name);
	return store_layer_replace(s, type, name, bytes, len, err);
}

static bool is_here(struct cache *c, const struct id *name)
{
	char path[NAME_CHARS];

	whole_path(name, path);
	return c->fd >= 0 && !is_past(c, name) && faccessat(c->fd, path, R_OK, 0) == 0;
}

/* What is not here. */
static void cache_expect(struct store *s, enum store_type type, const struct id *names,
			 size_t count)
{
	struct cache *c = cache_of(s);
	struct id *missing = malloc((count ? count : 1) * sizeof(*missing));
	size_t kept = 0;

	for (size_t i = 0; missing && i < count; i++) {
		if (!keeps(type) || !is_here(c, &names[i]))
			missing[kept++] = names[i];
	}
	if (kept)
		store_expect(c->layer.inner, type, missing, kept);
	free(missing);
}

static bool cache_distrust(struct store *s, enum store_type type, const struct id *name)
{
	struct cache *c = cache_of(s);
	bool below = store_distrust(c->layer.inner, type, name);
	bool here = type != STORE_CONFIG && drop(c, name) > 0;

	if (here)
		go_past(c, name);
	return here || below;
}

static void cache_free(struct store *s)
{
	struct cache *c = cache_of(s);

	maybe_sweep(c, 1);
	if (c->fd >= 0)
		(void)close(c->fd);
	store_layer_end(&c->layer);
	buf_free(&c->scratch);
	free(c->cache_dir);
	free(s);
}

static const struct store_ops cache_ops = {
    .create = store_layer_create,
    .put = cache_put,
    .get = cache_get,
    .get_range = cache_get_range,
    .size = store_layer_size,
    .list = store_layer_list,
    .remove = cache_remove,
    .now = store_layer_now,
    .sweep = store_layer_sweep,
    .free = cache_free,
    .replace = cache_replace,
    .put_later = store_layer_put_later,
    .flush = store_layer_flush,
    .distrust = cache_distrust,
    .expect = cache_expect,
};

int store_cache_new(struct store *inner, const char *cache_dir, uint64_t limit_bytes,
		    struct store **out_store, struct err *err)
{
	struct cache *c = calloc(1, sizeof(*c));
	char *dir = strdup(cache_dir);
	int r = c && dir ? store_layer_init(&c->layer, &cache_ops, inner, err) : err_nomem(err);

	if (r) {
		free(c);
		free(dir);
		return r;
	}
	c->cache_dir = dir;
	c->fd = -1;
	c->limit_bytes = limit_bytes ? limit_bytes : STORE_CACHE_BYTES;
	*out_store = &c->layer.base;
	return 0;
}

const char *store_cache_note(const struct store *cache)
{
	return cache->ops == &cache_ops ? ((const struct cache *)cache)->note.text : "";
}
