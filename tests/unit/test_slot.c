#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "core/slot.h"
#include "tests/support/testkeys.h"
#include "tests/support/known.h"

static struct slot slot_named(const char *name)
{
	struct buf raw = known_get("slot", name);
	struct rd r = rd_of(raw.data, raw.len);
	struct err err = {0};
	struct slot slot;

	assert_int_equal(slot_get(&r, &slot, &err), 0);
	assert_int_equal(r.left, 0);
	buf_free(&raw);
	return slot;
}

static int get(void *arg, const uint8_t *bytes, size_t len)
{
	struct rd r = rd_of(bytes, len);
	struct err err = {0};
	struct slot slot;

	(void)arg;
	return slot_get(&r, &slot, &err);
}

static void knows_answers(void **state)
{
	static const char *names[][2] = {
	    {"r1", "r1_key"}, {"r2", "r2_key"}, {"m", "m_key"}, {"m7", "m7_key"}};
	struct keys *keys = testkeys_full();
	struct err err = {0};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct slot slot = slot_named(names[i][0]);
		struct buf again = {0};
		uint8_t key[32];

		slot_put(&again, &slot);
		known_expect("slot", names[i][0], again.data, again.len);
		assert_int_equal(slot_open(keys, &slot, key, &err), 0);
		known_expect("slot", names[i][1], key, 32);
		buf_free(&again);
	}
	keys_free(keys);
}

/* Whatever bit changes, the slot is refused or gives another key: it can be moved nowhere. */
static void binds_every_bit(void **state)
{
	struct buf raw = known_get("slot", "r2"), key = known_get("slot", "r2_key");
	struct decoder d = {get, NULL};

	(void)state;
	expect_prefixes_refused(&d, raw.data, raw.len);
	for (size_t bit = 0; bit < raw.len * 8; bit++) {
		struct keys *keys = testkeys_full();
		struct rd r = rd_of(raw.data, raw.len);
		uint8_t got[32];
		struct err err = {0};
		struct slot slot;

		raw.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		/* X25519 ignores the top bit of a public key; the key derivation must not. */
		if (slot_get(&r, &slot, &err) == 0 && slot_open(keys, &slot, got, &err) == 0)
			assert_memory_not_equal(got, key.data, 32);
		raw.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		keys_free(keys);
	}
	buf_free(&raw);
	buf_free(&key);
}

static void refuses_slots_that_cannot_be(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
	} bad[] = {{32, 0}, {32, 3}, {33, 1}, {34, 1}, {35, 128}, {36, 0}};
	struct buf raw = known_get("slot", "r1");

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint8_t was = raw.data[bad[i].at];

		assert_int_equal(get(NULL, raw.data, raw.len), 0);
		raw.data[bad[i].at] = bad[i].value;
		assert_int_equal(get(NULL, raw.data, raw.len), -ERR_DAMAGED);
		raw.data[bad[i].at] = was;
	}
	raw.data[32] = SLOT_M; /* with an epoch */
	assert_int_equal(get(NULL, raw.data, raw.len), -ERR_DAMAGED);
	buf_free(&raw);
}

static void makes_what_opens(void **state)
{
	struct keys *w = testkeys_role(ROLE_WRITE), *r = testkeys_role(ROLE_READ),
		    *m = testkeys_role(ROLE_MAINTAIN);
	struct slot_hedge hedge = {.sequence = 1, .transcript = "t", .transcript_len = 1};
	uint8_t made[32], got[32];
	struct err err = {0};
	struct slot slot;

	(void)state;
	assert_int_equal(slot_make(w, SLOT_R, 0, &hedge, &slot, made, &err), 0);
	assert_int_equal(slot.epoch, 1);
	assert_int_equal(slot_open(r, &slot, got, &err), 0);
	assert_memory_equal(made, got, 32);
	assert_int_equal(slot_open(m, &slot, got, &err), -ERR_KEY);
	assert_int_equal(slot_open(w, &slot, got, &err), -ERR_KEY);
	assert_non_null(strstr(err.text, "full or read"));
	assert_int_equal(slot_make(w, SLOT_M, 0, &hedge, &slot, made, &err), 0);
	assert_int_equal(slot.epoch, 0);
	assert_int_equal(slot_open(r, &slot, got, &err), 0);
	assert_memory_equal(made, got, 32);
	assert_int_equal(slot_open(m, &slot, got, &err), 0);
	assert_memory_equal(made, got, 32);
	assert_int_equal(slot_open(w, &slot, got, &err), -ERR_KEY);
	assert_non_null(strstr(err.text, "maintain"));
	keys_free(w);
	keys_free(r);
	keys_free(m);
}

static void never_makes_the_same_twice(void **state)
{
	struct keys *w = testkeys_role(ROLE_WRITE);
	struct slot_hedge hedge = {0};
	uint8_t a[32], b[32];
	struct err err = {0};
	struct slot one, two;

	(void)state;
	assert_int_equal(slot_make(w, SLOT_R, 0, &hedge, &one, a, &err), 0);
	assert_int_equal(slot_make(w, SLOT_R, 0, &hedge, &two, b, &err), 0);
	assert_memory_not_equal(one.eph, two.eph, 32);
	assert_memory_not_equal(a, b, 32);
	keys_free(w);
}

static void another_repository_gives_another_key(void **state)
{
	struct keys *keys = testkeys_full();
	struct slot slot = slot_named("m");
	struct buf key = known_get("slot", "m_key");
	uint8_t got[32];
	struct err err = {0};

	(void)state;
	keys->repo[0] ^= 1;
	assert_int_equal(slot_open(keys, &slot, got, &err), 0);
	assert_memory_not_equal(got, key.data, 32);
	buf_free(&key);
	keys_free(keys);
}

static void refuses_what_it_cannot_make(void **state)
{
	struct keys *w = testkeys_role(ROLE_WRITE), *r = testkeys_role(ROLE_READ),
		    *full = testkeys_full();
	struct slot_hedge hedge = {0};
	uint8_t key[32];
	struct err err = {0};
	struct slot slot;

	(void)state;
	assert_int_equal(slot_make(w, 3, 0, &hedge, &slot, key, &err), -ERR_USAGE);
	assert_int_equal(slot_make(w, SLOT_R, 7, &hedge, &slot, key, &err), -ERR_KEY);
	assert_int_equal(slot_make(r, SLOT_R, 0, &hedge, &slot, key, &err), -ERR_KEY);
	assert_int_equal(slot_make(r, SLOT_M, 0, &hedge, &slot, key, &err), -ERR_KEY);
	assert_false(full->has_writer);
	assert_int_equal(slot_make(full, SLOT_M, 0, &hedge, &slot, key, &err), 0); /* G signs */
	memset(w->maint_pub, 0, 32);
	assert_int_equal(slot_make(w, SLOT_M, 0, &hedge, &slot, key, &err), -ERR_DAMAGED);
	slot = slot_named("m");
	memset(slot.eph, 0, 32);
	assert_int_equal(slot_open(full, &slot, key, &err), -ERR_DAMAGED);
	slot = slot_named("r2");
	assert_int_equal(slot_open(r, &slot, key, &err), -ERR_KEY);
	keys_free(w);
	keys_free(r);
	keys_free(full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(knows_answers),
	    cmocka_unit_test(binds_every_bit),
	    cmocka_unit_test(refuses_slots_that_cannot_be),
	    cmocka_unit_test(makes_what_opens),
	    cmocka_unit_test(never_makes_the_same_twice),
	    cmocka_unit_test(another_repository_gives_another_key),
	    cmocka_unit_test(refuses_what_it_cannot_make),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
