#include "repo/deltaorder.h"

#include <stdlib.h>
#include <string.h>

/* A forest: each place below the one that its first base is taken from. */
struct forest {
	uint32_t *child, *sibling; /* of each place, or INDEX_NONE */
	uint32_t *stack;
	size_t stack_count;
};

static void forest_free(struct forest *f)
{
	free(f->child);
	free(f->sibling);
	free(f->stack);
}

static int forest_alloc(struct forest *f, size_t places, struct err *err)
{
	size_t bytes = (places ? places : 1) * sizeof(uint32_t);

	f->child = malloc(bytes);
	f->sibling = malloc(bytes);
	f->stack = malloc(bytes);
	if (!f->child || !f->sibling || !f->stack)
		return err_nomem(err);
	memset(f->child, 0xff, bytes);
	memset(f->sibling, 0xff, bytes);
	return 0;
}

/* A tree that hangs on nothing starts at the stack. */
static void forest_grow(struct forest *f, const struct index *index)
{
	for (uint32_t at = (uint32_t)index->place_count; at-- > 0;) {
		const struct record_info *info = &index->places[at].info;
		uint32_t base = INDEX_NONE;

		if (info->base_count)
			base = index_find_base(index, info->kind, &info->bases[0], info->depth);
		if (base == INDEX_NONE) {
			f->stack[f->stack_count++] = at;
		} else {
			f->sibling[at] = f->child[base];
			f->child[base] = at;
		}
	}
}

int deltaorder_of(const struct index *index, uint32_t **out_places, size_t *out_count,
		  struct err *err)
{
	struct forest f = {0};
	uint32_t *places = malloc((index->place_count + 1) * sizeof(*places));
	size_t count = 0;
	int r = places ? forest_alloc(&f, index->place_count, err) : err_nomem(err);

	if (!r)
		forest_grow(&f, index);
	while (!r && f.stack_count) {
		uint32_t at = f.stack[--f.stack_count];

		if (index->places[at].info.base_count)
			places[count++] = at;
		for (uint32_t c = f.child[at]; c != INDEX_NONE; c = f.sibling[c])
			f.stack[f.stack_count++] = c;
	}
	forest_free(&f);
	if (r) {
		free(places);
		return r;
	}
	*out_places = places;
	*out_count = count;
	return 0;
}
