/*
 * Which tree a group of cells is of. A chunk's key is a hash of its first cell under the key of its tree, so that tells the first
 * group's. A further group in a chunk is of the next tree that is not empty: of tables the manifest tells, of an index its table does;
 * of the few that nobody tells, SQLite's own tables and indexes of some rows, the cells have to.
 */
#include "repo/rowtrees.h"

#include <stdlib.h>
#include <string.h>

#include "core/cells_cut.h"
#include "core/sqlrec.h"
#include "repo/rowtext.h"

#define CELLS_ASKED 64u

struct finder {
	struct rowtrees *t;
	struct rowchunk c;
	size_t tree; /* of the last group; ROWTREES_NONE: sqlite_schema */
};

static bool is_kind(const struct rowtree *tree, bool table)
{
	return table == (tree->is_table && !tree->without_rowid);
}

static int add_part(struct rowtree *tree, uint32_t chunk, uint32_t group, struct err *err)
{
	if (tree->part_count == tree->part_cap) {
		size_t cap = tree->part_cap ? tree->part_cap * 2 : 16;
		struct rowtree_part *parts = realloc(tree->parts, cap * sizeof(*parts));

		if (!parts)
			return err_nomem(err);
		tree->parts = parts;
		tree->part_cap = cap;
	}
	tree->parts[tree->part_count++] = (struct rowtree_part){chunk, group};
	return 0;
}

/* --- the first group of a chunk --- */

static int find_first(struct finder *f, uint64_t key, const struct cell_ahead *a, struct err *err)
{
	struct cells_reader peek = f->c.reader;
	struct rowtrees *t = f->t;
	const uint8_t *payload = NULL;
	size_t from = f->tree == ROWTREES_NONE ? 0 : f->tree;

	if (a->big && !a->table) {
		t->uncounted = "a row without a rowid is too long";
		return 0;
	}
	if (!a->big && cells_take(&peek, &payload, err) != 0)
		return -err->code;
	if (a->table && key == cells_key_hash(t->schema_key, true, a->rowid, NULL, 0)) {
		f->tree = ROWTREES_NONE;
		return 0;
	}
	for (size_t i = 0; i < t->count; i++) {
		size_t at = (from + i) % t->count;

		if (is_kind(&t->trees[at], a->table) &&
		    key == cells_key_hash(t->trees[at].key, a->table, a->rowid, payload,
					  (size_t)a->payload)) {
			f->tree = at;
			return 0;
		}
	}
	t->uncounted = "it has pages that belong to no table";
	return 0;
}

/* --- those that follow --- */

static bool names_a_table(const struct rowtrees *t, const struct span *text)
{
	char *name = rowtext_utf8(text, t->side->db->encoding);
	bool found = false;

	for (size_t i = 0; name && !found && i < t->count; i++)
		found = t->trees[i].is_table && strcmp(t->trees[i].name, name) == 0;
	free(name);
	return found;
}

/* In sqlite_sequence and sqlite_stat1 and 4 the first column of each row names a table. */
static bool looks_internal(const struct finder *f)
{
	struct cells_reader peek = f->c.reader;
	struct cell_ahead a;
	struct err ignored = {0};

	for (unsigned i = 0; i < CELLS_ASKED && (i == 0 || peek.left > 0); i++) {
		struct sqlrec_column first;
		const uint8_t *payload;
		struct sqlrec r;

		if (cells_look(&peek, &a, &ignored) != 0 || !a.any || a.big ||
		    cells_take(&peek, &payload, &ignored) != 0 ||
		    !sqlrec_open(payload, (size_t)a.payload, &r) || !sqlrec_next(&r, &first) ||
		    !sqlrec_is_text(&first) || !names_a_table(f->t, &first.value))
			return false;
	}
	return true;
}

static void find_next(struct finder *f, const struct cell_ahead *a)
{
	struct rowtrees *t = f->t;
	size_t from = f->tree == ROWTREES_NONE ? 0 : f->tree + 1, sure = from;

	while (sure < t->count &&
	       (!is_kind(&t->trees[sure], a->table) || t->trees[sure].fill != ROWTREE_FILLED))
		sure++;
	for (size_t i = from; i < sure; i++) {
		const struct rowtree *tree = &t->trees[i];

		if (!is_kind(tree, a->table) || tree->fill != ROWTREE_UNKNOWN)
			continue;
		/* VACUUM INTO puts all indexes behind all tables. */
		if (tree->is_table ? !tree->internal : sure < t->count && t->trees[sure].is_table) {
			t->uncounted = "it is not certain which of its tables have rows";
			return;
		}
		if (!tree->is_table || tree->raw || looks_internal(f)) {
			f->tree = i;
			return;
		}
	}
	if (sure == t->count)
		t->uncounted = "it has pages that belong to no table";
	f->tree = sure;
}

/* --- all of them --- */

static int walk_chunk(struct finder *f, uint32_t chunk, struct err *err)
{
	struct rowtrees *t = f->t;
	struct cell_ahead a;
	uint32_t group = 0;

	rowchunk_begin(&f->c);
	for (bool first = true; !t->uncounted; first = false) {
		bool begins = rowchunk_at_group(&f->c);
		const uint8_t *payload;
		int r = cells_look(&f->c.reader, &a, err);

		if (r || !a.any)
			return r;
		if (first)
			r = find_first(f, t->map.chunks[chunk].key, &a, err);
		else if (begins)
			find_next(f, &a);
		if (r || t->uncounted)
			return r;
		group += begins && !first;
		if (f->tree != ROWTREES_NONE) {
			t->trees[f->tree].cells++;
			if (begins)
				r = add_part(&t->trees[f->tree], chunk, group, err);
		}
		if (!r && a.big)
			return 0;
		if (!r)
			r = cells_take(&f->c.reader, &payload, err);
		if (r)
			return r;
	}
	return 0;
}

int rowtrees_find_parts(struct rowtrees *t, struct err *err)
{
	struct finder f = {.t = t, .tree = ROWTREES_NONE};
	int r = 0;

	for (size_t i = 0; !r && !t->uncounted && i < t->map.data_count; i++) {
		if (t->partner[i] != ROWTREES_NONE)
			continue;
		r = rowtrees_chunk(t, i, &f.c.bytes, err);
		if (!r && rowchunk_is_cells(&f.c))
			r = walk_chunk(&f, (uint32_t)i, err);
	}
	buf_wipe(&f.c.bytes);
	return r;
}
