/* What a maintainer reads lists by: he recomputes no ids, so a writer's lists rest on none of another writer (FORMAT.md §4). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "repo/backup.h"
#include "tests/support/must.h"
#include "tests/support/prunebox.h"

static void back_up_as(struct prunebox *b, const char *host, int64_t at_s)
{
	const char *const paths[] = {b->src};
	const struct backup_options options = {.paths = paths,
					       .path_count = 1,
					       .host = host,
					       .cache_dir = b->kit.cache,
					       .workers = 1,
					       .now_ns = at_s * 1000000000};
	struct repo *repo = NULL;

	MUST(repo_case_open_with(b->c, &b->c->keyfile, &repo, b->err), b->err);
	MUST(repo_use_writer(repo, host, false, b->err), b->err);
	MUST(backup_run(repo, &options, &b->backup, b->err), b->err);
	repo_close(repo);
}

static const uint8_t *stored_by(const struct index *index, const struct index_place *p)
{
	return index->packs[p->pack].sources[p->source].writer;
}

/* Two hosts with the same data: the second one finds all stored, and what changes there rests on no list of the first. */
static void test_lists_rest_on_own(void **state)
{
	struct prunebox *b = *state;
	struct index *index;
	size_t deltas = 0;

	prunebox_nights(b, 1);
	for (unsigned i = 0; i < 3; i++) {
		back_up_as(b, "db2", b->now_s + i);
		kit_make(b->db, "UPDATE t SET v = randomblob(100) WHERE id = 5");
	}
	repo_case_reopen(b->c);
	index = repo_case_index(b->c);
	for (uint32_t i = 0; i < index->place_count; i++) {
		const struct index_place *p = &index->places[i];
		uint32_t base;

		if (chunk_kind_recipient(p->info.kind) != SLOT_M || !p->info.base_count)
			continue;
		deltas++;
		for (base = index_find(index, p->info.kind, &p->info.bases[0]); base != INDEX_NONE;
		     base = index->places[base].next) {
			if (memcmp(stored_by(index, &index->places[base]), stored_by(index, p),
				   32) == 0)
				break;
		}
		if (base == INDEX_NONE)
			fail_msg("a list rests on another writer's");
	}
	assert_true(deltas > 0);
	index_free(index);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(
	    test_lists_rest_on_own, prunebox_setup, prunebox_teardown)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
