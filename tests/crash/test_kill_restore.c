/*
 * `restore` over a folder that is in use is killed before and after each of its system calls that change the target. After every one
 * the database that was there is whole, under its old names or under those that it was moved aside to, a new one never has
 * an old -wal or -journal beside it, a file with the backup's size and time is whole; and the same restore, run again, ends well.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/dbkit.h"
#include "tests/support/spawn.h"
#include "tests/support/tmpdir.h"
#include "tests/support/tracer.h"

#define INFIX "app.db.before-restore-"
#define BIG_BYTES 400000u
#define STOPS_MOST 4000u

struct bytes {
	uint8_t *p; /* NULL: not there */
	size_t len;
};

enum way { WITH_WAL, WITH_JOURNAL, CLEAN };
static const char *const side_of[] = {"-wal", "-journal", ""};

struct lab {
	char *dir;    /* key, repo, app/ as it was backed up */
	char *tmpdir; /* as it was, which spawn_environment changes */
	char *app;    /* below the target: what the restore writes to */
	char *saved;  /* the same before the restore */
	enum way way;
	struct bytes old_db, old_side, new_db, new_big;
	struct timespec big_time;
};

struct watch {
	const char *app;
	unsigned until, count; /* stops within app, from 0 */
};

static struct bytes slurp(const char *dir, const char *name, const char *tail)
{
	char path[1200];
	struct bytes b = {0};

	(void)snprintf(path, sizeof(path), "%s/%s%s", dir, name, tail);
	b.p = kit_slurp(path, &b.len);
	return b;
}

static bool same(const struct bytes *a, const struct bytes *b)
{
	return a->p && b->p && a->len == b->len && memcmp(a->p, b->p, a->len) == 0;
}

static bool holds(const char *dir, const char *name, const char *tail, const struct bytes *want)
{
	struct bytes b = slurp(dir, name, tail);
	bool is = same(&b, want);

	free(b.p);
	return is;
}

/* --- the application --- */

static void commit_in_wal(const char *path)
{
	sqlite3 *db = kit_open(path);

	kit_exec(db, "PRAGMA journal_mode=wal; INSERT INTO t SELECT hex(randomblob(50)) FROM t");
}

static void die_in_the_middle(const char *path)
{
	sqlite3 *db = kit_open(path);

	kit_exec(db, "PRAGMA cache_size=2; PRAGMA cache_spill=1; BEGIN;"
		     "UPDATE t SET a = hex(randomblob(60));");
}

static void in(const struct lab *lab, const char *dir, const char *name, char out[600])
{
	(void)lab;
	(void)snprintf(out, 600, "%s/%s", dir, name);
}

static void make_app(struct lab *lab, const char *app)
{
	uint8_t *big = malloc(BIG_BYTES);
	char path[600];

	assert_non_null(big);
	for (size_t i = 0; i < BIG_BYTES; i++)
		big[i] = (uint8_t)((i * 2654435761u) >> 13);
	in(lab, app, "big", path);
	kit_spew(path, big, BIG_BYTES);
	in(lab, app, "small", path);
	kit_spew(path, "small", 5);
	in(lab, app, "app.db", path);
	kit_make(path, lab->way == WITH_WAL ? "PRAGMA journal_mode=wal; CREATE TABLE t (a)"
					    : "CREATE TABLE t (a)");
	kit_make(path,
		 "INSERT INTO t WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
		 "WHERE i < 400) SELECT hex(randomblob(60)) FROM n");
	free(big);
}

/* Days later: the folder is another one than what was backed up. */
static void go_on(struct lab *lab)
{
	char path[600];
	int fd;

	in(lab, lab->app, "app.db", path);
	kit_make(path, "DELETE FROM t WHERE rowid % 3 = 0");
	if (lab->way == WITH_WAL)
		kit_in_dead_process(commit_in_wal, path);
	else if (lab->way == WITH_JOURNAL)
		kit_in_dead_process(die_in_the_middle, path);
	in(lab, lab->app, "small", path);
	kit_spew(path, "other", 5);
	in(lab, lab->app, "big", path);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "OTHER", 5, 9000), 5);
	assert_int_equal(pwrite(fd, "OTHER", 5, 300000), 5);
	assert_int_equal(close(fd), 0);
}

static void make_lab(struct lab *lab)
{
	char *work, *app, *target;
	char path[600];
	struct stat st;

	lab->tmpdir = getenv("TMPDIR") ? strdup(getenv("TMPDIR")) : NULL;
	lab->dir = tmpdir_make();
	work = tmpdir_path(lab->dir, "work");
	app = tmpdir_path(lab->dir, "app");
	target = tmpdir_path(lab->dir, "out");
	lab->saved = tmpdir_path(lab->dir, "saved");
	assert_int_equal(mkdir(work, 0700), 0);
	assert_int_equal(mkdir(app, 0700), 0);
	spawn_environment(lab->dir, work, "repo");
	make_app(lab, app);
	assert_int_equal(SPAWN("/dev/null", spawn_program(), "init"), 0);
	assert_int_equal(SPAWN("/dev/null", spawn_program(), "backup", app), 0);
	assert_int_equal(
	    SPAWN("/dev/null", spawn_program(), "restore", "latest", "--target", target), 0);
	(void)snprintf(path, sizeof(path), "%s%s", target, app);
	lab->app = strdup(path);
	lab->new_db = slurp(lab->app, "app.db", "");
	lab->new_big = slurp(lab->app, "big", "");
	in(lab, lab->app, "big", path);
	assert_int_equal(stat(path, &st), 0);
	lab->big_time = st.st_mtim;
	go_on(lab);
	in(lab, lab->app, "app.db-shm", path);
	(void)unlink(path);
	lab->old_db = slurp(lab->app, "app.db", "");
	lab->old_side = slurp(lab->app, "app.db", side_of[lab->way]);
	assert_non_null(lab->old_side.p);
	assert_true(lab->old_side.len > 0);
	assert_int_equal(SPAWN("/dev/null", "cp", "-a", lab->app, lab->saved), 0);
	free(work), free(app), free(target);
}

static void free_lab(struct lab *lab)
{
	free(lab->old_db.p), free(lab->old_side.p), free(lab->new_db.p), free(lab->new_big.p);
	free(lab->app), free(lab->saved);
	assert_int_equal(chdir("/"), 0);
	tmpdir_remove(lab->dir);
	assert_int_equal(lab->tmpdir ? setenv("TMPDIR", lab->tmpdir, 1) : unsetenv("TMPDIR"), 0);
	free(lab->tmpdir);
}

static void put_back(const struct lab *lab)
{
	assert_int_equal(SPAWN("/dev/null", "rm", "-rf", lab->app), 0);
	assert_int_equal(SPAWN("/dev/null", "cp", "-a", lab->saved, lab->app), 0);
}

/* --- a traced restore --- */

static bool on_stop(void *arg, const struct tracer_stop *stop)
{
	struct watch *w = arg;
	size_t len = strlen(w->app);

	if (!stop->changes || strncmp(stop->path, w->app, len) != 0)
		return false;
	return w->count++ == w->until;
}

static enum tracer_end restore_traced(const struct lab *lab, struct watch *w, int *out_status)
{
	char *target = tmpdir_path(lab->dir, "out"), *log = tmpdir_path(lab->dir, "log");
	const char *const argv[] = {spawn_program(), "restore", "latest", "--target", target, NULL};
	enum tracer_end end;

	w->app = lab->app;
	w->count = 0;
	end = tracer_run((char *const *)(uintptr_t)argv, log, on_stop, w, out_status);
	free(target), free(log);
	return end;
}

/* --- judging --- */

/* Is the old set whole under one of the names that a set is moved aside to? */
static bool kept_aside(const struct lab *lab)
{
	DIR *d = opendir(lab->app);
	struct dirent *e;
	bool kept = false;

	assert_non_null(d);
	while (!kept && (e = readdir(d)) != NULL) {
		if (strncmp(e->d_name, INFIX, strlen(INFIX)) != 0)
			continue;
		kept = holds(lab->app, e->d_name, "", &lab->old_db) &&
		       holds(lab->app, e->d_name, side_of[lab->way], &lab->old_side);
	}
	(void)closedir(d);
	return kept;
}

/* One set aside, and nothing of another that never came to be. */
static unsigned sets_aside(const struct lab *lab)
{
	DIR *d = opendir(lab->app);
	struct dirent *e;
	unsigned names = 0;

	assert_non_null(d);
	while ((e = readdir(d)) != NULL)
		names += strncmp(e->d_name, INFIX, strlen(INFIX)) == 0;
	(void)closedir(d);
	return lab->way == CLEAN ? names : (names + 1) / 2;
}

static bool temp_left(const struct lab *lab)
{
	DIR *d = opendir(lab->app);
	struct dirent *e;
	bool left = false;

	assert_non_null(d);
	while ((e = readdir(d)) != NULL)
		left |= strncmp(e->d_name, ".nightjar-", 10) == 0;
	(void)closedir(d);
	return left;
}

/* What must hold right after the kill. NULL, or what does not. */
static const char *judge_kill(const struct lab *lab)
{
	struct bytes db = slurp(lab->app, "app.db", ""), big = slurp(lab->app, "big", "");
	bool side =
	    lab->way == CLEAN || holds(lab->app, "app.db", side_of[lab->way], &lab->old_side);
	bool kept = kept_aside(lab), old = same(&db, &lab->old_db), new = same(&db, &lab->new_db);
	const char *why = NULL;
	char path[600];
	struct stat st;

	if (db.p && !old && !new)
		why = "the database is neither the old one nor the new one";
	else if (old && !side)
		why = "the old database lost what lay beside it";
	else if (!old && !kept)
		why = "the old database is not kept as a whole";
	else if (new &&side && lab->way != CLEAN)
		why = "the new database has something old beside it";
	else if (!db.p && lab->way == CLEAN)
		why = "there is no database for a moment, though nothing lay beside it";
	in(lab, lab->app, "big", path);
	assert_int_equal(stat(path, &st), 0);
	if (!why && st.st_mtim.tv_sec == lab->big_time.tv_sec &&
	    st.st_mtim.tv_nsec == lab->big_time.tv_nsec && !same(&big, &lab->new_big))
		why = "a file that is half written has the time of a whole one";
	free(db.p), free(big.p);
	return why;
}

static const char *judge_rerun(const struct lab *lab)
{
	char *target = tmpdir_path(lab->dir, "out"), *log = tmpdir_path(lab->dir, "log");
	const char *why = NULL;
	struct bytes small;

	if (SPAWN(log, spawn_program(), "restore", "latest", "--target", target) != 0) {
		spawn_show(log);
		why = "the next restore fails";
	}
	small = slurp(lab->app, "small", "");
	if (!why && !holds(lab->app, "app.db", "", &lab->new_db))
		why = "the next restore leaves another database";
	if (!why && lab->way != CLEAN &&
	    holds(lab->app, "app.db", side_of[lab->way], &lab->old_side))
		why = "the next restore leaves something old beside the database";
	if (!why && (!holds(lab->app, "big", "", &lab->new_big) || small.len != 5 ||
		     memcmp(small.p, "small", 5) != 0))
		why = "the next restore leaves other files";
	if (!why && !kept_aside(lab))
		why = "after the next restore the old database is not kept as a whole";
	if (!why && sets_aside(lab) != 1)
		why = "after the next restore parts of another set lie aside";
	if (!why && temp_left(lab))
		why = "the next restore leaves a temporary file";
	free(small.p), free(target), free(log);
	return why;
}

/* False: ptrace is not permitted here. */
static bool kill_everywhere(struct lab *lab)
{
	struct watch w = {.until = STOPS_MOST};
	unsigned stops;
	int status;

	if (restore_traced(lab, &w, &status) == TRACER_REFUSED)
		return false;
	assert_int_equal(status, 0);
	stops = w.count;
	(void)fprintf(stderr, "# %s: killed at %u moments\n", side_of[lab->way], stops);
	assert_true(stops > 40 && stops < STOPS_MOST);
	for (w.until = 0; w.until < stops; w.until++) {
		const char *why;

		put_back(lab);
		assert_int_equal(restore_traced(lab, &w, &status), TRACER_KILLED);
		why = judge_kill(lab);
		if (!why)
			why = judge_rerun(lab);
		if (why)
			fail_msg("killed at stop %u: %s", w.until, why);
	}
	return true;
}

static void killed(enum way way)
{
	struct lab lab = {.way = way};
	bool fine;

	make_lab(&lab);
	fine = kill_everywhere(&lab);
	free_lab(&lab);
	if (!fine) {
		print_message("# ptrace is not permitted here\n");
		skip();
	}
}

static void killed_with_a_wal(void **state)
{
	(void)state;
	killed(WITH_WAL);
}

static void killed_with_a_journal(void **state)
{
	(void)state;
	killed(WITH_JOURNAL);
}

static void killed_with_nothing_beside(void **state)
{
	(void)state;
	killed(CLEAN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(killed_with_a_wal),
	    cmocka_unit_test(killed_with_a_journal),
	    cmocka_unit_test(killed_with_nothing_beside),
	};

	return cmocka_run_group_tests_name("kill_restore", tests, NULL, NULL);
}
