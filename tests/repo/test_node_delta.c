/* Nodes rest on their former selves: a quiet night is small, and what it rests on is checked with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "repo/backup.h"
#include "repo/check.h"
#include "repo/content.h"
#include "repo/tree_read.h"
#include "tests/support/must.h"
#include "tests/support/repo_case.h"
#include "tests/support/tmpdir.h"

#define LEVELS 5
#define FILES 80

struct node_case {
	struct repo_case *c;
	char *folder, *cache;
};

static void write_file(const char *folder, unsigned level, unsigned number, unsigned version)
{
	char path[600], text[64];
	size_t len = (size_t)snprintf(path, sizeof(path), "%s", folder);
	FILE *f;

	for (unsigned i = 0; i < level; i++) {
		len += (size_t)snprintf(path + len, sizeof(path) - len, "/folder%u", i);
		(void)mkdir(path, 0755);
	}
	(void)snprintf(path + len, sizeof(path) - len, "/file%03u.txt", number);
	(void)snprintf(text, sizeof(text), "file %u of level %u, version %u\n", number, level,
		       version);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int setup(void **state)
{
	struct node_case *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	assert_int_equal(repo_case_setup(state), 0);
	t->c = *state;
	t->folder = tmpdir_make();
	t->cache = tmpdir_make();
	for (unsigned level = 1; level <= LEVELS; level++) {
		for (unsigned i = 0; i < FILES; i++)
			write_file(t->folder, level, i, 1);
	}
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct node_case *t = *state;

	tmpdir_remove(t->folder);
	tmpdir_remove(t->cache);
	repo_case_free(t->c);
	free(t);
	return 0;
}

static struct backup_result back_up(struct node_case *t, int64_t now_ns)
{
	const char *const paths[] = {t->folder};
	struct backup_options options = {.paths = paths,
					 .path_count = 1,
					 .host = REPO_CASE_HOST,
					 .cache_dir = t->cache,
					 .force = true,
					 .workers = 1,
					 .now_ns = now_ns};
	struct backup_result result;

	repo_case_reopen(t->c);
	MUST(backup_run(t->c->repo, &options, &result, &t->c->err), &t->c->err);
	return result;
}

/* Records of a pack by kind: how many are deltas. */
static void count_pack(const struct index *index, uint32_t pack, unsigned all[6],
		       unsigned deltas[6])
{
	const struct index_pack *p = &index->packs[pack];

	for (uint32_t i = 0; i < p->place_count; i++) {
		const struct record_info *info = &index->places[p->first_place + i].info;

		all[info->kind]++;
		deltas[info->kind] += info->base_count > 0;
	}
}

static uint32_t other_pack(const struct index *index, const struct id *known, size_t count)
{
	for (uint32_t i = 0; i < index->pack_count; i++) {
		bool is_known = false;

		for (size_t k = 0; k < count; k++)
			is_known = is_known || id_eq(&index->packs[i].name, &known[k]);
		if (!is_known)
			return i;
	}
	fail_msg("no new pack");
	return 0;
}

static void test_quiet_night(void **state)
{
	struct node_case *t = *state;
	struct backup_result first = back_up(t, 1000), second;
	struct index *index = repo_case_index(t->c);
	unsigned all[6] = {0}, deltas[6] = {0};
	struct id old;

	assert_int_equal(index->pack_count, 1);
	old = index->packs[0].name;
	index_free(index);
	write_file(t->folder, LEVELS, 40, 2);
	second = back_up(t, 2000);
	index = repo_case_index(t->c);
	count_pack(index, other_pack(index, &old, 1), all, deltas);
	index_free(index);
	/* A body has no ids in it: only that of the file's own folder is new. */
	assert_int_equal(all[CHUNK_TREE_BODY], 1);
	assert_int_equal(deltas[CHUNK_TREE_BODY], 1);
	assert_true(deltas[CHUNK_TREE_LIST] >= LEVELS);
	assert_true(first.bytes_packed > 30000);
	assert_true(second.bytes_packed < 2500);
}

/* A file at the front moves the first name of its folder; the old node is still what the new one is like. */
static void test_new_first_name(void **state)
{
	struct node_case *t = *state;
	struct backup_result second;
	char path[600];
	FILE *f;

	(void)back_up(t, 1000);
	(void)snprintf(path, sizeof(path), "%s/folder0/a", t->folder);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fclose(f), 0);
	second = back_up(t, 2000);
	assert_true(second.bytes_packed < 1500);
}

/* --- check --- */

struct said {
	unsigned damaged, touched, first, second;
	const struct id *manifest[2];
	bool rests; /* some text said so */
};

static void on_damage(void *arg, const char *object, const char *text)
{
	struct said *s = arg;

	(void)object;
	assert_true(text[0] != '\0');
	s->damaged++;
}

static void on_touched(void *arg, const struct id *manifest, const char *path, const char *text)
{
	struct said *s = arg;

	(void)path;
	s->touched++;
	s->first += id_eq(manifest, s->manifest[0]);
	s->second += id_eq(manifest, s->manifest[1]);
	s->rests = s->rests || strstr(text, "rests on");
}

static struct check_result check(struct node_case *t, bool read_data, struct said *s)
{
	struct check_options options = {
	    .read_data = read_data, .damage = on_damage, .touched = on_touched, .arg = s};
	struct check_result result;

	repo_case_reopen(t->c);
	MUST(check_run(t->c->repo, &options, &result, &t->c->err), &t->c->err);
	return result;
}

/* The first night's pack is lost or rots: the second night, which rests on it, is told too. */
static void test_check_follows_bases(void **state)
{
	struct node_case *t = *state;
	struct id manifests[2], *names = NULL;
	struct check_result result;
	struct said clean = {0};
	size_t count = 0;

	manifests[0] = back_up(t, 1000).manifest;
	MUST(repo_list(t->c->inner, STORE_DATA, &names, NULL, &count, &t->c->err), &t->c->err);
	for (unsigned i = 0; i < FILES; i++)
		write_file(t->folder, LEVELS, i, 2);
	manifests[1] = back_up(t, 2000).manifest;
	result = check(t, true, &clean);
	assert_int_equal(clean.damaged + clean.touched, 0);
	assert_int_equal(result.chunks, repo_case_records(t->c));
	for (int way = 0; way < 3; way++) {
		struct said s = {.manifest = {&manifests[0], &manifests[1]}};
		struct buf whole = repo_case_get(t->c->inner, STORE_DATA, &names[0]);
		struct buf bad = {0};

		buf_put(&bad, whole.data, whole.len);
		memset(bad.data + bad.len / 2, 0x55, bad.len / 2);
		if (way == 0)
			MUST(store_remove(t->c->inner, STORE_DATA, &names[0], &t->c->err),
			     &t->c->err);
		else
			repo_case_replace(t->c->inner, STORE_DATA, &names[0], bad.data,
					  way == 1 ? bad.len : bad.len / 2);
		(void)check(t, way == 1, &s);
		assert_true(s.damaged >= 1);
		assert_true(s.first >= 1 && s.second >= 1);
		if (way == 0)
			MUST(store_put(t->c->inner, STORE_DATA, &names[0], whole.data, whole.len,
				       &t->c->err),
			     &t->c->err);
		else
			repo_case_replace(t->c->inner, STORE_DATA, &names[0], whole.data,
					  whole.len);
		buf_free(&whole);
		buf_free(&bad);
	}
	free(names);
}

/* After a lost pack the next backup is whole again, with whatever it needs stored full. */
static void test_next_backup_heals(void **state)
{
	struct node_case *t = *state;
	struct id manifests[3], *names = NULL;
	struct said s = {.manifest = {&manifests[2], &manifests[2]}};
	size_t count = 0;

	manifests[0] = back_up(t, 1000).manifest;
	MUST(repo_list(t->c->inner, STORE_DATA, &names, NULL, &count, &t->c->err), &t->c->err);
	write_file(t->folder, 3, 7, 2);
	manifests[1] = back_up(t, 2000).manifest;
	MUST(store_remove(t->c->inner, STORE_DATA, &names[0], &t->c->err), &t->c->err);
	manifests[2] = back_up(t, 3000).manifest;
	(void)check(t, true, &s);
	assert_true(s.damaged == 1); /* the pack */
	assert_int_equal(s.first, 0);
	free(names);
}

/* --- chunk lists --- */

/* A file of many small runs of random bytes; of some numbers another version. */
static struct content put_content(struct repo_case *c, struct packer *p,
				  const struct former *former, uint64_t changed)
{
	struct content_writer *w = NULL;
	struct content content = {0};

	MUST(content_writer_new(p, &w, &c->err), &c->err);
	content_writer_follow(w, former);
	for (uint64_t i = 0; i < 48; i++) {
		uint8_t *block = repo_case_block(i == changed ? 7777 : i, CHUNK_AVG_BYTES);

		MUST(content_writer_put(w, block, CHUNK_AVG_BYTES, &c->err), &c->err);
		free(block);
	}
	MUST(content_writer_finish(w, &content, &c->err), &c->err);
	content_writer_free(w);
	return content;
}

static struct packer *open_packer(struct repo_case *c, struct index **out_index)
{
	struct packer *p = NULL;

	repo_case_reopen(c);
	*out_index = repo_case_index(c);
	MUST(packer_new(c->repo, *out_index, &(struct packer_options){.sequence = 1, .workers = 1},
			&p, &c->err),
	     &c->err);
	return p;
}

static void test_chunk_lists(void **state)
{
	struct repo_case *c = ((struct node_case *)*state)->c;
	struct index *index = NULL;
	struct packer *p = open_packer(c, &index);
	struct content first = put_content(c, p, NULL, UINT64_MAX), second;
	struct former former = {0};
	struct reader *reader = NULL;
	uint32_t at;

	assert_int_equal(first.shape, SHAPE_LIST);
	MUST(packer_finish(p, &c->err), &c->err);
	packer_free(p);
	index_free(index);

	p = open_packer(c, &index);
	MUST(reader_new(c->repo, index, &reader, &c->err), &c->err);
	MUST(former_load_list(&former, reader, &first.children[0].id, &c->err), &c->err);
	assert_true(former.count >= 1);
	second = put_content(c, p, &former, 20);
	MUST(packer_finish(p, &c->err), &c->err);
	/* Its chunks are full, the list and perhaps its body deltas. */
	assert_true(packer_stats(p)->deltas >= 1);
	at = index_find_good(index, CHUNK_LIST, &second.children[0].id);
	assert_true(at != INDEX_NONE);
	if (former.count == 1) { /* the key seldom cuts it in two */
		assert_int_equal(index->places[at].info.base_count, 1);
		assert_true(id_eq(&index->places[at].info.bases[0], &former.nodes[0].list));
		assert_true(index->places[at].stored_bytes < 400);
	}
	former_free(&former);
	content_free(&first);
	content_free(&second);
	reader_free(reader);
	packer_free(p);
	index_free(index);
}

static struct chunk_ref child(uint8_t n)
{
	return (struct chunk_ref){CHUNK_DATA, {{n, n, n, n, n, n, n, n}}};
}

/* Which node a new one is like: by children where there are any in common, else by its number. */
static void test_find_list(void **state)
{
	struct former_node nodes[] = {{.level = 1}, {.level = 0}, {.level = 0}, {.level = 0}};
	struct former_child children[9];
	struct former f = {.nodes = nodes, .count = 4, .children = children, .child_count = 9};
	struct chunk_ref some[4];

	(void)state;
	for (uint8_t i = 0; i < 9; i++) /* 1 2 3 | 4 5 6 | 7 8 9 */
		children[i] =
		    (struct former_child){0x0101010101010101ull * (i + 1u), 1 + i / 3u, 0};
	for (uint8_t i = 0; i < 4; i++)
		some[i] = child((uint8_t[]){3, 5, 6, 77}[i]);
	assert_ptr_equal(former_find_list(&f, 0, some, 4, 0), &nodes[2]);
	assert_ptr_equal(former_find_list(&f, 0, some, 1, 2), &nodes[1]);
	assert_ptr_equal(former_find_list(&f, 0, some + 3, 1, 2), &nodes[3]);
	assert_null(former_find_list(&f, 0, some + 3, 1, 3));
	assert_ptr_equal(former_find_list(&f, 1, some, 4, 0), &nodes[0]);
	assert_null(former_find_list(&f, 2, some, 4, 0));
}

static void add(struct former *f, const char *name, uint8_t level)
{
	struct id id = {{1}};
	struct err err = {0};

	MUST(former_add_tree(f, &id, &id, level, name, strlen(name), &err), &err);
}

static void assert_found(const struct former *f, uint8_t level, const char *name, const char *want)
{
	const struct former_node *n = former_find_tree(f, level, name, strlen(name));

	assert_non_null(n);
	assert_int_equal(n->level, level);
	assert_int_equal(n->first_name_len, strlen(want));
	assert_memory_equal(n->first_name, want, strlen(want));
}

static void test_find_tree(void **state)
{
	struct former f = {0};

	(void)state;
	assert_null(former_find_tree(&f, 0, "b", 1));
	add(&f, "b", 1);
	add(&f, "b", 0);
	add(&f, "bb", 0);
	add(&f, "m", 0);
	assert_found(&f, 0, "b", "b");
	assert_found(&f, 0, "bb", "bb");
	assert_found(&f, 0, "ba", "b");
	assert_found(&f, 0, "z", "m");
	assert_found(&f, 0, "a", "b"); /* before all of them */
	assert_found(&f, 1, "z", "b");
	assert_null(former_find_tree(&f, 2, "b", 1));
	former_free(&f);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_quiet_night),           CASE(test_new_first_name),
	    CASE(test_check_follows_bases),   CASE(test_next_backup_heals),
	    CASE(test_chunk_lists),           cmocka_unit_test(test_find_list),
	    cmocka_unit_test(test_find_tree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
