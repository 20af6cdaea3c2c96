/* Repairs of index and packs: who may, what a crash or a bad disk in the middle leaves, and which records are saved. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "repo/condemned.h"
#include "repo/index.h"
#include "repo/repair.h"
#include "tests/support/must.h"
#include "tests/support/repo_case.h"

#define FILES 4
#define FILE_BYTES 3000
#define BACKUPS 3

struct fixture {
	struct repo_case *c;
	uint8_t *blocks[BACKUPS][FILES];
	struct repo_case_file files[BACKUPS][FILES];
	struct id manifests[BACKUPS];
	struct err *err;
};

static const char *const file_names[FILES] = {"a", "b", "c", "d"};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	void *c = NULL;

	assert_non_null(f);
	assert_int_equal(repo_case_setup(&c), 0);
	f->c = c;
	f->err = &f->c->err;
	for (unsigned b = 0; b < BACKUPS; b++) {
		for (unsigned i = 0; i < FILES; i++) {
			f->blocks[b][i] = repo_case_block(b * FILES + i + 1, FILE_BYTES);
			f->files[b][i] =
			    (struct repo_case_file){file_names[i], f->blocks[b][i], FILE_BYTES};
		}
		f->manifests[b] = repo_case_backup(f->c, f->files[b], FILES, b + 1);
	}
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	void *c = f->c;

	for (unsigned b = 0; b < BACKUPS; b++) {
		for (unsigned i = 0; i < FILES; i++)
			free(f->blocks[b][i]);
	}
	(void)repo_case_teardown(&c);
	free(f);
	return 0;
}

/* How many backups read back; missing: one file may be gone from each. */
static unsigned readable(struct fixture *f)
{
	struct err err = {0};
	unsigned count = 0;

	for (unsigned b = 0; b < BACKUPS; b++)
		count +=
		    repo_case_try_read(f->c->repo, &f->manifests[b], f->files[b], FILES, &err) == 0;
	return count;
}

static struct id nth(struct fixture *f, enum store_type type, size_t n)
{
	struct id *names = NULL, name;
	size_t count = 0;

	MUST(repo_list(f->c->inner, type, &names, NULL, &count, f->err), f->err);
	assert_true(n < count);
	name = names[n];
	free(names);
	return name;
}

static void rot(struct fixture *f, enum store_type type, size_t n, size_t at)
{
	struct id name = nth(f, type, n);

	repo_case_flip(f->c->inner, type, &name, at, 1);
}

static struct repair_index_result repaired_index(struct fixture *f)
{
	const struct repair_index_options options = {0};
	struct repair_index_result result;

	MUST(repair_index(f->c->repo, &options, &result, f->err), f->err);
	return result;
}

/* All packs are named by good segments, once each. */
static void assert_index_whole(struct fixture *f)
{
	struct repair_index_result again = repaired_index(f);
	struct index *index = repo_case_index(f->c);

	assert_int_equal(again.written, 0);
	assert_int_equal(again.replaced, 0);
	assert_int_equal(index->pack_count, repo_case_count(f->c->inner, STORE_DATA));
	index_free(index);
	repo_case_assert_format(f->c->inner);
}

/* --- the index --- */

static void break_index(struct fixture *f)
{
	struct id name = nth(f, STORE_INDEX, 2);

	rot(f, STORE_INDEX, 0, 300);
	rot(f, STORE_INDEX, 1, 5);
	MUST(store_remove(f->c->inner, STORE_INDEX, &name, f->err), f->err);
}

/* Wherever it ends, backups are readable, and the next repair ends the work. */
static void index_repair_stops(enum store_fault_kind kind)
{
	const struct repair_index_options options = {0};
	bool fired = true;

	for (uint64_t k = 1; fired; k++) {
		struct repair_index_result result;
		struct fixture *f;
		void *state;
		int r;

		assert_int_equal(setup(&state), 0);
		f = state;
		break_index(f);
		store_fault_arm(f->c->fault, &(struct store_fault_plan){.kind = kind, .at = k});
		r = repair_index(f->c->repo, &options, &result, f->err);
		fired = store_fault_fired(f->c->fault);
		if (!fired)
			assert_int_equal(r, 0);
		repo_case_reopen(f->c);
		assert_int_equal(readable(f), BACKUPS);
		(void)repaired_index(f);
		assert_index_whole(f);
		assert_int_equal(readable(f), BACKUPS);
		assert_int_equal(teardown(&state), 0);
	}
}

static void test_index_crash(void **state)
{
	(void)state;
	index_repair_stops(FAULT_STOP);
}

static void test_index_fault(void **state)
{
	(void)state;
	index_repair_stops(FAULT_BEFORE);
	index_repair_stops(FAULT_AFTER);
}

/* A bit that flipped on the way, or a listing that lost half, costs work and nothing else. */
static void test_index_lies(void **state)
{
	(void)state;
	index_repair_stops(FAULT_TEAR);
}

static size_t named(struct fixture *f)
{
	struct index *index = NULL;
	size_t count;

	MUST(index_load(f->c->repo, NULL, NULL, &index, f->err), f->err);
	count = index->pack_count;
	index_free(index);
	return count;
}

/* At no moment a pack that was named is not: the new segment comes before the old one goes. */
static void test_index_order(void **unused)
{
	const struct repair_index_options options = {0};
	bool fired = true;

	(void)unused;
	for (uint64_t k = 1; fired; k++) {
		struct repair_index_result result;
		struct fixture *f;
		struct id pack;
		void *state;
		int r;

		assert_int_equal(setup(&state), 0);
		f = state;
		break_index(f);
		assert_int_equal(repaired_index(f).written, 1);
		pack = nth(f, STORE_DATA, 0);
		MUST(store_remove(f->c->inner, STORE_DATA, &pack, f->err), f->err);
		store_fault_arm(f->c->fault,
				&(struct store_fault_plan){.kind = FAULT_STOP, .at = k});
		r = repair_index(f->c->repo, &options, &result, f->err);
		fired = store_fault_fired(f->c->fault);
		assert_true(r == 0 || fired);
		repo_case_reopen(f->c);
		assert_true(named(f) >= BACKUPS - 1);
		(void)repaired_index(f);
		assert_int_equal(named(f), BACKUPS - 1);
		assert_index_whole(f);
		assert_int_equal(teardown(&state), 0);
	}
}

static void test_index_empty(void **state)
{
	struct fixture *f = *state;
	struct repair_index_result result;

	for (int i = 0; i < BACKUPS; i++) {
		struct id name = nth(f, STORE_INDEX, 0);

		MUST(store_remove(f->c->inner, STORE_INDEX, &name, f->err), f->err);
	}
	result = repaired_index(f);
	assert_int_equal(result.packs_added, BACKUPS);
	assert_int_equal(result.written, 1);
	assert_index_whole(f);
	assert_int_equal(readable(f), BACKUPS);
}

/* A healthy segment is only read, though another is broken. */
static void test_index_keeps_good(void **state)
{
	struct fixture *f = *state;
	struct id kept[2] = {nth(f, STORE_INDEX, 0), nth(f, STORE_INDEX, 2)};
	struct repair_index_result result;

	rot(f, STORE_INDEX, 1, 300);
	result = repaired_index(f);
	assert_int_equal(result.replaced, 1);
	assert_int_equal(result.written, 1);
	assert_int_equal(result.packs_added, 1);
	for (size_t i = 0; i < 2; i++) {
		struct buf b = repo_case_get(f->c->inner, STORE_INDEX, &kept[i]);

		buf_free(&b);
	}
	assert_index_whole(f);
}

/* A listing that leaves out packs makes none of them missing. */
static void test_index_short_listing(void **state)
{
	const struct repair_index_options options = {0};
	struct repair_index_result result;
	struct fixture *f = *state;

	store_fault_arm(f->c->fault, &(struct store_fault_plan){.kind = FAULT_TEAR,
								.at = 1,
								.ops = FAULT_OP(FAULT_LIST),
								.types = FAULT_TYPE(STORE_DATA)});
	MUST(repair_index(f->c->repo, &options, &result, f->err), f->err);
	assert_true(store_fault_fired(f->c->fault));
	assert_true(result.packs < BACKUPS);
	assert_int_equal(result.packs_missing + result.replaced + result.written, 0);
}

/* A segment that is well signed and says less than the pack does: only who compares all packs can tell. */
static void test_index_wrong_words(void **state)
{
	const struct repair_index_options all = {.read_all_packs = true};
	struct repair_index_result result;
	struct fixture *f = *state;
	struct id name = nth(f, STORE_INDEX, 0);
	struct indexseg seg = {0};
	struct buf bytes = {0};

	MUST(index_get_segment(f->c->repo, &name, &seg, f->err), f->err);
	assert_true(seg.packs[0].dir.entry_count > 1);
	seg.packs[0].dir.entry_count--;
	MUST(indexseg_enc(f->c->repo->keys, 0, seg.packs, seg.pack_count, 12, &bytes, f->err),
	     f->err);
	MUST(repo_put(f->c->repo, STORE_INDEX, &bytes, NULL, f->err), f->err);
	MUST(store_remove(f->c->inner, STORE_INDEX, &name, f->err), f->err);
	assert_int_equal(repaired_index(f).replaced, 0);
	assert_true(readable(f) < BACKUPS);
	MUST(repair_index(f->c->repo, &all, &result, f->err), f->err);
	assert_int_equal(result.replaced, 1);
	assert_int_equal(result.written, 1);
	assert_int_equal(readable(f), BACKUPS);
	MUST(repair_index(f->c->repo, &all, &result, f->err), f->err);
	assert_int_equal(result.replaced + result.written, 0);
	indexseg_free(&seg);
	buf_free(&bytes);
}

static int repair_as(struct fixture *f, enum role role, struct repair_index_result *result)
{
	const struct repair_index_options options = {0};
	struct buf text = repo_case_keyfile(f->c, role);
	struct repo *repo = NULL;
	int r;

	MUST(repo_case_open_with(f->c, &text, &repo, f->err), f->err);
	r = repair_index(repo, &options, result, f->err);
	repo_close(repo);
	buf_wipe(&text);
	return r;
}

/* The maintain key has no domain: it borrows a segment key, which writers can open. */
static void test_index_maintain(void **state)
{
	struct fixture *f = *state;
	struct buf text = repo_case_keyfile(f->c, ROLE_WRITE);
	struct repair_index_result result;
	struct index *index = NULL;
	struct repo *writer = NULL;

	rot(f, STORE_INDEX, 1, 300);
	MUST(repair_as(f, ROLE_MAINTAIN, &result), f->err);
	assert_int_equal(result.replaced, 1);
	assert_int_equal(result.written, 1);
	MUST(repo_case_open_with(f->c, &text, &writer, f->err), f->err);
	MUST(index_load(writer, NULL, NULL, &index, f->err), f->err);
	assert_int_equal(index->pack_count, BACKUPS);
	index_free(index);
	repo_close(writer);
	buf_wipe(&text);
	assert_index_whole(f);
}

static void test_index_roles(void **state)
{
	struct fixture *f = *state;
	struct repair_index_result result;

	break_index(f);
	MUST_FAIL(repair_as(f, ROLE_READ, &result), ERR_KEY, f->err);
	MUST_FAIL(repair_as(f, ROLE_WRITE, &result), ERR_KEY, f->err);
	MUST_FAIL(repair_as(f, ROLE_MAINTAIN, &result), ERR_KEY, f->err);
	assert_non_null(strstr(f->err->text, "no index segment is left"));
	assert_int_equal(repo_case_count(f->c->inner, STORE_INDEX), 2); /* as they were */
	(void)repaired_index(f);
	assert_index_whole(f);
}

/* --- packs --- */

static struct repair_packs_result repaired_packs(struct fixture *f)
{
	const struct repair_packs_options options = {.now_ns = 9};
	struct repair_packs_result result;

	MUST(repair_packs(f->c->repo, &options, &result, f->err), f->err);
	return result;
}

/* Each record of a pack in turn: it alone is lost, and the others do without the pack. */
static void test_packs_each_record(void **state)
{
	size_t records = 1;

	(void)state;
	for (size_t i = 0; i < records; i++) {
		struct repair_packs_result result;
		struct index *index;
		struct fixture *f;
		struct id pack;
		bool data;
		void *s;

		assert_int_equal(setup(&s), 0);
		f = s;
		index = repo_case_index(f->c);
		pack = index->packs[0].name;
		records = index->packs[0].place_count;
		data = index->places[index->packs[0].first_place + i].info.kind == CHUNK_DATA;
		repo_case_flip(f->c->inner, STORE_DATA, &pack,
			       index->places[index->packs[0].first_place + i].offset, 7);
		index_free(index);
		result = repaired_packs(f);
		assert_int_equal(result.packs, BACKUPS);
		assert_int_equal(result.damaged, 1);
		assert_int_equal(result.records_lost, 1);
		assert_int_equal(result.records_saved, records - 1);
		assert_int_equal(result.noted, records);
		assert_true(result.touched >= 1);
		/* Nodes of the other backups rest on those of the first. */
		assert_true(data ? readable(f) == BACKUPS - 1 : readable(f) < BACKUPS);
		result = repaired_packs(f);
		assert_int_equal(result.records_saved, 0);
		assert_int_equal(result.noted, 0);
		assert_int_equal(teardown(&s), 0);
	}
	assert_true(records >= FILES + 2);
}

static void test_packs_without_loss(void **state)
{
	struct fixture *f = *state;
	struct id pack = nth(f, STORE_DATA, 0);
	struct buf bytes = repo_case_get(f->c->inner, STORE_DATA, &pack);
	struct repair_packs_result result;

	repo_case_flip(f->c->inner, STORE_DATA, &pack, bytes.len - 1, 0);
	result = repaired_packs(f);
	assert_int_equal(result.damaged, 1);
	assert_int_equal(result.records_lost, 0);
	assert_int_equal(result.touched, 0);
	MUST(store_remove(f->c->inner, STORE_DATA, &pack, f->err), f->err);
	repo_case_reopen(f->c);
	assert_int_equal(readable(f), BACKUPS);
	/* What was moved can be damaged and moved again. */
	pack = nth(f, STORE_DATA, 2);
	repo_case_flip(f->c->inner, STORE_DATA, &pack, 60, 0);
	result = repaired_packs(f);
	assert_int_equal(result.records_lost, 0);
	MUST(store_remove(f->c->inner, STORE_DATA, &pack, f->err), f->err);
	repo_case_reopen(f->c);
	assert_int_equal(readable(f), BACKUPS);
	buf_free(&bytes);
}

/* Wherever it ends nothing is lost by it, and the next run does the rest. */
static void packs_repair_stops(enum store_fault_kind kind)
{
	const struct repair_packs_options options = {.now_ns = 9};
	bool fired = true;

	for (uint64_t k = 1; fired; k++) {
		struct repair_packs_result result;
		struct fixture *f;
		struct buf bytes;
		struct id pack;
		void *state;
		int r;

		assert_int_equal(setup(&state), 0);
		f = state;
		pack = nth(f, STORE_DATA, 1);
		bytes = repo_case_get(f->c->inner, STORE_DATA, &pack);
		repo_case_flip(f->c->inner, STORE_DATA, &pack, bytes.len - 1, 0);
		store_fault_arm(f->c->fault, &(struct store_fault_plan){.kind = kind, .at = k});
		r = repair_packs(f->c->repo, &options, &result, f->err);
		fired = store_fault_fired(f->c->fault);
		if (!fired)
			assert_int_equal(r, 0);
		repo_case_reopen(f->c);
		assert_int_equal(readable(f), BACKUPS);
		result = repaired_packs(f);
		assert_int_equal(result.records_lost, 0);
		MUST(store_remove(f->c->inner, STORE_DATA, &pack, f->err), f->err);
		repo_case_reopen(f->c);
		assert_int_equal(readable(f), BACKUPS);
		buf_free(&bytes);
		assert_int_equal(teardown(&state), 0);
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
	static const enum role roles[] = {ROLE_MAINTAIN, ROLE_READ, ROLE_WRITE};
	const struct repair_packs_options options = {0};
	struct fixture *f = *state;

	for (size_t i = 0; i < 3; i++) {
		struct buf text = repo_case_keyfile(f->c, roles[i]);
		struct repair_packs_result result;
		struct repo *repo = NULL;

		MUST(repo_case_open_with(f->c, &text, &repo, f->err), f->err);
		MUST_FAIL(repair_packs(repo, &options, &result, f->err), ERR_KEY, f->err);
		repo_close(repo);
		buf_wipe(&text);
	}
}

static void test_find_pack(void **state)
{
	struct fixture *f = *state;
	struct id pack = nth(f, STORE_DATA, 1), found;
	char hex[ID_HEX_CHARS + 1];

	id_hex(&pack, hex);
	MUST(repair_find_pack(f->c->repo, hex, &found, f->err), f->err);
	assert_true(id_eq(&found, &pack));
	MUST_FAIL(repair_find_pack(f->c->repo, "", &found, f->err), ERR_USAGE, f->err);
	MUST_FAIL(repair_find_pack(f->c->repo, "xyz", &found, f->err), ERR_MISSING, f->err);
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
static void lose_file(struct fixture *f, unsigned b, unsigned i)
{
	struct index *index = repo_case_index(f->c);
	struct id id;

	MUST(record_id(keys_domain(f->c->repo->keys, 0, f->err), CHUNK_DATA, f->blocks[b][i],
		       FILE_BYTES, &id, f->err),
	     f->err);
	assert_true(index_find(index, CHUNK_DATA, &id) != INDEX_NONE);
	for (uint32_t at = index_find(index, CHUNK_DATA, &id); at != INDEX_NONE;
	     at = index->places[at].next)
		repo_case_flip(f->c->inner, STORE_DATA, &index->packs[index->places[at].pack].name,
			       index->places[at].offset + 9, 3);
	index_free(index);
	assert_true(repaired_packs(f).records_lost >= 1);
}

static void test_manifests(void **state)
{
	struct fixture *f = *state;
	struct made made = {0};
	const struct repair_manifests_options options = {.cb = {.arg = &made}, .made = on_made};
	struct repair_manifests_result result;
	struct repo_case_file left[FILES - 1] = {f->files[1][0], f->files[1][1], f->files[1][3]};

	lose_file(f, 1, 2);
	MUST(repair_manifests(f->c->repo, &options, &result, f->err), f->err);
	assert_int_equal(result.manifests, BACKUPS);
	assert_int_equal(result.damaged, 1);
	assert_int_equal(result.repaired, 1);
	assert_int_equal(result.left_out, 1);
	assert_int_equal(made.count, 1);
	assert_true(id_eq(&made.damaged, &f->manifests[1]));
	repo_case_reopen(f->c);
	MUST(repo_case_try_read(f->c->repo, &made.repaired, left, FILES - 1, f->err), f->err);
	assert_true(repo_case_try_read(f->c->repo, &made.repaired, f->files[1], FILES, f->err) < 0);
	MUST(repair_manifests(f->c->repo, &options, &result, f->err), f->err);
	assert_int_equal(result.manifests, BACKUPS + 1);
	assert_int_equal(result.repaired, 0);
	assert_int_equal(result.repaired_before, 1);
	assert_int_equal(made.count, 1);
	/* A repaired one may be damaged, too. */
	lose_file(f, 1, 3);
	MUST(repair_manifests(f->c->repo, &options, &result, f->err), f->err);
	assert_int_equal(result.repaired, 1);
	assert_int_equal(result.repaired_before, 1);
	MUST(repo_case_try_read(f->c->repo, &made.repaired, left, FILES - 2, f->err), f->err);
}

/* A read that fails is no loss: nothing is left out for it, and nothing is made. */
static void test_manifests_fault(void **state)
{
	struct fixture *f = *state;
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
	struct fixture *f;
	bool meanwhile;
	struct id packs[16];
	size_t count;
};

static void condemn_all(struct condemning *c)
{
	struct fixture *f = c->f;
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
		struct fixture *f;
		void *state;

		assert_int_equal(setup(&state), 0);
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
		assert_int_equal(teardown(&state), 0);
	}
}

static void test_manifests_cancel(void **state)
{
	struct fixture *f = *state;
	const struct repair_manifests_options options = {.cb = {.progress = cancel}};
	struct repair_manifests_result result;

	MUST_FAIL(repair_manifests(f->c->repo, &options, &result, f->err), ERR_CANCELLED, f->err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_index_crash),
	    cmocka_unit_test(test_index_fault),
	    cmocka_unit_test(test_index_lies),
	    cmocka_unit_test(test_index_order),
	    cmocka_unit_test_setup_teardown(test_index_empty, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_index_keeps_good, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_index_short_listing, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_index_wrong_words, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_index_maintain, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_index_roles, setup, teardown),
	    cmocka_unit_test(test_packs_each_record),
	    cmocka_unit_test_setup_teardown(test_packs_without_loss, setup, teardown),
	    cmocka_unit_test(test_packs_crash),
	    cmocka_unit_test_setup_teardown(test_packs_roles, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_find_pack, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_manifests, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_manifests_fault, setup, teardown),
	    cmocka_unit_test(test_manifests_condemned),
	    cmocka_unit_test_setup_teardown(test_manifests_cancel, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
