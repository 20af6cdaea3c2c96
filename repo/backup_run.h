/*
 * backup_run: what the parts of one backup run share (backup.c and backup_*.c). Internal to them.
 */
#ifndef NIGHTJAR_REPO_BACKUP_RUN_H
#define NIGHTJAR_REPO_BACKUP_RUN_H

#include "core/manifest.h"
#include "repo/backup.h"
#include "repo/chunkcache.h"
#include "repo/dbstate.h"
#include "repo/filescache.h"
#include "repo/footing.h"
#include "repo/fsread.h"
#include "repo/manifests.h"
#include "repo/reader.h"
#include "repo/refs.h"
#include "repo/snapshot.h"
#include "repo/sources.h"

/* A database found in the first walk. */
struct backup_db {
	char *path;                /* in the backup */
	char *real;                /* where it is opened */
	struct fs_meta meta;       /* before it was opened */
	struct snapshot *snapshot; /* between taking and storing */
	struct dbstate state;      /* before it was opened; not known without a cache */
	bool known;  /* as the parent manifest has it: content and facts are from there */
	bool failed; /* reported, left out: no image, or no entry in the tree */
	bool placed; /* in the tree */
	bool asked;  /* --refs has a query for it */
	struct content content;
	struct packer_tally
	    *tally;               /* complete after packer_finish; stays in place when dbs moves */
	struct manifest_db facts; /* moved into the manifest at the end */
};

/* A folder that holds databases, as it was before one was opened. */
struct backup_folder {
	char *path;
	struct timespec mtime;
};

/* What the first walk came by, as keyed hashes of paths. */
struct backup_carry {
	uint8_t key[16];
	uint64_t *seen;
	size_t count, cap;
	bool sorted;
};

struct backup_old;
struct backup_old_entry;
struct dir_writer;

/* A folder as the parent manifest has it, for the first walk of an immutable one. */
struct backup_known_folder {
	char *path;
	struct id list;
	struct backup_old *old;
};

struct backup_run {
	struct repo *repo;
	const struct backup_options *options;
	struct backup_result *result;
	struct index *index;
	struct reader *reader;
	struct packer *packer;
	struct content_writer *writer;
	struct fs_names *names;
	struct filescache *cache;  /* NULL: none */
	struct chunkcache *chunks; /* NULL: none */
	struct sources sources;
	struct backup_filter *filter;
	struct manifest_list manifests;
	const struct manifest *parent; /* what is compared with and rested on, or NULL */
	struct id parent_name;
	bool
	    follows; /* the cache was saved by the backup that the parent is of, or by one of an equal tree */
	struct backup_db *dbs; /* ascending by path once scanned */
	size_t db_count, db_cap;
	struct backup_folder *folders; /* ascending by path once scanned */
	size_t folder_count, folder_cap;
	const char *snapshotting;          /* the database that is copied or checked */
	uint64_t pages, pages_total;       /* of it */
	uint64_t files_total, bytes_total; /* as the first walk counted them */
	uint64_t bytes_read;               /* of the file that is being read */
	uint8_t *io;                       /* IO_BYTES */
	struct refs *refs;                 /* NULL: none */
	struct sha256 *hash;               /* of the file that is being read, for refs; or NULL */
	struct backup_carry carry;
	struct sources immutable; /* folders */
	struct backup_known_folder known;
	struct footing footing;
	bool again; /* a prune has condemned what it rests on: all is to be gone over once more */
	struct chunk_ref *lacking; /* of a manifest that was published just when that happened */
	size_t lacking_count;
};
#define IO_BYTES (1u << 20)
#define BACKUP_HEAD_BYTES 16 /* a shorter file is no database */

/* What a run needs before it reads a source: the parent, index, notes, caches, a packer. Numbers the manifest. */
int backup_open(struct backup_run *run, struct manifest *m, struct err *err) ERR_UNUSED_WARN;
/* Once the manifest is there. The backup is made, and nothing about the caches can change that. */
void backup_save_caches(struct backup_run *run, const struct manifest *m);

#define BACKUP_INTEGRITY_EVERY 7 /* nights */
/*
 * Of a write key, which opens no manifest: those that it made last get their sealed parts from the cache, as far as they are there; and into
 * the cache for the next backup goes the one that was just put. Nothing for other roles, or without a cache of chunks. ERR_NOMEM only.
 */
int backup_own_recall(struct backup_run *run, struct err *err) ERR_UNUSED_WARN;
int backup_own_keep(struct backup_run *run, const struct manifest *m,
		    struct err *err) ERR_UNUSED_WARN;
void backup_close(struct backup_run *run); /* also after a failed open */

/* The clock, or what the options say instead. */
int64_t backup_clock_ns(const struct backup_run *run);
/* Reports what could not be read (exit 3) and counts it. */
void backup_unreadable(struct backup_run *run, const char *path, const char *text);
void backup_warning(struct backup_run *run, const char *path, const char *text);
/* Asks whether to go on; ERR_CANCELLED when not. */
int backup_tick(struct backup_run *run, enum backup_phase phase, const char *path,
		struct err *err) ERR_UNUSED_WARN;
/* backup_filter_wants, and says so when something of ours is left out: for the second walk. */
bool backup_wants(struct backup_run *run, int dirfd, const char *name, const char *path,
		  struct stat *out_st);
/* True for failures that end the run instead of leaving out one entry. */
bool backup_fatal(int r);
/* "/a" + "b" → "/a/b", malloc'd; "/" + "b" → "/b". */
char *backup_join(const char *folder, const char *name);

/* First walk: finds databases, and counts the files. */
int backup_scan(struct backup_run *run, struct err *err) ERR_UNUSED_WARN;
/* At the end of dbs. Takes the meta, which is {0} after. */
int backup_db_add(struct backup_run *run, const char *path, struct fs_meta *meta,
		  struct err *err) ERR_UNUSED_WARN;
/* Scans, takes all snapshots close together, checks and stores them. */
int backup_databases(struct backup_run *run, struct err *err) ERR_UNUSED_WARN;
/*
 * Second walk: the same for one that the scan took for another file, or that has become a database since. When it could not be
 * copied, that is told and it is `failed`. Moves what backup_db_find has given before.
 */
int backup_db_late(struct backup_run *run, const char *path, struct fs_meta *meta,
		   struct err *err) ERR_UNUSED_WARN;
struct backup_db *backup_db_find(const struct backup_run *run, const char *path);
/* Is path "x-wal", "x-shm" or "x-journal" of the database x? */
bool backup_lies_beside(const char *path, const char *db);
/* True for "x-wal", "x-shm", "x-journal" beside a database x that was found. */
bool backup_is_sidecar(const struct backup_run *run, const char *path);
const struct backup_folder *backup_folder_find(const struct backup_run *run, const char *path);
/*
 * Looks at a database's state. 1 when it is the one that its image in the parent manifest was made of, and everything of that is
 * still stored: then it has content and facts, and needs no snapshot. 0 when not, or check_due.
 */
int backup_db_known(struct backup_run *run, struct backup_db *db, bool check_due,
		    struct err *err) ERR_UNUSED_WARN;
void backup_db_tell_known(struct backup_run *run, const struct backup_db *db);
/* A file was kept: says so when the parent manifest has it as a database, and counts that as one that failed. */
void backup_tell_former(struct backup_run *run, const char *path);
/* After the walks: warns of each database of the parent manifest at whose path nothing is any more. */
void backup_tell_gone(struct backup_run *run);
/* Once content and facts are there: notes the state for the next backup, if it was the same all the time. */
int backup_db_note(struct backup_run *run, const struct backup_db *db,
		   struct err *err) ERR_UNUSED_WARN;
void backup_databases_free(struct backup_run *run);

/* Is everything that the content rests on in the repository, chunk lists' own children included? ERR_MISSING when not. */
int backup_content_there(struct backup_run *run, const struct entry *e,
			 const struct chunk_ref *children, const char *path,
			 struct err *err) ERR_UNUSED_WARN;
int backup_file_there(struct backup_run *run, const struct filescache_file *file, const char *path,
		      struct err *err) ERR_UNUSED_WARN;
/* 1 and *out_file when the file is as the last backup saw it and everything it became is still stored; 0 when not. */
int backup_file_cached(struct backup_run *run, const char *path, const struct stat *st,
		       struct filescache_file *out_file, struct err *err) ERR_UNUSED_WARN;
/* Reads a regular file, whose meta the caller has just read, into the packer. 1: it is a database, and was not read. */
int backup_file_read(struct backup_run *run, int dirfd, const char *name, const char *path,
		     const struct fs_meta *meta, struct filescache_file *out_file,
		     struct err *err) ERR_UNUSED_WARN;

/* Second walk: a folder and all below it. dirfd -1: it cannot be opened; of old, its list in the parent manifest, what vanished is kept. */
int backup_folder(struct backup_run *run, int dirfd, const char *path, const struct id *old,
		  unsigned depth, struct id *out_list, struct err *err) ERR_UNUSED_WARN;
/* Second walk: reads files and stores the tree. */
int backup_tree(struct backup_run *run, struct id *out_root, struct err *err) ERR_UNUSED_WARN;

/* --- backup_carry.c --- */
/* The first walk came by this file or folder. */
int backup_carry_note(struct backup_run *run, const char *path, struct err *err) ERR_UNUSED_WARN;
/* The first walk found that a folder has all the names that the parent manifest has, and did not list it. */
int backup_carry_note_all(struct backup_run *run, const char *folder,
			  struct err *err) ERR_UNUSED_WARN;
/* 1 when what vanished was added to w as the parent manifest has it, 0 when that has not, or not whole. */
int backup_carry(struct backup_run *run, const char *path, const char *name,
		 const struct backup_old *old, unsigned depth, struct dir_writer *w,
		 struct err *err) ERR_UNUSED_WARN;
/* The same of all names of old, from where it is, up to this one (NULL: all), that the first walk came by. Leaves old there. */
int backup_carry_until(struct backup_run *run, const char *folder, const char *name,
		       struct backup_old *old, unsigned depth, struct dir_writer *w,
		       struct err *err) ERR_UNUSED_WARN;
void backup_carry_free(struct backup_run *run);

/* --- backup_refs.c; without --refs all of it does nothing --- */
int backup_refs_open(struct backup_run *run, struct err *err) ERR_UNUSED_WARN;
/* Once all databases are found: marks those that are asked. ERR_USAGE unless each query means exactly one. */
int backup_refs_match(struct backup_run *run, struct err *err) ERR_UNUSED_WARN;
/* Could a query mean a database of this path? */
bool backup_refs_mean(const struct backup_run *run, const char *path);
/* Asks a database that has its snapshot. */
int backup_refs_ask(struct backup_run *run, const struct backup_db *db,
		    struct err *err) ERR_UNUSED_WARN;
void backup_refs_lost(struct backup_run *run, const struct backup_db *db);
/* Between the two walks. */
int backup_refs_ready(struct backup_run *run, struct err *err) ERR_UNUSED_WARN;
/* Around the reading of a dense file; what read_range reads between goes into run->hash. */
int backup_refs_hash_begin(struct backup_run *run, const char *path,
			   struct err *err) ERR_UNUSED_WARN;
int backup_refs_hash_end(struct backup_run *run, const char *path, struct err *err) ERR_UNUSED_WARN;
void backup_refs_hash_drop(struct backup_run *run); /* it was not read whole */
/* After the second walk: judges, tells, and fills what the manifest records. */
int backup_refs_finish(struct backup_run *run, struct manifest *m, struct err *err) ERR_UNUSED_WARN;
/* Just before the manifest. */
void backup_refs_tell(struct backup_run *run, const struct manifest *m);

/* --- backup_immutable.c --- */
/* ERR_USAGE for one that lies in no source or is no folder. */
int backup_immutable_open(struct backup_run *run, struct err *err) ERR_UNUSED_WARN;
bool backup_is_immutable(const struct backup_run *run, const char *path);
/* First walk: 1 when this name of an immutable folder is known, with size and time, as a file that is no database. */
int backup_immutable_scan(struct backup_run *run, const char *folder, const char *name,
			  const struct stat *st, struct err *err) ERR_UNUSED_WARN;
void backup_immutable_close_folder(struct backup_run *run);
/* As backup_file_cached, of a file that may have another inode and ctime than it had. old: NULL = not in the parent. */
int backup_immutable_known(struct backup_run *run, const char *path, const struct stat *st,
			   const struct backup_old_entry *old, struct filescache_file *out_file,
			   struct err *err) ERR_UNUSED_WARN;
/* Raises the alarm when an entry is not what the parent manifest has in an immutable folder. content: of a file. */
void backup_immutable_judge(struct backup_run *run, const char *path, const struct entry *e,
			    const struct content *content, const struct backup_old_entry *old);

#endif
