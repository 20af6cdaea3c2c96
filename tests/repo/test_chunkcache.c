/* The cache of chunks: what it gives, and that nothing that happens to its files is worse than having none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "repo/chunkcache.h"
#include "tests/support/must.h"
#include "tests/support/tmpdir.h"

#define KIND 1
#define LEN 70000

struct fixture {
	char *dir;
	const char *source;
	struct cache_owner owner;
	struct err err;
};

static const uint8_t repo_id[REPO_ID_BYTES] = {1, 2, 3}, secret[32] = {9};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_true(sodium_init() >= 0);
	f->dir = tmpdir_make();
	f->source = "/srv/app";
	f->owner = (struct cache_owner){.cache_dir = f->dir,
					.repo = repo_id,
					.secret = secret,
					.host = "h",
					.sources = &f->source,
					.source_count = 1};
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	tmpdir_remove(f->dir);
	free(f);
	return 0;
}

static struct chunkcache *open_cache(struct fixture *f)
{
	struct chunkcache *c = NULL;

	MUST(chunkcache_open(&f->owner, 0, &c, &f->err), &f->err);
	return c;
}

static void save(struct fixture *f, struct chunkcache *c)
{
	MUST(chunkcache_save(c, &f->err), &f->err);
	chunkcache_close(c);
}

static struct id id_of(uint8_t n)
{
	struct id id;

	memset(id.b, n, sizeof(id.b));
	return id;
}

static void keep(struct fixture *f, struct chunkcache *c, uint8_t n)
{
	static uint8_t plain[LEN];
	struct id id = id_of(n);

	memset(plain, n, sizeof(plain));
	MUST(chunkcache_keep(c, KIND, &id, plain, sizeof(plain), &f->err), &f->err);
}

static bool has(struct fixture *f, struct chunkcache *c, uint8_t n)
{
	struct buf out = {0};
	struct id id = id_of(n);
	int r = chunkcache_get(c, KIND, &id, &out, &f->err);

	if (r) {
		assert_int_equal(r, -ERR_MISSING);
		assert_int_equal(out.len, 0);
	} else {
		assert_int_equal(out.len, LEN);
		for (size_t i = 0; i < LEN; i++)
			assert_int_equal(out.data[i], n);
	}
	buf_free(&out);
	return r == 0;
}

/* "<dir>/<repository>/chunks-….<tail>" */
static char *file_of(const struct fixture *f, const char *tail)
{
	char path[1200], *found = NULL;
	struct dirent *e;
	DIR *d;

	(void)snprintf(path, sizeof(path), "%s/01020300000000000000000000000000", f->dir);
	d = opendir(path);
	assert_non_null(d);
	while (!found && (e = readdir(d))) {
		const char *dot = strrchr(e->d_name, '.');

		if (dot && strcmp(dot + 1, tail) == 0)
			assert_true(asprintf(&found, "%s/%s", path, e->d_name) > 0);
	}
	(void)closedir(d);
	assert_non_null(found);
	return found;
}

static uint64_t blocks_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	return (uint64_t)st.st_blocks * 512;
}

static void test_gives_what_was_kept(void **state)
{
	struct fixture *f = *state;
	struct chunkcache *c = open_cache(f);
	struct id other = id_of(1);
	struct buf out = {0};

	assert_string_equal(chunkcache_note(c), "");
	keep(f, c, 1);
	keep(f, c, 2);
	assert_true(has(f, c, 1));
	save(f, c);
	c = open_cache(f);
	assert_true(has(f, c, 1));
	assert_true(has(f, c, 2));
	assert_false(has(f, c, 3));
	/* An id is bound to its kind. */
	assert_int_equal(chunkcache_get(c, KIND + 1, &other, &out, &f->err), -ERR_MISSING);
	chunkcache_close(c);
}

static void test_drops_what_was_not_used(void **state)
{
	struct fixture *f = *state;
	struct chunkcache *c = open_cache(f);
	uint64_t before;
	char *data;

	for (uint8_t n = 1; n <= 40; n++)
		keep(f, c, n);
	save(f, c);
	data = file_of(f, "dat");
	before = blocks_of(data);
	for (unsigned night = 0; night < 10; night++) {
		c = open_cache(f);
		assert_true(has(f, c, (uint8_t)(1 + night)));
		for (uint8_t n = 0; n < 40; n++)
			keep(f, c, (uint8_t)(2 + night + n));
		save(f, c);
		/* The space of what is gone is given back. */
		assert_true(blocks_of(data) < before + before / 4);
	}
	c = open_cache(f);
	assert_false(has(f, c, 10));
	assert_true(has(f, c, 11));
	chunkcache_close(c);
	free(data);
}

/* What nobody has the plaintext of can still be kept. */
static void test_touched_stays(void **state)
{
	struct fixture *f = *state;
	struct chunkcache *c = open_cache(f);
	struct id here = id_of(1), nowhere = id_of(9);

	keep(f, c, 1);
	keep(f, c, 2);
	save(f, c);
	c = open_cache(f);
	chunkcache_touch(c, KIND, &here);
	chunkcache_touch(c, KIND, &here);
	chunkcache_touch(c, KIND + 1, &here);
	chunkcache_touch(c, KIND, &nowhere);
	chunkcache_touch(NULL, KIND, &here);
	keep(f, c, 3);
	save(f, c);
	c = open_cache(f);
	assert_true(has(f, c, 1));
	assert_false(has(f, c, 2));
	assert_true(has(f, c, 3));
	assert_false(has(f, c, 9));
	chunkcache_close(c);
}

/* A run that ends without a save leaves the cache as it was. */
static void test_without_a_save(void **state)
{
	struct fixture *f = *state;
	struct chunkcache *c = open_cache(f);

	keep(f, c, 1);
	save(f, c);
	c = open_cache(f);
	keep(f, c, 2);
	chunkcache_close(c);
	c = open_cache(f);
	assert_true(has(f, c, 1));
	assert_false(has(f, c, 2));
	keep(f, c, 3);
	assert_true(has(f, c, 3));
	chunkcache_close(c);
}

static void flip(const char *path, off_t at)
{
	int fd = open(path, O_RDWR);
	uint8_t byte;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	(void)close(fd);
}

static void test_damaged_chunk(void **state)
{
	struct fixture *f = *state;
	struct chunkcache *c = open_cache(f);
	char *data;

	keep(f, c, 1);
	keep(f, c, 2);
	save(f, c);
	data = file_of(f, "dat");
	flip(data, 1000);
	c = open_cache(f);
	assert_false(has(f, c, 1));
	assert_true(has(f, c, 2));
	assert_non_null(strstr(chunkcache_note(c), "does not open"));
	/* It is kept anew, not believed to be there. */
	keep(f, c, 1);
	keep(f, c, 2);
	assert_true(has(f, c, 1));
	save(f, c);
	c = open_cache(f);
	assert_true(has(f, c, 1));
	chunkcache_close(c);
	free(data);
}

/* Lists and data that do not belong together, or are no such files, are as good as none. */
static void test_damaged_files(void **state)
{
	struct fixture *f = *state;

	for (unsigned kind = 0; kind < 5; kind++) {
		struct chunkcache *c = open_cache(f);
		char *list, *data;

		keep(f, c, 1);
		save(f, c);
		list = file_of(f, "idx");
		data = file_of(f, "dat");
		if (kind == 0)
			flip(list, 30);
		else if (kind == 1)
			assert_int_equal(truncate(list, 10), 0);
		else if (kind == 2)
			assert_int_equal(unlink(list), 0);
		else if (kind == 3)
			flip(data, 3); /* the mark that the list names */
		else
			assert_int_equal(truncate(data, 0), 0);
		c = open_cache(f);
		assert_false(has(f, c, 1));
		keep(f, c, 1);
		assert_true(has(f, c, 1));
		save(f, c);
		c = open_cache(f);
		assert_true(has(f, c, 1));
		chunkcache_close(c);
		free(list);
		free(data);
	}
}

static void test_links_are_not_followed(void **state)
{
	struct fixture *f = *state;
	struct chunkcache *c = open_cache(f);
	char *victim = tmpdir_path(f->dir, "victim"), *data;
	struct stat st;
	int fd;

	save(f, c);
	data = file_of(f, "dat");
	assert_int_equal(unlink(data), 0);
	fd = open(victim, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "precious", 8), 8);
	(void)close(fd);
	assert_int_equal(symlink(victim, data), 0);
	c = open_cache(f);
	assert_true(chunkcache_note(c)[0] != '\0');
	keep(f, c, 1);
	assert_false(has(f, c, 1));
	save(f, c);
	assert_int_equal(stat(victim, &st), 0);
	assert_int_equal(st.st_size, 8);
	free(data);
	free(victim);
}

static void test_used_by_another(void **state)
{
	struct fixture *f = *state;
	struct chunkcache *c = open_cache(f), *second;

	keep(f, c, 1);
	second = open_cache(f);
	assert_non_null(strstr(chunkcache_note(second), "another backup"));
	keep(f, second, 2);
	assert_false(has(f, second, 2));
	save(f, second);
	save(f, c);
	c = open_cache(f);
	assert_true(has(f, c, 1));
	chunkcache_close(c);
}

static void test_bounded(void **state)
{
	struct fixture *f = *state;
	struct chunkcache *c = NULL;
	unsigned kept = 0;

	MUST(chunkcache_open(&f->owner, 5 * LEN, &c, &f->err), &f->err);
	for (uint8_t n = 1; n < 20; n++) {
		keep(f, c, n);
		kept += has(f, c, n);
	}
	assert_int_equal(kept, 4);
	save(f, c);
}

/* What the files show: not the plaintext, not the id, not a name. */
static void test_sealed(void **state)
{
	struct fixture *f = *state;
	struct chunkcache *c = open_cache(f);
	static uint8_t bytes[2 * LEN];
	char *paths[2];

	keep(f, c, 7);
	save(f, c);
	paths[0] = file_of(f, "dat");
	paths[1] = file_of(f, "idx");
	for (size_t i = 0; i < 2; i++) {
		static const uint8_t run[12] = {7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7};
		int fd = open(paths[i], O_RDONLY);
		ssize_t got = read(fd, bytes, sizeof(bytes));

		assert_true(got > 0);
		assert_null(memmem(bytes, (size_t)got, run, sizeof(run)));
		assert_null(memmem(bytes, (size_t)got, "/srv/app", 8));
		(void)close(fd);
		free(paths[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_gives_what_was_kept, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_drops_what_was_not_used, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_touched_stays, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_without_a_save, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_damaged_chunk, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_damaged_files, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_links_are_not_followed, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_used_by_another, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_bounded, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_sealed, setup, teardown),
	};

	return cmocka_run_group_tests_name("chunkcache", tests, NULL, NULL);
}
