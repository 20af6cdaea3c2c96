/* witness: rosters that are gone, or older than one that was seen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "repo/keyexport.h"
#include "repo/witness.h"
#include "repo/writers.h"
#include "tests/support/bytes.h"
#include "tests/support/witness_box.h"

/* What the roster says of the first writer, but for its key. */
static struct id publish_writer(struct witness_box *b, uint64_t epoch,
				const struct roster_writer *w)
{
	struct roster_writer *first;
	struct roster r = {0};
	struct buf bytes = {0};
	struct id name;

	assert_int_equal(roster_merge(&r, &b->c->repo->roster, &b->c->err), 0);
	r.epoch = epoch;
	first = &r.writers[0];
	first->domain = w->domain;
	first->first_sequence = w->first_sequence;
	first->last_sequence = w->last_sequence;
	first->version = w->version;
	first->kept = realloc(first->kept, (w->kept_count + 1) * sizeof(*first->kept));
	assert_non_null(first->kept);
	first->kept_count = w->kept_count;
	if (w->kept_count)
		memcpy(first->kept, w->kept, w->kept_count * sizeof(*first->kept));
	assert_int_equal(roster_enc(&r, b->c->repo->conf.repo, b->c->repo->keys->owner_secret,
				    &bytes, &b->c->err),
			 0);
	assert_int_equal(repo_put(b->c->repo, STORE_KEYS, &bytes, &name, &b->c->err), 0);
	buf_free(&bytes);
	roster_free(&r);
	return name;
}

static struct id publish(struct witness_box *b, uint64_t epoch, uint64_t version, uint64_t last)
{
	const struct roster_writer w = {
	    .first_sequence = 1, .last_sequence = last, .version = version};

	return publish_writer(b, epoch, &w);
}

/* A revoked writer is not let in again by taking the newer roster away, whatever its epoch. */
static void test_revocation_undone(void **state)
{
	struct witness_box *b = *state;
	struct id newer, same;
	uint64_t epoch;

	(void)witness_box_backup(b);
	epoch = b->c->repo->roster.epoch;
	newer = publish(b, epoch + 1, 2, 1);
	witness_box_again(b, false);
	assert_int_equal(witness_box_look(b), 0);
	assert_int_equal(store_remove(b->c->inner, STORE_KEYS, &newer, &b->c->err), 0);
	witness_box_again(b, false);
	assert_int_equal(witness_box_look(b), 2);
	assert_int_equal(b->told.of[WITNESS_ROSTER], 1);
	assert_int_equal(b->told.of[WITNESS_UNDONE], 1);
	/* One of the right epoch that says less is not it. */
	same = publish(b, epoch + 1, 1, UINT64_MAX);
	witness_box_again(b, false);
	assert_int_equal(witness_box_look(b), 1);
	assert_int_equal(b->told.of[WITNESS_UNDONE], 1);
	assert_int_equal(store_remove(b->c->inner, STORE_KEYS, &same, &b->c->err), 0);
	witness_box_again(b, true);
	assert_int_equal(witness_box_look(b), 0);
	assert_int_equal(b->told.of[WITNESS_UNDONE], 1); /* told, as accepted */
	witness_box_again(b, false);
	assert_int_equal(witness_box_look(b), 0);
	assert_int_equal(b->told.looks, 0);
}

/* Until `left` objects are there: those of the highest epoch, which the repository has at the end of its last merge. */
static void remove_newest_rosters(struct witness_box *b, size_t left)
{
	struct id *names = NULL;
	size_t count = 0;

	assert_int_equal(repo_list(b->c->inner, STORE_KEYS, &names, NULL, &count, &b->c->err), 0);
	for (size_t i = 0; i < count; i++) {
		struct buf bytes = repo_case_get(b->c->inner, STORE_KEYS, &names[i]);
		struct roster r = {0};
		struct err why = {0};

		if (roster_dec(bytes.data, bytes.len, b->c->repo->conf.repo,
			       b->c->repo->conf.owner_pub, &r, &why) == 0 &&
		    r.epoch == b->c->repo->roster.epoch)
			assert_int_equal(
			    store_remove(b->c->inner, STORE_KEYS, &names[i], &b->c->err), 0);
		roster_free(&r);
		buf_free(&bytes);
	}
	free(names);
	assert_int_equal(repo_case_count(b->c->inner, STORE_KEYS), left);
}

/* Who has just revoked knows it, also when that was the last thing this host did. */
static void test_own_rosters_are_seen(void **state)
{
	struct witness_box *b = *state;
	struct manifest_list list = {0};
	struct writer *writers = NULL;
	size_t before;
	uint32_t epoch;
	size_t count;

	(void)witness_box_backup(b);
	assert_int_equal(manifests_load(b->c->repo, NULL, NULL, &list, &b->c->err), 0);
	assert_int_equal(writers_list(b->c->repo, &list, &writers, &count, &b->c->err), 0);
	before = repo_case_count(b->c->inner, STORE_KEYS);
	assert_int_equal(writers_revoke(b->c->repo, &list, &writers[0], 1, &b->c->err), 0);
	remove_newest_rosters(b, before);
	witness_box_again(b, false);
	assert_int_equal(witness_box_look(b), 2);
	assert_int_equal(b->told.of[WITNESS_ROSTER], 1);
	assert_int_equal(b->told.of[WITNESS_UNDONE], 1);
	witness_box_again(b, true);
	assert_int_equal(witness_box_look(b), 0);
	assert_int_equal(keyexport_rotate(b->c->repo, &epoch, &b->c->err), 0);
	remove_newest_rosters(b, before);
	witness_box_again(b, false);
	assert_true(witness_box_look(b) > 0);
	assert_int_equal(b->told.of[WITNESS_READ_KEY], 1);
	manifest_list_free(&list);
	free(writers);
}

/* Of two changes at the same moment each holds; that only one of them is gone is noticed as well. */
static void test_half_of_a_change_undone(void **state)
{
	struct id kept_ids[2] = {{{1}}, {{2}}};
	const struct roster_writer looser = {.domain = 1,
					     .first_sequence = 1,
					     .last_sequence = 9,
					     .version = 2,
					     .kept = kept_ids,
					     .kept_count = 2};
	struct roster_writer stricter[4] = {looser, looser, looser, looser};

	(void)state;
	stricter[0].domain = 0;
	stricter[1].first_sequence = 2;
	stricter[2].last_sequence = 8;
	stricter[3].kept_count = 1;
	for (size_t i = 0; i < 4; i++) {
		void *fresh = NULL;
		struct witness_box *b;
		struct id name;

		assert_int_equal(witness_box_setup(&fresh), 0);
		b = fresh;
		(void)witness_box_backup(b);
		(void)publish_writer(b, b->c->repo->roster.epoch + 1, &looser);
		name = publish_writer(b, b->c->repo->roster.epoch + 1, &stricter[i]);
		witness_box_again(b, false);
		assert_int_equal(witness_box_look(b), 0);
		assert_int_equal(store_remove(b->c->inner, STORE_KEYS, &name, &b->c->err), 0);
		witness_box_again(b, false);
		assert_int_equal(witness_box_look(b), 1);
		assert_int_equal(b->told.of[WITNESS_UNDONE], 1);
		assert_int_equal(witness_box_teardown(&fresh), 0);
	}
}

static void test_owner_and_read_key(void **state)
{
	struct witness_box *b = *state;
	const uint8_t pub[32] = {9};
	struct sightings s;

	(void)witness_box_backup(b);
	s = witness_box_seen(b);
	s.owner_pub[3] ^= 1;
	assert_int_equal(roster_add_epoch(&s.roster, 7, pub, &b->c->err), 0);
	witness_box_keep(b, &s);
	sightings_free(&s);
	assert_int_equal(witness_box_look(b), 2);
	assert_int_equal(b->told.of[WITNESS_OWNER], 1);
	assert_int_equal(b->told.of[WITNESS_READ_KEY], 1);
	witness_box_again(b, true);
	assert_int_equal(witness_box_look(b), 0);
	witness_box_again(b, false);
	assert_int_equal(witness_box_look(b), 0);
	/* Nor may one of a known epoch be another: it would be the thief's. */
	s = witness_box_seen(b);
	s.roster.epochs[0].pub[31] ^= 1;
	witness_box_keep(b, &s);
	sightings_free(&s);
	assert_int_equal(witness_box_look(b), 1);
	assert_int_equal(b->told.of[WITNESS_READ_KEY], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_revocation_undone, witness_box_setup,
					    witness_box_teardown),
	    cmocka_unit_test_setup_teardown(test_own_rosters_are_seen, witness_box_setup,
					    witness_box_teardown),
	    cmocka_unit_test(test_half_of_a_change_undone),
	    cmocka_unit_test_setup_teardown(test_owner_and_read_key, witness_box_setup,
					    witness_box_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
