/*
 * fswrite_place: where one entry goes: its open folder, its name there, and a temporary name. What the parts of fswrite share; for
 * them only. One thread.
 */
#ifndef NIGHTJAR_REPO_FSWRITE_PLACE_H
#define NIGHTJAR_REPO_FSWRITE_PLACE_H

#include "repo/fswrite.h"
#include "repo/fswrite_attrs.h"
#include "repo/fswrite_dir.h"

#define FSW_TEMP_PREFIX ".nightjar-"
#define FSW_TEMP_SUFFIX ".tmp"
#define FSW_TEMP_DIGITS 8u
#define FSW_TEMP_BYTES 32

struct fsw {
	struct fsw_dirs *dirs;
	struct fsw_ids *ids;
	fsw_warn_fn *warn;
	void *warn_arg;
};

/* Made by fsw_place_find, ended by fsw_place_end. */
struct fsw_place {
	struct fsw *w;
	struct fsw_dir *dir;
	const char *path; /* below the target */
	const char *name; /* its last component */
	char temp[FSW_TEMP_BYTES];
	bool temp_made;
};

struct fsw_file {
	struct fsw_place place;
	char *path;
	int fd;
	uint64_t size_bytes;
	bool existing; /* it lies under its own name, not a temporary one */
	bool changed;  /* existing: something was written to it */
};

int fsw_place_find(struct fsw *w, const char *path, struct fsw_place *out,
		   struct err *err) ERR_UNUSED_WARN;
/* Removes what is still under the temporary name. */
void fsw_place_end(struct fsw_place *p);

/* How one kind of entry is made under a temporary name. Gives -1 with errno, as the system call does. */
typedef int fsw_temp_make_fn(int dirfd, const char *name, const void *arg);
/*
 * Every kind is made by a call that fails when the name is there, so a symlink that somebody planted under
 * a name that he guessed is not followed: the next random name is tried.
 */
int fsw_temp_make(struct fsw_place *p, fsw_temp_make_fn *make, const void *arg, int *out_result,
		  struct err *err) ERR_UNUSED_WARN;
/* Gives what is under the temporary name its own, in place of what has it. */
int fsw_temp_rename(struct fsw_place *p, struct err *err) ERR_UNUSED_WARN;
/* Renames without replacing. 0 or an errno. */
int fsw_rename_new(int dirfd, const char *from, const char *to);
/* Whether name is one that fsw_temp_make gives. */
bool fsw_temp_is_name(const char *name);

/* Whether the temporary name still is our file: who may write in the folder could have put another there. */
int fsw_file_is_ours(const struct fsw_file *f, struct err *err) ERR_UNUSED_WARN;
void fsw_file_free(struct fsw_file *f); /* closes it, and removes its temporary name */

struct fsw_warning fsw_warning_of(const struct fsw *w, const char *path);

#endif
