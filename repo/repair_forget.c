/* repair manifests --forget: what can never be restored goes, so that prune knows again what is needed. */
#include <stdlib.h>
#include <string.h>

#include "core/sha256.h"
#include "repo/forget.h"
#include "repo/repair_run.h"
#include "repo/witness.h"

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

/* What tells its tags goes with it. */
static int remove_rotten(struct forgetting *f, const struct id *name, struct err *err)
{
	int r = remove_object(f, name, err);

	for (size_t i = 0; !r && i < f->list.tagrec_count; i++) {
		if (id_eq(&f->list.tagrecs[i].manifest, name))
			r = remove_object(f, &f->list.tagrecs[i].name, err);
	}
	return r;
}

/* Who wrote it is known only where this host saw it while it was whole; the name is what counts. */
static struct retire_entry entry_of(const struct forgetting *f, const struct id *name)
{
	const struct sighting *seen = witness_recall(f->repo, name);
	struct retire_entry e = {.sequence = 1, .name = *name};

	if (seen && seen->sequence) {
		e.sequence = seen->sequence;
		memcpy(e.writer, seen->writer, sizeof(e.writer));
	}
	return e;
}

/* Those that are to go, by name; others are told. */
static int choose_rotten(struct forgetting *f, const struct repair_doomed *d,
			 struct retire_entry *entries, size_t *count, struct err *err)
{
	bool rotten;
	int r = is_rotten(f->repo, &d->name, &rotten, err);

	if (r)
		return repo_name(f->repo->store, STORE_SNAPSHOTS, &d->name, err);
	if (rotten) {
		show(f, d, NULL);
		entries[(*count)++] = entry_of(f, &d->name);
	} else {
		repair_tell(&f->options->cb, true, STORE_SNAPSHOTS, &d->name,
			    "it is as it was put, and stays: update nightjar, or remove the file "
			    "where you know that it is of no use");
	}
	return 0;
}

static int forget_rotten(struct forgetting *f, const struct repair_doomed *doomed, size_t count,
			 struct err *err)
{
	struct retire_entry *entries = calloc(count + 1, sizeof(*entries));
	size_t rotten = 0;
	int r = entries ? 0 : err_nomem(err);

	for (size_t i = 0; !r && i < count; i++) {
		if (doomed[i].unreadable)
			r = choose_rotten(f, &doomed[i], entries, &rotten, err);
	}
	if (!r && rotten && !f->options->dry_run) {
		r = retires_put(f->repo, &f->list.retires, entries, rotten, f->options->now_ns,
				err);
		for (size_t i = 0; !r && i < rotten; i++)
			r = remove_rotten(f, &entries[i].name, err);
	}
	free(entries);
	return r;
}

int repair_forget(struct repo *repo, const struct repair_manifests_options *options,
		  const struct repair_doomed *doomed, size_t count,
		  struct repair_manifests_result *result, struct err *err)
{
	struct forgetting f = {.repo = repo, .options = options, .result = result};
	int r = manifests_load(repo, NULL, NULL, &f.list, err);

	if (!r && !options->dry_run)
		r = witness_allow_removal(repo, "repair manifests --forget", err);
	if (!r)
		r = forget_readable(&f, doomed, count, err);
	f.list.retires.number++; /* of the record that the first may have published */
	if (!r)
		r = forget_rotten(&f, doomed, count, err);
	manifest_list_free(&f.list);
	return r;
}
