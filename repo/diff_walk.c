#include "repo/diff_walk.h"

static int open_node(struct diff_walk *w, const struct id *list, struct err *err)
{
	struct tree_node *node = &w->nodes[w->depth];
	unsigned most = w->depth ? w->nodes[w->depth - 1].body.level - 1u : LIMIT_NODE_LEVELS - 1u;
	int r = tree_node_load(w->reader, list, node, err);

	if (!r && node->body.level > most)
		r = err_set(err, ERR_DAMAGED, "a tree node lists nodes of its own level");
	if (!r)
		r = w->node_fn(w->arg, list, node, err);
	if (r) {
		tree_node_free(node);
		return r;
	}
	w->at[w->depth++] = 0;
	return 0;
}

/* Leaves the nodes that are through. */
static void leave(struct diff_walk *w)
{
	while (w->depth && w->at[w->depth - 1] == w->nodes[w->depth - 1].body.count)
		tree_node_free(&w->nodes[--w->depth]);
}

int diff_walk_begin(struct diff_walk *w, struct reader *reader, const struct id *list,
		    diff_node_fn *node_fn, void *arg, struct err *err)
{
	int r;

	*w = (struct diff_walk){.reader = reader, .node_fn = node_fn, .arg = arg};
	r = open_node(w, list, err);
	if (!r)
		leave(w);
	return r;
}

void diff_walk_end(struct diff_walk *w)
{
	while (w->depth)
		tree_node_free(&w->nodes[--w->depth]);
}

static const struct tree_node *top(const struct diff_walk *w)
{
	return w->depth ? &w->nodes[w->depth - 1] : NULL;
}

const struct entry *diff_walk_entry(const struct diff_walk *w)
{
	const struct tree_node *n = top(w);

	return n && n->body.level == 0 ? &n->body.entries[w->at[w->depth - 1]] : NULL;
}

const struct chunk_ref *diff_walk_children(const struct diff_walk *w)
{
	return top(w)->children + diff_walk_entry(w)->child_first;
}

const struct id *diff_walk_node(const struct diff_walk *w)
{
	const struct tree_node *n = top(w);

	return n && n->body.level ? &n->children[w->at[w->depth - 1] + 1].id : NULL;
}

struct span diff_walk_name(const struct diff_walk *w)
{
	const struct entry *e = diff_walk_entry(w);

	return e ? e->name : top(w)->body.children[w->at[w->depth - 1]].first_name;
}

void diff_walk_pass(struct diff_walk *w)
{
	w->at[w->depth - 1]++;
	leave(w);
}

int diff_walk_open(struct diff_walk *w, struct err *err)
{
	const struct id list = *diff_walk_node(w);
	int r;

	w->at[w->depth - 1]++;
	r = open_node(w, &list, err);
	if (!r)
		leave(w);
	return r;
}
