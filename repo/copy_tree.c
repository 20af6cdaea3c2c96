/* The tree of a manifest on its way from one repository to another, folder by folder, deepest first. */
#include "repo/copy_run.h"

#include <stdlib.h>
#include <string.h>

#include "repo/browse.h"
#include "repo/tree_read.h"
#include "repo/tree_write.h"

/* --- a folder as it was before --- */

struct old_entry {
	char *name;
	struct entry e; /* its pointers are not good any more */
	struct chunk_ref *children;
};

struct old_folder {
	struct old_entry *entries; /* ascending by name, as the tree has them */
	size_t count, cap, at;
	struct former nodes;
};

static int old_add(void *arg, const struct entry *e, const struct chunk_ref *children,
		   struct err *err)
{
	struct old_folder *f = arg;
	struct old_entry *o;

	if (f->count == f->cap) {
		size_t cap = f->cap ? f->cap * 2 : 32;

		o = realloc(f->entries, cap * sizeof(*o));
		if (!o)
			return err_nomem(err);
		f->entries = o;
		f->cap = cap;
	}
	o = &f->entries[f->count];
	*o = (struct old_entry){
	    .name = strndup((const char *)e->name.p, e->name.len),
	    .e = *e,
	    .children = malloc(e->child_count * sizeof(*children) + 1),
	};
	f->count++;
	if (!o->name || !o->children)
		return err_nomem(err);
	memcpy(o->children, children, e->child_count * sizeof(*children));
	return 0;
}

static int old_node(void *arg, const struct id *list, const struct tree_node *n, struct err *err)
{
	struct old_folder *f = arg;

	return former_add_node(&f->nodes, list, n, err);
}

static void old_free(struct old_folder *f)
{
	for (size_t i = 0; i < f->count; i++) {
		free(f->entries[i].name);
		free(f->entries[i].children);
	}
	free(f->entries);
	former_free(&f->nodes);
	*f = (struct old_folder){0};
}

/* One that cannot be read, or NULL, has no entries: then everything is read anew. */
static int old_load(struct reader *reader, const struct id *list, struct old_folder *f,
		    struct err *err)
{
	struct err why = {0};
	int r = list ? tree_each_node(reader, list, old_node, old_add, f, &why) : 0;

	if (r == -ERR_NOMEM)
		return err_nomem(err);
	if (r)
		old_free(f);
	return 0;
}

/* Names are asked for in ascending order. */
static const struct old_entry *old_find(struct old_folder *f, const struct span *name)
{
	while (f->at < f->count) {
		const char *have = f->entries[f->at].name;
		size_t len = strlen(have), least = len < name->len ? len : name->len;
		int order = memcmp(have, name->p, least);

		if (order == 0 && len == name->len)
			return &f->entries[f->at];
		if (order > 0 || (order == 0 && len > name->len))
			break;
		f->at++;
	}
	return NULL;
}

/* --- one folder --- */

struct folder {
	struct copy_run *run;
	const char *path;
	struct old_folder from, to; /* as they were before */
	struct dir_writer *writer;
	char last[LIMIT_NAME_BYTES + 1]; /* the name before */
};

static int copy_folder(struct copy_run *run, const char *path, const struct id *list,
		       const struct copy_before *before, struct id *out_list, struct err *err);

/* The same chunks are the same content. */
static bool same_content(const struct old_entry *old, const struct entry *e,
			 const struct chunk_ref *children)
{
	if (!old || old->e.type != ENTRY_FILE || old->e.encoding != e->encoding ||
	    old->e.shape != e->shape || old->e.size != e->size ||
	    old->e.data_bytes != e->data_bytes || old->e.child_count != e->child_count)
		return false;
	for (uint32_t i = 0; i < e->child_count; i++) {
		if (old->children[i].kind != children[i].kind ||
		    !id_eq(&old->children[i].id, &children[i].id))
			return false;
	}
	return true;
}

struct putting {
	struct copy_run *run;
	const char *path;
};

static int put_bytes(void *arg, const void *bytes, size_t len, struct err *err)
{
	struct putting *p = arg;
	int r = copy_tick(p->run, p->path, len, err);

	return r ? r : copy_to(p->run, content_writer_put(p->run->writer, bytes, len, err));
}

static int copy_bytes(struct copy_run *run, const char *path, const struct entry *e,
		      const struct chunk_ref *children, const struct old_entry *to,
		      struct content *out, struct err *err)
{
	struct putting putting = {run, path};
	struct former former = {0};
	struct err ignored = {0};
	int r = 0;

	if (to && to->e.type == ENTRY_FILE && to->e.shape == SHAPE_LIST)
		r = former_load_list(&former, run->to_reader, &to->children[0].id, &ignored);
	if (r == -ERR_NOMEM)
		return err_nomem(err);
	content_writer_reset(run->writer);
	content_writer_follow(run->writer, &former);
	r = content_each(run->from_reader, e, children, put_bytes, &putting, err);
	if (!r)
		r = copy_to(run, content_writer_finish(run->writer, out, err));
	content_writer_follow(run->writer, NULL);
	former_free(&former);
	return r;
}

static int copy_file(struct folder *f, const char *path, const struct entry *e,
		     const struct chunk_ref *children, struct err *err)
{
	const struct old_entry *from = old_find(&f->from, &e->name);
	const struct old_entry *to = old_find(&f->to, &e->name);
	struct content content = {0};
	struct entry out = *e;
	int r;

	if (to && same_content(from, e, children)) {
		out.encoding = to->e.encoding;
		out.shape = to->e.shape;
		out.data_bytes = to->e.data_bytes;
		r = copy_tick(f->run, path, 0, err);
		return r ? r
			 : copy_to(f->run, dir_writer_add(f->writer, &out, to->children,
							  to->e.child_count, err));
	}
	if (entry_is_database(e)) {
		r = copy_image(f->run, path, e, children, to ? &to->e : NULL,
			       to ? to->children : NULL, &content, err);
		out.encoding = ENCODING_CELLS;
	} else {
		r = copy_bytes(f->run, path, e, children, to, &content, err);
	}
	out.shape = content.shape;
	out.data_bytes = content.data_bytes;
	if (!r)
		r = copy_to(f->run, dir_writer_add(f->writer, &out, content.children,
						   content.child_count, err));
	content_free(&content);
	return r;
}

static int copy_below(struct folder *f, const char *path, const struct entry *e,
		      const struct chunk_ref *children, struct err *err)
{
	const struct old_entry *from = old_find(&f->from, &e->name);
	const struct old_entry *to = old_find(&f->to, &e->name);
	struct copy_before before = {0};
	struct chunk_ref list = {.kind = CHUNK_TREE_LIST};
	int r;

	if (from && from->e.type == ENTRY_DIR)
		before.from = &from->children[0].id;
	if (to && to->e.type == ENTRY_DIR)
		before.to = &to->children[0].id;
	r = copy_folder(f->run, path, &children[0].id, &before, &list.id, err);
	return r ? r : copy_to(f->run, dir_writer_add(f->writer, e, &list, 1, err));
}

/* Across its nodes no codec has compared the names of a folder. */
static int check_order(struct folder *f, const struct entry *e, struct err *err)
{
	char name[LIMIT_NAME_BYTES + 1];

	if (e->name.len >= sizeof(name))
		return err_set(err, ERR_DAMAGED, "a name is too long");
	memcpy(name, e->name.p, e->name.len);
	name[e->name.len] = '\0';
	if (strcmp(f->last, name) >= 0)
		return err_set(err, ERR_DAMAGED, "the names of a folder are not in order");
	memcpy(f->last, name, e->name.len + 1);
	return 0;
}

static int copy_entry(void *arg, const struct entry *e, const struct chunk_ref *children,
		      struct err *err)
{
	struct folder *f = arg;
	char *path = NULL;
	int r = check_order(f, e, err);

	if (!r)
		r = browse_join(f->path, &e->name, &path, err);
	if (!r && e->type == ENTRY_DIR)
		r = copy_below(f, path, e, children, err);
	else if (!r && e->type == ENTRY_FILE)
		r = copy_file(f, path, e, children, err);
	else if (!r)
		r = copy_to(f->run, dir_writer_add(f->writer, e, NULL, 0, err));
	if (r && path && !f->run->to_failed && !strstr(err->text, path) && r != -ERR_CANCELLED)
		err_prefix(err, "%s", path);
	free(path);
	return r;
}

static int copy_entries(struct folder *f, const struct id *list, const struct copy_before *before,
			struct id *out_list, struct err *err)
{
	int r = old_load(f->run->from_reader, before->to ? before->from : NULL, &f->from, err);

	if (!r)
		r = old_load(f->run->to_reader, before->to, &f->to, err);
	if (!r)
		r = copy_to(f->run, dir_writer_new(f->run->packer, &f->writer, err));
	if (r)
		return r;
	dir_writer_follow(f->writer, &f->to.nodes);
	r = tree_each(f->run->from_reader, list, copy_entry, f, err);
	return r ? r : copy_to(f->run, dir_writer_finish(f->writer, out_list, err));
}

static int copy_folder(struct copy_run *run, const char *path, const struct id *list,
		       const struct copy_before *before, struct id *out_list, struct err *err)
{
	struct folder *f;
	int r = copy_tick(run, path, 0, err);

	if (r)
		return r;
	/* A folder that is as it was is, in the other repository too, what it was. */
	if (before->from && before->to && id_eq(before->from, list)) {
		*out_list = *before->to;
		return 0;
	}
	f = calloc(1, sizeof(*f)); /* too large for the stack of a deep tree */
	if (!f)
		return err_nomem(err);
	f->run = run;
	f->path = path;
	r = copy_entries(f, list, before, out_list, err);
	dir_writer_free(f->writer);
	old_free(&f->from);
	old_free(&f->to);
	free(f);
	return r;
}

int copy_tree(struct copy_run *run, const struct copy_before *before, struct id *out_root,
	      struct err *err)
{
	return copy_folder(run, "/", &run->source->m.root, before, out_root, err);
}

/* --- is it whole? --- */

struct whole_walk {
	struct copy_run *run;
	const char *path;
};

static int there(struct copy_run *run, uint8_t kind, const struct id *id, struct err *err)
{
	uint32_t place = index_find_good(run->to_index, kind, id);

	if (place != INDEX_NONE)
		return rested_add(&run->rested, run->to_index, place, err);
	return err_set(err, ERR_MISSING, "a chunk is not in the repository any more");
}

static int whole_ref(void *arg, const struct chunk_ref *ref, const char *path, struct err *err)
{
	const struct whole_walk *w = arg;

	(void)path;
	return there(w->run, ref->kind, &ref->id, err);
}

static int whole_folder(struct copy_run *run, const char *path, const struct id *list,
			struct err *err);

static int whole_entry(void *arg, const struct entry *e, const struct chunk_ref *children,
		       struct err *err)
{
	struct whole_walk *w = arg;
	char *path = NULL;
	int r = browse_join(w->path, &e->name, &path, err);

	if (!r && e->type == ENTRY_DIR)
		r = whole_folder(w->run, path, &children[0].id, err);
	else if (!r)
		r = content_refs(w->run->to_reader, e, children, path, whole_ref, w, err);
	free(path);
	return r;
}

static int whole_node(void *arg, const struct id *list, const struct tree_node *node,
		      struct err *err)
{
	const struct whole_walk *w = arg;
	int r = there(w->run, CHUNK_TREE_LIST, list, err);

	return r ? r : there(w->run, node->children[0].kind, &node->children[0].id, err);
}

static int whole_folder(struct copy_run *run, const char *path, const struct id *list,
			struct err *err)
{
	struct whole_walk w = {run, path};
	int r;

	if (idset_has(&run->whole, list))
		return 0;
	r = copy_tick(run, path, 0, err);
	if (!r)
		r = tree_each_node(run->to_reader, list, whole_node, whole_entry, &w, err);
	return r ? r : idset_add(&run->whole, list, err);
}

int copy_is_whole(struct copy_run *run, const struct id *root, struct err *err)
{
	struct err why = {0};
	int r = whole_folder(run, "/", root, &why);

	if (r == -ERR_NOMEM || r == -ERR_CANCELLED) {
		*err = why;
		return r;
	}
	return r == 0;
}
