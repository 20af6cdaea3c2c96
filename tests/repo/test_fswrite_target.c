/* fswrite: the file being written, ordinary users, full disks, the target folder, moving aside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "repo/fsread.h"
#include "repo/fswrite.h"
#include "tests/support/fsw_box.h"
#include "tests/support/sandbox.h"

/* ---- the file being written ---- */

static void test_commit_and_abort(void **state)
{
	struct fsw_box *b = *state;
	struct fsw_attrs attrs = fsw_box_attrs(0600);
	struct fsw_file *f = NULL, *g = NULL;
	struct err err = {0};
	int fd;

	assert_int_equal(fsw_box_put(b->w, "f", "before", &attrs, &err), 0);
	assert_int_equal(fsw_file_begin(b->w, "f", 5, &f, &err), 0);
	assert_int_equal(fsw_file_begin(b->w, "f", 6, &g, &err), 0);
	assert_int_equal(fsw_file_write(f, 0, "after", 5, &err), 0);
	fsw_box_content(b, "f", "before");
	/* whoever opens the temporary path has the same file */
	fd = open(fsw_file_temp_path(f), O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "A", 1, 0), 1);
	assert_int_equal(close(fd), 0);
	fsw_file_abort(g);
	assert_int_equal(fsw_box_entries(b->fd), 2);
	assert_int_equal(fsw_file_commit(f, &attrs, &err), 0);
	fsw_box_content(b, "f", "After");
	assert_int_equal(fsw_box_entries(b->fd), 1);
	fsw_file_abort(NULL);
}

/* More folders than are kept open, with files open in folders that are kept no longer. */
static void test_many_folders_at_once(void **state)
{
	struct fsw_box *b = *state;
	struct fsw_attrs attrs = fsw_box_attrs(0600);
	struct fsw_file *f[40];
	struct err err = {0};
	char path[32];

	for (int i = 0; i < 40; i++) {
		(void)snprintf(path, sizeof(path), "d%d", i);
		assert_int_equal(fsw_mkdir(b->w, path, NULL, &err), 0);
		strcat(path, "/f");
		assert_int_equal(fsw_file_begin(b->w, path, 1, &f[i], &err), 0);
	}
	for (int i = 0; i < 40; i++) {
		assert_int_equal(fsw_file_write(f[i], 0, "y", 1, &err), 0);
		assert_int_equal(fsw_file_commit(f[i], &attrs, &err), 0);
		(void)snprintf(path, sizeof(path), "d%d/f", i);
		fsw_box_content(b, path, "y");
	}
	assert_int_equal(fsw_finish(b->w, &err), 0);
}

static int fill_up(void *arg)
{
	struct fsw_box *b = arg;
	struct rlimit limit = {.rlim_cur = 100000, .rlim_max = 100000};
	struct fsw_attrs attrs = fsw_box_attrs(0600);
	struct fsw_file *f = NULL;
	struct err err = {0};

	(void)signal(SIGXFSZ, SIG_IGN);
	SANDBOX_CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	SANDBOX_CHECK(fsw_file_begin(b->w, "d/big", 100001, &f, &err) == -ERR_FULL);
	SANDBOX_CHECK(strstr(err.text, "d/big"));
	SANDBOX_CHECK(fsw_file_begin(b->w, "d/fits", 100000, &f, &err) == 0);
	SANDBOX_CHECK(fsw_file_write(f, 99999, "x", 1, &err) == 0);
	limit.rlim_cur = 10;
	SANDBOX_CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	SANDBOX_CHECK(fsw_file_write(f, 5, "0123456789", 10, &err) == -ERR_FULL);
	SANDBOX_CHECK(strstr(err.text, "d/fits"));
	fsw_file_abort(f);
	SANDBOX_CHECK(fsw_box_put(b->w, "d/small", "x", &attrs, &err) == 0);
	return 0;
}

static void test_file_size_limit(void **state)
{
	struct fsw_box *b = *state;
	struct err err = {0};
	int fd;

	assert_int_equal(fsw_mkdir(b->w, "d", NULL, &err), 0);
	assert_int_equal(fchown(b->fd, 65534, 65534) == 0 || geteuid() != 0, 1);
	assert_int_equal(fchmodat(b->fd, "d", 0777, 0), 0);
	assert_int_equal(sandbox_as_nobody(fill_up, b), 0);
	fd = openat(b->fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fsw_box_entries(fd), 1); /* d/small; no temporary file */
	assert_int_equal(close(fd), 0);
}

/* ---- as an ordinary user ---- */

static int ordinary_user(void *arg)
{
	struct fsw_box *b = arg;
	struct fsw_attrs attrs = fsw_box_attrs(06755);
	struct stat st;
	struct err err = {0};

	/* our own: no warning, bits kept */
	SANDBOX_CHECK(fsw_box_put(b->w, "own", "x", &attrs, &err) == 0);
	SANDBOX_CHECK(fstatat(b->fd, "own", &st, 0) == 0);
	SANDBOX_CHECK((st.st_mode & 07777) == 06755);
	SANDBOX_CHECK(b->warnings == 0);
	/* another's: warned of, and the bits that would speak for the wrong owner are left out */
	attrs.uid = 1;
	SANDBOX_CHECK(fsw_box_put(b->w, "other", "x", &attrs, &err) == 0);
	SANDBOX_CHECK(fstatat(b->fd, "other", &st, 0) == 0);
	SANDBOX_CHECK((st.st_mode & 07777) == 02755);
	SANDBOX_CHECK(b->warnings == 2);
	attrs.gid = 1;
	SANDBOX_CHECK(fsw_box_put(b->w, "other", "x", &attrs, &err) == 0);
	SANDBOX_CHECK(fstatat(b->fd, "other", &st, 0) == 0);
	SANDBOX_CHECK((st.st_mode & 07777) == 0755);
	SANDBOX_CHECK(st.st_mtim.tv_nsec == attrs.mtime_ns);
	SANDBOX_CHECK(b->warnings == 4);
	SANDBOX_CHECK(strstr(b->last_warning, "other: setuid"));
	SANDBOX_CHECK(fsw_symlink(b->w, "link", "x", &attrs, &err) == 0);
	SANDBOX_CHECK(b->warnings == 5);
	SANDBOX_CHECK(strstr(b->last_warning, "link: cannot set the owner 1:1"));
	SANDBOX_CHECK(fsw_special(b->w, "dev", S_IFCHR, 1, 3, &attrs, &err) == -ERR_IO);
	SANDBOX_CHECK(err.sys_errno == EPERM);
	SANDBOX_CHECK(fsw_finish(b->w, &err) == 0);
	return 0;
}

static void test_as_nobody(void **state)
{
	struct fsw_box *b = *state;

	if (geteuid() == 0)
		assert_int_equal(fchown(b->fd, 65534, 65534), 0);
	assert_int_equal(sandbox_as_nobody(ordinary_user, b), 0);
	assert_int_equal(fsw_box_entries(b->fd), 3);
}

static void test_refused_xattr_is_a_warning(void **state)
{
	struct fsw_xattr x = {"nonsense.name", (const uint8_t *)"v", 1};
	struct fsw_box *b = *state;
	struct fsw_attrs attrs = fsw_box_attrs(0640);
	struct err err = {0};

	attrs.xattrs = &x;
	attrs.xattr_count = 1;
	assert_int_equal(fsw_box_put(b->w, "f", "x", &attrs, &err), 0);
	assert_int_equal(b->warnings, 1);
	assert_non_null(strstr(b->last_warning, "nonsense.name"));
	fsw_box_content(b, "f", "x");
}

/* ---- the target, and moving aside ---- */

static void test_open_target(void **state)
{
	struct fsw_box *b = *state;
	struct fsw *w = NULL;
	struct err err = {0};
	char *deep = sandbox_path(b->dir, "x/y//z/"), *file = sandbox_path(b->dir, "file");
	char *below = sandbox_path(b->dir, "file/below"), *link = sandbox_path(b->dir, "link");
	struct stat st;

	assert_int_equal(fsw_open(deep, NULL, NULL, &w, &err), 0);
	assert_int_equal(stat(deep, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	fsw_close(w);
	w = NULL;
	sandbox_write(file, "x");
	assert_int_equal(fsw_open(file, NULL, NULL, &w, &err), -ERR_IO);
	assert_non_null(strstr(err.text, file));
	assert_int_equal(fsw_open(below, NULL, NULL, &w, &err), -ERR_IO);
	assert_int_equal(fsw_open("", NULL, NULL, &w, &err), -ERR_IO);
	assert_null(w);
	/* the user's own symlink to the target is followed */
	assert_int_equal(symlink(b->target, link), 0);
	assert_int_equal(fsw_open(link, NULL, NULL, &w, &err), 0);
	assert_int_equal(fsw_mkdir(w, "through", NULL, &err), 0);
	assert_int_equal(fstatat(b->fd, "through", &st, 0), 0);
	fsw_close(w);
	fsw_close(NULL);
	free(deep);
	free(file);
	free(below);
	free(link);
}

static void test_move_aside(void **state)
{
	struct fsw_box *b = *state;
	struct fsw_attrs attrs = fsw_box_attrs(0600);
	struct err err = {0};
	bool moved = true;
	char **names = NULL;
	size_t count = 0;

	assert_int_equal(fsw_move_aside(b->w, "db-wal", &moved, &err), 0);
	assert_false(moved);
	assert_int_equal(fsw_move_aside(b->w, "no/db-wal", &moved, &err), 0);
	assert_false(moved);
	assert_int_equal(err.code, 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(fsw_box_put(b->w, "db-wal", "stale", &attrs, &err), 0);
		assert_int_equal(fsw_move_aside(b->w, "db-wal", &moved, &err), 0);
		assert_true(moved);
	}
	assert_int_equal(fs_list(b->fd, "t", &names, &count, &err), 0);
	assert_int_equal(count, 3);
	for (size_t i = 0; i < count; i++) {
		assert_memory_equal(names[i], "db-wal.before-restore-2", 23);
		assert_int_equal(names[i][strlen("db-wal.before-restore-YYYYMMDDTHHMMSS")], 'Z');
		fsw_box_content(b, names[i], "stale");
	}
	free(names);
}

/* A folder that was moved aside is not written to any more under its old path. */
static void test_move_aside_folder(void **state)
{
	struct fsw_box *b = *state;
	struct fsw_attrs attrs = fsw_box_attrs(0600);
	struct err err = {0};
	bool moved = false;

	assert_int_equal(fsw_mkdir(b->w, "d", NULL, &err), 0);
	assert_int_equal(fsw_box_put(b->w, "d/f", "old", &attrs, &err), 0);
	assert_int_equal(fsw_move_aside(b->w, "d", &moved, &err), 0);
	assert_true(moved);
	assert_int_equal(fsw_box_put(b->w, "d/f", "new", &attrs, &err), -ERR_MISSING);
	assert_int_equal(fsw_mkdir(b->w, "d", NULL, &err), 0);
	assert_int_equal(fsw_box_put(b->w, "d/f", "new", &attrs, &err), 0);
	fsw_box_content(b, "d/f", "new");
}

#define T(f) cmocka_unit_test_setup_teardown(f, fsw_box_setup, fsw_box_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_commit_and_abort), T(test_many_folders_at_once),       T(test_file_size_limit),
	    T(test_as_nobody),        T(test_refused_xattr_is_a_warning), T(test_open_target),
	    T(test_move_aside),       T(test_move_aside_folder),
	};

	return cmocka_run_group_tests_name("fswrite_target", tests, NULL, NULL);
}
