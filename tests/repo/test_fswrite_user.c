/* fswrite as an ordinary user, and what it does with what is at the target already. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "repo/fsread.h"
#include "repo/fswrite.h"
#include "tests/support/fswbox.h"
#include "tests/support/sandbox.h"

/* ---- as an ordinary user ---- */

static int ordinary_user(void *arg)
{
	struct fswbox *b = arg;
	struct fsw_attrs attrs = fswbox_attrs(06755);
	struct stat st;
	struct err err = {0};

	/* our own: no warning, bits kept */
	SANDBOX_CHECK(fswbox_put(b->w, "own", "x", &attrs, &err) == 0);
	SANDBOX_CHECK(fstatat(b->fd, "own", &st, 0) == 0);
	SANDBOX_CHECK((st.st_mode & 07777) == 06755);
	SANDBOX_CHECK(b->warnings == 0);
	/* another's: warned of, and the bits that would speak for the wrong owner are left out */
	attrs.uid = 1;
	SANDBOX_CHECK(fswbox_put(b->w, "other", "x", &attrs, &err) == 0);
	SANDBOX_CHECK(fstatat(b->fd, "other", &st, 0) == 0);
	SANDBOX_CHECK((st.st_mode & 07777) == 02755);
	SANDBOX_CHECK(b->warnings == 2);
	attrs.gid = 1;
	SANDBOX_CHECK(fswbox_put(b->w, "other", "x", &attrs, &err) == 0);
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
	struct fswbox *b = *state;

	if (geteuid() == 0)
		assert_int_equal(fchown(b->fd, 65534, 65534), 0);
	assert_int_equal(sandbox_as_nobody(ordinary_user, b), 0);
	assert_int_equal(fswbox_entries(b->fd), 3);
}

static void test_refused_xattr_is_a_warning(void **state)
{
	struct fsw_xattr x = {"nonsense.name", (const uint8_t *)"v", 1};
	struct fswbox *b = *state;
	struct fsw_attrs attrs = fswbox_attrs(0640);
	struct err err = {0};

	attrs.xattrs = &x;
	attrs.xattr_count = 1;
	assert_int_equal(fswbox_put(b->w, "f", "x", &attrs, &err), 0);
	assert_int_equal(b->warnings, 1);
	assert_non_null(strstr(b->last_warning, "nonsense.name"));
	fswbox_assert_content(b, "f", "x");
}

/* ---- the target, and moving aside ---- */

static void test_open_target(void **state)
{
	struct fswbox *b = *state;
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

/* Whatever lies there of a set keeps belonging together, under names that nothing of a set has. */
static void test_move_aside(void **state)
{
	struct fswbox *b = *state;
	struct fsw_attrs attrs = fswbox_attrs(0600);
	struct fsw_aside aside = {0};
	struct err err = {0};
	char last[64] = "";
	size_t len = strlen("db.before-restore-YYYYMMDDTHHMMSS");

	assert_int_equal(fsw_aside(b->w, "db", &aside, &err), 0);
	assert_null(aside.name);
	assert_int_equal(fsw_aside(b->w, "no/db", &aside, &err), 0);
	assert_null(aside.name);
	assert_int_equal(err.code, 0);
	for (int i = 0; i < 3; i++) {
		char path[128];

		assert_int_equal(fswbox_put(b->w, "db-wal", "log", &attrs, &err), 0);
		assert_int_equal(fsw_aside(b->w, "db", &aside, &err), 0);
		assert_true(aside.wal && !aside.database && !aside.shm && !aside.journal);
		assert_memory_equal(aside.name, "db.before-restore-2", 19);
		assert_int_equal(aside.name[len], 'Z');
		assert_string_not_equal(aside.name, last);
		(void)snprintf(path, sizeof(path), "%s-wal", aside.name);
		fswbox_assert_content(b, path, "log");
		(void)snprintf(last, sizeof(last), "%s", aside.name);
		fsw_aside_wipe(&aside);
	}
	assert_int_equal(fswbox_entries(b->fd), 3);
}

/* A folder cannot have a second name: the set is renamed. */
static void test_move_aside_without_links(void **state)
{
	struct fswbox *b = *state;
	struct fsw_attrs attrs = fswbox_attrs(0600);
	struct fsw_aside aside = {0};
	struct err err = {0};
	struct fsw_file *f = NULL;
	char path[128];

	assert_int_equal(fswbox_put(b->w, "db", "old", &attrs, &err), 0);
	assert_int_equal(fswbox_put(b->w, "db-wal", "log", &attrs, &err), 0);
	assert_int_equal(fsw_mkdir(b->w, "db-shm", NULL, &err), 0);
	assert_int_equal(fsw_file_begin(b->w, "db", 3, &f, &err), 0);
	assert_int_equal(fsw_file_write(f, 0, "new", 3, &err), 0);
	assert_int_equal(fsw_file_commit_aside(f, &attrs, &aside, &err), 0);
	assert_true(aside.wal && aside.database && aside.shm && !aside.journal);
	fswbox_assert_content(b, "db", "new");
	fswbox_assert_content(b, aside.name, "old");
	(void)snprintf(path, sizeof(path), "%s-wal", aside.name);
	fswbox_assert_content(b, path, "log");
	assert_int_equal(fswbox_entries(b->fd), 4);
	fsw_aside_wipe(&aside);
	/* and a folder that has the database's own name stays */
	assert_int_equal(fsw_mkdir(b->w, "d", NULL, &err), 0);
	assert_int_equal(fsw_aside(b->w, "d", &aside, &err), -ERR_EXISTS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    FSWBOX_TEST(test_as_nobody),
	    FSWBOX_TEST(test_refused_xattr_is_a_warning),
	    FSWBOX_TEST(test_open_target),
	    FSWBOX_TEST(test_move_aside),
	    FSWBOX_TEST(test_move_aside_without_links),
	};

	return cmocka_run_group_tests_name("fswrite_user", tests, NULL, NULL);
}
