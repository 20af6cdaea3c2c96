/*
 * measure: runs a command and says what it cost, its children included.
 *
 *   measure FILE COMMAND [ARGUMENT…]
 *
 * Appends "<cpu seconds> <wall seconds> <peak KiB> <exit status>" to FILE and exits with that status. The peak is that
 * of the largest single process; a command that was killed by a signal counts as 128 + signal.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds_of(const struct timeval *t)
{
	return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

static double wall_now(void)
{
	struct timespec t = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	struct rusage used;
	double began;
	FILE *f;
	pid_t pid;
	int raw, status;

	if (argc < 3) {
		fputs("usage: measure FILE COMMAND [ARGUMENT...]\n", stderr);
		return 2;
	}
	began = wall_now();
	pid = fork();
	if (pid == 0) {
		execvp(argv[2], argv + 2);
		fprintf(stderr, "measure: %s: %s\n", argv[2], strerror(errno));
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &raw, 0, &used) != pid) {
		fprintf(stderr, "measure: %s\n", strerror(errno));
		return 1;
	}
	status = WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
	f = fopen(argv[1], "a");
	if (!f ||
	    fprintf(f, "%.3f %.3f %ld %d\n",
		    seconds_of(&used.ru_utime) + seconds_of(&used.ru_stime), wall_now() - began,
		    used.ru_maxrss, status) < 0 ||
	    fclose(f)) {
		fprintf(stderr, "measure: %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	return status;
}
