#include "tests/support/known.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int digit(char c)
{
	return c >= 'a' ? c - 'a' + 10 : c - '0';
}

struct buf known_get(const char *file, const char *name)
{
	struct buf value = {0};
	char path[256], *line = NULL;
	size_t cap = 0, word = strlen(name);
	FILE *f;
	bool found = false;

	(void)snprintf(path, sizeof(path), "tests/vectors/%s.hex", file);
	f = fopen(path, "r");
	if (!f)
		fail_msg("%s cannot be read; run the tests in the top folder", path);
	while (!found && getline(&line, &cap, f) > 0) {
		if (strncmp(line, name, word) != 0 || line[word] != ' ')
			continue;
		found = true;
		for (const char *p = line + word + 1; p[0] > ' ' && p[1] > ' '; p += 2)
			buf_put_u8(&value, (uint8_t)(digit(p[0]) << 4 | digit(p[1])));
	}
	free(line);
	(void)fclose(f);
	if (!found)
		fail_msg("%s has no %s", path, name);
	return value;
}

void known_expect(const char *file, const char *name, const void *bytes, size_t len)
{
	struct buf want = known_get(file, name);

	if (len != want.len || memcmp(bytes, want.data, len) != 0)
		fail_msg("%s: %s differs from the known answer", file, name);
	buf_free(&want);
}

static int try_copy(const struct decoder *d, const uint8_t *bytes, size_t len, size_t flip_at,
		    unsigned bit)
{
	uint8_t *copy = malloc(len ? len : 1);
	int rc;

	assert_non_null(copy);
	if (len)
		memcpy(copy, bytes, len);
	if (flip_at < len)
		copy[flip_at] ^= (uint8_t)(1u << bit);
	rc = d->dec(d->arg, copy, len);
	free(copy);
	return rc;
}

void expect_prefixes_refused(const struct decoder *d, const uint8_t *bytes, size_t len)
{
	assert_int_equal(try_copy(d, bytes, len, len, 0), 0);
	for (size_t n = 0; n < len; n++) {
		if (try_copy(d, bytes, n, n, 0) == 0)
			fail_msg("the first %zu of %zu bytes are accepted", n, len);
	}
}

void expect_flips_refused(const struct decoder *d, const uint8_t *bytes, size_t len, size_t from,
			  size_t to)
{
	for (size_t at = from; at < to; at++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			if (try_copy(d, bytes, len, at, bit) == 0)
				fail_msg("bit %u of byte %zu may change", bit, at);
		}
	}
}
