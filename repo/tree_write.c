#include "repo/tree_write.h"

#include <stdlib.h>
#include <string.h>

/* A finished node, as the level above will list it. */
struct done_node {
	struct id list;
	uint8_t *first_name; /* owned */
	size_t first_name_len;
	uint64_t below;
};

struct done_vec {
	struct done_node *nodes;
	size_t count, cap;
};

struct dir_writer {
	struct packer *packer;
	const struct former *former; /* NULL: none */
	uint8_t level;
	/* the node under way */
	struct buf body, list;
	size_t count_at;
	uint32_t count;
	struct chunk_ref *children; /* [0] is left for the body */
	size_t child_count, child_cap;
	uint8_t *first_name; /* owned */
	size_t first_name_len;
	uint64_t below;
	struct done_vec done; /* finished nodes of this level */
	struct tree_sum *sum; /* NULL: nobody asks */
	struct chunk_ref *nodes;
	size_t node_count, node_cap;
};

static void done_free(struct done_vec *v)
{
	for (size_t i = 0; i < v->count; i++)
		free(v->nodes[i].first_name);
	free(v->nodes);
	*v = (struct done_vec){0};
}

int dir_writer_new(struct packer *packer, struct dir_writer **out_writer, struct err *err)
{
	struct dir_writer *w = calloc(1, sizeof(*w));

	if (!w)
		return err_nomem(err);
	w->packer = packer;
	*out_writer = w;
	return 0;
}

void dir_writer_free(struct dir_writer *w)
{
	if (!w)
		return;
	buf_wipe(&w->body);
	buf_free(&w->list);
	free(w->children);
	free(w->first_name);
	done_free(&w->done);
	free(w->nodes);
	free(w);
}

void dir_writer_follow(struct dir_writer *w, const struct former *former)
{
	w->former = former;
}

void dir_writer_sum(struct dir_writer *w, struct tree_sum *sum)
{
	w->sum = sum;
}

const struct chunk_ref *dir_writer_nodes(const struct dir_writer *w, size_t *out_count)
{
	*out_count = w->node_count;
	return w->nodes;
}

/* Only who asks for a sum asks for the nodes. */
static int nodes_push(struct dir_writer *w, const struct id *body, const struct id *list,
		      struct err *err)
{
	if (!w->sum)
		return 0;
	if (w->node_count + 2 > w->node_cap) {
		size_t cap = w->node_cap ? w->node_cap * 2 : 8;
		struct chunk_ref *nodes = realloc(w->nodes, cap * sizeof(*nodes));

		if (!nodes)
			return err_nomem(err);
		w->nodes = nodes;
		w->node_cap = cap;
	}
	w->nodes[w->node_count++] = (struct chunk_ref){.kind = CHUNK_TREE_BODY, .id = *body};
	w->nodes[w->node_count++] = (struct chunk_ref){.kind = CHUNK_TREE_LIST, .id = *list};
	return 0;
}

static int children_push(struct dir_writer *w, const struct chunk_ref *refs, size_t count,
			 struct err *err)
{
	size_t want = w->child_count + count;
	size_t cap = w->child_cap ? w->child_cap : 64;
	struct chunk_ref *children;

	if (want > LIMIT_NODE_CHILDREN)
		return err_set(err, ERR_LIMIT, "a tree node of %zu children is too large", want);
	while (cap < want)
		cap *= 2;
	if (cap > w->child_cap) {
		children = realloc(w->children, cap * sizeof(*children));
		if (!children)
			return err_nomem(err);
		w->children = children;
		w->child_cap = cap;
	}
	if (count)
		memcpy(w->children + w->child_count, refs, count * sizeof(*refs));
	w->child_count = want;
	return 0;
}

static int node_begin(struct dir_writer *w, const void *name, size_t name_len, struct err *err)
{
	static const struct chunk_ref body_to_come;

	buf_reset(&w->body);
	w->count_at = tree_body_begin(&w->body, w->level);
	w->count = 0;
	w->child_count = 0;
	w->below = 0;
	w->first_name = malloc(name_len ? name_len : 1);
	if (!w->first_name)
		return err_nomem(err);
	if (name_len)
		memcpy(w->first_name, name, name_len);
	w->first_name_len = name_len;
	return children_push(w, &body_to_come, 1, err);
}

static int done_push(struct dir_writer *w, const struct id *list, struct err *err)
{
	struct done_vec *v = &w->done;

	if (v->count == v->cap) {
		size_t cap = v->cap ? v->cap * 2 : 4;
		struct done_node *nodes = realloc(v->nodes, cap * sizeof(*nodes));

		if (!nodes)
			return err_nomem(err);
		v->nodes = nodes;
		v->cap = cap;
	}
	v->nodes[v->count++] =
	    (struct done_node){*list, w->first_name, w->first_name_len, w->below};
	w->first_name = NULL;
	return 0;
}

static int node_end(struct dir_writer *w, struct err *err)
{
	struct chunk_ref *body = &w->children[0];
	const struct former_node *old = NULL;
	struct id list;
	int r;

	tree_body_end(&w->body, w->count_at, w->count);
	r = buf_check(&w->body, err);
	if (r)
		return r;
	if (w->former)
		old = former_find_tree(w->former, w->level, w->first_name, w->first_name_len);
	body->kind = CHUNK_TREE_BODY;
	r = packer_add_delta(w->packer, CHUNK_TREE_BODY, w->body.data, w->body.len,
			     old ? &old->body : NULL, old ? 1 : 0, &body->id, err);
	if (r)
		return r;
	buf_reset(&w->list);
	list_put(&w->list, w->children, w->child_count);
	r = buf_check(&w->list, err);
	if (!r)
		r = packer_add_delta(w->packer, CHUNK_TREE_LIST, w->list.data, w->list.len,
				     old ? &old->list : NULL, old ? 1 : 0, &list, err);
	if (!r)
		r = nodes_push(w, &body->id, &list, err);
	return r ? r : done_push(w, &list, err);
}

/* Counts what was just put into the node and ends it where the cutting rule says so. */
static int node_grown(struct dir_writer *w, const void *name, size_t name_len, uint64_t below,
		      struct err *err)
{
	w->count++;
	w->below += below;
	if (!chunker_tree_ends(packer_chunker(w->packer), w->level, name, name_len, w->body.len,
			       w->child_count))
		return 0;
	return node_end(w, err);
}

int dir_writer_add(struct dir_writer *w, const struct entry *entry,
		   const struct chunk_ref *children, size_t child_count, struct err *err)
{
	struct entry e = *entry;
	int r = 0;

	if (!w->first_name)
		r = node_begin(w, e.name.p, e.name.len, err);
	if (r)
		return r;
	e.child_count = (uint32_t)child_count;
	tree_body_entry(&w->body, &e);
	r = children_push(w, children, child_count, err);
	if (!r && w->sum)
		r = tree_sum_add(w->sum, &e, children, child_count, err);
	return r ? r : node_grown(w, e.name.p, e.name.len, 1, err);
}

static int add_child_node(struct dir_writer *w, const struct done_node *node, struct err *err)
{
	struct chunk_ref ref = {.kind = CHUNK_TREE_LIST, .id = node->list};
	int r = 0;

	if (!w->first_name)
		r = node_begin(w, node->first_name, node->first_name_len, err);
	if (r)
		return r;
	tree_body_child(&w->body, node->first_name, node->first_name_len, node->below);
	r = children_push(w, &ref, 1, err);
	return r ? r : node_grown(w, node->first_name, node->first_name_len, node->below, err);
}

/* Lists the nodes of the level below in nodes of a new level. */
static int level_up(struct dir_writer *w, struct err *err)
{
	struct done_vec below = w->done;
	int r = 0;

	w->done = (struct done_vec){0};
	if (++w->level >= LIMIT_NODE_LEVELS)
		r = err_set(err, ERR_LIMIT, "a folder has too many entries");
	for (size_t i = 0; !r && i < below.count; i++)
		r = add_child_node(w, &below.nodes[i], err);
	if (!r && w->first_name)
		r = node_end(w, err);
	done_free(&below);
	return r;
}

int dir_writer_finish(struct dir_writer *w, struct id *out_list, struct err *err)
{
	int r = 0;

	if (!w->first_name && w->done.count == 0)
		r = node_begin(w, "", 0, err);
	if (!r && w->first_name)
		r = node_end(w, err);
	while (!r && w->done.count > 1)
		r = level_up(w, err);
	if (!r)
		*out_list = w->done.nodes[0].list;
	return r;
}
