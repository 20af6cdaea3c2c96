#include "repo/diff.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/browse.h"
#include "repo/diff_walk.h"
#include "repo/idset.h"

struct side {
	const struct manifest *m;
	char *sub; /* tidy */
	const struct domain_keys *domain;
	struct idset blobs[2]; /* of the parts that differ: data, and trees and lists */
	struct diff_counts *counts;
	char sign[2];
};

struct run {
	struct reader *reader;
	const struct diff_options *options;
	struct diff_result *result;
	struct side side[2];
	bool single; /* two files, not folders, are compared */
};

enum { BEFORE, AFTER };

static void tell(struct run *run, const char *modifier, const char *path)
{
	if (run->options->cb.change)
		run->options->cb.change(run->options->cb.arg, modifier, path);
}

static int tick(void *arg)
{
	const struct run *run = arg;

	return run->options->cb.progress ? run->options->cb.progress(run->options->cb.arg) : 0;
}

static int check_tick(struct run *run, struct err *err)
{
	return tick(run) ? err_set(err, ERR_CANCELLED, "interrupted") : 0;
}

/* "/a" + "b", a folder's with a '/' at its end. */
static int path_of(const char *folder, const struct entry *e, char **out, struct err *err)
{
	char *path = NULL;
	int r = browse_join(folder, &e->name, &path, err);

	*out = path;
	if (!r && e->type == ENTRY_DIR) {
		if (asprintf(out, "%s/", path) < 0) {
			*out = NULL;
			r = err_nomem(err);
		}
		free(path);
	}
	return r;
}

/* --- blobs --- */

static int add_blob(void *arg, const struct chunk_ref *ref, const char *path, struct err *err)
{
	struct side *s = arg;

	(void)path;
	return idset_add(&s->blobs[ref->kind == CHUNK_DATA ? 0 : 1], &ref->id, err);
}

static int add_node(void *arg, const struct id *list, const struct tree_node *node, struct err *err)
{
	struct side *s = arg;
	int r = idset_add(&s->blobs[1], list, err);

	return r ? r : idset_add(&s->blobs[1], &node->children[0].id, err);
}

static int add_content(struct run *run, struct side *s, const struct entry *e,
		       const struct chunk_ref *children, struct err *err)
{
	return e->type == ENTRY_FILE
		   ? content_refs(run->reader, e, children, NULL, add_blob, s, err)
		   : 0;
}

static uint64_t stored_bytes(const struct index *index, const struct id *id)
{
	for (uint8_t kind = CHUNK_DATA; kind <= CHUNK_LIST_BODY; kind++) {
		uint32_t at = index_find(index, kind, id);

		if (at != INDEX_NONE)
			return index->places[at].stored_bytes;
	}
	return 0;
}

static void count_blobs(const struct run *run, const struct side *s, const struct side *other)
{
	const struct index *index = reader_index(run->reader);

	for (size_t k = 0; k < 2; k++) {
		for (size_t i = 0; i < s->blobs[k].size; i++) {
			const struct id *id = &s->blobs[k].cells[i];

			if (id_is_zero(id) || idset_has(&other->blobs[k], id))
				continue;
			*(k ? &s->counts->tree_blobs : &s->counts->data_blobs) += 1;
			s->counts->bytes += stored_bytes(index, id);
		}
	}
}

/* --- what only one side has --- */

static int tell_all(struct run *run, struct side *s, const char *folder, const struct id *list,
		    struct err *err);

static int tell_one(struct run *run, struct side *s, const char *folder, const struct entry *e,
		    const struct chunk_ref *children, struct err *err)
{
	char *path = NULL;
	int r = path_of(folder, e, &path, err);

	if (!r) {
		tell(run, s->sign, path);
		*(e->type == ENTRY_DIR    ? &s->counts->dirs
		  : e->type == ENTRY_FILE ? &s->counts->files
					  : &s->counts->others) += 1;
		r = add_content(run, s, e, children, err);
	}
	if (!r && e->type == ENTRY_DIR) {
		path[strlen(path) - 1] = '\0';
		r = tell_all(run, s, path, &children[0].id, err);
	}
	free(path);
	return r;
}

static int tell_all(struct run *run, struct side *s, const char *folder, const struct id *list,
		    struct err *err)
{
	struct diff_walk w;
	int r = diff_walk_begin(&w, run->reader, list, add_node, s, err);

	while (!r && w.depth) {
		r = check_tick(run, err);
		if (!r && diff_walk_node(&w)) {
			r = diff_walk_open(&w, err);
		} else if (!r) {
			r = tell_one(run, s, folder, diff_walk_entry(&w), diff_walk_children(&w),
				     err);
			diff_walk_pass(&w);
		}
	}
	diff_walk_end(&w);
	return r;
}

/* --- one entry on both sides --- */

static bool span_eq(const struct span *a, const struct span *b)
{
	return a->len == b->len && (a->len == 0 || memcmp(a->p, b->p, a->len) == 0);
}

static bool same_children(const struct entry *a, const struct chunk_ref *x, const struct entry *b,
			  const struct chunk_ref *y)
{
	if (a->child_count != b->child_count)
		return false;
	for (uint32_t i = 0; i < a->child_count; i++) {
		if (x[i].kind != y[i].kind || !id_eq(&x[i].id, &y[i].id))
			return false;
	}
	return true;
}

static bool same_content(const struct entry *a, const struct chunk_ref *x, const struct entry *b,
			 const struct chunk_ref *y)
{
	if (a->size != b->size || a->encoding != b->encoding || a->shape != b->shape ||
	    a->extent_count != b->extent_count)
		return false;
	for (size_t i = 0; i < a->extent_count; i++) {
		if (a->extents[i].offset != b->extents[i].offset ||
		    a->extents[i].len != b->extents[i].len)
			return false;
	}
	return same_children(a, x, b, y);
}

static bool same_metadata(const struct entry *a, const struct entry *b)
{
	if (a->mode != b->mode || a->uid != b->uid || a->gid != b->gid ||
	    a->mtime_s != b->mtime_s || a->mtime_ns != b->mtime_ns || a->link != b->link ||
	    a->dev_major != b->dev_major || a->dev_minor != b->dev_minor ||
	    !span_eq(&a->user, &b->user) || !span_eq(&a->group, &b->group) ||
	    !span_eq(&a->target, &b->target) || a->xattr_count != b->xattr_count)
		return false;
	for (size_t i = 0; i < a->xattr_count; i++) {
		if (!span_eq(&a->xattrs[i].name, &b->xattrs[i].name) ||
		    !span_eq(&a->xattrs[i].value, &b->xattrs[i].value))
			return false;
	}
	return true;
}

static const struct manifest_db *db_of(const struct manifest *m, const char *path)
{
	for (size_t i = 0; i < m->db_count; i++) {
		if (strcmp(m->dbs[i].path, path) == 0)
			return &m->dbs[i];
	}
	return NULL;
}

/* The path of an entry in its manifest, from the path below its sub. */
static char *full_path(const struct run *run, const struct side *s, const char *path)
{
	char *full = NULL;

	if (run->single)
		return strdup(s->sub);
	if (strcmp(s->sub, "/") == 0)
		return strdup(path);
	return asprintf(&full, "%s%s", s->sub, path) < 0 ? NULL : full;
}

struct pair {
	const struct entry *e[2];
	const struct chunk_ref *children[2];
};

static int diff_rows(struct run *run, const char *path, const struct pair *p, struct rowdiff *out,
		     struct err *err)
{
	struct rowdiff_side sides[2];
	const char *why = NULL;
	int r = 0;

	for (int i = BEFORE; !r && i <= AFTER; i++) {
		char *full = full_path(run, &run->side[i], path);

		sides[i] = (struct rowdiff_side){.e = p->e[i],
						 .children = p->children[i],
						 .domain = run->side[i].domain,
						 .db = full ? db_of(run->side[i].m, full) : NULL};
		r = full ? 0 : err_nomem(err);
		if (!r && (p->e[i]->encoding != ENCODING_CELLS || !sides[i].db))
			why = "it is not kept by rows";
		free(full);
	}
	if (!r && !why)
		return rowdiff_run(run->reader, &sides[BEFORE], &sides[AFTER], tick, run, out, err);
	if (!r) {
		out->uncounted = strdup(why);
		r = out->uncounted ? 0 : err_nomem(err);
	}
	return r;
}

static int diff_database(struct run *run, const char *path, const struct pair *p, struct err *err)
{
	struct rowdiff rows = {0};
	int r = 0;

	if (!run->options->cb.database)
		return 0;
	r = diff_rows(run, path, p, &rows, err);
	if (!r)
		run->options->cb.database(run->options->cb.arg, path, &rows, p->e[BEFORE]->size,
					  p->e[AFTER]->size);
	rowdiff_wipe(&rows);
	return r;
}

static int diff_folders(struct run *run, const char *folder, const struct id *a, const struct id *b,
			struct err *err);

static int diff_content(struct run *run, const char *path, const struct pair *p, struct err *err)
{
	int r;

	run->result->changed_files++;
	r = add_content(run, &run->side[BEFORE], p->e[BEFORE], p->children[BEFORE], err);
	if (!r)
		r = add_content(run, &run->side[AFTER], p->e[AFTER], p->children[AFTER], err);
	if (!r && entry_is_database(p->e[BEFORE]) && entry_is_database(p->e[AFTER]))
		r = diff_database(run, path, p, err);
	return r;
}

/* Of another type: what lies below a folder that is no more, or was none, is only on one side. */
static int diff_below(struct run *run, char *path, const struct pair *p, struct err *err)
{
	bool was = p->e[BEFORE]->type == ENTRY_DIR, is = p->e[AFTER]->type == ENTRY_DIR;
	size_t len = strlen(path);

	if (len > 1 && path[len - 1] == '/')
		path[len - 1] = '\0';
	if (was && is)
		return diff_folders(run, path, &p->children[BEFORE][0].id,
				    &p->children[AFTER][0].id, err);
	if (was)
		return tell_all(run, &run->side[BEFORE], path, &p->children[BEFORE][0].id, err);
	if (is)
		return tell_all(run, &run->side[AFTER], path, &p->children[AFTER][0].id, err);
	return 0;
}

static int diff_entries(struct run *run, const char *folder, const struct pair *p, struct err *err)
{
	const struct entry *a = p->e[BEFORE], *b = p->e[AFTER];
	bool files = a->type == ENTRY_FILE && b->type == ENTRY_FILE;
	bool modified = files && !same_content(a, p->children[BEFORE], b, p->children[AFTER]);
	char modifier[3] = "", *path = NULL;
	size_t used = 0;
	int r = path_of(folder, b, &path, err);

	if (a->type != b->type)
		modifier[used++] = DIFF_TYPE;
	if (modified)
		modifier[used++] = DIFF_MODIFIED;
	else if (run->options->metadata && !same_metadata(a, b))
		modifier[used++] = DIFF_METADATA;
	if (!r && used)
		tell(run, modifier, path);
	if (!r && modified)
		r = diff_content(run, path, p, err);
	if (!r)
		r = diff_below(run, path, p, err);
	free(path);
	return r;
}

/* --- two folders --- */

static int compare_names(const struct diff_walk *a, const struct diff_walk *b)
{
	struct span x, y;
	int c;

	if (!a->depth || !b->depth)
		return !a->depth - !b->depth;
	x = diff_walk_name(a);
	y = diff_walk_name(b);
	c = memcmp(x.p, y.p, x.len < y.len ? x.len : y.len);
	return c ? c : x.len < y.len ? -1 : x.len > y.len;
}

/* Opens the node that begins first, or passes over one that both have; *out_done: both are at entries, or one at its end. */
static int open_nodes(struct diff_walk *a, struct diff_walk *b, int c, bool *out_done,
		      struct err *err)
{
	const struct id *x = diff_walk_node(a), *y = diff_walk_node(b);

	*out_done = false;
	if (x && y && id_eq(x, y)) {
		diff_walk_pass(a);
		diff_walk_pass(b);
		return 0;
	}
	/* Of two that begin alike the one that has more below it, so that they come to be of one level. */
	if (x && y && c == 0 &&
	    a->nodes[a->depth - 1].body.level < b->nodes[b->depth - 1].body.level)
		return diff_walk_open(b, err);
	if (x && c <= 0)
		return diff_walk_open(a, err);
	if (y && c >= 0)
		return diff_walk_open(b, err);
	*out_done = true;
	return 0;
}

static int diff_next(struct run *run, const char *folder, struct diff_walk *a, struct diff_walk *b,
		     struct err *err)
{
	int c = compare_names(a, b), r;
	bool at_entries;

	r = open_nodes(a, b, c, &at_entries, err);
	if (r || !at_entries)
		return r;
	if (c < 0) {
		r = tell_one(run, &run->side[BEFORE], folder, diff_walk_entry(a),
			     diff_walk_children(a), err);
	} else if (c > 0) {
		r = tell_one(run, &run->side[AFTER], folder, diff_walk_entry(b),
			     diff_walk_children(b), err);
	} else {
		struct pair p = {{diff_walk_entry(a), diff_walk_entry(b)},
				 {diff_walk_children(a), diff_walk_children(b)}};

		r = diff_entries(run, folder, &p, err);
	}
	if (c <= 0)
		diff_walk_pass(a);
	if (c >= 0)
		diff_walk_pass(b);
	return r;
}

static int diff_folders(struct run *run, const char *folder, const struct id *a, const struct id *b,
			struct err *err)
{
	struct diff_walk x = {0}, y = {0};
	int r = 0;

	if (id_eq(a, b))
		return 0;
	r = diff_walk_begin(&x, run->reader, a, add_node, &run->side[BEFORE], err);
	if (!r)
		r = diff_walk_begin(&y, run->reader, b, add_node, &run->side[AFTER], err);
	while (!r && (x.depth || y.depth)) {
		r = check_tick(run, err);
		if (!r)
			r = diff_next(run, folder, &x, &y, err);
	}
	diff_walk_end(&x);
	diff_walk_end(&y);
	return r;
}

/* --- the whole --- */

struct found {
	struct run *run;
	const char *after_sub;
	const struct entry *a;
	const struct chunk_ref *a_children;
};

/* Both entries are at hand only here, within the two look-ups. */
static int found_after(void *arg, const struct entry *e, const struct chunk_ref *children,
		       struct err *err)
{
	const struct found *f = arg;
	struct pair p = {{f->a, e}, {f->a_children, children}};
	char root[] = "/";

	if (f->a->type == ENTRY_DIR && e->type == ENTRY_DIR)
		return diff_folders(f->run, root, &f->a_children[0].id, &children[0].id, err);
	f->run->single = true;
	return diff_entries(f->run, root, &p, err);
}

static int found_before(void *arg, const struct entry *e, const struct chunk_ref *children,
			struct err *err)
{
	struct found *f = arg;

	f->a = e;
	f->a_children = children;
	return tree_lookup(f->run->reader, &f->run->side[AFTER].m->root, f->after_sub, found_after,
			   f, err);
}

static int root_of(void *arg, const struct entry *e, const struct chunk_ref *children,
		   struct err *err)
{
	if (e->type != ENTRY_DIR)
		return err_set(err, ERR_USAGE, "a whole backup can only be compared with a folder");
	*(struct id *)arg = children[0].id;
	return 0;
}

static int diff_subs(struct run *run, struct err *err)
{
	struct side *a = &run->side[BEFORE], *b = &run->side[AFTER];
	bool all_a = strcmp(a->sub, "/") == 0, all_b = strcmp(b->sub, "/") == 0;
	struct found f = {.run = run, .after_sub = b->sub};
	struct id x = a->m->root, y = b->m->root;
	int r = 0;

	if (!all_a && !all_b)
		return tree_lookup(run->reader, &a->m->root, a->sub, found_before, &f, err);
	if (!all_a)
		r = tree_lookup(run->reader, &a->m->root, a->sub, root_of, &x, err);
	if (!r && !all_b)
		r = tree_lookup(run->reader, &b->m->root, b->sub, root_of, &y, err);
	return r ? r : diff_folders(run, "/", &x, &y, err);
}

static int side_open(struct run *run, struct side *s, const struct diff_side *from,
		     struct diff_counts *counts, char sign, struct err *err)
{
	s->m = from->m;
	s->counts = counts;
	s->sign[0] = sign;
	s->sub = browse_tidy(from->sub);
	if (!s->sub)
		return err_nomem(err);
	s->domain = keys_domain(reader_repo(run->reader)->keys, from->m->domain, err);
	return s->domain ? 0 : -err->code;
}

int diff_run(struct reader *reader, const struct diff_side *before, const struct diff_side *after,
	     const struct diff_options *options, struct diff_result *out_result, struct err *err)
{
	struct run run = {.reader = reader, .options = options, .result = out_result};
	struct side *a = &run.side[BEFORE], *b = &run.side[AFTER];
	int r;

	*out_result = (struct diff_result){0};
	r = side_open(&run, a, before, &out_result->removed, DIFF_REMOVED, err);
	if (!r)
		r = side_open(&run, b, after, &out_result->added, DIFF_ADDED, err);
	if (!r)
		r = diff_subs(&run, err);
	if (!r) {
		count_blobs(&run, a, b);
		count_blobs(&run, b, a);
	}
	for (size_t i = 0; i < 2; i++) {
		idset_free(&run.side[i].blobs[0]);
		idset_free(&run.side[i].blobs[1]);
		free(run.side[i].sub);
	}
	return r;
}
