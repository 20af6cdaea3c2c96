#include "repo/store_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/id.h"

#define HEX "0123456789abcdef"
#define FOLDERS 256
#define WHOLE_BONUS_S (INT64_C(30) * 24 * 3600)
#define TEMP_MOST_S 3600 /* an older one is nobody's any more */

struct file {
	uint8_t folder;
	char name[112]; /* with room for two numbers behind the id */
	int64_t used_at_s;
	uint64_t bytes;
};

/* Called with the folder's descriptor. Nonzero ends the walk. */
typedef int visit_fn(void *arg, int at, unsigned folder, const char *name, const struct stat *st);

static bool is_ours(const char *name)
{
	size_t hex = strspn(name, HEX);

	return strncmp(name, STORE_CACHE_TEMP, strlen(STORE_CACHE_TEMP)) == 0 ||
	       (hex == ID_HEX_CHARS && (name[hex] == '\0' || name[hex] == '.'));
}

static void folder_name(unsigned folder, char out[3])
{
	(void)snprintf(out, 3, "%02x", folder & 0xff);
}

static int walk_folder(int top, unsigned folder, visit_fn *visit, void *arg)
{
	const struct dirent *e;
	char name[3];
	struct stat st;
	DIR *dir;
	int fd, r = 0;

	folder_name(folder, name);
	fd = openat(top, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir && fd >= 0)
		(void)close(fd);
	while (dir && !r && (e = readdir(dir))) {
		if (is_ours(e->d_name) &&
		    fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode))
			r = visit(arg, dirfd(dir), folder, e->d_name, &st);
	}
	if (dir)
		(void)closedir(dir);
	return r;
}

static int walk(int top, visit_fn *visit, void *arg)
{
	int r = 0;

	for (unsigned i = 0; !r && i < FOLDERS; i++)
		r = walk_folder(top, i, visit, arg);
	return r;
}

/* --- sweeping --- */

struct sweep {
	struct file *files;
	size_t count, cap;
	uint64_t bytes;
	int64_t now_s;
};

static int note_file(void *arg, int at, unsigned folder, const char *name, const struct stat *st)
{
	struct sweep *s = arg;
	struct file f = {.folder = (uint8_t)folder,
			 .used_at_s = st->st_mtim.tv_sec,
			 .bytes = (uint64_t)st->st_blocks * 512};

	if (name[0] == '.') {
		if (s->now_s - st->st_mtim.tv_sec > TEMP_MOST_S)
			(void)unlinkat(at, name, 0);
		return 0;
	}
	if (s->count == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 256;
		struct file *files = realloc(s->files, cap * sizeof(*files));

		if (!files)
			return -1;
		s->files = files;
		s->cap = cap;
	}
	if (name[ID_HEX_CHARS] == '\0')
		f.used_at_s += WHOLE_BONUS_S;
	(void)snprintf(f.name, sizeof(f.name), "%s", name);
	s->files[s->count++] = f;
	s->bytes += f.bytes;
	return 0;
}

static int by_use(const void *a, const void *b)
{
	const struct file *x = a, *y = b;

	return (x->used_at_s > y->used_at_s) - (x->used_at_s < y->used_at_s);
}

void store_cache_sweep(int fd, uint64_t limit_bytes, size_t limit_files)
{
	struct sweep s = {.now_s = (int64_t)time(NULL)};
	size_t left;

	if (walk(fd, note_file, &s) == 0 && s.count &&
	    (s.bytes > limit_bytes || s.count > limit_files)) {
		qsort(s.files, s.count, sizeof(*s.files), by_use);
		left = s.count;
		/* To nine tenths: not a file for each one that comes. */
		for (size_t i = 0;
		     i < s.count && (s.bytes > limit_bytes / 10 * 9 || left > limit_files / 10 * 9);
		     i++) {
			char path[sizeof(s.files[i].name) + 4];

			(void)snprintf(path, sizeof(path), "%02x/%s", s.files[i].folder,
				       s.files[i].name);
			(void)unlinkat(fd, path, 0);
			s.bytes -= s.files[i].bytes;
			left--;
		}
	}
	free(s.files);
}

/* --- adding up, clearing --- */

static int add_file(void *arg, int at, unsigned folder, const char *name, const struct stat *st)
{
	struct store_cache_sum *sum = arg;

	(void)at;
	(void)folder;
	(void)name;
	sum->files++;
	sum->bytes += (uint64_t)st->st_blocks * 512;
	if (st->st_mtim.tv_sec > sum->used_at_s)
		sum->used_at_s = st->st_mtim.tv_sec;
	return 0;
}

void store_cache_add_up(int fd, struct store_cache_sum *out_sum)
{
	*out_sum = (struct store_cache_sum){0};
	(void)walk(fd, add_file, out_sum);
}

static int remove_file(void *arg, int at, unsigned folder, const char *name, const struct stat *st)
{
	(void)arg;
	(void)folder;
	(void)st;
	return unlinkat(at, name, 0) != 0 && errno != ENOENT ? errno : 0;
}

int store_cache_clear(int fd)
{
	char name[3];
	int r = walk(fd, remove_file, NULL);

	for (unsigned i = 0; !r && i < FOLDERS; i++) {
		folder_name(i, name);
		(void)unlinkat(fd, name, AT_REMOVEDIR); /* stays when it holds something else */
	}
	return r;
}
