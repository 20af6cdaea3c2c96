#include "repo/filescache_entry.h"

#include <stdlib.h>

#include "repo/fsread.h"

#define LOOK_BYTES (FILESCACHE_KEY_BYTES + 5 * 8) /* key, inode, size, mtime, ctime, looked at */
#define ENTRY_BYTES (LOOK_BYTES + 4 + 1 + 16 + 4 + 4)
#define FLAG_XATTRS 1u
#define FLAG_LIST 2u
#define FLAG_KEPT 128u /* in memory only */
#define FLAGS_AT (LOOK_BYTES + 4)

void filescache_file_wipe(struct filescache_file *file)
{
	content_free(&file->content);
	free(file->extents);
	*file = (struct filescache_file){0};
}

/* How long the entry in r is, r then past it; bad when it does not fit. */
size_t filescache_entry_bytes(struct rd *r)
{
	size_t before = r->left;
	uint32_t rest;

	(void)rd_bytes(r, LOOK_BYTES);
	rest = rd_u32(r);
	(void)rd_bytes(r, rest);
	return r->bad || rest < ENTRY_BYTES - LOOK_BYTES - 4 ? 0 : before - r->left;
}

void filescache_entry_put(struct buf *b, const uint8_t key[FILESCACHE_KEY_BYTES],
			  const struct filescache_look *look, const struct filescache_file *f)
{
	const struct content *content = &f->content;
	uint8_t flags = 0;

	if (f->has_xattrs)
		flags |= FLAG_XATTRS;
	if (content->shape == SHAPE_LIST)
		flags |= FLAG_LIST;
	buf_put(b, key, FILESCACHE_KEY_BYTES);
	buf_put_u64(b, look->inode);
	buf_put_u64(b, look->size);
	buf_put_i64(b, look->mtime_ns);
	buf_put_i64(b, look->ctime_ns);
	buf_put_i64(b, look->looked_ns);
	buf_put_u32(b, (uint32_t)(ENTRY_BYTES - LOOK_BYTES - 4 +
				  content->child_count * (1 + ID_BYTES) + f->extent_count * 16));
	buf_put_u8(b, flags);
	buf_put_u64(b, f->size);
	buf_put_u64(b, content->bytes);
	buf_put_u32(b, (uint32_t)content->child_count);
	buf_put_u32(b, (uint32_t)f->extent_count);
	for (size_t i = 0; i < content->child_count; i++) {
		buf_put_u8(b, content->children[i].kind);
		buf_put(b, content->children[i].id.b, ID_BYTES);
	}
	for (size_t i = 0; i < f->extent_count; i++) {
		buf_put_u64(b, f->extents[i].offset);
		buf_put_u64(b, f->extents[i].len);
	}
}

/* What follows the look. The bytes were sealed by us; still no count is believed beyond what is there. */
int filescache_entry_get(struct rd r, struct filescache_file *f, struct err *err)
{
	struct rd rest = r;
	size_t children, extents;
	uint8_t flags;

	(void)rd_bytes(&rest, LOOK_BYTES + 4);
	flags = rd_u8(&rest);
	f->size = rd_u64(&rest);
	f->content.bytes = rd_u64(&rest);
	children = rd_u32(&rest);
	extents = rd_u32(&rest);
	if (children > rest.left / (1 + ID_BYTES) || extents > LIMIT_EXTENTS)
		return err_set(err, ERR_DAMAGED, "a files cache entry does not fit itself");
	f->has_xattrs = flags & FLAG_XATTRS;
	f->content.shape = flags & FLAG_LIST ? SHAPE_LIST : SHAPE_INLINE;
	f->content.child_count = children;
	f->extent_count = extents;
	f->content.children = malloc((children + 1) * sizeof(*f->content.children));
	f->extents = extents ? malloc(extents * sizeof(*f->extents)) : NULL;
	if (!f->content.children || (extents && !f->extents))
		return err_nomem(err);
	for (size_t i = 0; i < children; i++) {
		f->content.children[i].kind = rd_u8(&rest);
		rd_copy(&rest, f->content.children[i].id.b, ID_BYTES);
	}
	for (size_t i = 0; i < extents; i++) {
		f->extents[i].offset = rd_u64(&rest);
		f->extents[i].len = rd_u64(&rest);
	}
	return rest.bad ? err_set(err, ERR_DAMAGED, "a files cache entry does not fit itself") : 0;
}

void filescache_entry_keep(uint8_t *entry, bool kept)
{
	uint8_t flags = entry[FLAGS_AT] & (uint8_t)~FLAG_KEPT;

	entry[FLAGS_AT] = kept ? flags | FLAG_KEPT : flags;
}

bool filescache_entry_kept(const uint8_t *entry)
{
	return entry[FLAGS_AT] & FLAG_KEPT;
}

struct filescache_look filescache_entry_look(const uint8_t *entry)
{
	struct rd r = rd_of(entry + FILESCACHE_KEY_BYTES, LOOK_BYTES - FILESCACHE_KEY_BYTES);
	struct filescache_look look;

	look.inode = rd_u64(&r);
	look.size = rd_u64(&r);
	look.mtime_ns = rd_i64(&r);
	look.ctime_ns = rd_i64(&r);
	look.looked_ns = rd_i64(&r);
	return look;
}

struct filescache_look filescache_look_of(const struct stat *st, int64_t looked_ns)
{
	return (struct filescache_look){st->st_ino, (uint64_t)st->st_size, fs_time_ns(&st->st_mtim),
					fs_time_ns(&st->st_ctim), looked_ns};
}

bool filescache_look_settled(const struct filescache_look *look)
{
	int64_t before = look->looked_ns - FILESCACHE_RACY_NS;

	return look->mtime_ns <= before && look->ctime_ns <= before;
}

bool filescache_look_fits(const struct filescache_look *look, const struct stat *st)
{
	return look->inode == st->st_ino && look->size == (uint64_t)st->st_size &&
	       look->mtime_ns == fs_time_ns(&st->st_mtim) &&
	       look->ctime_ns == fs_time_ns(&st->st_ctim) && filescache_look_settled(look);
}
