/*
 * walk: goes through a folder and looks at everything in it once, and does nothing else: opendir, readdir, lstat of each path. The least that
 * a backup of unchanged files could cost. Prints how many entries there are.
 *
 *   walk FOLDER
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static unsigned long entries;
static int failed;

static void walk(const char *folder)
{
	DIR *dir = opendir(folder);
	const struct dirent *e;

	if (!dir) {
		perror(folder);
		failed = 1;
		return;
	}
	while ((e = readdir(dir)) != NULL) {
		char path[4096];
		struct stat st;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (snprintf(path, sizeof(path), "%s/%s", folder, e->d_name) >= (int)sizeof(path) ||
		    lstat(path, &st) != 0) {
			perror(path);
			failed = 1;
			continue;
		}
		entries++;
		if (S_ISDIR(st.st_mode))
			walk(path);
	}
	(void)closedir(dir);
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fputs("usage: walk FOLDER\n", stderr);
		return 2;
	}
	walk(argv[1]);
	printf("%lu\n", entries);
	return failed;
}
