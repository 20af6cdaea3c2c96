/* fswrite against hostile paths and against symlinks that are planted before and while it works. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/limits.h"
#include "repo/fsread.h"
#include "repo/fswrite.h"
#include "tests/support/sandbox.h"

struct box {
	char *dir, *target, *outside, *victim; /* dir/target, dir/outside, dir/outside/victim */
	struct fsw *w;
	int fd;
};

static int setup(void **state)
{
	struct box *b = calloc(1, sizeof(*b));
	struct err err = {0};

	assert_non_null(b);
	b->dir = sandbox_new();
	b->target = sandbox_path(b->dir, "target");
	b->outside = sandbox_path(b->dir, "outside");
	b->victim = sandbox_path(b->outside, "victim");
	assert_int_equal(mkdir(b->outside, 0755), 0);
	sandbox_write(b->victim, "precious");
	assert_int_equal(chmod(b->victim, 0644), 0);
	assert_int_equal(fsw_open(b->target, NULL, NULL, &b->w, &err), 0);
	b->fd = open(b->target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(b->fd >= 0);
	*state = b;
	return 0;
}

/* Nothing outside the target was made, changed or removed. */
static int outside_is_untouched(const struct box *b)
{
	struct err err = {0};
	char **names = NULL, got[16] = "";
	size_t count = 0;
	struct stat st;
	int fd = open(b->outside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	SANDBOX_CHECK(fd >= 0);
	SANDBOX_CHECK(fs_list(fd, "outside", &names, &count, &err) == 0);
	SANDBOX_CHECK(count == 1);
	SANDBOX_CHECK(strcmp(names[0], "victim") == 0);
	free(names);
	SANDBOX_CHECK(close(fd) == 0);
	SANDBOX_CHECK(lstat(b->victim, &st) == 0);
	SANDBOX_CHECK(st.st_mode == (S_IFREG | 0644));
	SANDBOX_CHECK(st.st_nlink == 1);
	SANDBOX_CHECK(st.st_uid == getuid());
	SANDBOX_CHECK(st.st_mtim.tv_sec > 1500000000);
	fd = open(b->victim, O_RDONLY | O_CLOEXEC);
	SANDBOX_CHECK(fd >= 0);
	SANDBOX_CHECK(read(fd, got, sizeof(got)) == 8);
	SANDBOX_CHECK(memcmp(got, "precious", 8) == 0);
	SANDBOX_CHECK(close(fd) == 0);
	fd = open(b->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	SANDBOX_CHECK(fd >= 0);
	SANDBOX_CHECK(fs_list(fd, "all", &names, &count, &err) == 0);
	SANDBOX_CHECK(count == 2);
	free(names);
	SANDBOX_CHECK(close(fd) == 0);
	return 0;
}

static int teardown(void **state)
{
	struct box *b = *state;
	int bad = outside_is_untouched(b);

	fsw_close(b->w);
	(void)close(b->fd);
	free(b->victim);
	free(b->outside);
	free(b->target);
	sandbox_remove(b->dir);
	free(b);
	return bad;
}

static struct fsw_attrs attrs_of(uint32_t mode)
{
	return (struct fsw_attrs){.mode = mode,
				  .uid = geteuid() == 0 ? 4242 : geteuid(),
				  .gid = getegid(),
				  .user = "",
				  .group = "",
				  .mtime_s = 1000000000};
}

static int put_file(struct fsw *w, const char *path, struct err *err)
{
	struct fsw_attrs attrs = attrs_of(0666);
	struct fsw_file *f = NULL;
	int rc = fsw_file_begin(w, path, 4, &f, err);

	if (rc != 0)
		return rc;
	rc = fsw_file_write(f, 0, "evil", 4, err);
	if (rc != 0) {
		fsw_file_abort(f);
		return rc;
	}
	return fsw_file_commit(f, &attrs, err);
}

/* Every call that takes a path must give want for it. */
static int every_call(struct fsw *w, const char *path, int want, struct err *err)
{
	struct fsw_attrs attrs = attrs_of(0666);
	struct fsw_aside aside = {0};

	SANDBOX_CHECK(put_file(w, path, err) == want);
	SANDBOX_CHECK(fsw_mkdir(w, path, NULL, err) == want);
	SANDBOX_CHECK(fsw_symlink(w, path, "x", &attrs, err) == want);
	SANDBOX_CHECK(fsw_special(w, path, S_IFIFO, 0, 0, &attrs, err) == want);
	SANDBOX_CHECK(fsw_attrs_set(w, path, &attrs, err) == want);
	SANDBOX_CHECK(fsw_aside(w, path, &aside, err) == want);
	SANDBOX_CHECK(!aside.name);
	SANDBOX_CHECK(fsw_hardlink(w, path, "new", err) == want);
	SANDBOX_CHECK(fsw_hardlink(w, "plain", path, err) == want);
	return 0;
}

static void test_hostile_paths(void **state)
{
	static const char *const paths[] = {"",       ".",          "..",        "/",
					    "/abs",   "//",         "../x",      "../outside/x",
					    "a/../x", "a/..",       "a/./x",     "./x",
					    "a//b",   "a/",         "a/../../x", "a/b/../../../x",
					    "..//x",  "a/.",        "/..",       "a/b/..",
					    "../..",  "../target/x"};
	struct box *b = *state;
	struct err err = {0};
	char *endless = calloc(1, LIMIT_PATH_BYTES + 2);

	assert_int_equal(fsw_mkdir(b->w, "a", NULL, &err), 0);
	assert_int_equal(fsw_mkdir(b->w, "a/b", NULL, &err), 0);
	assert_int_equal(put_file(b->w, "plain", &err), 0);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		err.code = 0;
		if (every_call(b->w, paths[i], -ERR_DAMAGED, &err) != 0)
			fail_msg("path '%s': %d %s", paths[i], err.code, err.text);
	}
	assert_non_null(endless);
	memset(endless, 'a', LIMIT_PATH_BYTES + 1);
	assert_int_equal(every_call(b->w, endless, -ERR_DAMAGED, &err), 0);
	free(endless);
}

/* The checks that must hold whether the kernel knows openat2 or not. */
static int planted_component(void *arg)
{
	struct box *b = arg;
	struct err err = {0};

	SANDBOX_CHECK(fsw_mkdir(b->w, "a", NULL, &err) == 0);
	SANDBOX_CHECK(put_file(b->w, "plain", &err) == 0);
	SANDBOX_CHECK(symlinkat(b->outside, b->fd, "abs") == 0);
	SANDBOX_CHECK(symlinkat("../../outside", b->fd, "a/up") == 0);
	SANDBOX_CHECK(symlinkat("a", b->fd, "inside") == 0);
	SANDBOX_CHECK(symlinkat("loop", b->fd, "loop") == 0);
	SANDBOX_CHECK(symlinkat("/proc/self/cwd", b->fd, "magic") == 0);
	SANDBOX_CHECK(every_call(b->w, "abs/victim", -ERR_EXISTS, &err) == 0);
	SANDBOX_CHECK(strstr(err.text, "abs: a symbolic link is in the way"));
	SANDBOX_CHECK(every_call(b->w, "a/up/victim", -ERR_EXISTS, &err) == 0);
	SANDBOX_CHECK(strstr(err.text, "a/up: a symbolic link is in the way"));
	SANDBOX_CHECK(every_call(b->w, "a/up/x/y", -ERR_EXISTS, &err) == 0);
	SANDBOX_CHECK(every_call(b->w, "inside/x", -ERR_EXISTS, &err) == 0);
	SANDBOX_CHECK(every_call(b->w, "loop/x", -ERR_EXISTS, &err) == 0);
	SANDBOX_CHECK(every_call(b->w, "magic/x", -ERR_EXISTS, &err) == 0);
	SANDBOX_CHECK(put_file(b->w, "a/good", &err) == 0);
	SANDBOX_CHECK(fsw_finish(b->w, &err) == 0);
	return 0;
}

static void test_planted_component(void **state)
{
	assert_int_equal(planted_component(*state), 0);
}

/* From now on openat2 fails with errnum in this process, as on an old kernel or in a strict container. */
static int without_openat2(unsigned errnum)
{
	struct sock_filter code[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | errnum),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = 4, .filter = code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0)
		return 77;
	return syscall(SYS_openat2, -1, "", NULL, 0) == -1 && errno == (int)errnum ? 0 : 1;
}

static int planted_on_old_kernel(void *arg)
{
	int rc = without_openat2(ENOSYS);

	return rc != 0 ? rc : planted_component(arg);
}

static int planted_in_container(void *arg)
{
	int rc = without_openat2(EPERM);

	return rc != 0 ? rc : planted_component(arg);
}

static void test_planted_without_openat2(void **state)
{
	struct box *b = *state;
	int rc;

	if (geteuid() == 0) {
		assert_int_equal(fchown(b->fd, 65534, 65534), 0);
		assert_int_equal(chmod(b->dir, 0755), 0);
	}
	rc = sandbox_as_nobody(planted_on_old_kernel, b);
	if (rc == 77)
		skip(); /* no seccomp here */
	assert_int_equal(rc, 0);
}

static void test_planted_with_openat2_forbidden(void **state)
{
	struct box *b = *state;
	int rc;

	if (geteuid() == 0) {
		assert_int_equal(fchown(b->fd, 65534, 65534), 0);
		assert_int_equal(chmod(b->dir, 0755), 0);
	}
	rc = sandbox_as_nobody(planted_in_container, b);
	if (rc == 77)
		skip(); /* no seccomp here */
	assert_int_equal(rc, 0);
}

/* A symlink under the final name is replaced and not followed, whatever kind of entry comes. */
static void test_planted_final(void **state)
{
	struct box *b = *state;
	struct fsw_attrs attrs = attrs_of(0666);
	struct err err = {0};
	struct stat st;

	for (int kind = 0; kind < 4; kind++) {
		assert_int_equal(symlinkat(b->victim, b->fd, "f"), 0);
		switch (kind) {
		case 0:
			assert_int_equal(put_file(b->w, "f", &err), 0);
			break;
		case 1:
			assert_int_equal(fsw_symlink(b->w, "f", b->victim, &attrs, &err), 0);
			break;
		case 2:
			assert_int_equal(fsw_special(b->w, "f", S_IFIFO, 0, 0, &attrs, &err), 0);
			break;
		default:
			assert_int_equal(put_file(b->w, "g", &err), 0);
			assert_int_equal(fsw_hardlink(b->w, "g", "f", &err), 0);
			break;
		}
		assert_int_equal(fstatat(b->fd, "f", &st, AT_SYMLINK_NOFOLLOW), 0);
		assert_int_equal(S_ISLNK(st.st_mode), kind == 1);
		assert_int_equal(st.st_mtim.tv_sec, 1000000000);
		assert_int_equal(unlinkat(b->fd, "f", 0), 0);
	}
	assert_int_equal(symlinkat(b->outside, b->fd, "d"), 0);
	assert_int_equal(fsw_mkdir(b->w, "d", NULL, &err), -ERR_EXISTS);
	assert_int_equal(fsw_attrs_set(b->w, "d", &attrs, &err), -ERR_EXISTS);
	assert_int_equal(put_file(b->w, "d", &err), 0);
}

/* Puts a link under the only temporary name in the target, or nothing. */
static void replace_temporary(const struct box *b, const char *link_to)
{
	struct err err = {0};
	char **names = NULL;
	size_t count = 0;
	unsigned found = 0;

	assert_int_equal(fs_list(b->fd, "target", &names, &count, &err), 0);
	for (size_t i = 0; i < count; i++) {
		if (strncmp(names[i], ".nightjar-", 10) != 0)
			continue;
		found++;
		assert_int_equal(unlinkat(b->fd, names[i], 0), 0);
		if (link_to)
			assert_int_equal(symlinkat(link_to, b->fd, names[i]), 0);
	}
	assert_int_equal(found, 1);
	free(names);
}

/* What is put under the temporary name while a file is written gets no content and no attributes. */
static void test_planted_temporary(void **state)
{
	struct box *b = *state;
	struct fsw_attrs attrs = attrs_of(0666);
	struct fsw_file *f = NULL;
	struct err err = {0};
	struct stat st;

	assert_int_equal(fsw_file_begin(b->w, "f", 4, &f, &err), 0);
	replace_temporary(b, b->victim);
	assert_int_equal(fsw_file_write(f, 0, "evil", 4, &err), 0);
	assert_int_equal(fsw_file_commit(f, &attrs, &err), -ERR_IO);
	assert_non_null(strstr(err.text, "f: somebody replaced"));
	assert_int_equal(fstatat(b->fd, "f", &st, AT_SYMLINK_NOFOLLOW), -1);
	/* gone altogether */
	assert_int_equal(fsw_file_begin(b->w, "f", 4, &f, &err), 0);
	replace_temporary(b, NULL);
	assert_int_equal(fsw_file_commit(f, &attrs, &err), -ERR_MISSING);
}

/* ---- a race ---- */

/* In a race any call may come too late; a cast to void does not say so to every compiler. */
static void lost_or_won(int rc)
{
	(void)rc;
}

/* Swaps the folder "d" and the name "f" for symlinks to outside and back, until it is killed. */
static pid_t start_swapper(const struct box *b)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	/* a test that fails must not leave it running */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	lost_or_won(symlinkat("../outside", b->fd, "d.link"));
	for (;;) {
		lost_or_won(renameat2(b->fd, "d", b->fd, "d.link", RENAME_EXCHANGE));
		lost_or_won(symlinkat(b->victim, b->fd, "d.link/f.tmp"));
		lost_or_won(renameat(b->fd, "d.link/f.tmp", b->fd, "f"));
		lost_or_won(renameat2(b->fd, "d", b->fd, "d.link", RENAME_EXCHANGE));
	}
}

struct tally {
	unsigned done, refused;
};

static void count_answer(int rc, const struct err *err, struct tally *t)
{
	if (rc == 0)
		t->done++;
	else if (rc == -ERR_EXISTS || rc == -ERR_MISSING)
		t->refused++;
	else
		fail_msg("%d: %s", rc, err->text);
}

/* One round of every kind of write, the folders looked up anew. */
static void race_round(const struct box *b, struct tally *t)
{
	struct fsw_attrs attrs = attrs_of(04777);
	struct err err = {0};
	struct fsw *w = NULL;

	assert_int_equal(fsw_open(b->target, NULL, NULL, &w, &err), 0);
	count_answer(put_file(w, "d/victim", &err), &err, t);
	count_answer(put_file(w, "f", &err), &err, t);
	count_answer(fsw_symlink(w, "d/link", "x", &attrs, &err), &err, t);
	count_answer(fsw_special(w, "d/e/fifo", S_IFIFO, 0, 0, &attrs, &err), &err, t);
	count_answer(fsw_mkdir(w, "d/e", NULL, &err), &err, t);
	count_answer(fsw_attrs_set(w, "d", &attrs, &err), &err, t);
	count_answer(fsw_hardlink(w, "f", "d/hard", &err), &err, t);
	fsw_close(w);
}

static void test_race(void **state)
{
	struct box *b = *state;
	struct tally t = {0};
	struct err err = {0};
	pid_t pid;

	assert_int_equal(fsw_mkdir(b->w, "d", NULL, &err), 0);
	pid = start_swapper(b);
	assert_true(pid > 0);
	for (int i = 0; i < 1000; i++) {
		race_round(b, &t);
		if (i % 100 == 0)
			assert_int_equal(outside_is_untouched(b), 0);
	}
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(outside_is_untouched(b), 0);
	/* both happened, so there was a race */
	assert_true(t.done > 100);
	assert_true(t.refused > 10);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_hostile_paths),
	    T(test_planted_component),
	    T(test_planted_without_openat2),
	    T(test_planted_with_openat2_forbidden),
	    T(test_planted_final),
	    T(test_planted_temporary),
	    T(test_race),
	};

	return cmocka_run_group_tests_name("fswrite_hostile", tests, NULL, NULL);
}
