/* The local cache over a store: what it answers, what it never does, and that rot and full folders harm nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/sha256.h"
#include "repo/cachedir.h"
#include "repo/store_cache.h"
#include "repo/store_stack.h"
#include "tests/support/must.h"
#include "tests/support/repo_case.h"
#include "tests/support/store_suite.h"
#include "tests/support/tmpdir.h"

struct fixture {
	struct repo_case *c;
	struct store *fault, *store; /* over the case's inner store */
	char *dir, *folder;          /* of the cache; where it keeps objects */
	struct buf buf;
	struct err err;
};

static void reopen(struct fixture *f, uint64_t limit_bytes)
{
	store_free(f->store);
	MUST(store_fault_new(f->c->inner, &f->fault, &f->err), &f->err);
	MUST(store_cache_new(f->fault, f->dir, limit_bytes, &f->store, &f->err), &f->err);
}

/* As repo_open does first of all. */
static void read_config(struct fixture *f)
{
	buf_reset(&f->buf);
	MUST(store_get(f->store, STORE_CONFIG, NULL, LIMIT_CONFIG_BYTES, &f->buf, &f->err),
	     &f->err);
	store_fault_arm(f->fault, &(struct store_fault_plan){0});
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char name[2 * REPO_ID_BYTES + sizeof("/" STORE_CACHE_FOLDER)] = "";
	void *c = NULL;

	assert_non_null(f);
	assert_int_equal(repo_case_setup(&c), 0);
	f->c = c;
	f->dir = tmpdir_make();
	for (size_t i = 0; i < REPO_ID_BYTES; i++)
		(void)snprintf(name + 2 * i, 3, "%02x", f->c->repo->conf.repo[i]);
	(void)snprintf(name + (size_t)2 * REPO_ID_BYTES, sizeof(name) - 2 * (size_t)REPO_ID_BYTES,
		       "/" STORE_CACHE_FOLDER);
	f->folder = tmpdir_path(f->dir, name);
	reopen(f, 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	void *c = f->c;

	store_free(f->store);
	(void)repo_case_teardown(&c);
	free(f->folder);
	tmpdir_remove(f->dir);
	buf_free(&f->buf);
	free(f);
	return 0;
}

static struct store_cache_sum sum(const struct fixture *f)
{
	struct store_cache_sum s = {0};
	int fd = open(f->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return s;
	store_cache_add_up(fd, &s);
	(void)close(fd);
	return s;
}

/* An object of n's bytes, below the cache. */
static struct id put_below(struct fixture *f, enum store_type type, unsigned n, size_t len)
{
	uint8_t *bytes = repo_case_block(n, len);
	struct id id;

	MUST(sha256_of(bytes, len, &id, &f->err), &f->err);
	MUST(store_put(f->c->inner, type, &id, bytes, len, &f->err), &f->err);
	free(bytes);
	return id;
}

static void assert_bytes(const struct fixture *f, unsigned n, size_t from, size_t len)
{
	uint8_t *bytes = repo_case_block(n, from + len);

	assert_int_equal(f->buf.len, len);
	assert_memory_equal(f->buf.data, bytes + from, len);
	free(bytes);
}

static int get(struct fixture *f, enum store_type type, const struct id *id)
{
	buf_reset(&f->buf);
	return store_get(f->store, type, id, 1 << 20, &f->buf, &f->err);
}

static int get_range(struct fixture *f, const struct id *id, uint64_t offset, size_t len)
{
	buf_reset(&f->buf);
	return store_get_range(f->store, STORE_DATA, id, offset, len, &f->buf, &f->err);
}

static uint64_t asked(struct fixture *f)
{
	return store_fault_calls(f->fault, FAULT_GET) + store_fault_calls(f->fault, FAULT_RANGE);
}

static void the_second_read_is_local(void **state)
{
	static const enum store_type types[] = {STORE_INDEX, STORE_SNAPSHOTS, STORE_KEYS};
	struct fixture *f = *state;
	struct id ids[3], pack = put_below(f, STORE_DATA, 9, 300000);
	struct stat st;

	for (unsigned i = 0; i < 3; i++)
		ids[i] = put_below(f, types[i], i, 5000 + i);
	for (int round = 0; round < 3; round++) {
		reopen(f, 0); /* as the next run of the program */
		read_config(f);
		for (unsigned i = 0; i < 3; i++) {
			MUST(get(f, types[i], &ids[i]), &f->err);
			assert_bytes(f, i, 0, 5000 + i);
		}
		MUST(get_range(f, &pack, 100, 4000), &f->err);
		assert_bytes(f, 9, 100, 4000);
		MUST(get_range(f, &pack, 4100, STORE_CACHE_RANGE_BYTES), &f->err);
		assert_bytes(f, 9, 4100, STORE_CACHE_RANGE_BYTES);
		assert_int_equal(asked(f), round == 0 ? 5 : 0);
	}
	assert_int_equal(sum(f).files, 5);
	assert_int_equal(stat(f->folder, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	/* A range of another length is another one, and a large one is not kept. */
	MUST(get_range(f, &pack, 100, 3999), &f->err);
	MUST(get_range(f, &pack, 0, STORE_CACHE_RANGE_BYTES + 1), &f->err);
	MUST(get_range(f, &pack, 0, STORE_CACHE_RANGE_BYTES + 1), &f->err);
	assert_int_equal(asked(f), 3);
	assert_int_equal(sum(f).files, 6);
	/* The limit of a get holds here, too. */
	buf_reset(&f->buf);
	MUST_FAIL(store_get(f->store, STORE_INDEX, &ids[0], 100, &f->buf, &f->err), ERR_LIMIT,
		  &f->err);
}

static void what_is_put_is_kept(void **state)
{
	struct fixture *f = *state;
	uint8_t *bytes = repo_case_block(1, 5000);
	struct id id;

	read_config(f);
	MUST(sha256_of(bytes, 5000, &id, &f->err), &f->err);
	MUST(store_put(f->store, STORE_INDEX, &id, bytes, 5000, &f->err), &f->err);
	MUST(get(f, STORE_INDEX, &id), &f->err);
	assert_bytes(f, 1, 0, 5000);
	assert_int_equal(asked(f), 0);
	MUST(store_remove(f->store, STORE_INDEX, &id, &f->err), &f->err);
	MUST_FAIL(get(f, STORE_INDEX, &id), ERR_MISSING, &f->err);
	free(bytes);
}

static void it_says_nothing_about_what_there_is(void **state)
{
	struct fixture *f = *state;
	struct id id = put_below(f, STORE_INDEX, 1, 5000);
	uint64_t size;

	read_config(f);
	MUST(get(f, STORE_INDEX, &id), &f->err);
	MUST(store_remove(f->c->inner, STORE_INDEX, &id, &f->err), &f->err);
	MUST_FAIL(store_size(f->store, STORE_INDEX, &id, &size, &f->err), ERR_MISSING, &f->err);
	assert_int_equal(repo_case_count(f->store, STORE_INDEX), 0);
	read_config(f);
	MUST(store_get(f->store, STORE_CONFIG, NULL, LIMIT_CONFIG_BYTES, &f->buf, &f->err),
	     &f->err);
	assert_int_equal(asked(f), 1); /* always */
}

/* Who puts what is there already wants to know what the store has: repo_put compares it (I1). */
static void what_exists_is_read_from_the_store(void **state)
{
	struct fixture *f = *state;
	uint8_t *bytes = repo_case_block(1, 5000);
	struct id id = put_below(f, STORE_INDEX, 1, 5000);

	read_config(f);
	MUST(get(f, STORE_INDEX, &id), &f->err);
	repo_case_flip(f->c->inner, STORE_INDEX, &id, 77, 1);
	MUST_FAIL(store_put(f->store, STORE_INDEX, &id, bytes, 5000, &f->err), ERR_EXISTS, &f->err);
	MUST(get(f, STORE_INDEX, &id), &f->err);
	assert_int_equal(f->buf.len, 5000);
	assert_memory_not_equal(f->buf.data, bytes, 5000);
	free(bytes);
}

/* Every file of the cache, changed in its middle, or cut. */
static void spoil(const struct fixture *f, bool cut)
{
	for (unsigned i = 0; i < 256; i++) {
		char name[8], path[4096];
		const struct dirent *e;
		char *folder;
		DIR *dir;

		(void)snprintf(name, sizeof(name), "%02x", i);
		folder = tmpdir_path(f->folder, name);
		dir = opendir(folder);
		while (dir && (e = readdir(dir))) {
			struct stat st;
			char byte;
			int fd;

			(void)snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
			if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
				continue;
			fd = open(path, O_RDWR | O_CLOEXEC);
			assert_true(fd >= 0);
			assert_int_equal(pread(fd, &byte, 1, st.st_size / 2), 1);
			byte ^= 1;
			assert_int_equal(pwrite(fd, &byte, 1, st.st_size / 2), 1);
			if (cut)
				assert_int_equal(ftruncate(fd, st.st_size / 3), 0);
			(void)close(fd);
		}
		if (dir)
			(void)closedir(dir);
		free(folder);
	}
}

static void rot_is_dropped_and_read_anew(void **state)
{
	struct fixture *f = *state;
	struct id id = put_below(f, STORE_SNAPSHOTS, 1, 5000);
	struct id pack = put_below(f, STORE_DATA, 9, 300000);

	for (int round = 0; round < 4; round++) {
		reopen(f, 0);
		read_config(f);
		MUST(get(f, STORE_SNAPSHOTS, &id), &f->err);
		assert_bytes(f, 1, 0, 5000);
		MUST(get_range(f, &pack, 7, 4000), &f->err);
		assert_bytes(f, 9, 7, 4000);
		assert_int_equal(asked(f), round == 3 ? 0 : 2);
		assert_int_equal(sum(f).files, 2);
		if (round < 2)
			spoil(f, round == 1);
	}
}

/* A server that sends other bytes once: what does not have its name is not kept; a range is, until somebody looks. */
static void garbled_answers_do_not_stay(void **state)
{
	struct fixture *f = *state;
	struct id id = put_below(f, STORE_INDEX, 1, 5000);
	struct id pack = put_below(f, STORE_DATA, 9, 300000);

	read_config(f);
	store_fault_arm(f->fault, &(struct store_fault_plan){
				      .kind = FAULT_FLIP, .at = 1, .ops = FAULT_OP(FAULT_GET)});
	MUST(get(f, STORE_INDEX, &id), &f->err);
	assert_int_equal(sum(f).files, 0);
	MUST(get(f, STORE_INDEX, &id), &f->err);
	assert_bytes(f, 1, 0, 5000);
	store_fault_arm(f->fault, &(struct store_fault_plan){
				      .kind = FAULT_FLIP, .at = 1, .ops = FAULT_OP(FAULT_RANGE)});
	MUST(get_range(f, &pack, 7, 4000), &f->err);
	MUST(get_range(f, &pack, 20000, 4000), &f->err);
	assert_true(store_distrust(f->store, STORE_DATA, &pack));
	MUST(get_range(f, &pack, 7, 4000), &f->err);
	assert_bytes(f, 9, 7, 4000);
	assert_int_equal(sum(f).files, 2);
	assert_true(store_distrust(f->store, STORE_DATA, &pack));
	assert_false(store_distrust(f->store, STORE_DATA, &pack)); /* nothing of it is here */
}

/* The same through a whole backup that is read back. */
static void a_reader_gets_over_a_garbled_range(void **state)
{
	static const struct repo_case_file files[] = {{"a", "hello", 5}, {"b", "world", 5}};
	struct fixture *f = *state;
	struct repo_credentials key = {0};

	struct id manifest = repo_case_backup(f->c, files, 2, 1000);

	key.keyfile = f->c->keyfile.data;
	key.keyfile_len = f->c->keyfile.len;
	for (uint64_t k = 1; k < 4; k++) {
		struct repo *repo = NULL;
		int r;

		reopen(f, 0);
		store_fault_arm(f->fault, &(struct store_fault_plan){.kind = FAULT_FLIP,
								     .at = k,
								     .ops = FAULT_OP(FAULT_RANGE)});
		MUST(repo_open(f->store, &key, &repo, &f->err), &f->err);
		f->store = NULL;
		r = repo_case_try_read(repo, &manifest, files, 2, &f->err);
		assert_true(store_fault_fired(f->fault));
		MUST(r, &f->err);
		repo_close(repo);
		/* The next k meets an empty cache. */
		int fd = open(f->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		assert_int_equal(store_cache_clear(fd), 0);
		(void)close(fd);
	}
	reopen(f, 0);
}

static void what_was_used_longest_ago_goes(void **state)
{
	struct fixture *f = *state;
	struct id old = put_below(f, STORE_INDEX, 1, 5000), ids[40];
	struct id pack = put_below(f, STORE_DATA, 9, 300000);
	struct store_cache_sum s;

	reopen(f, 100000);
	read_config(f);
	MUST(get(f, STORE_INDEX, &old), &f->err);
	for (unsigned i = 0; i < 10; i++)
		MUST(get_range(f, &pack, i, 8000), &f->err);
	for (unsigned i = 0; i < 40; i++) {
		ids[i] = put_below(f, STORE_SNAPSHOTS, 100 + i, 600);
		if (i < 8)
			MUST(get(f, STORE_SNAPSHOTS, &ids[i]), &f->err);
	}
	assert_true(sum(f).bytes > 100000);
	reopen(f, 100000); /* the sweep */
	s = sum(f);
	assert_true(s.bytes <= 100000);
	assert_true(s.files > 9);
	/* Ranges went, whole objects are all there. */
	read_config(f);
	MUST(get(f, STORE_INDEX, &old), &f->err);
	for (unsigned i = 0; i < 8; i++)
		MUST(get(f, STORE_SNAPSHOTS, &ids[i]), &f->err);
	assert_int_equal(asked(f), 0);
	/* By number, too, and what a killed process left. */
	int fd = open(f->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct timespec long_ago[2] = {{1000, 0}, {1000, 0}};
	int temp = openat(fd, "00", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (temp < 0) {
		assert_int_equal(mkdirat(fd, "00", 0700), 0);
		temp = openat(fd, "00", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	assert_true(temp >= 0);
	int left = openat(temp, ".tmp-0123456789abcdef", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(left >= 0);
	assert_int_equal(futimens(left, long_ago), 0);
	(void)close(left);
	store_cache_sweep(fd, UINT64_MAX, 10);
	assert_true(sum(f).files <= 10);
	assert_int_equal(faccessat(temp, ".tmp-0123456789abcdef", F_OK, 0), -1);
	(void)close(temp);
	(void)close(fd);
}

static char *cached(const struct fixture *f, const struct id *id)
{
	char hex[ID_HEX_CHARS + 1], below[ID_HEX_CHARS + 4];

	id_hex(id, hex);
	(void)snprintf(below, sizeof(below), "%.2s/%s", hex, hex);
	return tmpdir_path(f->folder, below);
}

/* Who may write here must neither hang the program nor lead it to other folders. */
static void pipes_and_links_are_no_cache(void **state)
{
	struct fixture *f = *state;
	struct id id = put_below(f, STORE_INDEX, 1, 5000);
	char *file = cached(f, &id), *elsewhere = tmpdir_path(f->dir, "elsewhere");
	char *planted, hex[ID_HEX_CHARS + 1];

	read_config(f);
	MUST(get(f, STORE_INDEX, &id), &f->err);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(mkfifo(file, 0600), 0);
	(void)alarm(20);
	MUST(get(f, STORE_INDEX, &id), &f->err);
	(void)alarm(0);
	/* A folder that is a link to another: nothing is read, written or removed there. */
	assert_int_equal(unlink(file), 0);
	*strrchr(file, '/') = '\0';
	assert_int_equal(rmdir(file), 0);
	assert_int_equal(mkdir(elsewhere, 0700), 0);
	assert_int_equal(symlink(elsewhere, file), 0);
	MUST(get(f, STORE_INDEX, &id), &f->err);
	id_hex(&id, hex);
	planted = tmpdir_path(elsewhere, hex);
	assert_int_equal(access(planted, F_OK), -1);
	int fd = open(planted, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	(void)close(fd);
	MUST(get(f, STORE_INDEX, &id), &f->err);
	assert_int_equal(access(planted, F_OK), 0);
	assert_string_not_equal(store_cache_note(f->store), "");
	free(planted);
	free(elsewhere);
	free(file);
}

/* A folder that is not there is no cache, and that is told. */
static void without_a_folder_it_goes_on(void **state)
{
	struct fixture *f = *state;
	struct id id = put_below(f, STORE_INDEX, 1, 5000);
	char *missing = tmpdir_path(f->dir, "not/there");

	store_free(f->store);
	MUST(store_fault_new(f->c->inner, &f->fault, &f->err), &f->err);
	MUST(store_cache_new(f->fault, missing, 0, &f->store, &f->err), &f->err);
	assert_string_equal(store_cache_note(f->store), "");
	read_config(f);
	MUST(get(f, STORE_INDEX, &id), &f->err);
	MUST(get(f, STORE_INDEX, &id), &f->err);
	assert_int_equal(asked(f), 2);
	assert_non_null(strstr(store_cache_note(f->store), missing));
	free(missing);
}

/* What cannot be written is read from the store each time; what is here already still serves. */
static void a_full_or_read_only_folder_still_serves(void **state)
{
	struct fixture *f = *state;
	struct id here = put_below(f, STORE_INDEX, 1, 5000), other;
	char name[8], *blocked;
	unsigned n = 2;
	int fd;

	do /* not in the folder of the first */
		other = put_below(f, STORE_SNAPSHOTS, n++, 5000);
	while (other.b[0] == here.b[0]);
	read_config(f);
	MUST(get(f, STORE_INDEX, &here), &f->err);
	(void)snprintf(name, sizeof(name), "%02x", other.b[0]);
	blocked = tmpdir_path(f->folder, name);
	fd = open(blocked, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	(void)close(fd);
	MUST(get(f, STORE_SNAPSHOTS, &other), &f->err);
	MUST(get(f, STORE_SNAPSHOTS, &other), &f->err);
	assert_bytes(f, n - 1, 0, 5000);
	assert_int_equal(asked(f), 3);
	assert_non_null(strstr(store_cache_note(f->store), "cannot be written"));
	MUST(get(f, STORE_INDEX, &here), &f->err);
	assert_int_equal(asked(f), 3);
	free(blocked);
}

/* Not before it is known whose objects they are. */
static void another_repository_is_another_folder(void **state)
{
	struct fixture *f = *state;
	struct id id = put_below(f, STORE_INDEX, 1, 5000);
	char *other = tmpdir_path(f->dir, "00000000000000000000000000000000");

	MUST(get(f, STORE_INDEX, &id), &f->err);
	MUST(get(f, STORE_INDEX, &id), &f->err);
	assert_int_equal(store_fault_calls(f->fault, FAULT_GET), 2);
	read_config(f);
	MUST(get(f, STORE_INDEX, &id), &f->err);
	assert_int_equal(sum(f).files, 1);
	free(other);
}

/* `nightjar cache` counts and removes these files, and nothing that lies beside them. */
static void cachedir_knows_them(void **state)
{
	struct fixture *f = *state;
	struct id id = put_below(f, STORE_INDEX, 1, 5000);
	struct cachedir_repo *repos = NULL;
	char *mine = tmpdir_path(f->folder, "mine");
	size_t count = 0;
	FILE *file;

	read_config(f);
	MUST(get(f, STORE_INDEX, &id), &f->err);
	MUST(cachedir_list(f->dir, &repos, &count, &f->err), &f->err);
	assert_int_equal(count, 1);
	assert_int_equal(repos[0].files, 1);
	assert_true(repos[0].bytes >= 5000);
	assert_true(time(NULL) - repos[0].used_at_s < 1000);
	file = fopen(mine, "w");
	assert_non_null(file);
	(void)fclose(file);
	MUST(cachedir_remove(f->dir, &repos[0], &f->err), &f->err);
	assert_int_equal(access(mine, F_OK), 0);
	assert_int_equal(sum(f).files, 0);
	assert_int_equal(unlink(mine), 0);
	MUST(cachedir_remove(f->dir, &repos[0], &f->err), &f->err);
	assert_int_equal(access(f->folder, F_OK), -1);
	free(mine);
	free(repos);
}

static void open_layer(struct store_fixture *s)
{
	struct store *inner = NULL;

	s->dir = tmpdir_make();
	MUST(store_mem_new(&inner, &s->err), &s->err);
	MUST(store_cache_new(inner, s->dir, 0, &s->store, &s->err), &s->err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    T(the_second_read_is_local),
	    T(what_is_put_is_kept),
	    T(it_says_nothing_about_what_there_is),
	    T(what_exists_is_read_from_the_store),
	    T(rot_is_dropped_and_read_anew),
	    T(garbled_answers_do_not_stay),
	    T(a_reader_gets_over_a_garbled_range),
	    T(what_was_used_longest_ago_goes),
	    T(without_a_folder_it_goes_on),
	    T(pipes_and_links_are_no_cache),
	    T(a_full_or_read_only_folder_still_serves),
	    T(another_repository_is_another_folder),
	    T(cachedir_knows_them),
	};
	const struct store_backend layer = {"cache", open_layer};
	int failed = cmocka_run_group_tests_name("cache", tests, NULL, NULL);

	return failed + store_suite_run(&layer);
}
