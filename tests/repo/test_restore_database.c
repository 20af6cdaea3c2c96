/* Restoring a database touches its own file only, whoever can write in the target, however long the path, however broken it is. */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "repo/backup.h"
#include "repo/restore.h"
#include "tests/support/dbkit.h"
#include "tests/support/must.h"
#include "tests/support/repo_case.h"

#define FILL                                                                                       \
	"PRAGMA journal_mode=wal; CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT);"                  \
	"INSERT INTO t(b) VALUES('one'),('two')"

/* The kit's database, restored to dir/target. */
struct fixture {
	struct kit kit;
	struct repo_case *c;
	char target[400], victim[400];
	char folder[800]; /* the kit's folder in the target */
	struct restore_options options;
	struct restore_result result;
	bool planted;
	char failed[512];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	void *c = NULL;

	assert_non_null(f);
	kit_new(&f->kit);
	assert_int_equal(repo_case_setup(&c), 0);
	f->c = c;
	(void)kit_path(&f->kit, "target", f->target);
	(void)kit_path(&f->kit, "victim", f->victim);
	(void)snprintf(f->folder, sizeof(f->folder), "%s%s", f->target, f->kit.dir);
	f->options.target = f->target;
	f->options.verify = true;
	f->options.cb.arg = f;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	void *c = f->c;

	(void)repo_case_teardown(&c);
	kit_free(&f->kit);
	free(f);
	return 0;
}

static void keep_failure(void *arg, const char *path, const char *text)
{
	struct fixture *f = arg;

	(void)path;
	(void)snprintf(f->failed, sizeof(f->failed), "%s", text);
}

static void back_up(struct fixture *f)
{
	const char *const paths[] = {f->kit.db};
	struct backup_options options = {.paths = paths,
					 .path_count = 1,
					 .host = REPO_CASE_HOST,
					 .cache_dir = f->kit.cache,
					 .now_ns = 1000};
	struct backup_result result = {0};

	MUST(backup_run(f->c->repo, &options, &result, &f->c->err), &f->c->err);
	assert_int_equal(result.databases, 1);
}

static void restore(struct fixture *f)
{
	struct manifest_list list = {0};
	struct index *index = NULL;
	struct reader *reader = NULL;
	struct err *err = &f->c->err;

	f->options.cb.failed = keep_failure;
	MUST(manifests_load(f->c->repo, NULL, NULL, &list, err), err);
	MUST(index_load(f->c->repo, NULL, NULL, &index, err), err);
	MUST(reader_new(f->c->repo, index, &reader, err), err);
	MUST(restore_run(reader, &list.items[0].m, &f->options, &f->result, err), err);
	reader_free(reader);
	index_free(index);
	manifest_list_free(&list);
}

/* The name of what is being written in folder, if something is. */
static bool find_temp(const char *folder, char out[300])
{
	DIR *d = opendir(folder);
	struct dirent *e;
	bool found = false;

	while (d && !found && (e = readdir(d)) != NULL) {
		found = strncmp(e->d_name, ".nightjar-", 10) == 0;
		if (found)
			(void)snprintf(out, 300, "%s", e->d_name);
	}
	if (d)
		(void)closedir(d);
	return found;
}

/* While the database is written, somebody moves it away and puts a link to another one in its place. */
static int plant(void *arg, uint64_t files, uint64_t bytes, const char *path)
{
	struct fixture *f = arg;
	char name[300], temp[1200], away[1200];

	(void)files;
	(void)bytes;
	(void)path;
	if (f->planted || !find_temp(f->folder, name))
		return 0;
	(void)snprintf(temp, sizeof(temp), "%s/%s", f->folder, name);
	(void)snprintf(away, sizeof(away), "%s/away", f->folder);
	assert_int_equal(rename(temp, away), 0);
	assert_int_equal(symlink(f->victim, temp), 0);
	f->planted = true;
	return 0;
}

static void link_under_the_temporary_name(void **state)
{
	struct fixture *f = *state;
	struct kit_bytes before;

	kit_make(f->kit.db, FILL);
	back_up(f);
	kit_make(f->victim, "CREATE TABLE other(a)");
	before = kit_remember(&f->kit, "victim");
	f->options.cb.progress = plant;
	restore(f);
	assert_true(f->planted);
	assert_int_equal(f->result.failed, 1);
	assert_non_null(strstr(f->failed, "somebody replaced"));
	kit_unchanged(&f->kit, "victim", before);
}

/* SQLite would roll it back into the database, and delete what it calls its super-journal. */
static int plant_journal(void *arg, uint64_t files, uint64_t bytes, const char *path)
{
	static const char *const tails[] = {"-journal", "-wal"};
	struct fixture *f = arg;
	char name[300], side[1200];

	(void)files;
	(void)bytes;
	(void)path;
	if (f->planted || !find_temp(f->folder, name))
		return 0;
	for (size_t i = 0; i < 2; i++) {
		(void)snprintf(side, sizeof(side), "%s/%s%s", f->folder, name, tails[i]);
		kit_spew(side, "planted", 7);
	}
	f->planted = true;
	return 0;
}

static void assert_restored(const struct fixture *f, const char *folder)
{
	char path[2000];
	size_t len = 0;
	uint8_t *p;

	assert_string_equal(f->failed, "");
	assert_int_equal(f->result.failed, 0);
	assert_int_equal(f->result.databases, 1);
	(void)snprintf(path, sizeof(path), "%s/app.db", folder);
	p = kit_slurp(path, &len);
	assert_non_null(p);
	assert_int_equal(p[18], 2);
	assert_int_equal(p[19], 2);
	free(p);
}

static void journal_beside_the_temporary_name(void **state)
{
	struct fixture *f = *state;

	kit_make(f->kit.db, FILL);
	back_up(f);
	f->options.cb.progress = plant_journal;
	restore(f);
	assert_true(f->planted);
	assert_restored(f, f->folder);
}

/* SQLite opens no path of more than 512 bytes. */
static void deep_target(void **state)
{
	struct fixture *f = *state;
	char deep[1200], folder[1600];
	size_t len;

	kit_make(f->kit.db, FILL);
	back_up(f);
	len = (size_t)snprintf(deep, sizeof(deep), "%s", f->target);
	while (len < 700)
		len += (size_t)snprintf(deep + len, sizeof(deep) - len, "/%0100d", 0);
	f->options.target = deep;
	restore(f);
	(void)snprintf(folder, sizeof(folder), "%s%s", deep, f->kit.dir);
	assert_restored(f, folder);
}

/* A page type that there is not: SQLite refuses to change the journal mode, and VACUUM. */
static void broken_database(void **state)
{
	struct fixture *f = *state;
	int fd;

	kit_make(f->kit.db, FILL);
	fd = open(f->kit.db, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "\xff\xff\xff\xff", 4, 100), 4);
	assert_int_equal(close(fd), 0);
	back_up(f);
	restore(f);
	assert_restored(f, f->folder);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(link_under_the_temporary_name),
	    TEST(journal_beside_the_temporary_name),
	    TEST(deep_target),
	    TEST(broken_database),
	};

	return cmocka_run_group_tests_name("restore_database", tests, NULL, NULL);
}
