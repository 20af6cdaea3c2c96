#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "repo/sources.h"
#include "tests/support/must.h"
#include "tests/support/tmpdir.h"

/* dir/a/b/c, dir/a/file, dir/ab, dir/a.x, dir/link → a/b, dir/dangling; and we are in dir/a. */
struct place {
	char *dir; /* without symlinks */
	char old[PATH_MAX];
	struct sources s;
	struct err err;
};

static void must_path(struct place *p, const char *name, char out[PATH_MAX])
{
	assert_true(snprintf(out, PATH_MAX, "%s/%s", p->dir, name) < PATH_MAX);
}

static int setup(void **state)
{
	const char *folders[] = {"a", "a/b", "a/b/c", "ab", "a.x"};
	struct place *p = calloc(1, sizeof(*p));
	char path[PATH_MAX], *made = tmpdir_make();

	assert_non_null(p);
	p->dir = realpath(made, NULL);
	assert_non_null(p->dir);
	free(made);
	assert_non_null(getcwd(p->old, sizeof(p->old)));
	for (size_t i = 0; i < 5; i++) {
		must_path(p, folders[i], path);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	must_path(p, "a/file", path);
	assert_int_equal(close(open(path, O_CREAT | O_WRONLY, 0600)), 0);
	must_path(p, "link", path);
	assert_int_equal(symlink("a/b", path), 0);
	must_path(p, "dangling", path);
	assert_int_equal(symlink("nowhere", path), 0);
	must_path(p, "a", path);
	assert_int_equal(chdir(path), 0);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;

	assert_int_equal(chdir(p->old), 0);
	sources_free(&p->s);
	tmpdir_remove(p->dir);
	free(p);
	return 0;
}

static void resolve(struct place *p, size_t count, const char *const operands[])
{
	sources_free(&p->s);
	p->err = (struct err){0};
	MUST(sources_resolve(operands, count, &p->s, &p->err), &p->err);
}

/* The i-th source is dir/path, and is opened at dir/real. */
static void is(struct place *p, size_t i, const char *path, const char *real)
{
	char want[PATH_MAX];

	assert_true(i < p->s.count);
	must_path(p, path, want);
	assert_string_equal(p->s.items[i].path, want);
	must_path(p, real, want);
	assert_string_equal(p->s.items[i].real, want);
}

static void test_one_operand(void **state)
{
	struct place *p = *state;
	const struct {
		const char *operand, *path, *real;
	} cases[] = {
	    {"b", "a/b", "a/b"},
	    {"./b", "a/b", "a/b"},
	    {"b/", "a/b", "a/b"},
	    {"b//c///", "a/b/c", "a/b/c"},
	    {"././/b/./c/.", "a/b/c", "a/b/c"},
	    {"file", "a/file", "a/file"},
	    {"b/..", "a", "a"},
	    {"../ab", "ab", "ab"},
	    {"b/../../a/file", "a/file", "a/file"},
	    {"../link", "link", "a/b"},
	    {"../link/c", "link/c", "link/c"},
	    {"../link/..", "a", "a"}, /* not dir: the kernel's view */
	    {"../link/../b", "a/b", "a/b"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		resolve(p, 1, &cases[i].operand);
		assert_int_equal(p->s.count, 1);
		is(p, 0, cases[i].path, cases[i].real);
	}
}

static void test_symlink_operand(void **state)
{
	struct place *p = *state;
	char path[PATH_MAX];
	const char *operand = path;

	must_path(p, "link", path);
	resolve(p, 1, &operand);
	is(p, 0, "link", "a/b");
	must_path(p, "link/", path);
	resolve(p, 1, &operand);
	is(p, 0, "link", "a/b");
}

static void opens(struct place *p, const char *name, const char *real)
{
	char path[PATH_MAX], want[PATH_MAX], *got;

	must_path(p, name, path);
	must_path(p, real, want);
	got = sources_real(&p->s, path);
	assert_non_null(got);
	assert_string_equal(got, want);
	free(got);
}

static void test_real(void **state)
{
	struct place *p = *state;
	char ab[PATH_MAX], link[PATH_MAX];
	const char *operands[] = {ab, link}, *root[] = {"/"};

	must_path(p, "ab", ab);
	must_path(p, "link", link);
	resolve(p, 2, operands);
	opens(p, "ab", "ab");
	opens(p, "ab/x/y", "ab/x/y");
	opens(p, "link", "a/b");
	opens(p, "link/x/y", "a/b/x/y");
	resolve(p, 1, root);
	opens(p, "ab/x", "ab/x");
}

static void test_dot_and_root(void **state)
{
	struct place *p = *state;
	const char *dot[] = {"."}, *root[] = {"/"}, *up[] = {"/../.."}, *all[] = {".", "/", "b"};

	resolve(p, 1, dot);
	is(p, 0, "a", "a");
	resolve(p, 1, root);
	assert_string_equal(p->s.items[0].path, "/");
	assert_string_equal(p->s.items[0].real, "/");
	resolve(p, 1, up);
	assert_string_equal(p->s.items[0].path, "/");
	resolve(p, 3, all);
	assert_int_equal(p->s.count, 1);
	assert_string_equal(p->s.items[0].path, "/");
}

static void test_nested_and_ordered(void **state)
{
	struct place *p = *state;
	const char *operands[] = {"../a.x", "../ab", "b/c", "file", ".", "b", ".", "../link"};
	const char *siblings[] = {"file", "b/c"};

	resolve(p, 8, operands);
	assert_int_equal(p->s.count, 4);
	is(p, 0, "a", "a");
	is(p, 1, "a.x", "a.x");
	is(p, 2, "ab", "ab");
	is(p, 3, "link", "a/b"); /* a name of its own in the backup */
	resolve(p, 2, siblings);
	assert_int_equal(p->s.count, 2);
	is(p, 0, "a/b/c", "a/b/c");
	is(p, 1, "a/file", "a/file");
}

/* '/' is the lowest byte: "a" and what lies below it stay together though "a.x" would come between. */
static void test_slash_sorts_lowest(void **state)
{
	struct place *p = *state;
	const char *operands[] = {"../a.x", "file", "b", "../ab"};

	resolve(p, 4, operands);
	is(p, 0, "a/b", "a/b");
	is(p, 1, "a/file", "a/file");
	is(p, 2, "a.x", "a.x");
	is(p, 3, "ab", "ab");
}

static void refused(struct place *p, const char *const operands[], size_t count, enum err_code code)
{
	struct sources none = {0};

	MUST_FAIL(sources_resolve(operands, count, &none, &p->err), code, &p->err);
	assert_null(none.items);
}

static void test_refused(void **state)
{
	struct place *p = *state;
	const char *empty[] = {""}, *good_and_empty[] = {"b", ""};
	const char *missing[] = {"b", "no-such", "file"}, *below_file[] = {"file/x"};
	const char *up[] = {"no-such/.."}, *dangling[] = {"../dangling"};

	refused(p, NULL, 0, ERR_USAGE);
	refused(p, empty, 1, ERR_USAGE);
	refused(p, good_and_empty, 2, ERR_USAGE);
	refused(p, missing, 3, ERR_MISSING);
	assert_non_null(strstr(p->err.text, "no-such"));
	refused(p, below_file, 1, ERR_MISSING);
	refused(p, up, 1, ERR_MISSING);
	refused(p, dangling, 1, ERR_MISSING);
	assert_non_null(strstr(p->err.text, "dangling"));
}

static void test_too_long(void **state)
{
	struct place *p = *state;
	char *operand = malloc(70001);
	const char *operands[1];

	assert_non_null(operand);
	memset(operand, 'x', 70000);
	operand[70000] = '\0';
	operands[0] = operand;
	refused(p, operands, 1, ERR_LIMIT);
	free(operand);
}

static void test_current_folder_is_gone(void **state)
{
	struct place *p = *state;
	char path[PATH_MAX];
	const char *operands[] = {"file"}, *absolute[] = {"/"};

	must_path(p, "gone", path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(chdir(path), 0);
	assert_int_equal(rmdir(path), 0);
	refused(p, operands, 1, ERR_MISSING);
	resolve(p, 1, absolute);
	assert_int_equal(p->s.count, 1);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_one_operand),        CASE(test_symlink_operand),
	    CASE(test_one_operand),        CASE(test_real),
	    CASE(test_dot_and_root),       CASE(test_nested_and_ordered),
	    CASE(test_slash_sorts_lowest), CASE(test_refused),
	    CASE(test_too_long),           CASE(test_current_folder_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
