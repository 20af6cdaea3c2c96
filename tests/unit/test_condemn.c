#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "core/condemn.h"
#include "core/sign.h"
#include "tests/support/testkeys.h"

static struct keys *keys;

static int setup(void **state)
{
	(void)state;
	keys = testkeys_full();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	keys_free(keys);
	return 0;
}

/* Two packs: 01 01 … and 02 02 … */
static struct condemn sample(enum condemn_kind kind, struct id packs[2])
{
	struct condemn c = {.kind = kind, .time_s = 0x1122334455};

	memset(packs[0].b, 1, ID_BYTES);
	memset(packs[1].b, 2, ID_BYTES);
	memset(c.record.b, 3, ID_BYTES);
	memset(c.salt, 4, sizeof(c.salt));
	if (kind != CONDEMN_DATE) {
		c.packs = packs;
		c.pack_count = 2;
	}
	return c;
}

static int decode(const void *bytes, size_t len, struct condemn *out)
{
	struct err err = {0};
	int r = condemn_dec(keys->repo, keys->gc_pub, bytes, len, out, &err);

	if (r) {
		assert_int_equal(r, -err.code);
		assert_true(err.text[0] != '\0');
		assert_null(out->packs);
	}
	return r;
}

/* The clear bytes, as FORMAT.md §8 lists them, one after the other. */
static void the_bytes_are_known(void **state)
{
	struct id packs[2];
	struct condemn c = sample(CONDEMN_PACKS, packs);
	struct buf b = {0};
	char hex[2 * 200 + 1];
	uint8_t repo[REPO_ID_BYTES];

	(void)state;
	for (uint8_t i = 0; i < REPO_ID_BYTES; i++)
		repo[i] = i;
	condemn_put(&b, repo, &c);
	assert_int_equal(b.len, 8 + 16 + 8 + 16 + 4 + 64);
	(void)sodium_bin2hex(hex, sizeof(hex), b.data, b.len);
	assert_string_equal(hex,
			    "6e6a617201070100"
			    "000102030405060708090a0b0c0d0e0f"
			    "5544332211000000"
			    "04040404040404040404040404040404"
			    "02000000"
			    "0101010101010101010101010101010101010101010101010101010101010101"
			    "0202020202020202020202020202020202020202020202020202020202020202");
	buf_reset(&b);
	c = sample(CONDEMN_DATE, packs);
	condemn_put(&b, repo, &c);
	(void)sodium_bin2hex(hex, sizeof(hex), b.data, b.len);
	assert_string_equal(hex,
			    "6e6a617201070200"
			    "000102030405060708090a0b0c0d0e0f"
			    "5544332211000000"
			    "04040404040404040404040404040404"
			    "0303030303030303030303030303030303030303030303030303030303030303");
	buf_free(&b);
}

static void comes_back(void **state)
{
	const enum condemn_kind kinds[] = {CONDEMN_PACKS, CONDEMN_DATE, CONDEMN_WATCH};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct id packs[2];
		struct condemn c = sample(kinds[i], packs), got = {0};
		struct buf b = {0}, other = {0};
		struct err err = {0};

		assert_int_equal(condemn_enc(keys, &c, &b, &err), 0);
		assert_int_equal(decode(b.data, b.len, &got), 0);
		assert_int_equal(got.kind, kinds[i]);
		assert_int_equal(got.time_s, c.time_s);
		assert_int_equal(got.pack_count, c.pack_count);
		if (c.pack_count)
			assert_memory_equal(got.packs, c.packs, 2 * sizeof(*c.packs));
		else
			assert_memory_equal(&got.record, &c.record, sizeof(c.record));
		/* The same once more is another object. */
		assert_int_equal(condemn_enc(keys, &c, &other, &err), 0);
		assert_int_equal(b.len, other.len);
		assert_true(memcmp(b.data, other.data, b.len) != 0);
		condemn_free(&got);
		buf_free(&b);
		buf_free(&other);
	}
}

static void any_flipped_bit_is_refused(void **state)
{
	struct id packs[2];
	struct condemn c = sample(CONDEMN_PACKS, packs), got = {0};
	struct buf b = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(condemn_enc(keys, &c, &b, &err), 0);
	for (size_t bit = 0; bit < b.len * 8; bit++) {
		b.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_true(decode(b.data, b.len, &got) < 0);
		b.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (size_t len = 0; len < b.len; len++)
		assert_int_equal(decode(b.data, len, &got), -ERR_DAMAGED);
	assert_int_equal(decode(b.data, LIMIT_CONDEMN_BYTES + 1, &got), -ERR_LIMIT);
	buf_free(&b);
}

static int decode_signed(struct buf *b, const uint8_t secret[64])
{
	struct condemn got = {0};
	struct err err = {0};
	int r;

	assert_int_equal(sign_append(b, "condemn", secret, &err), 0);
	r = decode(b->data, b->len, &got);
	condemn_free(&got);
	buf_free(b);
	return r;
}

/* Signed rightly, and yet refused. */
static void hostile_records_are_refused(void **state)
{
	struct id packs[2];
	struct condemn c = sample(CONDEMN_PACKS, packs);
	struct buf b = {0};
	struct id swap;

	(void)state;
	condemn_put(&b, keys->repo, &c);
	assert_int_equal(decode_signed(&b, keys->gc_secret), 0);
	condemn_put(&b, keys->repo, &c);
	assert_int_equal(decode_signed(&b, keys->owner_secret), -ERR_DAMAGED); /* not by G */
	condemn_put(&b, keys->owner_pub, &c);
	assert_int_equal(decode_signed(&b, keys->gc_secret), -ERR_DAMAGED); /* another repository */
	condemn_put(&b, keys->repo, &c);
	buf_put_u8(&b, 0);
	assert_int_equal(decode_signed(&b, keys->gc_secret), -ERR_DAMAGED);
	swap = packs[0];
	packs[0] = packs[1];
	packs[1] = swap;
	condemn_put(&b, keys->repo, &c);
	assert_int_equal(decode_signed(&b, keys->gc_secret), -ERR_DAMAGED);
	packs[1] = packs[0];
	condemn_put(&b, keys->repo, &c);
	assert_int_equal(decode_signed(&b, keys->gc_secret), -ERR_DAMAGED);
	c.pack_count = 0;
	condemn_put(&b, keys->repo, &c);
	assert_int_equal(decode_signed(&b, keys->gc_secret), -ERR_DAMAGED);
	c = sample(CONDEMN_DATE, packs);
	c.kind = (enum condemn_kind)4;
	condemn_put(&b, keys->repo, &c);
	assert_int_equal(decode_signed(&b, keys->gc_secret), -ERR_DAMAGED);
	header_put(&b, OBJECT_CONDEMN, CONDEMN_PACKS);
	buf_put(&b, keys->repo, REPO_ID_BYTES);
	buf_put_zeros(&b, 24);
	buf_put_u32(&b, LIMIT_CONDEMN_PACKS + 1);
	assert_int_equal(decode_signed(&b, keys->gc_secret), -ERR_LIMIT);
}

static void what_would_be_refused_is_not_written(void **state)
{
	struct keys *write = testkeys_role(ROLE_WRITE), *maintain = testkeys_role(ROLE_MAINTAIN);
	struct id packs[2];
	struct condemn c = sample(CONDEMN_PACKS, packs);
	struct err err = {0};
	struct buf b = {0};

	(void)state;
	assert_int_equal(condemn_enc(write, &c, &b, &err), -ERR_KEY);
	assert_int_equal(b.len, 0);
	assert_int_equal(condemn_enc(maintain, &c, &b, &err), 0);
	buf_reset(&b);
	c.pack_count = 0;
	assert_int_equal(condemn_enc(keys, &c, &b, &err), -ERR_USAGE);
	c.pack_count = LIMIT_CONDEMN_PACKS + 1;
	c.kind = CONDEMN_DATE; /* does not look at them */
	assert_int_equal(condemn_enc(keys, &c, &b, &err), -ERR_LIMIT);
	assert_int_equal(b.len, 0);
	buf_free(&b);
	keys_free(write);
	keys_free(maintain);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_bytes_are_known),
	    cmocka_unit_test(comes_back),
	    cmocka_unit_test(any_flipped_bit_is_refused),
	    cmocka_unit_test(hostile_records_are_refused),
	    cmocka_unit_test(what_would_be_refused_is_not_written),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
