#include "core/node.h"

#include <stdlib.h>
#include <string.h>

/* The least that an entry, a child, an xattr and an extent take, to doubt a count before memory is taken for it. */
#define ENTRY_MIN_BYTES 40
#define TREE_CHILD_MIN_BYTES 11
#define XATTR_MIN_BYTES 7
#define EXTENT_BYTES 16

/* --- writing --- */

size_t tree_body_begin(struct buf *b, uint8_t level)
{
	size_t count_at;

	buf_put_u8(b, level);
	count_at = b->len;
	buf_put_u32(b, 0);
	return count_at;
}

static void put_file(struct buf *b, const struct entry *e)
{
	buf_put_u64(b, e->size);
	buf_put_u8(b, e->encoding);
	buf_put_u8(b, e->shape);
	buf_put_u32(b, e->child_count);
	buf_put_u32(b, (uint32_t)e->extent_count);
	for (size_t i = 0; i < e->extent_count; i++) {
		buf_put_u64(b, e->extents[i].offset);
		buf_put_u64(b, e->extents[i].len);
	}
	if (e->encoding == ENCODING_CELLS)
		buf_put_u64(b, e->data_bytes);
}

static void put_by_type(struct buf *b, const struct entry *e)
{
	if (e->type == ENTRY_FILE)
		put_file(b, e);
	else if (e->type == ENTRY_SYMLINK)
		buf_put_str16(b, e->target.p, e->target.len);
	else if (e->type == ENTRY_CHAR || e->type == ENTRY_BLOCK) {
		buf_put_u32(b, e->dev_major);
		buf_put_u32(b, e->dev_minor);
	}
}

void tree_body_entry(struct buf *b, const struct entry *e)
{
	if (e->xattr_count > UINT16_MAX || e->extent_count > UINT32_MAX) {
		b->failed = true;
		return;
	}
	buf_put_str16(b, e->name.p, e->name.len);
	buf_put_u8(b, e->type);
	buf_put_u16(b, e->mode);
	buf_put_u32(b, e->uid);
	buf_put_u32(b, e->gid);
	buf_put_str16(b, e->user.p, e->user.len);
	buf_put_str16(b, e->group.p, e->group.len);
	buf_put_i64(b, e->mtime_s);
	buf_put_u32(b, e->mtime_ns);
	buf_put_u64(b, e->link);
	buf_put_u16(b, (uint16_t)e->xattr_count);
	for (size_t i = 0; i < e->xattr_count; i++) {
		buf_put_str16(b, e->xattrs[i].name.p, e->xattrs[i].name.len);
		buf_put_str32(b, e->xattrs[i].value.p, e->xattrs[i].value.len);
	}
	put_by_type(b, e);
}

void tree_body_child(struct buf *b, const void *first_name, size_t name_len, uint64_t entries_below)
{
	buf_put_str16(b, first_name, name_len);
	buf_put_u64(b, entries_below);
}

void tree_body_end(struct buf *b, size_t count_at, uint32_t count)
{
	if (b->failed)
		return;
	for (size_t i = 0; i < 4; i++)
		b->data[count_at + i] = (uint8_t)(count >> (8 * i));
}

/* --- reading --- */

/*
 * A body is read twice: once to check it and to count what its entries have, with xattrs and extents NULL, and
 * once more to keep it. So everything that an entry points to lies in one block of the right size.
 */
struct pool {
	struct entry_xattr *xattrs;
	struct entry_extent *extents;
	size_t xattr_count, extent_count;
	uint64_t children; /* taken so far; the body is the first */
};

static int damaged(struct err *err, const char *what)
{
	return err_set(err, ERR_DAMAGED, "%s", what);
}

static bool has_nul(struct span s)
{
	return s.len > 0 && memchr(s.p, '\0', s.len);
}

static int span_cmp(struct span a, struct span b)
{
	size_t len = a.len < b.len ? a.len : b.len;
	int order = len > 0 ? memcmp(a.p, b.p, len) : 0;

	return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* A name that could lead out of its folder is never believed. */
static bool name_valid(struct span s)
{
	if (s.len == 0 || has_nul(s) || memchr(s.p, '/', s.len))
		return false;
	return !(s.p[0] == '.' && (s.len == 1 || (s.len == 2 && s.p[1] == '.')));
}

static int get_name(struct rd *r, const struct span *before, struct span *out_name, struct err *err)
{
	struct span name = rd_str16(r);

	if (r->bad)
		return damaged(err, "the name is cut short");
	if (name.len > LIMIT_NAME_BYTES)
		return err_set(err, ERR_LIMIT, "a name of %zu bytes", name.len);
	if (!name_valid(name))
		return damaged(err, "the name is none that a file can have");
	if (before->p && span_cmp(*before, name) >= 0)
		return damaged(err, "the name is not in order");
	*out_name = name;
	return 0;
}

static int get_xattr(struct rd *r, const struct span *before, struct entry_xattr *out_xattr,
		     struct err *err)
{
	struct entry_xattr x = {.name = rd_str16(r)};

	x.value = rd_str32(r);
	if (r->bad)
		return damaged(err, "an attribute is cut short");
	if (x.name.len > LIMIT_NAME_BYTES || x.value.len > LIMIT_XATTR_BYTES)
		return err_set(err, ERR_LIMIT, "an attribute of %zu and %zu bytes", x.name.len,
			       x.value.len);
	if (x.name.len == 0 || has_nul(x.name))
		return damaged(err, "an attribute's name is none");
	if (before->p && span_cmp(*before, x.name) >= 0)
		return damaged(err, "an attribute is not in order");
	*out_xattr = x;
	return 0;
}

static int get_xattrs(struct rd *r, struct pool *pool, struct entry *e, struct err *err)
{
	struct entry_xattr x = {0};
	int rc;

	e->xattr_count = rd_u16(r);
	if (e->xattr_count > LIMIT_XATTRS)
		return err_set(err, ERR_LIMIT, "%zu attributes", e->xattr_count);
	if (r->bad || e->xattr_count > r->left / XATTR_MIN_BYTES)
		return damaged(err, "the attributes are cut short");
	if (pool->xattrs && e->xattr_count > 0)
		e->xattrs = pool->xattrs + pool->xattr_count;
	for (size_t i = 0; i < e->xattr_count; i++) {
		rc = get_xattr(r, &x.name, &x, err);
		if (rc != 0)
			return rc;
		if (e->xattrs)
			e->xattrs[i] = x;
	}
	pool->xattr_count += e->xattr_count;
	return 0;
}

/* One extent of length 0 says that all is a hole; what says "dense" in another way than none is refused. */
static bool extent_valid(const struct entry *e, size_t i, const struct entry_extent *x,
			 uint64_t least)
{
	if (x->offset > e->size || x->len > e->size - x->offset)
		return false;
	if (i > 0 && x->offset < least)
		return false;
	if (x->len == 0)
		return e->extent_count == 1 && x->offset == 0 && e->size > 0;
	return x->len < e->size;
}

/* Gives the length of the content: what the chunks must add up to. */
static int get_extents(struct rd *r, struct pool *pool, struct entry *e, uint64_t *out_content,
		       struct err *err)
{
	uint64_t content = 0, least = 0;

	e->extent_count = rd_u32(r);
	if (e->extent_count > LIMIT_EXTENTS)
		return err_set(err, ERR_LIMIT, "%zu extents", e->extent_count);
	if (r->bad || e->extent_count > r->left / EXTENT_BYTES)
		return damaged(err, "the extents are cut short");
	if (pool->extents && e->extent_count > 0)
		e->extents = pool->extents + pool->extent_count;
	for (size_t i = 0; i < e->extent_count; i++) {
		struct entry_extent x = {.offset = rd_u64(r)};

		x.len = rd_u64(r);
		if (!extent_valid(e, i, &x, least))
			return damaged(err, "an extent is not in its place");
		least = x.offset + x.len + 1;
		content += x.len;
		if (e->extents)
			e->extents[i] = x;
	}
	pool->extent_count += e->extent_count;
	*out_content = e->extent_count > 0 ? content : e->size;
	return 0;
}

/* The streams of a database are as long as they are, and always in a list, which has their keys. */
static int get_streams(struct rd *r, struct entry *e, struct err *err)
{
	e->data_bytes = rd_u64(r);
	if (e->shape != SHAPE_LIST || e->child_count != 1 || e->extent_count ||
	    e->data_bytes > INT64_MAX)
		return damaged(err, "a database's streams are not in a list");
	return 0;
}

static int get_file(struct rd *r, struct pool *pool, struct entry *e, struct err *err)
{
	uint64_t content = 0;
	int rc;

	e->size = rd_u64(r);
	e->encoding = rd_u8(r);
	e->shape = rd_u8(r);
	e->child_count = rd_u32(r);
	if (e->size > INT64_MAX)
		return err_set(err, ERR_LIMIT, "a size that no file has");
	if (e->encoding > ENCODING_CELLS || e->shape > SHAPE_LIST)
		return damaged(err, "an unknown encoding or shape");
	rc = get_extents(r, pool, e, &content, err);
	if (rc != 0)
		return rc;
	if (e->encoding == ENCODING_CELLS)
		return get_streams(r, e, err);
	if (e->child_count > (e->shape == SHAPE_LIST ? 1 : INLINE_CHUNKS))
		return damaged(err, "too many children for its shape");
	if (e->child_count > content || (e->child_count == 0 && content > 0) ||
	    (e->child_count == 0 && e->shape == SHAPE_LIST))
		return damaged(err, "its children do not go with its size");
	return 0;
}

static int get_by_type(struct rd *r, struct pool *pool, struct entry *e, struct err *err)
{
	switch (e->type) {
	case ENTRY_FILE:
		return get_file(r, pool, e, err);
	case ENTRY_DIR:
		e->child_count = 1;
		return 0;
	case ENTRY_SYMLINK:
		e->target = rd_str16(r);
		if (e->target.len == 0 || has_nul(e->target))
			return damaged(err, "a symlink to nowhere");
		return 0;
	case ENTRY_FIFO:
	case ENTRY_SOCKET:
		return 0;
	case ENTRY_CHAR:
	case ENTRY_BLOCK:
		e->dev_major = rd_u32(r);
		e->dev_minor = rd_u32(r);
		return 0;
	default:
		return err_set(err, ERR_DAMAGED, "an entry of unknown type %u", (unsigned)e->type);
	}
}

static int get_owner(struct rd *r, struct entry *e, struct err *err)
{
	e->uid = rd_u32(r);
	e->gid = rd_u32(r);
	e->user = rd_str16(r);
	e->group = rd_str16(r);
	if (e->user.len > LIMIT_NAME_BYTES || e->group.len > LIMIT_NAME_BYTES)
		return err_set(err, ERR_LIMIT, "an owner's name of more than %u bytes",
			       LIMIT_NAME_BYTES);
	if (has_nul(e->user) || has_nul(e->group))
		return damaged(err, "a zero byte in an owner's name");
	return 0;
}

static int get_entry(struct rd *r, struct pool *pool, const struct span *before,
		     struct entry *out_entry, struct err *err)
{
	struct entry e = {0};
	int rc = get_name(r, before, &e.name, err);

	if (rc != 0)
		return rc;
	e.type = rd_u8(r);
	e.mode = rd_u16(r);
	rc = get_owner(r, &e, err);
	if (rc != 0)
		return rc;
	e.mtime_s = rd_i64(r);
	e.mtime_ns = rd_u32(r);
	e.link = rd_u64(r);
	if (e.mode > 07777 || e.mtime_ns >= 1000000000u)
		return damaged(err, "a mode or time that cannot be");
	rc = get_xattrs(r, pool, &e, err);
	if (rc == 0)
		rc = get_by_type(r, pool, &e, err);
	if (rc != 0)
		return rc;
	if (r->bad)
		return damaged(err, "it is cut short");
	e.child_first = (uint32_t)pool->children;
	pool->children += e.child_count;
	if (pool->children > LIMIT_NODE_CHILDREN)
		return err_set(err, ERR_LIMIT, "more than %u children", LIMIT_NODE_CHILDREN);
	*out_entry = e;
	return 0;
}

/* entries NULL: only checks and counts. */
static int get_entries(struct rd *r, size_t count, struct pool *pool, struct entry *entries,
		       struct err *err)
{
	struct entry e = {0};
	int rc;

	pool->xattr_count = pool->extent_count = 0;
	pool->children = 1;
	for (size_t i = 0; i < count; i++) {
		rc = get_entry(r, pool, &e.name, &e, err);
		if (rc != 0)
			return err_prefix(err, "a tree's entry %zu", i);
		if (entries)
			entries[i] = e;
	}
	return rd_end(r, "a tree's body", err);
}

static int keep_entries(struct rd r, const struct pool *counted, struct tree_body *body,
			struct err *err)
{
	struct pool pool = {0};
	size_t xattrs_bytes = counted->xattr_count * sizeof(*pool.xattrs);
	size_t extents_bytes = counted->extent_count * sizeof(*pool.extents);
	uint8_t *block;

	/* Both are made of 64-bit fields and pointers, so that either may follow the other. */
	_Static_assert(sizeof(struct entry_xattr) % _Alignof(struct entry_extent) == 0, "pool");
	if (body->count == 0)
		return rd_end(&r, "a tree's body", err);
	body->entries = calloc(body->count, sizeof(*body->entries));
	block = calloc(1, xattrs_bytes + extents_bytes + 1);
	body->pool = block;
	if (!body->entries || !block)
		return err_nomem(err);
	pool.xattrs = body->pool;
	pool.extents = (struct entry_extent *)(void *)(block + xattrs_bytes);
	return get_entries(&r, body->count, &pool, body->entries, err);
}

static int get_leaf(struct rd *r, struct tree_body *body, struct err *err)
{
	struct rd again = *r;
	struct pool counted = {0};
	int rc;

	if (body->count > r->left / ENTRY_MIN_BYTES)
		return err_set(err, ERR_DAMAGED, "a tree of %zu entries is cut short", body->count);
	rc = get_entries(r, body->count, &counted, NULL, err);
	return rc != 0 ? rc : keep_entries(again, &counted, body, err);
}

static int get_inner(struct rd *r, struct tree_body *body, struct err *err)
{
	struct span before = {0};
	int rc;

	if (body->count == 0 || body->count > r->left / TREE_CHILD_MIN_BYTES)
		return err_set(err, ERR_DAMAGED,
			       "a tree of level %u and %zu children has %zu bytes",
			       (unsigned)body->level, body->count, r->left);
	if (body->count >= LIMIT_NODE_CHILDREN)
		return err_set(err, ERR_LIMIT, "a tree of %zu children", body->count);
	body->children = calloc(body->count, sizeof(*body->children));
	if (!body->children)
		return err_nomem(err);
	for (size_t i = 0; i < body->count; i++) {
		struct tree_child *child = &body->children[i];

		rc = get_name(r, &before, &child->first_name, err);
		if (rc != 0)
			return err_prefix(err, "a tree's child %zu", i);
		child->entries_below = rd_u64(r);
		if (!r->bad && child->entries_below == 0)
			return err_set(err, ERR_DAMAGED, "a tree's child %zu is empty", i);
		before = child->first_name;
	}
	return rd_end(r, "a tree's body", err);
}

int tree_body_get(const void *bytes, size_t len, struct tree_body *out_body, struct err *err)
{
	struct rd r = rd_of(bytes, len);
	struct tree_body body = {.level = rd_u8(&r)};
	int rc;

	body.count = rd_u32(&r);
	if (r.bad)
		return rd_end(&r, "a tree's body", err);
	if (len > LIMIT_NODE_BYTES || body.level >= LIMIT_NODE_LEVELS)
		return err_set(err, ERR_LIMIT, "a tree of %zu bytes and level %u", len,
			       (unsigned)body.level);
	rc = body.level == 0 ? get_leaf(&r, &body, err) : get_inner(&r, &body, err);
	if (rc != 0)
		tree_body_free(&body);
	else
		*out_body = body;
	return rc;
}

void tree_body_free(struct tree_body *body)
{
	free(body->entries);
	free(body->children);
	free(body->pool);
	*body = (struct tree_body){0};
}

/* --- body against list --- */

static uint8_t entry_child_kind(const struct entry *e)
{
	if (e->type == ENTRY_DIR)
		return CHUNK_TREE_LIST;
	return e->shape == SHAPE_LIST ? CHUNK_LIST : CHUNK_DATA;
}

static int check_entry(const struct entry *e, const struct chunk_ref *children, size_t i,
		       struct err *err)
{
	uint8_t want = entry_child_kind(e);

	for (size_t k = e->child_first; k < (size_t)e->child_first + e->child_count; k++)
		if (children[k].kind != want)
			return err_set(err, ERR_DAMAGED,
				       "a tree's entry %zu has a child of kind %u, not %u", i,
				       (unsigned)children[k].kind, (unsigned)want);
	return 0;
}

static size_t children_wanted(const struct tree_body *body)
{
	const struct entry *last;

	if (body->level > 0 || body->count == 0)
		return 1 + body->count;
	last = &body->entries[body->count - 1];
	return (size_t)last->child_first + last->child_count;
}

int tree_body_check(const struct tree_body *body, const struct chunk_ref *children, size_t count,
		    struct err *err)
{
	int rc = 0;

	if (count != children_wanted(body))
		return err_set(err, ERR_DAMAGED, "a tree has %zu children, its body tells of %zu",
			       count, children_wanted(body));
	if (children[0].kind != CHUNK_TREE_BODY)
		return err_set(err, ERR_DAMAGED, "a tree has another kind's body");
	for (size_t i = 0; rc == 0 && i < body->count && body->level == 0; i++)
		rc = check_entry(&body->entries[i], children, i, err);
	for (size_t i = 1; i < count && body->level > 0; i++)
		if (children[i].kind != CHUNK_TREE_LIST)
			return err_set(err, ERR_DAMAGED, "a tree's child %zu is of kind %u", i,
				       (unsigned)children[i].kind);
	return rc;
}
