#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "core/keyslot.h"
#include "tests/support/known.h"

#define KDF_FROM 40 /* salt, commitment, nonce, sealed master: what the KDF must run for */
#define MASTER_END 152

struct slot_case {
	struct buf slot, repo, master, password;
};

static struct slot_case case_get(void)
{
	return (struct slot_case){.slot = known_get("keyslot", "slot"),
				  .repo = known_get("keys", "repo"),
				  .master = known_get("keys", "master"),
				  .password = known_get("keyslot", "password")};
}

static void case_free(struct slot_case *c)
{
	buf_free(&c->slot);
	buf_free(&c->repo);
	buf_free(&c->master);
	buf_free(&c->password);
}

static int dec_open(void *arg, const uint8_t *bytes, size_t len)
{
	struct slot_case *c = arg;
	uint8_t master[32];
	struct err err = {0};

	return keyslot_open(bytes, len, c->repo.data, c->password.data, c->password.len, master,
			    &err);
}

static int dec_label(void *arg, const uint8_t *bytes, size_t len)
{
	struct slot_case *c = arg;
	struct keyslot_label label;
	struct err err = {0};

	return keyslot_label_get(bytes, len, c->repo.data, c->master.data, &label, &err);
}

static void knows_answers(void **state)
{
	struct slot_case c = case_get();
	struct keyslot_label label = {0};
	uint8_t master[32];
	struct err err = {0};

	(void)state;
	assert_int_equal(keyslot_open(c.slot.data, c.slot.len, c.repo.data, c.password.data,
				      c.password.len, master, &err),
			 0);
	known_expect("keys", "master", master, 32);
	assert_int_equal(
	    keyslot_label_get(c.slot.data, c.slot.len, c.repo.data, c.master.data, &label, &err),
	    0);
	assert_int_equal(label.created_at, 1700000000);
	assert_string_equal(label.user, "anna");
	assert_string_equal(label.host, "db1");
	case_free(&c);
}

static void refuses_damage(void **state)
{
	struct slot_case c = case_get();
	struct decoder open = {dec_open, &c}, label = {dec_label, &c};

	(void)state;
	expect_prefixes_refused(&open, c.slot.data, c.slot.len);
	expect_prefixes_refused(&label, c.slot.data, c.slot.len);
	expect_flips_refused(&label, c.slot.data, c.slot.len, 0, c.slot.len);
	/* Not the bits of passes and memory that are within bounds and would cost seconds and gigabytes. */
	expect_flips_refused(&open, c.slot.data, c.slot.len, 0, 24);
	expect_flips_refused(&open, c.slot.data, c.slot.len, 25, 29);
	expect_flips_refused(&open, c.slot.data, c.slot.len, KDF_FROM - 8, MASTER_END);
	case_free(&c);
}

static void bounds_come_before_the_kdf(void **state)
{
	static const uint32_t bad[][2] = {{0, 8192},       {65, 8192},          {0xffffffffu, 8192},
					  {1, 8191},       {1, (4u << 20) + 1}, {1, 0},
					  {1, 0xffffffffu}};
	struct slot_case c = case_get();

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct kdf_cost cost = {bad[i][0], bad[i][1]};
		struct keyslot_label label = {0};
		struct buf out = {0};
		struct err err = {0};

		for (size_t n = 0; n < 4; n++) {
			c.slot.data[24 + n] = (uint8_t)(bad[i][0] >> (8 * n));
			c.slot.data[28 + n] = (uint8_t)(bad[i][1] >> (8 * n));
		}
		assert_int_equal(dec_open(&c, c.slot.data, c.slot.len), -ERR_LIMIT);
		assert_int_equal(dec_label(&c, c.slot.data, c.slot.len), -ERR_LIMIT);
		if (cost.passes && cost.memory_kib)
			assert_int_equal(keyslot_enc(c.repo.data, c.master.data, "x", 1, &cost,
						     &label, &out, &err),
					 -ERR_LIMIT);
	}
	case_free(&c);
}

static void errors_name_what_helps(void **state)
{
	struct slot_case c = case_get();
	uint8_t master[32];
	char *wide = calloc(1, LIMIT_PASSWORD_BYTES + 1);
	struct err err = {0};

	(void)state;
	assert_int_equal(
	    keyslot_open(c.slot.data, c.slot.len, c.repo.data, "wrong", 5, master, &err), -ERR_KEY);
	assert_string_equal(err.text, "wrong password or damaged key slot");
	assert_int_equal(keyslot_open(c.slot.data, c.slot.len, c.repo.data, NULL, 0, master, &err),
			 -ERR_KEY);
	assert_int_equal(keyslot_open(c.slot.data, c.slot.len, c.repo.data, wide,
				      LIMIT_PASSWORD_BYTES + 1, master, &err),
			 -ERR_LIMIT);
	c.master.data[0] ^= 1;
	assert_int_equal(dec_label(&c, c.slot.data, c.slot.len), -ERR_KEY);
	c.repo.data[0] ^= 1;
	assert_int_equal(dec_open(&c, c.slot.data, c.slot.len), -ERR_KEY);
	c.slot.data[4] = 2;
	assert_int_equal(dec_open(&c, c.slot.data, c.slot.len), -ERR_VERSION);
	c.slot.data[4] = 0;
	assert_int_equal(dec_open(&c, c.slot.data, c.slot.len), -ERR_KEY);
	free(wide);
	case_free(&c);
}

/* A slot made to open under two passwords would have to fit both commitments. */
static void compares_the_commitment(void **state)
{
	struct slot_case c = case_get();
	struct buf b = known_get("keyslot", "uncommitted");

	(void)state;
	assert_int_equal(dec_open(&c, b.data, b.len), -ERR_KEY);
	assert_int_equal(dec_label(&c, b.data, b.len), 0);
	buf_free(&b);
	case_free(&c);
}

static void a_rotten_label_shuts_nobody_out(void **state)
{
	struct slot_case c = case_get();

	(void)state;
	c.slot.data[MASTER_END + 30] ^= 1;
	assert_int_equal(dec_open(&c, c.slot.data, c.slot.len), 0);
	assert_int_equal(dec_label(&c, c.slot.data, c.slot.len), -ERR_KEY);
	case_free(&c);
}

static void labels_have_bounds(void **state)
{
	struct slot_case c = case_get();
	struct buf longest = known_get("keyslot", "long_label"),
		   bad = known_get("keyslot", "bad_label"),
		   dirty = known_get("keyslot", "dirty_label");
	struct keyslot_label label;
	struct err err = {0};

	(void)state;
	assert_int_equal(
	    keyslot_label_get(longest.data, longest.len, c.repo.data, c.master.data, &label, &err),
	    0);
	assert_int_equal(label.created_at, -1);
	assert_int_equal(strlen(label.user), 95);
	assert_int_equal(strlen(label.host), 127);
	assert_int_equal(dec_label(&c, bad.data, bad.len), -ERR_DAMAGED);
	assert_int_equal(dec_label(&c, dirty.data, dirty.len), -ERR_DAMAGED);
	buf_free(&longest);
	buf_free(&bad);
	buf_free(&dirty);
	case_free(&c);
}

static void round_trip(void **state)
{
	struct slot_case c = case_get();
	struct kdf_cost cost = {1, 8192};
	struct keyslot_label label = {.created_at = 5, .user = "u", .host = "h"}, got = {0};
	struct buf one = {0}, two = {0};
	uint8_t master[32];
	struct err err = {0};

	(void)state;
	assert_int_equal(
	    keyslot_enc(c.repo.data, c.master.data, "pw", 2, &cost, &label, &one, &err), 0);
	assert_int_equal(
	    keyslot_enc(c.repo.data, c.master.data, "pw", 2, &cost, &label, &two, &err), 0);
	assert_int_equal(one.len, c.slot.len);
	/* Fresh salt, nonces: nothing but the head repeats itself. */
	for (size_t at = 32; at + 16 <= one.len; at += 16)
		assert_memory_not_equal(one.data + at, two.data + at, 16);
	assert_int_equal(keyslot_open(one.data, one.len, c.repo.data, "pw", 2, master, &err), 0);
	assert_memory_equal(master, c.master.data, 32);
	assert_int_equal(keyslot_label_get(one.data, one.len, c.repo.data, master, &got, &err), 0);
	assert_memory_equal(&got, &label, sizeof(got));
	buf_free(&one);
	buf_free(&two);
	case_free(&c);
}

static void defaults_are_costly(void **state)
{
	struct slot_case c = case_get();
	struct kdf_cost cost = {0};
	struct keyslot_label label = {0};
	struct buf out = {0};
	struct err err = {0};
	struct rd r;

	(void)state;
	assert_int_equal(keyslot_enc(c.repo.data, c.master.data, "", 0, &cost, &label, &out, &err),
			 0);
	r = rd_of(out.data + 24, 8);
	assert_int_equal(rd_u32(&r), 3);
	assert_int_equal(rd_u32(&r), 262144);
	buf_free(&out);
	case_free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(knows_answers),
	    cmocka_unit_test(refuses_damage),
	    cmocka_unit_test(bounds_come_before_the_kdf),
	    cmocka_unit_test(errors_name_what_helps),
	    cmocka_unit_test(compares_the_commitment),
	    cmocka_unit_test(a_rotten_label_shuts_nobody_out),
	    cmocka_unit_test(labels_have_bounds),
	    cmocka_unit_test(round_trip),
	    cmocka_unit_test(defaults_are_costly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
