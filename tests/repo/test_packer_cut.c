/* An upload that is cut off anywhere: what the next run sends again, and that nothing is lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "repo/packer.h"
#include "repo/reader.h"
#include "repo/store_stack.h"
#include "tests/support/link_server.h"
#include "tests/support/must.h"
#include "tests/support/repo_case.h"
#include "tests/support/tmpdir.h"

#define CHUNK_BYTES 16384
#define PACK_CHUNKS 4 /* with what else is in it, they fill the bucket above 64 KiB */
#define PACKS 48
#define CHUNKS (PACKS * PACK_CHUNKS)
#define SEGMENT_PACKS 8
#define CONNECTIONS 4

struct clock {
	int64_t now_s, step_s; /* later at each look */
};

static int64_t look(void *arg)
{
	struct clock *c = arg;

	return c->now_s += c->step_s;
}

/* All chunks, from the first to the last, and the end. */
static int send_all(struct repo *repo, struct clock *clock, struct packer_stats *out_stats,
		    struct id ids[CHUNKS], struct err *err)
{
	struct packer_options o = {.sequence = 1,
				   .workers = 1,
				   .pack_bytes = 2 * PACK_CHUNKS * CHUNK_BYTES,
				   .clock = look,
				   .clock_arg = clock};
	struct index *index = NULL;
	struct packer *p = NULL;
	int r = index_load(repo, NULL, NULL, &index, err);

	if (!r)
		r = packer_new(repo, index, &o, &p, err);
	for (uint64_t n = 0; !r && n < CHUNKS; n++) {
		uint8_t *block = repo_case_block(n, CHUNK_BYTES);

		r = packer_add(p, CHUNK_DATA, block, CHUNK_BYTES, &ids[n], err);
		free(block);
	}
	if (!r)
		r = packer_finish(p, err);
	if (p)
		*out_stats = *packer_stats(p);
	packer_free(p);
	index_free(index);
	return r;
}

static void assert_all_there(struct repo_case *c, const struct id ids[CHUNKS])
{
	struct index *index = repo_case_index(c);
	struct reader *reader = NULL;
	struct buf got = {0};

	MUST(reader_new(c->repo, index, &reader, &c->err), &c->err);
	for (uint64_t n = 0; n < CHUNKS; n++) {
		uint8_t *block = repo_case_block(n, CHUNK_BYTES);

		buf_reset(&got);
		MUST(reader_get(reader, CHUNK_DATA, &ids[n], &got, &c->err), &c->err);
		assert_int_equal(got.len, CHUNK_BYTES);
		assert_memory_equal(got.data, block, CHUNK_BYTES);
		free(block);
	}
	assert_false(index->rescued);
	buf_free(&got);
	reader_free(reader);
	index_free(index);
}

/* The connection breaks at the k-th object that is put, for every k. */
static void a_cut_upload_goes_on(void **state)
{
	struct id ids[CHUNKS];
	unsigned cuts = 0;
	bool fired = true;

	(void)state;
	for (uint64_t k = 1; fired; k++) {
		struct store *inner = NULL;
		struct clock clock = {0};
		struct packer_stats first = {0}, second = {0};
		struct err err = {0};
		struct repo_case *c;
		size_t stored;
		int r;

		MUST(store_mem_new(&inner, &err), &err);
		c = repo_case_new(inner);
		store_fault_arm(c->fault, &(struct store_fault_plan){.kind = FAULT_STOP,
								     .at = k,
								     .ops = FAULT_OP(FAULT_PUT)});
		r = send_all(c->repo, &clock, &first, ids, &err);
		fired = store_fault_fired(c->fault);
		stored = repo_case_count(c->inner, STORE_DATA);
		if (!fired) {
			MUST(r, &err);
			assert_int_equal(stored, PACKS);
			assert_int_equal(repo_case_count(c->inner, STORE_INDEX),
					 PACKS / SEGMENT_PACKS);
			repo_case_free(c);
			break;
		}
		assert_true(r != 0);
		repo_case_reopen(c);
		err = (struct err){0};
		MUST(send_all(c->repo, &clock, &second, ids, &err), &err);
		/* Sent again: what was there and no segment had named. */
		assert_true(stored + (second.chunks_new + PACK_CHUNKS - 1) / PACK_CHUNKS <=
			    PACKS + SEGMENT_PACKS);
		assert_all_there(c, ids);
		repo_case_free(c);
		cuts++;
	}
	assert_true(cuts >= 50);
}

/* The same over parallel connections, where a few more are under way. */
static void a_cut_parallel_upload_goes_on(void **state)
{
	struct id ids[CHUNKS];

	(void)state;
	for (unsigned k = 1; k <= PACKS; k += 3) {
		char *dir = tmpdir_make();
		struct link_server *v = link_server_new(dir);
		struct store_parallel_options o = {
		    .connections = CONNECTIONS, .connect = link_connect, .arg = v};
		struct store *inner = NULL, *first = NULL, *store = NULL;
		struct packer_stats stats = {0};
		struct clock clock = {0};
		struct err err = {0};
		struct repo *repo = NULL;
		struct repo_case *c;
		size_t stored;
		int r;

		MUST(store_local_open(v->path, &inner, &err), &err);
		c = repo_case_new(inner);
		MUST(link_connect(v, NULL, &first, &err), &err);
		MUST(store_parallel_new(first, &o, &store, &err), &err);
		MUST(repo_open(store,
			       &(struct repo_credentials){.keyfile = c->keyfile.data,
							  .keyfile_len = c->keyfile.len},
			       &repo, &err),
		     &err);
		MUST(repo_use_writer(repo, REPO_CASE_HOST, false, &err), &err);
		atomic_store(&v->puts, 0);
		atomic_store(&v->naps_ms, 1);
		atomic_store(&v->cut_put, k);
		r = send_all(repo, &clock, &stats, ids, &err);
		MUST_FAIL(r, ERR_FULL, &err);
		repo_close(repo);
		stored = repo_case_count(c->inner, STORE_DATA);
		err = (struct err){0};
		MUST(send_all(c->repo, &clock, &stats, ids, &err), &err);
		assert_true(stored + (stats.chunks_new + PACK_CHUNKS - 1) / PACK_CHUNKS <=
			    PACKS + SEGMENT_PACKS + CONNECTIONS);
		repo_case_reopen(c);
		assert_all_there(c, ids);
		repo_case_free(c);
		link_server_free(v);
		tmpdir_remove(dir);
	}
}

/* On a slow line 8 packs take long: what was stored in 5 minutes has its segment, too. */
static void time_makes_a_segment_due(void **state)
{
	struct repo_case *c = *state;
	struct packer_stats stats;
	struct clock clock = {.step_s = 100};
	struct id ids[CHUNKS];

	MUST(send_all(c->repo, &clock, &stats, ids, &c->err), &c->err);
	assert_int_equal(repo_case_count(c->inner, STORE_DATA), PACKS);
	/* A look when the first pack comes and one after each: 300 s have gone at the third. */
	assert_int_equal(repo_case_count(c->inner, STORE_INDEX), PACKS / 3);
	assert_all_there(c, ids);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_cut_upload_goes_on),
	    cmocka_unit_test(a_cut_parallel_upload_goes_on),
	    cmocka_unit_test_setup_teardown(time_makes_a_segment_due, repo_case_setup,
					    repo_case_teardown),
	};

	return cmocka_run_group_tests_name("packer_cut", tests, NULL, NULL);
}
