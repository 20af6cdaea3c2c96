#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "core/indexseg.h"
#include "core/pack.h"
#include "core/sha256.h"
#include "tests/support/packs.h"
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
	struct record_info info = {.kind = kind, .plain_bytes = (uint32_t)plain.len, .lineage = 3};
	struct err err = {0};

	assert_int_equal(record_id(domain, kind, plain.data, plain.len, &info.id, &err), 0);
	assert_int_equal(comp_put(comp, 0, plain.data, plain.len, &packed, &info.codec, &err), 0);
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
	dir = packs_dec(keys, &built.bytes);
	assert_int_equal(dir.entry_count, 40);
	assert_int_equal(built.dir.entry_count, 40);
	assert_int_equal(built.dir.slot_count, 2);
	assert_memory_equal(dir.sources[0].writer, keys->writer_pub, 32);
	assert_int_equal(dir.sources[0].sequence, 7);
	for (size_t e = 0; e < 40; e++) {
		struct buf got = packs_open(keys, comp, &built.dir, e, &built.bytes);
		size_t n = strtoul((char *)got.data + 19, NULL, 10);
		struct buf want = plain_of(n);

		assert_true(id_eq(&dir.entries[e].info.id, &built.dir.entries[e].info.id));
		assert_int_equal(dir.entries[e].offset, built.dir.entries[e].offset);
		assert_int_equal(dir.entries[e].counter, built.dir.entries[e].counter);
		assert_int_equal(dir.entries[e].info.chain_bytes, dir.entries[e].stored_bytes);
		assert_int_equal(built.dir.entries[e].info.chain_bytes,
				 dir.entries[e].stored_bytes);
		assert_int_equal(built.dir.entries[e].info.lineage, 0);
		assert_false(seen[n]);
		seen[n] = true;
		shuffled |= n != e;
		assert_int_equal(got.len, want.len);
		assert_memory_equal(got.data, want.data, want.len);
		buf_free(&got);
		buf_free(&want);
	}
	assert_true(shuffled);
	packs_expect_random_fill(&built.bytes, &built.dir);
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
			assert_int_equal(packs_try(keys, built.bytes.data + 5, bytes, bytes), 0);
			built_free(&built);
		}
		pack_builder_free(b);
	}
}

/* Base ids make a directory longer, here beyond one bucket. */
static void deltas_are_listed(void **state)
{
	struct record_info info = {.kind = CHUNK_DATA,
				   .codec = CODEC_DELTA,
				   .depth = 2,
				   .base_count = 3,
				   .bases = {{{0, 1}}, {{0, 2}}, {{0, 3}}},
				   .lineage = 5,
				   .chain_bytes = 27};
	struct pack_builder *b = new_builder(12);
	struct err err = {0};
	struct built built;
	struct pack_dir dir;

	(void)state;
	for (uint8_t i = 1; i <= 60; i++) {
		info.id.b[0] = i;
		assert_int_equal(pack_builder_add(b, &info, "delta", 5, &err), 0);
	}
	built = finish(b);
	dir = packs_dec(keys, &built.bytes);
	assert_int_equal(dir.entry_count, 60);
	assert_true(dir.entries[0].offset > 60 * 4 * ID_BYTES);
	assert_int_equal(dir.entries[59].info.base_count, 3);
	assert_memory_equal(dir.entries[59].info.bases, info.bases, 3 * ID_BYTES);
	assert_int_equal(dir.entries[59].info.lineage, 5);
	assert_int_equal(dir.entries[59].info.chain_bytes, 27);
	pack_dir_free(&dir);
	built_free(&built);
	pack_builder_free(b);
}

/* A night's deltas: the sizes of the pack and of the segment that lists it. */
static void check_night(unsigned records, size_t want_pack, size_t want_segment)
{
	const uint8_t compressed[60] = {0};
	struct record_info info = {.kind = CHUNK_DATA,
				   .codec = CODEC_DELTA,
				   .depth = 3,
				   .base_count = 1,
				   .plain_bytes = 70000,
				   .lineage = 11,
				   .chain_bytes = 30000};
	struct pack_builder *b = new_builder(12);
	struct indexseg_pack pack = {0};
	struct buf segment = {0};
	struct err err = {0};
	struct built built;

	for (unsigned i = 0; i < records; i++) {
		randombytes_buf(&info.id, sizeof(info.id));
		randombytes_buf(&info.bases[0], sizeof(info.bases[0]));
		assert_int_equal(pack_builder_add(b, &info, compressed, sizeof(compressed), &err),
				 0);
	}
	built = finish(b);
	pack = (struct indexseg_pack){built.name, built.bytes.len, built.dir};
	assert_int_equal(indexseg_enc(keys, 0, &pack, 1, 12, &segment, &err), 0);
	assert_int_equal(built.bytes.len, want_pack);
	assert_int_equal(segment.len, want_segment);
	buf_free(&segment);
	built_free(&built);
	pack_builder_free(b);
}

/* 42 bytes and the base's id for each: what FORMAT.md §5 promises of directories. */
static void a_quiet_night_is_small(void **state)
{
	(void)state;
	check_night(24, 4096, 4096);
	check_night(40, 8192, 4096);
	check_night(48, 8192, 4096);
	check_night(49, 8192, 4096 + 256);
}

/* The tail is a function of the bucket, and what is there without it is there with it. */
static void parity_comes_on_top(void **state)
{
	static const size_t counts[] = {1, 50, 3000};
	unsigned whole_cuts = 0;

	(void)state;
	for (unsigned level = 0; level <= 4; level += 2) {
		for (size_t i = 0; i < 3; i++) {
			struct pack_builder *b = new_builder(i == 2 ? 16 : 12);
			struct pack_head head;
			struct built built;
			struct pack_dir dir;
			struct err err = {0};
			size_t body;

			pack_builder_set_parity(b, level);
			for (size_t n = 0; n < counts[i]; n++)
				add(b, n, (uint8_t)(1 + n % 5));
			body = pack_builder_bytes(b);
			built = finish(b);
			assert_int_equal(built.bytes.len, pack_bytes_with_parity(level, body));
			assert_int_equal(
			    pack_head_get(built.bytes.data, PACK_HEAD_BYTES, &head, &err), 0);
			assert_int_equal(head.parity_kind, parity_kind_of(level, body));
			assert_int_equal(head.parity_bytes, built.bytes.len - body);
			dir = packs_dec(keys, &built.bytes);
			assert_int_equal(dir.entry_count, counts[i]);
			pack_dir_free(&dir);
			/* Cut to another length the tail does not fit; by whole blocks it may, where its own is the same for fewer. */
			for (size_t cut = 1; level && cut <= 4096; cut += 4095) {
				bool fits =
				    cut == 4096 && pack_bytes_with_parity(level, body - cut) ==
						       built.bytes.len - cut;
				int r = pack_front_dec(keys, built.bytes.data,
						       (size_t)pack_front_bytes(&head),
						       built.bytes.len - cut, &dir, &err);

				assert_int_equal(r, fits ? 0 : -ERR_DAMAGED);
				whole_cuts += fits;
				if (!r)
					pack_dir_free(&dir);
			}
			built_free(&built);
			pack_builder_free(b);
		}
	}
	assert_int_equal(whole_cuts, 2); /* of the second size, of both levels */
}

static void a_tail_that_cannot_be_is_refused(void **state)
{
	static const struct {
		uint8_t kind;
		uint32_t bytes;
	} wrong[] = {{0, 4096}, {1, 0}, {2, 0}, {3, 4144}, {5, 4144}, {1, (64u << 20) + 1}};
	struct pack_builder *b = new_builder(12);
	struct pack_head head;
	struct built built;
	struct err err = {0};

	(void)state;
	pack_builder_set_parity(b, 2);
	add(b, 1, 1);
	built = finish(b);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		built.bytes.data[30] = wrong[i].kind;
		for (size_t k = 0; k < 4; k++)
			built.bytes.data[32 + k] = (uint8_t)(wrong[i].bytes >> 8 * k);
		assert_int_equal(pack_head_get(built.bytes.data, PACK_HEAD_BYTES, &head, &err),
				 -ERR_DAMAGED);
	}
	assert_int_equal(pack_bytes_with_parity(2, 63u << 20), UINT64_MAX);
	assert_int_equal(pack_bytes_with_parity(0, 64u << 20), 64u << 20);
	assert_int_equal(pack_bytes_with_parity(0, (64u << 20) + 4096), UINT64_MAX);
	built_free(&built);
	pack_builder_free(b);
}

static void a_finished_builder_is_empty(void **state)
{
	struct record_info info = {.kind = CHUNK_DATA, .plain_bytes = 1u << 20};
	struct pack_builder *b = new_builder(12);
	size_t empty = pack_builder_bytes(b);
	uint8_t *bytes = calloc(1, 1u << 20);
	struct err err = {0};
	struct built built;

	(void)state;
	assert_non_null(bytes);
	assert_int_equal(pack_builder_add(b, &info, bytes, 1u << 20, &err), 0);
	assert_true(pack_builder_bytes(b) > 1u << 20);
	built = finish(b);
	assert_int_equal(pack_builder_bytes(b), empty);
	built_free(&built);
	pack_builder_free(b);
	free(bytes);
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
	moved.sources = from.dir.sources;
	moved.entries = &entry;
	moved.entry_count = 1;
	pack_dir_put(&body, &moved);
	r = rd_of(body.data, body.len);
	assert_int_equal(pack_dir_get(&r, 16384, &back, &err), 0);
	assert_int_equal(back.entries[0].slot, 2);
	buf_put_zeros(&pack, back.entries[0].offset);
	buf_put(&pack, from.bytes.data + from.dir.entries[0].offset, entry.stored_bytes);
	got = packs_open(keys, comp, &back, 0, &pack);
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
	info.codec = CODEC_DELTA;
	info.depth = info.base_count = 1;
	info.bases[0].b[0] = 1;
	info.chain_bytes = 20;
	assert_int_equal(pack_builder_add(b, &info, "delta", 5, &err), -ERR_USAGE);
	assert_int_equal(pack_builder_records(b), 0);
	info.chain_bytes = 21;
	assert_int_equal(pack_builder_add(b, &info, "delta", 5, &err), 0);
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
	assert_int_equal(pack_builder_records(b), 9);
	built = finish(b);
	assert_int_equal(built.bytes.len, LIMIT_PACK_BYTES);
	assert_int_equal(packs_try(keys, built.bytes.data, built.bytes.len, built.bytes.len), 0);
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
	dir = packs_dec(keys, &built.bytes);
	assert_int_equal(dir.entry_count, count);
	pack_dir_free(&dir);
	built_free(&built);
	pack_builder_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_built_is_read),
	    cmocka_unit_test(sizes_are_buckets),
	    cmocka_unit_test(deltas_are_listed),
	    cmocka_unit_test(a_quiet_night_is_small),
	    cmocka_unit_test(parity_comes_on_top),
	    cmocka_unit_test(a_tail_that_cannot_be_is_refused),
	    cmocka_unit_test(a_finished_builder_is_empty),
	    cmocka_unit_test(without_read_records_there_is_one_slot),
	    cmocka_unit_test(no_two_packs_are_alike),
	    cmocka_unit_test(a_moved_record_opens),
	    cmocka_unit_test(the_builder_refuses_nonsense),
	    cmocka_unit_test(a_full_pack_says_so),
	    cmocka_unit_test(many_records_are_no_trouble),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
