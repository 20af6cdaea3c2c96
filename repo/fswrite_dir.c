#include "repo/fswrite_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/limits.h"

#define KEPT_DIRS 8u

/* kept[] is ordered by use, the latest first, and holds one reference to each. */
struct fsw_dirs {
	int root_fd;
	bool no_openat2;
	struct fsw_dir *kept[KEPT_DIRS];
	size_t kept_count;
	struct err sync_err; /* of the first sync that failed */
};

/* ---- the target ---- */

/* The next component of a path that the user typed; empty ones are skipped. */
static size_t target_part(const char **rest, char *out, size_t cap)
{
	size_t len;

	*rest += strspn(*rest, "/");
	len = strcspn(*rest, "/");
	if (len < cap) {
		memcpy(out, *rest, len);
		out[len] = '\0';
	}
	*rest += len;
	return len;
}

/* Makes name in the folder at fd durable; best effort where the folder may not be read. */
static void sync_path_fd(int fd)
{
	int real = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (real < 0)
		return;
	(void)fsync(real);
	(void)close(real);
}

/* Opens name in *fd, making it, if asked to, when it is not there, and puts it in *fd. Gives an errno. */
static int target_step(int *fd, const char *name, bool make)
{
	int next = openat(*fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (next < 0 && errno == ENOENT && make) {
		if (mkdirat(*fd, name, 0700) == 0)
			sync_path_fd(*fd);
		else if (errno != EEXIST)
			return errno;
		next = openat(*fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
	if (next < 0)
		return errno;
	(void)close(*fd);
	*fd = next;
	return 0;
}

/* Symlinks on the way to the target are the user's own and are followed. */
static int target_open(const char *target, bool make, int *out_fd, struct err *err)
{
	char name[NAME_MAX + 1];
	const char *rest = target;
	int fd, root = -1, errnum = 0;
	size_t len;

	fd = open(target[0] == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, errno, "%s", target);
	while (errnum == 0 && (len = target_part(&rest, name, sizeof(name))) > 0)
		errnum = len > NAME_MAX ? ENAMETOOLONG : target_step(&fd, name, make);
	if (errnum == 0) {
		root = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		errnum = root < 0 ? errno : 0;
	}
	(void)close(fd);
	if (errnum == ENOTDIR || errnum == EEXIST || (errnum == ENOENT && make))
		return err_set(err, ERR_IO, "%s: is not a folder", target);
	if (errnum != 0)
		return err_sys(err, errnum, "%s", target);
	*out_fd = root;
	return 0;
}

int fsw_dirs_open(const char *target, bool make, struct fsw_dirs **out_dirs, struct err *err)
{
	struct fsw_dirs *dirs;
	int rc;

	if (target[0] == '\0')
		return err_set(err, ERR_IO, "an empty name is not a folder");
	dirs = calloc(1, sizeof(*dirs));
	if (!dirs)
		return err_nomem(err);
	rc = target_open(target, make, &dirs->root_fd, err);
	if (rc != 0) {
		free(dirs);
		return rc;
	}
	*out_dirs = dirs;
	return 0;
}

/* ---- references and syncs ---- */

/* As in messages about what lies in it; the target itself by a name of its own. */
static const char *shown(const struct fsw_dir *dir)
{
	return dir->path_len > 0 ? dir->path : "the target folder";
}

static void dir_sync(struct fsw_dirs *dirs, struct fsw_dir *dir)
{
	if (!dir->changed)
		return;
	dir->changed = false;
	/* some file systems have no sync of folders, and say so with EINVAL */
	if (fsync(dir->fd) != 0 && errno != EINVAL && dirs->sync_err.code == 0)
		(void)err_sys(&dirs->sync_err, errno, "%s: cannot sync the folder", shown(dir));
}

void fsw_dir_put(struct fsw_dirs *dirs, struct fsw_dir *dir)
{
	if (!dir || --dir->refs > 0)
		return;
	dir_sync(dirs, dir);
	(void)close(dir->fd);
	free(dir->path);
	free(dir);
}

void fsw_dir_changed(struct fsw_dir *dir)
{
	dir->changed = true;
}

void fsw_dirs_forget(struct fsw_dirs *dirs)
{
	while (dirs->kept_count > 0)
		fsw_dir_put(dirs, dirs->kept[--dirs->kept_count]);
}

int fsw_dirs_sync(struct fsw_dirs *dirs, struct err *err)
{
	for (size_t i = 0; i < dirs->kept_count; i++)
		dir_sync(dirs, dirs->kept[i]);
	if (dirs->sync_err.code != 0) {
		*err = dirs->sync_err;
		return -err->code;
	}
	return 0;
}

void fsw_dirs_close(struct fsw_dirs *dirs)
{
	if (!dirs)
		return;
	fsw_dirs_forget(dirs);
	(void)close(dirs->root_fd);
	free(dirs);
}

static void kept_to_front(struct fsw_dirs *dirs, size_t i)
{
	struct fsw_dir *dir = dirs->kept[i];

	memmove(&dirs->kept[1], &dirs->kept[0], i * sizeof(dirs->kept[0]));
	dirs->kept[0] = dir;
}

static void kept_add(struct fsw_dirs *dirs, struct fsw_dir *dir)
{
	if (dirs->kept_count == KEPT_DIRS)
		fsw_dir_put(dirs, dirs->kept[--dirs->kept_count]);
	dirs->kept[dirs->kept_count] = dir;
	dir->refs++;
	kept_to_front(dirs, dirs->kept_count++);
}

int fsw_dirs_root(struct fsw_dirs *dirs, int *out_fd, struct err *err)
{
	*out_fd = openat(dirs->root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *out_fd < 0 ? err_sys(err, errno, "the target folder") : 0;
}

/* ---- below the target ---- */

static int path_check(const char *path, struct err *err)
{
	size_t len;

	if (strnlen(path, LIMIT_PATH_BYTES + 1) > LIMIT_PATH_BYTES)
		return err_set(err, ERR_DAMAGED, "a path of more than %u bytes", LIMIT_PATH_BYTES);
	for (const char *p = path;; p += len + 1) {
		len = strcspn(p, "/");
		if (len == 0 || (len == 1 && p[0] == '.') ||
		    (len == 2 && p[0] == '.' && p[1] == '.'))
			return err_set(err, ERR_DAMAGED, "'%s' is no path below a folder", path);
		if (p[len] == '\0')
			return 0;
	}
}

static int beneath_open(struct fsw_dirs *dirs, const char *path)
{
	struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW,
			       .resolve =
				   RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
	int fd;

	if (dirs->no_openat2)
		return -1;
	fd = (int)syscall(SYS_openat2, dirs->root_fd, path, &how, sizeof(how));
	/* an older kernel, or a sandbox that does not know the call */
	if (fd < 0 && (errno == ENOSYS || errno == EPERM))
		dirs->no_openat2 = true;
	return fd;
}

/* What is in the way under name, said of the part of the path that ends there. */
static int walk_err(int fd, const char *name, int errnum, const char *path, size_t path_len,
		    struct err *err)
{
	struct stat st;

	if ((errnum == ENOTDIR || errnum == ELOOP) &&
	    fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return err_set(err, ERR_EXISTS, "%.*s: %s is in the way of a folder", (int)path_len,
			       path, S_ISLNK(st.st_mode) ? "a symbolic link" : "a file");
	return err_sys(err, errnum, "%.*s", (int)path_len, path);
}

/*
 * One component after the other. Also where openat2 says no: only the walk knows which component it
 * was, and paths longer than PATH_MAX get through.
 */
static int walk_open(int root_fd, const char *path, size_t path_len, int *out_fd, struct err *err)
{
	char name[NAME_MAX + 1];
	int fd = root_fd, next, flags, rc;
	size_t at = 0, len;

	for (;;) {
		len = strcspn(path + at, "/");
		if (at + len > path_len)
			len = path_len - at;
		if (len > NAME_MAX) {
			rc = err_sys(err, ENAMETOOLONG, "%.*s", (int)path_len, path);
			break;
		}
		memcpy(name, path + at, len);
		name[len] = '\0';
		at += len;
		flags = at == path_len ? O_RDONLY : O_PATH;
		next = openat(fd, name, flags | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		rc = next < 0 ? walk_err(fd, name, errno, path, at, err) : 0;
		if (rc != 0)
			break;
		if (fd != root_fd)
			(void)close(fd);
		fd = next;
		if (at == path_len) {
			*out_fd = fd;
			return 0;
		}
		at++;
	}
	if (fd != root_fd)
		(void)close(fd);
	return rc;
}

static int folder_open(struct fsw_dirs *dirs, const char *path, size_t path_len, int *out_fd,
		       struct err *err)
{
	char *copy = strndup(path, path_len);
	int fd;

	if (!copy)
		return err_nomem(err);
	fd = beneath_open(dirs, path_len > 0 ? copy : ".");
	free(copy);
	if (fd < 0 && path_len == 0) {
		if (fsw_dirs_root(dirs, &fd, err) != 0)
			return -err->code;
	}
	if (fd < 0)
		return walk_open(dirs->root_fd, path, path_len, out_fd, err);
	*out_fd = fd;
	return 0;
}

/* Takes fd over, on failure too. */
static int dir_new(int fd, const char *path, size_t path_len, struct fsw_dir **out, struct err *err)
{
	struct fsw_dir *dir = calloc(1, sizeof(*dir));

	if (dir)
		dir->path = strndup(path, path_len);
	if (!dir || !dir->path) {
		free(dir);
		(void)close(fd);
		return err_nomem(err);
	}
	dir->fd = fd;
	dir->path_len = path_len;
	*out = dir;
	return 0;
}

static int dir_get(struct fsw_dirs *dirs, const char *path, size_t path_len, struct fsw_dir **out,
		   struct err *err)
{
	struct fsw_dir *dir = NULL;
	int fd = -1, rc;

	for (size_t i = 0; i < dirs->kept_count; i++) {
		dir = dirs->kept[i];
		if (dir->path_len != path_len || memcmp(dir->path, path, path_len) != 0)
			continue;
		kept_to_front(dirs, i);
		dir->refs++;
		*out = dir;
		return 0;
	}
	rc = folder_open(dirs, path, path_len, &fd, err);
	if (rc != 0)
		return rc;
	rc = dir_new(fd, path, path_len, &dir, err);
	if (rc != 0)
		return rc;
	kept_add(dirs, dir);
	dir->refs++;
	*out = dir;
	return 0;
}

int fsw_dir_parent(struct fsw_dirs *dirs, const char *path, struct fsw_dir **out_dir,
		   const char **out_name, struct err *err)
{
	const char *slash;
	int rc;

	if (dirs->sync_err.code != 0) {
		*err = dirs->sync_err;
		return -err->code;
	}
	rc = path_check(path, err);
	if (rc != 0)
		return rc;
	slash = strrchr(path, '/');
	*out_name = slash ? slash + 1 : path;
	return dir_get(dirs, path, slash ? (size_t)(slash - path) : 0, out_dir, err);
}
