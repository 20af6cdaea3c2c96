#include "repo/fswrite.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "repo/fswrite_attrs.h"
#include "repo/fswrite_dir.h"

#define TEMP_TRIES 100
#define TEMP_NAME_BYTES 32

struct fsw {
	struct fsw_dirs *dirs;
	struct fsw_ids *ids;
	fsw_warn_fn *warn;
	void *warn_arg;
};

/* Where an entry goes: the open folder and two names in it. Made by place_find, ended by place_end. */
struct place {
	struct fsw *w;
	struct fsw_dir *dir;
	const char *path; /* below the target */
	const char *name; /* its last component */
	char temp[TEMP_NAME_BYTES];
	bool temp_made;
};

struct fsw_file {
	struct place place;
	char *path;
	int fd;
	uint64_t size_bytes;
};

int fsw_open(const char *target, fsw_warn_fn *warn, void *warn_arg, struct fsw **out_fsw,
	     struct err *err)
{
	struct fsw *w = calloc(1, sizeof(*w));
	int rc;

	if (!w)
		return err_nomem(err);
	w->warn = warn;
	w->warn_arg = warn_arg;
	w->ids = fsw_ids_new();
	rc = w->ids ? fsw_dirs_open(target, &w->dirs, err) : err_nomem(err);
	if (rc != 0) {
		fsw_close(w);
		return rc;
	}
	*out_fsw = w;
	return 0;
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

/* ---- a temporary name and the rename to the final one ---- */

static int place_find(struct fsw *w, const char *path, struct place *out, struct err *err)
{
	memset(out, 0, sizeof(*out));
	out->w = w;
	out->path = path;
	return fsw_dir_parent(w->dirs, path, &out->dir, &out->name, err);
}

/* Removes what is still under the temporary name. */
static void place_end(struct place *p)
{
	if (p->temp_made && unlinkat(p->dir->fd, p->temp, 0) == 0)
		fsw_dir_changed(p->dir);
	fsw_dir_put(p->w->dirs, p->dir);
	memset(p, 0, sizeof(*p));
}

/* How one kind of entry is made under a temporary name. Gives -1 with errno, as the system call does. */
typedef int temp_make_fn(int dirfd, const char *name, const void *arg);

/*
 * Every kind is made by a call that fails when the name is there, so a symlink that somebody planted under
 * a name that he guessed is not followed: the next random name is tried.
 */
static int temp_make(struct place *p, temp_make_fn *make, const void *arg, int *out_result,
		     struct err *err)
{
	uint32_t r = 0;

	for (int i = 0; i < TEMP_TRIES; i++) {
		if (getrandom(&r, sizeof(r), 0) != (ssize_t)sizeof(r))
			return err_sys(err, errno, "%s: no random bytes", p->path);
		(void)snprintf(p->temp, sizeof(p->temp), ".nightjar-%08" PRIx32 ".tmp", r);
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

static int temp_rename(struct place *p, struct err *err)
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

static struct fsw_warning warning_of(const struct fsw *w, const char *path)
{
	return (struct fsw_warning){.fn = w->warn, .arg = w->warn_arg, .path = path};
}

/* ---- folders ---- */

int fsw_mkdir(struct fsw *w, const char *path, bool *out_made, struct err *err)
{
	bool made = false;
	struct place p;
	struct stat st;
	int rc = place_find(w, path, &p, err);

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
	place_end(&p);
	if (out_made)
		*out_made = made;
	return rc;
}

int fsw_attrs_set(struct fsw *w, const char *path, const struct fsw_attrs *attrs, struct err *err)
{
	struct fsw_warning warning = warning_of(w, path);
	struct place p;
	int fd, rc = place_find(w, path, &p, err);

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
	place_end(&p);
	return rc;
}

/* ---- regular files ---- */

static int make_file(int dirfd, const char *name, const void *arg)
{
	(void)arg;
	return openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
}

static void file_free(struct fsw_file *f)
{
	if (f->fd >= 0)
		(void)close(f->fd);
	if (f->place.dir)
		place_end(&f->place);
	free(f->path);
	free(f);
}

static int file_make(struct fsw_file *f, struct err *err)
{
	int rc = temp_make(&f->place, make_file, NULL, &f->fd, err);

	if (rc != 0)
		return rc;
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
	rc = f->path ? place_find(w, f->path, &f->place, err) : err_nomem(err);
	if (rc == 0)
		rc = file_make(f, err);
	if (rc != 0) {
		file_free(f);
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

/* Whether the temporary name still is our file: who may write in the folder could have put another there. */
static int file_is_ours(const struct fsw_file *f, struct err *err)
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
	struct fsw_warning warning = warning_of(f->place.w, f->path);
	int rc;

	fsw_attrs_put(f->place.w->ids, f->fd, false, attrs, &warning);
	rc = fsync(f->fd) != 0 ? err_sys(err, errno, "%s", f->path) : file_is_ours(f, err);
	if (rc == 0)
		rc = temp_rename(&f->place, err);
	file_free(f);
	return rc;
}

void fsw_file_abort(struct fsw_file *f)
{
	if (f)
		file_free(f);
}

/* ---- symlinks, hard links, fifos, sockets, devices ---- */

/*
 * A descriptor of what was just made, or -1. In a folder that others may write to, something else could be there
 * by now, even a hard link to a file outside; owner and mode must not be put on that.
 */
static int temp_reopen(const struct place *p, mode_t type, dev_t rdev)
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
static int entry_put(struct fsw *w, const char *path, temp_make_fn *make, const void *arg,
		     mode_t type, dev_t rdev, const struct fsw_attrs *attrs, struct err *err)
{
	struct fsw_warning warning = warning_of(w, path);
	struct place p;
	int fd, made, rc = place_find(w, path, &p, err);

	if (rc != 0)
		return rc;
	rc = temp_make(&p, make, arg, &made, err);
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
	rc = temp_rename(&p, err);
out:
	place_end(&p);
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
	struct place from, to;
	struct link_arg arg;
	int made, rc = place_find(w, existing, &from, err);

	if (rc != 0)
		return rc;
	rc = place_find(w, path, &to, err);
	if (rc != 0)
		goto out;
	arg = (struct link_arg){.dirfd = from.dir->fd, .name = from.name};
	rc = temp_make(&to, make_link, &arg, &made, err);
	if (rc == 0)
		rc = temp_rename(&to, err);
	else
		(void)err_prefix(err, "hard link to %s", existing);
	place_end(&to);
out:
	place_end(&from);
	return rc;
}

/* ---- moving aside ---- */

/* Renames without replacing; 0 or an errno. */
static int rename_new(int dirfd, const char *from, const char *to)
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

static int aside_rename(const struct place *p, const char *stamp, struct err *err)
{
	char *to = NULL, number[16] = "";
	int errnum = EEXIST;

	for (unsigned i = 2; errnum == EEXIST && i < 1000000; i++) {
		if (asprintf(&to, "%s.before-restore-%s%s", p->name, stamp, number) < 0)
			return err_nomem(err);
		errnum = rename_new(p->dir->fd, p->name, to);
		free(to);
		(void)snprintf(number, sizeof(number), ".%u", i);
	}
	return errnum == 0 ? 0 : err_sys(err, errnum, "%s: cannot move it aside", p->path);
}

int fsw_move_aside(struct fsw *w, const char *path, bool *out_moved, struct err *err)
{
	time_t now = time(NULL);
	char stamp[32] = "";
	struct place p;
	struct stat st;
	struct tm tm;
	struct err why = {0};
	int rc = place_find(w, path, &p, &why);

	*out_moved = false;
	if (rc == -ERR_MISSING)
		return 0;
	if (rc != 0) {
		*err = why;
		return rc;
	}
	if (gmtime_r(&now, &tm))
		(void)strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &tm);
	if (fstatat(p.dir->fd, p.name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
		rc = errno == ENOENT ? 0 : err_sys(err, errno, "%s", path);
	} else {
		rc = aside_rename(&p, stamp, err);
		*out_moved = rc == 0;
		fsw_dir_changed(p.dir);
	}
	place_end(&p);
	if (*out_moved && S_ISDIR(st.st_mode))
		fsw_dirs_forget(w->dirs);
	return rc;
}
