/* Backups with a files cache: which files are opened, seen by inotify, and that what is stored is the same without it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "core/keyfile.h"
#include "repo/backup.h"
#include "repo/browse.h"
#include "repo/reader.h"
#include "tests/support/dbkit.h"
#include "tests/support/must.h"

#define S INT64_C(1000000000)
#define BIG_BYTES (24u << 20) /* enough chunks for a chunk list */

struct box {
	struct kit kit;
	char src[300], repo[300];
	struct buf keyfile;
	int64_t now_ns; /* of the next backup: an hour ahead, so nothing is fresh */
	bool force, dry_run;
	const char *cache_dir;
	struct backup_result result;
	struct err err;
};

static void make_repo(struct box *b)
{
	const struct repo_init_options options = {.now_s = 1000};
	struct store *store = NULL;
	struct keys *keys = NULL;

	MUST(store_open(b->repo, NULL, &store, &b->err), &b->err);
	MUST(repo_new_keys(&keys, &b->err), &b->err);
	MUST(repo_init(store, keys, &options, &b->err), &b->err);
	MUST(keyfile_enc(keys, ROLE_FULL, &b->keyfile, &b->err), &b->err);
	keys_free(keys);
	store_free(store);
}

static const char *at(const struct box *b, const char *name, char out[400])
{
	(void)snprintf(out, 400, "%s/%s", b->src, name);
	return out;
}

static void write_file(const struct box *b, const char *name, const void *bytes, size_t len)
{
	char path[400];

	kit_spew(at(b, name, path), bytes, len);
}

static int setup(void **state)
{
	struct box *b = calloc(1, sizeof(*b));
	struct timespec now;
	char path[400];

	assert_non_null(b);
	kit_new(&b->kit);
	b->cache_dir = b->kit.cache;
	(void)snprintf(b->src, sizeof(b->src), "%s/src", b->kit.dir);
	(void)snprintf(b->repo, sizeof(b->repo), "%s/repo", b->kit.dir);
	assert_int_equal(mkdir(b->src, 0755), 0);
	assert_int_equal(mkdir(at(b, "sub", path), 0755), 0);
	(void)clock_gettime(CLOCK_REALTIME, &now);
	b->now_ns = (now.tv_sec + 3600) * S;
	write_file(b, "a", "the first file, longer than a header", 36);
	write_file(b, "empty", "", 0);
	write_file(b, "sub/b", "the second file, longer than a header", 37);
	make_repo(b);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct box *b = *state;

	buf_wipe(&b->keyfile);
	kit_free(&b->kit);
	free(b);
	return 0;
}

/* --- one backup, watched --- */

static struct repo *open_repo(struct box *b)
{
	struct repo_credentials by = {.keyfile = b->keyfile.data, .keyfile_len = b->keyfile.len};
	struct store *store = NULL;
	struct repo *repo = NULL;

	MUST(store_open(b->repo, NULL, &store, &b->err), &b->err);
	MUST(repo_open(store, &by, &repo, &b->err), &b->err);
	return repo;
}

static void backup_of(struct box *b, const char *path)
{
	struct repo *repo = open_repo(b);
	const struct backup_options options = {
	    .paths = &path,
	    .path_count = 1,
	    .host = "db1",
	    .user = "",
	    .program = "test",
	    .cache_dir = b->cache_dir,
	    .workers = 1,
	    .force = b->force,
	    .dry_run = b->dry_run,
	    .now_ns = b->now_ns,
	};

	MUST(backup_run(repo, &options, &b->result, &b->err), &b->err);
	if (b->now_ns)
		b->now_ns += 60 * S;
	repo_close(repo);
}

static int watch(const struct box *b)
{
	char path[400];
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	assert_true(fd >= 0);
	assert_true(inotify_add_watch(fd, b->src, IN_OPEN) >= 0);
	assert_true(inotify_add_watch(fd, at(b, "sub", path), IN_OPEN) >= 0);
	return fd;
}

static int name_order(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* The names of the files that were opened, each once, sorted, as " a b". */
static void opened(int fd, char out[256])
{
	char events[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
	char names[64][32];
	size_t count = 0;
	ssize_t got;

	while ((got = read(fd, events, sizeof(events))) > 0) {
		for (ssize_t i = 0; i < got && count < 64;) {
			const struct inotify_event *e = (const void *)(events + i);

			i += (ssize_t)(sizeof(*e) + e->len);
			if (!(e->mask & IN_ISDIR) && e->len)
				(void)snprintf(names[count++], sizeof(names[0]), "%.30s", e->name);
		}
	}
	(void)close(fd);
	qsort(names, count, sizeof(names[0]), name_order);
	out[0] = '\0';
	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(out);

		if (i == 0 || strcmp(names[i], names[i - 1]) != 0)
			(void)snprintf(out + len, 256 - len, " %s", names[i]);
	}
}

/* Backs up and compares which files were opened. */
#define BACKUP_OPENS(b, want)                                                                      \
	do {                                                                                       \
		char words[256];                                                                   \
		int watched = watch(b);                                                            \
		backup_of(b, (b)->src);                                                            \
		opened(watched, words);                                                            \
		assert_string_equal(words, want);                                                  \
	} while (0)

static int collect(void *arg, const void *bytes, size_t len, struct err *err)
{
	buf_put(arg, bytes, len);
	return buf_check(arg, err);
}

/* The newest backup gives these bytes for a file, from a repository opened anew. */
static void assert_stored(struct box *b, const char *name, const void *bytes, size_t len)
{
	struct repo *repo = open_repo(b);
	struct manifest_list list = {0};
	struct index *index = NULL;
	struct reader *reader = NULL;
	struct buf got = {0};
	char path[400];

	MUST(manifests_load(repo, NULL, NULL, &list, &b->err), &b->err);
	MUST(index_load(repo, NULL, NULL, &index, &b->err), &b->err);
	MUST(reader_new(repo, index, &reader, &b->err), &b->err);
	MUST(browse_dump(reader, &list.items[list.count - 1].m, at(b, name, path), collect, &got,
			 &b->err),
	     &b->err);
	assert_int_equal(got.len, len);
	if (len)
		assert_memory_equal(got.data, bytes, len);
	buf_free(&got);
	reader_free(reader);
	index_free(index);
	manifest_list_free(&list);
	repo_close(repo);
}

static struct id newest_root(struct box *b)
{
	struct repo *repo = open_repo(b);
	struct manifest_list list = {0};
	struct id root;

	MUST(manifests_load(repo, NULL, NULL, &list, &b->err), &b->err);
	root = list.items[list.count - 1].m.root;
	manifest_list_free(&list);
	repo_close(repo);
	return root;
}

/* --- what is opened --- */

static void the_unchanged_is_not_opened(void **state)
{
	struct box *b = *state;

	BACKUP_OPENS(b, " a b empty");
	assert_int_equal(b->result.files_new, 3);
	BACKUP_OPENS(b, "");
	assert_int_equal(b->result.files_unmodified, 3);
	assert_int_equal(b->result.bytes, 36 + 37);
	BACKUP_OPENS(b, "");
	assert_stored(b, "a", "the first file, longer than a header", 36);
	assert_stored(b, "sub/b", "the second file, longer than a header", 37);
}

static void force_opens_and_stores_the_same(void **state)
{
	struct box *b = *state;
	struct id cached, forced;
	char path[400];
	int fd;

	fd = open(at(b, "sparse", path), O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "x", 1, 5 << 20), 1);
	assert_int_equal(ftruncate(fd, 9 << 20), 0);
	assert_int_equal(close(fd), 0);
	if (setxattr(at(b, "a", path), "user.note", "kept", 4, 0) != 0)
		assert_int_equal(errno, ENOTSUP);
	BACKUP_OPENS(b, " a b empty sparse");
	BACKUP_OPENS(b, "");
	cached = newest_root(b);
	b->force = true;
	BACKUP_OPENS(b, " a b empty sparse");
	forced = newest_root(b);
	assert_memory_equal(cached.b, forced.b, ID_BYTES);
	b->force = false;
	BACKUP_OPENS(b, "");
}

static void the_changed_is_read(void **state)
{
	struct box *b = *state;
	char path[400], other[400];
	struct timespec times[2];
	struct stat st;

	backup_of(b, b->src);
	write_file(b, "a", "the first file, longer than it was before", 41); /* size */
	BACKUP_OPENS(b, " a");
	assert_stored(b, "a", "the first file, longer than it was before", 41);

	assert_int_equal(stat(at(b, "a", path), &st), 0); /* same size, mtime forged back */
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	write_file(b, "a", "THE FIRST FILE, LONGER THAN IT WAS BEFORE", 41);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	BACKUP_OPENS(b, " a");
	assert_stored(b, "a", "THE FIRST FILE, LONGER THAN IT WAS BEFORE", 41);

	times[1].tv_sec -= 1000; /* mtime alone */
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	BACKUP_OPENS(b, " a");

	write_file(b, "c", "another file in place of the first, same size", 41); /* inode */
	assert_int_equal(utimensat(AT_FDCWD, at(b, "c", other), times, 0), 0);
	assert_int_equal(rename(other, path), 0);
	BACKUP_OPENS(b, " a");
	assert_stored(b, "a", "another file in place of the first, same ", 41);
	BACKUP_OPENS(b, "");
}

static void the_fresh_is_read_again(void **state)
{
	struct box *b = *state;
	int64_t later = b->now_ns;

	b->now_ns = 0; /* the clock: the files were made just now */
	backup_of(b, b->src);
	b->now_ns = later;
	BACKUP_OPENS(b, " a b empty");
	BACKUP_OPENS(b, "");
}

static void a_file_that_becomes_a_database_is_seen(void **state)
{
	struct box *b = *state;
	char path[400];

	backup_of(b, b->src);
	assert_int_equal(b->result.databases, 0);
	assert_int_equal(unlink(at(b, "a", path)), 0);
	kit_make(path, "CREATE TABLE t (x); INSERT INTO t VALUES (1)");
	backup_of(b, b->src);
	assert_int_equal(b->result.databases, 1);
	assert_int_equal(b->result.unreadable, 0);
	backup_of(b, b->src); /* a database is no cached file */
	assert_int_equal(b->result.databases, 1);
	assert_int_equal(unlink(path), 0);
	write_file(b, "a", "a plain file again, and longer than a header", 44);
	backup_of(b, b->src);
	assert_int_equal(b->result.databases, 0);
	assert_stored(b, "a", "a plain file again, and longer than a header", 44);
}

static void metadata_is_always_looked_at(void **state)
{
	struct box *b = *state;
	struct id before, after;
	char path[400];

	backup_of(b, b->src);
	before = newest_root(b);
	if (setxattr(at(b, "a", path), "user.note", "new", 3, 0) != 0)
		assert_int_equal(chmod(path, 0640), 0);
	BACKUP_OPENS(b, " a"); /* its ctime moved */
	after = newest_root(b);
	assert_memory_not_equal(before.b, after.b, ID_BYTES);
	BACKUP_OPENS(b, "");
	before = newest_root(b);
	assert_memory_equal(before.b, after.b, ID_BYTES);
}

static void other_sources_do_not_disturb(void **state)
{
	struct box *b = *state;
	char path[400];

	backup_of(b, b->src);
	backup_of(b, at(b, "sub", path));
	BACKUP_OPENS(b, "");
}

static void a_dry_run_leaves_no_trace(void **state)
{
	struct box *b = *state;

	b->dry_run = true;
	backup_of(b, b->src);
	b->dry_run = false;
	BACKUP_OPENS(b, " a b empty");
	b->dry_run = true;
	BACKUP_OPENS(b, "");
}

/* --- what is lost --- */

/* Runs fn on every file below a folder of depth two. */
static void each_file(const char *folder, void (*fn)(const char *path))
{
	struct dirent *e;
	DIR *dir = opendir(folder);

	assert_non_null(dir);
	while ((e = readdir(dir))) {
		char path[800];

		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
		if (e->d_type == DT_DIR)
			each_file(path, fn);
		else
			fn(path);
	}
	(void)closedir(dir);
}

static void remove_it(const char *path)
{
	assert_int_equal(unlink(path), 0);
}

static void remove_small(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	if (st.st_size < (12 << 20))
		remove_it(path);
}

static void lose_packs(struct box *b, void (*fn)(const char *path))
{
	char data[400];

	(void)snprintf(data, sizeof(data), "%s/data", b->repo);
	each_file(data, fn);
}

static void lost_chunks_are_stored_again(void **state)
{
	struct box *b = *state;

	backup_of(b, b->src);
	BACKUP_OPENS(b, "");
	lose_packs(b, remove_it);
	BACKUP_OPENS(b, " a b"); /* the empty file rests on nothing */
	assert_stored(b, "a", "the first file, longer than a header", 36);
	assert_stored(b, "sub/b", "the second file, longer than a header", 37);
	BACKUP_OPENS(b, "");
}

static void a_chunk_list_is_looked_into(void **state)
{
	struct box *b = *state;
	uint8_t *big = malloc(BIG_BYTES);

	assert_non_null(big);
	randombytes_buf(big, BIG_BYTES);
	write_file(b, "big", big, BIG_BYTES);
	backup_of(b, b->src);
	BACKUP_OPENS(b, "");
	lose_packs(b, remove_small); /* the list, and the last chunks */
	BACKUP_OPENS(b, " b big");
	assert_stored(b, "big", big, BIG_BYTES);
	BACKUP_OPENS(b, "");
	free(big);
}

static void keep_small(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	if (st.st_size >= (12 << 20))
		remove_it(path);
}

/* The list itself is there, only chunks below it are not. */
static void a_chunk_below_a_list_counts(void **state)
{
	struct box *b = *state;
	uint8_t *big = malloc(BIG_BYTES);

	assert_non_null(big);
	randombytes_buf(big, BIG_BYTES);
	write_file(b, "big", big, BIG_BYTES);
	backup_of(b, b->src);
	lose_packs(b, keep_small);
	backup_of(b, b->src);
	assert_stored(b, "big", big, BIG_BYTES);
	BACKUP_OPENS(b, "");
	free(big);
}

static void empty_it(const char *path)
{
	assert_int_equal(truncate(path, 0), 0);
}

static void zero_it(const char *path)
{
	char zeros[32768] = {0};

	kit_spew(path, zeros, sizeof(zeros));
}

static void folder_for_it(const char *path)
{
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
}

static void a_bad_cache_costs_time_only(void **state)
{
	struct box *b = *state;
	void (*const harm[])(const char *) = {remove_it, empty_it, zero_it};

	backup_of(b, b->src);
	for (size_t i = 0; i < sizeof(harm) / sizeof(harm[0]); i++) {
		each_file(b->kit.cache, harm[i]);
		BACKUP_OPENS(b, " a b empty");
		BACKUP_OPENS(b, "");
	}
	each_file(b->kit.cache, folder_for_it);
	BACKUP_OPENS(b, " a b empty");
	BACKUP_OPENS(b, " a b empty");
	b->cache_dir = "/nonexistent";
	BACKUP_OPENS(b, " a b empty");
	b->cache_dir = NULL;
	BACKUP_OPENS(b, " a b empty");
	assert_stored(b, "a", "the first file, longer than a header", 36);
}

/* A repository made anew at the same place has lost everything that the old one's cache knew. */
static void another_repository_has_its_own(void **state)
{
	struct box *b = *state;
	char moved[400];

	backup_of(b, b->src);
	(void)snprintf(moved, sizeof(moved), "%s.old", b->repo);
	assert_int_equal(rename(b->repo, moved), 0);
	buf_wipe(&b->keyfile);
	make_repo(b);
	BACKUP_OPENS(b, " a b empty");
	assert_stored(b, "a", "the first file, longer than a header", 36);
	BACKUP_OPENS(b, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(the_unchanged_is_not_opened, setup, teardown),
	    cmocka_unit_test_setup_teardown(force_opens_and_stores_the_same, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_changed_is_read, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_fresh_is_read_again, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_file_that_becomes_a_database_is_seen, setup,
					    teardown),
	    cmocka_unit_test_setup_teardown(metadata_is_always_looked_at, setup, teardown),
	    cmocka_unit_test_setup_teardown(other_sources_do_not_disturb, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_dry_run_leaves_no_trace, setup, teardown),
	    cmocka_unit_test_setup_teardown(lost_chunks_are_stored_again, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_chunk_list_is_looked_into, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_chunk_below_a_list_counts, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_bad_cache_costs_time_only, setup, teardown),
	    cmocka_unit_test_setup_teardown(another_repository_has_its_own, setup, teardown),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
