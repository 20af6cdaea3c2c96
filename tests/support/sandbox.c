#include "tests/support/sandbox.h"

#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void must(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		abort();
	}
}

char *sandbox_new(void)
{
	const char *base = getenv("TMPDIR");
	char *dir = NULL;

	must(asprintf(&dir, "%s/nightjar-test-XXXXXX", base && base[0] ? base : "/tmp") > 0,
	     "asprintf");
	must(mkdtemp(dir) != NULL, dir);
	return dir;
}

static int run(char *const argv[])
{
	int status = 0;
	pid_t pid = fork();

	must(pid >= 0, "fork");
	if (pid == 0) {
		(void)execvp(argv[0], argv);
		_exit(127);
	}
	must(waitpid(pid, &status, 0) == pid, "waitpid");
	return status;
}

/* Both walk by descriptors and follow no symlink, so trees deeper than PATH_MAX and planted links are fine. */
void sandbox_remove(char *dir)
{
	char *opened[] = {"chmod", "-R", "u+rwX", "--", dir, NULL};
	char *removed[] = {"rm", "-rf", "--", dir, NULL};

	(void)run(opened);
	must(run(removed) == 0, "rm -rf");
	free(dir);
}

char *sandbox_path(const char *dir, const char *name)
{
	char *path = NULL;

	must(asprintf(&path, "%s/%s", dir, name) > 0, "asprintf");
	return path;
}

void sandbox_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	size_t len = strlen(text);

	must(fd >= 0, path);
	must(write(fd, text, len) == (ssize_t)len, path);
	must(close(fd) == 0, path);
}

int sandbox_as_nobody(int (*fn)(void *arg), void *arg)
{
	int status = 0;
	pid_t pid = fork();

	must(pid >= 0, "fork");
	if (pid == 0) {
		if (getuid() == 0 &&
		    (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0))
			_exit(99);
		_exit(fn(arg));
	}
	must(waitpid(pid, &status, 0) == pid, "waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}
