/*
 * backup_run: what the parts of one backup run share (backup.c, backup_db.c, backup_known.c, backup_file.c, backup_tree.c). Internal to them.
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
	struct content content;
	struct packer_tally tally; /* complete after packer_finish */
	struct manifest_db facts;  /* moved into the manifest at the end */
};

/* A folder that holds databases, as it was before one was opened. */
struct backup_folder {
	char *path;
	struct timespec mtime;
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
	struct backup_db *dbs; /* ascending by path once scanned */
	size_t db_count, db_cap;
	struct backup_folder *folders; /* ascending by path once scanned */
	size_t folder_count, folder_cap;
	const char *snapshotting;          /* the database that is copied or checked */
	uint64_t pages, pages_total;       /* of it */
	uint64_t files_total, bytes_total; /* as the first walk counted them */
	uint64_t bytes_read;               /* of the file that is being read */
	uint8_t *io;                       /* IO_BYTES */
	struct footing footing;
	bool again; /* a prune has condemned what it rests on: all is to be gone over once more */
	struct chunk_ref *lacking; /* of a manifest that was published just when that happened */
	size_t lacking_count;
};
#define IO_BYTES (1u << 20)

/* The clock, or what the options say instead. */
int64_t backup_clock_ns(const struct backup_run *run);
/* Reports what could not be read (exit 3) and counts it. */
void backup_unreadable(struct backup_run *run, const char *path, const char *text);
void backup_warning(struct backup_run *run, const char *path, const char *text);
/* Asks whether to go on; ERR_CANCELLED when not. */
int backup_tick(struct backup_run *run, enum backup_phase phase, const char *path,
		struct err *err) ERR_UNUSED_WARN;
/* backup_filter_wants, and says so when something of ours is left out: for the second walk. */
bool backup_wants(struct backup_run *run, int dirfd, const char *name, const char *path);
/* True for failures that end the run instead of leaving out one entry. */
bool backup_fatal(int r);
/* "/a" + "b" → "/a/b", malloc'd; "/" + "b" → "/b". */
char *backup_join(const char *folder, const char *name);

/* First walk: finds databases, takes all snapshots close together, checks and stores them. */
int backup_databases(struct backup_run *run, struct err *err) ERR_UNUSED_WARN;
const struct backup_db *backup_db_find(const struct backup_run *run, const char *path);
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
/* Once content and facts are there: notes the state for the next backup, if it was the same all the time. */
int backup_db_note(struct backup_run *run, const struct backup_db *db,
		   struct err *err) ERR_UNUSED_WARN;
void backup_databases_free(struct backup_run *run);

/* 1 and *out_file when the file is as the last backup saw it and everything it became is still stored; 0 when not. */
int backup_file_cached(struct backup_run *run, const char *path, const struct stat *st,
		       struct filescache_file *out_file, struct err *err) ERR_UNUSED_WARN;
/* Reads a regular file, whose meta the caller has just read, into the packer. */
int backup_file_read(struct backup_run *run, int dirfd, const char *name, const char *path,
		     const struct fs_meta *meta, struct filescache_file *out_file,
		     struct err *err) ERR_UNUSED_WARN;

/* Second walk: reads files and stores the tree. */
int backup_tree(struct backup_run *run, struct id *out_root, struct err *err) ERR_UNUSED_WARN;

#endif
