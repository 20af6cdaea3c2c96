/* Passwords from files, commands and a terminal, and what is wrong with each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "cli/secret.h"
#include "core/limits.h"

static const char *write_file(const void *bytes, size_t len, mode_t mode)
{
	static char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "/tmp/nightjar-secret.XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(close(fd), 0);
	return path;
}

static void assert_file(const void *bytes, size_t len, const char *expected, size_t expected_len)
{
	const char *path = write_file(bytes, len, 0600);
	struct secret secret = {0};
	struct err err = {0};
	bool tolerated = true;

	assert_int_equal(secret_from_file(path, &secret, &tolerated, &err), 0);
	assert_int_equal(secret.len, expected_len);
	assert_memory_equal(secret.bytes, expected, expected_len);
	assert_false(tolerated);
	secret_free(&secret);
	(void)unlink(path);
}

static void one_newline_is_dropped(void **state)
{
	(void)state;
	assert_file("pass", 4, "pass", 4);
	assert_file("pass\n", 5, "pass", 4);
	assert_file("pass\r\n", 6, "pass", 4);
	assert_file("pass\n\n", 6, "pass\n", 5);
	assert_file(" a\0b \n", 6, " a\0b ", 5);
}

static void open_to_others_is_refused(void **state)
{
	static const mode_t modes[] = {0644, 0640, 0604, 0602, 0620, 0777};

	(void)state;
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		const char *path = write_file("x", 1, modes[i]);
		struct secret secret = {0};
		struct err err = {0};
		bool tolerated = true;

		assert_int_equal(secret_from_file(path, &secret, &tolerated, &err), -ERR_USAGE);
		assert_non_null(strstr(err.text, "chmod 600 /"));
		assert_false(tolerated);
		assert_null(secret.bytes);
		(void)unlink(path);
	}
}

static void assert_bad_file(const void *bytes, size_t len, int code)
{
	const char *path = write_file(bytes, len, 0600);
	struct secret secret = {0};
	struct err err = {0};
	bool tolerated;

	assert_int_equal(secret_from_file(path, &secret, &tolerated, &err), -code);
	assert_non_null(strstr(err.text, path));
	assert_null(secret.bytes);
	(void)unlink(path);
}

static void bad_files(void **state)
{
	struct secret secret = {0};
	struct err err = {0};
	bool tolerated;
	char *bytes = malloc(LIMIT_PASSWORD_BYTES + 10);

	(void)state;
	assert_non_null(bytes);
	memset(bytes, 'x', LIMIT_PASSWORD_BYTES + 10);
	assert_bad_file("", 0, ERR_KEY);
	assert_bad_file("\n", 1, ERR_KEY);
	assert_bad_file(bytes, LIMIT_PASSWORD_BYTES + 1, ERR_LIMIT);
	assert_bad_file(bytes, LIMIT_PASSWORD_BYTES + 10, ERR_LIMIT);
	bytes[LIMIT_PASSWORD_BYTES] = '\n';
	assert_file(bytes, LIMIT_PASSWORD_BYTES + 1, bytes, LIMIT_PASSWORD_BYTES);
	free(bytes);
	assert_int_equal(secret_from_file("/nonexistent/p", &secret, &tolerated, &err),
			 -ERR_MISSING);
	assert_int_equal(secret_from_file("/tmp", &secret, &tolerated, &err), -ERR_IO);
	assert_null(secret.bytes);
}

static void assert_command(const char *command, const char *expected)
{
	struct secret secret = {0};
	struct err err = {0};

	if (secret_from_command(command, &secret, &err) < 0)
		fail_msg("%s: %s", command, err.text);
	assert_int_equal(secret.len, strlen(expected));
	assert_memory_equal(secret.bytes, expected, secret.len);
	secret_free(&secret);
}

static void first_line_of_a_command(void **state)
{
	(void)state;
	assert_command("echo pass", "pass");
	assert_command("printf 'no newline'", "no newline");
	assert_command("printf 'first\\nsecond\\n'", "first");
	assert_command("printf 'in '; sleep 0.1; printf 'parts\\r\\n'", "in parts");
	/* Goes on for ever, and is not waited for. */
	assert_command("yes", "y");
}

static void assert_bad_command(const char *command, int code, const char *words)
{
	struct secret secret = {0};
	struct err err = {0};

	assert_int_equal(secret_from_command(command, &secret, &err), -code);
	if (!strstr(err.text, words))
		fail_msg("%s: %s", command, err.text);
	assert_null(strstr(err.text, "s3cret"));
	assert_null(secret.bytes);
}

static void bad_commands(void **state)
{
	(void)state;
	assert_bad_command("echo s3cret; exit 3", ERR_IO, "exit status 3");
	assert_bad_command("kill -9 $$ # s3cret", ERR_IO, "signal 9");
	assert_bad_command("true s3cret", ERR_KEY, "empty");
	assert_bad_command("echo", ERR_KEY, "empty");
	assert_bad_command("head -c 5000 /dev/zero | tr '\\0' x", ERR_LIMIT, "longer");
	assert_bad_command("/nonexistent/s3cret 2>/dev/null", ERR_IO, "exit status 127");
}

/* In a child with a new session, so that the pseudo-terminal becomes its /dev/tty. Returns its exit code. */
static int child_asks(int *out_master, char *name, bool twice)
{
	pid_t pid = fork();
	struct secret secret = {0};
	struct err err = {0};
	int tty, status;

	assert_true(pid >= 0);
	if (pid > 0)
		return (int)pid;
	(void)close(*out_master);
	(void)setsid();
	tty = open(name, O_RDWR);
	if (tty < 0 || ioctl(tty, TIOCSCTTY, 0) < 0)
		_exit(90);
	status = secret_from_terminal("password: ", twice ? "again: " : NULL, &secret, &err);
	if (status == 0)
		status = secret.len == 4 && memcmp(secret.bytes, "pass", 4) == 0 ? 0 : 91;
	secret_free(&secret);
	_exit(status < 0 ? -status : status);
}

/* Types answer by answer, each after its prompt; out gets everything that the terminal showed. */
static int converse(const char *const answers[], bool twice, char *out, size_t out_size)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY), status = -1;
	char name[64];
	size_t used = 0;
	ssize_t got;
	pid_t pid;

	assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
	(void)snprintf(name, sizeof(name), "%s", ptsname(master));
	pid = (pid_t)child_asks(&master, name, twice);
	while (used + 1 < out_size && (got = read(master, out + used, out_size - used - 1)) > 0) {
		used += (size_t)got;
		out[used] = '\0';
		if (answers[0] && used >= 2 && strcmp(out + used - 2, ": ") == 0) {
			assert_true(write(master, answers[0], strlen(answers[0])) > 0);
			answers++;
		}
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	(void)close(master);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 99;
}

static void terminal_without_echo(void **state)
{
	char shown[512] = "";

	(void)state;
	assert_int_equal(
	    converse((const char *const[]){"pass\n", NULL}, false, shown, sizeof(shown)), 0);
	assert_non_null(strstr(shown, "password: "));
	assert_null(strstr(shown, "pass\r"));
	assert_int_equal(
	    converse((const char *const[]){"pass\n", "pass\n", NULL}, true, shown, sizeof(shown)),
	    0);
	assert_non_null(strstr(shown, "again: "));
}

static void terminal_refusals(void **state)
{
	char shown[512] = "";

	(void)state;
	assert_int_equal(
	    converse((const char *const[]){"pass\n", "past\n", NULL}, true, shown, sizeof(shown)),
	    ERR_KEY);
	assert_int_equal(converse((const char *const[]){"\n", NULL}, false, shown, sizeof(shown)),
			 ERR_KEY);
}

static void options_choose(void **state)
{
	const char *path = write_file("from file\n", 10, 0600);
	struct options_global global = {.password_file = path};
	struct secret secret = {0};
	struct err err = {0};
	bool tolerated;

	(void)state;
	assert_int_equal(secret_password(&global, true, &secret, &tolerated, &err), 0);
	assert_memory_equal(secret.bytes, "from file", 9);
	secret_free(&secret);
	global = (struct options_global){.password_command = "echo command"};
	assert_int_equal(secret_password(&global, false, &secret, &tolerated, &err), 0);
	assert_memory_equal(secret.bytes, "command", 7);
	secret_free(&secret);
	(void)unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_newline_is_dropped),
	    cmocka_unit_test(open_to_others_is_refused),
	    cmocka_unit_test(bad_files),
	    cmocka_unit_test(first_line_of_a_command),
	    cmocka_unit_test(bad_commands),
	    cmocka_unit_test(terminal_without_echo),
	    cmocka_unit_test(terminal_refusals),
	    cmocka_unit_test(options_choose),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
