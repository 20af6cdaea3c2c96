/*
 * A backup through all the layers, as over a network: cache over parallel over retry. Whatever call fails once, in a way
 * that may pass, before or after it was done: the backup is made, nothing is there twice, and it reads back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "repo/store_stack.h"
#include "tests/support/must.h"
#include "tests/support/repo_case.h"
#include "tests/support/tmpdir.h"

/* Virtual time, which threads share only in that nobody waits. */
static int64_t still(void *arg)
{
	(void)arg;
	return 0;
}

static bool at_once(void *arg, int64_t ns)
{
	(void)arg;
	(void)ns;
	return true;
}

static uint64_t none(void *arg, uint64_t below)
{
	(void)arg;
	(void)below;
	return 0;
}

static const struct store_retry_clock no_time = {still, at_once, none, NULL};

struct way {
	const char *path;
	struct store_fault_plan plan; /* of each connection */
	struct store *locals[8];      /* below the faults, which leave them to us */
	atomic_uint local_count;
};

static int open_link(struct way *w, const struct store_fault_plan *plan, struct store **out_fault,
		     struct store **out_store, struct err *err)
{
	struct store *local = NULL;

	MUST(store_local_open(w->path, &local, err), err);
	w->locals[atomic_fetch_add(&w->local_count, 1)] = local;
	MUST(store_fault_new(local, out_fault, err), err);
	store_fault_arm(*out_fault, plan);
	return store_retry_new(*out_fault, NULL, &no_time, out_store, err);
}

static int connect_link(void *arg, const struct net *net, struct store **out_store, struct err *err)
{
	struct way *w = arg;
	struct store *fault = NULL;

	(void)net;
	return open_link(w, &w->plan, &fault, out_store, err);
}

static void forget_locals(struct way *w)
{
	for (unsigned i = 0; i < atomic_load(&w->local_count); i++)
		store_free(w->locals[i]);
	atomic_store(&w->local_count, 0);
}

static struct store *open_stack(struct way *w, const char *cache, struct store **out_fault,
				const struct store_fault_plan *plan, struct err *err)
{
	struct store_parallel_options options = {
	    .connections = 2, .connect = connect_link, .arg = w};
	struct store *first = NULL, *store = NULL;

	MUST(open_link(w, plan, out_fault, &first, err), err);
	MUST(store_parallel_new(first, &options, &store, err), err);
	MUST(store_cache_new(store, cache, 0, &store, err), err);
	return store;
}

static const struct repo_case_file files[] = {{"a", "hello", 5}, {"b", "world", 5}};

/* False: the plan's call did not come. */
static bool back_up(const struct repo_case *c, struct way *w, const char *cache,
		    const struct store_fault_plan *plan)
{
	struct repo_credentials key = {.keyfile = c->keyfile.data, .keyfile_len = c->keyfile.len};
	struct store *fault = NULL, *store;
	struct repo *repo = NULL;
	struct err err = {0};
	struct id manifest;
	bool fired;

	store = open_stack(w, cache, &fault, plan, &err);
	MUST(repo_open(store, &key, &repo, &err), &err);
	MUST(repo_use_writer(repo, REPO_CASE_HOST, false, &err), &err);
	MUST(repo_case_try_backup(repo, files, 2, 1000, &manifest, &err), &err);
	MUST(repo_case_try_read(repo, &manifest, files, 2, &err), &err);
	fired = store_fault_fired(fault);
	repo_close(repo);
	forget_locals(w);
	MUST(repo_case_try_read(c->repo, &manifest, files, 2, &err), &err);
	return fired;
}

static void every_call_may_fail_once(void **state)
{
	static const enum store_fault_kind kinds[] = {FAULT_BEFORE, FAULT_AFTER};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		bool fired = true;

		for (uint64_t k = 1; fired; k++) {
			char *dir = tmpdir_make(), *path = tmpdir_path(dir, "repo");
			const struct store_fault_plan plan = {
			    .kind = kinds[i], .at = k, .code = ERR_AGAIN};
			struct way w = {.path = path,
					.plan = {.kind = kinds[i], .at = 1, .code = ERR_AGAIN}};
			struct store *inner = NULL;
			struct repo_case *c;
			struct err err = {0};

			MUST(store_local_open(path, &inner, &err), &err);
			c = repo_case_new(inner);
			fired = back_up(c, &w, dir, &plan);
			assert_int_equal(repo_case_count(c->inner, STORE_DATA), 1);
			assert_int_equal(repo_case_count(c->inner, STORE_INDEX), 1);
			assert_int_equal(repo_case_count(c->inner, STORE_SNAPSHOTS), 1);
			repo_case_assert_format(c->inner);
			repo_case_free(c);
			free(path);
			tmpdir_remove(dir);
			assert_true(k < 200);
		}
	}
}

/* The second night asks for what is new: the first one's index, manifest and trees are here. */
static void a_second_night_reads_little(void **state)
{
	char *dir = tmpdir_make(), *path = tmpdir_path(dir, "repo");
	struct way w = {.path = path};
	struct store *inner = NULL, *fault = NULL, *store;
	struct repo_credentials key = {0};
	struct repo *repo = NULL;
	struct manifest_list manifests = {0};
	struct index *index = NULL;
	struct repo_case *c;
	struct err err = {0};

	(void)state;
	MUST(store_local_open(path, &inner, &err), &err);
	c = repo_case_new(inner);
	key.keyfile = c->keyfile.data;
	key.keyfile_len = c->keyfile.len;
	for (int night = 0; night < 3; night++) {
		const struct store_fault_plan none_of_them = {0};

		store = open_stack(&w, dir, &fault, &none_of_them, &err);
		MUST(repo_open(store, &key, &repo, &err), &err);
		MUST(manifests_load(repo, NULL, NULL, &manifests, &err), &err);
		MUST(index_load(repo, NULL, NULL, &index, &err), &err);
		if (night == 1) /* config, and what others have put since */
			assert_in_range(store_fault_calls(fault, FAULT_GET), 1, 21);
		if (night == 2)
			assert_int_equal(store_fault_calls(fault, FAULT_GET), 1);
		assert_int_equal(manifests.count, night ? 10 : 0);
		manifest_list_free(&manifests);
		index_free(index);
		repo_close(repo);
		forget_locals(&w);
		for (int i = 0; night == 0 && i < 10; i++) {
			const struct repo_case_file f = {"a", &"0123456789"[i], 3};

			if (i < 8)
				(void)repo_case_backup(c, &f, 1, 1000 + i);
			else
				(void)repo_case_backup(c, files, 2, 1000 + i);
		}
	}
	repo_case_free(c);
	free(path);
	tmpdir_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_call_may_fail_once),
	    cmocka_unit_test(a_second_night_reads_little),
	};

	return cmocka_run_group_tests_name("layers", tests, NULL, NULL);
}
