/* repair packs, repair manifests: which records are saved, and what is made of a backup that lost some. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "repo/check.h"
#include "repo/condemned.h"
#include "repo/idset.h"
#include "repo/index.h"
#include "tests/support/must.h"
#include "tests/support/repairbox.h"
#include "tests/support/twodepths.h"

/* --- packs --- */

/* Damages the i-th record of a pack, of a new repository. Gives how many there are; that differs, as keys cut folders. */
static size_t damage_record(size_t i)
{
	struct repair_packs_result result;
	struct index *index;
	struct repairbox *f;
	struct id pack;
	size_t records;
	bool data;
	void *s;

	assert_int_equal(repairbox_setup(&s), 0);
	f = s;
	index = repo_case_index(f->c);
	pack = index->packs[0].name;
	records = index->packs[0].place_count;
	i = i < records ? i : records - 1;
	data = index->places[index->packs[0].first_place + i].info.kind == CHUNK_DATA;
	repo_case_flip(f->c->inner, STORE_DATA, &pack,
		       index->places[index->packs[0].first_place + i].offset, 7);
	index_free(index);
	result = repairbox_packs(f);
	assert_int_equal(result.packs, REPAIRBOX_BACKUPS);
	assert_int_equal(result.damaged, 1);
	assert_int_equal(result.records_lost, 1);
	assert_int_equal(result.records_saved, records - 1);
	assert_int_equal(result.noted, records);
	assert_true(result.touched >= 1);
	/* Nodes of the other backups rest on those of the first. */
	assert_true(data ? repairbox_readable(f) == REPAIRBOX_BACKUPS - 1
			 : repairbox_readable(f) < REPAIRBOX_BACKUPS);
	result = repairbox_packs(f);
	assert_int_equal(result.records_saved, 0);
	assert_int_equal(result.noted, 0);
	assert_int_equal(repairbox_teardown(&s), 0);
	return records;
}

/* Each record of a pack in turn: it alone is lost, and the others do without the pack. */
static void test_packs_each_record(void **state)
{
	size_t records = 1;

	(void)state;
	for (size_t i = 0; i < records; i++)
		records = damage_record(i);
	assert_true(records >= REPAIRBOX_FILES + 2);
}

/* A record stays that another copy cannot stand in for, as it lies deeper than what rests on it. */
static void test_packs_at_their_depth(void **state)
{
	struct repo_case *c = *state;
	const struct twodepths t = twodepths_make(c);
	const struct repair_packs_options options = {.now_ns = 9};
	struct repair_packs_result result;
	const struct check_options look = {.read_data = true};
	struct check_result seen;
	struct buf bytes = repo_case_get(c->inner, STORE_DATA, &t.packed);

	repo_case_flip(c->inner, STORE_DATA, &t.packed, bytes.len - 1, 0);
	repo_case_reopen(c);
	MUST(check_run(c->repo, &look, &seen, &c->err), &c->err);
	assert_int_equal(seen.healed, 0);
	assert_int_equal(seen.damaged, 1);
	repo_case_reopen(c);
	MUST(repair_packs(c->repo, &options, &result, &c->err), &c->err);
	assert_int_equal(result.damaged, 1);
	assert_int_equal(result.records_saved, 1);
	MUST(store_remove(c->inner, STORE_DATA, &t.packed, &c->err), &c->err);
	repo_case_reopen(c);
	twodepths_assert_reads(c, &t);
	buf_free(&bytes);
}

static void test_packs_without_loss(void **state)
{
	struct repairbox *f = *state;
	struct id pack = repairbox_nth(f, STORE_DATA, 0);
	struct buf bytes = repo_case_get(f->c->inner, STORE_DATA, &pack);
	struct repair_packs_result result;

	repo_case_flip(f->c->inner, STORE_DATA, &pack, bytes.len - 1, 0);
	result = repairbox_packs(f);
	assert_int_equal(result.damaged, 1);
	assert_int_equal(result.records_lost, 0);
	assert_int_equal(result.touched, 0);
	MUST(store_remove(f->c->inner, STORE_DATA, &pack, f->err), f->err);
	repo_case_reopen(f->c);
	assert_int_equal(repairbox_readable(f), REPAIRBOX_BACKUPS);
	/* What was moved can be damaged and moved again. */
	pack = repairbox_nth(f, STORE_DATA, 2);
	repo_case_flip(f->c->inner, STORE_DATA, &pack, 60, 0);
	result = repairbox_packs(f);
	assert_int_equal(result.records_lost, 0);
	MUST(store_remove(f->c->inner, STORE_DATA, &pack, f->err), f->err);
	repo_case_reopen(f->c);
	assert_int_equal(repairbox_readable(f), REPAIRBOX_BACKUPS);
	buf_free(&bytes);
}

/* The note, which is none of the backups. */
static void forget_notes(struct repairbox *f)
{
	for (size_t n = repo_case_count(f->c->inner, STORE_SNAPSHOTS); n > 0; n--) {
		struct id name = repairbox_nth(f, STORE_SNAPSHOTS, n - 1);
		bool backup = false;

		for (size_t b = 0; b < REPAIRBOX_BACKUPS; b++)
			backup = backup || id_eq(&name, &f->manifests[b]);
		if (!backup)
			MUST(store_remove(f->c->inner, STORE_SNAPSHOTS, &name, f->err), f->err);
	}
}

/* Damages the first record of the pack that is not this one; gives its id. */
static struct id flip_another(struct repairbox *f, const struct index *index, const struct id *pack,
			      const struct id *not_this)
{
	const struct index_place *p =
	    &index->places[index->packs[index_find_pack(index, pack)].first_place];

	p += id_eq(&p->info.id, not_this);
	repo_case_flip(f->c->inner, STORE_DATA, pack, p->offset, 7);
	return p->info.id;
}

/* Two copies, each damaged where the other is whole: none of them is trusted before both were looked at, whichever comes first. */
static void test_packs_both_copies(void **state)
{
	struct repairbox *f = *state;
	struct index *index = repo_case_index(f->c);
	const struct id old = index->packs[0].name;
	struct buf bytes = repo_case_get(f->c->inner, STORE_DATA, &old);
	struct repair_packs_result result;
	struct idset before = {0};
	struct id copy = {{0}}, flipped;

	for (size_t i = 0; i < index->pack_count; i++)
		MUST(idset_add(&before, &index->packs[i].name, f->err), f->err);
	index_free(index);
	repo_case_flip(f->c->inner, STORE_DATA, &old, 60, 0);
	assert_int_equal(repairbox_packs(f).records_lost, 0);
	repo_case_replace(f->c->inner, STORE_DATA, &old, bytes.data, bytes.len);
	forget_notes(f);
	repo_case_reopen(f->c);
	index = repo_case_index(f->c);
	assert_int_equal(index->pack_count, REPAIRBOX_BACKUPS + 1);
	for (size_t i = 0; i < index->pack_count; i++) {
		if (!idset_has(&before, &index->packs[i].name))
			copy = index->packs[i].name;
	}
	flipped = flip_another(f, index, &old, &old);
	(void)flip_another(f, index, &copy, &flipped);
	index_free(index);
	result = repairbox_packs(f);
	assert_int_equal(result.damaged, 2);
	assert_int_equal(result.records_lost, 0);
	MUST(store_remove(f->c->inner, STORE_DATA, &old, f->err), f->err);
	MUST(store_remove(f->c->inner, STORE_DATA, &copy, f->err), f->err);
	repo_case_reopen(f->c);
	assert_int_equal(repairbox_readable(f), REPAIRBOX_BACKUPS);
	buf_free(&bytes);
	idset_free(&before);
}

/* Wherever it ends nothing is lost by it, and the next run does the rest. */
static void packs_repair_stops(enum store_fault_kind kind)
{
	const struct repair_packs_options options = {.now_ns = 9};
	bool fired = true;

	for (uint64_t k = 1; fired; k++) {
		const struct check_options check = {.now_ns = 10};
		struct check_result checked;
		struct repair_packs_result result;
		struct repairbox *f;
		struct buf bytes;
		struct id pack;
		void *state;
		int r;

		assert_int_equal(repairbox_setup(&state), 0);
		f = state;
		pack = repairbox_nth(f, STORE_DATA, 1);
		bytes = repo_case_get(f->c->inner, STORE_DATA, &pack);
		repo_case_flip(f->c->inner, STORE_DATA, &pack, bytes.len - 1, 0);
		store_fault_arm(f->c->fault, &(struct store_fault_plan){.kind = kind, .at = k});
		r = repair_packs(f->c->repo, &options, &result, f->err);
		fired = store_fault_fired(f->c->fault);
		if (!fired)
			assert_int_equal(r, 0);
		repo_case_reopen(f->c);
		assert_int_equal(repairbox_readable(f), REPAIRBOX_BACKUPS);
		result = repairbox_packs(f);
		assert_int_equal(result.records_lost, 0);
		MUST(store_remove(f->c->inner, STORE_DATA, &pack, f->err), f->err);
		repo_case_reopen(f->c);
		assert_int_equal(repairbox_readable(f), REPAIRBOX_BACKUPS);
		/* Nor is it left to find what no segment names. */
		MUST(check_run(f->c->repo, &check, &checked, f->err), f->err);
		assert_int_equal(checked.damaged, 0);
		buf_free(&bytes);
		assert_int_equal(repairbox_teardown(&state), 0);
	}
}

static void test_packs_crash(void **state)
{
	(void)state;
	packs_repair_stops(FAULT_STOP);
	packs_repair_stops(FAULT_BEFORE);
}

static void test_packs_roles(void **state)
{
	static const enum role roles[] = {ROLE_READ, ROLE_WRITE};
	const struct repair_packs_options options = {0};
	struct repairbox *f = *state;

	for (size_t i = 0; i < 2; i++) {
		struct buf text = repo_case_keyfile(f->c, roles[i]);
		struct repair_packs_result result;
		struct repo *repo = NULL;

		MUST(repo_case_open_with(f->c, &text, &repo, f->err), f->err);
		MUST_FAIL(repair_packs(repo, &options, &result, f->err), ERR_KEY, f->err);
		repo_close(repo);
		buf_wipe(&text);
	}
}

/*
 * With a maintain key lists are moved and the rest is noted, whole or not; nothing of it is touched, so the full key saves what still opens, and
 * then all but the damaged record is there again.
 */
static void test_packs_by_a_maintain_key(void **state)
{
	const struct repair_packs_options options = {.now_ns = 9};
	struct repairbox *f = *state;
	struct buf text = repo_case_keyfile(f->c, ROLE_MAINTAIN);
	struct repair_packs_result result;
	struct index *index = repo_case_index(f->c);
	struct repo *repo = NULL;
	uint64_t lists = 0, records = index->packs[0].place_count;
	struct id pack = index->packs[0].name;
	uint32_t at = 0;

	for (uint32_t i = 0; i < records; i++) {
		const struct index_place *p = &index->places[index->packs[0].first_place + i];

		lists += chunk_kind_recipient(p->info.kind) == SLOT_M;
		at = p->info.kind == CHUNK_DATA ? p->offset : at;
	}
	repo_case_flip(f->c->inner, STORE_DATA, &pack, at, 7);
	MUST(repo_case_open_with(f->c, &text, &repo, f->err), f->err);
	MUST(repair_packs(repo, &options, &result, f->err), f->err);
	assert_int_equal(result.damaged, 1);
	assert_int_equal(result.records_saved, lists);
	assert_int_equal(result.unjudged, records - lists);
	assert_int_equal(result.records_lost, records - lists);
	assert_int_equal(result.noted, records);
	MUST(repair_packs(repo, &options, &result, f->err), f->err);
	assert_true(result.records_saved == 0 && result.noted == 0); /* nothing is left to do */
	repo_close(repo);
	repo_case_reopen(f->c);
	result = repairbox_packs(f);
	assert_int_equal(result.records_saved, records - lists - 1);
	assert_int_equal(result.records_lost, 1);
	assert_int_equal(result.unjudged, 0);
	MUST(store_remove(f->c->inner, STORE_DATA, &pack, f->err), f->err);
	repo_case_reopen(f->c);
	assert_int_equal(repairbox_readable(f), REPAIRBOX_BACKUPS - 1);
	index_free(index);
	buf_wipe(&text);
}

static void test_find_pack(void **state)
{
	struct repairbox *f = *state;
	struct id pack = repairbox_nth(f, STORE_DATA, 1), found;
	char hex[ID_HEX_CHARS + 1];

	id_hex(&pack, hex);
	MUST(repair_find_pack(f->c->repo->store, hex, &found, f->err), f->err);
	assert_true(id_eq(&found, &pack));
	MUST_FAIL(repair_find_pack(f->c->repo->store, "", &found, f->err), ERR_USAGE, f->err);
	MUST_FAIL(repair_find_pack(f->c->repo->store, "xyz", &found, f->err), ERR_MISSING, f->err);
}

/* --- manifests --- */

struct made {
	unsigned count;
	struct id damaged, repaired;
};

static void on_made(void *arg, const struct id *damaged, const struct id *repaired)
{
	struct made *m = arg;

	*m = (struct made){m->count + 1, *damaged, *repaired};
}

static int cancel(void *arg, uint64_t done, uint64_t total, const char *what)
{
	(void)arg;
	(void)done;
	(void)total;
	(void)what;
	return 1;
}

/* Every copy of one file's record is lost: the repaired backup has the others. */
static void lose_file(struct repairbox *f, unsigned b, unsigned i)
{
	struct index *index = repo_case_index(f->c);
	struct id id;

	MUST(record_id(keys_domain(f->c->repo->keys, 0, f->err), CHUNK_DATA, f->blocks[b][i],
		       REPAIRBOX_FILE_BYTES, &id, f->err),
	     f->err);
	assert_true(index_find(index, CHUNK_DATA, &id) != INDEX_NONE);
	for (uint32_t at = index_find(index, CHUNK_DATA, &id); at != INDEX_NONE;
	     at = index->places[at].next)
		repo_case_flip(f->c->inner, STORE_DATA, &index->packs[index->places[at].pack].name,
			       index->places[at].offset + 9, 3);
	index_free(index);
	assert_true(repairbox_packs(f).records_lost >= 1);
}

static void test_manifests(void **state)
{
	struct repairbox *f = *state;
	struct made made = {0};
	const struct repair_manifests_options options = {.cb = {.arg = &made}, .made = on_made};
	struct repair_manifests_result result;
	struct repo_case_file left[REPAIRBOX_FILES - 1] = {f->files[1][0], f->files[1][1],
							   f->files[1][3]};

	lose_file(f, 1, 2);
	MUST(repair_manifests(f->c->repo, &options, &result, f->err), f->err);
	assert_int_equal(result.manifests, REPAIRBOX_BACKUPS);
	assert_int_equal(result.damaged, 1);
	assert_int_equal(result.repaired, 1);
	assert_int_equal(result.left_out, 1);
	assert_int_equal(made.count, 1);
	assert_true(id_eq(&made.damaged, &f->manifests[1]));
	repo_case_reopen(f->c);
	MUST(repo_case_try_read(f->c->repo, &made.repaired, left, REPAIRBOX_FILES - 1, f->err),
	     f->err);
	assert_true(repo_case_try_read(f->c->repo, &made.repaired, f->files[1], REPAIRBOX_FILES,
				       f->err) < 0);
	MUST(repair_manifests(f->c->repo, &options, &result, f->err), f->err);
	assert_int_equal(result.manifests, REPAIRBOX_BACKUPS + 1);
	assert_int_equal(result.repaired, 0);
	assert_int_equal(result.repaired_before, 1);
	assert_int_equal(made.count, 1);
	/* A repaired one may be damaged, too. */
	lose_file(f, 1, 3);
	MUST(repair_manifests(f->c->repo, &options, &result, f->err), f->err);
	assert_int_equal(result.repaired, 1);
	assert_int_equal(result.repaired_before, 1);
	MUST(repo_case_try_read(f->c->repo, &made.repaired, left, REPAIRBOX_FILES - 2, f->err),
	     f->err);
}

/* A read that fails is no loss: nothing is left out for it, and nothing is made. */
static void test_manifests_fault(void **state)
{
	struct repairbox *f = *state;
	const struct repair_manifests_options options = {0};
	struct repair_manifests_result result;
	bool fired = true;

	lose_file(f, 1, 2);
	for (uint64_t k = 1; fired; k++) {
		size_t before = repo_case_count(f->c->inner, STORE_SNAPSHOTS);
		int r;

		store_fault_arm(f->c->fault,
				&(struct store_fault_plan){
				    .kind = FAULT_BEFORE, .at = k, .ops = FAULT_OP(FAULT_RANGE)});
		r = repair_manifests(f->c->repo, &options, &result, f->err);
		fired = store_fault_fired(f->c->fault);
		if (r)
			assert_int_equal(repo_case_count(f->c->inner, STORE_SNAPSHOTS), before);
		else
			assert_true(result.left_out <= 1 && result.hopeless == 0);
	}
	repo_case_reopen(f->c);
	MUST(repair_manifests(f->c->repo, &options, &result, f->err), f->err);
	assert_int_equal(result.repaired, 0);
	assert_int_equal(result.repaired_before, 1);
}

/* What a prune is about to delete the repaired backup does not rest on, be it condemned before or meanwhile. */
struct condemning {
	struct repairbox *f;
	bool meanwhile;
	struct id packs[16];
	size_t count;
};

static void condemn_all(struct condemning *c)
{
	struct repairbox *f = c->f;
	struct id *names = NULL;
	struct repo *other = NULL;

	MUST(repo_list(f->c->inner, STORE_DATA, &names, NULL, &c->count, f->err), f->err);
	assert_true(c->count <= 16);
	memcpy(c->packs, names, c->count * sizeof(*names));
	MUST(repo_case_open_with(f->c, &f->c->keyfile, &other, f->err), f->err);
	MUST(condemned_put(other, CONDEMN_PACKS, names, c->count, f->err), f->err);
	repo_close(other);
	free(names);
}

/* The packer is made by then: it says where the damaged file is left out. */
static void condemn_now(void *arg, const struct id *manifest, const char *path, const char *text)
{
	struct condemning *c = arg;

	(void)manifest;
	(void)path;
	(void)text;
	if (c->meanwhile && !c->count)
		condemn_all(c);
}

static void on_condemned_made(void *arg, const struct id *damaged, const struct id *repaired)
{
	struct condemning *c = arg;

	(void)damaged;
	c->f->manifests[1] = *repaired;
}

static void test_manifests_condemned(void **unused)
{
	(void)unused;
	for (int meanwhile = 0; meanwhile < 2; meanwhile++) {
		struct repair_manifests_result result;
		struct condemning c = {.meanwhile = meanwhile};
		const struct repair_manifests_options options = {
		    .cb = {.touched = condemn_now, .arg = &c}, .made = on_condemned_made};
		struct repairbox *f;
		void *state;

		assert_int_equal(repairbox_setup(&state), 0);
		f = c.f = state;
		lose_file(f, 1, 2);
		if (!meanwhile)
			condemn_all(&c);
		MUST(repair_manifests(f->c->repo, &options, &result, f->err), f->err);
		assert_int_equal(result.repaired, 1);
		assert_true(c.count > 0);
		for (size_t i = 0; i < c.count; i++)
			MUST(store_remove(f->c->inner, STORE_DATA, &c.packs[i], f->err), f->err);
		repo_case_reopen(f->c);
		MUST(repo_case_try_read(f->c->repo, &f->manifests[1], f->files[1], 2, f->err),
		     f->err);
		MUST(repo_case_try_read(f->c->repo, &f->manifests[1], &f->files[1][3], 1, f->err),
		     f->err);
		assert_int_equal(repairbox_teardown(&state), 0);
	}
}

static void test_manifests_cancel(void **state)
{
	struct repairbox *f = *state;
	const struct repair_manifests_options options = {.cb = {.progress = cancel}};
	struct repair_manifests_result result;

	MUST_FAIL(repair_manifests(f->c->repo, &options, &result, f->err), ERR_CANCELLED, f->err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_packs_each_record),
	    cmocka_unit_test_setup_teardown(test_packs_without_loss, repairbox_setup,
					    repairbox_teardown),
	    cmocka_unit_test_setup_teardown(test_packs_both_copies, repairbox_setup,
					    repairbox_teardown),
	    cmocka_unit_test(test_packs_crash),
	    cmocka_unit_test_setup_teardown(test_packs_roles, repairbox_setup, repairbox_teardown),
	    cmocka_unit_test_setup_teardown(test_packs_by_a_maintain_key, repairbox_setup,
					    repairbox_teardown),
	    cmocka_unit_test_setup_teardown(test_packs_at_their_depth, repo_case_setup,
					    repo_case_teardown),
	    cmocka_unit_test_setup_teardown(test_find_pack, repairbox_setup, repairbox_teardown),
	    cmocka_unit_test_setup_teardown(test_manifests, repairbox_setup, repairbox_teardown),
	    cmocka_unit_test_setup_teardown(test_manifests_fault, repairbox_setup,
					    repairbox_teardown),
	    cmocka_unit_test(test_manifests_condemned),
	    cmocka_unit_test_setup_teardown(test_manifests_cancel, repairbox_setup,
					    repairbox_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
