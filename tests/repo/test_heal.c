/* What rots in a repository a check finds and notes, and the next backup stores again: whatever kind of record it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "repo/backup.h"
#include "repo/check.h"
#include "repo/restore.h"
#include "tests/support/dbkit.h"
#include "tests/support/must.h"
#include "tests/support/repo_case.h"

#define FILE_BYTES 30000
#define NIGHT_NS INT64_C(86400000000000)
#define CHANGE "UPDATE t SET v = zeroblob(length(v)) WHERE id % 100 = 7"
#define CHANGE_BACK "UPDATE t SET v = (SELECT o.v FROM o WHERE o.id = t.id) WHERE id % 100 = 7"

struct fixture {
	struct kit kit;
	struct repo_case *c;
	char src[400], file[400], db[400], state[400], other_state[400];
	uint8_t *bytes;
	int64_t now_ns;
	unsigned targets, unkept;
	struct id nights[8];
	size_t night_count;
	struct err *err;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	void *c = NULL;

	assert_non_null(f);
	kit_new(&f->kit);
	assert_int_equal(repo_case_setup(&c), 0);
	f->c = c;
	f->err = &f->c->err;
	f->now_ns = 1000;
	(void)kit_path(&f->kit, "src", f->src);
	(void)kit_path(&f->kit, "src/file", f->file);
	(void)kit_path(&f->kit, "src/app.db", f->db);
	(void)kit_path(&f->kit, "state", f->state);
	(void)kit_path(&f->kit, "other", f->other_state);
	assert_int_equal(mkdir(f->src, 0700), 0);
	assert_int_equal(mkdir(f->state, 0700), 0);
	assert_int_equal(mkdir(f->other_state, 0700), 0);
	f->bytes = repo_case_block(1, FILE_BYTES);
	kit_spew(f->file, f->bytes, FILE_BYTES);
	kit_make(f->db,
		 "CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB);"
		 "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 4000)"
		 "INSERT INTO t SELECT i, randomblob(100) FROM c;"
		 "CREATE TABLE o AS SELECT id, v FROM t WHERE id % 100 = 7");
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	void *c = f->c;

	(void)repo_case_teardown(&c);
	kit_free(&f->kit);
	free(f->bytes);
	free(f);
	return 0;
}

/* --- the steps of a story --- */

static const struct id *night_with(struct fixture *f, const char *state_dir)
{
	const char *const paths[] = {f->src};
	struct backup_options options = {.paths = paths,
					 .path_count = 1,
					 .host = REPO_CASE_HOST,
					 .cache_dir = f->kit.cache,
					 .state_dir = state_dir,
					 .now_ns = f->now_ns};
	struct backup_result result = {0};

	repo_case_reopen(f->c); /* as the next run of the program */
	f->now_ns += NIGHT_NS;
	MUST(backup_run(f->c->repo, &options, &result, f->err), f->err);
	assert_true(result.committed);
	assert_int_equal(result.unreadable, 0);
	assert_int_equal(result.databases, 1);
	assert_true(f->night_count < 8);
	f->nights[f->night_count] = result.manifest;
	return &f->nights[f->night_count++];
}

static const struct id *night(struct fixture *f)
{
	return night_with(f, f->state);
}

static void on_unkept(void *arg, const char *where, const char *text)
{
	struct fixture *f = arg;

	assert_true(where[0] && text[0]);
	f->unkept++;
}

static struct check_options options_of(struct fixture *f, const struct id *manifest)
{
	return (struct check_options){.read_data = true,
				      .manifests = manifest,
				      .manifest_count = manifest ? 1 : 0,
				      .put_notes = true,
				      .state_dir = f->state,
				      .now_ns = f->now_ns,
				      .unkept = on_unkept,
				      .arg = f};
}

static struct check_result check_with(struct fixture *f, const struct check_options *options)
{
	struct check_result result;

	MUST(check_run(f->c->repo, options, &result, f->err), f->err);
	return result;
}

static struct check_result check(struct fixture *f, const struct id *manifest)
{
	const struct check_options options = options_of(f, manifest);

	return check_with(f, &options);
}

static uint64_t restore_failures(struct fixture *f, const struct id *name)
{
	struct index *index = repo_case_index(f->c);
	struct manifest_list list = {0};
	struct restore_result result = {0};
	struct reader *reader = NULL;
	char target[400], word[32];
	const struct restore_options options = {.target = target, .verify = true};
	size_t i = 0;

	(void)snprintf(word, sizeof(word), "back%u", f->targets++);
	(void)kit_path(&f->kit, word, target);
	MUST(manifests_load(f->c->repo, NULL, NULL, &list, f->err), f->err);
	MUST(reader_new(f->c->repo, index, &reader, f->err), f->err);
	while (!id_eq(&list.items[i].name, name))
		assert_true(++i < list.count);
	if (restore_run(reader, &list.items[i].m, &options, &result, f->err))
		result.failed++; /* not even its root */
	if (result.failed == 0)
		assert_true(result.files == 2 && result.databases == 1);
	reader_free(reader);
	manifest_list_free(&list);
	index_free(index);
	return result.failed;
}

static void assert_all_restore(struct fixture *f)
{
	for (size_t i = 0; i < f->night_count; i++)
		assert_int_equal(restore_failures(f, &f->nights[i]), 0);
}

/* --- damage --- */

enum target { A_FILE, TREE_LIST, TREE_BODY, A_BASE, CHUNKS_LIST, CHUNKS_BODY, TARGETS };

static const uint8_t target_kind[TARGETS] = {CHUNK_DATA, CHUNK_TREE_LIST, CHUNK_TREE_BODY,
					     CHUNK_DATA, CHUNK_LIST,      CHUNK_LIST_BODY};

static bool rested_on(const struct index *index, const struct index_place *place)
{
	for (size_t i = 0; i < index->place_count; i++) {
		const struct record_info *info = &index->places[i].info;

		for (size_t k = 0; k < info->base_count; k++) {
			if (info->kind == place->info.kind &&
			    id_eq(&info->bases[k], &place->info.id))
				return true;
		}
	}
	return false;
}

static bool is_target(struct fixture *f, const struct index *index, enum target what,
		      const struct index_place *place)
{
	struct id id;

	if (place->info.kind != target_kind[what] || place->info.base_count)
		return false;
	if (what == A_BASE)
		return rested_on(index, place);
	if (what != A_FILE)
		return true;
	MUST(record_id(keys_domain(f->c->repo->keys, 0, f->err), CHUNK_DATA, f->bytes, FILE_BYTES,
		       &id, f->err),
	     f->err);
	return id_eq(&id, &place->info.id);
}

/* Turns a bit in the first record of that sort. */
static void rot(struct fixture *f, enum target what)
{
	struct index *index = repo_case_index(f->c);
	size_t i = 0;

	while (i < index->place_count && !is_target(f, index, what, &index->places[i]))
		i++;
	if (i == index->place_count)
		fail_msg("there is no record of sort %d", what);
	repo_case_flip(f->c->inner, STORE_DATA, &index->packs[index->places[i].pack].name,
		       index->places[i].offset + index->places[i].stored_bytes / 2, 3);
	index_free(index);
}

static void assert_noted_once(struct fixture *f, const struct id *manifest)
{
	struct check_result first = check(f, manifest), second = check(f, manifest);

	assert_true(first.damaged > 0);
	assert_int_equal(first.noted, 1);
	assert_int_equal(second.damaged, first.damaged);
	assert_int_equal(second.noted, 0);
	assert_int_equal(f->unkept, 0);
}

/* --- what still exists heals --- */

static void heal(struct fixture *f, enum target what, bool chosen)
{
	const struct id *latest;
	struct check_result result;

	(void)night(f);
	if (what == A_BASE)
		kit_make(f->db, CHANGE);
	latest = night(f);
	rot(f, what);
	assert_true(restore_failures(f, &f->nights[0]) > 0);
	assert_noted_once(f, chosen ? latest : NULL);
	if (what == A_BASE)
		kit_make(f->db, CHANGE_BACK);
	latest = night(f);
	result = check(f, latest);
	assert_int_equal(result.damaged, 0);
	result = check(f, NULL);
	assert_int_equal(result.damaged, 0);
	assert_int_equal(result.healed, 1);
	assert_int_equal(result.noted, 0);
	assert_all_restore(f);
}

static void test_heals(void **state)
{
	for (int i = 0; i < 2 * TARGETS; i++) {
		assert_int_equal(setup(state), 0);
		heal(*state, (enum target)(i / 2), i % 2);
		assert_int_equal(teardown(state), 0);
	}
}

/* Without a note a writer cannot know: what the notes are for. */
static void test_does_not_heal_unnoticed(void **state)
{
	struct fixture *f = *state;

	(void)night(f);
	rot(f, A_FILE);
	assert_true(check(f, night(f)).damaged > 0);
}

/* The nodes that a check reads anyway it notes, too. */
static void test_structure(void **state)
{
	const enum target nodes[] = {TREE_LIST, TREE_BODY, CHUNKS_LIST, CHUNKS_BODY};

	for (size_t i = 0; i < 4; i++) {
		struct check_options options;
		struct fixture *f;

		assert_int_equal(setup(state), 0);
		f = *state;
		options = options_of(f, NULL);
		options.read_data = false;
		(void)night(f);
		rot(f, nodes[i]);
		assert_int_equal(check_with(f, &options).noted, 1);
		assert_int_equal(check_with(f, &options).noted, 0);
		assert_true(check_with(f, &options).damaged > 0);
		(void)night(f);
		assert_int_equal(check_with(f, &options).damaged, 0);
		assert_int_equal(check(f, NULL).damaged, 0);
		assert_all_restore(f);
		assert_int_equal(teardown(state), 0);
	}
}

/* A pack that is gone needs no note: a writer looks for packs. */
static void test_pack_removed(void **state)
{
	struct fixture *f = *state;
	struct check_result result;
	struct id *names = NULL;
	size_t count = 0;

	(void)night(f);
	(void)night(f);
	MUST(repo_list(f->c->inner, STORE_DATA, &names, NULL, &count, f->err), f->err);
	for (size_t i = 0; i < count; i++)
		MUST(store_remove(f->c->inner, STORE_DATA, &names[i], f->err), f->err);
	result = check(f, NULL);
	assert_true(result.damaged > 0);
	assert_int_equal(result.noted, 0);
	assert_true(check(f, &f->nights[1]).damaged > 0);
	result = check(f, night(f));
	assert_int_equal(result.damaged, 0);
	result = check(f, NULL);
	assert_int_equal(result.damaged, 0);
	assert_int_equal(result.healed, count);
	assert_all_restore(f);
	free(names);
}

/* Of a lost pack that another backup needs, a check of this one says nothing. */
static void test_pack_of_others(void **state)
{
	struct fixture *f = *state;
	struct check_result result;
	struct id *names = NULL;
	size_t count = 0;

	(void)night(f);
	MUST(repo_list(f->c->inner, STORE_DATA, &names, NULL, &count, f->err), f->err);
	kit_spew(f->file, f->bytes + 1, FILE_BYTES - 1);
	kit_make(f->db, CHANGE);
	(void)night(f);
	assert_int_equal(count, 1);
	MUST(store_remove(f->c->inner, STORE_DATA, &names[0], f->err), f->err);
	result = check(f, night(f));
	assert_int_equal(result.damaged, 0);
	assert_int_equal(result.healed, 0);
	assert_true(check(f, NULL).damaged > 0);
	free(names);
}

/* --- what is gone stays damaged, and nothing new rests on it --- */

static void lose(struct fixture *f, enum target what)
{
	const struct id *latest;
	uint8_t *other = repo_case_block(2, FILE_BYTES);

	(void)night(f);
	if (what == A_BASE) {
		kit_make(f->db, CHANGE);
		(void)night(f);
	}
	rot(f, what);
	assert_noted_once(f, NULL);
	kit_spew(f->file, other, FILE_BYTES);
	if (what != A_BASE)
		kit_make(f->db, CHANGE);
	latest = night(f);
	assert_int_equal(check(f, latest).damaged, 0);
	assert_int_equal(restore_failures(f, latest), 0);
	assert_true(check(f, NULL).damaged > 0);
	assert_true(check(f, &f->nights[0]).damaged > 0);
	/* Only the night before the change has lost something. */
	if (what == A_BASE)
		assert_int_equal(check(f, &f->nights[1]).damaged, 0);
	free(other);
}

static void test_lost(void **state)
{
	const enum target what[] = {A_FILE, TREE_LIST, A_BASE, CHUNKS_LIST};

	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(setup(state), 0);
		lose(*state, what[i]);
		assert_int_equal(teardown(state), 0);
	}
}

/* --- who notes, and where --- */

/* A note about a copy that is whole after all costs its bytes, and nothing else. */
static void test_wrong_note(void **state)
{
	struct fixture *f = *state;
	struct check_result result;

	(void)night(f);
	rot(f, A_FILE);
	assert_noted_once(f, NULL);
	rot(f, A_FILE); /* the same bit: as it was */
	result = check(f, NULL);
	assert_int_equal(result.damaged, 0);
	assert_int_equal(result.healed, 0);
	assert_int_equal(check(f, night(f)).damaged, 0);
	result = check(f, NULL);
	assert_int_equal(result.damaged, 0);
	assert_int_equal(result.healed, 0);
	assert_int_equal(repo_case_count(f->c->inner, STORE_DATA), 2);
	assert_all_restore(f);
}

/* A key that only reads: found, told, and remembered on this host alone. */
static void test_reading_key(void **state)
{
	struct fixture *f = *state;
	struct check_options options = options_of(f, NULL);
	struct buf text = repo_case_keyfile(f->c, ROLE_READ);
	struct check_result result;
	struct repo *repo = NULL;

	(void)night(f);
	rot(f, A_FILE);
	MUST(repo_case_open_with(f->c, &text, &repo, f->err), f->err);
	MUST(check_run(repo, &options, &result, f->err), f->err);
	assert_true(result.damaged > 0);
	assert_int_equal(result.noted, 0);
	assert_int_equal(f->unkept, 1);
	repo_close(repo);
	buf_wipe(&text);
	assert_int_equal(repo_case_count(f->c->inner, STORE_SNAPSHOTS), 1);
	assert_true(check_with(f,
			       &(struct check_options){
				   .read_data = true,
				   .manifests = night_with(f, f->other_state),
				   .manifest_count = 1,
			       })
			.damaged > 0);
	assert_int_equal(check(f, night(f)).damaged, 0);
}

/* A store that takes nothing, and a folder that is not there: the verdict is the same. */
static void test_nowhere_to_note(void **state)
{
	struct fixture *f = *state;
	struct check_options options = options_of(f, NULL);
	struct check_result result;

	(void)night(f);
	rot(f, A_FILE);
	options.state_dir = "/nowhere/at/all";
	store_fault_arm(f->c->fault, &(struct store_fault_plan){
					 .kind = FAULT_STOP, .at = 1, .ops = FAULT_OP(FAULT_PUT)});
	result = check_with(f, &options);
	assert_true(store_fault_fired(f->c->fault));
	assert_true(result.damaged > 0);
	assert_int_equal(result.noted, 0);
	assert_int_equal(f->unkept, 2);
}

/* G signs: a machine that checks with the full key is no writer because of that. */
static void test_other_host(void **state)
{
	struct fixture *f = *state;
	struct check_options options = options_of(f, NULL);
	struct check_result result;
	struct repo *elsewhere = NULL;
	size_t keys;

	(void)night(f);
	options.state_dir = f->other_state;
	keys = repo_case_count(f->c->inner, STORE_KEYS);
	rot(f, A_FILE);
	MUST(repo_case_open_with(f->c, &f->c->keyfile, &elsewhere, f->err), f->err);
	assert_false(elsewhere->keys->has_writer);
	MUST(check_run(elsewhere, &options, &result, f->err), f->err);
	repo_close(elsewhere);
	assert_int_equal(result.noted, 1);
	assert_int_equal(f->unkept, 0);
	assert_int_equal(repo_case_count(f->c->inner, STORE_KEYS), keys);
	/* Only reading would tell whether it is still so. */
	options.read_data = false;
	result = check_with(f, &options);
	assert_int_equal(result.damaged, 0);
	assert_int_equal(result.noted_before, 1);
	(void)night(f);
	assert_int_equal(check_with(f, &options).noted_before, 0);
	assert_int_equal(check(f, night(f)).damaged, 0);
	assert_all_restore(f);
}

/* What only this moment, or this user, could not read is told, and not noted. */
static void test_passing_failure(void **state)
{
	struct fixture *f = *state;
	struct check_options options = options_of(f, NULL);

	(void)night(f);
	for (uint64_t at = 1, told = 0;; at++) {
		struct check_result result;

		store_fault_arm(f->c->fault, &(struct store_fault_plan){
						 .kind = FAULT_BEFORE,
						 .at = at,
						 .types = FAULT_TYPE(STORE_DATA),
					     });
		if (check_run(f->c->repo, &options, &result, f->err))
			continue;
		if (!store_fault_fired(f->c->fault)) {
			assert_true(told > 0);
			break;
		}
		told += result.damaged > 0;
		assert_int_equal(result.noted, 0);
	}
}

static void test_chosen_but_gone(void **state)
{
	struct fixture *f = *state;
	struct check_options options = options_of(f, night(f));
	struct check_result result;

	MUST(store_remove(f->c->inner, STORE_SNAPSHOTS, options.manifests, f->err), f->err);
	MUST_FAIL(check_run(f->c->repo, &options, &result, f->err), ERR_MISSING, f->err);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_heals),
	    CASE(test_does_not_heal_unnoticed),
	    cmocka_unit_test(test_structure),
	    CASE(test_pack_removed),
	    CASE(test_pack_of_others),
	    cmocka_unit_test(test_lost),
	    CASE(test_wrong_note),
	    CASE(test_reading_key),
	    CASE(test_nowhere_to_note),
	    CASE(test_other_host),
	    CASE(test_passing_failure),
	    CASE(test_chosen_but_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
