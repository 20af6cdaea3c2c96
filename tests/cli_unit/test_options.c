/* Option tables: each kind, mixed with operands, and the environment behind them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "cli/options.h"

struct sample {
	bool dry_run;
	unsigned count;
	const char *host;
	struct option_list tags;
	struct option_number keep;
	struct option_number memory;
};

static const struct option_spec specs[] = {
    {"dry-run", 'n', OPTION_FLAG, offsetof(struct sample, dry_run), NULL, ""},
    {"more", 'm', OPTION_COUNT, offsetof(struct sample, count), NULL, ""},
    {"host", 'H', OPTION_STRING, offsetof(struct sample, host), "NAME", ""},
    {"tag", 't', OPTION_LIST, offsetof(struct sample, tags), "TAG", ""},
    {"keep", 0, OPTION_NUMBER, offsetof(struct sample, keep), "N", ""},
    {"memory", 0, OPTION_SIZE, offsetof(struct sample, memory), "SIZE", ""},
    {NULL, 0, OPTION_FLAG, 0, NULL, NULL},
};

#define WORDS 16
struct line {
	char *argv[WORDS + 1];
	int argc;
	int first;
	struct options_global global;
	struct sample sample;
	struct err err;
};

static int parse(struct line *l, const char *const words[])
{
	memset(l, 0, sizeof(*l));
	for (; words[l->argc]; l->argc++) {
		l->argv[l->argc] = strdup(words[l->argc]);
		assert_non_null(l->argv[l->argc]);
	}
	return options_parse_command(l->argc, l->argv, &l->global, specs, &l->sample, &l->first,
				     &l->err);
}

static void wipe(struct line *l)
{
	options_wipe(specs, &l->sample);
	for (int i = 0; i < l->argc; i++)
		free(l->argv[i]);
}

#define LINE(...) ((const char *const[]){"backup", __VA_ARGS__, NULL})

static void every_kind(void **state)
{
	struct line l;

	(void)state;
	assert_int_equal(parse(&l, LINE("one", "-n", "--tag=a", "two", "-mm", "-t", "b", "--host",
					"h", "--keep", "7", "--memory", "3G", "-r", "/repo")),
			 0);
	assert_true(l.sample.dry_run);
	assert_int_equal(l.sample.count, 2);
	assert_string_equal(l.sample.host, "h");
	assert_int_equal(l.sample.tags.count, 2);
	assert_string_equal(l.sample.tags.items[0], "a");
	assert_string_equal(l.sample.tags.items[1], "b");
	assert_true(l.sample.keep.given);
	assert_int_equal(l.sample.keep.value, 7);
	assert_true(l.sample.memory.value == UINT64_C(3) << 30);
	assert_string_equal(l.global.repo, "/repo");
	assert_int_equal(l.argc - l.first, 2);
	assert_string_equal(l.argv[l.first], "one");
	assert_string_equal(l.argv[l.first + 1], "two");
	wipe(&l);
}

static void two_dashes_end_options(void **state)
{
	struct line l;

	(void)state;
	assert_int_equal(parse(&l, LINE("a", "--", "-n", "--host")), 0);
	assert_false(l.sample.dry_run);
	assert_int_equal(l.argc - l.first, 3);
	assert_string_equal(l.argv[l.first + 2], "--host");
	wipe(&l);
}

static void last_string_wins(void **state)
{
	struct line l;

	(void)state;
	assert_int_equal(parse(&l, LINE("--host", "a", "--host=b")), 0);
	assert_string_equal(l.sample.host, "b");
	wipe(&l);
}

static void what_is_refused(void **state)
{
	static const char *const bad[][2] = {
	    {"--keep=", "not empty"},
	    {"--keep=x", "needs a number"},
	    {"--keep=-1", "needs a number"},
	    {"--keep=+1", "needs a number"},
	    {"--keep= 1", "needs a number"},
	    {"--keep=1k", "needs a number"},
	    {"--keep=99999999999999999999", "too large"},
	    {"--memory=20000000t", "too large"},
	    {"--memory=1kk", "needs a size as 500, 10k or 2g"},
	    {"--memory=1x", "needs a size"},
	    {"--host", "needs a NAME"},
	    {"-t", "needs a TAG"},
	    {"--dry-run=1", "takes no value"},
	    {"--frob=1", "unknown option --frob"},
	    {"-nz", "unknown option -z"},
	    {"--host=", "not empty"},
	};
	struct line l;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(parse(&l, LINE("operand", bad[i][0])), -ERR_USAGE);
		if (!strstr(l.err.text, bad[i][1]))
			fail_msg("%s: %s", bad[i][0], l.err.text);
		wipe(&l);
	}
}

static void globals_stop_at_the_command(void **state)
{
	char *argv[] = {(char[]){"nightjar"},
			(char[]){"-q"},
			(char[]){"--repo"},
			(char[]){"r"},
			(char[]){"backup"},
			(char[]){"--tag"},
			NULL};
	struct options_global global = {0};
	struct err err = {0};
	int used = 0;

	(void)state;
	assert_int_equal(options_parse_global(6, argv, &global, &used, &err), 0);
	assert_int_equal(used, 4);
	assert_true(global.quiet);
	assert_string_equal(global.repo, "r");
}

static void clear_environment(void)
{
	static const char *const names[] = {"NIGHTJAR_REPOSITORY",
					    "NIGHTJAR_PASSWORD_FILE",
					    "NIGHTJAR_PASSWORD_COMMAND",
					    "NIGHTJAR_KEY_FILE",
					    "NIGHTJAR_CACHE_DIR",
					    "NIGHTJAR_STATE_DIR",
					    "NIGHTJAR_CACERT",
					    "NIGHTJAR_REST_USERNAME",
					    "NIGHTJAR_REST_PASSWORD",
					    "NIGHTJAR_SSH_COMMAND",
					    "NIGHTJAR_FROM_REPOSITORY",
					    "NIGHTJAR_FROM_PASSWORD_FILE",
					    "NIGHTJAR_FROM_PASSWORD_COMMAND",
					    "NIGHTJAR_FROM_KEY_FILE"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(unsetenv(names[i]), 0);
}

static void options_beat_variables(void **state)
{
	struct options_global global = {.repo = "option", .key_file = "k"};
	struct err err = {0};

	(void)state;
	clear_environment();
	assert_int_equal(setenv("NIGHTJAR_REPOSITORY", "variable", 1), 0);
	assert_int_equal(setenv("NIGHTJAR_PASSWORD_FILE", "p", 1), 0);
	assert_int_equal(setenv("NIGHTJAR_CACHE_DIR", "c", 1), 0);
	assert_int_equal(options_resolve(&global, &err), 0);
	assert_string_equal(global.repo, "option");
	assert_string_equal(global.cache_dir, "c");
	assert_string_equal(global.key_file, "k");
	assert_null(global.password_file);
}

static void variables_fill_what_is_missing(void **state)
{
	struct options_global global = {0};
	struct err err = {0};

	(void)state;
	clear_environment();
	assert_int_equal(setenv("NIGHTJAR_REPOSITORY", "", 1), 0);
	assert_int_equal(setenv("NIGHTJAR_PASSWORD_COMMAND", "cmd", 1), 0);
	assert_int_equal(setenv("NIGHTJAR_STATE_DIR", "s", 1), 0);
	assert_int_equal(setenv("NIGHTJAR_CACERT", "pem", 1), 0);
	assert_int_equal(setenv("NIGHTJAR_REST_USERNAME", "me", 1), 0);
	assert_int_equal(setenv("NIGHTJAR_REST_PASSWORD", "", 1), 0);
	assert_int_equal(options_resolve(&global, &err), 0);
	assert_null(global.repo);
	assert_string_equal(global.password_command, "cmd");
	assert_string_equal(global.state_dir, "s");
	assert_string_equal(global.cacert, "pem");
	assert_string_equal(global.rest_username, "me");
	assert_null(global.rest_password);
	clear_environment();
}

/* A second repository has options and variables of its own. */
static void another_repository(void **state)
{
	struct options_from from = {0};
	struct err err = {0};

	(void)state;
	clear_environment();
	assert_int_equal(setenv("NIGHTJAR_REPOSITORY", "not this", 1), 0);
	assert_int_equal(options_resolve_from(&from, &err), -ERR_USAGE);
	assert_non_null(strstr(err.text, "--from-repo"));
	assert_int_equal(setenv("NIGHTJAR_FROM_REPOSITORY", "variable", 1), 0);
	assert_int_equal(setenv("NIGHTJAR_FROM_PASSWORD_FILE", "p", 1), 0);
	assert_int_equal(options_resolve_from(&from, &err), 0);
	assert_string_equal(from.repo, "variable");
	assert_string_equal(from.password_file, "p");
	from = (struct options_from){.repo = "option", .key_file = "k"};
	assert_int_equal(options_resolve_from(&from, &err), 0);
	assert_string_equal(from.repo, "option");
	assert_null(from.password_file);
	from.password_command = "c";
	assert_int_equal(options_resolve_from(&from, &err), -ERR_USAGE);
	assert_int_equal(setenv("NIGHTJAR_FROM_KEY_FILE", "k", 1), 0);
	from = (struct options_from){0};
	assert_int_equal(options_resolve_from(&from, &err), -ERR_USAGE);
	assert_non_null(strstr(err.text, "NIGHTJAR_FROM_KEY_FILE"));
	clear_environment();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_kind),
	    cmocka_unit_test(two_dashes_end_options),
	    cmocka_unit_test(last_string_wins),
	    cmocka_unit_test(what_is_refused),
	    cmocka_unit_test(globals_stop_at_the_command),
	    cmocka_unit_test(options_beat_variables),
	    cmocka_unit_test(variables_fill_what_is_missing),
	    cmocka_unit_test(another_repository),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
