#include "repo/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int sync_folder_of(const char *path, struct err *err)
{
	const char *slash = strrchr(path, '/');
	char *folder =
	    slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
	int r = 0, fd;

	if (!folder)
		return err_nomem(err);
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) != 0)
		r = err_sys(err, errno, "%s", folder);
	if (fd >= 0)
		(void)close(fd);
	free(folder);
	return r;
}

int durable_write(int fd, const void *bytes, size_t len)
{
	const char *p = bytes;

	while (len) {
		ssize_t put = write(fd, p, len);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return errno;
		p += put;
		len -= (size_t)put;
	}
	return 0;
}

static int write_synced(int fd, const char *path, const void *bytes, size_t len, struct err *err)
{
	int failed = durable_write(fd, bytes, len);

	if (!failed && fsync(fd) != 0)
		failed = errno;
	return failed ? err_sys(err, failed, "%s", path) : 0;
}

int durable_create(const char *path, const void *bytes, size_t len, struct err *err)
{
	int r, fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0 && errno == EEXIST)
		return err_set(err, ERR_EXISTS, "%s: exists already; it was not touched", path);
	if (fd < 0)
		return err_sys(err, errno, "%s", path);
	r = write_synced(fd, path, bytes, len, err);
	if (close(fd) != 0 && !r)
		r = err_sys(err, errno, "%s", path);
	if (!r)
		r = sync_folder_of(path, err);
	if (r)
		(void)unlink(path);
	return r;
}

/* A name of its own: two runs that write the same file must not write into each other's. */
static int write_beside(const char *path, mode_t mode, const void *bytes, size_t len, char *temp,
			struct err *err)
{
	int r, fd = mkostemp(temp, O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, errno, "%s", path);
	r = fchmod(fd, mode) == 0 ? write_synced(fd, path, bytes, len, err)
				  : err_sys(err, errno, "%s", path);
	if (close(fd) != 0 && !r)
		r = err_sys(err, errno, "%s", path);
	if (!r && rename(temp, path) != 0)
		r = err_sys(err, errno, "%s", path);
	if (r)
		(void)unlink(temp);
	return r;
}

int durable_replace(const char *path, mode_t mode, const void *bytes, size_t len, struct err *err)
{
	char *temp;
	int r;

	if (asprintf(&temp, "%s.XXXXXX", path) < 0)
		return err_nomem(err);
	r = write_beside(path, mode, bytes, len, temp, err);
	free(temp);
	return r ? r : sync_folder_of(path, err);
}
