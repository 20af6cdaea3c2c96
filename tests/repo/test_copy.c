/* Copies from repository to repository: what faults on either side leave, who may, and what a copy says it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "repo/backup.h"
#include "repo/check.h"
#include "repo/condemned.h"
#include "repo/copy.h"
#include "repo/tags.h"
#include "tests/support/dbkit.h"
#include "tests/support/must.h"
#include "tests/support/repo_case.h"

#define FILES 3
#define BACKUPS 3
#define FILE_BYTES 5000

struct fixture {
	struct repo_case *from, *to;
	struct manifest_list list; /* of the source */
	bool wanted[BACKUPS + 2];
	uint8_t *blocks[BACKUPS + FILES];
	struct repo_case_file files[BACKUPS][FILES];
	struct id manifests[BACKUPS];
	unsigned copied, skipped, damaged;
	struct id sources[8], made[8];
	struct err *err;
};

static void load(struct fixture *f)
{
	manifest_list_free(&f->list);
	MUST(manifests_load(f->from->repo, NULL, NULL, &f->list, f->err), f->err);
	for (size_t i = 0; i < BACKUPS + 2; i++)
		f->wanted[i] = i < f->list.count;
}

/* Each night one of the files is another one. */
static int setup(void **state)
{
	static const char *const names[FILES] = {"a", "b", "c"};
	struct fixture *f = calloc(1, sizeof(*f));
	void *from = NULL, *to = NULL;

	assert_non_null(f);
	assert_int_equal(repo_case_setup(&from), 0);
	assert_int_equal(repo_case_setup(&to), 0);
	f->from = from;
	f->to = to;
	f->err = &f->to->err;
	for (unsigned i = 0; i < BACKUPS + FILES; i++)
		f->blocks[i] = repo_case_block(i + 1, FILE_BYTES);
	for (unsigned b = 0; b < BACKUPS; b++) {
		for (unsigned i = 0; i < FILES; i++)
			f->files[b][i] = (struct repo_case_file){
			    names[i], f->blocks[i == b ? BACKUPS + i : i], FILE_BYTES};
		f->manifests[b] = repo_case_backup(f->from, f->files[b], FILES, b + 1);
	}
	load(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	void *from = f->from, *to = f->to;

	manifest_list_free(&f->list);
	for (unsigned i = 0; i < BACKUPS + FILES; i++)
		free(f->blocks[i]);
	(void)repo_case_teardown(&from);
	(void)repo_case_teardown(&to);
	free(f);
	return 0;
}

static void on_copied(void *arg, const struct copy_one *one)
{
	struct fixture *f = arg;

	assert_false(id_is_zero(&one->made));
	assert_true(one->bytes_stored > 0);
	assert_true(f->copied < 8);
	f->sources[f->copied] = one->source;
	f->made[f->copied++] = one->made;
}

static void on_skipped(void *arg, const struct copy_one *one)
{
	struct fixture *f = arg;

	assert_false(id_is_zero(&one->there));
	f->skipped++;
}

static void on_damaged(void *arg, const struct id *source, const char *text)
{
	struct fixture *f = arg;

	assert_false(id_is_zero(source));
	assert_true(text[0] != '\0');
	f->damaged++;
}

static int copy_between(struct fixture *f, struct repo *from, struct repo *to,
			struct copy_result *result)
{
	const struct copy_options options = {
	    .from = &f->list,
	    .wanted = f->wanted,
	    .workers = 1,
	    .cb = {.copied = on_copied, .skipped = on_skipped, .damaged = on_damaged, .arg = f},
	};

	f->copied = f->skipped = f->damaged = 0;
	return copy_run(from, to, &options, result, f->err);
}

static int copy(struct fixture *f, struct copy_result *result)
{
	return copy_between(f, f->from->repo, f->to->repo, result);
}

static void copy_must(struct fixture *f, unsigned copied, unsigned skipped)
{
	struct copy_result result;

	MUST(copy(f, &result), f->err);
	assert_int_equal(result.copied, copied);
	assert_int_equal(f->copied, copied);
	assert_int_equal(result.skipped, skipped);
	assert_int_equal(f->skipped, skipped);
	assert_int_equal(result.damaged, 0);
}

static void count_damage(void *arg, const char *object, const char *text)
{
	unsigned *count = arg;

	(void)object;
	(void)text;
	++*count;
}

/* Every manifest of the copy is the one it says it is, once, and nothing is missing. */
static unsigned assert_copies(struct fixture *f)
{
	unsigned damage = 0, times[BACKUPS] = {0};
	const struct check_options options = {
	    .read_data = true, .damage = count_damage, .arg = &damage};
	struct manifest_list list = {0};
	struct check_result checked;
	size_t count;

	repo_case_reopen(f->to);
	MUST(check_run(f->to->repo, &options, &checked, f->err), f->err);
	assert_int_equal(damage + checked.damaged, 0);
	MUST(manifests_load(f->to->repo, NULL, NULL, &list, f->err), f->err);
	for (size_t i = 0; i < list.count; i++) {
		unsigned b = 0;

		while (!id_eq(&list.items[i].m.original, &f->manifests[b]))
			assert_true(++b < BACKUPS);
		assert_int_equal(times[b]++, 0);
		MUST(repo_case_try_read(f->to->repo, &list.items[i].name, f->files[b], FILES,
					f->err),
		     f->err);
	}
	count = list.count;
	manifest_list_free(&list);
	return (unsigned)count;
}

/* --- what a copy says --- */

static void test_copy(void **state)
{
	struct fixture *f = *state;
	struct manifest_list list = {0};

	copy_must(f, BACKUPS, 0);
	assert_int_equal(assert_copies(f), BACKUPS);
	MUST(manifests_load(f->to->repo, NULL, NULL, &list, f->err), f->err);
	for (size_t i = 0; i < BACKUPS; i++) {
		const struct manifest *a = &f->list.items[i].m, *b = &list.items[i].m;

		assert_true(id_eq(&f->sources[i], &f->list.items[i].name)); /* oldest first */
		assert_true(id_eq(&f->made[i], &list.items[i].name));
		assert_true(a->time_ns == b->time_ns && a->started_ns == b->started_ns);
		assert_true(a->files == b->files && a->bytes == b->bytes);
		assert_string_equal(a->host, b->host);
		assert_string_equal(a->user, b->user);
		assert_string_equal(a->program, b->program);
		assert_true(b->sequence == i + 1);
		assert_int_equal(b->parent_count, i ? 1 : 0);
		if (i)
			assert_true(id_eq(&b->parents[0], &list.items[i - 1].name));
		assert_memory_equal(b->writer, f->to->repo->keys->writer_pub, 32);
	}
	manifest_list_free(&list);
	repo_case_assert_format(f->to->inner);
	copy_must(f, 0, BACKUPS);
	/* The next night. */
	(void)repo_case_backup(f->from, f->files[0], FILES, 100);
	load(f);
	copy_must(f, 1, BACKUPS);
}

/* Tags are those that hold now, and a change of them makes no other backup of it. */
static void test_tags(void **state)
{
	static const char *const tags[] = {"kept"};
	struct fixture *f = *state;
	struct manifest_list list = {0};
	struct id record;

	MUST(tags_put(f->from->repo, &f->list.items[0], tags, 1, 50, &record, f->err), f->err);
	copy_must(f, BACKUPS, 0);
	MUST(manifests_load(f->to->repo, NULL, NULL, &list, f->err), f->err);
	assert_int_equal(list.items[0].m.tag_count, 1);
	assert_string_equal(list.items[0].m.tags[0], "kept");
	assert_int_equal(list.items[1].m.tag_count, 0);
	manifest_list_free(&list);
	MUST(tags_put(f->from->repo, &f->list.items[0], tags, 0, 51, &record, f->err), f->err);
	load(f);
	copy_must(f, 0, BACKUPS);
}

/* What did not change is neither read nor stored, in the same run as in a later one. */
static void test_unchanged(void **state)
{
	struct fixture *f = *state;
	struct copy_result result;

	f->wanted[1] = f->wanted[2] = false;
	MUST(copy(f, &result), f->err);
	assert_int_equal(result.bytes, FILES * FILE_BYTES);
	repo_case_reopen(f->to);
	load(f);
	MUST(copy(f, &result), f->err);
	/* Of each night the file that changed and the one that changed back. */
	assert_int_equal(result.copied, 2);
	assert_int_equal(result.bytes, 2 * 2 * FILE_BYTES);
	assert_int_equal(result.bytes_added > 2 * FILE_BYTES, 1);
	assert_true(result.bytes_stored < 2 * result.bytes_added + 6 * 16384);
	assert_int_equal(assert_copies(f), BACKUPS);
}

/* --- faults --- */

static void faults_to(enum store_fault_kind kind)
{
	bool fired = true;

	for (uint64_t k = 1; fired; k++) {
		struct copy_result result;
		struct fixture *f;
		unsigned there;
		void *state;
		int r;

		assert_int_equal(setup(&state), 0);
		f = state;
		store_fault_arm(f->to->fault, &(struct store_fault_plan){.kind = kind, .at = k});
		r = copy(f, &result);
		fired = store_fault_fired(f->to->fault);
		/* A fault of the other repository is never taken for damage of the source. */
		assert_int_equal(f->damaged, 0);
		if (r == 0)
			assert_int_equal(f->copied, BACKUPS);
		there = assert_copies(f);
		assert_true(there >= f->copied);
		copy_must(f, BACKUPS - there, there);
		assert_int_equal(assert_copies(f), BACKUPS);
		assert_int_equal(teardown(&state), 0);
	}
}

static void test_to_stops(void **state)
{
	(void)state;
	faults_to(FAULT_STOP);
}

static void test_to_fails(void **state)
{
	(void)state;
	faults_to(FAULT_BEFORE);
}

/* Of the source's: a backup is copied right or not at all. */
static void faults_from(enum store_fault_kind kind)
{
	bool fired = true;

	for (uint64_t k = 1; fired; k++) {
		struct copy_result result;
		struct fixture *f;
		unsigned there;
		void *state;
		int r;

		assert_int_equal(setup(&state), 0);
		f = state;
		store_fault_arm(f->from->fault, &(struct store_fault_plan){.kind = kind, .at = k});
		r = copy(f, &result);
		fired = store_fault_fired(f->from->fault);
		there = assert_copies(f);
		assert_int_equal(there, f->copied);
		if (r == 0)
			assert_int_equal(f->copied + f->damaged, BACKUPS);
		repo_case_reopen(f->from);
		copy_must(f, BACKUPS - there, there);
		assert_int_equal(assert_copies(f), BACKUPS);
		assert_int_equal(teardown(&state), 0);
	}
}

static void test_from_fails(void **state)
{
	(void)state;
	faults_from(FAULT_BEFORE);
	faults_from(FAULT_STOP);
}

static void test_from_lies(void **state)
{
	(void)state;
	faults_from(FAULT_FLIP);
	faults_from(FAULT_TEAR);
}

/* --- who may --- */

static struct repo *open_as(struct repo_case *c, enum role role)
{
	struct buf text = repo_case_keyfile(c, role);
	struct repo *repo = NULL;

	MUST(repo_case_open_with(c, &text, &repo, &c->err), &c->err);
	buf_wipe(&text);
	return repo;
}

static void test_roles(void **state)
{
	static const enum role to_roles[] = {ROLE_READ, ROLE_MAINTAIN, ROLE_WRITE};
	static const enum role from_roles[] = {ROLE_WRITE, ROLE_MAINTAIN, ROLE_READ};
	struct fixture *f = *state;
	struct copy_result result;

	for (size_t i = 0; i < 3; i++) {
		struct repo *to = open_as(f->to, to_roles[i]);

		MUST_FAIL(copy_between(f, f->from->repo, to, &result), ERR_KEY, f->err);
		assert_non_null(strstr(f->err->text, "needs a full key"));
		repo_close(to);
	}
	for (size_t i = 0; i < 3; i++) {
		struct repo *from = open_as(f->from, from_roles[i]);
		int r = copy_between(f, from, f->to->repo, &result);

		assert_int_equal(r, from_roles[i] == ROLE_READ ? 0 : -ERR_KEY);
		repo_close(from);
	}
	assert_int_equal(assert_copies(f), BACKUPS);
}

static void test_same(void **state)
{
	struct fixture *f = *state;
	struct copy_result result;

	MUST_FAIL(copy_between(f, f->from->repo, f->from->repo, &result), ERR_USAGE, f->err);
}

/* A backup of the same name and time with less in it is another one. */
static void test_not_the_same(void **state)
{
	struct fixture *f = *state;

	copy_must(f, BACKUPS, 0);
	f->list.items[1].m.files--;
	copy_must(f, 1, BACKUPS - 1);
}

/* --- beside a prune --- */

struct meanwhile {
	struct fixture *f;
	struct id packs[16];
	size_t count;
};

/* Once, before the second backup is published: a prune of another host condemns all that is there. */
static int condemn_all(void *arg, const struct copy_progress *at)
{
	struct meanwhile *m = arg;
	struct fixture *f = m->f;
	struct id *names = NULL;
	struct repo *other = NULL;

	if (m->count || at->manifests != 1 || at->path[0] != '\0')
		return 0;
	MUST(repo_list(f->to->inner, STORE_DATA, &names, NULL, &m->count, f->err), f->err);
	assert_true(m->count <= 16);
	memcpy(m->packs, names, m->count * sizeof(*names));
	MUST(repo_case_open_with(f->to, &f->to->keyfile, &other, f->err), f->err);
	MUST(condemned_put(other, CONDEMN_PACKS, names, m->count, f->err), f->err);
	repo_close(other);
	free(names);
	return 0;
}

static void test_condemned_meanwhile(void **state)
{
	struct fixture *f = *state;
	struct meanwhile m = {.f = f};
	const struct copy_options options = {.from = &f->list,
					     .wanted = f->wanted,
					     .workers = 1,
					     .cb = {.progress = condemn_all, .arg = &m}};
	struct manifest_list list = {0};
	struct copy_result result;

	MUST(copy_run(f->from->repo, f->to->repo, &options, &result, f->err), f->err);
	assert_int_equal(result.copied, BACKUPS);
	assert_true(m.count > 0);
	/* The grace is over: of the first backup nothing was known to be wanted. */
	for (size_t i = 0; i < m.count; i++)
		MUST(store_remove(f->to->inner, STORE_DATA, &m.packs[i], f->err), f->err);
	repo_case_reopen(f->to);
	MUST(manifests_load(f->to->repo, NULL, NULL, &list, f->err), f->err);
	assert_int_equal(list.count, BACKUPS);
	for (size_t i = 1; i < BACKUPS; i++)
		MUST(repo_case_try_read(f->to->repo, &list.items[i].name, f->files[i], FILES,
					f->err),
		     f->err);
	manifest_list_free(&list);
}

/* --- databases --- */

/* The database, and what lies beside it, or NULL. */
static struct id back_up_both(struct fixture *f, const struct kit *kit, const char *beside,
			      int64_t now_ns)
{
	const char *const paths[] = {kit->db, beside};
	const struct backup_options options = {.paths = paths,
					       .path_count = beside ? 2 : 1,
					       .host = REPO_CASE_HOST,
					       .cache_dir = kit->cache,
					       .workers = 1,
					       .now_ns = now_ns};
	struct backup_result result;

	MUST(backup_run(f->from->repo, &options, &result, f->err), f->err);
	assert_int_equal(result.databases, 1);
	return result.manifest;
}

static struct id back_up(struct fixture *f, const struct kit *kit, int64_t now_ns)
{
	return back_up_both(f, kit, NULL, now_ns);
}

/* Nights of a database: in the copy each is a delta of the copied one before, and the facts are those of the copy. */
static void test_database(void **state)
{
	struct fixture *f = *state;
	struct manifest_list list = {0};
	const struct manifest_db *db;
	struct kit kit;

	kit_new(&kit);
	kit_make(kit.db,
		 "CREATE TABLE t(a INTEGER PRIMARY KEY, b); WITH RECURSIVE c(i) AS (SELECT 1 "
		 "UNION ALL SELECT i + 1 FROM c WHERE i < 9000) INSERT INTO t SELECT i, "
		 "hex(randomblob(40)) FROM c");
	(void)back_up(f, &kit, 1000);
	kit_make(kit.db, "UPDATE t SET b = 'x' || b WHERE a = 4711");
	(void)back_up(f, &kit, 2000);
	load(f);
	copy_must(f, BACKUPS + 2, 0);
	MUST(manifests_load(f->to->repo, NULL, NULL, &list, f->err), f->err);
	db = &list.items[BACKUPS + 1].m.dbs[0];
	assert_memory_equal(db->image_sha256, f->list.items[BACKUPS + 1].m.dbs[0].image_sha256, 32);
	assert_true(db->cells == f->list.items[BACKUPS + 1].m.dbs[0].cells);
	assert_true(db->cells_changed >= 1 && db->cells_changed <= 10);
	assert_true(db->bytes_stored * 50 < list.items[BACKUPS].m.dbs[0].bytes_stored);
	assert_true(list.items[BACKUPS].m.dbs[0].cells_changed > 9000);
	manifest_list_free(&list);
	kit_free(&kit);
}

/* An image that is not the one of the manifest is not copied. */
static void test_wrong_image(void **state)
{
	struct fixture *f = *state;
	struct copy_result result;
	struct kit kit;

	kit_new(&kit);
	kit_make(kit.db, "CREATE TABLE t(a); INSERT INTO t VALUES (1)");
	(void)back_up(f, &kit, 1000);
	load(f);
	f->list.items[BACKUPS].m.dbs[0].image_sha256[7] ^= 1;
	MUST(copy(f, &result), f->err);
	assert_int_equal(result.copied, BACKUPS);
	assert_int_equal(result.damaged, 1);
	assert_int_equal(assert_copies(f), BACKUPS);
	kit_free(&kit);
}

/* A full disk is told as such, also where it shows only in what is kept of a backup that the source has damaged. */
static void test_full_and_damaged(void **state)
{
	bool fired = true;

	(void)state;
	for (uint64_t k = 1; fired; k++) {
		struct copy_result result;
		struct fixture *f;
		struct kit kit;
		char beside[400];
		void *own;
		int r;

		assert_int_equal(setup(&own), 0);
		f = own;
		kit_new(&kit);
		kit_make(kit.db, "CREATE TABLE t(a); INSERT INTO t VALUES (1)");
		kit_spew(kit_path(&kit, "a", beside), "comes first", 11);
		(void)back_up_both(f, &kit, beside, 1000);
		load(f);
		f->list.items[BACKUPS].m.dbs[0].image_sha256[7] ^= 1;
		store_fault_arm(f->to->fault, &(struct store_fault_plan){.kind = FAULT_BEFORE,
									 .at = k,
									 .ops = FAULT_OP(FAULT_PUT),
									 .code = ERR_FULL});
		r = copy(f, &result);
		fired = store_fault_fired(f->to->fault);
		assert_int_equal(r, fired ? -ERR_FULL : 0);
		kit_free(&kit);
		assert_int_equal(teardown(&own), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_copy, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_tags, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_unchanged, setup, teardown),
	    cmocka_unit_test(test_to_stops),
	    cmocka_unit_test(test_to_fails),
	    cmocka_unit_test(test_from_fails),
	    cmocka_unit_test(test_from_lies),
	    cmocka_unit_test_setup_teardown(test_roles, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_same, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_not_the_same, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_condemned_meanwhile, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_database, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_wrong_image, setup, teardown),
	    cmocka_unit_test(test_full_and_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
