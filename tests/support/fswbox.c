#include "tests/support/fswbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "repo/fsread.h"
#include "tests/support/sandbox.h"

static void count_warning(void *arg, const char *path, const char *text)
{
	struct fswbox *b = arg;

	b->warnings++;
	(void)snprintf(b->last_warning, sizeof(b->last_warning), "%s: %s", path, text);
}

int fswbox_setup(void **state)
{
	struct fswbox *b = calloc(1, sizeof(*b));
	struct err err = {0};

	assert_non_null(b);
	b->dir = sandbox_new();
	b->target = sandbox_path(b->dir, "target");
	assert_int_equal(fsw_open(b->target, count_warning, b, &b->w, &err), 0);
	b->fd = open(b->target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(b->fd >= 0);
	*state = b;
	return 0;
}

int fswbox_teardown(void **state)
{
	struct fswbox *b = *state;

	fsw_close(b->w);
	(void)close(b->fd);
	free(b->target);
	sandbox_remove(b->dir);
	free(b);
	return 0;
}

struct fsw_attrs fswbox_attrs(uint32_t mode)
{
	return (struct fsw_attrs){.mode = mode,
				  .uid = geteuid(),
				  .gid = getegid(),
				  .user = "",
				  .group = "",
				  .mtime_s = 1000000000,
				  .mtime_ns = 987654321};
}

int fswbox_put(struct fsw *w, const char *path, const char *text, const struct fsw_attrs *attrs,
	       struct err *err)
{
	struct fsw_file *f = NULL;
	size_t len = strlen(text);
	int rc = fsw_file_begin(w, path, len, &f, err);

	if (rc != 0)
		return rc;
	rc = fsw_file_write(f, 0, text, len, err);
	if (rc != 0) {
		fsw_file_abort(f);
		return rc;
	}
	return fsw_file_commit(f, attrs, err);
}

size_t fswbox_entries(int dirfd)
{
	struct err err = {0};
	char **names = NULL;
	size_t count = 0;

	assert_int_equal(fs_list(dirfd, "target", &names, &count, &err), 0);
	free(names);
	return count;
}

void fswbox_assert_content(const struct fswbox *b, const char *path, const char *want)
{
	char got[256];
	int fd = openat(b->fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t n;

	assert_true(fd >= 0);
	n = read(fd, got, sizeof(got) - 1);
	assert_true(n >= 0);
	got[n] = '\0';
	assert_string_equal(got, want);
	assert_int_equal(close(fd), 0);
}
