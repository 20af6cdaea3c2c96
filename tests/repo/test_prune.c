/* prune: two phases, a grace, and nothing that a manifest needs is ever gone (FORMAT.md §12). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "repo/check.h"
#include "repo/condemned.h"
#include "tests/support/must.h"
#include "tests/support/prunebox.h"

static void test_nothing_due(void **state)
{
	struct prunebox *b = *state;

	prunebox_prune(b); /* not even a backup */
	assert_int_equal(b->result.before.packs, 0);
	prunebox_attach(b, "a", 1, PRUNEBOX_LARGE);
	prunebox_night(b);
	prunebox_night(b);
	prunebox_prune(b);
	assert_int_equal(b->result.manifests, 2);
	assert_int_equal(b->result.condemned.packs, 0);
	assert_int_equal(b->result.waiting.packs, 0);
	assert_int_equal(b->result.due_s, 0);
	assert_int_equal(b->result.before.bytes, b->result.after.bytes);
	assert_int_equal(prunebox_count(b, STORE_LOCKS), 0);
	prunebox_assert_restores(b);
}

static void test_two_phases(void **state)
{
	struct prunebox *b = *state;
	struct prune_sum condemned;
	size_t packs;

	prunebox_dead_pack(b);
	packs = prunebox_count(b, STORE_DATA);
	prunebox_prune(b);
	condemned = b->result.condemned;
	assert_true(condemned.packs > 0);
	assert_int_equal(b->result.deleted.packs, 0);
	assert_int_equal(b->result.due_s, b->now_s + PRUNEBOX_GRACE);
	packs += b->result.written.packs;
	assert_int_equal(prunebox_count(b, STORE_DATA), packs);
	assert_int_equal(prunebox_count(b, STORE_LOCKS), 2); /* the record, and its date */
	prunebox_assert_clean(b, b->c->repo, true);

	prunebox_pass(b, PRUNEBOX_GRACE - 1);
	prunebox_prune(b);
	assert_int_equal(b->result.deleted.packs, 0);
	assert_int_equal(b->result.condemned.packs, 0);
	assert_int_equal(b->result.waiting.packs, condemned.packs);
	assert_int_equal(b->result.waiting.bytes, condemned.bytes);
	assert_int_equal(b->result.due_s, b->now_s + 1);
	assert_int_equal(prunebox_count(b, STORE_DATA), packs);

	prunebox_pass(b, 1);
	prunebox_prune(b);
	assert_int_equal(b->result.deleted.bytes, condemned.bytes);
	assert_int_equal(b->result.before.packs, packs);
	packs -= condemned.packs;
	assert_int_equal(b->result.after.packs, packs);
	assert_int_equal(prunebox_count(b, STORE_DATA), packs);
	assert_int_equal(prunebox_count(b, STORE_LOCKS), 0);
	prunebox_assert_clean(b, b->c->repo, true);
	prunebox_assert_restores(b);
	prunebox_night(b);
	prunebox_assert_restores(b);
}

static void test_dry_run(void **state)
{
	struct prunebox *b = *state;
	struct prune_result dry;
	size_t packs, locks;

	prunebox_dead_pack(b);
	packs = prunebox_count(b, STORE_DATA);
	b->options.dry_run = true;
	prunebox_prune(b);
	dry = b->result;
	assert_true(dry.condemned.packs > 0);
	assert_int_equal(prunebox_count(b, STORE_LOCKS), 0);
	b->options.dry_run = false;
	prunebox_prune(b);
	assert_int_equal(b->result.condemned.packs, dry.condemned.packs);
	assert_int_equal(b->result.condemned.bytes, dry.condemned.bytes);
	assert_int_equal(b->result.due_s, dry.due_s);
	prunebox_pass(b, PRUNEBOX_GRACE);
	b->options.dry_run = true;
	locks = prunebox_count(b, STORE_LOCKS);
	packs = prunebox_count(b, STORE_DATA);
	prunebox_prune(b);
	dry = b->result;
	assert_int_equal(prunebox_count(b, STORE_LOCKS), locks);
	assert_int_equal(prunebox_count(b, STORE_DATA), packs);
	b->options.dry_run = false;
	prunebox_prune(b);
	assert_int_equal(b->result.deleted.bytes, dry.deleted.bytes);
	assert_true(dry.deleted.packs > 0);
	assert_int_equal(dry.waiting.packs, b->result.waiting.packs);
}

/* --- what is needed again --- */

/* A writer that would deduplicate against a condemned pack stores again, and the pack goes. */
static void test_writer_stores_again(void **state)
{
	struct prunebox *b = *state;
	size_t condemned;

	prunebox_dead_pack(b);
	prunebox_prune(b);
	condemned = b->result.condemned.packs;
	prunebox_attach(b, "a", 1, PRUNEBOX_LARGE); /* as it was */
	prunebox_night(b);
	assert_true(b->backup.bytes_added >= PRUNEBOX_LARGE);
	assert_int_equal(b->warnings, 0); /* known from the start */
	prunebox_pass(b, PRUNEBOX_GRACE);
	prunebox_prune(b);
	assert_int_equal(b->result.deleted.packs, condemned);
	assert_int_equal(b->result.needed_again.packs, 0);
	prunebox_assert_clean(b, b->c->repo, true);
	prunebox_assert_restores(b);
}

static int prune_now(struct prunebox *b)
{
	struct repo *other = NULL;

	MUST(repo_case_open_with(b->c, &b->c->keyfile, &other, b->err), b->err);
	MUST(prunebox_try_prune(b, other), b->err);
	repo_close(other);
	return 0;
}

/* A backup that finds an attachment stored, of which a prune knows that no manifest needs it. */
static void night_meanwhile(struct prunebox *b, int (*meanwhile)(struct prunebox *))
{
	prunebox_attach(b, "a", 1, PRUNEBOX_LARGE);
	prunebox_night(b);
	prunebox_attach(b, "b", 2, PRUNEBOX_LARGE);
	prunebox_night(b);
	prunebox_attach(b, "b", 3, 100);
	prunebox_night(b);
	prunebox_forget(b, 1);
	prunebox_attach(b, "b", 2, PRUNEBOX_LARGE);
	b->options.unused = PRUNE_UNUSED_PERCENT;
	b->meanwhile = meanwhile;
	prunebox_night(b);
	assert_int_equal(b->warnings, 1);
	assert_true(b->backup.bytes_added >= PRUNEBOX_LARGE);
}

/* Condemned while the backup runs, after it has found it good. */
static void test_condemned_meanwhile(void **state)
{
	struct prunebox *b = *state;
	size_t condemned;

	night_meanwhile(b, prune_now);
	condemned = b->result.condemned.packs;
	assert_true(condemned > 0);
	prunebox_pass(b, PRUNEBOX_GRACE);
	prunebox_prune(b);
	assert_int_equal(b->result.deleted.packs, condemned);
	assert_int_equal(b->result.needed_again.packs, 0);
	prunebox_assert_clean(b, b->c->repo, true);
	prunebox_assert_restores(b);
}

/* The machine sleeps for days between its first look and its last; two prunes come and go meanwhile. */
static int days_of_prunes(struct prunebox *b)
{
	(void)prune_now(b);
	assert_true(b->result.condemned.packs > 0);
	prunebox_pass(b, PRUNEBOX_GRACE);
	b->boot_s += PRUNEBOX_GRACE;
	(void)prune_now(b);
	assert_true(b->result.deleted.packs > 0);
	assert_true(prunebox_count(b, STORE_LOCKS) <= 1); /* it watches the packs of this backup */
	return 0;
}

static void test_deleted_meanwhile(void **state)
{
	struct prunebox *b = *state;

	night_meanwhile(b, days_of_prunes);
	prunebox_assert_clean(b, b->c->repo, true);
	prunebox_assert_restores(b);
}

/* Asleep between its last look and the put: the manifest rests on nothing for a moment, and is not acknowledged so. */
static void test_asleep_at_the_put(void **state)
{
	struct prunebox *b = *state;
	size_t manifests;

	b->asleep_at = 3; /* opening, looking, and being in time */
	manifests = 4;
	night_meanwhile(b, days_of_prunes);
	assert_int_equal(prunebox_count(b, STORE_SNAPSHOTS), manifests);
	b->night_count++; /* the one that was not acknowledged has been healed */
	prunebox_assert_clean(b, b->c->repo, true);
	b->night_count--;
}

/* Asleep while it looks: it knows how long, and looks again before it puts anything. */
static void test_asleep_at_the_look(void **state)
{
	struct prunebox *b = *state;

	b->asleep_at = 2;
	night_meanwhile(b, days_of_prunes);
	assert_int_equal(prunebox_count(b, STORE_SNAPSHOTS), 3);
	prunebox_assert_clean(b, b->c->repo, true);
	prunebox_assert_restores(b);
}

/* A manifest that needs a condemned pack: of a writer that broke the rules, or of another prune's repack. */
static void test_needed_again(void **state)
{
	struct prunebox *b = *state;
	struct buf manifest;
	struct id name;

	prunebox_attach(b, "a", 1, PRUNEBOX_LARGE);
	prunebox_night(b);
	prunebox_attach(b, "a", 2, PRUNEBOX_LARGE);
	kit_make(b->db, "UPDATE t SET v = randomblob(100)");
	prunebox_night(b);
	prunebox_night(b);
	name = b->nights[0];
	manifest = repo_case_get(b->c->inner, STORE_SNAPSHOTS, &name);
	prunebox_forget(b, 0);
	b->options.unused = PRUNE_UNUSED_PERCENT;
	prunebox_prune(b);
	assert_true(b->result.condemned.packs > 0);
	MUST(store_put(b->c->inner, STORE_SNAPSHOTS, &name, manifest.data, manifest.len, b->err),
	     b->err);
	b->nights[b->night_count++] = name;
	buf_free(&manifest);
	prunebox_pass(b, PRUNEBOX_GRACE);
	prunebox_prune(b);
	assert_int_equal(b->result.deleted.packs, 0);
	assert_true(b->result.needed_again.packs > 0);
	/* The record stays: who lists it now must not trust what another prune may be deleting (R4). */
	assert_int_equal(prunebox_count(b, STORE_LOCKS), 2);
	for (int i = 0; i < 3; i++) {
		prunebox_pass(b, PRUNEBOX_GRACE);
		prunebox_prune(b);
		assert_int_equal(b->result.needed_again.packs, 0);
	}
	assert_int_equal(prunebox_count(b, STORE_LOCKS), 0);
	prunebox_assert_clean(b, b->c->repo, true);
	prunebox_assert_restores(b);
}

/* --- never without knowing all --- */

static void test_roles(void **state)
{
	struct prunebox *b = *state;
	const enum role roles[] = {ROLE_WRITE, ROLE_READ};

	for (size_t i = 0; i < 2; i++) {
		struct buf key = repo_case_keyfile(b->c, roles[i]);
		struct repo *repo = NULL;

		MUST(repo_case_open_with(b->c, &key, &repo, b->err), b->err);
		assert_int_equal(prunebox_try_prune(b, repo), -ERR_KEY);
		repo_close(repo);
		buf_wipe(&key);
	}
}

static void test_manifest_unreadable(void **state)
{
	struct prunebox *b = *state;
	size_t packs, locks;
	char hex[ID_HEX_CHARS + 1];

	prunebox_dead_pack(b);
	prunebox_prune(b);
	prunebox_pass(b, PRUNEBOX_GRACE);
	packs = prunebox_count(b, STORE_DATA);
	locks = prunebox_count(b, STORE_LOCKS);
	repo_case_flip(b->c->inner, STORE_SNAPSHOTS, &b->nights[1], 700, 2);
	repo_case_reopen(b->c);
	assert_int_equal(prunebox_try_prune(b, b->c->repo), -ERR_DAMAGED);
	id_hex(&b->nights[1], hex);
	assert_non_null(strstr(b->err->text, hex));
	assert_int_equal(prunebox_count(b, STORE_DATA), packs);
	assert_int_equal(prunebox_count(b, STORE_LOCKS), locks);
}

static void test_pack_lost(void **state)
{
	struct prunebox *b = *state;
	struct index *index;
	struct id name;

	prunebox_dead_pack(b);
	index = repo_case_index(b->c);
	/* A pack of the last night, which is small. */
	name = index->packs[0].name;
	for (size_t i = 0; i < index->pack_count; i++) {
		if (index->packs[i].place_count < index->packs[0].place_count)
			name = index->packs[i].name;
	}
	index_free(index);
	MUST(store_remove(b->c->inner, STORE_DATA, &name, b->err), b->err);
	repo_case_reopen(b->c);
	assert_int_equal(prunebox_try_prune(b, b->c->repo), -ERR_DAMAGED);
	assert_non_null(strstr(b->err->text, "manifest "));
	assert_int_equal(prunebox_count(b, STORE_LOCKS), 0);
}

static void test_options(void **state)
{
	struct prunebox *b = *state;

	b->options.grace_s = CONDEMNED_GRACE_LEAST_S - 1;
	assert_int_equal(prunebox_try_prune(b, b->c->repo), -ERR_USAGE);
	b->options.grace_s = CONDEMNED_GRACE_LEAST_S;
	prunebox_prune(b);
	b->options.unused = PRUNE_UNUSED_PERCENT;
	b->options.unused_percent = 101;
	assert_int_equal(prunebox_try_prune(b, b->c->repo), -ERR_USAGE);
}

static void test_no_writers(void **state)
{
	struct prunebox *b = *state;

	prunebox_dead_pack(b);
	b->options.no_writers = true;
	prunebox_prune(b);
	assert_true(b->result.deleted.packs > 0);
	assert_int_equal(b->result.waiting.packs, 0);
	assert_int_equal(prunebox_count(b, STORE_LOCKS), 0);
	prunebox_assert_clean(b, b->c->repo, true);
	prunebox_assert_restores(b);
}

/* --- records --- */

static struct id put_stale_record(struct prunebox *b, struct id *pack)
{
	struct condemn c = {.kind = CONDEMN_PACKS,
			    .time_s = b->now_s - 10 * PRUNEBOX_GRACE,
			    .packs = pack,
			    .pack_count = 1};
	struct buf bytes = {0};
	struct id name;

	MUST(condemn_enc(b->c->repo->keys, &c, &bytes, b->err), b->err);
	MUST(repo_put(b->c->repo, STORE_LOCKS, &bytes, &name, b->err), b->err);
	buf_free(&bytes);
	return name;
}

/* A prune slept before its put: from when on the record was visible its own time does not say (R3). */
static void test_stale_record(void **state)
{
	struct prunebox *b = *state;
	struct condemned c = {0};
	struct id pack;
	size_t packs;

	prunebox_dead_pack(b);
	prunebox_prune(b);
	MUST(condemned_load(b->c->repo, NULL, NULL, &c, b->err), b->err);
	for (size_t i = 0; i < c.count; i++) {
		if (c.records[i].c.kind == CONDEMN_PACKS)
			pack = c.records[i].c.packs[0];
		MUST(store_remove(b->c->inner, STORE_LOCKS, &c.records[i].name, b->err), b->err);
	}
	condemned_free(&c);
	(void)put_stale_record(b, &pack);
	packs = prunebox_count(b, STORE_DATA);
	prunebox_prune(b);
	assert_int_equal(b->result.deleted.packs, 0);
	assert_int_equal(prunebox_count(b, STORE_DATA), packs);
	assert_int_equal(prunebox_count(b, STORE_LOCKS), 2);
	prunebox_pass(b, PRUNEBOX_GRACE - 1);
	prunebox_prune(b);
	assert_int_equal(b->result.deleted.packs, 0);
	prunebox_pass(b, 1);
	prunebox_prune(b);
	assert_int_equal(b->result.deleted.packs, 1);
}

/* The store's clock was years ahead when a record was dated, and was set right since. */
static void test_dated_in_the_future(void **state)
{
	struct prunebox *b = *state;

	prunebox_dead_pack(b);
	prunebox_pass(b, 1000 * PRUNEBOX_DAY);
	prunebox_prune(b);
	assert_true(b->result.condemned.packs > 0);
	prunebox_pass(b, -1000 * PRUNEBOX_DAY);
	prunebox_prune(b);
	assert_int_equal(b->result.due_s, b->now_s + PRUNEBOX_GRACE);
	prunebox_pass(b, PRUNEBOX_GRACE);
	prunebox_prune(b);
	assert_true(b->result.deleted.packs > 0);
	assert_int_equal(prunebox_count(b, STORE_LOCKS), 0);
}

/* A record that only cannot be read just now may bind: who meets one neither rests on packs nor prunes. */
static void test_record_unreadable(void **state)
{
	const struct store_fault_plan plan = {.kind = FAULT_BEFORE,
					      .at = 1,
					      .ops = FAULT_OP(FAULT_GET),
					      .types = FAULT_TYPE(STORE_LOCKS)};
	struct prunebox *b = *state;
	struct condemned c = {0};

	prunebox_dead_pack(b);
	prunebox_prune(b);
	store_fault_arm(b->c->fault, &plan);
	MUST_FAIL(condemned_load(b->c->repo, NULL, NULL, &c, b->err), ERR_IO, b->err);
	assert_non_null(strstr(b->err->text, "locks/"));
	assert_null(c.records);
}

/* --- what a check makes of it --- */

static struct check_result check(struct prunebox *b)
{
	const struct check_options options = {0};
	struct check_result result;

	repo_case_reopen(b->c);
	MUST(check_run(b->c->repo, &options, &result, b->err), b->err);
	return result;
}

static void test_check_tells(void **state)
{
	struct prunebox *b = *state;
	struct condemned c = {0};
	size_t condemned;

	prunebox_dead_pack(b);
	prunebox_prune(b);
	condemned = b->result.condemned.packs;
	assert_int_equal(check(b).condemned, condemned);
	assert_int_equal(check(b).damaged, 0);
	/* The pack goes while a check runs, or its prune was killed before it removed the record. */
	MUST(condemned_load(b->c->repo, NULL, NULL, &c, b->err), b->err);
	for (size_t i = 0; i < c.count; i++) {
		if (c.records[i].c.kind == CONDEMN_PACKS)
			MUST(
			    store_remove(b->c->inner, STORE_DATA, &c.records[i].c.packs[0], b->err),
			    b->err);
	}
	assert_int_equal(check(b).damaged, 0);
	/* A segment names it still, and nobody needs it. */
	for (size_t i = 0; i < c.count; i++)
		MUST(store_remove(b->c->inner, STORE_LOCKS, &c.records[i].name, b->err), b->err);
	condemned_free(&c);
	assert_int_equal(check(b).damaged, 0);
	prunebox_prune(b);
	prunebox_assert_restores(b);
}

static void test_check_names_bad_records(void **state)
{
	struct prunebox *b = *state;
	struct id *names = NULL;
	struct err why = {0};
	size_t count;

	prunebox_dead_pack(b);
	prunebox_prune(b);
	MUST(repo_list(b->c->inner, STORE_LOCKS, &names, NULL, &count, b->err), b->err);
	/* One that only was misread stays. */
	MUST(condemned_remove_bad(b->c->repo, &names[0], &why, b->err), b->err);
	assert_int_equal(why.code, 0);
	assert_int_equal(prunebox_count(b, STORE_LOCKS), count);
	for (size_t i = 0; i < count; i++)
		repo_case_flip(b->c->inner, STORE_LOCKS, &names[i], 40, 0);
	free(names);
	assert_int_equal(check(b).damaged, count);
	/* They bind nobody: the next prune begins anew, and a backup goes on. */
	prunebox_pass(b, PRUNEBOX_GRACE);
	prunebox_prune(b);
	assert_int_equal(b->result.deleted.packs, 0);
	assert_true(b->result.condemned.packs > 0);
	assert_int_equal(prunebox_count(b, STORE_LOCKS), 2); /* the rotten ones are gone */
	prunebox_night(b);
	prunebox_assert_restores(b);
	prunebox_pass(b, PRUNEBOX_GRACE);
	prunebox_prune(b);
	assert_true(b->result.deleted.packs > 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, prunebox_setup, prunebox_teardown)
	const struct CMUnitTest tests[] = {
	    T(test_nothing_due),
	    T(test_two_phases),
	    T(test_dry_run),
	    T(test_writer_stores_again),
	    T(test_condemned_meanwhile),
	    T(test_deleted_meanwhile),
	    T(test_asleep_at_the_put),
	    T(test_asleep_at_the_look),
	    T(test_needed_again),
	    T(test_stale_record),
	    T(test_dated_in_the_future),
	    T(test_roles),
	    T(test_manifest_unreadable),
	    T(test_pack_lost),
	    T(test_options),
	    T(test_no_writers),
	    T(test_record_unreadable),
	    T(test_check_tells),
	    T(test_check_names_bad_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
