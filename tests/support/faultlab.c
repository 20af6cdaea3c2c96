#include "tests/support/faultlab.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/spawn.h"
#include "tests/support/tmpdir.h"

#define HOST "--host", "night"

static void die(const char *what)
{
	(void)fprintf(stderr, "faultlab: %s\n", what);
	abort();
}

static void path_in(const struct faultlab *lab, const char *name, char out[PATH_MAX])
{
	(void)snprintf(out, PATH_MAX, "%s/%s", lab->dir, name);
}

/* --- the application --- */

static void sql(const char *path, const char *text)
{
	sqlite3 *db = NULL;

	if (sqlite3_open(path, &db) != SQLITE_OK ||
	    sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK)
		die(text);
	(void)sqlite3_close(db);
}

/* Bytes that seed decides. */
static void put_file(const char *app, const char *name, uint8_t seed, size_t len)
{
	const uint8_t key[randombytes_SEEDBYTES] = {seed};
	char path[PATH_MAX + 16];
	uint8_t *bytes = malloc(len);
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", app, name);
	f = fopen(path, "w");
	if (!bytes || !f)
		die(path);
	randombytes_buf_deterministic(bytes, len, key);
	if (fwrite(bytes, 1, len, f) != len || fclose(f) != 0)
		die(path);
	free(bytes);
}

/* The same day after day, in every worker: sizes of what is stored must not differ. */
static void make_app(const char *app, const char *db)
{
	char folder[PATH_MAX + 8];

	(void)snprintf(folder, sizeof(folder), "%s/att", app);
	if (mkdir(app, 0755) != 0 || mkdir(folder, 0755) != 0)
		die(app);
	sql(db,
	    "PRAGMA journal_mode = WAL; CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT);"
	    "CREATE INDEX i ON t (b);"
	    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)"
	    "INSERT INTO t (b) SELECT printf('%d-%s', i * 7919 % 1000, hex(zeroblob(20))) FROM n");
	put_file(app, "f1", 1, 20000);
	put_file(app, "gone", 2, 9000);
	put_file(app, "att/1", 3, 3000);
	put_file(app, "att/2", 4, 3000);
}

static void change_app(const char *app, const char *db, unsigned night)
{
	char path[PATH_MAX + 16];

	if (night == 1) {
		put_file(app, "passing", 5, 30000);
		sql(db, "DELETE FROM t WHERE a % 50 = 0");
		return;
	}
	for (unsigned i = 0; i < 2; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", app, i ? "passing" : "gone");
		if (unlink(path) != 0)
			die(path);
	}
	put_file(app, "att/3", 6, 5000);
	sql(db, "UPDATE t SET b = b || '.' WHERE a % 20 = 1");
}

/* --- running --- */

void faultlab_begin(struct faultlab *lab, const struct faultcase *c)
{
	char start[PATH_MAX], key[PATH_MAX], name[64];

	(void)snprintf(name, sizeof(name), "start/%s", c->start);
	path_in(lab, name, start);
	faulttree_empty(lab->work);
	faulttree_copy(start, lab->work);
	spawn_environment(lab->dir, lab->work, "repo");
	path_in(lab, c->key ? c->key : "key", key);
	if (setenv("NIGHTJAR_KEY_FILE", key, 1) != 0)
		die("setenv");
}

int faultlab_try(struct faultlab *lab, const struct faultcase *c)
{
	const char *argv[12] = {spawn_program()};
	char *made[12] = {NULL};
	int status;

	for (size_t i = 0; c->argv[i]; i++) {
		if (c->argv[i][0] == '%')
			made[i] = tmpdir_path(lab->dir, c->argv[i] + 1);
		argv[i + 1] = made[i] ? made[i] : c->argv[i];
		if (strcmp(c->argv[i], "@") == 0)
			argv[i + 1] = lab->nights[FAULTLAB_NIGHTS - 1];
	}
	lab->run.plan->shift_s = c->shift_s;
	if (c->key && strcmp(c->argv[0], "init") == 0)
		(void)unsetenv("NIGHTJAR_KEY_FILE");
	status = faultrun_go(&lab->run, argv);
	if (c->key) {
		char key[PATH_MAX];

		path_in(lab, c->key, key);
		(void)setenv("NIGHTJAR_KEY_FILE", key, 1);
	}
	for (size_t i = 0; i < 12; i++)
		free(made[i]);
	return status;
}

int faultlab_run(struct faultlab *lab, const char *const argv[])
{
	faultrun_clear(&lab->run);
	return faultrun_go(&lab->run, argv);
}

static bool restores(struct faultlab *lab, const char *manifest, const uint8_t want[TREESUM_BYTES])
{
	uint8_t sum[TREESUM_BYTES];
	char out[PATH_MAX], app[PATH_MAX + PATH_MAX];

	path_in(lab, "out", out);
	faulttree_empty(out);
	if (FAULTLAB_RUN(lab, "restore", manifest, "--target", out) != 0)
		return false;
	(void)snprintf(app, sizeof(app), "%s%s/app", out, lab->dir);
	treesum(app, NULL, sum);
	return memcmp(sum, want, TREESUM_BYTES) == 0;
}

/* The rows of a database that was restored: a copy that another method made is as good. */
static bool same_rows(const char *path)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *st = NULL;
	bool good = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
		    sqlite3_prepare_v2(
			db,
			"SELECT (SELECT integrity_check FROM pragma_integrity_check) = 'ok' AND "
			"count(*) = 294 AND sum(b LIKE '%.') = 15 AND max(a) = 299 FROM t",
			-1, &st, NULL) == SQLITE_OK &&
		    sqlite3_step(st) == SQLITE_ROW && sqlite3_column_int(st, 0) == 1;

	(void)sqlite3_finalize(st);
	(void)sqlite3_close(db);
	return good;
}

/* The latest backup is of the last night. */
static bool restores_last(struct faultlab *lab)
{
	char out[PATH_MAX], app[PATH_MAX + PATH_MAX], db[PATH_MAX + PATH_MAX + 8], source[PATH_MAX];

	if (restores(lab, "latest", lab->want[FAULTLAB_NIGHTS - 1]))
		return true;
	path_in(lab, "out", out);
	path_in(lab, "app", source);
	(void)snprintf(app, sizeof(app), "%s%s/app", out, lab->dir);
	(void)snprintf(db, sizeof(db), "%s/a.db", app);
	return SPAWN("/dev/null", "diff", "-r", "-x", "a.db*", source, app) == 0 && same_rows(db);
}

static bool has_file(const struct faultlab *lab, const char *folder, const char *name)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/%s/%s", lab->work, folder, name);
	return access(path, F_OK) == 0;
}

/* --- what was asked for --- */

static void sum_said(const struct faultlab *lab, uint8_t out[TREESUM_BYTES])
{
	static uint8_t bytes[65536];
	int fd = open(lab->run.out, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, bytes, sizeof(bytes));

	if (len < 0 || close(fd) != 0)
		die(lab->run.out);
	crypto_generichash(out, TREESUM_BYTES, bytes, (unsigned long long)len, NULL, 0);
}

/* Of a copied database only its bytes count: when it was made is another time in each run. */
static void sum_target(const struct faultlab *lab, const struct faultcase *c,
		       uint8_t out[TREESUM_BYTES])
{
	char folder[PATH_MAX + PATH_MAX], path[PATH_MAX];
	static uint8_t bytes[1 << 20];
	ssize_t len;
	int fd;

	memset(out, 0, TREESUM_BYTES);
	if (strcmp(c->argv[0], "restore") == 0) {
		(void)snprintf(folder, sizeof(folder), "%s/target%s/app", lab->work, lab->dir);
		if (access(folder, F_OK) == 0)
			treesum(folder, NULL, out);
		return;
	}
	path_in(lab, "work/target/copy.db", path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	len = fd < 0 ? -1 : read(fd, bytes, sizeof(bytes));
	if (len >= 0)
		crypto_generichash(out, TREESUM_BYTES, bytes, (unsigned long long)len, NULL, 0);
	if (fd >= 0)
		(void)close(fd);
}

static void sum_good(const struct faultlab *lab, const struct faultcase *c, struct faultgood *good)
{
	char repo[PATH_MAX];

	path_in(lab, "work/repo", repo);
	(void)faulttree_sum(repo, false, good->repo);
	sum_target(lab, c, good->target);
	sum_said(lab, good->said);
}

static unsigned count_in(const struct faultlab *lab, const char *folder)
{
	char path[PATH_MAX];
	struct dirent *e;
	unsigned count = 0;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "%s/%s", lab->work, folder);
	dir = opendir(path);
	while (dir && (e = readdir(dir)) != NULL)
		count += strlen(e->d_name) == 64;
	if (dir)
		(void)closedir(dir);
	return count;
}

/* Warned of something, and of attributes only when so asked: the content of a restored file is there without them. */
bool faultlab_warned(const struct faultlab *lab, const char *of)
{
	char said[FAULTRUN_LINE];
	const char *at;

	faultrun_said(&lab->run, said);
	at = strstr(said, "nightjar: warning: ");
	return at && strstr(at, of);
}

/* Another way to the same backup, such as without a delta, is as good. */
static bool has_backup(struct faultlab *lab, const struct faultcase *c)
{
	unsigned want = strcmp(c->argv[0], "copy") == 0 ? FAULTLAB_NIGHTS
			: strcmp(c->start, "one") == 0  ? 2
							: 1;

	return count_in(lab, "repo/snapshots") == want && restores_last(lab);
}

bool faultlab_reached(struct faultlab *lab, const struct faultcase *c)
{
	const struct faultgood *good = &lab->good[c - faultlab_cases];
	struct faultgood now;
	bool same;

	sum_good(lab, c, &now);
	same = memcmp(now.repo, good->repo, sizeof(now.repo)) == 0;
	switch (c->goal) {
	case GOAL_REPO:
		return same;
	case GOAL_TENDED:
		return same || faultlab_warned(lab, "");
	case GOAL_BACKUP:
		return same || has_backup(lab, c);
	case GOAL_WHOLE:
		return same || FAULTLAB_RUN(lab, "check", "--read-data") == 0;
	case GOAL_TARGET:
		return memcmp(now.target, good->target, sizeof(now.target)) == 0 ||
		       faultlab_warned(lab, "attribute");
	case GOAL_SAID:
		break;
	}
	return memcmp(now.said, good->said, sizeof(now.said)) == 0;
}

/* --- afterwards --- */

static bool is_init(const struct faultcase *c)
{
	return strcmp(c->argv[0], "init") == 0;
}

/* No repository, or one that is no business of this command. */
static bool has_repository(const struct faultlab *lab)
{
	return has_file(lab, "repo", "config");
}

static const char *nights_restore(struct faultlab *lab, const struct faultcase *c)
{
	char start[80];

	for (unsigned i = 0; i < FAULTLAB_NIGHTS; i++) {
		(void)snprintf(start, sizeof(start), "../start/%s/repo/snapshots", c->start);
		if (!has_file(lab, start, lab->nights[i]))
			continue;
		if (!has_file(lab, "repo/snapshots", lab->nights[i])) {
			if (!c->deletes || i == FAULTLAB_NIGHTS - 1)
				return "an earlier manifest is gone";
			continue;
		}
		if (!restores(lab, lab->nights[i], lab->want[i]))
			return "an earlier backup does not restore as it was";
	}
	return NULL;
}

/* Of init: one that is there serves, one that is not can be made. */
static const char *init_again(struct faultlab *lab, const struct faultcase *c)
{
	char app[PATH_MAX];

	if (!has_repository(lab) && faultlab_try(lab, c) != 0)
		return "init cannot be run again";
	path_in(lab, "app", app);
	if (FAULTLAB_RUN(lab, "backup", app) != 0)
		return "no backup can be made into what init has left";
	return FAULTLAB_RUN(lab, "check", "--read-data") == 0 ? NULL : "check is not clean";
}

static const char *all_is_well(struct faultlab *lab, const struct faultcase *c)
{
	if (strcmp(c->argv[0], "db") == 0)
		return NULL;
	if (!c->broken || strcmp(c->start, "noindex") == 0) {
		if (FAULTLAB_RUN(lab, "check", "--read-data") != 0)
			return "check --read-data finds damage after the next run";
		if (c->goal == GOAL_BACKUP && !restores_last(lab))
			return "what the next run stored does not restore";
	}
	return NULL;
}

const char *faultlab_aftermath(struct faultlab *lab, const struct faultcase *c)
{
	const struct faultgood *good = &lab->good[c - faultlab_cases];
	const char *why = NULL;
	struct faultgood now;

	faultrun_clear(&lab->run);
	if (is_init(c))
		return init_again(lab, c);
	sum_good(lab, c, &now);
	/* A copy that is whole is not overwritten. */
	if (strcmp(c->argv[0], "db") == 0 &&
	    memcmp(now.target, good->target, sizeof(now.target)) == 0)
		return NULL;
	if (!c->broken && has_repository(lab)) {
		why = nights_restore(lab, c);
		if (!why && FAULTLAB_RUN(lab, "check") != 0)
			why = "check is not clean";
	}
	if (!why && faultlab_try(lab, c) != good->status)
		why = "the next run, without faults, fails";
	if (!why && c->goal == GOAL_TARGET && !faultlab_reached(lab, c))
		why = "the next run, without faults, does not do it";
	return why ? why : all_is_well(lab, c);
}

/* --- making it --- */

static void expect(struct faultlab *lab, int status, int want, const char *what)
{
	if (status == want)
		return;
	spawn_show(lab->run.log);
	(void)fprintf(stderr, "faultlab: %s gives %d\n", what, status);
	abort();
}

static void keep_start(struct faultlab *lab, const char *name)
{
	char to[PATH_MAX], relative[64];

	(void)snprintf(relative, sizeof(relative), "start/%s", name);
	path_in(lab, relative, to);
	faulttree_copy(lab->work, to);
}

/* The one object in a folder of work/ that was not there before. */
static void newest_name(const struct faultlab *lab, const char *folder, unsigned night,
			char out[65])
{
	char path[PATH_MAX];
	struct dirent *e;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "%s/%s", lab->work, folder);
	dir = opendir(path);
	out[0] = '\0';
	while (dir && (e = readdir(dir)) != NULL) {
		bool known = strlen(e->d_name) != 64;

		for (unsigned i = 0; i < night; i++)
			known |= strcmp(e->d_name, lab->nights[i]) == 0;
		if (!known)
			memcpy(out, e->d_name, 65);
	}
	if (!dir || closedir(dir) != 0 || !*out)
		die(path);
}

static void make_nights(struct faultlab *lab)
{
	char app[PATH_MAX], db[PATH_MAX], out[PATH_MAX];

	path_in(lab, "app", app);
	path_in(lab, "app/a.db", db);
	path_in(lab, "out", out);
	for (unsigned i = 0; i < FAULTLAB_NIGHTS; i++) {
		char restored[PATH_MAX + PATH_MAX];

		if (i == 0)
			make_app(app, db);
		else
			change_app(app, db, i);
		expect(lab, FAULTLAB_RUN(lab, "backup", HOST, app), 0, "backup");
		newest_name(lab, "repo/snapshots", i, lab->nights[i]);
		faulttree_empty(out);
		expect(lab, FAULTLAB_RUN(lab, "restore", "latest", "--target", out), 0, "restore");
		(void)snprintf(restored, sizeof(restored), "%s%s/app", out, lab->dir);
		treesum(restored, NULL, lab->want[i]);
		if (i == 0)
			keep_start(lab, "one");
	}
	expect(lab, FAULTLAB_RUN(lab, "check", "--read-data"), 0, "check");
	keep_start(lab, "nights");
}

/* Names are random: the oldest is the same in every worker. */
static void oldest_below(const char *folder, char out[PATH_MAX])
{
	char command[PATH_MAX + 120];
	FILE *f;

	(void)snprintf(
	    command, sizeof(command),
	    "find '%s' -type f -printf '%%T@ %%p\\n' | sort -n | head -n 1 | cut -d' ' -f2-",
	    folder);
	f = popen(command, "r");
	if (!f || !fgets(out, PATH_MAX, f) || pclose(f) != 0)
		die(folder);
	out[strcspn(out, "\n")] = '\0';
}

/* Of start/nights, one segment of the index lost, or a pack with a bad byte. */
static void make_broken(struct faultlab *lab)
{
	static const struct faultcase nights = {.start = "nights"};
	char folder[PATH_MAX], path[PATH_MAX], other[PATH_MAX + 8];
	uint8_t byte = 0;
	int fd;

	faultlab_begin(lab, &nights);
	path_in(lab, "work/repo/index", folder);
	oldest_below(folder, path);
	if (unlink(path) != 0)
		die(path);
	keep_start(lab, "noindex");
	faultlab_begin(lab, &nights);
	path_in(lab, "work/repo/data", folder);
	oldest_below(folder, path);
	(void)snprintf(other, sizeof(other), "%s.old", path);
	if (rename(path, other) != 0)
		die(path);
	if (SPAWN("/dev/null", "cp", other, path) != 0 || chmod(path, 0600) != 0 ||
	    unlink(other) != 0)
		die(path);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || pread(fd, &byte, 1, 9000) != 1)
		die(path);
	byte ^= 0x40;
	if (pwrite(fd, &byte, 1, 9000) != 1 || close(fd) != 0 || chmod(path, 0400) != 0)
		die(path);
	keep_start(lab, "badpack");
}

static void make_starts(struct faultlab *lab)
{
	static const struct faultcase nothing = {.start = "nothing"}, nights = {.start = "nights"};
	char key[PATH_MAX], path[PATH_MAX], target[PATH_MAX];

	path_in(lab, "start", path);
	path_in(lab, "work/target", target);
	if (mkdir(path, 0700) != 0)
		die(path);
	faulttree_empty(lab->work);
	faulttree_empty(target);
	keep_start(lab, "nothing");

	path_in(lab, "key2", key);
	faultlab_begin(lab, &nothing);
	(void)unsetenv("NIGHTJAR_KEY_FILE");
	expect(lab, FAULTLAB_RUN(lab, "init", "--key-file", key), 0, "init");
	path_in(lab, "start/copy", path);
	keep_start(lab, "copy");

	path_in(lab, "key", key);
	faultlab_begin(lab, &nothing);
	(void)unsetenv("NIGHTJAR_KEY_FILE");
	expect(lab, FAULTLAB_RUN(lab, "init", "--key-file", key), 0, "init");
	(void)setenv("NIGHTJAR_KEY_FILE", key, 1);
	keep_start(lab, "made");
	make_nights(lab);
	path_in(lab, "work/repo", path);
	path_in(lab, "start/copy/other", target);
	faulttree_copy(path, target);
	make_broken(lab);
	faultlab_begin(lab, &nights);
	expect(lab, FAULTLAB_RUN(lab, "forget", "--keep-last", "1"), 0, "forget");
	keep_start(lab, "forgotten");
	expect(lab, FAULTLAB_RUN(lab, "prune", "--max-unused", "0"), 0, "prune");
	if (count_in(lab, "repo/locks") == 0)
		die("prune has condemned nothing");
	keep_start(lab, "condemned");
}

void faultlab_open(struct faultlab *lab)
{
	char *real, *made = tmpdir_make(), start[PATH_MAX];

	memset(lab, 0, sizeof(*lab));
	real = realpath(made, NULL);
	free(made);
	lab->dir = real;
	lab->work = tmpdir_path(lab->dir, "work");
	faultrun_open(&lab->run, lab->dir);
	lab->good = calloc(faultlab_case_count, sizeof(*lab->good));
	if (!lab->dir || !lab->good)
		die("no memory");
	make_starts(lab);
	for (size_t i = 0; i < faultlab_case_count; i++) {
		const struct faultcase *c = &faultlab_cases[i];

		faultlab_begin(lab, c);
		faultrun_clear(&lab->run);
		lab->good[i].status = faultlab_try(lab, c);
		if (lab->good[i].status != 0 && !c->broken)
			expect(lab, lab->good[i].status, 0, c->name);
		sum_good(lab, c, &lab->good[i]);
	}
	path_in(lab, "start", start);
	treesum(start, NULL, lab->starts);
}

void faultlab_close(struct faultlab *lab)
{
	uint8_t sum[TREESUM_BYTES];
	char start[PATH_MAX];

	path_in(lab, "start", start);
	treesum(start, NULL, sum);
	if (memcmp(sum, lab->starts, sizeof(sum)) != 0)
		die("an object was changed in place");
	faultrun_close(&lab->run);
	free(lab->work);
	free(lab->good);
	tmpdir_remove(lab->dir);
}
