#include "repo/statefile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "repo/durable.h"

void statefile_hex(const uint8_t repo[REPO_ID_BYTES], char out[STATEFILE_HEX_CHARS + 1])
{
	(void)sodium_bin2hex(out, STATEFILE_HEX_CHARS + 1, repo, REPO_ID_BYTES);
}

static int read_whole(int fd, const char *path, struct buf *out, struct err *err)
{
	char bytes[4096];
	size_t total = 0;
	ssize_t got;

	do {
		got = read(fd, bytes, sizeof(bytes));
		if (got < 0 && errno != EINTR)
			return err_sys(err, errno, "%s", path);
		if (got > 0) {
			total += (size_t)got;
			buf_put(out, bytes, (size_t)got);
		}
		if (total > STATEFILE_BYTES)
			return err_set(err, ERR_DAMAGED, "%s: longer than it can be", path);
	} while (got != 0);
	return buf_check(out, err);
}

int statefile_load(const char *state_dir, const char *repo_hex, const char *name, struct buf *out,
		   struct err *err)
{
	struct stat st;
	char *path;
	int fd, r = 0;

	if (asprintf(&path, "%s/%s/%s", state_dir, repo_hex, name) < 0)
		return err_nomem(err);
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && errno != ENOENT)
		r = err_sys(err, errno, "%s", path);
	else if (fd >= 0 && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)))
		r = err_set(err, ERR_DAMAGED, "%s: is no file", path);
	else if (fd >= 0)
		r = read_whole(fd, path, out, err);
	if (fd >= 0)
		(void)close(fd);
	free(path);
	return r ? r : fd >= 0;
}

int statefile_save(const char *state_dir, const char *repo_hex, const char *name, const void *bytes,
		   size_t len, struct err *err)
{
	char *folder = NULL, *path = NULL;
	int r = 0;

	if (asprintf(&folder, "%s/%s", state_dir, repo_hex) < 0)
		return err_nomem(err);
	if (asprintf(&path, "%s/%s", folder, name) < 0) {
		path = NULL;
		r = err_nomem(err);
	}
	if (!r && mkdir(folder, 0700) != 0 && errno != EEXIST)
		r = err_sys(err, errno, "%s", folder);
	if (!r)
		r = durable_replace(path, 0600, bytes, len, err);
	free(folder);
	free(path);
	return r;
}
