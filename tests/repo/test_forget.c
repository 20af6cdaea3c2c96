/* forget: what goes, what stays and what is left of it, also when it ends between any two calls of the store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/sign.h"
#include "repo/check.h"
#include "repo/forget.h"
#include "repo/tags.h"
#include "tests/support/must.h"
#include "tests/support/repo_case.h"

#define NS INT64_C(1000000000)
#define DAY (86400 * NS)
#define START (INT64_C(1704067200) * NS)

static const struct repo_case_file files[] = {{"a", "one", 3}};

static struct id night(struct repo_case *c, int n)
{
	return repo_case_backup(c, files, 1, START + n * DAY);
}

static struct forget_options daily(int64_t days)
{
	struct forget_options o = {.group_by = FORGET_BY_HOST | FORGET_BY_PATHS};

	o.policy.count[RETENTION_DAILY] = days;
	o.policy.now_ns = START + 5000 * DAY;
	return o;
}

static int try_forget(struct repo *repo, const struct forget_options *o, size_t *out_removed,
		      struct err *err)
{
	struct manifest_list list = {0};
	struct forget_plan plan = {0};
	struct forget_result res = {0};
	int r = manifests_load(repo, NULL, NULL, &list, err);

	if (!r)
		r = forget_plan(repo, &list, o, &plan, err);
	if (!r)
		r = forget_apply(repo, &list, &plan, o->policy.now_ns, NULL, &res, err);
	*out_removed = res.removed;
	forget_plan_free(&plan);
	manifest_list_free(&list);
	return r;
}

static size_t forget(struct repo_case *c, const struct forget_options *o)
{
	size_t removed = 0;

	MUST(try_forget(c->repo, o, &removed, &c->err), &c->err);
	return removed;
}

static struct manifest_list load(struct repo_case *c, size_t bad)
{
	struct manifest_list list = {0};

	MUST(manifests_load(c->repo, NULL, NULL, &list, &c->err), &c->err);
	assert_int_equal(list.bad, bad);
	return list;
}

static void assert_sound(struct repo_case *c)
{
	struct check_options o = {.read_data = true};
	struct check_result res;

	MUST(check_run(c->repo, &o, &res, &c->err), &c->err);
	assert_true(res.damaged == 0);
}

static void test_policy(void **state)
{
	struct repo_case *c = *state;
	struct forget_options o = daily(3);
	struct id names[10];
	struct manifest_list list;

	for (int i = 0; i < 10; i++)
		names[i] = night(c, i);
	assert_int_equal(forget(c, &o), 7);
	assert_int_equal(forget(c, &o), 0);
	assert_int_equal(repo_case_count(c->inner, STORE_SNAPSHOTS), 4); /* and the record */
	repo_case_reopen(c);
	list = load(c, 0);
	assert_int_equal(list.count, 3);
	assert_int_equal(list.retires.name_count, 7);
	for (int i = 0; i < 10; i++)
		assert_int_equal(retires_have(&list.retires, &names[i]), i < 7);
	for (size_t i = 0; i < list.retires.records[0].r.count; i++)
		assert_true(list.retires.records[0].r.entries[i].sequence == i + 1);
	for (int i = 7; i < 10; i++)
		MUST(repo_case_try_read(c->repo, &names[i], files, 1, &c->err), &c->err);
	assert_sound(c);
	(void)night(c, 10); /* and the next backup goes on from there */
	manifest_list_free(&list);
	list = load(c, 0);
	assert_true(list.items[3].m.sequence == 11);
	manifest_list_free(&list);
}

static bool is_there(const struct manifest_list *list, const struct id *name)
{
	for (size_t i = 0; i < list->count; i++)
		if (id_eq(&list->items[i].name, name))
			return true;
	return false;
}

/* The end of a run at any call, one that was done or not: the next run finishes, and nothing was gone before it was said. */
static void test_every_end(void **state)
{
	static const enum store_fault_kind kinds[] = {FAULT_STOP, FAULT_AFTER, FAULT_BEFORE};
	struct forget_options o = daily(2);

	(void)state;
	for (size_t kind = 0; kind < 3; kind++) {
		for (uint64_t k = 1;; k++) {
			void *fresh = NULL;
			struct repo_case *c;
			struct manifest_list list;
			struct id names[5];
			size_t removed;
			bool fired;
			int r;

			assert_int_equal(repo_case_setup(&fresh), 0);
			c = fresh;
			for (int i = 0; i < 5; i++)
				names[i] = night(c, i);
			store_fault_arm(c->fault,
					&(struct store_fault_plan){.kind = kinds[kind], .at = k});
			r = try_forget(c->repo, &o, &removed, &c->err);
			fired = store_fault_fired(c->fault);
			if (!fired)
				MUST(r, &c->err);
			repo_case_reopen(c);
			list = load(c, 0);
			for (size_t i = 0; i < 5; i++)
				assert_true(is_there(&list, &names[i]) ||
					    retires_have(&list.retires, &names[i]));
			manifest_list_free(&list);
			assert_sound(c);
			(void)forget(c, &o);
			list = load(c, 0);
			assert_int_equal(list.count, 2);
			assert_int_equal(list.retires.name_count, 3);
			manifest_list_free(&list);
			assert_sound(c);
			(void)repo_case_teardown(&fresh);
			if (!fired)
				break;
		}
	}
}

/* What an interrupted forget was to remove goes with the next, whatever that one's words are. */
static void test_next_policy_finishes(void **state)
{
	struct repo_case *c = *state;
	struct forget_options o = daily(2), all = daily(RETENTION_UNLIMITED);
	struct manifest_list list;
	size_t removed;

	for (int i = 0; i < 5; i++)
		(void)night(c, i);
	store_fault_arm(c->fault, &(struct store_fault_plan){
				      .kind = FAULT_STOP, .at = 1, .ops = FAULT_OP(FAULT_REMOVE)});
	MUST_FAIL(try_forget(c->repo, &o, &removed, &c->err), ERR_IO, &c->err);
	repo_case_reopen(c);
	list = load(c, 0);
	assert_int_equal(list.count, 5);
	assert_int_equal(list.retires.name_count, 3);
	manifest_list_free(&list);
	assert_int_equal(forget(c, &all), 3);
	list = load(c, 0);
	assert_int_equal(list.count, 2);
	assert_int_equal(list.retires.count, 1);
	manifest_list_free(&list);
}

/* --- roles --- */

static struct repo *open_as(struct repo_case *c, enum role role)
{
	struct buf keyfile = repo_case_keyfile(c, role);
	struct repo *repo = NULL;

	MUST(repo_case_open_with(c, &keyfile, &repo, &c->err), &c->err);
	buf_wipe(&keyfile);
	return repo;
}

static void test_roles(void **state)
{
	struct repo_case *c = *state;
	struct forget_options o = daily(2), by_host = daily(2);
	const char *hosts[] = {"db1"};
	struct repo *repo;
	size_t removed;

	for (int i = 0; i < 5; i++)
		(void)night(c, i);
	by_host.hosts = hosts;
	by_host.host_count = 1;
	for (size_t i = 0; i < 2; i++) {
		struct err err = {0};

		repo = open_as(c, i ? ROLE_READ : ROLE_WRITE);
		MUST_FAIL(try_forget(repo, &o, &removed, &err), ERR_KEY, &err);
		assert_non_null(strstr(err.text, "full or maintain key"));
		repo_close(repo);
	}
	repo = open_as(c, ROLE_MAINTAIN);
	MUST_FAIL(try_forget(repo, &by_host, &removed, &c->err), ERR_KEY, &c->err);
	by_host = o;
	by_host.group_by = FORGET_BY_HOST;
	MUST_FAIL(try_forget(repo, &by_host, &removed, &c->err), ERR_KEY, &c->err);
	assert_int_equal(repo_case_count(c->inner, STORE_SNAPSHOTS), 5);
	MUST(try_forget(repo, &o, &removed, &c->err), &c->err);
	assert_int_equal(removed, 3);
	repo_close(repo);
	assert_sound(c);
}

/* A writer that was taken over cannot pass off a loss as a removal. */
static void test_writer_cannot_retire(void **state)
{
	struct repo_case *c = *state;
	struct retire_entry e = {.sequence = 1, .name = night(c, 0)};
	struct retire r = {.head.number = 1, .entries = &e, .count = 1};
	struct buf bytes = {0};
	struct manifest_list list;
	struct id name;

	memcpy(r.head.repo, c->repo->keys->repo, sizeof(r.head.repo));
	memcpy(r.head.signer, c->repo->keys->writer_pub, sizeof(r.head.signer));
	retire_put_clear(&bytes, &r);
	MUST(sign_append(&bytes, "retire", c->repo->keys->writer_secret, &c->err), &c->err);
	MUST(repo_put(c->repo, STORE_SNAPSHOTS, &bytes, &name, &c->err), &c->err);
	list = load(c, 1);
	assert_int_equal(list.count, 1);
	assert_false(retires_have(&list.retires, &e.name));
	manifest_list_free(&list);
	buf_free(&bytes);
}

/* --- names, tags --- */

static void test_by_name(void **state)
{
	struct repo_case *c = *state;
	struct forget_options o = daily(0);
	struct id names[4];
	size_t removed;

	for (int i = 0; i < 4; i++)
		names[i] = night(c, i);
	o.names = names + 1;
	o.name_count = 3;
	MUST_FAIL(try_forget(c->repo, &o, &removed, &c->err), ERR_USAGE, &c->err);
	assert_non_null(strstr(c->err.text, "newest"));
	o.name_count = 2;
	o.policy.min_age = (struct retention_span){.given = true, .years = 100};
	MUST_FAIL(try_forget(c->repo, &o, &removed, &c->err), ERR_USAGE, &c->err);
	assert_int_equal(repo_case_count(c->inner, STORE_SNAPSHOTS), 4);
	o.policy.min_age.given = false;
	assert_int_equal(forget(c, &o), 2);
	MUST(repo_case_try_read(c->repo, &names[0], files, 1, &c->err), &c->err);
	MUST(repo_case_try_read(c->repo, &names[3], files, 1, &c->err), &c->err);
}

static void test_no_policy(void **state)
{
	struct repo_case *c = *state;
	struct forget_options o = daily(0);
	size_t removed;

	(void)night(c, 0);
	MUST_FAIL(try_forget(c->repo, &o, &removed, &c->err), ERR_USAGE, &c->err);
	o.policy.min_age.given = o.policy.min_age.unlimited = true;
	MUST_FAIL(try_forget(c->repo, &o, &removed, &c->err), ERR_USAGE, &c->err);
}

static void put_tag(struct repo_case *c, const struct id *name, const char *tag)
{
	struct manifest_list list = load(c, 0);
	struct id record;

	for (size_t i = 0; i < list.count; i++) {
		if (id_eq(&list.items[i].name, name))
			MUST(tags_put(c->repo, &list.items[i], &tag, 1, 5, &record, &c->err),
			     &c->err);
	}
	manifest_list_free(&list);
}

/* Tags go with their backups, also when they were left behind; a mistyped one does not cost all backups. */
static void test_tags(void **state)
{
	struct repo_case *c = *state;
	struct forget_options o = daily(0);
	char keep[] = "keep", typo[] = "kepe";
	char *tag = typo;
	const struct forget_tags tags = {&tag, 1};
	struct id names[4];
	struct manifest_list list;
	size_t removed;

	for (int i = 0; i < 4; i++)
		names[i] = night(c, i);
	put_tag(c, &names[0], "other");
	put_tag(c, &names[1], "keep");
	o.keep_tags = &tags;
	o.keep_tag_count = 1;
	MUST_FAIL(try_forget(c->repo, &o, &removed, &c->err), ERR_USAGE, &c->err);
	assert_int_equal(repo_case_count(c->inner, STORE_SNAPSHOTS), 6);
	tag = keep;
	store_fault_arm(c->fault, &(struct store_fault_plan){
				      .kind = FAULT_STOP, .at = 3, .ops = FAULT_OP(FAULT_REMOVE)});
	MUST_FAIL(try_forget(c->repo, &o, &removed, &c->err), ERR_IO, &c->err);
	assert_int_equal(removed, 2);
	repo_case_reopen(c);
	list = load(c, 0);
	assert_int_equal(list.tagrec_count, 2);
	manifest_list_free(&list);
	assert_sound(c); /* the left tags are of a backup that was retired */
	assert_int_equal(forget(c, &o), 0);
	list = load(c, 0);
	assert_int_equal(list.tagrec_count, 1);
	assert_int_equal(list.count, 2);
	assert_string_equal(list.items[0].m.tags[0], "keep");
	manifest_list_free(&list);
}

/* Tags of a backup that no record retires are those of one that was lost. */
static void test_lost_is_not_retired(void **state)
{
	struct repo_case *c = *state;
	struct id name = night(c, 0);
	struct check_options o = {.read_data = true};
	struct check_result res;

	(void)night(c, 1);
	put_tag(c, &name, "x");
	MUST(store_remove(c->inner, STORE_SNAPSHOTS, &name, &c->err), &c->err);
	MUST(check_run(c->repo, &o, &res, &c->err), &c->err);
	assert_true(res.damaged == 1);
}

/* --- years --- */

/* A forget a night: the records do not pile up, and know them all. */
static void test_records_fold(void **state)
{
	struct repo_case *c = *state;
	struct forget_options o = daily(1);
	struct id names[60];
	size_t most = 0;
	struct manifest_list list;

	for (int i = 0; i < 60; i++) {
		size_t now;

		names[i] = night(c, i);
		assert_int_equal(forget(c, &o), i > 0);
		now = repo_case_count(c->inner, STORE_SNAPSHOTS);
		most = now > most ? now : most;
	}
	assert_in_range(most, 2, 1 + RETIRES_FOLD);
	list = load(c, 0);
	assert_int_equal(list.retires.name_count, 59);
	for (int i = 0; i < 59; i++)
		assert_true(retires_have(&list.retires, &names[i]));
	assert_true(list.retires.number >= 59);
	manifest_list_free(&list);
}

static void test_fold_every_end(void **state)
{
	struct forget_options o = daily(1);

	(void)state;
	for (uint64_t k = 1;; k++) {
		void *fresh = NULL;
		struct repo_case *c;
		struct manifest_list list;
		size_t removed, known;
		bool fired;

		assert_int_equal(repo_case_setup(&fresh), 0);
		c = fresh;
		(void)night(c, 0);
		for (int i = 1; i <= RETIRES_FOLD; i++) {
			(void)night(c, i);
			(void)forget(c, &o);
		}
		(void)night(c, RETIRES_FOLD + 1);
		store_fault_arm(c->fault, &(struct store_fault_plan){
					      .kind = FAULT_STOP,
					      .at = k,
					      .ops = FAULT_OP(FAULT_PUT) | FAULT_OP(FAULT_REMOVE)});
		(void)!try_forget(c->repo, &o, &removed, &c->err);
		fired = store_fault_fired(c->fault);
		repo_case_reopen(c);
		(void)forget(c, &o);
		list = load(c, 0);
		assert_int_equal(list.count, 1);
		for (size_t i = known = 1; i < list.retires.name_count; i++)
			known += !id_eq(&list.retires.names[i - 1], &list.retires.names[i]);
		assert_int_equal(known,
				 RETIRES_FOLD + 1); /* said twice perhaps, never not at all */
		assert_in_range(list.retires.count, 1, RETIRES_FOLD + 1);
		manifest_list_free(&list);
		assert_sound(c);
		(void)repo_case_teardown(&fresh);
		if (!fired)
			break;
	}
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, repo_case_setup, repo_case_teardown)
	const struct CMUnitTest tests[] = {
	    CASE(test_policy),
	    cmocka_unit_test(test_every_end),
	    CASE(test_next_policy_finishes),
	    CASE(test_roles),
	    CASE(test_writer_cannot_retire),
	    CASE(test_by_name),
	    CASE(test_no_policy),
	    CASE(test_tags),
	    CASE(test_lost_is_not_retired),
	    CASE(test_records_fold),
	    cmocka_unit_test(test_fold_every_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
