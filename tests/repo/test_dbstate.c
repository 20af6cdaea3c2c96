/* A database's state from outside: every way to change a database changes it, and a look changes nothing. */
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
#include <time.h>
#include <unistd.h>

#include "repo/dbstate.h"
#include "tests/support/dbkit.h"
#include "tests/support/must.h"

#define S INT64_C(1000000000)
#define ROWS                                                                                       \
	"CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB);"                                           \
	"WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i<300) "              \
	"INSERT INTO t SELECT i, randomblob(400) FROM n;"
#define WAL "PRAGMA page_size=1024; PRAGMA journal_mode=wal; PRAGMA wal_autocheckpoint=0;"

static int64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * S + now.tv_nsec;
}

static struct dbstate look(const struct kit *k)
{
	struct dbstate s;

	dbstate_read(k->db, now_ns() + 3600 * S, &s);
	return s;
}

static bool changed(const struct kit *k, const struct dbstate *before)
{
	struct dbstate now = look(k);

	return !dbstate_equal(before, &now);
}

/* So that not even the clock's tick can be what tells two states apart, or fails to. */
static void next_tick(void)
{
	const struct timespec tick = {.tv_nsec = 20000000};

	(void)nanosleep(&tick, NULL);
}

/* --- comparing --- */

static void test_each_field_counts(void **state)
{
	struct dbstate a = {.known = true}, b = a;
	uint8_t *const fields[] = {(uint8_t *)&b.db.device,
				   (uint8_t *)&b.db.inode,
				   (uint8_t *)&b.db.size,
				   (uint8_t *)&b.db.mtime_ns,
				   (uint8_t *)&b.db.ctime_ns,
				   b.change_counter,
				   b.version_valid_for,
				   (uint8_t *)&b.wal.size,
				   (uint8_t *)&b.wal.mtime_ns,
				   (uint8_t *)&b.wal.ctime_ns,
				   b.log.salts,
				   b.log.salts + 4,
				   b.log.commit_sum,
				   b.log.commit_sum + 4,
				   (uint8_t *)&b.log.commit_frames};

	(void)state;
	assert_true(dbstate_equal(&a, &b));
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		*fields[i] ^= 1;
		assert_false(dbstate_equal(&a, &b));
		*fields[i] ^= 1;
	}
	b.known = false;
	assert_false(dbstate_equal(&a, &b));
	a.known = false;
	assert_false(dbstate_equal(&a, &b));
}

static void test_hash_takes_more(void **state)
{
	struct dbstate s = {.known = true};
	struct id one, other;
	struct err err = {0};

	(void)state;
	MUST(dbstate_hash(&s, "a", 1, &one, &err), &err);
	MUST(dbstate_hash(&s, "b", 1, &other, &err), &err);
	assert_false(id_eq(&one, &other));
}

/* --- when it can be told --- */

static void test_settled_is_two_seconds_old(void **state)
{
	struct kit *k = *state;
	struct dbstate s;
	struct stat st;
	int64_t ctime_ns;

	kit_make(k->db, ROWS);
	assert_int_equal(stat(k->db, &st), 0);
	ctime_ns = (int64_t)st.st_ctim.tv_sec * S + st.st_ctim.tv_nsec;
	dbstate_read(k->db, ctime_ns + 2 * S, &s);
	assert_true(s.known && s.settled);
	dbstate_read(k->db, ctime_ns + 2 * S - 1, &s);
	assert_true(s.known);
	assert_false(s.settled);
	dbstate_read(k->db, ctime_ns - 3600 * S, &s); /* a clock that was set back */
	assert_false(s.settled);
}

static void leave_log(const char *path)
{
	kit_exec(kit_open(path), WAL ROWS);
}

static void set_mtime(const char *path, int64_t seconds)
{
	const struct timespec times[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};

	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void test_the_log_must_be_settled(void **state)
{
	struct kit *k = *state;
	struct dbstate s;
	char wal[400];

	kit_in_dead_process(leave_log, k->db);
	dbstate_read(k->db, now_ns() + 10 * S, &s);
	assert_true(s.known && s.settled);
	set_mtime(kit_path(k, "app.db-wal", wal), now_ns() / S + 100);
	dbstate_read(k->db, now_ns() + 10 * S, &s);
	assert_true(s.known);
	assert_false(s.settled);
}

static void test_what_cannot_be_told(void **state)
{
	struct kit *k = *state;
	struct dbstate s;
	char beside[400];

	dbstate_read(k->db, now_ns(), &s); /* not there */
	assert_false(s.known || s.settled);
	kit_spew(k->db, "SQLite format 3", 16); /* cut short */
	assert_false(look(k).known);
	assert_int_equal(unlink(k->db), 0);
	kit_make(k->db, ROWS);
	assert_true(look(k).known);

	kit_spew(kit_path(k, "app.db-journal", beside), "\xd9\xd5\x05\xf9", 4); /* hot */
	assert_false(look(k).known);
	kit_spew(beside, "\0\0\0\0", 4); /* of PRAGMA journal_mode=PERSIST */
	assert_true(look(k).known);
	kit_spew(beside, "", 0); /* TRUNCATE */
	assert_true(look(k).known);
	assert_int_equal(unlink(beside), 0);
	assert_int_equal(mkdir(beside, 0700), 0);
	assert_false(look(k).known);
	assert_int_equal(rmdir(beside), 0);

	kit_spew(kit_path(k, "app.db-wal", beside), "no log", 6);
	assert_false(look(k).known);
	assert_int_equal(unlink(beside), 0);
	assert_int_equal(symlink("elsewhere", beside), 0);
	assert_false(look(k).known);
}

static void test_a_transaction_is_under_way(void **state)
{
	struct kit *k = *state;
	sqlite3 *db;

	kit_make(k->db, ROWS);
	db = kit_open(k->db);
	kit_exec(db, "PRAGMA cache_size=5; BEGIN; UPDATE t SET b = randomblob(400)");
	assert_false(look(k).known);
	kit_exec(db, "ROLLBACK");
	assert_true(look(k).known);
	(void)sqlite3_close(db);
}

static void test_an_empty_log_is_none(void **state)
{
	struct kit *k = *state;
	struct dbstate before;
	char wal[400];

	kit_make(k->db, WAL ROWS);
	before = look(k);
	assert_true(before.known);
	kit_spew(kit_path(k, "app.db-wal", wal), "", 0);
	assert_false(changed(k, &before));
}

/* Whoever only reads leaves the state as it is, and so does our snapshot of a closed database in WAL mode. */
static void test_reading_changes_nothing(void **state)
{
	struct kit *k = *state;
	struct dbstate before;
	char wal[400];

	kit_make(k->db, WAL ROWS);
	assert_false(kit_exists(kit_path(k, "app.db-wal", wal)));
	before = look(k);
	snapshot_free(kit_snapshot(k, NULL));
	assert_true(kit_exists(wal)); /* it is no business of ours, and it stays */
	assert_false(changed(k, &before));
	snapshot_free(kit_snapshot(k, NULL));
	assert_false(changed(k, &before));
}

/* Not even for root, for whom SQLite would change the log's owner, to what it is. */
static void test_reading_a_log_changes_nothing(void **state)
{
	struct kit *k = *state;
	struct dbstate before;

	kit_in_dead_process(leave_log, k->db);
	before = look(k);
	assert_true(before.wal.size > 0);
	snapshot_free(kit_snapshot(k, NULL));
	assert_false(changed(k, &before));
}

/* --- changes --- */

static void write_to_log(const char *path)
{
	kit_exec(kit_open(path), "PRAGMA wal_autocheckpoint=0; UPDATE t SET b = randomblob(400) "
				 "WHERE a = 7");
}

static void test_committed_to_the_log(void **state)
{
	struct kit *k = *state;
	struct dbstate before;

	kit_make(k->db, WAL ROWS);
	before = look(k);
	next_tick();
	kit_in_dead_process(write_to_log, k->db);
	assert_true(changed(k, &before));
	before = look(k); /* and once more, in a log that is there */
	assert_true(before.wal.size > 0);
	next_tick();
	kit_in_dead_process(write_to_log, k->db);
	assert_true(changed(k, &before));
}

static void test_checkpointed(void **state)
{
	struct kit *k = *state;
	struct dbstate before;

	kit_in_dead_process(leave_log, k->db);
	before = look(k);
	next_tick();
	kit_make(k->db, "PRAGMA wal_checkpoint(PASSIVE)");
	assert_true(changed(k, &before));
}

/* The log keeps its size when it begins anew: times and marks tell, and each of them alone would do. */
static void test_the_log_begins_anew(void **state)
{
	struct kit *k = *state;
	struct dbstate before, after;
	sqlite3 *db = kit_open(k->db);

	kit_exec(db, WAL ROWS "PRAGMA wal_checkpoint(RESTART);"
			      "UPDATE t SET b = zeroblob(400) WHERE a = 7");
	before = look(k);
	next_tick();
	kit_exec(db, "PRAGMA wal_checkpoint(RESTART); UPDATE t SET b = zeroblob(400) WHERE a = 8");
	after = look(k);
	assert_true(before.known && after.known);
	assert_int_equal(after.wal.size, before.wal.size);
	assert_false(dbstate_equal(&before, &after));
	assert_true(after.wal.mtime_ns > before.wal.mtime_ns);
	assert_memory_not_equal(after.log.salts, before.log.salts, 8);
	assert_memory_not_equal(after.log.commit_sum, before.log.commit_sum, 8);
	assert_int_equal(after.log.commit_frames, before.log.commit_frames);
	assert_true(after.log.commit_frames < 10);
	(void)sqlite3_close(db);
}

static void test_updated_in_place(void **state)
{
	struct kit *k = *state;
	struct dbstate before, after;

	kit_make(k->db, ROWS);
	before = look(k);
	next_tick();
	kit_make(k->db, "UPDATE t SET b = zeroblob(400) WHERE a = 7");
	after = look(k);
	assert_int_equal(after.db.size, before.db.size);
	assert_false(dbstate_equal(&before, &after));
	assert_memory_not_equal(after.change_counter, before.change_counter, 4);
	assert_memory_not_equal(after.version_valid_for, before.version_valid_for, 4);
}

static void test_an_older_file_is_put_back(void **state)
{
	struct kit *k = *state;
	char old[400];
	struct dbstate before;
	struct stat st;

	kit_make(k->db, ROWS);
	set_mtime(k->db, 1700000000);
	kit_spew(kit_path(k, "old", old), "", 0);
	assert_int_equal(unlink(old), 0);
	assert_int_equal(link(k->db, old), 0); /* kept, while another takes its place */
	before = look(k);
	next_tick();
	assert_int_equal(unlink(k->db), 0);
	kit_make(k->db, ROWS);
	set_mtime(k->db, 1700000000);
	assert_int_equal(stat(k->db, &st), 0);
	assert_int_equal(st.st_size, (off_t)before.db.size);
	assert_true(changed(k, &before));
	before = look(k);
	next_tick();
	assert_int_equal(rename(old, k->db), 0);
	assert_true(changed(k, &before));
}

/* As cp --preserve and tools that write pages themselves: same inode, size, mtime and counters. */
static void test_overwritten_with_times_set_back(void **state)
{
	struct kit *k = *state;
	struct dbstate before, after;
	uint8_t page[64];
	int fd;

	kit_make(k->db, ROWS);
	set_mtime(k->db, 1700000000);
	before = look(k);
	next_tick();
	fd = open(k->db, O_RDWR);
	assert_true(fd >= 0);
	memset(page, 'x', sizeof(page));
	assert_int_equal(pwrite(fd, page, sizeof(page), 20000), sizeof(page));
	assert_int_equal(close(fd), 0);
	set_mtime(k->db, 1700000000);
	after = look(k);
	assert_int_equal(after.db.mtime_ns, before.db.mtime_ns);
	assert_int_equal(after.db.size, before.db.size);
	assert_memory_equal(after.change_counter, before.change_counter, 4);
	assert_false(dbstate_equal(&before, &after));
}

/* --- the log's mark --- */

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Frame by frame from the front, as a reader of the log goes. */
static void assert_mark(const struct kit *k, const struct walfile_mark *mark)
{
	struct kit_bytes wal = kit_remember(k, "app.db-wal");
	uint64_t frames = 0;
	const uint8_t *last = NULL;
	size_t frame;

	assert_true(wal.len >= 32);
	frame = 24 + (size_t)be32(wal.p + 8);
	for (size_t at = 32; at + frame <= wal.len; at += frame) {
		if (memcmp(wal.p + at + 8, wal.p + 16, 8) != 0)
			break;
		if (be32(wal.p + at + 4)) {
			last = wal.p + at;
			frames = (at - 32) / frame + 1;
		}
	}
	assert_int_equal(mark->commit_frames, frames);
	assert_memory_equal(mark->salts, wal.p + 16, 8);
	assert_memory_equal(mark->commit_sum, last ? last + 16 : (const uint8_t *)"\0\0\0\0\0\0\0",
			    8);
	free(wal.p);
}

static void test_marks(void **state)
{
	struct kit *k = *state;
	sqlite3 *db = kit_open(k->db);
	struct dbstate s;

	kit_exec(db, WAL ROWS);
	s = look(k);
	assert_true(s.log.commit_frames > 100);
	assert_mark(k, &s.log);
	for (unsigned i = 0; i < 20; i++) {
		kit_exec(db, i % 4 ? "UPDATE t SET b = randomblob(400) WHERE a < 5"
				   : "PRAGMA wal_checkpoint(RESTART); DELETE FROM t WHERE a = 90");
		s = look(k);
		assert_true(s.known);
		assert_mark(k, &s.log);
	}
	/* Frames that are not committed change the file, but not the mark. */
	kit_exec(db, "PRAGMA cache_size=5; BEGIN; UPDATE t SET b = randomblob(400)");
	s = look(k);
	assert_true(s.known);
	assert_mark(k, &s.log);
	kit_exec(db, "ROLLBACK");
	(void)sqlite3_close(db);
}

static void test_a_log_without_a_commit(void **state)
{
	struct kit *k = *state;
	struct dbstate s;
	char wal[400];

	kit_in_dead_process(leave_log, k->db);
	assert_int_equal(truncate(kit_path(k, "app.db-wal", wal), 32), 0);
	s = look(k);
	assert_true(s.known);
	assert_int_equal(s.log.commit_frames, 0);
	assert_mark(k, &s.log);
}

/* On the network times are another machine's, FAT has no ctime, FUSE does as it likes. */
static void test_file_systems(void **state)
{
	(void)state;
	assert_true(dbstate_trusts(0xef53));      /* ext4 */
	assert_true(dbstate_trusts(0x9123683e));  /* btrfs */
	assert_false(dbstate_trusts(0x6969));     /* nfs */
	assert_false(dbstate_trusts(0xff534d42)); /* cifs */
	assert_false(dbstate_trusts(0x01021997)); /* 9p */
	assert_false(dbstate_trusts(0x65735546)); /* fuse */
	assert_false(dbstate_trusts(0x4d44));     /* fat */
	assert_false(dbstate_trusts(0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_file_systems),
	    cmocka_unit_test(test_each_field_counts),
	    cmocka_unit_test(test_hash_takes_more),
	    cmocka_unit_test_setup_teardown(test_settled_is_two_seconds_old, kit_setup,
					    kit_teardown),
	    cmocka_unit_test_setup_teardown(test_the_log_must_be_settled, kit_setup, kit_teardown),
	    cmocka_unit_test_setup_teardown(test_what_cannot_be_told, kit_setup, kit_teardown),
	    cmocka_unit_test_setup_teardown(test_a_transaction_is_under_way, kit_setup,
					    kit_teardown),
	    cmocka_unit_test_setup_teardown(test_an_empty_log_is_none, kit_setup, kit_teardown),
	    cmocka_unit_test_setup_teardown(test_reading_changes_nothing, kit_setup, kit_teardown),
	    cmocka_unit_test_setup_teardown(test_reading_a_log_changes_nothing, kit_setup,
					    kit_teardown),
	    cmocka_unit_test_setup_teardown(test_committed_to_the_log, kit_setup, kit_teardown),
	    cmocka_unit_test_setup_teardown(test_checkpointed, kit_setup, kit_teardown),
	    cmocka_unit_test_setup_teardown(test_the_log_begins_anew, kit_setup, kit_teardown),
	    cmocka_unit_test_setup_teardown(test_updated_in_place, kit_setup, kit_teardown),
	    cmocka_unit_test_setup_teardown(test_an_older_file_is_put_back, kit_setup,
					    kit_teardown),
	    cmocka_unit_test_setup_teardown(test_overwritten_with_times_set_back, kit_setup,
					    kit_teardown),
	    cmocka_unit_test_setup_teardown(test_marks, kit_setup, kit_teardown),
	    cmocka_unit_test_setup_teardown(test_a_log_without_a_commit, kit_setup, kit_teardown),
	};

	return cmocka_run_group_tests_name("dbstate", tests, NULL, NULL);
}
