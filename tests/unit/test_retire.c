/* retire: who may sign it, who can read it, its bytes, and everything that a reader or a writer must refuse (FORMAT.md §8). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/damage.h"
#include "core/retire.h"
#include "core/sign.h"
#include "tests/support/bytes.h"
#include "tests/support/manifest_kit.h"
#include "tests/support/signed_kit.h"

#define CLEAR_BYTES (8 + 16 + 32 + 8 + 8)
#define ENTRY_BYTES (32 + 8 + 32)
#define ENTRIES 4

/* Ascending: by writer, then sequence as a number, then name. */
static const struct {
	uint8_t writer;
	uint64_t sequence;
	unsigned name;
} sample[ENTRIES] = {{3, 2, 200}, {3, 256, 7}, {3, 256, 9}, {90, 1, 7}};

static struct retire record(size_t count)
{
	struct retire r = {.head.number = 7, .head.time_ns = INT64_MIN, .count = count};

	r.entries = calloc(count + 1, sizeof(*r.entries));
	assert_non_null(r.entries);
	for (size_t i = 0; i < count; i++) {
		memset(r.entries[i].writer, sample[i % ENTRIES].writer, 32);
		r.entries[i].sequence = sample[i % ENTRIES].sequence;
		r.entries[i].name = bytes_id(sample[i % ENTRIES].name);
	}
	return r;
}

static int enc(const struct keys *keys, struct retire *r, struct buf *object)
{
	struct err err = {0};
	int rc = retire_enc(keys, r, object, &err);

	assert_int_equal(rc, -err.code);
	return rc;
}

static void enc_sample(const struct manifest_kit_ring *ring, struct buf *object)
{
	struct retire r = record(ENTRIES);

	assert_int_equal(enc(ring->maintain, &r, object), 0);
	retire_free(&r);
}

static int dec(struct keys *keys, const void *bytes, size_t len)
{
	struct retire r = {0};
	struct err err = {0};
	int rc = retire_dec(keys, bytes, len, &r, &err);

	assert_int_equal(rc, -err.code);
	retire_free(&r);
	return rc;
}

/* A host that only writes must know a removal from a loss, too. */
static void test_every_role_reads(void **state)
{
	struct manifest_kit_ring *ring = *state;
	struct keys *who[] = {ring->full, ring->read, ring->maintain, ring->write};
	struct retire want = record(ENTRIES);
	struct buf object = {0};

	enc_sample(ring, &object);
	assert_int_equal(object.len, CLEAR_BYTES + 4 + ENTRIES * ENTRY_BYTES + SIGN_BYTES);
	for (size_t i = 0; i < 4; i++) {
		struct retire r = {0};
		struct err err = {0};

		assert_int_equal(retire_dec(who[i], object.data, object.len, &r, &err), 0);
		assert_memory_equal(r.head.signer, ring->full->gc_pub, 32);
		assert_memory_equal(r.head.repo, ring->full->repo, REPO_ID_BYTES);
		assert_true(r.head.number == 7 && r.head.time_ns == INT64_MIN);
		assert_int_equal(r.count, ENTRIES);
		for (size_t k = 0; k < r.count; k++)
			assert_int_equal(retire_entry_cmp(&r.entries[k], &want.entries[k]), 0);
		retire_free(&r);
	}
	retire_free(&want);
	buf_free(&object);
}

static void test_only_g_signs(void **state)
{
	struct manifest_kit_ring *ring = *state;
	struct retire r = record(ENTRIES);
	struct buf object = {0};

	assert_int_equal(enc(ring->read, &r, &object), -ERR_KEY);
	assert_int_equal(enc(ring->write, &r, &object), -ERR_KEY);
	assert_int_equal(object.len, 0);
	assert_int_equal(enc(ring->full, &r, &object), 0);
	retire_free(&r);
	buf_free(&object);
}

/* The bytes as FORMAT.md says them, made here by hand. */
static void test_known_bytes(void **state)
{
	struct retire r = record(1);
	struct buf got = {0}, want = {0};

	(void)state;
	r.head.number = 0x0102;
	r.head.time_ns = -2;
	memset(r.head.repo, 0xaa, sizeof(r.head.repo));
	memset(r.head.signer, 0xbb, sizeof(r.head.signer));
	retire_put_clear(&got, &r);
	bytes_put_hex(&want, "6e6a617201060200");
	bytes_put_hex(&want, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
	for (size_t i = 0; i < 32; i++)
		buf_put_u8(&want, 0xbb);
	bytes_put_hex(&want, "0201000000000000feffffffffffffff01000000");
	for (size_t i = 0; i < 32; i++)
		buf_put_u8(&want, 3);
	bytes_put_hex(&want, "0200000000000000");
	for (size_t i = 0; i < ID_BYTES; i++)
		buf_put_u8(&want, (uint8_t)(200 + i));
	assert_int_equal(got.len, want.len);
	assert_memory_equal(got.data, want.data, want.len);
	retire_free(&r);
	buf_free(&got);
	buf_free(&want);
}

static void test_most(void **state)
{
	struct manifest_kit_ring *ring = *state;
	struct retire r = record(0), again = {0};
	struct buf object = {0};
	struct err err = {0};
	struct rd rd;

	free(r.entries);
	r.count = LIMIT_RETIRED + 1;
	r.entries = calloc(r.count, sizeof(*r.entries));
	assert_non_null(r.entries);
	for (size_t i = 0; i < r.count; i++)
		r.entries[i].sequence = i + 1;
	assert_int_equal(enc(ring->full, &r, &object), -ERR_LIMIT);
	retire_put_clear(&object, &r);
	rd = rd_of(object.data, object.len);
	assert_int_equal(retire_get_clear(&rd, &again, &err), -ERR_LIMIT);
	r.count--;
	buf_reset(&object);
	assert_int_equal(enc(ring->full, &r, &object), 0);
	assert_true(object.len <= LIMIT_RETIRE_BYTES);
	assert_int_equal(dec(ring->write, object.data, object.len), 0);
	retire_free(&r);
	buf_free(&object);
}

static void test_every_cut_and_flip(void **state)
{
	struct manifest_kit_ring *ring = *state;
	uint8_t *big = calloc(1, LIMIT_RETIRE_BYTES + 1);

	signed_kit_cut_and_flip(ring, enc_sample, dec, SIZE_MAX);
	assert_non_null(big);
	assert_int_equal(dec(ring->full, big, LIMIT_RETIRE_BYTES + 1), -ERR_LIMIT);
	free(big);
}

/* --- rightly signed, and still wrong --- */

static int sign_and_dec(struct manifest_kit_ring *ring, struct retire *r, const char *more,
			const char *tag)
{
	struct buf object = {0};
	struct err err = {0};
	int rc;

	memcpy(r->head.repo, ring->full->repo, sizeof(r->head.repo));
	memcpy(r->head.signer, ring->full->gc_pub, sizeof(r->head.signer));
	retire_put_clear(&object, r);
	buf_put(&object, more, strlen(more));
	assert_int_equal(sign_append(&object, tag, ring->full->gc_secret, &err), 0);
	rc = dec(ring->read, object.data, object.len);
	buf_free(&object);
	return rc;
}

static void test_signed_but_wrong(void **state)
{
	struct manifest_kit_ring *ring = *state;
	struct retire r = record(ENTRIES);
	const struct retire_entry first = r.entries[0];

	assert_int_equal(sign_and_dec(ring, &r, "", "retire"), 0);
	assert_int_equal(sign_and_dec(ring, &r, "", "damage"), -ERR_DAMAGED);
	assert_int_equal(sign_and_dec(ring, &r, "x", "retire"), -ERR_DAMAGED);
	r.entries[0].sequence = 0;
	assert_int_equal(sign_and_dec(ring, &r, "", "retire"), -ERR_DAMAGED);
	r.entries[0] = r.entries[1];
	assert_int_equal(sign_and_dec(ring, &r, "", "retire"), -ERR_DAMAGED);
	r.entries[1] = first;
	assert_int_equal(sign_and_dec(ring, &r, "", "retire"), -ERR_DAMAGED);
	r.entries[0] = first;
	r.count = 1;
	r.head.number = 0;
	assert_int_equal(sign_and_dec(ring, &r, "", "retire"), -ERR_DAMAGED);
	r.head.number = 1;
	r.count = 0;
	assert_int_equal(sign_and_dec(ring, &r, "", "retire"), -ERR_DAMAGED);
	retire_free(&r);
}

static void test_other_repo_and_kinds(void **state)
{
	struct manifest_kit_ring *ring = *state;
	struct buf object = {0};
	struct damage d = {0};
	struct err err = {0};

	enc_sample(ring, &object);
	assert_int_equal(damage_dec(ring->full, object.data, object.len, &d, &err), -ERR_DAMAGED);
	ring->read->repo[0] ^= 1;
	assert_int_equal(dec(ring->read, object.data, object.len), -ERR_DAMAGED);
	ring->read->repo[0] ^= 1;
	object.data[4] = 2;
	assert_int_equal(dec(ring->read, object.data, object.len), -ERR_VERSION);
	buf_free(&object);
}

static void test_enc_refuses(void **state)
{
	struct manifest_kit_ring *ring = *state;
	struct retire r = record(ENTRIES);
	struct buf object = {0};

	r.head.number = 0;
	assert_int_equal(enc(ring->full, &r, &object), -ERR_USAGE);
	r.head.number = 1;
	r.entries[1] = r.entries[0];
	assert_int_equal(enc(ring->full, &r, &object), -ERR_USAGE);
	r.entries[0].sequence = 0;
	assert_int_equal(enc(ring->full, &r, &object), -ERR_USAGE);
	r.count = 0;
	assert_int_equal(enc(ring->full, &r, &object), -ERR_USAGE);
	assert_int_equal(object.len, 0);
	retire_free(&r);
	buf_free(&object);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_role_reads),     cmocka_unit_test(test_only_g_signs),
	    cmocka_unit_test(test_known_bytes),          cmocka_unit_test(test_most),
	    cmocka_unit_test(test_every_cut_and_flip),   cmocka_unit_test(test_signed_but_wrong),
	    cmocka_unit_test(test_other_repo_and_kinds), cmocka_unit_test(test_enc_refuses),
	};

	return cmocka_run_group_tests(tests, manifest_kit_ring_setup, manifest_kit_ring_teardown);
}
