#include "tests/support/s3box.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

#define WORDS 24

bool s3box_start(struct s3box *box, const char *const argv[])
{
	posix_spawn_file_actions_t files;
	char *words[WORDS] = {NULL};
	int pipe_of[2], failed;
	FILE *said;

	for (size_t i = 0; argv[i] && i + 1 < WORDS; i++)
		words[i] = strdup(argv[i]);
	if (pipe2(pipe_of, O_CLOEXEC) != 0 || posix_spawn_file_actions_init(&files) != 0)
		abort();
	(void)posix_spawn_file_actions_adddup2(&files, pipe_of[1], 1);
	failed = posix_spawnp(&box->pid, words[0], &files, NULL, words, environ);
	(void)posix_spawn_file_actions_destroy(&files);
	(void)close(pipe_of[1]);
	for (size_t i = 0; i < WORDS; i++)
		free(words[i]);
	said = fdopen(pipe_of[0], "r");
	box->port = 0;
	if (failed == 0 && said && fscanf(said, "%u", &box->port) != 1)
		box->port = 0;
	if (said)
		(void)fclose(said);
	if (failed == 0 && box->port == 0)
		s3box_stop(box);
	return box->port != 0;
}

void s3box_start_ours(struct s3box *box, const char *const options[])
{
	const char *argv[WORDS] = {"python3", "tests/tools/s3server.py"};

	for (size_t i = 0; options[i] && i + 3 < WORDS; i++)
		argv[i + 2] = options[i];
	if (s3box_start(box, argv))
		return;
	fprintf(stderr, "tests/tools/s3server.py did not start\n");
	abort();
}

void s3box_stop(struct s3box *box)
{
	if (box->pid <= 0)
		return;
	(void)kill(box->pid, SIGTERM);
	(void)waitpid(box->pid, NULL, 0);
	box->pid = 0;
}
