/* What process_start does, seen from a child that it was done to, and what signals do then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/process.h"
#include "cli/secret.h"
#include "tests/support/tmpdir.h"

/* Runs fn in a child after process_start; its wait status. */
static int in_child(int (*fn)(void))
{
	struct err err = {0};
	int status = -1;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(process_start(&err) < 0 ? 99 : fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void assert_child(int (*fn)(void))
{
	int status = in_child(fn);

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static int is_closed_to_others(void)
{
	struct rlimit core;

	if (getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_max != 0)
		return 1;
	if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
		return 2;
	return umask(0) == 077 ? 0 : 3;
}

static void nothing_leaks(void **state)
{
	(void)state;
	assert_child(is_closed_to_others);
}

/* In an own folder, allowed to: its wait status. core_pattern may send the dump elsewhere; the status says whether there was one. */
static int crashes(bool started)
{
	const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
	char *dir = tmpdir_make();
	struct err err = {0};
	int status = -1;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (chdir(dir) != 0 || setrlimit(RLIMIT_CORE, &all) != 0 ||
		    (started && process_start(&err) < 0))
			_exit(99);
		abort();
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	tmpdir_remove(dir);
	return status;
}

static void a_crash_leaves_no_core(void **state)
{
	int status = crashes(false);

	(void)state;
	if (!WIFSIGNALED(status) || !WCOREDUMP(status)) {
		print_message("# no core dumps on this machine: nothing to see\n");
		skip();
	}
	status = crashes(true);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	assert_false(WCOREDUMP(status));
}

static int writes_to_nobody(void)
{
	int ends[2];

	if (pipe(ends) != 0 || close(ends[0]) != 0)
		return 1;
	return write(ends[1], "x", 1) == -1 && errno == EPIPE ? 0 : 2;
}

static void a_closed_pipe_does_not_kill(void **state)
{
	(void)state;
	assert_child(writes_to_nobody);
}

static int descriptors_are_back(void)
{
	struct err err = {0};

	for (int fd = 0; fd <= 2; fd++)
		(void)close(fd);
	if (process_start(&err) < 0)
		return 1;
	return fcntl(0, F_GETFD) >= 0 && fcntl(1, F_GETFD) >= 0 && fcntl(2, F_GETFD) >= 0 ? 0 : 2;
}

static void standard_descriptors_are_open(void **state)
{
	(void)state;
	assert_child(descriptors_are_back);
}

static int sees_one(int number)
{
	if (process_interrupted())
		return 1;
	(void)raise(number);
	return process_interrupted() ? 0 : 2;
}

static int sees_int(void)
{
	return sees_one(SIGINT);
}

static int sees_term(void)
{
	return sees_one(SIGTERM);
}

static int sees_hup(void)
{
	return sees_one(SIGHUP);
}

static void the_first_signal_is_a_request(void **state)
{
	(void)state;
	assert_child(sees_int);
	assert_child(sees_term);
	assert_child(sees_hup);
}

static int two_signals(void)
{
	(void)raise(SIGINT);
	(void)raise(SIGTERM);
	return 0;
}

static void the_second_kills(void **state)
{
	int status = in_child(two_signals);

	(void)state;
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGTERM);
}

static void an_ignored_signal_stays_ignored(void **state)
{
	int status;

	(void)state;
	assert_true(signal(SIGHUP, SIG_IGN) != SIG_ERR);
	status = in_child(sees_hup);
	assert_true(signal(SIGHUP, SIG_DFL) != SIG_ERR);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 2);
}

/* A password command that hangs is left when a signal comes, and ended. */
static int leaves_a_slow_command(void)
{
	struct secret secret = {0};
	struct err err = {0};
	pid_t parent = getpid(), killer = fork();

	if (killer == 0) {
		(void)usleep(200000);
		(void)kill(parent, SIGINT);
		_exit(0);
	}
	return secret_from_command("exec sleep 60", &secret, &err) == -ERR_CANCELLED ? 0 : 1;
}

static void a_password_command_is_interrupted(void **state)
{
	(void)state;
	assert_child(leaves_a_slow_command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nothing_leaks),
	    cmocka_unit_test(a_crash_leaves_no_core),
	    cmocka_unit_test(a_closed_pipe_does_not_kill),
	    cmocka_unit_test(standard_descriptors_are_open),
	    cmocka_unit_test(the_first_signal_is_a_request),
	    cmocka_unit_test(the_second_kills),
	    cmocka_unit_test(an_ignored_signal_stays_ignored),
	    cmocka_unit_test(a_password_command_is_interrupted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
