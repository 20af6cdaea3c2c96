/* What lies in the target already: looked at, compared, written to in place. */
#include "repo/fswrite_place.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int fsw_look(struct fsw *w, const char *path, bool *out_any, struct stat *out_st, struct err *err)
{
	struct err why = {0};
	struct fsw_place p;
	int rc = fsw_place_find(w, path, &p, &why);

	*out_any = false;
	if (rc == -ERR_MISSING)
		return 0;
	if (rc != 0) {
		*err = why;
		return rc;
	}
	if (fstatat(p.dir->fd, p.name, out_st, AT_SYMLINK_NOFOLLOW) == 0)
		*out_any = true;
	else if (errno != ENOENT && errno != ENAMETOOLONG)
		rc = err_sys(err, errno, "%s", path);
	fsw_place_end(&p);
	return rc;
}

/* A fifo that took the file's place must not be waited for. */
static int open_regular(struct fsw_file *f, struct err *err)
{
	struct stat st;

	f->fd =
	    openat(f->place.dir->fd, f->place.name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (f->fd < 0 || fstat(f->fd, &st) != 0)
		return err_sys(err, errno, "%s", f->path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_EXISTS, "%s: is not a file", f->path);
	f->size_bytes = (uint64_t)st.st_size;
	return 0;
}

int fsw_file_open(struct fsw *w, const char *path, struct fsw_file **out_file, struct err *err)
{
	struct fsw_file *f = calloc(1, sizeof(*f));
	int rc;

	if (!f)
		return err_nomem(err);
	f->fd = -1;
	f->existing = true;
	f->path = strdup(path);
	rc = f->path ? fsw_place_find(w, f->path, &f->place, err) : err_nomem(err);
	if (rc == 0)
		rc = open_regular(f, err);
	if (rc != 0) {
		fsw_file_free(f);
		return rc;
	}
	*out_file = f;
	return 0;
}

uint64_t fsw_file_size(const struct fsw_file *f)
{
	return f->size_bytes;
}

int fsw_file_fd(const struct fsw_file *f)
{
	return f->fd;
}

/* The same file, open for writing; its owner may write to it whatever its mode says. -1: errno. */
static int reopen(const struct fsw_file *f, const struct stat *st)
{
	int flags = O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
	int fd = openat(f->place.dir->fd, f->place.name, flags);
	struct stat now;

	if (fd < 0 && errno == EACCES && fchmod(f->fd, (st->st_mode & 07777) | S_IWUSR) == 0)
		fd = openat(f->place.dir->fd, f->place.name, flags);
	if (fd < 0)
		return -1;
	if (fstat(fd, &now) == 0 && now.st_dev == st->st_dev && now.st_ino == st->st_ino &&
	    now.st_nlink == 1)
		return fd;
	(void)close(fd);
	errno = EMLINK;
	return -1;
}

int fsw_file_update(struct fsw_file *f, uint64_t size_bytes, struct err *err)
{
	struct stat st;
	int fd;

	if (size_bytes > INT64_MAX)
		return err_set(err, ERR_DAMAGED, "%s: a size that no file can have", f->path);
	if (fstat(f->fd, &st) != 0)
		return err_sys(err, errno, "%s", f->path);
	if (st.st_nlink != 1)
		return err_set(err, ERR_EXISTS, "%s: it has other names", f->path);
	fd = reopen(f, &st);
	if (fd < 0)
		return err_set(err, ERR_EXISTS, "%s: cannot be written to in place", f->path);
	(void)close(f->fd);
	f->fd = fd;
	f->changed = true;
	f->size_bytes = size_bytes;
	if ((uint64_t)st.st_size != size_bytes && ftruncate(fd, (off_t)size_bytes) != 0)
		return err_sys(err, errno, "%s", f->path);
	return 0;
}

int fsw_file_next_data(struct fsw_file *f, uint64_t offset, uint64_t *out_offset, struct err *err)
{
	off_t at = lseek(f->fd, (off_t)offset, SEEK_DATA);

	if (at < 0 && errno == ENXIO)
		*out_offset = f->size_bytes > offset ? f->size_bytes : offset;
	else if (at < 0 && errno == EINVAL) /* it cannot tell */
		*out_offset = offset;
	else if (at < 0)
		return err_sys(err, errno, "%s", f->path);
	else
		*out_offset = (uint64_t)at;
	return 0;
}

int fsw_file_zero(struct fsw_file *f, uint64_t offset, uint64_t len, struct err *err)
{
	static const uint8_t zeros[4096];
	int rc = 0;

	if (fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
		      (off_t)len) == 0)
		return 0;
	while (rc == 0 && len > 0) {
		size_t take = len < sizeof(zeros) ? (size_t)len : sizeof(zeros);

		rc = fsw_file_write(f, offset, zeros, take, err);
		offset += take;
		len -= take;
	}
	return rc;
}

int fsw_file_keep(struct fsw_file *f, const struct fsw_attrs *attrs, bool *out_left,
		  struct err *err)
{
	struct fsw_warning warning = fsw_warning_of(f->place.w, f->path);
	struct stat st;
	int rc = 0;

	*out_left = true;
	/* Its new bytes first: a size and a time that are right must not outlive a power cut that they do not. */
	if (f->changed && fsync(f->fd) != 0)
		rc = err_sys(err, errno, "%s", f->path);
	if (rc == 0 && fstat(f->fd, &st) != 0)
		rc = err_sys(err, errno, "%s", f->path);
	if (rc == 0 && (f->changed || !fsw_attrs_same(f->place.w->ids, f->fd, &st, attrs))) {
		if (!f->changed && st.st_nlink > 1) {
			*out_left = false;
		} else {
			fsw_attrs_put(f->place.w->ids, f->fd, false, attrs, &warning);
			if (fsync(f->fd) != 0)
				rc = err_sys(err, errno, "%s", f->path);
		}
	}
	fsw_file_free(f);
	return rc;
}
