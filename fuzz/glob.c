/* A pattern, NUL, a path. The path is taken as it comes: no byte string may crash or hang the matcher. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/glob.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What every pair of answers must obey, whatever the pattern means. */
static void check_laws(const char *pattern, const char *path)
{
	bool match = glob_match(pattern, path);
	bool below = glob_may_match_below(pattern, path);
	size_t len = strlen(path);
	char *child;

	if (match && !below)
		abort();
	if (glob_match_whole(pattern, path) && !match)
		abort();
	child = malloc(len + 3);
	if (!child)
		return;
	memcpy(child, path, len);
	memcpy(child + len, "/x", 3);
	if (match && !glob_match(pattern, child))
		abort();
	if (!below && glob_match(pattern, child))
		abort();
	free(child);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = {0};
	char *text = malloc(size + 2);
	const char *path;

	if (!text)
		return 0;
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	text[size + 1] = '\0';
	path = text + strlen(text) + 1;
	if (glob_validate(text, &err) == 0)
		check_laws(text, path);
	free(text);
	return 0;
}
