#include "repo/check.h"

#include <stdlib.h>
#include <string.h>

#include "core/sha256.h"
#include "repo/browse.h"
#include "repo/deltaorder.h"
#include "repo/idset.h"
#include "repo/manifests.h"
#include "repo/tree_read.h"

struct run {
	struct repo *repo;
	const struct check_options *options;
	struct check_result *result;
	struct index *index;
	struct reader *reader;
	uint32_t indexed;          /* packs that segments name; later ones were found by rescue */
	struct idset clean;        /* lists below which nothing is wrong */
	struct idset unnamed;      /* rescued packs that were reported */
	struct idset rested_on;    /* bases whose packs were looked at for that */
	const struct id *manifest; /* under way */
	struct id told_manifest;   /* of the last path that was told, so that it is told once */
	char *told_path;
};

/* --- telling --- */

static void tell_damage(struct run *run, enum store_type type, const struct id *name,
			const char *text)
{
	char path[STORE_PATH_CHARS];

	store_path(type, name, path);
	run->result->damaged++;
	if (run->options->damage)
		run->options->damage(run->options->arg, path, text);
}

static void tell_touched(struct run *run, const char *path, const char *text)
{
	if (run->told_path && strcmp(run->told_path, path) == 0 &&
	    id_eq(&run->told_manifest, run->manifest))
		return;
	free(run->told_path);
	run->told_path = strdup(path); /* without memory it is told again, no more */
	run->told_manifest = *run->manifest;
	run->result->damaged++;
	if (run->options->touched)
		run->options->touched(run->options->arg, run->manifest, path, text);
}

static int tick(struct run *run, uint64_t done, uint64_t total, const char *what, struct err *err)
{
	const struct check_options *o = run->options;

	if (o->progress && o->progress(o->arg, done, total, what) != 0)
		return err_set(err, ERR_CANCELLED, "interrupted; the check is not complete");
	return 0;
}

static void on_bad_segment(void *arg, const struct id *name, const struct err *why)
{
	tell_damage(arg, STORE_INDEX, name, why->text);
}

static void on_bad_manifest(void *arg, const struct id *name, const struct err *why)
{
	tell_damage(arg, STORE_SNAPSHOTS, name, why->text);
}

/* --- objects --- */

static int check_keys(struct run *run, struct err *err)
{
	struct id *names = NULL;
	size_t count = 0;
	struct buf bytes = {0};
	int r = repo_list(run->repo->store, STORE_KEYS, &names, NULL, &count, err);

	for (size_t i = 0; !r && i < count; i++) {
		buf_reset(&bytes);
		r = repo_get(run->repo, STORE_KEYS, &names[i], LIMIT_KEY_OBJECT_BYTES, &bytes, err);
		if (r == -ERR_NOMEM)
			break;
		if (r)
			tell_damage(run, STORE_KEYS, &names[i], err->text);
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
static void mark_beyond(struct run *run, const struct index_pack *pack, uint64_t size)
{
	for (uint32_t i = 0; i < pack->place_count; i++) {
		uint32_t at = pack->first_place + i;
		const struct index_place *place = &run->index->places[at];

		if ((uint64_t)place->offset + place->stored_bytes > size)
			index_mark_place(run->index, at);
	}
}

/* A pack that a segment names is there, with the length that it says. */
static void check_presence(struct run *run, const struct id *names, const uint64_t *sizes,
			   size_t count)
{
	for (uint32_t i = 0; i < run->indexed; i++) {
		const struct index_pack *pack = &run->index->packs[i];
		const struct id *found =
		    count ? bsearch(&pack->name, names, count, sizeof(*names), compare_ids) : NULL;

		if (found && sizes[found - names] == pack->pack_bytes)
			continue;
		if (!found)
			index_mark_pack(run->index, i);
		else
			mark_beyond(run, pack, sizes[found - names]);
		tell_damage(run, STORE_DATA, &pack->name,
			    !found ? "missing"
			    : sizes[found - names] < pack->pack_bytes
				? "cut short"
				: "longer than it was written");
	}
}

static void note_orphans(struct run *run, const struct id *names, size_t count)
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

static int check_packs(struct run *run, struct err *err)
{
	struct id *names = NULL;
	uint64_t *sizes = NULL;
	size_t count = 0;
	int r = repo_list(run->repo->store, STORE_DATA, &names, &sizes, &count, err);

	if (!r) {
		run->result->packs = count;
		run->indexed = (uint32_t)run->index->pack_count;
		check_presence(run, names, sizes, count);
		note_orphans(run, names, count);
	}
	/* Now, so that a missing chunk and one whose index is missing are told apart. */
	if (!r)
		r = index_rescue(run->repo, run->index, err);
	free(names);
	free(sizes);
	return r;
}

/* --- reading every byte --- */

/* Bytes of one record: they open, and give what its id says. */
static int open_record(struct run *run, uint32_t at, const void *sealed, size_t len,
		       struct buf *plain, struct err *err)
{
	const struct index_place *place = &run->index->places[at];
	int r;

	buf_reset(plain);
	r = reader_open_place(run->reader, place, sealed, len, plain, err);
	if (r == -ERR_NOMEM || r == -ERR_KEY)
		return r;
	run->result->chunks++;
	if (r) {
		index_mark_place(run->index, at);
		tell_damage(run, STORE_DATA, &run->index->packs[place->pack].name, err->text);
	}
	return 0;
}

/* A delta waits until all that is full has been read, see read_deltas. */
static int read_record(struct run *run, uint32_t at, const struct buf *pack, struct buf *plain,
		       struct err *err)
{
	const struct index_place *place = &run->index->places[at];

	if (place->bad) /* beyond the end of a pack that was cut short, which was told */
		return 0;
	if (place->offset > pack->len || place->stored_bytes > pack->len - place->offset) {
		index_mark_place(run->index, at);
		tell_damage(run, STORE_DATA, &run->index->packs[place->pack].name,
			    "a record lies beyond its end");
		return 0;
	}
	if (place->info.base_count)
		return 0;
	return open_record(run, at, pack->data + place->offset, place->stored_bytes, plain, err);
}

/*
 * One that is not whole rests on damage that was told, or on what only an orphan lacks; the paths that it touches are
 * told with their manifests.
 */
static int read_delta(struct run *run, uint32_t at, struct buf *sealed, struct buf *plain,
		      struct err *err)
{
	const struct index_place *place = &run->index->places[at];
	const struct id *pack = &run->index->packs[place->pack].name;
	int r;

	if (!index_place_whole(run->index, at))
		return 0;
	buf_reset(sealed);
	r = store_get_range(run->repo->store, STORE_DATA, pack, place->offset, place->stored_bytes,
			    sealed, err);
	if (!r)
		return open_record(run, at, sealed->data, sealed->len, plain, err);
	if (r == -ERR_NOMEM)
		return r;
	index_mark_place(run->index, at);
	tell_damage(run, STORE_DATA, pack, err->text);
	return 0;
}

/* Not pack by pack, where the bases of each night would be decoded anew: version after version, each from the one before. */
static int read_deltas(struct run *run, struct buf *sealed, struct buf *plain, struct err *err)
{
	uint64_t packs = run->index->pack_count;
	uint32_t *places = NULL;
	size_t count = 0;
	int r = deltaorder_of(run->index, &places, &count, err);

	for (size_t i = 0; !r && i < count; i++) {
		r = tick(run, packs, packs, "", err);
		if (!r)
			r = read_delta(run, places[i], sealed, plain, err);
	}
	free(places);
	return r;
}

/* The directory is what an index is rebuilt from: it must open, too. */
static bool front_opens(struct run *run, const struct buf *pack, struct err *err)
{
	struct pack_dir dir = {0};
	struct pack_head head;
	bool ok = pack_head_get(pack->data, pack->len, &head, err) == 0 &&
		  pack_front_bytes(&head) <= pack->len &&
		  pack_front_dec(run->repo->keys, pack->data, (size_t)pack_front_bytes(&head),
				 pack->len, &dir, err) == 0;

	pack_dir_free(&dir);
	return ok;
}

static int read_pack(struct run *run, uint32_t number, struct buf *bytes, struct buf *plain,
		     struct err *err)
{
	const struct index_pack *pack = &run->index->packs[number];
	uint64_t damaged = run->result->damaged;
	struct id digest;
	int r;

	buf_reset(bytes);
	r = store_get(run->repo->store, STORE_DATA, &pack->name, LIMIT_PACK_BYTES, bytes, err);
	if (r == -ERR_NOMEM)
		return r;
	if (r) {
		index_mark_pack(run->index, number);
		tell_damage(run, STORE_DATA, &pack->name, err->text);
		return 0;
	}
	run->result->bytes_read += bytes->len;
	for (uint32_t i = 0; !r && i < pack->place_count; i++)
		r = read_record(run, pack->first_place + i, bytes, plain, err);
	if (!r)
		r = sha256_of(bytes->data, bytes->len, &digest, err);
	if (r)
		return r;
	if (run->result->damaged != damaged || bytes->len != pack->pack_bytes)
		return 0;
	if (!id_eq(&digest, &pack->name))
		tell_damage(run, STORE_DATA, &pack->name,
			    "damaged, though every record in it still opens");
	else if (!front_opens(run, bytes, err))
		tell_damage(run, STORE_DATA, &pack->name, err->text);
	return 0;
}

static int read_packs(struct run *run, struct err *err)
{
	struct buf bytes = {0}, plain = {0};
	int r = 0;

	for (uint32_t i = 0; !r && i < run->index->pack_count; i++) {
		r = tick(run, i, run->index->pack_count, "", err);
		if (!r && !run->index->packs[i].bad)
			r = read_pack(run, i, &bytes, &plain, err);
	}
	if (!r)
		r = read_deltas(run, &bytes, &plain, err);
	buf_free(&bytes);
	buf_wipe(&plain);
	return r;
}

/* --- what the manifests reach --- */

struct folder {
	struct run *run;
	const char *path;
	bool *dirty; /* something below is wrong */
};

/* A backup needs a pack that only its own directory tells of: restore copes, but an index is missing. */
static int tell_unnamed(struct run *run, uint32_t place, struct err *err)
{
	uint32_t pack = run->index->places[place].pack;
	const struct id *name = &run->index->packs[pack].name;

	if (pack < run->indexed || idset_has(&run->unnamed, name))
		return 0;
	run->result->orphans--;
	tell_damage(run, STORE_DATA, name,
		    "backups need it but no index segment names it: an index segment is missing");
	return idset_add(&run->unnamed, name, err);
}

/* A whole place, rather one in a pack that a segment names: an orphan may hold copies of what is not missing. */
static uint32_t find_place(const struct run *run, uint8_t kind, const struct id *id,
			   unsigned below_depth)
{
	const struct index *index = run->index;
	uint32_t fallback = INDEX_NONE;

	for (uint32_t at = index_find(index, kind, id); at != INDEX_NONE;
	     at = index->places[at].next) {
		const struct index_place *place = &index->places[at];

		if (place->info.depth >= below_depth || !index_place_whole(index, at))
			continue;
		if (place->pack < run->indexed)
			return at;
		fallback = at;
	}
	return fallback;
}

/* What a backup needs, it needs with all that this rests on: of strictly lower depth at each step. */
static int tell_all_unnamed(struct run *run, uint32_t place, struct err *err)
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

static int check_chunk(struct folder *at, const char *path, const struct chunk_ref *ref,
		       struct err *err)
{
	uint32_t place = find_place(at->run, ref->kind, &ref->id, LIMIT_DEPTH + 1);

	if (place != INDEX_NONE)
		return tell_all_unnamed(at->run, place, err);
	*at->dirty = true;
	tell_touched(at->run, path, what_is_wrong(at->run->index, ref));
	return 0;
}

static int check_file_chunk(void *arg, const struct chunk_ref *ref, const char *path,
			    struct err *err)
{
	return check_chunk(arg, path, ref, err);
}

/* Turns what is wrong with one path into a line; only what ends the run stays an error. */
static int absorb(struct folder *at, const char *path, int r, const struct err *why)
{
	if (!r || r == -ERR_NOMEM || r == -ERR_CANCELLED || r == -ERR_KEY)
		return r;
	*at->dirty = true;
	tell_touched(at->run, path, why->text);
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
	else if (!r)
		r = content_refs(at->run->reader, e, children, path, check_file_chunk, at, err);
	r = absorb(at, path ? path : at->path, r, err);
	free(path);
	return r;
}

/* A folder, or one node of a large one, unless an earlier manifest shared it and it was clean. */
static int check_node(struct folder *at, const char *path, const struct id *list,
		      unsigned max_level, struct err *err)
{
	bool dirty = false;
	struct folder below = {at->run, path, &dirty};
	struct tree_node node;
	int r = 0;

	if (idset_has(&at->run->clean, list))
		return 0;
	r = tick(at->run, 0, 0, path, err);
	if (r)
		return r;
	r = tree_node_load(at->run->reader, list, &node, err);
	if (r)
		return r;
	if (node.body.level > max_level)
		r = err_set(err, ERR_DAMAGED, "a tree node lists nodes of its own level");
	for (size_t i = 0; !r && i < 2; i++) {
		struct chunk_ref list_ref = {CHUNK_TREE_LIST, *list};

		r = check_chunk(&below, path, i ? &node.children[0] : &list_ref, err);
	}
	for (size_t i = 0; !r && i < node.body.count; i++) {
		const struct entry *e = node.body.level ? NULL : &node.body.entries[i];

		r = e ? check_entry(&below, e, node.children + e->child_first, err)
		      : absorb(&below, path,
			       check_node(&below, path, &node.children[i + 1].id,
					  node.body.level - 1u, err),
			       err);
	}
	tree_node_free(&node);
	if (!r && !dirty)
		r = idset_add(&at->run->clean, list, err);
	*at->dirty = *at->dirty || dirty;
	return r;
}

static int check_manifest(struct run *run, const struct manifest_item *item, struct err *err)
{
	bool dirty = false;
	struct folder top = {run, "/", &dirty};
	int r;

	run->manifest = &item->name;
	r = check_node(&top, "/", &item->m.root, LIMIT_NODE_LEVELS, err);
	return absorb(&top, "/", r, err);
}

static int check_manifests(struct run *run, const struct manifest_list *list, struct err *err)
{
	int r = 0;

	for (size_t i = 0; !r && i < list->stray_count; i++)
		tell_damage(run, STORE_SNAPSHOTS, &list->strays[i],
			    "tells the tags of a backup that is not there: its manifest is lost");
	for (size_t i = 0; !r && i < list->count; i++)
		r = check_manifest(run, &list->items[i], err);
	return r;
}

static int count_segments(struct run *run, struct err *err)
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
	struct run run = {.repo = repo, .options = options, .result = out_result};
	struct manifest_list list = {0};
	int r;

	*out_result = (struct check_result){0};
	r = keys_allow(repo->keys, POWER_READ, "check", err);
	/*
	 * The reverse of the write order: what these manifests reach is in the index that is loaded after them. A backup
	 * that ends while we read is not ours to judge.
	 */
	if (!r)
		r = manifests_load(repo, on_bad_manifest, &run, &list, err);
	out_result->manifests = list.count;
	if (!r)
		r = check_keys(&run, err);
	if (!r)
		r = count_segments(&run, err);
	if (!r)
		r = index_load(repo, on_bad_segment, &run, &run.index, err);
	if (!r)
		r = reader_new(repo, run.index, &run.reader, err);
	if (!r)
		r = check_packs(&run, err);
	if (!r && options->read_data)
		r = read_packs(&run, err);
	if (!r)
		r = check_manifests(&run, &list, err);
	manifest_list_free(&list);
	reader_free(run.reader);
	index_free(run.index);
	idset_free(&run.clean);
	idset_free(&run.unnamed);
	idset_free(&run.rested_on);
	free(run.told_path);
	return r;
}
