/* glob: patterns as restic's manual gives them, the shell's corner cases, and hostile patterns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/glob.h"

struct match_case {
	const char *pattern, *path;
	bool want;
};

static const struct match_case whole_cases[] = {
    {"foo", "/x/foo", true},
    {"foo", "/x/foo/y", false},
    {"foo", "/x/foo/foo", true},
    {"foo", "/foo/x/foo/y", false},
    {"*.go", "/a.go/b", false},
    {"*.go", "/a.go/b.go", true},
    {"/foo", "/foo", true},
    {"/foo", "/foo/bar", false},
    {"/*", "/a/b", false},
    {"/foo/**", "/foo/x/y", true},
    {"/foo/**", "/foo", true},
    {"/foo/**/bar", "/foo/x/bar/y", false},
    {"/foo/**/bar", "/foo/x/bar/y/bar", true},
    {"/**", "/x/y", true},
    {"/", "/x", false},
    {"/", "/", true},
    {"a/*/c", "/x/a/b/c", true},
    {"a/*/c", "/a/b/c/d", false},
};

static const struct match_case match_cases[] = {
    /* one name, at any depth, and everything below it */
    {"*.go", "/foo/bar/test.go", true},
    {"*.go", "/foo/bar/test.c", false},
    {"*.go", "/foo/test.go/deep/file", true},
    {"foo", "/foo", true},
    {"foo", "/x/foo", true},
    {"foo", "/x/foo/y/z", true},
    {"foo", "/x/foobar", false},
    {"foo", "/x/barfoo", false},
    {"foo/", "/x/foo/y", true},
    /* several names need not start at the root, unless there is a '/' in front */
    {"foo/bar", "/x/foo/bar", true},
    {"foo/bar", "/x/foo/y/bar", false},
    {"foo/*.go", "/x/foo/a.go", true},
    {"foo/*.go", "/x/foo/y/a.go", false},
    {"/foo", "/foo", true},
    {"/foo", "/foo/bar", true},
    {"/foo", "/x/foo", false},
    {"/foo//bar", "/foo/bar", true},
    {"/foo/bar", "/foo", false},
    {"/*/test", "/home/test/x", true},
    {"/*/test", "/home/user/test", false},
    {"/", "/anything", true},
    {"/", "/", true},
    {"*", "/a", true},
    {"*", "/", false},
    /* any depth */
    {"foo/**/bar", "/foo/bar", true},
    {"foo/**/bar", "/foo/x/bar", true},
    {"foo/**/bar", "/foo/x/y/z/bar/file", true},
    {"foo/**/bar", "/foo/x/y/z", false},
    {"/foo/**/bar", "/x/foo/y/bar", false},
    {"/**/bar", "/bar", true},
    {"/**/bar", "/x/y/bar", true},
    {"**", "/", true},
    {"**/x", "/x", true},
    {"/foo/**", "/foo", true},
    {"/foo/**", "/foo/x", true},
    {"/foo/**", "/fo", false},
    {"/a/**/b/**/c", "/a/1/b/2/b/3/c", true},
    {"/a/**/b/**/c", "/a/1/c/2/b", false},
    {"a/b/c", "/a/b/a/b/c", true},
    {"/**/a/b/c", "/a/a/b/a/b/c", true},
    {"x**y", "/xzzy", true},
    {"x**y", "/x/y", false},
    {"***", "/a", true},
    /* inside one name */
    {"*", "/.hidden", true},
    {"?idden", "/.idden", true},
    {"a?c", "/abc", true},
    {"a?c", "/ac", false},
    {"/a?c", "/a/c", false},
    {"a*b*c", "/aXbYbZc", true},
    {"a*b*c", "/aXbYbZ", false},
    {"*a", "/aaaaab", false},
    {"*a", "/aabaa", true},
    {"a*", "/a", true},
    {"a**", "/a", true},
    {"~*", "/~backup", true},
    /* classes */
    {"[a-c]x", "/bx", true},
    {"[a-c]x", "/dx", false},
    {"[^a-c]x", "/dx", true},
    {"[^a-c]x", "/ax", false},
    {"[!a-c]x", "/ax", false},
    {"[!a-c]x", "/dx", true},
    {"[]]", "/]", true},
    {"[^]]", "/]", false},
    {"[^]]", "/x", true},
    {"[a-]", "/-", true},
    {"[a-]", "/b", false},
    {"[-a]", "/-", true},
    {"[a^]", "/^", true},
    {"[z-a]", "/m", false},
    {"[\\]]", "/]", true},
    {"[\\--a]", "/5", true},
    {"[a\\-z]", "/m", false},
    {"[a-\\z]", "/m", true},
    {"[[]", "/[", true},
    {"[*]", "/*", true},
    {"[*]", "/x", false},
    {"*[0-9].log", "/app7.log", true},
    {"*[0-9].log", "/app.log", false},
    {"[^x]", "/a/b", true},
    /* a backslash takes the meaning away */
    {"\\*", "/*", true},
    {"\\*", "/a", false},
    {"\\**", "/*a", true},
    {"\\?", "/?", true},
    {"\\[a]", "/[a]", true},
    {"\\\\", "/\\", true},
    {"\\*\\*/x", "/q/x", false},
    {"\\*\\*/x", "/**/x", true},
    /* bytes, not characters */
    {"?", "/\xc3\xa9", false},
    {"??", "/\xc3\xa9", true},
    {"\xff\xfe*", "/\xff\xfe\x80", true},
    {"[\x80-\xff]", "/\xe9", true},
    {"[\x01-\x7f]", "/\xe9", false},
    {"a\nb", "/a\nb", true},
};

static void test_match_table(void **state)
{
	struct err err = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(match_cases) / sizeof(match_cases[0]); i++) {
		const struct match_case *c = &match_cases[i];

		if (glob_validate(c->pattern, &err) != 0)
			fail_msg("pattern '%s' is refused: %s", c->pattern, err.text);
		if (glob_match(c->pattern, c->path) != c->want)
			fail_msg("'%s' on '%s': want %d", c->pattern, c->path, c->want);
		/* who matches must also be entered */
		if (c->want && !glob_may_match_below(c->pattern, c->path))
			fail_msg("'%s' would not be entered for '%s'", c->path, c->pattern);
	}
}

static void test_validate(void **state)
{
	static const char *const bad[] = {"",      "[",     "[a",    "a[b-",  "[]",      "[^]",
					  "x\\",   "[a\\",  "[\\]",  "[a-\\", "foo/[ab", "[a/b]",
					  "a\\/b", "/ok/[", "[]-\\", "**/\\", "[!]"};
	static const char *const good[] = {"a",   "/",    "**", "[]a]",  "]", "a]b",  "\\[",
					   "[a]", "[[:]", "//", "a//b/", "-", "[z-a]"};
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memset(&err, 0, sizeof(err));
		if (glob_validate(bad[i], &err) != -ERR_USAGE)
			fail_msg("'%s' is accepted", bad[i]);
		assert_int_equal(err.code, ERR_USAGE);
		if (bad[i][0])
			assert_non_null(strstr(err.text, bad[i]));
	}
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (glob_validate(good[i], &err) != 0)
			fail_msg("'%s' is refused", good[i]);
	}
}

static void test_may_match_below(void **state)
{
	static const struct match_case cases[] = {
	    {"*.c", "/any/where", true},
	    {"foo/bar", "/x", true},
	    {"/foo/bar", "/", true},
	    {"/foo/bar", "/foo", true},
	    {"/foo/bar", "/foo/bar", true},
	    {"/foo/bar", "/foo/bar/x", true},
	    {"/foo/bar", "/fo", false},
	    {"/foo/bar", "/foo/baz", false},
	    {"/foo/bar", "/x/foo", false},
	    {"/foo/**/bar", "/foo/x/y", true},
	    {"/foo/**/bar", "/x/foo", false},
	    {"/foo/*/bar", "/foo/x", true},
	    {"/foo/*/bar", "/foo/x/y", false},
	    {"/", "/a", true},
	    {"/**", "/a/b", true},
	    {"/[a-c]/x", "/b", true},
	    {"/[a-c]/x", "/d", false},
	    {"/a*", "/b/c", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (glob_may_match_below(cases[i].pattern, cases[i].path) != cases[i].want)
			fail_msg("'%s' below '%s': want %d", cases[i].pattern, cases[i].path,
				 cases[i].want);
	}
}

static void fill(char *out, size_t times, const char *unit)
{
	for (size_t i = 0; i < times; i++)
		memcpy(out + i * strlen(unit), unit, strlen(unit));
	out[times * strlen(unit)] = '\0';
}

/* Patterns that take a backtracking matcher longer than the age of the universe. */
static void test_hostile_is_fast(void **state)
{
	enum { N = 2000 };
	char *pattern = malloc(N * 8 + 16), *path = malloc(N * 8 + 16);
	clock_t start = clock();

	(void)state;
	assert_non_null(pattern);
	assert_non_null(path);
	fill(pattern, N, "a*");
	strcat(pattern, "b");
	path[0] = '/';
	fill(path + 1, N * 2, "a");
	assert_false(glob_match(pattern, path));
	strcat(path, "b");
	assert_true(glob_match(pattern, path));

	fill(pattern, N, "a/**/");
	strcat(pattern, "b");
	fill(path, N * 2, "/a");
	assert_false(glob_match(pattern, path));
	strcat(path, "/b");
	assert_true(glob_match(pattern, path));

	fill(pattern, N, "*[a-b]");
	strcat(pattern, "c");
	path[0] = '/';
	fill(path + 1, N * 3, "a");
	assert_false(glob_match(pattern, path));
	assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 10);
	free(pattern);
	free(path);
}

/* A slow matcher that tries everything, for names without classes and escapes. */
static bool slow_match(const char *pat, const char *name)
{
	if (*pat == '\0')
		return *name == '\0';
	if (*pat == '*')
		return slow_match(pat + 1, name) || (*name && slow_match(pat, name + 1));
	return *name && (*pat == '?' || *pat == *name) && slow_match(pat + 1, name + 1);
}

/* All patterns of up to five of "ab?*" against all names of up to five of "ab". */
static void test_same_as_slow(void **state)
{
	char pattern[8], path[8] = "/";

	(void)state;
	for (unsigned p = 0; p < 1024 * 4; p++) {
		unsigned plen = 1 + p / 1024 + (p / 1024 == 3);

		for (unsigned k = 0; k < plen; k++)
			pattern[k] = "ab?*"[(p >> (2 * k)) & 3];
		pattern[plen] = '\0';
		if (strcmp(pattern, "**") == 0)
			continue;
		for (unsigned n = 1; n < 64; n++) {
			unsigned len = 0;

			for (unsigned rest = n; rest > 1; rest >>= 1)
				path[1 + len++] = (rest & 1) ? 'a' : 'b';
			path[1 + len] = '\0';
			if (len > 0 && glob_match(pattern, path) != slow_match(pattern, path + 1))
				fail_msg("'%s' on '%s'", pattern, path);
		}
	}
}

static void whole(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(whole_cases) / sizeof(whole_cases[0]); i++) {
		const struct match_case *c = &whole_cases[i];

		if (glob_match_whole(c->pattern, c->path) != c->want)
			fail_msg("%s on %s", c->pattern, c->path);
		if (c->want && !glob_match(c->pattern, c->path))
			fail_msg("%s on %s: the whole path but not a part", c->pattern, c->path);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(whole),
	    cmocka_unit_test(test_match_table),
	    cmocka_unit_test(test_validate),
	    cmocka_unit_test(test_may_match_below),
	    cmocka_unit_test(test_hostile_is_fast),
	    cmocka_unit_test(test_same_as_slow),
	};

	return cmocka_run_group_tests_name("glob", tests, NULL, NULL);
}
