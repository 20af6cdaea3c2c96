/*
 * filescache: what the last backup of the same sources saw of each file: inode, size, mtime and ctime, and which chunks its
 * bytes became; so that a file that is still the same is not opened (DESIGN §4). One SQLite file a repository, host and set of
 * sources: <cache_dir>/<repository id>/files-<group>.db, mode 0600.
 *
 * It saves time and is never needed: a cache that is lost, stale, torn, of another repository or in use is as good as
 * none, and no call here fails for it; filescache_note tells what happened. Only a lack of memory is an error.
 *
 * On disk (I5): entries lie in buckets of about 64 KiB, each sealed under a key derived from the deduplication domain's id key,
 * the repository, the group and the bucket's random salt. So the file shows no name, no size, no time and no chunk id, and a
 * bucket that was changed, or belongs elsewhere, does not open and is dropped. A path itself is not even inside: entries
 * are known by a 128-bit keyed hash of it. Only buckets in which something changed are written again.
 *
 * An entry is believed only when the file's state is equal in all four and was older by FILESCACHE_RACY_NS than the look at it: a
 * file written twice within one tick of its file system's clock would not show the second time. Whether its chunks are
 * still in the repository is the caller's to ask (I2).
 * Paths that are neither found nor put in a run are forgotten by filescache_save. One thread.
 */
#ifndef NIGHTJAR_REPO_FILESCACHE_H
#define NIGHTJAR_REPO_FILESCACHE_H

#include <sys/stat.h>

#include "repo/cachekey.h"
#include "repo/content.h"

#define FILESCACHE_RACY_NS INT64_C(2000000000)

struct filescache;

/* What the bytes of a file became. {0} is valid. */
struct filescache_file {
	uint64_t size; /* as the entry has it; differs from content.bytes when sparse */
	struct content content;
	struct entry_extent *extents; /* owned */
	size_t extent_count;
	bool
	    has_xattrs; /* it had extended attributes, which must be read (they are not kept here) */
};
void filescache_file_wipe(struct filescache_file *file);

/*
 * reread: begins empty (backup --force); what is there is replaced by the save. The secret is not needed after. ERR_NOMEM only.
 */
int filescache_open(const struct cache_owner *owner, bool reread, struct filescache **out_cache,
		    struct err *err) ERR_UNUSED_WARN;
void filescache_close(struct filescache *c); /* NULL is fine */

/*
 * Was there a regular file, no database, at this path when it was last looked at, and of how many bytes? Says nothing of what is there
 * now. NULL c: false.
 */
bool filescache_remembers(struct filescache *c, const char *path, uint64_t *out_bytes);
/* Is this the same regular file that was looked at, not a database? NULL c: false. */
bool filescache_knows(struct filescache *c, const char *path, const struct stat *st);
/*
 * 1 and *out_file, the caller's to wipe, when filescache_knows; 0 when not; ERR_NOMEM. What is found is kept by
 * the next save.
 */
int filescache_get(struct filescache *c, const char *path, const struct stat *st,
		   struct filescache_file *out_file, struct err *err) ERR_UNUSED_WARN;
/* Notes a file that was read; looked_at_ns is when reading began. Replaces what was known of path. NULL c: nothing. */
int filescache_put(struct filescache *c, const char *path, const struct stat *st,
		   int64_t looked_at_ns, const struct filescache_file *file,
		   struct err *err) ERR_UNUSED_WARN;

/*
 * Of a path that the caller judges by itself, 32 bytes instead: true and *out_mark when something was put for it, which the
 * next save keeps. A file's entry is no mark, nor a mark a file's entry. NULL c: false.
 */
bool filescache_get_mark(struct filescache *c, const char *path, struct id *out_mark);
/* Replaces the mark of path. NULL c: nothing. */
int filescache_put_mark(struct filescache *c, const char *path, const struct id *mark,
			struct err *err) ERR_UNUSED_WARN;

/*
 * Of a folder that holds neither folders nor databases: the sum of its entries (repo/tree_sum.h), and the tree nodes that those became,
 * its root list the last; how many files there are, of how many bytes. {0} is valid for the wipe.
 */
struct filescache_folder {
	struct id sum;
	struct chunk_ref *nodes; /* owned; at least one */
	size_t node_count;
	uint64_t files, bytes;
};
void filescache_folder_wipe(struct filescache_folder *folder);
/* 1 and *out_folder, the caller's to wipe, when something was put for it, which the next save keeps; 0 when not; ERR_NOMEM. */
int filescache_get_folder(struct filescache *c, const char *path,
			  struct filescache_folder *out_folder, struct err *err) ERR_UNUSED_WARN;
/*
 * 1 when no name can have come or gone since, so that it need not be listed to know which there are: the folder itself is as it was
 * when it was put. Says nothing of the files. 0 when not; ERR_NOMEM.
 */
int filescache_folder_names(struct filescache *c, const char *path, const struct stat *st,
			    uint64_t *out_files, uint64_t *out_bytes,
			    struct err *err) ERR_UNUSED_WARN;
/* st: of the folder, looked at before it was listed; NULL: filescache_folder_names is never to say 1. Copies the nodes. */
int filescache_put_folder(struct filescache *c, const char *path, const struct stat *st,
			  int64_t looked_at_ns, const struct filescache_folder *folder,
			  struct err *err) ERR_UNUSED_WARN;

/* Writes what changed, and marks the file as used today. Call it once, when the backup is made. ERR_NOMEM only. */
int filescache_save(struct filescache *c, struct err *err) ERR_UNUSED_WARN;

/* Why the cache could not be read, or after the save why it could not be written; "" when it could. */
const char *filescache_note(const struct filescache *c);
/* Entries in memory, for tests and statistics. */
size_t filescache_count(const struct filescache *c);

#endif
