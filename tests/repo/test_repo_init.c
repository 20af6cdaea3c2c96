/* Making a repository: raced, killed at every call, read back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/keyfile.h"
#include "core/sha256.h"
#include "tests/support/local_case.h"
#include "tests/support/must.h"
#include "tests/support/repo_case.h"

static void test_init_without_password(void **state)
{
	struct repo_init_options options = {.now_s = 77};
	struct store *mem = NULL;
	struct keys *keys = repo_case_new_keys();
	struct buf text = {0};
	struct err err = {0};

	(void)state;
	MUST(store_mem_new(&mem, &err), &err);
	MUST(repo_init(mem, keys, &options, &err), &err);
	assert_int_equal(repo_case_count(mem, STORE_KEYS), 1);
	MUST(keyfile_enc(keys, ROLE_FULL, &text, &err), &err);
	MUST(repo_case_try_keyfile(mem, &text, &err), &err);
	MUST_FAIL(repo_case_try_open(mem, &repo_case_password, &err), ERR_KEY, &err);
	buf_wipe(&text);
	keys_free(keys);
	store_free(mem);
}

/* A store in which somebody else's config appears between create and ours. */
struct race {
	struct store base;
	struct store *inner;
	struct keys *theirs;
};

static int race_create(struct store *s, struct err *err)
{
	struct race *race = (struct race *)s;
	struct repo_init_options options = repo_case_init_options();
	int r = store_create(race->inner, err);

	return r ? r : repo_init(race->inner, race->theirs, &options, err);
}

static int race_put(struct store *s, enum store_type type, const struct id *name, const void *bytes,
		    size_t len, struct err *err)
{
	return store_put(((struct race *)s)->inner, type, name, bytes, len, err);
}

static int race_get(struct store *s, enum store_type type, const struct id *name, size_t max_bytes,
		    struct buf *out, struct err *err)
{
	return store_get(((struct race *)s)->inner, type, name, max_bytes, out, err);
}

static int race_list(struct store *s, enum store_type type, store_list_fn *fn, void *arg,
		     struct err *err)
{
	return store_list(((struct race *)s)->inner, type, fn, arg, err);
}

static void test_init_race(void **state)
{
	const struct store_ops ops = {
	    .create = race_create, .put = race_put, .get = race_get, .list = race_list};
	char location[] = "race";
	struct race race = {.base = {.ops = &ops, .location = location},
			    .theirs = repo_case_new_keys()};
	struct repo_init_options options = repo_case_init_options();
	struct keys *ours = repo_case_new_keys();
	struct repo *repo = NULL;
	struct err err = {0};

	(void)state;
	MUST(store_mem_new(&race.inner, &err), &err);
	MUST_FAIL(repo_init(&race.base, ours, &options, &err), ERR_EXISTS, &err);
	/* Theirs works, in spite of our slot and roster beside it. */
	MUST(repo_open(race.inner, &repo_case_password, &repo, &err), &err);
	assert_memory_equal(repo->conf.repo, race.theirs->repo, REPO_ID_BYTES);
	MUST(repo_use_writer(repo, "h", false, &err), &err);
	assert_int_equal(repo->roster.writer_count, 1);
	repo_close(repo);
	keys_free(ours);
	keys_free(race.theirs);
}

/* Kills init at every call; whatever is left, the next init works, or the repository is complete. */
static void init_killed(struct store *inner, const struct store_fault_plan *kill, bool *out_done)
{
	struct repo_init_options options = repo_case_init_options();
	struct keys *keys = repo_case_new_keys();
	struct store *s = NULL;
	struct err err = {0};
	int r;

	MUST(store_fault_new(inner, &s, &err), &err);
	store_fault_arm(s, kill);
	r = repo_init(s, keys, &options, &err);
	*out_done = !store_fault_fired(s);
	assert_true(r == 0 || !*out_done);
	if (r) {
		keys_free(keys);
		keys = repo_case_new_keys();
		r = repo_init(inner, keys, &options, &err);
		if (r)
			assert_int_equal(r, -ERR_EXISTS);
	}
	MUST(repo_case_try_open(inner, &repo_case_password, &err), &err);
	repo_case_assert_format(inner);
	store_free(s);
	keys_free(keys);
}

static void test_init_killed(void **state)
{
	const enum store_fault_kind kinds[] = {FAULT_BEFORE, FAULT_AFTER, FAULT_STOP};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		bool done = false;

		for (uint64_t k = 1; !done; k++) {
			struct store_fault_plan kill = {.kind = kinds[i], .at = k};
			struct store *mem = NULL;
			struct err err = {0};

			MUST(store_mem_new(&mem, &err), &err);
			init_killed(mem, &kill, &done);
			store_free(mem);
		}
	}
}

static void test_init_killed_local(void **state)
{
	bool done = false;

	for (uint64_t k = 1; !done; k++) {
		struct store_fault_plan kill = {.kind = FAULT_STOP, .at = k};
		struct local_case *f;

		assert_int_equal(local_case_setup_bare(state), 0);
		f = *state;
		init_killed(f->store, &kill, &done);
		local_case_teardown(state);
	}
}

/* The config that was stored is another one than that which was put. */
static void test_init_reads_back(void **state)
{
	struct repo_init_options options = repo_case_init_options();
	struct keys *keys = repo_case_new_keys();
	struct store *mem = NULL, *s = NULL;
	struct err err = {0};

	(void)state;
	MUST(store_mem_new(&mem, &err), &err);
	MUST(store_fault_new(mem, &s, &err), &err);
	store_fault_arm(s, &(struct store_fault_plan){.kind = FAULT_FLIP,
						      .at = 1,
						      .ops = FAULT_OP(FAULT_PUT),
						      .types = FAULT_TYPE(STORE_CONFIG)});
	assert_true(repo_init(s, keys, &options, &err) != 0);
	store_free(s);
	store_free(mem);
	keys_free(keys);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_init_without_password), cmocka_unit_test(test_init_race),
	    cmocka_unit_test(test_init_killed),           cmocka_unit_test(test_init_killed_local),
	    cmocka_unit_test(test_init_reads_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
