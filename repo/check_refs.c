/* The references that manifests recorded, looked at again: of the newest backup of each group, or of the chosen ones. */
#include "repo/check_run.h"

#include "repo/refs.h"

struct telling {
	struct check_run *run;
	const struct id *manifest;
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

static int check_one(struct check_run *run, const struct manifest_item *item, struct err *err)
{
	struct telling telling = {run, &item->name};
	const struct refs_rerun rerun = {
	    .options = {.cache_dir = run->options->cache_dir,
			.tick = on_tick,
			.missing = on_missing,
			.arg = &telling},
	    .hash = run->options->read_data && run->part.all,
	};
	struct refs_count sum;
	struct err why = {0};
	int r = refs_rerun(run->reader, &item->m, &rerun, &sum, &why);

	if (r == -ERR_NOMEM || r == -ERR_CANCELLED) {
		*err = why;
		return r;
	}
	run->result->ref_queries += item->m.ref_count;
	run->result->refs_referenced += sum.referenced;
	run->result->refs_missing += sum.missing;
	run->result->refs_failed += sum.failed;
	if (r) { /* what cannot be read is told with its paths; that nothing could be looked up is told here */
		run->result->refs_failed++;
		on_missing(&telling, "", "", why.text);
	}
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
