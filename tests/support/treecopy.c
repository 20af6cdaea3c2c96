#include "tests/support/treecopy.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/tmpdir.h"

static void die(const char *what)
{
	perror(what);
	abort();
}

static void set_times(const char *path, const struct stat *st)
{
	const struct timespec times[2] = {st->st_atim, st->st_mtim};

	if (utimensat(AT_FDCWD, path, times, 0) != 0)
		die(path);
}

static void copy_file(const char *from, const char *to, const struct stat *st)
{
	static uint8_t bytes[1 << 16];
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	ssize_t got;

	if (in < 0 || out < 0)
		die(in < 0 ? from : to);
	while ((got = read(in, bytes, sizeof(bytes))) > 0) {
		if (write(out, bytes, (size_t)got) != got)
			die(to);
	}
	if (got < 0 || fchmod(out, st->st_mode & 07777) != 0)
		die(from);
	(void)close(in);
	(void)close(out);
	set_times(to, st);
}

void treecopy(const char *from, const char *to)
{
	DIR *d = opendir(from);
	struct dirent *e;
	struct stat st;

	if (!d || stat(from, &st) != 0 || mkdir(to, 0700) != 0)
		die(d ? to : from);
	while ((e = readdir(d)) != NULL) {
		char *a = tmpdir_path(from, e->d_name), *b = tmpdir_path(to, e->d_name);
		struct stat below;

		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
			if (lstat(a, &below) != 0)
				die(a);
			if (S_ISDIR(below.st_mode))
				treecopy(a, b);
			else if (S_ISREG(below.st_mode))
				copy_file(a, b, &below);
		}
		free(a);
		free(b);
	}
	(void)closedir(d);
	if (chmod(to, st.st_mode & 07777) != 0)
		die(to);
	set_times(to, &st);
}
