/* fsread: names, metadata, xattrs and holes of real files, and what happens when they go away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "core/limits.h"
#include "repo/fsread.h"
#include "tests/support/sandbox.h"

struct box {
	char *dir;
	int fd;
};

static int setup(void **state)
{
	struct box *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	b->dir = sandbox_new();
	b->fd = open(b->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(b->fd >= 0);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct box *b = *state;

	(void)close(b->fd);
	sandbox_remove(b->dir);
	free(b);
	return 0;
}

static void touch(const struct box *b, const char *name)
{
	int fd = openat(b->fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(close(fd), 0);
}

/* ---- fs_list ---- */

static void test_list_names(void **state)
{
	struct box *b = *state;
	char longest[256];
	const char *want[] = {"\n", " ", "...", "..a", ".h", "A", "a", "a\nb", "\x80\xff", "\xff"};
	struct err err = {0};
	char **names = NULL;
	size_t count = 7;

	assert_int_equal(fs_list(b->fd, b->dir, &names, &count, &err), 0);
	assert_int_equal(count, 0);
	free(names);
	for (size_t i = 10; i-- > 0;)
		touch(b, want[i]);
	memset(longest, 'b', 255);
	longest[255] = '\0';
	touch(b, longest);
	/* twice: the position left by the first must not matter */
	for (int round = 0; round < 2; round++) {
		assert_int_equal(fs_list(b->fd, b->dir, &names, &count, &err), 0);
		assert_int_equal(count, 11);
		for (size_t i = 0; i < 8; i++)
			assert_string_equal(names[i], want[i]);
		assert_string_equal(names[8], longest);
		assert_string_equal(names[9], want[8]);
		assert_string_equal(names[10], want[9]);
		free(names);
	}
	assert_true(fcntl(b->fd, F_GETFD) >= 0);
}

static void test_list_types(void **state)
{
	struct box *b = *state;
	const unsigned char want[] = {DT_DIR, DT_REG, DT_LNK};
	struct err err = {0};
	char **names = NULL;
	size_t count = 0;

	touch(b, "file");
	assert_int_equal(mkdirat(b->fd, "a", 0700), 0);
	assert_int_equal(symlinkat("file", b->fd, "link"), 0);
	assert_int_equal(fs_list(b->fd, b->dir, &names, &count, &err), 0);
	assert_int_equal(count, 3);
	for (size_t i = 0; i < 3; i++)
		assert_true(fs_listed_type(names[i]) == want[i] ||
			    fs_listed_type(names[i]) == DT_UNKNOWN);
	free(names);
}

static void test_list_many(void **state)
{
	struct box *b = *state;
	struct err err = {0};
	char name[16], **names = NULL;
	size_t count = 0;

	for (int i = 0; i < 3000; i++) {
		(void)snprintf(name, sizeof(name), "f%04d", (i * 7) % 3000);
		assert_int_equal(symlinkat("x", b->fd, name), 0);
	}
	assert_int_equal(fs_list(b->fd, b->dir, &names, &count, &err), 0);
	assert_int_equal(count, 3000);
	for (int i = 0; i < 3000; i++) {
		(void)snprintf(name, sizeof(name), "f%04d", i);
		assert_string_equal(names[i], name);
	}
	free(names);
}

static void test_list_errors(void **state)
{
	struct box *b = *state;
	struct err err = {0};
	char **names = NULL;
	size_t count = 0;
	int fd;

	touch(b, "file");
	fd = openat(b->fd, "file", O_RDONLY | O_CLOEXEC);
	assert_int_equal(fs_list(fd, "some/file", &names, &count, &err), -ERR_SOURCE);
	assert_non_null(strstr(err.text, "some/file"));
	assert_int_equal(close(fd), 0);
	assert_int_equal(fs_list(fd, "gone", &names, &count, &err), -ERR_SOURCE);
	assert_null(names);
}

/* ---- fs_open ---- */

static void make_socket(const struct box *b, const char *name)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%s", b->dir, name);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(close(fd), 0);
}

static void test_open(void **state)
{
	struct box *b = *state;
	struct err err = {0};
	int fd = -1;

	touch(b, "file");
	assert_int_equal(symlinkat("file", b->fd, "link"), 0);
	assert_int_equal(symlinkat(".", b->fd, "dirlink"), 0);
	assert_int_equal(mkfifoat(b->fd, "fifo", 0600), 0);
	make_socket(b, "socket");
	assert_int_equal(fs_open(b->fd, "file", 0, "p/file", &fd, &err), 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(close(fd), 0);
	assert_int_equal(fs_open(b->fd, "fifo", 0, "p/fifo", &fd, &err), 0); /* does not hang */
	assert_int_equal(close(fd), 0);
	fd = -5;
	assert_int_equal(fs_open(b->fd, "none", 0, "p/none", &fd, &err), -ERR_MISSING);
	assert_non_null(strstr(err.text, "p/none"));
	assert_int_equal(fs_open(b->fd, "link", 0, "p/link", &fd, &err), -ERR_SOURCE);
	assert_int_equal(err.code, ERR_SOURCE);
	assert_int_equal(err.sys_errno, ELOOP);
	assert_non_null(strstr(err.text, "p/link: it is a symbolic link"));
	assert_int_equal(fs_open(b->fd, "dirlink", O_DIRECTORY, "p/d", &fd, &err), -ERR_SOURCE);
	assert_int_equal(fs_open(b->fd, "file", O_DIRECTORY, "p/f", &fd, &err), -ERR_SOURCE);
	assert_int_equal(fs_open(b->fd, "socket", 0, "p/s", &fd, &err), -ERR_SOURCE);
	assert_int_equal(err.sys_errno, ENXIO);
	assert_non_null(strstr(err.text, "socket"));
	assert_int_equal(fd, -5);
}

static int open_as_nobody(void *arg)
{
	struct box *b = arg;
	struct err err = {0};
	int fd = -1;

	SANDBOX_CHECK(fs_open(b->fd, "readable", 0, "p/readable", &fd, &err) == 0);
	SANDBOX_CHECK(close(fd) == 0);
	if (geteuid() != 0) {
		SANDBOX_CHECK(fs_open(b->fd, "secret", 0, "p/secret", &fd, &err) == -ERR_SOURCE);
		SANDBOX_CHECK(err.sys_errno == EACCES);
		SANDBOX_CHECK(strstr(err.text, "p/secret: Permission denied"));
	}
	return 0;
}

/* O_NOATIME is refused to who does not own the file; it must still be opened. */
static void test_open_as_nobody(void **state)
{
	struct box *b = *state;

	touch(b, "readable");
	touch(b, "secret");
	assert_int_equal(fchmodat(b->fd, "secret", 0, 0), 0);
	assert_int_equal(fchmodat(b->fd, "readable", 0644, 0), 0);
	assert_int_equal(chmod(b->dir, 0755), 0);
	assert_int_equal(sandbox_as_nobody(open_as_nobody, b), 0);
}

/* ---- fs_meta_read ---- */

static void test_meta_kinds(void **state)
{
	struct box *b = *state;
	struct err err = {0};
	struct fs_meta m = {0};
	struct timespec times[2] = {{1, 2}, {-1234567890, 123456789}};

	touch(b, "file");
	assert_int_equal(fchmodat(b->fd, "file", 06751, 0), 0);
	assert_int_equal(utimensat(b->fd, "file", times, 0), 0);
	assert_int_equal(fs_meta_read(b->fd, "file", "p/file", &m, &err), 0);
	assert_int_equal(m.st.st_mode, S_IFREG | 06751);
	assert_int_equal(m.st.st_mtim.tv_sec, -1234567890);
	assert_int_equal(m.st.st_mtim.tv_nsec, 123456789);
	assert_null(m.target);
	fs_meta_wipe(&m);
	fs_meta_wipe(&m);

	assert_int_equal(mkfifoat(b->fd, "fifo", 0600), 0);
	assert_int_equal(fs_meta_read(b->fd, "fifo", "p/fifo", &m, &err), 0);
	assert_true(S_ISFIFO(m.st.st_mode));
	fs_meta_wipe(&m);
	make_socket(b, "socket");
	assert_int_equal(fs_meta_read(b->fd, "socket", "p/socket", &m, &err), 0);
	assert_true(S_ISSOCK(m.st.st_mode));
	fs_meta_wipe(&m);
	assert_int_equal(fs_meta_read(AT_FDCWD, "/dev/null", "/dev/null", &m, &err), 0);
	assert_true(S_ISCHR(m.st.st_mode));
	assert_int_equal(minor(m.st.st_rdev), 3);
	fs_meta_wipe(&m);
	assert_int_equal(fs_meta_read(b->fd, "none", "p/none", &m, &err), -ERR_MISSING);
	assert_non_null(strstr(err.text, "p/none"));
	assert_int_equal(fs_meta_read(b->fd, "file/x", "p/x", &m, &err), -ERR_SOURCE);
}

static void test_meta_symlinks(void **state)
{
	struct box *b = *state;
	struct err err = {0};
	struct fs_meta m = {0};
	char target[4096];

	/* lengths around the doubling of the buffer, and the longest of all */
	for (size_t len = 1; len < sizeof(target); len = len == 2048 ? 4095 : len * 2) {
		for (size_t n = len > 1 ? len - 1 : len; n <= len + (len < 2048); n++) {
			memset(target, '\xfe', n);
			target[n] = '\0';
			assert_int_equal(symlinkat(target, b->fd, "link"), 0);
			assert_int_equal(fs_meta_read(b->fd, "link", "p/link", &m, &err), 0);
			assert_string_equal(m.target, target);
			assert_true(S_ISLNK(m.st.st_mode));
			fs_meta_wipe(&m);
			assert_int_equal(unlinkat(b->fd, "link", 0), 0);
		}
		if (len == 4095)
			break;
	}
}

static bool xattrs_work(const struct box *b)
{
	return fsetxattr(b->fd, "user.probe", "x", 1, 0) == 0;
}

static void test_meta_xattrs(void **state)
{
	struct box *b = *state;
	struct err err = {0};
	struct fs_meta m = {0};
	char *file = sandbox_path(b->dir, "file\n\xff"), big[3000];

	if (!xattrs_work(b)) {
		free(file);
		skip(); /* the file system below TMPDIR has none */
	}
	memset(big, 'z', sizeof(big));
	sandbox_write(file, "x");
	assert_int_equal(setxattr(file, "user.z", big, sizeof(big), 0), 0);
	assert_int_equal(setxattr(file, "user.empty", "", 0, 0), 0);
	assert_int_equal(setxattr(file, "user.nul", "a\0b", 3, 0), 0);
	assert_int_equal(symlinkat("file\n\xff", b->fd, "link"), 0);
	assert_int_equal(fs_meta_read(b->fd, "file\n\xff", file, &m, &err), 0);
	assert_int_equal(m.xattr_count, 3);
	assert_string_equal(m.xattrs[0].name, "user.empty");
	assert_int_equal(m.xattrs[0].value_len, 0);
	assert_string_equal(m.xattrs[1].name, "user.nul");
	assert_int_equal(m.xattrs[1].value_len, 3);
	assert_memory_equal(m.xattrs[1].value, "a\0b", 3);
	assert_string_equal(m.xattrs[2].name, "user.z");
	assert_int_equal(m.xattrs[2].value_len, sizeof(big));
	assert_memory_equal(m.xattrs[2].value, big, sizeof(big));
	fs_meta_wipe(&m);
	/* a symlink has none of what it points at */
	assert_int_equal(fs_meta_read(b->fd, "link", "p/link", &m, &err), 0);
	assert_int_equal(m.xattr_count, 0);
	fs_meta_wipe(&m);
	free(file);
}

/* Sets and removes attributes of changing length until it is killed. */
static pid_t start_xattr_changer(const char *file)
{
	pid_t pid = fork();
	char value[2000];

	if (pid != 0)
		return pid;
	/* a test that fails must not leave it running */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	memset(value, 'v', sizeof(value));
	for (unsigned i = 0;; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "user.a%u", i % 7);
		(void)setxattr(file, name, value, (i * 37) % sizeof(value) / 8, 0);
		if (i % 3 == 0)
			(void)removexattr(file, name);
	}
}

static void test_xattrs_change_meanwhile(void **state)
{
	struct box *b = *state;
	struct err err = {0};
	char *file = sandbox_path(b->dir, "file");
	pid_t pid;

	if (!xattrs_work(b)) {
		free(file);
		skip(); /* the file system below TMPDIR has none */
	}
	sandbox_write(file, "x");
	pid = start_xattr_changer(file);
	assert_true(pid > 0);
	for (int i = 0; i < 20000; i++) {
		struct fs_meta m = {0};

		if (fs_meta_read(b->fd, "file", "p/file", &m, &err) != 0)
			fail_msg("%s", err.text);
		for (size_t k = 0; k < m.xattr_count; k++) {
			for (size_t v = 0; v < m.xattrs[k].value_len; v++)
				assert_int_equal(m.xattrs[k].value[v], 'v');
		}
		fs_meta_wipe(&m);
	}
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	free(file);
}

/* ---- fs_extents ---- */

/* Writes len bytes of 'd' at offset. */
static void put(int fd, off_t offset, size_t len)
{
	char *bytes = malloc(len);

	assert_non_null(bytes);
	memset(bytes, 'd', len);
	assert_int_equal(pwrite(fd, bytes, len, offset), (ssize_t)len);
	free(bytes);
}

static int sparse_file(const struct box *b, off_t size)
{
	int fd = openat(b->fd, "sparse", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	return fd;
}

static void test_extents(void **state)
{
	struct box *b = *state;
	struct err err = {0};
	struct fs_extent *e = NULL;
	size_t count = 9;
	const off_t mib = 1 << 20;
	int fd = sparse_file(b, 10 * mib);

	assert_int_equal(fs_extents(fd, (uint64_t)(10 * mib), "p", &e, &count, &err), 0);
	if (count == 0) {
		assert_int_equal(close(fd), 0);
		skip(); /* the file system below TMPDIR keeps no holes */
	}
	assert_int_equal(count, 1); /* one hole */
	assert_int_equal(e[0].offset, 0);
	assert_int_equal(e[0].len, 0);
	free(e);
	put(fd, 2 * mib, (size_t)mib);
	put(fd, 7 * mib, 100);
	assert_int_equal(fs_extents(fd, (uint64_t)(10 * mib), "p", &e, &count, &err), 0);
	assert_int_equal(count, 2);
	assert_int_equal(e[0].offset, 2 * mib);
	assert_int_equal(e[0].len, mib);
	assert_int_equal(e[1].offset, 7 * mib);
	assert_in_range(e[1].len, 100, 65536);
	free(e);
	/* a size from before the file grew cuts what is behind it */
	assert_int_equal(fs_extents(fd, (uint64_t)(7 * mib + 10), "p", &e, &count, &err), 0);
	assert_int_equal(count, 2);
	assert_int_equal(e[1].len, 10);
	free(e);
	/* a size from before it shrank */
	assert_int_equal(ftruncate(fd, 3 * mib), 0);
	assert_int_equal(fs_extents(fd, (uint64_t)(10 * mib), "p", &e, &count, &err), 0);
	assert_int_equal(count, 1);
	assert_int_equal(e[0].len, mib);
	free(e);
	assert_int_equal(close(fd), 0);
}

static void test_extents_dense(void **state)
{
	struct box *b = *state;
	struct err err = {0};
	struct fs_extent *e = NULL;
	size_t count = 9;
	int fd = sparse_file(b, 0), ends[2];

	assert_int_equal(fs_extents(fd, 0, "p", &e, &count, &err), 0);
	assert_int_equal(count, 0);
	put(fd, 0, 10001);
	assert_int_equal(fs_extents(fd, 10001, "p", &e, &count, &err), 0);
	assert_int_equal(count, 0);
	assert_null(e);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 0);
	assert_int_equal(close(fd), 0);
	/* what cannot tell is dense; what is no descriptor is an error */
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(fs_extents(ends[0], 5, "p", &e, &count, &err), 0);
	assert_int_equal(count, 0);
	assert_int_equal(close(ends[0]) | close(ends[1]), 0);
	assert_int_equal(fs_extents(ends[0], 5, "p/q", &e, &count, &err), -ERR_SOURCE);
	assert_non_null(strstr(err.text, "p/q"));
}

static void test_extents_too_many(void **state)
{
	struct box *b = *state;
	struct err err = {0};
	struct fs_extent *e = NULL;
	size_t count = 9;
	const uint64_t step = 65536;
	int fd = sparse_file(b, (off_t)(step * (LIMIT_EXTENTS + 1)));

	for (uint64_t i = 0; i < LIMIT_EXTENTS; i++)
		assert_int_equal(pwrite(fd, "x", 1, (off_t)(i * step)), 1);
	assert_int_equal(fs_extents(fd, step * (LIMIT_EXTENTS + 1), "p", &e, &count, &err), 0);
	assert_true(count == LIMIT_EXTENTS || count == 0);
	free(e);
	assert_int_equal(pwrite(fd, "x", 1, (off_t)(LIMIT_EXTENTS * step)), 1);
	assert_int_equal(fs_extents(fd, step * (LIMIT_EXTENTS + 1), "p", &e, &count, &err), 0);
	assert_int_equal(count, 0);
	assert_null(e);
	assert_int_equal(close(fd), 0);
}

static void test_names(void **state)
{
	struct fs_names *names = fs_names_new();
	const char *root;

	(void)state;
	assert_non_null(names);
	root = fs_names_user(names, 0);
	assert_string_equal(root, "root");
	assert_string_equal(fs_names_group(names, 0), "root");
	for (uid_t id = 4000000; id < 4000300; id++) {
		assert_string_equal(fs_names_user(names, id), "");
		assert_string_equal(fs_names_group(names, id), "");
	}
	assert_ptr_equal(fs_names_user(names, 0), root);
	fs_names_free(names);
	fs_names_free(NULL);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_list_names),
	    T(test_list_types),
	    T(test_list_many),
	    T(test_list_errors),
	    T(test_open),
	    T(test_open_as_nobody),
	    T(test_meta_kinds),
	    T(test_meta_symlinks),
	    T(test_meta_xattrs),
	    T(test_xattrs_change_meanwhile),
	    T(test_extents),
	    T(test_extents_dense),
	    T(test_extents_too_many),
	    cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests_name("fsread", tests, NULL, NULL);
}
