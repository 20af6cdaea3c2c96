/* A database that did not change is recognised and not read; one that changed in any way is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/must.h"
#include "tests/support/quiet_box.h"

#define WAL "PRAGMA journal_mode=wal; PRAGMA wal_autocheckpoint=0;"

static void set_mtime(const char *path)
{
	const struct timespec times[2] = {{.tv_sec = 1700000000}, {.tv_sec = 1700000000}};

	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* --- recognised --- */

static void test_nothing_happened(void **state)
{
	struct quiet_box *f = *state;

	kit_make(f->kit.db, QUIET_BOX_ROWS);
	quiet_box_night(f);
	assert_int_equal(f->told, 0);
	assert_true(quiet_box_recognised(f));
	assert_true(quiet_box_recognised(f));
	assert_true(f->result.bytes_packed == 0);
	kit_make(f->kit.db, "DELETE FROM t WHERE a = 9");
	assert_false(quiet_box_recognised(f));
	assert_true(quiet_box_recognised(f));
}

/* The first snapshot leaves an empty -wal and a -shm beside a closed database in WAL mode: that is no change. */
static void test_closed_in_wal_mode(void **state)
{
	struct quiet_box *f = *state;
	char wal[400];

	kit_make(f->kit.db, WAL QUIET_BOX_ROWS);
	quiet_box_night(f);
	assert_true(kit_exists(kit_path(&f->kit, "app.db-wal", wal)));
	assert_true(quiet_box_recognised(f));
	assert_int_equal(unlink(wal), 0);
	assert_true(quiet_box_recognised(f));
}

static void leave_log(const char *path)
{
	kit_exec(kit_open(path), WAL QUIET_BOX_ROWS);
}

static void test_a_quiet_log(void **state)
{
	struct quiet_box *f = *state;

	kit_in_dead_process(leave_log, f->kit.db);
	quiet_box_settle(f);
	assert_true(quiet_box_recognised(f));
}

/* It is still checked as often as one that changes. */
static void test_integrity_stays_due(void **state)
{
	struct quiet_box *f = *state;
	struct manifest_list list = {0};

	kit_make(f->kit.db, QUIET_BOX_ROWS);
	quiet_box_night(f);
	for (unsigned n = 1; n < 7; n++)
		assert_true(quiet_box_recognised(f));
	assert_false(quiet_box_recognised(f));
	assert_true(quiet_box_recognised(f));
	f->integrity = true;
	assert_false(quiet_box_recognised(f));
	MUST(manifests_load(f->c->repo, NULL, NULL, &list, &f->c->err), &f->c->err);
	for (size_t i = 0; i < list.count; i++)
		assert_int_equal(list.items[i].m.dbs[0].check, i == 0 || i == 7 || i == 9
								   ? SNAPSHOT_CHECK_INTEGRITY
								   : SNAPSHOT_CHECK_QUICK);
	manifest_list_free(&list);
}

static void test_force_reads(void **state)
{
	struct quiet_box *f = *state;

	kit_make(f->kit.db, QUIET_BOX_ROWS);
	quiet_box_settle(f);
	f->force = true;
	assert_false(quiet_box_recognised(f));
	f->force = false;
	assert_true(quiet_box_recognised(f));
}

static void test_a_dry_run_notes_nothing(void **state)
{
	struct quiet_box *f = *state;

	kit_make(f->kit.db, QUIET_BOX_ROWS);
	f->dry_run = true;
	quiet_box_night(f);
	f->dry_run = false;
	quiet_box_night(f);
	assert_int_equal(f->told, 0);
	f->dry_run = true;
	quiet_box_night(f);
	assert_int_equal(f->told, 1);
	f->dry_run = false;
	assert_true(quiet_box_recognised(f));
}

/* --- changed --- */

static void write_to_log(const char *path)
{
	kit_exec(kit_open(path), "PRAGMA wal_autocheckpoint=0;"
				 "UPDATE t SET b = randomblob(100) WHERE a = 7");
}

static void test_committed_to_the_log(void **state)
{
	struct quiet_box *f = *state;

	kit_make(f->kit.db, WAL QUIET_BOX_ROWS);
	quiet_box_settle(f);
	kit_in_dead_process(write_to_log, f->kit.db);
	assert_false(quiet_box_recognised(f));
	assert_true(quiet_box_recognised(f));
	kit_in_dead_process(write_to_log, f->kit.db);
	assert_false(quiet_box_recognised(f));
	assert_true(quiet_box_recognised(f));
}

/* The same content elsewhere: it is read, rather than thought about. */
static void test_checkpointed(void **state)
{
	struct quiet_box *f = *state;

	kit_in_dead_process(leave_log, f->kit.db);
	quiet_box_settle(f);
	kit_make(f->kit.db, "PRAGMA wal_checkpoint(TRUNCATE)");
	assert_false(quiet_box_recognised(f));
	assert_true(quiet_box_recognised(f));
}

static void test_the_log_begins_anew(void **state)
{
	struct quiet_box *f = *state;
	char wal[400];
	struct stat before, after;
	sqlite3 *db = kit_open(f->kit.db);

	(void)kit_path(&f->kit, "app.db-wal", wal);
	kit_exec(db, WAL QUIET_BOX_ROWS
		 "PRAGMA wal_checkpoint(RESTART); UPDATE t SET b = 1 WHERE a = 7");
	set_mtime(wal);
	set_mtime(f->kit.db);
	quiet_box_settle(f);
	assert_int_equal(stat(wal, &before), 0);
	kit_exec(db, "PRAGMA wal_checkpoint(RESTART); UPDATE t SET b = 2 WHERE a = 7");
	set_mtime(wal);
	set_mtime(f->kit.db);
	assert_int_equal(stat(wal, &after), 0);
	assert_int_equal(after.st_size, before.st_size);
	assert_false(quiet_box_recognised(f));
	assert_true(quiet_box_recognised(f));
	(void)sqlite3_close(db);
}

static void test_updated_in_place(void **state)
{
	struct quiet_box *f = *state;
	struct stat before, after;

	kit_make(f->kit.db, QUIET_BOX_ROWS);
	set_mtime(f->kit.db);
	quiet_box_settle(f);
	assert_int_equal(stat(f->kit.db, &before), 0);
	kit_make(f->kit.db, "UPDATE t SET b = randomblob(100) WHERE a = 7");
	set_mtime(f->kit.db);
	assert_int_equal(stat(f->kit.db, &after), 0);
	assert_int_equal(after.st_size, before.st_size);
	assert_false(quiet_box_recognised(f));
	assert_true(quiet_box_recognised(f));
}

static void test_an_older_file_is_put_back(void **state)
{
	struct quiet_box *f = *state;
	struct kit_bytes old;
	char kept[400];
	int fd;

	kit_make(f->kit.db, QUIET_BOX_ROWS);
	set_mtime(f->kit.db);
	old = kit_remember(&f->kit, "app.db");
	assert_int_equal(link(f->kit.db, kit_path(&f->kit, "kept", kept)), 0);
	quiet_box_night(f);
	assert_int_equal(unlink(f->kit.db), 0);
	kit_spew(f->kit.db, old.p, old.len);
	kit_make(f->kit.db, "UPDATE t SET b = randomblob(100) WHERE a = 7");
	set_mtime(f->kit.db);
	assert_false(quiet_box_recognised(f));
	assert_int_equal(rename(kept, f->kit.db),
			 0); /* its inode, size and mtime were noted once */
	assert_false(quiet_box_recognised(f));
	kit_make(f->kit.db, "UPDATE t SET b = randomblob(100) WHERE a = 7");
	set_mtime(f->kit.db);
	assert_false(quiet_box_recognised(f));
	fd = open(f->kit.db, O_WRONLY); /* as cp --preserve: the inode stays */
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, old.p, old.len, 0), (ssize_t)old.len);
	assert_int_equal(close(fd), 0);
	set_mtime(f->kit.db);
	assert_false(quiet_box_recognised(f));
	assert_true(quiet_box_recognised(f));
	free(old.p);
}

/* A row's bytes are overwritten by hand: counters, size and mtime are as they were. */
static void test_a_page_changed_by_another_tool(void **state)
{
	struct quiet_box *f = *state;
	struct kit_bytes bytes;
	const uint8_t *at;
	int fd;

	kit_make(f->kit.db, QUIET_BOX_ROWS "INSERT INTO t VALUES(5000, 'find this text')");
	set_mtime(f->kit.db);
	quiet_box_settle(f);
	bytes = kit_remember(&f->kit, "app.db");
	at = memmem(bytes.p, bytes.len, "find this text", 14);
	assert_non_null(at);
	fd = open(f->kit.db, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "read this text", 14, at - bytes.p), 14);
	assert_int_equal(close(fd), 0);
	set_mtime(f->kit.db);
	assert_false(quiet_box_recognised(f));
	assert_true(quiet_box_recognised(f));
	free(bytes.p);
}

/* Within two seconds of the look a second write could leave the same times. */
static void test_the_fresh_is_read_again(void **state)
{
	struct quiet_box *f = *state;
	int64_t later = f->now_ns;

	kit_make(f->kit.db, QUIET_BOX_ROWS);
	f->now_ns = 0;
	quiet_box_night(f);
	assert_false(quiet_box_recognised(f)); /* not noted the first time */
	f->now_ns = later;
	assert_false(quiet_box_recognised(f));
	assert_true(quiet_box_recognised(f));
}

static int write_meanwhile(void *arg, const struct backup_progress *at)
{
	struct quiet_box *f = arg;

	/* The second time it is asked: between the look and the snapshot. */
	if (at->phase == BACKUP_SNAPSHOT && ++f->asked == 2)
		kit_make(f->kit.db, "UPDATE t SET b = randomblob(100) WHERE a = 8");
	return 0;
}

/* What is written while the backup runs may be in the image or not: nothing is noted. */
static void test_written_meanwhile(void **state)
{
	struct quiet_box *f = *state;
	const char *const paths[] = {f->kit.db};
	struct backup_options options = {
	    .paths = paths,
	    .path_count = 1,
	    .host = REPO_CASE_HOST,
	    .cache_dir = f->cache,
	    .now_ns = f->now_ns,
	    .cb = {.progress = write_meanwhile, .arg = f},
	};

	kit_make(f->kit.db, WAL QUIET_BOX_ROWS);
	MUST(backup_run(f->c->repo, &options, &f->result, &f->c->err), &f->c->err);
	assert_true(f->asked >= 2);
	f->now_ns += QUIET_BOX_DAY;
	assert_false(quiet_box_recognised(f));
	assert_true(quiet_box_recognised(f));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_nothing_happened, quiet_box_setup,
					    quiet_box_teardown),
	    cmocka_unit_test_setup_teardown(test_closed_in_wal_mode, quiet_box_setup,
					    quiet_box_teardown),
	    cmocka_unit_test_setup_teardown(test_a_quiet_log, quiet_box_setup, quiet_box_teardown),
	    cmocka_unit_test_setup_teardown(test_integrity_stays_due, quiet_box_setup,
					    quiet_box_teardown),
	    cmocka_unit_test_setup_teardown(test_force_reads, quiet_box_setup, quiet_box_teardown),
	    cmocka_unit_test_setup_teardown(test_a_dry_run_notes_nothing, quiet_box_setup,
					    quiet_box_teardown),
	    cmocka_unit_test_setup_teardown(test_committed_to_the_log, quiet_box_setup,
					    quiet_box_teardown),
	    cmocka_unit_test_setup_teardown(test_checkpointed, quiet_box_setup, quiet_box_teardown),
	    cmocka_unit_test_setup_teardown(test_the_log_begins_anew, quiet_box_setup,
					    quiet_box_teardown),
	    cmocka_unit_test_setup_teardown(test_updated_in_place, quiet_box_setup,
					    quiet_box_teardown),
	    cmocka_unit_test_setup_teardown(test_an_older_file_is_put_back, quiet_box_setup,
					    quiet_box_teardown),
	    cmocka_unit_test_setup_teardown(test_a_page_changed_by_another_tool, quiet_box_setup,
					    quiet_box_teardown),
	    cmocka_unit_test_setup_teardown(test_the_fresh_is_read_again, quiet_box_setup,
					    quiet_box_teardown),
	    cmocka_unit_test_setup_teardown(test_written_meanwhile, quiet_box_setup,
					    quiet_box_teardown),
	};

	return cmocka_run_group_tests_name("backup_unchanged", tests, NULL, NULL);
}
