#include "repo/fsread.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/limits.h"

/* Says what happened in words that fit a source, where strerror's own would puzzle. */
static int source_err(struct err *err, int errnum, const char *path)
{
	const char *what = NULL;
	int rc;

	if (errnum == ELOOP)
		what = "it is a symbolic link now, or behind too many";
	else if (errnum == ENXIO)
		what = "it is a socket or a device that nothing serves";
	else if (errnum == ENOTDIR)
		what = "it is not a folder any more";
	if (what)
		rc = err_set(err, ERR_SOURCE, "%s: %s", path, what);
	else
		rc = err_sys(err, errnum, "%s", path);
	err->sys_errno = errnum;
	if (rc == -ERR_MISSING || rc == -ERR_NOMEM)
		return rc;
	err->code = ERR_SOURCE;
	return -ERR_SOURCE;
}

/* ---- names in a folder ---- */

/* A name while it is sorted: most are told apart by how they begin, without looking where they are. */
struct sorted_name {
	uint64_t head; /* its first 8 bytes, the first of all the highest */
	char *name;
};

static int name_order(const void *a, const void *b)
{
	const struct sorted_name *x = a, *y = b;

	if (x->head != y->head)
		return x->head < y->head ? -1 : 1;
	return strcmp(x->name, y->name);
}

static uint64_t head_of(const char *name)
{
	uint64_t head = 0;
	size_t i = 0;

	for (; i < 8 && name[i]; i++)
		head = head << 8 | (uint8_t)name[i];
	return i ? head << (8 * (8 - i)) : 0;
}

unsigned char fs_listed_type(const char *listed)
{
	return (unsigned char)listed[-1];
}

/* All names, each with its type before it and its NUL, one after the other. */
static int names_collect(DIR *dir, const char *path, struct buf *out, size_t *out_count,
			 struct err *err)
{
	const struct dirent *e;

	for (;;) {
		errno = 0;
		e = readdir(dir);
		if (!e)
			break;
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		buf_put_u8(out, e->d_type);
		buf_put(out, e->d_name, strlen(e->d_name) + 1);
		(*out_count)++;
	}
	if (errno != 0)
		return source_err(err, errno, path);
	return buf_check(out, err);
}

/* The pointers and what they point at in one allocation, sorted, with a NULL at the end. */
static char **names_pack(const struct buf *text, size_t count)
{
	size_t table_bytes = (count + 1) * sizeof(char *);
	struct sorted_name *sorted = malloc((count + 1) * sizeof(*sorted));
	char **names = malloc(table_bytes + text->len);
	char *at;

	if (!names || !sorted) {
		free(names);
		free(sorted);
		return NULL;
	}
	at = (char *)names + table_bytes;
	if (text->len > 0)
		memcpy(at, text->data, text->len);
	for (size_t i = 0; i < count; i++) {
		sorted[i] = (struct sorted_name){head_of(at + 1), at + 1};
		at += 1 + strlen(at + 1) + 1;
	}
	qsort(sorted, count, sizeof(*sorted), name_order);
	for (size_t i = 0; i < count; i++)
		names[i] = sorted[i].name;
	names[count] = NULL;
	free(sorted);
	return names;
}

int fs_list(int dirfd, const char *path, char ***out_names, size_t *out_count, struct err *err)
{
	struct buf text = {0};
	size_t count = 0;
	DIR *dir = NULL;
	char **names = NULL;
	int rc, fd;

	fd = fcntl(dirfd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return source_err(err, errno, path);
	dir = fdopendir(fd);
	if (!dir) {
		rc = source_err(err, errno, path);
		(void)close(fd);
		goto out;
	}
	/* the duplicate shares its position with dirfd, which may have been listed before */
	rewinddir(dir);
	rc = names_collect(dir, path, &text, &count, err);
	if (rc != 0)
		goto out;
	names = names_pack(&text, count);
	if (!names) {
		rc = err_nomem(err);
		goto out;
	}
	*out_names = names;
	*out_count = count;
out:
	if (dir)
		(void)closedir(dir);
	buf_free(&text);
	return rc;
}

int fs_open(int dirfd, const char *name, int extra_flags, const char *path, int *out_fd,
	    struct err *err)
{
	/* O_NONBLOCK: a file that became a fifo since it was looked at must not hang the backup */
	int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | extra_flags;
	int fd;

	do {
		fd = openat(dirfd, name, flags | O_NOATIME);
		if (fd < 0 && errno == EPERM) /* somebody else's file */
			fd = openat(dirfd, name, flags);
	} while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return source_err(err, errno, path);
	*out_fd = fd;
	return 0;
}

/* ---- metadata ---- */

static int target_read(int dirfd, const char *name, const char *path, char **out, struct err *err)
{
	size_t cap = 256;
	char *text = NULL, *bigger;
	ssize_t n;

	for (;;) {
		bigger = realloc(text, cap);
		if (!bigger) {
			free(text);
			return err_nomem(err);
		}
		text = bigger;
		n = readlinkat(dirfd, name, text, cap);
		if (n < 0) {
			int errnum = errno;

			free(text);
			return source_err(err, errnum, path);
		}
		if ((size_t)n < cap)
			break;
		cap *= 2;
	}
	text[n] = '\0';
	*out = text;
	return 0;
}

/*
 * A path for the calls that know no dirfd. The kernel follows the descriptor's link and not the last
 * component, so nobody can turn it elsewhere by planting a symlink on the way.
 */
static char *proc_path(int dirfd, const char *name)
{
	char *text = NULL;

	if (dirfd == AT_FDCWD || name[0] == '/')
		return strdup(name);
	if (asprintf(&text, "/proc/self/fd/%d/%s", dirfd, name) < 0)
		return NULL;
	return text;
}

/* Whether the errno of an xattr call means that there is simply nothing to be had. */
static bool xattr_none(int errnum)
{
	return errnum == ENOTSUP || errnum == ENODATA || errnum == ENOSYS || errnum == EACCES ||
	       errnum == EPERM;
}

/* The names, each with its NUL. The list may grow between asking for its size and reading it. */
static int xattr_names(const char *proc, const char *path, char **out, size_t *out_len,
		       struct err *err)
{
	char *list;
	ssize_t n, got;

	for (;;) {
		n = llistxattr(proc, NULL, 0);
		if (n == 0 || (n < 0 && xattr_none(errno))) {
			*out = NULL;
			*out_len = 0;
			return 0;
		}
		if (n < 0)
			return source_err(err, errno, path);
		list = malloc((size_t)n);
		if (!list)
			return err_nomem(err);
		got = llistxattr(proc, list, (size_t)n);
		if (got >= 0)
			break;
		if (errno != ERANGE) {
			int errnum = errno;

			free(list);
			return source_err(err, errnum, path);
		}
		free(list);
	}
	*out = list;
	*out_len = (size_t)got;
	return 0;
}

/* out->value stays NULL when the attribute went away or may not be read. */
static int xattr_value(const char *proc, const char *path, struct fs_xattr *out, struct err *err)
{
	uint8_t *value;
	ssize_t n, got;
	int errnum;

	for (;;) {
		n = lgetxattr(proc, out->name, NULL, 0);
		if (n < 0)
			return xattr_none(errno) ? 0 : source_err(err, errno, path);
		value = malloc((size_t)n + 1); /* never of length 0 */
		if (!value)
			return err_nomem(err);
		got = lgetxattr(proc, out->name, value, (size_t)n);
		/* size 0 asks for the length: what has grown from nothing must be read again */
		if (got >= 0 && got <= n)
			break;
		errnum = errno;
		free(value);
		if (got < 0 && errnum != ERANGE)
			return xattr_none(errnum) ? 0 : source_err(err, errnum, path);
	}
	out->value = value;
	out->value_len = (size_t)got;
	return 0;
}

static int xattr_order(const void *a, const void *b)
{
	const struct fs_xattr *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static size_t count_strings(const char *list, size_t len)
{
	size_t count = 0;

	for (size_t i = 0; i < len; i++)
		count += list[i] == '\0';
	return count;
}

static int xattrs_fill(const char *proc, const char *path, const char *list, size_t len,
		       struct fs_meta *meta, struct err *err)
{
	for (const char *name = list; name < list + len; name += strlen(name) + 1) {
		struct fs_xattr *x = &meta->xattrs[meta->xattr_count];
		int rc;

		x->name = strdup(name);
		if (!x->name)
			return err_nomem(err);
		rc = xattr_value(proc, path, x, err);
		if (rc == 0 && x->value) {
			meta->xattr_count++;
			continue;
		}
		free(x->name);
		x->name = NULL;
		if (rc != 0)
			return rc;
	}
	qsort(meta->xattrs, meta->xattr_count, sizeof(meta->xattrs[0]), xattr_order);
	return 0;
}

static int xattrs_read(int dirfd, const char *name, const char *path, struct fs_meta *meta,
		       struct err *err)
{
	char *proc = proc_path(dirfd, name), *list = NULL;
	size_t len = 0, count;
	int rc;

	if (!proc)
		return err_nomem(err);
	rc = xattr_names(proc, path, &list, &len, err);
	if (rc == -ERR_MISSING && access("/proc/self/fd", F_OK) != 0)
		rc = err_set(err, ERR_SOURCE, "%s: extended attributes need /proc to be mounted",
			     path);
	if (rc != 0 || len == 0)
		goto out;
	count = count_strings(list, len);
	if (count > LIMIT_XATTRS) {
		rc = err_set(err, ERR_SOURCE, "%s: %zu extended attributes, at most %u can be kept",
			     path, count, LIMIT_XATTRS);
		goto out;
	}
	meta->xattrs = calloc(count, sizeof(meta->xattrs[0]));
	rc = meta->xattrs ? xattrs_fill(proc, path, list, len, meta, err) : err_nomem(err);
out:
	free(list);
	free(proc);
	return rc;
}

int fs_meta_stat(int dirfd, const char *name, const char *path, const struct stat *known,
		 struct fs_meta *out_meta, struct err *err)
{
	*out_meta = (struct fs_meta){0};
	if (known)
		out_meta->st = *known;
	else if (fstatat(dirfd, name, &out_meta->st, AT_SYMLINK_NOFOLLOW) != 0)
		return source_err(err, errno, path);
	if (!S_ISLNK(out_meta->st.st_mode))
		return 0;
	return target_read(dirfd, name, path, &out_meta->target, err);
}

int fs_meta_xattrs(int dirfd, const char *name, const char *path, struct fs_meta *meta,
		   struct err *err)
{
	int rc = xattrs_read(dirfd, name, path, meta, err);

	if (rc != 0)
		fs_meta_wipe(meta);
	return rc;
}

int fs_meta_read(int dirfd, const char *name, const char *path, struct fs_meta *out_meta,
		 struct err *err)
{
	struct fs_meta meta;
	int rc = fs_meta_stat(dirfd, name, path, NULL, &meta, err);

	if (rc == 0)
		rc = fs_meta_xattrs(dirfd, name, path, &meta, err);
	if (rc == 0)
		*out_meta = meta;
	return rc;
}

void fs_meta_wipe(struct fs_meta *meta)
{
	for (size_t i = 0; i < meta->xattr_count; i++) {
		free(meta->xattrs[i].name);
		free(meta->xattrs[i].value);
	}
	free(meta->xattrs);
	free(meta->target);
	memset(meta, 0, sizeof(*meta));
}

/* ---- holes ---- */

/* The next data at or after *at. False at the end of the data; *out_errno tells why when it is no end. */
static bool extent_next(int fd, uint64_t size_bytes, uint64_t at, struct fs_extent *out,
			int *out_errno)
{
	off_t data, hole;

	*out_errno = 0;
	if (at >= size_bytes)
		return false;
	data = lseek(fd, (off_t)at, SEEK_DATA);
	if (data < 0) {
		*out_errno = errno == ENXIO ? 0 : errno;
		return false;
	}
	if ((uint64_t)data >= size_bytes)
		return false;
	hole = lseek(fd, data, SEEK_HOLE);
	if (hole < 0) {
		/* it was cut off meanwhile */
		*out_errno = errno == ENXIO ? 0 : errno;
		return false;
	}
	out->offset = (uint64_t)data;
	out->len = ((uint64_t)hole < size_bytes ? (uint64_t)hole : size_bytes) - out->offset;
	return true;
}

/* *out_count 0 means: treat it as dense. */
static int extents_walk(int fd, uint64_t size_bytes, const char *path, struct fs_extent *out,
			size_t *out_count, struct err *err)
{
	struct fs_extent e = {0};
	size_t count = 0;
	uint64_t at = 0;
	int errnum;

	*out_count = 0;
	while (extent_next(fd, size_bytes, at, &e, &errnum)) {
		if (count == LIMIT_EXTENTS)
			return 0;
		out[count++] = e;
		at = e.offset + e.len;
	}
	if (errnum == EINVAL || errnum == ENOTSUP || errnum == ESPIPE)
		return 0;
	if (errnum != 0)
		return source_err(err, errnum, path);
	if (count == 1 && out[0].len == size_bytes)
		return 0;
	if (count == 0) {
		out[0] = (struct fs_extent){0, 0};
		count = 1;
	}
	*out_count = count;
	return 0;
}

int fs_extents(int fd, uint64_t size_bytes, const char *path, struct fs_extent **out_extents,
	       size_t *out_count, struct err *err)
{
	struct fs_extent *list, *fitted;
	int rc;

	*out_extents = NULL;
	*out_count = 0;
	if (size_bytes == 0 || size_bytes > INT64_MAX)
		return 0;
	list = malloc(LIMIT_EXTENTS * sizeof(list[0]));
	if (!list)
		return err_nomem(err);
	rc = extents_walk(fd, size_bytes, path, list, out_count, err);
	(void)lseek(fd, 0, SEEK_SET);
	if (rc != 0 || *out_count == 0) {
		free(list);
		return rc;
	}
	fitted = realloc(list, *out_count * sizeof(list[0]));
	*out_extents = fitted ? fitted : list;
	return 0;
}

ssize_t fs_pread(int fd, void *out, size_t len, uint64_t at)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, (uint8_t *)out + done, len - done, (off_t)(at + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/* --- times --- */

#define SECONDS_MOST INT64_C(9223372035)

int64_t fs_time_ns(const struct timespec *t)
{
	if (t->tv_sec > SECONDS_MOST)
		return INT64_MAX;
	if (t->tv_sec < -SECONDS_MOST)
		return INT64_MIN;
	return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}
