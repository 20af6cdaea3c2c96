#include "tests/support/nodes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/node.h"

int nodes_list(const uint8_t *bytes, size_t len, struct buf *out, struct err *err)
{
	struct chunk_ref *children = NULL;
	size_t count = 0;
	int rc = list_get(bytes, len, &children, &count, err);

	if (rc != 0)
		return rc;
	list_put(out, children, count);
	free(children);
	return 0;
}

int nodes_tree(const uint8_t *bytes, size_t len, struct buf *out, struct err *err)
{
	struct tree_body body = {0};
	int rc = tree_body_get(bytes, len, &body, err);
	size_t at;

	if (rc != 0)
		return rc;
	at = tree_body_begin(out, body.level);
	for (size_t i = 0; i < body.count; i++) {
		if (body.level == 0)
			tree_body_entry(out, &body.entries[i]);
		else
			tree_body_child(out, body.children[i].first_name.p,
					body.children[i].first_name.len,
					body.children[i].entries_below);
	}
	tree_body_end(out, at, (uint32_t)body.count);
	tree_body_free(&body);
	return 0;
}

int nodes_list_body(const uint8_t *bytes, size_t len, struct buf *out, struct err *err)
{
	struct list_body body = {0};
	int rc = list_body_get(bytes, len, &body, err);

	if (rc != 0)
		return rc;
	list_body_put(out, body.level, body.bytes, body.keys, body.count);
	list_body_free(&body);
	return 0;
}

/* Bytes are copied to their exact size, for the sanitizers. */
int nodes_same_or_refused(nodes_fn again, const uint8_t *bytes, size_t len)
{
	struct err err = {0};
	struct buf out = {0};
	uint8_t *copy = malloc(len ? len : 1);
	int rc;

	assert_non_null(copy);
	memcpy(copy, bytes, len);
	rc = again(copy, len, &out, &err);
	if (rc == 0) {
		assert_false(out.failed);
		assert_int_equal(out.len, len);
		assert_memory_equal(out.data, bytes, len);
	} else {
		assert_true(rc == -ERR_DAMAGED || rc == -ERR_LIMIT);
		assert_int_equal(err.code, -rc);
		assert_true(err.text[0] != '\0');
	}
	buf_free(&out);
	free(copy);
	return rc;
}
