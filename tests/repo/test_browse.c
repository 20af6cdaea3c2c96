/* Paths in a backup are never so deep that a walk would run out of stack. */
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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(refuses_endless_nesting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
