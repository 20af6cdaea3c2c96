#include "tests/support/twodepths.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "repo/packer.h"
#include "tests/support/must.h"
#include "tests/support/versions.h"

#define CHUNK ((size_t)65536)

/* It knows what was stored when it was opened. */
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

/* With a body that nobody reads. */
static struct id add_list(struct repo_case *c, struct writer *w, const struct twodepths *t)
{
	struct chunk_ref refs[] = {
	    {CHUNK_TREE_BODY, {{0}}}, {CHUNK_DATA, t->chunk}, {CHUNK_DATA, t->rests}};
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

static void find(struct repo_case *c, struct twodepths *t)
{
	struct index *index = repo_case_index(c);
	unsigned depths = 0;

	for (uint32_t at = index_find(index, CHUNK_DATA, &t->chunk); at != INDEX_NONE;
	     at = index->places[at].next) {
		depths |= 1u << index->places[at].info.depth;
		if (index->places[at].info.depth == 0)
			t->packed = index->packs[index->places[at].pack].name;
	}
	assert_int_equal(depths, 1 | 2);
	assert_int_equal(index->packs[index_find_pack(index, &t->packed)].place_count, 1);
	assert_int_equal(index->places[index_find_good(index, CHUNK_DATA, &t->rests)].info.depth,
			 1);
	index_free(index);
}

struct twodepths twodepths_make(struct repo_case *c)
{
	struct writer w = writer_open(c), late;
	struct id before = add(c, &w, 0, NULL);
	struct twodepths t;

	writer_close(c, &w);
	late = writer_open(c);
	w = writer_open(c);
	t.chunk = add(c, &w, 1, NULL);
	writer_close(c, &w);
	w = writer_open(c);
	t.rests = add(c, &w, 2, &t.chunk);
	t.root = add_list(c, &w, &t);
	writer_close(c, &w);
	(void)add(c, &late, 1, &before);
	writer_close(c, &late);
	find(c, &t);
	return t;
}

void twodepths_assert_reads(struct repo_case *c, const struct twodepths *t)
{
	versions_assert_reads(c, &t->rests, 1, 2, CHUNK);
}
