/* drillnote: round trips by role, its bytes, and everything that a reader or a writer must refuse (FORMAT.md §8). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/damage.h"
#include "core/drillnote.h"
#include "core/parts.h"
#include "core/sign.h"
#include "tests/support/bytes.h"
#include "tests/support/manifest_kit.h"
#include "tests/support/signed_kit.h"

#define CLEAR_BYTES (8 + 16 + 32 + 8 + 8 + 32)

static struct drillnote note(void)
{
	return (struct drillnote){
	    .head.number = 7,
	    .head.time_ns = INT64_MIN,
	    .manifest = bytes_id(5),
	    .place = DRILLNOTE_FILES,
	    .counts =
		{
		    .databases = 9,
		    .databases_failed = 4,
		    .databases_unchecked = 5,
		    .assertions = 3,
		    .assertions_failed = 2,
		    .ref_queries = UINT32_MAX,
		    .ref_queries_failed = 1,
		    .references = UINT64_MAX,
		    .references_missing = 6,
		    .files = 8,
		    .files_failed = 10,
		    .bytes = UINT64_MAX - 1,
		},
	};
}

static int enc(struct keys *keys, struct drillnote *d, struct buf *object)
{
	struct err err = {0};
	int rc = drillnote_enc(keys, d, 12, object, &err);

	assert_int_equal(rc, -err.code);
	return rc;
}

static void enc_sample(const struct manifest_kit_ring *ring, struct buf *object)
{
	struct drillnote d = note();

	assert_int_equal(enc(ring->write, &d, object), 0);
}

static int dec(struct keys *keys, const void *bytes, size_t len)
{
	struct drillnote d = {0};
	struct err err = {0};
	int rc = drillnote_dec(keys, bytes, len, &d, &err);

	assert_int_equal(rc, -err.code);
	return rc;
}

static void test_roles(void **state)
{
	struct manifest_kit_ring *ring = *state;
	struct keys *who[] = {ring->full, ring->read, ring->maintain, ring->write};
	const struct drillnote want = note();
	struct buf object = {0};

	enc_sample(ring, &object);
	assert_int_equal(object.len, 4096);
	for (size_t i = 0; i < 4; i++) {
		struct drillnote d = {0};
		struct err err = {0};

		assert_int_equal(drillnote_dec(who[i], object.data, object.len, &d, &err), 0);
		assert_memory_equal(d.head.signer, ring->write->writer_pub, 32);
		assert_memory_equal(d.head.repo, ring->write->repo, REPO_ID_BYTES);
		assert_true(d.head.number == 7 && d.head.time_ns == INT64_MIN);
		assert_true(id_eq(&d.manifest, &want.manifest));
		assert_int_equal(d.has_maint, i < 3);
		if (!d.has_maint)
			continue;
		assert_int_equal(d.verdict, DRILLNOTE_FAILED);
		assert_int_equal(d.place, DRILLNOTE_FILES);
		/* In two, as there are bytes of nothing between. */
		assert_memory_equal(&d.counts, &want.counts,
				    offsetof(struct drillnote_counts, ref_queries_failed) + 4);
		assert_memory_equal(&d.counts.references, &want.counts.references,
				    sizeof(d.counts) -
					offsetof(struct drillnote_counts, references));
	}
	buf_free(&object);
}

static void test_who_signs(void **state)
{
	struct manifest_kit_ring *ring = *state;
	struct drillnote d = note(), got = {0};
	struct buf object = {0};
	struct err err = {0};

	assert_int_equal(enc(ring->read, &d, &object), -ERR_KEY);
	assert_int_equal(object.len, 0);
	assert_int_equal(enc(ring->full, &d, &object), 0);
	assert_int_equal(drillnote_dec(ring->maintain, object.data, object.len, &got, &err), 0);
	assert_memory_equal(got.head.signer, ring->full->gc_pub, 32);
	buf_free(&object);
}

/* The bytes as FORMAT.md says them, made here by hand. */
static void test_known_bytes(void **state)
{
	struct drillnote d = note();
	struct buf got = {0}, want = {0};

	(void)state;
	d.head.number = 0x0102;
	d.head.time_ns = -2;
	d.verdict = DRILLNOTE_FAILED;
	memset(d.head.repo, 0xaa, sizeof(d.head.repo));
	memset(d.head.signer, 0xbb, sizeof(d.head.signer));
	drillnote_put_clear(&got, &d);
	drillnote_put_maint(&got, &d);
	bytes_put_hex(&want, "6e6a617201060400");
	bytes_put_hex(&want, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
	for (size_t i = 0; i < 32; i++)
		buf_put_u8(&want, 0xbb);
	bytes_put_hex(&want, "0201000000000000feffffffffffffff");
	for (size_t i = 0; i < ID_BYTES; i++)
		buf_put_u8(&want, (uint8_t)(5 + i));
	bytes_put_hex(&want, "0202");
	bytes_put_hex(&want, "090000000400000005000000"
			     "0300000002000000ffffffff01000000");
	bytes_put_hex(&want, "ffffffffffffffff0600000000000000"
			     "08000000000000000a00000000000000feffffffffffffff");
	assert_int_equal(got.len, want.len);
	assert_memory_equal(got.data, want.data, want.len);
	buf_free(&got);
	buf_free(&want);
}

static void test_judge(void **state)
{
	struct drillnote_counts sound = {.databases = 3,
					 .databases_unchecked = 1,
					 .assertions = 1,
					 .ref_queries = 1,
					 .references = 2,
					 .files = 9,
					 .bytes = 1};

	(void)state;
	assert_int_equal(drillnote_judge(&sound), DRILLNOTE_GOOD);
	for (int i = 0; i < 5; i++) {
		struct drillnote_counts c = sound;

		c.databases_failed = i == 0;
		c.assertions_failed = i == 1;
		c.ref_queries_failed = i == 2;
		c.references_missing = i == 3;
		c.files_failed = i == 4;
		assert_int_equal(drillnote_judge(&c), DRILLNOTE_FAILED);
	}
}

static void test_every_cut_and_flip(void **state)
{
	struct manifest_kit_ring *ring = *state;
	uint8_t *big = calloc(1, LIMIT_DRILL_BYTES + 1);

	signed_kit_cut_and_flip(ring, enc_sample, dec, 256);
	assert_non_null(big);
	assert_int_equal(dec(ring->full, big, LIMIT_DRILL_BYTES + 1), -ERR_LIMIT);
	free(big);
}

/* --- rightly sealed and signed, and still wrong --- */

static int craft(struct manifest_kit_ring *ring, const struct drillnote *d, const char *more,
		 const char *read_part, const char *tag)
{
	struct parts_form form = {.name = "drill note",
				  .tag = tag,
				  .limit_bytes = 1u << 20,
				  .sequence = 7,
				  .floor_log2 = 12};
	struct buf sound = {0}, object = {0}, maint = {0}, read = {0};
	struct err err = {0};
	int rc;

	enc_sample(ring, &sound);
	buf_put(&object, sound.data, CLEAR_BYTES);
	drillnote_put_maint(&maint, d);
	buf_put(&maint, more, strlen(more));
	buf_put(&read, read_part, strlen(read_part));
	assert_int_equal(parts_put(ring->full, &form, &maint, &read, &object, &err), 0);
	rc = dec(ring->full, object.data, object.len);
	buf_free(&sound);
	buf_free(&object);
	buf_free(&maint);
	buf_free(&read);
	return rc;
}

static void test_contradictions(void **state)
{
	struct manifest_kit_ring *ring = *state;
	struct drillnote d = note();

	d.verdict = DRILLNOTE_FAILED;
	assert_int_equal(craft(ring, &d, "", "", "drill"), 0);
	assert_int_equal(craft(ring, &d, "", "", "damage"), -ERR_DAMAGED);
	assert_int_equal(craft(ring, &d, "x", "", "drill"), -ERR_DAMAGED);
	assert_int_equal(craft(ring, &d, "", "x", "drill"), -ERR_DAMAGED);
	d.verdict = DRILLNOTE_GOOD;
	assert_int_equal(craft(ring, &d, "", "", "drill"), -ERR_DAMAGED);
	d.verdict = DRILLNOTE_FAILED;
	d.place = (enum drillnote_place)3;
	assert_int_equal(craft(ring, &d, "", "", "drill"), -ERR_DAMAGED);
	d.place = DRILLNOTE_MEMORY;
	d.counts.databases_unchecked = 6;
	assert_int_equal(craft(ring, &d, "", "", "drill"), -ERR_DAMAGED);
	d.counts.databases_unchecked = 0;
	d.counts.databases_failed = 10;
	assert_int_equal(craft(ring, &d, "", "", "drill"), -ERR_DAMAGED);
	d.counts.databases_failed = 0;
	d.counts.assertions_failed = 4;
	assert_int_equal(craft(ring, &d, "", "", "drill"), -ERR_DAMAGED);
	d.counts = (struct drillnote_counts){.ref_queries_failed = 1};
	assert_int_equal(craft(ring, &d, "", "", "drill"), -ERR_DAMAGED);
	d.counts = (struct drillnote_counts){0};
	assert_int_equal(craft(ring, &d, "", "", "drill"), -ERR_DAMAGED);
	d.verdict = DRILLNOTE_GOOD;
	assert_int_equal(craft(ring, &d, "", "", "drill"), 0);
}

static void test_other_kinds(void **state)
{
	struct manifest_kit_ring *ring = *state;
	struct buf object = {0};
	struct damage d = {0};
	struct err err = {0};

	enc_sample(ring, &object);
	assert_int_equal(damage_dec(ring->full, object.data, object.len, &d, &err), -ERR_DAMAGED);
	object.data[4] = 2;
	assert_int_equal(dec(ring->full, object.data, object.len), -ERR_VERSION);
	buf_free(&object);
}

static void test_enc_refuses(void **state)
{
	struct manifest_kit_ring *ring = *state;
	struct drillnote d = note();
	struct buf object = {0};

	d.head.number = 0;
	assert_int_equal(enc(ring->full, &d, &object), -ERR_USAGE);
	d.head.number = 1;
	d.place = (enum drillnote_place)0;
	assert_int_equal(enc(ring->full, &d, &object), -ERR_USAGE);
	d.place = DRILLNOTE_MEMORY;
	d.counts.databases_failed = 10;
	assert_int_equal(enc(ring->full, &d, &object), -ERR_USAGE);
	assert_int_equal(object.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_roles),
	    cmocka_unit_test(test_who_signs),
	    cmocka_unit_test(test_known_bytes),
	    cmocka_unit_test(test_judge),
	    cmocka_unit_test(test_every_cut_and_flip),
	    cmocka_unit_test(test_contradictions),
	    cmocka_unit_test(test_other_kinds),
	    cmocka_unit_test(test_enc_refuses),
	};

	return cmocka_run_group_tests(tests, manifest_kit_ring_setup, manifest_kit_ring_teardown);
}
