/* restlist: what a listing says, however it is cut, and everything that is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/restlist.h"
#include "tests/support/must.h"

#define HEX31 "11111111111111111111111111111111111111111111111111111111111111"
#define NAME(two) "\"name\":\"" two HEX31 "\""
#define ENTRY(two, size) "{" NAME(two) ",\"size\":" size "}"

struct got {
	size_t count;
	uint64_t sum;
	unsigned last;
	int stop;
};

static int see(void *arg, const struct id *name, uint64_t size_bytes, struct err *err)
{
	struct got *g = arg;

	g->count++;
	g->sum += size_bytes;
	g->last = name->b[0];
	return g->stop ? err_set(err, ERR_CANCELLED, "enough") : 0;
}

/* In slices of step bytes. */
static int read_all(const char *text, size_t step, struct got *got, struct err *err)
{
	size_t len = strlen(text);
	struct restlist r;
	int rc = 0;

	restlist_init(&r, see, got);
	for (size_t at = 0; at < len && !rc; at += step)
		rc = restlist_feed(&r, text + at, len - at < step ? len - at : step, err);
	return rc ? rc : restlist_end(&r, err);
}

static void listings_are_read(void **state)
{
	static const struct {
		const char *text;
		size_t count;
		uint64_t sum;
		unsigned last;
	} table[] = {
	    {"[]\n", 0, 0, 0},
	    {"null", 0, 0, 0},
	    {" null\n", 0, 0, 0},
	    {"[" ENTRY("3f", "0") "]", 1, 0, 0x3f},
	    {"\t[ " ENTRY("01", "5") " ,\r\n" ENTRY("02", "9223372036854775807") " ] ", 2,
	     UINT64_C(9223372036854775812), 2},
	    {"[{\"size\":7," NAME("aa") "}]", 1, 7, 0xaa},
	    {"[{\"size\":7,\"x\":{\"name\":[1,-2.5e+3,{}],\"size\":\"a\"},\"y\":null," NAME(
		 "aa") "}]",
	     1, 7, 0xaa},
	    /* Names that are none of ours. */
	    {"[{\"name\":\"../../etc/passwd\",\"size\":1}]", 0, 0, 0},
	    {"[{\"name\":\"\\u0000\\ud800\\\"\\\\\\/\\n\xff\",\"size\":1}]", 0, 0, 0},
	    {"[{\"name\":\"\",\"size\":1}," ENTRY("AA", "1") "," ENTRY("a", "1") "," ENTRY(
		 "1111", "1") "," ENTRY(HEX31 HEX31, "1") "]",
	     0, 0, 0},
	    {"[{\"n\\u0061me\":\"\\u0061a" HEX31 "\",\"size\":3}]", 1, 3, 0xaa},
	    /* Twice is the caller's to judge. */
	    {"[" ENTRY("aa", "1") "," ENTRY("aa", "2") "]", 2, 3, 0xaa},
	    {"[{\"name\":\"x\",\"size\":1,\"a\":[[[[[[[[[[[[[[]]]]]]]]]]]]]]}]", 0, 0, 0},
	};
	struct err err = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		for (size_t step = 1; step < 99; step += 7) {
			struct got got = {0};

			if (read_all(table[i].text, step, &got, &err) != 0)
				fail_msg("%s: %s", table[i].text, err.text);
			assert_int_equal(got.count, table[i].count);
			assert_true(got.sum == table[i].sum);
			assert_int_equal(got.last, table[i].last);
		}
}

static void what_is_none_is_refused(void **state)
{
	static const struct {
		const char *text;
		enum err_code want;
	} table[] = {
	    {"", ERR_DAMAGED},
	    {"<html>", ERR_DAMAGED},
	    {"{}", ERR_DAMAGED},
	    {"\"x\"", ERR_DAMAGED},
	    {"0", ERR_DAMAGED},
	    {"nul", ERR_DAMAGED},
	    {"nulll", ERR_DAMAGED},
	    {"true", ERR_DAMAGED},
	    {"[", ERR_DAMAGED},
	    {"[]]", ERR_DAMAGED},
	    {"[][]", ERR_DAMAGED},
	    {"[}", ERR_DAMAGED},
	    {"[null]", ERR_DAMAGED},
	    {"[[]]", ERR_DAMAGED},
	    {"[7]", ERR_DAMAGED},
	    {"[,]", ERR_DAMAGED},
	    {"[\""
	     "aa" HEX31 "\"]",
	     ERR_VERSION},
	    {"[{}]", ERR_DAMAGED},
	    {"[{" NAME("aa") "}]", ERR_DAMAGED},
	    {"[{\"size\":1}]", ERR_DAMAGED},
	    {"[" ENTRY("aa", "1") ",]", ERR_DAMAGED},
	    {"[" ENTRY("aa", "1") " " ENTRY("aa", "1") "]", ERR_DAMAGED},
	    {"[{" NAME("aa") "," NAME("aa") ",\"size\":1}]", ERR_DAMAGED},
	    {"[{" NAME("aa") ",\"size\":1,\"size\":1}]", ERR_DAMAGED},
	    {"[{" NAME("aa") ",\"size\":1,}]", ERR_DAMAGED},
	    {"[{" NAME("aa") " \"size\":1}]", ERR_DAMAGED},
	    {"[{" NAME("aa") ",\"size\" 1}]", ERR_DAMAGED},
	    {"[{" NAME("aa") ",\"size\":}]", ERR_DAMAGED},
	    {"[{" NAME("aa") ",\"size\":1]", ERR_DAMAGED},
	    {"[{" NAME("aa") ",size:1}]", ERR_DAMAGED},
	    {"[{\"name\":1,\"size\":1}]", ERR_DAMAGED},
	    {"[{\"name\":[],\"size\":1}]", ERR_DAMAGED},
	    {"[{\"name\":\"\x01\",\"size\":1}]", ERR_DAMAGED},
	    {"[{\"name\":\"\\x\",\"size\":1}]", ERR_DAMAGED},
	    {"[{\"name\":\"\\u00g0\",\"size\":1}]", ERR_DAMAGED},
	    {"[{\"a\":01," NAME("aa") ",\"size\":1}]", ERR_DAMAGED},
	    {"[{\"a\":1.," NAME("aa") ",\"size\":1}]", ERR_DAMAGED},
	    {"[{\"a\":1e," NAME("aa") ",\"size\":1}]", ERR_DAMAGED},
	    {"[{\"a\":-," NAME("aa") ",\"size\":1}]", ERR_DAMAGED},
	    {"[{\"a\":Infinity," NAME("aa") ",\"size\":1}]", ERR_DAMAGED},
	    {"[" ENTRY("aa", "\"1\"") "]", ERR_DAMAGED},
	    {"[" ENTRY("aa", "-1") "]", ERR_DAMAGED},
	    {"[" ENTRY("aa", "1.5") "]", ERR_DAMAGED},
	    {"[" ENTRY("aa", "1e3") "]", ERR_DAMAGED},
	    {"[" ENTRY("aa", "null") "]", ERR_DAMAGED},
	    {"[" ENTRY("aa", "9223372036854775808") "]", ERR_LIMIT},
	    {"[" ENTRY("aa", "18446744073709551617") "]", ERR_LIMIT},
	    {"[" ENTRY("aa", "1" HEX31 HEX31) "]", ERR_LIMIT},
	    {"[{\"a\":[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]}]", ERR_LIMIT},
	};
	struct err err = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		for (size_t step = 1; step < 99; step += 7) {
			struct got got = {0};

			if (read_all(table[i].text, step, &got, &err) != -(int)table[i].want)
				fail_msg("%s: %s", table[i].text, err.text);
		}
}

static void a_listing_that_was_cut_is_none(void **state)
{
	static const char whole[] = "[" ENTRY("aa", "12") "," ENTRY("bb", "3") "]";
	struct err err = {0};
	char cut[sizeof(whole)];

	(void)state;
	for (size_t len = 0; len + 1 < sizeof(whole); len++) {
		struct got got = {0};

		memcpy(cut, whole, len);
		cut[len] = '\0';
		MUST_FAIL(read_all(cut, 5, &got, &err), ERR_DAMAGED, &err);
		assert_true(got.count <= 2);
	}
}

static void the_caller_may_end_it(void **state)
{
	struct got got = {.stop = 1};
	struct err err = {0};

	(void)state;
	MUST_FAIL(read_all("[" ENTRY("aa", "1") "," ENTRY("bb", "1") "]", 99, &got, &err),
		  ERR_CANCELLED, &err);
	assert_int_equal(got.count, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(listings_are_read),
	    cmocka_unit_test(what_is_none_is_refused),
	    cmocka_unit_test(a_listing_that_was_cut_is_none),
	    cmocka_unit_test(the_caller_may_end_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
