/* Opening repositories: every key, every damage. */
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

/* --- opening --- */

static void test_password(void **state)
{
	struct repo_case *c = *state;
	struct repo_credentials wrong = {.password = "A password of a test", .password_len = 20};
	struct repo_credentials none = {.password = "", .password_len = 0};
	struct repo_init_options again = repo_case_init_options();
	struct repo_credentials longer = {.password = REPO_CASE_PASSWORD,
					  .password_len = sizeof(REPO_CASE_PASSWORD)};

	MUST(repo_case_try_open(c->inner, &repo_case_password, &c->err), &c->err);
	MUST_FAIL(repo_case_try_open(c->inner, &wrong, &c->err), ERR_KEY, &c->err);
	assert_non_null(strstr(c->err.text, "wrong password"));
	MUST_FAIL(repo_case_try_open(c->inner, &none, &c->err), ERR_KEY, &c->err);
	MUST_FAIL(repo_case_try_open(c->inner, &longer, &c->err), ERR_KEY, &c->err);
	assert_null(strstr(c->err.text, REPO_CASE_PASSWORD));
	MUST_FAIL(repo_init(c->inner, c->repo->keys, &again, &c->err), ERR_EXISTS, &c->err);
	MUST(repo_case_try_open(c->inner, &repo_case_password, &c->err), &c->err);
}

static void test_key_file_of_every_role(void **state)
{
	const enum role roles[] = {ROLE_FULL, ROLE_WRITE, ROLE_MAINTAIN, ROLE_READ};
	struct repo_case *c = *state;

	for (size_t i = 0; i < 4; i++) {
		struct buf text = repo_case_keyfile(c, roles[i]);
		struct repo *repo = NULL;

		MUST(repo_case_open_with(c, &text, &repo, &c->err), &c->err);
		assert_int_equal(repo->keys->role, roles[i]);
		assert_memory_equal(repo->conf.repo, c->repo->conf.repo, REPO_ID_BYTES);
		assert_int_equal(repo->roster.writer_count, 1);
		repo_close(repo);
		text.data[text.len / 2] ^= 1;
		MUST_FAIL(repo_case_try_keyfile(c->inner, &text, &c->err), ERR_KEY, &c->err);
		buf_wipe(&text);
	}
}

static void test_key_of_another_repository(void **state)
{
	struct repo_case *c = *state;
	struct keys *keys = repo_case_new_keys();
	struct buf text = {0};

	MUST(keyfile_enc(keys, ROLE_FULL, &text, &c->err), &c->err);
	MUST_FAIL(repo_case_try_keyfile(c->inner, &text, &c->err), ERR_KEY, &c->err);
	/* The same repository id with another master. */
	buf_wipe(&text);
	memcpy(keys->repo, c->repo->conf.repo, REPO_ID_BYTES);
	MUST(keyfile_enc(keys, ROLE_FULL, &text, &c->err), &c->err);
	MUST_FAIL(repo_case_try_keyfile(c->inner, &text, &c->err), ERR_KEY, &c->err);
	buf_wipe(&text);
	keys_free(keys);
}

static void test_nothing_there(void **state)
{
	struct store *mem = NULL;
	struct err err;

	(void)state;
	MUST(store_mem_new(&mem, &err), &err);
	MUST_FAIL(repo_case_try_open(mem, &repo_case_password, &err), ERR_NOREPO, &err);
	assert_non_null(strstr(err.text, "memory"));
	store_free(mem);
}

/* --- damage --- */

static void test_damaged_config(void **state)
{
	struct repo_case *c = *state;
	struct buf conf = repo_case_get(c->inner, STORE_CONFIG, NULL);

	for (size_t at = 0; at < conf.len; at++) {
		int r;

		repo_case_flip(c->inner, STORE_CONFIG, NULL, at, (unsigned)(at % 8));
		r = repo_case_try_keyfile(c->inner, &c->keyfile, &c->err);
		/* Only the version may lead to another error. */
		if (r != -ERR_DAMAGED && !(at == 4 && r == -ERR_VERSION))
			fail_msg("byte %zu: %d %s", at, r, c->err.text);
		repo_case_replace(c->inner, STORE_CONFIG, NULL, conf.data, conf.len);
	}
	for (size_t len = 0; len < conf.len; len++) {
		repo_case_replace(c->inner, STORE_CONFIG, NULL, conf.data, len);
		MUST_FAIL(repo_case_try_keyfile(c->inner, &c->keyfile, &c->err), ERR_DAMAGED,
			  &c->err);
		assert_non_null(strstr(c->err.text, "config"));
	}
	buf_put_zeros(&conf, 5000);
	repo_case_replace(c->inner, STORE_CONFIG, NULL, conf.data, conf.len);
	MUST_FAIL(repo_case_try_keyfile(c->inner, &c->keyfile, &c->err), ERR_DAMAGED, &c->err);
	buf_free(&conf);
}

static void test_newer_config(void **state)
{
	struct repo_case *c = *state;
	struct buf conf = repo_case_get(c->inner, STORE_CONFIG, NULL);

	conf.data[4] = 2;
	repo_case_replace(c->inner, STORE_CONFIG, NULL, conf.data, conf.len);
	MUST_FAIL(repo_case_try_keyfile(c->inner, &c->keyfile, &c->err), ERR_VERSION, &c->err);
	MUST_FAIL(repo_case_try_open(c->inner, &repo_case_password, &c->err), ERR_VERSION, &c->err);
	buf_free(&conf);
}

/* The names in keys/ of one object type; how many. */
static size_t keys_of_type(struct store *s, uint8_t type, struct id out[8])
{
	struct id *names = NULL;
	struct err err = {0};
	size_t count = 0, kept = 0;

	MUST(repo_list(s, STORE_KEYS, &names, NULL, &count, &err), &err);
	for (size_t i = 0; i < count; i++) {
		struct buf bytes = repo_case_get(s, STORE_KEYS, &names[i]);

		if (header_type(bytes.data, bytes.len) == type && kept < 8)
			out[kept++] = names[i];
		buf_free(&bytes);
	}
	free(names);
	return kept;
}

static void test_damaged_slot(void **state)
{
	struct repo_case *c = *state;
	struct id slots[8];

	assert_int_equal(keys_of_type(c->inner, OBJECT_KEYSLOT, slots), 1);
	repo_case_flip(c->inner, STORE_KEYS, &slots[0], 60, 3);
	MUST_FAIL(repo_case_try_open(c->inner, &repo_case_password, &c->err), ERR_KEY, &c->err);
	assert_non_null(strstr(c->err.text, "damaged"));
	MUST(repo_case_try_keyfile(c->inner, &c->keyfile, &c->err), &c->err);
	MUST(store_remove(c->inner, STORE_KEYS, &slots[0], &c->err), &c->err);
	MUST_FAIL(repo_case_try_open(c->inner, &repo_case_password, &c->err), ERR_KEY, &c->err);
}

/* "Wrong password" would be a lie about a slot that could not be read. */
static void test_unreadable_slot(void **state)
{
	struct repo_case *c = *state;
	struct store *s = NULL;
	struct repo *repo = NULL;
	unsigned failed = 0;

	MUST(store_fault_new(c->inner, &s, &c->err), &c->err);
	for (uint64_t k = 1;; k++) {
		int r;

		store_fault_arm(s, &(struct store_fault_plan){.kind = FAULT_BEFORE,
							      .at = k,
							      .types = FAULT_TYPE(STORE_KEYS)});
		r = repo_open(s, &repo_case_password, &repo, &c->err);
		if (r) {
			assert_int_equal(r, -ERR_IO);
			failed++;
			continue;
		}
		if (!store_fault_fired(s))
			break;
		/* A roster was not read: what the other says holds. */
		repo_close(repo);
		MUST(store_fault_new(c->inner, &s, &c->err), &c->err);
	}
	assert_true(failed >= 2); /* the listings, and the slot */
	repo_close(repo);
}

/* A store that does not answer is no wrong password, and a roster that it keeps to itself makes no signature a forgery. */
static void test_store_is_away(void **state)
{
	struct repo_case *c = *state;
	struct store *s = NULL;
	struct repo *repo = NULL;
	uint64_t k;

	MUST(store_fault_new(c->inner, &s, &c->err), &c->err);
	for (k = 1;; k++) {
		int r;

		store_fault_arm(s, &(struct store_fault_plan){.kind = FAULT_BEFORE,
							      .at = k,
							      .types = FAULT_TYPE(STORE_KEYS),
							      .code = ERR_AGAIN});
		r = repo_open(s, &repo_case_password, &repo, &c->err);
		if (!r)
			break;
		assert_int_equal(r, -ERR_AGAIN);
	}
	assert_false(store_fault_fired(s));
	assert_true(k > 4); /* two listings, the slot, the roster */
	repo_close(repo);
}

/* The writer's roster has rotted: the one that replaces it has the same content and must not be lost on its name. */
static void test_damaged_roster(void **state)
{
	struct repo_case *c = *state;
	struct id rosters[8];
	size_t count = keys_of_type(c->inner, OBJECT_ROSTER, rosters);
	struct repo *repo = NULL;

	assert_int_equal(count, 2); /* the first, and the one with the writer */
	for (size_t i = 0; i < count; i++) {
		struct buf bytes = repo_case_get(c->inner, STORE_KEYS, &rosters[i]);

		if (bytes.len > 200)
			repo_case_flip(c->inner, STORE_KEYS, &rosters[i], 30, 0);
		buf_free(&bytes);
	}
	for (size_t again = 0; again < 2; again++) {
		MUST(repo_case_open_with(c, &c->keyfile, &repo, &c->err), &c->err);
		assert_int_equal(repo->roster.writer_count, again);
		repo_close(repo);
		repo_case_reopen(c); /* publishes */
	}
	assert_int_equal(keys_of_type(c->inner, OBJECT_ROSTER, rosters), 3);
}

static void test_missing_rosters(void **state)
{
	struct repo_case *c = *state;
	struct id rosters[8];
	size_t count = keys_of_type(c->inner, OBJECT_ROSTER, rosters);

	for (size_t i = 0; i < count; i++)
		MUST(store_remove(c->inner, STORE_KEYS, &rosters[i], &c->err), &c->err);
	repo_case_reopen(c);
	repo_case_reopen(c);
	assert_int_equal(c->repo->roster.writer_count, 1);
	assert_int_equal(c->repo->roster.writers[0].version, 1);
	assert_int_equal(keys_of_type(c->inner, OBJECT_ROSTER, rosters), 1);
}

static void test_no_roster_for_a_write_key(void **state)
{
	struct repo_case *c = *state;
	struct buf text = repo_case_keyfile(c, ROLE_WRITE);
	struct id rosters[8];
	size_t count = keys_of_type(c->inner, OBJECT_ROSTER, rosters);
	struct repo *repo = NULL;

	MUST(repo_case_open_with(c, &text, &repo, &c->err), &c->err);
	MUST(repo_use_writer(repo, "any", false, &c->err), &c->err);
	repo_close(repo);
	for (size_t i = 0; i < count; i++)
		MUST(store_remove(c->inner, STORE_KEYS, &rosters[i], &c->err), &c->err);
	MUST(repo_case_open_with(c, &text, &repo, &c->err), &c->err);
	MUST_FAIL(repo_use_writer(repo, "any", false, &c->err), ERR_KEY, &c->err);
	repo_close(repo);
	buf_wipe(&text);
}

/* --- the writer --- */

static void test_use_writer(void **state)
{
	struct repo_case *c = *state;
	const enum role readers[] = {ROLE_MAINTAIN, ROLE_READ};
	size_t before = repo_case_count(c->inner, STORE_KEYS);

	MUST(repo_use_writer(c->repo, REPO_CASE_HOST, false, &c->err), &c->err);
	assert_int_equal(repo_case_count(c->inner, STORE_KEYS), before);
	MUST(repo_use_writer(c->repo, "another", true, &c->err), &c->err);
	assert_int_equal(repo_case_count(c->inner, STORE_KEYS), before);
	/* What the dry run found is no reason not to publish later. */
	MUST(repo_use_writer(c->repo, "another", false, &c->err), &c->err);
	assert_int_equal(repo_case_count(c->inner, STORE_KEYS), before + 1);
	repo_case_reopen(c);
	assert_int_equal(c->repo->roster.writer_count, 2);
	MUST_FAIL(repo_use_writer(c->repo, "", false, &c->err), ERR_USAGE, &c->err);
	for (size_t i = 0; i < 2; i++) {
		struct buf text = repo_case_keyfile(c, readers[i]);
		struct repo *repo = NULL;

		MUST(repo_case_open_with(c, &text, &repo, &c->err), &c->err);
		MUST_FAIL(repo_use_writer(repo, "x", false, &c->err), ERR_KEY, &c->err);
		repo_close(repo);
		buf_wipe(&text);
	}
	repo_case_assert_format(c->inner);
}

/* A writer that could not be published is not taken for one that was. */
static void test_use_writer_fails(void **state)
{
	struct repo_case *c = *state;
	const enum store_fault_kind kinds[] = {FAULT_BEFORE, FAULT_AFTER};
	const char *hosts[] = {"host-a", "host-b"};

	for (size_t i = 0; i < 2; i++) {
		store_fault_arm(c->fault, &(struct store_fault_plan){.kind = kinds[i],
								     .at = 1,
								     .ops = FAULT_OP(FAULT_PUT)});
		MUST_FAIL(repo_use_writer(c->repo, hosts[i], false, &c->err), ERR_IO, &c->err);
		store_fault_arm(c->fault, &(struct store_fault_plan){0});
		MUST(repo_use_writer(c->repo, hosts[i], false, &c->err), &c->err);
		repo_case_reopen(c);
		assert_int_equal(c->repo->roster.writer_count, 2 + i);
	}
}

/* --- get, put, list --- */

static void test_get_and_put(void **state)
{
	struct repo_case *c = *state;
	struct buf bytes = {0}, got = {0};
	struct id name, digest;

	c->err = (struct err){0};
	buf_put(&bytes, "some bytes", 10);
	buf_put(&got, "before", 6);
	MUST(repo_put(c->repo, STORE_LOCKS, &bytes, &name, &c->err), &c->err);
	MUST(sha256_of("some bytes", 10, &digest, &c->err), &c->err);
	assert_true(id_eq(&name, &digest));
	MUST(repo_put(c->repo, STORE_LOCKS, &bytes, NULL, &c->err), &c->err);
	assert_int_equal(c->err.code, 0); /* success leaves it alone */
	MUST(repo_get(c->repo, STORE_LOCKS, &name, 10, &got, &c->err), &c->err);
	assert_int_equal(got.len, 16);
	assert_memory_equal(got.data, "beforesome bytes", 16);
	MUST_FAIL(repo_get(c->repo, STORE_LOCKS, &name, 9, &got, &c->err), ERR_LIMIT, &c->err);
	repo_case_flip(c->inner, STORE_LOCKS, &name, 9, 7);
	MUST_FAIL(repo_get(c->repo, STORE_LOCKS, &name, 10, &got, &c->err), ERR_DAMAGED, &c->err);
	assert_int_equal(got.len, 16);
	assert_non_null(strstr(c->err.text, "locks/"));
	/* What is there under the name is not what was to be stored: that must not pass for stored. */
	MUST_FAIL(repo_put(c->repo, STORE_LOCKS, &bytes, NULL, &c->err), ERR_DAMAGED, &c->err);
	repo_case_replace(c->inner, STORE_LOCKS, &name, "", 0);
	MUST_FAIL(repo_get(c->repo, STORE_LOCKS, &name, 10, &got, &c->err), ERR_DAMAGED, &c->err);
	MUST(store_remove(c->inner, STORE_LOCKS, &name, &c->err), &c->err);
	MUST_FAIL(repo_get(c->repo, STORE_LOCKS, &name, 10, &got, &c->err), ERR_MISSING, &c->err);
	assert_int_equal(got.len, 16);
	buf_free(&bytes);
	buf_free(&got);
}

static void test_list_is_sorted(void **state)
{
	struct repo_case *c = *state;
	struct id *names = NULL;
	uint64_t *sizes = NULL;
	size_t count = 0;

	MUST(repo_list(c->inner, STORE_LOCKS, &names, &sizes, &count, &c->err), &c->err);
	assert_int_equal(count, 0);
	free(names);
	free(sizes);
	for (uint64_t i = 0; i < 200; i++) {
		struct id name;

		repo_case_bytes(i * 999, name.b, sizeof(name.b));
		MUST(store_put(c->inner, STORE_LOCKS, &name, "0123456789", name.b[0] % 10, &c->err),
		     &c->err);
	}
	MUST(repo_list(c->inner, STORE_LOCKS, &names, &sizes, &count, &c->err), &c->err);
	assert_int_equal(count, 200);
	for (size_t i = 0; i < count; i++) {
		assert_true(i == 0 || id_cmp(&names[i - 1], &names[i]) < 0);
		assert_int_equal(sizes[i], names[i].b[0] % 10);
	}
	free(names);
	free(sizes);
	store_fault_arm(c->fault, &(struct store_fault_plan){.kind = FAULT_AFTER, .at = 1});
	MUST_FAIL(repo_list(c->fault, STORE_LOCKS, &names, NULL, &count, &c->err), ERR_IO, &c->err);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, repo_case_setup, repo_case_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_password),
	    CASE(test_key_file_of_every_role),
	    CASE(test_key_of_another_repository),
	    cmocka_unit_test(test_nothing_there),
	    CASE(test_damaged_config),
	    CASE(test_newer_config),
	    CASE(test_damaged_slot),
	    CASE(test_unreadable_slot),
	    CASE(test_store_is_away),
	    CASE(test_damaged_roster),
	    CASE(test_missing_rosters),
	    CASE(test_no_roster_for_a_write_key),
	    CASE(test_use_writer),
	    CASE(test_use_writer_fails),
	    CASE(test_get_and_put),
	    CASE(test_list_is_sorted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
