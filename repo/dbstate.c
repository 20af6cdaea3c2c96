#include "repo/dbstate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/sha256.h"
#include "repo/fsread.h"

#define HEADER_BYTES 100u
#define CHANGE_COUNTER_AT 24u
#define VERSION_VALID_FOR_AT 92u

/*
 * A list of those that are known to be good: on the network another machine's clock makes the times and caches hide them, FAT has
 * no ctime, and a FUSE file system does as it likes.
 */
bool dbstate_trusts(uint64_t fs_type)
{
	static const uint32_t local[] = {
	    0xef53,     /* ext2, ext3, ext4 */
	    0x58465342, /* xfs */
	    0x9123683e, /* btrfs */
	    0x2fc12fc1, /* zfs */
	    0xf2f52010, /* f2fs */
	    0xca451a4e, /* bcachefs */
	    0x3153464a, /* jfs */
	    0x01021994, /* tmpfs */
	    0x794c7630, /* overlayfs */
	};

	for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++) {
		if (fs_type == local[i])
			return true;
	}
	return false;
}

static bool file_state(int fd, struct dbstate_file *out)
{
	struct stat st;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return false;
	*out = (struct dbstate_file){
	    .device = (uint64_t)st.st_dev,
	    .inode = (uint64_t)st.st_ino,
	    .size = (uint64_t)st.st_size,
	    .mtime_ns = fs_time_ns(&st.st_mtim),
	    .ctime_ns = fs_time_ns(&st.st_ctim),
	};
	return true;
}

static bool look_at_db(const char *path, struct dbstate *s)
{
	uint8_t head[HEADER_BYTES];
	struct err ignored = {0};
	struct statfs fs;
	bool ok;
	int fd;

	if (fs_open(AT_FDCWD, path, 0, path, &fd, &ignored) != 0)
		return false;
	ok = fstatfs(fd, &fs) == 0 && dbstate_trusts((uint64_t)fs.f_type & UINT32_MAX) &&
	     file_state(fd, &s->db) && fs_pread(fd, head, sizeof(head), 0) == (ssize_t)sizeof(head);
	(void)close(fd);
	if (!ok)
		return false;
	memcpy(s->change_counter, head + CHANGE_COUNTER_AT, sizeof(s->change_counter));
	memcpy(s->version_valid_for, head + VERSION_VALID_FOR_AT, sizeof(s->version_valid_for));
	return true;
}

/* 1 and *out_fd when the file beside the database is there; 0 when not; -1 when that cannot be told. */
static int open_beside(const char *path, const char *tail, int *out_fd)
{
	struct err why = {0};
	char *beside;
	int r;

	if (asprintf(&beside, "%s%s", path, tail) < 0)
		return -1;
	r = fs_open(AT_FDCWD, beside, 0, beside, out_fd, &why);
	free(beside);
	if (!r)
		return 1;
	return r == -ERR_MISSING ? 0 : -1;
}

static bool look_at_wal(const char *path, struct dbstate *s)
{
	int fd, there = open_beside(path, "-wal", &fd);
	bool ok;

	if (there <= 0)
		return there == 0;
	ok = file_state(fd, &s->wal);
	if (ok && s->wal.size == 0)
		s->wal = (struct dbstate_file){0};
	else if (ok)
		ok = walfile_mark(fd, s->wal.size, &s->log);
	(void)close(fd);
	return ok;
}

/*
 * A journal is hot, or becomes hot when its application dies, only while its first byte is not zero: what journal_mode=PERSIST
 * leaves behind begins with zeros.
 */
static bool no_journal(const char *path)
{
	int fd, there = open_beside(path, "-journal", &fd);
	struct dbstate_file file;
	uint8_t first = 1;
	bool ok;

	if (there <= 0)
		return there == 0;
	ok = file_state(fd, &file) &&
	     (file.size == 0 || (fs_pread(fd, &first, 1, 0) == 1 && !first));
	(void)close(fd);
	return ok;
}

static bool file_settled(const struct dbstate_file *f, int64_t now_ns)
{
	return f->mtime_ns <= now_ns - DBSTATE_RACY_NS && f->ctime_ns <= now_ns - DBSTATE_RACY_NS;
}

void dbstate_read(const char *path, int64_t now_ns, struct dbstate *out_state)
{
	struct dbstate s = {0};

	/* The log is looked at before the file that it is checkpointed into, and so is the journal. */
	s.known = no_journal(path) && look_at_wal(path, &s) && look_at_db(path, &s);
	s.settled = s.known && file_settled(&s.db, now_ns) &&
		    (s.wal.size == 0 || file_settled(&s.wal, now_ns));
	*out_state = s;
}

static void put_file(struct buf *b, const struct dbstate_file *f)
{
	buf_put_u64(b, f->device);
	buf_put_u64(b, f->inode);
	buf_put_u64(b, f->size);
	buf_put_i64(b, f->mtime_ns);
	buf_put_i64(b, f->ctime_ns);
}

int dbstate_hash(const struct dbstate *s, const void *more, size_t len, struct id *out_hash,
		 struct err *err)
{
	struct buf b = {0};
	int r;

	put_file(&b, &s->db);
	buf_put(&b, s->change_counter, sizeof(s->change_counter));
	buf_put(&b, s->version_valid_for, sizeof(s->version_valid_for));
	put_file(&b, &s->wal);
	buf_put(&b, s->log.salts, sizeof(s->log.salts));
	buf_put(&b, s->log.commit_sum, sizeof(s->log.commit_sum));
	buf_put_u64(&b, s->log.commit_frames);
	buf_put(&b, more, len);
	r = buf_check(&b, err);
	if (!r)
		r = sha256_of(b.data, b.len, out_hash, err);
	buf_free(&b);
	return r;
}

bool dbstate_equal(const struct dbstate *a, const struct dbstate *b)
{
	struct err ignored = {0};
	struct id x, y;

	return a->known && b->known && dbstate_hash(a, "", 0, &x, &ignored) == 0 &&
	       dbstate_hash(b, "", 0, &y, &ignored) == 0 && id_eq(&x, &y);
}
