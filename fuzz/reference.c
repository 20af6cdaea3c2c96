/* A word of --refs, NUL, the path of a database, NUL, what a query gave. Paths come out absolute and clean; clean ones stay as they are. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/limits.h"
#include "core/reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_clean(const char *path)
{
	size_t len = strlen(path);

	if (path[0] != '/' || len > LIMIT_PATH_BYTES || strstr(path, "//") || strstr(path, "/./") ||
	    strstr(path, "/../"))
		abort();
	if (len > 1 && (path[len - 1] == '/' || strcmp(path + len - 2, "/.") == 0 ||
			(len > 2 && strcmp(path + len - 3, "/..") == 0)))
		abort();
}

static void path_of(const char *db, const uint8_t *bytes, size_t len)
{
	char *path = reference_path(db, bytes, len), *again;

	if (!path)
		return;
	check_clean(path);
	again = reference_path("/other/a.db", path, strlen(path));
	if (again && strcmp(again, path) != 0)
		abort();
	if (path[1] &&
	    (!reference_matches(path, path) || !reference_matches(strrchr(path, '/') + 1, path)))
		abort();
	free(again);
	free(path);
}

static void split(const char *text)
{
	char *database = NULL, *query = NULL;
	struct err err = {0};
	int rc = reference_split(text, &database, &query, &err);

	if (rc == 0 && (!*database || !*query || !strstr(text, query)))
		abort();
	if (rc && rc != -ERR_USAGE)
		abort();
	free(database);
	free(query);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 2), *db;
	uint8_t sum[32];
	size_t at;

	if (!text)
		return 0;
	if (size)
		memcpy(text, data, size);
	text[size] = text[size + 1] = '\0';
	db = text + strlen(text) + 1;
	at = (size_t)(db - text) + strlen(db) + 1;
	split(text);
	if (db[0] == '/' && at <= size)
		path_of(db, data + at, size - at);
	if (reference_sha256(data, size, sum) && size != 32 && size != 64)
		abort();
	free(text);
	return 0;
}
