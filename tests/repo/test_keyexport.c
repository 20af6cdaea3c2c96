#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "repo/keyexport.h"
#include "tests/support/dbkit.h"
#include "tests/support/must.h"
#include "tests/support/repo_case.h"
#include "tests/support/tmpdir.h"

static const struct keyexport_options write_key = {.role = ROLE_WRITE, .host = "app"};
static const struct keyexport_options own_key = {
    .role = ROLE_WRITE, .host = "app", .own_domain = true};
static const struct keyexport_options read_key = {.role = ROLE_READ};

static int export_to(struct repo_case *c, struct repo *repo, const struct keyexport_options *o,
		     const char *path, struct keyexport_result *res)
{
	c->err = (struct err){0};
	return keyexport_file(repo, o, path, res, &c->err);
}

/* Opens the inner store with the key in a file. */
static struct repo *open_file(struct repo_case *c, const char *path)
{
	struct repo *repo = NULL;
	struct buf text = {0};
	size_t len = 0;
	uint8_t *bytes = kit_slurp(path, &len);

	buf_put(&text, bytes, len);
	free(bytes);
	MUST(repo_case_open_with(c, &text, &repo, &c->err), &c->err);
	buf_wipe(&text);
	return repo;
}

static void test_a_write_key(void **state)
{
	struct repo_case *c = *state;
	char *dir = tmpdir_make(), *path = tmpdir_path(dir, "key");
	size_t rosters = repo_case_count(c->inner, STORE_KEYS);
	struct keyexport_result res;
	struct repo *repo;
	struct stat st;

	MUST(export_to(c, c->repo, &write_key, path, &res), &c->err);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(repo_case_count(c->inner, STORE_KEYS), rosters + 1);
	repo = open_file(c, path);
	assert_int_equal(repo->keys->role, ROLE_WRITE);
	assert_string_equal(repo->keys->host, "app");
	assert_memory_equal(repo->keys->writer_pub, res.writer, 32);
	assert_int_equal(res.domain, 0);
	MUST(repo_use_writer(repo, "whatever", false, &c->err), &c->err);
	/* It makes no keys itself. */
	MUST_FAIL(export_to(c, repo, &write_key, "never", &res), ERR_KEY, &c->err);
	repo_close(repo);
	/* Nor is a file replaced, and then the roster has nobody new. */
	MUST_FAIL(export_to(c, c->repo, &write_key, path, &res), ERR_EXISTS, &c->err);
	assert_int_equal(repo_case_count(c->inner, STORE_KEYS), rosters + 1);
	free(path);
	tmpdir_remove(dir);
}

/* Whatever call of the store fails: no key file is left of which the roster does not know. */
static void test_fails_without_a_file(void **state)
{
	struct repo_case *c = *state;
	char *dir = tmpdir_make(), *path = tmpdir_path(dir, "key");
	struct keyexport_result res;
	uint64_t k;

	for (k = 1;; k++) {
		repo_case_reopen(c);
		store_fault_arm(c->fault, &(struct store_fault_plan){.kind = FAULT_STOP, .at = k});
		if (export_to(c, c->repo, &own_key, path, &res) == 0)
			break;
		assert_true(store_fault_fired(c->fault));
		assert_int_not_equal(access(path, F_OK), 0);
	}
	assert_true(k > 2);
	store_fault_arm(c->fault, &(struct store_fault_plan){0});
	free(path);
	tmpdir_remove(dir);
}

/* Two at the same moment know of the same writers; their domains are different all the same. */
static void test_domains_are_nobody_elses(void **state)
{
	struct repo_case *c = *state;
	char *dir = tmpdir_make(), *paths[3];
	struct repo *other = NULL, *mine;
	struct keyexport_result res[3];

	for (size_t i = 0; i < 3; i++)
		paths[i] = tmpdir_path(dir, (char[]){(char)('a' + i), 0});
	MUST(repo_case_open_with(c, &c->keyfile, &other, &c->err), &c->err);
	MUST(export_to(c, c->repo, &own_key, paths[0], &res[0]), &c->err);
	MUST(export_to(c, other, &own_key, paths[1], &res[1]), &c->err);
	MUST(export_to(c, c->repo, &own_key, paths[2], &res[2]), &c->err);
	assert_int_equal(res[0].domain, 1);
	assert_int_not_equal(res[1].domain, res[0].domain);
	assert_int_not_equal(res[2].domain, res[0].domain);
	assert_int_not_equal(res[2].domain, res[1].domain);
	for (size_t i = 0; i < 3; i++) {
		mine = open_file(c, paths[i]);
		assert_int_equal(mine->keys->writer_domain, res[i].domain);
		assert_int_equal(roster_find(&mine->roster, res[i].writer)->domain, res[i].domain);
		assert_int_equal(mine->keys->domain_count, 1);
		repo_close(mine);
		free(paths[i]);
	}
	repo_close(other);
	tmpdir_remove(dir);
}

static void test_read_keys_and_rotation(void **state)
{
	struct repo_case *c = *state;
	char *dir = tmpdir_make(), *old = tmpdir_path(dir, "old"), *new = tmpdir_path(dir, "new"),
	     *w = tmpdir_path(dir, "w");
	uint8_t secret[32], pub[32];
	struct keyexport_result res;
	struct repo *repo;
	uint32_t epoch = 0;

	MUST(export_to(c, c->repo, &read_key, old, &res), &c->err);
	MUST(export_to(c, c->repo, &own_key, w, &res), &c->err);
	MUST(keyexport_rotate(c->repo, &epoch, &c->err), &c->err);
	assert_int_equal(epoch, 2);
	MUST(export_to(c, c->repo, &read_key, new, &res), &c->err);
	assert_int_equal(res.domains, 2);
	assert_int_equal(res.epochs, 2);
	/* A write key, which has a key of epoch 1 only, seals for what the roster says. */
	repo = open_file(c, w);
	assert_int_equal(keys_newest_epoch(repo->keys)->epoch, 2);
	MUST_FAIL(keyexport_rotate(repo, &epoch, &c->err), ERR_KEY, &c->err);
	repo_close(repo);
	repo = open_file(c, old);
	MUST_FAIL(keys_epoch_secret(repo->keys, 2, secret, pub, &c->err), ERR_KEY, &c->err);
	assert_non_null(strstr(c->err.text, "export it again"));
	assert_null(keys_domain(repo->keys, 1, &c->err));
	assert_non_null(strstr(c->err.text, "export it again"));
	repo_close(repo);
	repo = open_file(c, new);
	MUST(keys_epoch_secret(repo->keys, 2, secret, pub, &c->err), &c->err);
	assert_non_null(keys_domain(repo->keys, 1, &c->err));
	repo_close(repo);
	free(old);
	free(new);
	free(w);
	tmpdir_remove(dir);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, repo_case_setup, repo_case_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_a_write_key),
	    CASE(test_fails_without_a_file),
	    CASE(test_domains_are_nobody_elses),
	    CASE(test_read_keys_and_rotation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
