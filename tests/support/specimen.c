#include "tests/support/specimen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/sha256.h"
#include "repo/backup.h"
#include "repo/browse.h"
#include "repo/check.h"
#include "repo/condemned.h"
#include "repo/drill.h"
#include "repo/forget.h"
#include "repo/prune.h"
#include "repo/tags.h"
#include "tests/support/bytes.h"
#include "tests/support/must.h"

#define NIGHT_NS INT64_C(86400000000000)
#define START_S INT64_C(1700000000)

/* --- what a backup gives --- */

struct look {
	struct reader *reader;
	const struct specimen_backup *wanted; /* NULL: it is being made */
	struct specimen_backup *made;
	size_t same;
};

struct digest {
	struct sha256 *sha;
	struct err err;
};

static int take_bytes(void *arg, const void *bytes, size_t len, struct err *err)
{
	struct digest *d = arg;

	return sha256_update(d->sha, bytes, len, err);
}

static void take_attributes(struct digest *d, const struct entry *e)
{
	uint64_t numbers[] = {
	    e->type, e->mode, e->uid, e->gid, e->size, e->link, (uint64_t)e->mtime_s, e->mtime_ns};

	MUST(sha256_update(d->sha, numbers, sizeof(numbers), &d->err), &d->err);
	MUST(sha256_update(d->sha, e->name.p, e->name.len, &d->err), &d->err);
	MUST(sha256_update(d->sha, e->target.p ? e->target.p : (const uint8_t *)"", e->target.len,
			   &d->err),
	     &d->err);
}

static const struct specimen_entry *find_entry(const struct specimen_backup *b, const char *path)
{
	for (size_t i = 0; i < b->count; i++) {
		if (strcmp(b->entries[i].path, path) == 0)
			return &b->entries[i];
	}
	fail_msg("%s was never backed up", path);
	return NULL;
}

static void keep_entry(struct specimen_backup *b, const char *path, const struct id *digest)
{
	b->entries = realloc(b->entries, (b->count + 1) * sizeof(*b->entries));
	assert_non_null(b->entries);
	b->entries[b->count++] = (struct specimen_entry){bytes_text(path), *digest};
}

struct walk {
	struct look *look;
	const char *folder;
};

static int look_folder(struct look *look, const char *path, const struct id *list, struct err *err);

static int look_entry(void *arg, const struct entry *e, const struct chunk_ref *children,
		      struct err *err)
{
	const struct walk *w = arg;
	struct look *look = w->look;
	struct digest d = {0};
	struct id digest;
	char *path = NULL;
	int r;

	MUST(browse_join(w->folder, &e->name, &path, err), err);
	MUST(sha256_new(&d.sha, &d.err), &d.err);
	take_attributes(&d, e);
	r = e->type == ENTRY_DIR    ? look_folder(look, path, &children[0].id, err)
	    : e->type == ENTRY_FILE ? browse_content(look->reader, e, children, take_bytes, &d, err)
				    : 0;
	if (!r) {
		MUST(sha256_final(d.sha, &digest, &d.err), &d.err);
		if (!look->wanted)
			keep_entry(look->made, path, &digest);
		else if (!id_eq(&find_entry(look->wanted, path)->digest, &digest))
			fail_msg("%s: other bytes than those that were backed up", path);
		look->same++;
	}
	sha256_free(d.sha);
	free(path);
	return r;
}

static int look_folder(struct look *look, const char *path, const struct id *list, struct err *err)
{
	struct walk w = {look, path};

	return tree_each(look->reader, list, look_entry, &w, err);
}

/* Compares with what was backed up, or remembers it. 0, or why not all of it could be had. */
static int look_at(struct repo *repo, struct index *index, const struct manifest *m,
		   const struct specimen_backup *wanted, struct specimen_backup *made,
		   struct err *err)
{
	struct look look = {.wanted = wanted, .made = made};
	int r;

	MUST(reader_new(repo, index, &look.reader, err), err);
	r = look_folder(&look, "/", &m->root, err);
	if (!r && wanted)
		assert_int_equal(look.same, wanted->count);
	reader_free(look.reader);
	return r;
}

int specimen_restore(struct repo *repo, struct index *index, const struct manifest *m,
		     const struct specimen_backup *wanted, struct err *err)
{
	return look_at(repo, index, m, wanted, NULL, err);
}

/* --- making it --- */

static void write_file(struct specimen *s, const char *name, uint64_t seed, size_t len)
{
	uint8_t *bytes = repo_case_block(seed, len);
	char below[100], path[400];

	(void)snprintf(below, sizeof(below), "src/%s", name);
	kit_spew(kit_path(&s->kit, below, path), bytes, len);
	free(bytes);
}

int specimen_night(struct specimen *s, struct repo *repo, int64_t now_s, struct id *out_name,
		   struct err *err)
{
	const char *const paths[] = {s->src};
	struct backup_options options = {.paths = paths,
					 .path_count = 1,
					 .host = REPO_CASE_HOST,
					 .cache_dir = s->kit.cache,
					 .workers = 1,
					 .now_ns = now_s * 1000000000};
	struct backup_result result = {0};
	int r = backup_run(repo, &options, &result, err);

	if (!r)
		assert_true(result.committed && result.unreadable == 0);
	*out_name = result.manifest;
	return r;
}

static struct id night(struct specimen *s, int64_t now_s)
{
	struct id name;

	store_mem_set_now(s->c->inner, now_s);
	repo_case_reopen(s->c);
	MUST(specimen_night(s, s->c->repo, now_s, &name, &s->c->err), &s->c->err);
	return name;
}

static void make_source(struct specimen *s)
{
	char path[400];

	assert_int_equal(mkdir(kit_path(&s->kit, "src/folder", path), 0755), 0);
	kit_make(
	    kit_path(&s->kit, "src/app.db", path),
	    "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT); CREATE INDEX i ON t(v);"
	    "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 400)"
	    "INSERT INTO t SELECT n, 'row ' || n || ' of a table ' || hex(randomblob(12)) FROM c");
	write_file(s, "empty", 1, 0);
	write_file(s, "small", 2, 100);
	write_file(s, "large", 3, 14000);
	write_file(s, "folder/middle", 4, 3000);
	assert_int_equal(chmod(kit_path(&s->kit, "src/folder/middle", path), 0640), 0);
}

static struct manifest_list load(struct specimen *s)
{
	struct manifest_list list = {0};

	MUST(manifests_load(s->c->repo, NULL, NULL, &list, &s->c->err), &s->c->err);
	assert_int_equal(list.bad, 0);
	return list;
}

/* A backup that is forgotten: a retire record, and a pack that a prune condemns. */
static void forget_first(struct specimen *s, const struct id *name)
{
	const struct forget_options options = {.names = name, .name_count = 1};
	struct manifest_list list = load(s);
	struct forget_plan plan = {0};
	struct forget_result result;
	struct prune_result pruned;
	struct err *err = &s->c->err;

	MUST(forget_plan(s->c->repo, &list, &options, &plan, err), err);
	MUST(forget_apply(s->c->repo, &list, &plan, START_S * 1000000000, NULL, &result, err), err);
	assert_int_equal(result.removed, 1);
	MUST(
	    prune_run(s->c->repo,
		      &(struct prune_options){/* what the other two need of it is moved */ .unused =
						  PRUNE_UNUSED_PERCENT},
		      &pruned, err),
	    err);
	assert_true(pruned.condemned.packs > 0 && pruned.written.packs > 0);
	forget_plan_free(&plan);
	manifest_list_free(&list);
}

static void add_notes(struct specimen *s, struct manifest_list *list)
{
	const char *const tags[] = {"keep", "yearly"};
	struct drillnote drill = {.head.time_ns = START_S * 1000000000,
				  .manifest = list->items[0].name,
				  .place = DRILLNOTE_MEMORY,
				  .counts = {.databases = 1, .files = 5, .bytes = 50000}};
	struct notes found = {0};
	struct damage_place place = {0};
	struct err *err = &s->c->err, why = {0};
	uint64_t number = 0;
	struct id name;

	MUST(tags_put(s->c->repo, &list->items[0], tags, 2, 7, &name, err), err);
	MUST(drill_keep(s->c->repo, list, &list->items[0], NULL, &drill, &why, err), err);
	assert_int_equal(why.code, 0);
	/* Of a pack that is long gone. */
	place.pack = bytes_id(3);
	MUST(notes_add(&found, &place, err), err);
	MUST(notes_put(s->c->repo, &found, 8, &number, err), err);
	notes_free(&found);
}

/* What a backup leaves that was killed before its index. */
static struct id add_orphan(struct specimen *s)
{
	struct pack_builder *builder = NULL;
	struct record_info info = {.kind = CHUNK_DATA, .plain_bytes = 6};
	struct pack_dir dir = {0};
	struct buf object = {0};
	struct err *err = &s->c->err;
	struct id name;

	MUST(record_id(keys_domain(s->c->repo->keys, 0, err), CHUNK_DATA, "orphan", 6, &info.id,
		       err),
	     err);
	MUST(pack_builder_new(s->c->repo->keys, 77, 12, &builder, err), err);
	MUST(pack_builder_add(builder, &info, "orphan", 6, err), err);
	MUST(pack_builder_finish(builder, &object, &dir, &name, err), err);
	MUST(store_put(s->c->inner, STORE_DATA, &name, object.data, object.len, err), err);
	MUST(condemned_put(s->c->repo, CONDEMN_WATCH, &name, 1, err), err);
	pack_dir_free(&dir);
	pack_builder_free(builder);
	buf_free(&object);
	return name;
}

static bool is_needless(struct specimen *s, const struct id *pack, const struct id *orphan)
{
	struct condemned c = {0};
	bool found = id_eq(pack, orphan);

	MUST(condemned_load(s->c->repo, NULL, NULL, &c, &s->c->err), &s->c->err);
	for (size_t i = 0; i < c.count; i++) {
		for (size_t k = 0; k < c.records[i].c.pack_count; k++)
			found = found || id_eq(&c.records[i].c.packs[k], pack);
	}
	condemned_free(&c);
	return found;
}

static void take_objects(struct specimen *s, const struct id *orphan)
{
	for (int t = 0; t < STORE_TYPES; t++) {
		enum store_type type = (enum store_type)t;
		struct id *names = NULL;
		size_t count = 0;

		MUST(repo_list(s->c->inner, type, &names, NULL, &count, &s->c->err), &s->c->err);
		s->objects = realloc(s->objects, (s->object_count + count) * sizeof(*s->objects));
		assert_non_null(s->objects);
		for (size_t i = 0; i < count; i++) {
			struct specimen_object *o = &s->objects[s->object_count++];

			*o = (struct specimen_object){
			    .type = type,
			    .name = names[i],
			    .bytes = repo_case_get(s->c->inner, type, &names[i]),
			    .needless = type == STORE_DATA && is_needless(s, &names[i], orphan)};
			s->bytes += o->bytes.len;
		}
		free(names);
	}
}

struct specimen *specimen_new(void)
{
	struct specimen *s = calloc(1, sizeof(*s));
	struct manifest_list list;
	struct index *index;
	struct id first, orphan;
	void *c = NULL;
	char path[400];

	assert_non_null(s);
	kit_new(&s->kit);
	assert_int_equal(repo_case_setup(&c), 0);
	s->c = c;
	(void)kit_path(&s->kit, "src", s->src);
	assert_int_equal(mkdir(s->src, 0700), 0);
	write_file(s, "gone", 33, 2000);
	first = night(s, START_S);
	assert_int_equal(unlink(kit_path(&s->kit, "src/gone", path)), 0);
	make_source(s);
	(void)night(s, START_S + 86400);
	kit_make(
	    kit_path(&s->kit, "src/app.db", path),
	    "UPDATE t SET v = 'changed ' || v WHERE id % 90 = 7; DELETE FROM t WHERE id = 300");
	write_file(s, "small", 5, 120);
	(void)night(s, START_S + 2 * 86400);
	forget_first(s, &first);
	list = load(s);
	add_notes(s, &list);
	orphan = add_orphan(s);
	index = repo_case_index(s->c);
	assert_int_equal(list.count, SPECIMEN_BACKUPS);
	for (size_t i = 0; i < list.count; i++) {
		s->backups[i].name = list.items[i].name;
		MUST(look_at(s->c->repo, index, &list.items[i].m, NULL, &s->backups[i], &s->c->err),
		     &s->c->err);
	}
	take_objects(s, &orphan);
	index_free(index);
	manifest_list_free(&list);
	return s;
}

void specimen_free(struct specimen *s)
{
	void *c = s->c;

	for (size_t b = 0; b < SPECIMEN_BACKUPS; b++) {
		for (size_t i = 0; i < s->backups[b].count; i++)
			free(s->backups[b].entries[i].path);
		free(s->backups[b].entries);
	}
	for (size_t i = 0; i < s->object_count; i++)
		buf_free(&s->objects[i].bytes);
	free(s->objects);
	assert_int_equal(repo_case_teardown(&c), 0);
	kit_free(&s->kit);
	free(s);
}

void specimen_set(struct specimen *s, const struct specimen_object *o, const void *bytes,
		  size_t len)
{
	struct err err = {0};

	(void)!store_remove(s->c->inner, o->type, &o->name, &err);
	if (len != SIZE_MAX)
		MUST(store_put(s->c->inner, o->type, &o->name, bytes, len, &err), &err);
}

void specimen_mend(struct specimen *s, const struct specimen_object *o)
{
	specimen_set(s, o, o->bytes.data, o->bytes.len);
}
