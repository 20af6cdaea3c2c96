/*
 * restore_attrs: what an entry of a tree says besides its content, as fswrite puts it on a file. Internal to restore. One thread.
 */
#ifndef NIGHTJAR_REPO_RESTORE_ATTRS_H
#define NIGHTJAR_REPO_RESTORE_ATTRS_H

#include "core/node.h"
#include "repo/fswrite.h"

/* a points into the rest, so one is not copied. */
struct restore_attrs {
	struct fsw_attrs a;
	char user[256], group[256];
	struct fsw_xattr *xattrs;
	char *names;
};

/* Values of extended attributes stay the entry's. Wipe it after a failure, too. */
int restore_attrs_of(const struct entry *e, struct restore_attrs *out,
		     struct err *err) ERR_UNUSED_WARN;
void restore_attrs_wipe(struct restore_attrs *a);

#endif
