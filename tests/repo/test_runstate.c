/* runstate: what was kept comes back, one update does not undo another, and whatever is damaged is told, then written anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "repo/durable.h"
#include "repo/runstate.h"
#include "tests/support/must.h"
#include "tests/support/tmpdir.h"

static const char A[] = "00112233445566778899aabbccddeeff";
static const char B[] = "10112233445566778899aabbccddeeff";

static void fill(void *arg, struct runstate *s)
{
	(void)arg;
	(void)snprintf(s->location, sizeof(s->location), "/srv/a b\nc");
	memset(s->manifest, 'a', ID_HEX_CHARS);
	s->backup_at_s = INT64_MAX;
	s->backup_exit = 21;
	s->nightly_at_s = 5;
	s->nightly_exit = 1;
	s->backup_alarms = 7;
	s->nightly_alarms = 8;
	s->nightly_good_at_s = 4;
	s->nightly_clean_at_s = 3;
	s->check_at_s = 2;
	s->check_exit = 20;
	s->drill_good_at_s = 1;
}

static void comes_back(void **state)
{
	char *dir = tmpdir_make();
	struct runstate s;
	struct err err = {0};

	(void)state;
	assert_int_equal(runstate_load(dir, A, &s, &err), 0);
	assert_string_equal(s.repo, A);
	assert_int_equal(s.backup_at_s, 0);
	MUST(runstate_update(dir, A, fill, NULL, &err), &err);
	assert_int_equal(runstate_load(dir, A, &s, &err), 1);
	assert_string_equal(s.repo, A);
	assert_string_equal(s.location, "/srv/a b?c");
	assert_int_equal(strlen(s.manifest), ID_HEX_CHARS);
	assert_true(s.backup_at_s == INT64_MAX && s.backup_exit == 21);
	assert_true(s.nightly_at_s == 5 && s.nightly_exit == 1 && s.nightly_good_at_s == 4);
	assert_true(s.backup_alarms == 7 && s.nightly_alarms == 8);
	assert_true(s.nightly_clean_at_s == 3 && s.check_at_s == 2 && s.check_exit == 20);
	assert_int_equal(s.drill_good_at_s, 1);
	tmpdir_remove(dir);
}

static void count_up(void *arg, struct runstate *s)
{
	(void)arg;
	s->check_at_s++;
}

static void updates_wait_for_each_other(void **state)
{
	enum { WRITERS = 4, UPDATES = 25 };
	char *dir = tmpdir_make();
	struct runstate s;
	struct err err = {0};
	int status;

	(void)state;
	for (int i = 0; i < WRITERS; i++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		for (int k = 0; pid == 0 && k < UPDATES; k++) {
			if (runstate_update(dir, A, count_up, NULL, &err))
				_exit(1);
		}
		if (pid == 0)
			_exit(0);
	}
	for (int i = 0; i < WRITERS; i++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	assert_int_equal(runstate_load(dir, A, &s, &err), 1);
	assert_int_equal(s.check_at_s, WRITERS * UPDATES);
	tmpdir_remove(dir);
}

static void all_are_listed(void **state)
{
	char *dir = tmpdir_make(), *path;
	char(*ids)[RUNSTATE_ID_CHARS + 1];
	struct err err = {0};
	size_t count;

	(void)state;
	path = tmpdir_path(dir, "not there");
	MUST(runstate_list(path, &ids, &count, &err), &err);
	assert_int_equal(count, 0);
	free(path);
	MUST(runstate_update(dir, B, count_up, NULL, &err), &err);
	MUST(runstate_update(dir, A, count_up, NULL, &err), &err);
	path = tmpdir_path(dir, "20112233445566778899aabbccddeeff"); /* a folder without a status */
	assert_int_equal(mkdir(path, 0700), 0);
	free(path);
	MUST(runstate_list(dir, &ids, &count, &err), &err);
	assert_int_equal(count, 2);
	assert_string_equal(ids[0], A);
	assert_string_equal(ids[1], B);
	free(ids);
	tmpdir_remove(dir);
}

static void damage_is_told(void **state)
{
	char *dir = tmpdir_make(), path[256], text[8192];
	struct runstate s;
	struct err err = {0};
	FILE *f;
	size_t len;

	(void)state;
	MUST(runstate_update(dir, A, fill, NULL, &err), &err);
	(void)snprintf(path, sizeof(path), "%s/%s/status", dir, A);
	f = fopen(path, "rb");
	assert_non_null(f);
	len = fread(text, 1, sizeof(text), f);
	(void)fclose(f);
	for (size_t cut = 0; cut < len; cut++) {
		MUST(durable_replace(path, 0600, text, cut, &err), &err);
		assert_int_equal(runstate_load(dir, A, &s, &err), -ERR_DAMAGED);
		assert_non_null(strstr(err.text, path));
		assert_int_equal(s.backup_at_s, 0);
	}
	text[len] = '\n';
	MUST(durable_replace(path, 0600, text, len + 1, &err), &err);
	assert_int_equal(runstate_load(dir, A, &s, &err), -ERR_DAMAGED);
	text[len / 2] = '\0';
	MUST(durable_replace(path, 0600, text, len, &err), &err);
	assert_int_equal(runstate_load(dir, A, &s, &err), -ERR_DAMAGED);
	MUST(runstate_update(dir, A, count_up, NULL, &err), &err);
	assert_int_equal(runstate_load(dir, A, &s, &err), 1);
	assert_int_equal(s.check_at_s, 1);
	tmpdir_remove(dir);
}

static void put(const char *dir, const char *id, const char *text)
{
	char path[512];
	struct err err = {0};

	(void)snprintf(path, sizeof(path), "%s/%s", dir, id);
	(void)mkdir(path, 0700);
	(void)snprintf(path, sizeof(path), "%s/%s/status", dir, id);
	MUST(durable_replace(path, 0600, text, strlen(text), &err), &err);
}

/* The file of another repository, copied here, says nothing about this one. */
static void another_repositorys(void **state)
{
	static const char text[] =
	    "nightjar status 1\nrepo 10112233445566778899aabbccddeeff\nbackup_at_s 5\nend\n";
	static const char newer[] =
	    "nightjar status 1\nrepo 00112233445566778899aabbccddeeff\nbackup_at_s 5\nmoon_at_s "
	    "x\nend\n";
	char *dir = tmpdir_make();
	struct runstate s;
	struct err err = {0};

	(void)state;
	put(dir, B, text);
	assert_int_equal(runstate_load(dir, B, &s, &err), 1);
	assert_int_equal(s.backup_at_s, 5);
	put(dir, A, text);
	assert_int_equal(runstate_load(dir, A, &s, &err), -ERR_DAMAGED);
	put(dir, A, newer);
	assert_int_equal(runstate_load(dir, A, &s, &err), 1);
	assert_int_equal(s.backup_at_s, 5);
	tmpdir_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(comes_back),          cmocka_unit_test(updates_wait_for_each_other),
	    cmocka_unit_test(all_are_listed),      cmocka_unit_test(damage_is_told),
	    cmocka_unit_test(another_repositorys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
