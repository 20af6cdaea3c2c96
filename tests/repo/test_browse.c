/* Paths in a backup: joined, tidied, and never so deep that a walk would run out of stack. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/limits.h"
#include "repo/browse.h"
#include "tests/support/must.h"

static struct span span_of(const char *text)
{
	return (struct span){(const uint8_t *)text, strlen(text)};
}

static void joins(void **state)
{
	struct span name = span_of("app");
	struct err err = {0};
	char *path = NULL;

	(void)state;
	MUST(browse_join("/", &name, &path, &err), &err);
	assert_string_equal(path, "/app");
	free(path);
	MUST(browse_join("/srv", &name, &path, &err), &err);
	assert_string_equal(path, "/srv/app");
	free(path);
}

static void refuses_endless_nesting(void **state)
{
	struct span name = span_of("d");
	char *path = strdup("/");
	struct err err = {0};
	unsigned depth = 0;
	int r = 0;

	(void)state;
	while (!r && depth < 2 * LIMIT_READ_DEPTH) {
		char *below = NULL;

		r = browse_join(path, &name, &below, &err);
		if (r) {
			assert_null(below);
			break;
		}
		free(path);
		path = below;
		depth++;
	}
	assert_int_equal(r, -ERR_LIMIT);
	assert_int_equal(depth, LIMIT_READ_DEPTH);
	free(path);
}

static void gives_the_folder_above(void **state)
{
	static const char *const pairs[][2] = {
	    {"/srv/app", "/srv"}, {"/srv", "/"}, {"/", "/"}, {"/a/b/c", "/a/b"}};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		char *above = browse_folder_of(pairs[i][0]);

		assert_string_equal(above, pairs[i][1]);
		free(above);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(joins),
	    cmocka_unit_test(refuses_endless_nesting),
	    cmocka_unit_test(gives_the_folder_above),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
