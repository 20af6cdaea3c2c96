#include "repo/idset.h"

#include <stdlib.h>
#include <string.h>

void idset_free(struct idset *s)
{
	free(s->cells);
	*s = (struct idset){0};
}

static size_t cell_of(const struct idset *s, const struct id *id)
{
	uint64_t h;
	size_t at;

	memcpy(&h, id->b, sizeof(h));
	at = (size_t)h & (s->size - 1);
	while (!id_is_zero(&s->cells[at]) && !id_eq(&s->cells[at], id))
		at = (at + 1) & (s->size - 1);
	return at;
}

static int grow(struct idset *s, struct err *err)
{
	struct idset bigger = {.size = s->size ? s->size * 2 : 256, .count = s->count};

	bigger.cells = calloc(bigger.size, sizeof(*bigger.cells));
	if (!bigger.cells)
		return err_nomem(err);
	for (size_t i = 0; i < s->size; i++) {
		if (!id_is_zero(&s->cells[i]))
			bigger.cells[cell_of(&bigger, &s->cells[i])] = s->cells[i];
	}
	free(s->cells);
	*s = bigger;
	return 0;
}

int idset_add(struct idset *s, const struct id *id, struct err *err)
{
	size_t at;
	int r = s->count * 2 >= s->size ? grow(s, err) : 0;

	if (r)
		return r;
	at = cell_of(s, id);
	if (id_is_zero(&s->cells[at])) {
		s->cells[at] = *id;
		s->count++;
	}
	return 0;
}

bool idset_has(const struct idset *s, const struct id *id)
{
	return s->size && !id_is_zero(&s->cells[cell_of(s, id)]);
}
