/* prune moves what is needed, sealed as it is; and whatever it was doing when it was killed, the next one ends it (FORMAT.md §12). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/must.h"
#include "tests/support/prunebox.h"

/* --- repacking --- */

static void repack_with(struct prunebox *b, struct repo *repo)
{
	const double none = 0;

	b->options.unused = PRUNE_UNUSED_PERCENT;
	b->options.unused_percent = none;
	MUST(prunebox_try_prune(b, repo), b->err);
	assert_true(b->result.repacked.packs > 1);
	assert_true(b->result.written.packs > 0);
	assert_true(b->result.written.packs < b->result.repacked.packs);
	assert_int_equal(b->result.unused_bytes, 0);
	prunebox_assert_clean(b, b->c->repo, true);
	prunebox_assert_restores(b);
	repo_case_assert_format(b->c->inner);
}

/* Segments name nothing that is gone. */
static void assert_index_follows(struct prunebox *b)
{
	struct index *index = repo_case_index(b->c);
	uint64_t lost;

	MUST(index_mark_lost(b->c->repo, index, &lost, b->err), b->err);
	assert_int_equal(lost, 0);
	assert_int_equal(index->pack_count, prunebox_count(b, STORE_DATA));
	index_free(index);
}

static void finish_repack(struct prunebox *b, struct repo *repo)
{
	struct prune_sum repacked = b->result.repacked;

	prunebox_pass(b, PRUNEBOX_GRACE);
	MUST(prunebox_try_prune(b, repo), b->err);
	assert_true(b->result.deleted.packs >= repacked.packs);
	assert_int_equal(b->result.needed_again.packs, 0);
	assert_int_equal(b->result.condemned.packs, 0);
	assert_int_equal(prunebox_count(b, STORE_LOCKS), 0);
	repo_case_reopen(b->c);
	assert_index_follows(b);
	prunebox_assert_clean(b, b->c->repo, true);
	prunebox_assert_restores(b);
}

static void test_repack(void **state)
{
	struct prunebox *b = *state;

	prunebox_nights(b, 6);
	prunebox_forget(b, 3);
	prunebox_forget(b, 0);
	prunebox_forget(b, 0);
	repo_case_reopen(b->c);
	repack_with(b, b->c->repo);
	repo_case_reopen(b->c);
	finish_repack(b, b->c->repo);
	/* What was moved is moved once more, and rested upon. */
	prunebox_nights(b, 3);
	prunebox_assert_restores(b);
	prunebox_forget(b, 0);
	prunebox_forget(b, 0);
	repo_case_reopen(b->c);
	repack_with(b, b->c->repo);
	repo_case_reopen(b->c);
	finish_repack(b, b->c->repo);
}

/* Who maintains opens nothing and prunes all the same. */
static void test_maintainer(void **state)
{
	struct prunebox *b = *state;
	struct buf key = repo_case_keyfile(b->c, ROLE_MAINTAIN);
	struct repo *repo = NULL;

	prunebox_nights(b, 5);
	prunebox_forget(b, 2);
	prunebox_forget(b, 0);
	MUST(repo_case_open_with(b->c, &key, &repo, b->err), b->err);
	repack_with(b, repo);
	finish_repack(b, repo);
	repo_close(repo);
	buf_wipe(&key);
	prunebox_nights(b, 2);
	prunebox_assert_restores(b);
}

/* Each night leaves a small pack and a segment: many of them become one, and the next prune finds nothing to do. */
static void test_small_packs(void **state)
{
	struct prunebox *b = *state;
	size_t packs;

	for (unsigned i = 0; i < 66; i++) {
		prunebox_attach(b, "changing", 300 + i, 500);
		prunebox_night(b);
	}
	packs = prunebox_count(b, STORE_DATA);
	assert_true(packs >= 66);
	prunebox_prune(b);
	assert_true(b->result.repacked.packs > 64);
	assert_true(b->result.written.packs < 3);
	assert_true(prunebox_count(b, STORE_INDEX) < 3);
	prunebox_pass(b, PRUNEBOX_GRACE);
	prunebox_prune(b);
	assert_int_equal(b->result.deleted.packs, packs);
	assert_true(prunebox_count(b, STORE_DATA) < 3);
	assert_true(prunebox_count(b, STORE_INDEX) < 3);
	prunebox_prune(b);
	assert_int_equal(b->result.condemned.packs + b->result.segments_written, 0);
	prunebox_assert_clean(b, b->c->repo, true);
	prunebox_night(b);
	prunebox_assert_clean(b, b->c->repo, true);
}

/* --- copies of two writers (R7) --- */

static const struct repo_case_file two_files[2] = {{"a", "the same bytes on both hosts", 28},
						   {"b", "others", 6}};

/* Two hosts that see nothing of each other until both have stored the same. */
static void two_writers(struct prunebox *b, struct id out_manifests[2])
{
	struct store *aside = prunebox_clone(b), *fault = NULL;
	const struct repo_credentials by = {.keyfile = b->c->keyfile.data,
					    .keyfile_len = b->c->keyfile.len};
	const enum store_type types[] = {STORE_KEYS, STORE_DATA, STORE_INDEX, STORE_SNAPSHOTS};
	struct repo *other = NULL;

	MUST(store_fault_new(aside, &fault, b->err), b->err);
	MUST(repo_open(fault, &by, &other, b->err), b->err);
	MUST(repo_use_writer(other, "db2", false, b->err), b->err);
	MUST(repo_case_try_backup(other, two_files, 2, 2000, &out_manifests[1], b->err), b->err);
	out_manifests[0] = repo_case_backup(b->c, two_files, 2, 1000);
	for (size_t t = 0; t < 4; t++) {
		struct id *names = NULL;
		size_t count;

		MUST(repo_list(aside, types[t], &names, NULL, &count, b->err), b->err);
		for (size_t i = 0; i < count; i++) {
			struct buf bytes = repo_case_get(aside, types[t], &names[i]);
			int r = store_put(b->c->inner, types[t], &names[i], bytes.data, bytes.len,
					  b->err);

			assert_true(r == 0 || r == -ERR_EXISTS);
			buf_free(&bytes);
		}
		free(names);
	}
	repo_close(other);
	store_free(aside);
	repo_case_reopen(b->c);
}

static void assert_both_read(struct prunebox *b, const struct id manifests[2])
{
	for (size_t i = 0; i < 2; i++)
		MUST(repo_case_try_read(b->c->repo, &manifests[i], two_files, 2, b->err), b->err);
}

/* Who maintains cannot know that they are the same; who reads can, and leaves one. */
static void test_two_writers(void **state)
{
	struct prunebox *b = *state;
	struct buf key = repo_case_keyfile(b->c, ROLE_MAINTAIN);
	struct repo *maintain = NULL;
	struct id manifests[2];

	two_writers(b, manifests);
	b->options.unused = PRUNE_UNUSED_PERCENT;
	MUST(repo_case_open_with(b->c, &key, &maintain, b->err), b->err);
	MUST(prunebox_try_prune(b, maintain), b->err);
	assert_int_equal(b->result.unused_bytes, 0);
	assert_int_equal(b->result.condemned.packs, 0);
	repo_close(maintain);
	prunebox_prune(b);
	assert_true(b->result.condemned.packs > 0);
	assert_both_read(b, manifests);
	prunebox_pass(b, PRUNEBOX_GRACE);
	prunebox_prune(b);
	assert_true(b->result.deleted.packs > 0);
	assert_both_read(b, manifests);
	buf_wipe(&key);
}

/* A copy that one of them has planted, which does not open: the other's stays. */
static void test_planted_copy(void **state)
{
	struct prunebox *b = *state;
	struct id manifests[2];
	struct index *index;

	two_writers(b, manifests);
	index = repo_case_index(b->c);
	/* All of one pack, whatever it is; both are of sequence 1. */
	for (uint32_t i = 0; i < index->packs[0].place_count; i++) {
		const struct index_place *p = &index->places[index->packs[0].first_place + i];

		repo_case_flip(b->c->inner, STORE_DATA, &index->packs[0].name, p->offset, 1);
	}
	index_free(index);
	b->options.unused = PRUNE_UNUSED_PERCENT;
	for (int i = 0; i < 3; i++) {
		repo_case_reopen(b->c);
		(void)prunebox_try_prune(b, b->c->repo);
		prunebox_pass(b, PRUNEBOX_GRACE);
	}
	assert_both_read(b, manifests);
}

/* A write key reads the segments that G signs. */
static void test_writer_reads_them(void **state)
{
	struct prunebox *b = *state;
	struct buf key = repo_case_keyfile(b->c, ROLE_WRITE);
	struct index *index = NULL;
	struct repo *repo = NULL;
	size_t places;

	prunebox_nights(b, 5);
	prunebox_forget(b, 2);
	prunebox_forget(b, 0);
	repo_case_reopen(b->c);
	repack_with(b, b->c->repo);
	repo_case_reopen(b->c);
	finish_repack(b, b->c->repo);
	index = repo_case_index(b->c);
	places = index->place_count;
	index_free(index);
	MUST(repo_case_open_with(b->c, &key, &repo, b->err), b->err);
	MUST(index_load(repo, NULL, NULL, &index, b->err), b->err);
	assert_int_equal(index->place_count, places);
	index_free(index);
	repo_close(repo);
	buf_wipe(&key);
}

/* The pack that took over has rotted since: what it was made of stays. */
static void test_heir_rots(void **state)
{
	struct prunebox *b = *state;
	struct id *before = NULL, *after = NULL;
	size_t count, after_count, at = 0;

	prunebox_nights(b, 5);
	prunebox_forget(b, 2);
	prunebox_forget(b, 0);
	MUST(repo_list(b->c->inner, STORE_DATA, &before, NULL, &count, b->err), b->err);
	repo_case_reopen(b->c);
	repack_with(b, b->c->repo);
	MUST(repo_list(b->c->inner, STORE_DATA, &after, NULL, &after_count, b->err), b->err);
	while (at < count && id_eq(&before[at], &after[at]))
		at++;
	repo_case_flip(b->c->inner, STORE_DATA, &after[at], 20000, 1);
	prunebox_pass(b, PRUNEBOX_GRACE);
	prunebox_prune(b);
	assert_true(b->result.needed_again.packs > 0);
	assert_int_equal(b->result.deleted.packs, 0);
	prunebox_assert_restores(b);
	free(before);
	free(after);
}

/* --- an hour from the mark to the last delete (R5) --- */

static int on_progress(void *arg, const char *phase, uint64_t done, uint64_t total)
{
	struct prunebox *b = arg;

	(void)total;
	if (strcmp(phase, "delete") != 0)
		return 0;
	b->warnings += done == 0; /* deletes that were begun */
	if (done == 1)
		b->boot_s += 3601;
	return 0;
}

static void test_an_hour(void **state)
{
	struct prunebox *b = *state;
	size_t due;

	prunebox_nights(b, 4);
	for (int i = 0; i < 3; i++)
		prunebox_forget(b, 0);
	repo_case_reopen(b->c);
	repack_with(b, b->c->repo);
	due = b->result.condemned.packs;
	assert_true(due > 2);
	prunebox_pass(b, PRUNEBOX_GRACE);
	b->options.progress = on_progress;
	prunebox_prune(b);
	assert_int_equal(b->result.deleted.packs, due);
	assert_false(b->result.unfinished);
	assert_true(b->warnings >= due - 1); /* one more after each hour, but the last */
	prunebox_assert_clean(b, b->c->repo, true);
	prunebox_assert_restores(b);
}

/* --- a record that is lost while packs are deleted by it (R5) --- */

static int lose_record(void *arg, const char *phase, uint64_t done, uint64_t total)
{
	struct prunebox *b = arg;
	struct id *names = NULL;
	size_t count = 0;

	(void)total;
	if (strcmp(phase, "delete") != 0 || done != 1)
		return 0;
	MUST(repo_list(b->c->inner, STORE_LOCKS, &names, NULL, &count, b->err), b->err);
	for (size_t i = 0; i < count; i++)
		MUST(store_remove(b->c->inner, STORE_LOCKS, &names[i], b->err), b->err);
	free(names);
	return 0;
}

static void test_record_is_lost(void **state)
{
	struct prunebox *b = *state;

	prunebox_nights(b, 4);
	for (int i = 0; i < 3; i++)
		prunebox_forget(b, 0);
	repo_case_reopen(b->c);
	repack_with(b, b->c->repo);
	assert_true(b->result.condemned.packs > 2);
	prunebox_pass(b, PRUNEBOX_GRACE);
	b->options.progress = lose_record;
	prunebox_prune(b);
	assert_int_equal(b->result.deleted.packs, 1);
	b->options.progress = NULL;
	prunebox_assert_restores(b);
	prunebox_prune(b);
	prunebox_assert_clean(b, b->c->repo, true);
}

/* --- a backup ends while a prune is at work --- */

static int backup_meanwhile(void *arg, const char *phase, uint64_t done, uint64_t total)
{
	struct prunebox *b = arg;

	(void)total;
	if (strcmp(phase, "repack") == 0 && done == 0)
		prunebox_night(b);
	return 0;
}

/* Its segment is small and newer than the survey: what it names must not fall out of the index (R8). */
static void test_backup_meanwhile(void **state)
{
	struct prunebox *b = *state;
	struct buf key = repo_case_keyfile(b->c, ROLE_FULL);
	struct repo *repo = NULL;

	prunebox_nights(b, 4);
	prunebox_forget(b, 1);
	prunebox_forget(b, 0);
	prunebox_attach(b, "late", 900, 40000);
	b->options.unused = PRUNE_UNUSED_PERCENT;
	b->options.progress = backup_meanwhile;
	MUST(repo_case_open_with(b->c, &key, &repo, b->err), b->err);
	MUST(prunebox_try_prune(b, repo), b->err);
	assert_true(b->result.repacked.packs > 0);
	assert_true(b->result.segments_removed > 0);
	repo_close(repo);
	buf_wipe(&key);
	b->options.progress = NULL;
	repo_case_reopen(b->c);
	assert_index_follows(b);
	prunebox_assert_clean(b, b->c->repo, true);
	prunebox_assert_restores(b);
}

/* --- killed anywhere --- */

/* One store call after the other is the last of a run; the run after it ends what it began. */
static void killed_at_each_call(struct prunebox *b)
{
	const struct repo_credentials by = {.keyfile = b->c->keyfile.data,
					    .keyfile_len = b->c->keyfile.len};
	unsigned kills = 0;

	for (uint64_t k = 1;; k++, kills++) {
		struct store *inner = prunebox_clone(b), *fault = NULL;
		struct repo *repo = NULL;
		bool fired;
		int r;

		MUST(store_fault_new(inner, &fault, b->err), b->err);
		MUST(repo_open(fault, &by, &repo, b->err), b->err);
		store_fault_arm(fault, &(struct store_fault_plan){
					   .kind = FAULT_STOP,
					   .at = k,
					   .ops = FAULT_OP(FAULT_PUT) | FAULT_OP(FAULT_REMOVE) |
						  FAULT_OP(FAULT_NOW) | FAULT_OP(FAULT_LIST)});
		r = prunebox_try_prune(b, repo);
		fired = store_fault_fired(fault);
		assert_int_equal(r != 0, fired);
		store_fault_arm(fault, &(struct store_fault_plan){0});
		prunebox_assert_clean(b, repo, k % 8 == 0);
		MUST(prunebox_try_prune(b, repo), b->err);
		prunebox_assert_clean(b, repo, false);
		store_mem_set_now(inner, b->now_s + 20 * PRUNEBOX_DAY);
		MUST(prunebox_try_prune(b, repo), b->err);
		store_mem_set_now(inner, b->now_s + 40 * PRUNEBOX_DAY);
		MUST(prunebox_try_prune(b, repo), b->err);
		prunebox_assert_clean(b, repo, k % 8 == 1);
		assert_int_equal(repo_case_count(inner, STORE_LOCKS), 0);
		repo_close(repo);
		store_free(inner);
		if (!fired)
			break;
	}
	assert_true(kills > 8);
}

static int interrupt(struct prunebox *b)
{
	(void)b;
	return 1;
}

static void test_killed(void **state)
{
	struct prunebox *b = *state;

	prunebox_nights(b, 4);
	prunebox_forget(b, 1);
	prunebox_forget(b, 0);
	prunebox_attach(b, "lost", 77, 50000);
	b->meanwhile = interrupt;
	assert_int_equal(prunebox_try_night(b), -ERR_CANCELLED);
	b->options.unused = PRUNE_UNUSED_PERCENT;
	killed_at_each_call(b);
	prunebox_prune(b);
	prunebox_pass(b, PRUNEBOX_GRACE);
	killed_at_each_call(b);
}

/* --- two prunes at once --- */

struct meeting {
	struct prunebox *b;
	unsigned marks;
};

/* As soon as the first has begun to read, a second one moves what is needed and deletes where it was. */
static int on_mark(void *arg, const char *phase, uint64_t done, uint64_t total)
{
	struct meeting *m = arg;
	const struct prune_options options = {
	    .unused = PRUNE_UNUSED_PERCENT, .unused_percent = 0, .no_writers = true};
	struct prune_result result;
	struct repo *repo = NULL;
	struct err err = {0};

	(void)done, (void)total;
	if (strcmp(phase, "mark") != 0 || m->marks++ > 0)
		return 0;
	MUST(repo_case_open_with(m->b->c, &m->b->c->keyfile, &repo, &err), &err);
	MUST(prune_run(repo, &options, &result, &err), &err);
	assert_true(result.repacked.packs > 1);
	assert_true(result.deleted.packs > 1);
	repo_close(repo);
	return 0;
}

/* What is not where it was is no damage. */
static void test_another_prune_meanwhile(void **state)
{
	struct prunebox *b = *state;
	struct meeting m = {.b = b};
	struct prune_result result;
	struct prune_options options = {.progress = on_mark, .arg = &m};

	prunebox_attach(b, "long", 1, 30 << 20); /* of many chunks: its list is what is read */
	prunebox_nights(b, 5);
	prunebox_forget(b, 2);
	prunebox_forget(b, 0);
	repo_case_reopen(b->c);
	MUST(prune_run(b->c->repo, &options, &result, b->err), b->err);
	assert_true(m.marks > 1);
	repo_case_reopen(b->c);
	assert_index_follows(b);
	prunebox_assert_clean(b, b->c->repo, true);
	prunebox_assert_restores(b);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, prunebox_setup, prunebox_teardown)
	const struct CMUnitTest tests[] = {
	    T(test_repack),      T(test_maintainer),       T(test_writer_reads_them),
	    T(test_heir_rots),   T(test_an_hour),          T(test_record_is_lost),
	    T(test_small_packs), T(test_two_writers),      T(test_planted_copy),
	    T(test_killed),      T(test_backup_meanwhile), T(test_another_prune_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
