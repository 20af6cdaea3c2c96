#include "tests/support/repo_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/header.h"
#include "core/keyfile.h"
#include "core/sha256.h"
#include "repo/browse.h"
#include "repo/content.h"
#include "repo/tree_write.h"
#include "tests/support/bytes.h"
#include "tests/support/must.h"

const struct kdf_cost repo_case_cost = {.passes = 1, .memory_kib = 8192};

const struct repo_credentials repo_case_password = {.password = REPO_CASE_PASSWORD,
						    .password_len = sizeof(REPO_CASE_PASSWORD) - 1};

struct repo_init_options repo_case_init_options(void)
{
	return (struct repo_init_options){
	    .password = REPO_CASE_PASSWORD,
	    .password_len = sizeof(REPO_CASE_PASSWORD) - 1,
	    .cost = repo_case_cost,
	    .label = {.created_at = 1000, .user = "tester", .host = REPO_CASE_HOST},
	    .now_s = 1000,
	};
}

struct keys *repo_case_new_keys(void)
{
	struct keys *keys = NULL;
	struct err err = {0};

	MUST(repo_new_keys(&keys, &err), &err);
	return keys;
}

static void init(struct repo_case *c)
{
	struct repo_init_options options = repo_case_init_options();
	struct keys *keys = repo_case_new_keys();

	MUST(repo_init(c->inner, keys, &options, &c->err), &c->err);
	MUST(keyfile_enc(keys, ROLE_FULL, &c->keyfile, &c->err), &c->err);
	keys_free(keys);
}

static void open_case(struct repo_case *c)
{
	struct repo_credentials by = {.keyfile = c->keyfile.data, .keyfile_len = c->keyfile.len};

	MUST(store_fault_new(c->inner, &c->fault, &c->err), &c->err);
	MUST(repo_open(c->fault, &by, &c->repo, &c->err), &c->err);
	MUST(repo_use_writer(c->repo, REPO_CASE_HOST, false, &c->err), &c->err);
	store_fault_arm(c->fault, &(struct store_fault_plan){0});
}

struct repo_case *repo_case_new(struct store *inner)
{
	struct repo_case *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	c->inner = inner;
	init(c);
	open_case(c);
	return c;
}

void repo_case_free(struct repo_case *c)
{
	repo_close(c->repo);
	store_free(c->inner);
	buf_wipe(&c->keyfile);
	free(c);
}

int repo_case_setup(void **state)
{
	struct store *mem = NULL;
	struct err err = {0};

	MUST(store_mem_new(&mem, &err), &err);
	*state = repo_case_new(mem);
	return 0;
}

int repo_case_teardown(void **state)
{
	repo_case_free(*state);
	return 0;
}

void repo_case_reopen(struct repo_case *c)
{
	repo_close(c->repo);
	c->repo = NULL;
	open_case(c);
}

int repo_case_open_with(struct repo_case *c, const struct buf *keyfile, struct repo **out_repo,
			struct err *err)
{
	struct repo_credentials by = {.keyfile = keyfile->data, .keyfile_len = keyfile->len};
	struct store *s = NULL;
	int r;

	MUST(store_fault_new(c->inner, &s, err), err);
	r = repo_open(s, &by, out_repo, err);
	if (r)
		store_free(s);
	return r;
}

int repo_case_try_open(struct store *inner, const struct repo_credentials *by, struct err *err)
{
	struct store *s = NULL;
	struct repo *repo = NULL;
	int r;

	*err = (struct err){0};
	MUST(store_fault_new(inner, &s, err), err);
	r = repo_open(s, by, &repo, err);
	if (r) {
		assert_null(repo);
		store_free(s);
	} else {
		assert_int_equal(err->code, 0);
	}
	repo_close(repo);
	return r;
}

int repo_case_try_keyfile(struct store *inner, const struct buf *text, struct err *err)
{
	struct repo_credentials by = {.keyfile = text->data, .keyfile_len = text->len};

	return repo_case_try_open(inner, &by, err);
}

struct buf repo_case_keyfile(struct repo_case *c, enum role role)
{
	struct buf text = {0};

	MUST(keyfile_enc(c->repo->keys, role, &text, &c->err), &c->err);
	return text;
}

static void on_bad(void *arg, const struct id *name, const struct err *why)
{
	(void)arg;
	(void)name;
	fail_msg("bad: %s", why->text);
}

struct index *repo_case_index(struct repo_case *c)
{
	struct index *index = NULL;

	MUST(index_load(c->repo, on_bad, NULL, &index, &c->err), &c->err);
	return index;
}

size_t repo_case_records(struct repo_case *c)
{
	struct index *index = repo_case_index(c);
	size_t count = 0;

	for (size_t i = 0; i < index->pack_count; i++)
		count += index->packs[i].place_count;
	index_free(index);
	return count;
}

/* --- objects --- */

size_t repo_case_count(struct store *s, enum store_type type)
{
	struct id *names = NULL;
	struct err err = {0};
	size_t count = 0;

	MUST(repo_list(s, type, &names, NULL, &count, &err), &err);
	free(names);
	return count;
}

struct buf repo_case_get(struct store *s, enum store_type type, const struct id *name)
{
	struct buf bytes = {0};
	struct err err = {0};

	MUST(store_get(s, type, name, SIZE_MAX, &bytes, &err), &err);
	return bytes;
}

void repo_case_replace(struct store *s, enum store_type type, const struct id *name,
		       const void *bytes, size_t len)
{
	struct err err = {0};

	MUST(store_remove(s, type, name, &err), &err);
	MUST(store_put(s, type, name, bytes, len, &err), &err);
}

void repo_case_flip(struct store *s, enum store_type type, const struct id *name, size_t at,
		    unsigned bit)
{
	struct buf bytes = repo_case_get(s, type, name);

	assert_true(at < bytes.len);
	bytes.data[at] ^= (uint8_t)(1u << bit);
	repo_case_replace(s, type, name, bytes.data, bytes.len);
	buf_free(&bytes);
}

static void assert_object(struct store *s, enum store_type type, const struct id *name)
{
	struct buf bytes = repo_case_get(s, type, name);
	char path[STORE_PATH_CHARS];
	/* Retire records and damage notes are not secret in size. */
	bool is_clear = type == STORE_SNAPSHOTS && bytes.len > 6 &&
			(bytes.data[6] == RETIRE_KIND || bytes.data[6] == DAMAGE_KIND);
	struct id digest;
	struct err err = {0};

	store_path(type, name, path);
	MUST(sha256_of(bytes.data, bytes.len, &digest, &err), &err);
	if (!id_eq(&digest, name))
		fail_msg("%s is not named by its bytes", path);
	if (bytes.len < HEADER_BYTES || memcmp(bytes.data, "njar\1", 5) != 0)
		fail_msg("%s has no header", path);
	if (type != STORE_KEYS && type != STORE_INDEX && !is_clear &&
	    bucket_bytes(bytes.len, 12) != bytes.len)
		fail_msg("%s: %zu bytes are no bucket", path, bytes.len);
	if (type == STORE_INDEX && bucket_fine_bytes(bytes.len, 12) != bytes.len)
		fail_msg("%s: %zu bytes are not padded", path, bytes.len);
	buf_free(&bytes);
}

void repo_case_assert_format(struct store *s)
{
	const enum store_type types[] = {STORE_KEYS, STORE_DATA, STORE_INDEX, STORE_SNAPSHOTS};

	for (size_t t = 0; t < 4; t++) {
		struct id *names = NULL;
		struct err err = {0};
		size_t count = 0;

		MUST(repo_list(s, types[t], &names, NULL, &count, &err), &err);
		for (size_t i = 0; i < count; i++)
			assert_object(s, types[t], &names[i]);
		free(names);
	}
}

/* --- contents --- */

/* splitmix64 */
void repo_case_bytes(uint64_t seed, void *out_bytes, size_t len)
{
	uint8_t *out = out_bytes;

	for (size_t at = 0; at < len; at += 8) {
		uint64_t z = (seed += 0x9e3779b97f4a7c15u);

		z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
		z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
		z ^= z >> 31;
		memcpy(out + at, &z, len - at < 8 ? len - at : 8);
	}
}

uint8_t *repo_case_block(uint64_t seed, size_t len)
{
	uint8_t *block = malloc(len ? len : 1);

	assert_non_null(block);
	repo_case_bytes(seed, block, len);
	return block;
}

static int put_file(struct dir_writer *dir, struct content_writer *w,
		    const struct repo_case_file *f, struct err *err)
{
	struct entry e = {
	    .name = bytes_span(f->name), .type = ENTRY_FILE, .mode = 0644, .size = f->len};
	struct content content = {0};
	int r = content_writer_put(w, f->bytes, f->len, err);

	if (!r)
		r = content_writer_finish(w, &content, err);
	e.shape = content.shape;
	if (!r)
		r = dir_writer_add(dir, &e, content.children, content.child_count, err);
	content_free(&content);
	return r;
}

static int put_root(struct packer *p, const struct id *folder, struct id *out_root, struct err *err)
{
	struct chunk_ref child = {CHUNK_TREE_LIST, *folder};
	struct entry e = {.name = bytes_span("f"), .type = ENTRY_DIR, .mode = 0755};
	struct dir_writer *dir = NULL;
	int r = dir_writer_new(p, &dir, err);

	if (!r)
		r = dir_writer_add(dir, &e, &child, 1, err);
	if (!r)
		r = dir_writer_finish(dir, out_root, err);
	dir_writer_free(dir);
	return r;
}

static int put_tree(struct packer *p, const struct repo_case_file *files, size_t count,
		    struct id *out_root, struct err *err)
{
	struct content_writer *w = NULL;
	struct dir_writer *dir = NULL;
	struct id folder;
	int r = content_writer_new(p, &w, err);

	if (!r)
		r = dir_writer_new(p, &dir, err);
	for (size_t i = 0; !r && i < count; i++)
		r = put_file(dir, w, &files[i], err);
	if (!r)
		r = dir_writer_finish(dir, &folder, err);
	if (!r)
		r = put_root(p, &folder, out_root, err);
	dir_writer_free(dir);
	content_writer_free(w);
	return r ? r : packer_finish(p, err);
}

static int put_manifest(struct repo *repo, struct manifest *m, int64_t time_ns,
			struct id *out_manifest, struct err *err)
{
	uint64_t bytes;

	m->time_ns = m->started_ns = m->finished_ns = time_ns;
	m->host = bytes_text(repo->keys->host);
	m->user = bytes_text("tester");
	m->program = bytes_text("test");
	m->sources = calloc(1, sizeof(*m->sources));
	assert_non_null(m->sources);
	m->sources[0] = bytes_text("/f");
	m->source_count = 1;
	return manifests_put(repo, m, out_manifest, &bytes, err);
}

int repo_case_try_backup(struct repo *repo, const struct repo_case_file *files, size_t count,
			 int64_t time_ns, struct id *out_manifest, struct err *err)
{
	struct manifest_list list = {0};
	struct manifest m = {0};
	struct index *index = NULL;
	struct packer *p = NULL;
	int r = manifests_load(repo, NULL, NULL, &list, err);

	if (!r)
		r = manifests_succeed(repo, &list, &m, err);
	if (!r)
		r = index_load(repo, NULL, NULL, &index, err);
	if (!r)
		r = packer_new(repo, index,
			       &(struct packer_options){.sequence = m.sequence, .dry_run = false},
			       &p, err);
	if (!r)
		r = put_tree(p, files, count, &m.root, err);
	if (!r)
		r = put_manifest(repo, &m, time_ns, out_manifest, err);
	packer_free(p);
	index_free(index);
	manifest_free(&m);
	manifest_list_free(&list);
	return r;
}

struct id repo_case_backup(struct repo_case *c, const struct repo_case_file *files, size_t count,
			   int64_t time_ns)
{
	struct id name;

	MUST(repo_case_try_backup(c->repo, files, count, time_ns, &name, &c->err), &c->err);
	return name;
}

static int keep(void *arg, const void *bytes, size_t len, struct err *err)
{
	buf_put(arg, bytes, len);
	return buf_check(arg, err);
}

static int read_file(struct reader *reader, const struct manifest *m,
		     const struct repo_case_file *f, struct err *err)
{
	struct span name = bytes_span(f->name);
	char *path = NULL;
	struct buf got = {0};
	int r;

	MUST(browse_join("/f", &name, &path, err), err);
	r = browse_dump(reader, m, path, keep, &got, err);
	if (!r && (got.len != f->len || (f->len && memcmp(got.data, f->bytes, f->len) != 0)))
		r = err_set(err, ERR_DAMAGED, "%s reads back as other bytes", path);
	free(path);
	buf_free(&got);
	return r;
}

int repo_case_try_read(struct repo *repo, const struct id *manifest,
		       const struct repo_case_file *files, size_t count, struct err *err)
{
	struct manifest_list list = {0};
	const struct manifest_item *item = NULL;
	struct index *index = NULL;
	struct reader *reader = NULL;
	char hex[ID_HEX_CHARS + 1];
	const char *sub;
	int r = manifests_load(repo, NULL, NULL, &list, err);

	id_hex(manifest, hex);
	if (!r)
		r = manifests_find(&list, hex, NULL, &item, &sub, err);
	if (!r)
		r = index_load(repo, NULL, NULL, &index, err);
	if (!r)
		r = reader_new(repo, index, &reader, err);
	for (size_t i = 0; !r && i < count; i++)
		r = read_file(reader, &item->m, &files[i], err);
	reader_free(reader);
	index_free(index);
	manifest_list_free(&list);
	return r;
}

struct copying {
	struct store *from, *to;
	enum store_type type;
};

static int copy_object(void *arg, const struct id *name, uint64_t size, struct err *err)
{
	const struct copying *c = arg;
	struct buf bytes = {0};
	int r = store_get(c->from, c->type, name, (size_t)size, &bytes, err);

	if (!r)
		r = store_put(c->to, c->type, name, bytes.data, bytes.len, err);
	buf_free(&bytes);
	return r;
}

struct store *repo_case_clone(struct store *from, int64_t now_s, struct err *err)
{
	struct copying c = {.from = from};

	MUST(store_mem_new(&c.to, err), err);
	store_mem_set_now(c.to, now_s);
	for (int t = 0; t < STORE_TYPES; t++) {
		c.type = (enum store_type)t;
		MUST(store_list(from, c.type, copy_object, &c, err), err);
	}
	return c.to;
}
