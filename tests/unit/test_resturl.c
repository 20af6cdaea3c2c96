/* resturl: which locations are understood, and that no message tells a password. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/limits.h"
#include "core/resturl.h"
#include "tests/support/must.h"

static void locations(void **state)
{
	static const struct {
		const char *location, *masked; /* NULL: refused */
	} table[] = {
	    {"rest:http://h", "rest:http://h"},
	    {"rest:http://h/", "rest:http://h"},
	    {"rest:https://h:8000/a/b//", "rest:https://h:8000/a/b"},
	    {"rest:https://[::1]:8000/a%20b/", "rest:https://[::1]:8000/a%20b"},
	    {"rest:https://u@h/x", "rest:https://u@h/x"},
	    {"rest:https://u:p%40@q@h/x@y", "rest:https://u:***@h/x@y"},
	    {"rest:https://u:@h/", "rest:https://u:***@h"},
	    {"rest:", NULL},
	    {"rest:h/hush", NULL},
	    {"rest:ftp://hush", NULL},
	    {"rest:http://", NULL},
	    {"rest:http:///hush", NULL},
	    {"rest:http://u:hush@", NULL},
	    {"rest:http://u:hush@/x", NULL},
	    {"rest:http://u:hush@:80/x", NULL},
	    {"rest:http://u:hush%4@h/x", NULL},
	    {"rest:http://u:hush%00@h/x", NULL},
	    {"rest:http://u:hush%zz@h/x", NULL},
	    {"rest:http://u%3a:hush@h/x", NULL},
	    {"rest:http://u:hu#sh@h/x", NULL},
	    {"rest:http://h/hush?x=1", NULL},
	    {"rest:http://h/hush x", NULL},
	};
	struct err err = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct resturl u;
		int r = resturl_parse(table[i].location, &u, &err);

		if (r != (table[i].masked ? 0 : -ERR_USAGE))
			fail_msg("%s: %d, %s", table[i].location, r, err.text);
		if (!r)
			assert_string_equal(u.location, table[i].masked);
		assert_null(strstr(err.text, "hu"));
		resturl_free(&u);
	}
}

static void parts(void **state)
{
	struct resturl u;
	struct err err = {0};
	char long_one[LIMIT_URL_BYTES + 64];

	(void)state;
	MUST(resturl_parse("rest:https://me%20:a%3Ab%40c@d@h:8/a%20b//", &u, &err), &err);
	assert_string_equal(u.location, "rest:https://me%20:***@h:8/a%20b");
	assert_string_equal(u.url, "https://h:8/a%20b/");
	assert_string_equal(u.user, "me ");
	assert_string_equal(u.password, "a:b@c@d");
	resturl_free(&u);
	MUST(resturl_parse("rest:http://h", &u, &err), &err);
	assert_string_equal(u.url, "http://h/");
	assert_null(u.user);
	assert_null(u.password);
	resturl_free(&u);
	MUST(resturl_parse("rest:http://me@h", &u, &err), &err);
	assert_string_equal(u.password, "");
	resturl_free(&u);
	(void)snprintf(long_one, sizeof(long_one), "rest:http://h/%0*d", (int)LIMIT_URL_BYTES, 1);
	MUST_FAIL(resturl_parse(long_one, &u, &err), ERR_USAGE, &err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(locations),
	    cmocka_unit_test(parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
