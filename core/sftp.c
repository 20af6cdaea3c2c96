#include "core/sftp.h"

#include <string.h>

#include "core/limits.h"

#define VERSION 3u

/* Flags of attributes, and bits of a mode. */
#define HAS_SIZE 1u
#define HAS_OWNER 2u
#define HAS_MODE 4u
#define HAS_TIMES 8u
#define HAS_MORE 0x80000000u

#define FSYNC "fsync@openssh.com"
#define STATVFS "statvfs@openssh.com"
#define HARDLINK "hardlink@openssh.com"
#define POSIX_RENAME "posix-rename@openssh.com"

/* --- requests --- */

static void put32(struct buf *out, uint32_t v)
{
	const uint8_t b[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8),
			      (uint8_t)v};

	buf_put(out, b, sizeof(b));
}

static void put64(struct buf *out, uint64_t v)
{
	put32(out, (uint32_t)(v >> 32));
	put32(out, (uint32_t)v);
}

static void put_bytes(struct buf *out, const void *bytes, size_t len)
{
	put32(out, (uint32_t)len);
	buf_put(out, bytes, len);
}

static void put_text(struct buf *out, const char *text)
{
	put_bytes(out, text, strlen(text));
}

/* Every request: its length, which is known at the end only, type and id. */
static size_t begin(struct buf *out, enum sftp_type type, uint32_t id)
{
	size_t start = out->len;

	put32(out, 0);
	buf_put_u8(out, (uint8_t)type);
	put32(out, id);
	return start;
}

static void end(struct buf *out, size_t start)
{
	size_t len;

	if (out->failed)
		return;
	len = out->len - start - 4;
	for (size_t i = 0; i < 4; i++)
		out->data[start + i] = (uint8_t)(len >> (24 - 8 * i));
}

/* INIT has its version where others have their id. */
void sftp_put_init(struct buf *out)
{
	end(out, begin(out, SFTP_INIT, VERSION));
}

void sftp_put_path(struct buf *out, enum sftp_type type, uint32_t id, const char *path)
{
	size_t start = begin(out, type, id);

	put_text(out, path);
	end(out, start);
}

void sftp_put_handle(struct buf *out, enum sftp_type type, uint32_t id, struct span handle)
{
	size_t start = begin(out, type, id);

	put_bytes(out, handle.p, handle.len);
	end(out, start);
}

void sftp_put_open(struct buf *out, uint32_t id, const char *path, uint32_t flags, uint32_t mode)
{
	size_t start = begin(out, SFTP_OPEN, id);

	put_text(out, path);
	put32(out, flags);
	put32(out, flags & SFTP_CREATE ? HAS_MODE : 0);
	if (flags & SFTP_CREATE)
		put32(out, mode);
	end(out, start);
}

void sftp_put_mkdir(struct buf *out, uint32_t id, const char *path, uint32_t mode)
{
	size_t start = begin(out, SFTP_MKDIR, id);

	put_text(out, path);
	put32(out, HAS_MODE);
	put32(out, mode);
	end(out, start);
}

void sftp_put_read(struct buf *out, uint32_t id, struct span handle, uint64_t offset, uint32_t len)
{
	size_t start = begin(out, SFTP_READ, id);

	put_bytes(out, handle.p, handle.len);
	put64(out, offset);
	put32(out, len);
	end(out, start);
}

void sftp_put_write(struct buf *out, uint32_t id, struct span handle, uint64_t offset,
		    const void *bytes, uint32_t len)
{
	size_t start = begin(out, SFTP_WRITE, id);

	put_bytes(out, handle.p, handle.len);
	put64(out, offset);
	put_bytes(out, bytes, len);
	end(out, start);
}

void sftp_put_rename(struct buf *out, uint32_t id, const char *from, const char *to)
{
	size_t start = begin(out, SFTP_RENAME, id);

	put_text(out, from);
	put_text(out, to);
	end(out, start);
}

void sftp_put_fsync(struct buf *out, uint32_t id, struct span handle)
{
	size_t start = begin(out, SFTP_EXTENDED, id);

	put_text(out, FSYNC);
	put_bytes(out, handle.p, handle.len);
	end(out, start);
}

void sftp_put_statvfs(struct buf *out, uint32_t id, const char *path)
{
	size_t start = begin(out, SFTP_EXTENDED, id);

	put_text(out, STATVFS);
	put_text(out, path);
	end(out, start);
}

static void put_extended_pair(struct buf *out, uint32_t id, const char *what, const char *from,
			      const char *to)
{
	size_t start = begin(out, SFTP_EXTENDED, id);

	put_text(out, what);
	put_text(out, from);
	put_text(out, to);
	end(out, start);
}

void sftp_put_hardlink(struct buf *out, uint32_t id, const char *from, const char *to)
{
	put_extended_pair(out, id, HARDLINK, from, to);
}

void sftp_put_posix_rename(struct buf *out, uint32_t id, const char *from, const char *to)
{
	put_extended_pair(out, id, POSIX_RENAME, from, to);
}

/* --- answers --- */

static uint32_t get32(struct rd *r)
{
	const uint8_t *b = rd_bytes(r, 4);

	return b ? (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3] : 0;
}

static uint64_t get64(struct rd *r)
{
	uint64_t high = get32(r);

	return high << 32 | get32(r);
}

static struct span get_bytes(struct rd *r)
{
	size_t len = get32(r);
	const uint8_t *p = rd_bytes(r, len);

	return p ? (struct span){p, len} : (struct span){0};
}

static bool is(struct span s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.p, text, s.len) == 0;
}

static int damaged(const char *what, struct err *err)
{
	return err_set(err, ERR_DAMAGED, "%s breaks the SFTP protocol", what);
}

int sftp_get_version(const void *packet, size_t len, struct sftp_version *out, struct err *err)
{
	struct rd r = rd_of(packet, len);

	*out = (struct sftp_version){0};
	if (rd_u8(&r) != SFTP_VERSION)
		return damaged("the server's first answer", err);
	out->version = get32(&r);
	while (r.left > 0 && !r.bad) {
		struct span name = get_bytes(&r), value = get_bytes(&r);

		/* The meaning of later versions of an extension is not known. */
		out->fsync |= is(name, FSYNC) && is(value, "1");
		out->hardlink |= is(name, HARDLINK) && is(value, "1");
		out->posix_rename |= is(name, POSIX_RENAME) && is(value, "1");
		out->statvfs |= is(name, STATVFS) && is(value, "2");
	}
	if (r.bad)
		return damaged("the server's first answer", err);
	if (out->version < VERSION)
		return err_set(err, ERR_VERSION, "the server speaks version %u of SFTP only",
			       (unsigned)out->version);
	return 0;
}

static void get_attrs(struct rd *r, struct sftp_attrs *out)
{
	uint32_t flags = get32(r);

	*out = (struct sftp_attrs){.has_size = flags & HAS_SIZE,
				   .has_mode = flags & HAS_MODE,
				   .has_times = flags & HAS_TIMES};
	if (flags & HAS_SIZE)
		out->size_bytes = get64(r);
	if (flags & HAS_OWNER)
		(void)rd_bytes(r, 8);
	if (flags & HAS_MODE)
		out->mode = get32(r);
	if (flags & HAS_TIMES) {
		(void)get32(r);
		out->mtime_s = get32(r);
	}
	if (!(flags & HAS_MORE))
		return;
	for (uint32_t count = get32(r); count > 0 && !r->bad; count--) {
		(void)get_bytes(r);
		(void)get_bytes(r);
	}
}

/* Some servers leave out the words and the language of a status. */
static void get_status(struct rd *r, struct sftp_reply *out)
{
	out->code = get32(r);
	if (r->left > 0)
		out->text = get_bytes(r);
}

static void get_handle(struct rd *r, struct sftp_reply *out)
{
	out->bytes = get_bytes(r);
	r->bad |= out->bytes.len == 0 || out->bytes.len > LIMIT_SFTP_HANDLE_BYTES;
}

int sftp_get(const void *packet, size_t len, struct sftp_reply *out, struct err *err)
{
	struct rd r = rd_of(packet, len);

	*out = (struct sftp_reply){.type = (enum sftp_type)rd_u8(&r)};
	out->id = get32(&r);
	if (out->type == SFTP_STATUS)
		get_status(&r, out);
	else if (out->type == SFTP_HANDLE)
		get_handle(&r, out);
	else if (out->type == SFTP_DATA)
		out->bytes = get_bytes(&r);
	else if (out->type == SFTP_ATTRS)
		get_attrs(&r, &out->attrs);
	else if (out->type == SFTP_NAME)
		out->count = get32(&r);
	else if (out->type == SFTP_EXTENDED_REPLY)
		out->bytes = (struct span){r.p, r.left};
	else
		r.bad = true;
	if (r.bad)
		return damaged("an answer of the server", err);
	out->names = r;
	return 0;
}

int sftp_get_name(struct sftp_reply *reply, struct span *out_name, struct sftp_attrs *out_attrs,
		  struct err *err)
{
	*out_name = get_bytes(&reply->names);
	(void)get_bytes(&reply->names); /* the same for human eyes */
	get_attrs(&reply->names, out_attrs);
	return reply->names.bad ? damaged("a listing of the server", err) : 0;
}

int sftp_get_free_bytes(const struct sftp_reply *reply, uint64_t *out_bytes, struct err *err)
{
	struct rd r = rd_of(reply->bytes.p, reply->bytes.len);
	uint64_t unit, blocks;

	(void)get64(&r); /* preferred block size */
	unit = get64(&r);
	(void)get64(&r); /* blocks, and those free for root */
	(void)get64(&r);
	blocks = get64(&r);
	if (r.bad)
		return damaged("the server's answer about its disk", err);
	*out_bytes = unit && blocks > UINT64_MAX / unit ? UINT64_MAX : unit * blocks;
	return 0;
}
