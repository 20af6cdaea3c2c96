/* What the packer stores, what it leaves out, and what is left when a put fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "repo/packer.h"
#include "repo/reader.h"
#include "tests/support/must.h"
#include "tests/support/repo_case.h"

static struct packer *new_packer(struct repo_case *c, struct index *index, bool dry_run)
{
	struct packer *p = NULL;

	MUST(packer_new(c->repo, index,
			&(struct packer_options){.sequence = 1, .dry_run = dry_run, .workers = 1},
			&p, &c->err),
	     &c->err);
	return p;
}

/* The n-th chunk of a test: its bytes follow from n. */
static int add_number(struct packer *p, uint64_t n, size_t len, struct id *out_id, struct err *err)
{
	uint8_t *block = repo_case_block(n, len);
	int r = packer_add(p, CHUNK_DATA, block, len, out_id, err);

	free(block);
	return r;
}

/* Every chunk [0, count) reads back, by a fresh opening of the repository. */
static void assert_numbers(struct repo_case *c, const struct id *ids, uint64_t count, size_t len)
{
	struct index *index;
	struct reader *reader = NULL;
	struct buf got = {0};

	repo_case_reopen(c);
	index = repo_case_index(c);
	MUST(reader_new(c->repo, index, &reader, &c->err), &c->err);
	for (uint64_t n = 0; n < count; n++) {
		uint8_t *block = repo_case_block(n, len);

		buf_reset(&got);
		MUST(reader_get(reader, CHUNK_DATA, &ids[n], &got, &c->err), &c->err);
		assert_int_equal(got.len, len);
		assert_memory_equal(got.data, block, len);
		free(block);
	}
	assert_false(index->rescued); /* the segments were enough */
	reader_free(reader);
	index_free(index);
	buf_free(&got);
}

static void test_dedup(void **state)
{
	struct repo_case *c = *state;
	struct index *index = repo_case_index(c);
	struct packer *p = new_packer(c, index, false);
	struct id ids[3], again, other_kind;

	for (uint64_t n = 0; n < 3; n++)
		MUST(add_number(p, n, 1000, &ids[n], &c->err), &c->err);
	MUST(add_number(p, 1, 1000, &again, &c->err), &c->err); /* pending */
	assert_true(id_eq(&again, &ids[1]));
	assert_int_equal(packer_stats(p)->chunks_seen, 4);
	assert_int_equal(packer_stats(p)->chunks_new, 3);
	assert_int_equal(packer_stats(p)->bytes_new, 3000);
	assert_int_equal(packer_stats(p)->bytes_stored, 0);
	MUST(packer_finish(p, &c->err), &c->err);
	assert_int_equal(packer_stats(p)->bytes_packed, 3000 + 3 * 16);
	assert_int_equal(repo_case_count(c->inner, STORE_DATA), 1);
	assert_int_equal(repo_case_count(c->inner, STORE_INDEX), 1);
	assert_true(packer_stats(p)->bytes_stored >= 3000);
	MUST(add_number(p, 2, 1000, &again, &c->err), &c->err); /* in a pack of this run */
	MUST(packer_finish(p, &c->err), &c->err);
	assert_int_equal(packer_stats(p)->chunks_new, 3);
	assert_int_equal(repo_case_count(c->inner, STORE_DATA), 1);
	assert_int_equal(repo_case_count(c->inner, STORE_INDEX), 1);
	packer_free(p);
	index_free(index);

	repo_case_reopen(c);
	index = repo_case_index(c);
	p = new_packer(c, index, false);
	MUST(add_number(p, 0, 1000, &again, &c->err), &c->err); /* of a run before */
	assert_int_equal(packer_stats(p)->chunks_new, 0);
	MUST(packer_add(p, CHUNK_TREE_BODY, "x", 1, &other_kind, &c->err), &c->err);
	MUST(packer_add(p, CHUNK_TREE_LIST, "x", 1, &again, &c->err), &c->err);
	assert_false(id_eq(&again, &other_kind)); /* ids are bound to kinds */
	assert_int_equal(packer_stats(p)->chunks_new, 2);
	MUST(packer_finish(p, &c->err), &c->err);
	packer_free(p);
	index_free(index);
	assert_int_equal(c->err.code, 0);
	assert_numbers(c, ids, 3, 1000);
	repo_case_assert_format(c->inner);
}

static void test_nothing_added_stores_nothing(void **state)
{
	struct repo_case *c = *state;
	struct index *index = repo_case_index(c);
	struct packer *p = new_packer(c, index, false);

	MUST(packer_finish(p, &c->err), &c->err);
	packer_free(p);
	/* Nor does a run that is dropped. */
	p = new_packer(c, index, false);
	struct id id;
	MUST(add_number(p, 0, 100, &id, &c->err), &c->err);
	packer_free(p);
	packer_free(NULL);
	index_free(index);
	assert_int_equal(repo_case_count(c->inner, STORE_DATA), 0);
	assert_int_equal(repo_case_count(c->inner, STORE_INDEX), 0);
}

static void test_empty_and_largest_chunk(void **state)
{
	struct repo_case *c = *state;
	struct index *index = repo_case_index(c);
	struct packer *p = new_packer(c, index, false);
	uint8_t *zeros = calloc(1, LIMIT_CHUNK_BYTES + 1);
	struct reader *reader = NULL;
	struct buf got = {0};
	struct id empty, large, too_large;

	MUST(packer_add(p, CHUNK_DATA, "", 0, &empty, &c->err), &c->err);
	MUST(packer_add(p, CHUNK_DATA, zeros, LIMIT_CHUNK_BYTES, &large, &c->err), &c->err);
	MUST_FAIL(packer_add(p, CHUNK_DATA, zeros, LIMIT_CHUNK_BYTES + 1, &too_large, &c->err),
		  ERR_LIMIT, &c->err);
	/* A refused chunk spoils nothing. */
	MUST(packer_finish(p, &c->err), &c->err);
	packer_free(p);
	MUST(reader_new(c->repo, index, &reader, &c->err), &c->err);
	MUST(reader_get(reader, CHUNK_DATA, &empty, &got, &c->err), &c->err);
	assert_int_equal(got.len, 0);
	MUST(reader_get(reader, CHUNK_DATA, &large, &got, &c->err), &c->err);
	assert_int_equal(got.len, LIMIT_CHUNK_BYTES);
	assert_memory_equal(got.data, zeros, got.len);
	reader_free(reader);
	index_free(index);
	buf_free(&got);
	free(zeros);
}

#define BIG ((size_t)1 << 20)

static void test_packs_are_put_at_16_mib(void **state)
{
	struct repo_case *c = *state;
	struct index *index = repo_case_index(c);
	struct packer *p = new_packer(c, index, false);
	struct id ids[36], *names = NULL;
	uint64_t *sizes = NULL;
	size_t packs = 0;

	for (uint64_t n = 0; n < 36; n++) {
		MUST(add_number(p, n, BIG, &ids[n], &c->err), &c->err);
		/* Three chunks may be with the worker. */
		assert_true(repo_case_count(c->inner, STORE_DATA) >= (n < 3 ? 0 : n - 3) / 17);
	}
	assert_int_equal(repo_case_count(c->inner, STORE_INDEX), 0); /* write order */
	MUST(packer_finish(p, &c->err), &c->err);
	assert_int_equal(packer_stats(p)->chunks_new, 36);
	packer_free(p);
	index_free(index);
	MUST(repo_list(c->inner, STORE_DATA, &names, &sizes, &packs, &c->err), &c->err);
	assert_int_equal(packs, 3);
	for (size_t i = 0; i < packs; i++)
		assert_true(sizes[i] < PACK_TARGET_BYTES + 2 * BIG);
	free(names);
	free(sizes);
	assert_int_equal(repo_case_count(c->inner, STORE_INDEX), 1);
	repo_case_assert_format(c->inner);
	assert_numbers(c, ids, 36, BIG);
}

/* However many workers: chunks under way and the buffers kept for them have a bound in bytes. */
static void test_memory_under_way_is_bounded(void **state)
{
	const struct packer_options options = {.sequence = 1, .workers = 16, .dry_run = true};
	struct repo_case *c = *state;
	struct index *index = repo_case_index(c);
	uint8_t *bytes = calloc(1, LIMIT_CHUNK_BYTES);
	struct packer *p = NULL;
	struct id id;

	assert_non_null(bytes);
	MUST(packer_new(c->repo, index, &options, &p, &c->err), &c->err);
	for (uint8_t n = 0; n < 60; n++) {
		bytes[0] = n;
		MUST(packer_add(p, CHUNK_DATA, bytes, LIMIT_CHUNK_BYTES, &id, &c->err), &c->err);
	}
	MUST(packer_finish(p, &c->err), &c->err);
	assert_int_equal(packer_stats(p)->chunks_new, 60);
	assert_in_range(packer_stats(p)->held_most, 1, 48u << 20);
	packer_free(p);
	index_free(index);
	free(bytes);
}

static void test_dry_run(void **state)
{
	struct repo_case *c = *state;
	struct index *index = repo_case_index(c);
	struct packer *p = new_packer(c, index, true);
	struct id ids[20], id;

	for (uint64_t n = 0; n < 20; n++)
		MUST(add_number(p, n, BIG, &ids[n], &c->err), &c->err);
	MUST(add_number(p, 3, BIG, &id, &c->err), &c->err);
	assert_true(id_eq(&id, &ids[3]));
	MUST(packer_finish(p, &c->err), &c->err);
	assert_int_equal(packer_stats(p)->chunks_seen, 21);
	assert_int_equal(packer_stats(p)->chunks_new, 20);
	assert_int_equal(packer_stats(p)->bytes_new, 20 * BIG);
	assert_int_equal(packer_stats(p)->bytes_stored, 0);
	assert_int_equal(store_fault_calls(c->fault, FAULT_PUT), 0);
	packer_free(p);
	/* Nothing of it is taken for stored afterwards. */
	p = new_packer(c, index, false);
	MUST(add_number(p, 0, BIG, &id, &c->err), &c->err);
	assert_true(id_eq(&id, &ids[0]));
	assert_int_equal(packer_stats(p)->chunks_new, 1);
	packer_free(p);
	index_free(index);
}

static void test_without_a_writer(void **state)
{
	struct repo_case *c = *state;
	struct buf text = repo_case_keyfile(c, ROLE_READ);
	struct index *index = repo_case_index(c);
	struct repo *repo = NULL;
	struct packer *p = NULL;

	MUST(repo_case_open_with(c, &text, &repo, &c->err), &c->err);
	MUST_FAIL(packer_new(repo, index, &(struct packer_options){.sequence = 1, .dry_run = false},
			     &p, &c->err),
		  ERR_KEY, &c->err);
	assert_null(p);
	repo_close(repo);
	index_free(index);
	buf_wipe(&text);
}

/* A write key stores; the repository's reader reads it. */
static void test_write_role(void **state)
{
	struct repo_case *c = *state;
	struct buf text = repo_case_keyfile(c, ROLE_WRITE);
	struct repo *repo = NULL;
	struct index *index = NULL;
	struct packer *p = NULL;
	struct id id;

	MUST(repo_case_open_with(c, &text, &repo, &c->err), &c->err);
	MUST(repo_use_writer(repo, REPO_CASE_HOST, false, &c->err), &c->err);
	MUST(index_load(repo, NULL, NULL, &index, &c->err), &c->err);
	MUST(packer_new(repo, index, &(struct packer_options){.sequence = 1, .dry_run = false}, &p,
			&c->err),
	     &c->err);
	MUST(add_number(p, 0, 5000, &id, &c->err), &c->err);
	MUST(packer_finish(p, &c->err), &c->err);
	packer_free(p);
	index_free(index);
	/* And the next run of the write key finds it, without being able to read it. */
	MUST(index_load(repo, NULL, NULL, &index, &c->err), &c->err);
	assert_true(index_find_good(index, CHUNK_DATA, &id) != INDEX_NONE);
	index_free(index);
	repo_close(repo);
	buf_wipe(&text);
	assert_numbers(c, &id, 1, 5000);
}

/* --- failures --- */

#define CHUNKS 40
#define CHUNK_LEN ((size_t)512 << 10)

/* All chunks in one run: 20 MiB, so two packs and a segment. What the first failure was. */
static int run_all(struct repo_case *c, struct id *ids)
{
	struct index *index = NULL;
	struct packer *p = NULL;
	int r = index_load(c->repo, NULL, NULL, &index, &c->err);

	if (!r)
		r = packer_new(c->repo, index,
			       &(struct packer_options){.sequence = 1, .dry_run = false}, &p,
			       &c->err);
	for (uint64_t n = 0; !r && n < CHUNKS; n++)
		r = add_number(p, n, CHUNK_LEN, &ids[n], &c->err);
	if (!r)
		r = packer_finish(p, &c->err);
	packer_free(p);
	index_free(index);
	return r;
}

/* Whatever put fails and however, the run fails (I6), and the next one works and leaves everything readable (I3). */
static void test_every_put_fails_once(void **state)
{
	const enum store_fault_kind kinds[] = {FAULT_BEFORE, FAULT_AFTER, FAULT_STOP};
	struct id ids[CHUNKS];

	for (size_t i = 0; i < 3; i++) {
		for (uint64_t k = 1;; k++) {
			struct repo_case *c;
			bool fired;
			int r;

			assert_int_equal(repo_case_setup(state), 0);
			c = *state;
			store_fault_arm(c->fault, &(struct store_fault_plan){
						      .kind = kinds[i],
						      .at = k,
						      .ops = FAULT_OP(FAULT_PUT),
						      .code = ERR_FULL,
						  });
			r = run_all(c, ids);
			fired = store_fault_fired(c->fault);
			assert_int_equal(r, fired ? -ERR_FULL : 0);
			repo_case_reopen(c);
			MUST(run_all(c, ids), &c->err);
			repo_case_assert_format(c->inner);
			assert_numbers(c, ids, CHUNKS, CHUNK_LEN);
			repo_case_teardown(state);
			if (!fired) {
				assert_int_equal(k, 4);
				break;
			}
		}
	}
}

/* What a failed put lost is not silently left out by going on. */
static void test_failure_is_remembered(void **state)
{
	struct repo_case *c = *state;
	struct index *index = repo_case_index(c);
	struct packer *p = new_packer(c, index, false);
	struct id id;
	uint64_t n = 0;
	int r = 0;

	store_fault_arm(c->fault, &(struct store_fault_plan){
				      .kind = FAULT_BEFORE, .at = 1, .ops = FAULT_OP(FAULT_PUT)});
	while (!r && n < 40)
		r = add_number(p, n++, BIG, &id, &c->err);
	assert_int_equal(r, -ERR_IO);
	/* The store works again. */
	c->err = (struct err){0};
	MUST_FAIL(add_number(p, 0, BIG, &id, &c->err), ERR_IO, &c->err);
	MUST_FAIL(add_number(p, 1000, 10, &id, &c->err), ERR_IO, &c->err);
	MUST_FAIL(packer_finish(p, &c->err), ERR_IO, &c->err);
	assert_non_null(strstr(c->err.text, "injected"));
	packer_free(p);
	index_free(index);
	assert_int_equal(repo_case_count(c->inner, STORE_INDEX), 0);
}

/* The index still names a pack that the store has lost, or that was cut short: its chunks are stored again. */
static void test_lost_pack_is_stored_again(void **state)
{
	for (int cut = 0; cut < 2; cut++) {
		struct repo_case *c;
		struct id ids[CHUNKS], *names = NULL;
		size_t count = 0;

		assert_int_equal(repo_case_setup(state), 0);
		c = *state;
		MUST(run_all(c, ids), &c->err);
		MUST(repo_list(c->inner, STORE_DATA, &names, NULL, &count, &c->err), &c->err);
		assert_int_equal(count, 2);
		for (size_t i = 0; i < count; i++) {
			if (cut)
				repo_case_replace(c->inner, STORE_DATA, &names[i], "short", 5);
			else
				MUST(store_remove(c->inner, STORE_DATA, &names[i], &c->err),
				     &c->err);
		}
		free(names);
		repo_case_reopen(c);
		MUST(run_all(c, ids), &c->err);
		assert_numbers(c, ids, CHUNKS, CHUNK_LEN);
		repo_case_teardown(state);
	}
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, repo_case_setup, repo_case_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_dedup),
	    CASE(test_nothing_added_stores_nothing),
	    CASE(test_empty_and_largest_chunk),
	    CASE(test_packs_are_put_at_16_mib),
	    CASE(test_memory_under_way_is_bounded),
	    CASE(test_dry_run),
	    CASE(test_without_a_writer),
	    CASE(test_write_role),
	    cmocka_unit_test(test_every_put_fails_once),
	    CASE(test_failure_is_remembered),
	    cmocka_unit_test(test_lost_pack_is_stored_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
