/* Which copies a prune must leave, where an id has several and they lie at different depths (FORMAT.md §12 R4, R7). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "repo/liveness.h"
#include "repo/packer.h"
#include "tests/support/must.h"
#include "tests/support/versions.h"

#define CHUNK ((size_t)65536)

/* A writer that knows what was stored when it was opened. */
struct writer {
	struct index *index;
	struct packer *packer;
};

static struct writer writer_open(struct repo_case *c)
{
	const struct packer_options options = {.sequence = 1, .workers = 1};
	struct writer w = {.index = repo_case_index(c)};

	MUST(packer_new(c->repo, w.index, &options, &w.packer, &c->err), &c->err);
	return w;
}

static struct id add(struct repo_case *c, struct writer *w, unsigned version, const struct id *base)
{
	struct buf plain = versions_make(1, version, CHUNK);
	struct id id;

	MUST(packer_add_delta(w->packer, CHUNK_DATA, plain.data, plain.len, base, base ? 1 : 0, &id,
			      &c->err),
	     &c->err);
	buf_free(&plain);
	return id;
}

/* What a manifest may have as its root: a list, with a body that nobody reads here. */
static struct id add_list(struct repo_case *c, struct writer *w, const struct id data[2])
{
	struct chunk_ref refs[] = {
	    {CHUNK_TREE_BODY, {{0}}}, {CHUNK_DATA, data[0]}, {CHUNK_DATA, data[1]}};
	struct buf list = {0};
	struct id id;

	MUST(packer_add(w->packer, CHUNK_TREE_BODY, "body", 4, &refs[0].id, &c->err), &c->err);
	list_put(&list, refs, 3);
	MUST(packer_add(w->packer, CHUNK_TREE_LIST, list.data, list.len, &id, &c->err), &c->err);
	buf_free(&list);
	return id;
}

static void writer_close(struct repo_case *c, struct writer *w)
{
	MUST(packer_finish(w->packer, &c->err), &c->err);
	packer_free(w->packer);
	index_free(w->index);
}

static uint32_t place_at(const struct index *index, const struct id *id, unsigned depth)
{
	uint32_t at = index_find(index, CHUNK_DATA, id);

	while (at != INDEX_NONE && index->places[at].info.depth != depth)
		at = index->places[at].next;
	assert_true(at != INDEX_NONE);
	return at;
}

/*
 * Two writers at once store the same chunk, one in full, the other one as a delta; a third rests its own on what is full, while a prune,
 * which sees nobody need it, condemns that. Then the delta is of no use to the third: what is full is needed again.
 */
static void assert_needed_again(struct repo_case *c, bool merge_writers)
{
	const struct liveness_options options = {.merge_writers = merge_writers};
	struct writer first = writer_open(c), late, w;
	struct id both[2], root, v0 = add(c, &first, 0, NULL);
	struct manifest_item item = {0};
	struct manifest_list list = {.items = &item, .count = 1};
	struct liveness live = {0};
	struct reader *reader = NULL;
	struct index *index;
	uint32_t full;

	writer_close(c, &first);
	late = writer_open(c);
	w = writer_open(c);
	both[0] = add(c, &w, 1, NULL);
	writer_close(c, &w);
	w = writer_open(c);
	both[1] = add(c, &w, 2, &both[0]);
	root = add_list(c, &w, both);
	writer_close(c, &w);
	(void)add(c, &late, 1, &v0);
	writer_close(c, &late);

	index = repo_case_index(c);
	full = place_at(index, &both[0], 0);
	(void)place_at(index, &both[0], 1);
	assert_true(index_place_whole(index, place_at(index, &both[1], 1)));
	index_condemn_pack(index, index->places[full].pack);
	item.m.root = root;
	MUST(reader_new(c->repo, index, &reader, &c->err), &c->err);
	MUST(liveness_mark(reader, &list, &options, &live, &c->err), &c->err);
	assert_int_equal(live.needed_count, 1);
	assert_true(live.needed[index->places[full].pack]);
	assert_true(live.live[full]);
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
