/* A tree body: refused, or encoded again to the same bytes; and it fits the list that its entries ask for. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/node.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void encode(const struct tree_body *body, struct buf *out)
{
	size_t at = tree_body_begin(out, body->level);

	for (size_t i = 0; i < body->count; i++) {
		if (body->level == 0)
			tree_body_entry(out, &body->entries[i]);
		else
			tree_body_child(out, body->children[i].first_name.p,
					body->children[i].first_name.len,
					body->children[i].entries_below);
	}
	tree_body_end(out, at, (uint32_t)body->count);
}

/* The kinds of the children, one entry after the other. */
static size_t kinds_of(const struct tree_body *body, struct chunk_ref *children)
{
	size_t count = 0;

	children[count++].kind = CHUNK_TREE_BODY;
	for (size_t i = 0; i < body->count; i++) {
		const struct entry *e = body->level == 0 ? &body->entries[i] : NULL;
		uint32_t taken = e ? e->child_count : 1;
		uint8_t kind = CHUNK_TREE_LIST;

		if (e && e->type == ENTRY_FILE)
			kind = e->shape == SHAPE_LIST ? CHUNK_LIST : CHUNK_DATA;
		if (e && e->child_first != count)
			abort();
		while (taken-- > 0)
			children[count++].kind = kind;
	}
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tree_body body = {0};
	struct err err = {0};
	struct buf out = {0};
	struct chunk_ref *children;

	if (tree_body_get(data, size, &body, &err) != 0)
		return 0;
	encode(&body, &out);
	if (!out.failed && (out.len != size || memcmp(out.data, data, size) != 0))
		abort();
	children = calloc(LIMIT_NODE_CHILDREN + 1, sizeof(*children));
	if (children && tree_body_check(&body, children, kinds_of(&body, children), &err) != 0)
		abort();
	free(children);
	buf_free(&out);
	tree_body_free(&body);
	return 0;
}
