/* fswrite: content and attributes come back as they were, and failures leave nothing behind. */
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
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "repo/fsread.h"
#include "repo/fswrite.h"
#include "tests/support/fswbox.h"
#include "tests/support/sandbox.h"

/* ---- round trips ---- */

static void test_file_round_trip(void **state)
{
	struct fswbox *b = *state;
	struct fsw_xattr x[2] = {{"user.empty", (const uint8_t *)"", 0},
				 {"user.nul", (const uint8_t *)"a\0b", 3}};
	struct fsw_attrs attrs = fswbox_attrs(0444);
	struct fs_meta m = {0};
	struct err err = {0};

	attrs.xattrs = x;
	attrs.xattr_count = 2;
	assert_int_equal(fswbox_put(b->w, "file", "content", &attrs, &err), 0);
	fswbox_assert_content(b, "file", "content");
	assert_int_equal(fs_meta_read(b->fd, "file", "file", &m, &err), 0);
	assert_int_equal(m.st.st_mode, S_IFREG | 0444);
	assert_int_equal(m.st.st_mtim.tv_sec, 1000000000);
	assert_int_equal(m.st.st_mtim.tv_nsec, 987654321);
	if (b->warnings == 0) {
		assert_int_equal(m.xattr_count, 2);
		assert_string_equal(m.xattrs[1].name, "user.nul");
		assert_memory_equal(m.xattrs[1].value, "a\0b", 3);
		assert_int_equal(m.xattrs[0].value_len, 0);
	}
	fs_meta_wipe(&m);
	assert_int_equal(fswbox_entries(b->fd), 1);
	assert_int_equal(fsw_finish(b->w, &err), 0);
}

static void test_times_before_1970_and_empty_file(void **state)
{
	struct fswbox *b = *state;
	struct fsw_attrs attrs = fswbox_attrs(0600);
	struct stat st;
	struct err err = {0};

	attrs.mtime_s = -1000;
	attrs.mtime_ns = 1;
	assert_int_equal(fswbox_put(b->w, "old", "", &attrs, &err), 0);
	assert_int_equal(fstatat(b->fd, "old", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mtim.tv_sec, -1000);
	assert_int_equal(st.st_mtim.tv_nsec, 1);
	assert_int_equal(st.st_size, 0);
}

static void test_owner_and_setuid_as_root(void **state)
{
	/* cap_net_raw+p, revision 2 */
	const uint8_t cap[20] = {1, 0, 0, 2, 0, 0x20};
	struct fsw_xattr x = {"security.capability", cap, sizeof(cap)};
	struct fswbox *b = *state;
	struct fsw_attrs attrs = fswbox_attrs(06755);
	struct fs_meta m = {0};
	struct err err = {0};

	if (geteuid() != 0)
		skip(); /* only root gives files away */
	attrs.uid = 12345;
	attrs.gid = 23456;
	attrs.xattrs = &x;
	attrs.xattr_count = 1;
	assert_int_equal(fswbox_put(b->w, "suid", "x", &attrs, &err), 0);
	assert_int_equal(fs_meta_read(b->fd, "suid", "suid", &m, &err), 0);
	assert_int_equal(m.st.st_mode, S_IFREG | 06755);
	assert_int_equal(m.st.st_uid, 12345);
	assert_int_equal(m.st.st_gid, 23456);
	if (b->warnings == 0) {
		assert_int_equal(m.xattr_count, 1);
		assert_memory_equal(m.xattrs[0].value, cap, sizeof(cap));
	}
	fs_meta_wipe(&m);
	/* a name that this machine knows wins, one that it does not know leaves the number */
	attrs.user = "root";
	attrs.group = "no such group here";
	for (int i = 0; i < 2; i++) {
		assert_int_equal(fswbox_put(b->w, "named", "x", &attrs, &err), 0);
		assert_int_equal(fs_meta_read(b->fd, "named", "named", &m, &err), 0);
		assert_int_equal(m.st.st_uid, 0);
		assert_int_equal(m.st.st_gid, 23456);
		fs_meta_wipe(&m);
	}
}

static void test_acl(void **state)
{
	/* version 2; user::rw- user:7:r-- group::r-- mask::r-- other::--- */
	static const uint8_t acl[] = {
	    2, 0, 0,    0,    1,    0,    6,    0, 0xff, 0xff, 0xff, 0xff, 2,    0,    4,
	    0, 7, 0,    0,    0,    4,    0,    4, 0,    0xff, 0xff, 0xff, 0xff, 0x10, 0,
	    4, 0, 0xff, 0xff, 0xff, 0xff, 0x20, 0, 0,    0,    0xff, 0xff, 0xff, 0xff};
	struct fsw_xattr x = {"system.posix_acl_access", acl, sizeof(acl)};
	struct fswbox *b = *state;
	struct fsw_attrs attrs = fswbox_attrs(0640), bare = fswbox_attrs(0640);
	struct fs_meta m = {0};
	struct err err = {0};

	attrs.xattrs = &x;
	attrs.xattr_count = 1;
	assert_int_equal(fswbox_put(b->w, "acl", "x", &attrs, &err), 0);
	if (b->warnings > 0)
		skip(); /* the file system below TMPDIR has no ACLs */
	assert_int_equal(fs_meta_read(b->fd, "acl", "acl", &m, &err), 0);
	assert_int_equal(m.st.st_mode & 0777, 0640);
	assert_int_equal(m.xattr_count, 1);
	assert_int_equal(m.xattrs[0].value_len, sizeof(acl));
	assert_memory_equal(m.xattrs[0].value, acl, sizeof(acl));
	fs_meta_wipe(&m);
	/* what the folder would pass on is not taken over */
	assert_int_equal(fsetxattr(b->fd, "system.posix_acl_default", acl, sizeof(acl), 0), 0);
	assert_int_equal(fswbox_put(b->w, "bare", "x", &bare, &err), 0);
	assert_int_equal(fsw_mkdir(b->w, "sub", NULL, &err), 0);
	assert_int_equal(fsw_attrs_set(b->w, "sub", &bare, &err), 0);
	assert_int_equal(fs_meta_read(b->fd, "bare", "bare", &m, &err), 0);
	assert_int_equal(m.xattr_count, 0);
	fs_meta_wipe(&m);
	assert_int_equal(fs_meta_read(b->fd, "sub", "sub", &m, &err), 0);
	assert_int_equal(m.xattr_count, 0);
	fs_meta_wipe(&m);
}

static void test_sparse(void **state)
{
	struct fswbox *b = *state;
	struct fsw_attrs attrs = fswbox_attrs(0600);
	struct fsw_file *f = NULL;
	struct stat st;
	struct err err = {0};
	const uint64_t size = 64u << 20;
	char got[8];

	assert_int_equal(fsw_file_begin(b->w, "sparse", size, &f, &err), 0);
	assert_int_equal(fsw_file_write(f, size / 2, "middle", 6, &err), 0);
	assert_int_equal(fsw_file_read(f, size / 2 - 1, got, 8, &err), 0);
	assert_memory_equal(got, "\0middle\0", 8);
	assert_int_equal(fsw_file_write(f, size - 1, "xx", 2, &err), -ERR_DAMAGED);
	assert_int_equal(fsw_file_write(f, UINT64_MAX, "xx", 2, &err), -ERR_DAMAGED);
	assert_int_equal(fsw_file_read(f, size, got, 1, &err), -ERR_DAMAGED);
	assert_int_equal(fsw_file_write(f, size, "", 0, &err), 0);
	assert_int_equal(fsw_file_commit(f, &attrs, &err), 0);
	assert_int_equal(fstatat(b->fd, "sparse", &st, 0), 0);
	assert_int_equal(st.st_size, size);
	assert_true(st.st_blocks * 512 < (1 << 20));
}

static void test_symlink(void **state)
{
	struct fswbox *b = *state;
	struct fsw_attrs attrs = fswbox_attrs(0777);
	struct fs_meta m = {0};
	struct err err = {0};

	if (geteuid() == 0)
		attrs.uid = 777;
	for (int i = 0; i < 2; i++) { /* the second replaces the first */
		assert_int_equal(
		    fsw_symlink(b->w, "link", i ? "/dev/null" : "nowhere\xff", &attrs, &err), 0);
		assert_int_equal(fs_meta_read(b->fd, "link", "link", &m, &err), 0);
		assert_string_equal(m.target, i ? "/dev/null" : "nowhere\xff");
		assert_int_equal(m.st.st_uid, attrs.uid);
		assert_int_equal(m.st.st_mtim.tv_sec, attrs.mtime_s);
		assert_int_equal(m.st.st_mtim.tv_nsec, attrs.mtime_ns);
		fs_meta_wipe(&m);
	}
	assert_int_equal(b->warnings, 0);
	assert_int_equal(fswbox_entries(b->fd), 1);
	/* nothing of it reached what it points at */
	assert_int_equal(fs_meta_read(AT_FDCWD, "/dev/null", "null", &m, &err), 0);
	assert_int_not_equal(m.st.st_uid, 777);
	assert_int_not_equal(m.st.st_mtim.tv_sec, attrs.mtime_s);
	fs_meta_wipe(&m);
}

static void test_hardlink(void **state)
{
	struct fswbox *b = *state;
	struct fsw_attrs attrs = fswbox_attrs(0600);
	struct stat one, two;
	struct err err = {0};

	assert_int_equal(fswbox_put(b->w, "one", "1", &attrs, &err), 0);
	assert_int_equal(fswbox_put(b->w, "two", "2", &attrs, &err), 0);
	assert_int_equal(fsw_mkdir(b->w, "d", NULL, &err), 0);
	/* onto another file, and again onto itself, which rename treats as nothing to do */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(fsw_hardlink(b->w, "one", "two", &err), 0);
		assert_int_equal(fsw_hardlink(b->w, "one", "d/three", &err), 0);
		assert_int_equal(fswbox_entries(b->fd), 3);
	}
	assert_int_equal(fstatat(b->fd, "one", &one, 0), 0);
	assert_int_equal(fstatat(b->fd, "d/three", &two, 0), 0);
	assert_int_equal(one.st_ino, two.st_ino);
	assert_int_equal(one.st_nlink, 3);
	assert_int_equal(fsw_hardlink(b->w, "none", "x", &err), -ERR_MISSING);
	assert_non_null(strstr(err.text, "none"));
	assert_int_equal(fsw_hardlink(b->w, "d", "x", &err), -ERR_IO);
	assert_int_equal(fsw_hardlink(b->w, "one", "d", &err), -ERR_EXISTS);
	/* a symlink is linked itself, never what it points at */
	assert_int_equal(symlinkat("/etc/passwd", b->fd, "link"), 0);
	assert_int_equal(fsw_hardlink(b->w, "link", "link2", &err), 0);
	assert_int_equal(fstatat(b->fd, "link2", &one, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISLNK(one.st_mode));
	assert_int_equal(fswbox_entries(b->fd), 5);
}

static void test_specials(void **state)
{
	struct fswbox *b = *state;
	struct fsw_attrs attrs = fswbox_attrs(0640);
	struct stat st;
	struct err err = {0};
	int rc;

	assert_int_equal(fsw_special(b->w, "fifo", S_IFIFO, 9, 9, &attrs, &err), 0);
	assert_int_equal(fsw_special(b->w, "socket", S_IFSOCK, 0, 0, &attrs, &err), 0);
	assert_int_equal(fstatat(b->fd, "fifo", &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFIFO | 0640);
	assert_int_equal(st.st_mtim.tv_nsec, attrs.mtime_ns);
	assert_int_equal(fstatat(b->fd, "socket", &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0640);
	rc = fsw_special(b->w, "dev", S_IFCHR, 1, 3, &attrs, &err);
	if (rc == 0) {
		assert_int_equal(fstatat(b->fd, "dev", &st, 0), 0);
		assert_int_equal(st.st_mode, S_IFCHR | 0640);
		assert_int_equal(st.st_rdev, makedev(1, 3));
	} else {
		assert_int_equal(rc, -ERR_IO);
		assert_int_equal(err.sys_errno, EPERM);
	}
	assert_int_equal(fsw_special(b->w, "x", S_IFREG, 0, 0, &attrs, &err), -ERR_DAMAGED);
	assert_int_equal(fsw_special(b->w, "x", S_IFDIR, 0, 0, &attrs, &err), -ERR_DAMAGED);
	assert_int_equal(fswbox_entries(b->fd), rc == 0 ? 3 : 2);
}

static void test_folders(void **state)
{
	struct fswbox *b = *state;
	struct fsw_attrs attrs = fswbox_attrs(0500);
	struct stat st;
	struct err err = {0};

	assert_int_equal(fsw_mkdir(b->w, "d", NULL, &err), 0);
	assert_int_equal(fsw_mkdir(b->w, "d", NULL, &err), 0);
	assert_int_equal(fsw_mkdir(b->w, "d/e", NULL, &err), 0);
	assert_int_equal(fswbox_put(b->w, "d/e/f", "x", &attrs, &err), 0);
	assert_int_equal(fstatat(b->fd, "d", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(fsw_attrs_set(b->w, "d/e", &attrs, &err), 0);
	attrs.mode = 03755;
	assert_int_equal(fsw_attrs_set(b->w, "d", &attrs, &err), 0);
	assert_int_equal(fsw_finish(b->w, &err), 0);
	assert_int_equal(fstatat(b->fd, "d", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 03755);
	assert_int_equal(st.st_mtim.tv_sec, attrs.mtime_s);
	assert_int_equal(fstatat(b->fd, "d/e", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0500);
	/* in each other's way */
	assert_int_equal(fsw_mkdir(b->w, "d/e/f", NULL, &err), -ERR_EXISTS);
	assert_int_equal(fsw_mkdir(b->w, "d/e/f/g", NULL, &err), -ERR_EXISTS);
	assert_non_null(strstr(err.text, "d/e/f: a file is in the way"));
	assert_int_equal(fswbox_put(b->w, "d/e", "x", &attrs, &err), -ERR_EXISTS);
	assert_int_equal(fsw_symlink(b->w, "d/e", "x", &attrs, &err), -ERR_EXISTS);
	assert_int_equal(fsw_attrs_set(b->w, "d/e/f", &attrs, &err), -ERR_EXISTS);
	assert_int_equal(fsw_mkdir(b->w, "no/d", NULL, &err), -ERR_MISSING);
	assert_int_equal(fswbox_put(b->w, "d/no/d/f", "x", &attrs, &err), -ERR_MISSING);
	assert_non_null(strstr(err.text, "d/no:"));
	assert_int_equal(fswbox_entries(b->fd), 1);
}

static void test_names_of_any_bytes(void **state)
{
	struct fswbox *b = *state;
	struct fsw_attrs attrs = fswbox_attrs(0600);
	struct err err = {0};
	char name[257];
	const char *odd[] = {"\xff\xfe", "a\nb", " ",  "...",  "..a",
			     "a..",      "-rf",  "\\", "%s%n", "~"};

	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		assert_int_equal(fswbox_put(b->w, odd[i], odd[i], &attrs, &err), 0);
		fswbox_assert_content(b, odd[i], odd[i]);
	}
	memset(name, '\xe9', 256);
	name[256] = '\0';
	assert_int_equal(fswbox_put(b->w, name, "x", &attrs, &err), -ERR_IO);
	assert_int_equal(err.sys_errno, ENAMETOOLONG);
	name[255] = '\0';
	assert_int_equal(fswbox_put(b->w, name, "long", &attrs, &err), 0);
	fswbox_assert_content(b, name, "long");
	assert_int_equal(fsw_symlink(b->w, name, "x", &attrs, &err), 0);
	assert_int_equal(fswbox_entries(b->fd), 11);
}

/* Deeper than PATH_MAX, where openat2 in one call gives up. */
static void test_deep_tree(void **state)
{
	struct fswbox *b = *state;
	struct fsw_attrs attrs = fswbox_attrs(0600);
	struct err err = {0};
	char *path = calloc(1, 100 * 101 + 8);
	size_t len = 0;

	assert_non_null(path);
	for (int i = 0; i < 100; i++) {
		memset(path + len, 'a' + i % 26, 100);
		len += 100;
		assert_int_equal(fsw_mkdir(b->w, path, NULL, &err), 0);
		path[len++] = '/';
	}
	strcpy(path + len, "file");
	assert_int_equal(fswbox_put(b->w, path, "deep", &attrs, &err), 0);
	assert_int_equal(fswbox_put(b->w, path, "deep", &attrs, &err), 0);
	assert_int_equal(fsw_finish(b->w, &err), 0);
	fsw_close(b->w);
	assert_int_equal(fsw_open(b->target, NULL, NULL, &b->w, &err), 0);
	assert_int_equal(fsw_hardlink(b->w, path, "up", &err), 0);
	fswbox_assert_content(b, "up", "deep");
	free(path);
}

/* ---- the file being written ---- */

static void test_commit_and_abort(void **state)
{
	struct fswbox *b = *state;
	struct fsw_attrs attrs = fswbox_attrs(0600);
	struct fsw_file *f = NULL, *g = NULL;
	struct err err = {0};

	assert_int_equal(fswbox_put(b->w, "f", "before", &attrs, &err), 0);
	assert_int_equal(fsw_file_begin(b->w, "f", 5, &f, &err), 0);
	assert_int_equal(fsw_file_begin(b->w, "f", 6, &g, &err), 0);
	assert_int_equal(fsw_file_write(f, 0, "after", 5, &err), 0);
	fswbox_assert_content(b, "f", "before");
	assert_int_equal(fsw_file_write(f, 0, "A", 1, &err), 0);
	fsw_file_abort(g);
	assert_int_equal(fswbox_entries(b->fd), 2);
	assert_int_equal(fsw_file_commit(f, &attrs, &err), 0);
	fswbox_assert_content(b, "f", "After");
	assert_int_equal(fswbox_entries(b->fd), 1);
	fsw_file_abort(NULL);
}

/* More folders than are kept open, with files open in folders that are kept no longer. */
static void test_many_folders_at_once(void **state)
{
	struct fswbox *b = *state;
	struct fsw_attrs attrs = fswbox_attrs(0600);
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
		fswbox_assert_content(b, path, "y");
	}
	assert_int_equal(fsw_finish(b->w, &err), 0);
}

static int fill_up(void *arg)
{
	struct fswbox *b = arg;
	struct rlimit limit = {.rlim_cur = 100000, .rlim_max = 100000};
	struct fsw_attrs attrs = fswbox_attrs(0600);
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
	SANDBOX_CHECK(fswbox_put(b->w, "d/small", "x", &attrs, &err) == 0);
	return 0;
}

static void test_file_size_limit(void **state)
{
	struct fswbox *b = *state;
	struct err err = {0};
	int fd;

	assert_int_equal(fsw_mkdir(b->w, "d", NULL, &err), 0);
	assert_int_equal(fchown(b->fd, 65534, 65534) == 0 || geteuid() != 0, 1);
	assert_int_equal(fchmodat(b->fd, "d", 0777, 0), 0);
	assert_int_equal(sandbox_as_nobody(fill_up, b), 0);
	fd = openat(b->fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fswbox_entries(fd), 1); /* d/small; no temporary file */
	assert_int_equal(close(fd), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    FSWBOX_TEST(test_file_round_trip),
	    FSWBOX_TEST(test_times_before_1970_and_empty_file),
	    FSWBOX_TEST(test_owner_and_setuid_as_root),
	    FSWBOX_TEST(test_acl),
	    FSWBOX_TEST(test_sparse),
	    FSWBOX_TEST(test_symlink),
	    FSWBOX_TEST(test_hardlink),
	    FSWBOX_TEST(test_specials),
	    FSWBOX_TEST(test_folders),
	    FSWBOX_TEST(test_names_of_any_bytes),
	    FSWBOX_TEST(test_deep_tree),
	    FSWBOX_TEST(test_commit_and_abort),
	    FSWBOX_TEST(test_many_folders_at_once),
	    FSWBOX_TEST(test_file_size_limit),
	};

	return cmocka_run_group_tests_name("fswrite", tests, NULL, NULL);
}
