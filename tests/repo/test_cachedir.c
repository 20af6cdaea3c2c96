/* What counts as a cache, and that nothing else is ever removed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "repo/cachedir.h"
#include "tests/support/dbkit.h"
#include "tests/support/must.h"

#define ONE "00000000000000000000000000000001"
#define TWO "0000000000000000000000000000000f"

static void add_folder(const struct kit *k, const char *name)
{
	char path[400];

	(void)snprintf(path, sizeof(path), "%s/%s", k->cache, name);
	assert_int_equal(mkdir(path, 0700), 0);
}

static void add_file(const struct kit *k, const char *name, time_t used_at, char out_path[400])
{
	struct timespec times[2] = {{used_at, 0}, {used_at, 0}};

	(void)snprintf(out_path, 400, "%s/%s", k->cache, name);
	kit_spew(out_path, "0123456789", 10);
	assert_int_equal(utimensat(AT_FDCWD, out_path, times, 0), 0);
}

static void lists_caches_alone(void **state)
{
	const struct kit *k = *state;
	static const char *const others[] = {
	    "state",
	    "0000000000000000000000000000000F",
	    "000000000000000000000000000000000",
	    "0000000000000000000000000000000",
	};
	struct cachedir_repo *repos = NULL;
	struct err err = {0};
	char path[400], name[80];
	size_t count = 9;

	MUST(cachedir_list(k->cache, &repos, &count, &err), &err);
	assert_int_equal(count, 0);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		add_folder(k, others[i]);
		(void)snprintf(name, sizeof(name), "%s/files-0123456789abcdef.db", others[i]);
		add_file(k, name, 1000, path);
	}
	add_folder(k, TWO);
	add_file(k, TWO "/files-0123456789abcdef.db", 5000, path);
	add_file(k, TWO "/files-0123456789abcdff.db", 7000, path);
	add_file(k, TWO "/newest", 9000, path);
	add_folder(k, ONE);
	add_file(k, ONE "/files-0123456789abcdef.db-journal", 3000, path);
	add_folder(k, "00000000000000000000000000000002"); /* empty */
	MUST(cachedir_list(k->cache, &repos, &count, &err), &err);
	assert_int_equal(count, 2);
	assert_string_equal(repos[0].id, ONE);
	assert_int_equal(repos[0].files, 1);
	assert_int_equal(repos[0].used_at_s, 3000);
	assert_string_equal(repos[1].id, TWO);
	assert_int_equal(repos[1].files, 2);
	assert_int_equal(repos[1].used_at_s, 7000);
	assert_true(repos[1].bytes > 0);
	free(repos);
}

static void removes_caches_alone(void **state)
{
	const struct kit *k = *state;
	static const char *const stay[] = {
	    TWO "/newest",
	    TWO "/files-0123456789abcde.db",
	    TWO "/files-0123456789abcdef0.db",
	    TWO "/files-0123456789abcdef.dbx",
	    TWO "/Files-0123456789abcdef.db",
	};
	struct cachedir_repo one = {.id = ONE}, two = {.id = TWO};
	struct err err = {0};
	char path[400];

	add_folder(k, ONE);
	add_folder(k, TWO);
	add_file(k, TWO "/files-0123456789abcdef.db", 1000, path);
	for (size_t i = 0; i < sizeof(stay) / sizeof(stay[0]); i++)
		add_file(k, stay[i], 1000, path);
	add_file(k, ONE "/files-0123456789abcdef.db", 1000, path);
	MUST(cachedir_remove(k->cache, &one, &err), &err);
	assert_false(kit_exists(path));
	*strrchr(path, '/') = '\0';
	assert_false(kit_exists(path));
	MUST(cachedir_remove(k->cache, &two, &err), &err);
	(void)snprintf(path, sizeof(path), "%s/%s", k->cache, TWO "/files-0123456789abcdef.db");
	assert_false(kit_exists(path));
	for (size_t i = 0; i < sizeof(stay) / sizeof(stay[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", k->cache, stay[i]);
		assert_true(kit_exists(path));
	}
	MUST_FAIL(cachedir_remove(k->cache, &one, &err), ERR_MISSING, &err);
}

static void what_is_not_there_holds_none(void **state)
{
	struct cachedir_repo *repos = NULL;
	struct err err = {0};
	size_t count = 1;

	(void)state;
	MUST(cachedir_list("/nonexistent/cache", &repos, &count, &err), &err);
	assert_int_equal(count, 0);
	MUST_FAIL(cachedir_list("/dev/null", &repos, &count, &err), ERR_IO, &err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(lists_caches_alone, kit_setup, kit_teardown),
	    cmocka_unit_test_setup_teardown(removes_caches_alone, kit_setup, kit_teardown),
	    cmocka_unit_test(what_is_not_there_holds_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
