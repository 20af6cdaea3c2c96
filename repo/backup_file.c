/* What the bytes of one file become: read, or known from the last backup. */
#include "repo/backup_run.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/sha256.h"
#include "repo/fsread.h"
#include "repo/tree_read.h"

static int read_range(struct backup_run *run, int fd, uint64_t offset, uint64_t end,
		      const char *path, uint64_t *out_read, struct err *err)
{
	uint64_t at = offset;
	int r = 0;

	while (!r && at < end) {
		uint64_t left = end - at;
		ssize_t got =
		    pread(fd, run->io, left < IO_BYTES ? (size_t)left : IO_BYTES, (off_t)at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			r = err_sys(err, errno, "%s: cannot be read", path);
			return r == -ERR_NOMEM ? r : err_set(err, ERR_SOURCE, "%s", err->text);
		}
		if (got == 0)
			break;
		r = content_writer_put(run->writer, run->io, (size_t)got, err);
		if (!r && run->hash)
			r = sha256_update(run->hash, run->io, (size_t)got, err);
		at += (uint64_t)got;
		run->bytes_read += (uint64_t)got;
		if (!r)
			r = backup_tick(run, BACKUP_FILES, path, err);
	}
	*out_read = at - offset;
	return r;
}

/* 1 when the file has become shorter than its extents say. */
static int read_extents(struct backup_run *run, int fd, const struct fs_extent *extents,
			size_t count, const char *path, struct err *err)
{
	uint64_t got;
	int r = 0;

	for (size_t i = 0; !r && i < count; i++) {
		const struct fs_extent *x = &extents[i];

		r = read_range(run, fd, x->offset, x->offset + x->len, path, &got, err);
		if (!r && got < x->len)
			r = 1;
	}
	return r;
}

static int keep_extents(const struct fs_extent *extents, size_t count,
			struct filescache_file *out_file, struct err *err)
{
	out_file->extents = calloc(count, sizeof(*out_file->extents));
	if (!out_file->extents)
		return err_nomem(err);
	for (size_t i = 0; i < count; i++)
		out_file->extents[i] = (struct entry_extent){extents[i].offset, extents[i].len};
	out_file->extent_count = count;
	return 0;
}

/* What refs wants to know the SHA-256 of is hashed by the way; of a sparse file it is not. */
static int read_dense(struct backup_run *run, int fd, const char *path, uint64_t *out_read,
		      struct err *err)
{
	int r = backup_refs_hash_begin(run, path, err);

	if (!r)
		r = read_range(run, fd, 0, UINT64_MAX, path, out_read, err);
	if (!r)
		r = backup_refs_hash_end(run, path, err);
	backup_refs_hash_drop(run);
	return r;
}

static int read_open_file(struct backup_run *run, int fd, const struct stat *st, const char *path,
			  struct filescache_file *out_file, struct err *err)
{
	struct fs_extent *extents = NULL;
	size_t count = 0;
	int r = fs_extents(fd, (uint64_t)st->st_size, path, &extents, &count, err);

	content_writer_reset(run->writer);
	if (!r && count) {
		out_file->size = (uint64_t)st->st_size;
		r = read_extents(run, fd, extents, count, path, err);
		if (!r)
			r = keep_extents(extents, count, out_file, err);
	}
	if (r == 1 || (!r && !count)) {
		content_writer_reset(run->writer);
		run->bytes_read = 0;
		r = read_dense(run, fd, path, &out_file->size, err);
	}
	free(extents);
	run->bytes_read = 0;
	return r ? r : content_writer_finish(run->writer, &out_file->content, err);
}

static bool same_state(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	       a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* 1: it is one; it must not be stored as if it were none, so not knowing is an error. */
static int is_new_database(int fd, const char *path, struct err *err)
{
	uint8_t head[16];
	ssize_t got = fs_pread(fd, head, sizeof(head), 0);

	if (got < 0)
		return err_set(err, ERR_SOURCE, "%s: cannot be read: %s", path, strerror(errno));
	return snapshot_is_database(head, (size_t)got) ? 1 : 0;
}

/* Says so when the file was touched meanwhile, and notes it for the next backup when it was not. */
static int settle(struct backup_run *run, int fd, const struct stat *before, int64_t looked_at_ns,
		  const char *path, const struct fs_meta *meta, struct filescache_file *file,
		  struct err *err)
{
	struct stat after;

	if (fstat(fd, &after) != 0 || !same_state(before, &after)) {
		backup_unreadable(run, path,
				  "changed while it was read; kept as it was read, perhaps torn");
		return 0;
	}
	/* The extended attributes were read before: they count only if nothing happened since. */
	if (!same_state(&meta->st, before) || meta->st.st_ino != before->st_ino ||
	    file->size != (uint64_t)before->st_size)
		return 0;
	file->has_xattrs = meta->xattr_count > 0;
	return filescache_put(run->cache, path, before, looked_at_ns, file, err);
}

int backup_file_read(struct backup_run *run, int dirfd, const char *name, const char *path,
		     const struct fs_meta *meta, struct filescache_file *out_file, struct err *err)
{
	int64_t looked_at_ns = backup_clock_ns(run);
	struct stat before;
	int fd, r = fs_open(dirfd, name, 0, path, &fd, err);

	if (r)
		return r;
	if (fstat(fd, &before) != 0)
		r = err_set(err, ERR_SOURCE, "%s: cannot be read", path);
	else if (!S_ISREG(before.st_mode))
		r = err_set(err, ERR_SOURCE, "%s: was replaced while it was looked at", path);
	else
		r = is_new_database(fd, path, err);
	if (!r)
		r = read_open_file(run, fd, &before, path, out_file, err);
	if (!r)
		r = settle(run, fd, &before, looked_at_ns, path, meta, out_file, err);
	if (!r)
		backup_tell_former(run, path);
	(void)close(fd);
	return r;
}

/* --- files that are known --- */

static int need_chunk(void *arg, const struct chunk_ref *ref, const char *path, struct err *err)
{
	struct backup_run *run = arg;
	uint32_t known = index_find_good(run->index, ref->kind, &ref->id);

	(void)path;
	/* The lists of a file of many chunks are asked for every night; who cannot read them has them from the cache. */
	chunkcache_touch(run->chunks, ref->kind, &ref->id);
	if (known != INDEX_NONE)
		return packer_rest_on(run->packer, known, err);
	return err_set(err, ERR_MISSING, "a chunk is not in the repository any more");
}

int backup_content_there(struct backup_run *run, const struct entry *e,
			 const struct chunk_ref *children, const char *path, struct err *err)
{
	return content_refs(run->reader, e, children, path, need_chunk, run, err);
}

int backup_file_there(struct backup_run *run, const struct filescache_file *file, const char *path,
		      struct err *err)
{
	const struct entry e = {
	    .type = ENTRY_FILE,
	    .size = file->size,
	    .shape = file->content.shape,
	    .extents = file->extents,
	    .extent_count = file->extent_count,
	    .child_count = (uint32_t)file->content.child_count,
	};

	return backup_content_there(run, &e, file->content.children, path, err);
}

int backup_file_cached(struct backup_run *run, const char *path, const struct stat *st,
		       struct filescache_file *out_file, struct err *err)
{
	struct err why = {0};
	int r = filescache_get(run->cache, path, st, out_file, err);

	if (r <= 0)
		return r;
	r = backup_file_there(run, out_file, path, &why);
	if (!r)
		return 1;
	filescache_file_wipe(out_file);
	if (r != -ERR_NOMEM)
		return 0; /* read again, and so stored again */
	*err = why;
	return r;
}
