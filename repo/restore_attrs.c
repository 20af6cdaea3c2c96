#include "repo/restore_attrs.h"

#include <stdlib.h>
#include <string.h>

static void copy_name(char out[256], const struct span *from)
{
	size_t len = from->len < 255 ? from->len : 0;

	if (len)
		memcpy(out, from->p, len);
	out[len] = '\0';
}

int restore_attrs_of(const struct entry *e, struct restore_attrs *out, struct err *err)
{
	size_t bytes = 1, at = 0;

	*out = (struct restore_attrs){.a = {.mode = e->mode,
					    .uid = e->uid,
					    .gid = e->gid,
					    .mtime_s = e->mtime_s,
					    .mtime_ns = e->mtime_ns}};
	copy_name(out->user, &e->user);
	copy_name(out->group, &e->group);
	out->a.user = out->user;
	out->a.group = out->group;
	for (size_t i = 0; i < e->xattr_count; i++)
		bytes += e->xattrs[i].name.len + 1;
	out->names = malloc(bytes);
	out->xattrs = calloc(e->xattr_count + 1, sizeof(*out->xattrs));
	if (!out->names || !out->xattrs)
		return err_nomem(err);
	for (size_t i = 0; i < e->xattr_count; i++) {
		const struct entry_xattr *x = &e->xattrs[i];

		memcpy(out->names + at, x->name.p, x->name.len);
		out->names[at + x->name.len] = '\0';
		out->xattrs[i] = (struct fsw_xattr){out->names + at, x->value.p, x->value.len};
		at += x->name.len + 1;
	}
	out->a.xattrs = out->xattrs;
	out->a.xattr_count = e->xattr_count;
	return 0;
}

void restore_attrs_wipe(struct restore_attrs *a)
{
	free(a->names);
	free(a->xattrs);
}
