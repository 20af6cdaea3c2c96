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
#include <time.h>
#include <unistd.h>

#include "core/sha256.h"
#include "repo/backup.h"
#include "repo/browse.h"
#include "tests/support/dbkit.h"
#include "tests/support/must.h"
#include "tests/support/repo_case.h"

#define DAY INT64_C(86400000000000)
#define HOUR INT64_C(3600000000000)
#define ROWS                                                                                       \
	"CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB);"                                           \
	"WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i<3000) "             \
	"INSERT INTO t SELECT i, randomblob(100) FROM n;"
#define WAL "PRAGMA journal_mode=wal; PRAGMA wal_autocheckpoint=0;"

struct fixture {
	struct kit kit;
	struct repo_case *c;
	int64_t now_ns; /* of the next night; 0: the clock */
	const char *cache;
	bool force, integrity, dry_run;
	struct backup_result result;
	unsigned told; /* "unchanged since" in the last night */
	unsigned asked; /* by a backup with write_meanwhile */
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct timespec now;
	void *c = NULL;

	assert_non_null(f);
	kit_new(&f->kit);
	assert_int_equal(repo_case_setup(&c), 0);
	f->c = c;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	f->now_ns = (int64_t)now.tv_sec * 1000000000 + HOUR;
	f->cache = f->kit.cache;
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

/* --- nights --- */

static void on_detail(void *arg, const char *path, const char *text)
{
	struct fixture *f = arg;

	if (strncmp(text, "unchanged since manifest ", 25) != 0)
		return;
	assert_string_equal(path, f->kit.db);
	assert_string_equal(text + 25 + 8, ", not read");
	f->told++;
}

static void night(struct fixture *f)
{
	const char *const paths[] = {f->kit.db};
	struct backup_options options = {
	    .paths = paths,
	    .path_count = 1,
	    .host = REPO_CASE_HOST,
	    .cache_dir = f->cache,
	    .workers = 1,
	    .force = f->force,
	    .integrity_full = f->integrity,
	    .dry_run = f->dry_run,
	    .now_ns = f->now_ns,
	    .cb = {.detail = on_detail, .arg = f},
	};

	f->told = 0;
	repo_case_reopen(f->c);
	MUST(backup_run(f->c->repo, &options, &f->result, &f->c->err), &f->c->err);
	if (f->now_ns)
		f->now_ns += DAY;
	assert_int_equal(f->result.databases, 1);
	assert_int_equal(f->result.unreadable, 0);
}

static int hash_bytes(void *arg, const void *bytes, size_t len, struct err *err)
{
	return sha256_update(arg, bytes, len, err);
}

static void assert_comes_back(struct fixture *f, const struct manifest *m)
{
	struct index *index = repo_case_index(f->c);
	struct reader *reader = NULL;
	struct sha256 *sha = NULL;
	struct err *err = &f->c->err;
	struct id digest;

	MUST(reader_new(f->c->repo, index, &reader, err), err);
	MUST(sha256_new(&sha, err), err);
	MUST(browse_dump(reader, m, f->kit.db, hash_bytes, sha, err), err);
	MUST(sha256_final(sha, &digest, err), err);
	assert_memory_equal(digest.b, m->dbs[0].image_sha256, ID_BYTES);
	sha256_free(sha);
	reader_free(reader);
	index_free(index);
}

/*
 * Backs up. Was the image taken over from the manifest before? Whether it was or not, what is stored is what the database
 * holds now.
 */
static bool recognised(struct fixture *f)
{
	struct manifest_list list = {0};
	const struct manifest *last, *before;
	struct snapshot *now;
	bool same;

	night(f);
	MUST(manifests_load(f->c->repo, NULL, NULL, &list, &f->c->err), &f->c->err);
	assert_true(list.count >= 2);
	last = &list.items[list.count - 1].m;
	before = &list.items[list.count - 2].m;
	same = last->dbs[0].started_ns == before->dbs[0].started_ns;
	assert_int_equal(same, f->told == 1);
	assert_int_equal(last->dbs[0].verdict, SNAPSHOT_CLEAN);
	if (same) {
		assert_memory_equal(last->root.b, before->root.b, ID_BYTES);
		assert_int_equal(f->result.bytes_added, 0);
		assert_int_equal(f->result.files_unmodified, 1);
		assert_int_equal(f->result.bytes, last->dbs[0].image_bytes);
	}
	assert_comes_back(f, last);
	now = kit_snapshot(&f->kit, NULL);
	assert_memory_equal(snapshot_info(now)->image_sha256, last->dbs[0].image_sha256, 32);
	snapshot_free(now);
	manifest_list_free(&list);
	return same;
}

/* Two nights: the state is noted, and found again. */
static void settle(struct fixture *f)
{
	night(f);
	assert_true(recognised(f));
}

static void set_mtime(const char *path)
{
	const struct timespec times[2] = {{.tv_sec = 1700000000}, {.tv_sec = 1700000000}};

	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* --- recognised --- */

static void test_nothing_happened(void **state)
{
	struct fixture *f = *state;

	kit_make(f->kit.db, ROWS);
	night(f);
	assert_int_equal(f->told, 0);
	assert_true(recognised(f));
	assert_true(recognised(f));
	assert_true(f->result.bytes_packed == 0);
	kit_make(f->kit.db, "DELETE FROM t WHERE a = 9");
	assert_false(recognised(f));
	assert_true(recognised(f));
}

/* The first snapshot leaves an empty -wal and a -shm beside a closed database in WAL mode: that is no change. */
static void test_closed_in_wal_mode(void **state)
{
	struct fixture *f = *state;
	char wal[400];

	kit_make(f->kit.db, WAL ROWS);
	night(f);
	assert_true(kit_exists(kit_path(&f->kit, "app.db-wal", wal)));
	assert_true(recognised(f));
	assert_int_equal(unlink(wal), 0);
	assert_true(recognised(f));
}

static void leave_log(const char *path)
{
	kit_exec(kit_open(path), WAL ROWS);
}

static void test_a_quiet_log(void **state)
{
	struct fixture *f = *state;

	kit_in_dead_process(leave_log, f->kit.db);
	settle(f);
	assert_true(recognised(f));
}

/* It is still checked as often as one that changes. */
static void test_integrity_stays_due(void **state)
{
	struct fixture *f = *state;
	struct manifest_list list = {0};

	kit_make(f->kit.db, ROWS);
	night(f);
	for (unsigned n = 1; n < 7; n++)
		assert_true(recognised(f));
	assert_false(recognised(f));
	assert_true(recognised(f));
	f->integrity = true;
	assert_false(recognised(f));
	MUST(manifests_load(f->c->repo, NULL, NULL, &list, &f->c->err), &f->c->err);
	for (size_t i = 0; i < list.count; i++)
		assert_int_equal(list.items[i].m.dbs[0].check, i == 0 || i == 7 || i == 9
								   ? SNAPSHOT_CHECK_INTEGRITY
								   : SNAPSHOT_CHECK_QUICK);
	manifest_list_free(&list);
}

static void test_force_reads(void **state)
{
	struct fixture *f = *state;

	kit_make(f->kit.db, ROWS);
	settle(f);
	f->force = true;
	assert_false(recognised(f));
	f->force = false;
	assert_true(recognised(f));
}

static void test_a_dry_run_notes_nothing(void **state)
{
	struct fixture *f = *state;

	kit_make(f->kit.db, ROWS);
	f->dry_run = true;
	night(f);
	f->dry_run = false;
	night(f);
	assert_int_equal(f->told, 0);
	f->dry_run = true;
	night(f);
	assert_int_equal(f->told, 1);
	f->dry_run = false;
	assert_true(recognised(f));
}

/* --- changed --- */

static void write_to_log(const char *path)
{
	kit_exec(kit_open(path), "PRAGMA wal_autocheckpoint=0;"
				 "UPDATE t SET b = randomblob(100) WHERE a = 7");
}

static void test_committed_to_the_log(void **state)
{
	struct fixture *f = *state;

	kit_make(f->kit.db, WAL ROWS);
	settle(f);
	kit_in_dead_process(write_to_log, f->kit.db);
	assert_false(recognised(f));
	assert_true(recognised(f));
	kit_in_dead_process(write_to_log, f->kit.db);
	assert_false(recognised(f));
	assert_true(recognised(f));
}

/* The same content elsewhere: it is read, rather than thought about. */
static void test_checkpointed(void **state)
{
	struct fixture *f = *state;

	kit_in_dead_process(leave_log, f->kit.db);
	settle(f);
	kit_make(f->kit.db, "PRAGMA wal_checkpoint(TRUNCATE)");
	assert_false(recognised(f));
	assert_true(recognised(f));
}

static void test_the_log_begins_anew(void **state)
{
	struct fixture *f = *state;
	char wal[400];
	struct stat before, after;
	sqlite3 *db = kit_open(f->kit.db);

	(void)kit_path(&f->kit, "app.db-wal", wal);
	kit_exec(db, WAL ROWS "PRAGMA wal_checkpoint(RESTART); UPDATE t SET b = 1 WHERE a = 7");
	set_mtime(wal);
	set_mtime(f->kit.db);
	settle(f);
	assert_int_equal(stat(wal, &before), 0);
	kit_exec(db, "PRAGMA wal_checkpoint(RESTART); UPDATE t SET b = 2 WHERE a = 7");
	set_mtime(wal);
	set_mtime(f->kit.db);
	assert_int_equal(stat(wal, &after), 0);
	assert_int_equal(after.st_size, before.st_size);
	assert_false(recognised(f));
	assert_true(recognised(f));
	(void)sqlite3_close(db);
}

static void test_updated_in_place(void **state)
{
	struct fixture *f = *state;
	struct stat before, after;

	kit_make(f->kit.db, ROWS);
	set_mtime(f->kit.db);
	settle(f);
	assert_int_equal(stat(f->kit.db, &before), 0);
	kit_make(f->kit.db, "UPDATE t SET b = randomblob(100) WHERE a = 7");
	set_mtime(f->kit.db);
	assert_int_equal(stat(f->kit.db, &after), 0);
	assert_int_equal(after.st_size, before.st_size);
	assert_false(recognised(f));
	assert_true(recognised(f));
}

static void test_an_older_file_is_put_back(void **state)
{
	struct fixture *f = *state;
	struct kit_bytes old;
	char kept[400];
	int fd;

	kit_make(f->kit.db, ROWS);
	set_mtime(f->kit.db);
	old = kit_remember(&f->kit, "app.db");
	assert_int_equal(link(f->kit.db, kit_path(&f->kit, "kept", kept)), 0);
	night(f);
	assert_int_equal(unlink(f->kit.db), 0);
	kit_spew(f->kit.db, old.p, old.len);
	kit_make(f->kit.db, "UPDATE t SET b = randomblob(100) WHERE a = 7");
	set_mtime(f->kit.db);
	assert_false(recognised(f));
	assert_int_equal(rename(kept, f->kit.db),
			 0); /* its inode, size and mtime were noted once */
	assert_false(recognised(f));
	kit_make(f->kit.db, "UPDATE t SET b = randomblob(100) WHERE a = 7");
	set_mtime(f->kit.db);
	assert_false(recognised(f));
	fd = open(f->kit.db, O_WRONLY); /* as cp --preserve: the inode stays */
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, old.p, old.len, 0), (ssize_t)old.len);
	assert_int_equal(close(fd), 0);
	set_mtime(f->kit.db);
	assert_false(recognised(f));
	assert_true(recognised(f));
	free(old.p);
}

/* A row's bytes are overwritten by hand: counters, size and mtime are as they were. */
static void test_a_page_changed_by_another_tool(void **state)
{
	struct fixture *f = *state;
	struct kit_bytes bytes;
	const uint8_t *at;
	int fd;

	kit_make(f->kit.db, ROWS "INSERT INTO t VALUES(5000, 'find this text')");
	set_mtime(f->kit.db);
	settle(f);
	bytes = kit_remember(&f->kit, "app.db");
	at = memmem(bytes.p, bytes.len, "find this text", 14);
	assert_non_null(at);
	fd = open(f->kit.db, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "read this text", 14, at - bytes.p), 14);
	assert_int_equal(close(fd), 0);
	set_mtime(f->kit.db);
	assert_false(recognised(f));
	assert_true(recognised(f));
	free(bytes.p);
}

/* Within two seconds of the look a second write could leave the same times. */
static void test_the_fresh_is_read_again(void **state)
{
	struct fixture *f = *state;
	int64_t later = f->now_ns;

	kit_make(f->kit.db, ROWS);
	f->now_ns = 0;
	night(f);
	assert_false(recognised(f)); /* not noted the first time */
	f->now_ns = later;
	assert_false(recognised(f));
	assert_true(recognised(f));
}

static int write_meanwhile(void *arg, const struct backup_progress *at)
{
	struct fixture *f = arg;

	/* The second time it is asked: between the look and the snapshot. */
	if (at->phase == BACKUP_SNAPSHOT && ++f->asked == 2)
		kit_make(f->kit.db, "UPDATE t SET b = randomblob(100) WHERE a = 8");
	return 0;
}

/* What is written while the backup runs may be in the image or not: nothing is noted. */
static void test_written_meanwhile(void **state)
{
	struct fixture *f = *state;
	const char *const paths[] = {f->kit.db};
	struct backup_options options = {
	    .paths = paths,
	    .path_count = 1,
	    .host = REPO_CASE_HOST,
	    .cache_dir = f->cache,
	    .now_ns = f->now_ns,
	    .cb = {.progress = write_meanwhile, .arg = f},
	};

	kit_make(f->kit.db, WAL ROWS);
	MUST(backup_run(f->c->repo, &options, &f->result, &f->c->err), &f->c->err);
	assert_true(f->asked >= 2);
	f->now_ns += DAY;
	assert_false(recognised(f));
	assert_true(recognised(f));
}

/* --- lost --- */

static void test_a_lost_cache(void **state)
{
	struct fixture *f = *state;

	kit_make(f->kit.db, ROWS);
	settle(f);
	f->cache = f->kit.dir;
	assert_false(recognised(f));
	assert_true(recognised(f));
	f->cache = f->kit.cache; /* knows it still */
	assert_true(recognised(f));
}

struct names {
	struct id ids[256];
	uint64_t bytes[256];
	size_t count;
};

static int add_name(void *arg, const struct id *name, uint64_t bytes, struct err *err)
{
	struct names *n = arg;

	(void)err;
	assert_true(n->count < 256);
	n->bytes[n->count] = bytes;
	n->ids[n->count++] = *name;
	return 0;
}

static void test_a_lost_pack(void **state)
{
	struct fixture *f = *state;
	struct names packs = {0};

	kit_make(f->kit.db, ROWS);
	night(f);
	kit_make(f->kit.db, "UPDATE t SET b = randomblob(100) WHERE a = 9");
	night(f); /* deltas, on chunks of the first night's pack */
	assert_true(recognised(f));
	MUST(store_list(f->c->inner, STORE_DATA, add_name, &packs, &f->c->err), &f->c->err);
	assert_int_equal(packs.count, 2);
	for (size_t i = 0; i < packs.count; i++) {
		if (packs.bytes[i] > 200000)
			MUST(store_remove(f->c->inner, STORE_DATA, &packs.ids[i], &f->c->err),
			     &f->c->err);
	}
	assert_false(recognised(f));
	assert_true(recognised(f));
}

/* Its chunks stay at hand for the night on which it does change. */
static void test_the_chunk_cache_keeps_it(void **state)
{
	struct fixture *f = *state;
	uint64_t with, without;

	kit_make(f->kit.db, ROWS);
	settle(f);
	assert_true(recognised(f));
	kit_make(f->kit.db, "UPDATE t SET b = randomblob(100) WHERE a = 9");
	f->dry_run = true;
	night(f);
	with = store_fault_calls(f->c->fault, FAULT_RANGE);
	f->cache = f->kit.dir;
	night(f);
	without = store_fault_calls(f->c->fault, FAULT_RANGE);
	assert_true(with < without);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_nothing_happened, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_closed_in_wal_mode, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_a_quiet_log, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_integrity_stays_due, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_force_reads, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_a_dry_run_notes_nothing, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_committed_to_the_log, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_checkpointed, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_the_log_begins_anew, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_updated_in_place, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_an_older_file_is_put_back, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_a_page_changed_by_another_tool, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_the_fresh_is_read_again, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_written_meanwhile, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_a_lost_cache, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_a_lost_pack, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_the_chunk_cache_keeps_it, setup, teardown),
	};

	return cmocka_run_group_tests_name("backup_unchanged", tests, NULL, NULL);
}
