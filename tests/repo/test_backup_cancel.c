/* A backup that is cancelled keeps what it stored, and the next one does not store it again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "repo/backup.h"
#include "tests/support/must.h"
#include "tests/support/repo_case.h"
#include "tests/support/tmpdir.h"

#define FILES 12
#define FILE_BYTES ((size_t)2 << 20)

/* Cancels once so many bytes were processed. */
struct limit {
	uint64_t bytes, most_seen;
	uint64_t files_total, files_seen;
};

static int on_progress(void *arg, const struct backup_progress *at)
{
	struct limit *l = arg;

	if (at->bytes > l->most_seen)
		l->most_seen = at->bytes;
	l->files_total = at->files_total;
	l->files_seen = at->files;
	return at->bytes >= l->bytes;
}

static void write_file(const char *folder, const char *name, uint64_t seed, size_t len)
{
	uint8_t *bytes = repo_case_block(seed, len);
	char *path = tmpdir_path(folder, name);
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
	free(path);
	free(bytes);
}

static char *make_files(void)
{
	char *folder = tmpdir_make();
	char name[16];

	for (unsigned i = 0; i < FILES; i++) {
		(void)snprintf(name, sizeof(name), "f%02u", i);
		write_file(folder, name, i, FILE_BYTES);
	}
	return folder;
}

static int back_up(struct repo_case *c, const char *folder, const char *cache, bool dry_run,
		   struct limit *limit, struct backup_result *out)
{
	const char *const paths[] = {folder};
	const struct backup_options options = {.paths = paths,
					       .path_count = 1,
					       .host = REPO_CASE_HOST,
					       .cache_dir = cache,
					       .workers = 2,
					       .dry_run = dry_run,
					       .cb = {.progress = on_progress, .arg = limit}};

	c->err = (struct err){0};
	repo_case_reopen(c);
	return backup_run(c->repo, &options, out, &c->err);
}

static void test_cancelled_goes_on(void **state)
{
	struct repo_case *c = *state;
	char *folder = make_files(), *cache = tmpdir_make();
	struct limit half = {.bytes = FILES / 2 * FILE_BYTES}, none = {.bytes = UINT64_MAX};
	struct backup_result res;

	MUST_FAIL(back_up(c, folder, cache, false, &half, &res), ERR_CANCELLED, &c->err);
	assert_false(res.committed);
	assert_int_equal(repo_case_count(c->inner, STORE_SNAPSHOTS), 0);
	assert_int_equal(repo_case_count(c->inner, STORE_INDEX), 1);
	assert_non_null(strstr(c->err.text, "no manifest was made"));
	assert_non_null(strstr(c->err.text, "are kept"));
	MUST(back_up(c, folder, cache, false, &none, &res), &c->err);
	assert_true(res.committed);
	assert_int_equal(res.files, FILES);
	assert_in_range(res.bytes_added, 1, (FILES / 2 + 2) * FILE_BYTES);
	tmpdir_remove(folder);
	tmpdir_remove(cache);
}

static void test_cancelled_before_anything(void **state)
{
	struct repo_case *c = *state;
	char *folder = make_files(), *cache = tmpdir_make();
	struct limit at_once = {.bytes = 0}, half = {.bytes = FILES / 2 * FILE_BYTES};
	struct backup_result res;

	MUST_FAIL(back_up(c, folder, cache, false, &at_once, &res), ERR_CANCELLED, &c->err);
	assert_null(strstr(c->err.text, "are kept"));
	MUST_FAIL(back_up(c, folder, cache, true, &half, &res), ERR_CANCELLED, &c->err);
	assert_null(strstr(c->err.text, "are kept"));
	assert_int_equal(repo_case_count(c->inner, STORE_DATA), 0);
	assert_int_equal(repo_case_count(c->inner, STORE_INDEX), 0);
	tmpdir_remove(folder);
	tmpdir_remove(cache);
}

/* One large file is most of many a backup: progress moves inside it, and ends where the totals say. */
static void test_progress_inside_a_file(void **state)
{
	struct repo_case *c = *state;
	char *folder = tmpdir_make(), *cache = tmpdir_make();
	struct limit most = {.bytes = 5 * FILE_BYTES};
	struct backup_result res;

	write_file(folder, "large", 1, 8 * FILE_BYTES);
	MUST_FAIL(back_up(c, folder, cache, false, &most, &res), ERR_CANCELLED, &c->err);
	assert_in_range(most.most_seen, 5 * FILE_BYTES, 6 * FILE_BYTES);
	most.bytes = UINT64_MAX;
	MUST(back_up(c, folder, cache, false, &most, &res), &c->err);
	assert_int_equal(most.most_seen, 8 * FILE_BYTES);
	assert_int_equal(most.files_seen, most.files_total);
	tmpdir_remove(folder);
	tmpdir_remove(cache);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, repo_case_setup, repo_case_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_cancelled_goes_on),
	    CASE(test_cancelled_before_anything),
	    CASE(test_progress_inside_a_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
