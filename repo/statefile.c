#include "repo/statefile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

/* Where it is; tail: what follows the name. malloc'd, NULL = no memory. */
static char *path_of(const char *state_dir, const uint8_t repo[REPO_ID_BYTES], const char *name,
		     const char *tail)
{
	char id[2 * REPO_ID_BYTES + 1], *path = NULL;

	(void)sodium_bin2hex(id, sizeof(id), repo, REPO_ID_BYTES);
	return asprintf(&path, "%s/%s%s%s%s", state_dir, id, *name ? "/" : "", name, tail) < 0
		   ? NULL
		   : path;
}

int statefile_damaged(const char *state_dir, const uint8_t repo[REPO_ID_BYTES], const char *name,
		      const char *what, struct err *err)
{
	char *path = path_of(state_dir, repo, name, "");
	int r = path ? err_set(err, ERR_DAMAGED, "%s: %s", path, what) : err_nomem(err);

	free(path);
	return r;
}

static int read_fd(int fd, const char *path, size_t most, struct buf *out, struct err *err)
{
	size_t before = out->len;
	uint8_t piece[4096];
	ssize_t got;

	while ((got = read(fd, piece, sizeof(piece))) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) /* such as a folder of that name */
			return err_sys(err, errno, "%s", path);
		if (out->len - before + (size_t)got > most)
			return err_set(err, ERR_LIMIT, "%s: larger than it can be", path);
		buf_put(out, piece, (size_t)got);
	}
	return buf_check(out, err);
}

int statefile_read(const char *state_dir, const uint8_t repo[REPO_ID_BYTES], const char *name,
		   size_t most_bytes, struct buf *out, struct err *err)
{
	char *path = path_of(state_dir, repo, name, "");
	int fd, r = 0;

	if (!path)
		return err_nomem(err);
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0)
		r = read_fd(fd, path, most_bytes, out, err);
	else if (errno != ENOENT)
		r = err_sys(err, errno, "%s", path);
	if (fd >= 0)
		(void)close(fd);
	free(path);
	return r;
}

static int write_fd(int fd, const char *path, const uint8_t *bytes, size_t len, struct err *err)
{
	while (len) {
		ssize_t put = write(fd, bytes, len);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return err_sys(err, errno, "%s", path);
		bytes += put;
		len -= (size_t)put;
	}
	return fsync(fd) == 0 ? 0 : err_sys(err, errno, "%s", path);
}

/* The name that was given is on the disk, too. */
static int sync_folder(const char *folder, struct err *err)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd >= 0 && fsync(fd) == 0 ? 0 : err_sys(err, errno, "%s", folder);

	if (fd >= 0)
		(void)close(fd);
	return r;
}

int statefile_write(const char *state_dir, const uint8_t repo[REPO_ID_BYTES], const char *name,
		    const void *bytes, size_t len, struct err *err)
{
	char *folder = path_of(state_dir, repo, "", "");
	char *path = path_of(state_dir, repo, name, ""),
	     *temp = path_of(state_dir, repo, name, ".new");
	int fd = -1, r = folder && path && temp ? 0 : err_nomem(err);

	if (!r && mkdir(folder, 0700) != 0 && errno != EEXIST)
		r = err_sys(err, errno, "%s", folder);
	if (!r) {
		(void)unlink(temp);
		fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		r = fd < 0 ? err_sys(err, errno, "%s", temp) : write_fd(fd, temp, bytes, len, err);
	}
	if (fd >= 0 && close(fd) != 0 && !r)
		r = err_sys(err, errno, "%s", temp);
	if (!r && rename(temp, path) != 0)
		r = err_sys(err, errno, "%s", path);
	if (!r)
		r = sync_folder(folder, err);
	else if (temp)
		(void)unlink(temp);
	free(folder);
	free(path);
	free(temp);
	return r;
}

int statefile_lock(const char *state_dir, const uint8_t repo[REPO_ID_BYTES], int *out_fd,
		   struct err *err)
{
	char *folder = path_of(state_dir, repo, "", "");
	int fd = -1, r = folder ? 0 : err_nomem(err);

	if (!r && mkdir(folder, 0700) != 0 && errno != EEXIST)
		r = err_sys(err, errno, "%s", folder);
	if (!r)
		fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!r && fd < 0)
		r = err_sys(err, errno, "%s", folder);
	while (!r && flock(fd, LOCK_EX) != 0) {
		if (errno != EINTR)
			r = err_sys(err, errno, "%s", folder);
	}
	if (r && fd >= 0)
		(void)close(fd);
	*out_fd = r ? -1 : fd;
	free(folder);
	return r;
}
