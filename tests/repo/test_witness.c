/* witness: what the command line does not reach: listings that are not of one moment, and a state that is not ours to write. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "repo/statefile.h"
#include "repo/witness.h"
#include "tests/support/bytes.h"
#include "tests/support/witness_box.h"

/* --- listings --- */

/* A listing that misses half is not believed at once, nor does it make anybody forget what was seen. */
static void test_torn_listing(void **state)
{
	struct witness_box *b = *state;
	const struct store_fault_plan torn = {.kind = FAULT_TEAR,
					      .at = 1,
					      .ops = FAULT_OP(FAULT_LIST),
					      .types = FAULT_TYPE(STORE_SNAPSHOTS)};

	for (int i = 0; i < 4; i++)
		(void)witness_box_backup(b);
	witness_box_again(b, false);
	store_fault_arm(b->c->fault, &torn);
	assert_int_equal(witness_box_look(b), 0);
	assert_true(store_fault_fired(b->c->fault));
	assert_int_equal(b->told.looks, 0);
	assert_int_equal(witness_box_kept(b, SIGHTING_SEEN), 4);
}

/* Another process backs up while this one lists. */
static void test_older_listing(void **state)
{
	struct witness_box *b = *state;
	struct manifest_list list = {0};
	struct id *names = NULL;
	size_t count = 0;
	struct witness *w;

	(void)witness_box_backup(b);
	assert_int_equal(witness_box_look(b), 0);
	assert_int_equal(witness_begin(b->c->repo, &b->c->err), 0);
	w = b->c->repo->witness;
	b->c->repo->witness = NULL;
	assert_int_equal(
	    repo_list(b->c->repo->store, STORE_SNAPSHOTS, &names, NULL, &count, &b->c->err), 0);
	assert_int_equal(manifests_load(b->c->repo, NULL, NULL, &list, &b->c->err), 0);
	b->c->repo->witness = w;
	witness_made(b->c->repo, &list.items[0].m, &(struct id){{7}});
	assert_int_equal(witness_look(b->c->repo, &list, names, count, &b->c->err), 0);
	assert_int_equal(witness_findings(b->c->repo), 0);
	assert_int_equal(witness_box_kept(b, SIGHTING_SEEN), 2);
	/* The next look has seen that it should be there. */
	assert_int_equal(witness_box_look(b), 1);
	assert_int_equal(b->told.of[WITNESS_MANIFEST], 1);
	assert_int_equal(witness_box_look(b), 1); /* told once */
	assert_int_equal(b->told.of[WITNESS_MANIFEST], 1);
	manifest_list_free(&list);
	free(names);
}

/* What is there now, as a listing before saw it. */
static void list_without(struct witness_box *b, struct manifest_list *list)
{
	struct witness *w = b->c->repo->witness;

	b->c->repo->witness = NULL;
	assert_int_equal(manifests_load(b->c->repo, NULL, NULL, list, &b->c->err), 0);
	b->c->repo->witness = w;
}

/* This host is not told. */
static void publish_elsewhere(struct witness_box *b, struct retire_entry *entry)
{
	const struct retires none = {0};
	struct witness *w = b->c->repo->witness;

	b->c->repo->witness = NULL;
	assert_int_equal(retires_put(b->c->repo, &none, entry, 1, 1, &b->c->err), 0);
	b->c->repo->witness = w;
}

/* A forget elsewhere publishes its record behind the listing and removes the manifest before it. */
static void test_forget_in_between(void **state)
{
	struct witness_box *b = *state;
	struct manifest_list list = {0};
	struct retire_entry entry = {.sequence = 1};
	struct id *names = NULL, first = witness_box_backup(b);
	size_t count = 0;

	(void)witness_box_backup(b);
	(void)witness_box_backup(b);
	assert_int_equal(witness_box_look(b), 0);
	assert_int_equal(store_remove(b->c->inner, STORE_SNAPSHOTS, &first, &b->c->err), 0);
	witness_box_again(b, false);
	assert_int_equal(witness_begin(b->c->repo, &b->c->err), 0);
	assert_int_equal(repo_list(b->c->inner, STORE_SNAPSHOTS, &names, NULL, &count, &b->c->err),
			 0);
	list_without(b, &list);
	entry.name = first;
	memcpy(entry.writer, b->c->repo->keys->writer_pub, sizeof(entry.writer));
	publish_elsewhere(b, &entry);
	assert_int_equal(count, 2);
	assert_int_equal(witness_look(b->c->repo, &list, names, count, &b->c->err), 0);
	assert_int_equal(witness_findings(b->c->repo), 0);
	assert_int_equal(b->told.looks, 0);
	assert_int_equal(witness_box_look(b), 0);
	manifest_list_free(&list);
	free(names);
}

/* Who takes what vanished as it is does not thereby take what another process makes at the same time. */
static void test_made_while_accepting(void **state)
{
	struct witness_box *b = *state;
	struct manifest_list list = {0};
	struct id first = witness_box_backup(b);

	assert_int_equal(witness_box_look(b), 0);
	witness_box_again(b, true);
	assert_int_equal(witness_begin(b->c->repo, &b->c->err), 0);
	list_without(b, &list);
	witness_made(b->c->repo, &list.items[0].m, &(struct id){{7}});
	assert_int_equal(witness_look(b->c->repo, &list, &first, 1, &b->c->err), 0);
	assert_int_equal(witness_box_kept(b, SIGHTING_SEEN), 2);
	witness_box_again(b, false);
	assert_int_equal(witness_box_look(b), 1);
	manifest_list_free(&list);
}

/* That the last retire records are gone is said again until it is accepted. */
static void test_records_gone(void **state)
{
	struct witness_box *b = *state;
	struct sightings s;

	(void)witness_box_backup(b);
	s = witness_box_seen(b);
	s.retire_number = 5;
	witness_box_keep(b, &s);
	sightings_free(&s);
	for (int i = 0; i < 2; i++) {
		witness_box_again(b, false);
		assert_int_equal(witness_box_look(b), 1);
		assert_int_equal(b->told.of[WITNESS_RECORDS], 1);
	}
	witness_box_again(b, true);
	assert_int_equal(witness_box_look(b), 0);
	witness_box_again(b, false);
	assert_int_equal(witness_box_look(b), 0);
}

/* --- state --- */

static void test_newer_state_stays(void **state)
{
	struct witness_box *b = *state;
	const char newer[] = "njseen\2\0 made by a version to come";
	struct buf bytes = {0};

	(void)witness_box_backup(b);
	assert_int_equal(statefile_write(b->state, b->c->repo->conf.repo, WITNESS_BOX_SEEN, newer,
					 sizeof(newer) - 1, &b->c->err),
			 0);
	assert_int_equal(witness_box_look(b), 0);
	assert_int_equal(b->told.warnings, 1);
	assert_non_null(strstr(b->told.warning, "newer nightjar"));
	assert_int_equal(statefile_read(b->state, b->c->repo->conf.repo, WITNESS_BOX_SEEN, 4096,
					&bytes, &b->c->err),
			 0);
	assert_int_equal(bytes.len, sizeof(newer) - 1);
	assert_memory_equal(bytes.data, newer, bytes.len);
	buf_free(&bytes);
}

/* What was accepted or removed stays in mind no longer than somebody misses it. */
static void test_nothing_piles_up(void **state)
{
	struct witness_box *b = *state;
	struct id names[3];

	for (int i = 0; i < 3; i++)
		names[i] = witness_box_backup(b);
	witness_box_again(b, false);
	assert_int_equal(witness_box_look(b), 0);
	assert_int_equal(store_remove(b->c->inner, STORE_SNAPSHOTS, &names[1], &b->c->err), 0);
	witness_box_again(b, true);
	assert_int_equal(witness_box_look(b), 0);
	assert_int_equal(witness_box_kept(b, SIGHTING_ACCEPTED), 1); /* the third names it */
	assert_int_equal(store_remove(b->c->inner, STORE_SNAPSHOTS, &names[2], &b->c->err), 0);
	witness_box_again(b, true);
	assert_int_equal(witness_box_look(b), 0);
	assert_int_equal(witness_box_kept(b, SIGHTING_ACCEPTED), 0);
	assert_int_equal(witness_box_kept(b, SIGHTING_SEEN), 1);
}

static void test_removal_is_refused(void **state)
{
	struct witness_box *b = *state;
	struct id name = witness_box_backup(b);
	struct err err = {0};

	(void)witness_box_backup(b);
	assert_int_equal(witness_box_look(b), 0);
	assert_int_equal(witness_allow_removal(b->c->repo, "prune", &err), 0);
	assert_int_equal(store_remove(b->c->inner, STORE_SNAPSHOTS, &name, &b->c->err), 0);
	assert_int_equal(witness_box_look(b), 1);
	assert_int_equal(witness_allow_removal(b->c->repo, "prune", &err), -ERR_ROLLBACK);
	assert_non_null(strstr(err.text, "prune removes nothing"));
}

/* --- the chain --- */

/* Of more heads than a manifest can name the newest are named, so that the last backup always is. */
static void test_parents_are_the_newest(void **state)
{
	enum { HEADS = LIMIT_PARENTS + 6 };
	struct witness_box *b = *state;
	struct manifest_item items[HEADS];
	struct manifest_list list = {.items = items, .count = HEADS};
	struct manifest m = {0};
	size_t found = 0;

	memset(items, 0, sizeof(items));
	for (unsigned i = 0; i < HEADS; i++) {
		items[i].name = bytes_id(i);
		items[i].m.sequence = 2 * i + 1;
		memcpy(items[i].m.writer, b->c->repo->keys->writer_pub, 32);
	}
	assert_int_equal(manifests_succeed(b->c->repo, &list, &m, &b->c->err), 0);
	assert_int_equal(m.parent_count, LIMIT_PARENTS);
	assert_int_equal(m.sequence, 2 * HEADS);
	for (size_t i = 0; i < m.parent_count; i++)
		found += id_cmp(&m.parents[i], &items[HEADS - LIMIT_PARENTS].name) >= 0;
	assert_int_equal(found, LIMIT_PARENTS);
	manifest_free(&m);
}

/* --- cost --- */

static uint64_t requests(struct witness_box *b)
{
	const struct store_fault_plan none = {0};
	uint64_t calls = 0;

	store_fault_arm(b->c->fault, &none);
	(void)witness_box_look(b);
	for (int op = 0; op < FAULT_OPS; op++)
		calls += store_fault_calls(b->c->fault, (enum store_fault_op)op);
	return calls;
}

static void test_no_request_and_little_time(void **state)
{
	struct witness_box *b = *state;
	struct timespec from, to;
	struct sightings s = {.count = 3650};
	struct witness *w;
	uint64_t with;
	double us;

	for (int i = 0; i < 3; i++)
		(void)witness_box_backup(b);
	with = requests(b);
	w = b->c->repo->witness;
	b->c->repo->witness = NULL;
	assert_int_equal(requests(b), with);
	b->c->repo->witness = w;
	/* Ten years of nights. */
	s.items = calloc(s.count, sizeof(*s.items));
	assert_non_null(s.items);
	memcpy(s.repo, b->c->repo->conf.repo, sizeof(s.repo));
	for (size_t i = 0; i < s.count; i++) {
		s.items[i].name.b[0] = (uint8_t)(i >> 8);
		s.items[i].name.b[1] = (uint8_t)i;
		s.items[i].fate = SIGHTING_SEEN;
	}
	witness_box_keep(b, &s);
	sightings_free(&s);
	us = 1e9;
	for (int i = 0; i < 20; i++) {
		double took;

		(void)clock_gettime(CLOCK_MONOTONIC, &from);
		s = witness_box_seen(b);
		(void)clock_gettime(CLOCK_MONOTONIC, &to);
		assert_int_equal(s.count, 3650);
		sightings_free(&s);
		took = (double)(to.tv_sec - from.tv_sec) * 1e6 +
		       (double)(to.tv_nsec - from.tv_nsec) / 1e3;
		us = took < us ? took : us;
	}
	print_message("# the sightings of 3,650 backups are loaded in %.0f us; requests of a look: "
		      "%llu, as without\n",
		      us, (unsigned long long)with);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_torn_listing, witness_box_setup,
					    witness_box_teardown),
	    cmocka_unit_test_setup_teardown(test_older_listing, witness_box_setup,
					    witness_box_teardown),
	    cmocka_unit_test_setup_teardown(test_forget_in_between, witness_box_setup,
					    witness_box_teardown),
	    cmocka_unit_test_setup_teardown(test_made_while_accepting, witness_box_setup,
					    witness_box_teardown),
	    cmocka_unit_test_setup_teardown(test_records_gone, witness_box_setup,
					    witness_box_teardown),
	    cmocka_unit_test_setup_teardown(test_newer_state_stays, witness_box_setup,
					    witness_box_teardown),
	    cmocka_unit_test_setup_teardown(test_nothing_piles_up, witness_box_setup,
					    witness_box_teardown),
	    cmocka_unit_test_setup_teardown(test_removal_is_refused, witness_box_setup,
					    witness_box_teardown),
	    cmocka_unit_test_setup_teardown(test_parents_are_the_newest, witness_box_setup,
					    witness_box_teardown),
	    cmocka_unit_test_setup_teardown(test_no_request_and_little_time, witness_box_setup,
					    witness_box_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
