/* A maintain key at work: what its check finds, what it cannot forge, and that others go on with what it leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sodium.h>

#include "core/sign.h"
#include "repo/check.h"
#include "repo/reader.h"
#include "tests/support/bytes.h"
#include "tests/support/manifest_kit.h"
#include "tests/support/must.h"
#include "tests/support/prunebox.h"

#define FILES 3
#define BIG_BYTES 300000

struct fixture {
	struct repo_case *c;
	struct repo *maintain;
	struct repo_case_file files[FILES];
	struct id first, second;
	struct err *err;
};

static int setup(void **state)
{
	static const char *const names[FILES] = {"big", "more", "small"};
	struct fixture *f = calloc(1, sizeof(*f));
	struct buf keyfile;
	void *c = NULL;

	assert_non_null(f);
	assert_int_equal(repo_case_setup(&c), 0);
	f->c = c;
	f->err = &f->c->err;
	for (uint64_t i = 0; i < FILES; i++) {
		size_t len = i == 2 ? 100 : BIG_BYTES;

		f->files[i] = (struct repo_case_file){names[i], repo_case_block(i + 1, len), len};
	}
	f->first = repo_case_backup(f->c, f->files, 1, 1000);
	f->second = repo_case_backup(f->c, f->files, FILES, 2000);
	keyfile = repo_case_keyfile(f->c, ROLE_MAINTAIN);
	MUST(repo_case_open_with(f->c, &keyfile, &f->maintain, f->err), f->err);
	buf_wipe(&keyfile);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	void *c = f->c;

	repo_close(f->maintain);
	for (size_t i = 0; i < FILES; i++)
		free((void *)(uintptr_t)f->files[i].bytes);
	(void)repo_case_teardown(&c);
	free(f);
	return 0;
}

/* --- what its check finds --- */

/* What was told: whole manifests, and packs. */
struct said {
	unsigned manifests, objects, healed;
	char text[400];
};

static void on_damage(void *arg, const char *object, const char *text)
{
	struct said *s = arg;

	s->objects++;
	(void)snprintf(s->text, sizeof(s->text), "%s: %s", object, text);
}

static void on_healed(void *arg, const char *object, const char *text)
{
	struct said *s = arg;

	(void)object;
	(void)text;
	s->healed++;
}

static void on_touched(void *arg, const struct id *manifest, const char *path, const char *text)
{
	struct said *s = arg;

	(void)manifest;
	assert_string_equal(path, ""); /* it has no names to tell */
	assert_non_null(strstr(text, "damaged or missing"));
	s->manifests++;
}

static struct check_result check(struct fixture *f, struct repo *repo, bool read_data,
				 struct said *s)
{
	struct check_options o = {.read_data = read_data,
				  .damage = on_damage,
				  .healed = on_healed,
				  .touched = repo == f->maintain ? on_touched : NULL,
				  .arg = s};
	struct check_result res;

	*s = (struct said){0};
	MUST(check_run(repo, &o, &res, f->err), f->err);
	return res;
}

static void test_healthy(void **state)
{
	struct fixture *f = *state;
	struct said s;

	for (int i = 0; i < 2; i++) {
		struct check_result res = check(f, f->maintain, i != 0, &s);

		assert_true(res.structure_only);
		assert_true(res.damaged == 0);
		assert_int_equal(res.manifests, 2);
		assert_true(i == 0 || res.packs_read == res.packs);
	}
}

/* Any bit of any object of any kind: who reads finds it, and so does who maintains. */
static void test_every_object_flipped(void **state)
{
	static const enum store_type types[] = {STORE_DATA, STORE_INDEX, STORE_SNAPSHOTS};
	struct fixture *f = *state;
	unsigned flips = 0;

	for (size_t t = 0; t < 3; t++) {
		struct id *names = NULL;
		uint64_t *sizes = NULL;
		size_t count = 0;

		MUST(repo_list(f->c->inner, types[t], &names, &sizes, &count, f->err), f->err);
		for (size_t i = 0; i < count; i++) {
			for (size_t at = 3; at < sizes[i]; at += sizes[i] / 23 + 1) {
				struct said s;

				repo_case_flip(f->c->inner, types[t], &names[i], at, 5);
				if (check(f, f->maintain, true, &s).damaged + s.healed == 0)
					fail_msg("type %d, byte %zu of %llu: not found", types[t],
						 at, (unsigned long long)sizes[i]);
				repo_case_flip(f->c->inner, types[t], &names[i], at, 5);
				flips++;
			}
		}
		free(names);
		free(sizes);
	}
	(void)printf("# %u flipped bits of packs, index segments and manifests, each found\n",
		     flips);
}

/* A pack whose bytes are wrong: once named, however many records it holds, with the manifests that need them. */
static void test_pack_damaged(void **state)
{
	struct fixture *f = *state;
	struct index *index = repo_case_index(f->c);
	const struct index_pack *pack = &index->packs[0];
	uint32_t data = pack->first_place;
	struct check_result res;
	struct said s;

	while (chunk_kind_recipient(index->places[data].info.kind) == SLOT_M)
		data++;
	repo_case_flip(f->c->inner, STORE_DATA, &pack->name, index->places[data].offset + 20u, 1);
	res = check(f, f->maintain, false, &s);
	assert_true(res.damaged == 0); /* its bytes were not read */
	res = check(f, f->maintain, true, &s);
	assert_int_equal(s.objects, 1);
	assert_true(s.manifests > 0);
	assert_non_null(strstr(s.text, "a full or read key tells"));
	assert_non_null(strstr(s.text, "repair packs"));
	index_free(index);
}

/* What it finds it notes, and every role reads that: a host that only writes must, to store again what is lost. */
static void test_notes_for_all(void **state)
{
	static const enum role roles[] = {ROLE_FULL, ROLE_WRITE, ROLE_MAINTAIN, ROLE_READ};
	struct fixture *f = *state;
	struct index *index = repo_case_index(f->c);
	const struct check_options o = {.read_data = true, .put_notes = true, .now_ns = 5};
	struct check_result res;

	repo_case_flip(f->c->inner, STORE_DATA, &index->packs[0].name,
		       (size_t)index->packs[0].pack_bytes / 2, 1);
	MUST(check_run(f->maintain, &o, &res, f->err), f->err);
	assert_true(res.noted > 0);
	for (size_t i = 0; i < 4; i++) {
		struct buf keyfile = repo_case_keyfile(f->c, roles[i]);
		struct manifest_list list = {0};
		struct repo *repo = NULL;

		MUST(repo_case_open_with(f->c, &keyfile, &repo, f->err), f->err);
		MUST(manifests_load(repo, NULL, NULL, &list, f->err), f->err);
		assert_true(list.bad == 0 && list.notes.count == res.noted);
		for (size_t k = 0; k < list.notes.count; k++)
			assert_true(id_eq(&list.notes.places[k].pack, &index->packs[0].name));
		manifest_list_free(&list);
		repo_close(repo);
		buf_wipe(&keyfile);
	}
	MUST(check_run(f->maintain, &o, &res, f->err), f->err);
	assert_true(res.noted == 0 && res.damaged > 0); /* once is enough */
	index_free(index);
}

/*
 * The whole way: rot on the storage side, found and noted there by who reads nothing, healed by the next backup of a host that only
 * writes; then it is all there again for who reads.
 */
static void test_heals_through_a_write_key(void **state)
{
	const struct check_options o = {.read_data = true, .put_notes = true, .now_ns = 5};
	struct prunebox *b = *state;
	struct buf full = b->c->keyfile, maintain, write;
	struct repo *repo = NULL;
	struct check_result res;
	struct index *index;

	prunebox_nights(b, 3);
	maintain = repo_case_keyfile(b->c, ROLE_MAINTAIN);
	write = repo_case_keyfile(b->c, ROLE_WRITE);
	index = repo_case_index(b->c);
	for (size_t i = 0; i < index->pack_count; i++)
		repo_case_flip(b->c->inner, STORE_DATA, &index->packs[i].name,
			       (size_t)index->packs[i].pack_bytes / 2, 1);
	MUST(repo_case_open_with(b->c, &maintain, &repo, b->err), b->err);
	MUST(check_run(repo, &o, &res, b->err), b->err);
	assert_true(res.noted > 0 && res.damaged > 0);
	repo_close(repo);
	b->c->keyfile = write;
	prunebox_night(b);
	b->c->keyfile = full;
	repo_case_reopen(b->c);
	MUST(check_run(b->c->repo,
		       &(struct check_options){.read_data = true,
					       .by_notes = true,
					       .manifests = &b->backup.manifest,
					       .manifest_count = 1},
		       &res, b->err),
	     b->err);
	assert_true(res.damaged == 0);
	index_free(index);
	buf_wipe(&maintain);
	buf_wipe(&write);
}

static void test_pack_missing(void **state)
{
	struct fixture *f = *state;
	struct index *index = repo_case_index(f->c);
	struct said s;

	MUST(store_remove(f->c->inner, STORE_DATA, &index->packs[0].name, f->err), f->err);
	(void)check(f, f->maintain, false, &s);
	assert_true(s.objects == 1 && s.manifests > 0);
	assert_non_null(strstr(s.text, "missing"));
	index_free(index);
}

/* An index that tells of a pack what its directory does not: who cannot open the records sees it by that. */
static void test_index_against_directory(void **state)
{
	struct fixture *f = *state;
	struct id *names = NULL;
	struct indexseg seg = {0};
	struct buf lie = {0};
	struct said s;
	size_t count = 0;

	MUST(repo_list(f->c->inner, STORE_INDEX, &names, NULL, &count, f->err), f->err);
	MUST(index_get_segment(f->c->repo, &names[0], &seg, f->err), f->err);
	for (size_t i = 0; i < seg.packs[0].dir.entry_count; i++) {
		struct record_info *info = &seg.packs[0].dir.entries[i].info;

		if (info->kind == CHUNK_DATA)
			info->id.b[7] ^= 1;
	}
	MUST(indexseg_enc_gc(f->c->repo->keys, seg.domain, &seg.wrap, seg.packs, seg.pack_count, 12,
			     &lie, f->err),
	     f->err);
	MUST(store_remove(f->c->inner, STORE_INDEX, &names[0], f->err), f->err);
	MUST(repo_put(f->c->repo, STORE_INDEX, &lie, NULL, f->err), f->err);
	(void)check(f, f->maintain, true, &s);
	assert_true(s.objects > 0);
	assert_non_null(strstr(s.text, "own directory"));
	indexseg_free(&seg);
	buf_free(&lie);
	free(names);
}

/* --- what it cannot do --- */

/* A copy of the newest manifest whose sequence is one more, named as of this writer and signed with this key. */
static void put_forged(struct fixture *f, const uint8_t writer[32], const uint8_t secret[64],
		       const char *tag)
{
	struct buf bytes = repo_case_get(f->c->inner, STORE_SNAPSHOTS, &f->second);

	memcpy(bytes.data + 24, writer, 32);
	bytes.data[56]++;
	bytes.len -= SIGN_BYTES;
	MUST(sign_append(&bytes, tag, secret, f->err), f->err);
	MUST(repo_put(f->c->repo, STORE_SNAPSHOTS, &bytes, NULL, f->err), f->err);
	buf_free(&bytes);
}

static void assert_refused(struct fixture *f, size_t forged)
{
	static const enum role roles[] = {ROLE_FULL, ROLE_WRITE, ROLE_MAINTAIN, ROLE_READ};

	for (size_t i = 0; i < 4; i++) {
		struct buf keyfile = repo_case_keyfile(f->c, roles[i]);
		struct manifest_list list = {0};
		struct repo *repo = NULL;

		MUST(repo_case_open_with(f->c, &keyfile, &repo, f->err), f->err);
		MUST(manifests_load(repo, NULL, NULL, &list, f->err), f->err);
		assert_int_equal(list.count, 2);
		assert_int_equal(list.bad, forged);
		manifest_list_free(&list);
		repo_close(repo);
		buf_wipe(&keyfile);
	}
}

static void test_no_forged_backup(void **state)
{
	struct fixture *f = *state;
	struct keys *held = f->maintain->keys;
	struct manifest m = manifest_kit_sample();
	struct buf object = {0};
	uint8_t own_pub[32], own_secret[64], seed[32] = {1};

	/* The library of the holder of the key refuses; what he programs himself readers refuse. */
	MUST_FAIL(manifest_enc(held, &m, 12, &object, f->err), ERR_KEY, f->err);
	*f->err = (struct err){0};
	MUST_FAIL(repo_use_writer(f->maintain, REPO_CASE_HOST, false, f->err), ERR_KEY, f->err);
	*f->err = (struct err){0};
	put_forged(f, held->gc_pub, held->gc_secret, "manifest");
	put_forged(f, f->c->repo->keys->writer_pub, held->gc_secret, "manifest");
	put_forged(f, held->gc_pub, held->gc_secret, "retire");
	(void)crypto_sign_seed_keypair(own_pub, own_secret, seed);
	put_forged(f, own_pub, own_secret, "manifest");
	assert_refused(f, 4);
	manifest_free(&m);
	buf_free(&object);
}

/* Nor a roster that names a writer of its own. */
static void test_no_forged_roster(void **state)
{
	struct fixture *f = *state;
	struct roster roster = {.epoch = 99};
	struct roster_writer w = {.first_sequence = 1, .last_sequence = UINT64_MAX, .version = 9};
	uint8_t secret[64], seed[32] = {1};
	struct buf bytes = {0};

	(void)crypto_sign_seed_keypair(w.pub, secret, seed);
	MUST(roster_add_writer(&roster, &w, f->err), f->err);
	MUST(roster_enc(&roster, f->maintain->keys->repo, f->maintain->keys->gc_secret, &bytes,
			f->err),
	     f->err);
	MUST(repo_put(f->c->repo, STORE_KEYS, &bytes, NULL, f->err), f->err);
	put_forged(f, w.pub, secret, "manifest");
	assert_refused(f, 1);
	roster_free(&roster);
	buf_free(&bytes);
}

/* It opens no record and no part that is sealed for reading, whatever it asks. */
static void test_opens_nothing_of_readers(void **state)
{
	struct fixture *f = *state;
	struct index *index = repo_case_index(f->c);
	struct reader *reader = NULL;
	struct manifest_list list = {0};
	unsigned lists = 0, shut = 0;

	MUST(reader_new(f->maintain, index, &reader, f->err), f->err);
	for (uint32_t i = 0; i < index->place_count; i++) {
		const struct record_info *info = &index->places[i].info;
		struct buf plain = {0};
		struct err why = {0};
		int r;

		if (info->kind == 0)
			continue;
		r = reader_get(reader, info->kind, &info->id, &plain, &why);
		assert_int_equal(r, chunk_kind_recipient(info->kind) == SLOT_M ? 0 : -ERR_KEY);
		assert_true(r == 0 || plain.len == 0);
		lists += r == 0;
		shut += r != 0;
		buf_free(&plain);
	}
	assert_true(lists > 0 && shut > 0);
	MUST(manifests_load(f->maintain, NULL, NULL, &list, f->err), f->err);
	for (size_t i = 0; i < list.count; i++) {
		const struct manifest *m = &list.items[i].m;

		assert_true(m->has_maint && !m->has_read);
		assert_true(!m->host && !m->user && !m->program && !m->tags && !m->sources &&
			    !m->dbs && !m->refs);
	}
	manifest_list_free(&list);
	reader_free(reader);
	index_free(index);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_healthy),
	    CASE(test_every_object_flipped),
	    CASE(test_pack_damaged),
	    CASE(test_notes_for_all),
	    cmocka_unit_test_setup_teardown(test_heals_through_a_write_key, prunebox_setup,
					    prunebox_teardown),
	    CASE(test_pack_missing),
	    CASE(test_index_against_directory),
	    CASE(test_no_forged_backup),
	    CASE(test_no_forged_roster),
	    CASE(test_opens_nothing_of_readers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
