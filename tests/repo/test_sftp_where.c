/* sftp_where: locations as restic reads them, and those that must never reach ssh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "repo/sftp_where.h"
#include "tests/support/must.h"

static void locations_lead_where_restic_goes(void **state)
{
	static const struct {
		const char *location, *user, *host, *port, *path;
	} cases[] = {
	    {"sftp:me@host:/srv/repo", "me", "host", "", "/srv/repo"},
	    {"sftp:host:/srv/repo/", NULL, "host", "", "/srv/repo"},
	    {"sftp:me@host:repo/of/mine", "me", "host", "", "repo/of/mine"},
	    {"sftp:host:/", NULL, "host", "", ""},
	    {"sftp:host:.", NULL, "host", "", "."},
	    {"sftp:me@host:/a:b@c", "me", "host", "", "/a:b@c"},
	    {"sftp:me@shop.example@host:/x", "me@shop.example", "host", "", "/x"},
	    {"sftp:CORP\\me@host:/x", "CORP\\me", "host", "", "/x"},
	    {"sftp:me@[::1]:/x", "me", "::1", "", "/x"},
	    {"sftp:host:/100%", NULL, "host", "", "/100%"},
	    {"sftp://host/repo", NULL, "host", "", "repo"},
	    {"sftp://me@host//srv/repo//", "me", "host", "", "/srv/repo"},
	    {"sftp://me@host:2222//srv", "me", "host", "2222", "/srv"},
	    {"sftp://me@[::1]:2222//srv", "me", "::1", "2222", "/srv"},
	    {"sftp://[fe80::1%25eth0]/x", NULL, "fe80::1%25eth0", "", "x"},
	    {"sftp://me%40shop@host/a%20b", "me@shop", "host", "", "a b"},
	    {"sftp://host//", NULL, "host", "", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sftp_where w;
		struct err err = {0};

		MUST(sftp_where_parse(cases[i].location, &w, &err), &err);
		assert_string_equal(w.host, cases[i].host);
		assert_string_equal(w.path, cases[i].path);
		assert_string_equal(w.port, cases[i].port);
		if (cases[i].user)
			assert_string_equal(w.user, cases[i].user);
		else
			assert_null(w.user);
		sftp_where_free(&w);
	}
}

static void what_cannot_be_meant_is_refused(void **state)
{
	static const struct {
		const char *location, *says;
	} cases[] = {
	    {"sftp:", "names no host"},
	    {"sftp:host", "names no host"},
	    {"sftp:host:", "names no host"},
	    {"sftp:/srv/repo", "names no host"},
	    {"sftp://host", "names no host"},
	    {"sftp://host/", "names no host"},
	    {"sftp://host:22x//a", "a port is"},
	    {"sftp://host:0//a", "a port is"},
	    {"sftp://host:65536//a", "a port is"},
	    {"sftp://host://a", "a port is"},
	    {"sftp:[::1/x", "names no host"},
	    {"sftp:[::1]x:/y", "names no host"},
	    {"sftp::/x", "host of this location"},
	    {"sftp:-oProxyCommand=x:/x", "host of this location"},
	    {"sftp:me@-oProxyCommand=x:/x", "host of this location"},
	    {"sftp:-l@host:/x", "user of this location"},
	    {"sftp:@host:/x", "user of this location"},
	    {"sftp:a$(id)@host:/x", "user of this location"},
	    {"sftp:me@ho st:/x", "host of this location"},
	    {"sftp:me@ho`id`st:/x", "host of this location"},
	    {"sftp:me@host\n:/x", "host of this location"},
	    {"sftp://%2doX@host/x", "user of this location"},
	    {"sftp://me%0a@host/x", "user of this location"},
	    {"sftp://me%zz@host/x", "names no host"},
	    {"sftp://host/a%00b", "names no host"},
	    {"sftp:host:~/repo", "does not know ~"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sftp_where w;
		struct err err = {0};

		MUST_FAIL(sftp_where_parse(cases[i].location, &w, &err), ERR_USAGE, &err);
		if (!strstr(err.text, cases[i].says))
			fail_msg("%s: %s", cases[i].location, err.text);
		assert_null(w.host);
	}
}

static void a_password_is_refused_and_not_repeated(void **state)
{
	static const char *const locations[] = {"sftp:me:hush@host:/x", "sftp://me:hush@host//x"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct sftp_where w;
		struct err err = {0};

		MUST_FAIL(sftp_where_parse(locations[i], &w, &err), ERR_USAGE, &err);
		assert_non_null(strstr(err.text, "password"));
		assert_null(strstr(err.text, "hush"));
	}
}

static void a_path_too_long_is_refused(void **state)
{
	char location[6000] = "sftp:host:/";
	struct sftp_where w;
	struct err err = {0};

	(void)state;
	memset(location + strlen(location), 'x', 4000);
	MUST_FAIL(sftp_where_parse(location, &w, &err), ERR_USAGE, &err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(locations_lead_where_restic_goes),
	    cmocka_unit_test(what_cannot_be_meant_is_refused),
	    cmocka_unit_test(a_password_is_refused_and_not_repeated),
	    cmocka_unit_test(a_path_too_long_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
