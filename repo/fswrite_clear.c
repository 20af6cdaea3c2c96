/* Names that are there, and taking them away. No symlink is followed: it is removed itself. */
#include "repo/fswrite_place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/limits.h"
#include "repo/fsread.h"

/* A descriptor of the folder at path; "" is the target. */
static int open_folder(struct fsw *w, const char *path, int *out_fd, struct err *err)
{
	struct fsw_place p;
	int rc;

	if (*path == '\0')
		return fsw_dirs_root(w->dirs, out_fd, err);
	rc = fsw_place_find(w, path, &p, err);
	if (rc != 0)
		return rc;
	*out_fd = openat(p.dir->fd, p.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (*out_fd < 0)
		rc = err_sys(err, errno, "%s", path);
	fsw_place_end(&p);
	return rc;
}

int fsw_list(struct fsw *w, const char *path, char ***out_names, size_t *out_count, struct err *err)
{
	int fd, rc = open_folder(w, path, &fd, err);

	if (rc != 0)
		return rc;
	rc = fs_list(fd, path, out_names, out_count, err);
	(void)close(fd);
	return rc;
}

/* --- what an interrupted restore left --- */

/* A restore that is at work holds a lock on what it writes. */
static bool is_left_over(int dirfd, const char *name)
{
	struct stat st;
	int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	bool left;

	if (fd < 0)
		return false;
	left = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && flock(fd, LOCK_EX | LOCK_NB) == 0;
	(void)close(fd);
	return left;
}

bool fsw_clear_left_over(struct fsw *w, const char *path)
{
	struct err ignored = {0};
	struct fsw_place p;
	bool cleared = false;

	if (fsw_place_find(w, path, &p, &ignored) != 0)
		return false;
	if (fsw_temp_is_name(p.name) && is_left_over(p.dir->fd, p.name))
		cleared = unlinkat(p.dir->fd, p.name, 0) == 0;
	if (cleared)
		fsw_dir_changed(p.dir);
	fsw_place_end(&p);
	return cleared;
}

/* --- removing --- */

/* Unmounting is not for us: what is mounted there was never part of this folder. */
static bool is_mount(int dirfd, int fd)
{
	struct stat above, st;

	return fstat(dirfd, &above) != 0 || fstat(fd, &st) != 0 || above.st_dev != st.st_dev;
}

static int remove_at(int dirfd, const char *name, const char *path, unsigned depth,
		     uint64_t *removed, struct err *err);

static int remove_below(int dirfd, const char *name, const char *path, unsigned depth,
			uint64_t *removed, struct err *err)
{
	char **names = NULL;
	size_t count = 0;
	int rc, fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, errno, "%s", path);
	if (is_mount(dirfd, fd))
		rc = err_set(err, ERR_EXISTS,
			     "%s: cannot be removed, for a file system is mounted at %s", path,
			     name);
	else if (depth > LIMIT_READ_DEPTH)
		rc = err_set(err, ERR_LIMIT, "%s: folders are nested too deep", path);
	else
		rc = fs_list(fd, path, &names, &count, err);
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = remove_at(fd, names[i], path, depth + 1, removed, err);
	free(names);
	(void)close(fd);
	return rc;
}

static int remove_at(int dirfd, const char *name, const char *path, unsigned depth,
		     uint64_t *removed, struct err *err)
{
	struct stat st;
	int rc = 0;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? 0 : err_sys(err, errno, "%s", path);
	if (S_ISDIR(st.st_mode))
		rc = remove_below(dirfd, name, path, depth, removed, err);
	if (rc == 0 && unlinkat(dirfd, name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) != 0)
		rc = err_sys(err, errno, "%s: cannot be removed", path);
	*removed += rc == 0;
	return rc;
}

int fsw_remove(struct fsw *w, const char *path, uint64_t *out_removed, struct err *err)
{
	struct fsw_place p;
	int rc = fsw_place_find(w, path, &p, err);

	*out_removed = 0;
	if (rc != 0)
		return rc;
	rc = remove_at(p.dir->fd, p.name, path, 0, out_removed, err);
	if (*out_removed > 0)
		fsw_dir_changed(p.dir);
	fsw_place_end(&p);
	/* The folders that are kept open may have been among them. */
	fsw_dirs_forget(w->dirs);
	return rc;
}
