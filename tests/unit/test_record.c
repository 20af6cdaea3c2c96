#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "core/record.h"
#include "core/seal.h"
#include "core/slot.h"
#include "tests/support/must.h"
#include "tests/support/vector.h"

static struct keys *keys;
static struct comp *comp;
static const struct domain_keys *domain;
static uint8_t slot_key[32];
static const char text[] = "the quick brown fox the quick brown fox the quick brown fox the quick";

static int setup(void **state)
{
	struct err err = {0};

	(void)state;
	keys = vector_keys();
	domain = keys_domain(keys, 0, &err);
	memset(slot_key, 5, sizeof(slot_key));
	return domain ? comp_new(0, &comp, &err) : -1;
}

static int teardown(void **state)
{
	(void)state;
	keys_free(keys);
	comp_free(comp);
	return 0;
}

/* Compresses and seals text; the caller frees out. */
static struct record_info make(uint8_t kind, uint32_t counter, struct buf *out)
{
	struct record_info info = {.kind = kind, .plain_bytes = sizeof(text)};
	struct buf packed = {0};
	struct err err = {0};

	assert_int_equal(record_id(domain, kind, text, sizeof(text), &info.id, &err), 0);
	assert_int_equal(comp_put(comp, 0, text, sizeof(text), &packed, &info.codec, &err), 0);
	assert_int_equal(
	    record_seal(slot_key, counter, keys->repo, &info, packed.data, packed.len, out, &err),
	    0);
	assert_int_equal(out->len, packed.len + 16);
	buf_free(&packed);
	return info;
}

static int open_as(const struct record_info *info, uint32_t counter, const struct buf *sealed,
		   const struct domain_keys *by, struct err *err)
{
	struct buf out = {0};
	int rc;

	buf_put(&out, "kept", 4);
	rc = record_open(comp, slot_key, counter, keys->repo, by, info, sealed->data, sealed->len,
			 &out, err);
	assert_memory_equal(out.data, "kept", 4);
	if (rc == 0) {
		assert_int_equal(out.len, 4 + sizeof(text));
		assert_memory_equal(out.data + 4, text, sizeof(text));
	} else {
		assert_int_equal(out.len, 4);
	}
	buf_free(&out);
	return rc;
}

/* By the AEAD or the fields themselves: so whether or not the id can be recomputed. */
static void refuse(const struct record_info *info, uint32_t counter, const struct buf *sealed)
{
	char hex[ID_HEX_CHARS + 1], named[32];
	struct err err = {0};

	assert_int_equal(open_as(info, counter, sealed, NULL, &err), -ERR_DAMAGED);
	assert_int_equal(open_as(info, counter, sealed, domain, &err), -ERR_DAMAGED);
	id_hex(&info->id, hex);
	(void)snprintf(named, sizeof(named), "chunk %.8s: ", hex);
	assert_memory_equal(err.text, named, strlen(named));
}

/* Its bytes are not those that were sealed. */
static void refuse_changed(const struct record_info *info, uint32_t counter,
			   const struct buf *sealed)
{
	struct err err = {0};

	refuse(info, counter, sealed);
	assert_int_equal(
	    record_check(slot_key, counter, keys->repo, info, sealed->data, sealed->len, &err),
	    -ERR_DAMAGED);
	assert_true(err.text[0] != '\0');
}

static void ids_are_known(void **state)
{
	struct err err = {0};
	char name[8];

	(void)state;
	for (uint8_t kind = 1; kind <= 5; kind++) {
		struct buf want;
		struct id id;

		(void)snprintf(name, sizeof(name), "id_%d", kind);
		want = vector_get("pack.txt", name);
		assert_int_equal(record_id(domain, kind, "abc", 3, &id, &err), 0);
		assert_memory_equal(id.b, want.data, ID_BYTES);
		buf_free(&want);
	}
}

static void kinds_have_recipients(void **state)
{
	const uint8_t want[] = {SLOT_R, SLOT_M, SLOT_R, SLOT_M, SLOT_R};

	(void)state;
	for (uint8_t kind = 1; kind <= 5; kind++) {
		assert_true(chunk_kind_valid(kind));
		assert_int_equal(chunk_kind_recipient(kind), want[kind - 1]);
	}
	assert_false(chunk_kind_valid(0));
	assert_false(chunk_kind_valid(6));
	assert_false(chunk_kind_valid(255));
}

/* A raw record and a delta, byte for byte those of gen_pack.py. */
static void records_are_known(void **state)
{
	struct buf key = vector_get("pack.txt", "r_key");
	struct buf raw = vector_get("pack.txt", "raw_record");
	struct buf delta = vector_get("pack.txt", "delta_record");
	struct record_info info = {.kind = CHUNK_DATA, .plain_bytes = 19}, second = {0};
	struct buf out = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(record_id(domain, 1, "the first plaintext", 19, &info.id, &err), 0);
	assert_int_equal(
	    record_seal(key.data, 1, keys->repo, &info, "the first plaintext", 19, &out, &err), 0);
	assert_int_equal(out.len, raw.len);
	assert_memory_equal(out.data, raw.data, raw.len);
	second = (struct record_info){.kind = CHUNK_DATA,
				      .codec = CODEC_DELTA,
				      .depth = 1,
				      .base_count = 1,
				      .bases = {info.id},
				      .plain_bytes = 20};
	assert_int_equal(record_id(domain, 1, "the second plaintext", 20, &second.id, &err), 0);
	buf_reset(&out);
	assert_int_equal(record_seal(key.data, 7, keys->repo, &second, "delta", 5, &out, &err), 0);
	assert_int_equal(out.len, delta.len);
	assert_memory_equal(out.data, delta.data, delta.len);
	buf_free(&key);
	buf_free(&raw);
	buf_free(&delta);
	buf_free(&out);
}

static void what_is_sealed_opens(void **state)
{
	struct err err = {0};

	(void)state;
	for (uint8_t kind = 1; kind <= 5; kind++) {
		struct buf sealed = {0};
		struct record_info info = make(kind, kind, &sealed);

		assert_int_equal(info.codec, CODEC_ZSTD);
		assert_int_equal(open_as(&info, kind, &sealed, domain, &err), 0);
		assert_int_equal(open_as(&info, kind, &sealed, NULL, &err), 0);
		assert_int_equal(
		    record_check(slot_key, kind, keys->repo, &info, sealed.data, sealed.len, &err),
		    0);
		buf_free(&sealed);
	}
}

static void any_change_of_the_bytes_is_refused(void **state)
{
	struct buf sealed = {0};
	struct record_info info = make(CHUNK_DATA, 1, &sealed);
	size_t whole = sealed.len;

	(void)state;
	for (size_t bit = 0; bit < whole * 8; bit++) {
		sealed.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		refuse_changed(&info, 1, &sealed);
		sealed.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (sealed.len = 0; sealed.len < whole; sealed.len++)
		refuse_changed(&info, 1, &sealed);
	buf_put_u8(&sealed, 0);
	refuse_changed(&info, 1, &sealed);
	buf_free(&sealed);
}

/* Everything in the AD is bound; lineage and chain bytes, which maintenance may restate, are not. */
static void any_change_of_the_fields_is_refused(void **state)
{
	struct buf sealed = {0};
	const struct record_info info = make(CHUNK_DATA, 1, &sealed);
	struct record_info bad = info;
	struct err err = {0};

	(void)state;
	refuse_changed(&info, 2, &sealed);
	refuse_changed(&info, 0, &sealed);
	for (unsigned kind = 0; kind < 7; kind++) {
		bad.kind = (uint8_t)kind;
		if (kind != info.kind)
			refuse_changed(&bad, 1, &sealed);
	}
	bad = info;
	bad.id.b[31] ^= 1;
	refuse_changed(&bad, 1, &sealed);
	bad = info;
	bad.plain_bytes++;
	refuse_changed(&bad, 1, &sealed);
	bad.plain_bytes = UINT32_MAX;
	refuse_changed(&bad, 1, &sealed);
	bad = info;
	bad.codec = CODEC_RAW;
	refuse_changed(&bad, 1, &sealed);
	bad.codec = CODEC_DELTA;
	refuse_changed(&bad, 1, &sealed);
	bad.depth = bad.base_count = 1;
	refuse_changed(&bad, 1, &sealed);
	bad.base_count = 200;
	refuse_changed(&bad, 1, &sealed);
	bad = info;
	bad.lineage = bad.chain_bytes = 77;
	assert_int_equal(open_as(&bad, 1, &sealed, domain, &err), 0);
	keys->repo[0] ^= 1;
	refuse_changed(&info, 1, &sealed);
	keys->repo[0] ^= 1;
	slot_key[0] ^= 1;
	refuse_changed(&info, 1, &sealed);
	slot_key[0] ^= 1;
	buf_free(&sealed);
}

/* A writer that seals other bytes under an id is found out by who holds the domain. */
static void planted_bytes_are_refused(void **state)
{
	struct record_info info = {.kind = CHUNK_DATA, .plain_bytes = sizeof(text)};
	struct buf sealed = {0};
	struct err err = {0};

	(void)state;
	memset(info.id.b, 0x11, ID_BYTES);
	assert_int_equal(
	    record_seal(slot_key, 1, keys->repo, &info, text, sizeof(text), &sealed, &err), 0);
	assert_int_equal(open_as(&info, 1, &sealed, domain, &err), -ERR_DAMAGED);
	assert_non_null(strstr(err.text, "chunk 11111111: "));
	assert_int_equal(open_as(&info, 1, &sealed, NULL, &err), 0);
	buf_free(&sealed);
}

static void nonsense_is_not_sealed(void **state)
{
	const struct record_info good = {.kind = CHUNK_DATA, .plain_bytes = 5, .id = {{1}}};
	struct record_info bad[6];
	struct buf out = {0};
	struct err err = {0};

	(void)state;
	for (size_t i = 0; i < 6; i++)
		bad[i] = good;
	bad[0].kind = 6;
	bad[1].codec = 3;
	bad[2].depth = 1;
	bad[3].base_count = LIMIT_BASES + 1;
	bad[4].codec = CODEC_DELTA;
	bad[5].plain_bytes = LIMIT_CHUNK_BYTES + 1;
	for (size_t i = 0; i < 6; i++) {
		assert_non_null(record_info_fault(&bad[i]));
		assert_int_equal(
		    record_seal(slot_key, 1, keys->repo, &bad[i], "hello", 5, &out, &err),
		    -ERR_USAGE);
	}
	assert_int_equal(record_seal(slot_key, 0, keys->repo, &good, "hello", 5, &out, &err),
			 -ERR_USAGE);
	assert_int_equal(
	    record_seal(slot_key, 1, keys->repo, &good, NULL, LIMIT_RECORD_BYTES, &out, &err),
	    -ERR_LIMIT);
	assert_int_equal(out.len, 0);
	assert_null(record_info_fault(&good));
	buf_free(&out);
}

/* Sealed with the nonce that belongs to directories, and bound as a record is: FORMAT.md §4. */
static void a_directorys_counter_opens_no_record(void **state)
{
	struct record_info info = {.kind = CHUNK_DATA, .plain_bytes = sizeof(text)};
	struct buf ad = {0}, sealed = {0};
	struct err err = {0};

	(void)state;
	MUST(record_id(domain, info.kind, text, sizeof(text), &info.id, &err), &err);
	buf_put(&ad, keys->repo, REPO_ID_BYTES);
	buf_put_u8(&ad, info.kind);
	buf_put(&ad, info.id.b, ID_BYTES);
	buf_put_u32(&ad, info.plain_bytes);
	buf_put_zeros(&ad, 3);
	for (uint64_t counter = 0; counter <= 1; counter++) {
		buf_reset(&sealed);
		MUST(
		    seal_put(slot_key, counter, ad.data, ad.len, text, sizeof(text), &sealed, &err),
		    &err);
		if (counter)
			assert_int_equal(open_as(&info, 1, &sealed, domain, &err), 0);
		else
			refuse_changed(&info, 0, &sealed);
	}
	buf_free(&ad);
	buf_free(&sealed);
}

static void what_is_too_long_is_not_tried(void **state)
{
	const struct record_info info = {.kind = CHUNK_DATA, .plain_bytes = 5, .id = {{1}}};
	struct buf sealed = {0};
	struct err err = {0};

	(void)state;
	buf_put_zeros(&sealed, LIMIT_RECORD_BYTES + 1);
	refuse_changed(&info, 1, &sealed);
	assert_int_equal(
	    record_check(slot_key, 1, keys->repo, &info, sealed.data, sealed.len, &err),
	    -ERR_DAMAGED);
	assert_non_null(strstr(err.text, "too large"));
	buf_free(&sealed);
}

static void bases_are_checked(void **state)
{
	struct record_info info = {.kind = CHUNK_DATA,
				   .codec = CODEC_DELTA,
				   .depth = 255,
				   .base_count = 3,
				   .id = {{1}},
				   .bases = {{{2}}, {{3}}, {{4}}}};

	(void)state;
	assert_null(record_info_fault(&info));
	info.bases[2].b[0] = 2;
	assert_non_null(record_info_fault(&info));
	info.bases[2].b[0] = 1;
	assert_non_null(record_info_fault(&info));
	info.base_count = 2;
	assert_null(record_info_fault(&info));
	info.depth = 0;
	assert_non_null(record_info_fault(&info));
}

/* A delta opens with its bases' plaintext and with nothing else. */
static void deltas_open_with_their_bases(void **state)
{
	static const char base[] = "a quick brown fox; the quick brown fox the quick brown fox";
	struct record_info info = {.kind = CHUNK_DATA,
				   .codec = CODEC_DELTA,
				   .depth = 1,
				   .base_count = 1,
				   .plain_bytes = sizeof(text)};
	struct span right = {(const uint8_t *)base, sizeof(base)}, wrong = right;
	struct buf packed = {0}, sealed = {0}, out = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(record_id(domain, 1, base, sizeof(base), &info.bases[0], &err), 0);
	assert_int_equal(record_id(domain, 1, text, sizeof(text), &info.id, &err), 0);
	assert_int_equal(comp_put_delta(comp, COMP_DELTA_FAST, base, sizeof(base), text,
					sizeof(text), &packed, &err),
			 0);
	assert_int_equal(
	    record_seal(slot_key, 1, keys->repo, &info, packed.data, packed.len, &sealed, &err), 0);
	assert_int_equal(record_open_delta(comp, slot_key, 1, keys->repo, domain, &info, right,
					   sealed.data, sealed.len, &out, &err),
			 0);
	assert_int_equal(out.len, sizeof(text));
	assert_memory_equal(out.data, text, sizeof(text));
	refuse(&info, 1, &sealed); /* record_open has no bases to give */
	wrong.len--;
	assert_int_equal(record_open_delta(comp, slot_key, 1, keys->repo, domain, &info, wrong,
					   sealed.data, sealed.len, &out, &err),
			 -ERR_DAMAGED);
	info.bases[0].b[0] ^= 1; /* bound by the AD */
	assert_int_equal(record_open_delta(comp, slot_key, 1, keys->repo, domain, &info, right,
					   sealed.data, sealed.len, &out, &err),
			 -ERR_DAMAGED);
	assert_int_equal(out.len, sizeof(text));
	buf_reset(&sealed);
	info = make(CHUNK_DATA, 1, &sealed); /* and whatever needs none ignores them */
	assert_int_equal(record_open_delta(comp, slot_key, 1, keys->repo, domain, &info, right,
					   sealed.data, sealed.len, &out, &err),
			 0);
	assert_int_equal(out.len, 2 * sizeof(text));
	buf_free(&packed);
	buf_free(&sealed);
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(ids_are_known),
	    cmocka_unit_test(kinds_have_recipients),
	    cmocka_unit_test(records_are_known),
	    cmocka_unit_test(what_is_sealed_opens),
	    cmocka_unit_test(any_change_of_the_bytes_is_refused),
	    cmocka_unit_test(any_change_of_the_fields_is_refused),
	    cmocka_unit_test(planted_bytes_are_refused),
	    cmocka_unit_test(nonsense_is_not_sealed),
	    cmocka_unit_test(a_directorys_counter_opens_no_record),
	    cmocka_unit_test(what_is_too_long_is_not_tried),
	    cmocka_unit_test(bases_are_checked),
	    cmocka_unit_test(deltas_open_with_their_bases),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
