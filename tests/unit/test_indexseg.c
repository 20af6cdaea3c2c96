#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "core/indexseg.h"
#include "core/seal.h"
#include "core/sign.h"
#include "tests/support/vector.h"

#define BODY_AT 212

static struct keys *keys;

static int setup(void **state)
{
	(void)state;
	keys = vector_keys();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	keys_free(keys);
	return 0;
}

/* The pack of the vectors, under another name. */
static struct indexseg_pack pack_named(uint8_t first)
{
	struct buf bytes = vector_get("pack.txt", "pack");
	struct indexseg_pack pack = {.pack_bytes = bytes.len};
	struct err err = {0};

	pack.name.b[0] = first;
	assert_int_equal(pack_front_dec(keys, bytes.data, bytes.len, bytes.len, &pack.dir, &err),
			 0);
	buf_free(&bytes);
	return pack;
}

static int try_decode(struct keys *by, const void *bytes, size_t len)
{
	struct indexseg seg = {0};
	struct err err = {0};
	int rc = indexseg_dec(by, bytes, len, &seg, &err);

	if (rc) {
		assert_int_equal(rc, -err.code);
		assert_true(err.text[0] != '\0');
		assert_null(seg.packs);
	}
	indexseg_free(&seg);
	return rc;
}

/* As a write key is: a writer and domain 0, no secret of M or R. */
static struct keys *write_keys(void)
{
	struct keys *k = vector_keys();

	k->role = ROLE_WRITE;
	k->has_master = k->has_maint_secret = k->has_gc_secret = false;
	memset(k->master, 0, sizeof(k->master));
	memset(k->maint_secret, 0, sizeof(k->maint_secret));
	return k;
}

static void check_known(struct keys *by)
{
	struct buf segment = vector_get("index.txt", "segment");
	struct buf name = vector_get("pack.txt", "name");
	struct buf pack = vector_get("pack.txt", "pack"), body = vector_get("pack.txt", "body");
	struct buf again = {0};
	struct indexseg seg = {0};
	struct err err = {0};

	assert_int_equal(indexseg_dec(by, segment.data, segment.len, &seg, &err), 0);
	assert_int_equal(seg.kind, 1);
	assert_int_equal(seg.domain, 0);
	assert_memory_equal(seg.signer, keys->writer_pub, 32);
	assert_int_equal(seg.pack_count, 1);
	assert_memory_equal(seg.packs[0].name.b, name.data, ID_BYTES);
	assert_int_equal(seg.packs[0].pack_bytes, pack.len);
	assert_int_equal(seg.packs[0].dir.slot_count, 2);
	pack_dir_put(&again, &seg.packs[0].dir);
	assert_int_equal(again.len, body.len);
	assert_memory_equal(again.data, body.data, body.len);
	indexseg_free(&seg);
	buf_free(&segment);
	buf_free(&name);
	buf_free(&pack);
	buf_free(&body);
	buf_free(&again);
}

/* A segment that another program made opens by M's copy of its key, and by the domain's. */
static void a_known_segment_is_read(void **state)
{
	struct keys *by = write_keys();

	(void)state;
	check_known(keys);
	check_known(by);
	/* Neither M's secret nor the domain. */
	by->domain_count = 0;
	{
		struct buf segment = vector_get("index.txt", "segment");

		assert_int_equal(try_decode(by, segment.data, segment.len), -ERR_KEY);
		buf_free(&segment);
	}
	keys_free(by);
}

static void any_flipped_bit_is_refused(void **state)
{
	struct buf segment = vector_get("index.txt", "segment");

	(void)state;
	for (size_t bit = 0; bit < segment.len * 8; bit += bit < 8 * 300 ? 1 : 9) {
		segment.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_true(try_decode(keys, segment.data, segment.len) < 0);
		segment.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	buf_free(&segment);
}

static void any_truncation_is_refused(void **state)
{
	struct buf segment = vector_get("index.txt", "segment");

	(void)state;
	for (size_t len = 0; len < segment.len; len++)
		assert_int_equal(try_decode(keys, segment.data, len), -ERR_DAMAGED);
	buf_put_u8(&segment, 0);
	assert_int_equal(try_decode(keys, segment.data, segment.len), -ERR_DAMAGED);
	buf_free(&segment);
}

/* Resealed and signed again: only the key copies' binding and the parser stand in the way. */
static int decode_resealed(struct buf *front, const struct buf *packs, size_t whole)
{
	uint8_t key[32];
	struct buf segment = {0}, padded = {0};
	struct err err = {0};
	int rc;

	memset(key, 9, sizeof(key));
	buf_put(&padded, packs->data, packs->len);
	if (padded.len < whole - BODY_AT - 16 - SIGN_BYTES)
		buf_put_zeros(&padded, whole - BODY_AT - 16 - SIGN_BYTES - padded.len);
	buf_put(&segment, front->data, BODY_AT);
	assert_int_equal(
	    seal_put(key, 0, front->data, BODY_AT, padded.data, padded.len, &segment, &err), 0);
	assert_int_equal(sign_append(&segment, "index", keys->writer_secret, &err), 0);
	rc = try_decode(keys, segment.data, segment.len);
	buf_free(&padded);
	buf_free(&segment);
	return rc;
}

static void hostile_bodies_are_refused(void **state)
{
	struct buf front = vector_get("index.txt", "segment");
	struct buf packs = vector_get("index.txt", "packs"), body = {0};
	struct indexseg_pack a = pack_named(1), b = pack_named(2);
	const struct indexseg_pack *right[2] = {&a, &b}, *wrong[2] = {&b, &a}, *twice[2] = {&a, &a};
	const struct pack_entry *last;

	(void)state;
	assert_int_equal(decode_resealed(&front, &packs, 4096), 0);
	packs.data[packs.len - 1] = 1;
	assert_int_equal(decode_resealed(&front, &packs, 4096), -ERR_DAMAGED);
	packs.data[packs.len - 1] = 0;
	indexseg_packs_put(&body, right, 2);
	assert_int_equal(decode_resealed(&front, &body, 4096), 0);
	buf_put_u8(&body, 0);
	assert_int_equal(decode_resealed(&front, &body, 4096), 0);
	assert_int_equal(decode_resealed(&front, &body, 5000), -ERR_DAMAGED);
	buf_reset(&body);
	indexseg_packs_put(&body, wrong, 2);
	assert_int_equal(decode_resealed(&front, &body, 4096), -ERR_DAMAGED);
	buf_reset(&body);
	indexseg_packs_put(&body, twice, 2);
	assert_int_equal(decode_resealed(&front, &body, 4096), -ERR_DAMAGED);
	buf_reset(&body);
	buf_put_u32(&body, UINT32_MAX);
	assert_int_equal(decode_resealed(&front, &body, 4096), -ERR_DAMAGED);
	/* A pack shorter than its records. */
	last = &a.dir.entries[a.dir.entry_count - 1];
	a.pack_bytes = last->offset + last->stored_bytes - 1;
	buf_reset(&body);
	indexseg_packs_put(&body, right, 2);
	assert_int_equal(decode_resealed(&front, &body, 4096), -ERR_DAMAGED);
	pack_dir_free(&a.dir);
	pack_dir_free(&b.dir);
	buf_free(&front);
	buf_free(&packs);
	buf_free(&body);
}

/* The front is signed, so a change needs a new signature; what it binds still shows. */
static void a_changed_front_is_refused(void **state)
{
	const size_t places[] = {6, 8, 56, 60, 84, 132, 150, 211};
	struct keys *by = write_keys();

	(void)state;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct buf segment = vector_get("index.txt", "segment");
		struct err err = {0};

		segment.data[places[i]] ^= 4;
		segment.len -= SIGN_BYTES;
		assert_int_equal(sign_append(&segment, "index", keys->writer_secret, &err), 0);
		assert_true(try_decode(keys, segment.data, segment.len) < 0);
		assert_true(try_decode(by, segment.data, segment.len) < 0);
		buf_free(&segment);
	}
	keys_free(by);
}

static void what_is_written_is_read(void **state)
{
	struct indexseg_pack packs[3] = {pack_named(3), pack_named(1), pack_named(2)};
	struct keys *by = write_keys();

	(void)state;
	for (size_t count = 0; count <= 3; count++) {
		struct indexseg seg = {0};
		struct buf out = {0};
		struct err err = {0};

		buf_put(&out, "front", 5);
		assert_int_equal(indexseg_enc(by, 0, packs, count, 13, &out, &err), 0);
		assert_memory_equal(out.data, "front", 5);
		assert_int_equal(out.len - 5, 8192);
		assert_int_equal(try_decode(by, out.data + 5, out.len - 5), 0);
		assert_int_equal(indexseg_dec(keys, out.data + 5, out.len - 5, &seg, &err), 0);
		assert_int_equal(seg.pack_count, count);
		for (size_t i = 0; i < count && count == 3; i++)
			assert_int_equal(seg.packs[i].name.b[0], i + 1);
		indexseg_free(&seg);
		buf_free(&out);
	}
	for (size_t i = 0; i < 3; i++)
		pack_dir_free(&packs[i].dir);
	keys_free(by);
}

static void nonsense_is_not_written(void **state)
{
	struct indexseg_pack packs[2] = {pack_named(1), pack_named(1)};
	struct keys *by = write_keys();
	struct buf out = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(indexseg_enc(keys, 0, packs, 2, 12, &out, &err), -ERR_USAGE);
	assert_int_equal(indexseg_enc(by, 1, packs, 1, 12, &out, &err), -ERR_KEY);
	by->has_writer = false;
	assert_int_equal(indexseg_enc(by, 0, packs, 1, 12, &out, &err), -ERR_KEY);
	assert_int_equal(out.len, 0);
	pack_dir_free(&packs[0].dir);
	pack_dir_free(&packs[1].dir);
	keys_free(by);
	buf_free(&out);
}

static void another_repository_is_named(void **state)
{
	struct buf segment = vector_get("index.txt", "segment");
	struct indexseg seg = {0};
	struct err err = {0};

	(void)state;
	segment.data[10] ^= 1;
	assert_int_equal(indexseg_dec(keys, segment.data, segment.len, &seg, &err), -ERR_DAMAGED);
	assert_non_null(strstr(err.text, "another repository"));
	buf_free(&segment);
}

/* A segment may name any domain; reading it with the full key must not fill the key's table of domains. */
static void strange_domains_are_not_derived(void **state)
{
	struct keys *by = vector_keys();
	size_t before = by->domain_count;
	struct buf out = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(indexseg_enc(keys, 99, NULL, 0, 12, &out, &err), 0);
	assert_int_equal(try_decode(by, out.data, out.len), 0);
	assert_int_equal(by->domain_count, before);
	keys_free(by);
	buf_free(&out);
}

/* Where there is nothing to borrow from, who holds the domain makes a key that all open who must. */
static void a_new_wrap_is_read_by_all(void **state)
{
	struct indexseg_pack pack = pack_named(3);
	struct keys *by = write_keys();
	struct indexseg_wrap wrap, other;
	struct indexseg seg = {0};
	struct buf out = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(indexseg_wrap_new(by, 0, &wrap, &err), -ERR_KEY);
	assert_int_equal(indexseg_wrap_new(keys, 0, &wrap, &err), 0);
	assert_int_equal(indexseg_wrap_new(keys, 0, &other, &err), 0);
	assert_memory_not_equal(wrap.for_domain, other.for_domain, sizeof(wrap.for_domain));
	assert_memory_equal(wrap.writer, keys->gc_pub, 32);
	assert_int_equal(indexseg_enc_gc(keys, 0, &wrap, &pack, 1, 12, &out, &err), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(indexseg_dec(i ? by : keys, out.data, out.len, &seg, &err), 0);
		assert_int_equal(seg.kind, 2);
		assert_int_equal(seg.pack_count, 1);
		indexseg_free(&seg);
	}
	pack_dir_free(&pack.dir);
	keys_free(by);
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_known_segment_is_read),
	    cmocka_unit_test(any_flipped_bit_is_refused),
	    cmocka_unit_test(any_truncation_is_refused),
	    cmocka_unit_test(hostile_bodies_are_refused),
	    cmocka_unit_test(a_changed_front_is_refused),
	    cmocka_unit_test(what_is_written_is_read),
	    cmocka_unit_test(nonsense_is_not_written),
	    cmocka_unit_test(another_repository_is_named),
	    cmocka_unit_test(strange_domains_are_not_derived),
	    cmocka_unit_test(a_new_wrap_is_read_by_all),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
