/* Nights of a database: what each stores, that all of them come back, and that a cache changes nothing of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/lineage.h"
#include "core/sha256.h"
#include "repo/backup.h"
#include "repo/browse.h"
#include "tests/support/dbkit.h"
#include "tests/support/must.h"
#include "tests/support/repo_case.h"

#define NIGHTS 40

#define COUNT "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 20000) "
#define FILL                                                                                       \
	"PRAGMA journal_mode=wal;"                                                                 \
	"CREATE TABLE t(id INTEGER PRIMARY KEY, k TEXT, v BLOB);"                                  \
	"CREATE INDEX t_k ON t(k);" COUNT                                                          \
	"INSERT INTO t SELECT i, hex(randomblob(8)), randomblob(60 + abs(random()) % 80) FROM c;"

struct fixture {
	struct kit kit;
	struct repo_case *c;
	sqlite3 *db;
	int64_t now_ns;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	void *c = NULL;

	assert_non_null(f);
	kit_new(&f->kit);
	assert_int_equal(repo_case_setup(&c), 0);
	f->c = c;
	f->now_ns = 1000;
	f->db = kit_open(f->kit.db);
	kit_exec(f->db, FILL);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	void *c = f->c;

	(void)sqlite3_close(f->db);
	(void)repo_case_teardown(&c);
	kit_free(&f->kit);
	free(f);
	return 0;
}

static struct backup_result night(struct fixture *f, const char *cache, bool dry_run)
{
	const char *const paths[] = {f->kit.db};
	struct backup_options options = {.paths = paths,
					 .path_count = 1,
					 .host = REPO_CASE_HOST,
					 .cache_dir = cache,
					 .force = true,
					 .dry_run = dry_run,
					 .now_ns = f->now_ns};
	struct backup_result result = {0};

	f->now_ns += INT64_C(86400000000000);
	MUST(backup_run(f->c->repo, &options, &result, &f->c->err), &f->c->err);
	assert_int_equal(result.databases, 1);
	assert_int_equal(result.unreadable, 0);
	return result;
}

/* --- reading back --- */

static int hash_bytes(void *arg, const void *bytes, size_t len, struct err *err)
{
	return sha256_update(arg, bytes, len, err);
}

static void assert_comes_back(struct fixture *f, struct reader *reader, const struct manifest *m)
{
	struct err *err = &f->c->err;
	struct sha256 *sha = NULL;
	struct id digest;

	assert_int_equal(m->db_count, 1);
	MUST(sha256_new(&sha, err), err);
	MUST(browse_dump(reader, m, m->dbs[0].path, hash_bytes, sha, err), err);
	MUST(sha256_final(sha, &digest, err), err);
	sha256_free(sha);
	assert_memory_equal(digest.b, m->dbs[0].image_sha256, ID_BYTES);
}

static void assert_all_come_back(struct fixture *f, size_t nights)
{
	struct index *index = repo_case_index(f->c);
	struct manifest_list list = {0};
	struct reader *reader = NULL;
	struct err *err = &f->c->err;

	MUST(manifests_load(f->c->repo, NULL, NULL, &list, err), err);
	MUST(reader_new(f->c->repo, index, &reader, err), err);
	assert_int_equal(list.count, nights);
	for (size_t i = 0; i < list.count; i++)
		assert_comes_back(f, reader, &list.items[i].m);
	reader_free(reader);
	manifest_list_free(&list);
	index_free(index);
}

/* --- tests --- */

static void test_a_night_is_about_its_change(void **state)
{
	struct fixture *f = *state;
	struct backup_result first = night(f, f->kit.cache, false), quiet, small, grown;

	assert_true(first.bytes > 2500000);
	quiet = night(f, f->kit.cache, false);
	assert_int_equal(quiet.bytes, first.bytes);
	assert_true(quiet.bytes_packed < 200);
	/* Ten rows here and there, of 100 bytes. */
	kit_exec(f->db, "UPDATE t SET v = randomblob(length(v)) WHERE id % 2000 = 7");
	small = night(f, f->kit.cache, false);
	assert_true(small.bytes_packed < 5000);
	/* New rows at the end, new keys anywhere in the index; and every later page moves. */
	kit_exec(f->db, "INSERT INTO t(k, v) SELECT hex(randomblob(8)), randomblob(100) FROM t "
			"WHERE id <= 100; DELETE FROM t WHERE id % 4000 = 9");
	grown = night(f, f->kit.cache, false);
	assert_true(grown.bytes_packed < 30000);
	assert_all_come_back(f, 4);
}

/* Without the cache bases come from the repository: the same bytes. */
static void test_a_cache_changes_nothing(void **state)
{
	struct fixture *f = *state;
	struct backup_result with, without;

	(void)night(f, f->kit.cache, false);
	kit_exec(f->db, "UPDATE t SET v = randomblob(90) WHERE id % 50 = 7");
	(void)night(f, f->kit.cache, false);
	kit_exec(f->db, "UPDATE t SET v = randomblob(90) WHERE id % 60 = 7");
	with = night(f, f->kit.cache, true);
	without = night(f, f->kit.dir, true); /* an empty one */
	assert_true(with.bytes_packed > 20000);
	assert_int_equal(with.bytes_added, without.bytes_added);
	assert_int_equal(with.bytes_packed, without.bytes_packed);
	assert_all_come_back(f, 2);
}

/* Chains begin anew before they are long, and every night comes back. */
static void test_many_nights(void **state)
{
	struct fixture *f = *state;
	struct backup_result first = night(f, f->kit.cache, false);
	uint64_t packed = 0;
	unsigned deepest = 0;
	struct index *index;

	for (unsigned n = 1; n < NIGHTS; n++) {
		kit_exec(f->db,
			 "UPDATE t SET v = randomblob(length(v)) WHERE abs(random()) % 200 = 0;"
			 "INSERT INTO t(k, v) SELECT hex(randomblob(8)), v FROM t WHERE "
			 "abs(random()) % 1000 = 0");
		packed += night(f, f->kit.cache, false).bytes_packed;
	}
	assert_true(packed / (NIGHTS - 1) < first.bytes_packed / 20);
	index = repo_case_index(f->c);
	for (size_t i = 0; i < index->place_count; i++) {
		if (index->places[i].info.kind == CHUNK_DATA &&
		    index->places[i].info.depth > deepest)
			deepest = index->places[i].info.depth;
	}
	index_free(index);
	assert_true(deepest > 4);
	assert_true(deepest <= LINEAGE_DEPTH);
	assert_all_come_back(f, NIGHTS);
}

/* Under another name a b-tree is cut elsewhere; what was stored of it is found all the same. */
static void test_another_name(void **state)
{
	struct fixture *f = *state;
	uint64_t first = night(f, f->kit.cache, false).image_packed;

	kit_exec(f->db, "ALTER TABLE t RENAME TO u; DROP INDEX t_k; CREATE INDEX u_k ON u(k)");
	assert_true(night(f, f->kit.cache, false).image_packed < first / 20);
	assert_all_come_back(f, 2);
}

/* A table that was emptied, dropped, renamed: nothing to rest on is no reason to fail. */
static void test_upheavals(void **state)
{
	struct fixture *f = *state;

	(void)night(f, f->kit.cache, false);
	kit_exec(f->db, "ALTER TABLE t RENAME TO u");
	(void)night(f, f->kit.cache, false);
	kit_exec(f->db, "DELETE FROM u WHERE id % 3; CREATE TABLE n AS SELECT * FROM u");
	(void)night(f, f->kit.cache, false);
	kit_exec(f->db, "DROP TABLE u; DELETE FROM n");
	(void)night(f, f->kit.cache, false);
	kit_exec(f->db, "INSERT INTO n VALUES(1, 'x', zeroblob(3000000))");
	(void)night(f, f->kit.cache, false);
	kit_exec(f->db, "UPDATE n SET v = CAST(x'01' || substr(v, 2) AS BLOB)");
	(void)night(f, f->kit.cache, false);
	assert_all_come_back(f, 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_a_night_is_about_its_change, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_a_cache_changes_nothing, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_many_nights, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_another_name, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_upheavals, setup, teardown),
	};

	return cmocka_run_group_tests_name("backup_nights", tests, NULL, NULL);
}
