#include "repo/backup_old.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#define AHEAD 64 /* names that the index is told to expect */

struct id backup_fold_ids(const struct chunk_ref *children, size_t count)
{
	crypto_generichash_state state;
	struct id sum;

	if (count == 1)
		return children[0].id;
	(void)crypto_generichash_init(&state, NULL, 0, sizeof(sum.b));
	for (size_t i = 0; i < count; i++)
		(void)crypto_generichash_update(&state, children[i].id.b, ID_BYTES);
	(void)crypto_generichash_final(&state, sum.b, sizeof(sum.b));
	return sum;
}

static int copy_array(const void *from, size_t bytes, void *out, struct err *err)
{
	void *copy = malloc(bytes + 1);

	if (!copy)
		return err_nomem(err);
	if (bytes)
		memcpy(copy, from, bytes);
	memcpy(out, &copy, sizeof(copy));
	return 0;
}

static int keep_file(const struct entry *e, const struct chunk_ref *children,
		     struct filescache_file *file, struct err *err)
{
	int r =
	    copy_array(children, e->child_count * sizeof(*children), &file->content.children, err);

	if (!r)
		r = copy_array(e->extents, e->extent_count * sizeof(*e->extents), &file->extents,
			       err);
	file->size = e->size;
	file->extent_count = e->extent_count;
	file->has_xattrs = e->xattr_count > 0;
	file->content.shape = e->shape;
	file->content.child_count = e->child_count;
	file->content.bytes = content_stored_bytes(e);
	return r;
}

static int old_add(void *arg, const struct entry *e, const struct chunk_ref *children,
		   struct err *err)
{
	struct backup_old *f = arg;
	struct backup_old_entry *o;

	if (f->count == f->cap) {
		size_t cap = f->cap ? f->cap * 2 : 32;

		o = realloc(f->entries, cap * sizeof(*o));
		if (!o)
			return err_nomem(err);
		f->entries = o;
		f->cap = cap;
	}
	o = &f->entries[f->count];
	*o = (struct backup_old_entry){
	    .name = strndup((const char *)e->name.p, e->name.len),
	    .type = e->type,
	    .shape = e->shape,
	    .encoding = e->encoding,
	    .size = e->size,
	    .mtime_s = e->mtime_s,
	    .mtime_ns = e->mtime_ns,
	    .content = backup_fold_ids(children, e->child_count),
	};
	if (!o->name)
		return err_nomem(err);
	f->count++;
	if (f->keeps && e->type == ENTRY_FILE && e->encoding == ENCODING_BYTES)
		return keep_file(e, children, &o->file, err);
	return 0;
}

static int old_node(void *arg, const struct id *list, const struct tree_node *n, struct err *err)
{
	struct backup_old *f = arg;

	return former_add_node(&f->nodes, list, n, err);
}

void backup_old_load(struct backup_run *run, const char *path, const struct id *list,
		     struct backup_old *out_old)
{
	struct err ignored = {0};

	out_old->index = run->index;
	out_old->list = list;
	out_old->keeps = backup_is_immutable(run, path);
	if (list && tree_each_node(run->reader, list, old_node, old_add, out_old, &ignored) != 0)
		out_old->at = out_old->count;
}

void backup_old_free(struct backup_old *f)
{
	for (size_t i = 0; i < f->count; i++) {
		free(f->entries[i].name);
		filescache_file_wipe(&f->entries[i].file);
	}
	free(f->entries);
	former_free(&f->nodes);
}

/* Most files are as they were, and their chunk (if it is one) is looked up next. */
static void expect(struct backup_old *f)
{
	size_t end = f->count - f->at > AHEAD ? f->at + AHEAD : f->count;

	if (f->at < f->expected)
		return;
	for (size_t i = f->at; i < end; i++)
		index_expect(f->index, &f->entries[i].content);
	for (size_t i = f->at; i < end; i++)
		index_expect_place(f->index, &f->entries[i].content);
	f->expected = end;
}

const struct backup_old_entry *backup_old_find(struct backup_old *f, const char *name)
{
	while (f->at < f->count) {
		int order = strcmp(f->entries[f->at].name, name);

		expect(f);
		if (order == 0)
			return &f->entries[f->at++];
		if (order > 0)
			break;
		f->at++;
	}
	return NULL;
}
