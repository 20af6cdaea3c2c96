/* Where cache and state go, for each way of saying it, and the mode of what is made. */
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

#include "cli/paths.h"

struct place {
	char root[64];
};

static void set(const char *name, const struct place *p, const char *below)
{
	char value[128];

	(void)snprintf(value, sizeof(value), "%s%s", p->root, below);
	assert_int_equal(setenv(name, value, 1), 0);
}

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	(void)snprintf(p->root, sizeof(p->root), "/tmp/nightjar-paths.XXXXXX");
	assert_non_null(mkdtemp(p->root));
	assert_int_equal(unsetenv("XDG_CACHE_HOME"), 0);
	assert_int_equal(unsetenv("XDG_STATE_HOME"), 0);
	set("HOME", p, "");
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;
	char command[128];

	(void)snprintf(command, sizeof(command), "rm -rf '%s'", p->root);
	assert_int_equal(system(command), 0);
	free(p);
	return 0;
}

typedef int paths_fn(const struct options_global *global, char **out_path, struct err *err);

/* The path is root + below, a folder, 0700. */
static void assert_path(const struct place *p, paths_fn *fn, const struct options_global *global,
			const char *below)
{
	struct err err = {0};
	struct stat st;
	char expected[160];
	char *path = NULL;

	(void)snprintf(expected, sizeof(expected), "%s%s", p->root, below);
	if (fn(global, &path, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(path, expected);
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0700);
	free(path);
}

static void home_is_the_last_resort(void **state)
{
	const struct options_global none = {0};

	assert_path(*state, paths_cache, &none, "/.cache/nightjar");
	assert_path(*state, paths_state, &none, "/.local/state/nightjar");
	/* Again, when they are there. */
	assert_path(*state, paths_cache, &none, "/.cache/nightjar");
}

static void xdg_beats_home_when_absolute(void **state)
{
	const struct options_global none = {0};

	set("XDG_CACHE_HOME", *state, "/xc");
	set("XDG_STATE_HOME", *state, "/xs");
	assert_path(*state, paths_cache, &none, "/xc/nightjar");
	assert_path(*state, paths_state, &none, "/xs/nightjar");
	assert_int_equal(setenv("XDG_CACHE_HOME", "relative", 1), 0);
	assert_path(*state, paths_cache, &none, "/.cache/nightjar");
}

static void a_chosen_cache_holds_the_state(void **state)
{
	const struct place *p = *state;
	struct options_global global = {0};
	char cache[128], chosen[128];

	(void)snprintf(cache, sizeof(cache), "%s/a/b", p->root);
	(void)snprintf(chosen, sizeof(chosen), "%s/s", p->root);
	set("XDG_CACHE_HOME", p, "/xc");
	set("XDG_STATE_HOME", p, "/xs");
	global.cache_dir = cache;
	assert_path(p, paths_cache, &global, "/a/b");
	assert_path(p, paths_state, &global, "/a/b/state");
	global.state_dir = chosen;
	assert_path(p, paths_state, &global, "/s");
}

static void what_is_in_the_way_is_named(void **state)
{
	const struct place *p = *state;
	struct options_global global = {0};
	char file[128], below[160];
	struct err err = {0};
	char *path = NULL;
	FILE *out;

	(void)snprintf(file, sizeof(file), "%s/file", p->root);
	(void)snprintf(below, sizeof(below), "%s/below", file);
	out = fopen(file, "w");
	assert_non_null(out);
	assert_int_equal(fclose(out), 0);
	global.cache_dir = file;
	assert_int_equal(paths_cache(&global, &path, &err), -ERR_IO);
	assert_non_null(strstr(err.text, file));
	global.cache_dir = below;
	assert_true(paths_cache(&global, &path, &err) < 0);
	assert_non_null(strstr(err.text, file));
	assert_null(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(home_is_the_last_resort, setup, teardown),
	    cmocka_unit_test_setup_teardown(xdg_beats_home_when_absolute, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_chosen_cache_holds_the_state, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_is_in_the_way_is_named, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
