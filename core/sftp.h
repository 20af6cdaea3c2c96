/*
 * sftp: the packets of SFTP version 3 (draft-ietf-secsh-filexfer-02), which every server speaks, and OpenSSH's extensions
 * fsync, hardlink, posix-rename and statvfs.
 *
 * Requests are appended to a buf, each with its length in front, ready to be sent; a failed allocation makes the buf
 * failed. Answers come from outside: every length is checked, and what an answer points to lies in the caller's bytes.
 * Integers are big-endian here. No thread shares a buf.
 */
#ifndef NIGHTJAR_CORE_SFTP_H
#define NIGHTJAR_CORE_SFTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"

enum sftp_type {
	SFTP_INIT = 1,
	SFTP_VERSION = 2,
	SFTP_OPEN = 3,
	SFTP_CLOSE = 4,
	SFTP_READ = 5,
	SFTP_WRITE = 6,
	SFTP_LSTAT = 7,
	SFTP_FSTAT = 8,
	SFTP_OPENDIR = 11,
	SFTP_READDIR = 12,
	SFTP_REMOVE = 13,
	SFTP_MKDIR = 14,
	SFTP_STAT = 17,
	SFTP_RENAME = 18,
	SFTP_STATUS = 101,
	SFTP_HANDLE = 102,
	SFTP_DATA = 103,
	SFTP_NAME = 104,
	SFTP_ATTRS = 105,
	SFTP_EXTENDED = 200,
	SFTP_EXTENDED_REPLY = 201
};

/* What a status says. Servers add their own: all that is none of these is a failure. */
enum sftp_code {
	SFTP_OK = 0,
	SFTP_EOF = 1,
	SFTP_NO_SUCH_FILE = 2,
	SFTP_PERMISSION_DENIED = 3,
	SFTP_FAILURE = 4,
	SFTP_BAD_MESSAGE = 5,
	SFTP_NO_CONNECTION = 6,
	SFTP_CONNECTION_LOST = 7,
	SFTP_OP_UNSUPPORTED = 8
};

/* Of SFTP_OPEN. */
#define SFTP_READABLE 1u
#define SFTP_WRITABLE 2u
#define SFTP_CREATE 8u
#define SFTP_EXCLUSIVE 32u

/* --- requests --- */

void sftp_put_init(struct buf *out);
/* LSTAT, STAT, OPENDIR, REMOVE. */
void sftp_put_path(struct buf *out, enum sftp_type type, uint32_t id, const char *path);
/* CLOSE, FSTAT, READDIR. */
void sftp_put_handle(struct buf *out, enum sftp_type type, uint32_t id, struct span handle);
/* mode counts where a file is made. */
void sftp_put_open(struct buf *out, uint32_t id, const char *path, uint32_t flags, uint32_t mode);
void sftp_put_mkdir(struct buf *out, uint32_t id, const char *path, uint32_t mode);
void sftp_put_read(struct buf *out, uint32_t id, struct span handle, uint64_t offset, uint32_t len);
void sftp_put_write(struct buf *out, uint32_t id, struct span handle, uint64_t offset,
		    const void *bytes, uint32_t len);
void sftp_put_rename(struct buf *out, uint32_t id, const char *from, const char *to);
/* The extensions: only what the server's version named. */
void sftp_put_fsync(struct buf *out, uint32_t id, struct span handle);
void sftp_put_statvfs(struct buf *out, uint32_t id, const char *path);
void sftp_put_hardlink(struct buf *out, uint32_t id, const char *from, const char *to);
void sftp_put_posix_rename(struct buf *out, uint32_t id, const char *from, const char *to);

/* --- answers: a whole packet, without its length --- */

struct sftp_version {
	uint32_t version;
	bool fsync, hardlink, posix_rename, statvfs;
};

/* ERR_DAMAGED; ERR_VERSION for a server that speaks less than version 3. */
int sftp_get_version(const void *packet, size_t len, struct sftp_version *out,
		     struct err *err) ERR_UNUSED_WARN;

struct sftp_attrs {
	bool has_size, has_mode, has_times;
	uint64_t size_bytes;
	uint32_t mode; /* as of stat(2), type included */
	uint32_t mtime_s;
};

struct sftp_reply {
	enum sftp_type type;
	uint32_t id;
	uint32_t code;           /* STATUS: an sftp_code, or another number */
	struct span text;        /* STATUS: the server's words, perhaps none; unchecked bytes */
	struct span bytes;       /* HANDLE, DATA; EXTENDED_REPLY: all of it */
	struct sftp_attrs attrs; /* ATTRS */
	uint32_t count;          /* NAME: how many; take them with sftp_get_name */
	struct rd names;
};

/* ERR_DAMAGED for whatever is no answer of version 3; a handle is then of 1 to LIMIT_SFTP_HANDLE_BYTES bytes. */
int sftp_get(const void *packet, size_t len, struct sftp_reply *out,
	     struct err *err) ERR_UNUSED_WARN;

/* The next of reply->count names. ERR_DAMAGED when the packet ends before. */
int sftp_get_name(struct sftp_reply *reply, struct span *out_name, struct sftp_attrs *out_attrs,
		  struct err *err) ERR_UNUSED_WARN;

/* Of the reply to statvfs: bytes that this user may still write. ERR_DAMAGED. */
int sftp_get_free_bytes(const struct sftp_reply *reply, uint64_t *out_bytes,
			struct err *err) ERR_UNUSED_WARN;

#endif
