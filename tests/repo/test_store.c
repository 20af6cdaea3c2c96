/* The promises of repo/store.h over the backends that need no server, and what they promise beside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "repo/store.h"
#include "tests/support/must.h"
#include "tests/support/store_fault.h"
#include "tests/support/store_suite.h"
#include "tests/support/tmpdir.h"

static void open_local(struct store_fixture *f)
{
	char *root;

	f->dir = tmpdir_make();
	root = tmpdir_path(f->dir, "repo");
	MUST(store_local_open(root, &f->store, &f->err), &f->err);
	free(root);
}

static void open_mem(struct store_fixture *f)
{
	MUST(store_mem_new(&f->store, &f->err), &f->err);
}

static void open_fault(struct store_fixture *f)
{
	MUST(store_mem_new(&f->below, &f->err), &f->err);
	MUST(store_fault_new(f->below, &f->store, &f->err), &f->err);
}

static const struct store_backend backends[] = {
    {"local", open_local}, {"mem", open_mem}, {"fault", open_fault}};

static struct id id_of(unsigned first, unsigned rest)
{
	struct id id;

	memset(id.b, (int)rest, sizeof(id.b));
	id.b[0] = (uint8_t)first;
	return id;
}

static void a_clock_in_memory_is_set(void **state)
{
	struct store *mem = NULL, *fault = NULL;
	struct err err = {0};
	int64_t now = -1;

	(void)state;
	MUST(store_mem_new(&mem, &err), &err);
	MUST(store_fault_new(mem, &fault, &err), &err);
	store_mem_set_now(mem, 1700000000);
	MUST(store_now(fault, &now, &err), &err);
	assert_int_equal(now, 1700000000);
	store_free(fault);
	store_free(mem);
}

/* A local store's is that of its disk. */
static void a_local_clock_is_the_disks(void **state)
{
	struct store_fixture f = {0};
	struct timespec before, after;
	int64_t now = -1;

	(void)state;
	open_local(&f);
	MUST_FAIL(store_now(f.store, &now, &f.err), ERR_MISSING, &f.err);
	MUST(store_create(f.store, &f.err), &f.err);
	(void)clock_gettime(CLOCK_REALTIME_COARSE, &before);
	MUST(store_now(f.store, &now, &f.err), &f.err);
	(void)clock_gettime(CLOCK_REALTIME, &after);
	assert_true(now >= before.tv_sec - 1 && now <= after.tv_sec);
	store_free(f.store);
	tmpdir_remove(f.dir);
}
static void paths_are_those_of_the_format(void **state)
{
	static const char hex[] = "3f0808080808080808080808080808080808080808080808080808080808"
				  "0808";
	struct id id = id_of(0x3f, 8);
	char path[STORE_PATH_CHARS], want[STORE_PATH_CHARS];

	(void)state;
	store_path(STORE_CONFIG, NULL, path);
	assert_string_equal(path, "config");
	store_path(STORE_DATA, &id, path);
	(void)snprintf(want, sizeof(want), "data/3f/%s", hex);
	assert_string_equal(path, want);
	for (int t = STORE_KEYS; t < STORE_TYPES; t++) {
		if (t == STORE_DATA)
			continue;
		store_path((enum store_type)t, &id, path);
		(void)snprintf(want, sizeof(want), "%s/%s", store_type_name((enum store_type)t),
			       hex);
		assert_string_equal(path, want);
	}
}

static void open_knows_its_backends(void **state)
{
	static const char *const refused[] = {"", "s3:", "rest:h/r", "ssh:host", ":", "S3:x"};
	struct store *s = NULL;
	struct err err = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		MUST_FAIL(store_open(refused[i], NULL, &s, &err), ERR_USAGE, &err);
	MUST_FAIL(store_open("backup:2", NULL, &s, &err), ERR_USAGE, &err);
	assert_non_null(strstr(err.text, "./backup:"));
	MUST_FAIL(store_open("ftp:me:hush@host", NULL, &s, &err), ERR_USAGE, &err);
	assert_null(strstr(err.text, "hush"));
	MUST_FAIL(store_open("rest:http://me:hush%@host/", NULL, &s, &err), ERR_USAGE, &err);
	assert_null(strstr(err.text, "hush"));
	assert_null(s);
}

static void open_takes_paths_and_touches_nothing(void **state)
{
	static const char *const fine[] = {"/no/such/folder", "no-such-folder", "./s3:x", "a/b:c"};
	struct err err = {0};
	struct buf buf = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
		struct store *s = NULL;

		MUST(store_open(fine[i], NULL, &s, &err), &err);
		assert_string_equal(s->location, fine[i]);
		MUST_FAIL(store_get(s, STORE_CONFIG, NULL, 9, &buf, &err), ERR_MISSING, &err);
		store_free(s);
	}
	store_free(NULL);
}

int main(void)
{
	const struct CMUnitTest names[] = {
	    cmocka_unit_test(paths_are_those_of_the_format),
	    cmocka_unit_test(open_knows_its_backends),
	    cmocka_unit_test(open_takes_paths_and_touches_nothing),
	    cmocka_unit_test(a_clock_in_memory_is_set),
	    cmocka_unit_test(a_local_clock_is_the_disks),
	};
	int failed = cmocka_run_group_tests_name("names", names, NULL, NULL);

	for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++)
		failed += store_suite_run(&backends[i]);
	return failed != 0;
}
