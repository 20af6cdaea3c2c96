#include "repo/copy_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/notes.h"
#include "repo/retell.h"

int copy_to(struct copy_run *run, int r)
{
	run->to_failed |= r != 0;
	return r;
}

int copy_tick(struct copy_run *run, const char *path, uint64_t bytes, struct err *err)
{
	const struct copy_callbacks *cb = &run->options->cb;
	struct copy_progress at = {
	    .manifests = run->done,
	    .manifests_total = run->total,
	    .bytes_total = run->total_bytes,
	    .path = path,
	};

	run->result->bytes += bytes;
	run->done_bytes += bytes;
	/* Folders that are as they were are not entered: of those the manifest under way tells only at its end. */
	at.bytes = run->done_bytes < run->total_bytes ? run->done_bytes : run->total_bytes;
	if (cb->progress && cb->progress(cb->arg, &at) != 0)
		return err_set(err, ERR_CANCELLED,
			       "interrupted; what was copied stays, and the same command goes on "
			       "behind it");
	return 0;
}

/* --- opening --- */

static void warn(const struct copy_run *run, const struct repo *repo, enum store_type type,
		 const struct id *name, const struct err *why)
{
	char path[STORE_PATH_CHARS], object[STORE_PATH_CHARS + 4096];
	struct err bare = *why;

	store_path(type, name, path);
	repo_unname(repo->store, type, name, &bare);
	(void)snprintf(object, sizeof(object), "%.4000s/%s", repo->store->location, path);
	if (run->options->cb.warning)
		run->options->cb.warning(run->options->cb.arg, object, bare.text);
}

static void bad_from_segment(void *arg, const struct id *name, const struct err *why)
{
	const struct copy_run *run = arg;

	warn(run, run->from, STORE_INDEX, name, why);
}

static void bad_to_segment(void *arg, const struct id *name, const struct err *why)
{
	const struct copy_run *run = arg;

	warn(run, run->to, STORE_INDEX, name, why);
}

static void bad_to_manifest(void *arg, const struct id *name, const struct err *why)
{
	const struct copy_run *run = arg;

	warn(run, run->to, STORE_SNAPSHOTS, name, why);
}

static int check_pair(const struct copy_run *run, struct err *err)
{
	int r = keys_allow(run->from->keys, POWER_READ, "reading the repository to copy from", err);

	if (!r && memcmp(run->from->conf.repo, run->to->conf.repo, REPO_ID_BYTES) == 0)
		r = err_set(err, ERR_USAGE,
			    "%s and %s are the same repository: there is nothing to copy",
			    run->from->store->location, run->to->store->location);
	return r ? r : keys_allow(run->to->keys, POWER_OWN, "copying into a repository", err);
}

static int open_reader(struct copy_run *run, struct repo *repo, struct index *index,
		       struct reader **out_reader, struct err *err)
{
	int r = reader_new(repo, index, out_reader, err);

	if (!r && run->options->cache_dir)
		r = reader_set_scratch(*out_reader, run->options->cache_dir, err);
	return r;
}

static int open_both(struct copy_run *run, struct err *err)
{
	uint64_t lost;
	int r = manifests_load(run->to, bad_to_manifest, run, &run->list, err);

	run->list_cap = run->list.count;
	if (!r)
		r = index_load(run->from, bad_from_segment, run, &run->from_index, err);
	if (!r)
		r = index_load(run->to, bad_to_segment, run, &run->to_index, err);
	if (!r)
		r = notes_apply_all(&run->list.notes, run->options->state_dir, run->to,
				    run->to_index, err);
	if (!r)
		r = index_mark_lost(run->to, run->to_index, &lost, err);
	if (!r)
		r = open_reader(run, run->from, run->from_index, &run->from_reader, err);
	if (!r)
		r = open_reader(run, run->to, run->to_index, &run->to_reader, err);
	return r;
}

/* --- what is there already --- */

static const struct manifest_item *by_name(const struct manifest_list *list, const struct id *name)
{
	for (size_t i = 0; i < list->count; i++) {
		if (id_eq(&list->items[i].name, name))
			return &list->items[i];
	}
	return NULL;
}

/*
 * The name that a backup goes by in all repositories: that of its first manifest. A repaired one names an original of its own
 * repository, and is another backup.
 */
static const struct id *identity(const struct copy_run *run, const struct manifest_item *source)
{
	const struct id *original = &source->m.original;

	return id_is_zero(original) || by_name(run->options->from, original) ? &source->name
									     : original;
}

static bool is_copy_of(const struct copy_run *run, const struct manifest_item *there,
		       const struct manifest_item *source)
{
	const struct id *names[2] = {&source->name, NULL};

	if (!retell_same(&there->m, &source->m))
		return false;
	names[1] = identity(run, source); /* a search, so only for the few that look alike */
	for (size_t i = 0; i < 2; i++) {
		if (id_eq(&there->name, names[i]) || id_eq(&there->m.original, names[i]))
			return true;
	}
	return false;
}

static const struct manifest_item *find_copy(const struct copy_run *run,
					     const struct manifest_item *source)
{
	for (size_t i = run->list.count; i > 0; i--) {
		if (is_copy_of(run, &run->list.items[i - 1], source))
			return &run->list.items[i - 1];
	}
	return NULL;
}

/* Sure enough to take folders of the copy for those of the source unseen? A repaired one lacks something. */
static bool is_exact(const struct manifest_item *source)
{
	return source->m.standing != MANIFEST_REPAIRED;
}

/* What `there` is an exact copy of, or NULL. */
static const struct manifest_item *find_source(const struct copy_run *run,
					       const struct manifest_item *there)
{
	const struct manifest_list *from = run->options->from;

	for (size_t i = from->count; i > 0; i--) {
		const struct manifest_item *source = &from->items[i - 1];

		if (source->m.has_read && is_exact(source) && is_copy_of(run, there, source))
			return source;
	}
	return NULL;
}

/*
 * What the copy is compared with: the newest of the same host and paths that is a copy of what the source still has, so that what
 * did not change is not read; else the newest, for deltas alone.
 */
static int find_before(struct copy_run *run, struct copy_before *out, struct err *err)
{
	const struct manifest_item *newest = NULL;
	int whole = 0;

	*out = (struct copy_before){0};
	for (size_t i = run->list.count; i > 0 && !out->from; i--) {
		const struct manifest_item *there = &run->list.items[i - 1];
		const struct manifest_item *source;

		if (!there->m.has_read || !retell_alike(&there->m, &run->source->m))
			continue;
		if (!newest)
			newest = there;
		source = find_source(run, there);
		if (!source)
			continue;
		whole = copy_is_whole(run, &there->m.root, err);
		if (whole < 0)
			return whole;
		if (whole)
			*out = (struct copy_before){&source->m.root, &there->m.root};
		else
			break; /* older ones are seldom better */
	}
	if (!out->to && newest)
		out->to = &newest->m.root;
	return 0;
}

/* --- one manifest --- */

static int open_packer(struct copy_run *run, struct err *err)
{
	const struct base_source bases = base_source_of(run->to_reader);
	struct packer_options options = {
	    .sequence = run->m.sequence,
	    .workers = run->options->workers,
	    .bases = &bases,
	};
	int r = packer_new(run->to, run->to_index, &options, &run->packer, err);

	return r ? r : content_writer_new(run->packer, &run->writer, err);
}

static int begin(struct copy_run *run, struct err *err)
{
	const struct manifest *m = &run->source->m;
	int r = retell(m, &run->m, err);

	if (r)
		return r; /* of the source */
	for (size_t i = 0; i < run->m.db_count; i++)
		run->m.dbs[i].cells_changed = run->m.dbs[i].bytes_stored = 0;
	run->m.original = *identity(run, run->source);
	run->m.standing = m->standing == MANIFEST_REPAIRED ? MANIFEST_REPAIRED : MANIFEST_COPY;
	run->tallies = calloc(run->m.db_count + 1, sizeof(*run->tallies));
	r = run->tallies ? 0 : err_nomem(err);
	if (!r)
		r = repo_use_writer(run->to, m->host, false, err);
	if (!r)
		r = manifests_succeed(run->to, &run->list, &run->m, err);
	if (!r)
		r = open_packer(run, err);
	return copy_to(run, r);
}

static void count(struct copy_run *run, uint64_t manifest_bytes, struct copy_one *one)
{
	const struct packer_stats *s = packer_stats(run->packer);

	one->bytes_stored = s->bytes_stored + manifest_bytes;
	run->result->bytes_added += s->bytes_new;
	run->result->bytes_packed += s->bytes_packed;
	run->result->bytes_stored += one->bytes_stored;
}

/* The new manifest becomes one of the list: what is copied next comes behind it. */
static int list_add(struct copy_run *run, const struct id *name, uint64_t bytes, struct err *err)
{
	if (run->list.count == run->list_cap) {
		size_t cap = run->list_cap ? run->list_cap * 2 : 16;
		struct manifest_item *items = realloc(run->list.items, cap * sizeof(*items));

		if (!items)
			return err_nomem(err);
		run->list.items = items;
		run->list_cap = cap;
	}
	run->m.has_read = run->m.has_maint = true;
	run->list.items[run->list.count++] =
	    (struct manifest_item){.name = *name, .object_bytes = bytes, .m = run->m};
	run->m = (struct manifest){0};
	return 0;
}

/* Nothing that the manifest rests on is condemned or gone? If not, run->again. */
static int look(struct copy_run *run, struct err *err)
{
	struct chunk_ref *lacking[2] = {NULL, NULL};
	size_t count[2] = {0, 0};
	int r = footing_look(&run->footing, run->packer, &lacking[0], &count[0], err);

	/* And what it shares with earlier copies, which the packer was not told of. */
	if (!r)
		r = rested_lacking(&run->rested, run->to_index, &lacking[1], &count[1], err);
	free(lacking[0]);
	free(lacking[1]);
	run->again = !r && count[0] + count[1] > 0;
	return r;
}

/* A machine that slept just now has perhaps published what rests on nothing. */
static int look_after(struct copy_run *run, const struct id *made, struct err *err)
{
	char hex[ID_HEX_CHARS + 1];
	int r = look(run, err);

	id_hex(made, hex);
	if (r && r != -ERR_NOMEM)
		err_prefix(err, "manifest %.*s was made, but not looked at once more",
			   ID_SHORT_CHARS, hex);
	return r;
}

static void complete(struct copy_run *run)
{
	for (size_t i = 0; i < run->m.db_count; i++) {
		run->m.dbs[i].cells_changed = run->tallies[i].cells_new;
		run->m.dbs[i].bytes_stored = run->tallies[i].bytes_packed;
	}
	run->m.bytes_added = packer_stats(run->packer)->bytes_stored;
}

static int publish(struct copy_run *run, struct copy_one *one, struct err *err)
{
	uint64_t bytes = 0;
	int r = packer_finish(run->packer, err);

	complete(run);
	do
		r = r ? r : look(run, err);
	while (!r && !run->again && !footing_in_time(&run->footing));
	if (r || run->again)
		return r;
	r = manifests_put(run->to, &run->m, &one->made, &bytes, err);
	if (r)
		return r;
	count(run, bytes, one);
	r = list_add(run, &one->made, bytes, err);
	return r ? r : look_after(run, &one->made, err);
}

/*
 * What was stored of a manifest that is given up, for r, is named by an index, so that the next run need not store it again. Where that
 * fails, too, it is what ends the run, so it is told, unless the user has ended it.
 */
static int keep_stored(struct copy_run *run, int r, struct err *err)
{
	struct err why = {0};

	if (!run->packer || run->to_failed || copy_to(run, packer_finish(run->packer, &why)) == 0 ||
	    r == -ERR_CANCELLED)
		return r;
	*err = why;
	return -err->code;
}

static void end(struct copy_run *run)
{
	content_writer_free(run->writer);
	packer_free(run->packer);
	manifest_free(&run->m);
	free(run->tallies);
	run->writer = NULL;
	run->packer = NULL;
	run->tallies = NULL;
	run->m = (struct manifest){0};
}

static int copy_once(struct copy_run *run, struct copy_one *one, struct err *err)
{
	struct copy_before before;
	int r = copy_to(run, footing_open(&run->footing, run->to, run->to_index, NULL, NULL, err));

	if (!r)
		r = find_before(run, &before, err);

	if (!r)
		r = begin(run, err);
	if (!r)
		r = copy_tree(run, &before, &run->m.root, err);
	if (!r)
		r = copy_tick(run, "", 0, err);
	if (!r)
		r = copy_to(run, publish(run, one, err));
	else if (r == -ERR_CANCELLED || !run->to_failed)
		r = keep_stored(run, r, err);
	end(run);
	return r;
}

#define RUNS_MOST 8

/*
 * Again where a prune was faster (FORMAT.md §12 R6): what it condemned meanwhile is stored anew. A manifest that was published in that very
 * moment stays, and the next one takes its place.
 */
static int copy_one(struct copy_run *run, struct copy_one *one, struct err *err)
{
	int r = 0;

	run->again = true;
	for (int i = 0; !r && run->again; i++) {
		if (i == RUNS_MOST)
			return copy_to(run, err_set(err, ERR_BUSY,
						    "prunes condemn what this copy rests on again "
						    "and again; try when none runs"));
		run->again = false;
		r = copy_once(run, one, err);
		if (run->again) {
			idset_free(&run->whole);
			rested_free(&run->rested);
		}
	}
	return r;
}

/* A failure that another manifest of the source need not have, too. A store that refuses is no damage. */
static bool costs_one(const struct copy_run *run, int r)
{
	return !run->to_failed && r != -ERR_NOMEM && r != -ERR_DENIED && !store_is_away(r);
}

static int take(struct copy_run *run, const struct manifest_item *source, struct err *err)
{
	const struct copy_callbacks *cb = &run->options->cb;
	const struct manifest_item *there = find_copy(run, source);
	struct copy_one one = {.source = source->name};
	struct err why = {0};
	int r;

	if (there) {
		one.there = there->name;
		run->result->skipped++;
		if (cb->skipped)
			cb->skipped(cb->arg, &one);
		return 0;
	}
	run->source = source;
	r = copy_one(run, &one, &why);
	if (!r) {
		run->result->copied++;
		if (cb->copied)
			cb->copied(cb->arg, &one);
	} else if (costs_one(run, r)) {
		run->result->damaged++;
		if (cb->damaged)
			cb->damaged(cb->arg, &source->name, why.text);
		r = 0;
	} else {
		*err = why;
	}
	return r;
}

static int take_all(struct copy_run *run, struct err *err)
{
	const struct manifest_list *from = run->options->from;
	uint64_t bytes = 0;
	int r = 0;

	for (size_t i = 0; i < from->count; i++) {
		if (run->options->wanted[i] && !find_copy(run, &from->items[i])) {
			run->total++;
			run->total_bytes += from->items[i].m.bytes;
		}
	}
	for (size_t i = 0; !r && i < from->count; i++) {
		bool due = run->options->wanted[i] && !find_copy(run, &from->items[i]);

		if (run->options->wanted[i])
			r = take(run, &from->items[i], err);
		run->done += due;
		bytes += due ? from->items[i].m.bytes : 0;
		run->done_bytes = bytes;
	}
	return r;
}

int copy_run(struct repo *from, struct repo *to, const struct copy_options *options,
	     struct copy_result *out_result, struct err *err)
{
	struct copy_run run = {.from = from, .to = to, .options = options, .result = out_result};
	int r = check_pair(&run, err);

	*out_result = (struct copy_result){0};
	if (!r)
		r = open_both(&run, err);
	if (!r)
		r = take_all(&run, err);
	reader_free(run.from_reader);
	reader_free(run.to_reader);
	index_free(run.from_index);
	index_free(run.to_index);
	manifest_list_free(&run.list);
	idset_free(&run.whole);
	rested_free(&run.rested);
	return r;
}
