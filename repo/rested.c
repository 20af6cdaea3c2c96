#include "repo/rested.h"

#include <stdlib.h>
#include <string.h>

void rested_free(struct rested *r)
{
	free(r->by_place);
	*r = (struct rested){0};
}

static int reserve(struct rested *r, size_t places, struct err *err)
{
	size_t cap = r->cap ? r->cap : 4096;
	uint8_t *by_place;

	if (places <= r->cap)
		return 0;
	while (cap < places)
		cap *= 2;
	by_place = realloc(r->by_place, cap);
	if (!by_place)
		return err_nomem(err);
	memset(by_place + r->cap, 0, cap - r->cap);
	r->by_place = by_place;
	r->cap = cap;
	return 0;
}

int rested_add(struct rested *r, const struct index *index, uint32_t place, struct err *err)
{
	int rc = reserve(r, index->place_count, err);

	if (!rc)
		r->by_place[place] = 1;
	return rc;
}

int rested_add_pack(struct rested *r, const struct index *index, uint32_t pack, struct err *err)
{
	const struct index_pack *p = &index->packs[pack];
	int rc = reserve(r, index->place_count, err);

	if (!rc && p->place_count)
		memset(r->by_place + p->first_place, 1, p->place_count);
	return rc;
}

static bool lacks(const struct rested *r, const struct index *index, size_t at)
{
	const struct record_info *info = &index->places[at].info;

	return r->by_place[at] && !index_place_whole(index, (uint32_t)at) &&
	       index_find_good(index, info->kind, &info->id) == INDEX_NONE;
}

int rested_lacking(const struct rested *r, const struct index *index, struct chunk_ref **out_refs,
		   size_t *out_count, struct err *err)
{
	size_t places = r->cap < index->place_count ? r->cap : index->place_count, count = 0;
	struct chunk_ref *refs;

	for (size_t i = 0; i < places; i++)
		count += lacks(r, index, i);
	refs = malloc((count + 1) * sizeof(*refs));
	if (!refs)
		return err_nomem(err);
	*out_count = count;
	for (size_t i = places; count && i-- > 0;) {
		const struct record_info *info = &index->places[i].info;

		if (lacks(r, index, i))
			refs[--count] = (struct chunk_ref){info->kind, info->id};
	}
	*out_refs = refs;
	return 0;
}
