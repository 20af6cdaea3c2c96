#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "core/sha256.h"
#include "tests/support/sha256_sodium.h"
#include "tests/support/known.h"

static void expect(const char *name, const struct id *got)
{
	known_expect("sha256", name, got->b, ID_BYTES);
}

static void knows_answers(void **state)
{
	struct buf text = known_get("sha256", "long_in");
	struct err err = {0};
	struct id d;

	(void)state;
	assert_int_equal(sha256_of("", 0, &d, &err), 0);
	expect("empty", &d);
	assert_int_equal(sha256_of("abc", 3, &d, &err), 0);
	expect("abc", &d);
	assert_int_equal(sha256_of(text.data, text.len, &d, &err), 0);
	expect("long", &d);
	assert_int_equal(sha256_sodium_of("", 0, &d, &err), 0);
	expect("empty", &d);
	assert_int_equal(sha256_sodium_of(text.data, text.len, &d, &err), 0);
	expect("long", &d);
	buf_free(&text);
}

static void pieces_make_the_whole(void **state)
{
	static const size_t cuts[] = {0, 1, 63, 64, 65, 127, 128, 999, 1000};
	struct buf text = known_get("sha256", "long_in");
	struct err err = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		struct sha256 *a = NULL;
		struct sha256_sodium *b = NULL;
		size_t rest = text.len - cuts[i];
		struct id d;

		assert_int_equal(sha256_new(&a, &err), 0);
		assert_int_equal(sha256_update(a, text.data, cuts[i], &err), 0);
		assert_int_equal(sha256_update(a, text.data + cuts[i], rest, &err), 0);
		assert_int_equal(sha256_final(a, &d, &err), 0);
		sha256_free(a);
		expect("long", &d);
		assert_int_equal(sha256_sodium_new(&b, &err), 0);
		assert_int_equal(sha256_sodium_update(b, text.data, cuts[i], &err), 0);
		assert_int_equal(sha256_sodium_update(b, text.data + cuts[i], rest, &err), 0);
		assert_int_equal(sha256_sodium_final(b, &d, &err), 0);
		sha256_sodium_free(b);
		expect("long", &d);
	}
	sha256_free(NULL);
	sha256_sodium_free(NULL);
	buf_free(&text);
}

static void hmac_knows_answers(void **state)
{
	struct buf text = known_get("sha256", "long_in"), key = known_get("sha256", "hmac_key");
	struct hmac_part parts[] = {
	    {"\x01", 1}, {text.data, 500}, {NULL, 0}, {text.data + 500, 500}};
	struct err err = {0};
	struct id d;

	(void)state;
	assert_int_equal(hmac256_of(key.data, parts, 4, &d, &err), 0);
	expect("hmac_long", &d);
	assert_int_equal(hmac256_sodium_of(key.data, parts, 4, &d, &err), 0);
	expect("hmac_long", &d);
	assert_int_equal(hmac256_of(key.data, NULL, 0, &d, &err), 0);
	expect("hmac_none", &d);
	assert_int_equal(hmac256_sodium_of(key.data, NULL, 0, &d, &err), 0);
	expect("hmac_none", &d);
	buf_free(&text);
	buf_free(&key);
}

static void both_libraries_agree(void **state)
{
	uint8_t bytes[300];
	struct err err = {0};

	(void)state;
	randombytes_buf(bytes, sizeof(bytes));
	for (size_t n = 0; n <= sizeof(bytes); n++) {
		struct hmac_part part = {bytes, n};
		struct id a, b;

		assert_int_equal(sha256_of(bytes, n, &a, &err), 0);
		assert_int_equal(sha256_sodium_of(bytes, n, &b, &err), 0);
		assert_true(id_eq(&a, &b));
		assert_int_equal(hmac256_of(bytes, &part, 1, &a, &err), 0);
		assert_int_equal(hmac256_sodium_of(bytes, &part, 1, &b, &err), 0);
		assert_true(id_eq(&a, &b));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(knows_answers),
	    cmocka_unit_test(pieces_make_the_whole),
	    cmocka_unit_test(hmac_knows_answers),
	    cmocka_unit_test(both_libraries_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
