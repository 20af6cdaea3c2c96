#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "core/pack.h"
#include "core/seal.h"
#include "tests/support/packs.h"
#include "tests/support/vector.h"

static struct keys *keys;
static struct comp *comp;

static int setup(void **state)
{
	struct err err = {0};

	(void)state;
	keys = vector_keys();
	return comp_new(0, &comp, &err);
}

static int teardown(void **state)
{
	(void)state;
	keys_free(keys);
	comp_free(comp);
	return 0;
}

/* --- a pack that another program made --- */

static void a_known_pack_is_read(void **state)
{
	struct buf pack = vector_get("pack.txt", "pack"), body = vector_get("pack.txt", "body");
	struct buf table = vector_get("pack.txt", "table"), again = {0}, slots = {0};
	struct pack_dir dir = packs_dec(keys, &pack);
	struct buf first, zs;

	(void)state;
	assert_int_equal(dir.slot_count, 2);
	assert_int_equal(dir.source_count, 2);
	assert_memory_equal(dir.sources[0].writer, keys->writer_pub, 32);
	assert_int_equal(dir.sources[0].sequence, 9);
	assert_int_equal(dir.entry_count, 5);
	assert_int_equal(dir.entries[0].source, 1);
	assert_int_equal(dir.entries[3].info.codec, CODEC_DELTA);
	assert_int_equal(dir.entries[3].info.chain_bytes, 24);
	assert_int_equal(dir.entries[3].info.lineage, 1);
	assert_true(id_eq(&dir.entries[3].info.bases[0], &dir.entries[2].info.id));
	first = packs_open(keys, comp, &dir, 2, &pack);
	assert_int_equal(first.len, 19);
	assert_memory_equal(first.data, "the first plaintext", 19);
	zs = packs_open(keys, comp, &dir, 4, &pack);
	assert_int_equal(zs.len, 300000);
	assert_true(zs.data[0] == 'z' && zs.data[299999] == 'z');
	pack_dir_put(&again, &dir);
	assert_int_equal(again.len, body.len);
	assert_memory_equal(again.data, body.data, body.len);
	for (size_t i = 0; i < 2; i++)
		slot_put(&slots, &dir.slots[i]);
	assert_memory_equal(slots.data, table.data, table.len);
	pack_dir_free(&dir);
	buf_free(&pack);
	buf_free(&body);
	buf_free(&table);
	buf_free(&again);
	buf_free(&slots);
	buf_free(&first);
	buf_free(&zs);
}

/* Every bit of the front is bound: by the AEAD, or refused before it. Behind it lie the records. */
static void any_flipped_bit_of_the_front_is_refused(void **state)
{
	struct buf pack = vector_get("pack.txt", "pack");
	struct pack_dir dir = packs_dec(keys, &pack);
	size_t front = dir.entries[0].offset;

	(void)state;
	for (size_t bit = 0; bit < front * 8; bit += bit < 8 * 200 ? 1 : 5) {
		pack.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_true(packs_try(keys, pack.data, pack.len, pack.len) < 0);
		pack.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	pack_dir_free(&dir);
	buf_free(&pack);
}

static void any_truncation_is_refused(void **state)
{
	struct buf pack = vector_get("pack.txt", "pack");
	struct pack_dir dir = packs_dec(keys, &pack);
	const struct pack_entry *last = &dir.entries[dir.entry_count - 1];
	size_t front = dir.entries[0].offset, end = last->offset + last->stored_bytes;

	(void)state;
	for (size_t len = 0; len < front; len++)
		assert_int_equal(packs_try(keys, pack.data, len, pack.len), -ERR_DAMAGED);
	assert_int_equal(packs_try(keys, pack.data, front, pack.len), 0);
	assert_int_equal(packs_try(keys, pack.data, front, end), 0);
	assert_int_equal(packs_try(keys, pack.data, front, end - 1), -ERR_DAMAGED);
	assert_int_equal(packs_try(keys, pack.data, front, front - 1), -ERR_DAMAGED);
	assert_int_equal(packs_try(keys, pack.data, front, (uint64_t)LIMIT_PACK_BYTES + 1),
			 -ERR_LIMIT);
	pack_dir_free(&dir);
	buf_free(&pack);
}

static void heads_that_cannot_be_are_refused(void **state)
{
	/* Offset and value of one byte of the head, and the error. */
	const struct {
		size_t at;
		uint8_t value;
		int rc;
	} cases[] = {{0, 'N', -ERR_DAMAGED},   {4, 2, -ERR_VERSION},  {4, 0, -ERR_DAMAGED},
		     {5, 5, -ERR_DAMAGED},     {6, 1, -ERR_DAMAGED},  {7, 1, -ERR_DAMAGED},
		     {24, 1, -ERR_DAMAGED},    {25, 0, -ERR_DAMAGED}, {25, 0x0f, -ERR_DAMAGED},
		     {27, 0x7f, -ERR_DAMAGED}, {28, 0, -ERR_DAMAGED}, {29, 0xff, -ERR_DAMAGED},
		     {30, 1, -ERR_DAMAGED},    {31, 1, -ERR_DAMAGED}, {32, 1, -ERR_DAMAGED},
		     {35, 1, -ERR_DAMAGED}};
	struct buf pack = vector_get("pack.txt", "pack");
	struct pack_head head = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(pack_head_get(pack.data, PACK_HEAD_BYTES, &head, &err), 0);
	assert_int_equal(head.slot_count, 2);
	assert_int_equal(head.directory_bytes, 4096);
	assert_int_equal(pack_front_bytes(&head), 36 + 88 + 4096);
	assert_memory_equal(head.repo, keys->repo, REPO_ID_BYTES);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t was = pack.data[cases[i].at];

		pack.data[cases[i].at] = cases[i].value;
		assert_int_equal(pack_head_get(pack.data, PACK_HEAD_BYTES, &head, &err),
				 cases[i].rc);
		pack.data[cases[i].at] = was;
	}
	for (size_t len = 0; len < PACK_HEAD_BYTES; len++)
		assert_int_equal(pack_head_get(pack.data, len, &head, &err), -ERR_DAMAGED);
	buf_free(&pack);
}

static void another_repository_is_named(void **state)
{
	struct buf pack = vector_get("pack.txt", "pack");
	struct pack_dir dir = {0};
	struct err err = {0};

	(void)state;
	pack.data[10] ^= 1;
	assert_int_equal(pack_front_dec(keys, pack.data, pack.len, pack.len, &dir, &err),
			 -ERR_DAMAGED);
	assert_non_null(strstr(err.text, "another repository"));
	buf_free(&pack);
}

static void who_may_not_read_is_told(void **state)
{
	struct buf pack = vector_get("pack.txt", "pack");

	(void)state;
	keys->has_maint_secret = false;
	assert_int_equal(packs_try(keys, pack.data, pack.len, pack.len), -ERR_KEY);
	keys->has_maint_secret = true;
	buf_free(&pack);
}

/* --- hostile directories --- */

static struct slot hostile_slots[2] = {{.recipient = SLOT_M}, {.recipient = SLOT_R, .epoch = 1}};
static struct pack_source hostile_sources[1];

/* Three entries that are in order; tests spoil them. */
static void good_entries(struct pack_entry e[3])
{
	memset(e, 0, 3 * sizeof(e[0]));
	for (size_t i = 0; i < 3; i++) {
		e[i].info.id.b[0] = (uint8_t)(i + 1);
		e[i].info.kind = i == 1 ? CHUNK_TREE_LIST : CHUNK_DATA;
		e[i].info.plain_bytes = 84;
		e[i].slot = i != 1;
		e[i].counter = i == 2 ? 2 : 1;
		e[i].offset = (uint32_t)(5000 + 100 * i);
		e[i].stored_bytes = 100;
	}
}

static int get_entries(struct pack_entry *e, size_t count, uint64_t pack_bytes, size_t slots)
{
	struct pack_dir dir = {.slots = hostile_slots,
			       .slot_count = slots,
			       .sources = hostile_sources,
			       .source_count = 1,
			       .entries = e,
			       .entry_count = count};
	struct pack_dir got = {.slots = hostile_slots, .slot_count = slots};
	struct buf body = {0}, again = {0};
	struct err err = {0};
	struct rd r;
	int rc;

	pack_dir_put(&body, &dir);
	r = rd_of(body.data, body.len);
	rc = pack_dir_get(&r, pack_bytes, &got, &err);
	if (rc == 0) {
		pack_dir_put(&again, &got);
		assert_int_equal(again.len, body.len);
		assert_memory_equal(again.data, body.data, body.len);
	}
	free(got.sources);
	free(got.entries);
	buf_free(&body);
	buf_free(&again);
	return rc;
}

#define REFUSED(change)                                                                            \
	do {                                                                                       \
		good_entries(e);                                                                   \
		change;                                                                            \
		assert_int_equal(get_entries(e, 3, 8192, 2), -ERR_DAMAGED);                        \
	} while (0)

static void hostile_entries_are_refused(void **state)
{
	struct pack_entry e[3];

	(void)state;
	good_entries(e);
	assert_int_equal(get_entries(e, 3, 8192, 2), 0);
	assert_int_equal(get_entries(e, 3, 5300, 2), 0);
	assert_int_equal(get_entries(e, 0, 8192, 2), 0);
	assert_int_equal(get_entries(e, 3, 5299, 2), -ERR_DAMAGED);
	assert_int_equal(get_entries(e, 3, 8192, 1), -ERR_DAMAGED);
	assert_int_equal(get_entries(e, 3, 8192, 0), -ERR_DAMAGED);
	REFUSED(e[1].offset++);
	REFUSED(e[2].offset--);
	REFUSED(e[2].offset = e[0].offset);
	REFUSED(e[2].offset = UINT32_MAX);
	REFUSED(e[0].offset = 0);
	REFUSED(e[2].counter = 1);
	REFUSED(e[2].counter = 0);
	REFUSED(e[0].info.kind = 0);
	REFUSED(e[0].info.kind = 6);
	REFUSED(e[0].info.kind = CHUNK_LIST);
	REFUSED(e[1].info.kind = CHUNK_LIST_BODY);
	REFUSED(e[0].slot = 0);
	REFUSED(e[0].slot = 2);
	REFUSED(e[0].slot = UINT16_MAX);
	REFUSED(e[0].source = 1);
	REFUSED(e[0].info.codec = 3);
	REFUSED(e[0].info.codec = CODEC_DELTA);
	REFUSED(e[0].info.depth = 1);
	REFUSED(e[0].info.base_count = 1);
	REFUSED(e[0].info.base_count = e[0].info.depth = 1);
	REFUSED(e[0].info.plain_bytes = 83);
	REFUSED(e[0].info.plain_bytes = LIMIT_CHUNK_BYTES + 1);
	REFUSED(e[2].stored_bytes = 15; e[2].info.codec = CODEC_ZSTD);
	REFUSED(e[2].stored_bytes = LIMIT_RECORD_BYTES + 1; e[2].info.codec = CODEC_ZSTD);
	REFUSED(e[2].info.codec = CODEC_DELTA; e[2].info.depth = e[2].info.base_count = 1;
		e[2].info.bases[0] = e[2].info.id);
	/* In order, but where the directory must be; it takes 36 + 2·44 + 16 + 42 + 4 + 3·64 bytes at least. */
	good_entries(e);
	for (size_t i = 0; i < 3; i++)
		e[i].offset = (uint32_t)(377 + 100 * i);
	assert_int_equal(get_entries(e, 3, 8192, 2), -ERR_DAMAGED);
	for (size_t i = 0; i < 3; i++)
		e[i].offset++;
	assert_int_equal(get_entries(e, 3, 8192, 2), 0);
	good_entries(e);
	e[2].info.codec = CODEC_DELTA;
	e[2].info.depth = e[2].info.base_count = 1;
	e[2].info.bases[0] = e[0].info.id;
	assert_int_equal(get_entries(e, 3, 8192, 2), 0);
}

static void every_cut_of_a_body_is_refused(void **state)
{
	struct buf body = vector_get("pack.txt", "body");
	struct pack_dir got;
	struct err err = {0};
	struct rd r;

	(void)state;
	for (size_t len = 0; len < body.len; len++) {
		uint8_t *exact = malloc(len ? len : 1);

		assert_non_null(exact);
		memcpy(exact, body.data, len);
		got = (struct pack_dir){.slots = hostile_slots, .slot_count = 2};
		r = rd_of(exact, len);
		assert_int_equal(pack_dir_get(&r, 8192, &got, &err), -ERR_DAMAGED);
		free(got.sources);
		free(got.entries);
		free(exact);
	}
	/* A count that no body can hold takes no memory. */
	got = (struct pack_dir){.slots = hostile_slots, .slot_count = 2};
	r = rd_of("\0\0\xff\xff\xff\xff", 6);
	assert_int_equal(pack_dir_get(&r, 8192, &got, &err), -ERR_LIMIT);
	free(got.sources);
	got = (struct pack_dir){.slots = hostile_slots + 1, .slot_count = 1};
	r = rd_of(body.data, body.len);
	assert_int_equal(pack_dir_get(&r, 8192, &got, &err), -ERR_DAMAGED);
	buf_free(&body);
}

/* Seals body into the front of the known pack, as somebody with M's public key could. */
static int decode_with_body(const struct buf *pack, const uint8_t key[32], const struct buf *body)
{
	struct buf front = {0};
	struct err err = {0};
	int rc;

	buf_put(&front, pack->data, 36 + 88);
	assert_int_equal(seal_put(key, 0, pack->data, 36 + 88, body->data, body->len, &front, &err),
			 0);
	rc = packs_try(keys, front.data, front.len, pack->len);
	buf_free(&front);
	return rc;
}

static void hostile_fronts_are_refused(void **state)
{
	struct buf pack = vector_get("pack.txt", "pack"), body = vector_get("pack.txt", "body");
	struct buf key = vector_get("pack.txt", "m_key");
	struct pack_dir dir = packs_dec(keys, &pack);
	size_t entries_at = 2 + 2 * PACK_SOURCE_BYTES + 4, unpadded = body.len, at = entries_at;

	(void)state;
	buf_put_zeros(&body, 4096 - 16 - body.len);
	assert_int_equal(decode_with_body(&pack, key.data, &body), 0);
	body.data[body.len - 1] = 1;
	assert_int_equal(decode_with_body(&pack, key.data, &body), -ERR_DAMAGED);
	body.data[body.len - 1] = 0;
	body.data[unpadded] = 1;
	assert_int_equal(decode_with_body(&pack, key.data, &body), -ERR_DAMAGED);
	body.data[unpadded] = 0;
	/* All records one byte later: in order among themselves, but not behind the directory. */
	for (size_t i = 0; i < dir.entry_count; i++) {
		body.data[at + 44]++;
		at += PACK_ENTRY_BYTES + dir.entries[i].info.base_count * (size_t)ID_BYTES;
	}
	assert_int_equal(decode_with_body(&pack, key.data, &body), -ERR_DAMAGED);
	pack_dir_free(&dir);
	buf_free(&pack);
	buf_free(&body);
	buf_free(&key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_known_pack_is_read),
	    cmocka_unit_test(any_flipped_bit_of_the_front_is_refused),
	    cmocka_unit_test(any_truncation_is_refused),
	    cmocka_unit_test(heads_that_cannot_be_are_refused),
	    cmocka_unit_test(another_repository_is_named),
	    cmocka_unit_test(who_may_not_read_is_told),
	    cmocka_unit_test(hostile_entries_are_refused),
	    cmocka_unit_test(every_cut_of_a_body_is_refused),
	    cmocka_unit_test(hostile_fronts_are_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
