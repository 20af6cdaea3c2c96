/* Backups under a write key: what its cache gives it, and that it does without. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "core/keyfile.h"
#include "repo/backup.h"
#include "repo/browse.h"
#include "repo/keyexport.h"
#include "tests/support/dbkit.h"
#include "tests/support/must.h"
#include "tests/support/repo_case.h"

#define S INT64_C(1000000000)
#define BIG_BYTES ((size_t)24 << 20) /* enough chunks for a chunk list */

struct box {
	struct kit kit;
	char src[300], repo[300], key[300], db[300], big[300];
	struct buf full, write;
	int64_t now_ns;
	bool no_delta_cache;
	char detail[4096];
	struct backup_result result;
	struct err err;
};

static struct repo *open_repo(struct box *b, const struct buf *key)
{
	struct repo_credentials by = {.keyfile = key->data, .keyfile_len = key->len};
	struct store *store = NULL;
	struct repo *repo = NULL;

	MUST(store_open(b->repo, NULL, &store, &b->err), &b->err);
	MUST(repo_open(store, &by, &repo, &b->err), &b->err);
	return repo;
}

static void make_repo(struct box *b)
{
	const struct repo_init_options options = {.now_s = 1000};
	const struct keyexport_options wanted = {.role = ROLE_WRITE, .host = "app"};
	struct keyexport_result res;
	struct store *store = NULL;
	struct keys *keys = NULL;
	struct repo *repo;
	uint8_t *text;
	size_t len = 0;

	MUST(store_open(b->repo, NULL, &store, &b->err), &b->err);
	MUST(repo_new_keys(&keys, &b->err), &b->err);
	MUST(repo_init(store, keys, &options, &b->err), &b->err);
	MUST(keyfile_enc(keys, ROLE_FULL, &b->full, &b->err), &b->err);
	keys_free(keys);
	store_free(store);
	repo = open_repo(b, &b->full);
	MUST(keyexport_file(repo, &wanted, b->key, &res, &b->err), &b->err);
	repo_close(repo);
	text = kit_slurp(b->key, &len);
	buf_put(&b->write, text, len);
	free(text);
}

static void run_sql(struct box *b, const char *sql)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(b->db, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static int setup(void **state)
{
	struct box *b = calloc(1, sizeof(*b));
	uint8_t *big = repo_case_block(7, BIG_BYTES);
	struct timespec now;

	assert_non_null(b);
	kit_new(&b->kit);
	(void)snprintf(b->src, sizeof(b->src), "%s/src", b->kit.dir);
	(void)snprintf(b->repo, sizeof(b->repo), "%s/repo", b->kit.dir);
	(void)snprintf(b->key, sizeof(b->key), "%s/key", b->kit.dir);
	assert_int_equal(mkdir(b->src, 0755), 0);
	(void)snprintf(b->db, sizeof(b->db), "%s/src/app.db", b->kit.dir);
	(void)snprintf(b->big, sizeof(b->big), "%s/src/big", b->kit.dir);
	kit_spew(b->big, big, BIG_BYTES);
	free(big);
	run_sql(b, "CREATE TABLE t(a INTEGER PRIMARY KEY, b);"
		   "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 20000)"
		   "INSERT INTO t SELECT i, 'row ' || i || hex(randomblob(20)) FROM c");
	(void)clock_gettime(CLOCK_REALTIME, &now);
	b->now_ns = (now.tv_sec + 3600) * S;
	make_repo(b);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct box *b = *state;

	buf_wipe(&b->full);
	buf_wipe(&b->write);
	kit_free(&b->kit);
	free(b);
	return 0;
}

static void on_detail(void *arg, const char *path, const char *text)
{
	struct box *b = arg;
	size_t used = strlen(b->detail);

	(void)snprintf(b->detail + used, sizeof(b->detail) - used, "%s: %s\n", path, text);
}

static void backup(struct box *b)
{
	struct repo *repo = open_repo(b, &b->write);
	const char *path = b->src;
	const struct backup_options options = {
	    .paths = &path,
	    .path_count = 1,
	    .host = "app",
	    .user = "",
	    .program = "test",
	    .cache_dir = b->kit.cache,
	    .workers = 1,
	    .no_delta_cache = b->no_delta_cache,
	    .now_ns = b->now_ns,
	    .cb = {.detail = on_detail, .arg = b},
	};

	b->detail[0] = '\0';
	MUST(backup_run(repo, &options, &b->result, &b->err), &b->err);
	b->now_ns += 60 * S;
	repo_close(repo);
}

static int count_bytes(void *arg, const void *bytes, size_t len, struct err *err)
{
	(void)bytes;
	(void)err;
	*(size_t *)arg += len;
	return 0;
}

/* Who may read has all of it. */
static void assert_whole(struct box *b)
{
	struct repo *repo = open_repo(b, &b->full);
	struct manifest_list list = {0};
	struct index *index = NULL;
	struct reader *reader = NULL;
	size_t big = 0, db = 0;

	MUST(manifests_load(repo, NULL, NULL, &list, &b->err), &b->err);
	MUST(index_load(repo, NULL, NULL, &index, &b->err), &b->err);
	MUST(reader_new(repo, index, &reader, &b->err), &b->err);
	MUST(browse_dump(reader, &list.items[list.count - 1].m, b->big, count_bytes, &big, &b->err),
	     &b->err);
	MUST(browse_dump(reader, &list.items[list.count - 1].m, b->db, count_bytes, &db, &b->err),
	     &b->err);
	assert_int_equal(big, BIG_BYTES);
	assert_true(db > 500000);
	assert_string_equal(list.items[list.count - 1].m.host, "app");
	reader_free(reader);
	index_free(index);
	manifest_list_free(&list);
	repo_close(repo);
}

/* How often the file of many chunks was opened while a backup ran. */
static unsigned opens_big(struct box *b)
{
	char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	unsigned count = 0;
	ssize_t got;

	assert_true(fd >= 0 && inotify_add_watch(fd, b->src, IN_OPEN) >= 0);
	backup(b);
	while ((got = read(fd, events, sizeof(events))) > 0) {
		for (ssize_t i = 0; i < got;) {
			const struct inotify_event *e = (const void *)(events + i);

			count += e->len && strcmp(e->name, "big") == 0;
			i += (ssize_t)(sizeof(*e) + e->len);
		}
	}
	(void)close(fd);
	return count;
}

/* Of an unchanged night nothing is read, and of a little change little is stored. */
static void test_with_its_cache(void **state)
{
	struct box *b = *state;

	assert_true(opens_big(b) > 0);
	assert_int_equal(b->result.files_new, 2);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(opens_big(b), 0);
		assert_int_equal(b->result.files_unmodified, 2);
		assert_non_null(strstr(b->detail, "unchanged since manifest"));
		assert_int_equal(b->result.bytes_packed, 0);
	}
	run_sql(b, "UPDATE t SET b = 'changed' || a WHERE a % 2000 = 7");
	backup(b);
	assert_int_equal(b->result.files_unmodified, 1);
	assert_int_equal(b->result.files_changed, 1);
	assert_true(b->result.bytes_added > 400000); /* all chunks of the table have a change */
	assert_true(b->result.bytes_packed < 40000); /* and are deltas */
	assert_whole(b);
}

/* Everything is new to it every night, and all of it is stored full; but never twice. */
static void test_without_a_cache(void **state)
{
	struct box *b = *state;

	backup(b);
	b->no_delta_cache = true;
	backup(b);
	assert_int_equal(b->result.files_new, 2);
	assert_int_equal(b->result.bytes_packed, 0);
	run_sql(b, "UPDATE t SET b = 'changed' || a WHERE a % 2000 = 7");
	backup(b);
	assert_int_equal(b->result.files_new, 2);
	assert_true(b->result.bytes_packed > 200000);
	assert_whole(b);
	/* And nothing is kept: with the cache allowed again the next one knows nothing, the one after that does. */
	b->no_delta_cache = false;
	backup(b);
	assert_int_equal(b->result.files_new, 2);
	backup(b);
	assert_int_equal(b->result.files_unmodified, 2);
}

/* integrity_check is due every seventh night, as for a key that can look it up. */
static void test_integrity_every_seventh_night(void **state)
{
	struct box *b = *state;
	struct repo *repo;
	struct manifest_list list = {0};

	for (unsigned i = 0; i < 9; i++) {
		char sql[80];

		(void)snprintf(sql, sizeof(sql), "UPDATE t SET b = 'n%u' WHERE a = 5", i);
		run_sql(b, sql);
		backup(b);
	}
	repo = open_repo(b, &b->full);
	MUST(manifests_load(repo, NULL, NULL, &list, &b->err), &b->err);
	assert_int_equal(list.count, 9);
	for (size_t i = 0; i < 9; i++)
		assert_int_equal(list.items[i].m.dbs[0].check, i == 0 || i == 7 ? 2 : 1);
	manifest_list_free(&list);
	repo_close(repo);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_with_its_cache),
	    CASE(test_without_a_cache),
	    CASE(test_integrity_every_seventh_night),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
