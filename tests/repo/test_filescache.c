/* The files cache by itself: what it believes, what it forgets, and whose it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sodium.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/cache_box.h"
#include "tests/support/must.h"

/* --- what it believes --- */

static void remembers(void **state)
{
	struct cache_box *b = *state;
	struct filescache *c = cache_box_open(b);
	struct stat st = cache_box_stat(7), file, folder;
	char *path;

	assert_int_equal(cache_box_found(b, c, "/srv/app/a", &st), -1);
	cache_box_put(b, c, "/srv/app/a", 7, 42);
	assert_int_equal(cache_box_found(b, c, "/srv/app/a", &st), 42);
	cache_box_save(b, c);
	c = cache_box_open(b);
	assert_string_equal(filescache_note(c), "");
	assert_int_equal(cache_box_found(b, c, "/srv/app/a", &st), 42);
	assert_int_equal(cache_box_found(b, c, "/srv/app/b", &st), -1);
	filescache_close(c);
	path = cache_box_file(b);
	assert_int_equal(stat(path, &file), 0);
	assert_int_equal(file.st_mode & 07777, 0600);
	*strrchr(path, '/') = '\0';
	assert_int_equal(stat(path, &folder), 0);
	assert_int_equal(folder.st_mode & 07777, 0700);
	free(path);
}

static void remembers_files_that_changed(void **state)
{
	struct cache_box *b = *state;
	struct filescache *c = cache_box_open(b);
	const struct id mark = {{1}};
	uint64_t bytes = 1;

	assert_false(filescache_remembers(NULL, "/f", &bytes));
	assert_false(filescache_remembers(c, "/f", &bytes));
	cache_box_put(b, c, "/f", 7, 1);
	MUST(filescache_put_mark(c, "/db", &mark, &b->err), &b->err);
	cache_box_save(b, c);
	c = cache_box_open(b);
	assert_true(filescache_remembers(c, "/f", &bytes));
	assert_int_equal(bytes, cache_box_stat(7).st_size);
	assert_false(filescache_remembers(c, "/db", &bytes)); /* a mark is no file */
	cache_box_save(b, c);
	c = cache_box_open(b);
	assert_false(filescache_remembers(c, "/f", &bytes)); /* it was asked about, but not met */
	filescache_close(c);
}

/* Paths are asked for in any order, and the newest that was put counts, also right behind the entry that was found last. */
static void finds_in_any_order(void **state)
{
	struct cache_box *b = *state;
	struct filescache *c = cache_box_open(b);
	const struct stat st = cache_box_stat(6);

	cache_box_put_many(b, c);
	cache_box_get_many(b, c, 0, CACHE_BOX_MANY, 5);
	cache_box_save(b, c);
	c = cache_box_open(b);
	cache_box_get_many(b, c, 4, 5, 5);
	cache_box_put(b, c, "/many/5", 6, 9);
	cache_box_get_many(b, c, 4, 5, 5);
	assert_int_equal(cache_box_found(b, c, "/many/5", &st), 9);
	cache_box_put(b, c, "/many/5", 6, 10);
	for (unsigned i = CACHE_BOX_MANY; i-- > 6;)
		cache_box_get_many(b, c, i, i + 1, 5);
	assert_int_equal(cache_box_found(b, c, "/many/5", &st), 10);
	cache_box_get_many(b, c, 0, 5, 5);
	assert_int_equal(filescache_count(c), CACHE_BOX_MANY);
	cache_box_save(b, c);
	c = cache_box_open(b);
	assert_int_equal(filescache_count(c), CACHE_BOX_MANY);
	cache_box_get_many(b, c, 0, 5, 5);
	assert_int_equal(cache_box_found(b, c, "/many/5", &st), 10);
	cache_box_get_many(b, c, 6, CACHE_BOX_MANY, 5);
	filescache_close(c);
}

static void believes_only_the_same_state(void **state)
{
	struct cache_box *b = *state;
	struct filescache *c = cache_box_open(b);
	const struct stat st = cache_box_stat(7);
	struct stat other;

	cache_box_put(b, c, "/f", 7, 1);
	other = st;
	other.st_ino = 8;
	assert_int_equal(cache_box_found(b, c, "/f", &other), -1);
	other = st;
	other.st_size++;
	assert_int_equal(cache_box_found(b, c, "/f", &other), -1);
	other = st;
	other.st_mtim.tv_nsec--;
	assert_int_equal(cache_box_found(b, c, "/f", &other), -1);
	other = st;
	other.st_ctim.tv_nsec++;
	assert_int_equal(cache_box_found(b, c, "/f", &other), -1);
	other = st;
	other.st_mode = S_IFDIR | 0755;
	assert_int_equal(cache_box_found(b, c, "/f", &other), -1);
	assert_int_equal(cache_box_found(b, c, "/f", &st), 1);
	filescache_close(c);
}

static void put_at(struct cache_box *b, struct filescache *c, const char *path, struct stat *st,
		   int64_t mtime_ns, int64_t ctime_ns)
{
	struct chunk_ref ref = {.kind = CHUNK_DATA};
	struct filescache_file f = {.size = 4000,
				    .content = {.children = &ref, .child_count = 1, .bytes = 4000}};

	*st = cache_box_stat(7);
	st->st_mtim = (struct timespec){mtime_ns / CACHE_BOX_S, mtime_ns % CACHE_BOX_S};
	st->st_ctim = (struct timespec){ctime_ns / CACHE_BOX_S, ctime_ns % CACHE_BOX_S};
	MUST(filescache_put(c, path, st, CACHE_BOX_LOOKED, &f, &b->err), &b->err);
}

static void distrusts_what_was_just_written(void **state)
{
	struct cache_box *b = *state;
	struct filescache *c = cache_box_open(b);
	struct stat st;

	put_at(b, c, "/edge", &st, CACHE_BOX_LOOKED - 2 * CACHE_BOX_S,
	       CACHE_BOX_LOOKED - 2 * CACHE_BOX_S);
	assert_int_equal(cache_box_found(b, c, "/edge", &st), 0);
	put_at(b, c, "/mtime", &st, CACHE_BOX_LOOKED - 2 * CACHE_BOX_S + 1,
	       CACHE_BOX_LOOKED - 60 * CACHE_BOX_S);
	assert_int_equal(cache_box_found(b, c, "/mtime", &st), -1);
	put_at(b, c, "/ctime", &st, CACHE_BOX_LOOKED - 60 * CACHE_BOX_S,
	       CACHE_BOX_LOOKED - 2 * CACHE_BOX_S + 1);
	assert_int_equal(cache_box_found(b, c, "/ctime", &st), -1);
	put_at(b, c, "/future", &st, CACHE_BOX_LOOKED + 3600 * CACHE_BOX_S,
	       CACHE_BOX_LOOKED - 60 * CACHE_BOX_S);
	assert_int_equal(cache_box_found(b, c, "/future", &st), -1);
	filescache_close(c);
}

static void keeps_shapes_and_extents(void **state)
{
	struct cache_box *b = *state;
	struct filescache *c = cache_box_open(b);
	struct chunk_ref refs[2] = {{.kind = CHUNK_LIST}, {.kind = CHUNK_LIST}};
	struct entry_extent extents[3] = {{0, 10}, {100, 1}, {UINT64_C(1) << 40, 4096}};
	struct filescache_file f = {
	    .size = UINT64_C(1) << 41,
	    .content = {.shape = SHAPE_LIST, .children = refs, .child_count = 2, .bytes = 4107},
	    .extents = extents,
	    .extent_count = 3,
	    .has_xattrs = true};
	struct filescache_file got = {0};
	struct stat st = cache_box_stat(9);

	memset(refs[1].id.b, 0xee, ID_BYTES);
	MUST(filescache_put(c, "/sparse", &st, CACHE_BOX_LOOKED, &f, &b->err), &b->err);
	cache_box_save(b, c);
	c = cache_box_open(b);
	assert_int_equal(filescache_get(c, "/sparse", &st, &got, &b->err), 1);
	assert_int_equal(got.size, f.size);
	assert_int_equal(got.content.shape, SHAPE_LIST);
	assert_int_equal(got.content.bytes, 4107);
	assert_int_equal(got.content.child_count, 2);
	assert_int_equal(got.content.children[1].kind, CHUNK_LIST);
	assert_memory_equal(got.content.children[1].id.b, refs[1].id.b, ID_BYTES);
	assert_int_equal(got.extent_count, 3);
	assert_memory_equal(got.extents, extents, sizeof(extents));
	assert_true(got.has_xattrs);
	filescache_file_wipe(&got);
	filescache_close(c);
}

static void no_cache_knows_nothing(void **state)
{
	struct cache_box *b = *state;
	struct filescache_file f = {0};
	struct stat st = cache_box_stat(1);

	assert_false(filescache_knows(NULL, "/f", &st));
	assert_int_equal(filescache_get(NULL, "/f", &st, &f, &b->err), 0);
	MUST(filescache_put(NULL, "/f", &st, CACHE_BOX_LOOKED, &f, &b->err), &b->err);
	MUST(filescache_save(NULL, &b->err), &b->err);
	assert_string_equal(filescache_note(NULL), "");
	filescache_close(NULL);
}

/* --- what it forgets and writes --- */

static void forgets_what_is_not_met(void **state)
{
	struct cache_box *b = *state;
	struct filescache *c = cache_box_open(b);

	cache_box_put_many(b, c);
	cache_box_save(b, c);
	c = cache_box_open(b);
	assert_int_equal(filescache_count(c), CACHE_BOX_MANY);
	cache_box_get_many(b, c, 10, CACHE_BOX_MANY - 10, 5);
	cache_box_save(b, c);
	c = cache_box_open(b);
	assert_int_equal(filescache_count(c), CACHE_BOX_MANY - 20);
	cache_box_get_many(b, c, 0, 10, -1);
	cache_box_get_many(b, c, 10, CACHE_BOX_MANY - 10, 5);
	cache_box_get_many(b, c, CACHE_BOX_MANY - 10, CACHE_BOX_MANY, -1);
	filescache_close(c);
}

/* The row numbers, as text. */
static char *rows_of(const char *path)
{
	sqlite3_stmt *stmt = NULL;
	sqlite3 *db = kit_open(path);
	char *text;

	assert_int_equal(
	    sqlite3_prepare_v2(db, "SELECT group_concat(n), count(*) FROM bucket", -1, &stmt, NULL),
	    SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	assert_in_range(sqlite3_column_int(stmt, 1), 4, 8);
	text = strdup((const char *)sqlite3_column_text(stmt, 0));
	(void)sqlite3_finalize(stmt);
	(void)sqlite3_close(db);
	return text;
}

static void writes_only_what_changed(void **state)
{
	struct cache_box *b = *state;
	struct filescache *c = cache_box_open(b);
	char *path, *before, *after;
	struct timespec old[2] = {{1000, 0}, {1000, 0}};
	uint8_t *bytes, *same;
	struct stat st;
	size_t len, len2;

	cache_box_put_many(b, c);
	cache_box_save(b, c);
	path = cache_box_file(b);
	bytes = kit_slurp(path, &len);
	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);

	c = cache_box_open(b);
	cache_box_get_many(b, c, 0, CACHE_BOX_MANY, 5);
	cache_box_save(b, c);
	same = kit_slurp(path, &len2);
	assert_int_equal(len, len2);
	assert_memory_equal(bytes, same, len);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_mtim.tv_sec > 1000); /* used today, all the same */

	before = rows_of(path);
	c = cache_box_open(b);
	cache_box_get_many(b, c, 0, CACHE_BOX_MANY - 1, 5);
	cache_box_put(b, c, "/many/2999", 77, 6);
	cache_box_save(b, c);
	after = rows_of(path);
	/* the last bucket has gone, those before are as they were */
	*strrchr(before, ',') = '\0';
	assert_memory_equal(before, after, strlen(before));
	c = cache_box_open(b);
	cache_box_get_many(b, c, 0, CACHE_BOX_MANY - 1, 5);
	st = cache_box_stat(77);
	assert_int_equal(cache_box_found(b, c, "/many/2999", &st), 6);
	filescache_close(c);
	free(before);
	free(after);
	free(bytes);
	free(same);
	free(path);
}

static void rereading_begins_empty(void **state)
{
	struct cache_box *b = *state;
	struct filescache *c = cache_box_open(b);
	struct stat st = cache_box_stat(1);

	cache_box_put(b, c, "/a", 1, 1);
	cache_box_put(b, c, "/b", 1, 1);
	cache_box_save(b, c);
	MUST(filescache_open(&b->owner, true, &c, &b->err), &b->err);
	assert_int_equal(cache_box_found(b, c, "/a", &st), -1);
	cache_box_put(b, c, "/a", 1, 2);
	cache_box_save(b, c);
	c = cache_box_open(b);
	assert_int_equal(cache_box_found(b, c, "/a", &st), 2);
	assert_int_equal(cache_box_found(b, c, "/b", &st), -1);
	filescache_close(c);
}

/* --- whose it is --- */

static void belongs_to_one(void **state)
{
	struct cache_box *b = *state;
	const char *const more[] = {"/srv/app", "/etc"};
	static const uint8_t other_repo[REPO_ID_BYTES] = "another repo id";
	static const uint8_t other_secret[32] = "32 bytes of another secret keys!";
	const struct cache_owner mine = b->owner;
	struct filescache *c = cache_box_open(b);
	struct stat st = cache_box_stat(1);

	cache_box_put(b, c, "/a", 1, 1);
	cache_box_save(b, c);
	for (int i = 0; i < 4; i++) {
		b->owner = mine;
		if (i == 0)
			b->owner.repo = other_repo;
		if (i == 1)
			b->owner.secret = other_secret;
		if (i == 2)
			b->owner.host = "db2";
		if (i == 3) {
			b->owner.sources = more;
			b->owner.source_count = 2;
		}
		c = cache_box_open(b);
		assert_int_equal(cache_box_found(b, c, "/a", &st), -1);
		cache_box_put(b, c, "/other", 1, 9);
		cache_box_save(b, c);
	}
	b->owner = mine;
	c = cache_box_open(b);
	assert_int_equal(cache_box_found(b, c, "/a", &st), 1);
	assert_int_equal(cache_box_found(b, c, "/other", &st), -1);
	filescache_close(c);
}

static void anothers_file_is_no_use(void **state)
{
	struct cache_box *b = *state;
	static const uint8_t other_secret[32] = "32 bytes of another secret keys!";
	struct filescache *c = cache_box_open(b);
	struct stat st = cache_box_stat(1);
	char *mine, *theirs;

	cache_box_put(b, c, "/a", 1, 1);
	cache_box_save(b, c);
	mine = cache_box_file(b);
	assert_true(asprintf(&theirs, "%s.theirs", mine) > 0);
	assert_int_equal(unlink(mine), 0);
	b->owner.secret = other_secret;
	c = cache_box_open(b);
	cache_box_put(b, c, "/a", 1, 2);
	cache_box_save(b, c);
	free(theirs);
	theirs = cache_box_file(b);
	assert_int_equal(rename(theirs, mine), 0);

	b->owner.secret = cache_box_secret;
	c = cache_box_open(b);
	assert_int_equal(cache_box_found(b, c, "/a", &st), -1);
	assert_string_not_equal(filescache_note(c), "");
	cache_box_put(b, c, "/a", 1, 3);
	cache_box_save(b, c);
	c = cache_box_open(b);
	assert_string_equal(filescache_note(c), "");
	assert_int_equal(cache_box_found(b, c, "/a", &st), 3);
	filescache_close(c);
	free(mine);
	free(theirs);
}

static bool holds(const uint8_t *bytes, size_t len, const void *what, size_t what_len)
{
	return memmem(bytes, len, what, what_len) != NULL;
}

static void shows_nothing(void **state)
{
	struct cache_box *b = *state;
	struct filescache *c = cache_box_open(b);
	char *path;
	uint8_t *bytes, id[16];
	struct stat st = cache_box_stat(0x1122334455667788);
	int64_t mtime = (int64_t)st.st_mtim.tv_sec * CACHE_BOX_S + st.st_mtim.tv_nsec;
	size_t len;

	cache_box_put(b, c, "/srv/app/attachment.pdf", st.st_ino, 0xab);
	cache_box_save(b, c);
	path = cache_box_file(b);
	bytes = kit_slurp(path, &len);
	memset(id, 0xab, sizeof(id));
	assert_false(holds(bytes, len, "attachment", 10));
	assert_false(holds(bytes, len, "/srv", 4));
	assert_false(holds(bytes, len, "db1", 3));
	assert_false(holds(bytes, len, id, sizeof(id)));
	assert_false(holds(bytes, len, &st.st_ino, 8));
	assert_false(holds(bytes, len, &mtime, 8));
	assert_true(holds(bytes, len, "SQLite format 3", 15));
	free(bytes);
	free(path);
}

/* Marks live and are forgotten as files are, and the two are not taken for each other. */
static void marks(void **state)
{
	struct cache_box *b = *state;
	struct filescache *c = cache_box_open(b);
	const struct stat st = cache_box_stat(7), never = {.st_mode = S_IFREG};
	struct id one, two, got;

	memset(one.b, 1, sizeof(one.b));
	memset(two.b, 2, sizeof(two.b));
	assert_false(filescache_get_mark(c, "/app.db", &got));
	MUST(filescache_put_mark(c, "/app.db", &two, &b->err), &b->err);
	MUST(filescache_put_mark(c, "/app.db", &one, &b->err), &b->err);
	MUST(filescache_put_mark(c, "/other.db", &two, &b->err), &b->err);
	cache_box_put(b, c, "/file", 7, 42);
	cache_box_save(b, c);

	c = cache_box_open(b);
	assert_true(filescache_get_mark(c, "/app.db", &got));
	assert_memory_equal(got.b, one.b, ID_BYTES);
	assert_false(filescache_get_mark(c, "/file", &got));
	assert_false(filescache_knows(c, "/app.db", &never));
	assert_int_equal(cache_box_found(b, c, "/file", &st), 42);
	cache_box_put(b, c, "/app.db", 7, 43); /* it is no database any more, and then again */
	assert_true(filescache_get_mark(c, "/app.db", &got));
	assert_int_equal(cache_box_found(b, c, "/app.db", &st), 43);
	cache_box_save(b, c);

	c = cache_box_open(b); /* nobody asked for it in the last run */
	assert_false(filescache_get_mark(c, "/other.db", &got));
	assert_true(filescache_get_mark(c, "/app.db", &got));
	filescache_close(c);
	assert_false(filescache_get_mark(NULL, "/app.db", &got));
	MUST(filescache_put_mark(NULL, "/app.db", &one, &b->err), &b->err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(remembers, cache_box_setup, cache_box_teardown),
	    cmocka_unit_test_setup_teardown(remembers_files_that_changed, cache_box_setup,
					    cache_box_teardown),
	    cmocka_unit_test_setup_teardown(finds_in_any_order, cache_box_setup,
					    cache_box_teardown),
	    cmocka_unit_test_setup_teardown(believes_only_the_same_state, cache_box_setup,
					    cache_box_teardown),
	    cmocka_unit_test_setup_teardown(distrusts_what_was_just_written, cache_box_setup,
					    cache_box_teardown),
	    cmocka_unit_test_setup_teardown(keeps_shapes_and_extents, cache_box_setup,
					    cache_box_teardown),
	    cmocka_unit_test_setup_teardown(no_cache_knows_nothing, cache_box_setup,
					    cache_box_teardown),
	    cmocka_unit_test_setup_teardown(forgets_what_is_not_met, cache_box_setup,
					    cache_box_teardown),
	    cmocka_unit_test_setup_teardown(writes_only_what_changed, cache_box_setup,
					    cache_box_teardown),
	    cmocka_unit_test_setup_teardown(rereading_begins_empty, cache_box_setup,
					    cache_box_teardown),
	    cmocka_unit_test_setup_teardown(belongs_to_one, cache_box_setup, cache_box_teardown),
	    cmocka_unit_test_setup_teardown(anothers_file_is_no_use, cache_box_setup,
					    cache_box_teardown),
	    cmocka_unit_test_setup_teardown(marks, cache_box_setup, cache_box_teardown),
	    cmocka_unit_test_setup_teardown(shows_nothing, cache_box_setup, cache_box_teardown),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
