/*
 * The publish protocol of the local store, seen from below: this program brings its own versions of
 * the system calls that store_local.c makes, which the linker prefers to libc's.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "repo/store.h"
#include "tests/support/local_case.h"
#include "tests/support/must.h"

/* What the replaced system calls do while on. */
static struct {
	bool on;
	unsigned at, count;  /* the call, from 1, at which… */
	int errnum;          /* …this comes, nothing done; 0: the process dies there */
	bool small;          /* each read and write moves 7 bytes at most, every other is EINTR */
	bool no_noreplace;   /* renameat2 knows no flags, as on NFS */
	bool no_folder_sync; /* fsync of a folder is EINVAL */
	bool ends_early;     /* files end at byte 10 for pread */
	int spoilt_fd;       /* its sync has failed */
	bool spoilt_fd_used; /* and it was used again, other than closed */
	char trace[64];      /* a letter a call that did something */
	bool flip;
} sys;

static bool trips(char letter)
{
	size_t used = strlen(sys.trace);

	if (!sys.on)
		return false;
	if (++sys.count == sys.at) {
		if (sys.errnum == 0)
			_exit(42);
		errno = sys.errnum;
		return true;
	}
	if (used + 1 < sizeof(sys.trace))
		sys.trace[used] = letter;
	return false;
}

static bool interrupted(void)
{
	sys.flip = sys.on && sys.small && !sys.flip;
	if (sys.flip)
		errno = EINTR;
	return sys.flip;
}

static size_t at_most(size_t len)
{
	return sys.on && sys.small && len > 7 ? 7 : len;
}

ssize_t write(int fd, const void *bytes, size_t len)
{
	if (sys.on && fd == sys.spoilt_fd)
		sys.spoilt_fd_used = true;
	if (interrupted() || trips('w'))
		return -1;
	return syscall(SYS_write, fd, bytes, at_most(len));
}

ssize_t pread(int fd, void *bytes, size_t len, off_t offset)
{
	if (interrupted() || trips('p'))
		return -1;
	if (sys.on && sys.ends_early)
		len = offset < 10 ? (size_t)(10 - offset) : 0;
	return syscall(SYS_pread64, fd, bytes, at_most(len), offset);
}

int fsync(int fd)
{
	struct stat st;
	bool folder = fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);

	if (sys.on && fd == sys.spoilt_fd)
		sys.spoilt_fd_used = true;
	if (interrupted())
		return -1;
	if (trips(folder ? 'F' : 'f')) {
		sys.spoilt_fd = fd;
		return -1;
	}
	if (sys.on && folder && sys.no_folder_sync) {
		errno = EINVAL;
		return -1;
	}
	return (int)syscall(SYS_fsync, fd);
}

int close(int fd)
{
	int failed;

	if (sys.on && fd == sys.spoilt_fd)
		sys.spoilt_fd = -1;
	failed = trips('c') ? errno : 0;
	(void)syscall(SYS_close, fd);
	errno = failed;
	return failed ? -1 : 0;
}

int renameat2(int from, const char *old, int to, const char *new, unsigned flags)
{
	if (trips('r'))
		return -1;
	if (sys.on && sys.no_noreplace && flags != 0) {
		errno = EINVAL;
		return -1;
	}
	return (int)syscall(SYS_renameat2, from, old, to, new, flags);
}

int linkat(int from, const char *old, int to, const char *new, int flags)
{
	return trips('l') ? -1 : (int)syscall(SYS_linkat, from, old, to, new, flags);
}

int unlinkat(int folder, const char *name, int flags)
{
	return trips('u') ? -1 : (int)syscall(SYS_unlinkat, folder, name, flags);
}

int unlink(const char *name)
{
	return trips('U') ? -1 : (int)syscall(SYS_unlinkat, AT_FDCWD, name, 0);
}

int mkdir(const char *name, mode_t mode)
{
	return trips('m') ? -1 : (int)syscall(SYS_mkdirat, AT_FDCWD, name, mode);
}

static void calls_fail_at(unsigned at, int errnum)
{
	memset(&sys, 0, sizeof(sys));
	sys.spoilt_fd = -1;
	sys.at = at;
	sys.errnum = errnum;
	sys.on = true;
}

static void calls_watched(void)
{
	calls_fail_at(0, 0);
}

/* The letters among `only` since the watch began; ends it. */
static const char *calls_seen(const char *only)
{
	size_t n = 0;

	sys.on = false;
	for (size_t i = 0; sys.trace[i]; i++)
		if (strchr(only, sys.trace[i]))
			sys.trace[n++] = sys.trace[i];
	sys.trace[n] = '\0';
	return sys.trace;
}

static void put_syncs_file_renames_and_syncs_folder(void **state)
{
	struct local_case *f = *state;
	struct id next = local_case_id;

	calls_watched();
	MUST(local_case_put(f), &f->err);
	assert_string_equal(calls_seen("wfrlumF"), "mFmFwfrF");

	next.b[31] = 1;
	calls_watched();
	MUST(store_put(f->store, STORE_DATA, &next, "x", 1, &f->err), &f->err);
	assert_string_equal(calls_seen("wfcrlumF"), "wfcrFc");

	calls_watched();
	MUST_FAIL(local_case_put(f), ERR_EXISTS, &f->err);
	assert_string_equal(calls_seen("wfrluF"), "wfruF");

	calls_watched();
	MUST(store_remove(f->store, STORE_DATA, &next, &f->err), &f->err);
	assert_string_equal(calls_seen("wfrluUF"), "UF");
}

static void create_syncs_both_folders(void **state)
{
	struct local_case *f = *state;

	calls_watched();
	MUST(store_create(f->store, &f->err), &f->err);
	assert_string_equal(calls_seen("mF"), "mFmmmmmF");
}

static void a_link_stands_in_for_rename(void **state)
{
	struct local_case *f = *state;

	calls_watched();
	sys.no_noreplace = true;
	MUST(local_case_put(f), &f->err);
	assert_string_equal(calls_seen("wfrluF"), "FFwfrluF");
	local_case_assert_whole(f);
	assert_int_equal(local_case_temps(f), 0);

	calls_watched();
	sys.no_noreplace = true;
	MUST_FAIL(store_put(f->store, STORE_DATA, &local_case_id, "x", 1, &f->err), ERR_EXISTS,
		  &f->err);
	assert_string_equal(calls_seen("wfrluF"), "wfrluF");
	local_case_assert_whole(f);
	assert_int_equal(local_case_temps(f), 0);
}

static void folders_that_cannot_be_synced_are_fine(void **state)
{
	struct local_case *f = *state;

	calls_watched();
	sys.no_folder_sync = true;
	MUST(local_case_put(f), &f->err);
	sys.on = false;
	local_case_assert_whole(f);
}

static void short_and_interrupted_calls_go_on(void **state)
{
	struct local_case *f = *state;

	calls_watched();
	sys.small = true;
	MUST(local_case_put(f), &f->err);
	local_case_assert_whole(f);
	buf_reset(&f->buf);
	MUST(store_get_range(f->store, STORE_DATA, &local_case_id, 3, 20, &f->buf, &f->err),
	     &f->err);
	sys.on = false;
	assert_memory_equal(f->buf.data, local_case_text + 3, 20);
	local_case_assert_whole(f);
}

static void a_file_that_shrinks_meanwhile_is_damaged(void **state)
{
	struct local_case *f = *state;

	MUST(local_case_put(f), &f->err);
	buf_put(&f->buf, "kept", 4);
	calls_watched();
	sys.ends_early = true;
	MUST_FAIL(store_get(f->store, STORE_DATA, &local_case_id, 99, &f->buf, &f->err),
		  ERR_DAMAGED, &f->err);
	assert_int_equal(f->buf.len, 4);
	calls_fail_at(1, EIO);
	MUST_FAIL(store_get(f->store, STORE_DATA, &local_case_id, 99, &f->buf, &f->err), ERR_IO,
		  &f->err);
	assert_int_equal(f->buf.len, 4);
}

/*
 * After a failure: nothing half visible, no temporary file, the next put works. True when the put
 * came through without meeting the failure.
 */
static bool put_failing_at(struct local_case *f, unsigned at, int errnum, bool no_noreplace)
{
	bool tripped, tidy_failed;
	int rc;

	calls_fail_at(at, errnum);
	sys.no_noreplace = no_noreplace;
	rc = local_case_put(f);
	sys.on = false;
	tripped = sys.count >= at;
	tidy_failed = rc == 0 && tripped; /* a close or an unlink whose failure changes nothing */
	assert_false(sys.spoilt_fd_used);
	if (rc != 0) {
		assert_int_equal(f->err.code, errnum == ENOSPC ? ERR_FULL : ERR_IO);
		assert_non_null(strstr(f->err.text, f->root));
	}
	if (!tidy_failed)
		assert_int_equal(local_case_temps(f), 0);
	if (rc == 0 || local_case_listed(f, STORE_DATA) == 1)
		local_case_assert_whole(f);
	else
		MUST(local_case_put(f), &f->err);
	local_case_assert_whole(f);
	MUST(store_remove(f->store, STORE_DATA, &local_case_id, &f->err), &f->err);
	return !tripped;
}

static void put_survives_each_failing_call(void **state)
{
	static const int errnums[] = {EIO, ENOSPC};
	unsigned tries = 0;

	for (unsigned variant = 0; variant < 4; variant++) {
		bool done = false;

		for (unsigned k = 1; !done; k++, tries++) {
			local_case_setup(state);
			done = put_failing_at(*state, k, errnums[variant % 2], variant >= 2);
			local_case_teardown(state);
		}
	}
	assert_true(tries > 40);
}

/* The child dies at its k-th call, as if killed there; what it left must do no harm. */
static bool put_killed_at(struct local_case *f, unsigned at)
{
	pid_t pid = fork();
	int status = 0, rc;

	assert_true(pid >= 0);
	if (pid == 0) {
		calls_fail_at(at, 0);
		_exit(local_case_put(f) == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 42 || WEXITSTATUS(status) == 0));
	if (local_case_listed(f, STORE_DATA) == 1)
		local_case_assert_whole(f);
	rc = local_case_put(f);
	assert_true(rc == 0 || rc == -ERR_EXISTS);
	local_case_assert_whole(f);
	assert_int_equal(local_case_listed(f, STORE_DATA), 1);
	return WEXITSTATUS(status) == 0;
}

static void a_killed_put_leaves_nothing_half_visible(void **state)
{
	bool done = false;
	unsigned k;

	for (k = 1; !done; k++) {
		local_case_setup(state);
		done = put_killed_at(*state, k);
		local_case_teardown(state);
	}
	assert_true(k > 8);
}

static void a_killed_create_can_be_repeated(void **state)
{
	for (unsigned k = 1; k < 20; k++) {
		struct local_case *f;
		pid_t pid;

		local_case_setup_bare(state);
		f = *state;
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			calls_fail_at(k, 0);
			_exit(store_create(f->store, &f->err) == 0 ? 0 : 1);
		}
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		MUST(store_create(f->store, &f->err), &f->err);
		MUST(local_case_put(f), &f->err);
		local_case_assert_whole(f);
		local_case_teardown(state);
	}
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, local_case_setup, local_case_teardown)
#define BARE(test) cmocka_unit_test_setup_teardown(test, local_case_setup_bare, local_case_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH(put_syncs_file_renames_and_syncs_folder),
	    BARE(create_syncs_both_folders),
	    WITH(a_link_stands_in_for_rename),
	    WITH(folders_that_cannot_be_synced_are_fine),
	    WITH(short_and_interrupted_calls_go_on),
	    WITH(a_file_that_shrinks_meanwhile_is_damaged),
	    cmocka_unit_test(put_survives_each_failing_call),
	    cmocka_unit_test(a_killed_put_leaves_nothing_half_visible),
	    cmocka_unit_test(a_killed_create_can_be_repeated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
