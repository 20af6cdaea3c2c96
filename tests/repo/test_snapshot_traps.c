/* snapshot: the ways in which reading somebody's database goes wrong, harms it, or leaks it. */
#include <dirent.h>
#include <fcntl.h>
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

#include "tests/support/dbkit.h"

#define FILL                                                                                       \
	"CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT); CREATE INDEX ti ON t(b);"                  \
	"WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i<2000) "             \
	"INSERT INTO t(b) SELECT 'old ' || i || hex(randomblob(50)) FROM n;"
#define NOBODY 65534

static int take_fails(const struct kit *k, const struct snapshot_options *more, struct err *err)
{
	struct snapshot_options o = more != NULL ? *more : (struct snapshot_options){0};
	struct snapshot *s = NULL;
	int rc;

	o.cache_dir = k->cache;
	rc = snapshot_take(k->db, &o, &s, err);
	assert_int_not_equal(rc, 0);
	assert_null(s);
	return rc;
}

/* --- a WAL left behind --- */

static void leave_wal(const char *path)
{
	sqlite3 *db = kit_open(path);

	kit_exec(db, "PRAGMA journal_mode=wal; PRAGMA wal_autocheckpoint=0;" FILL
		     "UPDATE t SET b = 'new ' || a");
}

static void wal_left_behind_is_read_and_stays(void **state)
{
	struct kit *k = *state;
	struct kit_bytes db, wal;
	struct snapshot *s;
	char shm[400];
	int round;

	kit_in_dead_process(leave_wal, k->db);
	for (round = 0; round < 2; round++) {
		db = kit_remember(k, "app.db");
		wal = kit_remember(k, "app.db-wal");
		assert_true(wal.len > 10000);
		s = kit_snapshot(k, NULL);
		assert_int_equal(snapshot_info(s)->method, SNAPSHOT_VACUUM);
		assert_int_equal(kit_image_int(k, s, "SELECT count(*) FROM t WHERE b LIKE 'new %'"),
				 2000);
		snapshot_free(s);
		kit_unchanged(k, "app.db", db);
		kit_unchanged(k, "app.db-wal", wal);
		(void)unlink(kit_path(k, "app.db-shm", shm)); /* second round: without it */
	}
}

/* --- hot journal --- */

static void die_in_transaction(const char *path)
{
	sqlite3 *db = kit_open(path);

	kit_exec(db, "PRAGMA cache_size=5; PRAGMA cache_spill=1; BEGIN; "
		     "UPDATE t SET b = 'half ' || a || hex(randomblob(80));");
}

static void hot_journal_is_rolled_back_on_a_copy(void **state)
{
	struct kit *k = *state;
	struct kit_bytes db, journal;
	struct snapshot *s;

	kit_make(k->db, FILL);
	kit_in_dead_process(die_in_transaction, k->db);
	db = kit_remember(k, "app.db");
	journal = kit_remember(k, "app.db-journal");
	assert_true(journal.len > 10000 && journal.p[0] != 0);
	assert_non_null(memmem(db.p, db.len, "half ", 5)); /* it did reach the file */
	s = kit_snapshot(k, &(struct snapshot_options){.integrity_full = true});
	assert_int_equal(snapshot_info(s)->verdict, SNAPSHOT_CLEAN);
	assert_int_equal(snapshot_info(s)->method, SNAPSHOT_VACUUM);
	assert_string_equal(snapshot_info(s)->journal_mode, "delete");
	assert_int_equal(kit_image_int(k, s, "SELECT count(*) FROM t WHERE b LIKE 'old %'"), 2000);
	snapshot_free(s);
	kit_unchanged(k, "app.db", db);
	kit_unchanged(k, "app.db-journal", journal);
}

static void super_journal_is_refused(void **state)
{
	static const uint8_t magic[8] = {0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7};
	struct kit *k = *state;
	struct err err = {0};
	char journal[400];
	FILE *f;

	kit_make(k->db, FILL);
	kit_in_dead_process(die_in_transaction, k->db);
	f = fopen(kit_path(k, "app.db-journal", journal), "ab");
	assert_non_null(f);
	assert_int_equal(fwrite(magic, 1, 8, f), 8);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(take_fails(k, NULL, &err), -ERR_SOURCE);
	assert_non_null(strstr(err.text, "several databases"));
}

/* --- permissions --- */

/* Runs fn as nobody in a child; its result is the child's exit status. */
static int as_nobody(const struct kit *k, int (*fn)(const struct kit *k))
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (geteuid() == 0 && (setgid(NOBODY) != 0 || setuid(NOBODY) != 0))
			_exit(99);
		_exit(fn(k));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 98;
}

static int refused_naming_the_directory(const struct kit *k)
{
	struct snapshot_options o = {.cache_dir = "/tmp"};
	struct snapshot *s = NULL;
	struct err err = {0};

	if (snapshot_take(k->db, &o, &s, &err) != -ERR_SOURCE)
		return 1;
	return strstr(err.text, "WAL") == NULL || strstr(err.text, k->dir) == NULL ||
	       strstr(err.text, "permission") == NULL;
}

static int takes_500(const struct kit *k)
{
	struct snapshot_options o = {.cache_dir = "/tmp"};
	struct snapshot *s = NULL;
	struct err err = {0};

	if (snapshot_take(k->db, &o, &s, &err) != 0 || snapshot_verify(s, &o, &err) != 0)
		return 1;
	return snapshot_info(s)->table_count != 1 || snapshot_info(s)->tables[0].rows != 2000;
}

static void unwritable_directory_is_refused_for_wal_only(void **state)
{
	struct kit *k = *state;
	struct kit_bytes db;

	kit_make(k->db, FILL);
	assert_int_equal(chmod(k->db, 0644), 0);
	assert_int_equal(chmod(k->dir, 0555), 0);
	assert_int_equal(as_nobody(k, takes_500), 0); /* no WAL: no need to write */
	assert_int_equal(chmod(k->dir, 0755), 0);
	kit_make(k->db, "PRAGMA journal_mode=wal");
	assert_int_equal(chmod(k->dir, 0555), 0);
	db = kit_remember(k, "app.db");
	assert_int_equal(as_nobody(k, refused_naming_the_directory), 0);
	kit_unchanged(k, "app.db", db);
	assert_int_equal(chmod(k->dir, 0755), 0);
}

static int refused_as_unreadable(const struct kit *k)
{
	struct snapshot_options o = {.cache_dir = "/tmp"};
	struct snapshot *s = NULL;
	struct err err = {0};

	return snapshot_take(k->db, &o, &s, &err) != -ERR_SOURCE ||
	       strstr(err.text, "Permission denied") == NULL;
}

static void unreadable_and_absent_sources(void **state)
{
	struct kit *k = *state;
	struct err err = {0};
	char target[400];

	assert_int_equal(take_fails(k, NULL, &err), -ERR_MISSING);
	assert_non_null(strstr(err.text, k->db));
	assert_int_equal(mkdir(k->db, 0755), 0);
	assert_int_equal(take_fails(k, NULL, &err), -ERR_SOURCE);
	assert_int_equal(rmdir(k->db), 0);
	kit_make(kit_path(k, "other.db", target), FILL);
	assert_int_equal(symlink(target, k->db), 0);
	assert_int_equal(take_fails(k, NULL, &err), -ERR_SOURCE); /* the caller resolves */
	assert_int_equal(unlink(k->db), 0);
	kit_make(k->db, FILL);
	assert_int_equal(chmod(k->db, 0), 0);
	assert_int_equal(chmod(k->dir, 0755), 0);
	assert_int_equal(as_nobody(k, refused_as_unreadable), 0);
}

/* --- locks --- */

static pid_t hold_exclusive(const char *path)
{
	int ready[2];
	char c;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		kit_exec(kit_open(path), "BEGIN EXCLUSIVE");
		(void)!write(ready[1], "x", 1);
		for (;;)
			(void)pause();
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	(void)close(ready[0]);
	(void)close(ready[1]);
	return pid;
}

static int cancel_at_once(void *arg, uint64_t done, uint64_t total)
{
	(void)done;
	(void)total;
	++*(int *)arg;
	return 1;
}

static void locked_database_is_busy(void **state)
{
	struct kit *k = *state;
	struct snapshot_options o = {.busy_timeout_ms = 100};
	struct err err = {0};
	int calls = 0;
	pid_t pid;

	kit_make(k->db, FILL);
	pid = hold_exclusive(k->db);
	assert_int_equal(take_fails(k, &o, &err), -ERR_BUSY);
	assert_non_null(strstr(err.text, k->db));
	o = (struct snapshot_options){.progress = cancel_at_once, .progress_arg = &calls};
	assert_int_equal(take_fails(k, &o, &err), -ERR_CANCELLED); /* while it waits */
	assert_int_equal(calls, 1);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	snapshot_free(kit_snapshot(k, NULL));
}

/* --- names --- */

static void any_file_name_works(void **state)
{
	struct kit *k = *state;
	static const char *const names[] = {"a b?mode=rw&x=%41#frag.db", "100%.db",
					    "\xff\xfe'\".db", "file:x?vfs=none", "new\nline;--"};
	struct snapshot *s;
	char plain[290];
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		(void)snprintf(k->db, sizeof(k->db), "%s/%s", k->dir, names[i]);
		kit_make(k->db, FILL);
		s = kit_snapshot(k, NULL);
		assert_int_equal(snapshot_info(s)->method, SNAPSHOT_VACUUM);
		assert_int_equal(snapshot_info(s)->tables[0].rows, 2000);
		snapshot_free(s);
	}
	(void)snprintf(plain, sizeof(plain), "%.280s", k->db);
	(void)snprintf(k->db, sizeof(k->db), "//%s", plain);
	snapshot_free(kit_snapshot(k, NULL));
}

/* SQLite opens no path above 512 bytes; such a file is copied raw, with its -wal, and vacuumed from there. */
static void path_longer_than_sqlite_opens(void **state)
{
	struct kit *k = *state;
	struct snapshot_options o = {.cache_dir = k->cache};
	char deep[2000], wal_from[400], wal_to[2100];
	struct snapshot *s = NULL;
	struct err err = {0};
	int i;

	kit_in_dead_process(leave_wal, k->db);
	(void)snprintf(deep, sizeof(deep), "%s", k->dir);
	for (i = 0; i < 6; i++) {
		memset(deep + strlen(deep) + 1, 0, 1);
		(void)snprintf(deep + strlen(deep), 200, "/%0120d", i);
		assert_int_equal(mkdir(deep, 0700), 0);
	}
	(void)snprintf(deep + strlen(deep), 20, "/x.db");
	(void)snprintf(wal_to, sizeof(wal_to), "%s-wal", deep);
	assert_int_equal(rename(kit_path(k, "app.db-wal", wal_from), wal_to), 0);
	assert_int_equal(rename(k->db, deep), 0);
	assert_int_equal(snapshot_take(deep, &o, &s, &err), 0);
	assert_int_equal(snapshot_verify(s, &o, &err), 0);
	assert_int_equal(snapshot_info(s)->method, SNAPSHOT_VACUUM);
	assert_int_equal(snapshot_info(s)->verdict, SNAPSHOT_CLEAN);
	assert_string_equal(snapshot_info(s)->journal_mode, "wal");
	assert_int_equal(kit_image_int(k, s, "SELECT count(*) FROM t WHERE b LIKE 'new %'"), 2000);
	snapshot_free(s);
}

/* --- nothing lands on a disk --- */

static unsigned entries(const char *dir)
{
	DIR *d = opendir(dir);
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	(void)closedir(d);
	return n - 2;
}

static void no_plaintext_anywhere(void **state)
{
	struct kit *k = *state;
	char cwd[400], here[4096];
	struct snapshot_options o = {.ram_budget_bytes = 1};
	unsigned before;

	kit_make(k->db, FILL "INSERT INTO t(b) SELECT b || zeroblob(900) FROM t;"
			     "INSERT INTO t(b) SELECT b || 'x' FROM t");
	before = entries(k->dir);
	assert_non_null(getcwd(here, sizeof(here)));
	assert_int_equal(mkdir(kit_path(k, "cwd", cwd), 0700), 0);
	assert_int_equal(chdir(cwd), 0);
	snapshot_free(kit_snapshot(k, &o));
	assert_int_equal(chdir(here), 0);
	assert_int_equal(entries(cwd), 0);
	assert_int_equal(entries(k->cache), 0);
	assert_int_equal(entries(k->dir), before + 1);
}

static void failing_spill_is_full(void **state)
{
	struct kit *k = *state;
	struct snapshot_options o = {.ram_budget_bytes = 1};
	struct rlimit old, tight;
	struct err err = {0};
	int rc;

	kit_make(k->db, FILL "INSERT INTO t(b) SELECT b || hex(zeroblob(900)) FROM t;");
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	tight = old;
	tight.rlim_cur = 100000;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
	rc = take_fails(k, &o, &err);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(rc, -ERR_FULL);
	assert_non_null(strstr(err.text, k->cache));
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, kit_setup, kit_teardown)
	const struct CMUnitTest tests[] = {
	    TEST(wal_left_behind_is_read_and_stays),
	    TEST(hot_journal_is_rolled_back_on_a_copy),
	    TEST(super_journal_is_refused),
	    TEST(unwritable_directory_is_refused_for_wal_only),
	    TEST(unreadable_and_absent_sources),
	    TEST(locked_database_is_busy),
	    TEST(any_file_name_works),
	    TEST(path_longer_than_sqlite_opens),
	    TEST(no_plaintext_anywhere),
	    TEST(failing_spill_is_full),
	};

	/* Debian's SQLite reads URIs everywhere; elsewhere only the flag of the connection makes it. */
	(void)sqlite3_config(SQLITE_CONFIG_URI, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
