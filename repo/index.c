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

uint32_t index_find_instead(const struct index *index, uint32_t place)
{
	const struct index_place *p = &index->places[place];
	uint32_t at = index_find(index, p->info.kind, &p->info.id);

	while (at != INDEX_NONE &&
	       (index->places[at].pack == p->pack || index->places[at].info.depth > p->info.depth ||
		!index_place_whole(index, at)))
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

/* --- what another directory says --- */

static bool same_place(const struct index_place *p, const struct pack_entry *e)
{
	const struct record_info *a = &p->info, *b = &e->info;

	return a->kind == b->kind && id_eq(&a->id, &b->id) && a->codec == b->codec &&
	       a->depth == b->depth && a->base_count == b->base_count &&
	       memcmp(a->bases, b->bases, a->base_count * sizeof(struct id)) == 0 &&
	       a->plain_bytes == b->plain_bytes && a->lineage == b->lineage &&
	       a->chain_bytes == b->chain_bytes && p->slot == e->slot && p->source == e->source &&
	       p->counter == e->counter && p->offset == e->offset &&
	       p->stored_bytes == e->stored_bytes;
}

static bool same_slot(const struct slot *a, const struct slot *b)
{
	return memcmp(a->eph, b->eph, sizeof(a->eph)) == 0 && a->recipient == b->recipient &&
	       a->epoch == b->epoch && a->domain == b->domain;
}

bool index_says_so(const struct index *index, uint32_t number, uint64_t pack_bytes,
		   const struct pack_dir *dir)
{
	const struct index_pack *pack = &index->packs[number];
	bool same =
	    pack->pack_bytes == pack_bytes && pack->slot_count == dir->slot_count &&
	    pack->source_count == dir->source_count && pack->place_count == dir->entry_count &&
	    memcmp(pack->sources, dir->sources, dir->source_count * sizeof(*dir->sources)) == 0;

	for (size_t i = 0; same && i < dir->slot_count; i++)
		same = same_slot(&pack->slots[i], &dir->slots[i]);
	for (size_t i = 0; same && i < dir->entry_count; i++)
		same = same_place(&index->places[pack->first_place + i], &dir->entries[i]);
	return same;
}

/* Of open addressing: what came to lie behind the cell moves up. */
static void remove_cell(struct index *index, struct index_cell *cell)
{
	size_t mask = index->table_size - 1, hole = (size_t)(cell - index->table);

	for (size_t at = (hole + 1) & mask; index->table[at].at != INDEX_NONE;
	     at = (at + 1) & mask) {
		size_t home = index->table[at].tag & mask;

		if (((at - home) & mask) < ((at - hole) & mask))
			continue;
		index->table[hole] = index->table[at];
		hole = at;
	}
	index->table[hole].at = INDEX_NONE;
}

/* Nobody finds it any more. */
static void drop_place(struct index *index, uint32_t at)
{
	struct index_place *place = &index->places[at];
	struct index_cell *cell = cell_of(index, place->info.kind, &place->info.id);

	if (cell->at != at) {
		uint32_t before = cell->at;

		while (index->places[before].next != at)
			before = index->places[before].next;
		index->places[before].next = place->next;
	} else if (place->next != INDEX_NONE) {
		cell->at = place->next;
	} else {
		remove_cell(index, cell);
	}
	*place = (struct index_place){.pack = place->pack, .next = INDEX_NONE, .bad = true};
}

int index_replace_pack(struct index *index, uint32_t number, uint64_t pack_bytes,
		       const struct pack_dir *dir, struct err *err)
{
	struct index_pack fresh = {.name = index->packs[number].name, .pack_bytes = pack_bytes};
	struct index_pack *pack;
	int r = places_reserve(index, dir->entry_count, err);

	if (!r)
		r = copy_tables(&fresh, dir, err);
	if (r)
		return r;
	pack = &index->packs[number];
	for (uint32_t i = 0; i < pack->place_count; i++)
		drop_place(index, pack->first_place + i);
	pack_wipe(pack);
	fresh.first_place = (uint32_t)index->place_count;
	fresh.place_count = (uint32_t)dir->entry_count;
	*pack = fresh;
	for (size_t i = 0; i < dir->entry_count; i++)
		add_place(index, number, &dir->entries[i]);
	index->additions++;
	index->marks++;
	return 0;
}
