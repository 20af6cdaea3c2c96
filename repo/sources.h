/*
 * sources: the path operands of a backup, made absolute, ordered, without those that lie below another. An operand
 * that is itself a symlink is followed (its contents are kept under the name given); symlinks met below
 * are kept as symlinks. One thread.
 */
#ifndef NIGHTJAR_REPO_SOURCES_H
#define NIGHTJAR_REPO_SOURCES_H

#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"

struct source {
	char *path; /* absolute, no ".", "..", "//" or trailing '/': its name in the backup */
	char *real; /* where it is opened: path, or what the symlink leads to */
};

struct sources {
	struct source *items; /* ascending by path bytes, '/' lowest */
	size_t count;
	struct source
	    *nested; /* the operands that lie below one of items: not walked by themselves */
	size_t nested_count;
};

/* ERR_USAGE an empty operand or none; ERR_MISSING one that does not exist, named. */
int sources_resolve(const char *const *operands, size_t count, struct sources *out_sources,
		    struct err *err) ERR_UNUSED_WARN;
void sources_free(struct sources *s); /* {0} is fine */

/* Where a path at or below one of items is opened; malloc'd. NULL: no memory. */
char *sources_real(const struct sources *s, const char *path);

/* path lies at above or below it. */
bool sources_lies_below(const char *path, const char *above);

#endif
