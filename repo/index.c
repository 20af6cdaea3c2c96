#include "repo/index.h"

#include <stdlib.h>
#include <string.h>

#include "repo/bigalloc.h"

/* Ids are HMACs, so four of their bytes are as good as any hash. */
static uint32_t tag_of(const struct id *id)
{
	uint32_t tag;

	memcpy(&tag, id->b, sizeof(tag));
	return tag;
}

int index_new(struct index **out_index, struct err *err)
{
	struct index *index = calloc(1, sizeof(*index));

	if (!index)
		return err_nomem(err);
	*out_index = index;
	return 0;
}

static void pack_wipe(struct index_pack *pack)
{
	free(pack->slots);
	free(pack->sources);
}

void index_free(struct index *index)
{
	if (!index)
		return;
	for (size_t i = 0; i < index->pack_count; i++)
		pack_wipe(&index->packs[i]);
	idset_free(&index->segments);
	free(index->packs);
	free(index->places);
	free(index->table);
	free(index);
}

/* The cell of an id: where it is, or the free one where it would go. */
static struct index_cell *cell_of(const struct index *index, uint8_t kind, const struct id *id)
{
	size_t mask = index->table_size - 1, at;
	uint32_t tag = tag_of(id);

	for (at = tag & mask; index->table[at].at != INDEX_NONE; at = (at + 1) & mask) {
		const struct record_info *info;

		if (index->table[at].tag != tag)
			continue;
		info = &index->places[index->table[at].at].info;
		if (info->kind == kind && id_eq(&info->id, id))
			break;
	}
	return &index->table[at];
}

void index_expect(const struct index *index, const struct id *id)
{
	if (index->table_size)
		__builtin_prefetch(&index->table[tag_of(id) & (index->table_size - 1)]);
}

void index_expect_place(const struct index *index, const struct id *id)
{
	size_t mask = index->table_size - 1, at;
	uint32_t tag = tag_of(id);

	if (!index->table_size)
		return;
	for (at = tag & mask; index->table[at].at != INDEX_NONE; at = (at + 1) & mask) {
		if (index->table[at].tag == tag) {
			__builtin_prefetch(&index->places[index->table[at].at]);
			__builtin_prefetch(&index->places[index->table[at].at].info.bases);
			break;
		}
	}
}

static int table_grow(struct index *index, size_t size, struct err *err)
{
	struct index_cell *old = index->table, *table = bigalloc(size * sizeof(*table));
	size_t mask = size - 1;

	if (!table)
		return err_nomem(err);
	memset(table, 0xff, size * sizeof(*table));
	for (size_t i = 0; i < index->table_size; i++) {
		size_t at = old[i].tag & mask;

		if (old[i].at == INDEX_NONE)
			continue;
		while (table[at].at != INDEX_NONE)
			at = (at + 1) & mask;
		table[at] = old[i];
	}
	index->table = table;
	index->table_size = size;
	free(old);
	return 0;
}

static int places_reserve(struct index *index, size_t extra, struct err *err)
{
	size_t want = index->place_count + extra;
	size_t cap = index->place_cap ? index->place_cap : 256;
	size_t size = index->table_size ? index->table_size : 1024;
	struct index_place *places;

	if (want >= INDEX_NONE)
		return err_set(err, ERR_LIMIT, "the index is too large");
	while (size * 2 < want * 3)
		size *= 2;
	if (size > index->table_size) {
		int r = table_grow(index, size, err);

		if (r)
			return r;
	}
	if (want <= index->place_cap)
		return 0;
	while (cap < want)
		cap *= 2;
	places = realloc(index->places, cap * sizeof(*places));
	if (!places)
		return err_nomem(err);
	index->places = places;
	index->place_cap = cap;
	return 0;
}

static void add_place(struct index *index, uint32_t pack, const struct pack_entry *e)
{
	struct index_cell *cell = cell_of(index, e->info.kind, &e->info.id);
	uint32_t at = (uint32_t)index->place_count++;

	index->places[at] = (struct index_place){
	    .info = e->info,
	    .pack = pack,
	    .next = cell->at,
	    .counter = e->counter,
	    .offset = e->offset,
	    .stored_bytes = e->stored_bytes,
	    .slot = e->slot,
	    .source = e->source,
	};
	*cell = (struct index_cell){at, tag_of(&e->info.id)};
}

static int packs_reserve(struct index *index, struct err *err)
{
	size_t cap = index->pack_cap ? index->pack_cap * 2 : 64;
	struct index_pack *packs;

	if (index->pack_count < index->pack_cap)
		return 0;
	packs = realloc(index->packs, cap * sizeof(*packs));
	if (!packs)
		return err_nomem(err);
	index->packs = packs;
	index->pack_cap = cap;
	return 0;
}

/*
 * Packs are few (one for 16 MiB) beside chunks, but looked up once each: they share the table by way of a
 * place of kind 0 that carries the pack's name.
 */
uint32_t index_find_pack(const struct index *index, const struct id *name)
{
	uint32_t at;

	if (!index->table_size)
		return INDEX_NONE;
	at = cell_of(index, 0, name)->at;
	return at == INDEX_NONE ? INDEX_NONE : index->places[at].pack;
}

static int copy_tables(struct index_pack *pack, const struct pack_dir *dir, struct err *err)
{
	pack->slots = malloc((dir->slot_count + 1) * sizeof(*pack->slots));
	pack->sources = malloc((dir->source_count + 1) * sizeof(*pack->sources));
	if (!pack->slots || !pack->sources) {
		pack_wipe(pack);
		return err_nomem(err);
	}
	if (dir->slot_count)
		memcpy(pack->slots, dir->slots, dir->slot_count * sizeof(*pack->slots));
	if (dir->source_count)
		memcpy(pack->sources, dir->sources, dir->source_count * sizeof(*pack->sources));
	pack->slot_count = dir->slot_count;
	pack->source_count = dir->source_count;
	return 0;
}

int index_add_pack(struct index *index, const struct id *name, uint64_t pack_bytes,
		   const struct pack_dir *dir, struct err *err)
{
	struct pack_entry self = {.info = {.id = *name}};
	struct index_pack *pack;
	uint32_t number = (uint32_t)index->pack_count;
	int r;

	if (index_find_pack(index, name) != INDEX_NONE)
		return 0;
	r = packs_reserve(index, err);
	if (!r)
		r = places_reserve(index, dir->entry_count + 1, err);
	if (r)
		return r;
	pack = &index->packs[number];
	*pack = (struct index_pack){.name = *name, .pack_bytes = pack_bytes};
	r = copy_tables(pack, dir, err);
	if (r)
		return r;
	index->pack_count++;
	add_place(index, number, &self);
	pack->first_place = (uint32_t)index->place_count;
	pack->place_count = (uint32_t)dir->entry_count;
	index->additions++;
	for (size_t i = 0; i < dir->entry_count; i++)
		index_expect(index, &dir->entries[i].info.id);
	for (size_t i = 0; i < dir->entry_count; i++)
		add_place(index, number, &dir->entries[i]);
	return 0;
}

uint32_t index_find(const struct index *index, uint8_t kind, const struct id *id)
{
	if (!index->table_size)
		return INDEX_NONE;
	return cell_of(index, kind, id)->at;
}

void index_mark_pack(struct index *index, uint32_t pack)
{
	if (!index->packs[pack].bad)
		index->marks++;
	index->packs[pack].bad = true;
}

void index_condemn_pack(struct index *index, uint32_t pack)
{
	if (!index->packs[pack].condemned)
		index->marks++;
	index->packs[pack].condemned = true;
}

/* As an addition it can only make more of them whole. */
void index_pardon_pack(struct index *index, uint32_t pack)
{
	if (index->packs[pack].condemned)
		index->additions++;
	index->packs[pack].condemned = false;
}

void index_mark_place(struct index *index, uint32_t place)
{
	if (!index->places[place].bad)
		index->marks++;
	index->places[place].bad = true;
}

static bool bases_whole(const struct index *index, const struct record_info *info)
{
	for (size_t i = 0; i < info->base_count; i++) {
		if (index_find_base(index, info->kind, &info->bases[i], info->depth) == INDEX_NONE)
			return false;
	}
	return true;
}

/*
 * Marks take wholeness away and additions give it, never the other way round. So "whole" holds until the next mark and
 * "not whole" until the next addition: the memo is the count of one or of the other with the answer (0: not asked yet).
 */
bool index_place_whole(const struct index *index, uint32_t at)
{
	struct index_place *place = &index->places[at];
	uint32_t yes = index->marks * 2 + 2, no = index->additions * 2 + 1;

	if (place->bad || index->packs[place->pack].bad || index->packs[place->pack].condemned)
		return false;
	if (place->info.base_count == 0)
		return true;
	/* To a depth of 255 at most: each place that is asked below this one lies strictly lower. */
	if (place->memo != yes && place->memo != no)
		place->memo = bases_whole(index, &place->info) ? yes : no;
	return place->memo == yes;
}

uint32_t index_find_good(const struct index *index, uint8_t kind, const struct id *id)
{
	uint32_t at = index_find(index, kind, id);

	while (at != INDEX_NONE && !index_place_whole(index, at))
		at = index->places[at].next;
	return at;
}

uint32_t index_find_base(const struct index *index, uint8_t kind, const struct id *id,
			 unsigned below_depth)
{
	uint32_t best = INDEX_NONE;

	for (uint32_t at = index_find(index, kind, id); at != INDEX_NONE;
	     at = index->places[at].next) {
		unsigned depth = index->places[at].info.depth;

		if (depth < below_depth && index_place_whole(index, at)) {
			best = at;
			below_depth = depth;
		}
	}
	return best;
}

static int signer_known(struct repo *repo, const struct indexseg *seg, struct err *err)
{
	if (seg->kind == 2 && memcmp(seg->signer, repo->conf.gc_pub, 32) == 0)
		return 0;
	if (seg->kind == 1 && repo_find_writer(repo, seg->signer))
		return 0;
	return err_set(err, ERR_DAMAGED, "signed by a host that the roster in keys/ does not name");
}

static int add_named(struct index *index, const struct indexseg_pack *pack, struct err *err)
{
	int r = index_add_pack(index, &pack->name, pack->pack_bytes, &pack->dir, err);

	if (!r)
		index->packs[index_find_pack(index, &pack->name)].named = true;
	return r;
}

int index_get_segment(struct repo *repo, const struct id *name, struct indexseg *out_seg,
		      struct err *err)
{
	struct buf bytes = {0};
	struct indexseg seg = {0};
	int r = repo_get(repo, STORE_INDEX, name, LIMIT_INDEX_BYTES, &bytes, err);

	if (!r)
		r = indexseg_dec(repo->keys, bytes.data, bytes.len, &seg, err);
	if (!r)
		r = signer_known(repo, &seg, err);
	buf_free(&bytes);
	if (r) {
		indexseg_free(&seg);
		return r;
	}
	*out_seg = seg;
	return 0;
}

static int load_segment(struct repo *repo, const struct id *name, struct index *index,
			struct err *err)
{
	struct indexseg seg = {0};
	int r = index_get_segment(repo, name, &seg, err);

	for (size_t i = 0; !r && i < seg.pack_count; i++)
		r = add_named(index, &seg.packs[i], err);
	indexseg_free(&seg);
	return r;
}

struct segment_load {
	struct repo *repo;
	struct index *index;
	index_bad_fn *bad;
	void *bad_arg;
	struct id vanished; /* one that was listed and then not there */
	struct err vanished_why;
	bool any_vanished;
};

/* 0 also when it cannot be used. */
static int load_listed(struct segment_load *l, const struct id *name, struct err *err)
{
	struct err why = {0};
	int r = load_segment(l->repo, name, l->index, &why);

	if (r == -ERR_MISSING) {
		l->any_vanished = true;
		l->vanished = *name;
		l->vanished_why = why;
		return 0;
	}
	if (r == -ERR_NOMEM || r == -ERR_VERSION || store_is_away(r)) {
		*err = why;
		return r == -ERR_VERSION ? repo_name(l->repo->store, STORE_INDEX, name, err) : r;
	}
	/* A write key of another domain: what is in there is none of its business. */
	if (r && r != -ERR_KEY && l->bad)
		l->bad(l->bad_arg, name, &why);
	return idset_add(&l->index->segments, name, err);
}

static int load_new(struct segment_load *l, struct err *err)
{
	struct id *names = NULL;
	size_t count = 0, fresh = 0;
	int r = repo_list(l->repo->store, STORE_INDEX, &names, NULL, &count, err);

	l->any_vanished = false;
	for (size_t i = 0; !r && i < count; i++) {
		if (!idset_has(&l->index->segments, &names[i]))
			names[fresh++] = names[i];
	}
	if (!r)
		store_expect(l->repo->store, STORE_INDEX, names, fresh);
	for (size_t i = 0; !r && i < fresh; i++)
		r = load_listed(l, &names[i], err);
	free(names);
	return r;
}

/*
 * A prune puts the segment that takes the place of others before it removes them (FORMAT.md §12 R8), so one that is gone when it
 * is read is found again in what a new listing gives.
 */
#define LISTINGS_MOST 8

int index_refresh(struct repo *repo, struct index *index, index_bad_fn *bad, void *bad_arg,
		  struct err *err)
{
	struct segment_load l = {.repo = repo, .index = index, .bad = bad, .bad_arg = bad_arg};
	int r = load_new(&l, err);

	for (int i = 1; !r && l.any_vanished && i < LISTINGS_MOST; i++)
		r = load_new(&l, err);
	if (!r && l.any_vanished && bad)
		bad(bad_arg, &l.vanished, &l.vanished_why);
	return r;
}

int index_load(struct repo *repo, index_bad_fn *bad, void *bad_arg, struct index **out_index,
	       struct err *err)
{
	struct index *index = NULL;
	int r = index_new(&index, err);

	if (!r)
		r = index_refresh(repo, index, bad, bad_arg, err);
	if (r) {
		index_free(index);
		return r;
	}
	*out_index = index;
	return 0;
}

static int compare_ids(const void *a, const void *b)
{
	return id_cmp(a, b);
}

int index_mark_lost(struct repo *repo, struct index *index, uint64_t *out_bad, struct err *err)
{
	struct id *names = NULL;
	uint64_t *sizes = NULL;
	size_t count = 0;
	int r = repo_list(repo->store, STORE_DATA, &names, &sizes, &count, err);

	*out_bad = 0;
	for (size_t i = 0; !r && i < index->pack_count; i++) {
		const struct index_pack *pack = &index->packs[i];
		const struct id *found =
		    count ? bsearch(&pack->name, names, count, sizeof(*names), compare_ids) : NULL;

		if (found && sizes[found - names] == pack->pack_bytes)
			continue;
		index_mark_pack(index, (uint32_t)i);
		++*out_bad;
	}
	free(names);
	free(sizes);
	return r;
}

/* Reads a pack's front in one or two ranged reads. */
static int read_front(struct repo *repo, const struct id *name, uint64_t pack_bytes,
		      struct buf *front, struct err *err)
{
	struct pack_head head;
	size_t first = pack_bytes < 16384 ? (size_t)pack_bytes : 16384;
	uint64_t whole;
	int r = store_get_range(repo->store, STORE_DATA, name, 0, first, front, err);

	if (!r)
		r = pack_head_get(front->data, front->len, &head, err);
	if (r)
		return r;
	whole = pack_front_bytes(&head);
	if (whole > pack_bytes)
		return err_set(err, ERR_DAMAGED, "pack is cut short");
	if (whole > first)
		return store_get_range(repo->store, STORE_DATA, name, first, (size_t)whole - first,
				       front, err);
	front->len = (size_t)whole;
	return 0;
}

static int get_directory(struct repo *repo, const struct id *pack, uint64_t pack_bytes,
			 struct pack_dir *out_dir, struct err *err)
{
	struct buf front = {0};
	int r = read_front(repo, pack, pack_bytes, &front, err);

	if (!r)
		r = pack_front_dec(repo->keys, front.data, front.len, pack_bytes, out_dir, err);
	buf_free(&front);
	return r;
}

/* Read once more, from the store itself, when it was this host's cache that gave what does not open. */
int index_get_directory(struct repo *repo, const struct id *pack, uint64_t pack_bytes,
			struct pack_dir *out_dir, struct err *err)
{
	int r = get_directory(repo, pack, pack_bytes, out_dir, err);

	if (r != -ERR_DAMAGED || !store_distrust(repo->store, STORE_DATA, pack))
		return r;
	*err = (struct err){0};
	return get_directory(repo, pack, pack_bytes, out_dir, err);
}

static int rescue_pack(struct repo *repo, struct index *index, const struct id *name,
		       uint64_t pack_bytes, struct err *err)
{
	struct pack_dir dir = {0};
	struct err why = {0};
	int r;

	if (index_find_pack(index, name) != INDEX_NONE)
		return 0;
	r = index_get_directory(repo, name, pack_bytes, &dir, &why);
	if (!r)
		r = index_add_pack(index, name, pack_bytes, &dir, &why);
	pack_dir_free(&dir);
	if (r != -ERR_NOMEM && r != -ERR_VERSION && !store_is_away(r))
		return 0;
	*err = why;
	return r == -ERR_VERSION ? repo_name(repo->store, STORE_DATA, name, err) : r;
}

int index_rescue(struct repo *repo, struct index *index, struct err *err)
{
	struct id *names = NULL;
	uint64_t *sizes = NULL;
	size_t count = 0;
	int r;

	if (index->rescued)
		return 0;
	r = repo_list(repo->store, STORE_DATA, &names, &sizes, &count, err);
	for (size_t i = 0; !r && i < count; i++)
		r = rescue_pack(repo, index, &names[i], sizes[i], err);
	index->rescued = r == 0;
	free(names);
	free(sizes);
	return r;
}
