#include "tests/support/tmpdir.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void die(const char *what)
{
	perror(what);
	abort();
}

char *tmpdir_path(const char *dir, const char *name)
{
	char *path = NULL;

	if (asprintf(&path, "%s/%s", dir, name) < 0)
		die("tmpdir_path");
	return path;
}

char *tmpdir_make(void)
{
	const char *base = getenv("TMPDIR");
	char *dir = tmpdir_path(base && *base ? base : "/tmp", "nightjar-test-XXXXXX");

	if (!mkdtemp(dir))
		die(dir);
	return dir;
}

/* A test may leave a folder that its owner cannot write: opened up before its contents go. */
static int open_up(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)at;
	if ((type == FTW_D || type == FTW_DNR) && (st->st_mode & 0700) != 0700 &&
	    chmod(path, 0700) != 0)
		die(path);
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st, (void)type, (void)at;
	if (remove(path) != 0)
		die(path);
	return 0;
}

void tmpdir_remove(char *dir)
{
	if (!dir)
		return;
	if (nftw(dir, open_up, 16, FTW_PHYS | FTW_MOUNT) != 0 ||
	    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0)
		die(dir);
	free(dir);
}
