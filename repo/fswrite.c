#include "repo/fswrite.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "repo/fswrite_place.h"

static int open_target(const char *target, bool make, fsw_warn_fn *warn, void *warn_arg,
		       struct fsw **out_fsw, struct err *err)
{
	struct fsw *w = calloc(1, sizeof(*w));
	int rc;

	if (!w)
		return err_nomem(err);
	w->warn = warn;
	w->warn_arg = warn_arg;
	w->ids = fsw_ids_new();
	rc = w->ids ? fsw_dirs_open(target, make, &w->dirs, err) : err_nomem(err);
	if (rc != 0) {
		fsw_close(w);
		return rc;
	}
	*out_fsw = w;
	return 0;
}

int fsw_open(const char *target, fsw_warn_fn *warn, void *warn_arg, struct fsw **out_fsw,
	     struct err *err)
{
	return open_target(target, true, warn, warn_arg, out_fsw, err);
}

int fsw_open_there(const char *target, struct fsw **out_fsw, struct err *err)
{
	struct err why = {0};
	int rc = open_target(target, false, NULL, NULL, out_fsw, &why);

	if (rc == -ERR_MISSING) {
		*out_fsw = NULL;
		return 0;
	}
	if (rc != 0)
		*err = why;
	return rc;
}

int fsw_finish(struct fsw *w, struct err *err)
{
	return fsw_dirs_sync(w->dirs, err);
}

void fsw_close(struct fsw *w)
{
	if (!w)
		return;
	fsw_dirs_close(w->dirs);
	fsw_ids_free(w->ids);
	free(w);
}

/* ---- folders ---- */

int fsw_mkdir(struct fsw *w, const char *path, bool *out_made, struct err *err)
{
	bool made = false;
	struct fsw_place p;
	struct stat st;
	int rc = fsw_place_find(w, path, &p, err);

	if (rc != 0)
		return rc;
	made = mkdirat(p.dir->fd, p.name, 0700) == 0;
	if (made)
		fsw_dir_changed(p.dir);
	else if (errno != EEXIST)
		rc = err_sys(err, errno, "%s", path);
	else if (fstatat(p.dir->fd, p.name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		rc = err_sys(err, errno, "%s", path);
	else if (!S_ISDIR(st.st_mode))
		rc = err_set(err, ERR_EXISTS, "%s: %s is in the way of a folder", path,
			     S_ISLNK(st.st_mode) ? "a symbolic link" : "a file");
	fsw_place_end(&p);
	if (out_made)
		*out_made = made;
	return rc;
}

int fsw_attrs_set(struct fsw *w, const char *path, const struct fsw_attrs *attrs, struct err *err)
{
	struct fsw_warning warning = fsw_warning_of(w, path);
	struct fsw_place p;
	int fd, rc = fsw_place_find(w, path, &p, err);

	if (rc != 0)
		return rc;
	fd = openat(p.dir->fd, p.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && (errno == ENOTDIR || errno == ELOOP)) {
		rc = err_set(err, ERR_EXISTS, "%s: is not a folder any more", path);
	} else if (fd < 0) {
		rc = err_sys(err, errno, "%s", path);
	} else {
		fsw_attrs_put(w->ids, fd, false, attrs, &warning);
		if (fsync(fd) != 0 && errno != EINVAL)
			rc = err_sys(err, errno, "%s: cannot sync the folder", path);
		(void)close(fd);
	}
	fsw_place_end(&p);
	return rc;
}

/* ---- regular files ---- */

static int make_file(int dirfd, const char *name, const void *arg)
{
	(void)arg;
	return openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
}

void fsw_file_free(struct fsw_file *f)
{
	if (f->fd >= 0)
		(void)close(f->fd);
	if (f->place.dir)
		fsw_place_end(&f->place);
	free(f->path);
	free(f);
}

static int file_make(struct fsw_file *f, struct err *err)
{
	int rc = fsw_temp_make(&f->place, make_file, NULL, &f->fd, err);

	if (rc != 0)
		return rc;
	/* tells another restore that this is at work, see fsw_clear_left_over */
	(void)flock(f->fd, LOCK_EX | LOCK_NB);
	/* the size first: what does not fit a limit is known before anything is written */
	if (ftruncate(f->fd, (off_t)f->size_bytes) != 0)
		return err_sys(err, errno, "%s", f->path);
	return 0;
}

int fsw_file_begin(struct fsw *w, const char *path, uint64_t size_bytes, struct fsw_file **out_file,
		   struct err *err)
{
	struct fsw_file *f;
	int rc;

	if (size_bytes > INT64_MAX)
		return err_set(err, ERR_DAMAGED, "%s: a size that no file can have", path);
	f = calloc(1, sizeof(*f));
	if (!f)
		return err_nomem(err);
	f->fd = -1;
	f->size_bytes = size_bytes;
	f->path = strdup(path);
	rc = f->path ? fsw_place_find(w, f->path, &f->place, err) : err_nomem(err);
	if (rc == 0)
		rc = file_make(f, err);
	if (rc != 0) {
		fsw_file_free(f);
		return rc;
	}
	*out_file = f;
	return 0;
}

static int range_check(const struct fsw_file *f, uint64_t offset, size_t len, struct err *err)
{
	if (offset > f->size_bytes || len > f->size_bytes - offset)
		return err_set(err, ERR_DAMAGED, "%s: content beyond its size of %" PRIu64 " bytes",
			       f->path, f->size_bytes);
	return 0;
}

int fsw_file_write(struct fsw_file *f, uint64_t offset, const void *bytes, size_t len,
		   struct err *err)
{
	const uint8_t *p = bytes;
	int rc = range_check(f, offset, len, err);
	ssize_t n;

	while (rc == 0 && len > 0) {
		n = pwrite(f->fd, p, len, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_sys(err, n < 0 ? errno : EIO, "%s", f->path);
		p += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return rc;
}

int fsw_file_read(struct fsw_file *f, uint64_t offset, void *out_bytes, size_t len, struct err *err)
{
	uint8_t *p = out_bytes;
	int rc = range_check(f, offset, len, err);
	ssize_t n;

	while (rc == 0 && len > 0) {
		n = pread(f->fd, p, len, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, "%s", f->path);
		if (n == 0)
			return err_set(err, ERR_IO, "%s: is shorter than what was written",
				       f->path);
		p += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return rc;
}

int fsw_file_is_ours(const struct fsw_file *f, struct err *err)
{
	struct stat ours, there;

	if (fstat(f->fd, &ours) != 0 ||
	    fstatat(f->place.dir->fd, f->place.temp, &there, AT_SYMLINK_NOFOLLOW) != 0)
		return err_sys(err, errno, "%s: its temporary file %s", f->path, f->place.temp);
	if (ours.st_dev != there.st_dev || ours.st_ino != there.st_ino)
		return err_set(err, ERR_IO, "%s: somebody replaced its temporary file %s", f->path,
			       f->place.temp);
	return 0;
}

int fsw_file_commit(struct fsw_file *f, const struct fsw_attrs *attrs, struct err *err)
{
	struct fsw_warning warning = fsw_warning_of(f->place.w, f->path);
	int rc;

	fsw_attrs_put(f->place.w->ids, f->fd, false, attrs, &warning);
	rc = fsync(f->fd) != 0 ? err_sys(err, errno, "%s", f->path) : fsw_file_is_ours(f, err);
	if (rc == 0)
		rc = fsw_temp_rename(&f->place, err);
	fsw_file_free(f);
	return rc;
}

void fsw_file_abort(struct fsw_file *f)
{
	if (f)
		fsw_file_free(f);
}

/* ---- symlinks, hard links, fifos, sockets, devices ---- */

/*
 * A descriptor of what was just made, or -1. In a folder that others may write to, something else could be there
 * by now, even a hard link to a file outside; owner and mode must not be put on that.
 */
static int temp_reopen(const struct fsw_place *p, mode_t type, dev_t rdev)
{
	struct stat st;
	int fd = openat(p->dir->fd, p->temp, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0 && (st.st_mode & S_IFMT) == type && st.st_nlink == 1 &&
	    st.st_rdev == rdev)
		return fd;
	(void)close(fd);
	return -1;
}

/* Makes, puts the attributes on, renames. */
static int entry_put(struct fsw *w, const char *path, fsw_temp_make_fn *make, const void *arg,
		     mode_t type, dev_t rdev, const struct fsw_attrs *attrs, struct err *err)
{
	struct fsw_warning warning = fsw_warning_of(w, path);
	struct fsw_place p;
	int fd, made, rc = fsw_place_find(w, path, &p, err);

	if (rc != 0)
		return rc;
	rc = fsw_temp_make(&p, make, arg, &made, err);
	if (rc != 0)
		goto out;
	fd = temp_reopen(&p, type, rdev);
	if (fd < 0) {
		rc = err_set(err, ERR_IO, "%s: somebody replaced its temporary file %s", path,
			     p.temp);
		goto out;
	}
	fsw_attrs_put(w->ids, fd, true, attrs, &warning);
	(void)close(fd);
	rc = fsw_temp_rename(&p, err);
out:
	fsw_place_end(&p);
	return rc;
}

static int make_symlink(int dirfd, const char *name, const void *arg)
{
	return symlinkat(arg, dirfd, name);
}

int fsw_symlink(struct fsw *w, const char *path, const char *target, const struct fsw_attrs *attrs,
		struct err *err)
{
	return entry_put(w, path, make_symlink, target, S_IFLNK, 0, attrs, err);
}

struct node_arg {
	mode_t type;
	dev_t dev;
};

static int make_node(int dirfd, const char *name, const void *arg)
{
	const struct node_arg *node = arg;

	return mknodat(dirfd, name, node->type | 0600, node->dev);
}

int fsw_special(struct fsw *w, const char *path, uint32_t type, uint32_t dev_major,
		uint32_t dev_minor, const struct fsw_attrs *attrs, struct err *err)
{
	bool device = type == S_IFCHR || type == S_IFBLK;
	struct node_arg node = {.type = (mode_t)type,
				.dev = device ? makedev(dev_major, dev_minor) : 0};

	if (!device && type != S_IFIFO && type != S_IFSOCK)
		return err_set(err, ERR_DAMAGED, "%s: no kind of file has the number %o", path,
			       (unsigned)type);
	return entry_put(w, path, make_node, &node, node.type, node.dev, attrs, err);
}

struct link_arg {
	int dirfd;
	const char *name;
};

static int make_link(int dirfd, const char *name, const void *arg)
{
	const struct link_arg *link = arg;

	/* without AT_SYMLINK_FOLLOW: a symlink is linked itself */
	return linkat(link->dirfd, link->name, dirfd, name, 0);
}

int fsw_hardlink(struct fsw *w, const char *existing, const char *path, struct err *err)
{
	struct fsw_place from, to;
	struct link_arg arg;
	int made, rc = fsw_place_find(w, existing, &from, err);

	if (rc != 0)
		return rc;
	rc = fsw_place_find(w, path, &to, err);
	if (rc != 0)
		goto out;
	arg = (struct link_arg){.dirfd = from.dir->fd, .name = from.name};
	rc = fsw_temp_make(&to, make_link, &arg, &made, err);
	if (rc == 0)
		rc = fsw_temp_rename(&to, err);
	else
		(void)err_prefix(err, "hard link to %s", existing);
	fsw_place_end(&to);
out:
	fsw_place_end(&from);
	return rc;
}
