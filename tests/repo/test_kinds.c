/*
 * Kinds and places (FORMAT.md §4): what was sealed as one kind is never read as another, whatever directories and segments of a malicious writer
 * say, and a file whose bytes are a manifest, a node or a pack is a file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/node.h"
#include "repo/check.h"
#include "repo/reader.h"
#include "tests/support/attacker.h"
#include "tests/support/bytes.h"
#include "tests/support/must.h"

#define KINDS 5

static unsigned refusals;

/* --- files that are objects --- */

static void assert_clean(struct repo_case *c)
{
	const struct check_options options = {.read_data = true};
	struct check_result result;

	repo_case_reopen(c);
	MUST(check_run(c->repo, &options, &result, &c->err), &c->err);
	assert_int_equal(result.damaged + result.healed + result.orphans, 0);
}

static const struct repo_case_file plain_files[] = {{"a", "some bytes", 10}, {"b", "more", 4}};
#define MOST_FILES 40

struct copies {
	struct repo_case_file files[MOST_FILES];
	char names[MOST_FILES][8];
	struct buf bytes[MOST_FILES];
	size_t count;
};

static void add_file(struct copies *f, struct buf *bytes)
{
	assert_true(f->count < MOST_FILES);
	(void)snprintf(f->names[f->count], sizeof(f->names[0]), "f%02zu", f->count);
	f->bytes[f->count] = *bytes;
	f->files[f->count] = (struct repo_case_file){f->names[f->count], bytes->data, bytes->len};
	f->count++;
	*bytes = (struct buf){0};
}

static void add_objects(struct repo_case *c, struct copies *f)
{
	struct buf page = {0}, key = {0};

	for (int t = 0; t < STORE_TYPES; t++) {
		struct id *names = NULL;
		size_t count = 0;

		MUST(repo_list(c->inner, (enum store_type)t, &names, NULL, &count, &c->err),
		     &c->err);
		for (size_t i = 0; i < count; i++) {
			struct buf bytes = repo_case_get(c->inner, (enum store_type)t, &names[i]);

			add_file(f, &bytes);
		}
		free(names);
	}
	buf_put(&key, c->keyfile.data, c->keyfile.len);
	add_file(f, &key);
	buf_put(&page, "SQLite format 3", 16);
	buf_put_zeros(&page, 4080);
	add_file(f, &page);
}

/* The plaintext of every record: nodes among them, which are other chunks as data. */
static void add_plaintexts(struct repo_case *c, struct copies *f)
{
	struct index *index = repo_case_index(c);
	struct reader *reader = NULL;

	MUST(reader_new(c->repo, index, &reader, &c->err), &c->err);
	for (uint32_t i = 0; i < index->place_count; i++) {
		const struct record_info *info = &index->places[i].info;
		struct buf plain = {0};

		if (!info->kind || info->kind == CHUNK_DATA)
			continue;
		MUST(reader_get(reader, info->kind, &info->id, &plain, &c->err), &c->err);
		add_file(f, &plain);
	}
	reader_free(reader);
	index_free(index);
}

static void test_files_that_are_objects(void **state)
{
	struct repo_case *c = *state;
	struct id first = repo_case_backup(c, plain_files, 2, 1000), second;
	struct manifest_list list = {0};
	struct copies f = {0};

	add_objects(c, &f);
	add_plaintexts(c, &f);
	assert_true(f.count >= 12);
	second = repo_case_backup(c, f.files, f.count, 2000);
	assert_clean(c);
	MUST(repo_case_try_read(c->repo, &second, f.files, f.count, &c->err), &c->err);
	MUST(repo_case_try_read(c->repo, &first, plain_files, 2, &c->err), &c->err);
	MUST(manifests_load(c->repo, NULL, NULL, &list, &c->err), &c->err);
	assert_int_equal(list.count, 2);
	manifest_list_free(&list);
	printf("# %zu files that are objects and nodes, byte for byte\n", f.count);
	for (size_t i = 0; i < f.count; i++)
		buf_free(&f.bytes[i]);
}

/* --- one kind as another --- */

static const char text[] = "\1\0\0\0\3 0123456789abcdef0123456789abcdef";

static struct id id_as(struct attacker *a, uint8_t kind)
{
	struct id id;

	MUST(record_id(keys_domain(a->repo->keys, 0, a->err), kind, text, sizeof(text) - 1, &id,
		       a->err),
	     a->err);
	return id;
}

/* A record of each kind, so that both slots are there; the one of kind a is told as one of kind b. */
static void present(struct repo_case *c, struct attacker *a, uint8_t kind_a, uint8_t kind_b,
		    bool other_id, bool by_segment)
{
	struct attacker_record records[3] = {
	    attacker_raw(kind_a, &(struct id){{0}}, text, sizeof(text) - 1),
	    attacker_raw(CHUNK_TREE_LIST, &(struct id){{1}}, "m", 1),
	    attacker_raw(CHUNK_DATA, &(struct id){{2}}, "r", 1)};
	struct id as_a = id_as(a, kind_a), id = id_as(a, other_id ? kind_b : kind_a);
	struct indexseg_pack pack, claimed = {0};
	struct index *index = NULL;
	struct reader *reader = NULL;
	struct buf out = {0};
	int r;

	records[0].info.id = as_a;
	pack = attacker_pack(a, records, 3, 1);
	for (size_t i = 0; i < 3; i++) {
		struct pack_entry *e = &pack.dir.entries[i];

		if (!id_eq(&e->info.id, &as_a) || e->info.kind != kind_a)
			continue;
		e->info.kind = kind_b;
		e->info.id = id;
		/* No slot may have a counter twice. */
		if (chunk_kind_recipient(kind_a) != chunk_kind_recipient(kind_b))
			e->counter += 10;
		e->slot = chunk_kind_recipient(kind_b) == SLOT_M ? 0 : 1;
	}
	if (by_segment) {
		(void)attacker_segment(a, &pack, 1);
	} else {
		const struct pack_source own = pack.dir.sources[0];

		claimed = attacker_claim(a, &pack, &own, false);
	}
	/* The reader does as it is told by either. */
	MUST(index_load(c->repo, NULL, NULL, &index, &c->err), &c->err);
	MUST(index_rescue(c->repo, index, &c->err), &c->err);
	MUST(reader_new(c->repo, index, &reader, &c->err), &c->err);
	r = reader_get(reader, kind_b, &id, &out, &c->err);
	if (kind_a == kind_b) {
		MUST(r, &c->err);
		assert_int_equal(out.len, sizeof(text) - 1);
	} else {
		assert_true(r == -ERR_DAMAGED || r == -ERR_MISSING);
		assert_int_equal(out.len, 0);
		refusals++;
	}
	reader_free(reader);
	index_free(index);
	buf_free(&out);
	pack_dir_free(&pack.dir);
	pack_dir_free(&claimed.dir);
}

static void empty(struct repo_case *c, enum store_type type)
{
	struct id *names = NULL;
	size_t count = 0;

	MUST(repo_list(c->inner, type, &names, NULL, &count, &c->err), &c->err);
	for (size_t i = 0; i < count; i++)
		MUST(store_remove(c->inner, type, &names[i], &c->err), &c->err);
	free(names);
}

static void test_pairs_of_kinds(void **state)
{
	struct repo_case *c = *state;
	struct attacker *a = attacker_new(c, "evil", 0);

	for (unsigned i = 0; i < KINDS * KINDS * 4; i++) {
		present(c, a, (uint8_t)(i % KINDS + 1), (uint8_t)(i / KINDS % KINDS + 1),
			i / (KINDS * KINDS) & 1, i / (KINDS * KINDS) & 2);
		empty(c, STORE_DATA);
		empty(c, STORE_INDEX);
	}
	printf("# %u lies about kinds refused\n", refusals);
	attacker_free(a);
}

/* --- places --- */

/* The victim's own records, in packs that say of each that it is another one. */
static void test_records_exchanged(void **state)
{
	struct repo_case *c = *state;
	struct id manifest = repo_case_backup(c, plain_files, 2, 1000);
	struct attacker *a = attacker_new(c, "evil", 0);
	struct index *index = repo_case_index(c);

	for (unsigned round = 0; round < 8; round++) {
		const struct index_pack *p = &index->packs[0];
		struct pack_source own = {.sequence = round};
		struct indexseg_pack lie = {.name = p->name, .pack_bytes = p->pack_bytes}, made;
		struct pack_entry *entries = calloc(p->place_count, sizeof(*entries));

		assert_non_null(entries);
		memcpy(own.writer, a->repo->keys->writer_pub, 32);
		for (uint32_t i = 0; i < p->place_count; i++) {
			const struct index_place *at = &index->places[p->first_place + i];
			const struct index_place *as =
			    &index->places[p->first_place + (i + round / 2 + 1) % p->place_count];

			entries[i] = (struct pack_entry){.info = as->info,
							 .slot = as->slot,
							 .counter = as->counter,
							 .offset = at->offset,
							 .stored_bytes = at->stored_bytes};
			if (as->info.codec == CODEC_RAW)
				entries[i].info.plain_bytes = at->stored_bytes - 16;
		}
		lie.dir =
		    (struct pack_dir){p->slots, p->slot_count, &own, 1, entries, p->place_count};
		made = attacker_claim(a, &lie, &own, false);
		(void)attacker_segment(a, round % 2 ? &made : &lie, 1);
		pack_dir_free(&made.dir);
		free(entries);
	}
	index_free(index);
	repo_case_reopen(c);
	MUST(repo_case_try_read(c->repo, &manifest, plain_files, 2, &c->err), &c->err);
	attacker_free(a);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, repo_case_setup, repo_case_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_files_that_are_objects),
	    CASE(test_pairs_of_kinds),
	    CASE(test_records_exchanged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
