/* Records of SQLite, against bytes that SQLite's own documentation explains, whole and cut short. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/sqlrec.h"

/* NULL, 5, 'hi', x'01', 0, 1, 258, 1.5 */
static const uint8_t record[] = {9,    0,    1, 17, 14,  8, 9, 2, 7, 5, 'h', 'i',
				 0x01, 0x01, 2, 63, 248, 0, 0, 0, 0, 0, 0};

static void test_columns(void **state)
{
	static const struct {
		uint64_t serial;
		size_t len;
		uint8_t first;
	} want[] = {{0, 0, 0}, {1, 1, 5}, {17, 2, 'h'}, {14, 1, 1},
		    {8, 0, 0}, {9, 0, 0}, {2, 2, 1},    {7, 8, 63}};
	struct sqlrec_column c;
	struct sqlrec r;

	(void)state;
	assert_true(sqlrec_open(record, sizeof(record), &r));
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		assert_true(sqlrec_next(&r, &c));
		assert_int_equal(c.serial, want[i].serial);
		assert_int_equal(c.value.len, want[i].len);
		if (c.value.len)
			assert_int_equal(c.value.p[0], want[i].first);
		assert_int_equal(sqlrec_is_text(&c), want[i].serial == 17);
	}
	assert_false(sqlrec_next(&r, &c));
	assert_int_equal(r.values.len, 0);
}

static void test_cut_short(void **state)
{
	struct sqlrec_column c;
	struct sqlrec r;

	(void)state;
	assert_false(sqlrec_open(record, 0, &r));
	for (size_t len = 0; len < sizeof(record); len++) {
		uint8_t *copy = malloc(len ? len : 1);
		size_t columns = 0;

		assert_non_null(copy);
		memcpy(copy, record, len);
		if (sqlrec_open(copy, len, &r)) {
			while (sqlrec_next(&r, &c))
				columns++;
		}
		assert_true(columns < 8);
		free(copy);
	}
}

/* A header that is shorter than its own length, lengths of nine bytes, a text longer than any memory. */
static void test_hostile(void **state)
{
	static const uint8_t none[] = {0, 1, 1},
			     nine[] = {0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x09},
			     huge[] = {10,   0xff, 0xff, 0xff, 0xff, 0xff,
				       0xff, 0xff, 0xff, 0xff, 'x'};
	struct sqlrec_column c;
	struct sqlrec r;

	(void)state;
	assert_false(sqlrec_open(none, sizeof(none), &r));
	assert_false(sqlrec_open(nine, sizeof(nine), &r));
	assert_true(sqlrec_open(huge, sizeof(huge), &r));
	assert_false(sqlrec_next(&r, &c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_columns),
	    cmocka_unit_test(test_cut_short),
	    cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests_name("sqlrec", tests, NULL, NULL);
}
