/* The JSON writer: grammar, escapes, bytes that are no UTF-8, numbers at their ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/json.h"

static void assert_text(struct json *j, const char *expected)
{
	struct err err = {0};

	assert_int_equal(json_end(j, &err), 0);
	buf_put_u8(&j->text, 0);
	assert_string_equal((const char *)j->text.data, expected);
	json_free(j);
}

static void nests_and_commas(void **state)
{
	struct json j = {0};

	(void)state;
	json_object(&j, NULL);
	json_array(&j, "a");
	json_close(&j);
	json_object(&j, "o");
	json_close(&j);
	json_array(&j, "l");
	json_u64(&j, NULL, 1);
	json_object(&j, NULL);
	json_bool(&j, "t", true);
	json_bool(&j, "f", false);
	json_close(&j);
	json_null(&j, NULL);
	json_close(&j);
	json_str(&j, "n", NULL);
	json_close(&j);
	assert_text(&j, "{\"a\":[],\"o\":{},\"l\":[1,{\"t\":true,\"f\":false},null],\"n\":null}");
}

static void strings_are_escaped(void **state)
{
	struct json j = {0};

	(void)state;
	json_object(&j, NULL);
	json_bytes(&j, "k\"\n", "a\0b\\\"/\x1f\x7f\t", 9);
	json_close(&j);
	assert_text(&j, "{\"k\\\"\\u000a\":\"a\\u0000b\\\\\\\"/\\u001f\\u007f\\u0009\"}");
}

static void well_formed_utf8_stays(void **state)
{
	struct json j = {0};

	(void)state;
	json_str(&j, NULL,
		 "\xc2\x80 \xdf\xbf \xe0\xa0\x80 \xed\x9f\xbf \xef\xbf\xbf \xf0\x90\x80\x80 "
		 "\xf4\x8f\xbf\xbf");
	assert_text(&j,
		    "\"\xc2\x80 \xdf\xbf \xe0\xa0\x80 \xed\x9f\xbf \xef\xbf\xbf \xf0\x90\x80\x80 "
		    "\xf4\x8f\xbf\xbf\"");
}

#define BAD "\xef\xbf\xbd"

static void other_bytes_become_replacements(void **state)
{
	static const struct {
		const char *in, *out;
	} table[] = {
	    {"\x80", BAD},
	    {"\xff", BAD},
	    {"a\xc3", "a" BAD},
	    {"\xc3(", BAD "("},
	    {"\xc0\xaf", BAD BAD},
	    {"\xe0\x9f\xbf", BAD BAD BAD},
	    {"\xed\xa0\x80", BAD BAD BAD},
	    {"\xf0\x8f\xbf\xbf", BAD BAD BAD BAD},
	    {"\xf4\x90\x80\x80", BAD BAD BAD BAD},
	    {"\xe2\x82", BAD BAD},
	    {"\xe2\x82\xac\xe2", "\xe2\x82\xac" BAD},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct json j = {0};
		char expected[64] = "\"";

		strcat(strcat(expected, table[i].out), "\"");
		json_str(&j, NULL, table[i].in);
		assert_text(&j, expected);
	}
}

static void integers_keep_every_digit(void **state)
{
	struct json j = {0};

	(void)state;
	json_array(&j, NULL);
	json_u64(&j, NULL, UINT64_MAX);
	json_i64(&j, NULL, INT64_MIN);
	json_i64(&j, NULL, INT64_MAX);
	json_close(&j);
	assert_text(&j, "[18446744073709551615,-9223372036854775808,9223372036854775807]");
}

static void doubles_come_back_or_are_null(void **state)
{
	static const double values[] = {0.0, 0.1, 1.0 / 3.0, -2.5, 1e300, DBL_MIN, DBL_MAX, 5e-324};
	struct json j = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		json_reset(&j);
		json_double(&j, NULL, values[i]);
		buf_put_u8(&j.text, 0);
		assert_memory_equal(&values[i], &(double){strtod((char *)j.text.data, NULL)},
				    sizeof(double));
	}
	json_reset(&j);
	json_array(&j, NULL);
	json_double(&j, NULL, 0.1);
	json_double(&j, NULL, (double)NAN);
	json_double(&j, NULL, -(double)INFINITY);
	json_close(&j);
	assert_text(&j, "[0.1,null,null]");
}

static void failed_memory_shows_at_the_end(void **state)
{
	struct json j = {0};
	struct err err = {0};

	(void)state;
	json_object(&j, NULL);
	j.text.failed = true;
	json_str(&j, "k", "v");
	json_close(&j);
	assert_int_equal(json_end(&j, &err), -ERR_NOMEM);
	json_free(&j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nests_and_commas),
	    cmocka_unit_test(strings_are_escaped),
	    cmocka_unit_test(well_formed_utf8_stays),
	    cmocka_unit_test(other_bytes_become_replacements),
	    cmocka_unit_test(integers_keep_every_digit),
	    cmocka_unit_test(doubles_come_back_or_are_null),
	    cmocka_unit_test(failed_memory_shows_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
