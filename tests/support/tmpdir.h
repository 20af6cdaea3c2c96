/*
 * tmpdir: a private folder for one test, below $TMPDIR or /tmp. Anything that goes wrong here
 * prints why and aborts: a test cannot go on without it.
 */
#ifndef NIGHTJAR_TESTS_SUPPORT_TMPDIR_H
#define NIGHTJAR_TESTS_SUPPORT_TMPDIR_H

/* Makes an empty folder, mode 0700. The path is absolute if $TMPDIR is. */
char *tmpdir_make(void);

/* "<dir>/<name>", newly allocated; the caller frees it. */
char *tmpdir_path(const char *dir, const char *name);

/*
 * Removes the folder with everything below it and frees the path. Never follows a symlink, never
 * enters another file system. NULL is fine.
 */
void tmpdir_remove(char *dir);

#endif
