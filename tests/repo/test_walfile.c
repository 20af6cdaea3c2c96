/* walfile: SQLite's own recovery is the measure, for logs cut or damaged anywhere. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "repo/walfile.h"
#include "tests/support/dbkit.h"

struct bytes {
	uint8_t *p;
	size_t len;
};

/* An old generation of frames behind the new one, several commits, growth and a shrink. */
static void leave_wal(const char *path)
{
	sqlite3 *db = kit_open(path);

	kit_exec(db, "PRAGMA page_size=1024; PRAGMA auto_vacuum=1; PRAGMA journal_mode=wal;"
		     "PRAGMA wal_autocheckpoint=0; CREATE TABLE t(a, b);"
		     "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i<300) "
		     "INSERT INTO t SELECT i, randomblob(400) FROM n;"
		     "PRAGMA wal_checkpoint(RESTART);"
		     "UPDATE t SET b = randomblob(300) WHERE a < 50; DELETE FROM t WHERE a > 200;"
		     "INSERT INTO t VALUES(1, randomblob(5000)); CREATE INDEX i ON t(a);");
}

struct fixture {
	struct kit kit;
	struct bytes db, wal;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char path[400];

	kit_new(&f->kit);
	kit_in_dead_process(leave_wal, f->kit.db);
	f->db.p = kit_slurp(f->kit.db, &f->db.len);
	f->wal.p = kit_slurp(kit_path(&f->kit, "app.db-wal", path), &f->wal.len);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	kit_free(&f->kit);
	free(f->db.p);
	free(f->wal.p);
	free(f);
	return 0;
}

static struct bytes sqlite_recovers(const struct fixture *f, const uint8_t *wal, size_t wal_len)
{
	char path[400], walpath[400];
	struct bytes b;

	kit_spew(kit_path(&f->kit, "ref.db", path), f->db.p, f->db.len);
	kit_spew(kit_path(&f->kit, "ref.db-wal", walpath), wal, wal_len);
	kit_make(path, "PRAGMA wal_checkpoint(TRUNCATE)");
	b.p = kit_slurp(path, &b.len);
	(void)unlink(path);
	return b;
}

static struct bytes we_recover(const struct fixture *f, const uint8_t *wal, size_t wal_len)
{
	struct pageimage *image = NULL;
	char path[400];
	struct err err = {0};
	struct bytes b;
	int fd;

	kit_spew(kit_path(&f->kit, "ours-wal", path), wal, wal_len);
	fd = open(path, O_RDONLY);
	assert_int_equal(pageimage_new(f->kit.cache, 0, &image, &err), 0);
	assert_int_equal(pageimage_write(image, 0, f->db.p, f->db.len, &err), 0);
	if (walfile_apply(fd, image, NULL, NULL, &err) != 0)
		fail_msg("%s", err.text);
	b.len = pageimage_size(image);
	b.p = malloc(b.len);
	assert_int_equal(pageimage_read(image, 0, b.p, b.len, &err), 0);
	pageimage_free(image);
	(void)close(fd);
	return b;
}

static void same(const struct fixture *f, const uint8_t *wal, size_t wal_len)
{
	struct bytes want = sqlite_recovers(f, wal, wal_len), got = we_recover(f, wal, wal_len);

	assert_int_equal(got.len, want.len);
	assert_memory_equal(got.p, want.p, want.len);
	free(want.p);
	free(got.p);
}

static void whole_log(void **state)
{
	struct fixture *f = *state;
	struct bytes got = we_recover(f, f->wal.p, f->wal.len);

	assert_true(got.len != f->db.len || memcmp(got.p, f->db.p, got.len) != 0);
	free(got.p);
	same(f, f->wal.p, f->wal.len);
}

static void cut_anywhere(void **state)
{
	struct fixture *f = *state;
	size_t cut;

	for (cut = 0; cut < f->wal.len; cut += f->wal.len / 60)
		same(f, f->wal.p, cut);
	same(f, f->wal.p, 31);
	same(f, f->wal.p, 32);
}

static void damaged_anywhere(void **state)
{
	struct fixture *f = *state;
	size_t at;

	for (at = 0; at < f->wal.len; at += at < 60 ? 3 : f->wal.len / 60) {
		f->wal.p[at] ^= 0x40;
		/* A version SQLite does not know it refuses to open; we take the main file as it is. */
		if (at < 4 || at >= 8)
			same(f, f->wal.p, f->wal.len);
		else
			free(we_recover(f, f->wal.p, f->wal.len).p);
		f->wal.p[at] ^= 0x40;
	}
}

static void put_be32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void sum_be(uint32_t s[2], const uint8_t *p, size_t len)
{
	for (; len >= 8; len -= 8, p += 8) {
		s[0] += be32(p) + s[1];
		s[1] += be32(p + 4) + s[0];
	}
}

/* The checksums anew, big-endian. Where the last frame begins. */
static size_t sum_again(const struct fixture *f)
{
	size_t frame = 24 + 1024, at;
	uint32_t s[2] = {0, 0};
	uint8_t salt[8];

	f->wal.p[3] |= 1;
	sum_be(s, f->wal.p, 24);
	put_be32(f->wal.p + 24, s[0]);
	put_be32(f->wal.p + 28, s[1]);
	memcpy(salt, f->wal.p + 16, 8);
	for (at = 32; at + frame <= f->wal.len && memcmp(f->wal.p + at + 8, salt, 8) == 0;
	     at += frame) {
		sum_be(s, f->wal.p + at, 8);
		sum_be(s, f->wal.p + at + 24, 1024);
		put_be32(f->wal.p + at + 16, s[0]);
		put_be32(f->wal.p + at + 20, s[1]);
	}
	assert_true(at > 32 + 5 * frame);
	return at - frame;
}

/* What a big-endian machine would have written: the same frames, other checksums. SQLite takes it, too. */
static void big_endian_checksums(void **state)
{
	(void)sum_again(*state);
	whole_log(state);
}

/* Free pages at its end may never have been written; four thousand million of them are made up, and take no memory. */
static void a_size_that_cannot_be(void **state)
{
	struct fixture *f = *state;
	struct pageimage *image = NULL;
	struct err err = {0};
	size_t last = sum_again(f);
	struct bytes got;
	char path[400];
	int fd;

	put_be32(f->wal.p + last + 4, 1000);
	(void)sum_again(f);
	got = we_recover(f, f->wal.p, f->wal.len);
	assert_int_equal(got.len, 1000 * 1024);
	free(got.p);
	put_be32(f->wal.p + last, UINT32_MAX);
	put_be32(f->wal.p + last + 4, UINT32_MAX);
	(void)sum_again(f);
	kit_spew(kit_path(&f->kit, "ours-wal", path), f->wal.p, f->wal.len);
	fd = open(path, O_RDONLY);
	assert_int_equal(pageimage_new(f->kit.cache, 0, &image, &err), 0);
	assert_int_equal(walfile_apply(fd, image, NULL, NULL, &err), -ERR_SOURCE);
	assert_non_null(strstr(err.text, "a database of 4294967295 pages"));
	pageimage_free(image);
	(void)close(fd);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(whole_log),
	    TEST(cut_anywhere),
	    TEST(damaged_anywhere),
	    TEST(big_endian_checksums),
	    TEST(a_size_that_cannot_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
