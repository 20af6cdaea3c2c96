#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/indexseg.h"
#include "core/pack_move.h"
#include "core/sha256.h"
#include "tests/support/packs.h"
#include "tests/support/vector.h"

static struct keys *keys, *maintain;
static struct comp *comp;
static const struct domain_keys *domain;

static int setup(void **state)
{
	struct err err = {0};

	(void)state;
	keys = vector_keys();
	/* As a maintenance key is: M and G, no writer, no domain, no R. */
	maintain = vector_keys();
	maintain->role = ROLE_MAINTAIN;
	maintain->has_master = maintain->has_writer = false;
	maintain->domain_count = 0;
	maintain->epoch_count = 0;
	memset(maintain->master, 0, sizeof(maintain->master));
	domain = keys_domain(keys, 0, &err);
	return domain ? comp_new(0, &comp, &err) : -1;
}

static int teardown(void **state)
{
	(void)state;
	keys_free(keys);
	keys_free(maintain);
	comp_free(comp);
	return 0;
}

struct pack {
	struct buf bytes;
	struct pack_dir dir;
	struct id name;
};

static void pack_free(struct pack *p)
{
	buf_free(&p->bytes);
	pack_dir_free(&p->dir);
}

/* Chunks first…first + count − 1 of all kinds. */
static struct pack build(size_t first, size_t count, uint64_t sequence)
{
	struct pack_builder *b = NULL;
	struct pack p = {0};
	struct err err = {0};

	assert_int_equal(pack_builder_new(keys, sequence, 12, &b, &err), 0);
	for (size_t n = first; n < first + count; n++) {
		struct record_info info = {.kind = (uint8_t)(1 + n % 5), .codec = CODEC_RAW};
		char plain[300];

		memset(plain, (int)('a' + n % 26), sizeof(plain));
		info.plain_bytes = (uint32_t)snprintf(plain, sizeof(plain), "chunk %zu", n) + 200;
		assert_int_equal(
		    record_id(domain, info.kind, plain, info.plain_bytes, &info.id, &err), 0);
		assert_int_equal(pack_builder_add(b, &info, plain, info.plain_bytes, &err), 0);
	}
	assert_int_equal(pack_builder_finish(b, &p.bytes, &p.dir, &p.name, &err), 0);
	pack_builder_free(b);
	return p;
}

static struct pack_mover *new_mover(void)
{
	struct pack_mover *m = NULL;
	struct err err = {0};

	assert_int_equal(pack_mover_new(maintain, 0, 12, &m, &err), 0);
	return m;
}

static struct pack_moved record_of(const struct pack *from, size_t e)
{
	const struct pack_entry *entry = &from->dir.entries[e];

	return (struct pack_moved){
	    .info = entry->info,
	    .slot = &from->dir.slots[entry->slot],
	    .source = &from->dir.sources[entry->source],
	    .counter = entry->counter,
	    .sealed = from->bytes.data + entry->offset,
	    .sealed_bytes = entry->stored_bytes,
	};
}

static int move(struct pack_mover *m, const struct pack *from, size_t e)
{
	const struct pack_moved record = record_of(from, e);
	struct err err = {0};

	return pack_mover_add(m, &record, &err);
}

static struct pack finish(struct pack_mover *m)
{
	struct pack p = {0};
	struct id digest;
	struct err err = {0};

	assert_int_equal(pack_mover_finish(m, &p.bytes, &p.dir, &p.name, &err), 0);
	assert_int_equal(sha256_of(p.bytes.data, p.bytes.len, &digest, &err), 0);
	assert_true(id_eq(&digest, &p.name));
	assert_int_equal(bucket_bytes(p.bytes.len, 12), p.bytes.len);
	assert_int_equal(pack_mover_records(m), 0);
	return p;
}

static const struct pack_entry *find(const struct pack_dir *dir, const struct id *id)
{
	for (size_t i = 0; i < dir->entry_count; i++) {
		if (id_eq(&dir->entries[i].info.id, id))
			return &dir->entries[i];
	}
	return NULL;
}

/* The record is there under the same key, counter and source, opens, and gives what it gave; the directory says so by itself, too. */
static void assert_moved(const struct pack *to, const struct pack *from, size_t e)
{
	struct pack_dir dir = packs_dec(maintain, &to->bytes);
	const struct pack_entry *was = &from->dir.entries[e], *is = find(&dir, &was->info.id);
	const struct pack_entry *told = find(&to->dir, &was->info.id);
	struct buf before = packs_open(keys, comp, &from->dir, e, &from->bytes), after;

	assert_true(is && told);
	assert_int_equal(is->offset, told->offset);
	assert_int_equal(is->slot, told->slot);
	assert_int_equal(is->counter, was->counter);
	assert_memory_equal(dir.slots[is->slot].eph, from->dir.slots[was->slot].eph, 32);
	assert_int_equal(dir.sources[is->source].sequence, from->dir.sources[was->source].sequence);
	assert_memory_equal(to->bytes.data + is->offset, from->bytes.data + was->offset,
			    was->stored_bytes);
	after = packs_open(keys, comp, &dir, (size_t)(is - dir.entries), &to->bytes);
	assert_int_equal(before.len, after.len);
	assert_memory_equal(before.data, after.data, before.len);
	buf_free(&before);
	buf_free(&after);
	pack_dir_free(&dir);
}

static void what_is_moved_opens(void **state)
{
	struct pack a = build(0, 20, 7), b = build(20, 20, 8), moved, again;
	struct pack_mover *m = new_mover();
	bool in_order = true;

	(void)state;
	for (size_t i = 0; i < 20; i += 2) {
		assert_int_equal(move(m, &a, i), 0);
		assert_int_equal(move(m, &b, i), 0);
	}
	assert_int_equal(pack_mover_records(m), 20);
	assert_true(pack_mover_bytes(m) >= 4096);
	moved = finish(m);
	packs_expect_random_fill(&moved.bytes, &moved.dir);
	assert_int_equal(moved.dir.source_count, 2);
	for (size_t i = 0; i < 20; i += 2) {
		in_order &=
		    find(&moved.dir, &a.dir.entries[i].info.id) == &moved.dir.entries[i] &&
		    find(&moved.dir, &b.dir.entries[i].info.id) == &moved.dir.entries[i + 1];
		assert_moved(&moved, &a, i);
		assert_moved(&moved, &b, i);
		assert_null(find(&moved.dir, &a.dir.entries[i + 1].info.id));
	}
	assert_false(in_order);
	/* And moved once more, beside one that was not. */
	for (size_t i = 0; i < 20; i += 3)
		assert_int_equal(move(m, &moved, i), 0);
	assert_int_equal(move(m, &a, 1), 0);
	again = finish(m);
	for (size_t i = 0; i < 20; i += 3)
		assert_moved(&again, &moved, i);
	assert_moved(&again, &a, 1);
	pack_free(&a);
	pack_free(&b);
	pack_free(&moved);
	pack_free(&again);
	pack_mover_free(m);
}

/* Two records of one key and counter would be refused by every reader. */
static void the_same_record_is_moved_once(void **state)
{
	struct pack a = build(0, 6, 7), copy, both;
	struct pack_mover *m = new_mover();

	(void)state;
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(move(m, &a, i), 0);
	copy = finish(m);
	for (size_t i = 0; i < 6; i++) {
		assert_int_equal(move(m, &a, i), 0);
		assert_int_equal(move(m, &copy, i), 0);
	}
	assert_int_equal(pack_mover_records(m), 6);
	both = finish(m);
	for (size_t i = 0; i < 6; i++)
		assert_moved(&both, &a, i);
	pack_free(&a);
	pack_free(&copy);
	pack_free(&both);
	pack_mover_free(m);
}

/* Nor is another the same that only claims its key and counter. */
static void another_of_its_counter_is_refused(void **state)
{
	struct pack a = build(0, 2, 7);
	struct pack_mover *m = new_mover();
	struct pack_moved lies[7];
	struct err err = {0};

	(void)state;
	assert_int_equal(move(m, &a, 0), 0);
	for (size_t i = 0; i < 7; i++)
		lies[i] = record_of(&a, 0);
	lies[0].info.kind = lies[0].info.kind == CHUNK_TREE_LIST ? CHUNK_DATA : CHUNK_TREE_LIST;
	lies[1].info.id.b[0] ^= 1;
	lies[2].info.codec ^= 1;
	lies[3].info.depth++;
	lies[4].info.plain_bytes++;
	lies[5].sealed_bytes--;
	lies[6].sealed++;
	for (size_t i = 0; i < 7; i++)
		assert_int_equal(pack_mover_add(m, &lies[i], &err), -ERR_LIMIT);
	assert_int_equal(pack_mover_records(m), 1);
	pack_free(&a);
	pack_mover_free(m);
}

static void what_does_not_belong_is_refused(void **state)
{
	struct pack a = build(0, 3, 7), empty = {0};
	struct pack_mover *m = NULL;
	struct err err = {0};

	(void)state;
	assert_int_equal(pack_mover_new(maintain, 1, 12, &m, &err), 0);
	assert_int_equal(move(m, &a, 0), -ERR_USAGE);
	assert_int_equal(pack_mover_finish(m, &empty.bytes, &empty.dir, &empty.name, &err),
			 -ERR_USAGE);
	pack_mover_free(m);
	keys->has_gc_secret = false;
	assert_int_equal(pack_mover_new(keys, 0, 12, &m, &err), -ERR_KEY);
	keys->has_gc_secret = true;
	pack_free(&a);
}

/* Full: what was gathered stays, and goes on in the next pack. */
static void a_full_pack_says_so(void **state)
{
	static uint8_t big[4 << 20];
	struct pack a = build(0, 1, 7), p;
	struct pack_moved record = {.info = a.dir.entries[0].info,
				    .slot = &a.dir.slots[a.dir.entries[0].slot],
				    .source = &a.dir.sources[0],
				    .sealed = big,
				    .sealed_bytes = sizeof(big)};
	struct pack_mover *m = new_mover();
	struct err err = {0};
	uint32_t n = 0;
	int r = 0;

	(void)state;
	record.info.codec = CODEC_ZSTD;
	while (!r && n < 100) {
		record.counter = ++n;
		r = pack_mover_add(m, &record, &err);
	}
	assert_int_equal(r, -ERR_LIMIT);
	assert_int_equal(pack_mover_records(m), n - 1);
	assert_true(n > 14);
	p = finish(m);
	assert_int_equal(p.dir.entry_count, n - 1);
	assert_int_equal(pack_mover_add(m, &record, &err), 0);
	pack_free(&a);
	pack_free(&p);
	pack_mover_free(m);
}

/* --- the segment that names it --- */

static struct indexseg segment_of(struct keys *by, const struct buf *bytes)
{
	struct indexseg seg = {0};
	struct err err = {0};

	if (indexseg_dec(by, bytes->data, bytes->len, &seg, &err))
		fail_msg("%s", err.text);
	return seg;
}

static struct keys *write_keys(void)
{
	struct keys *k = vector_keys();

	k->role = ROLE_WRITE;
	k->has_master = k->has_maint_secret = k->has_gc_secret = false;
	memset(k->master, 0, sizeof(k->master));
	return k;
}

/* G borrows a writer's key, and one that was borrowed; M and the domain both open what it makes. */
static void a_segment_of_g_is_read_by_all(void **state)
{
	struct pack a = build(0, 9, 7);
	struct indexseg_pack pack = {.name = a.name, .pack_bytes = a.bytes.len, .dir = a.dir};
	struct keys *write = write_keys(), *readers[2] = {maintain, write};
	struct buf donor = {0}, segments[2] = {{0}, {0}};
	struct indexseg seg;
	struct err err = {0};

	(void)state;
	assert_int_equal(indexseg_enc(keys, 0, &pack, 1, 12, &donor, &err), 0);
	seg = segment_of(maintain, &donor);
	for (size_t i = 0; i < 2; i++) {
		struct indexseg_wrap wrap = seg.wrap;

		indexseg_free(&seg);
		assert_int_equal(
		    indexseg_enc_gc(maintain, 0, &wrap, &pack, 1, 12, &segments[i], &err), 0);
		seg = segment_of(maintain, &segments[i]);
		assert_memory_equal(&seg.wrap, &wrap, sizeof(wrap));
	}
	indexseg_free(&seg);
	for (size_t i = 0; i < 2; i++) {
		for (size_t k = 0; k < 2; k++) {
			seg = segment_of(readers[k], &segments[i]);
			assert_int_equal(seg.kind, 2);
			assert_memory_equal(seg.signer, keys->gc_pub, 32);
			assert_int_equal(seg.pack_count, 1);
			assert_true(id_eq(&seg.packs[0].name, &a.name));
			assert_int_equal(seg.packs[0].dir.entry_count, 9);
			indexseg_free(&seg);
		}
		for (size_t at = 0; at < segments[i].len; at += 7) {
			segments[i].data[at] ^= 4;
			assert_true(indexseg_dec(maintain, segments[i].data, segments[i].len, &seg,
						 &err) < 0);
			segments[i].data[at] ^= 4;
		}
		for (size_t len = 0; len < segments[i].len; len += 5)
			assert_int_equal(indexseg_dec(maintain, segments[i].data, len, &seg, &err),
					 -ERR_DAMAGED);
		buf_free(&segments[i]);
	}
	assert_int_equal(indexseg_enc_gc(write, 0, &(struct indexseg_wrap){{0}, {0}, {0}, {0}},
					 &pack, 1, 12, &segments[0], &err),
			 -ERR_KEY);
	buf_free(&donor);
	pack_free(&a);
	keys_free(write);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_moved_opens),
	    cmocka_unit_test(the_same_record_is_moved_once),
	    cmocka_unit_test(another_of_its_counter_is_refused),
	    cmocka_unit_test(what_does_not_belong_is_refused),
	    cmocka_unit_test(a_full_pack_says_so),
	    cmocka_unit_test(a_segment_of_g_is_read_by_all),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
