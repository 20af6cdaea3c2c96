/* Where chunks lie, from many segments, of which some are bad; and the reader, which lives on it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/indexseg.h"
#include "repo/packer.h"
#include "repo/reader.h"
#include "tests/support/must.h"
#include "tests/support/repo_case.h"

static struct id number(uint64_t n)
{
	struct id id;

	repo_case_bytes(n * 131 + 7, id.b, sizeof(id.b));
	return id;
}

static int add_pack(struct index *index, uint64_t name, uint64_t first, size_t count,
		    struct err *err)
{
	struct pack_entry *entries = calloc(count ? count : 1, sizeof(*entries));
	struct slot slot = {.recipient = SLOT_M};
	struct pack_dir dir = {
	    .entries = entries, .entry_count = count, .slots = &slot, .slot_count = 1};
	struct id id = number(1000000 + name);
	int r;

	assert_non_null(entries);
	for (size_t i = 0; i < count; i++) {
		entries[i].info.id = number(first + i);
		entries[i].info.kind = CHUNK_DATA;
		entries[i].offset = (uint32_t)(i * 10);
		entries[i].stored_bytes = 10;
		entries[i].counter = (uint32_t)i + 1;
	}
	r = index_add_pack(index, &id, 4096, &dir, err);
	free(entries);
	return r;
}

static void test_many_chunks(void **state)
{
	struct index *index = NULL;
	struct err err = {0};
	struct id id = number(0);

	(void)state;
	MUST(index_new(&index, &err), &err);
	assert_int_equal(index_find(index, CHUNK_DATA, &id), INDEX_NONE);
	assert_int_equal(index_find_pack(index, &id), INDEX_NONE);
	for (uint64_t p = 0; p < 200; p++)
		MUST(add_pack(index, p, p * 1000, 1000, &err), &err);
	for (uint64_t n = 0; n < 200000; n++) {
		uint32_t at;

		id = number(n);
		at = index_find(index, CHUNK_DATA, &id);
		assert_true(at != INDEX_NONE);
		assert_true(id_eq(&index->places[at].info.id, &id));
		assert_int_equal(index->places[at].pack, n / 1000);
		assert_int_equal(index->places[at].offset, n % 1000 * 10);
		assert_int_equal(index->places[at].next, INDEX_NONE);
		assert_int_equal(at, index->packs[n / 1000].first_place + n % 1000);
	}
	for (uint64_t n = 200000; n < 210000; n++) {
		id = number(n);
		assert_int_equal(index_find(index, CHUNK_DATA, &id), INDEX_NONE);
	}
	id = number(5);
	assert_int_equal(index_find(index, CHUNK_TREE_LIST, &id), INDEX_NONE);
	for (uint64_t p = 0; p < 200; p++) {
		id = number(1000000 + p);
		assert_int_equal(index_find_pack(index, &id), p);
	}
	id = number(5);
	assert_int_equal(index_find_pack(index, &id), INDEX_NONE);
	index_free(index);
	index_free(NULL);
}

static void test_several_places(void **state)
{
	struct index *index = NULL;
	struct err err = {0};
	struct id id = number(5);
	unsigned places = 0;

	(void)state;
	MUST(index_new(&index, &err), &err);
	for (uint64_t p = 0; p < 3; p++)
		MUST(add_pack(index, p, 0, 10, &err), &err);
	MUST(add_pack(index, 1, 0, 10, &err), &err); /* there already */
	assert_int_equal(index->pack_count, 3);
	for (uint32_t at = index_find(index, CHUNK_DATA, &id); at != INDEX_NONE;
	     at = index->places[at].next)
		places |= 1u << index->places[at].pack;
	assert_int_equal(places, 7);
	for (unsigned left = 3; left > 0; left--) {
		uint32_t at = index_find_good(index, CHUNK_DATA, &id);

		assert_true(at != INDEX_NONE);
		if (left == 2)
			index_mark_pack(index, index->places[at].pack);
		else
			index_mark_place(index, at);
	}
	assert_int_equal(index_find_good(index, CHUNK_DATA, &id), INDEX_NONE);
	assert_true(index_find(index, CHUNK_DATA, &id) != INDEX_NONE);
	id = number(6);
	assert_true(index_find_good(index, CHUNK_DATA, &id) != INDEX_NONE);
	index_free(index);
}

static void test_pack_without_chunks(void **state)
{
	struct pack_dir none = {0};
	struct index *index = NULL;
	struct err err = {0};
	struct id id = number(1);

	(void)state;
	MUST(index_new(&index, &err), &err);
	MUST(index_add_pack(index, &id, 4096, &none, &err), &err);
	assert_int_equal(index_find_pack(index, &id), 0);
	assert_int_equal(index->packs[0].place_count, 0);
	index_free(index);
}

/* --- segments of a repository --- */

#define CHUNKS 12

/* Three runs of four chunks, each with a pack and a segment of its own. */
static void fill(struct repo_case *c, struct id ids[CHUNKS])
{
	for (uint64_t n = 0; n < CHUNKS; n += 4) {
		struct index *index = repo_case_index(c);
		struct packer *p = NULL;

		MUST(packer_new(c->repo, index,
				&(struct packer_options){.sequence = 1, .dry_run = false}, &p,
				&c->err),
		     &c->err);
		for (uint64_t k = n; k < n + 4; k++) {
			uint8_t *block = repo_case_block(k, 3000);

			MUST(packer_add(p, CHUNK_DATA, block, 3000, &ids[k], &c->err), &c->err);
			free(block);
		}
		MUST(packer_finish(p, &c->err), &c->err);
		packer_free(p);
		index_free(index);
	}
}

struct bad {
	unsigned count;
	struct id last;
	struct err why;
};

static void on_bad(void *arg, const struct id *segment, const struct err *why)
{
	struct bad *bad = arg;

	bad->count++;
	bad->last = *segment;
	bad->why = *why;
}

static size_t known(struct repo_case *c, const struct id ids[CHUNKS], struct bad *bad)
{
	struct index *index = NULL;
	size_t found = 0;

	*bad = (struct bad){0};
	c->err = (struct err){0};
	MUST(index_load(c->repo, on_bad, bad, &index, &c->err), &c->err);
	assert_int_equal(c->err.code, 0);
	for (size_t i = 0; i < CHUNKS; i++)
		found += index_find_good(index, CHUNK_DATA, &ids[i]) != INDEX_NONE;
	index_free(index);
	return found;
}

static void test_damaged_segments(void **state)
{
	struct repo_case *c = *state;
	struct id ids[CHUNKS], *names = NULL;
	size_t count = 0;
	struct bad bad;

	fill(c, ids);
	assert_int_equal(known(c, ids, &bad), CHUNKS);
	assert_int_equal(bad.count, 0);
	MUST(repo_list(c->inner, STORE_INDEX, &names, NULL, &count, &c->err), &c->err);
	assert_int_equal(count, 3);
	for (size_t i = 0; i < count; i++) {
		struct buf whole = repo_case_get(c->inner, STORE_INDEX, &names[i]);
		const size_t at[] = {0, 4, 9, 30, 60, 200, whole.len / 2, whole.len - 1};

		for (size_t k = 0; k < sizeof(at) / sizeof(*at); k++) {
			repo_case_flip(c->inner, STORE_INDEX, &names[i], at[k], k % 8);
			assert_int_equal(known(c, ids, &bad), CHUNKS - 4);
			assert_int_equal(bad.count, 1);
			assert_true(id_eq(&bad.last, &names[i]));
			assert_int_equal(bad.why.code, ERR_DAMAGED);
			repo_case_flip(c->inner, STORE_INDEX, &names[i], at[k], k % 8);
		}
		repo_case_replace(c->inner, STORE_INDEX, &names[i], whole.data, whole.len / 2);
		assert_int_equal(known(c, ids, &bad), CHUNKS - 4);
		repo_case_replace(c->inner, STORE_INDEX, &names[i], whole.data, whole.len);
		buf_free(&whole);
	}
	assert_int_equal(known(c, ids, &bad), CHUNKS);
	store_fault_arm(c->fault, &(struct store_fault_plan){
				      .kind = FAULT_BEFORE, .at = 2, .ops = FAULT_OP(FAULT_GET)});
	assert_int_equal(known(c, ids, &bad), CHUNKS - 4);
	assert_int_equal(bad.why.code, ERR_IO);
	free(names);
}

/* Segments that are whole, and named by their bytes, but not signed by anybody who may write here. */
static void test_foreign_segments(void **state)
{
	struct repo_case *c = *state;
	struct indexseg_pack pack = {.name = number(1), .pack_bytes = 65536};
	struct slot slot = {.recipient = SLOT_M};
	struct buf object = {0};
	struct keys *keys = NULL, *stranger = NULL;
	struct id ids[CHUNKS], name;
	struct bad bad;

	fill(c, ids);
	pack.dir.slots = &slot;
	pack.dir.slot_count = 1;
	/* Right keys, but a writer that no roster names. */
	MUST(keys_from_master(c->repo->conf.repo, c->repo->keys->master, &keys, &c->err), &c->err);
	MUST(keys_use_host(keys, "unknown", &c->err), &c->err);
	MUST(indexseg_enc(keys, 0, &pack, 1, 12, &object, &c->err), &c->err);
	MUST(repo_put(c->repo, STORE_INDEX, &object, &name, &c->err), &c->err);
	assert_int_equal(known(c, ids, &bad), CHUNKS);
	assert_int_equal(bad.count, 1);
	assert_true(id_eq(&bad.last, &name));
	assert_non_null(strstr(bad.why.text, "roster"));
	/* Of another repository. */
	MUST(repo_new_keys(&stranger, &c->err), &c->err);
	MUST(keys_use_host(stranger, REPO_CASE_HOST, &c->err), &c->err);
	buf_reset(&object);
	MUST(indexseg_enc(stranger, 0, &pack, 1, 12, &object, &c->err), &c->err);
	MUST(repo_put(c->repo, STORE_INDEX, &object, NULL, &c->err), &c->err);
	assert_int_equal(known(c, ids, &bad), CHUNKS);
	assert_int_equal(bad.count, 2);
	keys_free(keys);
	keys_free(stranger);
	buf_free(&object);
}

static void test_list_fails(void **state)
{
	struct repo_case *c = *state;
	struct index *index = NULL;

	store_fault_arm(c->fault, &(struct store_fault_plan){
				      .kind = FAULT_AFTER, .at = 1, .ops = FAULT_OP(FAULT_LIST)});
	MUST_FAIL(index_load(c->repo, NULL, NULL, &index, &c->err), ERR_IO, &c->err);
	assert_null(index);
}

/* --- the reader, and rescue --- */

static int read_number(struct reader *reader, const struct id *id, uint64_t n, struct err *err)
{
	uint8_t *block = repo_case_block(n, 3000);
	struct buf got = {0};
	int r;

	*err = (struct err){0};
	buf_put(&got, "kept", 4);
	r = reader_get(reader, CHUNK_DATA, id, &got, err);
	assert_memory_equal(got.data, "kept", 4);
	if (r) {
		assert_int_equal(got.len, 4);
	} else {
		assert_int_equal(err->code, 0);
		assert_int_equal(got.len, 3004);
		assert_memory_equal(got.data + 4, block, 3000);
	}
	buf_free(&got);
	free(block);
	return r;
}

static void wipe(struct repo_case *c, enum store_type type)
{
	struct id *names = NULL;
	size_t count = 0;

	MUST(repo_list(c->inner, type, &names, NULL, &count, &c->err), &c->err);
	for (size_t i = 0; i < count; i++)
		MUST(store_remove(c->inner, type, &names[i], &c->err), &c->err);
	free(names);
}

static void test_rescue_when_index_is_gone(void **state)
{
	const enum role roles[] = {ROLE_FULL, ROLE_READ};
	struct repo_case *c = *state;
	struct id ids[CHUNKS], junk = number(77), unknown = number(78);

	fill(c, ids);
	wipe(c, STORE_INDEX);
	/* What is no pack is passed over. */
	MUST(store_put(c->inner, STORE_DATA, &junk, "junk", 4, &c->err), &c->err);
	MUST(store_put(c->inner, STORE_DATA, &unknown, "", 0, &c->err), &c->err);
	for (size_t i = 0; i < 2; i++) {
		struct buf text = repo_case_keyfile(c, roles[i]);
		struct repo *repo = NULL;
		struct index *index = NULL;
		struct reader *reader = NULL;

		MUST(repo_case_open_with(c, &text, &repo, &c->err), &c->err);
		MUST(index_load(repo, NULL, NULL, &index, &c->err), &c->err);
		MUST(reader_new(repo, index, &reader, &c->err), &c->err);
		for (uint64_t n = 0; n < CHUNKS; n++)
			MUST(read_number(reader, &ids[n], n, &c->err), &c->err);
		assert_int_equal(index->pack_count, 3);
		MUST_FAIL(read_number(reader, &unknown, 0, &c->err), ERR_MISSING, &c->err);
		reader_free(reader);
		index_free(index);
		repo_close(repo);
		buf_wipe(&text);
	}
}

/* A rescue whose listing failed has not happened. */
static void test_rescue_fails(void **state)
{
	struct repo_case *c = *state;
	struct index *index;
	struct id ids[CHUNKS];

	fill(c, ids);
	wipe(c, STORE_INDEX);
	index = repo_case_index(c);
	store_fault_arm(c->fault, &(struct store_fault_plan){
				      .kind = FAULT_BEFORE, .at = 1, .ops = FAULT_OP(FAULT_LIST)});
	MUST_FAIL(index_rescue(c->repo, index, &c->err), ERR_IO, &c->err);
	MUST(index_rescue(c->repo, index, &c->err), &c->err);
	assert_int_equal(index->pack_count, 3);
	index_free(index);
}

/* The same chunks in two packs: any one damaged or lost place is made good by the other. */
static void test_reader_takes_another_place(void **state)
{
	struct repo_case *c = *state;
	struct id ids[CHUNKS], *names = NULL;
	size_t count = 0;

	fill(c, ids);
	{ /* As two hosts would that did not see each other: the same again, into an empty index. */
		struct index *none = NULL;
		struct packer *p = NULL;

		MUST(index_new(&none, &c->err), &c->err);
		MUST(packer_new(c->repo, none,
				&(struct packer_options){.sequence = 2, .dry_run = false}, &p,
				&c->err),
		     &c->err);
		for (uint64_t n = 0; n < CHUNKS; n++) {
			uint8_t *block = repo_case_block(n, 3000);

			MUST(packer_add(p, CHUNK_DATA, block, 3000, &ids[n], &c->err), &c->err);
			free(block);
		}
		MUST(packer_finish(p, &c->err), &c->err);
		packer_free(p);
		index_free(none);
	}
	MUST(repo_list(c->inner, STORE_DATA, &names, NULL, &count, &c->err), &c->err);
	assert_int_equal(count, 4);
	for (size_t i = 0; i < count; i++) {
		struct buf whole = repo_case_get(c->inner, STORE_DATA, &names[i]);
		struct index *index = repo_case_index(c);
		struct reader *reader = NULL;

		MUST(reader_new(c->repo, index, &reader, &c->err), &c->err);
		MUST(store_remove(c->inner, STORE_DATA, &names[i], &c->err), &c->err);
		for (uint64_t n = 0; n < CHUNKS; n++)
			MUST(read_number(reader, &ids[n], n, &c->err), &c->err);
		for (size_t at = 0; at < whole.len; at++)
			whole.data[at] ^= 0x40;
		MUST(store_put(c->inner, STORE_DATA, &names[i], whole.data, whole.len, &c->err),
		     &c->err);
		for (uint64_t n = 0; n < CHUNKS; n++)
			MUST(read_number(reader, &ids[n], n, &c->err), &c->err);
		for (size_t at = 0; at < whole.len; at++)
			whole.data[at] ^= 0x40;
		repo_case_replace(c->inner, STORE_DATA, &names[i], whole.data, whole.len);
		reader_free(reader);
		index_free(index);
		buf_free(&whole);
	}
	free(names);
}

/* Names of chunk and pack are in the text of every failure. */
static void assert_names(const struct err *err, const struct id *chunk, const struct id *pack)
{
	char hex[ID_HEX_CHARS + 1];

	id_hex(chunk, hex);
	hex[ID_SHORT_CHARS] = '\0';
	if (!strstr(err->text, hex))
		fail_msg("does not name chunk %s: %s", hex, err->text);
	id_hex(pack, hex);
	if (!strstr(err->text, hex))
		fail_msg("does not name pack %s: %s", hex, err->text);
}

static void test_reader_errors(void **state)
{
	struct repo_case *c = *state;
	struct index *index;
	struct reader *reader = NULL;
	struct id ids[CHUNKS], pack;
	const struct index_place *place;

	fill(c, ids);
	index = repo_case_index(c);
	MUST(reader_new(c->repo, index, &reader, &c->err), &c->err);
	place = &index->places[index_find(index, CHUNK_DATA, &ids[0])];
	pack = index->packs[place->pack].name;
	for (size_t at = 0; at < place->stored_bytes; at += 97) {
		repo_case_flip(c->inner, STORE_DATA, &pack, place->offset + at, 1);
		MUST_FAIL(read_number(reader, &ids[0], 0, &c->err), ERR_DAMAGED, &c->err);
		assert_names(&c->err, &ids[0], &pack);
		repo_case_flip(c->inner, STORE_DATA, &pack, place->offset + at, 1);
	}
	MUST(read_number(reader, &ids[0], 0, &c->err), &c->err);
	store_fault_arm(c->fault, &(struct store_fault_plan){
				      .kind = FAULT_STOP, .at = 1, .ops = FAULT_OP(FAULT_RANGE)});
	MUST_FAIL(read_number(reader, &ids[0], 0, &c->err), ERR_IO, &c->err);
	store_fault_arm(c->fault, &(struct store_fault_plan){0});
	repo_case_replace(c->inner, STORE_DATA, &pack, "njar", 4);
	MUST_FAIL(read_number(reader, &ids[0], 0, &c->err), ERR_DAMAGED, &c->err);
	assert_names(&c->err, &ids[0], &pack);
	MUST(store_remove(c->inner, STORE_DATA, &pack, &c->err), &c->err);
	MUST_FAIL(read_number(reader, &ids[0], 0, &c->err), ERR_MISSING, &c->err);
	assert_names(&c->err, &ids[0], &pack);
	MUST(read_number(reader, &ids[11], 11, &c->err), &c->err);
	reader_free(reader);
	index_free(index);
}

/* The right record at the wrong id: what opens must also be what was asked for. */
static void test_reader_recomputes_ids(void **state)
{
	struct repo_case *c = *state;
	struct index *index;
	struct reader *reader = NULL;
	struct id ids[CHUNKS];
	uint32_t a, b;

	fill(c, ids);
	index = repo_case_index(c);
	MUST(reader_new(c->repo, index, &reader, &c->err), &c->err);
	a = index_find(index, CHUNK_DATA, &ids[0]);
	b = index_find(index, CHUNK_DATA, &ids[1]);
	index->places[a].offset = index->places[b].offset;
	index->places[a].counter = index->places[b].counter;
	MUST_FAIL(read_number(reader, &ids[0], 0, &c->err), ERR_DAMAGED, &c->err);
	reader_free(reader);
	index_free(index);
}

static void test_roles_without_the_key(void **state)
{
	const enum role roles[] = {ROLE_WRITE, ROLE_MAINTAIN};
	struct repo_case *c = *state;
	struct id ids[CHUNKS];

	fill(c, ids);
	for (size_t i = 0; i < 2; i++) {
		struct buf text = repo_case_keyfile(c, roles[i]);
		struct repo *repo = NULL;
		struct index *index = NULL;
		struct reader *reader = NULL;

		MUST(repo_case_open_with(c, &text, &repo, &c->err), &c->err);
		MUST(index_load(repo, NULL, NULL, &index, &c->err), &c->err);
		assert_int_equal(index->pack_count, 3);
		MUST(reader_new(repo, index, &reader, &c->err), &c->err);
		MUST_FAIL(read_number(reader, &ids[0], 0, &c->err), ERR_KEY, &c->err);
		reader_free(reader);
		index_free(index);
		repo_close(repo);
		buf_wipe(&text);
	}
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, repo_case_setup, repo_case_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_many_chunks),
	    cmocka_unit_test(test_several_places),
	    cmocka_unit_test(test_pack_without_chunks),
	    CASE(test_damaged_segments),
	    CASE(test_foreign_segments),
	    CASE(test_list_fails),
	    CASE(test_rescue_when_index_is_gone),
	    CASE(test_rescue_fails),
	    CASE(test_reader_takes_another_place),
	    CASE(test_reader_errors),
	    CASE(test_reader_recomputes_ids),
	    CASE(test_roles_without_the_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
