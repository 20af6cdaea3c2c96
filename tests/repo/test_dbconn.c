/* dbconn: a source is opened by its resolved name only. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "repo/dbconn.h"
#include "tests/support/dbkit.h"

static int open_at(const char *path)
{
	struct dbconn c = {.path = path};
	int rc = dbconn_open_source(&c, path);

	dbconn_close(&c);
	return rc & 0xff;
}

/* A folder that became a link after the path was resolved leads to another application's database. */
static void a_link_on_the_way_is_refused(void **state)
{
	const struct kit *k = *state;
	char real[PATH_MAX], folder[400], link[400], path[800];

	kit_make(k->db, "CREATE TABLE t(a)");
	assert_non_null(realpath(k->db, real));
	assert_int_equal(open_at(real), SQLITE_OK);
	(void)kit_path(k, "folder", folder);
	(void)kit_path(k, "link", link);
	assert_int_equal(mkdir(folder, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/other.db", folder);
	kit_make(path, "CREATE TABLE t(a)");
	assert_int_equal(symlink(folder, link), 0);
	(void)snprintf(path, sizeof(path), "%s/other.db", link);
	assert_int_equal(open_at(path), SQLITE_CANTOPEN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(a_link_on_the_way_is_refused, kit_setup, kit_teardown),
	};

	return cmocka_run_group_tests_name("dbconn", tests, NULL, NULL);
}
