#include "cli/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "cli/process.h"
#include "core/limits.h"

extern char **environ;

/* Room for a CRLF, and for the byte more that says "too long". */
#define SECRET_ROOM ((size_t)LIMIT_PASSWORD_BYTES + 3)

void secret_free(struct secret *secret)
{
	sodium_free(secret->bytes);
	secret->bytes = NULL;
	secret->len = 0;
}

static int secret_room(struct secret *secret, struct err *err)
{
	secret->len = 0;
	secret->bytes = sodium_malloc(SECRET_ROOM);
	return secret->bytes ? 0 : err_nomem(err);
}

/* Straight into the guarded memory: stdio would leave copies. */
static int read_all(int fd, bool to_newline, struct secret *secret, struct err *err)
{
	ssize_t got;

	while (secret->len < SECRET_ROOM) {
		got = read(fd, secret->bytes + secret->len, SECRET_ROOM - secret->len);
		if (got == 0)
			return 0;
		if (got < 0 && errno == EINTR && !process_interrupted())
			continue;
		if (got < 0 && errno == EINTR)
			return err_set(err, ERR_CANCELLED, "interrupted");
		if (got < 0)
			return err_sys(err, errno, "cannot read");
		secret->len += (size_t)got;
		if (to_newline && memchr(secret->bytes, '\n', secret->len))
			return 0;
	}
	return 0;
}

static void cut_first_line(struct secret *secret)
{
	const char *end = memchr(secret->bytes, '\n', secret->len);

	if (end)
		secret->len = (size_t)(end - secret->bytes) + 1;
}

static void drop_newline(struct secret *secret)
{
	if (secret->len > 0 && secret->bytes[secret->len - 1] == '\n') {
		secret->len--;
		if (secret->len > 0 && secret->bytes[secret->len - 1] == '\r')
			secret->len--;
	}
}

static int check_length(const struct secret *secret, struct err *err)
{
	if (secret->len == 0)
		return err_set(err, ERR_KEY, "the password is empty");
	if (secret->len > LIMIT_PASSWORD_BYTES)
		return err_set(err, ERR_LIMIT, "the password is longer than %u bytes",
			       LIMIT_PASSWORD_BYTES);
	return 0;
}

/* Where the system itself says who sees what, and a mode of 0444 is what one gets. */
static bool is_given(int fd, const char *path)
{
	static const char dir[] = "/run/secrets/";
	struct statvfs fs;
	char *real = realpath(path, NULL);
	bool given = (fstatvfs(fd, &fs) == 0 && (fs.f_flag & ST_RDONLY)) ||
		     (real && strncmp(real, dir, sizeof(dir) - 1) == 0);

	free(real);
	return given;
}

int secret_judge_mode(int fd, const char *what, const char *path, bool *out_tolerated,
		      struct err *err)
{
	struct stat st;

	*out_tolerated = false;
	if (fstat(fd, &st) != 0)
		return err_sys(err, errno, "%s %s", what, path);
	if (!S_ISREG(st.st_mode) || !(st.st_mode & (S_IRWXG | S_IRWXO)))
		return 0;
	*out_tolerated = is_given(fd, path);
	if (*out_tolerated)
		return 0;
	return err_set(err, ERR_USAGE, "%s %s: is open to others: 'chmod 600 %s'", what, path,
		       path);
}

int secret_from_file(const char *path, struct secret *out_secret, bool *out_tolerated,
		     struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int status;

	*out_tolerated = false;
	if (fd < 0)
		return err_sys(err, errno, "password file %s", path);
	status = secret_judge_mode(fd, "password file", path, out_tolerated, err);
	if (status) {
		(void)close(fd);
		return status;
	}
	status = secret_room(out_secret, err);
	if (status == 0)
		status = read_all(fd, false, out_secret, err);
	if (status == 0) {
		drop_newline(out_secret);
		status = check_length(out_secret, err);
	}
	(void)close(fd);
	if (status < 0) {
		secret_free(out_secret);
		(void)err_prefix(err, "password file %s", path);
	}
	return status;
}

/* A child with SIGPIPE and SIGXFSZ as they were born, and stdout in the pipe. */
static int spawn_shell(const char *command, int to, pid_t *out_pid)
{
	static char shell[] = "sh", minus_c[] = "-c";
	char *argv[4] = {shell, minus_c, NULL, NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t defaults;
	int errnum;

	/* posix_spawn promises not to change it. */
	memcpy(&argv[2], &command, sizeof(command));
	(void)sigemptyset(&defaults);
	(void)sigaddset(&defaults, SIGPIPE);
	(void)sigaddset(&defaults, SIGXFSZ);
	errnum = posix_spawn_file_actions_init(&files);
	if (errnum)
		return errnum;
	errnum = posix_spawnattr_init(&attributes);
	if (errnum == 0) {
		(void)posix_spawnattr_setsigdefault(&attributes, &defaults);
		(void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
		errnum = posix_spawn_file_actions_adddup2(&files, to, STDOUT_FILENO);
		if (errnum == 0)
			errnum =
			    posix_spawn(out_pid, "/bin/sh", &files, &attributes, argv, environ);
		(void)posix_spawnattr_destroy(&attributes);
	}
	(void)posix_spawn_file_actions_destroy(&files);
	return errnum;
}

static int wait_for(pid_t pid, bool *out_interrupted, int *out_status)
{
	*out_interrupted = false;
	while (waitpid(pid, out_status, 0) < 0) {
		if (errno != EINTR)
			return errno;
		if (process_interrupted() && !*out_interrupted) {
			*out_interrupted = true;
			(void)kill(pid, SIGTERM);
		}
	}
	return 0;
}

static int judge_exit(int errnum, bool was_interrupted, int exit_status, bool cut, struct err *err)
{
	if (was_interrupted)
		return err_set(err, ERR_CANCELLED, "interrupted");
	if (errnum)
		return err_sys(err, errnum, "cannot wait for it");
	/* We close the pipe after the first line; a command that goes on printing dies of that. */
	if (WIFSIGNALED(exit_status) && !(cut && WTERMSIG(exit_status) == SIGPIPE))
		return err_set(err, ERR_IO, "killed by signal %d", WTERMSIG(exit_status));
	if (WIFEXITED(exit_status) && WEXITSTATUS(exit_status) != 0 &&
	    !(cut && WEXITSTATUS(exit_status) == 128 + SIGPIPE))
		return err_set(err, ERR_IO, "exit status %d", WEXITSTATUS(exit_status));
	return 0;
}

int secret_from_command(const char *command, struct secret *out_secret, struct err *err)
{
	int ends[2], errnum, status, exit_status = 0;
	bool was_interrupted = false, cut;
	struct err exit_err = {0};
	pid_t pid = -1;

	if (pipe2(ends, O_CLOEXEC) != 0)
		return err_sys(err, errno, "password command");
	errnum = spawn_shell(command, ends[1], &pid);
	(void)close(ends[1]);
	if (errnum) {
		(void)close(ends[0]);
		return err_sys(err, errnum, "password command");
	}
	status = secret_room(out_secret, err);
	if (status == 0)
		status = read_all(ends[0], true, out_secret, err);
	(void)close(ends[0]);
	cut = status == 0 && (memchr(out_secret->bytes, '\n', out_secret->len) != NULL ||
			      out_secret->len == SECRET_ROOM);
	if (process_interrupted())
		(void)kill(pid, SIGTERM);
	errnum = wait_for(pid, &was_interrupted, &exit_status);
	if (status == 0 && judge_exit(errnum, was_interrupted, exit_status, cut, &exit_err) < 0) {
		*err = exit_err;
		status = -err->code;
	}
	if (status == 0) {
		cut_first_line(out_secret);
		drop_newline(out_secret);
		status = check_length(out_secret, err);
	}
	if (status < 0) {
		secret_free(out_secret);
		/* Not the command itself: it may hold a token. */
		(void)err_prefix(err, "password command");
	}
	return status;
}

static void say(int tty, const char *text)
{
	/* A prompt that cannot be shown is no reason to give up. */
	if (write(tty, text, strlen(text)) < 0)
		return;
}

static int ask(int tty, const char *prompt, struct secret *secret, struct err *err)
{
	int status = secret_room(secret, err);

	if (status < 0)
		return status;
	say(tty, prompt);
	status = read_all(tty, true, secret, err);
	say(tty, "\n");
	if (status == 0) {
		cut_first_line(secret);
		drop_newline(secret);
		status = check_length(secret, err);
	}
	if (status < 0)
		secret_free(secret);
	return status;
}

static int ask_twice(int tty, const char *prompt, const char *again, struct secret *out_secret,
		     struct err *err)
{
	struct secret second = {0};
	int status = ask(tty, prompt, out_secret, err);

	if (status < 0 || !again)
		return status;
	status = ask(tty, again, &second, err);
	if (status == 0 && (second.len != out_secret->len ||
			    sodium_memcmp(second.bytes, out_secret->bytes, second.len) != 0))
		status = err_set(err, ERR_KEY, "the passwords differ");
	secret_free(&second);
	if (status < 0)
		secret_free(out_secret);
	return status;
}

int secret_from_terminal(const char *prompt, const char *again, struct secret *out_secret,
			 struct err *err)
{
	struct termios shown, hidden;
	int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	int status;

	if (tty < 0 || tcgetattr(tty, &shown) != 0) {
		if (tty >= 0)
			(void)close(tty);
		return err_set(err, ERR_KEY,
			       "no password given and no terminal to ask on: use --password-file, "
			       "--password-command or --key-file");
	}
	hidden = shown;
	hidden.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
	/* FLUSH drops what was typed before the prompt, and could be seen. */
	if (tcsetattr(tty, TCSAFLUSH, &hidden) != 0) {
		status = err_sys(err, errno, "cannot turn the terminal's echo off");
	} else {
		status = ask_twice(tty, prompt, again, out_secret, err);
		(void)tcsetattr(tty, TCSAFLUSH, &shown);
	}
	(void)close(tty);
	return status;
}

int secret_password(const struct options_global *global, bool is_new, struct secret *out_secret,
		    bool *out_tolerated, struct err *err)
{
	*out_tolerated = false;
	if (global->password_file)
		return secret_from_file(global->password_file, out_secret, out_tolerated, err);
	if (global->password_command)
		return secret_from_command(global->password_command, out_secret, err);
	if (is_new)
		return secret_from_terminal("new password: ", "the same again: ", out_secret, err);
	return secret_from_terminal("password: ", NULL, out_secret, err);
}
