/* repair index: who may, what a crash or a bad disk in the middle leaves, and what is named in the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "repo/index.h"
#include "tests/support/must.h"
#include "tests/support/repairbox.h"

/* All packs are named by good segments, once each. */
static void assert_index_whole(struct repairbox *f)
{
	struct repair_index_result again = repairbox_index(f);
	struct index *index = repo_case_index(f->c);

	assert_int_equal(again.written, 0);
	assert_int_equal(again.replaced, 0);
	assert_int_equal(index->pack_count, repo_case_count(f->c->inner, STORE_DATA));
	index_free(index);
	repo_case_assert_format(f->c->inner);
}

static void break_index(struct repairbox *f)
{
	struct id name = repairbox_nth(f, STORE_INDEX, 2);

	repairbox_rot(f, STORE_INDEX, 0, 300);
	repairbox_rot(f, STORE_INDEX, 1, 5);
	MUST(store_remove(f->c->inner, STORE_INDEX, &name, f->err), f->err);
}

/* Wherever it ends, backups are readable, and the next repair ends the work. */
static void index_repair_stops(enum store_fault_kind kind)
{
	const struct repair_index_options options = {0};
	bool fired = true;

	for (uint64_t k = 1; fired; k++) {
		struct repair_index_result result;
		struct repairbox *f;
		void *state;
		int r;

		assert_int_equal(repairbox_setup(&state), 0);
		f = state;
		break_index(f);
		store_fault_arm(f->c->fault, &(struct store_fault_plan){.kind = kind, .at = k});
		r = repair_index(f->c->repo, &options, &result, f->err);
		fired = store_fault_fired(f->c->fault);
		if (!fired)
			assert_int_equal(r, 0);
		repo_case_reopen(f->c);
		assert_int_equal(repairbox_readable(f), REPAIRBOX_BACKUPS);
		(void)repairbox_index(f);
		assert_index_whole(f);
		assert_int_equal(repairbox_readable(f), REPAIRBOX_BACKUPS);
		assert_int_equal(repairbox_teardown(&state), 0);
	}
}

static void test_index_crash(void **state)
{
	(void)state;
	index_repair_stops(FAULT_STOP);
}

static void test_index_fault(void **state)
{
	(void)state;
	index_repair_stops(FAULT_BEFORE);
	index_repair_stops(FAULT_AFTER);
}

/* A bit that flipped on the way, or a listing that lost half, costs work and nothing else. */
static void test_index_lies(void **state)
{
	(void)state;
	index_repair_stops(FAULT_TEAR);
}

static size_t named(struct repairbox *f)
{
	struct index *index = NULL;
	size_t count;

	MUST(index_load(f->c->repo, NULL, NULL, &index, f->err), f->err);
	count = index->pack_count;
	index_free(index);
	return count;
}

/* At no moment a pack that was named is not: the new segment comes before the old one goes. */
static void test_index_order(void **unused)
{
	const struct repair_index_options options = {0};
	bool fired = true;

	(void)unused;
	for (uint64_t k = 1; fired; k++) {
		struct repair_index_result result;
		struct repairbox *f;
		struct id pack;
		void *state;
		int r;

		assert_int_equal(repairbox_setup(&state), 0);
		f = state;
		break_index(f);
		assert_int_equal(repairbox_index(f).written, 1);
		pack = repairbox_nth(f, STORE_DATA, 0);
		MUST(store_remove(f->c->inner, STORE_DATA, &pack, f->err), f->err);
		store_fault_arm(f->c->fault,
				&(struct store_fault_plan){.kind = FAULT_STOP, .at = k});
		r = repair_index(f->c->repo, &options, &result, f->err);
		fired = store_fault_fired(f->c->fault);
		assert_true(r == 0 || fired);
		repo_case_reopen(f->c);
		assert_true(named(f) >= REPAIRBOX_BACKUPS - 1);
		(void)repairbox_index(f);
		assert_int_equal(named(f), REPAIRBOX_BACKUPS - 1);
		assert_index_whole(f);
		assert_int_equal(repairbox_teardown(&state), 0);
	}
}

static void test_index_empty(void **state)
{
	struct repairbox *f = *state;
	struct repair_index_result result;

	for (int i = 0; i < REPAIRBOX_BACKUPS; i++) {
		struct id name = repairbox_nth(f, STORE_INDEX, 0);

		MUST(store_remove(f->c->inner, STORE_INDEX, &name, f->err), f->err);
	}
	result = repairbox_index(f);
	assert_int_equal(result.packs_added, REPAIRBOX_BACKUPS);
	assert_int_equal(result.written, 1);
	assert_index_whole(f);
	assert_int_equal(repairbox_readable(f), REPAIRBOX_BACKUPS);
}

/* A healthy segment is only read, though another is broken. */
static void test_index_keeps_good(void **state)
{
	struct repairbox *f = *state;
	struct id kept[2] = {repairbox_nth(f, STORE_INDEX, 0), repairbox_nth(f, STORE_INDEX, 2)};
	struct repair_index_result result;

	repairbox_rot(f, STORE_INDEX, 1, 300);
	result = repairbox_index(f);
	assert_int_equal(result.replaced, 1);
	assert_int_equal(result.written, 1);
	assert_int_equal(result.packs_added, 1);
	for (size_t i = 0; i < 2; i++) {
		struct buf b = repo_case_get(f->c->inner, STORE_INDEX, &kept[i]);

		buf_free(&b);
	}
	assert_index_whole(f);
}

/* A listing that leaves out packs makes none of them missing. */
static void test_index_short_listing(void **state)
{
	const struct repair_index_options options = {0};
	struct repair_index_result result;
	struct repairbox *f = *state;

	store_fault_arm(f->c->fault, &(struct store_fault_plan){.kind = FAULT_TEAR,
								.at = 1,
								.ops = FAULT_OP(FAULT_LIST),
								.types = FAULT_TYPE(STORE_DATA)});
	MUST(repair_index(f->c->repo, &options, &result, f->err), f->err);
	assert_true(store_fault_fired(f->c->fault));
	assert_true(result.packs < REPAIRBOX_BACKUPS);
	assert_int_equal(result.packs_missing + result.replaced + result.written, 0);
}

/* A segment that is well signed and says less than the pack does: only who compares all packs can tell. */
static void test_index_wrong_words(void **state)
{
	const struct repair_index_options all = {.read_all_packs = true};
	struct repair_index_result result;
	struct repairbox *f = *state;
	struct id name = repairbox_nth(f, STORE_INDEX, 0);
	struct indexseg seg = {0};
	struct buf bytes = {0};

	MUST(index_get_segment(f->c->repo, &name, &seg, f->err), f->err);
	assert_true(seg.packs[0].dir.entry_count > 1);
	seg.packs[0].dir.entry_count--;
	MUST(indexseg_enc(f->c->repo->keys, 0, seg.packs, seg.pack_count, 12, &bytes, f->err),
	     f->err);
	MUST(repo_put(f->c->repo, STORE_INDEX, &bytes, NULL, f->err), f->err);
	MUST(store_remove(f->c->inner, STORE_INDEX, &name, f->err), f->err);
	assert_int_equal(repairbox_index(f).replaced, 0);
	assert_true(repairbox_readable(f) < REPAIRBOX_BACKUPS);
	MUST(repair_index(f->c->repo, &all, &result, f->err), f->err);
	assert_int_equal(result.replaced, 1);
	assert_int_equal(result.written, 1);
	assert_int_equal(repairbox_readable(f), REPAIRBOX_BACKUPS);
	MUST(repair_index(f->c->repo, &all, &result, f->err), f->err);
	assert_int_equal(result.replaced + result.written, 0);
	indexseg_free(&seg);
	buf_free(&bytes);
}

static int repair_as(struct repairbox *f, enum role role, struct repair_index_result *result)
{
	const struct repair_index_options options = {0};
	struct buf text = repo_case_keyfile(f->c, role);
	struct repo *repo = NULL;
	int r;

	MUST(repo_case_open_with(f->c, &text, &repo, f->err), f->err);
	r = repair_index(repo, &options, result, f->err);
	repo_close(repo);
	buf_wipe(&text);
	return r;
}

/* The maintain key has no domain: it borrows a segment key, which writers can open. */
static void test_index_maintain(void **state)
{
	struct repairbox *f = *state;
	struct buf text = repo_case_keyfile(f->c, ROLE_WRITE);
	struct repair_index_result result;
	struct index *index = NULL;
	struct repo *writer = NULL;

	repairbox_rot(f, STORE_INDEX, 1, 300);
	MUST(repair_as(f, ROLE_MAINTAIN, &result), f->err);
	assert_int_equal(result.replaced, 1);
	assert_int_equal(result.written, 1);
	MUST(repo_case_open_with(f->c, &text, &writer, f->err), f->err);
	MUST(index_load(writer, NULL, NULL, &index, f->err), f->err);
	assert_int_equal(index->pack_count, REPAIRBOX_BACKUPS);
	index_free(index);
	repo_close(writer);
	buf_wipe(&text);
	assert_index_whole(f);
}

static void test_index_roles(void **state)
{
	struct repairbox *f = *state;
	struct repair_index_result result;

	break_index(f);
	MUST_FAIL(repair_as(f, ROLE_READ, &result), ERR_KEY, f->err);
	MUST_FAIL(repair_as(f, ROLE_WRITE, &result), ERR_KEY, f->err);
	MUST_FAIL(repair_as(f, ROLE_MAINTAIN, &result), ERR_KEY, f->err);
	assert_non_null(strstr(f->err->text, "no index segment is left"));
	assert_int_equal(repo_case_count(f->c->inner, STORE_INDEX), 2); /* as they were */
	(void)repairbox_index(f);
	assert_index_whole(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_index_crash),
	    cmocka_unit_test(test_index_fault),
	    cmocka_unit_test(test_index_lies),
	    cmocka_unit_test(test_index_order),
	    cmocka_unit_test_setup_teardown(test_index_empty, repairbox_setup, repairbox_teardown),
	    cmocka_unit_test_setup_teardown(test_index_keeps_good, repairbox_setup,
					    repairbox_teardown),
	    cmocka_unit_test_setup_teardown(test_index_short_listing, repairbox_setup,
					    repairbox_teardown),
	    cmocka_unit_test_setup_teardown(test_index_wrong_words, repairbox_setup,
					    repairbox_teardown),
	    cmocka_unit_test_setup_teardown(test_index_maintain, repairbox_setup,
					    repairbox_teardown),
	    cmocka_unit_test_setup_teardown(test_index_roles, repairbox_setup, repairbox_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
