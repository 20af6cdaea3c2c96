/* Folders as nodes: the same entries give the same nodes, whatever the history; and looking into them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "repo/browse.h"
#include "repo/packer.h"
#include "repo/tree_read.h"
#include "repo/tree_write.h"
#include "tests/support/bytes.h"
#include "tests/support/must.h"
#include "tests/support/repo_case.h"

struct tree_case {
	struct repo_case *c;
	struct index *index;
	struct packer *packer;
	struct reader *reader;
	struct err err;
};

static int setup(void **state)
{
	struct tree_case *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	assert_int_equal(repo_case_setup(state), 0);
	t->c = *state;
	t->index = repo_case_index(t->c);
	MUST(packer_new(t->c->repo, t->index,
			&(struct packer_options){.sequence = 1, .dry_run = false}, &t->packer,
			&t->err),
	     &t->err);
	MUST(reader_new(t->c->repo, t->index, &t->reader, &t->err), &t->err);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct tree_case *t = *state;

	reader_free(t->reader);
	packer_free(t->packer);
	index_free(t->index);
	repo_case_free(t->c);
	free(t);
	return 0;
}

/* --- one large folder --- */

#define NO_NAME UINT64_MAX

/* Folder of names 0, 2, 4, … (count of them), and one more, when it is not NO_NAME. */
static struct id numbers(struct tree_case *t, uint64_t count, uint64_t extra)
{
	struct dir_writer *w = NULL;
	struct id list;

	MUST(dir_writer_new(t->packer, &w, &t->err), &t->err);
	for (uint64_t n = 0; n < 2 * count; n++) {
		char name[32];
		struct entry e = {.type = ENTRY_FILE, .mode = 0600, .uid = (uint32_t)n};

		if (n % 2 && n != extra)
			continue;
		(void)snprintf(name, sizeof(name), "entry-%08u", (unsigned)n);
		e.name = bytes_span(name);
		MUST(dir_writer_add(w, &e, NULL, 0, &t->err), &t->err);
	}
	MUST(dir_writer_finish(w, &list, &t->err), &t->err);
	dir_writer_free(w);
	MUST(packer_finish(t->packer, &t->err), &t->err);
	return list;
}

struct count {
	uint64_t next, count;
};

static int count_entry(void *arg, const struct entry *e, const struct chunk_ref *children,
		       struct err *err)
{
	struct count *k = arg;
	char name[32];

	(void)err;
	(void)children;
	(void)snprintf(name, sizeof(name), "entry-%08u", (unsigned)k->next);
	assert_int_equal(e->name.len, strlen(name));
	assert_memory_equal(e->name.p, name, e->name.len);
	assert_int_equal(e->uid, k->next);
	k->next += 2;
	k->count++;
	return 0;
}

/* Every node ends exactly where §7 says. Gives the entries below; last: nothing follows on this level. */
static uint64_t check_cuts(struct tree_case *t, const struct id *list, bool last,
			   unsigned *out_level)
{
	const struct chunker *chunker = packer_chunker(t->packer);
	struct tree_node node;
	uint64_t below = 0;
	unsigned child_level = 0;

	MUST(tree_node_load(t->reader, list, &node, &t->err), &t->err);
	for (size_t i = 0; i < node.body.count; i++) {
		bool final = i + 1 == node.body.count;
		struct span name =
		    node.body.level ? node.body.children[i].first_name : node.body.entries[i].name;
		bool ends = chunker_tree_ends(chunker, node.body.level, name.p, name.len, 0, 0);

		if (!final)
			assert_false(ends);
		else if (!last && node.body_bytes.len < 262144)
			assert_true(ends);
		if (node.body.level) {
			uint64_t n =
			    check_cuts(t, &node.children[i + 1].id, last && final, &child_level);

			assert_int_equal(n, node.body.children[i].entries_below);
			assert_int_equal(child_level, node.body.level - 1);
			below += n;
		} else {
			below++;
		}
	}
	*out_level = node.body.level;
	tree_node_free(&node);
	return below;
}

static int found(void *arg, const struct entry *e, const struct chunk_ref *children,
		 struct err *err)
{
	(void)children;
	(void)err;
	*(uint32_t *)arg = e->uid;
	return 0;
}

static void test_sizes(void **state)
{
	const uint64_t counts[] = {0, 1, 10, 1000, 100000};
	const unsigned least_level[] = {0, 0, 0, 0, 1};
	struct tree_case *t = *state;

	for (size_t i = 0; i < 5; i++) {
		struct id list = numbers(t, counts[i], NO_NAME);
		struct count k = {0};
		unsigned level = 0;

		MUST(tree_each(t->reader, &list, count_entry, &k, &t->err), &t->err);
		assert_int_equal(k.count, counts[i]);
		assert_int_equal(check_cuts(t, &list, true, &level), counts[i]);
		assert_true(level >= least_level[i] && level <= 3);
		for (uint64_t n = 0; n < 2 * counts[i]; n += 2 * counts[i] / 8 + 2) {
			char path[64];
			uint32_t uid = 1;

			(void)snprintf(path, sizeof(path), "/entry-%08u", (unsigned)n);
			MUST(tree_lookup(t->reader, &list, path, found, &uid, &t->err), &t->err);
			assert_int_equal(uid, n);
		}
		MUST_FAIL(tree_lookup(t->reader, &list, "/entry-00000001", found, NULL, &t->err),
			  ERR_MISSING, &t->err);
		assert_non_null(strstr(t->err.text, "/entry-00000001"));
	}
	assert_int_equal(t->index->rescued, 0);
}

/* The same names by another way give the same nodes; one name more changes a few. */
static void test_history_does_not_matter(void **state)
{
	struct tree_case *t = *state;
	const uint64_t count = 50000;
	const uint64_t extras[] = {1, 33333, 50001, 66667, 99999};
	struct id first = numbers(t, count, NO_NAME), again;
	uint64_t before, all = packer_stats(t->packer)->chunks_new;

	assert_true(all > 100); /* some 200, by chance of the key */
	for (size_t i = 0; i < 5; i++) {
		struct id other;

		before = packer_stats(t->packer)->chunks_new;
		other = numbers(t, count, extras[i]);
		assert_false(id_eq(&other, &first));
		/* List and body of a leaf (two when the name ends one), and of each level above. */
		assert_in_range(packer_stats(t->packer)->chunks_new - before, 2, 12);
		again = numbers(t, count, NO_NAME);
		assert_true(id_eq(&again, &first));
	}
	before = packer_stats(t->packer)->chunks_new;
	again = numbers(t, count, NO_NAME);
	assert_int_equal(packer_stats(t->packer)->chunks_new, before);
}

/* Long entries end a node by its bytes before its names do. */
static void test_node_of_large_entries(void **state)
{
	struct tree_case *t = *state;
	uint8_t *value = repo_case_block(1, 60000);
	struct entry_xattr xattr = {bytes_span("user.big"), {value, 60000}};
	struct dir_writer *w = NULL;
	struct tree_node node;
	unsigned level = 0;
	struct id list;

	MUST(dir_writer_new(t->packer, &w, &t->err), &t->err);
	for (unsigned n = 0; n < 30; n++) {
		char name[16];
		struct entry e = {.type = ENTRY_FIFO, .xattrs = &xattr, .xattr_count = 1};

		(void)snprintf(name, sizeof(name), "e%04u", n);
		e.name = bytes_span(name);
		MUST(dir_writer_add(w, &e, NULL, 0, &t->err), &t->err);
	}
	MUST(dir_writer_finish(w, &list, &t->err), &t->err);
	dir_writer_free(w);
	MUST(packer_finish(t->packer, &t->err), &t->err);
	assert_int_equal(check_cuts(t, &list, true, &level), 30);
	assert_true(level >= 1); /* 5 × 60,000 bytes pass 262,144 */
	MUST(tree_node_load(t->reader, &list, &node, &t->err), &t->err);
	if (level == 1)
		assert_true(node.body.count >= 6 && node.body.children[0].entries_below <= 5);
	tree_node_free(&node);
	free(value);
}

/* --- every field --- */

static void same_span(struct span a, struct span b)
{
	assert_int_equal(a.len, b.len);
	if (a.len)
		assert_memory_equal(a.p, b.p, a.len);
}

static void same_entry(const struct entry *a, const struct entry *b)
{
	same_span(a->name, b->name);
	assert_int_equal(a->type, b->type);
	assert_int_equal(a->mode, b->mode);
	assert_int_equal(a->uid, b->uid);
	assert_int_equal(a->gid, b->gid);
	same_span(a->user, b->user);
	same_span(a->group, b->group);
	assert_int_equal(a->mtime_s, b->mtime_s);
	assert_int_equal(a->mtime_ns, b->mtime_ns);
	assert_int_equal(a->link, b->link);
	assert_int_equal(a->xattr_count, b->xattr_count);
	for (size_t i = 0; i < a->xattr_count; i++) {
		same_span(a->xattrs[i].name, b->xattrs[i].name);
		same_span(a->xattrs[i].value, b->xattrs[i].value);
	}
	assert_int_equal(a->size, b->size);
	assert_int_equal(a->encoding, b->encoding);
	assert_int_equal(a->shape, b->shape);
	assert_int_equal(a->extent_count, b->extent_count);
	for (size_t i = 0; i < a->extent_count; i++) {
		assert_int_equal(a->extents[i].offset, b->extents[i].offset);
		assert_int_equal(a->extents[i].len, b->extents[i].len);
	}
	same_span(a->target, b->target);
	assert_int_equal(a->dev_major, b->dev_major);
	assert_int_equal(a->dev_minor, b->dev_minor);
}

#define FIELDS 9

struct fields {
	struct entry e[FIELDS];
	struct chunk_ref refs[FIELDS][3];
	size_t ref_count[FIELDS];
	size_t seen;
};

static int same_field(void *arg, const struct entry *e, const struct chunk_ref *children,
		      struct err *err)
{
	struct fields *f = arg;

	(void)err;
	assert_true(f->seen < FIELDS);
	same_entry(e, &f->e[f->seen]);
	assert_int_equal(e->child_count, f->ref_count[f->seen]);
	for (size_t i = 0; i < e->child_count; i++) {
		assert_int_equal(children[i].kind, f->refs[f->seen][i].kind);
		assert_true(id_eq(&children[i].id, &f->refs[f->seen][i].id));
	}
	f->seen++;
	return 0;
}

static void test_every_field_comes_back(void **state)
{
	struct tree_case *t = *state;
	struct entry_xattr xattrs[] = {{bytes_span("security.x"), {(const uint8_t *)"\0\1", 2}},
				       {bytes_span("user.empty"), {NULL, 0}}};
	struct entry_extent extents[] = {{4096, 10}, {1 << 20, 90}}, hole[] = {{0, 0}};
	struct fields f = {
	    .e = {{.type = ENTRY_FILE, .size = 300, .mode = 07777, .uid = UINT32_MAX, .gid = 3},
		  {.type = ENTRY_FILE, .size = 9999, .shape = SHAPE_LIST, .encoding = 1},
		  {.type = ENTRY_FILE, .size = 1 << 21, .extents = extents, .extent_count = 2},
		  {.type = ENTRY_FILE, .size = 1 << 22, .extents = hole, .extent_count = 1},
		  {.type = ENTRY_DIR, .mtime_s = INT64_MIN, .mtime_ns = 999999999},
		  {.type = ENTRY_SYMLINK, .target = bytes_span("../\xff/t"), .mtime_s = -1},
		  {.type = ENTRY_SOCKET, .link = UINT64_MAX},
		  {.type = ENTRY_CHAR, .dev_major = UINT32_MAX, .dev_minor = 7},
		  {.type = ENTRY_BLOCK, .dev_major = 8, .dev_minor = UINT32_MAX}},
	    .ref_count = {3, 1, 1, 0, 1},
	};
	const char *names[FIELDS] = {"\x01", " ",    "A",    "\xc3\xa9", "\xf0",
				     "\xf1", "\xf2", "\xfe", "\xff\xff"};
	struct dir_writer *w = NULL;
	struct id list;

	MUST(dir_writer_new(t->packer, &w, &t->err), &t->err);
	for (unsigned i = 0; i < FIELDS; i++) {
		f.e[i].name = bytes_span(names[i]);
		f.e[i].user = bytes_span(i % 2 ? "someone" : "");
		f.e[i].group = bytes_span(i % 3 ? "some group" : "");
		f.e[i].xattrs = i % 2 ? NULL : xattrs;
		f.e[i].xattr_count = i % 2 ? 0 : 2;
		for (unsigned k = 0; k < f.ref_count[i]; k++)
			f.refs[i][k] = (struct chunk_ref){i == 1   ? CHUNK_LIST
							  : i == 4 ? CHUNK_TREE_LIST
								   : CHUNK_DATA,
							  bytes_id(i * 10 + k)};
		MUST(dir_writer_add(w, &f.e[i], f.refs[i], f.ref_count[i], &t->err), &t->err);
	}
	MUST(dir_writer_finish(w, &list, &t->err), &t->err);
	dir_writer_free(w);
	MUST(packer_finish(t->packer, &t->err), &t->err);
	MUST(tree_each(t->reader, &list, same_field, &f, &t->err), &t->err);
	assert_int_equal(f.seen, FIELDS);
}

/* --- paths --- */

/* A folder of (name, folder or NULL) pairs up to a NULL name; files are empty. uid is the position from 1. */
struct child {
	const char *name;
	const struct id *folder;
	uint32_t uid;
};

static struct id folder(struct tree_case *t, const struct child *children)
{
	struct dir_writer *w = NULL;
	struct id list;

	MUST(dir_writer_new(t->packer, &w, &t->err), &t->err);
	for (; children->name; children++) {
		struct entry e = {.name = bytes_span(children->name),
				  .type = children->folder ? ENTRY_DIR : ENTRY_FILE,
				  .uid = children->uid};
		struct chunk_ref ref = {.kind = CHUNK_TREE_LIST};

		if (children->folder)
			ref.id = *children->folder;
		MUST(dir_writer_add(w, &e, &ref, children->folder ? 1 : 0, &t->err), &t->err);
	}
	MUST(dir_writer_finish(w, &list, &t->err), &t->err);
	dir_writer_free(w);
	MUST(packer_finish(t->packer, &t->err), &t->err);
	return list;
}

/* /a/b/{b,z}, /a/c, /empty, /file, /z */
static struct id small_tree(struct tree_case *t)
{
	const struct child of_b[] = {{"b", NULL, 1}, {"z", NULL, 2}, {0}}, none[] = {{0}};
	struct id b = folder(t, of_b), empty = folder(t, none), a;
	const struct child of_a[] = {{"b", &b, 3}, {"c", NULL, 4}, {0}};

	a = folder(t, of_a);
	{
		const struct child top[] = {
		    {"a", &a, 5}, {"empty", &empty, 6}, {"file", NULL, 7}, {"z", NULL, 8}, {0}};

		return folder(t, top);
	}
}

static void test_lookup(void **state)
{
	struct tree_case *t = *state;
	struct id root = small_tree(t);
	const struct {
		const char *path;
		uint32_t uid;
	} there[] = {{"/a", 5},     {"a", 5},    {"/a/", 5},    {"//a//b//", 3}, {"/a/b/b", 1},
		     {"/a/b/z", 2}, {"/a/c", 4}, {"/empty", 6}, {"/file", 7},    {"/z", 8}};
	const char *missing[] = {"/",       "",       "/b",      "/a/a",    "/a/b/c",  "/empty/a",
				 "/fil",    "/files", "/file/z", "/a/c/c",  "/a/c/d",  "/a/b/b/z",
				 "/file/x", "/a/z",   "/.",      "/a/../z", "/a/b/b/b"};

	for (size_t i = 0; i < sizeof(there) / sizeof(*there); i++) {
		uint32_t uid = 0;

		t->err = (struct err){0};
		MUST(tree_lookup(t->reader, &root, there[i].path, found, &uid, &t->err), &t->err);
		assert_int_equal(uid, there[i].uid);
		assert_int_equal(t->err.code, 0);
	}
	for (size_t i = 0; i < sizeof(missing) / sizeof(*missing); i++) {
		uint32_t uid = 0;
		int r = tree_lookup(t->reader, &root, missing[i], found, &uid, &t->err);

		if (r != -ERR_MISSING)
			fail_msg("%s gave %d and entry %u", missing[i], r, (unsigned)uid);
		assert_non_null(strstr(t->err.text, missing[i]));
	}
}

static int give(void *arg, const struct entry *e, const struct chunk_ref *children, struct err *err)
{
	(void)e;
	(void)children;
	(void)err;
	return *(int *)arg;
}

static void test_results_of_callbacks(void **state)
{
	const int results[] = {0, 1, 7, -ERR_CANCELLED};
	struct tree_case *t = *state;
	struct id root = small_tree(t);

	for (size_t i = 0; i < 4; i++) {
		int want = results[i];

		assert_int_equal(tree_lookup(t->reader, &root, "/a/b/z", give, &want, &t->err),
				 want);
		assert_int_equal(tree_each(t->reader, &root, give, &want, &t->err), want);
	}
}

struct lines {
	struct buf text;
	size_t stop_after;
};

static int line(void *arg, const char *path, const struct entry *e, struct err *err)
{
	struct lines *l = arg;

	(void)e;
	(void)err;
	buf_put(&l->text, path, strlen(path));
	buf_put_u8(&l->text, ' ');
	return l->stop_after && --l->stop_after == 0 ? 1 : 0;
}

static void listed(struct tree_case *t, const struct id *root, const char *sub, const char *want)
{
	struct manifest m = {.root = *root};
	struct lines l = {0};

	MUST(browse_list(t->reader, &m, sub, line, &l, &t->err), &t->err);
	buf_put_u8(&l.text, 0);
	assert_string_equal((const char *)l.text.data, want);
	buf_free(&l.text);
}

static void test_browse_list(void **state)
{
	struct tree_case *t = *state;
	struct id root = small_tree(t);
	const char *all = "/a /a/b /a/b/b /a/b/z /a/c /empty /file /z ";
	struct manifest m = {.root = root};
	struct lines l = {.stop_after = 2};

	listed(t, &root, NULL, all);
	listed(t, &root, "/", all);
	listed(t, &root, "///", all);
	listed(t, &root, "/a/b", "/a/b /a/b/b /a/b/z ");
	listed(t, &root, "a/b/", "/a/b /a/b/b /a/b/z ");
	listed(t, &root, "/a//b", "/a/b /a/b/b /a/b/z ");
	listed(t, &root, "/file", "/file ");
	listed(t, &root, "/empty", "/empty ");
	MUST_FAIL(browse_list(t->reader, &m, "/none", line, &l, &t->err), ERR_MISSING, &t->err);
	assert_int_equal(browse_list(t->reader, &m, "/a", line, &l, &t->err), 1);
	assert_int_equal(l.text.len, strlen("/a /a/b "));
	buf_free(&l.text);
}

static void test_paths(void **state)
{
	const char *folders[][2] = {{"/srv/app", "/srv"}, {"/srv", "/"}, {"/", "/"}, {"x", "/"}};
	const char *tidies[][2] = {{NULL, "/"},   {"", "/"},       {"/", "/"},      {"a", "/a"},
				   {"//a", "/a"}, {"/a///", "/a"}, {"a//b", "/a/b"}};
	struct span name = bytes_span("n");
	struct err err = {0};
	char *path;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		path = browse_folder_of(folders[i][0]);
		assert_string_equal(path, folders[i][1]);
		free(path);
	}
	for (size_t i = 0; i < 7; i++) {
		path = browse_tidy(tidies[i][0]);
		assert_string_equal(path, tidies[i][1]);
		free(path);
	}
	MUST(browse_join("/", &name, &path, &err), &err);
	assert_string_equal(path, "/n");
	free(path);
	MUST(browse_join("/a", &name, &path, &err), &err);
	assert_string_equal(path, "/a/n");
	free(path);
}

/* --- failures --- */

static void test_unreadable_nodes(void **state)
{
	struct tree_case *t = *state;
	struct id root = small_tree(t), nothing = bytes_id(3);
	struct count k = {0};
	uint32_t uid;

	MUST_FAIL(tree_each(t->reader, &nothing, count_entry, &k, &t->err), ERR_MISSING, &t->err);
	MUST_FAIL(tree_lookup(t->reader, &nothing, "/a", found, &uid, &t->err), ERR_MISSING,
		  &t->err);
	store_fault_arm(
	    t->c->fault,
	    &(struct store_fault_plan){.kind = FAULT_FLIP, .at = 3, .ops = FAULT_OP(FAULT_RANGE)});
	MUST_FAIL(tree_lookup(t->reader, &root, "/a/b", found, &uid, &t->err), ERR_DAMAGED,
		  &t->err);
}

static void test_store_fails(void **state)
{
	struct tree_case *t = *state;
	struct entry e = {.name = bytes_span("x"), .type = ENTRY_FIFO};
	struct dir_writer *w = NULL;
	struct id list;
	int r;

	store_fault_arm(t->c->fault, &(struct store_fault_plan){.kind = FAULT_STOP, .at = 1});
	MUST(dir_writer_new(t->packer, &w, &t->err), &t->err);
	MUST(dir_writer_add(w, &e, NULL, 0, &t->err), &t->err);
	MUST(dir_writer_finish(w, &list, &t->err), &t->err);
	MUST_FAIL(packer_finish(t->packer, &t->err), ERR_IO, &t->err);
	dir_writer_free(w);
	MUST(dir_writer_new(t->packer, &w, &t->err), &t->err);
	/* With some keys a node ends at this name. */
	r = dir_writer_add(w, &e, NULL, 0, &t->err);
	if (!r)
		r = dir_writer_finish(w, &list, &t->err);
	assert_int_equal(r, -ERR_IO);
	dir_writer_free(w);
	dir_writer_free(NULL);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_sizes),
	    CASE(test_history_does_not_matter),
	    CASE(test_node_of_large_entries),
	    CASE(test_every_field_comes_back),
	    CASE(test_lookup),
	    CASE(test_results_of_callbacks),
	    CASE(test_browse_list),
	    cmocka_unit_test(test_paths),
	    CASE(test_unreadable_nodes),
	    CASE(test_store_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
