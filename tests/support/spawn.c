#include "tests/support/spawn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/tmpdir.h"

extern char **environ;

const char *spawn_program(void)
{
	const char *program = getenv("NIGHTJAR");

	if (!program) {
		char *path = realpath("build/nightjar", NULL);

		if (!path || setenv("NIGHTJAR", path, 1) != 0) {
			perror("build/nightjar");
			abort();
		}
		free(path);
		program = getenv("NIGHTJAR");
	}
	return program;
}

int spawn_run(const char *log, const char *const argv[])
{
	posix_spawn_file_actions_t actions;
	int status = -1;
	pid_t pid;

	if (posix_spawn_file_actions_init(&actions) != 0 ||
	    posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_TRUNC,
					     0600) != 0 ||
	    posix_spawn_file_actions_adddup2(&actions, 1, 2) != 0)
		abort();
	if (posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv, environ) !=
		0 ||
	    waitpid(pid, &status, 0) != pid) {
		perror(argv[0]);
		abort();
	}
	(void)posix_spawn_file_actions_destroy(&actions);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void spawn_show(const char *log)
{
	char line[512];
	FILE *f = fopen(log, "r");

	while (f && fgets(line, sizeof(line), f))
		(void)fprintf(stderr, "#   %s", line);
	if (f)
		(void)fclose(f);
}

static void set(const char *name, char *value)
{
	(void)setenv(name, value, 1);
	free(value);
}

void spawn_environment(const char *dir, const char *work, const char *repo)
{
	static const char *const folders[] = {"cache", "state", "tmp", "cwd"};

	for (size_t i = 0; i < 4; i++) {
		char *path = tmpdir_path(work, folders[i]);

		if (mkdir(path, 0700) != 0 && errno != EEXIST)
			abort();
		free(path);
	}
	(void)spawn_program();
	(void)unsetenv("NIGHTJAR_PASSWORD_FILE");
	(void)unsetenv("NIGHTJAR_PASSWORD_COMMAND");
	set("NIGHTJAR_KEY_FILE", tmpdir_path(dir, "key"));
	set("NIGHTJAR_REPOSITORY", tmpdir_path(work, repo));
	set("NIGHTJAR_CACHE_DIR", tmpdir_path(work, "cache"));
	set("NIGHTJAR_STATE_DIR", tmpdir_path(work, "state"));
	set("TMPDIR", tmpdir_path(work, "tmp"));
	set("SQLITE_TMPDIR", tmpdir_path(work, "tmp"));
}

#define WORKERS_MOST 8

void spawn_workers(unsigned count, void (*work)(void *arg, unsigned worker), void *arg)
{
	pid_t pids[WORKERS_MOST];
	int status;

	assert_true(count <= WORKERS_MOST);
	for (unsigned i = 0; i < count; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0) {
			work(arg, i);
			_exit(0);
		}
	}
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
}
