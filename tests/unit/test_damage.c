/* damage: round trips by role, and everything that a reader or a writer must refuse (FORMAT.md §8). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/damage.h"
#include "core/sign.h"
#include "core/tagrec.h"
#include "tests/support/bytes.h"
#include "tests/support/manifest_kit.h"
#include "tests/support/signed_kit.h"

#define CLEAR_BYTES (8 + 16 + 32 + 8 + 8)
#define PLACES 3

/* Ascending: by pack, then record as a number. */
static const struct {
	unsigned pack;
	uint32_t record;
} sample[PLACES] = {{3, 2}, {3, 256}, {90, 1}};

static struct damage note(size_t count)
{
	struct damage d = {.head.number = 7, .head.time_ns = INT64_MIN, .count = count};

	d.places = calloc(count + 1, sizeof(*d.places));
	assert_non_null(d.places);
	for (size_t i = 0; i < count; i++)
		d.places[i] = (struct damage_place){bytes_id(sample[i % PLACES].pack),
						    sample[i % PLACES].record};
	return d;
}

static int enc(struct keys *keys, struct damage *d, struct buf *object)
{
	struct err err = {0};
	int rc = damage_enc(keys, d, object, &err);

	assert_int_equal(rc, -err.code);
	return rc;
}

static void enc_sample(const struct manifest_kit_ring *ring, struct buf *object)
{
	struct damage d = note(PLACES);

	assert_int_equal(enc(ring->write, &d, object), 0);
	damage_free(&d);
}

static int dec(struct keys *keys, const void *bytes, size_t len)
{
	struct damage d = {0};
	struct err err = {0};
	int rc = damage_dec(keys, bytes, len, &d, &err);

	assert_int_equal(rc, -err.code);
	damage_free(&d);
	return rc;
}

/* A host that only writes must know what to store again. */
static void test_every_role_reads(void **state)
{
	struct manifest_kit_ring *ring = *state;
	struct keys *who[] = {ring->full, ring->read, ring->maintain, ring->write};
	struct damage want = note(PLACES);
	struct buf object = {0};

	enc_sample(ring, &object);
	assert_int_equal(object.len, CLEAR_BYTES + 4 + PLACES * 36 + SIGN_BYTES);
	for (size_t i = 0; i < 4; i++) {
		struct damage d = {0};
		struct err err = {0};

		assert_int_equal(damage_dec(who[i], object.data, object.len, &d, &err), 0);
		assert_memory_equal(d.head.signer, ring->write->writer_pub, 32);
		assert_memory_equal(d.head.repo, ring->write->repo, REPO_ID_BYTES);
		assert_true(d.head.number == 7 && d.head.time_ns == INT64_MIN);
		assert_int_equal(d.count, PLACES);
		for (size_t k = 0; k < d.count; k++)
			assert_int_equal(damage_place_cmp(&d.places[k], &want.places[k]), 0);
		damage_free(&d);
	}
	damage_free(&want);
	buf_free(&object);
}

/* Whoever checks with the full or the maintain key need not be a writer; one that is, signs by G all the same. */
static void test_who_maintains_signs_by_g(void **state)
{
	struct manifest_kit_ring *ring = *state;
	struct keys *lone = NULL;
	struct err err = {0};

	assert_int_equal(keys_from_master(ring->full->repo, ring->full->master, &lone, &err), 0);
	assert_false(lone->has_writer);
	for (int i = 0; i < 3; i++) {
		struct damage want = note(PLACES), d = {0};
		struct keys *who[] = {ring->full, lone, ring->maintain};
		struct buf object = {0};

		assert_int_equal(enc(who[i], &want, &object), 0);
		assert_int_equal(damage_dec(ring->maintain, object.data, object.len, &d, &err), 0);
		assert_memory_equal(d.head.signer, ring->full->gc_pub, 32);
		assert_int_equal(d.count, PLACES);
		damage_free(&d);
		damage_free(&want);
		buf_free(&object);
	}
	keys_free(lone);
}

/* The bytes as FORMAT.md says them, made here by hand. */
static void test_known_bytes(void **state)
{
	struct damage d = note(1);
	struct buf got = {0}, want = {0};

	(void)state;
	d.head.number = 0x0102;
	d.head.time_ns = -2;
	memset(d.head.repo, 0xaa, sizeof(d.head.repo));
	memset(d.head.signer, 0xbb, sizeof(d.head.signer));
	damage_put_clear(&got, &d);
	bytes_put_hex(&want, "6e6a617201060500");
	bytes_put_hex(&want, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
	for (size_t i = 0; i < 32; i++)
		buf_put_u8(&want, 0xbb);
	bytes_put_hex(&want, "0201000000000000feffffffffffffff01000000");
	for (size_t i = 0; i < ID_BYTES; i++)
		buf_put_u8(&want, (uint8_t)(3 + i));
	bytes_put_hex(&want, "02000000");
	assert_int_equal(got.len, want.len);
	assert_memory_equal(got.data, want.data, want.len);
	damage_free(&d);
	buf_free(&got);
	buf_free(&want);
}

static void test_most_places(void **state)
{
	struct manifest_kit_ring *ring = *state;
	struct damage d = note(0), again = {0};
	struct buf object = {0};
	struct err err = {0};
	struct rd r;

	free(d.places);
	d.count = LIMIT_DAMAGE_PLACES + 1;
	d.head.number = UINT64_MAX;
	d.places = calloc(d.count, sizeof(*d.places));
	assert_non_null(d.places);
	for (size_t i = 0; i < d.count; i++)
		d.places[i].record = (uint32_t)i;
	assert_int_equal(enc(ring->full, &d, &object), -ERR_LIMIT);
	damage_put_clear(&object, &d);
	r = rd_of(object.data, object.len);
	assert_int_equal(damage_get_clear(&r, &again, &err), -ERR_LIMIT);
	damage_free(&again);
	d.count--;
	buf_reset(&object);
	assert_int_equal(enc(ring->full, &d, &object), 0);
	assert_true(object.len <= LIMIT_DAMAGE_BYTES);
	assert_int_equal(damage_dec(ring->full, object.data, object.len, &again, &err), 0);
	assert_int_equal(again.count, LIMIT_DAMAGE_PLACES);
	assert_true(again.head.number == UINT64_MAX);
	damage_free(&again);
	damage_free(&d);
	buf_free(&object);
}

static void test_too_long(void **state)
{
	struct manifest_kit_ring *ring = *state;
	uint8_t *bytes = calloc(1, LIMIT_DAMAGE_BYTES + 1);

	assert_non_null(bytes);
	assert_int_equal(dec(ring->full, bytes, LIMIT_DAMAGE_BYTES + 1), -ERR_LIMIT);
	assert_int_equal(dec(ring->full, bytes, LIMIT_DAMAGE_BYTES), -ERR_DAMAGED);
	free(bytes);
}

static void test_every_cut_and_flip(void **state)
{
	signed_kit_cut_and_flip(*state, enc_sample, dec, 256);
}

/* --- signed by a rightful writer, and still wrong --- */

static int change_and_sign(struct manifest_kit_ring *ring, struct keys *reader, size_t at,
			   uint8_t to, const char *tag)
{
	return signed_kit_change(ring, enc_sample, dec, reader, at, to, tag);
}

static void test_signed_but_wrong(void **state)
{
	struct manifest_kit_ring *ring = *state;
	const uint8_t other = (uint8_t)(ring->full->repo[15] ^ 1);

	assert_int_equal(change_and_sign(ring, ring->full, 56, 7, "damage"), 0); /* as it was */
	assert_int_equal(change_and_sign(ring, ring->full, 56, 7, "tag"), -ERR_DAMAGED);
	assert_int_equal(change_and_sign(ring, ring->write, 4, 2, "damage"), -ERR_VERSION);
	assert_int_equal(change_and_sign(ring, ring->write, 6, 2, "damage"), -ERR_DAMAGED);
	assert_int_equal(change_and_sign(ring, ring->write, 23, other, "damage"), -ERR_DAMAGED);
	assert_int_equal(change_and_sign(ring, ring->write, 56, 0, "damage"), -ERR_DAMAGED);
	/* what is signed is believed */
	assert_int_equal(change_and_sign(ring, ring->maintain, 64, 9, "damage"), 0);
}

static void test_other_kinds(void **state)
{
	struct manifest_kit_ring *ring = *state;
	struct manifest m = manifest_kit_sample(), none = {0};
	struct buf object = {0}, damage = {0};
	struct tagrec tag = {0};
	struct err err = {0};

	assert_int_equal(manifest_enc(ring->full, &m, 12, &object, &err), 0);
	assert_int_equal(dec(ring->full, object.data, object.len), -ERR_DAMAGED);
	enc_sample(ring, &damage);
	assert_int_equal(manifest_dec(ring->full, damage.data, damage.len, &none, &err),
			 -ERR_DAMAGED);
	assert_int_equal(tagrec_dec(ring->full, damage.data, damage.len, &tag, &err), -ERR_DAMAGED);
	manifest_free(&m);
	buf_free(&object);
	buf_free(&damage);
}

/* --- rightly signed, and still wrong --- */

static int craft(struct manifest_kit_ring *ring, struct damage *d, uint32_t count, const char *more)
{
	struct buf object = {0};
	struct err err = {0};
	int rc;

	memcpy(d->head.repo, ring->full->repo, sizeof(d->head.repo));
	memcpy(d->head.signer, ring->full->writer_pub, sizeof(d->head.signer));
	damage_put_clear(&object, d);
	object.data[CLEAR_BYTES] = (uint8_t)count;
	buf_put(&object, more, strlen(more));
	assert_int_equal(sign_append(&object, "damage", ring->full->writer_secret, &err), 0);
	rc = dec(ring->write, object.data, object.len);
	buf_free(&object);
	return rc;
}

static void test_places_refused(void **state)
{
	struct manifest_kit_ring *ring = *state;
	struct damage d = note(PLACES), twice = note(PLACES), turned = note(PLACES);

	twice.places[1] = twice.places[0];
	turned.places[0] = d.places[1];
	turned.places[1] = d.places[0];
	assert_int_equal(craft(ring, &d, PLACES, ""), 0);
	assert_int_equal(craft(ring, &d, PLACES, "x"), -ERR_DAMAGED);
	assert_int_equal(craft(ring, &d, PLACES - 1, ""), -ERR_DAMAGED); /* one left over */
	assert_int_equal(craft(ring, &d, PLACES + 1, ""), -ERR_DAMAGED);
	assert_int_equal(craft(ring, &d, 255, ""), -ERR_DAMAGED); /* more than there are */
	assert_int_equal(craft(ring, &twice, PLACES, ""), -ERR_DAMAGED);
	assert_int_equal(craft(ring, &turned, PLACES, ""), -ERR_DAMAGED);
	d.places[1].record = LIMIT_PACK_RECORDS - 1;
	assert_int_equal(craft(ring, &d, PLACES, ""), 0);
	d.places[1].record = LIMIT_PACK_RECORDS;
	assert_int_equal(craft(ring, &d, PLACES, ""), -ERR_DAMAGED);
	d.count = 0;
	assert_int_equal(craft(ring, &d, 0, ""), -ERR_DAMAGED);
	damage_free(&d);
	damage_free(&twice);
	damage_free(&turned);
}

static void test_enc_refuses(void **state)
{
	struct manifest_kit_ring *ring = *state;
	struct damage d = note(PLACES);
	struct buf object = {0};

	assert_int_equal(enc(ring->read, &d, &object), -ERR_KEY);
	d.head.number = 0;
	assert_int_equal(enc(ring->full, &d, &object), -ERR_USAGE);
	d.head.number = 1;
	d.places[1].record = LIMIT_PACK_RECORDS;
	assert_int_equal(enc(ring->full, &d, &object), -ERR_USAGE);
	d.places[1] = d.places[0];
	assert_int_equal(enc(ring->full, &d, &object), -ERR_USAGE);
	d.count = 0;
	assert_int_equal(enc(ring->full, &d, &object), -ERR_USAGE);
	assert_int_equal(object.len, 0);
	damage_free(&d);
	buf_free(&object);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_role_reads),
	    cmocka_unit_test(test_who_maintains_signs_by_g),
	    cmocka_unit_test(test_known_bytes),
	    cmocka_unit_test(test_most_places),
	    cmocka_unit_test(test_too_long),
	    cmocka_unit_test(test_every_cut_and_flip),
	    cmocka_unit_test(test_signed_but_wrong),
	    cmocka_unit_test(test_other_kinds),
	    cmocka_unit_test(test_places_refused),
	    cmocka_unit_test(test_enc_refuses),
	};

	return cmocka_run_group_tests(tests, manifest_kit_ring_setup, manifest_kit_ring_teardown);
}
