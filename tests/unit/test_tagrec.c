/* tagrec: round trips by role, and everything that a reader or a writer must refuse (FORMAT.md §8). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/manifest.h"
#include "core/manifest_part.h"
#include "core/parts.h"
#include "core/sign.h"
#include "core/tagrec.h"
#include "tests/support/bytes.h"
#include "tests/support/manifest_kit.h"
#include "tests/support/signed_kit.h"

#define CLEAR_BYTES (8 + 16 + 32 + 8 + 8 + 32)

static struct tagrec record(const char *const *tags, size_t count)
{
	struct tagrec t = {.head.number = 7, .head.time_ns = INT64_MIN, .manifest = bytes_id(5)};

	t.tags = calloc(count + 1, sizeof(*t.tags));
	assert_non_null(t.tags);
	for (size_t i = 0; i < count; i++)
		t.tags[i] = bytes_text(tags[i]);
	t.tag_count = count;
	return t;
}

static int enc(struct keys *keys, struct tagrec *t, unsigned floor, struct buf *object)
{
	struct err err = {0};
	int rc = tagrec_enc(keys, t, floor, object, &err);

	assert_int_equal(rc, -err.code);
	return rc;
}

static void enc_sample(const struct manifest_kit_ring *ring, struct buf *object)
{
	static const char *const tags[] = {"prod", "keep", "prod"};
	struct tagrec t = record(tags, 3);

	assert_int_equal(enc(ring->write, &t, 12, object), 0);
	assert_int_equal(t.tag_count, 2);
	tagrec_free(&t);
}

static int dec(struct keys *keys, const void *bytes, size_t len)
{
	struct tagrec t = {0};
	struct err err = {0};
	int rc = tagrec_dec(keys, bytes, len, &t, &err);

	assert_int_equal(rc, -err.code);
	tagrec_free(&t);
	return rc;
}

static void check_macs(const struct tagrec *t, struct keys *full)
{
	struct err err = {0};
	struct id mac;

	assert_int_equal(t->mac_count, 2);
	assert_int_equal(manifest_tag_mac(keys_domain(full, 0, &err), "keep", &mac, &err), 0);
	assert_true(id_eq(&mac, &t->macs[0]) || id_eq(&mac, &t->macs[1]));
	assert_true(id_cmp(&t->macs[0], &t->macs[1]) < 0);
}

static void test_roles(void **state)
{
	struct manifest_kit_ring *ring = *state;
	struct keys *who[] = {ring->full, ring->read, ring->maintain, ring->write};
	struct buf object = {0};
	struct id manifest = bytes_id(5);

	enc_sample(ring, &object);
	assert_int_equal(object.len, 4096);
	for (size_t i = 0; i < 4; i++) {
		struct tagrec t = {0};
		struct err err = {0};

		assert_int_equal(tagrec_dec(who[i], object.data, object.len, &t, &err), 0);
		assert_memory_equal(t.head.signer, ring->write->writer_pub, 32);
		assert_true(t.head.number == 7 && t.head.time_ns == INT64_MIN);
		assert_true(id_eq(&t.manifest, &manifest));
		assert_int_equal(t.has_maint, i < 3);
		assert_int_equal(t.has_read, i < 2);
		if (t.has_maint)
			check_macs(&t, ring->full);
		if (t.has_read) {
			assert_int_equal(t.tag_count, 2);
			assert_string_equal(t.tags[0], "keep");
			assert_string_equal(t.tags[1], "prod");
		}
		tagrec_free(&t);
	}
	buf_free(&object);
}

static void test_no_tags_left(void **state)
{
	struct manifest_kit_ring *ring = *state;
	struct tagrec t = record(NULL, 0), again = {0};
	struct buf object = {0};
	struct err err = {0};

	t.head.number = UINT64_MAX;
	assert_int_equal(enc(ring->full, &t, 16, &object), 0);
	assert_int_equal(object.len, 65536);
	assert_int_equal(tagrec_dec(ring->full, object.data, object.len, &again, &err), 0);
	assert_true(again.has_read && again.tag_count == 0 && again.mac_count == 0);
	assert_true(again.head.number == UINT64_MAX);
	tagrec_free(&again);
	tagrec_free(&t);
	buf_free(&object);
}

static void test_most_and_longest_tags(void **state)
{
	struct manifest_kit_ring *ring = *state;
	struct tagrec t = record(NULL, 0);
	struct buf object = {0};

	free(t.tags);
	t.tags = calloc(LIMIT_TAGS + 1, sizeof(*t.tags));
	assert_non_null(t.tags);
	for (size_t i = 0; i <= LIMIT_TAGS; i++) {
		t.tags[i] = calloc(1, LIMIT_TAG_BYTES + 2);
		assert_non_null(t.tags[i]);
		memset(t.tags[i], 'a', LIMIT_TAG_BYTES);
		t.tags[i][0] = (char)('A' + i % 16);
		t.tags[i][1] = (char)('A' + i / 16);
	}
	t.tag_count = LIMIT_TAGS + 1;
	assert_int_equal(enc(ring->full, &t, 12, &object), -ERR_LIMIT);
	t.tag_count = LIMIT_TAGS;
	t.tags[3][LIMIT_TAG_BYTES] = 'x';
	assert_int_equal(enc(ring->full, &t, 12, &object), -ERR_LIMIT);
	t.tags[3][LIMIT_TAG_BYTES] = '\0';
	assert_int_equal(object.len, 0);
	assert_int_equal(enc(ring->full, &t, 20, &object), 0);
	assert_int_equal(dec(ring->full, object.data, object.len), 0);
	t.tag_count = LIMIT_TAGS + 1;
	tagrec_free(&t);
	buf_free(&object);
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

	assert_int_equal(change_and_sign(ring, ring->full, 56, 7, "tag"), 0); /* as it was */
	assert_int_equal(change_and_sign(ring, ring->full, 56, 7, "manifest"), -ERR_DAMAGED);
	assert_int_equal(change_and_sign(ring, ring->write, 4, 2, "tag"), -ERR_VERSION);
	assert_int_equal(change_and_sign(ring, ring->write, 6, 1, "tag"), -ERR_DAMAGED);
	assert_int_equal(change_and_sign(ring, ring->write, 8, 9, "tag"), -ERR_DAMAGED);
	assert_int_equal(change_and_sign(ring, ring->write, 56, 0, "tag"), -ERR_DAMAGED);
	/* the manifest it names is authenticated with the parts, too */
	assert_int_equal(change_and_sign(ring, ring->write, 72, 9, "tag"), 0);
	assert_int_equal(change_and_sign(ring, ring->maintain, 72, 9, "tag"), -ERR_DAMAGED);
	assert_int_equal(change_and_sign(ring, ring->write, CLEAR_BYTES + 32, SLOT_R, "tag"),
			 -ERR_DAMAGED);
}

static void test_a_manifest_is_no_tag_record(void **state)
{
	struct manifest_kit_ring *ring = *state;
	struct manifest m = manifest_kit_sample(), none = {0};
	struct buf object = {0}, tag = {0};
	struct err err = {0};

	assert_int_equal(manifest_enc(ring->full, &m, 12, &object, &err), 0);
	assert_int_equal(dec(ring->full, object.data, object.len), -ERR_DAMAGED);
	enc_sample(ring, &tag);
	assert_int_equal(manifest_dec(ring->full, tag.data, tag.len, &none, &err), -ERR_DAMAGED);
	manifest_free(&m);
	buf_free(&object);
	buf_free(&tag);
}

/* A record whose parts are these, rightly sealed and signed. */
static int craft(struct manifest_kit_ring *ring, struct keys *reader, const struct buf *macs,
		 const struct buf *tags)
{
	struct parts_form form = {.name = "tag record",
				  .tag = "tag",
				  .limit_bytes = 1u << 20,
				  .sequence = 7,
				  .floor_log2 = 12};
	struct buf sound = {0}, object = {0}, maint = {0}, read = {0};
	struct err err = {0};
	int rc;

	enc_sample(ring, &sound);
	buf_put(&object, sound.data, CLEAR_BYTES);
	buf_put(&maint, macs->data, macs->len);
	buf_put(&read, tags->data, tags->len);
	assert_int_equal(parts_put(ring->full, &form, &maint, &read, &object, &err), 0);
	rc = dec(reader, object.data, object.len);
	buf_free(&sound);
	buf_free(&object);
	buf_free(&maint);
	buf_free(&read);
	return rc;
}

static void test_parts_that_disagree(void **state)
{
	struct manifest_kit_ring *ring = *state;
	const struct domain_keys *domain;
	char keep[] = "keep", prod[] = "prod", empty[] = "", *two[] = {keep, prod};
	char *turned[] = {prod, keep}, *nothing[] = {empty};
	struct buf macs = {0}, tags = {0}, one_mac = {0}, wrong_order = {0}, no_text = {0};
	struct id *ids = NULL;
	struct err err = {0};

	domain = keys_domain(ring->full, 0, &err);
	assert_int_equal(manifest_part_macs_of(domain, two, 2, &ids, &err), 0);
	manifest_part_put_macs(&macs, ids, 2);
	manifest_part_put_tags(&tags, two, 2);
	manifest_part_put_macs(&one_mac, ids, 1);
	manifest_part_put_tags(&wrong_order, turned, 2);
	manifest_part_put_tags(&no_text, nothing, 1);
	assert_int_equal(craft(ring, ring->full, &macs, &tags), 0);
	assert_int_equal(craft(ring, ring->full, &one_mac, &tags), -ERR_DAMAGED);
	assert_int_equal(craft(ring, ring->maintain, &one_mac, &tags), 0); /* sees one part */
	assert_int_equal(craft(ring, ring->full, &macs, &wrong_order), -ERR_DAMAGED);
	assert_int_equal(craft(ring, ring->full, &one_mac, &no_text), -ERR_DAMAGED);
	macs.data[40] ^= 1;
	assert_int_equal(craft(ring, ring->full, &macs, &tags), -ERR_DAMAGED);
	free(ids);
	buf_free(&macs);
	buf_free(&tags);
	buf_free(&one_mac);
	buf_free(&wrong_order);
	buf_free(&no_text);
}

static void test_enc_refuses(void **state)
{
	static const char *const tags[] = {"a", ""};
	struct manifest_kit_ring *ring = *state;
	struct tagrec t = record(tags, 2);
	struct buf object = {0};

	assert_int_equal(enc(ring->full, &t, 12, &object), -ERR_USAGE);
	tagrec_free(&t);
	t = record(tags, 1);
	assert_int_equal(enc(ring->read, &t, 12, &object), -ERR_KEY);
	assert_int_equal(enc(ring->maintain, &t, 12, &object), -ERR_KEY);
	t.head.number = 0;
	assert_int_equal(enc(ring->full, &t, 12, &object), -ERR_USAGE);
	assert_int_equal(object.len, 0);
	tagrec_free(&t);
	buf_free(&object);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_roles),
	    cmocka_unit_test(test_no_tags_left),
	    cmocka_unit_test(test_most_and_longest_tags),
	    cmocka_unit_test(test_every_cut_and_flip),
	    cmocka_unit_test(test_signed_but_wrong),
	    cmocka_unit_test(test_a_manifest_is_no_tag_record),
	    cmocka_unit_test(test_parts_that_disagree),
	    cmocka_unit_test(test_enc_refuses),
	};

	return cmocka_run_group_tests(tests, manifest_kit_ring_setup, manifest_kit_ring_teardown);
}
