/* Nothing that lies in the place of a files cache, and nobody who uses it too, can hurt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sodium.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/cache_box.h"
#include "tests/support/must.h"
#include "tests/support/sandbox.h"

/* --- damage --- */

/* Whatever lies there: no error, no wrong answer, and the next save makes it good. */
static void survives(struct cache_box *b, const char *path, const void *bytes, size_t len)
{
	struct stat st = cache_box_stat(1), changed = cache_box_stat(2);
	struct filescache *c;
	int tag;

	kit_spew(path, bytes, len);
	c = cache_box_open(b);
	tag = cache_box_found(b, c, "/a", &st);
	assert_true(tag == -1 || tag == 1);
	assert_int_equal(cache_box_found(b, c, "/a", &changed), -1);
	cache_box_put(b, c, "/a", 1, 1);
	cache_box_put(b, c, "/b", 1, 2);
	cache_box_save(b, c);
	c = cache_box_open(b);
	if (cache_box_found(b, c, "/b", &st) != 2) { /* damage that only the save met: gone now */
		cache_box_put(b, c, "/b", 1, 2);
		cache_box_save(b, c);
		c = cache_box_open(b);
	}
	assert_int_equal(cache_box_found(b, c, "/b", &st), 2);
	filescache_close(c);
}

static void survives_damage(void **state)
{
	struct cache_box *b = *state;
	struct filescache *c = cache_box_open(b);
	uint8_t *good, *bad;
	char *path;
	size_t len;

	cache_box_put(b, c, "/a", 1, 1);
	cache_box_put_many(b, c);
	cache_box_save(b, c);
	path = cache_box_file(b);
	good = kit_slurp(path, &len);
	bad = malloc(len);
	assert_non_null(bad);
	survives(b, path, good, 0);
	survives(b, path, "not a database, and shorter than a page", 39);
	for (size_t cut = 1; cut < len; cut = cut * 3 + 50)
		survives(b, path, good, cut);
	memset(bad, 0, len);
	survives(b, path, bad, len);
	for (size_t at = 0; at < len; at += at < 200 ? 7 : len / 60) {
		memcpy(bad, good, len);
		bad[at] ^= 0x55;
		survives(b, path, bad, len);
	}
	for (size_t at = 0; at < len; at += len / 10) { /* a torn page */
		memcpy(bad, good, len);
		memset(bad + at, 0, len - at < 16384 ? len - at : 16384);
		survives(b, path, bad, len);
	}
	free(good);
	free(bad);
	free(path);
}

static void survives_a_foreign_schema(void **state)
{
	struct cache_box *b = *state;
	static const char *const schemas[] = {
	    "CREATE TABLE notes (text)",
	    "CREATE TABLE bucket (n INTEGER PRIMARY KEY, sealed TEXT);"
	    "INSERT INTO bucket VALUES (1, 'text')",
	    "CREATE TABLE bucket (a, b)",
	    "CREATE VIEW bucket AS SELECT 1 AS n, x'00' AS sealed",
	    "CREATE TABLE bucket (n INTEGER PRIMARY KEY, sealed BLOB);"
	    "INSERT INTO bucket VALUES (0, x''), (-1, zeroblob(31)), (5, zeroblob(5000000))",
	};
	struct filescache *c = cache_box_open(b);
	char *path, *made;
	uint8_t *bytes;
	size_t len;

	cache_box_put(b, c, "/a", 1, 1);
	cache_box_save(b, c);
	path = cache_box_file(b);
	assert_true(asprintf(&made, "%s/made.db", b->kit.dir) > 0);
	for (size_t i = 0; i < sizeof(schemas) / sizeof(schemas[0]); i++) {
		kit_make(made, schemas[i]);
		bytes = kit_slurp(made, &len);
		survives(b, path, bytes, len);
		free(bytes);
		assert_int_equal(unlink(made), 0);
	}
	free(made);
	free(path);
}

static int in_place_folder(const char *path)
{
	return mkdir(path, 0700);
}

static int in_place_fifo(const char *path)
{
	return mkfifo(path, 0600);
}

static int in_place_link(const char *path)
{
	return symlink("../../precious", path);
}

static void survives_what_is_no_file(void **state)
{
	struct cache_box *b = *state;
	int (*const place[])(const char *) = {in_place_folder, in_place_fifo, in_place_link};
	struct stat st = cache_box_stat(1);
	char *path, *precious;
	struct filescache *c = cache_box_open(b);
	uint8_t *bytes;
	size_t len;

	cache_box_put(b, c, "/a", 1, 1);
	cache_box_save(b, c);
	path = cache_box_file(b);
	assert_true(asprintf(&precious, "%s/precious", b->kit.dir) > 0);
	kit_spew(precious, "precious", 8);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(remove(path), 0);
		assert_int_equal(place[i](path), 0);
		c = cache_box_open(b);
		assert_string_not_equal(filescache_note(c), "");
		assert_int_equal(cache_box_found(b, c, "/a", &st), -1);
		cache_box_put(b, c, "/a", 1, 1);
		MUST(filescache_save(c, &b->err), &b->err);
		assert_string_not_equal(filescache_note(c), "");
		filescache_close(c);
	}
	bytes = kit_slurp(precious, &len);
	assert_int_equal(len, 8);
	assert_memory_equal(bytes, "precious", 8);
	free(bytes);
	free(precious);
	free(path);
}

static void survives_no_folder(void **state)
{
	struct cache_box *b = *state;
	struct filescache *c;
	char *folder;

	assert_true(asprintf(&folder, "%s/30313233343536373839616263646500", b->kit.cache) > 0);
	kit_spew(folder, "in the way", 10);
	c = cache_box_open(b);
	cache_box_put(b, c, "/a", 1, 1);
	MUST(filescache_save(c, &b->err), &b->err);
	assert_string_not_equal(filescache_note(c), "");
	filescache_close(c);
	free(folder);
	b->owner.cache_dir = "/nonexistent/cache";
	c = cache_box_open(b);
	MUST(filescache_save(c, &b->err), &b->err);
	assert_string_not_equal(filescache_note(c), "");
	filescache_close(c);
}

static int use_read_only(void *arg)
{
	struct cache_box *b = arg;
	struct filescache *c = NULL;
	struct filescache_file f = {0};
	struct stat st = cache_box_stat(1);

	SANDBOX_CHECK(chmod(b->kit.cache, 0500) == 0);
	SANDBOX_CHECK(filescache_open(&b->owner, false, &c, &b->err) == 0);
	SANDBOX_CHECK(filescache_put(c, "/a", &st, CACHE_BOX_LOOKED, &f, &b->err) == 0);
	SANDBOX_CHECK(filescache_save(c, &b->err) == 0);
	SANDBOX_CHECK(*filescache_note(c));
	filescache_close(c);
	SANDBOX_CHECK(chmod(b->kit.cache, 0700) == 0);
	return 0;
}

static void survives_a_read_only_folder(void **state)
{
	struct cache_box *b = *state;

	assert_int_equal(chmod(b->kit.dir, 0755), 0);
	if (geteuid() == 0)
		assert_int_equal(chown(b->kit.cache, 65534, 65534), 0);
	assert_int_equal(sandbox_as_nobody(use_read_only, b), 0);
}

/* --- two at once --- */

static void the_last_one_wins(void **state)
{
	struct cache_box *b = *state;
	struct filescache *one = cache_box_open(b), *two;
	struct stat st = cache_box_stat(1);

	cache_box_put(b, one, "/a", 1, 1);
	cache_box_save(b, one);
	one = cache_box_open(b);
	two = cache_box_open(b);
	cache_box_put(b, one, "/a", 1, 2);
	cache_box_put(b, two, "/a", 1, 3);
	cache_box_save(b, one);
	cache_box_save(b, two);
	one = cache_box_open(b);
	assert_int_equal(cache_box_found(b, one, "/a", &st), 3);
	assert_int_equal(filescache_count(one), 1);
	filescache_close(one);
}

static void a_locked_file_is_left(void **state)
{
	struct cache_box *b = *state;
	struct filescache *c = cache_box_open(b);
	struct stat st = cache_box_stat(1);
	sqlite3 *other;
	char *path;

	cache_box_put(b, c, "/a", 1, 1);
	cache_box_save(b, c);
	path = cache_box_file(b);
	other = kit_open(path);
	kit_exec(other, "BEGIN EXCLUSIVE");
	c = cache_box_open(b);
	assert_non_null(strstr(filescache_note(c), "another process"));
	cache_box_put(b, c, "/a", 1, 2);
	MUST(filescache_save(c, &b->err), &b->err);
	assert_non_null(strstr(filescache_note(c), "another process"));
	filescache_close(c);
	kit_exec(other, "ROLLBACK");
	(void)sqlite3_close(other);
	c = cache_box_open(b);
	assert_int_equal(cache_box_found(b, c, "/a", &st), 1);
	filescache_close(c);
	free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(survives_damage, cache_box_setup, cache_box_teardown),
	    cmocka_unit_test_setup_teardown(survives_a_foreign_schema, cache_box_setup,
					    cache_box_teardown),
	    cmocka_unit_test_setup_teardown(survives_what_is_no_file, cache_box_setup,
					    cache_box_teardown),
	    cmocka_unit_test_setup_teardown(survives_no_folder, cache_box_setup,
					    cache_box_teardown),
	    cmocka_unit_test_setup_teardown(survives_a_read_only_folder, cache_box_setup,
					    cache_box_teardown),
	    cmocka_unit_test_setup_teardown(the_last_one_wins, cache_box_setup, cache_box_teardown),
	    cmocka_unit_test_setup_teardown(a_locked_file_is_left, cache_box_setup,
					    cache_box_teardown),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
