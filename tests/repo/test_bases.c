/* What counts as whole, and how deltas are read: through honest bases, damaged ones, and hostile ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "repo/reader.h"
#include "tests/support/must.h"
#include "tests/support/versions.h"

static bool good(struct repo_case *c, struct index *index, const char *plain)
{
	struct id id = versions_id(c, plain);

	return index_find_good(index, CHUNK_DATA, &id) != INDEX_NONE;
}

static int read_chunk(struct repo_case *c, struct index *index, const char *plain, struct err *err)
{
	struct id id = versions_id(c, plain);
	struct reader *reader = NULL;
	struct buf got = {0};
	int r;

	MUST(reader_new(c->repo, index, &reader, &c->err), &c->err);
	buf_put(&got, "kept", 4);
	r = reader_get(reader, CHUNK_DATA, &id, &got, err);
	if (r) {
		assert_int_equal(got.len, 4);
	} else {
		assert_int_equal(got.len, 4 + strlen(plain));
		assert_memory_equal(got.data + 4, plain, strlen(plain));
	}
	buf_free(&got);
	reader_free(reader);
	return r;
}

#define A "the first version of a chunk, which is stored full, as it has no base"
#define B "the first version of a chunk, which was stored full, and has one base"
#define C "a third version of a chunk, which was stored full, and has two bases"

static struct index *new_index(struct repo_case *c)
{
	struct index *index = NULL;

	MUST(index_new(&index, &c->err), &c->err);
	index->rescued = true; /* what these tests leave out must stay out */
	return index;
}

static void test_chain_is_read(void **state)
{
	const struct versions_record records[] = {
	    {.plain = C, .bases = {B, A}, .depth = 2},
	    {.plain = B, .bases = {A}, .depth = 1},
	    {.plain = A},
	};
	struct repo_case *c = *state;
	struct index *index = new_index(c);

	for (size_t i = 0; i < 3; i++) {
		assert_false(good(c, index, C)); /* not before its bases are there */
		versions_pack(c, index, &records[i], 1);
	}
	assert_true(good(c, index, A) && good(c, index, B) && good(c, index, C));
	MUST(read_chunk(c, index, A, &c->err), &c->err);
	MUST(read_chunk(c, index, B, &c->err), &c->err);
	MUST(read_chunk(c, index, C, &c->err), &c->err);
	index_free(index);
}

/* A mark takes wholeness from all that rests on it; another copy of the base gives it back. */
static void test_wholeness_follows_marks(void **state)
{
	const struct versions_record a = {.plain = A};
	const struct versions_record rest[] = {{.plain = B, .bases = {A}, .depth = 1},
					       {.plain = C, .bases = {B}, .depth = 2}};
	struct repo_case *c = *state;

	for (int way = 0; way < 2; way++) {
		struct index *index = new_index(c);
		uint32_t pack = versions_pack(c, index, &a, 1);

		versions_pack(c, index, rest, 2);
		assert_true(good(c, index, B) && good(c, index, C));
		if (way)
			index_mark_pack(index, pack);
		else
			index_mark_place(index, index->packs[pack].first_place);
		assert_false(good(c, index, A) || good(c, index, B) || good(c, index, C));
		/* Marking is not proof: a reader tries what there is. */
		MUST(read_chunk(c, index, C, &c->err), &c->err);
		versions_pack(c, index, &a, 1);
		assert_true(good(c, index, A) && good(c, index, B) && good(c, index, C));
		index_free(index);
	}
}

/* The damage is at the bottom; the text names it. A second copy of what is above it helps, if it rests elsewhere. */
static void test_damaged_base(void **state)
{
	const struct versions_record bad_a = {.plain = A, .bad = 1};
	const struct versions_record rest[] = {{.plain = B, .bases = {A}, .depth = 1},
					       {.plain = C, .bases = {B}, .depth = 2}};
	const struct versions_record full_b = {.plain = B};
	struct repo_case *c = *state;
	struct index *index = new_index(c);
	char hex[ID_HEX_CHARS + 1];
	uint32_t pack = versions_pack(c, index, &bad_a, 1);

	versions_pack(c, index, rest, 2);
	MUST_FAIL(read_chunk(c, index, C, &c->err), ERR_DAMAGED, &c->err);
	id_hex(&index->packs[pack].name, hex);
	assert_non_null(strstr(c->err.text, hex));
	MUST_FAIL(read_chunk(c, index, A, &c->err), ERR_DAMAGED, &c->err);
	versions_pack(c, index, &full_b, 1);
	MUST(read_chunk(c, index, C, &c->err), &c->err);
	index_free(index);
}

/* --- hostile --- */

/* Two ids that rest on each other, and one that rests on a deeper one: nothing of it is whole, and reading ends. */
static void test_cycles(void **state)
{
	const struct versions_record records[] = {
	    {.plain = A, .bases = {B}, .depth = 1},      {.plain = B, .bases = {A}, .depth = 1},
	    {.plain = A, .bases = {B}, .depth = 2},      {.plain = B, .bases = {A}, .depth = 3},
	    {.plain = C, .bases = {A, B}, .depth = 255},
	};
	struct repo_case *c = *state;
	struct index *index = new_index(c);

	for (size_t i = 0; i < 5; i++)
		versions_pack(c, index, &records[i], 1);
	assert_false(good(c, index, A) || good(c, index, B) || good(c, index, C));
	MUST_FAIL(read_chunk(c, index, A, &c->err), ERR_MISSING, &c->err);
	MUST_FAIL(read_chunk(c, index, B, &c->err), ERR_MISSING, &c->err);
	MUST_FAIL(read_chunk(c, index, C, &c->err), ERR_MISSING, &c->err);
	/* With one full copy of one of them everything is there. */
	versions_pack(c, index, &(struct versions_record){.plain = B}, 1);
	assert_true(good(c, index, A) && good(c, index, B) && good(c, index, C));
	MUST(read_chunk(c, index, C, &c->err), &c->err);
	index_free(index);
}

static void test_equal_depth_is_no_base(void **state)
{
	const struct versions_record records[] = {
	    {.plain = A},
	    {.plain = B, .bases = {A}, .depth = 4},
	    {.plain = C, .bases = {B}, .depth = 4},
	};
	struct repo_case *c = *state;
	struct index *index = new_index(c);
	struct reader *reader = NULL;
	struct id b = versions_id(c, B), id = versions_id(c, C);
	struct buf got = {0};

	versions_pack(c, index, records, 3);
	assert_true(good(c, index, B));
	assert_false(good(c, index, C));
	/* Nor when the reader happens to have its plaintext at hand. */
	MUST(reader_new(c->repo, index, &reader, &c->err), &c->err);
	MUST(reader_get_base(reader, CHUNK_DATA, &b, &got, &c->err), &c->err);
	MUST_FAIL(reader_get(reader, CHUNK_DATA, &id, &got, &c->err), ERR_MISSING, &c->err);
	reader_free(reader);
	buf_free(&got);
	index_free(index);
}

/* Depth 255 is read, without the reader's stack or time growing with it. */
static void test_deepest_chain(void **state)
{
	static char plain[256][64];
	static struct versions_record records[256];
	struct repo_case *c = *state;
	struct index *index = new_index(c);

	for (unsigned i = 0; i < 256; i++) {
		(void)snprintf(plain[i], sizeof(plain[i]), "a chunk of version %u, of 255", i);
		records[i] = (struct versions_record){.plain = plain[i], .depth = (uint8_t)i};
		records[i].bases[0] = i ? plain[i - 1] : NULL;
	}
	versions_pack(c, index, records, 256);
	assert_true(good(c, index, plain[255]));
	MUST(read_chunk(c, index, plain[255], &c->err), &c->err);
	index_free(index);
}

/* Many copies that all lead nowhere, level upon level: tried 1,024 times, not to the power of the levels. */
static void test_dead_ends_are_bounded(void **state)
{
	static char plain[40][64];
	struct repo_case *c = *state;
	struct index *index = new_index(c);
	char hex[ID_HEX_CHARS + 1];
	struct id lost;

	for (unsigned i = 0; i < 40; i++)
		(void)snprintf(plain[i], sizeof(plain[i]), "a chunk of version %u, of 39", i);
	for (unsigned copy = 0; copy < 4; copy++) {
		struct versions_record records[39];

		for (unsigned i = 1; i < 40; i++) {
			records[i - 1] = (struct versions_record){
			    .plain = plain[i], .bases = {plain[i - 1]}, .depth = (uint8_t)i};
		}
		versions_pack(c, index, records, 39);
	}
	assert_false(good(c, index, plain[39]));
	MUST_FAIL(read_chunk(c, index, plain[39], &c->err), ERR_MISSING, &c->err);
	lost = versions_id(c, plain[0]);
	id_hex(&lost, hex);
	hex[ID_SHORT_CHARS] = '\0';
	assert_non_null(
	    strstr(c->err.text, hex)); /* the one that is not there, not what rests on it */
	/* Were it there, the same depth and copies would be no hindrance. */
	versions_pack(c, index, &(struct versions_record){.plain = plain[0]}, 1);
	assert_true(good(c, index, plain[39]));
	MUST(read_chunk(c, index, plain[39], &c->err), &c->err);
	index_free(index);
}

/* More records under one chunk than a reader decodes. */
static void test_closure_is_bounded(void **state)
{
	static char plain[3000][32];
	static struct versions_record records[3000];
	struct repo_case *c = *state;
	struct index *index = new_index(c);
	size_t count = 0, first = 0, level = 0;

	/* A tree of threes: 3^6 leaves, 3^5 on them, and so on up to one of depth 6; 1,093 in all. */
	for (size_t width = 729; width > 0; width /= 3, level++) {
		size_t below = first;

		first = count;
		for (size_t i = 0; i < width; i++, count++) {
			(void)snprintf(plain[count], sizeof(plain[count]), "chunk %zu of a tree",
				       count);
			records[count] = (struct versions_record){.plain = plain[count],
								  .depth = (uint8_t)level};
			for (size_t k = 0; level && k < 3; k++)
				records[count].bases[k] = plain[below + 3 * i + k];
		}
	}
	assert_int_equal(count, 1093);
	versions_pack(c, index, records, count);
	MUST(read_chunk(c, index, plain[count - 2], &c->err), &c->err);
	MUST_FAIL(read_chunk(c, index, plain[count - 1], &c->err), ERR_DAMAGED, &c->err);
	assert_non_null(strstr(c->err.text, "1024"));
	index_free(index);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, repo_case_setup, repo_case_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_chain_is_read),          CASE(test_wholeness_follows_marks),
	    CASE(test_damaged_base),           CASE(test_cycles),
	    CASE(test_equal_depth_is_no_base), CASE(test_deepest_chain),
	    CASE(test_dead_ends_are_bounded),  CASE(test_closure_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
