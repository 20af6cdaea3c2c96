#include "repo/check_run.h"

#include <stdlib.h>
#include <string.h>

#include "repo/browse.h"
#include "repo/manifests.h"
#include "repo/tree_read.h"

/* --- telling --- */

int check_tick(struct check_run *run, uint64_t done, uint64_t total, const char *what,
	       struct err *err)
{
	const struct check_options *o = run->options;

	if (o->progress && o->progress(o->arg, done, total, what) != 0)
		return err_set(err, ERR_CANCELLED, "interrupted; the check is not complete");
	return 0;
}

static void on_bad_segment(void *arg, const struct id *name, const struct err *why)
{
	check_tell_bad(arg, STORE_INDEX, name, why);
}

static void on_bad_manifest(void *arg, const struct id *name, const struct err *why)
{
	struct check_run *run = arg;
	char path[STORE_PATH_CHARS];

	store_path(STORE_SNAPSHOTS, name, path);
	if (why->code != ERR_KEY)
		check_tell_bad(run, STORE_SNAPSHOTS, name, why);
	else if (run->options->uncounted)
		run->options->uncounted(run->options->arg, path, why->text);
}

/* --- objects --- */

static int check_keys(struct check_run *run, struct err *err)
{
	struct id *names = NULL;
	size_t count = 0;
	struct buf bytes = {0};
	int r = repo_list(run->repo->store, STORE_KEYS, &names, NULL, &count, err);

	for (size_t i = 0; !r && i < count; i++) {
		buf_reset(&bytes);
		r = repo_get(run->repo, STORE_KEYS, &names[i], LIMIT_KEY_OBJECT_BYTES, &bytes, err);
		if (check_ends(r))
			break;
		if (r)
			check_tell_damage(run, STORE_KEYS, &names[i], err->text);
		r = 0;
	}
	buf_free(&bytes);
	free(names);
	return r;
}

static int compare_ids(const void *a, const void *b)
{
	return id_cmp(a, b);
}

/* The front of a pack that was cut short is as good as it was. */
static void mark_beyond(struct check_run *run, const struct index_pack *pack, uint64_t size)
{
	for (uint32_t i = 0; i < pack->place_count; i++) {
		uint32_t at = pack->first_place + i;
		const struct index_place *place = &run->index->places[at];

		if ((uint64_t)place->offset + place->stored_bytes > size)
			index_mark_place(run->index, at);
	}
}

/* What a pack that a segment names is not: there, with the length that it says. NULL: all is well. */
static const char *presence_fault(const struct index_pack *pack, const struct id *names,
				  const uint64_t *sizes, size_t count, uint64_t *out_size)
{
	const struct id *found =
	    count ? bsearch(&pack->name, names, count, sizeof(*names), compare_ids) : NULL;

	*out_size = found ? sizes[found - names] : 0;
	if (!found)
		return "missing";
	if (*out_size == pack->pack_bytes)
		return NULL;
	return *out_size < pack->pack_bytes ? "cut short" : "longer than it was written";
}

/* Everything that the pack should give others do. */
bool check_pack_replaced(const struct check_run *run, const struct index_pack *pack)
{
	for (uint32_t i = 0; i < pack->place_count; i++) {
		if (index_find_instead(run->index, pack->first_place + i) == INDEX_NONE)
			return false;
	}
	return true;
}

/* All are marked before the first is told: only then is it known what other copies are worth. */
static int check_presence(struct check_run *run, const struct manifest_list *list,
			  const struct id *names, const uint64_t *sizes, size_t count,
			  struct err *err)
{
	uint64_t size;
	int r = 0;

	for (uint32_t i = 0; i < run->indexed; i++) {
		const struct index_pack *pack = &run->index->packs[i];
		const char *fault = presence_fault(pack, names, sizes, count, &size);

		if (fault && size == 0)
			index_mark_pack(run->index, i);
		else if (fault)
			mark_beyond(run, pack, size);
	}
	for (uint32_t i = 0; !r && i < run->indexed; i++) {
		const struct index_pack *pack = &run->index->packs[i];
		const char *fault = presence_fault(pack, names, sizes, count, &size);
		bool pruned = check_is_condemned(run, i) && size == 0;

		if (!fault || pruned)
			continue;
		if (check_pack_replaced(run, pack)) {
			check_tell_healed(run, &pack->name, fault);
			continue;
		}
		if (size == 0)
			r = check_unneeded(run, list, &pruned, err);
		/* With a choice of backups, of what is lost only the paths that they lose are told. */
		if (!r && !pruned && !run->options->manifests)
			check_tell_damage(run, STORE_DATA, &pack->name, fault);
	}
	return r;
}

static void note_orphans(struct check_run *run, const struct id *names, size_t count)
{
	char path[STORE_PATH_CHARS];

	for (size_t i = 0; i < count; i++) {
		if (index_find_pack(run->index, &names[i]) != INDEX_NONE)
			continue;
		run->result->orphans++;
		store_path(STORE_DATA, &names[i], path);
		if (run->options->note)
			run->options->note(
			    run->options->arg, path,
			    "orphan: no index names it, an interrupted backup left it");
	}
}

static int check_packs(struct check_run *run, const struct manifest_list *list, struct err *err)
{
	struct id *names = NULL;
	uint64_t *sizes = NULL;
	size_t count = 0;
	int r = repo_list(run->repo->store, STORE_DATA, &names, &sizes, &count, err);

	if (!r) {
		run->result->packs = count;
		run->indexed = (uint32_t)run->index->pack_count;
		r = check_match_condemned(run, err);
	}
	if (!r)
		r = check_presence(run, list, names, sizes, count, err);
	if (!r)
		note_orphans(run, names, count);
	/* Now, so that a missing chunk and one whose index is missing are told apart. */
	if (!r)
		r = index_rescue(run->repo, run->index, err);
	free(names);
	free(sizes);
	return r;
}

/* --- what the manifests reach --- */

struct folder {
	struct check_run *run;
	const char *path;
	bool *dirty;           /* something below is wrong */
	struct chunk_ref list; /* the last chunk list that was come by, or kind 0 */
};

/* A backup needs a pack that only its own directory tells of: restore copes, but an index is missing. */
static int tell_unnamed(struct check_run *run, uint32_t place, struct err *err)
{
	uint32_t pack = run->index->places[place].pack;
	const struct id *name = &run->index->packs[pack].name;

	if (pack < run->indexed || idset_has(&run->unnamed, name))
		return 0;
	run->result->orphans--;
	check_tell_damage(
	    run, STORE_DATA, name,
	    "backups need it but no index segment names it: an index segment is missing; 'nightjar "
	    "repair index' writes it anew");
	return idset_add(&run->unnamed, name, err);
}

/*
 * A whole place, rather one in a pack that a segment names, since an orphan may hold copies of what is not missing, and rather one in a
 * pack that is not condemned.
 */
static uint32_t find_place(const struct check_run *run, uint8_t kind, const struct id *id,
			   unsigned below_depth)
{
	const struct index *index = run->index;
	uint32_t fallback = INDEX_NONE;

	for (uint32_t at = index_find(index, kind, id); at != INDEX_NONE;
	     at = index->places[at].next) {
		const struct index_place *place = &index->places[at];

		if (place->info.depth >= below_depth || !index_place_whole(index, at))
			continue;
		if (place->pack < run->indexed && !check_is_condemned(run, place->pack))
			return at;
		if (fallback == INDEX_NONE || place->pack < run->indexed)
			fallback = at;
	}
	return fallback;
}

/* What a backup needs, it needs with all that this rests on: of strictly lower depth at each step. */
static int tell_all_unnamed(struct check_run *run, uint32_t place, struct err *err)
{
	const struct record_info info = run->index->places[place].info;
	int r = tell_unnamed(run, place, err);

	if (run->index->pack_count == run->indexed) /* there are none */
		return r;
	for (size_t i = 0; !r && i < info.base_count; i++) {
		if (idset_has(&run->rested_on, &info.bases[i]))
			continue;
		r = idset_add(&run->rested_on, &info.bases[i], err);
		if (!r)
			r = tell_all_unnamed(
			    run, find_place(run, info.kind, &info.bases[i], info.depth), err);
	}
	return r;
}

static const char *what_is_wrong(const struct index *index, const struct chunk_ref *ref)
{
	uint32_t at = index_find(index, ref->kind, &ref->id);

	if (at == INDEX_NONE)
		return "part of it is missing";
	for (; at != INDEX_NONE; at = index->places[at].next) {
		if (!index->places[at].bad && !index->packs[index->places[at].pack].bad)
			return "part of it rests on what is damaged or missing";
	}
	return "part of it is damaged";
}

int check_whole(struct check_run *run, const struct chunk_ref *ref, bool *out_whole,
		struct err *err)
{
	uint32_t place = find_place(run, ref->kind, &ref->id, LIMIT_DEPTH + 1);

	*out_whole = place != INDEX_NONE;
	if (place == INDEX_NONE)
		return 0;
	check_tell_needed(run, run->index->places[place].pack);
	return tell_all_unnamed(run, place, err);
}

static int check_chunk(struct folder *at, const char *path, const struct chunk_ref *ref,
		       struct err *err)
{
	bool whole;
	int r = at->run->gathering ? check_gather(at->run, ref, err)
				   : check_whole(at->run, ref, &whole, err);

	if (r || at->run->gathering || whole)
		return r;
	*at->dirty = true;
	check_tell_touched(at->run, at->run->manifest, path, what_is_wrong(at->run->index, ref));
	return 0;
}

static int check_file_chunk(void *arg, const struct chunk_ref *ref, const char *path,
			    struct err *err)
{
	struct folder *at = arg;

	if (ref->kind == CHUNK_LIST)
		at->list = *ref;
	return check_chunk(at, path, ref, err);
}

/* Turns what is wrong with one path into a line; only what ends the run stays an error. */
static int absorb(struct folder *at, const char *path, int r, const struct err *why)
{
	if (!r || check_ends(r))
		return r;
	*at->dirty = true;
	check_tell_touched(at->run, at->run->manifest, path, why->text);
	return 0;
}

static int check_node(struct folder *at, const char *path, const struct id *list,
		      unsigned max_level, struct err *err);

static int check_entry(void *arg, const struct entry *e, const struct chunk_ref *children,
		       struct err *err)
{
	struct folder *at = arg;
	char *path = NULL;
	int r = browse_join(at->path, &e->name, &path, err);

	if (!r && e->type == ENTRY_DIR)
		r = check_node(at, path, &children[0].id, LIMIT_NODE_LEVELS, err);
	else if (!r) {
		at->list.kind = 0;
		r = content_refs(at->run->reader, e, children, path, check_file_chunk, at, err);
		if (r && at->list.kind)
			r = check_probe(at->run, &at->list, err);
	}
	r = absorb(at, path ? path : at->path, r, err);
	free(path);
	return r;
}

/* A folder, or one node of a large one, unless an earlier manifest shared it and it was clean. */
static int check_node(struct folder *at, const char *path, const struct id *list,
		      unsigned max_level, struct err *err)
{
	bool dirty = false;
	struct folder below = {.run = at->run, .path = path, .dirty = &dirty};
	const struct chunk_ref list_ref = {CHUNK_TREE_LIST, *list};
	struct tree_node node;
	int r = 0;

	if (idset_has(&at->run->clean, list))
		return 0;
	if (check_told_enough(at->run, list)) {
		*at->dirty = true;
		return 0;
	}
	r = check_tick(at->run, 0, 0, path, err);
	if (r)
		return r;
	if (at->run->gathering) /* also when it does not load: that is what is looked for */
		r = check_gather(at->run, &list_ref, err);
	if (r)
		return r;
	r = tree_node_load(at->run->reader, list, &node, err);
	if (r)
		return check_probe(at->run, &list_ref, err);
	if (node.body.level > max_level)
		r = err_set(err, ERR_DAMAGED, "a tree node lists nodes of its own level");
	for (size_t i = 0; !r && i < 2; i++)
		r = check_chunk(&below, path, i ? &node.children[0] : &list_ref, err);
	for (size_t i = 0; !r && i < node.body.count; i++) {
		const struct entry *e = node.body.level ? NULL : &node.body.entries[i];

		r = e ? check_entry(&below, e, node.children + e->child_first, err)
		      : absorb(&below, path,
			       check_node(&below, path, &node.children[i + 1].id,
					  node.body.level - 1u, err),
			       err);
	}
	tree_node_free(&node);
	if (!r)
		r = idset_add(dirty ? &at->run->dirty : &at->run->clean, list, err);
	*at->dirty = *at->dirty || dirty;
	return r;
}

static int check_manifest(struct check_run *run, const struct manifest_item *item, struct err *err)
{
	bool dirty = false;
	struct folder top = {.run = run, .path = "/", .dirty = &dirty};
	int r;

	run->manifest = &item->name;
	if (run->structure)
		return check_lists(run, item, err);
	r = check_node(&top, "/", &item->m.root, LIMIT_NODE_LEVELS, err);
	return absorb(&top, "/", r, err);
}

bool check_is_chosen(const struct check_run *run, const struct manifest_item *item)
{
	const struct check_options *o = run->options;
	bool found = !o->manifests;

	for (size_t i = 0; !found && i < o->manifest_count; i++)
		found = id_eq(&o->manifests[i], &item->name);
	return found;
}

static int check_chosen(struct check_run *run, const struct manifest_list *list, struct err *err)
{
	int r = 0;

	for (size_t i = 0; !r && i < list->count; i++) {
		if (check_is_chosen(run, &list->items[i]))
			r = check_manifest(run, &list->items[i], err);
	}
	return r;
}

static int check_manifests(struct check_run *run, const struct manifest_list *list, struct err *err)
{
	for (size_t i = 0; !run->options->manifests && i < list->tagrec_count; i++) {
		const struct manifest_tagrec *t = &list->tagrecs[i];

		if (t->absent && !retires_have(&list->retires, &t->manifest))
			check_tell_damage(
			    run, STORE_SNAPSHOTS, &t->name,
			    "tells the tags of a backup that is not there: its manifest is lost");
	}
	return check_chosen(run, list, err);
}

static int need_chosen(const struct check_run *run, const struct manifest_list *list,
		       struct err *err)
{
	const struct check_options *o = run->options;
	char hex[ID_HEX_CHARS + 1];

	for (size_t i = 0; o->manifests && i < o->manifest_count; i++) {
		size_t k = 0;

		while (k < list->count && !id_eq(&o->manifests[i], &list->items[k].name))
			k++;
		id_hex(&o->manifests[i], hex);
		if (k == list->count)
			return err_set(err, ERR_MISSING, "manifest %.*s is not there any more",
				       ID_SHORT_CHARS, hex);
	}
	return 0;
}

/*
 * Which chunks the chosen backups rest on; what is wrong with them is told when they are checked. lost: those of them of which no copy
 * is whole, and what these rest on.
 */
static int find_scope(struct check_run *run, const struct manifest_list *list, bool lost,
		      struct err *err)
{
	int r;

	if (!run->options->manifests)
		return 0;
	idset_free(&run->scope);
	run->lost_only = lost;
	run->gathering = true;
	r = check_chosen(run, list, err);
	run->gathering = false;
	idset_free(&run->clean);
	return r;
}

static int count_segments(struct check_run *run, struct err *err)
{
	struct id *names = NULL;
	size_t count = 0;
	int r = repo_list(run->repo->store, STORE_INDEX, &names, NULL, &count, err);

	run->result->segments = count;
	free(names);
	return r;
}

int check_run(struct repo *repo, const struct check_options *options,
	      struct check_result *out_result, struct err *err)
{
	struct check_run run = {.repo = repo, .options = options, .result = out_result};
	struct manifest_list list = {0};
	int r;

	*out_result = (struct check_result){0};
	r = keys_allow(repo->keys, POWER_LISTS, "check", err);
	run.structure = out_result->structure_only = repo->keys->role == ROLE_MAINTAIN;
	/*
	 * The reverse of the write order: what these manifests reach is in the index that is loaded after them. A backup
	 * that ends while we read is not ours to judge.
	 */
	if (!r)
		r = check_load_condemned(&run, err);
	if (!r)
		r = manifests_load(repo, on_bad_manifest, &run, &list, err);
	if (!r)
		r = check_refused(&run, err);
	out_result->manifests = list.count;
	if (!r)
		r = need_chosen(&run, &list, err);
	if (!r)
		r = check_keys(&run, err);
	if (!r)
		r = count_segments(&run, err);
	if (!r)
		r = index_load(repo, on_bad_segment, &run, &run.index, err);
	if (!r)
		r = check_refused(&run, err);
	if (!r)
		r = reader_new(repo, run.index, &run.reader, err);
	if (!r)
		r = check_packs(&run, &list, err);
	if (!r && options->by_notes)
		notes_apply(&list.notes, run.index);
	if (!r)
		r = find_scope(&run, &list, false, err);
	if (!r && options->read_data)
		r = check_part_choose(&run, err);
	if (!r && options->read_data)
		r = check_read_packs(&run, err);
	if (!r && run.found_count)
		r = find_scope(&run, &list, true, err);
	if (!r)
		check_tell_found(&run, 0);
	if (!r)
		r = check_manifests(&run, &list, err);
	if (!r)
		r = check_refs(&run, &list, err);
	if (!r)
		r = check_note(&run, &list.notes, err);
	if (!r)
		check_withdraw(&run, &list.notes);
	if (!r && options->read_data)
		r = check_part_done(&run, err);
	manifest_list_free(&list);
	reader_free(run.reader);
	index_free(run.index);
	for (size_t i = 0; i < run.found_count; i++)
		free(run.found[i].text);
	free(run.found);
	condemned_free(&run.condemned);
	free(run.doomed);
	idset_free(&run.scope);
	idset_free(&run.clean);
	idset_free(&run.dirty);
	idset_free(&run.unnamed);
	idset_free(&run.rested_on);
	free(run.told_path);
	return r;
}
