/* pageimage: behaves like a file, keeps nothing readable outside RAM, says why when it cannot. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "repo/pageimage.h"
#include "tests/support/dbkit.h"

#define BLOCK PAGEIMAGE_BLOCK_BYTES
#define MODEL_BYTES (20u * BLOCK)
#define MARKER "PLAINTEXT-MARKER"

static struct pageimage *new_image(const char *cache, size_t budget)
{
	struct pageimage *p = NULL;
	struct err err = {0};

	assert_int_equal(pageimage_new(cache, budget, &p, &err), 0);
	return p;
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

static void same_as_model(struct pageimage *p, const uint8_t *model, size_t size)
{
	uint8_t *all = malloc(size + 1);
	struct err err = {0};

	assert_int_equal(pageimage_size(p), size);
	assert_int_equal(pageimage_read(p, 0, all, size, &err), 0);
	assert_memory_equal(all, model, size);
	free(all);
}

/* Random writes, cuts and growth against a plain array of twenty blocks. */
static void behave_with(const char *cache, size_t budget)
{
	struct pageimage *p = new_image(cache, budget);
	uint8_t *model = calloc(1, MODEL_BYTES), piece[9000];
	struct err err = {0};
	uint32_t seed = 7;
	size_t size = 0, i, round;

	for (round = 0; round < 1500; round++) {
		size_t at = next_random(&seed) % (MODEL_BYTES - sizeof(piece));
		size_t len = next_random(&seed) % sizeof(piece);

		if (round % 40 == 39) {
			size_t cut = next_random(&seed) % MODEL_BYTES;

			if (cut < size)
				memset(model + cut, 0, size - cut);
			assert_int_equal(pageimage_truncate(p, cut, &err), 0);
			size = cut;
			continue;
		}
		for (i = 0; i < len; i++)
			piece[i] = (uint8_t)next_random(&seed);
		memcpy(model + at, piece, len);
		assert_int_equal(pageimage_write(p, at, piece, len, &err), 0);
		if (len > 0 && at + len > size)
			size = at + len;
		if (round % 100 == 0)
			same_as_model(p, model, size);
	}
	same_as_model(p, model, size);
	assert_true(pageimage_spills(p) > 20);
	pageimage_free(p);
	free(model);
}

static void behaves_like_a_file(void **state)
{
	struct kit *k = *state;

	behave_with(k->cache, 1); /* two blocks */
	behave_with(k->cache, 9 * BLOCK);
}

/* Descriptor of the unnamed file in dir, found as a stranger would. */
static int find_spill(const char *dir)
{
	char name[64], target[600];
	int fd;

	for (fd = 3; fd < 256; fd++) {
		ssize_t n;

		(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
		n = readlink(name, target, sizeof(target) - 1);
		if (n <= 0)
			continue;
		target[n] = '\0';
		if (strncmp(target, dir, strlen(dir)) == 0)
			return fd;
	}
	return -1;
}

static void fill_with_markers(struct pageimage *p, unsigned blocks)
{
	uint8_t *block = malloc(BLOCK);
	struct err err = {0};
	size_t i;

	for (i = 0; i + 16 <= BLOCK; i += 16)
		memcpy(block + i, MARKER, 16);
	for (i = 0; i < blocks; i++)
		assert_int_equal(pageimage_write(p, i * BLOCK, block, BLOCK, &err), 0);
	free(block);
}

static void spill_is_unnamed_and_unreadable(void **state)
{
	struct kit *k = *state;
	struct pageimage *p = new_image(k->cache, 2 * BLOCK);
	struct stat st;
	uint8_t *bytes;
	int fd;

	fill_with_markers(p, 2);
	assert_int_equal(find_spill(k->cache), -1); /* the budget was enough so far */
	assert_int_equal(pageimage_spills(p), 0);
	fill_with_markers(p, 10);
	fd = find_spill(k->cache);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_nlink, 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_true(st.st_size >= 8 * (off_t)BLOCK);
	bytes = malloc((size_t)st.st_size);
	assert_int_equal(pread(fd, bytes, (size_t)st.st_size, 0), st.st_size);
	assert_null(memmem(bytes, (size_t)st.st_size, MARKER, strlen(MARKER)));
	assert_memory_not_equal(bytes, bytes + BLOCK, BLOCK); /* equal blocks, other nonces */
	free(bytes);
	assert_int_equal(rmdir(k->cache), 0); /* nothing lies in it */
	pageimage_free(p);
	assert_int_equal(find_spill(k->cache), -1);
}

static void changed_spill_is_damage(void **state)
{
	struct kit *k = *state;
	struct pageimage *p = new_image(k->cache, 2 * BLOCK);
	uint8_t byte = 0, block[64];
	struct err err = {0};
	int fd;

	fill_with_markers(p, 10);
	fd = find_spill(k->cache);
	assert_int_equal(pread(fd, &byte, 1, 5), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, 5), 1);
	assert_int_equal(pageimage_read(p, 0, block, sizeof(block), &err), -ERR_DAMAGED);
	assert_int_equal(pageimage_read(p, 3 * BLOCK, block, sizeof(block), &err), 0);
	assert_int_equal(ftruncate(fd, 4 * BLOCK), 0);
	assert_int_equal(pageimage_read(p, 5 * BLOCK, block, sizeof(block), &err), -ERR_DAMAGED);
	pageimage_free(p);
}

/* An older spilled copy put back in place of the newer one must not pass. */
/* An image is read over and over: what came first must not make room for what comes last. */
static void the_beginning_stays_in_memory(void **state)
{
	struct kit *k = *state;
	struct pageimage *p = new_image(k->cache, 32 * BLOCK);
	struct err err = {0};
	uint8_t byte;
	unsigned i;

	fill_with_markers(p, 48);
	for (i = 0; i < 48; i++)
		assert_int_equal(pageimage_read(p, i * BLOCK, &byte, 1, &err), 0);
	assert_int_equal(ftruncate(find_spill(k->cache), 0), 0);
	for (i = 0; i < 28; i++)
		assert_int_equal(pageimage_read(p, i * BLOCK, &byte, 1, &err), 0);
	assert_int_equal(pageimage_read(p, 28 * BLOCK, &byte, 1, &err), -ERR_DAMAGED);
	pageimage_free(p);
}

static void replayed_spill_is_damage(void **state)
{
	struct kit *k = *state;
	struct pageimage *p = new_image(k->cache, 2 * BLOCK);
	uint8_t *old = malloc(BLOCK), byte;
	struct err err = {0};
	int fd;

	fill_with_markers(p, 10);
	fd = find_spill(k->cache);
	assert_int_equal(pread(fd, old, BLOCK, 0), BLOCK);
	fill_with_markers(p, 10);
	assert_int_equal(pwrite(fd, old, BLOCK, 0), BLOCK);
	assert_int_equal(pageimage_read(p, 0, &byte, 1, &err), -ERR_DAMAGED);
	free(old);
	pageimage_free(p);
}

static void reads_outside_are_refused(void **state)
{
	struct kit *k = *state;
	struct pageimage *p = new_image(k->cache, 0);
	struct err err = {0};
	uint8_t b[8];

	assert_int_equal(pageimage_read(p, 0, b, 1, &err), -ERR_USAGE);
	assert_int_equal(pageimage_write(p, 100, "x", 1, &err), 0);
	assert_int_equal(pageimage_read(p, 100, b, 2, &err), -ERR_USAGE);
	assert_int_equal(pageimage_read(p, UINT64_MAX, b, 2, &err), -ERR_USAGE);
	assert_int_equal(pageimage_write(p, UINT64_MAX, "x", 1, &err), -ERR_LIMIT);
	assert_int_equal(pageimage_read(p, 93, b, 8, &err), 0);
	assert_memory_equal(b, "\0\0\0\0\0\0\0x", 8);
	pageimage_free(p);
	pageimage_free(NULL);
}

/* Every limit from nothing upwards: an error each time, never a wrong byte, and it goes on afterwards. */
static void full_disk_is_full_and_loses_nothing(void **state)
{
	struct kit *k = *state;
	struct rlimit old, tight;
	unsigned blocks;

	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	for (blocks = 0; blocks < 3; blocks++) {
		struct pageimage *p = new_image(k->cache, 2 * BLOCK);
		uint8_t marks[16], *block = calloc(1, BLOCK);
		struct err err = {0};
		unsigned i;
		int rc = 0;

		tight = old;
		tight.rlim_cur = blocks * BLOCK + 100;
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
		for (i = 0; i < 10 && rc == 0; i++) {
			memset(block, (int)i + 1, BLOCK);
			rc = pageimage_write(p, i * BLOCK, block, BLOCK, &err);
		}
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
		assert_int_equal(rc, -ERR_FULL);
		assert_non_null(strstr(err.text, k->cache));
		assert_true(i >= 3);
		while (i-- > 1) { /* what was written before the failure */
			assert_int_equal(pageimage_read(p, (i - 1) * BLOCK, marks, 16, &err), 0);
			assert_int_equal(marks[15], i);
		}
		pageimage_free(p);
		free(block);
	}
}

static void tmpfs_is_refused_when_needed(void **state)
{
	struct pageimage *p;
	struct err err = {0};
	unsigned i;
	int rc = 0;

	(void)state;
	if (access("/dev/shm", W_OK) != 0) {
		print_message("no /dev/shm to write to\n");
		skip();
	}
	p = new_image("/dev/shm", 2 * BLOCK);
	fill_with_markers(p, 2);
	for (i = 2; i < 4 && rc == 0; i++)
		rc = pageimage_write(p, i * BLOCK, "x", 1, &err);
	assert_int_equal(rc, -ERR_FULL);
	assert_non_null(strstr(err.text, "NIGHTJAR_CACHE_DIR"));
	assert_int_equal(find_spill("/dev/shm"), -1);
	pageimage_free(p);
}

static void missing_cache_directory_is_named(void **state)
{
	struct kit *k = *state;
	struct pageimage *p;
	struct err err = {0};
	char dir[400];

	p = new_image(kit_path(k, "nowhere", dir), 0);
	fill_with_markers(p, 2);
	assert_int_equal(pageimage_write(p, 2 * BLOCK, "x", 1, &err), -ERR_MISSING);
	assert_non_null(strstr(err.text, dir));
	pageimage_free(p);
}

static int count_up(void *arg, uint64_t offset, void *out_bytes, size_t len, struct err *err)
{
	uint8_t *to = out_bytes;

	if (*(const bool *)arg)
		return err_set(err, ERR_IO, "gone");
	for (size_t i = 0; i < len; i++)
		to[i] = (uint8_t)(offset + i);
	return 0;
}

static void bytes_that_lie_elsewhere_are_only_read(void **state)
{
	struct pageimage *p = NULL;
	struct err err = {0};
	bool gone = false;
	uint8_t got[4];

	(void)state;
	assert_int_equal(pageimage_over(count_up, &gone, 200000, &p, &err), 0);
	assert_int_equal(pageimage_size(p), 200000);
	assert_int_equal(pageimage_read(p, 199996, got, 4, &err), 0);
	assert_memory_equal(got, "\x3c\x3d\x3e\x3f", 4);
	assert_int_equal(pageimage_read(p, 199997, got, 4, &err), -ERR_USAGE);
	assert_int_equal(pageimage_write(p, 0, "x", 1, &err), -ERR_USAGE);
	assert_int_equal(pageimage_truncate(p, 0, &err), -ERR_USAGE);
	assert_int_equal(pageimage_truncate(p, 300000, &err), -ERR_USAGE);
	assert_int_equal(pageimage_size(p), 200000);
	gone = true;
	assert_int_equal(pageimage_read(p, 0, got, 4, &err), -ERR_IO);
	pageimage_free(p);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, kit_setup, kit_teardown)
	const struct CMUnitTest tests[] = {
	    TEST(behaves_like_a_file),
	    TEST(spill_is_unnamed_and_unreadable),
	    TEST(changed_spill_is_damage),
	    TEST(the_beginning_stays_in_memory),
	    TEST(replayed_spill_is_damage),
	    TEST(reads_outside_are_refused),
	    TEST(full_disk_is_full_and_loses_nothing),
	    TEST(tmpfs_is_refused_when_needed),
	    TEST(missing_cache_directory_is_named),
	    TEST(bytes_that_lie_elsewhere_are_only_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
