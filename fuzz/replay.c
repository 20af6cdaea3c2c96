/*
 * replay: feeds files to a fuzz target without a fuzz engine, so that every compiler and sanitizer
 * runs the corpus in `make check`. Arguments are files or folders of files; what is not there is
 * skipped, since a target may have no finds. One TAP test: it passed when nothing crashed.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned replayed;

/* A copy of exactly the file's size, so that a read beyond it meets the sanitizer. */
static int replay_file(const char *path, size_t size)
{
	uint8_t *data = malloc(size ? size : 1);
	FILE *in = fopen(path, "rb");
	int failed = 1;

	if (data && in && fread(data, 1, size, in) == size) {
		/* Said before, so that the output of a crash ends with its input. */
		(void)printf("# %s\n", path);
		(void)fflush(stdout);
		(void)LLVMFuzzerTestOneInput(data, size);
		replayed++;
		failed = 0;
	} else {
		(void)printf("# cannot read %s: %s\n", path, strerror(errno));
	}
	if (in)
		(void)fclose(in);
	free(data);
	return failed;
}

static int replay_path(const char *path)
{
	struct dirent **names = NULL;
	struct stat st;
	char below[4096];
	int failed = 0, count;

	if (stat(path, &st) != 0)
		return 0;
	if (!S_ISDIR(st.st_mode))
		return replay_file(path, (size_t)st.st_size);
	count = scandir(path, &names, NULL, alphasort);
	for (int i = 0; i < count; i++) {
		if (names[i]->d_name[0] != '.') {
			(void)snprintf(below, sizeof(below), "%s/%s", path, names[i]->d_name);
			failed |= replay_path(below);
		}
		free(names[i]);
	}
	free(names);
	return failed;
}

int main(int argc, char **argv)
{
	int failed = 0;

	(void)LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	for (int i = 1; i < argc; i++)
		failed |= replay_path(argv[i]);
	(void)printf("%s 1 - %u inputs replayed\n1..1\n", failed ? "not ok" : "ok", replayed);
	return failed;
}
