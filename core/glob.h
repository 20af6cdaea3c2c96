/*
 * glob: restic-style exclude and include patterns, on byte strings (names need not be UTF-8). Pure.
 *
 * A pattern is split at '/'; empty components, as in "a//b" and "a/", count for nothing. In a component `*`, `?`,
 * `[a-z]`, `[^a-z]` (or `[!a-z]`) and `\x` mean what the shell means and never match '/', but a leading dot is a
 * byte like any other. A component `**` matches any number of components, none included. A pattern that
 * starts with '/' is matched from the root of the path; any other may start at every component. A
 * pattern matches a path when it matches all of it or one of its parent directories.
 */
#ifndef NIGHTJAR_CORE_GLOB_H
#define NIGHTJAR_CORE_GLOB_H

#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"

/* ERR_USAGE naming the pattern when it cannot be meant: empty, an unclosed '[', a trailing '\'. */
int glob_validate(const char *pattern, struct err *err) ERR_UNUSED_WARN;

/* path: absolute, no trailing '/', no empty components. The pattern must be valid. */
bool glob_match(const char *pattern, const char *path);

/* As glob_match, but the path itself must match, not a parent of it. */
bool glob_match_whole(const char *pattern, const char *path);

/* True when something below the directory path could match: an include filter must enter it. */
bool glob_may_match_below(const char *pattern, const char *path);

#endif
