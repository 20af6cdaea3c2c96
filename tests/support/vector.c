#include "tests/support/vector.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(int ok, const char *what)
{
	if (!ok) {
		(void)fprintf(stderr, "vector: %s\n", what);
		abort();
	}
}

static unsigned digit(char c)
{
	const char *digits = "0123456789abcdef", *at = strchr(digits, c);

	must(at && *at, "not a hexadecimal digit");
	return (unsigned)(at - digits);
}

struct buf vector_get(const char *file, const char *name)
{
	char path[256], *line = NULL;
	size_t cap = 0, name_len = strlen(name);
	struct buf out = {0};
	bool found = false;
	FILE *in;

	(void)snprintf(path, sizeof(path), "tests/vectors/%s", file);
	in = fopen(path, "r");
	must(in != NULL, path);
	while (!found && getline(&line, &cap, in) > 0) {
		const char *p = line + name_len + 1;

		if (strncmp(line, name, name_len) != 0 || line[name_len] != ' ')
			continue;
		found = true;
		for (; *p && *p != '\n'; p += 2)
			buf_put_u8(&out, (uint8_t)(digit(p[0]) << 4 | digit(p[1])));
	}
	must(found && !out.failed, name);
	free(line);
	(void)fclose(in);
	return out;
}

struct keys *vector_keys(void)
{
	struct buf repo = vector_get("pack.txt", "repository");
	struct buf master = vector_get("pack.txt", "master");
	struct keys *keys = NULL;
	struct err err = {0};

	must(repo.len == REPO_ID_BYTES && master.len == 32, "lengths");
	must(keys_from_master(repo.data, master.data, &keys, &err) == 0, err.text);
	must(keys_use_host(keys, "vector", &err) == 0, err.text);
	buf_free(&repo);
	buf_free(&master);
	return keys;
}
