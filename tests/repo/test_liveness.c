/* Which copies a prune must leave, where an id has several and they lie at different depths (FORMAT.md §12 R4, R7). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "repo/liveness.h"
#include "tests/support/must.h"
#include "tests/support/twodepths.h"

/* A prune that saw nobody need the full copy condemned it, while a delta came to rest on it: the other copy does not do instead. */
static void assert_needed_again(struct repo_case *c, bool merge_writers)
{
	const struct liveness_options options = {.merge_writers = merge_writers};
	const struct twodepths t = twodepths_make(c);
	struct manifest_item item = {.m.root = t.root};
	struct manifest_list list = {.items = &item, .count = 1};
	struct index *index = repo_case_index(c);
	uint32_t pack = index_find_pack(index, &t.packed);
	struct liveness live = {0};
	struct reader *reader = NULL;

	index_condemn_pack(index, pack);
	MUST(reader_new(c->repo, index, &reader, &c->err), &c->err);
	MUST(liveness_mark(reader, &list, &options, &live, &c->err), &c->err);
	assert_int_equal(live.needed_count, 1);
	assert_true(live.needed[pack]);
	assert_true(live.live[index->packs[pack].first_place]);
	liveness_free(&live);
	reader_free(reader);
	index_free(index);
}

static void test_base_at_its_depth(void **state)
{
	assert_needed_again(*state, false);
}

static void test_base_at_its_depth_merged(void **state)
{
	assert_needed_again(*state, true);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, repo_case_setup, repo_case_teardown)
	const struct CMUnitTest tests[] = {T(test_base_at_its_depth),
					   T(test_base_at_its_depth_merged)};

	return cmocka_run_group_tests_name("liveness", tests, NULL, NULL);
}
