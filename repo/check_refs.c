/* The references that manifests recorded, looked at again: of the newest backup of each group, or of the chosen ones. */
#include "repo/check_run.h"

#include "repo/refs.h"
#include "repo/tree_read.h"

struct telling {
	struct check_run *run;
	const struct id *manifest, *root;
};

static int on_tick(void *arg)
{
	const struct telling *t = arg;
	const struct check_options *o = t->run->options;

	return o->progress ? o->progress(o->arg, 0, 0, "") : 0;
}

static void on_missing(void *arg, const char *database, const char *path, const char *text)
{
	const struct telling *t = arg;
	const struct check_options *o = t->run->options;

	if (o->missing)
		o->missing(o->arg, t->manifest, database, path, text);
}

/* --- damage: the copies to blame are found, told and noted --- */

static int blame_chunk(void *arg, const struct chunk_ref *ref, const char *path, struct err *err)
{
	struct check_run *run = arg;

	(void)path;
	return check_read_chunk(run, ref->kind, &ref->id, err);
}

static int blame_content(void *arg, const struct entry *e, const struct chunk_ref *children,
			 struct err *err)
{
	struct check_run *run = arg;

	return content_refs(run->reader, e, children, "", blame_chunk, run, err);
}

static int on_damaged(void *arg, const char *path, const struct err *why, struct err *err)
{
	const struct telling *t = arg;
	struct check_run *run = t->run;
	size_t told = run->found_count;
	struct err blame = {0};
	int r = tree_lookup(run->reader, t->root, path, blame_content, run, &blame);

	if (check_ends(r)) {
		*err = blame;
		return r;
	}
	check_tell_found(run, told);
	check_tell_touched(run, t->manifest, path, why->text);
	return 0;
}

static int check_one(struct check_run *run, const struct manifest_item *item, struct err *err)
{
	struct telling telling = {run, &item->name, &item->m.root};
	const struct refs_rerun rerun = {
	    .options = {.cache_dir = run->options->cache_dir,
			.tick = on_tick,
			.missing = on_missing,
			.damaged = on_damaged,
			.arg = &telling},
	    .hash = run->options->read_data && run->part.all,
	};
	struct refs_count sum;
	struct err why = {0};
	int r = refs_rerun(run->reader, &item->m, &rerun, &sum, &why);

	if (check_ends(r)) {
		*err = why;
		return r;
	}
	run->result->ref_queries += item->m.ref_count;
	run->result->refs_referenced += sum.referenced;
	run->result->refs_missing += sum.missing;
	run->result->refs_failed += sum.failed;
	if (r)
		run->result->refs_failed++;
	if (r == -ERR_DAMAGED || r == -ERR_MISSING) /* a folder: it is not known what is in it */
		check_tell_touched(run, &item->name, "/", why.text);
	else if (r)
		on_missing(&telling, "", "", why.text);
	return 0;
}

/* The list is in order of time. */
static bool is_newest(const struct manifest_list *list, size_t at)
{
	for (size_t i = at + 1; i < list->count; i++) {
		if (id_eq(&list->items[i].m.group, &list->items[at].m.group))
			return false;
	}
	return true;
}

int check_refs(struct check_run *run, const struct manifest_list *list, struct err *err)
{
	int r = 0;

	for (size_t i = 0; !r && i < list->count; i++) {
		const struct manifest_item *item = &list->items[i];

		if (!item->m.has_read || item->m.ref_count == 0)
			continue;
		if (run->options->manifests ? check_is_chosen(run, item) : is_newest(list, i))
			r = check_one(run, item, err);
	}
	return r;
}
