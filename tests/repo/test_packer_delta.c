/* What the packer stores as deltas, on what, and when it begins anew (FORMAT.md §4 "Delta records"). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/lineage.h"
#include "repo/packer.h"
#include "repo/reader.h"
#include "tests/support/must.h"
#include "tests/support/versions.h"

#define CHUNK ((size_t)65536)

/* One run of the packer over a fresh opening of the repository. */
struct night {
	struct repo_case *c;
	struct index *index;
	struct packer *packer;
};

static struct night night_begin(struct repo_case *c, const struct packer_options *options)
{
	struct night n = {.c = c};
	struct packer_options o = options ? *options : (struct packer_options){.workers = 1};

	o.sequence = 1;
	repo_case_reopen(c);
	n.index = repo_case_index(c);
	MUST(packer_new(c->repo, n.index, &o, &n.packer, &c->err), &c->err);
	return n;
}

static struct packer_stats night_end(struct night *n)
{
	struct packer_stats stats;

	MUST(packer_finish(n->packer, &n->c->err), &n->c->err);
	stats = *packer_stats(n->packer);
	packer_free(n->packer);
	index_free(n->index);
	return stats;
}

/* Adds one version of a table's chunk, on those of the ids given. */
static struct id add(struct night *n, uint64_t table, unsigned version, const struct id *bases,
		     size_t count)
{
	struct buf plain = versions_make(table, version, CHUNK);
	struct id id;

	MUST(packer_add_delta(n->packer, CHUNK_DATA, plain.data, plain.len, bases, count, &id,
			      &n->c->err),
	     &n->c->err);
	buf_free(&plain);
	return id;
}

static struct id add_alone(struct repo_case *c, uint64_t table, unsigned version,
			   const struct id *bases, size_t count, struct packer_stats *out_stats)
{
	struct night n = night_begin(c, NULL);
	struct id id = add(&n, table, version, bases, count);

	*out_stats = night_end(&n);
	return id;
}

static const struct index_place *place_of(const struct index *index, const struct id *id)
{
	uint32_t at = index_find_good(index, CHUNK_DATA, id);

	assert_true(at != INDEX_NONE);
	return &index->places[at];
}

/* --- many nights --- */

#define TABLES 3
#define NIGHTS 61

/* The records that decode one, each once. */
static size_t closure_of(const struct index *index, const struct id *id)
{
	struct id seen[256];
	size_t count = 1;

	seen[0] = *id;
	for (size_t at = 0; at < count; at++) {
		const struct record_info *info = &place_of(index, &seen[at])->info;

		for (size_t b = 0; b < info->base_count; b++) {
			bool known = false;

			for (size_t i = 0; i < count; i++)
				known = known || id_eq(&seen[i], &info->bases[b]);
			assert_true(count < 256);
			if (!known)
				seen[count++] = info->bases[b];
		}
	}
	return count;
}

/* One record against the whole policy; ids are its table's versions up to its own. Gives its lineage. */
static uint32_t check_version(const struct index *index, const struct id *ids, unsigned version)
{
	const struct index_place *place = place_of(index, &ids[version]), *root = place;
	const struct record_info *info = &place->info;
	uint64_t chain = 0;

	for (;; root = place_of(index, &root->info.bases[0])) {
		chain += root->stored_bytes;
		if (root->info.base_count == 0)
			break;
	}
	assert_int_equal(info->chain_bytes, chain);
	/* Twice what full would take now, which is about what the root takes. */
	assert_true(chain * 10 <= 22 * (uint64_t)root->stored_bytes);
	assert_true(info->depth <= LINEAGE_DEPTH);
	assert_true(closure_of(index, &ids[version]) <= LINEAGE_CLOSURE);
	if (info->base_count == 0) {
		assert_int_equal(info->lineage, 0);
		return 0;
	}
	assert_int_equal(info->base_count, 1);
	assert_int_equal(info->lineage, place_of(index, &ids[version - 1])->info.lineage + 1);
	assert_true(id_eq(&info->bases[0], &ids[version - (info->lineage % 8 ? 1 : 8)]));
	assert_int_equal(info->depth, place_of(index, &info->bases[0])->info.depth + 1);
	return info->lineage;
}

static void test_sixty_nights(void **state)
{
	struct repo_case *c = *state;
	static struct id ids[TABLES][NIGHTS];
	uint64_t full = 0, deltas = 0, bytes = 0, most = 0;
	struct index *index;
	size_t rebased = 0, deepest = 0;

	for (unsigned v = 0; v < NIGHTS; v++) {
		struct night n = night_begin(c, NULL);
		struct packer_stats stats;

		for (uint64_t t = 0; t < TABLES; t++)
			ids[t][v] = add(&n, t, v, v ? &ids[t][v - 1] : NULL, v ? 1 : 0);
		stats = night_end(&n);
		assert_int_equal(stats.chunks_new, TABLES);
		assert_true(stats.bytes_deltas <= stats.bytes_packed);
		if (v == 0)
			full = stats.bytes_packed;
		bytes += stats.bytes_packed;
		deltas += stats.deltas;
	}
	index = repo_case_index(c);
	for (size_t t = 0; t < TABLES; t++) {
		for (unsigned v = 0; v < NIGHTS; v++) {
			uint32_t lineage = check_version(index, ids[t], v);
			size_t closure = closure_of(index, &ids[t][v]);

			rebased += v > 0 && lineage == 0;
			most = lineage > most ? lineage : most;
			deepest = closure > deepest ? closure : deepest;
		}
	}
	index_free(index);
	assert_int_equal(deltas + rebased, TABLES * (NIGHTS - 1));
	assert_true(rebased >= TABLES && rebased <= 3 * TABLES);
	assert_true(most > 16); /* jumps were made, and more than one */
	assert_true(deepest < 16);
	assert_true(bytes < full * 10); /* instead of 61 */
	for (unsigned v = 0; v < NIGHTS; v += 7)
		versions_assert_reads(c, &ids[1][v], 1, v, CHUNK);
	versions_assert_reads(c, &ids[0][NIGHTS - 1], 0, NIGHTS - 1, CHUNK);
}

/* Four workers store what one stores, record for record. */
static void test_workers_do_not_matter(void **state)
{
	uint64_t packed[2] = {0}, deltas[2] = {0};

	(void)state;
	for (unsigned way = 0; way < 2; way++) {
		static struct id ids[40];
		struct packer_options options = {.workers = way ? 4 : 1};
		struct repo_case *c;

		assert_int_equal(repo_case_setup((void **)&c), 0);
		for (unsigned v = 0; v < 3; v++) {
			struct night n = night_begin(c, &options);
			struct packer_stats stats;

			for (uint64_t t = 0; t < 40; t++)
				ids[t] = add(&n, t, v * (unsigned)(t + 1), v ? &ids[t] : NULL,
					     v ? 1 : 0);
			stats = night_end(&n);
			packed[way] += stats.bytes_packed;
			deltas[way] += stats.deltas;
		}
		repo_case_free(c);
	}
	assert_int_equal(packed[0], packed[1]);
	assert_int_equal(deltas[0], deltas[1]);
	assert_true(deltas[0] > 60);
}

/* --- what is no base --- */

static void test_a_version_of_this_run_is_no_base(void **state)
{
	struct repo_case *c = *state;
	struct night n = night_begin(c, NULL);
	struct id first = add(&n, 1, 0, NULL, 0);

	/* Neither under way nor in a pack of this run: that depends on workers. */
	(void)add(&n, 1, 1, &first, 1);
	MUST(packer_finish(n.packer, &c->err), &c->err);
	(void)add(&n, 1, 2, &first, 1);
	assert_int_equal(night_end(&n).deltas, 0);
	/* The next run may. */
	n = night_begin(c, NULL);
	(void)add(&n, 1, 3, &first, 1);
	assert_int_equal(night_end(&n).deltas, 1);
}

static void test_what_is_unlike_is_stored_full(void **state)
{
	struct repo_case *c = *state;
	struct id unknown = {{7}}, other, made;
	struct packer_stats stats;
	struct index *index;

	other = add_alone(c, 1, 0, NULL, 0, &stats);
	(void)add_alone(c, 2, 0, &other, 1, &stats);
	assert_int_equal(stats.deltas, 0);
	(void)add_alone(c, 2, 1, &unknown, 1, &stats);
	assert_int_equal(stats.deltas, 0);
	/* The first that may be rested on leads; unknown ones cost nothing. */
	made = add_alone(c, 1, 1, (struct id[]){unknown, other, unknown, other}, 4, &stats);
	assert_int_equal(stats.deltas, 1);
	assert_int_equal(stats.bytes_packed, stats.bytes_deltas);
	index = repo_case_index(c);
	assert_int_equal(place_of(index, &made)->info.base_count, 1);
	index_free(index);
	/* What is there already is not stored again, on whatever. */
	(void)add_alone(c, 1, 1, &unknown, 1, &stats);
	assert_int_equal(stats.chunks_new, 0);
}

/* A chunk that two old ones have become rests on both. */
static void test_two_bases(void **state)
{
	struct repo_case *c = *state;
	struct buf a = versions_make(1, 0, 30000), b = versions_make(2, 0, 30000), both = {0};
	struct buf got = {0};
	struct night n = night_begin(c, NULL);
	struct reader *reader = NULL;
	struct id ids[2], id;

	MUST(packer_add(n.packer, CHUNK_DATA, a.data, a.len, &ids[0], &c->err), &c->err);
	MUST(packer_add(n.packer, CHUNK_DATA, b.data, b.len, &ids[1], &c->err), &c->err);
	(void)night_end(&n);
	buf_put(&both, a.data, a.len);
	buf_put(&both, b.data, b.len);
	n = night_begin(c, NULL);
	MUST(packer_add_delta(n.packer, CHUNK_DATA, both.data, both.len, ids, 2, &id, &c->err),
	     &c->err);
	assert_int_equal(night_end(&n).deltas, 1);
	n.index = repo_case_index(c);
	assert_int_equal(place_of(n.index, &id)->info.base_count, 2);
	assert_true(place_of(n.index, &id)->stored_bytes < 200);
	MUST(reader_new(c->repo, n.index, &reader, &c->err), &c->err);
	MUST(reader_get(reader, CHUNK_DATA, &id, &got, &c->err), &c->err);
	assert_int_equal(got.len, both.len);
	assert_memory_equal(got.data, both.data, both.len);
	reader_free(reader);
	index_free(n.index);
	buf_free(&a);
	buf_free(&b);
	buf_free(&both);
	buf_free(&got);
}

/* --- what is counted --- */

/* A data chunk of a table (FORMAT.md §11): rows from first on, 40 bytes each, of which every one is its own. */
static struct buf rows_make(uint32_t first, uint32_t count)
{
	struct buf b = {0};

	buf_put_u8(&b, 1);
	buf_put_varint(&b, (uint64_t)count << 1 | 1);
	for (uint32_t i = 0; i < count; i++)
		buf_put_zigzag(&b, i ? 1 : first);
	for (uint32_t i = 0; i < count; i++)
		buf_put_varint(&b, 40);
	for (uint32_t i = first; i < first + count; i++) {
		buf_put_u32(&b, i * 2654435761u);
		buf_put_u32(&b, i * 3266489917u);
		buf_put_zeros(&b, 32);
	}
	return b;
}

static struct id add_rows(struct night *n, uint32_t first, uint32_t count, const struct id *bases,
			  size_t base_count)
{
	struct buf rows = rows_make(first, count);
	struct id id;

	MUST(packer_add_delta(n->packer, CHUNK_DATA, rows.data, rows.len, bases, base_count, &id,
			      &n->c->err),
	     &n->c->err);
	buf_free(&rows);
	return id;
}

/* Chunks count where they were added, be they done then or later; each base knows its own cells. */
static void test_tally(void **state)
{
	struct repo_case *c = *state;
	struct packer_tally first = {0}, second = {0}, bytes = {0};
	struct night n = night_begin(c, &(struct packer_options){.workers = 3});
	struct packer_stats stats;
	struct id ids[3], id;

	packer_count_in(n.packer, &first, true);
	ids[0] = add_rows(&n, 100, 300, NULL, 0);
	packer_count_in(n.packer, &second, true);
	ids[1] = add_rows(&n, 400, 300, NULL, 0);
	MUST(packer_add(n.packer, CHUNK_LIST, ids, sizeof(ids), &id, &c->err), &c->err);
	packer_count_in(n.packer, &bytes, false);
	ids[2] = add_rows(&n, 9000, 300, NULL, 0);
	packer_count_in(n.packer, NULL, true);
	(void)add_rows(&n, 19000, 300, NULL, 0);
	stats = night_end(&n);
	assert_int_equal(first.cells_new, 300);
	assert_int_equal(second.cells_new, 300);
	assert_int_equal(bytes.cells_new, 0);
	assert_true(first.bytes_packed > 1000 && bytes.bytes_packed > 1000);
	assert_true(second.bytes_packed > first.bytes_packed + sizeof(ids));
	assert_true(first.bytes_packed + second.bytes_packed + bytes.bytes_packed <
		    stats.bytes_packed);

	first = (struct packer_tally){0};
	n = night_begin(c, &(struct packer_options){.workers = 3});
	packer_count_in(n.packer, &first, true);
	(void)add_rows(&n, 100, 300, NULL, 0); /* is there */
	(void)add_rows(&n, 98, 604, ids, 2);   /* both, and a few at either end */
	stats = night_end(&n);
	assert_int_equal(stats.deltas, 1);
	assert_int_equal(first.cells_new, 4);
	assert_int_equal(first.bytes_packed, stats.bytes_packed);
}

/* --- damage --- */

/* The base's pack is lost: the base and what rests on it are stored again, full; and then it is all there. */
static void test_lost_base_heals(void **state)
{
	struct repo_case *c = *state;
	struct packer_stats stats;
	struct index *index;
	struct id ids[3], *names = NULL;
	struct night n;
	uint64_t lost;
	size_t count = 0;

	ids[0] = add_alone(c, 1, 0, NULL, 0, &stats);
	MUST(repo_list(c->inner, STORE_DATA, &names, NULL, &count, &c->err), &c->err);
	assert_int_equal(count, 1);
	ids[1] = add_alone(c, 1, 1, &ids[0], 1, &stats);
	ids[2] = add_alone(c, 1, 2, &ids[1], 1, &stats);
	assert_int_equal(stats.deltas, 1);
	MUST(store_remove(c->inner, STORE_DATA, &names[0], &c->err), &c->err);
	free(names);

	n = night_begin(c, NULL);
	assert_int_equal(packer_stats(n.packer)->packs_lost, 1);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(index_find_good(n.index, CHUNK_DATA, &ids[i]), INDEX_NONE);
	/* A new version has nothing to rest on. */
	(void)add(&n, 1, 3, &ids[2], 1);
	(void)add(&n, 1, 2, &ids[1], 1);
	stats = night_end(&n);
	assert_int_equal(stats.chunks_new, 2);
	assert_int_equal(stats.deltas, 0);
	index = repo_case_index(c);
	MUST(index_mark_lost(c->repo, index, &lost, &c->err), &c->err);
	assert_int_equal(lost, 1);
	assert_int_equal(place_of(index, &ids[2])->info.base_count, 0);
	index_free(index);
	versions_assert_reads(c, &ids[2], 1, 2, CHUNK);

	/* The base itself, full, makes whole what rested on it, though its bases are offered. */
	n = night_begin(c, NULL);
	assert_true(index_find_good(n.index, CHUNK_DATA, &ids[2]) != INDEX_NONE);
	assert_int_equal(index_find_good(n.index, CHUNK_DATA, &ids[1]), INDEX_NONE);
	(void)add(&n, 1, 0, &ids[2], 1);
	stats = night_end(&n);
	assert_int_equal(stats.chunks_new, 1);
	assert_int_equal(stats.deltas, 0);
	versions_assert_reads(c, &ids[1], 1, 1, CHUNK);
}

/* The error names the chunk, and once. */
static void assert_told_once(struct repo_case *c, const struct id *id)
{
	struct index *index = repo_case_index(c);
	struct reader *reader = NULL;
	struct buf got = {0};
	char hex[ID_HEX_CHARS + 1], *at;

	id_hex(id, hex);
	hex[ID_SHORT_CHARS] = '\0';
	MUST(reader_new(c->repo, index, &reader, &c->err), &c->err);
	MUST_FAIL(reader_get(reader, CHUNK_DATA, id, &got, &c->err), ERR_DAMAGED, &c->err);
	at = strstr(c->err.text, "chunk ");
	assert_non_null(at);
	assert_memory_equal(at + 6, hex, ID_SHORT_CHARS);
	assert_null(strstr(at + 1, "chunk "));
	reader_free(reader);
	index_free(index);
	buf_free(&got);
}

/* Bytes that rot unnoticed: the base does not read, and the chunk is stored full. */
static void test_unreadable_base(void **state)
{
	struct repo_case *c = *state;
	struct packer_stats stats;
	struct id first, second, *names = NULL;
	size_t count = 0;

	first = add_alone(c, 1, 0, NULL, 0, &stats);
	MUST(repo_list(c->inner, STORE_DATA, &names, NULL, &count, &c->err), &c->err);
	repo_case_flip(c->inner, STORE_DATA, &names[0], 12000, 3);
	free(names);
	second = add_alone(c, 1, 1, &first, 1, &stats);
	assert_int_equal(stats.chunks_new, 1);
	assert_int_equal(stats.deltas, 0);
	versions_assert_reads(c, &second, 1, 1, CHUNK);
	assert_told_once(c, &first);
}

/* --- where bases come from --- */

struct cache {
	struct id id;
	struct buf plain;
	unsigned asked;
	enum err_code fails;
};

static int cache_get(void *arg, uint8_t kind, const struct id *id, struct buf *out, struct err *err)
{
	struct cache *cache = arg;

	cache->asked++;
	assert_int_equal(kind, CHUNK_DATA);
	if (cache->fails)
		return err_set(err, cache->fails, "the cache says no");
	assert_true(id_eq(id, &cache->id));
	buf_put(out, cache->plain.data, cache->plain.len);
	return buf_check(out, err);
}

/* A write key reads nothing: it stores full, unless a cache has what it stored last. */
static void test_base_source(void **state)
{
	struct repo_case *c = *state;
	struct buf text = repo_case_keyfile(c, ROLE_WRITE);
	struct cache cache = {.plain = versions_make(1, 0, CHUNK)};
	const struct base_source source = {.get = cache_get, .arg = &cache};
	struct packer_stats stats;

	cache.id = add_alone(c, 1, 0, NULL, 0, &stats);
	for (unsigned v = 1; v < 4; v++) {
		struct packer_options options = {.sequence = 1, .workers = 1};
		struct night n = {.c = c};
		struct repo *repo = NULL;
		struct id id;

		cache.fails = v == 3 ? ERR_DAMAGED : 0;
		options.bases = v > 1 ? &source : NULL;
		MUST(repo_case_open_with(c, &text, &repo, &c->err), &c->err);
		MUST(repo_use_writer(repo, REPO_CASE_HOST, false, &c->err), &c->err);
		MUST(index_load(repo, NULL, NULL, &n.index, &c->err), &c->err);
		MUST(packer_new(repo, n.index, &options, &n.packer, &c->err), &c->err);
		id = add(&n, 1, v, &cache.id, 1);
		assert_int_equal(night_end(&n).deltas, v == 2);
		assert_int_equal(cache.asked, v - 1);
		repo_close(repo);
		versions_assert_reads(c, &id, 1, v, CHUNK);
	}
	buf_free(&cache.plain);
	buf_wipe(&text);
}

/* Gives what it has of one version only, as the cache of a host does. */
static int one_version(void *arg, uint8_t kind, const struct id *id, struct buf *out,
		       struct err *err)
{
	struct cache *cache = arg;

	(void)kind;
	cache->asked++;
	if (!id_eq(id, &cache->id))
		return err_set(err, ERR_MISSING, "not here");
	buf_put(out, cache->plain.data, cache->plain.len);
	return buf_check(out, err);
}

/* Where the version before eight is not to be had, the last one serves as well: a write key has no other. */
static void test_plain_chain_where_nothing_older_is(void **state)
{
	struct repo_case *c = *state;
	struct cache cache = {.plain = versions_make(1, 7, CHUNK)};
	const struct base_source source = {.get = one_version, .arg = &cache};
	struct packer_stats stats;
	struct night n;
	struct id id;

	cache.id = add_alone(c, 1, 0, NULL, 0, &stats);
	for (unsigned v = 1; v < 8; v++) {
		struct id before = cache.id;

		cache.id = add_alone(c, 1, v, &before, 1, &stats);
		assert_int_equal(stats.deltas, 1);
	}
	n = night_begin(c, &(struct packer_options){.workers = 1, .bases = &source});
	id = add(&n, 1, 8, &cache.id, 1);
	assert_int_equal(night_end(&n).deltas, 1);
	assert_int_equal(cache.asked, 2); /* the jump, in vain */
	versions_assert_reads(c, &id, 1, 8, CHUNK);
	buf_free(&cache.plain);
}

static void test_no_memory_is_no_full_record(void **state)
{
	struct repo_case *c = *state;
	struct cache cache = {.fails = ERR_NOMEM};
	const struct base_source source = {.get = cache_get, .arg = &cache};
	struct buf plain = versions_make(1, 1, CHUNK);
	struct packer_stats stats;
	struct id id = add_alone(c, 1, 0, NULL, 0, &stats), made;
	struct night n = night_begin(c, &(struct packer_options){.workers = 1, .bases = &source});

	MUST_FAIL(
	    packer_add_delta(n.packer, CHUNK_DATA, plain.data, plain.len, &id, 1, &made, &c->err),
	    ERR_NOMEM, &c->err);
	packer_free(n.packer);
	index_free(n.index);
	buf_free(&plain);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, repo_case_setup, repo_case_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_sixty_nights),
	    cmocka_unit_test(test_workers_do_not_matter),
	    CASE(test_a_version_of_this_run_is_no_base),
	    CASE(test_what_is_unlike_is_stored_full),
	    CASE(test_two_bases),
	    CASE(test_tally),
	    CASE(test_lost_base_heals),
	    CASE(test_unreadable_base),
	    CASE(test_base_source),
	    CASE(test_plain_chain_where_nothing_older_is),
	    CASE(test_no_memory_is_no_full_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
