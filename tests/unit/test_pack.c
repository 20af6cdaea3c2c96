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
	assert_int_equal(dir.entries[0].counter, 2);
	assert_int_equal(dir.entries[2].counter, 1);
	assert_int_equal(dir.entries[2].info.chain_bytes, 19 + 16);
	assert_int_equal(dir.entries[3].info.chain_bytes, 5 + 16 + 19 + 16);
	assert_int_equal(dir.entries[3].info.lineage, 300);
	assert_int_equal(dir.entries[3].info.depth, 1);
	assert_int_equal(dir.entries[3].counter, 7);
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
	} cases[] = {{0, 'N', -ERR_DAMAGED}, {4, 2, -ERR_VERSION},
		     {4, 0, -ERR_DAMAGED},   {5, 5, -ERR_DAMAGED},
		     {6, 1, -ERR_DAMAGED},   {7, 1, -ERR_DAMAGED},
		     {24, 1, -ERR_DAMAGED},  {25, 0, -ERR_DAMAGED},
		     {25, 1, -ERR_DAMAGED},  {24, 0x10, -ERR_DAMAGED},
		     {24, 0x20, 0},          {27, 0x7f, -ERR_DAMAGED},
		     {28, 0, -ERR_DAMAGED},  {29, 0xff, -ERR_DAMAGED},
		     {30, 1, -ERR_DAMAGED},  {31, 1, -ERR_DAMAGED},
		     {32, 1, -ERR_DAMAGED},  {35, 1, -ERR_DAMAGED}};
	struct buf pack = vector_get("pack.txt", "pack");
	struct pack_head head = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(pack_head_get(pack.data, PACK_HEAD_BYTES, &head, &err), 0);
	assert_int_equal(head.slot_count, 2);
	assert_int_equal(head.directory_bytes, 512);
	assert_int_equal(pack_front_bytes(&head), 36 + 88 + 512);
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

#define FORM(n) ((n) << 3)
#define MOVED 0x80

/* An entry as it is written, so that it can say what no encoder would. */
struct raw_entry {
	uint8_t id, byte;
	uint64_t slot, source, counter; /* with MOVED */
	uint64_t compressed, plain;     /* plain with a form but 0 */
	uint8_t depth, bases[3];        /* these and what follows in forms 2 to 4 */
	uint64_t lineage, chain;
};

static void id_put(struct buf *b, uint8_t first)
{
	buf_put_u8(b, first);
	buf_put_zeros(b, ID_BYTES - 1);
}

static void raw_put(struct buf *b, const struct raw_entry *e)
{
	unsigned form = e->byte >> 3 & 15;

	id_put(b, e->id);
	buf_put_u8(b, e->byte);
	if (e->byte & MOVED) {
		buf_put_varint(b, e->slot);
		buf_put_varint(b, e->source);
		buf_put_varint(b, e->counter);
	}
	buf_put_varint(b, e->compressed);
	if (form)
		buf_put_varint(b, e->plain);
	if (form < 2 || form > 4)
		return;
	buf_put_u8(b, e->depth);
	buf_put_varint(b, e->lineage);
	buf_put_varint(b, e->chain);
	for (unsigned i = 0; i + 1 < form; i++)
		id_put(b, e->bases[i]);
}

/* Three entries that are good; tests spoil them. */
static void good_entries(struct raw_entry e[3])
{
	e[0] = (struct raw_entry){.id = 1, .byte = CHUNK_DATA, .slot = 1, .compressed = 84};
	e[1] = (struct raw_entry){.id = 2, .byte = CHUNK_TREE_LIST, .compressed = 84};
	e[2] = (struct raw_entry){.id = 3,
				  .byte = CHUNK_DATA | FORM(2),
				  .slot = 1,
				  .counter = 9,
				  .compressed = 84,
				  .plain = 100,
				  .depth = 1,
				  .bases = {1, 2, 3}};
}

static int get_body(const struct buf *body, uint64_t pack_bytes, size_t slots)
{
	struct pack_dir got = {.slots = hostile_slots, .slot_count = slots};
	struct rd r = rd_of(body->data, body->len);
	struct buf again = {0};
	struct err err = {0};
	int rc = pack_dir_get(&r, pack_bytes, &got, &err);

	if (rc == 0) {
		pack_dir_put(&again, &got);
		assert_int_equal(again.len, body->len);
		assert_memory_equal(again.data, body->data, body->len);
	}
	free(got.sources);
	free(got.entries);
	buf_free(&again);
	return rc;
}

/* One source, and the entries. */
static int get_entries(const struct raw_entry *e, size_t count, uint64_t pack_bytes, size_t slots)
{
	struct buf body = {0};
	int rc;

	buf_put_u16(&body, 1);
	buf_put_zeros(&body, PACK_SOURCE_BYTES);
	buf_put_u32(&body, (uint32_t)count);
	for (size_t i = 0; i < count; i++)
		raw_put(&body, &e[i]);
	rc = get_body(&body, pack_bytes, slots);
	buf_free(&body);
	return rc;
}

#define GETS(rc, change)                                                                           \
	do {                                                                                       \
		good_entries(e);                                                                   \
		change;                                                                            \
		assert_int_equal(get_entries(e, 3, LIMIT_PACK_BYTES, 2), rc);                      \
	} while (0)
#define TAKEN(change) GETS(0, change)
#define REFUSED(change) GETS(-ERR_DAMAGED, change)

static void hostile_entries_are_refused(void **state)
{
	struct raw_entry e[3];

	(void)state;
	TAKEN();
	REFUSED(e[0].byte = 0);
	REFUSED(e[0].byte = 6);
	REFUSED(e[0].byte = 7);
	REFUSED(e[1].byte |= FORM(5));
	REFUSED(e[1].byte |= FORM(15));
	TAKEN(e[1].byte |= FORM(1));
	/* Raw and zstd, at the limits of both lengths. */
	TAKEN(e[0].compressed = LIMIT_CHUNK_BYTES);
	REFUSED(e[0].compressed = LIMIT_CHUNK_BYTES + 1);
	REFUSED(e[0].compressed = ((uint64_t)1 << 32) + 84);
	TAKEN(e[2].compressed = LIMIT_RECORD_BYTES - 16);
	REFUSED(e[2].compressed = LIMIT_RECORD_BYTES - 15);
	TAKEN(e[2].plain = LIMIT_CHUNK_BYTES);
	REFUSED(e[2].plain = LIMIT_CHUNK_BYTES + 1);
	REFUSED(e[2].plain = (uint64_t)1 << 32);
	/* What only a delta has. */
	TAKEN(e[2].depth = 255);
	REFUSED(e[2].depth = 0);
	REFUSED(e[2].bases[0] = 3);
	TAKEN(e[2].byte = CHUNK_DATA | FORM(3));
	REFUSED(e[2].byte = CHUNK_DATA | FORM(3); e[2].bases[1] = 1);
	REFUSED(e[2].byte = CHUNK_DATA | FORM(4));
	TAKEN(e[2].byte = CHUNK_DATA | FORM(4); e[2].bases[2] = 4);
	TAKEN(e[2].lineage = UINT32_MAX);
	REFUSED(e[2].lineage = (uint64_t)1 << 32);
	TAKEN(e[2].chain = UINT32_MAX - 100);
	REFUSED(e[2].chain = UINT32_MAX - 99);
	REFUSED(e[2].chain = UINT64_MAX);
}

static void hostile_places_are_refused(void **state)
{
	struct raw_entry e[3];

	(void)state;
	TAKEN(e[2].byte |= MOVED);
	TAKEN(e[2].byte |= MOVED; e[2].counter = UINT32_MAX);
	REFUSED(e[2].byte |= MOVED; e[2].counter = ((uint64_t)1 << 32) + 9);
	REFUSED(e[2].byte |= MOVED; e[2].counter = 0);
	REFUSED(e[2].byte |= MOVED; e[2].source = 1);
	REFUSED(e[2].byte |= MOVED; e[2].source = 1 << 16);
	REFUSED(e[2].byte |= MOVED; e[2].slot = 0);
	REFUSED(e[2].byte |= MOVED; e[2].slot = 2);
	REFUSED(e[2].byte |= MOVED; e[2].slot = (1 << 16) + 1);
	REFUSED(e[1].byte |= MOVED; e[1].slot = 1; e[1].counter = 9);
	/* Twice: said, and gone without saying, in both orders. */
	REFUSED(e[2].byte |= MOVED; e[2].counter = 1);
	REFUSED(e[0].byte |= MOVED; e[0].counter = 9; e[2].byte |= MOVED);
	TAKEN(e[0].byte |= MOVED; e[0].counter = 2);
	/* What goes without saying must not be said: counters 1 and 2, or 1 again behind one that was moved. */
	REFUSED(e[0].byte |= MOVED; e[0].counter = 1);
	REFUSED(e[1].byte |= MOVED; e[1].counter = 1);
	REFUSED(e[2].byte |= MOVED; e[2].counter = 2);
	REFUSED(e[0].byte |= MOVED; e[0].counter = 9; e[2].byte |= MOVED; e[2].counter = 1);
	TAKEN(e[0].byte |= MOVED; e[0].counter = 9; e[2].byte |= MOVED; e[2].counter = 2);
	/* 36 + 2·44 + 512 bytes in front, then three records of 100. */
	good_entries(e);
	assert_int_equal(get_entries(e, 0, 636, 2), 0);
	assert_int_equal(get_entries(e, 0, 635, 2), -ERR_DAMAGED);
	assert_int_equal(get_entries(e, 3, 936, 2), 0);
	assert_int_equal(get_entries(e, 3, 935, 2), -ERR_DAMAGED);
	assert_int_equal(get_entries(e, 3, 8192, 1), -ERR_DAMAGED);
	assert_int_equal(get_entries(e, 3, 8192, 0), -ERR_DAMAGED);
	assert_int_equal(get_entries(e, 3, (uint64_t)LIMIT_PACK_BYTES + 1, 2), -ERR_LIMIT);
}

/* Each number of an entry has one form: written longer, it is refused. */
static void longer_numbers_are_refused(void **state)
{
	/* Of an entry that says everything; behind the id and the byte, the u8 depth left out. */
	const size_t at[] = {0, 1, 2, 3, 4, 6, 7};
	struct raw_entry e[3];
	struct buf body = {0};

	(void)state;
	good_entries(e);
	e[2].byte |= MOVED;
	buf_put_u16(&body, 1);
	buf_put_zeros(&body, PACK_SOURCE_BYTES);
	buf_put_u32(&body, 1);
	raw_put(&body, &e[2]);
	assert_int_equal(get_body(&body, 8192, 2), 0);
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		size_t cut = 2 + PACK_SOURCE_BYTES + 4 + ID_BYTES + 1 + at[i];
		struct buf longer = {0};

		buf_put(&longer, body.data, cut);
		buf_put_u8(&longer, body.data[cut] | 0x80);
		buf_put_u8(&longer, 0);
		buf_put(&longer, body.data + cut + 1, body.len - cut - 1);
		assert_int_equal(get_body(&longer, 8192, 2), -ERR_DAMAGED);
		buf_free(&longer);
	}
	buf_free(&body);
}

/* As many records as a pack may have, each as long as an entry can be: no pack has such a directory. */
static void a_directory_has_a_limit(void **state)
{
	struct raw_entry e[3];
	struct buf body = {0};

	(void)state;
	good_entries(e);
	e[2].byte = CHUNK_DATA | FORM(4) | MOVED;
	e[2].bases[2] = 4;
	e[2].source = UINT16_MAX - 1;
	e[2].plain = LIMIT_CHUNK_BYTES;
	e[2].lineage = e[2].chain = UINT32_MAX - 100;
	buf_put_u16(&body, UINT16_MAX);
	buf_put_zeros(&body, (size_t)UINT16_MAX * PACK_SOURCE_BYTES);
	buf_put_u32(&body, LIMIT_PACK_RECORDS);
	for (uint64_t i = 0; i < LIMIT_PACK_RECORDS; i++) {
		e[2].compressed = 0;
		e[2].counter = UINT32_MAX - i;
		raw_put(&body, &e[2]);
	}
	assert_true(body.len > LIMIT_DIRECTORY_BYTES);
	assert_int_equal(get_body(&body, LIMIT_PACK_BYTES, 2), -ERR_LIMIT);
	buf_free(&body);
}

static void directories_are_padded_a_little(void **state)
{
	const uint64_t cases[][2] = {{6, 512},       {496, 512},         {497, 544},
				     {4080, 4096},   {4081, 4352},       {65520, 65536},
				     {65521, 67584}, {1048560, 1048576}, {1048561, 1081344}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(pack_dir_sealed_bytes(cases[i][0]), cases[i][1]);
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

/* Seals body, padded already, into the front of the known pack, as somebody with M's public key could. */
static int decode_with_body(const struct buf *pack, const uint8_t key[32], const struct buf *body)
{
	struct buf front = {0}, sealed = {0};
	struct err err = {0};
	int rc;

	buf_put(&front, pack->data, 24);
	buf_put_u32(&front, (uint32_t)body->len + 16);
	buf_put(&front, pack->data + 28, 36 + 88 - 28);
	assert_int_equal(
	    seal_put(key, 0, front.data, front.len, body->data, body->len, &sealed, &err), 0);
	buf_put(&front, sealed.data, sealed.len);
	buf_free(&sealed);
	rc = packs_try(keys, front.data, front.len, pack->len);
	buf_free(&front);
	return rc;
}

static void hostile_fronts_are_refused(void **state)
{
	struct buf pack = vector_get("pack.txt", "pack"), body = vector_get("pack.txt", "body");
	struct buf key = vector_get("pack.txt", "m_key");
	size_t unpadded = body.len;

	(void)state;
	buf_put_zeros(&body, 512 - 16 - body.len);
	assert_int_equal(decode_with_body(&pack, key.data, &body), 0);
	body.data[body.len - 1] = 1;
	assert_int_equal(decode_with_body(&pack, key.data, &body), -ERR_DAMAGED);
	body.data[body.len - 1] = 0;
	body.data[unpadded] = 1;
	assert_int_equal(decode_with_body(&pack, key.data, &body), -ERR_DAMAGED);
	body.data[unpadded] = 0;
	/* A length that other directories have, but not this one: what an index says would lie elsewhere. */
	buf_put_zeros(&body, 32);
	assert_int_equal(decode_with_body(&pack, key.data, &body), -ERR_DAMAGED);
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
	    cmocka_unit_test(hostile_places_are_refused),
	    cmocka_unit_test(longer_numbers_are_refused),
	    cmocka_unit_test(a_directory_has_a_limit),
	    cmocka_unit_test(directories_are_padded_a_little),
	    cmocka_unit_test(every_cut_of_a_body_is_refused),
	    cmocka_unit_test(hostile_fronts_are_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
