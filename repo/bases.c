#include "repo/bases.h"

#include <string.h>

/* The places that a chunk could rest on. */
struct picks {
	uint32_t places[LIMIT_BASES];
	size_t count;
	uint32_t last;    /* the version that the chunk follows, be it a base or not */
	uint32_t follows; /* its lineage */
};

static bool may_rest(const struct index *index, const struct bases_query *query,
		     const struct index_place *place)
{
	const struct index_pack *pack = &index->packs[place->pack];

	return chunk_kind_recipient(query->kind) != SLOT_M ||
	       memcmp(pack->sources[place->source].writer, query->writer, 32) == 0;
}

static bool serves(const struct index *index, const struct bases_query *query, uint32_t at)
{
	const struct index_place *place = &index->places[at];

	return place->pack < query->pack_count &&
	       index->packs[place->pack].slots[place->slot].domain == query->domain &&
	       may_rest(index, query, place) && index_place_whole(index, at);
}

/* As index_find_base, among the places that serve. */
static uint32_t find(const struct index *index, const struct bases_query *query,
		     const struct id *id)
{
	uint32_t best = INDEX_NONE;

	for (uint32_t at = index_find(index, query->kind, id); at != INDEX_NONE;
	     at = index->places[at].next) {
		if (serves(index, query, at) &&
		    (best == INDEX_NONE ||
		     index->places[at].info.depth < index->places[best].info.depth))
			best = at;
	}
	return best;
}

static bool has(const uint32_t *places, size_t count, uint32_t place)
{
	for (size_t i = 0; i < count; i++) {
		if (places[i] == place)
			return true;
	}
	return false;
}

/* Where a place's n-th base is taken from; a whole place has one. */
static uint32_t base_of(const struct index *index, uint32_t at, size_t n)
{
	const struct record_info *info = &index->places[at].info;

	return index_find_base(index, info->kind, &info->bases[n], info->depth);
}

/* The ancestor of a lineage, along first bases. INDEX_NONE: they do not lead to one. */
static uint32_t ancestor(const struct index *index, uint32_t at, uint32_t lineage)
{
	while (at != INDEX_NONE && index->places[at].info.lineage != lineage)
		at = index->places[at].info.base_count ? base_of(index, at, 0) : INDEX_NONE;
	return at;
}

static void pick(const struct index *index, const struct bases_query *query, struct picks *p)
{
	uint32_t wanted, older = INDEX_NONE;

	for (size_t i = 0; i < query->count && p->count < LIMIT_BASES; i++) {
		uint32_t at = find(index, query, &query->ids[i]);

		if (at != INDEX_NONE && !has(p->places, p->count, at))
			p->places[p->count++] = at;
	}
	if (p->count == 0)
		return;
	p->last = p->places[0];
	p->follows = index->places[p->last].info.lineage;
	if (!query->plain_chain && lineage_jumps(query->kind != CHUNK_DATA, p->follows, &wanted))
		older = ancestor(index, p->places[0], wanted);
	if (older != INDEX_NONE && serves(index, query, older) && !has(p->places, p->count, older))
		p->places[0] = older;
}

/* How many different records give these; LINEAGE_CLOSURE where they are as many or more. */
static size_t closure(const struct index *index, const struct picks *p)
{
	uint32_t seen[LINEAGE_CLOSURE];
	size_t count = p->count;

	memcpy(seen, p->places, count * sizeof(*seen));
	for (size_t at = 0; at < count; at++) {
		const struct record_info *info = &index->places[seen[at]].info;

		for (size_t i = 0; i < info->base_count; i++) {
			uint32_t base = base_of(index, seen[at], i);

			if (has(seen, count, base))
				continue;
			if (count == LINEAGE_CLOSURE)
				return count;
			seen[count++] = base;
		}
	}
	return count;
}

static void survey(const struct index *index, const struct picks *p, struct lineage_ground *g)
{
	uint32_t at = p->places[0];

	g->base_count = p->count;
	g->closure = closure(index, p);
	for (size_t i = 0; i < p->count; i++) {
		const struct record_info *info = &index->places[p->places[i]].info;

		g->base_bytes += info->plain_bytes;
		if (info->depth > g->depth)
			g->depth = info->depth;
	}
	for (;;) {
		g->chain_bytes += index->places[at].stored_bytes;
		if (index->places[at].info.base_count == 0)
			break;
		at = base_of(index, at, 0);
	}
	g->root_stored = index->places[at].stored_bytes;
	g->root_plain = index->places[at].info.plain_bytes;
}

bool bases_choose(const struct index *index, const struct bases_query *query,
		  struct bases_choice *out_choice)
{
	struct picks p = {0};

	pick(index, query, &p);
	out_choice->follows = p.count > 0;
	if (p.count > 0)
		out_choice->last = index->places[p.last].info.id;
	for (; p.count > 0; p.count--) {
		struct lineage_ground ground = {.node = query->kind != CHUNK_DATA,
						.follows = p.follows};

		survey(index, &p, &ground);
		if (lineage_plan(&ground, query->plain_bytes, &out_choice->plan))
			break;
	}
	out_choice->count = p.count;
	for (size_t i = 0; i < p.count; i++)
		out_choice->ids[i] = index->places[p.places[i]].info.id;
	return p.count > 0;
}
