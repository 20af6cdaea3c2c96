/* witness: what the command line does not reach: listings that are not of one moment, rosters, and a state that is not ours to write. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "repo/keyexport.h"
#include "repo/statefile.h"
#include "repo/witness.h"
#include "repo/writers.h"
#include "tests/support/bytes.h"
#include "tests/support/repo_case.h"
#include "tests/support/tmpdir.h"

/* Of the place "here": the first 16 digits of its SHA-256. */
#define SEEN "seen-fcec91509759ad99"

struct told {
	size_t of[WITNESS_PLACE + 1], looks, warnings;
	char warning[512];
};

struct box {
	struct repo_case *c;
	char *state;
	struct told told;
	int day;
};

static void on_found(void *arg, const struct witness_finding *f)
{
	struct told *t = arg;

	assert_non_null(f->location);
	t->of[f->kind]++;
}

static void on_looked(void *arg, size_t told)
{
	struct told *t = arg;

	assert_true(told > 0);
	t->looks++;
}

static void on_warning(void *arg, const char *text)
{
	struct told *t = arg;

	t->warnings++;
	(void)snprintf(t->warning, sizeof(t->warning), "%s", text);
}

static void attach(struct box *b, struct repo *repo, bool accept)
{
	const struct witness_options o = {
	    .state_dir = b->state,
	    .place = "here",
	    .accept = accept,
	    .found = on_found,
	    .looked = on_looked,
	    .warning = on_warning,
	    .arg = &b->told,
	};

	b->told = (struct told){0};
	assert_int_equal(witness_attach(repo, &o, &b->c->err), 0);
}

static int setup(void **state)
{
	struct box *b = calloc(1, sizeof(*b));
	void *c = NULL;

	assert_non_null(b);
	assert_int_equal(repo_case_setup(&c), 0);
	b->c = c;
	b->state = tmpdir_make();
	attach(b, b->c->repo, false);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct box *b = *state;
	void *c = b->c;

	assert_int_equal(repo_case_teardown(&c), 0);
	tmpdir_remove(b->state);
	free(b);
	return 0;
}

/* The next run of the program. */
static void again(struct box *b, bool accept)
{
	repo_case_reopen(b->c);
	attach(b, b->c->repo, accept);
}

static struct id backup(struct box *b)
{
	const struct repo_case_file file = {"a", "x", 1};

	b->day++;
	return repo_case_backup(b->c, &file, 1, (int64_t)b->day * 1000000000);
}

/* What a look finds; tells have been counted. */
static uint64_t look(struct box *b)
{
	struct manifest_list list = {0};

	assert_int_equal(manifests_load(b->c->repo, NULL, NULL, &list, &b->c->err), 0);
	manifest_list_free(&list);
	return witness_findings(b->c->repo);
}

static struct sightings seen(struct box *b)
{
	struct sightings s = {0};

	assert_int_equal(witness_load(b->state, b->c->repo->conf.repo, "here", &s, &b->c->err), 0);
	return s;
}

static void keep(struct box *b, const struct sightings *s)
{
	struct buf bytes = {0};

	assert_int_equal(sightings_enc(s, &bytes, &b->c->err), 0);
	assert_int_equal(statefile_write(b->state, b->c->repo->conf.repo, SEEN, bytes.data,
					 bytes.len, &b->c->err),
			 0);
	buf_free(&bytes);
}

static size_t kept(struct box *b, uint8_t fate)
{
	struct sightings s = seen(b);
	size_t count = 0;

	for (size_t i = 0; i < s.count; i++)
		count += s.items[i].fate == fate;
	sightings_free(&s);
	return count;
}

/* --- listings --- */

/* A listing that misses half is not believed at once, nor does it make anybody forget what was seen. */
static void test_torn_listing(void **state)
{
	struct box *b = *state;
	const struct store_fault_plan torn = {.kind = FAULT_TEAR,
					      .at = 1,
					      .ops = FAULT_OP(FAULT_LIST),
					      .types = FAULT_TYPE(STORE_SNAPSHOTS)};

	for (int i = 0; i < 4; i++)
		(void)backup(b);
	again(b, false);
	store_fault_arm(b->c->fault, &torn);
	assert_int_equal(look(b), 0);
	assert_true(store_fault_fired(b->c->fault));
	assert_int_equal(b->told.looks, 0);
	assert_int_equal(kept(b, SIGHTING_SEEN), 4);
}

/* Another process backs up while this one lists. */
static void test_older_listing(void **state)
{
	struct box *b = *state;
	struct manifest_list list = {0};
	struct id *names = NULL;
	size_t count = 0;
	struct witness *w;

	(void)backup(b);
	assert_int_equal(look(b), 0);
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
	assert_int_equal(kept(b, SIGHTING_SEEN), 2);
	/* The next look has seen that it should be there. */
	assert_int_equal(look(b), 1);
	assert_int_equal(b->told.of[WITNESS_MANIFEST], 1);
	assert_int_equal(look(b), 1); /* told once */
	assert_int_equal(b->told.of[WITNESS_MANIFEST], 1);
	manifest_list_free(&list);
	free(names);
}

/* What is there now, as a listing before saw it. */
static void list_without(struct box *b, struct manifest_list *list)
{
	struct witness *w = b->c->repo->witness;

	b->c->repo->witness = NULL;
	assert_int_equal(manifests_load(b->c->repo, NULL, NULL, list, &b->c->err), 0);
	b->c->repo->witness = w;
}

/* This host is not told. */
static void publish_elsewhere(struct box *b, struct retire_entry *entry)
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
	struct box *b = *state;
	struct manifest_list list = {0};
	struct retire_entry entry = {.sequence = 1};
	struct id *names = NULL, first = backup(b);
	size_t count = 0;

	(void)backup(b);
	(void)backup(b);
	assert_int_equal(look(b), 0);
	assert_int_equal(store_remove(b->c->inner, STORE_SNAPSHOTS, &first, &b->c->err), 0);
	again(b, false);
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
	assert_int_equal(look(b), 0);
	manifest_list_free(&list);
	free(names);
}

/* Who takes what vanished as it is does not thereby take what another process makes at the same time. */
static void test_made_while_accepting(void **state)
{
	struct box *b = *state;
	struct manifest_list list = {0};
	struct id first = backup(b);

	assert_int_equal(look(b), 0);
	again(b, true);
	assert_int_equal(witness_begin(b->c->repo, &b->c->err), 0);
	list_without(b, &list);
	witness_made(b->c->repo, &list.items[0].m, &(struct id){{7}});
	assert_int_equal(witness_look(b->c->repo, &list, &first, 1, &b->c->err), 0);
	assert_int_equal(kept(b, SIGHTING_SEEN), 2);
	again(b, false);
	assert_int_equal(look(b), 1);
	manifest_list_free(&list);
}

/* That the last retire records are gone is said again until it is accepted. */
static void test_records_gone(void **state)
{
	struct box *b = *state;
	struct sightings s;

	(void)backup(b);
	s = seen(b);
	s.retire_number = 5;
	keep(b, &s);
	sightings_free(&s);
	for (int i = 0; i < 2; i++) {
		again(b, false);
		assert_int_equal(look(b), 1);
		assert_int_equal(b->told.of[WITNESS_RECORDS], 1);
	}
	again(b, true);
	assert_int_equal(look(b), 0);
	again(b, false);
	assert_int_equal(look(b), 0);
}

/* --- roster --- */

/* What the roster says of the first writer, but for its key. */
static struct id publish_writer(struct box *b, uint64_t epoch, const struct roster_writer *w)
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

static struct id publish(struct box *b, uint64_t epoch, uint64_t version, uint64_t last)
{
	const struct roster_writer w = {
	    .first_sequence = 1, .last_sequence = last, .version = version};

	return publish_writer(b, epoch, &w);
}

/* A revoked writer is not let in again by taking the newer roster away, whatever its epoch. */
static void test_revocation_undone(void **state)
{
	struct box *b = *state;
	struct id newer, same;
	uint64_t epoch;

	(void)backup(b);
	epoch = b->c->repo->roster.epoch;
	newer = publish(b, epoch + 1, 2, 1);
	again(b, false);
	assert_int_equal(look(b), 0);
	assert_int_equal(store_remove(b->c->inner, STORE_KEYS, &newer, &b->c->err), 0);
	again(b, false);
	assert_int_equal(look(b), 2);
	assert_int_equal(b->told.of[WITNESS_ROSTER], 1);
	assert_int_equal(b->told.of[WITNESS_UNDONE], 1);
	/* One of the right epoch that says less is not it. */
	same = publish(b, epoch + 1, 1, UINT64_MAX);
	again(b, false);
	assert_int_equal(look(b), 1);
	assert_int_equal(b->told.of[WITNESS_UNDONE], 1);
	assert_int_equal(store_remove(b->c->inner, STORE_KEYS, &same, &b->c->err), 0);
	again(b, true);
	assert_int_equal(look(b), 0);
	assert_int_equal(b->told.of[WITNESS_UNDONE], 1); /* told, as accepted */
	again(b, false);
	assert_int_equal(look(b), 0);
	assert_int_equal(b->told.looks, 0);
}

/* Until `left` objects are there: those of the highest epoch, which the repository has at the end of its last merge. */
static void remove_newest_rosters(struct box *b, size_t left)
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
	struct box *b = *state;
	struct manifest_list list = {0};
	struct writer *writers = NULL;
	size_t before;
	uint32_t epoch;
	size_t count;

	(void)backup(b);
	assert_int_equal(manifests_load(b->c->repo, NULL, NULL, &list, &b->c->err), 0);
	assert_int_equal(writers_list(b->c->repo, &list, &writers, &count, &b->c->err), 0);
	before = repo_case_count(b->c->inner, STORE_KEYS);
	assert_int_equal(writers_revoke(b->c->repo, &list, &writers[0], 1, &b->c->err), 0);
	remove_newest_rosters(b, before);
	again(b, false);
	assert_int_equal(look(b), 2);
	assert_int_equal(b->told.of[WITNESS_ROSTER], 1);
	assert_int_equal(b->told.of[WITNESS_UNDONE], 1);
	again(b, true);
	assert_int_equal(look(b), 0);
	assert_int_equal(keyexport_rotate(b->c->repo, &epoch, &b->c->err), 0);
	remove_newest_rosters(b, before);
	again(b, false);
	assert_true(look(b) > 0);
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
		struct box *b;
		struct id name;

		assert_int_equal(setup(&fresh), 0);
		b = fresh;
		(void)backup(b);
		(void)publish_writer(b, b->c->repo->roster.epoch + 1, &looser);
		name = publish_writer(b, b->c->repo->roster.epoch + 1, &stricter[i]);
		again(b, false);
		assert_int_equal(look(b), 0);
		assert_int_equal(store_remove(b->c->inner, STORE_KEYS, &name, &b->c->err), 0);
		again(b, false);
		assert_int_equal(look(b), 1);
		assert_int_equal(b->told.of[WITNESS_UNDONE], 1);
		assert_int_equal(teardown(&fresh), 0);
	}
}

static void test_owner_and_read_key(void **state)
{
	struct box *b = *state;
	const uint8_t pub[32] = {9};
	struct sightings s;

	(void)backup(b);
	s = seen(b);
	s.owner_pub[3] ^= 1;
	assert_int_equal(roster_add_epoch(&s.roster, 7, pub, &b->c->err), 0);
	keep(b, &s);
	sightings_free(&s);
	assert_int_equal(look(b), 2);
	assert_int_equal(b->told.of[WITNESS_OWNER], 1);
	assert_int_equal(b->told.of[WITNESS_READ_KEY], 1);
	again(b, true);
	assert_int_equal(look(b), 0);
	again(b, false);
	assert_int_equal(look(b), 0);
	/* Nor may one of a known epoch be another: it would be the thief's. */
	s = seen(b);
	s.roster.epochs[0].pub[31] ^= 1;
	keep(b, &s);
	sightings_free(&s);
	assert_int_equal(look(b), 1);
	assert_int_equal(b->told.of[WITNESS_READ_KEY], 1);
}

/* --- state --- */

static void test_newer_state_stays(void **state)
{
	struct box *b = *state;
	const char newer[] = "njseen\2\0 made by a version to come";
	struct buf bytes = {0};

	(void)backup(b);
	assert_int_equal(statefile_write(b->state, b->c->repo->conf.repo, SEEN, newer,
					 sizeof(newer) - 1, &b->c->err),
			 0);
	assert_int_equal(look(b), 0);
	assert_int_equal(b->told.warnings, 1);
	assert_non_null(strstr(b->told.warning, "newer nightjar"));
	assert_int_equal(
	    statefile_read(b->state, b->c->repo->conf.repo, SEEN, 4096, &bytes, &b->c->err), 0);
	assert_int_equal(bytes.len, sizeof(newer) - 1);
	assert_memory_equal(bytes.data, newer, bytes.len);
	buf_free(&bytes);
}

/* What was accepted or removed stays in mind no longer than somebody misses it. */
static void test_nothing_piles_up(void **state)
{
	struct box *b = *state;
	struct id names[3];

	for (int i = 0; i < 3; i++)
		names[i] = backup(b);
	again(b, false);
	assert_int_equal(look(b), 0);
	assert_int_equal(store_remove(b->c->inner, STORE_SNAPSHOTS, &names[1], &b->c->err), 0);
	again(b, true);
	assert_int_equal(look(b), 0);
	assert_int_equal(kept(b, SIGHTING_ACCEPTED), 1); /* the third names it */
	assert_int_equal(store_remove(b->c->inner, STORE_SNAPSHOTS, &names[2], &b->c->err), 0);
	again(b, true);
	assert_int_equal(look(b), 0);
	assert_int_equal(kept(b, SIGHTING_ACCEPTED), 0);
	assert_int_equal(kept(b, SIGHTING_SEEN), 1);
}

static void test_removal_is_refused(void **state)
{
	struct box *b = *state;
	struct id name = backup(b);
	struct err err = {0};

	(void)backup(b);
	assert_int_equal(look(b), 0);
	assert_int_equal(witness_allow_removal(b->c->repo, "prune", &err), 0);
	assert_int_equal(store_remove(b->c->inner, STORE_SNAPSHOTS, &name, &b->c->err), 0);
	assert_int_equal(look(b), 1);
	assert_int_equal(witness_allow_removal(b->c->repo, "prune", &err), -ERR_ROLLBACK);
	assert_non_null(strstr(err.text, "prune removes nothing"));
}

/* --- the chain --- */

/* Of more heads than a manifest can name the newest are named, so that the last backup always is. */
static void test_parents_are_the_newest(void **state)
{
	enum { HEADS = LIMIT_PARENTS + 6 };
	struct box *b = *state;
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

static uint64_t requests(struct box *b)
{
	const struct store_fault_plan none = {0};
	uint64_t calls = 0;

	store_fault_arm(b->c->fault, &none);
	(void)look(b);
	for (int op = 0; op < FAULT_OPS; op++)
		calls += store_fault_calls(b->c->fault, (enum store_fault_op)op);
	return calls;
}

static void test_no_request_and_little_time(void **state)
{
	struct box *b = *state;
	struct timespec from, to;
	struct sightings s = {.count = 3650};
	struct witness *w;
	uint64_t with;
	double us;

	for (int i = 0; i < 3; i++)
		(void)backup(b);
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
	keep(b, &s);
	sightings_free(&s);
	us = 1e9;
	for (int i = 0; i < 20; i++) {
		double took;

		(void)clock_gettime(CLOCK_MONOTONIC, &from);
		s = seen(b);
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
	assert_true(us < 20000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_torn_listing, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_older_listing, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_forget_in_between, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_made_while_accepting, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_records_gone, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_revocation_undone, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_own_rosters_are_seen, setup, teardown),
	    cmocka_unit_test(test_half_of_a_change_undone),
	    cmocka_unit_test_setup_teardown(test_owner_and_read_key, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_newer_state_stays, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_nothing_piles_up, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_removal_is_refused, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_parents_are_the_newest, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_no_request_and_little_time, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
