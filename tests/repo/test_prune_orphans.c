/* prune: packs of backups that did not end (R9): they may belong to one that still runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/attacker.h"
#include "tests/support/must.h"
#include "tests/support/prunebox.h"

static int interrupt(struct prunebox *b)
{
	(void)b;
	return 1;
}

static void test_orphans(void **state)
{
	struct prunebox *b = *state;
	size_t packs;

	prunebox_attach(b, "a", 1, PRUNEBOX_LARGE);
	prunebox_night(b);
	prunebox_attach(b, "b", 2, PRUNEBOX_LARGE);
	b->meanwhile = interrupt;
	assert_int_equal(prunebox_try_night(b), -ERR_CANCELLED);
	packs = prunebox_count(b, STORE_DATA);
	assert_int_equal(packs, 2);
	prunebox_prune(b);
	assert_int_equal(b->result.watched.packs, 1);
	assert_int_equal(b->result.condemned.packs, 0);
	prunebox_pass(b, 14 * PRUNEBOX_DAY - 1);
	prunebox_prune(b);
	assert_int_equal(b->result.watched.packs, 1);
	assert_int_equal(b->result.condemned.packs, 0);
	assert_int_equal(prunebox_count(b, STORE_LOCKS), 1);
	prunebox_pass(b, 1);
	prunebox_prune(b);
	assert_int_equal(b->result.watched.packs, 0);
	assert_int_equal(b->result.condemned.packs, 1);
	prunebox_pass(b, PRUNEBOX_GRACE);
	prunebox_prune(b);
	assert_int_equal(b->result.deleted.packs, 1);
	assert_int_equal(prunebox_count(b, STORE_LOCKS), 0);
	prunebox_assert_clean(b, b->c->repo, true);
	prunebox_assert_restores(b);
}

/* The next backup goes on from there, condemned they are not. */
static void test_orphans_are_used(void **state)
{
	struct prunebox *b = *state;

	prunebox_attach(b, "a", 1, PRUNEBOX_LARGE);
	prunebox_night(b);
	prunebox_attach(b, "b", 2, PRUNEBOX_LARGE);
	b->meanwhile = interrupt;
	assert_int_equal(prunebox_try_night(b), -ERR_CANCELLED);
	prunebox_prune(b);
	prunebox_night(b);
	assert_true(b->backup.bytes_added < PRUNEBOX_LARGE);
	prunebox_prune(b);
	assert_int_equal(b->result.watched.packs, 0);
	assert_int_equal(prunebox_count(b, STORE_LOCKS), 0);
	prunebox_assert_restores(b);
}

/* What a second host has uploaded of its first backup, so far. */
static void upload(struct attacker *a, bool named)
{
	static const uint8_t bytes[400] = {1};
	struct attacker_record record;
	struct indexseg_pack pack;
	struct id id;

	MUST(record_id(keys_domain(a->repo->keys, 0, a->err), CHUNK_DATA, bytes, sizeof(bytes), &id,
		       a->err),
	     a->err);
	record = attacker_raw(CHUNK_DATA, &id, bytes, sizeof(bytes));
	pack = attacker_pack(a, &record, 1, 1);
	if (named)
		(void)attacker_segment(a, &pack, 1);
	pack_dir_free(&pack.dir);
}

/* That another has come to that number long ago says nothing of it. */
static void test_numbers_are_of_one_writer(void **state)
{
	struct prunebox *b = *state;
	struct attacker *a;

	prunebox_nights(b, 3);
	a = attacker_new(b->c, "second", 0);
	upload(a, true);
	prunebox_prune(b);
	assert_int_equal(b->result.watched.packs, 1);
	assert_int_equal(b->result.condemned.packs, 0);
	attacker_free(a);
}

/* Its backup has ended, as a manifest shows: then nobody needs what it left; but a pack that no segment names may be of a repair that runs now. */
static void ends(struct prunebox *b, bool named)
{
	struct manifest_list list = {0};
	struct attacker *a;

	prunebox_night(b);
	a = attacker_new(b->c, "second", 0);
	MUST(manifests_load(b->c->repo, NULL, NULL, &list, b->err), b->err);
	(void)attacker_manifest(a, "second", "/src", b->now_s * 1000000000, 1,
				&list.items[0].m.root);
	manifest_list_free(&list);
	upload(a, named);
	prunebox_prune(b);
	assert_int_equal(b->result.watched.packs, !named);
	assert_int_equal(b->result.condemned.packs, named);
	attacker_free(a);
}

static void test_left_by_one_that_ended(void **state)
{
	ends(*state, true);
}

static void test_named_by_no_segment(void **state)
{
	ends(*state, false);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, prunebox_setup, prunebox_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_orphans),
	    CASE(test_orphans_are_used),
	    CASE(test_numbers_are_of_one_writer),
	    CASE(test_left_by_one_that_ended),
	    CASE(test_named_by_no_segment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
