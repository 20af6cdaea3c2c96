/*
 * A writer with a real key against the others of its domain: garbage under the ids of their chunks, segments and directories that lie. No backup
 * that was made before is harmed, whoever prunes; and what it spoils for later ones the next check names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/damage.h"
#include "core/tagrec.h"
#include "repo/check.h"
#include "core/node.h"
#include "repo/repair.h"
#include "repo/tags.h"
#include "repo/notes.h"
#include "tests/support/attacker.h"
#include "tests/support/must.h"
#include "tests/support/prunebox.h"

#define GRACE (73 * PRUNEBOX_HOUR)
#define ALL_KINDS 0x3e
#define LISTS (1u << CHUNK_TREE_LIST | 1u << CHUNK_LIST)

static unsigned attacks;

struct box {
	struct prunebox *b;
	struct attacker *a;
};

static int setup(void **state)
{
	struct box *box = calloc(1, sizeof(*box));
	void *b = NULL;

	assert_non_null(box);
	assert_int_equal(prunebox_setup(&b), 0);
	box->b = b;
	box->b->options.unused = PRUNE_UNUSED_PERCENT;
	*state = box;
	return 0;
}

static int teardown(void **state)
{
	struct box *box = *state;
	void *b = box->b;

	if (box->a)
		attacker_free(box->a);
	assert_int_equal(prunebox_teardown(&b), 0);
	free(box);
	return 0;
}

static void prune_as(struct box *box, enum role role)
{
	struct buf key = repo_case_keyfile(box->b->c, role);
	struct repo *repo = NULL;
	struct err why = {0};
	int r;

	MUST(repo_case_open_with(box->b->c, &key, &repo, box->b->err), box->b->err);
	/* It may refuse, because of what the attacker has planted; then nothing is deleted. */
	r = prune_run(repo, &box->b->options, &box->b->result, &why);
	assert_true(r == 0 || r == -ERR_DAMAGED);
	repo_close(repo);
	buf_wipe(&key);
}

/* Prunes as often as it takes to repack, condemn and delete; with reasons to: a backup is gone, and its neighbours share its packs. */
static void prune_all(struct box *box, enum role role)
{
	for (int i = 0; i < 4; i++) {
		prune_as(box, role);
		prunebox_pass(box->b, GRACE);
	}
}

static const enum role pruners[] = {ROLE_MAINTAIN, ROLE_FULL};

/* --- garbage under the ids of what others have --- */

/* At a sequence before, and one behind, those of the victim. */
static void test_spoiled_after(void **state)
{
	const unsigned kinds[] = {ALL_KINDS, LISTS, 1u << CHUNK_DATA};

	for (size_t i = 0; i < 2 * 2 * 3; i++) {
		struct box *box;

		assert_int_equal(setup(state), 0);
		box = *state;
		prunebox_nights(box->b, 4);
		box->a = attacker_new(box->b->c, "evil", 0);
		attacker_spoil(box->a, box->b->c, kinds[i % 3], i / 6 ? 1 : 1000);
		prunebox_assert_restores(box->b);
		prunebox_forget(box->b, 2);
		prunebox_forget(box->b, 0);
		prune_all(box, pruners[i / 3 % 2]);
		prunebox_assert_restores(box->b);
		attacks++;
		assert_int_equal(teardown(state), 0);
	}
}

/* A true list of other children, which who maintains cannot tell from the right one. */
static void test_planted_lists(void **state)
{
	for (size_t i = 0; i < 2; i++) {
		struct buf list = {0};
		struct attacker_record record[2];
		struct indexseg_pack pack;
		struct manifest_list manifests = {0};
		struct chunk_ref body;
		struct box *box;
		uint8_t bytes[] = "the body of another folder";

		assert_int_equal(setup(state), 0);
		box = *state;
		prunebox_nights(box->b, 3);
		box->a = attacker_new(box->b->c, "evil", 0);
		MUST(manifests_load(box->b->c->repo, NULL, NULL, &manifests, box->b->err),
		     box->b->err);
		body.kind = CHUNK_TREE_BODY;
		MUST(record_id(keys_domain(box->a->repo->keys, 0, box->b->err), CHUNK_TREE_BODY,
			       bytes, sizeof(bytes), &body.id, box->b->err),
		     box->b->err);
		list_put(&list, &body, 1);
		for (size_t k = 0; k < manifests.count; k++) {
			record[0] = attacker_raw(CHUNK_TREE_LIST, &manifests.items[k].m.root,
						 list.data, list.len);
			record[1] = attacker_raw(CHUNK_TREE_BODY, &body.id, bytes, sizeof(bytes));
			pack = attacker_pack(box->a, record, 2, 1);
			(void)attacker_segment(box->a, &pack, 1);
			pack_dir_free(&pack.dir);
		}
		prune_all(box, pruners[i]);
		prunebox_assert_restores(box->b);
		attacks++;
		manifest_list_free(&manifests);
		buf_free(&list);
		assert_int_equal(teardown(state), 0);
	}
}

/* More copies of one chunk than records may be under one. */
static void test_thousands_of_copies(void **state)
{
	struct box *box = *state;
	struct attacker_record *records = calloc(4000, sizeof(*records));
	struct indexseg_pack pack;
	struct index *index;

	assert_non_null(records);
	prunebox_nights(box->b, 3);
	box->a = attacker_new(box->b->c, "evil", 0);
	index = repo_case_index(box->b->c);
	for (uint32_t at = 0, count = 0; at < index->place_count; at++) {
		const struct record_info *info = &index->places[at].info;

		if (!info->kind)
			continue;
		for (count = 0; count < 1500; count++)
			records[count] = attacker_raw(info->kind, &info->id, "garbage", 7);
		pack = attacker_pack(box->a, records, count, 1);
		(void)attacker_segment(box->a, &pack, 1);
		pack_dir_free(&pack.dir);
		if (info->base_count == 0)
			at += (uint32_t)(index->place_count / 12);
	}
	index_free(index);
	prunebox_assert_restores(box->b);
	prune_all(box, ROLE_MAINTAIN);
	prunebox_assert_restores(box->b);
	attacks++;
	free(records);
}

/* --- directories and segments that lie --- */

/* It says of its garbage that the victim stored it, in his first backup. */
static void test_claimed_source(void **state)
{
	for (size_t i = 0; i < 8; i++) {
		struct pack_source source = {.sequence = 1};
		struct indexseg_pack pack, claimed;
		struct attacker_record *records;
		static const uint8_t garbage[40];
		struct index *index;
		struct box *box;
		size_t count = 0;

		assert_int_equal(setup(state), 0);
		box = *state;
		prunebox_nights(box->b, 4);
		box->a = attacker_new(box->b->c, "evil", 0);
		index = repo_case_index(box->b->c);
		records = calloc(index->place_count, sizeof(*records));
		assert_non_null(records);
		for (uint32_t at = 0; at < index->place_count; at++) {
			const struct record_info *info = &index->places[at].info;

			if (info->kind)
				records[count++] =
				    attacker_raw(info->kind, &info->id, garbage, sizeof(garbage));
		}
		memcpy(source.writer, box->b->c->repo->keys->writer_pub, 32);
		pack = attacker_pack(box->a, records, count, 1);
		claimed = attacker_claim(box->a, &pack, &source, false);
		if (i & 1) /* said by a segment, too */
			(void)attacker_segment(box->a, &claimed, 1);
		if (i &
		    2) { /* and the owner, seeing packs that no index names, has it written anew */
			const struct repair_index_options options = {0};
			struct repair_index_result result;

			MUST(repair_index(box->b->c->repo, &options, &result, box->b->err),
			     box->b->err);
		}
		prunebox_forget(box->b, 2);
		prunebox_forget(box->b, 0);
		prune_all(box, pruners[i / 4]);
		prunebox_assert_restores(box->b);
		attacks++;
		free(records);
		index_free(index);
		pack_dir_free(&pack.dir);
		pack_dir_free(&claimed.dir);
		assert_int_equal(teardown(state), 0);
	}
}

static struct indexseg_pack said_of(const struct index *index, uint32_t number)
{
	const struct index_pack *p = &index->packs[number];
	struct indexseg_pack said = {.name = p->name, .pack_bytes = p->pack_bytes};

	said.dir = (struct pack_dir){p->slots, p->slot_count, p->sources, p->source_count, NULL, 0};
	said.dir.entries = calloc(p->place_count, sizeof(*said.dir.entries));
	assert_non_null(said.dir.entries);
	for (uint32_t i = 0; i < p->place_count; i++) {
		const struct index_place *at = &index->places[p->first_place + i];

		said.dir.entries[said.dir.entry_count++] =
		    (struct pack_entry){.info = at->info,
					.slot = at->slot,
					.counter = at->counter,
					.offset = at->offset,
					.stored_bytes = at->stored_bytes};
	}
	return said;
}

/* Garbage that claims to be the victim's very records, moved to another pack, which the owner's repair then puts into the index. */
static void test_claimed_records(void **state)
{
	struct box *box = *state;
	const struct repair_index_options options = {0};
	struct repair_index_result result;
	struct pack_source source = {.sequence = 1};
	struct index *index;

	prunebox_nights(box->b, 4);
	box->a = attacker_new(box->b->c, "evil", 0);
	index = repo_case_index(box->b->c);
	memcpy(source.writer, box->b->c->repo->keys->writer_pub, 32);
	for (uint32_t n = 0; n < index->pack_count; n++) {
		struct indexseg_pack said = said_of(index, n);
		struct indexseg_pack claimed = attacker_claim(box->a, &said, &source, true);

		pack_dir_free(&claimed.dir);
		free(said.dir.entries);
	}
	index_free(index);
	MUST(repair_index(box->b->c->repo, &options, &result, box->b->err), box->b->err);
	prunebox_forget(box->b, 2);
	prunebox_forget(box->b, 0);
	prune_all(box, ROLE_MAINTAIN);
	prunebox_assert_restores(box->b);
	attacks++;
}

/* Its segment names the victim's packs, with other chunks in them than they have. */
static void lie_about_packs(struct box *box, const struct index *index, bool other_length)
{
	for (uint32_t n = 0; n < index->pack_count; n++) {
		struct pack_source own = {.sequence = 1};
		struct indexseg_pack lie = said_of(index, n);

		memcpy(own.writer, box->a->repo->keys->writer_pub, 32);
		lie.pack_bytes += other_length ? 4096 : 0;
		lie.dir.sources = &own;
		lie.dir.source_count = 1;
		for (size_t i = 0; !other_length && i < lie.dir.entry_count; i++)
			lie.dir.entries[i].info.id.b[31] ^= 1;
		(void)attacker_segment(box->a, &lie, 1);
		free(lie.dir.entries);
	}
}

static void on_damage(void *arg, const char *object, const char *text)
{
	unsigned *told = arg;

	*told += strncmp(object, "index/", 6) == 0 && strstr(text, "contradict") != NULL;
}

static void test_false_segments(void **state)
{
	for (size_t i = 0; i < 4; i++) {
		unsigned told = 0;
		const struct check_options options = {.damage = on_damage, .arg = &told};
		const struct repair_index_options repair = {0};
		struct repair_index_result repaired;
		struct check_result result;
		struct index *index;
		struct box *box;

		assert_int_equal(setup(state), 0);
		box = *state;
		prunebox_nights(box->b, 4);
		box->a = attacker_new(box->b->c, "evil", 0);
		index = repo_case_index(box->b->c);
		lie_about_packs(box, index, i / 2);
		MUST(check_run(box->b->c->repo, &options, &result, box->b->err), box->b->err);
		assert_true(result.damaged > 0 && told > 0);
		prunebox_forget(box->b, 2);
		prunebox_forget(box->b, 0);
		MUST(repair_index(box->b->c->repo, &repair, &repaired, box->b->err), box->b->err);
		prunebox_assert_restores(box->b);
		lie_about_packs(box, index, i / 2);
		index_free(index);
		prune_all(box, pruners[i % 2]);
		MUST(repair_index(box->b->c->repo, &repair, &repaired, box->b->err), box->b->err);
		prunebox_assert_restores(box->b);
		attacks++;
		assert_int_equal(teardown(state), 0);
	}
}

/* While the lie is there, and nobody has repaired anything. */
static void test_reads_despite_false_segments(void **state)
{
	struct box *box = *state;
	const struct repo_case_file files[] = {{"a", "one file", 8}, {"b", "another", 7}};
	struct id manifest = repo_case_backup(box->b->c, files, 2, 1000), next;
	struct index *index = repo_case_index(box->b->c);

	box->a = attacker_new(box->b->c, "evil", 0);
	for (int i = 0; i < 8; i++) /* their order is that of their names */
		lie_about_packs(box, index, i % 2);
	index_free(index);
	MUST(repo_case_try_read(box->b->c->repo, &manifest, files, 2, box->b->err), box->b->err);
	MUST(repo_case_try_backup(box->b->c->repo, files, 2, 2000, &next, box->b->err),
	     box->b->err);
	MUST(repo_case_try_read(box->b->c->repo, &next, files, 2, box->b->err), box->b->err);
	/* A write key believes neither, and stores again. */
	MUST(repo_case_try_backup(box->a->repo, files, 2, 3000, &next, box->b->err), box->b->err);
	repo_case_reopen(box->b->c);
	MUST(repo_case_try_read(box->b->c->repo, &next, files, 2, box->b->err), box->b->err);
	attacks++;
}

/* --- notes and tags of others' backups --- */

/* Notes the victim's good copies as damaged, having put garbage beside them. */
static void test_noted_by_a_writer(void **state)
{
	for (size_t i = 0; i < 2; i++) {
		struct damage note = {.head.number = 1};
		struct buf bytes = {0};
		struct index *index;
		struct box *box;
		struct id name;

		assert_int_equal(setup(state), 0);
		box = *state;
		prunebox_nights(box->b, 3);
		box->a = attacker_new(box->b->c, "evil", 0);
		index = repo_case_index(box->b->c);
		note.places = calloc(index->place_count, sizeof(*note.places));
		assert_non_null(note.places);
		for (uint32_t at = 0; at < index->place_count; at++) {
			const struct index_place *p = &index->places[at];

			if (p->info.kind)
				note.places[note.count++] = notes_place(index, at);
		}
		qsort(note.places, note.count, sizeof(*note.places),
		      (int (*)(const void *, const void *))damage_place_cmp);
		attacker_spoil(box->a, box->b->c, ALL_KINDS, 1);
		MUST(damage_enc(box->a->repo->keys, &note, &bytes, box->b->err), box->b->err);
		MUST(repo_put(box->a->repo, STORE_SNAPSHOTS, &bytes, &name, box->b->err),
		     box->b->err);
		prune_all(box, pruners[i]);
		MUST(store_remove(box->b->c->inner, STORE_SNAPSHOTS, &name, box->b->err),
		     box->b->err);
		prunebox_assert_restores(box->b);
		attacks++;
		damage_free(&note);
		buf_free(&bytes);
		index_free(index);
		assert_int_equal(teardown(state), 0);
	}
}

/* Takes the victim's tags away, by a record of the highest number: by its own key, and by the victim's, stolen and perhaps revoked. */
static void test_tagged_by_a_writer(void **state)
{
	struct box *box = *state;
	const char *const tags[] = {"keep"};
	struct tagrec t = {.head.number = UINT64_MAX};
	struct manifest_list list = {0};
	struct buf bytes = {0};
	struct id name;

	prunebox_nights(box->b, 2);
	box->a = attacker_new(box->b->c, "evil", 0);
	MUST(manifests_load(box->b->c->repo, NULL, NULL, &list, box->b->err), box->b->err);
	MUST(tags_put(box->b->c->repo, &list.items[0], tags, 1, 5, &name, box->b->err),
	     box->b->err);
	t.manifest = list.items[0].name;
	for (int own = 0; own < 2; own++) {
		struct keys *keys = own ? box->b->c->repo->keys : box->a->repo->keys;

		keys->has_gc_secret = false; /* then the writer signs */
		buf_reset(&bytes);
		MUST(tagrec_enc(keys, &t, 12, &bytes, box->b->err), box->b->err);
		keys->has_gc_secret = own;
		assert_memory_equal(t.head.signer, keys->writer_pub, 32);
		assert_int_equal(memcmp(t.head.signer, list.items[0].m.writer, 32) == 0, own);
		MUST(repo_put(box->a->repo, STORE_SNAPSHOTS, &bytes, &name, box->b->err),
		     box->b->err);
		manifest_list_free(&list);
		MUST(manifests_load(box->b->c->repo, NULL, NULL, &list, box->b->err), box->b->err);
		assert_int_equal(list.items[0].m.tag_count, 1);
		assert_string_equal(list.items[0].m.tags[0], "keep");
		assert_int_equal(list.items[0].tag_number, 1);
	}
	attacks++;
	manifest_list_free(&list);
	tagrec_free(&t);
	buf_free(&bytes);
}

/* --- what it spoils for later backups, and for whom --- */

struct seen {
	unsigned named; /* findings that name the pack and its writer */
	char pack[STORE_PATH_CHARS], writer[16];
};

static void on_named(void *arg, const char *object, const char *text)
{
	struct seen *seen = arg;

	seen->named += strcmp(object, seen->pack) == 0 && strstr(text, seen->writer) != NULL;
}

static const char later_bytes[] = "what the victim will store tomorrow, which the attacker knows";

/* Garbage at the id of that file, before anybody has it. */
static void plant_before(struct attacker *a, struct seen *seen)
{
	char hex[ID_HEX_CHARS + 1];
	struct attacker_record record;
	struct indexseg_pack pack;
	struct id id;

	MUST(record_id(keys_domain(a->repo->keys, a->repo->keys->writer_domain, a->err), CHUNK_DATA,
		       later_bytes, sizeof(later_bytes), &id, a->err),
	     a->err);
	record = attacker_raw(CHUNK_DATA, &id, "garbage", 7);
	pack = attacker_pack(a, &record, 1, 1);
	(void)attacker_segment(a, &pack, 1);
	store_path(STORE_DATA, &pack.name, seen->pack);
	memcpy(id.b, a->repo->keys->writer_pub, 32);
	id_hex(&id, hex);
	(void)snprintf(seen->writer, sizeof(seen->writer), "writer %.8s", hex);
	pack_dir_free(&pack.dir);
}

static void write_later(struct prunebox *b)
{
	char path[400];

	kit_spew(kit_path(&b->kit, "src/later", path), (const uint8_t *)later_bytes,
		 sizeof(later_bytes));
}

/* In the same domain: a later backup rests on it; the next check names pack and writer, and the next backup heals. */
static void test_spoiled_before(void **state)
{
	struct box *box = *state;
	struct prunebox *b = box->b;
	struct seen seen = {0};
	const struct check_options options = {
	    .read_data = true, .put_notes = true, .now_ns = 1, .damage = on_named, .arg = &seen};
	struct check_result result;

	prunebox_night(b);
	box->a = attacker_new(b->c, "evil", 0);
	plant_before(box->a, &seen);
	write_later(b);
	prunebox_night(b);
	MUST(check_run(b->c->repo, &options, &result, b->err), b->err);
	assert_true(result.damaged > 0);
	assert_int_equal(result.noted, 1);
	assert_int_equal(seen.named, 1);
	prunebox_night(b);
	prunebox_assert_clean(b, b->c->repo, true);
	prunebox_assert_restores(b);
	prune_all(box, ROLE_MAINTAIN);
	prune_all(box, ROLE_FULL);
	prunebox_assert_restores(b);
	attacks++;
}

/* In a domain of its own it can neither know an id of another domain nor be asked for one. */
static void test_other_domain(void **state)
{
	struct box *box = *state;
	struct prunebox *b = box->b;
	struct seen seen = {0};
	struct index *index;

	prunebox_nights(b, 2);
	box->a = attacker_new(b->c, "evil", 7);
	plant_before(box->a, &seen);
	/* What it can see of the index is its own alone. */
	MUST(index_load(box->a->repo, NULL, NULL, &index, b->err), b->err);
	assert_int_equal(index->pack_count, 1);
	index_free(index);
	write_later(b);
	prunebox_night(b);
	prunebox_assert_restores(b);
	prune_all(box, ROLE_MAINTAIN);
	prune_all(box, ROLE_FULL);
	prunebox_assert_restores(b);
	attacks++;
}

/* Ids of another domain, told by somebody, under garbage of its own domain: a backup of tomorrow finds them in its index. */
static void test_told_ids(void **state)
{
	struct box *box = *state;
	struct prunebox *b = box->b;

	prunebox_nights(b, 3);
	box->a = attacker_new(b->c, "evil", 7);
	attacker_spoil(box->a, b->c, ALL_KINDS, 1);
	prunebox_forget(b, 0);
	prune_all(box, ROLE_MAINTAIN);
	prune_all(box, ROLE_FULL);
	prunebox_nights(b, 2);
	prunebox_assert_restores(b);
	attacks++;
}

static void test_counts(void **state)
{
	(void)state;
	printf("# garbage: %u attacks by a writer's key, each pruned by both who may\n", attacks);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_spoiled_after),
	    cmocka_unit_test(test_planted_lists),
	    CASE(test_thousands_of_copies),
	    cmocka_unit_test(test_claimed_source),
	    CASE(test_claimed_records),
	    cmocka_unit_test(test_false_segments),
	    CASE(test_reads_despite_false_segments),
	    cmocka_unit_test(test_noted_by_a_writer),
	    CASE(test_tagged_by_a_writer),
	    CASE(test_spoiled_before),
	    CASE(test_other_domain),
	    CASE(test_told_ids),
	    cmocka_unit_test(test_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
