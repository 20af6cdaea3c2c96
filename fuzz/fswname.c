/* A path as a manifest has it, given to the writing half of restore. Whatever it says, nothing is made beside the target. */
#include <dirent.h>
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "repo/fswrite.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int drop(const char *path, const struct stat *st, int flag, struct FTW *at)
{
	(void)st;
	(void)flag;
	(void)at;
	return remove(path);
}

static void beside(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	if (!d)
		abort();
	while ((e = readdir(d))) {
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
		    strcmp(e->d_name, "t") != 0 && strcmp(e->d_name, "link") != 0)
			abort();
	}
	(void)closedir(d);
}

static void make(struct fsw *w, const char *path)
{
	struct fsw_file *f = NULL;
	const struct fsw_attrs attrs = {.mode = 0600, .user = "", .group = ""};
	struct err err = {0};
	bool made;
	int rc = fsw_mkdir(w, path, &made, &err);

	if (rc && !err.text[0])
		abort();
	if (rc == 0 && (path[0] == '/' || strncmp(path, "../", 3) == 0 || strstr(path, "/../") ||
			strcmp(path, "link") == 0 || strncmp(path, "link/", 5) == 0))
		abort();
	if (rc != 0 && fsw_file_begin(w, path, 1, &f, &err) == 0)
		(void)!fsw_file_commit(f, &attrs, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char dir[64] = "/tmp/nightjar-fuzz-XXXXXX", target[80], link[96], path[301] = "";
	struct fsw *w = NULL;
	struct err err = {0};

	if (!mkdtemp(dir))
		abort();
	(void)snprintf(target, sizeof(target), "%s/t", dir);
	if (size)
		memcpy(path, data, size < 300 ? size : 300);
	if (fsw_open(target, NULL, NULL, &w, &err) == 0) {
		/* One that leads out of it. */
		(void)snprintf(link, sizeof(link), "%s/link", target);
		(void)!symlink("..", link);
		make(w, path);
	}
	fsw_close(w);
	beside(dir);
	(void)nftw(dir, drop, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}
