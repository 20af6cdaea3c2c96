/* What the tree says of one name. */
#include "repo/backup_piece.h"

#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "core/sha256.h"

#define XATTRS_BYTES (1u << 20) /* of one entry; more is left out and said */

void backup_piece_wipe(struct backup_piece *p)
{
	fs_meta_wipe(&p->meta);
	free(p->e.xattrs);
	filescache_file_wipe(&p->file);
}

struct span backup_span_of(const char *s)
{
	return (struct span){(const uint8_t *)s, strlen(s)};
}

static uint8_t type_of(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return ENTRY_FILE;
	case S_IFDIR:
		return ENTRY_DIR;
	case S_IFLNK:
		return ENTRY_SYMLINK;
	case S_IFIFO:
		return ENTRY_FIFO;
	case S_IFSOCK:
		return ENTRY_SOCKET;
	case S_IFCHR:
		return ENTRY_CHAR;
	default:
		return ENTRY_BLOCK;
	}
}

static int link_number(struct backup_run *run, const struct stat *st, uint64_t *out,
		       struct err *err)
{
	struct buf b = {0};
	struct hmac_part parts[2];
	struct rd r;
	struct id mac;
	int result;

	*out = 0;
	if (S_ISDIR(st->st_mode) || st->st_nlink < 2)
		return 0;
	buf_put_u64(&b, (uint64_t)st->st_dev);
	buf_put_u64(&b, (uint64_t)st->st_ino);
	result = buf_check(&b, err);
	parts[0] = (struct hmac_part){"link", 4};
	parts[1] = (struct hmac_part){b.data, b.len};
	if (!result)
		result = hmac256_of(packer_domain(run->packer)->id_key, parts, 2, &mac, err);
	buf_free(&b);
	if (result)
		return result;
	r = rd_of(mac.b, 8);
	*out = rd_u64(&r);
	if (*out == 0)
		*out = 1;
	return 0;
}

bool backup_piece_xattrs_fit(const struct backup_piece *p)
{
	size_t total = 0;

	for (size_t i = 0; i < p->meta.xattr_count; i++)
		total += p->meta.xattrs[i].value_len;
	return total <= XATTRS_BYTES && p->meta.xattr_count <= LIMIT_XATTRS;
}

int backup_piece_xattrs(struct backup_run *run, struct backup_piece *p, const char *path,
			struct err *err)
{
	if (!backup_piece_xattrs_fit(p)) {
		backup_unreadable(run, path, "its extended attributes are too large; left out");
		return 0;
	}
	if (p->meta.xattr_count == 0)
		return 0;
	p->e.xattrs = calloc(p->meta.xattr_count, sizeof(*p->e.xattrs));
	if (!p->e.xattrs)
		return err_nomem(err);
	p->e.xattr_count = p->meta.xattr_count;
	for (size_t i = 0; i < p->meta.xattr_count; i++) {
		const struct fs_xattr *x = &p->meta.xattrs[i];

		p->e.xattrs[i] =
		    (struct entry_xattr){backup_span_of(x->name), {x->value, x->value_len}};
	}
	return 0;
}

int backup_piece_meta(struct backup_run *run, struct backup_piece *p, const struct fs_meta *meta,
		      const char *name, struct err *err)
{
	const struct stat *st = &meta->st;
	struct entry *e = &p->e;

	e->name = backup_span_of(name);
	e->type = type_of(st->st_mode);
	e->mode = (uint16_t)(st->st_mode & 07777);
	e->uid = st->st_uid;
	e->gid = st->st_gid;
	e->user = backup_span_of(fs_names_user(run->names, st->st_uid));
	e->group = backup_span_of(fs_names_group(run->names, st->st_gid));
	e->mtime_s = st->st_mtim.tv_sec;
	e->mtime_ns = (uint32_t)st->st_mtim.tv_nsec;
	if (e->type == ENTRY_SYMLINK)
		e->target = backup_span_of(meta->target);
	if (e->type == ENTRY_CHAR || e->type == ENTRY_BLOCK) {
		e->dev_major = major(st->st_rdev);
		e->dev_minor = minor(st->st_rdev);
	}
	return link_number(run, st, &e->link, err);
}

void backup_piece_use_file(struct backup_piece *p)
{
	p->use = &p->file.content;
	p->e.size = p->file.size;
	p->e.extents = p->file.extents;
	p->e.extent_count = p->file.extent_count;
}
