#include "tests/support/faultrun.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/tmpdir.h"

#define TIMEOUT_MS 20000

extern char **environ;

static void die(const char *what)
{
	perror(what);
	abort();
}

/* build/<variant>/tests/tools/faultlib.so, of the build/<variant>/tests/crash/test_... that runs. */
static char *find_library(void)
{
	char self[PATH_MAX], *path;
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (len <= 0)
		die("/proc/self/exe");
	self[len] = '\0';
	*strrchr(self, '/') = '\0';
	path = tmpdir_path(self, "../tools/faultlib.so");
	if (access(path, R_OK) != 0)
		die(path);
	return path;
}

void faultrun_open(struct faultrun *r, const char *dir)
{
	int fd;

	r->library = find_library();
	r->plan_path = tmpdir_path(dir, "plan");
	r->out = tmpdir_path(dir, "run.out");
	r->log = tmpdir_path(dir, "run.log");
	fd = open(r->plan_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, sizeof(*r->plan)) != 0)
		die(r->plan_path);
	r->plan = mmap(NULL, sizeof(*r->plan), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (r->plan == MAP_FAILED || close(fd) != 0)
		die(r->plan_path);
}

void faultrun_close(struct faultrun *r)
{
	(void)munmap(r->plan, sizeof(*r->plan));
	free(r->library), free(r->plan_path), free(r->out), free(r->log);
}

void faultrun_clear(struct faultrun *r)
{
	memset(r->plan, 0, sizeof(*r->plan));
}

static int wait_for(pid_t pid)
{
	struct pollfd end = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
	int status, got;

	if (end.fd < 0)
		die("pidfd_open");
	got = poll(&end, 1, TIMEOUT_MS);
	if (got == 0)
		(void)kill(pid, SIGKILL);
	if (got < 0 || waitpid(pid, &status, 0) != pid || close(end.fd) != 0)
		die("waiting");
	if (got == 0)
		return FAULTRUN_HUNG;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int faultrun_go(struct faultrun *r, const char *const argv[])
{
	const int flags = O_WRONLY | O_CREAT | O_TRUNC;
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int failed;

	r->plan->calls = r->plan->fired = 0;
	r->plan->first[0] = '\0';
	if (posix_spawn_file_actions_init(&actions) != 0 ||
	    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0) != 0 ||
	    posix_spawn_file_actions_addopen(&actions, 1, r->out, flags, 0600) != 0 ||
	    posix_spawn_file_actions_addopen(&actions, 2, r->log, flags, 0600) != 0 ||
	    setenv("LD_PRELOAD", r->library, 1) != 0 ||
	    setenv(FAULTPLAN_VARIABLE, r->plan_path, 1) != 0)
		die("spawn");
	failed =
	    posix_spawn(&pid, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv, environ);
	(void)unsetenv("LD_PRELOAD");
	(void)unsetenv(FAULTPLAN_VARIABLE);
	(void)posix_spawn_file_actions_destroy(&actions);
	if (failed != 0) {
		errno = failed;
		die(argv[0]);
	}
	return wait_for(pid);
}

size_t faultrun_errors(const struct faultrun *r, char out_first[FAULTRUN_LINE])
{
	static const char head[] = "nightjar: ", warning[] = "nightjar: warning: ";
	char line[FAULTRUN_LINE];
	FILE *f = fopen(r->log, "r");
	size_t count = 0;

	if (!f)
		die(r->log);
	out_first[0] = '\0';
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, head, strlen(head)) != 0 ||
		    strncmp(line, warning, strlen(warning)) == 0)
			continue;
		if (count++ == 0)
			memcpy(out_first, line, strlen(line) + 1);
	}
	(void)fclose(f);
	out_first[strcspn(out_first, "\n")] = '\0';
	return count;
}

void faultrun_said(const struct faultrun *r, char out[FAULTRUN_LINE])
{
	FILE *f = fopen(r->log, "r");
	size_t len;

	if (!f)
		die(r->log);
	len = fread(out, 1, FAULTRUN_LINE - 1, f);
	(void)fclose(f);
	while (len > 0 && out[len - 1] == '\n')
		len--;
	out[len] = '\0';
	for (size_t i = 0; i < len; i++) {
		if (out[i] == '\n')
			out[i] = '|';
	}
}
