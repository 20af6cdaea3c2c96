/*
 * backup_piece: what goes into the tree for one name, made of what the file system says of it. Internal to backup_*.c; one thread.
 */
#ifndef NIGHTJAR_REPO_BACKUP_PIECE_H
#define NIGHTJAR_REPO_BACKUP_PIECE_H

#include "repo/backup_run.h"

/* {0} to begin. Its spans point into meta and names. */
struct backup_piece {
	struct entry e;
	struct fs_meta meta; /* its st is there before the rest, where the filter needed it */
	struct filescache_file file;
	struct chunk_ref list;     /* a folder's child */
	const struct content *use; /* the file's, or a database's */
};
void backup_piece_wipe(struct backup_piece *p);

/* All of the entry that meta's stat and target say. */
int backup_piece_meta(struct backup_run *run, struct backup_piece *p, const struct fs_meta *meta,
		      const char *name, struct err *err) ERR_UNUSED_WARN;
/* Are p->meta's extended attributes no more than an entry may have? */
bool backup_piece_xattrs_fit(const struct backup_piece *p);
/* Those of p->meta; too many are left out, and that is told. */
int backup_piece_xattrs(struct backup_run *run, struct backup_piece *p, const char *path,
			struct err *err) ERR_UNUSED_WARN;
/* p->file is what its bytes became. */
void backup_piece_use_file(struct backup_piece *p);

struct span backup_span_of(const char *s);

#endif
