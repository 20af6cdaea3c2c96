#include "repo/tree_read.h"

#include <stdlib.h>
#include <string.h>

#include "repo/idset.h"
#include "repo/image_read.h"

void tree_node_free(struct tree_node *node)
{
	tree_body_free(&node->body);
	free(node->children);
	buf_free(&node->list_bytes);
	buf_wipe(&node->body_bytes);
	*node = (struct tree_node){0};
}

int tree_node_load(struct reader *reader, const struct id *list, struct tree_node *out_node,
		   struct err *err)
{
	struct tree_node *n = out_node;
	int r;

	*n = (struct tree_node){0};
	r = reader_get(reader, CHUNK_TREE_LIST, list, &n->list_bytes, err);
	if (!r)
		r = list_get(n->list_bytes.data, n->list_bytes.len, &n->children, &n->child_count,
			     err);
	if (!r && (n->child_count == 0 || n->children[0].kind != CHUNK_TREE_BODY))
		r = err_set(err, ERR_DAMAGED, "a tree list does not begin with its body");
	if (!r)
		r = reader_get(reader, CHUNK_TREE_BODY, &n->children[0].id, &n->body_bytes, err);
	if (!r)
		r = tree_body_get(n->body_bytes.data, n->body_bytes.len, &n->body, err);
	if (!r)
		r = tree_body_check(&n->body, n->children, n->child_count, err);
	if (r)
		tree_node_free(n);
	return r;
}

struct tree_walk {
	struct reader *reader;
	tree_node_fn *node_fn; /* may be NULL */
	tree_entry_fn *fn;
	void *arg;
};

static int each_level(const struct tree_walk *w, const struct id *list, unsigned max_level,
		      struct err *err)
{
	struct tree_node node;
	int r = tree_node_load(w->reader, list, &node, err);

	if (r)
		return r;
	if (node.body.level > max_level)
		r = err_set(err, ERR_DAMAGED, "a tree node lists nodes of its own level");
	if (!r && w->node_fn)
		r = w->node_fn(w->arg, list, &node, err);
	for (size_t i = 0; !r && i < node.body.count; i++) {
		if (node.body.level == 0)
			r = w->fn(w->arg, &node.body.entries[i],
				  node.children + node.body.entries[i].child_first, err);
		else
			r = each_level(w, &node.children[i + 1].id, node.body.level - 1u, err);
	}
	tree_node_free(&node);
	return r;
}

int tree_each(struct reader *reader, const struct id *list, tree_entry_fn *fn, void *arg,
	      struct err *err)
{
	return tree_each_node(reader, list, NULL, fn, arg, err);
}

int tree_each_node(struct reader *reader, const struct id *list, tree_node_fn *node_fn,
		   tree_entry_fn *fn, void *arg, struct err *err)
{
	const struct tree_walk w = {reader, node_fn, fn, arg};

	return each_level(&w, list, LIMIT_NODE_LEVELS, err);
}

/* --- lookup --- */

struct lookup {
	struct reader *reader;
	const char *rest;  /* what is left of the path, at a component */
	const char *whole; /* for messages */
	tree_entry_fn *fn;
	void *arg;
	bool found;
	int result; /* of fn */
};

/* tree_each runs on after a match unless told to stop; this is the word for it. */
#define LOOKUP_STOP 1

static int no_such_path(const struct lookup *l, struct err *err)
{
	return err_set(err, ERR_MISSING, "%s: no such path in this backup", l->whole);
}

static int lookup_entry(void *arg, const struct entry *entry, const struct chunk_ref *children,
			struct err *err)
{
	struct lookup *l = arg;
	size_t len = strcspn(l->rest, "/");
	int r;

	if (entry->name.len != len || memcmp(entry->name.p, l->rest, len) != 0)
		return 0;
	l->rest += len;
	l->rest += strspn(l->rest, "/");
	if (*l->rest == '\0') {
		l->found = true;
		l->result = l->fn(l->arg, entry, children, err);
		return LOOKUP_STOP;
	}
	/* Nothing lies below a file; and no other entry has this name. */
	if (entry->type != ENTRY_DIR)
		return no_such_path(l, err);
	r = tree_each(l->reader, &children[0].id, lookup_entry, l, err);
	return r ? r : no_such_path(l, err);
}

int tree_lookup(struct reader *reader, const struct id *root, const char *path, tree_entry_fn *fn,
		void *arg, struct err *err)
{
	struct lookup l = {.reader = reader,
			   .rest = path + strspn(path, "/"),
			   .whole = path,
			   .fn = fn,
			   .arg = arg};
	int r = tree_each(reader, root, lookup_entry, &l, err);

	if (l.found)
		return l.result;
	return r ? r : no_such_path(&l, err);
}

/* --- content --- */

uint64_t content_stored_bytes(const struct entry *entry)
{
	uint64_t total = 0;

	if (entry->extent_count == 0)
		return entry->size;
	for (size_t i = 0; i < entry->extent_count; i++)
		total += entry->extents[i].len;
	return total;
}

size_t content_spread_next(struct content_spread *s, size_t len, uint64_t *out_offset)
{
	const struct entry_extent *x;
	uint64_t left;
	size_t take = len;

	if (s->entry->extent_count == 0) {
		*out_offset = s->done;
		s->done += len;
		return len;
	}
	while (s->done == s->entry->extents[s->extent].len) {
		s->extent++;
		s->done = 0;
	}
	x = &s->entry->extents[s->extent];
	left = x->len - s->done;
	if (take > left)
		take = (size_t)left;
	*out_offset = x->offset + s->done;
	s->done += take;
	return take;
}

struct feed {
	struct reader *reader;
	uint64_t most; /* the entry's stored bytes */
	content_bytes_fn *fn;
	void *arg;
	uint64_t bytes;
	struct buf chunk;
};

static int feed_chunk(struct feed *f, const struct id *id, struct err *err)
{
	int r;

	buf_reset(&f->chunk);
	r = reader_get(f->reader, CHUNK_DATA, id, &f->chunk, err);
	if (r)
		return r;
	if (f->chunk.len > f->most - f->bytes)
		return err_set(err, ERR_DAMAGED, "content is longer than the tree says");
	f->bytes += f->chunk.len;
	return f->fn(f->arg, f->chunk.data, f->chunk.len, err);
}

void list_node_free(struct list_node *n)
{
	list_body_free(&n->body);
	free(n->children);
}

int list_node_load(struct reader *reader, const struct id *list, unsigned max_level,
		   struct list_node *n, struct err *err)
{
	struct buf bytes = {0};
	int r = reader_get(reader, CHUNK_LIST, list, &bytes, err);

	*n = (struct list_node){0};
	if (!r)
		r = list_get(bytes.data, bytes.len, &n->children, &n->count, err);
	buf_reset(&bytes);
	if (!r && (n->count == 0 || n->children[0].kind != CHUNK_LIST_BODY))
		r = err_set(err, ERR_DAMAGED, "a chunk list does not begin with its body");
	if (!r)
		r = reader_get(reader, CHUNK_LIST_BODY, &n->children[0].id, &bytes, err);
	if (!r)
		r = list_body_get(bytes.data, bytes.len, &n->body, err);
	if (!r)
		r = list_body_check(&n->body, n->children, n->count, err);
	if (!r && n->body.level > max_level)
		r = err_set(err, ERR_DAMAGED, "a chunk list lists its own level");
	buf_free(&bytes);
	if (r)
		list_node_free(n);
	return r;
}

static int feed_list(struct feed *f, const struct id *list, unsigned max_level, struct err *err)
{
	struct list_node n;
	int r = list_node_load(f->reader, list, max_level, &n, err);

	if (r)
		return r;
	for (size_t i = 1; !r && i < n.count; i++)
		r = n.body.level ? feed_list(f, &n.children[i].id, n.body.level - 1u, err)
				 : feed_chunk(f, &n.children[i].id, err);
	list_node_free(&n);
	return r;
}

struct ref_walk {
	struct reader *reader;
	const char *path;
	content_ref_fn *fn;
	void *arg;
	struct idset
	    lists; /* that were walked: a hostile one names a child by the thousands, which does the same */
};

static int refs_below(struct ref_walk *w, const struct chunk_ref *ref, unsigned max_level,
		      struct err *err)
{
	struct list_node n;
	int r = 0;

	if (ref->kind == CHUNK_LIST && idset_has(&w->lists, &ref->id))
		return 0;
	r = w->fn(w->arg, ref, w->path, err);
	if (r || ref->kind != CHUNK_LIST)
		return r;
	r = idset_add(&w->lists, &ref->id, err);
	if (!r)
		r = list_node_load(w->reader, &ref->id, max_level, &n, err);
	if (r)
		return r;
	for (size_t i = 0; !r && i < n.count; i++)
		r = refs_below(w, &n.children[i], n.body.level ? n.body.level - 1u : 0, err);
	list_node_free(&n);
	return r;
}

int content_refs(struct reader *reader, const struct entry *entry, const struct chunk_ref *children,
		 const char *path, content_ref_fn *fn, void *arg, struct err *err)
{
	struct ref_walk w = {.reader = reader, .path = path, .fn = fn, .arg = arg};
	int r = 0;

	for (size_t i = 0; !r && entry->type == ENTRY_FILE && i < entry->child_count; i++)
		r = refs_below(&w, &children[i], LIMIT_NODE_LEVELS, err);
	idset_free(&w.lists);
	return r;
}

struct list_walk {
	struct reader *reader;
	list_node_fn *fn;
	void *arg;
};

static int each_list(const struct list_walk *w, const struct id *list, unsigned max_level,
		     struct err *err)
{
	struct list_node n;
	int r = list_node_load(w->reader, list, max_level, &n, err);

	if (r)
		return r;
	r = w->fn(w->arg, list, n.children, n.count, n.body.level, err);
	for (size_t i = 1; !r && n.body.level && i < n.count; i++)
		r = each_list(w, &n.children[i].id, n.body.level - 1u, err);
	list_node_free(&n);
	return r;
}

int list_each_node(struct reader *reader, const struct id *root, list_node_fn *fn, void *arg,
		   struct err *err)
{
	const struct list_walk w = {reader, fn, arg};

	return each_list(&w, root, LIMIT_NODE_LEVELS, err);
}

int content_each(struct reader *reader, const struct entry *entry, const struct chunk_ref *children,
		 content_bytes_fn *fn, void *arg, struct err *err)
{
	struct feed f = {
	    .reader = reader, .most = content_stored_bytes(entry), .fn = fn, .arg = arg};
	int r = 0;

	if (entry->encoding == ENCODING_CELLS)
		return image_each(reader, entry, children, fn, arg, err);
	if (entry->shape == SHAPE_LIST)
		r = feed_list(&f, &children[0].id, LIMIT_NODE_LEVELS, err);
	for (size_t i = 0; !r && entry->shape == SHAPE_INLINE && i < entry->child_count; i++)
		r = feed_chunk(&f, &children[i].id, err);
	buf_wipe(&f.chunk);
	if (!r && f.bytes != f.most)
		r = err_set(err, ERR_DAMAGED, "content has %llu bytes where the tree says %llu",
			    (unsigned long long)f.bytes, (unsigned long long)f.most);
	return r;
}
