/* dbfile: a copy is whole or absent, a check reads only, journal modes come back. */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "repo/dbfile.h"
#include "tests/support/dbkit.h"

#define FILL                                                                                       \
	"CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT); CREATE INDEX ti ON t(b);"                  \
	"WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i<5000) "             \
	"INSERT INTO t(b) SELECT i || hex(randomblob(150)) FROM n;"

struct fixture {
	struct kit kit;
	char dest[400];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	kit_new(&f->kit);
	(void)kit_path(&f->kit, "copy #1 100%.db", f->dest);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	kit_free(&((struct fixture *)*state)->kit);
	free(*state);
	return 0;
}

static unsigned temps_in(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	unsigned n = 0;

	assert_non_null(d);
	while ((e = readdir(d)) != NULL)
		n += strstr(e->d_name, "nightjar-tmp") != NULL;
	(void)closedir(d);
	return n;
}

static void copy_fails(const struct fixture *f, int code, struct err *err)
{
	assert_int_equal(dbfile_copy(f->kit.db, f->dest, 100, NULL, err), -code);
	assert_int_equal(temps_in(f->kit.dir), 0);
}

static int header_version(const char *path)
{
	size_t len;
	uint8_t *p = kit_slurp(path, &len);
	int v = p[18];

	free(p);
	return v;
}

static void copy_of_a_live_wal_database(void **state)
{
	struct fixture *f = *state;
	struct err err = {0};
	struct stat st;
	char side[420];
	sqlite3 *app = kit_open(f->kit.db), *copy;

	kit_exec(app, "PRAGMA journal_mode=wal; PRAGMA user_version=5;" FILL);
	assert_int_equal(chmod(f->kit.db, 0664), 0);
	if (dbfile_copy(f->kit.db, f->dest, 0, NULL, &err) != 0)
		fail_msg("%s", err.text);
	kit_exec(app, "INSERT INTO t(b) VALUES('later')"); /* the application goes on */
	assert_int_equal(sqlite3_close(app), SQLITE_OK);
	assert_int_equal(stat(f->dest, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(header_version(f->dest), 2);
	(void)snprintf(side, sizeof(side), "%s-wal", f->dest);
	assert_false(kit_exists(side));
	(void)snprintf(side, sizeof(side), "%s-shm", f->dest);
	assert_false(kit_exists(side));
	assert_int_equal(temps_in(f->kit.dir), 0);
	copy = kit_open(f->dest);
	assert_int_equal(kit_int(copy, "SELECT count(*) FROM t"), 5000);
	assert_int_equal(kit_int(copy, "PRAGMA user_version"), 5);
	assert_int_equal(sqlite3_close(copy), SQLITE_OK);
}

static void copy_never_replaces(void **state)
{
	struct fixture *f = *state;
	struct err err = {0};
	char journal[420];

	kit_make(f->kit.db, FILL);
	kit_spew(f->dest, "mine", 4);
	copy_fails(f, ERR_EXISTS, &err);
	assert_non_null(strstr(err.text, f->dest));
	assert_int_equal(unlink(f->dest), 0);
	assert_int_equal(symlink("/nonexistent/x", f->dest), 0);
	copy_fails(f, ERR_EXISTS, &err);
	assert_int_equal(unlink(f->dest), 0);
	/* A stale journal would be played into the new copy. */
	(void)snprintf(journal, sizeof(journal), "%s-journal", f->dest);
	kit_spew(journal, "old", 3);
	copy_fails(f, ERR_EXISTS, &err);
	assert_false(kit_exists(f->dest));
}

static int make_rival(void *arg, const char *phase, uint64_t done, uint64_t total)
{
	(void)done;
	(void)total;
	if (strcmp(phase, "verify") == 0 && !kit_exists(arg))
		kit_spew(arg, "rival", 5);
	return 0;
}

static void rival_during_the_copy_wins(void **state)
{
	struct fixture *f = *state;
	struct dbfile_progress p = {make_rival, f->dest};
	struct err err = {0};
	size_t len;
	uint8_t *got;

	kit_make(f->kit.db, FILL);
	assert_int_equal(dbfile_copy(f->kit.db, f->dest, 0, &p, &err), -ERR_EXISTS);
	got = kit_slurp(f->dest, &len);
	assert_int_equal(len, 5);
	free(got);
	assert_int_equal(temps_in(f->kit.dir), 0);
}

struct seen {
	unsigned copies, verifies, cancel_at;
	uint64_t done, total;
};

static int on_progress(void *arg, const char *phase, uint64_t done, uint64_t total)
{
	struct seen *s = arg;

	if (strcmp(phase, "copy") == 0)
		s->copies++;
	else
		s->verifies++;
	s->done = done > s->done ? done : s->done;
	s->total = total > s->total ? total : s->total;
	assert_true(total == 0 || done <= total);
	return s->copies + s->verifies == s->cancel_at;
}

static void progress_and_cancel(void **state)
{
	struct fixture *f = *state;
	struct seen seen = {0};
	struct dbfile_progress p = {on_progress, &seen};
	struct err err = {0};
	unsigned all;

	kit_make(f->kit.db, FILL);
	assert_int_equal(dbfile_copy(f->kit.db, f->dest, 0, &p, &err), 0);
	assert_true(seen.copies > 0 && seen.verifies > 0 && seen.total > 100);
	all = seen.copies + seen.verifies;
	assert_int_equal(unlink(f->dest), 0);
	for (; all > 0; all -= all > 5 ? 5 : 1) {
		seen = (struct seen){.cancel_at = all};
		assert_int_equal(dbfile_copy(f->kit.db, f->dest, 0, &p, &err), -ERR_CANCELLED);
		assert_false(kit_exists(f->dest));
		assert_int_equal(temps_in(f->kit.dir), 0);
	}
}

static void copy_on_a_full_disk(void **state)
{
	struct fixture *f = *state;
	struct rlimit old, tight;
	struct err err = {0};
	int rc;

	kit_make(f->kit.db, FILL);
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	tight = old;
	tight.rlim_cur = 300000;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
	rc = dbfile_copy(f->kit.db, f->dest, 0, NULL, &err);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(rc, -ERR_FULL);
	assert_false(kit_exists(f->dest));
	assert_int_equal(temps_in(f->kit.dir), 0);
}

static void copy_of_what_cannot_be_copied(void **state)
{
	struct fixture *f = *state;
	struct err err = {0};
	char gone[420];

	copy_fails(f, ERR_MISSING, &err);
	kit_spew(f->kit.db, "", 0);
	copy_fails(f, ERR_SOURCE, &err);
	kit_spew(f->kit.db, "\xff\xd8\xff\xe0 JPEG, not a database at all", 30);
	copy_fails(f, ERR_SOURCE, &err);
	assert_non_null(strstr(err.text, f->kit.db));
	kit_spew(f->kit.db, "SQLite format 3\0rubbish rubbish rubbish", 39);
	copy_fails(f, ERR_SOURCE, &err);
	assert_int_equal(unlink(f->kit.db), 0);
	kit_make(f->kit.db, FILL);
	(void)kit_path(&f->kit, "no/such/dir.db", gone);
	assert_int_equal(dbfile_copy(f->kit.db, gone, 0, NULL, &err), -ERR_MISSING);
}

/* Killed at moments spread over the copy: no dest, or a whole one; nothing else but a named temporary. */
static void killed_copy_leaves_no_half_dest(void **state)
{
	struct fixture *f = *state;
	int ms;

	kit_make(f->kit.db, FILL);
	for (ms = 0; ms < 40; ms += 2) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			struct err err = {0};

			_exit(dbfile_copy(f->kit.db, f->dest, 0, NULL, &err) == 0 ? 0 : 1);
		}
		(void)usleep((useconds_t)ms * 1000);
		(void)kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		if (kit_exists(f->dest)) {
			sqlite3 *db = kit_open(f->dest);

			assert_int_equal(kit_int(db, "SELECT count(*) FROM t"), 5000);
			assert_int_equal(sqlite3_close(db), SQLITE_OK);
			assert_int_equal(unlink(f->dest), 0);
		}
	}
}

static void leave_wal(const char *path)
{
	kit_exec(kit_open(path), "PRAGMA journal_mode=wal; PRAGMA wal_autocheckpoint=0;" FILL);
}

static void verify_of_a_sound_database_changes_nothing(void **state)
{
	struct fixture *f = *state;
	bool ok = false, unchecked = true;
	char *text = NULL, walpath[400];
	size_t before_len, after_len;
	uint8_t *before, *after;
	struct err err = {0};

	kit_in_dead_process(leave_wal, f->kit.db);
	before = kit_slurp(kit_path(&f->kit, "app.db-wal", walpath), &before_len);
	assert_int_equal(dbfile_verify(f->kit.db, 0, NULL, &ok, &unchecked, &text, &err), 0);
	assert_true(ok);
	assert_false(unchecked);
	assert_null(text);
	after = kit_slurp(walpath, &after_len);
	assert_int_equal(after_len, before_len);
	assert_memory_equal(after, before, before_len);
	free(before);
	free(after);
}

static void verify_finds_damage(void **state)
{
	struct fixture *f = *state;
	bool ok = true, unchecked = true;
	char *text = NULL;
	struct err err = {0};
	uint8_t *db;
	size_t len;

	kit_make(f->kit.db, FILL);
	db = kit_slurp(f->kit.db, &len);
	memset(db + 20 * 4096, 0x55, 8192);
	kit_spew(f->kit.db, db, len);
	assert_int_equal(dbfile_verify(f->kit.db, 0, NULL, &ok, &unchecked, &text, &err), 0);
	assert_false(ok);
	assert_false(unchecked);
	assert_non_null(text);
	free(text);
	kit_spew(f->kit.db, db, len / 2 + 100); /* cut: damage seen when it is opened */
	assert_int_equal(dbfile_verify(f->kit.db, 0, NULL, &ok, &unchecked, &text, &err), 0);
	assert_false(ok);
	free(text);
	free(db);
}

static int collate(void *arg, int an, const void *a, int bn, const void *b)
{
	(void)arg;
	return an != bn ? bn - an : memcmp(b, a, (size_t)an);
}

static void verify_with_a_missing_collation(void **state)
{
	struct fixture *f = *state;
	bool ok = false, unchecked = false;
	char *text = NULL;
	struct err err = {0};
	sqlite3 *db = kit_open(f->kit.db);

	assert_int_equal(sqlite3_create_collation(db, "mine", SQLITE_UTF8, NULL, collate), 0);
	kit_exec(db, FILL "CREATE INDEX m ON t(b COLLATE mine)");
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	assert_int_equal(dbfile_verify(f->kit.db, 0, NULL, &ok, &unchecked, &text, &err), 0);
	assert_true(unchecked);
	assert_non_null(strstr(text, "mine"));
	free(text);
}

static void verify_of_no_database(void **state)
{
	struct fixture *f = *state;
	bool ok, unchecked;
	char *text = NULL;
	struct err err = {0};

	assert_int_equal(dbfile_verify(f->kit.db, 0, NULL, &ok, &unchecked, &text, &err),
			 -ERR_MISSING);
	kit_spew(f->kit.db, "x", 1);
	assert_int_equal(dbfile_verify(f->kit.db, 0, NULL, &ok, &unchecked, &text, &err),
			 -ERR_SOURCE);
	assert_int_equal(dbfile_verify("/tmp", 0, NULL, &ok, &unchecked, &text, &err), -ERR_SOURCE);
}

static void busy_and_hot_journal(void **state)
{
	struct fixture *f = *state;
	bool ok, unchecked;
	char *text = NULL, c;
	struct err err = {0};
	int ready[2];
	pid_t pid;

	kit_make(f->kit.db, FILL);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		kit_exec(kit_open(f->kit.db), "PRAGMA cache_size=5; BEGIN EXCLUSIVE; UPDATE t SET "
					      "b = b || hex(randomblob(60))");
		(void)!write(ready[1], "x", 1);
		for (;;)
			(void)pause();
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	copy_fails(f, ERR_BUSY, &err);
	assert_int_equal(dbfile_verify(f->kit.db, 100, NULL, &ok, &unchecked, &text, &err),
			 -ERR_BUSY);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	copy_fails(f, ERR_SOURCE, &err);
	assert_non_null(strstr(err.text, "journal"));
	assert_int_equal(dbfile_verify(f->kit.db, 100, NULL, &ok, &unchecked, &text, &err),
			 -ERR_SOURCE);
	(void)close(ready[0]);
	(void)close(ready[1]);
}

/* What SQLite itself says of a file whose first bytes were changed. */
static void journal_modes(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *mode;
		int version;
	} steps[] = {{"wal", 2},     {"memory", 2}, {"wal", 2},     {"delete", 1},
		     {"persist", 1}, {"off", 1},    {"", 1},        {"wal", 2},
		     {"WAL", 2},     {"wal2", 2},   {"truncate", 1}};
	size_t i, len = 0;

	kit_make(f->kit.db, FILL);
	for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		uint8_t *bytes = kit_slurp(f->kit.db, &len);
		sqlite3 *db;

		dbfile_put_mode(steps[i].mode, bytes);
		kit_spew(f->kit.db, bytes, len);
		free(bytes);
		assert_int_equal(header_version(f->kit.db), steps[i].version);
		db = kit_open(f->kit.db);
		assert_int_equal(kit_int(db, "SELECT journal_mode='wal' FROM pragma_journal_mode"),
				 steps[i].version == 2);
		assert_int_equal(kit_int(db, "SELECT integrity_check='ok' FROM "
					     "pragma_integrity_check"),
				 1);
		assert_int_equal(kit_int(db, "SELECT count(*) FROM t"), 5000);
		(void)sqlite3_close(db);
	}
}

static void no_journal_mode_in_what_is_no_database(void **state)
{
	uint8_t head[DBFILE_MODE_BYTES] = "SQLite format 4", same[DBFILE_MODE_BYTES];

	(void)state;
	memcpy(same, head, sizeof(same));
	dbfile_put_mode("wal", head);
	assert_memory_equal(head, same, sizeof(same));
}

struct contents {
	uint8_t *p;
	size_t len;
	int rc; /* given instead of bytes */
};

static int bytes_read(void *arg, uint64_t offset, void *out, size_t len, struct err *err)
{
	const struct contents *b = arg;

	if (b->rc != 0)
		return err_set(err, (enum err_code)b->rc, "no bytes today");
	assert_true(offset <= b->len && len <= b->len - offset);
	memcpy(out, b->p + offset, len);
	return 0;
}

static int cancel_first(void *arg, const char *phase, uint64_t done, uint64_t total)
{
	(void)done;
	(void)total;
	assert_string_equal(phase, "verify");
	return ++*(unsigned *)arg > 0;
}

static void verify_of_bytes(void **state)
{
	struct fixture *f = *state;
	struct contents b = {0};
	struct dbfile_bytes bytes = {bytes_read, &b, 0};
	unsigned ticks = 0;
	struct dbfile_progress stop = {cancel_first, &ticks};
	struct err err = {0};
	char *text = NULL;
	bool ok = false;

	kit_make(f->kit.db, "PRAGMA journal_mode=wal;" FILL);
	b.p = kit_slurp(f->kit.db, &b.len);
	bytes.size_bytes = b.len;
	assert_int_equal(dbfile_verify_bytes("a", &bytes, NULL, &ok, &text, &err), 0);
	assert_true(ok);
	assert_null(text);
	assert_int_equal(dbfile_verify_bytes("a", &bytes, &stop, &ok, &text, &err), -ERR_CANCELLED);
	assert_int_equal(ticks, 1);
	b.rc = ERR_IO;
	assert_int_equal(dbfile_verify_bytes("a", &bytes, NULL, &ok, &text, &err), -ERR_IO);
	assert_false(ok);
	assert_string_equal(err.text, "a: no bytes today");
	free(text);
	b.rc = 0;
	memset(b.p + 4096 * 3, 0xff, 4096 * 4);
	assert_int_equal(dbfile_verify_bytes("a", &bytes, NULL, &ok, &text, &err), 0);
	assert_false(ok);
	assert_non_null(text);
	free(text);
	free(b.p);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(copy_of_a_live_wal_database),
	    TEST(copy_never_replaces),
	    TEST(rival_during_the_copy_wins),
	    TEST(progress_and_cancel),
	    TEST(copy_on_a_full_disk),
	    TEST(copy_of_what_cannot_be_copied),
	    TEST(killed_copy_leaves_no_half_dest),
	    TEST(verify_of_a_sound_database_changes_nothing),
	    TEST(verify_finds_damage),
	    TEST(verify_with_a_missing_collation),
	    TEST(verify_of_no_database),
	    TEST(busy_and_hot_journal),
	    TEST(journal_modes),
	    TEST(no_journal_mode_in_what_is_no_database),
	    TEST(verify_of_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
