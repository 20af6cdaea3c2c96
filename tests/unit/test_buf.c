/* Numbers of variable length: every value comes back, and there is one way to write it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/buf.h"

static void test_varints_come_back(void **state)
{
	struct buf b = {0};
	struct rd r;

	(void)state;
	for (unsigned bit = 0; bit < 64; bit++) {
		buf_put_varint(&b, (UINT64_C(1) << bit) - 1);
		buf_put_varint(&b, UINT64_C(1) << bit);
	}
	buf_put_varint(&b, UINT64_MAX);
	r = rd_of(b.data, b.len);
	for (unsigned bit = 0; bit < 64; bit++) {
		assert_int_equal(rd_varint(&r), (UINT64_C(1) << bit) - 1);
		assert_int_equal(rd_varint(&r), UINT64_C(1) << bit);
	}
	assert_true(rd_varint(&r) == UINT64_MAX);
	assert_false(r.bad);
	assert_int_equal(r.left, 0);
	buf_free(&b);
}

static void assert_refused(const char *bytes, size_t len)
{
	struct rd r = rd_of(bytes, len);

	(void)rd_varint(&r);
	assert_true(r.bad);
}

static void test_one_way_to_write(void **state)
{
	(void)state;
	assert_refused("", 0);
	assert_refused("\x80", 1);
	assert_refused("\x80\x00", 2); /* 0, longer than it need be */
	assert_refused("\xff\x80\x00", 3);
	assert_refused("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10); /* 65 bits */
	assert_refused("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11);
}

static void test_zigzag(void **state)
{
	static const int64_t values[] = {0, -1, 1, -2, 2, INT64_MAX, INT64_MIN};

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		assert_int_equal(zigzag_back(zigzag_of(values[i])), values[i]);
	assert_int_equal(zigzag_of(-1), 1);
	assert_int_equal(zigzag_of(1), 2);
	assert_true(zigzag_of(INT64_MIN) == UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_varints_come_back),
	    cmocka_unit_test(test_one_way_to_write),
	    cmocka_unit_test(test_zigzag),
	};

	return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
