/* A database that did not change, when the cache, the repository or a manifest is not what it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>

#include "tests/support/must.h"
#include "tests/support/quiet_box.h"

static void test_a_lost_cache(void **state)
{
	struct quiet_box *f = *state;

	kit_make(f->kit.db, QUIET_BOX_ROWS);
	quiet_box_settle(f);
	f->cache = f->kit.dir;
	assert_false(quiet_box_recognised(f));
	assert_true(quiet_box_recognised(f));
	f->cache = f->kit.cache; /* knows it still */
	assert_true(quiet_box_recognised(f));
}

struct names {
	struct id ids[256];
	uint64_t bytes[256];
	size_t count;
};

static int add_name(void *arg, const struct id *name, uint64_t bytes, struct err *err)
{
	struct names *n = arg;

	(void)err;
	assert_true(n->count < 256);
	n->bytes[n->count] = bytes;
	n->ids[n->count++] = *name;
	return 0;
}

static size_t lose_large_packs(struct quiet_box *f, uint64_t bytes)
{
	struct names packs = {0};
	size_t lost = 0;

	MUST(store_list(f->c->inner, STORE_DATA, add_name, &packs, &f->c->err), &f->c->err);
	for (size_t i = 0; i < packs.count; i++) {
		if (packs.bytes[i] < bytes)
			continue;
		MUST(store_remove(f->c->inner, STORE_DATA, &packs.ids[i], &f->c->err), &f->c->err);
		lost++;
	}
	return lost;
}

static void test_a_lost_base(void **state)
{
	struct quiet_box *f = *state;

	kit_make(f->kit.db, QUIET_BOX_ROWS);
	quiet_box_night(f);
	kit_make(f->kit.db, "UPDATE t SET b = randomblob(100) WHERE a = 9");
	quiet_box_night(f); /* deltas, on chunks of the first night's pack */
	assert_true(quiet_box_recognised(f));
	assert_int_equal(lose_large_packs(f, 200000), 1);
	assert_false(quiet_box_recognised(f));
	assert_true(quiet_box_recognised(f));
}

/* The chunk list is there, and whole; only chunks that it names are not. */
static void test_a_lost_chunk(void **state)
{
	struct quiet_box *f = *state;

	kit_make(f->kit.db,
		 QUIET_BOX_ROWS "INSERT INTO t SELECT 10000 + a, randomblob(100000) FROM t "
				"WHERE a <= 200");
	quiet_box_settle(f);
	assert_int_equal(lose_large_packs(f, 12 << 20), 1);
	assert_false(quiet_box_recognised(f));
	assert_true(quiet_box_recognised(f));
}

/* A manifest that says the right hash and leads elsewhere is not what this host stored. */
static void test_a_manifest_that_lies(void **state)
{
	struct quiet_box *f = *state;
	struct manifest_list list = {0}, other = {0};
	struct err *err = &f->c->err;
	struct manifest *m;
	struct id name;
	uint64_t bytes;

	kit_make(f->kit.db, QUIET_BOX_ROWS);
	quiet_box_night(f);
	kit_make(f->kit.db, "UPDATE t SET b = randomblob(100) WHERE a = 9");
	quiet_box_night(f);
	MUST(manifests_load(f->c->repo, NULL, NULL, &list, err), err);
	MUST(manifests_load(f->c->repo, NULL, NULL, &other, err), err);
	m = &other.items[1].m;
	m->root = list.items[0].m.root;
	m->time_ns = f->now_ns - QUIET_BOX_HOUR;
	free(m->parents);
	free(m->seen);
	m->parents = NULL;
	m->seen = NULL;
	m->parent_count = m->seen_count = 0;
	MUST(manifests_succeed(f->c->repo, &list, m, err), err);
	MUST(manifests_put(f->c->repo, m, &name, &bytes, err), err);
	manifest_list_free(&list);
	manifest_list_free(&other);
	assert_false(quiet_box_recognised(f));
	assert_true(quiet_box_recognised(f));
}

/* What is broken is told each night. */
static void test_a_failed_check_is_made_again(void **state)
{
	struct quiet_box *f = *state;
	uint8_t junk[4096];
	int fd;

	kit_make(f->kit.db, QUIET_BOX_ROWS);
	memset(junk, 0xff, sizeof(junk));
	fd = open(f->kit.db, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, junk, sizeof(junk), 20 * 4096), sizeof(junk));
	assert_int_equal(close(fd), 0);
	for (unsigned n = 0; n < 3; n++) {
		quiet_box_night(f);
		assert_int_equal(f->result.databases_failed, 1);
		assert_int_equal(f->told, 0);
	}
}

/* Its chunks stay at hand for the night on which it does change. */
static void test_the_chunk_cache_keeps_it(void **state)
{
	struct quiet_box *f = *state;
	uint64_t with, without;

	kit_make(f->kit.db, QUIET_BOX_ROWS);
	quiet_box_settle(f);
	assert_true(quiet_box_recognised(f));
	kit_make(f->kit.db, "UPDATE t SET b = randomblob(100) WHERE a = 9");
	f->dry_run = true;
	quiet_box_night(f);
	with = store_fault_calls(f->c->fault, FAULT_RANGE);
	f->cache = f->kit.dir;
	quiet_box_night(f);
	without = store_fault_calls(f->c->fault, FAULT_RANGE);
	assert_true(with < without);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_a_lost_cache, quiet_box_setup, quiet_box_teardown),
	    cmocka_unit_test_setup_teardown(test_a_lost_base, quiet_box_setup, quiet_box_teardown),
	    cmocka_unit_test_setup_teardown(test_a_lost_chunk, quiet_box_setup, quiet_box_teardown),
	    cmocka_unit_test_setup_teardown(test_a_manifest_that_lies, quiet_box_setup,
					    quiet_box_teardown),
	    cmocka_unit_test_setup_teardown(test_a_failed_check_is_made_again, quiet_box_setup,
					    quiet_box_teardown),
	    cmocka_unit_test_setup_teardown(test_the_chunk_cache_keeps_it, quiet_box_setup,
					    quiet_box_teardown),
	};

	return cmocka_run_group_tests_name("backup_unchanged_lost", tests, NULL, NULL);
}
