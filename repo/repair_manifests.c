/* repair manifests: of a damaged backup another one, of what can be had of it. */
#include "repo/repair.h"

#include <stdlib.h>
#include <string.h>

#include "repo/browse.h"
#include "repo/footing.h"
#include "repo/manifests.h"
#include "repo/repair_run.h"
#include "repo/repair_tree.h"
#include "repo/retell.h"

#define REPLACED "what can be had of it is in the repaired one"

struct run {
	struct repo *repo;
	const struct repair_manifests_options *options;
	struct repair_manifests_result *result;
	struct manifest_list list;
	struct repair_tree tree;
	struct repair_doomed *doomed;
	size_t doomed_count, doomed_cap;
	bool any_whole; /* of those looked at, new ones too */
};

static int doom(struct run *run, const struct repair_doomed *d, struct err *err)
{
	if (run->doomed_count == run->doomed_cap) {
		size_t cap = run->doomed_cap ? 2 * run->doomed_cap : 16;
		struct repair_doomed *grown = realloc(run->doomed, cap * sizeof(*grown));

		if (!grown)
			return err_nomem(err);
		run->doomed = grown;
		run->doomed_cap = cap;
	}
	run->doomed[run->doomed_count++] = *d;
	return 0;
}

static int load_index(struct run *run, struct index **out, struct err *err)
{
	uint64_t missing;
	int r = index_load(run->repo, NULL, NULL, out, err);

	if (!r)
		r = notes_apply_all(&run->list.notes, run->options->state_dir, run->repo, *out,
				    err);
	return r ? r : index_mark_lost(run->repo, *out, &missing, err);
}

static void on_bad_manifest(void *arg, const struct id *name, const struct err *why)
{
	struct repair_doomed d = {*name, "it is damaged itself", true, false};
	struct run *run = arg;
	struct err nomem = {0};

	if (run->options->manifests || why->code == ERR_KEY) /* not asked for, or not counted */
		return;
	run->result->hopeless++;
	repair_tell(&run->options->cb, true, STORE_SNAPSHOTS, name, why->text);
	if (why->code == ERR_DAMAGED && doom(run, &d, &nomem))
		return; /* it stays */
}

static int run_open(struct run *run, struct err *err)
{
	int r = keys_allow(run->repo->keys, POWER_OWN, "repair manifests", err);

	if (!r)
		r = manifests_load(run->repo, on_bad_manifest, run, &run->list, err);
	if (!r)
		r = load_index(run, &run->tree.index, err);
	/* What only a pack's own directory tells of is there, too. */
	if (!r)
		r = index_rescue(run->repo, run->tree.index, err);
	if (!r)
		r = reader_new(run->repo, run->tree.index, &run->tree.reader, err);
	run->tree.cb = &run->options->cb;
	return r;
}

static void run_close(struct run *run)
{
	reader_free(run->tree.reader);
	index_free(run->tree.index);
	idset_free(&run->tree.whole);
	manifest_list_free(&run->list);
	free(run->doomed);
}

/* --- the new manifest --- */

struct rest {
	struct manifest m;
	struct index *index; /* nothing new rests on what is condemned */
	struct packer *packer;
	struct reader *reader;
	struct footing footing;
	struct buf plain;
	bool *placed; /* of each database: it is in the tree */
	size_t at;    /* in them */
};

/* Entries come in another order than the databases' paths. */
static void place_database(struct rest *rest, const char *path)
{
	for (size_t i = 0; i < rest->m.db_count; i++)
		rest->placed[i] |= strcmp(rest->m.dbs[i].path, path) == 0;
}

static int count_entry(void *arg, const char *path, const struct entry *e, struct err *err)
{
	struct rest *rest = arg;

	(void)err;
	if (e->type != ENTRY_FILE)
		return 0;
	rest->m.files++;
	rest->m.bytes += entry_is_database(e) ? e->size : content_stored_bytes(e);
	if (entry_is_database(e))
		place_database(rest, path);
	return 0;
}

/* The sums are of what is there, and databases that are not are not described. */
static int count_rest(struct rest *rest, struct err *err)
{
	size_t kept = 0;
	int r;

	rest->m.files = rest->m.bytes = 0;
	rest->placed = calloc(rest->m.db_count + 1, sizeof(*rest->placed));
	if (!rest->placed)
		return err_nomem(err);
	r = browse_list(rest->reader, &rest->m, NULL, count_entry, rest, err);
	for (size_t i = 0; !r && i < rest->m.db_count; i++) {
		if (rest->placed[i])
			rest->m.dbs[kept++] = rest->m.dbs[i];
		else
			manifest_db_wipe(&rest->m.dbs[i]);
	}
	if (!r)
		rest->m.db_count = kept;
	return r;
}

static int rest_open(struct run *run, const struct manifest_item *item, struct rest *rest,
		     struct err *err)
{
	struct packer_options options = {0};
	int r = retell(&item->m, &rest->m, err);

	if (!r)
		r = retell_tag(&rest->m, "repaired", err);
	rest->m.original = item->name;
	rest->m.standing = MANIFEST_REPAIRED;
	if (!r)
		r = repo_use_writer(run->repo, item->m.host, false, err);
	if (!r)
		r = manifests_succeed(run->repo, &run->list, &rest->m, err);
	if (!r)
		r = load_index(run, &rest->index, err);
	if (!r)
		r = footing_open(&rest->footing, run->repo, rest->index, NULL, NULL, err);
	options.sequence = rest->m.sequence;
	if (!r)
		r = reader_new(run->repo, rest->index, &rest->reader, err);
	return r ? r : packer_new(run->repo, rest->index, &options, &rest->packer, err);
}

static void rest_free(struct rest *rest)
{
	packer_free(rest->packer);
	reader_free(rest->reader);
	index_free(rest->index);
	manifest_free(&rest->m);
	buf_wipe(&rest->plain);
	free(rest->placed);
}

/* The list is read anew: the next of the same writer comes behind this one. */
static int reload(struct run *run, struct err *err)
{
	struct manifest_list list = {0};
	int r = manifests_load(run->repo, NULL, NULL, &list, err);

	if (r)
		return r;
	manifest_list_free(&run->list);
	run->list = list;
	return 0;
}

/* --- nothing rests on what is condemned or gone (FORMAT.md §12) --- */

/* What is kept of the damaged backup may lie where a prune is about to delete: it is stored again, full. */
static int store_again(struct rest *rest, const struct chunk_ref *ref, struct err *err)
{
	struct id id;
	int r;

	buf_reset(&rest->plain);
	r = reader_get(rest->reader, ref->kind, &ref->id, &rest->plain, err);
	if (!r)
		r = packer_add(rest->packer, ref->kind, rest->plain.data, rest->plain.len, &id,
			       err);
	if (!r && !id_eq(&id, &ref->id))
		r = err_set(err, ERR_USAGE,
			    "a chunk of another domain is about to be pruned and cannot be kept");
	return r;
}

static int rest_on(void *arg, const struct chunk_ref *ref, const char *path, struct err *err)
{
	struct rest *rest = arg;
	uint32_t place = index_find_good(rest->index, ref->kind, &ref->id);

	(void)path;
	return place != INDEX_NONE ? packer_rest_on(rest->packer, place, err)
				   : store_again(rest, ref, err);
}

/* 1 when something had to be stored again, and it is to be looked again. */
static int look(struct rest *rest, struct err *err)
{
	struct chunk_ref *lacking = NULL;
	size_t count = 0;
	int r = footing_look(&rest->footing, rest->packer, &lacking, &count, err);

	for (size_t i = 0; !r && i < count; i++)
		r = store_again(rest, &lacking[i], err);
	free(lacking);
	if (!r && count)
		r = packer_finish(rest->packer, err);
	return r ? r : count > 0 || !footing_in_time(&rest->footing);
}

#define LOOKS_MOST 8

static int stand_firm(struct rest *rest, struct err *err)
{
	int r = packer_finish(rest->packer, err);

	if (!r)
		r = repair_tree_refs(rest->reader, &rest->m.root, rest_on, rest, err);
	if (!r)
		r = packer_finish(rest->packer, err);
	for (int i = 0; !r; i++) {
		r = i < LOOKS_MOST ? look(rest, err)
				   : err_set(err, ERR_BUSY,
					     "prunes condemn what this backup rests on again and "
					     "again; try when none runs");
		if (r <= 0)
			return r;
		r = 0;
	}
	return r;
}

static int publish(struct run *run, const struct id *damaged, struct rest *rest, struct err *err)
{
	struct id made;
	uint64_t bytes;
	int r = stand_firm(rest, err);

	if (!r)
		r = count_rest(rest, err);
	rest->m.unreadable += run->tree.left_out;
	rest->m.bytes_added = packer_stats(rest->packer)->bytes_stored;
	if (!r)
		r = manifests_put(run->repo, &rest->m, &made, &bytes, err);
	if (r)
		return r;
	if (run->options->made)
		run->options->made(run->options->cb.arg, damaged, &made);
	r = look(rest, err);
	return r < 0 ? r : reload(run, err);
}

/* --- one manifest --- */

static const struct manifest_item *find_item(const struct run *run, const struct id *name)
{
	for (size_t i = 0; i < run->list.count; i++) {
		if (id_eq(&run->list.items[i].name, name))
			return &run->list.items[i];
	}
	return NULL;
}

static bool was_repaired(const struct run *run, const struct id *name)
{
	bool found = false;

	for (size_t i = 0; !found && i < run->list.count; i++)
		found = id_eq(&run->list.items[i].m.original, name);
	return found;
}

/* An earlier repair made another one of it; that may be damaged itself by now. */
static int repaired_before(struct run *run, const struct id *name, struct err *err)
{
	const struct repair_doomed d = {.name = *name, .why = REPLACED, .repaired = true};
	int r = 0;

	run->result->repaired_before++;
	for (size_t i = 0; !r && i < run->list.count; i++) {
		const struct manifest *m = &run->list.items[i].m;

		if (id_eq(&m->original, name))
			r = repair_tree_whole(&run->tree, &m->root, err);
	}
	return r > 0 ? doom(run, &d, err) : r;
}

static int make_rest(struct run *run, const struct manifest_item *item, struct err *err)
{
	const struct id name = item->name, root = item->m.root;
	struct repair_doomed d = {.repaired = true};
	struct rest rest = {0};
	int r = run->options->dry_run ? 0 : rest_open(run, item, &rest, err);

	d.name = name;
	run->tree.left_out = 0;
	run->tree.manifest = &name;
	if (!r)
		r = repair_tree_rest(&run->tree, rest.packer, &root, &rest.m.root, err);
	run->result->left_out += run->tree.left_out;
	if (r == 1) {
		run->result->hopeless++;
		repair_tell(&run->options->cb, true, STORE_SNAPSHOTS, &name,
			    "its root folder is lost: nothing of this backup can be had");
		d.repaired = false;
	}
	if (!r)
		run->result->repaired++;
	if (!r && !run->options->dry_run)
		r = publish(run, &name, &rest, err);
	rest_free(&rest);
	if (r < 0)
		return r;
	run->any_whole = run->any_whole || d.repaired;
	d.why = d.repaired ? REPLACED : "nothing of it can be had";
	return doom(run, &d, err);
}

static int repair_one(struct run *run, const struct id *name, struct err *err)
{
	const struct manifest_item *item = find_item(run, name);
	int r;

	if (!item)
		return err_set(err, ERR_MISSING, "the manifest is not there any more");
	run->result->manifests++;
	r = repair_tree_whole(&run->tree, &item->m.root, err);
	run->any_whole = run->any_whole || r > 0;
	if (r)
		return r < 0 ? r : 0;
	run->result->damaged++;
	return was_repaired(run, name) ? repaired_before(run, name, err)
				       : make_rest(run, item, err);
}

/* Those that are there now: what is made meanwhile is whole. */
static int repair_all(struct run *run, struct err *err)
{
	size_t count = run->options->manifests ? run->options->manifest_count : run->list.count;
	struct id *names = calloc(count + 1, sizeof(*names));
	int r = names ? 0 : err_nomem(err);

	for (size_t i = 0; !r && i < count; i++)
		names[i] =
		    run->options->manifests ? run->options->manifests[i] : run->list.items[i].name;
	for (size_t i = 0; !r && i < count; i++) {
		r = repair_tick(&run->options->cb, i, count, "", err);
		if (!r)
			r = repair_one(run, &names[i], err);
	}
	free(names);
	return r;
}

/*
 * Where no backup at all is whole, it is rather the packs that are not where they should be (a disk that is not mounted) than
 * that all is lost.
 */
static int forget(struct run *run, struct err *err)
{
	int r = 0;

	for (size_t i = 0; !r && !run->any_whole && i < run->list.count; i++) {
		r = repair_tree_whole(&run->tree, &run->list.items[i].m.root, err);
		run->any_whole = r > 0;
	}
	if (r < 0)
		return r;
	run->result->spared = !run->any_whole;
	return run->any_whole ? repair_forget(run->repo, run->options, run->doomed,
					      run->doomed_count, run->result, err)
			      : 0;
}

int repair_manifests(struct repo *repo, const struct repair_manifests_options *options,
		     struct repair_manifests_result *out_result, struct err *err)
{
	struct run run = {.repo = repo, .options = options, .result = out_result};
	int r;

	*out_result = (struct repair_manifests_result){0};
	r = run_open(&run, err);
	if (!r)
		r = repair_all(&run, err);
	if (!r && options->forget && run.doomed_count)
		r = forget(&run, err);
	run_close(&run);
	return r;
}
