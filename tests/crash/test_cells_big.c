/*
 * The cell codec on images over 1 GiB, which have the lock-byte page, in bounded memory: source, streams and target are files,
 * and a process of its own encodes and decodes. And a payload in very many pieces, in bounded time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/cells.h"
#include "tests/support/dbkit.h"

#define LOCK_BYTE (1u << 30)
#define PEAK_KIB (200l << 10)
#define PART (1u << 20)

/* --- the other side of the codec, in files; zeros at the end of a write stay holes --- */

struct spool {
	int fd;
	uint64_t at; /* where the next length goes, or is */
	uint8_t *bytes;
};

struct run {
	int source, target;
	uint64_t bytes;
	struct spool streams[2];
	struct cells_stats stats;
	double encode_s, decode_s; /* of CPU */
};

static int put(int fd, uint64_t offset, const uint8_t *bytes, size_t len, struct err *err)
{
	while (len && bytes[len - 1] == 0)
		len--;
	return pwrite(fd, bytes, len, (off_t)offset) == (ssize_t)len
		   ? 0
		   : err_sys(err, errno, "cannot write");
}

static int get(int fd, uint64_t offset, void *out, size_t len, struct err *err)
{
	return pread(fd, out, len, (off_t)offset) == (ssize_t)len
		   ? 0
		   : err_sys(err, errno, "cannot read");
}

static int read_source(void *arg, uint64_t offset, void *out, size_t len, struct err *err)
{
	const struct run *run = arg;

	return get(run->source, offset, out, len, err);
}

static int spool_chunk(void *arg, enum cells_stream stream, uint64_t key_hash, const void *bytes,
		       size_t len, struct err *err)
{
	struct spool *s = &((struct run *)arg)->streams[stream];
	uint32_t head = (uint32_t)len;
	int r;

	(void)key_hash;
	if (len > CHUNK_MAX_BYTES + 1)
		return err_set(err, ERR_LIMIT, "a chunk of %zu bytes", len);
	r = put(s->fd, s->at, (const uint8_t *)&head, sizeof(head), err);
	if (!r)
		r = put(s->fd, s->at + sizeof(head), bytes, len, err);
	s->at += sizeof(head) + len;
	return r;
}

static int next_chunk(void *arg, enum cells_stream stream, const uint8_t **out_bytes,
		      size_t *out_len, struct err *err)
{
	struct spool *s = &((struct run *)arg)->streams[stream];
	struct stat st;
	uint32_t len = 0;
	int r = 0;

	if (fstat(s->fd, &st) != 0)
		return err_sys(err, errno, "cannot stat");
	if (s->at < (uint64_t)st.st_size)
		r = get(s->fd, s->at, &len, sizeof(len), err);
	if (!r && len)
		r = get(s->fd, s->at + sizeof(len), s->bytes, len, err);
	s->at += sizeof(len) + len;
	*out_bytes = s->bytes;
	*out_len = len;
	return r;
}

static int write_target(void *arg, uint64_t offset, const void *bytes, size_t len, struct err *err)
{
	const struct run *run = arg;

	if (offset > run->bytes || len > run->bytes - offset)
		return err_set(err, ERR_LIMIT, "a write outside of the image");
	return put(run->target, offset, bytes, len, err);
}

/* --- one round trip --- */

static double cpu_s(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int round_trip(struct run *run, struct err *err)
{
	static const uint8_t key[32] = {9};
	const struct cells_source source = {.arg = run, .bytes = run->bytes, .read = read_source};
	const struct cells_sink sink = {.arg = run, .chunk = spool_chunk};
	const struct cells_feed feed = {.arg = run, .next = next_chunk};
	const struct cells_target target = {.arg = run, .write = write_target};
	struct chunker cutter;
	double began = cpu_s();
	int r;

	chunker_init(&cutter, key);
	r = cells_encode(&source, &cutter, &sink, &run->stats, err);
	run->encode_s = cpu_s() - began;
	for (int s = 0; s < 2; s++) {
		/* The zeros at its end as well. */
		if (!r && ftruncate(run->streams[s].fd, (off_t)run->streams[s].at) != 0)
			r = err_sys(err, errno, "cannot grow");
		run->streams[s].at = 0;
		run->streams[s].bytes = malloc(CHUNK_MAX_BYTES + 1);
		if (!run->streams[s].bytes)
			return err_nomem(err);
	}
	began = cpu_s();
	if (!r)
		r = cells_decode(&feed, run->bytes, &target, err);
	run->decode_s = cpu_s() - began;
	return r;
}

/* In the child: 0 = the target is the source. */
static int differs(const struct run *run)
{
	uint8_t *a = malloc(PART), *b = malloc(PART);
	int different = !a || !b || ftruncate(run->target, (off_t)run->bytes) != 0;

	for (uint64_t at = 0; !different && at < run->bytes; at += PART) {
		size_t len = run->bytes - at < PART ? (size_t)(run->bytes - at) : PART;
		struct err err;

		different = get(run->source, at, a, len, &err) ||
			    get(run->target, at, b, len, &err) || memcmp(a, b, len) != 0;
	}
	free(a);
	free(b);
	return different;
}

static int open_in(const struct kit *k, const char *name)
{
	char path[400];
	int fd = open(kit_path(k, name, path), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	return fd;
}

static int child(struct run *run)
{
	struct err err = {0};

	if (round_trip(run, &err) != 0)
		(void)fprintf(stderr, "# %s\n", err.text);
	else if (differs(run))
		(void)fprintf(stderr, "# the image differs\n");
	else
		return 0;
	return 1;
}

/* The database of the kit, there and back in another process, whose peak of memory is measured. */
static void goes_round(const struct kit *k, struct run *out_run)
{
	struct run run = {.source = open_in(k, "app.db"),
			  .target = open_in(k, "back"),
			  .streams = {{.fd = open_in(k, "layout")}, {.fd = open_in(k, "data")}}};
	struct rusage used;
	struct stat st;
	int tell[2], status;
	pid_t pid;

	assert_int_equal(fstat(run.source, &st), 0);
	run.bytes = (uint64_t)st.st_size;
	assert_int_equal(pipe(tell), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(child(&run) || write(tell[1], &run, sizeof(run)) != (ssize_t)sizeof(run));
	assert_int_equal(wait4(pid, &status, 0, &used), pid);
	assert_int_equal(status, 0);
	assert_int_equal(read(tell[0], out_run, sizeof(*out_run)), sizeof(*out_run));
	assert_in_range(used.ru_maxrss, 1, PEAK_KIB);
	(void)close(tell[0]);
	(void)close(tell[1]);
	(void)close(run.source);
	(void)close(run.target);
	for (int s = 0; s < 2; s++)
		(void)close(run.streams[s].fd);
}

/* --- the images --- */

/* A hole that the database takes for pages of its own, up to shortly before the lock byte. */
static void grow_to_lock_byte(const char *path, uint32_t page_bytes)
{
	uint32_t pages = LOCK_BYTE / page_bytes - 3;
	uint8_t count[4] = {(uint8_t)(pages >> 24), (uint8_t)(pages >> 16), (uint8_t)(pages >> 8),
			    (uint8_t)pages};
	int fd = open(path, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, count, 4, 28), 4);
	assert_int_equal(ftruncate(fd, (off_t)pages * page_bytes), 0);
	assert_int_equal(close(fd), 0);
}

/* Rows, a tree and an overflow chain on both sides of the lock-byte page; before them a sparse GiB. */
static void beyond_the_lock_byte(const struct kit *k, uint32_t page_bytes)
{
	char sql[200];
	struct run run;

	(void)snprintf(sql, sizeof(sql),
		       "PRAGMA page_size = %u; PRAGMA synchronous = OFF; CREATE TABLE t(a, b);"
		       "CREATE INDEX i ON t(a); INSERT INTO t VALUES('before', 1)",
		       page_bytes);
	kit_make(k->db, sql);
	grow_to_lock_byte(k->db, page_bytes);
	kit_make(k->db, "PRAGMA synchronous = OFF; INSERT INTO t VALUES(randomblob(500000), 2);"
			"WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < "
			"20000) INSERT INTO t SELECT hex(randomblob(20)), i FROM c");
	goes_round(k, &run);
	assert_true(run.bytes > LOCK_BYTE + 5 * page_bytes);
	assert_int_equal(run.stats.cells, 2 + 2 * 20002);
	assert_int_equal(run.stats.raw_pages, 0);
}

static void lock_byte_page_of_the_largest_pages(void **state)
{
	beyond_the_lock_byte(*state, 65536);
}

static void lock_byte_page_of_usual_pages(void **state)
{
	beyond_the_lock_byte(*state, 4096);
}

static void lock_byte_page_of_the_smallest_pages(void **state)
{
	beyond_the_lock_byte(*state, 512);
}

/* Payloads that fill a GiB: overflow chains of 30 MiB each, one of them around the lock-byte page. */
static void lock_byte_page_within_a_payload(void **state)
{
	const struct kit *k = *state;
	struct run run;

	kit_make(k->db,
		 "PRAGMA page_size = 65536; PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF;"
		 "CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB);"
		 "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 36)"
		 "INSERT INTO t SELECT i, zeroblob(30 << 20) FROM c;"
		 "INSERT INTO t VALUES(37, randomblob(1000000))");
	goes_round(k, &run);
	assert_true(run.bytes > LOCK_BYTE);
	assert_int_equal(run.stats.cells, 1 + 37);
	assert_int_equal(run.stats.raw_pages, 0);
}

/* A chain of 100,000 runs: as many steps to decode as pages, not runs times pages. */
static void payload_in_fragments(void **state)
{
	const struct kit *k = *state;
	struct run run;

	kit_make(k->db,
		 "PRAGMA page_size = 512; PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF;"
		 "CREATE TABLE t(id INTEGER PRIMARY KEY, b);"
		 "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 400000)"
		 "INSERT INTO t SELECT i, zeroblob(440) FROM c; DELETE FROM t WHERE id % 2 = 0;"
		 "INSERT INTO t VALUES(-1, randomblob(100000000))");
	goes_round(k, &run);
	assert_true(run.stats.layout_bytes > 300000);
	assert_true(run.decode_s < 5 * run.encode_s + 1);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, kit_setup, kit_teardown)
	const struct CMUnitTest tests[] = {
	    TEST(lock_byte_page_of_the_largest_pages),
	    TEST(lock_byte_page_of_usual_pages),
	    TEST(lock_byte_page_of_the_smallest_pages),
	    TEST(lock_byte_page_within_a_payload),
	    TEST(payload_in_fragments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
