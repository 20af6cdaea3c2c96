#include "repo/cachedir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "repo/store_cache.h"

#define HEX "0123456789abcdef"

static bool is_repo_folder(const char *name)
{
	return strlen(name) == (size_t)2 * REPO_ID_BYTES && strspn(name, HEX) == strlen(name);
}

/* "files-<16 hex digits>.db", and what SQLite may leave beside it; "chunks-<16 hex digits>.dat" and its list. */
static bool is_cache_file(const char *name)
{
	static const struct {
		const char *head, *tail;
	} kinds[] = {
	    {"files-", ".db"},       {"files-", ".db-journal"}, {"files-", ".db-wal"},
	    {"files-", ".db-shm"},   {"chunks-", ".dat"},       {"chunks-", ".idx"},
	    {"chunks-", ".idx.new"},
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t len = strlen(kinds[i].head);

		if (strncmp(name, kinds[i].head, len) == 0 && strspn(name + len, HEX) == 16 &&
		    strcmp(name + len + 16, kinds[i].tail) == 0)
			return true;
	}
	return false;
}

static int open_folder(int at, const char *name, DIR **out_dir, struct err *err)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r = 0;

	if (fd < 0)
		return err_sys(err, errno, "%s", name);
	*out_dir = fdopendir(fd);
	if (!*out_dir) {
		r = err_sys(err, errno, "%s", name);
		(void)close(fd);
	}
	return r;
}

/* What the cache layer of stores behind a network keeps in its own folder. */
static int each_stored(int at, const char *name, bool remove, struct cachedir_repo *out_repo,
		       struct err *err)
{
	int fd = openat(at, STORE_CACHE_FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct store_cache_sum sum;
	int failed = 0;

	if (fd < 0)
		return 0;
	store_cache_add_up(fd, &sum);
	out_repo->files += sum.files;
	out_repo->bytes += sum.bytes;
	if (sum.used_at_s > out_repo->used_at_s)
		out_repo->used_at_s = sum.used_at_s;
	if (remove)
		failed = store_cache_clear(fd);
	(void)close(fd);
	if (failed)
		return err_sys(err, failed, "%s/%s", name, STORE_CACHE_FOLDER);
	if (remove)
		(void)unlinkat(at, STORE_CACHE_FOLDER, AT_REMOVEDIR);
	return 0;
}

/* Sums up the caches in one folder; `remove` takes them away too. */
static int each_cache(int at, const char *name, bool remove, struct cachedir_repo *out_repo,
		      struct err *err)
{
	DIR *dir = NULL;
	const struct dirent *e;
	struct stat st;
	int r = open_folder(at, name, &dir, err);

	while (!r && (e = readdir(dir))) {
		if (!is_cache_file(e->d_name) ||
		    fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
		    !S_ISREG(st.st_mode))
			continue;
		out_repo->files++;
		out_repo->bytes += (uint64_t)st.st_blocks * 512;
		if (st.st_mtim.tv_sec > out_repo->used_at_s)
			out_repo->used_at_s = st.st_mtim.tv_sec;
		if (remove && unlinkat(dirfd(dir), e->d_name, 0) != 0 && errno != ENOENT)
			r = err_sys(err, errno, "%s/%s", name, e->d_name);
	}
	if (!r)
		r = each_stored(dirfd(dir), name, remove, out_repo, err);
	if (dir)
		(void)closedir(dir);
	return r;
}

static int by_id(const void *a, const void *b)
{
	return strcmp(((const struct cachedir_repo *)a)->id, ((const struct cachedir_repo *)b)->id);
}

static int repos_push(struct cachedir_repo **repos, size_t *count, const struct cachedir_repo *repo,
		      struct err *err)
{
	struct cachedir_repo *more = realloc(*repos, (*count + 1) * sizeof(*more));

	if (!more)
		return err_nomem(err);
	more[(*count)++] = *repo;
	*repos = more;
	return 0;
}

int cachedir_list(const char *cache_dir, struct cachedir_repo **out_repos, size_t *out_count,
		  struct err *err)
{
	struct cachedir_repo *repos = NULL;
	const struct dirent *e;
	size_t count = 0;
	DIR *dir = opendir(cache_dir);
	int r = 0;

	*out_repos = NULL;
	*out_count = 0;
	if (!dir)
		return errno == ENOENT ? 0 : err_sys(err, errno, "%s", cache_dir);
	while (!r && (e = readdir(dir))) {
		struct cachedir_repo repo = {0};
		struct err ignored = {0};

		if (!is_repo_folder(e->d_name) ||
		    each_cache(dirfd(dir), e->d_name, false, &repo, &ignored) != 0 || !repo.files)
			continue;
		memcpy(repo.id, e->d_name, sizeof(repo.id));
		r = repos_push(&repos, &count, &repo, err);
	}
	(void)closedir(dir);
	if (r) {
		free(repos);
		return r;
	}
	if (count)
		qsort(repos, count, sizeof(*repos), by_id);
	*out_repos = repos;
	*out_count = count;
	return 0;
}

int cachedir_remove(const char *cache_dir, const struct cachedir_repo *repo, struct err *err)
{
	struct cachedir_repo ignored = {0};
	int fd = open(cache_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return err_sys(err, errno, "%s", cache_dir);
	r = each_cache(fd, repo->id, true, &ignored, err);
	if (!r)
		(void)unlinkat(fd, repo->id, AT_REMOVEDIR); /* stays when it holds something else */
	(void)close(fd);
	return r;
}
