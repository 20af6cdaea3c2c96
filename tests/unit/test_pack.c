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
#include "core/sha256.h"
#include "tests/support/vector.h"

static struct keys *keys;
static struct comp *comp;
static const struct domain_keys *domain;

static int setup(void **state)
{
	struct err err = {0};

	(void)state;
	keys = vector_keys();
	domain = keys_domain(keys, 0, &err);
	return domain ? comp_new(0, &comp, &err) : -1;
}

static int teardown(void **state)
{
	(void)state;
	keys_free(keys);
	comp_free(comp);
	return 0;
}

/* What chunk n is in these tests; every third compresses. */
static struct buf plain_of(size_t n)
{
	struct buf b = {0};
	char text[40];
	int len = snprintf(text, sizeof(text), "plaintext of chunk %zu ", n);

	for (size_t i = 0; i < (n % 3 ? 1 : 50); i++)
		buf_put(&b, text, (size_t)len);
	return b;
}

static void add(struct pack_builder *b, size_t n, uint8_t kind)
{
	struct buf plain = plain_of(n), packed = {0};
	struct record_info info = {.kind = kind, .plain_bytes = (uint32_t)plain.len};
	struct err err = {0};

	assert_int_equal(record_id(domain, kind, plain.data, plain.len, &info.id, &err), 0);
	assert_int_equal(comp_put(comp, plain.data, plain.len, &packed, &info.codec, &err), 0);
	assert_int_equal(pack_builder_add(b, &info, packed.data, packed.len, &err), 0);
	buf_free(&plain);
	buf_free(&packed);
}

static struct pack_builder *new_builder(unsigned floor_log2)
{
	struct pack_builder *b = NULL;
	struct err err = {0};

	assert_int_equal(pack_builder_new(keys, 7, floor_log2, &b, &err), 0);
	return b;
}

struct built {
	struct buf bytes;
	struct pack_dir dir;
	struct id name;
};

static struct built finish(struct pack_builder *b)
{
	struct built built = {0};
	struct err err = {0};

	assert_int_equal(pack_builder_finish(b, &built.bytes, &built.dir, &built.name, &err), 0);
	return built;
}

static void built_free(struct built *built)
{
	buf_free(&built->bytes);
	pack_dir_free(&built->dir);
}

/* Opens entry e of a pack; the caller frees. */
static struct buf open_entry(const struct pack_dir *dir, size_t e, const struct buf *pack)
{
	const struct pack_entry *entry = &dir->entries[e];
	struct buf out = {0};
	struct err err = {0};
	uint8_t key[32];

	assert_true((uint64_t)entry->offset + entry->stored_bytes <= pack->len);
	assert_int_equal(slot_open(keys, &dir->slots[entry->slot], key, &err), 0);
	assert_int_equal(record_open(comp, key, entry->counter, keys->repo, domain, &entry->info,
				     pack->data + entry->offset, entry->stored_bytes, &out, &err),
			 0);
	return out;
}

static struct pack_dir decode(const struct buf *pack)
{
	struct pack_dir dir = {0};
	struct err err = {0};
	int rc = pack_front_dec(keys, pack->data, pack->len, pack->len, &dir, &err);

	if (rc)
		fail_msg("%s", err.text);
	return dir;
}

static int try_decode(const void *bytes, size_t len, uint64_t pack_bytes)
{
	struct pack_dir dir = {0};
	struct err err = {0};
	int rc = pack_front_dec(keys, bytes, len, pack_bytes, &dir, &err);

	if (rc) {
		assert_int_equal(rc, -err.code);
		assert_true(err.text[0] != '\0');
		assert_null(dir.entries);
	}
	pack_dir_free(&dir);
	return rc;
}

/* --- a pack that another program made --- */

static void a_known_pack_is_read(void **state)
{
	struct buf pack = vector_get("pack.txt", "pack"), body = vector_get("pack.txt", "body");
	struct buf table = vector_get("pack.txt", "table"), again = {0}, slots = {0};
	struct pack_dir dir = decode(&pack);
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
	first = open_entry(&dir, 2, &pack);
	assert_int_equal(first.len, 19);
	assert_memory_equal(first.data, "the first plaintext", 19);
	zs = open_entry(&dir, 4, &pack);
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
	struct pack_dir dir = decode(&pack);
	size_t front = dir.entries[0].offset;

	(void)state;
	for (size_t bit = 0; bit < front * 8; bit += bit < 8 * 200 ? 1 : 5) {
		pack.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_true(try_decode(pack.data, pack.len, pack.len) < 0);
		pack.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	pack_dir_free(&dir);
	buf_free(&pack);
}

static void any_truncation_is_refused(void **state)
{
	struct buf pack = vector_get("pack.txt", "pack");
	struct pack_dir dir = decode(&pack);
	const struct pack_entry *last = &dir.entries[dir.entry_count - 1];
	size_t front = dir.entries[0].offset, end = last->offset + last->stored_bytes;

	(void)state;
	for (size_t len = 0; len < front; len++)
		assert_int_equal(try_decode(pack.data, len, pack.len), -ERR_DAMAGED);
	assert_int_equal(try_decode(pack.data, front, pack.len), 0);
	assert_int_equal(try_decode(pack.data, front, end), 0);
	assert_int_equal(try_decode(pack.data, front, end - 1), -ERR_DAMAGED);
	assert_int_equal(try_decode(pack.data, front, front - 1), -ERR_DAMAGED);
	assert_int_equal(try_decode(pack.data, front, (uint64_t)LIMIT_PACK_BYTES + 1), -ERR_LIMIT);
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
	pack.data[10] ^= 1;
	assert_int_equal(try_decode(pack.data, pack.len, pack.len), -ERR_DAMAGED);
	buf_free(&pack);
}

/* --- the builder --- */

static void what_is_built_is_read(void **state)
{
	struct pack_builder *b = new_builder(12);
	struct built built;
	struct pack_dir dir;
	struct id digest;
	struct err err = {0};
	bool seen[40] = {false}, shuffled = false;

	(void)state;
	for (size_t n = 0; n < 40; n++)
		add(b, n, (uint8_t)(1 + n % 5));
	assert_int_equal(pack_builder_records(b), 40);
	built = finish(b);
	assert_int_equal(pack_builder_records(b), 0);
	dir = decode(&built.bytes);
	assert_int_equal(dir.entry_count, 40);
	assert_int_equal(built.dir.entry_count, 40);
	assert_int_equal(built.dir.slot_count, 2);
	assert_memory_equal(dir.sources[0].writer, keys->writer_pub, 32);
	assert_int_equal(dir.sources[0].sequence, 7);
	for (size_t e = 0; e < 40; e++) {
		struct buf got = open_entry(&built.dir, e, &built.bytes);
		size_t n = strtoul((char *)got.data + 19, NULL, 10);
		struct buf want = plain_of(n);

		assert_true(id_eq(&dir.entries[e].info.id, &built.dir.entries[e].info.id));
		assert_int_equal(dir.entries[e].offset, built.dir.entries[e].offset);
		assert_false(seen[n]);
		seen[n] = true;
		shuffled |= n != e;
		assert_int_equal(got.len, want.len);
		assert_memory_equal(got.data, want.data, want.len);
		buf_free(&got);
		buf_free(&want);
	}
	assert_true(shuffled);
	assert_int_equal(sha256_of(built.bytes.data, built.bytes.len, &digest, &err), 0);
	assert_true(id_eq(&digest, &built.name));
	pack_dir_free(&dir);
	built_free(&built);
	pack_builder_free(b);
}

/* The estimate is exact, the size a bucket, and out may hold other bytes before. */
static void sizes_are_buckets(void **state)
{
	const size_t counts[] = {1, 50, 63, 64, 300, 3000};

	(void)state;
	for (unsigned floor = 12; floor <= 20; floor += 4) {
		struct pack_builder *b = new_builder(floor);

		for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
			struct built built = {0};
			struct err err = {0};
			size_t bytes;

			for (size_t n = 0; n < counts[i]; n++)
				add(b, n, (uint8_t)(1 + n % 5));
			bytes = pack_builder_bytes(b);
			buf_put(&built.bytes, "front", 5);
			assert_int_equal(
			    pack_builder_finish(b, &built.bytes, &built.dir, &built.name, &err), 0);
			assert_int_equal(built.bytes.len, bytes + 5);
			assert_int_equal(bucket_bytes(bytes, floor), bytes);
			assert_int_equal(try_decode(built.bytes.data + 5, bytes, bytes), 0);
			built_free(&built);
		}
		pack_builder_free(b);
	}
}

static void without_read_records_there_is_one_slot(void **state)
{
	struct pack_builder *b = new_builder(12);
	struct built built;

	(void)state;
	add(b, 1, CHUNK_TREE_LIST);
	add(b, 2, CHUNK_LIST);
	built = finish(b);
	assert_int_equal(built.dir.slot_count, 1);
	assert_int_equal(built.dir.slots[0].recipient, SLOT_M);
	built_free(&built);
	add(b, 1, CHUNK_DATA);
	built = finish(b);
	assert_int_equal(built.dir.slot_count, 2);
	assert_int_equal(built.dir.slots[0].recipient, SLOT_M);
	assert_int_equal(built.dir.slots[1].recipient, SLOT_R);
	assert_int_equal(built.dir.entries[0].slot, 1);
	assert_int_equal(built.dir.entries[0].counter, 1);
	built_free(&built);
	pack_builder_free(b);
}

/* A key is for one pack: the same records twice share neither keys nor bytes. */
static void no_two_packs_are_alike(void **state)
{
	struct pack_builder *b = new_builder(12);
	struct built one, two;

	(void)state;
	add(b, 1, CHUNK_DATA);
	one = finish(b);
	add(b, 1, CHUNK_DATA);
	two = finish(b);
	assert_memory_not_equal(one.dir.slots[0].eph, two.dir.slots[0].eph, 32);
	assert_memory_not_equal(one.dir.slots[1].eph, two.dir.slots[1].eph, 32);
	assert_memory_not_equal(one.dir.slots[0].eph, one.dir.slots[1].eph, 32);
	assert_false(id_eq(&one.name, &two.name));
	built_free(&one);
	built_free(&two);
	pack_builder_free(b);
}

/* Maintenance moves sealed records with their slots into other packs; they open there as they are. */
static void a_moved_record_opens(void **state)
{
	struct pack_builder *b = new_builder(12);
	struct built from, to;
	struct slot slots[3];
	struct pack_dir moved = {.slots = slots, .slot_count = 3, .source_count = 1};
	struct pack_entry entry;
	struct buf body = {0}, got, pack = {0};
	struct pack_dir back = {.slots = slots, .slot_count = 3};
	struct err err = {0};
	struct rd r;

	(void)state;
	add(b, 4, CHUNK_DATA);
	from = finish(b);
	add(b, 5, CHUNK_TREE_BODY);
	to = finish(b);
	slots[0] = to.dir.slots[0];
	slots[1] = to.dir.slots[1];
	slots[2] = from.dir.slots[1];
	entry = from.dir.entries[0];
	entry.slot = 2;
	entry.offset = 9000;
	moved.sources = from.dir.sources;
	moved.entries = &entry;
	moved.entry_count = 1;
	pack_dir_put(&body, &moved);
	r = rd_of(body.data, body.len);
	assert_int_equal(pack_dir_get(&r, 16384, &back, &err), 0);
	buf_put_zeros(&pack, 9000);
	buf_put(&pack, from.bytes.data + from.dir.entries[0].offset, entry.stored_bytes);
	got = open_entry(&back, 0, &pack);
	assert_memory_equal(got.data, "plaintext of chunk 4 ", got.len);
	free(back.sources);
	free(back.entries);
	buf_free(&got);
	buf_free(&pack);
	buf_free(&body);
	built_free(&from);
	built_free(&to);
	pack_builder_free(b);
}

static void the_builder_refuses_nonsense(void **state)
{
	struct pack_builder *b = NULL;
	struct record_info info = {.kind = CHUNK_DATA, .plain_bytes = 5};
	struct built built = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(pack_builder_new(keys, 1, 11, &b, &err), -ERR_USAGE);
	assert_int_equal(pack_builder_new(keys, 1, 21, &b, &err), -ERR_USAGE);
	keys->has_writer = false;
	assert_int_equal(pack_builder_new(keys, 1, 12, &b, &err), -ERR_KEY);
	keys->has_writer = true;
	b = new_builder(12);
	assert_int_equal(pack_builder_finish(b, &built.bytes, &built.dir, &built.name, &err),
			 -ERR_USAGE);
	assert_int_equal(pack_builder_add(b, &info, "hell", 4, &err), -ERR_USAGE);
	info.kind = 9;
	assert_int_equal(pack_builder_add(b, &info, "hello", 5, &err), -ERR_USAGE);
	info.kind = CHUNK_DATA;
	info.codec = CODEC_ZSTD;
	assert_int_equal(pack_builder_add(b, &info, NULL, LIMIT_RECORD_BYTES, &err), -ERR_LIMIT);
	assert_int_equal(pack_builder_records(b), 0);
	pack_builder_free(b);
	pack_builder_free(NULL);
}

/* What it takes, it can finish, and readers accept it. */
static void a_full_pack_says_so(void **state)
{
	const size_t len = 7u << 20;
	struct record_info info = {.kind = CHUNK_DATA, .plain_bytes = (uint32_t)len};
	struct pack_builder *b = new_builder(12);
	uint8_t *bytes = calloc(1, len);
	struct err err = {0};
	struct built built;
	int rc = 0;

	(void)state;
	assert_non_null(bytes);
	for (uint8_t i = 1; i < 20 && rc == 0; i++) {
		info.id.b[0] = i;
		rc = pack_builder_add(b, &info, bytes, len, &err);
	}
	assert_int_equal(rc, -ERR_LIMIT);
	assert_int_equal(pack_builder_records(b), 8);
	built = finish(b);
	assert_int_equal(try_decode(built.bytes.data, built.bytes.len, built.bytes.len), 0);
	built_free(&built);
	pack_builder_free(b);
	free(bytes);
}

static void many_records_are_no_trouble(void **state)
{
	const uint32_t count = 100000;
	struct record_info info = {.kind = CHUNK_DATA, .plain_bytes = 4};
	struct pack_builder *b = new_builder(12);
	struct err err = {0};
	struct pack_dir dir;
	struct built built;

	(void)state;
	for (uint32_t i = 0; i < count; i++) {
		memcpy(info.id.b, &i, 4);
		assert_int_equal(pack_builder_add(b, &info, &i, 4, &err), 0);
	}
	built = finish(b);
	dir = decode(&built.bytes);
	assert_int_equal(dir.entry_count, count);
	pack_dir_free(&dir);
	built_free(&built);
	pack_builder_free(b);
}

static void who_may_not_read_is_told(void **state)
{
	struct buf pack = vector_get("pack.txt", "pack");

	(void)state;
	keys->has_maint_secret = false;
	assert_int_equal(try_decode(pack.data, pack.len, pack.len), -ERR_KEY);
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
	rc = try_decode(front.data, front.len, pack->len);
	buf_free(&front);
	return rc;
}

static void hostile_fronts_are_refused(void **state)
{
	struct buf pack = vector_get("pack.txt", "pack"), body = vector_get("pack.txt", "body");
	struct buf key = vector_get("pack.txt", "m_key");
	struct pack_dir dir = decode(&pack);
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
	    cmocka_unit_test(what_is_built_is_read),
	    cmocka_unit_test(sizes_are_buckets),
	    cmocka_unit_test(without_read_records_there_is_one_slot),
	    cmocka_unit_test(no_two_packs_are_alike),
	    cmocka_unit_test(a_moved_record_opens),
	    cmocka_unit_test(the_builder_refuses_nonsense),
	    cmocka_unit_test(a_full_pack_says_so),
	    cmocka_unit_test(many_records_are_no_trouble),
	    cmocka_unit_test(who_may_not_read_is_told),
	    cmocka_unit_test(hostile_entries_are_refused),
	    cmocka_unit_test(every_cut_of_a_body_is_refused),
	    cmocka_unit_test(hostile_fronts_are_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
