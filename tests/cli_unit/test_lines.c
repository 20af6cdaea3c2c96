/* lines: lists of paths and patterns in files, as text, as they are, and ended by zero bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/lines.h"
#include "tests/support/tmpdir.h"

/* Items joined by '|', or "error <code>". */
static void check_split(enum lines_kind kind, const char *text, size_t len, const char *want)
{
	struct lines lines = {0};
	struct err err = {0};
	char got[512] = "", *copy = malloc(len + 1);

	assert_non_null(copy);
	memcpy(copy, text, len);
	if (lines_split(&lines, copy, len, kind, "list", &err) < 0)
		(void)snprintf(got, sizeof(got), "error %d", err.code);
	for (size_t i = 0; !err.code && i < lines.count; i++) {
		(void)strcat(got, i ? "|" : "");
		(void)strcat(got, lines.items[i]);
	}
	assert_string_equal(got, want);
	lines_free(&lines);
}

#define SPLIT(kind, text, want) check_split(kind, text, sizeof(text) - 1, want)

static void trimmed(void **state)
{
	(void)state;
	SPLIT(LINES_TRIMMED, "", "");
	SPLIT(LINES_TRIMMED, "a", "a");
	SPLIT(LINES_TRIMMED, "a\nb\n", "a|b");
	SPLIT(LINES_TRIMMED, "\n\n a b \t\r\n\r\n#c\n  # d\ne#f", "a b|e#f");
	SPLIT(LINES_TRIMMED, "a\0b", "error 10");
}

static void verbatim(void **state)
{
	(void)state;
	SPLIT(LINES_VERBATIM, "#a\n b \n\nc\r\n", "#a| b |c");
	SPLIT(LINES_VERBATIM, "a\nb\0", "error 10");
}

static void raw(void **state)
{
	(void)state;
	SPLIT(LINES_RAW, "", "");
	SPLIT(LINES_RAW, "a\0 b\n\0#\0", "a| b\n|#");
	SPLIT(LINES_RAW, "a\0b", "error 10");
	SPLIT(LINES_RAW, "a\0\0b\0", "error 10");
}

static void parts(void **state)
{
	struct lines lines = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(lines_add_parts(&lines, ",a,,b c,", ',', &err), 0);
	assert_int_equal(lines_add_parts(&lines, "", ',', &err), 0);
	assert_int_equal(lines_add_parts(&lines, "d", ',', &err), 0);
	assert_int_equal(lines.count, 3);
	assert_string_equal(lines.items[1], "b c");
	assert_string_equal(lines.items[2], "d");
	lines_free(&lines);
}

static void files(void **state)
{
	char *dir = tmpdir_make(), *path = tmpdir_path(dir, "list"), text[32];
	FILE *f = fopen(path, "w");
	struct lines lines = {0};
	struct err err = {0};

	(void)state;
	assert_non_null(f);
	for (unsigned i = 0; i < 20000; i++)
		assert_true(fprintf(f, "line %u\n", i) > 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(lines_read(&lines, path, LINES_TRIMMED, &err), 0);
	assert_int_equal(lines_read(&lines, path, LINES_VERBATIM, &err), 0);
	assert_int_equal(lines.count, 40000);
	for (unsigned i = 0; i < 40000; i += 777) {
		(void)snprintf(text, sizeof(text), "line %u", i % 20000);
		assert_string_equal(lines.items[i], text);
	}
	assert_int_equal(unlink(path), 0);
	assert_int_equal(lines_read(&lines, path, LINES_TRIMMED, &err), -ERR_MISSING);
	assert_non_null(strstr(err.text, path));
	assert_int_equal(lines_read(&lines, dir, LINES_TRIMMED, &err), -ERR_IO);
	lines_free(&lines);
	free(path);
	tmpdir_remove(dir);
}

static void make(const char *dir, const char *name)
{
	char *path = tmpdir_path(dir, name);

	assert_int_equal(mkdir(path, 0700), 0);
	free(path);
}

static void expanding(void **state)
{
	char *dir = tmpdir_make(), *all = tmpdir_path(dir, "*"), *one = tmpdir_path(dir, "a");
	char *none = tmpdir_path(dir, "z*");
	struct lines lines = {0};
	struct err err = {0};

	(void)state;
	make(dir, "b");
	make(dir, "a");
	make(dir, ".c");
	assert_int_equal(lines_expand(&lines, all, &err), 3);
	assert_int_equal(lines_expand(&lines, one, &err), 1);
	assert_int_equal(lines_expand(&lines, none, &err), 0);
	assert_int_equal(lines.count, 4);
	assert_string_equal(lines.items[1], one);
	assert_string_equal(lines.items[3], one);
	lines_free(&lines);
	free(all);
	free(one);
	free(none);
	tmpdir_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(trimmed), cmocka_unit_test(verbatim), cmocka_unit_test(raw),
	    cmocka_unit_test(parts),   cmocka_unit_test(files),    cmocka_unit_test(expanding),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
