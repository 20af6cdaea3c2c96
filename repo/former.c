#include "repo/former.h"

#include <stdlib.h>
#include <string.h>

#include "repo/tree_read.h"

void former_free(struct former *f)
{
	for (size_t i = 0; i < f->count; i++)
		free(f->nodes[i].first_name);
	free(f->nodes);
	free(f->children);
	*f = (struct former){0};
}

static int push(struct former *f, const struct former_node *node, struct err *err)
{
	if (f->count == f->cap) {
		size_t cap = f->cap ? f->cap * 2 : 4;
		struct former_node *nodes = realloc(f->nodes, cap * sizeof(*nodes));

		if (!nodes)
			return err_nomem(err);
		f->nodes = nodes;
		f->cap = cap;
	}
	f->nodes[f->count++] = *node;
	return 0;
}

/* --- trees --- */

int former_add_tree(struct former *f, const struct id *list, const struct id *body, uint8_t level,
		    const void *first_name, size_t first_name_len, struct err *err)
{
	struct former_node node = {
	    .list = *list, .body = *body, .level = level, .first_name_len = first_name_len};
	int r;

	node.first_name = malloc(first_name_len ? first_name_len : 1);
	if (!node.first_name)
		return err_nomem(err);
	if (first_name_len)
		memcpy(node.first_name, first_name, first_name_len);
	r = push(f, &node, err);
	if (r)
		free(node.first_name);
	return r;
}

int former_add_node(struct former *f, const struct id *list, const struct tree_node *n,
		    struct err *err)
{
	struct span first = {0};

	if (n->body.count)
		first = n->body.level ? n->body.children[0].first_name : n->body.entries[0].name;
	return former_add_tree(f, list, &n->children[0].id, n->body.level, first.p, first.len, err);
}

static int compare_names(const void *a, size_t a_len, const void *b, size_t b_len)
{
	size_t len = a_len < b_len ? a_len : b_len;
	int order = len ? memcmp(a, b, len) : 0;

	return order ? order : (a_len > b_len) - (a_len < b_len);
}

/* A folder has few nodes: looking at each is quick. */
const struct former_node *former_find_tree(const struct former *f, uint8_t level,
					   const void *first_name, size_t first_name_len)
{
	const struct former_node *best = NULL;

	for (size_t i = 0; i < f->count; i++) {
		const struct former_node *n = &f->nodes[i];

		if (n->level != level)
			continue;
		if (best &&
		    compare_names(n->first_name, n->first_name_len, first_name, first_name_len) > 0)
			break;
		best = n;
	}
	return best;
}

/* --- chunk lists --- */

static uint64_t mark_of(const struct id *id)
{
	struct rd r = rd_of(id->b, sizeof(uint64_t));

	return rd_u64(&r);
}

static int add_list(void *arg, const struct id *list, const struct chunk_ref *children,
		    size_t count, uint8_t level, struct err *err)
{
	struct former *f = arg;
	struct former_node node = {.list = *list, .body = children[0].id, .level = level};
	size_t want = f->child_count + count - 1;
	int r = push(f, &node, err);

	if (r)
		return r;
	if (want > f->child_cap) {
		size_t cap = f->child_cap ? f->child_cap : 256;
		struct former_child *grown;

		while (cap < want)
			cap *= 2;
		grown = realloc(f->children, cap * sizeof(*grown));
		if (!grown)
			return err_nomem(err);
		f->children = grown;
		f->child_cap = cap;
	}
	for (size_t i = 1; i < count; i++) {
		f->children[f->child_count++] = (struct former_child){
		    mark_of(&children[i].id), (uint32_t)(f->count - 1), level};
	}
	return 0;
}

static int compare_marks(const void *a, const void *b)
{
	const struct former_child *x = a, *y = b;

	return (x->mark > y->mark) - (x->mark < y->mark);
}

int former_load_list(struct former *f, struct reader *reader, const struct id *root,
		     struct err *err)
{
	int r = list_each_node(reader, root, add_list, f, err);

	if (r) {
		former_free(f);
		return r;
	}
	if (f->child_count)
		qsort(f->children, f->child_count, sizeof(*f->children), compare_marks);
	return 0;
}

/* The node of that level that has the child, or NULL; of several any. */
static const struct former_node *parent_of(const struct former *f, uint8_t level,
					   const struct id *child)
{
	const struct former_child key = {.mark = mark_of(child)};
	const struct former_child *found =
	    f->child_count ? bsearch(&key, f->children, f->child_count, sizeof(key), compare_marks)
			   : NULL;

	return found && found->level == level ? &f->nodes[found->node] : NULL;
}

const struct former_node *former_find_list(const struct former *f, uint8_t level,
					   const struct chunk_ref *children, size_t count,
					   size_t number)
{
	const struct former_node *best = NULL;
	size_t votes = 0;

	/* The majority, if there is one; else one of the many. */
	for (size_t i = 0; i < count; i++) {
		const struct former_node *n = parent_of(f, level, &children[i].id);

		if (!n)
			continue;
		if (votes == 0)
			best = n;
		votes = n == best ? votes + 1 : votes - 1;
	}
	for (size_t i = 0; !best && i < f->count; i++) {
		if (f->nodes[i].level == level && number-- == 0)
			best = &f->nodes[i];
	}
	return best;
}
