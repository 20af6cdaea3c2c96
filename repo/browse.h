/*
 * browse: looking into a manifest without writing anything: the entries below a path, the bytes of one file, and the
 * path arithmetic that goes with it. One thread.
 */
#ifndef NIGHTJAR_REPO_BROWSE_H
#define NIGHTJAR_REPO_BROWSE_H

#include "repo/manifests.h"
#include "repo/tree_read.h"

/* The bytes of one file or database image, holes as zeros. ERR_USAGE when path is not a file. */
int browse_dump(struct reader *reader, const struct manifest *m, const char *path,
		content_bytes_fn *fn, void *arg, struct err *err) ERR_UNUSED_WARN;

/* The same of a file's entry that the caller has come by. */
int browse_content(struct reader *reader, const struct entry *entry,
		   const struct chunk_ref *children, content_bytes_fn *fn, void *arg,
		   struct err *err) ERR_UNUSED_WARN;

/*
 * Every entry below sub (NULL or "/" = all), depth first, in order, for `ls` and `find`. path is the full path; it
 * need not be UTF-8. fn nonzero ends the walk.
 */
typedef int browse_list_fn(void *arg, const char *path, const struct entry *entry, struct err *err);
int browse_list(struct reader *reader, const struct manifest *m, const char *sub,
		browse_list_fn *fn, void *arg, struct err *err) ERR_UNUSED_WARN;

/*
 * "/srv" + "app" → "/srv/app", malloc'd. ERR_LIMIT below LIMIT_READ_DEPTH folders: what walks a tree recurses, and a hostile
 * writer could nest it without end. On failure *out_path is NULL.
 */
int browse_join(const char *folder, const struct span *name, char **out_path,
		struct err *err) ERR_UNUSED_WARN;
/* The next two give malloc'd strings, NULL = out of memory. The folder above: "/srv/app" → "/srv"; "/srv" → "/". */
char *browse_folder_of(const char *path);
/* A path as typed → absolute, without "//" or a '/' at the end; NULL → "/". */
char *browse_tidy(const char *sub);

#endif
