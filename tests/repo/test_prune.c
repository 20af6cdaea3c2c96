/* prune: two phases, a grace, and nothing that a manifest needs is ever gone (FORMAT.md §12). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "repo/condemned.h"
#include "tests/support/must.h"
#include "tests/support/prunebox.h"

#define GRACE (72 * PRUNEBOX_HOUR)
#define BIG 300000

static size_t count_of(struct prunebox *b, enum store_type type)
{
	return repo_case_count(b->c->inner, type);
}

/* One night with an attachment that the next has not, forgotten; what is in its pack otherwise is to be moved. */
static void one_dead_pack(struct prunebox *b)
{
	b->options.unused = PRUNE_UNUSED_PERCENT;
	prunebox_attach(b, "a", 1, BIG);
	prunebox_night(b);
	prunebox_attach(b, "a", 2, BIG);
	prunebox_attach(b, "b", 3, BIG);
	kit_make(b->db, "UPDATE t SET v = randomblob(100)");
	prunebox_night(b);
	prunebox_attach(b, "c", 4, 1000);
	prunebox_night(b);
	prunebox_forget(b, 0);
}

static void test_nothing_due(void **state)
{
	struct prunebox *b = *state;

	prunebox_prune(b); /* not even a backup */
	assert_int_equal(b->result.before.packs, 0);
	prunebox_attach(b, "a", 1, BIG);
	prunebox_night(b);
	prunebox_night(b);
	prunebox_prune(b);
	assert_int_equal(b->result.manifests, 2);
	assert_int_equal(b->result.condemned.packs, 0);
	assert_int_equal(b->result.waiting.packs, 0);
	assert_int_equal(b->result.due_s, 0);
	assert_int_equal(b->result.before.bytes, b->result.after.bytes);
	assert_int_equal(count_of(b, STORE_LOCKS), 0);
	prunebox_assert_restores(b);
}

static void test_two_phases(void **state)
{
	struct prunebox *b = *state;
	struct prune_sum condemned;
	size_t packs;

	one_dead_pack(b);
	packs = count_of(b, STORE_DATA);
	prunebox_prune(b);
	condemned = b->result.condemned;
	assert_true(condemned.packs > 0);
	assert_int_equal(b->result.deleted.packs, 0);
	assert_int_equal(b->result.due_s, b->now_s + GRACE);
	packs += b->result.written.packs;
	assert_int_equal(count_of(b, STORE_DATA), packs);
	assert_int_equal(count_of(b, STORE_LOCKS), 2); /* the record, and its date */
	prunebox_assert_clean(b, b->c->repo, true);

	prunebox_pass(b, GRACE - 1);
	prunebox_prune(b);
	assert_int_equal(b->result.deleted.packs, 0);
	assert_int_equal(b->result.condemned.packs, 0);
	assert_int_equal(b->result.waiting.packs, condemned.packs);
	assert_int_equal(b->result.waiting.bytes, condemned.bytes);
	assert_int_equal(b->result.due_s, b->now_s + 1);
	assert_int_equal(count_of(b, STORE_DATA), packs);

	prunebox_pass(b, 1);
	prunebox_prune(b);
	assert_int_equal(b->result.deleted.bytes, condemned.bytes);
	assert_int_equal(b->result.before.packs, packs);
	packs -= condemned.packs;
	assert_int_equal(b->result.after.packs, packs);
	assert_int_equal(count_of(b, STORE_DATA), packs);
	assert_int_equal(count_of(b, STORE_LOCKS), 0);
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

	one_dead_pack(b);
	packs = count_of(b, STORE_DATA);
	b->options.dry_run = true;
	prunebox_prune(b);
	dry = b->result;
	assert_true(dry.condemned.packs > 0);
	assert_int_equal(count_of(b, STORE_LOCKS), 0);
	b->options.dry_run = false;
	prunebox_prune(b);
	assert_int_equal(b->result.condemned.packs, dry.condemned.packs);
	assert_int_equal(b->result.condemned.bytes, dry.condemned.bytes);
	assert_int_equal(b->result.due_s, dry.due_s);
	prunebox_pass(b, GRACE);
	b->options.dry_run = true;
	locks = count_of(b, STORE_LOCKS);
	packs = count_of(b, STORE_DATA);
	prunebox_prune(b);
	dry = b->result;
	assert_int_equal(count_of(b, STORE_LOCKS), locks);
	assert_int_equal(count_of(b, STORE_DATA), packs);
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

	one_dead_pack(b);
	prunebox_prune(b);
	condemned = b->result.condemned.packs;
	prunebox_attach(b, "a", 1, BIG); /* as it was */
	prunebox_night(b);
	assert_true(b->backup.bytes_added >= BIG);
	assert_int_equal(b->warnings, 0); /* known from the start */
	prunebox_pass(b, GRACE);
	prunebox_prune(b);
	assert_int_equal(b->result.deleted.packs, condemned);
	assert_int_equal(b->result.revived.packs, 0);
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
	prunebox_attach(b, "a", 1, BIG);
	prunebox_night(b);
	prunebox_attach(b, "b", 2, BIG);
	prunebox_night(b);
	prunebox_attach(b, "b", 3, 100);
	prunebox_night(b);
	prunebox_forget(b, 1);
	prunebox_attach(b, "b", 2, BIG);
	b->options.unused = PRUNE_UNUSED_PERCENT;
	b->meanwhile = meanwhile;
	prunebox_night(b);
	assert_int_equal(b->warnings, 1);
	assert_true(b->backup.bytes_added >= BIG);
}

/* Condemned while the backup runs, after it has found it good. */
static void test_condemned_meanwhile(void **state)
{
	struct prunebox *b = *state;
	size_t condemned;

	night_meanwhile(b, prune_now);
	condemned = b->result.condemned.packs;
	assert_true(condemned > 0);
	prunebox_pass(b, GRACE);
	prunebox_prune(b);
	assert_int_equal(b->result.deleted.packs, condemned);
	assert_int_equal(b->result.revived.packs, 0);
	prunebox_assert_clean(b, b->c->repo, true);
	prunebox_assert_restores(b);
}

/* The machine sleeps for days between its first look and its last; two prunes come and go meanwhile. */
static int days_of_prunes(struct prunebox *b)
{
	(void)prune_now(b);
	assert_true(b->result.condemned.packs > 0);
	prunebox_pass(b, GRACE);
	b->boot_s += GRACE;
	(void)prune_now(b);
	assert_true(b->result.deleted.packs > 0);
	assert_int_equal(count_of(b, STORE_LOCKS), 0);
	return 0;
}

static void test_deleted_meanwhile(void **state)
{
	struct prunebox *b = *state;

	night_meanwhile(b, days_of_prunes);
	prunebox_assert_clean(b, b->c->repo, true);
	prunebox_assert_restores(b);
}

/* A manifest that needs a condemned pack: of a writer that broke the rules, or of another prune's repack. */
static void test_revived(void **state)
{
	struct prunebox *b = *state;
	struct buf manifest;
	struct id name;

	prunebox_attach(b, "a", 1, BIG);
	prunebox_night(b);
	prunebox_attach(b, "a", 2, BIG);
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
	prunebox_pass(b, GRACE);
	prunebox_prune(b);
	assert_int_equal(b->result.deleted.packs, 0);
	assert_true(b->result.revived.packs > 0);
	for (int i = 0; i < 3; i++) {
		prunebox_pass(b, GRACE);
		prunebox_prune(b);
		assert_int_equal(b->result.revived.packs, 0);
	}
	assert_int_equal(count_of(b, STORE_LOCKS), 0);
	prunebox_assert_clean(b, b->c->repo, true);
	prunebox_assert_restores(b);
}

/* --- repacking --- */

/* Nights of which each changes a little of the database and has an attachment of its own. */
static void nights(struct prunebox *b, unsigned count)
{
	char name[32];

	for (unsigned i = 0; i < count; i++) {
		(void)snprintf(name, sizeof(name), "n%u", i);
		prunebox_attach(b, name, 100 + i, 20000 + 30 * i);
		prunebox_attach(b, "changing", 200 + i, 30000);
		kit_make(b->db, "UPDATE t SET v = randomblob(100) WHERE id % 50 = abs(random()) % 50");
		prunebox_night(b);
	}
}

static void repack_with(struct prunebox *b, struct repo *repo)
{
	const double none = 0;

	b->options.unused = PRUNE_UNUSED_PERCENT;
	b->options.unused_percent = none;
	MUST(prunebox_try_prune(b, repo), b->err);
	assert_true(b->result.repacked.packs > 1);
	assert_true(b->result.written.packs > 0);
	assert_true(b->result.written.packs < b->result.repacked.packs);
	assert_int_equal(b->result.unused_bytes, 0);
	prunebox_assert_clean(b, b->c->repo, true);
	prunebox_assert_restores(b);
	repo_case_assert_format(b->c->inner);
}

static void finish_repack(struct prunebox *b, struct repo *repo)
{
	struct prune_sum repacked = b->result.repacked;

	prunebox_pass(b, GRACE);
	MUST(prunebox_try_prune(b, repo), b->err);
	assert_true(b->result.deleted.packs >= repacked.packs);
	assert_int_equal(b->result.revived.packs, 0);
	assert_int_equal(b->result.condemned.packs, 0);
	assert_int_equal(count_of(b, STORE_LOCKS), 0);
	repo_case_reopen(b->c);
	prunebox_assert_clean(b, b->c->repo, true);
	prunebox_assert_restores(b);
}

static void test_repack(void **state)
{
	struct prunebox *b = *state;

	nights(b, 6);
	prunebox_forget(b, 3);
	prunebox_forget(b, 0);
	prunebox_forget(b, 0);
	repo_case_reopen(b->c);
	repack_with(b, b->c->repo);
	repo_case_reopen(b->c);
	finish_repack(b, b->c->repo);
	/* What was moved is moved once more, and rested upon. */
	nights(b, 3);
	prunebox_assert_restores(b);
	prunebox_forget(b, 0);
	prunebox_forget(b, 0);
	repo_case_reopen(b->c);
	repack_with(b, b->c->repo);
	repo_case_reopen(b->c);
	finish_repack(b, b->c->repo);
}

/* Who maintains opens nothing and prunes all the same. */
static void test_maintainer(void **state)
{
	struct prunebox *b = *state;
	struct buf key = repo_case_keyfile(b->c, ROLE_MAINTAIN);
	struct repo *repo = NULL;

	nights(b, 5);
	prunebox_forget(b, 2);
	prunebox_forget(b, 0);
	MUST(repo_case_open_with(b->c, &key, &repo, b->err), b->err);
	repack_with(b, repo);
	finish_repack(b, repo);
	repo_close(repo);
	buf_wipe(&key);
	nights(b, 2);
	prunebox_assert_restores(b);
}

/* A write key reads the segments that G signs. */
static void test_writer_reads_them(void **state)
{
	struct prunebox *b = *state;
	struct buf key = repo_case_keyfile(b->c, ROLE_WRITE);
	struct index *index = NULL;
	struct repo *repo = NULL;
	size_t places;

	nights(b, 5);
	prunebox_forget(b, 2);
	prunebox_forget(b, 0);
	repo_case_reopen(b->c);
	repack_with(b, b->c->repo);
	repo_case_reopen(b->c);
	finish_repack(b, b->c->repo);
	index = repo_case_index(b->c);
	places = index->place_count;
	index_free(index);
	MUST(repo_case_open_with(b->c, &key, &repo, b->err), b->err);
	MUST(index_load(repo, NULL, NULL, &index, b->err), b->err);
	assert_int_equal(index->place_count, places);
	index_free(index);
	repo_close(repo);
	buf_wipe(&key);
}

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

/* The pack that took over has rotted since: what it was made of stays. */
static void test_heir_rots(void **state)
{
	struct prunebox *b = *state;
	struct id *before = NULL, *after = NULL;
	size_t count, after_count, at = 0;

	nights(b, 5);
	prunebox_forget(b, 2);
	prunebox_forget(b, 0);
	MUST(repo_list(b->c->inner, STORE_DATA, &before, NULL, &count, b->err), b->err);
	repo_case_reopen(b->c);
	repack_with(b, b->c->repo);
	MUST(repo_list(b->c->inner, STORE_DATA, &after, NULL, &after_count, b->err), b->err);
	while (at < count && id_eq(&before[at], &after[at]))
		at++;
	repo_case_flip(b->c->inner, STORE_DATA, &after[at], 20000, 1);
	prunebox_pass(b, GRACE);
	prunebox_prune(b);
	assert_true(b->result.revived.packs > 0);
	assert_int_equal(b->result.deleted.packs, 0);
	prunebox_assert_restores(b);
	free(before);
	free(after);
}

/* --- never without knowing all --- */

static void test_manifest_unreadable(void **state)
{
	struct prunebox *b = *state;
	size_t packs, locks;
	char hex[ID_HEX_CHARS + 1];

	one_dead_pack(b);
	prunebox_prune(b);
	prunebox_pass(b, GRACE);
	packs = count_of(b, STORE_DATA);
	locks = count_of(b, STORE_LOCKS);
	repo_case_flip(b->c->inner, STORE_SNAPSHOTS, &b->nights[1], 700, 2);
	repo_case_reopen(b->c);
	assert_int_equal(prunebox_try_prune(b, b->c->repo), -ERR_DAMAGED);
	id_hex(&b->nights[1], hex);
	assert_non_null(strstr(b->err->text, hex));
	assert_int_equal(count_of(b, STORE_DATA), packs);
	assert_int_equal(count_of(b, STORE_LOCKS), locks);
}

static void test_pack_lost(void **state)
{
	struct prunebox *b = *state;
	struct index *index;
	struct id name;

	one_dead_pack(b);
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
	assert_int_equal(count_of(b, STORE_LOCKS), 0);
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

	one_dead_pack(b);
	b->options.no_writers = true;
	prunebox_prune(b);
	assert_true(b->result.deleted.packs > 0);
	assert_int_equal(b->result.waiting.packs, 0);
	assert_int_equal(count_of(b, STORE_LOCKS), 0);
	prunebox_assert_clean(b, b->c->repo, true);
	prunebox_assert_restores(b);
}

/* --- packs of backups that did not end (R9) --- */

static int interrupt(struct prunebox *b)
{
	(void)b;
	return 1;
}

static void test_orphans(void **state)
{
	struct prunebox *b = *state;
	size_t packs;

	prunebox_attach(b, "a", 1, BIG);
	prunebox_night(b);
	prunebox_attach(b, "b", 2, BIG);
	b->meanwhile = interrupt;
	assert_int_equal(prunebox_try_night(b), -ERR_CANCELLED);
	packs = count_of(b, STORE_DATA);
	assert_int_equal(packs, 2);
	prunebox_prune(b);
	assert_int_equal(b->result.watched.packs, 1);
	assert_int_equal(b->result.condemned.packs, 0);
	prunebox_pass(b, 14 * PRUNEBOX_DAY - 1);
	prunebox_prune(b);
	assert_int_equal(b->result.watched.packs, 1);
	assert_int_equal(b->result.condemned.packs, 0);
	assert_int_equal(count_of(b, STORE_LOCKS), 1);
	prunebox_pass(b, 1);
	prunebox_prune(b);
	assert_int_equal(b->result.watched.packs, 0);
	assert_int_equal(b->result.condemned.packs, 1);
	prunebox_pass(b, GRACE);
	prunebox_prune(b);
	assert_int_equal(b->result.deleted.packs, 1);
	assert_int_equal(count_of(b, STORE_LOCKS), 0);
	prunebox_assert_clean(b, b->c->repo, true);
	prunebox_assert_restores(b);
}

/* The next backup goes on from there, condemned they are not. */
static void test_orphans_are_used(void **state)
{
	struct prunebox *b = *state;

	prunebox_attach(b, "a", 1, BIG);
	prunebox_night(b);
	prunebox_attach(b, "b", 2, BIG);
	b->meanwhile = interrupt;
	assert_int_equal(prunebox_try_night(b), -ERR_CANCELLED);
	prunebox_prune(b);
	prunebox_night(b);
	assert_true(b->backup.bytes_added < BIG);
	prunebox_prune(b);
	assert_int_equal(b->result.watched.packs, 0);
	assert_int_equal(count_of(b, STORE_LOCKS), 0);
	prunebox_assert_restores(b);
}

/* --- an hour from the mark to the last delete (R5) --- */

static int on_progress(void *arg, const char *phase, uint64_t done, uint64_t total)
{
	struct prunebox *b = arg;

	(void)total;
	if (strcmp(phase, "delete") == 0 && done == 1)
		b->boot_s += 3601;
	return 0;
}

static void test_an_hour(void **state)
{
	struct prunebox *b = *state;
	size_t due;

	nights(b, 4);
	for (int i = 0; i < 3; i++)
		prunebox_forget(b, 0);
	repo_case_reopen(b->c);
	repack_with(b, b->c->repo);
	due = b->result.condemned.packs;
	assert_true(due > 2);
	prunebox_pass(b, GRACE);
	b->options.progress = on_progress;
	prunebox_prune(b);
	assert_int_equal(b->result.deleted.packs, due);
	assert_false(b->result.unfinished);
	prunebox_assert_clean(b, b->c->repo, true);
	prunebox_assert_restores(b);
}

/* --- killed anywhere --- */

/* One store call after the other is the last of a run; the run after it ends what it began. */
static void killed_at_each_call(struct prunebox *b)
{
	const struct repo_credentials by = {.keyfile = b->c->keyfile.data,
					    .keyfile_len = b->c->keyfile.len};
	unsigned kills = 0;

	for (uint64_t k = 1;; k++, kills++) {
		struct store *inner = prunebox_clone(b), *fault = NULL;
		struct repo *repo = NULL;
		bool fired;
		int r;

		MUST(store_fault_new(inner, &fault, b->err), b->err);
		MUST(repo_open(fault, &by, &repo, b->err), b->err);
		store_fault_arm(fault,
				&(struct store_fault_plan){
				    .kind = FAULT_STOP,
				    .at = k,
				    .ops = FAULT_OP(FAULT_PUT) | FAULT_OP(FAULT_REMOVE) |
					   FAULT_OP(FAULT_NOW) | FAULT_OP(FAULT_LIST)});
		r = prunebox_try_prune(b, repo);
		fired = store_fault_fired(fault);
		assert_int_equal(r != 0, fired);
		store_fault_arm(fault, &(struct store_fault_plan){0});
		prunebox_assert_clean(b, repo, k % 8 == 0);
		MUST(prunebox_try_prune(b, repo), b->err);
		prunebox_assert_clean(b, repo, false);
		store_mem_set_now(inner, b->now_s + 20 * PRUNEBOX_DAY);
		MUST(prunebox_try_prune(b, repo), b->err);
		store_mem_set_now(inner, b->now_s + 40 * PRUNEBOX_DAY);
		MUST(prunebox_try_prune(b, repo), b->err);
		prunebox_assert_clean(b, repo, k % 8 == 1);
		assert_int_equal(repo_case_count(inner, STORE_LOCKS), 0);
		repo_close(repo);
		store_free(inner);
		if (!fired)
			break;
	}
	assert_true(kills > 8);
}

static void test_killed(void **state)
{
	struct prunebox *b = *state;

	nights(b, 4);
	prunebox_forget(b, 1);
	prunebox_forget(b, 0);
	prunebox_attach(b, "lost", 77, 50000);
	b->meanwhile = interrupt;
	assert_int_equal(prunebox_try_night(b), -ERR_CANCELLED);
	b->options.unused = PRUNE_UNUSED_PERCENT;
	killed_at_each_call(b);
	prunebox_prune(b);
	prunebox_pass(b, GRACE);
	killed_at_each_call(b);
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
	    T(test_revived),
	    T(test_repack),
	    T(test_maintainer),
	    T(test_writer_reads_them),
	    T(test_roles),
	    T(test_heir_rots),
	    T(test_manifest_unreadable),
	    T(test_pack_lost),
	    T(test_options),
	    T(test_no_writers),
	    T(test_orphans),
	    T(test_orphans_are_used),
	    T(test_an_hour),
	    T(test_killed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
