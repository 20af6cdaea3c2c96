/* A backup that ends while a check reads is no damage: writers take no lock, so a check meets them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "repo/check.h"
#include "tests/support/repo_case.h"

struct meeting {
	struct repo_case *c;
	unsigned ticks, backup_at;
};

static void put_backup(struct repo_case *c, size_t seed, int64_t time_s)
{
	uint8_t *block = repo_case_block(seed, 900);
	struct repo_case_file file = {"f", block, 900};

	(void)repo_case_backup(c, &file, 1, time_s);
	free(block);
}

static int on_progress(void *arg, uint64_t done, uint64_t total, const char *what)
{
	struct meeting *m = arg;

	(void)done;
	(void)total;
	(void)what;
	if (++m->ticks == m->backup_at)
		put_backup(m->c, 7, 2000);
	return 0;
}

static void test_backup_meanwhile(void **state)
{
	struct repo_case *c = *state;
	struct meeting m = {.c = c, .backup_at = 1};
	struct check_options options = {.read_data = true, .progress = on_progress, .arg = &m};
	struct check_result result;
	struct err err = {0};

	put_backup(c, 1, 1000);
	assert_int_equal(check_run(c->repo, &options, &result, &err), 0);
	assert_true(m.ticks >= m.backup_at);
	assert_int_equal(result.damaged, 0);
	assert_int_equal(result.manifests, 1);
	m = (struct meeting){.c = c};
	assert_int_equal(check_run(c->repo, &options, &result, &err), 0);
	assert_int_equal(result.damaged, 0);
	assert_int_equal(result.manifests, 2);
}

static int setup(void **state)
{
	return repo_case_setup(state);
}

static int teardown(void **state)
{
	repo_case_free(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_backup_meanwhile, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
