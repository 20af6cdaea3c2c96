/* ping: which address an event has. What goes over the wire is in tests/cli/nightly.bats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/ping.h"

static void addresses(void **state)
{
	static const struct {
		const char *url;
		enum ping_event event;
		const char *want;
	} table[] = {
	    {"https://hc/uuid", PING_START, "https://hc/uuid/start"},
	    {"https://hc/uuid", PING_SUCCESS, "https://hc/uuid"},
	    {"https://hc/uuid", PING_FAIL, "https://hc/uuid/fail"},
	    {"https://hc/uuid/", PING_FAIL, "https://hc/uuid/fail"},
	    {"https://hc/uuid/", PING_SUCCESS, "https://hc/uuid/"},
	    {"https://hc/uuid?create=1", PING_START, "https://hc/uuid/start?create=1"},
	    {"https://hc/uuid?a=/b#c", PING_SUCCESS, "https://hc/uuid?a=/b#c"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char *got = ping_event_url(table[i].url, table[i].event);

		assert_string_equal(got, table[i].want);
		free(got);
	}
}

static void what_is_no_address(void **state)
{
	static const char *const bad[] = {"https://", "http://",      "ftp://host/x", "host/x",
					  "/etc",     "https://a b/", "https://a\"b", ""};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char url[64], *got = url;
		struct config_ping ping = {.url = url};
		struct err err = {0};

		(void)snprintf(url, sizeof(url), "%s", bad[i]);
		assert_int_equal(ping_url(&ping, &got, &err), -ERR_USAGE);
		assert_null(got);
		assert_true(bad[i][0] == '\0' || !strstr(err.text, "host/x"));
	}
}

static void none_is_none(void **state)
{
	struct config_ping ping = {0};
	struct err err = {0};
	char *got;

	(void)state;
	assert_int_equal(ping_url(&ping, &got, &err), 0);
	assert_null(got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(addresses),
	    cmocka_unit_test(what_is_no_address),
	    cmocka_unit_test(none_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
