#include "repo/fswrite_place.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEMP_TRIES 100

int fsw_place_find(struct fsw *w, const char *path, struct fsw_place *out, struct err *err)
{
	memset(out, 0, sizeof(*out));
	out->w = w;
	out->path = path;
	return fsw_dir_parent(w->dirs, path, &out->dir, &out->name, err);
}

void fsw_place_end(struct fsw_place *p)
{
	if (p->temp_made && unlinkat(p->dir->fd, p->temp, 0) == 0)
		fsw_dir_changed(p->dir);
	fsw_dir_put(p->w->dirs, p->dir);
	memset(p, 0, sizeof(*p));
}

int fsw_temp_make(struct fsw_place *p, fsw_temp_make_fn *make, const void *arg, int *out_result,
		  struct err *err)
{
	uint32_t r = 0;

	for (int i = 0; i < TEMP_TRIES; i++) {
		if (getrandom(&r, sizeof(r), 0) != (ssize_t)sizeof(r))
			return err_sys(err, errno, "%s: no random bytes", p->path);
		(void)snprintf(p->temp, sizeof(p->temp),
			       FSW_TEMP_PREFIX "%08" PRIx32 FSW_TEMP_SUFFIX, r);
		*out_result = make(p->dir->fd, p->temp, arg);
		if (*out_result >= 0) {
			p->temp_made = true;
			fsw_dir_changed(p->dir);
			return 0;
		}
		if (errno != EEXIST && errno != EINTR)
			return err_sys(err, errno, "%s", p->path);
	}
	return err_sys(err, EEXIST, "%s: no free temporary name", p->path);
}

int fsw_temp_rename(struct fsw_place *p, struct err *err)
{
	if (renameat(p->dir->fd, p->temp, p->dir->fd, p->name) != 0) {
		if (errno == EISDIR || errno == ENOTEMPTY || errno == EEXIST)
			return err_set(err, ERR_EXISTS, "%s: a folder is in the way", p->path);
		return err_sys(err, errno, "%s", p->path);
	}
	fsw_dir_changed(p->dir);
	/*
	 * Renaming one hard link over another of the same file does nothing, by POSIX, and leaves both
	 * names; so the temporary one is removed in any case. Mostly it is gone already.
	 */
	(void)unlinkat(p->dir->fd, p->temp, 0);
	p->temp_made = false;
	return 0;
}

struct fsw_warning fsw_warning_of(const struct fsw *w, const char *path)
{
	return (struct fsw_warning){.fn = w->warn, .arg = w->warn_arg, .path = path};
}

int fsw_rename_new(int dirfd, const char *from, const char *to)
{
	struct stat st;

	if (renameat2(dirfd, from, dirfd, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return errno;
	/* a file system that cannot: look first */
	if (fstatat(dirfd, to, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return EEXIST;
	return renameat(dirfd, from, dirfd, to) == 0 ? 0 : errno;
}

bool fsw_temp_is_name(const char *name)
{
	const size_t front = sizeof(FSW_TEMP_PREFIX) - 1;

	return strncmp(name, FSW_TEMP_PREFIX, front) == 0 &&
	       strspn(name + front, "0123456789abcdef") == FSW_TEMP_DIGITS &&
	       strcmp(name + front + FSW_TEMP_DIGITS, FSW_TEMP_SUFFIX) == 0;
}
