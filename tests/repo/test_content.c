/* A file's bytes as chunks and chunk lists, and back, with and without holes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "repo/browse.h"
#include "repo/content.h"
#include "repo/tree_read.h"
#include "repo/tree_write.h"
#include "tests/support/bytes.h"
#include "tests/support/must.h"
#include "tests/support/repo_case.h"

struct content_case {
	struct repo_case *c;
	struct index *index;
	struct packer *packer;
	struct reader *reader;
	struct content_writer *w;
	struct err err;
};

static int setup(void **state)
{
	struct content_case *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	assert_int_equal(repo_case_setup(state), 0);
	t->c = *state;
	t->index = repo_case_index(t->c);
	MUST(packer_new(t->c->repo, t->index,
			&(struct packer_options){.sequence = 1, .dry_run = false}, &t->packer,
			&t->err),
	     &t->err);
	MUST(reader_new(t->c->repo, t->index, &t->reader, &t->err), &t->err);
	MUST(content_writer_new(t->packer, &t->w, &t->err), &t->err);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct content_case *t = *state;

	content_writer_free(t->w);
	content_writer_free(NULL);
	reader_free(t->reader);
	packer_free(t->packer);
	index_free(t->index);
	repo_case_free(t->c);
	free(t);
	return 0;
}

/* Writes bytes in pieces of step bytes (0: all at once). */
static struct content write_file(struct content_case *t, const uint8_t *bytes, size_t len,
				 size_t step)
{
	struct content content = {0};

	for (size_t at = 0; at < len;) {
		size_t take = step && step < len - at ? step : len - at;

		MUST(content_writer_put(t->w, bytes + at, take, &t->err), &t->err);
		at += take;
	}
	MUST(content_writer_finish(t->w, &content, &t->err), &t->err);
	assert_int_equal(content.bytes, len);
	return content;
}

static struct entry entry_of(const struct content *content)
{
	return (struct entry){.type = ENTRY_FILE,
			      .size = content->bytes,
			      .shape = content->shape,
			      .child_count = (uint32_t)content->child_count};
}

struct expect {
	const uint8_t *bytes;
	size_t len, at;
	size_t chunks;
};

static int compare(void *arg, const void *bytes, size_t len, struct err *err)
{
	struct expect *x = arg;

	(void)err;
	assert_true(len > 0);
	assert_true(len <= x->len - x->at);
	assert_memory_equal(bytes, x->bytes + x->at, len);
	x->at += len;
	x->chunks++;
	return 0;
}

/* Gives the number of data chunks. */
static size_t reads_back(struct content_case *t, const struct content *content,
			 const uint8_t *bytes, size_t len)
{
	struct entry e = entry_of(content);
	struct expect x = {.bytes = bytes, .len = len};

	MUST(packer_finish(t->packer, &t->err), &t->err);
	MUST(content_each(t->reader, &e, content->children, compare, &x, &t->err), &t->err);
	assert_int_equal(x.at, len);
	return x.chunks;
}

static bool same_refs(const struct content *a, const struct content *b)
{
	if (a->shape != b->shape || a->child_count != b->child_count || a->bytes != b->bytes)
		return false;
	for (size_t i = 0; i < a->child_count; i++)
		if (a->children[i].kind != b->children[i].kind ||
		    !id_eq(&a->children[i].id, &b->children[i].id))
			return false;
	return true;
}

static void test_sizes(void **state)
{
	const size_t sizes[] = {0,
				1,
				CHUNK_MIN_BYTES - 1,
				CHUNK_MIN_BYTES,
				CHUNK_MIN_BYTES + 1,
				CHUNK_AVG_BYTES - 1,
				CHUNK_AVG_BYTES,
				CHUNK_AVG_BYTES + 1,
				CHUNK_MAX_BYTES - 1,
				CHUNK_MAX_BYTES,
				CHUNK_MAX_BYTES + 1,
				2 * CHUNK_MAX_BYTES,
				2 * CHUNK_MAX_BYTES + 1};
	struct content_case *t = *state;
	uint8_t *random = repo_case_block(1, 2 * CHUNK_MAX_BYTES + 1);
	uint8_t *zeros = calloc(1, 2 * CHUNK_MAX_BYTES + 1);

	assert_non_null(zeros);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct content a = write_file(t, random, sizes[i], 0);
		struct content b = write_file(t, zeros, sizes[i], 0);
		size_t chunks = reads_back(t, &a, random, sizes[i]);

		assert_int_equal(a.shape, SHAPE_INLINE);
		assert_int_equal(chunks, a.child_count);
		assert_true(chunks * CHUNK_MAX_BYTES >= sizes[i]);
		assert_true((chunks ? chunks - 1 : 0) * CHUNK_MIN_BYTES <= sizes[i]);
		assert_int_equal(sizes[i] == 0, chunks == 0);
		/* Zeros have no cut but the largest chunk, or one in every so many bytes. */
		reads_back(t, &b, zeros, sizes[i]);
		content_free(&a);
		content_free(&b);
	}
	free(random);
	free(zeros);
}

/* However the bytes come, and whatever was written before, they give the same refs. */
static void test_pieces_do_not_matter(void **state)
{
	const size_t len = (size_t)11 << 20,
		     steps[] = {4096, 65537, 1 << 20, (4 << 20) + 1, 9 << 20};
	struct content_case *t = *state;
	uint8_t *bytes = repo_case_block(2, len);
	struct content whole = write_file(t, bytes, len, 0);
	uint64_t stored = packer_stats(t->packer)->chunks_new;

	for (size_t i = 0; i < 5; i++) {
		struct content again;

		/* What was put and dropped leaves nothing. */
		MUST(content_writer_put(t->w, bytes + 77, 5000000, &t->err), &t->err);
		content_writer_reset(t->w);
		again = write_file(t, bytes, len, steps[i]);
		assert_true(same_refs(&whole, &again));
		content_free(&again);
	}
	/* The dropped bytes were cut at other places at first, and stored; the file was not again. */
	assert_in_range(packer_stats(t->packer)->chunks_new - stored, 0, 3);
	reads_back(t, &whole, bytes, len);
	content_free(&whole);
	content_free(&whole);
	free(bytes);
}

static void test_insertion_changes_few_chunks(void **state)
{
	const size_t len = (size_t)12 << 20;
	struct content_case *t = *state;
	uint8_t *bytes = repo_case_block(3, len + 1);
	struct content a, b;
	uint64_t before;

	memmove(bytes + 1, bytes, len);
	a = write_file(t, bytes + 1, len, 0);
	before = packer_stats(t->packer)->chunks_new;
	b = write_file(t, bytes, len + 1, 0);
	assert_in_range(packer_stats(t->packer)->chunks_new - before, 1, 3);
	reads_back(t, &b, bytes, len + 1);
	content_free(&a);
	content_free(&b);
	free(bytes);
}

/* --- chunk lists --- */

struct refs {
	size_t data, lists, bodies;
	size_t
	    cut_short; /* nodes that end at a chunk because of its id, which is another with every key */
	uint8_t last;
};

static int count_ref(void *arg, const struct chunk_ref *ref, const char *path, struct err *err)
{
	struct refs *r = arg;

	(void)err;
	assert_string_equal(path, "/a path");
	r->data += ref->kind == CHUNK_DATA;
	r->lists += ref->kind == CHUNK_LIST;
	r->bodies += ref->kind == CHUNK_LIST_BODY;
	r->cut_short += ref->kind == CHUNK_DATA && chunker_list_ends(&ref->id, 1);
	if (ref->kind == CHUNK_LIST_BODY)
		assert_int_equal(r->last, CHUNK_LIST); /* right behind its list */
	r->last = ref->kind;
	return 0;
}

static void test_list_begins_after_16_chunks(void **state)
{
	struct content_case *t = *state;
	const size_t most = (size_t)40 << 20;
	uint8_t *bytes = repo_case_block(4, most);
	size_t end = 0, ends[18] = {0};

	for (size_t n = 1; n <= 17; n++)
		ends[n] = end += chunker_cut(packer_chunker(t->packer), bytes + end, most - end);
	for (size_t n = 16; n <= 17; n++) {
		struct content content = write_file(t, bytes, ends[n], 0);
		struct entry e = entry_of(&content);
		struct refs refs = {0};

		assert_int_equal(reads_back(t, &content, bytes, ends[n]), n);
		assert_int_equal(content.shape, n == 16 ? SHAPE_INLINE : SHAPE_LIST);
		assert_int_equal(content.child_count, n == 16 ? 16 : 1);
		MUST(content_refs(t->reader, &e, content.children, "/a path", count_ref, &refs,
				  &t->err),
		     &t->err);
		assert_int_equal(refs.data, n);
		if (n == 16 || refs.cut_short == 0)
			assert_int_equal(refs.lists, n == 16 ? 0 : 1);
		assert_int_equal(refs.bodies, refs.lists);
		content_free(&content);
	}
	free(bytes);
}

/*
 * A block of the least length at whose end a chunk ends: repeated, it gives the most chunks a file of its length can
 * have. The cut depends on the last bytes alone, so such an end is found in a random stream and taken with what is before.
 */
static uint8_t *least_chunk(struct content_case *t)
{
	for (uint64_t seed = 0;; seed++) {
		uint8_t *stream = repo_case_block(seed, CHUNK_AVG_BYTES);
		size_t cut = chunker_cut(packer_chunker(t->packer), stream, CHUNK_AVG_BYTES);

		if (cut < CHUNK_AVG_BYTES - 1) {
			memmove(stream, stream + cut - CHUNK_MIN_BYTES, CHUNK_MIN_BYTES);
			return stream;
		}
		free(stream);
	}
}

static int is_block(void *arg, const void *bytes, size_t len, struct err *err)
{
	struct expect *x = arg;

	(void)err;
	assert_int_equal(len, x->len);
	assert_memory_equal(bytes, x->bytes, len);
	x->chunks++;
	return 0;
}

/* More chunks than one list node takes, 4,096, make a second level. */
static void test_two_levels(void **state)
{
	const size_t blocks = 4100;
	struct content_case *t = *state;
	struct expect x = {.bytes = least_chunk(t), .len = CHUNK_MIN_BYTES};
	struct content content = {0};
	struct refs refs = {0};
	struct entry e;

	for (size_t i = 0; i < blocks; i++)
		MUST(content_writer_put(t->w, x.bytes, x.len, &t->err), &t->err);
	MUST(content_writer_finish(t->w, &content, &t->err), &t->err);
	assert_int_equal(content.bytes, (uint64_t)blocks * CHUNK_MIN_BYTES);
	assert_int_equal(content.shape, SHAPE_LIST);
	assert_int_equal(content.child_count, 1);
	MUST(packer_finish(t->packer, &t->err), &t->err);
	e = entry_of(&content);
	MUST(content_refs(t->reader, &e, content.children, "/a path", count_ref, &refs, &t->err),
	     &t->err);
	assert_int_equal(refs.data, blocks);
	assert_true(refs.lists >= 3);
	assert_int_equal(refs.bodies, refs.lists);
	MUST(content_each(t->reader, &e, content.children, is_block, &x, &t->err), &t->err);
	assert_int_equal(x.chunks, blocks);
	content_free(&content);
	free((void *)(uintptr_t)x.bytes);
}

/* --- damage --- */

static int any(void *arg, const void *bytes, size_t len, struct err *err)
{
	(void)bytes;
	(void)err;
	*(size_t *)arg += len;
	return 0;
}

static void test_length_must_agree(void **state)
{
	struct content_case *t = *state;
	uint8_t *bytes = repo_case_block(6, 1000);
	struct content content = write_file(t, bytes, 1000, 0);
	struct entry e = entry_of(&content);
	size_t got = 0;

	MUST(packer_finish(t->packer, &t->err), &t->err);
	e.size = 999;
	MUST_FAIL(content_each(t->reader, &e, content.children, any, &got, &t->err), ERR_DAMAGED,
		  &t->err);
	assert_int_equal(got, 0); /* nothing beyond what was said is given out */
	e.size = 1001;
	MUST_FAIL(content_each(t->reader, &e, content.children, any, &got, &t->err), ERR_DAMAGED,
		  &t->err);
	e.child_count = 0;
	MUST_FAIL(content_each(t->reader, &e, content.children, any, &got, &t->err), ERR_DAMAGED,
		  &t->err);
	content_free(&content);
	free(bytes);
}

static void test_missing_chunk(void **state)
{
	struct content_case *t = *state;
	struct chunk_ref ref = {CHUNK_DATA, bytes_id(9)}, list = {CHUNK_LIST, bytes_id(9)};
	struct entry e = {.type = ENTRY_FILE, .size = 5, .child_count = 1};
	struct refs refs = {0};
	size_t got = 0;

	MUST_FAIL(content_each(t->reader, &e, &ref, any, &got, &t->err), ERR_MISSING, &t->err);
	/* Data is named, not read. */
	MUST(content_refs(t->reader, &e, &ref, "/a path", count_ref, &refs, &t->err), &t->err);
	assert_int_equal(refs.data, 1);
	e.shape = SHAPE_LIST;
	MUST_FAIL(content_each(t->reader, &e, &list, any, &got, &t->err), ERR_MISSING, &t->err);
	MUST_FAIL(content_refs(t->reader, &e, &list, "/a path", count_ref, &refs, &t->err),
		  ERR_MISSING, &t->err);
}

/* --- extents --- */

static void test_spread(void **state)
{
	struct entry_extent extents[] = {{10, 5}, {100, 1}, {200, 20}};
	struct entry sparse = {.size = 300, .extents = extents, .extent_count = 3};
	struct entry dense = {.size = 26};
	const size_t steps[] = {1, 2, 3, 7, 26};

	(void)state;
	assert_int_equal(content_stored_bytes(&sparse), 26);
	assert_int_equal(content_stored_bytes(&dense), 26);
	for (size_t i = 0; i < 5; i++) {
		struct content_spread s = {.entry = &sparse}, d = {.entry = &dense};
		uint8_t seen[300] = {0};
		uint64_t offset;

		for (size_t done = 0; done < 26;) {
			size_t len = steps[i] < 26 - done ? steps[i] : 26 - done;

			while (len) {
				size_t took = content_spread_next(&s, len, &offset);

				assert_in_range(took, 1, len);
				for (size_t k = 0; k < took; k++)
					seen[offset + k]++;
				len -= took;
				done += took;
			}
		}
		for (size_t k = 0; k < 300; k++)
			assert_int_equal(seen[k],
					 (k >= 10 && k < 15) || k == 100 || (k >= 200 && k < 220));
		assert_int_equal(content_spread_next(&d, 20, &offset), 20);
		assert_int_equal(offset, 0);
		assert_int_equal(content_spread_next(&d, 6, &offset), 6);
		assert_int_equal(offset, 20);
	}
}

static int keep(void *arg, const void *bytes, size_t len, struct err *err)
{
	buf_put(arg, bytes, len);
	return buf_check(arg, err);
}

/* A sparse file as dump gives it: holes in front, between and behind are zeros. */
static void dump_is(struct content_case *t, struct entry *e, const char *stored,
		    const uint8_t *want)
{
	struct content content = write_file(t, (const uint8_t *)stored, strlen(stored), 0);
	struct dir_writer *w = NULL;
	struct manifest m = {0};
	struct buf got = {0};

	MUST(dir_writer_new(t->packer, &w, &t->err), &t->err);
	e->name = bytes_span("file");
	e->type = ENTRY_FILE;
	MUST(dir_writer_add(w, e, content.children, content.child_count, &t->err), &t->err);
	MUST(dir_writer_finish(w, &m.root, &t->err), &t->err);
	MUST(packer_finish(t->packer, &t->err), &t->err);
	MUST(browse_dump(t->reader, &m, "/file", keep, &got, &t->err), &t->err);
	assert_int_equal(got.len, e->size);
	if (got.len)
		assert_memory_equal(got.data, want, got.len);
	dir_writer_free(w);
	content_free(&content);
	buf_free(&got);
}

static void test_dump(void **state)
{
	struct content_case *t = *state;
	struct entry_extent extents[] = {{3, 2}, {70000, 4}}, hole[] = {{0, 0}}, front[] = {{0, 5}};
	struct entry sparse = {.size = 200000, .extents = extents, .extent_count = 2};
	struct entry all_hole = {.size = 100000, .extents = hole, .extent_count = 1};
	struct entry at_front = {.size = 6, .extents = front, .extent_count = 1};
	struct entry dense = {.size = 5}, empty = {0};
	uint8_t *want = calloc(1, 200000);

	assert_non_null(want);
	memcpy(want, "hello", 5);
	dump_is(t, &dense, "hello", want);
	dump_is(t, &at_front, "hello", want);
	dump_is(t, &empty, "", want);
	memset(want, 0, 5);
	dump_is(t, &all_hole, "", want);
	memcpy(want + 3, "ab", 2);
	memcpy(want + 70000, "cdef", 4);
	dump_is(t, &sparse, "abcdef", want);
	free(want);
}

static void test_dump_refuses(void **state)
{
	struct content_case *t = *state;
	struct entry e = {.name = bytes_span("fifo"), .type = ENTRY_FIFO};
	struct dir_writer *w = NULL;
	struct manifest m = {0};
	struct buf got = {0};

	MUST(dir_writer_new(t->packer, &w, &t->err), &t->err);
	MUST(dir_writer_add(w, &e, NULL, 0, &t->err), &t->err);
	MUST(dir_writer_finish(w, &m.root, &t->err), &t->err);
	MUST(packer_finish(t->packer, &t->err), &t->err);
	MUST_FAIL(browse_dump(t->reader, &m, "/fifo", keep, &got, &t->err), ERR_USAGE, &t->err);
	MUST_FAIL(browse_dump(t->reader, &m, "/none", keep, &got, &t->err), ERR_MISSING, &t->err);
	assert_int_equal(got.len, 0);
	dir_writer_free(w);
}

/* --- failures --- */

static void test_store_fails(void **state)
{
	struct content_case *t = *state;
	const size_t len = (size_t)64 << 20; /* more than a pack and what workers hold */
	uint8_t *bytes = repo_case_block(8, len);
	struct content content = {0};
	int r;

	store_fault_arm(t->c->fault,
			&(struct store_fault_plan){.kind = FAULT_STOP, .at = 1, .code = ERR_FULL});
	r = content_writer_put(t->w, bytes, len, &t->err);
	assert_int_equal(r, -ERR_FULL);
	/* What has failed does not end well by being ended. */
	content_writer_reset(t->w);
	MUST(content_writer_put(t->w, bytes, 10, &t->err), &t->err);
	MUST_FAIL(content_writer_finish(t->w, &content, &t->err), ERR_FULL, &t->err);
	assert_null(content.children);
	free(bytes);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_sizes),
	    CASE(test_pieces_do_not_matter),
	    CASE(test_insertion_changes_few_chunks),
	    CASE(test_list_begins_after_16_chunks),
	    CASE(test_two_levels),
	    CASE(test_length_must_agree),
	    CASE(test_missing_chunk),
	    cmocka_unit_test(test_spread),
	    CASE(test_dump),
	    CASE(test_dump_refuses),
	    CASE(test_store_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
