/* durable_replace: the old file or the new one, whole, with the mode that was asked for, and nothing else in the folder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "repo/durable.h"
#include "tests/support/must.h"
#include "tests/support/tmpdir.h"

static void assert_file(const char *path, const char *want, unsigned mode)
{
	char got[64] = "";
	struct stat st;
	int fd = open(path, O_RDONLY | O_NOFOLLOW);

	assert_true(fd >= 0);
	assert_int_equal(read(fd, got, sizeof(got) - 1), strlen(want));
	assert_string_equal(got, want);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, mode);
	(void)close(fd);
}

static int count(const char *dir)
{
	DIR *d = opendir(dir);
	int n = -2;

	assert_non_null(d);
	while (readdir(d))
		n++;
	(void)closedir(d);
	return n;
}

static void replaces(void **state)
{
	char *dir = tmpdir_make(), *path = tmpdir_path(dir, "f");
	struct err err = {0};
	mode_t old = umask(077);

	(void)state;
	MUST(durable_replace(path, 0644, "one", 3, &err), &err);
	assert_file(path, "one", 0644);
	MUST(durable_replace(path, 0600, "2", 1, &err), &err);
	assert_file(path, "2", 0600);
	MUST(durable_replace(path, 0600, "", 0, &err), &err);
	assert_file(path, "", 0600);
	assert_int_equal(count(dir), 1);
	(void)umask(old);
	free(path);
	tmpdir_remove(dir);
}

static void a_symlink_itself(void **state)
{
	char *dir = tmpdir_make(), *path = tmpdir_path(dir, "f"), *other = tmpdir_path(dir, "o");
	struct err err = {0};

	(void)state;
	MUST(durable_replace(other, 0600, "other", 5, &err), &err);
	assert_int_equal(symlink(other, path), 0);
	MUST(durable_replace(path, 0600, "new", 3, &err), &err);
	assert_file(path, "new", 0600);
	assert_file(other, "other", 0600);
	free(path);
	free(other);
	tmpdir_remove(dir);
}

static void failures_leave_what_was(void **state)
{
	char *dir = tmpdir_make(), *path = tmpdir_path(dir, "f"), *none = tmpdir_path(dir, "no/f");
	struct err err = {0};

	(void)state;
	assert_int_equal(durable_replace(none, 0600, "x", 1, &err), -ERR_MISSING);
	assert_non_null(strstr(err.text, none));
	assert_int_equal(mkdir(path, 0700), 0); /* a folder of that name */
	assert_int_not_equal(durable_replace(path, 0600, "x", 1, &err), 0);
	assert_int_equal(count(dir), 1);
	assert_int_equal(count(path), 0);
	free(none);
	free(path);
	tmpdir_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(replaces),
	    cmocka_unit_test(a_symlink_itself),
	    cmocka_unit_test(failures_leave_what_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
