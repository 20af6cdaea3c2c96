#include "repo/repair_tree.h"

#include <stdlib.h>
#include <string.h>

#include "repo/browse.h"
#include "repo/repair_run.h"
#include "repo/tree_write.h"

/* Not what is lost, but what keeps one from knowing. */
static bool ends_all(const struct err *why)
{
	return why->code && why->code != ERR_MISSING && !repair_is_damage(why);
}

static bool is_there(const struct repair_tree *t, uint8_t kind, const struct id *id)
{
	return index_find_good(t->index, kind, id) != INDEX_NONE;
}

static int lost(struct err *err)
{
	return err_set(err, ERR_MISSING, "part of it is lost");
}

static int need_ref(void *arg, const struct chunk_ref *ref, const char *path, struct err *err)
{
	(void)path;
	return is_there(arg, ref->kind, &ref->id) ? 0 : lost(err);
}

/* 0 when everything that the file rests on is there. */
static int need_file(struct repair_tree *t, const struct entry *e, const struct chunk_ref *children,
		     const char *path, struct err *err)
{
	return content_refs(t->reader, e, children, path, need_ref, t, err);
}

/* The node itself; one that is noted may still open, and is lost all the same. */
static int load_node(struct repair_tree *t, const struct id *list, struct tree_node *node,
		     struct err *err)
{
	int r = is_there(t, CHUNK_TREE_LIST, list) ? tree_node_load(t->reader, list, node, err)
						   : lost(err);

	if (!r && !is_there(t, node->children[0].kind, &node->children[0].id)) {
		tree_node_free(node);
		r = lost(err);
	}
	return r;
}

/* --- is it whole? --- */

static int need_node(struct repair_tree *t, const char *path, const struct id *list,
		     unsigned max_level, struct err *err);

static int need_entry(struct repair_tree *t, const char *folder, const struct entry *e,
		      const struct chunk_ref *children, struct err *err)
{
	char *path = NULL;
	int r = browse_join(folder, &e->name, &path, err);

	if (!r)
		r = e->type == ENTRY_DIR
			? need_node(t, path, &children[0].id, LIMIT_NODE_LEVELS, err)
			: need_file(t, e, children, path, err);
	free(path);
	return r;
}

static int need_node(struct repair_tree *t, const char *path, const struct id *list,
		     unsigned max_level, struct err *err)
{
	struct tree_node node = {0};
	int r;

	if (idset_has(&t->whole, list))
		return 0;
	r = repair_tick(t->cb, 0, 0, path, err);
	if (!r)
		r = load_node(t, list, &node, err);
	if (r)
		return r;
	if (node.body.level > max_level)
		r = lost(err);
	for (size_t i = 0; !r && i < node.body.count; i++) {
		const struct entry *e = node.body.level ? NULL : &node.body.entries[i];

		r = e ? need_entry(t, path, e, node.children + e->child_first, err)
		      : need_node(t, path, &node.children[i + 1].id, node.body.level - 1u, err);
	}
	tree_node_free(&node);
	return r ? r : idset_add(&t->whole, list, err);
}

int repair_tree_whole(struct repair_tree *t, const struct id *list, struct err *err)
{
	struct err why = {0};
	int r = need_node(t, "/", list, LIMIT_NODE_LEVELS, &why);

	if (!ends_all(&why))
		return r == 0;
	*err = why;
	return r;
}

/* --- what is left --- */

struct folder {
	struct repair_tree *t;
	struct packer *packer;
	const char *path;
	struct dir_writer *writer; /* NULL: nothing is stored */
};

static int rest_of_folder(struct repair_tree *t, struct packer *packer, const char *path,
			  const struct id *list, struct id *out_list, struct err *err);

static void leave_out(struct repair_tree *t, const char *path, const char *text)
{
	t->left_out++;
	if (t->cb->touched)
		t->cb->touched(t->cb->arg, t->manifest, path, text);
}

static int keep(struct folder *f, const struct entry *e, const struct chunk_ref *children,
		size_t count, struct err *err)
{
	return f->writer ? dir_writer_add(f->writer, e, children, count, err) : 0;
}

static int rest_of_entry(struct folder *f, const char *path, const struct entry *e,
			 const struct chunk_ref *children, struct err *err)
{
	struct chunk_ref list = {.kind = CHUNK_TREE_LIST};
	struct err why = {0};
	int r = e->type == ENTRY_DIR
		    ? rest_of_folder(f->t, f->packer, path, &children[0].id, &list.id, &why)
		    : need_file(f->t, e, children, path, &why);

	if (!r && e->type == ENTRY_DIR)
		return keep(f, e, &list, 1, err);
	if (!r)
		return keep(f, e, children, e->child_count, err);
	if (r < 0 && (ends_all(&why) || e->type == ENTRY_DIR)) {
		*err = why; /* of a folder only what ends all, or the store */
		return r;
	}
	leave_out(f->t, path,
		  e->type == ENTRY_DIR   ? "the folder is lost with all that is in it"
		  : entry_is_database(e) ? "the database cannot be had whole"
					 : "the file cannot be had whole");
	return 0;
}

static int rest_of_node(struct folder *f, const struct tree_node *node, struct err *err);

static int rest_of_list(struct folder *f, const struct id *list, unsigned max_level,
			struct err *err)
{
	struct tree_node node = {0};
	struct err why = {0};
	int r = load_node(f->t, list, &node, &why);

	if (!r && node.body.level > max_level) {
		tree_node_free(&node);
		r = lost(&why);
	}
	if (ends_all(&why)) {
		*err = why;
		return r;
	}
	if (r) {
		leave_out(f->t, f->path, "a part of the folder is lost with the entries in it");
		return 0;
	}
	r = rest_of_node(f, &node, err);
	tree_node_free(&node);
	return r;
}

static int rest_of_node(struct folder *f, const struct tree_node *node, struct err *err)
{
	int r = 0;

	for (size_t i = 0; !r && i < node->body.count; i++) {
		const struct entry *e = node->body.level ? NULL : &node->body.entries[i];
		char *path = NULL;

		if (!e) {
			r = rest_of_list(f, &node->children[i + 1].id, node->body.level - 1u, err);
			continue;
		}
		r = browse_join(f->path, &e->name, &path, err);
		if (!r)
			r = rest_of_entry(f, path, e, node->children + e->child_first, err);
		free(path);
	}
	return r;
}

static int rest_of_nodes(struct folder *f, const struct tree_node *root, struct id *out_list,
			 struct err *err)
{
	int r = f->packer ? dir_writer_new(f->packer, &f->writer, err) : 0;

	if (!r)
		r = rest_of_node(f, root, err);
	if (!r && f->writer)
		r = dir_writer_finish(f->writer, out_list, err);
	dir_writer_free(f->writer);
	return r;
}

/* 1 when the folder's own node cannot be had. */
static int rest_of_folder(struct repair_tree *t, struct packer *packer, const char *path,
			  const struct id *list, struct id *out_list, struct err *err)
{
	struct folder f = {.t = t, .packer = packer, .path = path};
	struct tree_node node = {0};
	struct err why = {0};
	int r = repair_tree_whole(t, list, err);

	if (r) {
		*out_list = *list; /* whole: it stays as it is */
		return r < 0 ? r : 0;
	}
	r = load_node(t, list, &node, &why);
	if (ends_all(&why)) {
		*err = why;
		return r;
	}
	if (r)
		return 1;
	r = rest_of_nodes(&f, &node, out_list, err);
	tree_node_free(&node);
	return r;
}

int repair_tree_rest(struct repair_tree *t, struct packer *packer, const struct id *root,
		     struct id *out_root, struct err *err)
{
	return rest_of_folder(t, packer, "/", root, out_root, err);
}

/* --- all of it --- */

struct refs_walk {
	struct reader *reader;
	const char *path;
	content_ref_fn *fn;
	void *arg;
};

static int refs_node(void *arg, const struct id *list, const struct tree_node *node,
		     struct err *err)
{
	const struct refs_walk *w = arg;
	const struct chunk_ref ref = {CHUNK_TREE_LIST, *list};
	int r = w->fn(w->arg, &ref, w->path, err);

	return r ? r : w->fn(w->arg, &node->children[0], w->path, err);
}

static int refs_entry(void *arg, const struct entry *e, const struct chunk_ref *children,
		      struct err *err)
{
	struct refs_walk below = *(const struct refs_walk *)arg;
	char *path = NULL;
	int r = browse_join(below.path, &e->name, &path, err);

	below.path = path;
	if (!r && e->type == ENTRY_DIR)
		r = tree_each_node(below.reader, &children[0].id, refs_node, refs_entry, &below,
				   err);
	else if (!r)
		r = content_refs(below.reader, e, children, path, below.fn, below.arg, err);
	free(path);
	return r;
}

int repair_tree_refs(struct reader *reader, const struct id *root, content_ref_fn *fn, void *arg,
		     struct err *err)
{
	struct refs_walk walk = {reader, "/", fn, arg};

	return tree_each_node(reader, root, refs_node, refs_entry, &walk, err);
}
