/* drill: who may, what is left of it, and where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "repo/check.h"
#include "tests/support/drill_box.h"
#include "tests/support/must.h"

/* --- roles and notes --- */

/* Keeps a made-up drill of the manifest at `which`, and says whether it is in the repository. */
static bool keep(struct drill_box *f, struct repo *repo, size_t which, int64_t at, bool good)
{
	struct drillnote note = {.head.time_ns = at,
				 .place = DRILLNOTE_MEMORY,
				 .counts = {.files = 1, .files_failed = !good}};
	struct manifest_list list = {0};
	struct err why;

	MUST(manifests_load(repo, NULL, NULL, &list, &f->c->err), &f->c->err);
	assert_int_equal(list.bad, 0);
	MUST(drill_keep(repo, &list, &list.items[which], f->kit.cache, &note, &why, &f->c->err),
	     &f->c->err);
	manifest_list_free(&list);
	return why.code == 0;
}

static void assert_last(struct drill_box *f, struct repo *repo, int64_t last, int64_t good)
{
	struct manifest_list list = {0};
	struct drillnote n = {0};

	MUST(manifests_load(repo, NULL, NULL, &list, &f->c->err), &f->c->err);
	assert_int_equal(list.bad, 0);
	assert_int_equal(drill_last(&list, repo->keys->repo, f->kit.cache, &n), last != 0);
	assert_true(!last || n.head.time_ns == last);
	assert_int_equal(drill_last_good(&list, repo->keys->repo, f->kit.cache, &n), good != 0);
	assert_true(!good || n.head.time_ns == good);
	manifest_list_free(&list);
}

static void test_notes(void **state)
{
	struct drill_box *f = *state;
	struct repo *repo = f->c->repo;
	size_t before;

	drill_box_make_db(f, DRILL_BOX_SOUND);
	drill_box_back_up(f, 2000);
	before = repo_case_count(f->c->inner, STORE_SNAPSHOTS);
	assert_last(f, repo, 0, 0);
	assert_true(keep(f, repo, 0, 50, false));
	assert_last(f, repo, 50, 0);
	assert_true(keep(f, repo, 0, 60, true));
	assert_last(f, repo, 60, 60);
	assert_int_equal(repo_case_count(f->c->inner, STORE_SNAPSHOTS), before + 1);
	for (int64_t at = 70; at < 80; at++)
		assert_true(keep(f, repo, 1, at, false));
	assert_last(f, repo, 79, 60); /* failing ones do not hide the last good one */
	assert_int_equal(repo_case_count(f->c->inner, STORE_SNAPSHOTS), before + 2);
	repo_case_reopen(f->c);
	repo = drill_box_open_as(f, ROLE_MAINTAIN);
	assert_last(f, repo, 79, 60);
	repo_close(repo);
	repo_case_assert_format(f->c->inner);
}

/* A key that signs nothing: this host remembers. */
static void test_read_key(void **state)
{
	struct drill_box *f = *state;
	struct check_options o = {.read_data = true};
	struct check_result res;
	struct repo *repo;
	size_t before;

	drill_box_make_db(f, DRILL_BOX_SOUND);
	before = repo_case_count(f->c->inner, STORE_SNAPSHOTS);
	repo = drill_box_open_as(f, ROLE_READ);
	MUST(drill_box_drill_as(f, repo, &f->c->err), &f->c->err);
	assert_false(keep(f, repo, 0, 50, true));
	assert_false(keep(f, repo, 0, 60, false));
	assert_false(keep(f, repo, 0, 70, false));
	assert_last(f, repo, 70, 50);
	repo_close(repo);
	assert_int_equal(repo_case_count(f->c->inner, STORE_SNAPSHOTS), before);
	assert_true(keep(f, f->c->repo, 0, 65, true));
	assert_last(f, f->c->repo, 70, 65);
	MUST(check_run(f->c->repo, &o, &res, &f->c->err), &f->c->err);
	assert_true(res.damaged == 0);
}

/* Of a writer that no roster names: not a note, and told. */
static void test_unknown_signer(void **state)
{
	struct drill_box *f = *state;
	struct drillnote note = {.head.number = 1, .place = DRILLNOTE_MEMORY};
	struct manifest_list list = {0};
	struct buf bytes = {0};
	struct repo *stranger;
	struct id name;

	drill_box_make_db(f, DRILL_BOX_SOUND);
	MUST(keys_random_writer(f->c->repo->keys, "stranger", 0, &f->c->err), &f->c->err);
	stranger = drill_box_open_as(f, ROLE_WRITE);
	MUST(drillnote_enc(stranger->keys, &note, 12, &bytes, &f->c->err), &f->c->err);
	MUST(repo_put(stranger, STORE_SNAPSHOTS, &bytes, &name, &f->c->err), &f->c->err);
	repo_close(stranger);
	MUST(manifests_load(f->c->repo, NULL, NULL, &list, &f->c->err), &f->c->err);
	assert_int_equal(list.bad, 1);
	assert_int_equal(list.drills.count, 0);
	manifest_list_free(&list);
	buf_free(&bytes);
}

/* What this host remembers is damaged: said as such, no verdict, and replaced by the next drill. */
static void test_damaged_memory(void **state)
{
	struct drill_box *f = *state;
	const uint8_t *repo = f->c->repo->keys->repo;
	struct drillnote note = {
	    .head.time_ns = 7, .verdict = DRILLNOTE_GOOD, .place = DRILLNOTE_MEMORY};
	struct drills local = {0};
	char id[2 * REPO_ID_BYTES + 1], path[700];
	struct kit_bytes sound;

	drill_box_make_db(f, DRILL_BOX_SOUND);
	MUST(drills_load_local(f->kit.cache, repo, &local, &f->c->err), &f->c->err);
	assert_int_equal(local.count, 0);
	MUST(drills_save_local(f->kit.cache, repo, &note, &f->c->err), &f->c->err);
	(void)sodium_bin2hex(id, sizeof(id), repo, REPO_ID_BYTES);
	(void)snprintf(path, sizeof(path), "%s/%s/drills", f->kit.cache, id);
	sound.p = kit_slurp(path, &sound.len);
	for (size_t len = 1; len < sound.len; len++) {
		kit_spew(path, sound.p, len);
		MUST_FAIL(drills_load_local(f->kit.cache, repo, &local, &f->c->err), ERR_DAMAGED,
			  &f->c->err);
		assert_non_null(strstr(f->c->err.text, path));
		drills_free(&local);
	}
	assert_last(f, f->c->repo, 0, 0);
	MUST(drills_save_local(f->kit.cache, repo, &note, &f->c->err), &f->c->err);
	assert_last(f, f->c->repo, 7, 7);
	free(sound.p);
}

static void test_other_roles(void **state)
{
	struct drill_box *f = *state;

	drill_box_make_db(f, DRILL_BOX_SOUND);
	for (int i = 0; i < 2; i++) {
		struct repo *repo = drill_box_open_as(f, i ? ROLE_MAINTAIN : ROLE_WRITE);
		struct drillnote_counts counts;
		struct manifest none = {0};
		struct index *index = NULL;
		struct reader *reader = NULL;
		struct err err = {0};

		MUST(index_load(f->c->repo, NULL, NULL, &index, &err), &err);
		MUST(reader_new(repo, index, &reader, &err), &err);
		MUST_FAIL(drill_run(reader, &none, &f->options, &counts, &err), ERR_KEY, &err);
		assert_non_null(strstr(err.text, "full or read key"));
		reader_free(reader);
		index_free(index);
		repo_close(repo);
	}
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, drill_box_setup, drill_box_teardown)
	const struct CMUnitTest tests[] = {
	    CASE(test_notes),          CASE(test_read_key),    CASE(test_unknown_signer),
	    CASE(test_damaged_memory), CASE(test_other_roles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
