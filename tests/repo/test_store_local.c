/* The local store alone: what lies in the folder besides objects; modes, links, limits. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "repo/store.h"
#include "tests/support/local_case.h"
#include "tests/support/must.h"
#include "tests/support/tmpdir.h"

static char *path_of(struct local_case *f, enum store_type type, const struct id *id)
{
	char below[STORE_PATH_CHARS];

	store_path(type, id, below);
	return tmpdir_path(f->root, below);
}

static void make_file(const char *dir, const char *name)
{
	char *path = tmpdir_path(dir, name);
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fputs("theirs", file) >= 0, 1);
	assert_int_equal(fclose(file), 0);
	free(path);
}

static void make_dir(const char *dir, const char *name)
{
	char *path = tmpdir_path(dir, name);

	assert_int_equal(mkdir(path, 0700), 0);
	free(path);
}

static int count_name(void *arg, const struct id *name, uint64_t size_bytes, struct err *err)
{
	(void)name, (void)size_bytes, (void)err;
	++*(unsigned *)arg;
	return 0;
}

static void foreign_names_are_not_listed(void **state)
{
	static const char *const foreign[] = {
	    ".tmp-0123456789abcdef",
	    "README",
	    "aa01",
	    "AA01000000000000000000000000000000000000000000000000000000000000",
	    "aa010000000000000000000000000000000000000000000000000000000000000",
	    "bb01000000000000000000000000000000000000000000000000000000000000"};
	struct local_case *f = *state;
	char *dir = tmpdir_path(f->root, "data/aa"), *data = tmpdir_path(f->root, "data");
	char *keys = tmpdir_path(f->root, "keys");

	MUST(local_case_put(f), &f->err);
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
		make_file(dir, foreign[i]);
	make_dir(dir, "aa02000000000000000000000000000000000000000000000000000000000000");
	make_file(data, "aa03000000000000000000000000000000000000000000000000000000000000");
	make_dir(data, "zz");
	make_file(keys, ".tmp-0123456789abcdef");
	make_dir(keys, "aa");
	assert_int_equal(local_case_listed(f, STORE_DATA), 1);
	assert_int_equal(local_case_listed(f, STORE_KEYS), 0);
	free(dir);
	free(data);
	free(keys);
}

static void missing_folders_list_nothing_and_come_back(void **state)
{
	struct local_case *f = *state;
	const char *const gone[] = {"data", "keys", "index", "snapshots", "locks"};

	for (size_t i = 0; i < 5; i++) {
		char *path = tmpdir_path(f->root, gone[i]);

		assert_int_equal(rmdir(path), 0);
		free(path);
	}
	for (int t = STORE_CONFIG; t < STORE_TYPES; t++)
		assert_int_equal(local_case_listed(f, (enum store_type)t), 0);
	for (int t = STORE_KEYS; t < STORE_TYPES; t++)
		MUST(store_put(f->store, (enum store_type)t, &local_case_id, "x", 1, &f->err),
		     &f->err);
	for (int t = STORE_KEYS; t < STORE_TYPES; t++)
		assert_int_equal(local_case_listed(f, (enum store_type)t), 1);
}

static void put_does_not_make_the_root(void **state)
{
	struct local_case *f = *state;

	MUST_FAIL(local_case_put(f), ERR_MISSING, &f->err);
	MUST_FAIL(store_put(f->store, STORE_CONFIG, NULL, "", 0, &f->err), ERR_MISSING, &f->err);
	assert_int_equal(local_case_entries(f->dir, ""), 0);
}

static void assert_no_object(struct local_case *f)
{
	uint64_t size;

	buf_reset(&f->buf);
	MUST_FAIL(store_get(f->store, STORE_DATA, &local_case_id, 99, &f->buf, &f->err),
		  ERR_DAMAGED, &f->err);
	assert_non_null(strstr(f->err.text, f->root));
	MUST_FAIL(store_get_range(f->store, STORE_DATA, &local_case_id, 0, 1, &f->buf, &f->err),
		  ERR_DAMAGED, &f->err);
	MUST_FAIL(store_size(f->store, STORE_DATA, &local_case_id, &size, &f->err), ERR_DAMAGED,
		  &f->err);
	MUST_FAIL(local_case_put(f), ERR_EXISTS, &f->err);
	assert_int_equal(f->buf.len, 0);
	assert_int_equal(local_case_listed(f, STORE_DATA), 0);
}

static void links_in_place_of_objects_are_not_followed(void **state)
{
	struct local_case *f = *state;
	char *path = path_of(f, STORE_DATA, &local_case_id),
	     *secret = tmpdir_path(f->dir, "secret");
	struct stat st;

	make_dir(f->root, "data/aa");
	make_file(f->dir, "secret");
	assert_int_equal(symlink(secret, path), 0);
	assert_no_object(f);
	MUST(store_remove(f->store, STORE_DATA, &local_case_id, &f->err), &f->err);
	assert_int_equal(stat(secret, &st), 0);
	assert_int_equal(st.st_size, 6);

	assert_int_equal(symlink("nowhere", path), 0);
	assert_no_object(f);
	assert_int_equal(local_case_entries(f->dir, "nowhere"), 0);
	free(path);
	free(secret);
}

static void pipes_and_folders_in_place_of_objects_do_not_hang(void **state)
{
	struct local_case *f = *state;
	char *path = path_of(f, STORE_DATA, &local_case_id);

	make_dir(f->root, "data/aa");
	assert_int_equal(mkfifo(path, 0600), 0);
	alarm(20);
	assert_no_object(f);
	alarm(0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_no_object(f);
	MUST_FAIL(store_remove(f->store, STORE_DATA, &local_case_id, &f->err), ERR_IO, &f->err);
	free(path);
}

static void a_linked_root_and_linked_folders_work(void **state)
{
	struct local_case *f = *state;
	char *link = tmpdir_path(f->dir, "link///"), *data = tmpdir_path(f->root, "data");
	struct store *s = NULL;

	link[strlen(link) - 3] = '\0';
	assert_int_equal(symlink("repo", link), 0);
	make_dir(f->dir, "elsewhere");
	assert_int_equal(rmdir(data), 0);
	assert_int_equal(symlink("../elsewhere", data), 0);
	link[strlen(link)] = '/';
	MUST(store_local_open(link, &s, &f->err), &f->err);
	assert_string_equal(s->location + strlen(s->location) - 5, "/link");
	MUST(store_create(s, &f->err), &f->err);
	MUST(store_put(s, STORE_DATA, &local_case_id, local_case_text, LOCAL_CASE_BYTES, &f->err),
	     &f->err);
	local_case_assert_whole(f);
	assert_int_equal(local_case_listed(f, STORE_DATA), 1);
	store_free(s);
	free(link);
	free(data);
}

static mode_t mode_of(const char *dir, const char *below)
{
	char *path = tmpdir_path(dir, below);
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	free(path);
	return st.st_mode & 07777;
}

static void modes_are_private_whatever_the_umask(void **state)
{
	struct local_case *f = *state;
	mode_t old = umask(0);
	char below[STORE_PATH_CHARS];

	MUST(store_create(f->store, &f->err), &f->err);
	MUST(local_case_put(f), &f->err);
	MUST(store_put(f->store, STORE_CONFIG, NULL, "c", 1, &f->err), &f->err);
	(void)umask(old);
	store_path(STORE_DATA, &local_case_id, below);
	assert_int_equal(mode_of(f->root, below), 0400);
	assert_int_equal(mode_of(f->root, "config"), 0400);
	assert_int_equal(mode_of(f->root, "."), 0700);
	assert_int_equal(mode_of(f->root, "data"), 0700);
	assert_int_equal(mode_of(f->root, "data/aa"), 0700);
	assert_int_equal(mode_of(f->root, "locks"), 0700);
}

/* Runs as an ordinary user from here to `as_before`, where that makes a difference. */
static void as_nobody(void)
{
	if (getuid() == 0)
		assert_int_equal(seteuid(65534), 0);
}

static void as_before(void)
{
	assert_int_equal(seteuid(getuid()), 0);
}

static void a_closed_folder_is_an_error_that_names_it(void **state)
{
	struct local_case *f = *state;

	MUST(local_case_put(f), &f->err);
	assert_int_equal(chmod(f->root, 0), 0);
	as_nobody();
	MUST_FAIL(store_get(f->store, STORE_DATA, &local_case_id, 99, &f->buf, &f->err), ERR_IO,
		  &f->err);
	assert_int_equal(f->err.sys_errno, EACCES);
	assert_non_null(strstr(f->err.text, f->root));
	MUST_FAIL(store_list(f->store, STORE_DATA, count_name, NULL, &f->err), ERR_IO, &f->err);
	MUST_FAIL(store_remove(f->store, STORE_DATA, &local_case_id, &f->err), ERR_IO, &f->err);
	as_before();
	assert_int_equal(chmod(f->root, 0700), 0);
}

/* As little as a lack of memory does: who looks for damage must not find any. */
static void no_descriptor_left_says_nothing_of_an_object(void **state)
{
	struct local_case *f = *state;
	struct rlimit before, none;
	struct err bare = {0};
	int got, listed;

	MUST(local_case_put(f), &f->err);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){0, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	got = store_get(f->store, STORE_DATA, &local_case_id, 99, &f->buf, &f->err);
	listed = store_list(f->store, STORE_DATA, count_name, NULL, &bare);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(got, -ERR_NOMEM);
	assert_int_equal(f->err.sys_errno, EMFILE);
	assert_int_equal(listed, -ERR_NOMEM);
}

static void create_works_below_a_folder_it_may_not_read(void **state)
{
	struct local_case *f = *state;

	if (getuid() != 0) {
		print_message("needs root: a folder below one that somebody else closed\n");
		skip();
	}
	assert_int_equal(mkdir(f->root, 0700), 0);
	assert_int_equal(chown(f->root, 65534, 65534), 0);
	assert_int_equal(chmod(f->dir, 0711), 0);
	as_nobody();
	MUST(store_create(f->store, &f->err), &f->err);
	MUST(local_case_put(f), &f->err);
	assert_int_equal(f->err.code, 0);
	as_before();
}

static void create_refuses_a_folder_in_use(void **state)
{
	struct local_case *f = *state;

	assert_int_equal(mkdir(f->root, 0700), 0);
	make_file(f->root, "thesis.txt");
	make_dir(f->root, "data");
	MUST_FAIL(store_create(f->store, &f->err), ERR_EXISTS, &f->err);
	assert_non_null(strstr(f->err.text, "thesis.txt"));
	assert_int_equal(local_case_entries(f->root, ""), 2);
}

static void create_accepts_what_a_killed_one_left(void **state)
{
	struct local_case *f = *state;

	assert_int_equal(mkdir(f->root, 0755), 0);
	make_dir(f->root, "lost+found");
	make_dir(f->root, "keys");
	make_file(f->root, "keys/.tmp-0123456789abcdef");
	make_file(f->root, ".tmp-0123456789abcdef");
	MUST(store_create(f->store, &f->err), &f->err);
	MUST(local_case_put(f), &f->err);
}

static void age(const char *path, int64_t by_s)
{
	struct timespec times[2] = {{0}};

	(void)clock_gettime(CLOCK_REALTIME, &times[0]);
	times[0].tv_sec -= by_s;
	times[1] = times[0];
	assert_int_equal(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

/* Only what has our temporary name, is a file, and is old enough to be nobody's who is still writing. */
static void sweep_takes_what_is_old(void **state)
{
	static const struct {
		const char *name;
		int64_t age_s;
		bool goes;
	} files[] = {
	    {".tmp-0123456789abcdef", 7300, true},
	    {"data/.tmp-00000000000000aa", 7300, true},
	    {"data/aa/.tmp-0123456789abcdef", 7300, true},
	    {"data/aa/.tmp-0123456789abcdee", 7000, false},
	    {"locks/.tmp-ffffffffffffffff", -7300, false},
	    {"keys/.tmp-0123456789ABCDEF", 7300, false},
	    {"keys/.tmp-0123456789abcde", 7300, false},
	    {"keys/.tmp-0123456789abcdeff", 7300, false},
	    {"snapshots/README", 7300, false},
	};
	struct local_case *f = *state;
	struct store_leftovers left = {0};
	char *link = tmpdir_path(f->root, "index/.tmp-0123456789abcdef");

	MUST(local_case_put(f), &f->err);
	assert_int_equal(symlink("/etc/passwd", link), 0);
	age(link, 7300);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char *path = tmpdir_path(f->root, files[i].name);

		make_file(f->root, files[i].name);
		age(path, files[i].age_s);
		free(path);
	}
	for (int dry_run = 1; dry_run >= 0; dry_run--) {
		left = (struct store_leftovers){0};
		MUST(store_sweep(f->store, 7200, dry_run, &left, &f->err), &f->err);
		assert_int_equal(left.files, 3);
	}
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char *path = tmpdir_path(f->root, files[i].name);

		assert_int_equal(access(path, F_OK) != 0, files[i].goes);
		free(path);
	}
	assert_int_equal(readlink(link, (char[2]){0}, 2), 2);
	free(link);
	assert_int_equal(local_case_listed(f, STORE_DATA), 1);
	MUST(store_sweep(f->store, 0, false, &left, &f->err), &f->err);
	assert_int_equal(left.files, 4);
}

static void create_needs_a_parent_and_folders(void **state)
{
	struct local_case *f = *state;
	char *deep = tmpdir_path(f->dir, "not-mounted/repo");
	struct store *s = NULL;

	MUST(store_local_open(deep, &s, &f->err), &f->err);
	MUST_FAIL(store_create(s, &f->err), ERR_MISSING, &f->err);
	assert_non_null(strstr(f->err.text, "not mounted?"));
	assert_int_equal(local_case_entries(f->dir, ""), 0);
	store_free(s);
	free(deep);

	make_file(f->dir, "repo");
	MUST_FAIL(store_create(f->store, &f->err), ERR_IO, &f->err);
	assert_int_equal(f->err.sys_errno, ENOTDIR);
}

static void a_path_that_is_too_long_is_refused(void **state)
{
	char path[5000];
	struct store *s = NULL;
	struct err err = {0};

	(void)state;
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	MUST_FAIL(store_local_open(path, &s, &err), ERR_USAGE, &err);
	MUST_FAIL(store_local_open("", &s, &err), ERR_USAGE, &err);
}

static struct id numbered(unsigned n)
{
	struct id id = {{0}};

	memcpy(id.b, &n, sizeof(n));
	return id;
}

/* Packs are kept open, but not all of them, and what is done to them shows. */
static void parts_of_many_packs_are_read_again_and_again(void **state)
{
	struct local_case *f = *state;
	const unsigned packs = 150;
	char *path;
	struct id id;

	for (unsigned n = 0; n < packs; n++) {
		id = numbered(n);
		MUST(store_put(f->store, STORE_DATA, &id, &n, sizeof(n), &f->err), &f->err);
	}
	for (unsigned n = 0; n < 3 * packs; n++) {
		unsigned which = n * 7 % packs;

		id = numbered(which);
		buf_reset(&f->buf);
		MUST(store_get_range(f->store, STORE_DATA, &id, 0, sizeof(n), &f->buf, &f->err),
		     &f->err);
		assert_memory_equal(f->buf.data, &which, sizeof(which));
	}
	path = path_of(f, STORE_DATA, &id);
	assert_int_equal(truncate(path, 2), 0);
	MUST_FAIL(store_get_range(f->store, STORE_DATA, &id, 0, 4, &f->buf, &f->err), ERR_DAMAGED,
		  &f->err);
	free(path);
	id = numbered(0);
	MUST(store_get_range(f->store, STORE_DATA, &id, 0, 1, &f->buf, &f->err), &f->err);
	MUST(store_remove(f->store, STORE_DATA, &id, &f->err), &f->err);
	MUST_FAIL(store_get_range(f->store, STORE_DATA, &id, 0, 1, &f->buf, &f->err), ERR_MISSING,
		  &f->err);
	assert_true(local_case_entries("/proc/self/fd", "") < 100);
}

static void a_file_size_limit_is_full(void **state)
{
	struct local_case *f = *state;
	void (*old)(int) = signal(SIGXFSZ, SIG_IGN);
	struct rlimit before, small;
	char *bytes = calloc(1, 100000);
	int rc;

	assert_non_null(bytes);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = before;
	small.rlim_cur = 65536;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	rc = store_put(f->store, STORE_DATA, &local_case_id, bytes, 100000, &f->err);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	(void)signal(SIGXFSZ, old);
	free(bytes);
	MUST_FAIL(rc, ERR_FULL, &f->err);
	assert_non_null(strstr(f->err.text, f->root));
	assert_int_equal(local_case_temps(f), 0);
	assert_int_equal(local_case_listed(f, STORE_DATA), 0);
	MUST(local_case_put(f), &f->err);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, local_case_setup, local_case_teardown)
#define BARE(test) cmocka_unit_test_setup_teardown(test, local_case_setup_bare, local_case_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH(foreign_names_are_not_listed),
	    WITH(missing_folders_list_nothing_and_come_back),
	    BARE(put_does_not_make_the_root),
	    WITH(links_in_place_of_objects_are_not_followed),
	    WITH(pipes_and_folders_in_place_of_objects_do_not_hang),
	    WITH(a_linked_root_and_linked_folders_work),
	    BARE(modes_are_private_whatever_the_umask),
	    WITH(a_closed_folder_is_an_error_that_names_it),
	    WITH(no_descriptor_left_says_nothing_of_an_object),
	    BARE(create_works_below_a_folder_it_may_not_read),
	    BARE(create_refuses_a_folder_in_use),
	    BARE(create_accepts_what_a_killed_one_left),
	    BARE(create_needs_a_parent_and_folders),
	    WITH(sweep_takes_what_is_old),
	    cmocka_unit_test(a_path_that_is_too_long_is_refused),
	    WITH(parts_of_many_packs_are_read_again_and_again),
	    WITH(a_file_size_limit_is_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
