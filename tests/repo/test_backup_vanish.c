/* A database that vanishes between its snapshot and the walk of the files: reported, and no word of it in the manifest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "repo/backup.h"
#include "tests/support/dbkit.h"
#include "tests/support/must.h"
#include "tests/support/repo_case.h"

struct fixture {
	struct kit kit;
	struct repo_case *c;
	const char *at; /* the progress at which it vanishes: a path's end */
	bool gone;
	unsigned told;
	char told_path[400];
};

static int on_progress(void *arg, const struct backup_progress *at)
{
	struct fixture *f = arg;
	size_t len = strlen(at->path), end = strlen(f->at);

	if (!f->gone && at->phase == BACKUP_FILES && len >= end &&
	    strcmp(at->path + len - end, f->at) == 0) {
		assert_int_equal(unlink(f->kit.db), 0);
		f->gone = true;
	}
	return 0;
}

static void on_unreadable(void *arg, const char *path, const char *text)
{
	struct fixture *f = arg;

	(void)text;
	f->told++;
	(void)snprintf(f->told_path, sizeof(f->told_path), "%s", path);
}

static void vanishes_at(const char *at)
{
	struct fixture f = {.at = at};
	void *c = NULL;
	const char *const paths[] = {f.kit.dir};
	struct backup_options options = {
	    .paths = paths,
	    .path_count = 1,
	    .host = REPO_CASE_HOST,
	    .now_ns = 1000,
	    .cb = {.unreadable = on_unreadable, .progress = on_progress, .arg = &f}};
	struct backup_result result = {0};
	struct manifest_list list = {0};
	char path[400];

	kit_new(&f.kit);
	options.cache_dir = f.kit.cache;
	assert_int_equal(repo_case_setup(&c), 0);
	f.c = c;
	kit_make(f.kit.db, "CREATE TABLE t(a)");
	kit_make(kit_path(&f.kit, "kept.db", path), "CREATE TABLE t(a)");
	MUST(backup_run(f.c->repo, &options, &result, &f.c->err), &f.c->err);
	assert_true(f.gone);
	assert_int_equal(f.told, 1);
	assert_non_null(strstr(f.told_path, "/app.db"));
	assert_int_equal(result.unreadable, 1);
	MUST(manifests_load(f.c->repo, NULL, NULL, &list, &f.c->err), &f.c->err);
	assert_int_equal(list.items[0].m.db_count, 1);
	assert_non_null(strstr(list.items[0].m.dbs[0].path, "/kept.db"));
	assert_int_equal(list.items[0].m.unreadable, 1);
	manifest_list_free(&list);
	(void)repo_case_teardown(&c);
	kit_free(&f.kit);
}

static void before_its_folder_is_listed(void **state)
{
	(void)state;
	vanishes_at("");
}

static void after_its_folder_is_listed(void **state)
{
	(void)state;
	vanishes_at("/app.db");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(before_its_folder_is_listed),
	    cmocka_unit_test(after_its_folder_is_listed),
	};

	return cmocka_run_group_tests_name("backup_vanish", tests, NULL, NULL);
}
