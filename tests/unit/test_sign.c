#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "core/sign.h"
#include "tests/support/known.h"

struct pair {
	uint8_t pub[32], secret[64];
};

static struct pair pair_get(void)
{
	struct buf seed = known_get("sign", "seed");
	struct pair p;

	(void)crypto_sign_seed_keypair(p.pub, p.secret, seed.data);
	buf_free(&seed);
	return p;
}

static int dec(void *arg, const uint8_t *bytes, size_t len)
{
	struct err err = {0};

	return sign_check(bytes, len, "manifest", arg, &err);
}

static void knows_answers(void **state)
{
	struct buf b = known_get("sign", "bytes");
	struct pair p = pair_get();
	struct err err = {0};
	size_t len = b.len;

	(void)state;
	assert_int_equal(sign_append(&b, "manifest", p.secret, &err), 0);
	assert_int_equal(b.len, len + SIGN_BYTES);
	known_expect("sign", "manifest", b.data + len, SIGN_BYTES);
	assert_int_equal(sign_check(b.data, b.len, "manifest", p.pub, &err), 0);
	buf_reset(&b);
	assert_int_equal(sign_append(&b, "config", p.secret, &err), 0);
	known_expect("sign", "config", b.data, b.len);
	buf_free(&b);
}

static void refuses_what_was_changed(void **state)
{
	struct pair p = pair_get();
	struct decoder d = {dec, p.pub};
	struct buf b = {0};
	struct err err = {0};

	(void)state;
	buf_put(&b, "what is signed", 14);
	assert_int_equal(sign_append(&b, "manifest", p.secret, &err), 0);
	expect_prefixes_refused(&d, b.data, b.len);
	expect_flips_refused(&d, b.data, b.len, 0, b.len);
	assert_int_equal(sign_check(b.data, b.len, "roster", p.pub, &err), -ERR_DAMAGED);
	p.pub[3] ^= 4;
	assert_int_equal(sign_check(b.data, b.len, "manifest", p.pub, &err), -ERR_DAMAGED);
	buf_free(&b);
}

/* A public key of small order would let one signature fit many messages. */
static void refuses_a_weak_key(void **state)
{
	uint8_t pub[32] = {1}, bytes[SIGN_BYTES + 1] = {0};
	struct err err = {0};

	(void)state;
	bytes[1] = 1;
	assert_int_equal(sign_check(bytes, sizeof(bytes), "config", pub, &err), -ERR_DAMAGED);
}

static void survives_no_memory(void **state)
{
	struct buf b = {.failed = true};
	struct pair p = pair_get();
	struct err err = {0};

	(void)state;
	assert_int_equal(sign_append(&b, "config", p.secret, &err), -ERR_NOMEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(knows_answers),
	    cmocka_unit_test(refuses_what_was_changed),
	    cmocka_unit_test(refuses_a_weak_key),
	    cmocka_unit_test(survives_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
