/*
 * I1 to I5, I7: `backup` is killed at 200 moments and more, each before or after one of its system calls, over all
 * its phases. After every one the repository has nothing wrong but orphans, earlier backups restore as before, the
 * application's files are as they were, nothing in the clear is left, and the next backup just works.
 *
 * A traced run that is let through tells which moments there are; two workers then try those that were chosen.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <sodium.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/killplan.h"
#include "tests/support/spawn.h"
#include "tests/support/tmpdir.h"
#include "tests/support/tracer.h"
#include "tests/support/treesum.h"

#define MARKER "NOBODY-MAY-READ-THIS-"
#define ATTACHMENTS 20
#define ATTACHMENT_BYTES 1000000 /* more than one pack of 16 MiB in all */
#define STOPS_MOST 40000
#define MOMENTS_MOST 400
#define WORKERS 2

struct lab {
	char *
	    dir; /* with app/, key, base/ (the repository with one backup), want/ (that backup, restored) */
	char *work;                     /* a worker's own: repo, cache, state, tmp, cwd, out, log */
	uint8_t app_sum[TREESUM_BYTES]; /* of app/, without -shm */
	uint8_t base_sum[TREESUM_BYTES]; /* of base/ */
	uint8_t want_sum[TREESUM_BYTES];
	char first[65]; /* the manifest in base/ */
	struct moment moments[MOMENTS_MOST];
	size_t moment_count;
};

/* Moments wanted of each phase; those that change something come first, the rest is spread evenly. */
static const size_t wanted[] = {10, 12, 52, 24, 60, 32, 34};

/* What workers tell, in shared memory. */
struct tally {
	unsigned killed[PHASES], missed, failed, seen_committed;
};

static char *in(const char *dir, const char *name)
{
	return tmpdir_path(dir, name);
}

/* --- the application --- */

static void sql(sqlite3 *db, const char *text)
{
	char *why = NULL;

	if (sqlite3_exec(db, text, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", text, why);
}

static sqlite3 *make_database(const char *path)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	sql(db, "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;"
		"CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT);"
		"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)"
		"INSERT INTO notes (body) SELECT '" MARKER
		"' || hex(randomblob(60)) FROM n; PRAGMA wal_checkpoint;");
	sql(db, "UPDATE notes SET body = body || '.' WHERE id % 40 = 0");
	return db;
}

static void write_bytes(const char *path, const void *bytes, size_t len)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static void attach(const char *app, unsigned first, unsigned last)
{
	static uint8_t bytes[ATTACHMENT_BYTES];

	for (unsigned i = first; i <= last; i++) {
		char name[40], *path;

		(void)snprintf(name, sizeof(name), "attachments/%02u.bin", i);
		path = in(app, name);
		randombytes_buf(bytes, sizeof(bytes));
		memcpy(bytes, MARKER, sizeof(MARKER));
		write_bytes(path, bytes, sizeof(bytes));
		free(path);
	}
}

/* live.db is held open by the application; left.db and its -wal were left behind by one that died. */
static sqlite3 *make_app(const char *dir)
{
	char *app = in(dir, "app"), *live = in(app, "live.db"), *dying = in(dir, "left.db");
	char *wal = in(dir, "left.db-wal"), *folder = in(app, "attachments");
	sqlite3 *db;

	assert_int_equal(mkdir(app, 0755), 0);
	assert_int_equal(mkdir(folder, 0755), 0);
	db = make_database(dying);
	assert_int_equal(SPAWN("/dev/null", "cp", "-p", dying, wal, app), 0);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	db = make_database(live);
	attach(app, 1, 2);
	free(app);
	free(live);
	free(dying);
	free(wal);
	free(folder);
	return db;
}

/* SQLite's shared memory is no data, and a reader may touch it; a folder's times change with it. */
static bool skip_shm(const char *path)
{
	size_t len = strlen(path);

	return len > 4 && strcmp(path + len - 4, "-shm") == 0;
}

/* --- a traced backup --- */

static enum tracer_end backup_traced(const struct lab *lab, bool new_host, struct watch *w,
				     int *out_status)
{
	char *app = in(lab->dir, "app"), *repo = in(lab->work, "repo");
	char *log = in(lab->work, "log"), *cwd = in(lab->work, "cwd");
	/* An integrity check that is due: on a slow machine the database would be old enough to be known, and need no snapshot. */
	const char *const argv[] = {spawn_program(),
				    "backup",
				    "--integrity",
				    "full",
				    "--host",
				    new_host ? "new" : "night",
				    app,
				    NULL};
	enum tracer_end end;

	if (chdir(cwd) != 0)
		abort();
	w->app = app;
	w->repo = repo;
	end = tracer_run((char *const *)(uintptr_t)argv, log, killplan_on_stop, w, out_status);
	free(app);
	free(repo);
	free(log);
	free(cwd);
	return end;
}

/* False: not permitted here. */
static bool let_through(struct lab *lab, bool new_host, struct watch *w)
{
	int status;

	w->stops = calloc(STOPS_MOST, sizeof(*w->stops));
	assert_non_null(w->stops);
	w->stop_cap = STOPS_MOST;
	if (backup_traced(lab, new_host, w, &status) == TRACER_REFUSED)
		return false;
	if (status != 0) {
		char *log = in(lab->work, "log");

		spawn_show(log);
		fail_msg("the traced backup exits %d", status);
	}
	return true;
}

/* --- one moment --- */

static bool is_hex_name(const char *name)
{
	return strlen(name) == 64 && strspn(name, "0123456789abcdef") == 64;
}

/* Objects under their names, and temporary files of the killed run. */
static bool is_stray(void *arg, const char *path, bool is_folder)
{
	const char *name = strrchr(path, '/') + 1;

	(void)arg;
	return !is_folder && !is_hex_name(name) && strncmp(name, ".tmp-", 5) != 0 &&
	       strcmp(name, "config") != 0;
}

static bool is_any(void *arg, const char *path, bool is_folder)
{
	(void)arg, (void)is_folder;
	(void)fprintf(stderr, "#   left behind: %s\n", path);
	return true;
}

static bool is_plain(void *arg, const char *path, bool is_folder)
{
	(void)arg;
	return !is_folder && treesum_file_holds(path, MARKER);
}

static bool any_in(const char *work, const char *folder, treesum_fn *fn)
{
	char *path = in(work, folder);
	bool any = treesum_any(path, fn, NULL);

	free(path);
	return any;
}

static bool sums_to(const char *dir, const char *name, treesum_skip_fn *skip,
		    const uint8_t want[TREESUM_BYTES])
{
	char *path = in(dir, name);
	uint8_t sum[TREESUM_BYTES];

	treesum(path, skip, sum);
	free(path);
	return memcmp(sum, want, TREESUM_BYTES) == 0;
}

static unsigned count_manifests(const char *work)
{
	char *folder = in(work, "repo/snapshots");
	char *log = in(work, "manifests");
	char line[100];
	unsigned count = 0;
	FILE *f;

	(void)SPAWN(log, "find", folder, "-type", "f", "-not", "-name", ".tmp-*");
	f = fopen(log, "r");
	while (f && fgets(line, sizeof(line), f))
		count += strchr(line, '\n') != NULL;
	if (f)
		(void)fclose(f);
	free(folder);
	free(log);
	return count;
}

#define TRY(what, cond)                                                                            \
	do {                                                                                       \
		if (!why && !(cond))                                                               \
			why = (what);                                                              \
	} while (0)

/* app/ below a target; the folders above it are none of the backup's. */
static char *app_below(const struct lab *lab, const char *target)
{
	char *dir = in(target, lab->dir + 1), *app = in(dir, "app");

	free(dir);
	return app;
}

static bool restored_sums_to_want(const struct lab *lab, const char *target)
{
	char *app = app_below(lab, target);
	uint8_t sum[TREESUM_BYTES];

	treesum(app, NULL, sum);
	free(app);
	return memcmp(sum, lab->want_sum, TREESUM_BYTES) == 0;
}

/* What must hold right after the kill. NULL, or what does not. */
static const char *judge_kill(const struct lab *lab, bool thorough, unsigned *out_manifests)
{
	char *log = in(lab->work, "log"), *out = in(lab->work, "out");
	const char *why = NULL;

	TRY("the application's files changed", sums_to(lab->dir, "app", skip_shm, lab->app_sum));
	TRY("something was left in TMPDIR", !any_in(lab->work, "tmp", is_any));
	TRY("something was left in the working directory", !any_in(lab->work, "cwd", is_any));
	TRY("the cache holds plaintext", !any_in(lab->work, "cache", is_plain));
	TRY("the state holds plaintext", !any_in(lab->work, "state", is_plain));
	TRY("the repository holds plaintext", !any_in(lab->work, "repo", is_plain));
	TRY("a stray file in the repository", !any_in(lab->work, "repo", is_stray));
	TRY("check found damage", SPAWN(log, spawn_program(), "check") == 0);
	if (thorough)
		TRY("check --read-data found damage",
		    SPAWN(log, spawn_program(), "check", "--read-data") == 0);
	(void)SPAWN("/dev/null", "rm", "-rf", out);
	TRY("the earlier backup does not restore",
	    SPAWN(log, spawn_program(), "restore", lab->first, "--target", out) == 0);
	TRY("the earlier backup restores otherwise", restored_sums_to_want(lab, out));
	*out_manifests = count_manifests(lab->work);
	TRY("there are neither one nor two manifests", *out_manifests == 1 || *out_manifests == 2);
	if (why)
		spawn_show(log);
	free(log);
	free(out);
	return why;
}

static bool whole_database(const char *path)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *st = NULL;
	bool good =
	    sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
	    sqlite3_prepare_v2(db,
			       "SELECT integrity_check = 'ok' AND (SELECT count(*) = 10000 AND "
			       "sum(body LIKE '%.') = 250 FROM notes) FROM pragma_integrity_check",
			       -1, &st, NULL) == SQLITE_OK &&
	    sqlite3_step(st) == SQLITE_ROW && sqlite3_column_int(st, 0) == 1;

	(void)sqlite3_finalize(st);
	(void)sqlite3_close(db);
	return good;
}

/* The newest backup has everything of app/. */
static bool restores_app(const struct lab *lab, const char *log)
{
	char *out = in(lab->work, "out"), *app = in(lab->dir, "app");
	char *from = in(app, "attachments"), *restored = app_below(lab, out);
	char *to = in(restored, "attachments");
	char *live = in(restored, "live.db"), *left = in(restored, "left.db");
	bool good;

	(void)SPAWN("/dev/null", "rm", "-rf", out);
	good = SPAWN(log, spawn_program(), "restore", "latest", "--target", out) == 0 &&
	       SPAWN(log, "diff", "-r", from, to) == 0 && whole_database(live) &&
	       whole_database(left);
	free(out), free(app), free(from), free(restored), free(to), free(live), free(left);
	return good;
}

/* The next backup, with nothing done in between. */
static const char *judge_next(const struct lab *lab, bool thorough, bool new_host,
			      unsigned manifests)
{
	char *log = in(lab->work, "log"), *app = in(lab->dir, "app");
	const char *why = NULL;

	if (manifests == 2)
		TRY("the killed backup is visible but does not restore", restores_app(lab, log));
	TRY("the next backup fails",
	    SPAWN(log, spawn_program(), "backup", "--host", new_host ? "new" : "night", app) == 0);
	TRY("its manifest is not there", count_manifests(lab->work) == manifests + 1);
	TRY("check found damage after the next backup", SPAWN(log, spawn_program(), "check") == 0);
	if (thorough) {
		TRY("check --read-data found damage after the next backup",
		    SPAWN(log, spawn_program(), "check", "--read-data") == 0);
		TRY("the next backup does not restore", restores_app(lab, log));
	}
	TRY("the application's files changed by the next backup",
	    sums_to(lab->dir, "app", skip_shm, lab->app_sum));
	if (why)
		spawn_show(log);
	free(log);
	free(app);
	return why;
}

/*
 * Objects never change in place, so hard links do for a copy; that base/ is as it was is asserted at the end. The host has not seen what
 * vanishes with the old one.
 */
static void fresh_repository(const struct lab *lab)
{
	char *base = in(lab->dir, "base"), *repo = in(lab->work, "repo");
	char *state = in(lab->work, "state");

	if (SPAWN("/dev/null", "rm", "-rf", repo, state) != 0 ||
	    SPAWN("/dev/null", "cp", "-al", base, repo) != 0 || mkdir(state, 0700) != 0)
		abort();
	free(base);
	free(repo);
	free(state);
}

static void try_moment(const struct lab *lab, size_t at, struct tally *tally)
{
	const struct moment *m = &lab->moments[at];
	struct watch w = {.until = m};
	/* A host's first backup also writes the roster. */
	bool thorough = at % 10 == 0, new_host = m->phase == KEYS;
	unsigned manifests = 0;
	const char *why;
	char name[32];
	int status;

	fresh_repository(lab);
	if (backup_traced(lab, new_host, &w, &status) != TRACER_KILLED) {
		(void)__atomic_add_fetch(&tally->missed, 1, __ATOMIC_RELAXED);
		return;
	}
	(void)__atomic_add_fetch(&tally->killed[m->phase], 1, __ATOMIC_RELAXED);
	why = judge_kill(lab, thorough, &manifests);
	if (!why && manifests == 2)
		(void)__atomic_add_fetch(&tally->seen_committed, 1, __ATOMIC_RELAXED);
	if (!why)
		why = judge_next(lab, thorough, new_host, manifests);
	if (!why)
		return;
	(void)__atomic_add_fetch(&tally->failed, 1, __ATOMIC_RELAXED);
	(void)fprintf(stderr, "# killed in phase %s, stop %u, %s %s: %s\n", killplan_name(m->phase),
		      m->ordinal, m->before ? "before" : "after", tracer_name(m->call, name), why);
}

struct job {
	struct lab *lab;
	struct tally *tally;
};

static void work(void *arg, unsigned worker)
{
	const struct job *job = arg;
	struct lab *lab = job->lab;
	char name[32];

	(void)snprintf(name, sizeof(name), "work%u", worker);
	lab->work = in(lab->dir, name);
	if (mkdir(lab->work, 0700) != 0)
		abort();
	spawn_environment(lab->dir, lab->work, "repo");
	for (size_t i = worker; i < lab->moment_count; i += WORKERS)
		try_moment(lab, i, job->tally);
	free(lab->work);
}

/* --- the test --- */

/* One backup in base/, restored once; then more attachments, so that the next backup has two packs. */
static sqlite3 *make_lab(struct lab *lab)
{
	char *key = in(lab->dir, "key"), *app = in(lab->dir, "app"), *want = in(lab->dir, "want");
	char *log = in(lab->dir, "log"), *base = in(lab->dir, "base");
	sqlite3 *db = make_app(lab->dir);
	char name[PATH_MAX];
	FILE *f;

	spawn_environment(lab->dir, lab->dir, "base");
	(void)unsetenv("NIGHTJAR_KEY_FILE");
	assert_int_equal(SPAWN(log, spawn_program(), "init", "--key-file", key), 0);
	spawn_environment(lab->dir, lab->dir, "base");
	assert_int_equal(SPAWN(log, spawn_program(), "backup", "--host", "night", app), 0);
	assert_int_equal(SPAWN(log, spawn_program(), "restore", "latest", "--target", want), 0);
	(void)snprintf(name, sizeof(name), "%s/snapshots", base);
	assert_int_equal(SPAWN(log, "ls", name), 0);
	f = fopen(log, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%64s", lab->first), 1);
	(void)fclose(f);
	attach(app, 3, ATTACHMENTS);
	free(app);
	app = app_below(lab, want);
	treesum(app, NULL, lab->want_sum);
	treesum(base, NULL, lab->base_sum);
	free(key), free(app), free(want), free(log), free(base);
	return db;
}

/* Runs that are let through, as an ordinary night and as the first one of a host. False: no ptrace here. */
static bool plan(struct lab *lab)
{
	char *work = in(lab->dir, "dry"), *app = in(lab->dir, "app");
	struct watch night = {0}, fresh = {0};
	bool fine;

	lab->work = work;
	assert_int_equal(mkdir(work, 0700), 0);
	spawn_environment(lab->dir, work, "repo");
	fresh_repository(lab);
	fine = let_through(lab, false, &night);
	fresh_repository(lab);
	fine = fine && let_through(lab, true, &fresh);
	for (enum phase p = OPENING; fine && p < PHASES; p++) {
		const struct watch *w = p == KEYS ? &fresh : &night;

		(void)fprintf(stderr, "# %s: %u stops\n", killplan_name(p), w->counts[p]);
		lab->moment_count += killplan_choose(w->stops, w->stop_count, p, wanted[p],
						     lab->moments + lab->moment_count,
						     MOMENTS_MOST - lab->moment_count);
	}
	treesum(app, skip_shm, lab->app_sum);
	free(night.stops), free(fresh.stops), free(app), free(work);
	lab->work = NULL;
	return fine;
}

static void judge_tally(const struct tally *tally)
{
	unsigned total = 0;

	for (enum phase p = OPENING; p < PHASES; p++) {
		(void)fprintf(stderr, "# killed in %s: %u\n", killplan_name(p), tally->killed[p]);
		total += tally->killed[p];
	}
	(void)fprintf(stderr,
		      "# killed in all: %u, %u of them with the manifest in place; %u missed\n",
		      total, tally->seen_committed, tally->missed);
	assert_int_equal(tally->failed, 0);
	assert_true(total >= 200);
	assert_true(tally->killed[SNAPSHOT] >= 20);
	assert_true(tally->killed[PACK] >= 20);
	assert_true(tally->killed[INDEX] >= 20);
	assert_true(tally->killed[MANIFEST] >= 20);
	assert_true(tally->seen_committed > 0);
}

static void killed_at_any_moment(void **state)
{
	struct tally *tally =
	    mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct lab lab = {.dir = tmpdir_make()};
	sqlite3 *db;
	char *left;
	bool fine;

	(void)state;
	assert_true(tally != MAP_FAILED);
	db = make_lab(&lab);
	fine = plan(&lab);
	if (fine) {
		spawn_workers(WORKERS, work, &(struct job){&lab, tally});
		assert_true(sums_to(lab.dir, "base", NULL, lab.base_sum));
		judge_tally(tally);
		/* And the application goes on where it was. */
		sql(db, "INSERT INTO notes (body) VALUES ('more'); DELETE FROM notes WHERE body = "
			"'more'");
		left = in(lab.dir, "app/left.db");
		assert_true(whole_database(left));
		free(left);
	}
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	if (chdir("/") != 0)
		abort();
	tmpdir_remove(lab.dir);
	(void)munmap(tally, sizeof(*tally));
	if (!fine) {
		print_message("# ptrace is not permitted here\n");
		skip();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(killed_at_any_moment)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
