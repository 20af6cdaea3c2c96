/* What goes where: results, notes, warnings and errors, for people and as JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/out.h"

struct said {
	struct out out;
	char *results, *errors;
	size_t results_len, errors_len;
};

static void begin(struct said *s)
{
	memset(s, 0, sizeof(*s));
	s->out.results = open_memstream(&s->results, &s->results_len);
	s->out.errors = open_memstream(&s->errors, &s->errors_len);
	assert_non_null(s->out.results);
	assert_non_null(s->out.errors);
}

static void assert_said(struct said *s, const char *results, const char *errors)
{
	struct err err = {0};
	bool pipe_closed = true;

	assert_int_equal(out_finish(&s->out, &pipe_closed, &err), 0);
	assert_false(pipe_closed);
	assert_int_equal(fclose(s->out.results), 0);
	assert_int_equal(fclose(s->out.errors), 0);
	assert_string_equal(s->results, results);
	assert_string_equal(s->errors, errors);
	free(s->results);
	free(s->errors);
}

static void say_everything(struct said *s)
{
	struct json j = {0};

	out_line(&s->out, "line %d", 1);
	out_note(&s->out, "note");
	out_detail(&s->out, "detail");
	out_warning(&s->out, "warning %s", "w");
	out_error(&s->out, "archival", "/a\n", "cannot read /a\n");
	out_error(&s->out, "archival", "/b\x1b", "is gone");
	json_object(&j, NULL);
	json_u64(&j, "n", 1);
	json_close(&j);
	if (s->out.json)
		out_json(&s->out, &j);
	json_free(&j);
	out_exit_error(&s->out, EXIT_SOURCE, "end");
	assert_true(s->out.exit_error_said);
}

static void for_people(void **state)
{
	struct said s;

	(void)state;
	begin(&s);
	say_everything(&s);
	assert_said(&s, "line 1\nnote\n",
		    "nightjar: warning: warning w\nnightjar: cannot read /a\\n\n"
		    "nightjar: /b\\x1b: is gone\nnightjar: end\n");
}

/* A text that does not name its item gets it in front; one that does is not made longer. */
static void items(void **state)
{
	struct said s;

	(void)state;
	begin(&s);
	out_error(&s.out, "check", "data/3f", "missing");
	out_error(&s.out, "check", "data/3f", "data/3f: is missing");
	out_error(&s.out, "check", NULL, "plain");
	out_error(&s.out, "check", "", "empty");
	assert_said(&s, "",
		    "nightjar: data/3f: missing\nnightjar: data/3f: is missing\n"
		    "nightjar: plain\nnightjar: empty\n");
}

static void quiet(void **state)
{
	struct said s;

	(void)state;
	begin(&s);
	s.out.quiet = true;
	say_everything(&s);
	assert_said(&s, "line 1\n",
		    "nightjar: cannot read /a\\n\n"
		    "nightjar: /b\\x1b: is gone\nnightjar: end\n");
}

static void verbose(void **state)
{
	struct said s;

	(void)state;
	begin(&s);
	s.out.verbose = 1;
	out_detail(&s.out, "detail");
	out_bytes(&s.out, "a\0b", 2);
	assert_said(&s, "detail\na", "");
}

static void as_json(void **state)
{
	struct said s;

	(void)state;
	begin(&s);
	s.out.json = true;
	say_everything(&s);
	assert_said(&s, "{\"n\":1}\n",
		    "{\"message_type\":\"warning\",\"message\":\"warning w\"}\n"
		    "{\"message_type\":\"error\",\"error\":{\"message\":\"cannot read /a\\u000a\"},"
		    "\"during\":\"archival\",\"item\":\"/a\\u000a\"}\n"
		    "{\"message_type\":\"error\",\"error\":{\"message\":\"is gone\"},"
		    "\"during\":\"archival\",\"item\":\"/b\\u001b\"}\n"
		    "{\"message_type\":\"exit_error\",\"code\":3,\"message\":\"end\"}\n");
}

static void out_of_memory_still_says_something(void **state)
{
	struct said s;
	struct json j = {0};
	struct err err = {0};
	bool pipe_closed;

	(void)state;
	begin(&s);
	s.out.json = true;
	json_object(&j, NULL);
	json_close(&j);
	j.text.failed = true;
	out_json(&s.out, &j);
	json_free(&j);
	assert_int_equal(out_finish(&s.out, &pipe_closed, &err), -ERR_IO);
	assert_int_equal(fclose(s.out.results), 0);
	assert_int_equal(fclose(s.out.errors), 0);
	assert_string_equal(s.results, "");
	assert_non_null(strstr(s.errors, "out of memory"));
	free(s.results);
	free(s.errors);
}

static void a_full_disk_is_reported(void **state)
{
	struct out out = {.errors = stderr};
	struct err err = {0};
	bool pipe_closed = true;

	(void)state;
	out.results = fopen("/dev/full", "w");
	if (!out.results)
		skip();
	out_line(&out, "lost");
	assert_int_equal(out_finish(&out, &pipe_closed, &err), -ERR_FULL);
	assert_false(pipe_closed);
	(void)fclose(out.results);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(for_people),
	    cmocka_unit_test(items),
	    cmocka_unit_test(quiet),
	    cmocka_unit_test(verbose),
	    cmocka_unit_test(as_json),
	    cmocka_unit_test(out_of_memory_still_says_something),
	    cmocka_unit_test(a_full_disk_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
