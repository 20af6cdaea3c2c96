/*
 * fsread: what the file system says of one entry, and the names in a folder. The reading half of
 * backup; it never follows a symlink, never writes, and does not move an access time where the
 * kernel lets it (O_NOATIME). Errors are ERR_SOURCE (ERR_MISSING when the entry vanished), naming the
 * path that the caller gives. One thread per descriptor.
 */
#ifndef NIGHTJAR_REPO_FSREAD_H
#define NIGHTJAR_REPO_FSREAD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "core/err.h"

struct fs_xattr {
	char *name; /* with its namespace: "user.comment" */
	uint8_t *value;
	size_t value_len;
};

/*
 * A file's time in nanoseconds since 1970. One beyond what 64 bits hold (years 1677 to 2262) becomes the end of the
 * range: of the future, which nothing that compares times may trust; of the past, where ctime still tells.
 */
int64_t fs_time_ns(const struct timespec *t);

/* One entry's metadata. {0} is valid for fs_meta_wipe. */
struct fs_meta {
	struct stat st;
	char *target; /* of a symlink, else NULL */
	struct fs_xattr
	    *xattrs; /* sorted by name bytes; system.posix_acl_* and security.capability included */
	size_t xattr_count;
};

/* A part of a sparse file that holds data; the rest reads as zeros. */
struct fs_extent {
	uint64_t offset, len;
};

/*
 * The names in the open folder dirfd, sorted by bytes, without "." and "..". *out_names is one
 * allocation freed with free(). The descriptor stays open, its position is undefined after.
 */
int fs_list(int dirfd, const char *path, char ***out_names, size_t *out_count,
	    struct err *err) ERR_UNUSED_WARN;

/* DT_* of a name that fs_list gave, as it was then; DT_UNKNOWN where the file system does not say. */
unsigned char fs_listed_type(const char *listed);

/* Opens a folder or file below dirfd read-only, O_NOFOLLOW | O_NOATIME (retried without) | O_NONBLOCK | O_CLOEXEC. */
int fs_open(int dirfd, const char *name, int extra_flags, const char *path, int *out_fd,
	    struct err *err) ERR_UNUSED_WARN;

/* The bytes that there are from at on, up to len: only the end of the file makes them fewer. -1 and errno when they cannot be read. */
ssize_t fs_pread(int fd, void *out, size_t len, uint64_t at) ERR_UNUSED_WARN;

/*
 * lstat, readlink and xattrs of name in dirfd. xattrs that the file system does not support are none; one that
 * may not be read is skipped. path is for messages and is the full path.
 */
int fs_meta_read(int dirfd, const char *name, const char *path, struct fs_meta *out_meta,
		 struct err *err) ERR_UNUSED_WARN;
/*
 * Its two halves, for who may know that there are no xattrs: lstat and readlink; then the xattrs. A half that fails leaves
 * nothing to wipe. known: the lstat, of who has just made it; or NULL.
 */
int fs_meta_stat(int dirfd, const char *name, const char *path, const struct stat *known,
		 struct fs_meta *out_meta, struct err *err) ERR_UNUSED_WARN;
int fs_meta_xattrs(int dirfd, const char *name, const char *path, struct fs_meta *meta,
		   struct err *err) ERR_UNUSED_WARN;
void fs_meta_wipe(struct fs_meta *meta);

/*
 * The data extents of an open regular file of size_bytes (SEEK_DATA/SEEK_HOLE). *out_count 0 and *out_extents
 * NULL when the file is dense (no hole), when the file system cannot tell, or when there would be
 * more than LIMIT_EXTENTS. A file that is one hole gives one extent of length 0. Freed with free().
 */
int fs_extents(int fd, uint64_t size_bytes, const char *path, struct fs_extent **out_extents,
	       size_t *out_count, struct err *err) ERR_UNUSED_WARN;

/*
 * The name of a uid or gid, "" when there is none. Cached in a small table owned by the caller; pointers stay
 * valid until fs_names_free.
 */
struct fs_names;
struct fs_names *fs_names_new(void); /* NULL = out of memory */
void fs_names_free(struct fs_names *names);
const char *fs_names_user(struct fs_names *names, uid_t uid);
const char *fs_names_group(struct fs_names *names, gid_t gid);

#endif
