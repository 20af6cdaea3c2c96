#include "core/node.h"

#include <stdlib.h>

#define CHILD_BYTES (1 + ID_BYTES)

void list_put(struct buf *b, const struct chunk_ref *children, size_t count)
{
	if (count > UINT32_MAX) {
		b->failed = true;
		return;
	}
	buf_put_u32(b, (uint32_t)count);
	for (size_t i = 0; i < count; i++) {
		buf_put_u8(b, children[i].kind);
		buf_put(b, children[i].id.b, ID_BYTES);
	}
}

/* body is the kind of the first child: a chunk list has no trees below it. */
static bool kind_fits(uint8_t kind, uint8_t body)
{
	return kind == CHUNK_DATA || kind == CHUNK_LIST ||
	       (kind == CHUNK_TREE_LIST && body == CHUNK_TREE_BODY);
}

static int check_kinds(const struct chunk_ref *children, size_t count, struct err *err)
{
	uint8_t body = children[0].kind;

	if (body != CHUNK_TREE_BODY && body != CHUNK_LIST_BODY)
		return err_set(err, ERR_DAMAGED, "a list does not begin with its body");
	for (size_t i = 1; i < count; i++)
		if (!kind_fits(children[i].kind, body))
			return err_set(err, ERR_DAMAGED,
				       "a list's child %zu is of kind %u, out of place", i,
				       (unsigned)children[i].kind);
	return 0;
}

int list_get(const void *bytes, size_t len, struct chunk_ref **out_children, size_t *out_count,
	     struct err *err)
{
	struct rd r = rd_of(bytes, len);
	size_t count = rd_u32(&r);
	struct chunk_ref *children;
	int rc;

	if (r.bad)
		return rd_end(&r, "a list", err);
	if (count > LIMIT_NODE_CHILDREN)
		return err_set(err, ERR_LIMIT, "a list of %zu children", count);
	if (count == 0 || r.left != count * CHILD_BYTES)
		return err_set(err, ERR_DAMAGED, "a list of %zu children has %zu bytes", count,
			       len);
	children = calloc(count, sizeof(*children));
	if (!children)
		return err_nomem(err);
	for (size_t i = 0; i < count; i++) {
		children[i].kind = rd_u8(&r);
		rd_copy(&r, children[i].id.b, ID_BYTES);
	}
	rc = check_kinds(children, count, err);
	if (rc != 0) {
		free(children);
		return rc;
	}
	*out_children = children;
	*out_count = count;
	return 0;
}

/* --- chunk-list bodies --- */

#define FORMAT_PLAIN 0
#define FORMAT_KEYED 1

void list_body_put(struct buf *b, uint8_t level, const uint64_t *child_bytes, const uint64_t *keys,
		   size_t count)
{
	if (count > UINT32_MAX || (keys && level > 0)) {
		b->failed = true;
		return;
	}
	buf_put_u8(b, level);
	buf_put_u8(b, keys ? FORMAT_KEYED : FORMAT_PLAIN);
	buf_put_u32(b, (uint32_t)count);
	for (size_t i = 0; i < count; i++) {
		if (level == 0 && child_bytes[i] > UINT32_MAX)
			b->failed = true;
		if (level == 0)
			buf_put_u32(b, (uint32_t)child_bytes[i]);
		else
			buf_put_u64(b, child_bytes[i]);
	}
	for (size_t i = 0; keys && i < count; i++)
		buf_put_u64(b, keys[i]);
}

/* The sum of a body must be a file's size, so that readers may add without asking again. */
static int get_child_bytes(struct rd *r, const struct list_body *body, struct err *err)
{
	uint64_t total = 0, most = body->level == 0 ? LIMIT_CHUNK_BYTES : INT64_MAX;

	for (size_t i = 0; i < body->count; i++) {
		uint64_t n = body->level == 0 ? rd_u32(r) : rd_u64(r);

		if (n > most || n > INT64_MAX - total)
			return err_set(err, ERR_LIMIT, "a chunk list's child %zu is too long", i);
		if (n == 0)
			return err_set(err, ERR_DAMAGED, "a chunk list's child %zu is empty", i);
		total += n;
		body->bytes[i] = n;
	}
	return 0;
}

int list_body_get(const void *bytes, size_t len, struct list_body *out_body, struct err *err)
{
	struct rd r = rd_of(bytes, len);
	struct list_body body = {.level = rd_u8(&r)};
	uint8_t format = rd_u8(&r);
	size_t each;
	int rc;

	body.count = rd_u32(&r);
	if (r.bad)
		return rd_end(&r, "a chunk list's body", err);
	if (format > FORMAT_KEYED || (format == FORMAT_KEYED && body.level > 0))
		return err_set(err, ERR_DAMAGED, "a chunk list of unknown format %u",
			       (unsigned)format);
	if (body.level >= LIMIT_NODE_LEVELS || body.count >= LIMIT_NODE_CHILDREN)
		return err_set(err, ERR_LIMIT, "a chunk list of level %u with %zu children",
			       (unsigned)body.level, body.count);
	each = (body.level == 0 ? 4u : 8u) + (format == FORMAT_KEYED ? 8u : 0);
	if (body.count == 0 || r.left != body.count * each)
		return err_set(err, ERR_DAMAGED, "a chunk list of %zu children has %zu bytes",
			       body.count, len);
	body.bytes = calloc(body.count, sizeof(*body.bytes));
	body.keys = format == FORMAT_KEYED ? calloc(body.count, sizeof(*body.keys)) : NULL;
	rc = body.bytes && (body.keys || format != FORMAT_KEYED) ? get_child_bytes(&r, &body, err)
								 : err_nomem(err);
	for (size_t i = 0; !rc && body.keys && i < body.count; i++)
		body.keys[i] = rd_u64(&r);
	if (rc != 0)
		list_body_free(&body);
	else
		*out_body = body;
	return rc;
}

int list_body_check(const struct list_body *body, const struct chunk_ref *children, size_t count,
		    struct err *err)
{
	uint8_t want = body->level == 0 ? CHUNK_DATA : CHUNK_LIST;

	if (count == 0 || count - 1 != body->count)
		return err_set(err, ERR_DAMAGED,
			       "a chunk list has %zu children, its body tells of %zu", count,
			       body->count + 1);
	if (children[0].kind != CHUNK_LIST_BODY)
		return err_set(err, ERR_DAMAGED, "a chunk list has another kind's body");
	for (size_t i = 1; i < count; i++)
		if (children[i].kind != want)
			return err_set(err, ERR_DAMAGED,
				       "a chunk list's child %zu is of kind %u, not %u", i,
				       (unsigned)children[i].kind, (unsigned)want);
	return 0;
}

void list_body_free(struct list_body *body)
{
	free(body->bytes);
	free(body->keys);
	*body = (struct list_body){0};
}
