/* repair manifests --forget: what can never be restored goes, so that prune knows again what is needed. */
#include <stdlib.h>

#include "core/sha256.h"
#include "repo/forget.h"
#include "repo/repair_run.h"

struct forgetting {
	struct repo *repo;
	const struct repair_manifests_options *options;
	struct repair_manifests_result *result;
	struct manifest_list list; /* as it is now: repaired ones are there, too */
};

static void show(struct forgetting *f, const struct repair_doomed *d,
		 const struct manifest_item *item)
{
	f->result->forgotten++;
	f->result->lost_forgotten += !d->repaired;
	if (f->options->forgot)
		f->options->forgot(f->options->cb.arg, &d->name, item ? &item->m : NULL, d->why);
}

static const struct manifest_item *find(const struct manifest_list *list, const struct id *name)
{
	for (size_t i = 0; i < list->count; i++) {
		if (id_eq(&list->items[i].name, name))
			return &list->items[i];
	}
	return NULL;
}

/* As forget does it: the retire record first. */
static int forget_readable(struct forgetting *f, const struct repair_doomed *doomed, size_t count,
			   struct err *err)
{
	struct forget_plan plan = {.backups = calloc(count + 1, sizeof(*plan.backups))};
	struct forget_result done;
	int r = plan.backups ? 0 : err_nomem(err);

	for (size_t i = 0; !r && i < count; i++) {
		const struct manifest_item *item =
		    doomed[i].unreadable ? NULL : find(&f->list, &doomed[i].name);

		if (!item)
			continue;
		show(f, &doomed[i], item);
		plan.backups[plan.count++] = (struct forget_backup){
		    .item = item, .retired = retires_have(&f->list.retires, &item->name)};
	}
	plan.removed = plan.count;
	if (!r && plan.count && !f->options->dry_run)
		r = forget_apply(f->repo, &f->list, &plan, f->options->now_ns, NULL, &done, err);
	forget_plan_free(&plan);
	return r;
}

/* --- what does not even open --- */

/* Once more: only bytes that are not those of the name are damage for everybody and for good. */
static int is_rotten(struct repo *repo, const struct id *name, bool *out_rotten, struct err *err)
{
	struct buf bytes = {0};
	struct id digest;
	int r = store_get(repo->store, STORE_SNAPSHOTS, name, LIMIT_MANIFEST_BYTES, &bytes, err);

	*out_rotten = false;
	if (!r)
		r = sha256_of(bytes.data, bytes.len, &digest, err);
	if (!r)
		*out_rotten = !id_eq(&digest, name);
	buf_free(&bytes);
	return r == -ERR_MISSING ? 0 : r;
}

static int remove_object(struct forgetting *f, const struct id *name, struct err *err)
{
	int r = store_remove(f->repo->store, STORE_SNAPSHOTS, name, err);

	return r == -ERR_MISSING ? 0 : r;
}

/* Who wrote it, and when, is not known: there can be no retire record. What tells its tags goes with it. */
static int remove_rotten(struct forgetting *f, const struct id *name, struct err *err)
{
	int r = remove_object(f, name, err);

	for (size_t i = 0; !r && i < f->list.tagrec_count; i++) {
		if (id_eq(&f->list.tagrecs[i].manifest, name))
			r = remove_object(f, &f->list.tagrecs[i].name, err);
	}
	return r;
}

static int forget_rotten(struct forgetting *f, const struct repair_doomed *d, struct err *err)
{
	bool rotten;
	int r = is_rotten(f->repo, &d->name, &rotten, err);

	if (r)
		return repo_name(f->repo->store, STORE_SNAPSHOTS, &d->name, err);
	if (!rotten) {
		repair_tell(&f->options->cb, true, STORE_SNAPSHOTS, &d->name,
			    "it is as it was put, and stays: update nightjar, or remove the file "
			    "where you know that it is of no use");
		return 0;
	}
	show(f, d, NULL);
	return f->options->dry_run ? 0 : remove_rotten(f, &d->name, err);
}

int repair_forget(struct repo *repo, const struct repair_manifests_options *options,
		  const struct repair_doomed *doomed, size_t count,
		  struct repair_manifests_result *result, struct err *err)
{
	struct forgetting f = {.repo = repo, .options = options, .result = result};
	int r = manifests_load(repo, NULL, NULL, &f.list, err);

	if (!r)
		r = forget_readable(&f, doomed, count, err);
	for (size_t i = 0; !r && i < count; i++) {
		if (doomed[i].unreadable)
			r = forget_rotten(&f, &doomed[i], err);
	}
	manifest_list_free(&f.list);
	return r;
}
