#include "repo/linktable.h"

#include <stdlib.h>
#include <string.h>

struct linktable_cell {
	uint64_t number;
	char *path;
};

void linktable_free(struct linktable *t)
{
	for (size_t i = 0; i < t->size; i++)
		free(t->cells[i].path);
	free(t->cells);
	*t = (struct linktable){0};
}

/* Numbers are cut from hashes, so their low bits spread well. */
static struct linktable_cell *cell_of(const struct linktable *t, uint64_t number)
{
	size_t mask = t->size - 1, at = (size_t)number & mask;

	while (t->cells[at].number && t->cells[at].number != number)
		at = (at + 1) & mask;
	return &t->cells[at];
}

static int grow(struct linktable *t, struct err *err)
{
	struct linktable bigger = {.count = t->count, .size = t->size ? t->size * 2 : 256};

	bigger.cells = calloc(bigger.size, sizeof(*bigger.cells));
	if (!bigger.cells)
		return err_nomem(err);
	for (size_t i = 0; i < t->size; i++) {
		if (t->cells[i].number)
			*cell_of(&bigger, t->cells[i].number) = t->cells[i];
	}
	free(t->cells);
	*t = bigger;
	return 0;
}

int linktable_add(struct linktable *t, uint64_t number, const char *path, struct err *err)
{
	struct linktable_cell *cell;
	int r = number && t->count * 2 >= t->size ? grow(t, err) : 0;

	if (r || !number)
		return r;
	cell = cell_of(t, number);
	if (cell->number)
		return 0;
	cell->path = strdup(path);
	if (!cell->path)
		return err_nomem(err);
	cell->number = number;
	t->count++;
	return 0;
}

const char *linktable_find(const struct linktable *t, uint64_t number)
{
	const struct linktable_cell *cell;

	if (!number || !t->size)
		return NULL;
	cell = cell_of(t, number);
	return cell->number ? cell->path : NULL;
}
