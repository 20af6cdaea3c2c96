#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "core/siphash.h"

/* The function's own test vector: key 00…0f, message 00…0e. */
static void the_papers_vector(void **state)
{
	uint8_t key[16], message[15];
	struct siphash s;

	(void)state;
	for (uint8_t i = 0; i < 16; i++)
		key[i] = i;
	memcpy(message, key, sizeof(message));
	s = siphash_of(key);
	assert_true(siphash_bytes(&s, message, sizeof(message)) == 0xa129ca6149be45e5);
}

static void libsodium_says_the_same(void **state)
{
	uint8_t key[16], bytes[200], out[8];
	struct siphash s;

	(void)state;
	randombytes_buf(key, sizeof(key));
	randombytes_buf(bytes, sizeof(bytes));
	s = siphash_of(key);
	for (size_t len = 0; len <= sizeof(bytes); len++) {
		crypto_shorthash(out, bytes, len, key);
		assert_true(siphash_bytes(&s, bytes, len) == siphash_load(out));
	}
	crypto_shorthash(out, bytes, 8, key);
	assert_true(siphash_u64(&s, siphash_load(bytes)) == siphash_load(out));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_papers_vector),
	    cmocka_unit_test(libsodium_says_the_same),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
