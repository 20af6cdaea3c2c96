#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "core/header.h"
#include "tests/support/known.h"

static int dec(void *arg, const uint8_t *bytes, size_t len)
{
	struct rd r = rd_of(bytes, len);
	struct err err = {0};
	uint8_t kind;
	int rc = header_get(&r, OBJECT_CONFIG, &kind, &err);

	(void)arg;
	return rc == 0 && kind != 0 ? -1 : rc;
}

static void knows_answers(void **state)
{
	struct buf b = {0};
	struct err err = {0};
	struct rd r;
	uint8_t kind;

	(void)state;
	header_put(&b, OBJECT_CONFIG, 0);
	known_expect("header", "config", b.data, b.len);
	assert_int_equal(header_type(b.data, b.len), OBJECT_CONFIG);
	buf_reset(&b);
	header_put(&b, OBJECT_INDEX, 2);
	known_expect("header", "index_by_g", b.data, b.len);
	r = rd_of(b.data, b.len);
	assert_int_equal(header_get(&r, OBJECT_INDEX, &kind, &err), 0);
	assert_int_equal(kind, 2);
	assert_int_equal(r.left, 0);
	buf_free(&b);
}

static void refuses_anything_else(void **state)
{
	struct decoder d = {dec, NULL};
	struct buf b = {0};

	(void)state;
	header_put(&b, OBJECT_CONFIG, 0);
	expect_prefixes_refused(&d, b.data, b.len);
	expect_flips_refused(&d, b.data, b.len, 0, b.len);
	for (size_t n = 0; n < b.len; n++)
		assert_int_equal(header_type(b.data, n), 0);
	b.data[7] = 1;
	assert_int_equal(header_type(b.data, b.len), 0);
	b.data[7] = 0;
	b.data[0] = 'N';
	assert_int_equal(header_type(b.data, b.len), 0);
	buf_free(&b);
}

static void tells_newer_from_damaged(void **state)
{
	struct buf b = {0};

	(void)state;
	header_put(&b, OBJECT_CONFIG, 0);
	b.data[4] = 2;
	assert_int_equal(dec(NULL, b.data, b.len), -ERR_VERSION);
	assert_int_equal(header_type(b.data, b.len), 0);
	b.data[4] = 0;
	assert_int_equal(dec(NULL, b.data, b.len), -ERR_DAMAGED);
	b.data[4] = 1;
	b.data[5] = OBJECT_PACK;
	assert_int_equal(dec(NULL, b.data, b.len), -ERR_DAMAGED);
	buf_free(&b);
}

static void names_every_type(void **state)
{
	(void)state;
	for (unsigned t = OBJECT_CONFIG; t <= OBJECT_KEYFILE; t++) {
		struct rd r = rd_of("not a header", 12);
		struct err err = {0};
		uint8_t kind;

		assert_int_equal(header_get(&r, (enum object_type)t, &kind, &err), -ERR_DAMAGED);
		assert_null(strstr(err.text, "object"));
	}
}

static void buckets(void **state)
{
	struct buf b = known_get("header", "buckets");
	struct rd r = rd_of(b.data, b.len);

	(void)state;
	while (r.left) {
		unsigned floor_log2 = (unsigned)rd_u64(&r);
		uint64_t n = rd_u64(&r), want = rd_u64(&r), got = bucket_bytes(n, floor_log2);

		assert_int_equal(got, want);
		assert_true(got >= n);
		assert_int_equal(bucket_bytes(got, floor_log2), got);
	}
	buf_free(&b);
}

static void the_finer_ones_keep_the_floor_and_waste_little(void **state)
{
	(void)state;
	assert_int_equal(bucket_fine_bytes(0, 12), 4096);
	assert_int_equal(bucket_fine_bytes(4097, 12), 4096 + 256);
	assert_int_equal(bucket_fine_bytes(4097, 14), 1 << 14);
	for (uint64_t n = 1; n < (uint64_t)1 << 34; n += 1 + n / 97) {
		uint64_t got = bucket_fine_bytes(n, 12);

		assert_true(got >= n && (got == 4096 || got - n <= n / 16));
		assert_true(got <= bucket_bytes(n, 12));
		assert_int_equal(bucket_fine_bytes(got, 12), got);
	}
}

static void buckets_never_shrink_and_waste_little(void **state)
{
	uint64_t last = 0;

	(void)state;
	for (uint64_t n = 1; n < (uint64_t)1 << 34; n += 1 + n / 97) {
		uint64_t got = bucket_bytes(n, 12);

		assert_true(got >= last && got >= n);
		if (n > 1u << 20)
			assert_true(got - n <= n / 32);
		last = got;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(knows_answers),
	    cmocka_unit_test(refuses_anything_else),
	    cmocka_unit_test(tells_newer_from_damaged),
	    cmocka_unit_test(names_every_type),
	    cmocka_unit_test(buckets),
	    cmocka_unit_test(the_finer_ones_keep_the_floor_and_waste_little),
	    cmocka_unit_test(buckets_never_shrink_and_waste_little),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
