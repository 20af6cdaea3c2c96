#include "repo/rowdiff.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/cells_cut.h"
#include "core/sha256.h"
#include "core/sqlrec.h"
#include "repo/rowtrees.h"

#define ROWS_HELD_MOST (1u << 23) /* of a WITHOUT ROWID table, in each image */

enum { BEFORE, AFTER };

/* --- chunks that both images have --- */

/*
 * Where the same tables are filled in both images, and the trees are the same in the same order, all groups of a chunk with the same
 * bytes and key are of the same trees.
 */
static bool alike(const struct rowtrees *a, const struct rowtrees *b)
{
	if (a->count != b->count || a->side->domain != b->side->domain)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		const struct rowtree *x = &a->trees[i], *y = &b->trees[i];

		if (x->fill != y->fill || x->is_table != y->is_table ||
		    x->without_rowid != y->without_rowid || memcmp(x->key, y->key, 16) != 0)
			return false;
	}
	return true;
}

static size_t slot_of(const struct id *id, size_t mask)
{
	uint64_t h;

	memcpy(&h, id->b, sizeof(h));
	return (size_t)h & mask;
}

static int pair_chunks(struct rowtrees *a, struct rowtrees *b, struct err *err)
{
	size_t mask = 15;
	uint32_t *slots;

	while (mask < a->map.data_count * 2)
		mask = mask * 2 + 1;
	slots = malloc((mask + 1) * sizeof(*slots));
	if (!slots)
		return err_nomem(err);
	memset(slots, 0xff, (mask + 1) * sizeof(*slots));
	for (size_t i = 0; i < a->map.data_count; i++) {
		size_t at = slot_of(&a->map.chunks[i].id, mask);

		while (slots[at] != ROWTREES_NONE)
			at = (at + 1) & mask;
		slots[at] = (uint32_t)i;
	}
	for (size_t i = 0; i < b->map.data_count; i++) {
		const struct image_chunk *want = &b->map.chunks[i];

		for (size_t at = slot_of(&want->id, mask); slots[at] != ROWTREES_NONE;
		     at = (at + 1) & mask) {
			const struct image_chunk *is = &a->map.chunks[slots[at]];

			if (is->key != want->key || !id_eq(&is->id, &want->id) ||
			    a->partner[slots[at]] != ROWTREES_NONE)
				continue;
			a->partner[slots[at]] = (uint32_t)i;
			b->partner[i] = slots[at];
			break;
		}
	}
	free(slots);
	return 0;
}

static void part(struct rowtrees *t, struct rowtrees *other, size_t chunk)
{
	uint32_t partner = t->partner[chunk];

	if (partner == ROWTREES_NONE)
		return;
	t->partner[chunk] = ROWTREES_NONE;
	other->partner[partner] = ROWTREES_NONE;
}

/*
 * A chunk that ends with a long row says only how long that is: where a piece that follows differs, the row is not the same, and the
 * chunk must be read, in both images.
 */
static int part_long_rows(struct rowtrees *t, struct rowtrees *other, struct err *err)
{
	struct rowchunk c = {0};
	size_t done = 0; /* of the chunks before it nothing is to be parted any more */
	int r = 0;

	for (size_t i = 0; !r && i < t->map.data_count; i++) {
		bool pieces = true;

		if (t->partner[i] != ROWTREES_NONE)
			continue;
		for (size_t j = i + 1; !r && pieces && j > done; j--) {
			r = rowtrees_chunk(t, j - 1, &c.bytes, err);
			pieces = !rowchunk_is_cells(&c);
			part(t, other, j - 1);
		}
		done = i + 1;
	}
	buf_wipe(&c.bytes);
	return r;
}

/* --- the rows of one table of one image --- */

struct row {
	bool any;
	int64_t rowid;
	const uint8_t *payload; /* NULL: a long one, of which hash tells */
	uint64_t len;
	struct id hash;
};

struct rows {
	struct rowtrees *t;
	const struct rowtree *tree;
	size_t part; /* the one after that under way */
	struct rowchunk c;
	bool in_part;
	struct row row;
};

/* A long row's content, by the chunks that hold it. */
static int hash_pieces(struct rows *s, uint32_t chunk, struct err *err)
{
	const struct image_map *map = &s->t->map;
	struct sha256 *sha = NULL;
	uint64_t left = s->row.len;
	int r = sha256_new(&sha, err);

	for (size_t i = chunk + 1u; !r && left && i < map->data_count; i++) {
		uint64_t bytes = map->chunks[i].bytes ? map->chunks[i].bytes - 1 : 0;

		r = sha256_update(sha, map->chunks[i].id.b, ID_BYTES, err);
		left -= bytes < left ? bytes : left;
	}
	if (!r)
		r = sha256_final(sha, &s->row.hash, err);
	sha256_free(sha);
	return r;
}

static int skip_group(struct rows *s, struct err *err)
{
	struct cell_ahead a;
	const uint8_t *payload;
	int r;

	do {
		r = cells_look(&s->c.reader, &a, err);
		if (!r)
			r = cells_take(&s->c.reader, &payload, err);
	} while (!r && !rowchunk_at_group(&s->c));
	return r;
}

static int begin_part(struct rows *s, struct err *err)
{
	const struct rowtree_part *p = &s->tree->parts[s->part++];
	int r = rowtrees_chunk(s->t, p->chunk, &s->c.bytes, err);

	rowchunk_begin(&s->c);
	for (uint32_t i = 0; !r && i < p->group; i++)
		r = skip_group(s, err);
	s->in_part = true;
	return r;
}

/* Puts the next row in s->row. */
static int next_row(struct rows *s, struct err *err)
{
	struct cell_ahead a;
	int r = 0;

	s->row = (struct row){0};
	if (s->in_part && (rowchunk_at_group(&s->c)))
		s->in_part = false;
	if (!s->in_part && s->part == s->tree->part_count)
		return 0;
	if (!s->in_part)
		r = begin_part(s, err);
	if (!r)
		r = cells_look(&s->c.reader, &a, err);
	if (r || !a.any)
		return r;
	s->row = (struct row){.any = true, .rowid = (int64_t)a.rowid, .len = a.payload};
	if (!a.big)
		return cells_take(&s->c.reader, &s->row.payload, err);
	s->in_part = false;
	return hash_pieces(s, s->tree->parts[s->part - 1].chunk, err);
}

static bool same_content(const struct row *a, const struct row *b)
{
	if (a->len != b->len || !a->payload != !b->payload)
		return false;
	return a->payload ? memcmp(a->payload, b->payload, (size_t)a->len) == 0
			  : id_eq(&a->hash, &b->hash);
}

/* --- tables with rowids --- */

static int merge(struct rows *a, struct rows *b, struct rowdiff_table *out, struct err *err)
{
	int r = next_row(a, err);

	if (!r)
		r = next_row(b, err);
	while (!r && (a->row.any || b->row.any)) {
		bool only_a = a->row.any && (!b->row.any || a->row.rowid < b->row.rowid);
		bool only_b = b->row.any && (!a->row.any || b->row.rowid < a->row.rowid);

		out->removed += only_a;
		out->added += only_b;
		if (!only_a && !only_b)
			out->changed += !same_content(&a->row, &b->row);
		if (!only_b)
			r = next_row(a, err);
		if (!r && !only_a)
			r = next_row(b, err);
	}
	return r;
}

/* --- tables without --- */

struct hashed {
	uint64_t key, row;
};

static int compare_hashed(const void *a, const void *b)
{
	const struct hashed *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->row < y->row ? -1 : x->row > y->row;
}

static struct hashed hash_row(const struct row *row, uint32_t key_columns)
{
	struct hashed h = {.row = XXH3_64bits(row->payload, (size_t)row->len)};
	struct sqlrec_column c;
	struct sqlrec rec;

	if (key_columns == 0 || !sqlrec_open(row->payload, (size_t)row->len, &rec)) {
		h.key = h.row;
		return h;
	}
	for (uint32_t i = 0; i < key_columns && sqlrec_next(&rec, &c); i++)
		h.key = XXH3_64bits_withSeed(
		    c.value.p, c.value.len,
		    XXH3_64bits_withSeed(&c.serial, sizeof(c.serial), h.key + 1));
	return h;
}

static int hash_all(struct rows *s, struct hashed **out, size_t *out_count, struct err *err)
{
	size_t count = 0, cap = (size_t)s->tree->cells;
	struct hashed *all = malloc((cap + 1) * sizeof(*all));
	int r = all ? next_row(s, err) : err_nomem(err);

	while (!r && s->row.any && count < cap) {
		if (!s->row.payload)
			s->t->uncounted = "a row without a rowid is too long";
		else
			all[count++] = hash_row(&s->row, s->tree->key_columns);
		r = s->t->uncounted ? 0 : next_row(s, err);
		if (s->t->uncounted)
			break;
	}
	if (!r && count)
		qsort(all, count, sizeof(*all), compare_hashed);
	*out = all;
	*out_count = count;
	return r;
}

static void compare_all(const struct hashed *a, size_t a_count, const struct hashed *b,
			size_t b_count, struct rowdiff_table *out)
{
	size_t i = 0, j = 0;

	while (i < a_count || j < b_count) {
		bool only_a = i < a_count && (j == b_count || a[i].key < b[j].key);
		bool only_b = j < b_count && (i == a_count || b[j].key < a[i].key);

		out->removed += only_a;
		out->added += only_b;
		if (!only_a && !only_b)
			out->changed += a[i].row != b[j].row;
		i += !only_b;
		j += !only_a;
	}
}

static int compare_by_hash(struct rows *a, struct rows *b, struct rowdiff_table *out,
			   struct err *err)
{
	struct hashed *x = NULL, *y = NULL;
	size_t x_count = 0, y_count = 0;
	int r = 0;

	if (a->tree->cells > ROWS_HELD_MOST || b->tree->cells > ROWS_HELD_MOST) {
		a->t->uncounted = "too many rows without a rowid are in changed places";
		return 0;
	}
	r = hash_all(a, &x, &x_count, err);
	if (!r)
		r = hash_all(b, &y, &y_count, err);
	if (!r)
		compare_all(x, x_count, y, y_count, out);
	free(x);
	free(y);
	return r;
}

/* --- tables --- */

static int compare_tables(struct rowtrees *a, const struct rowtree *x, struct rowtrees *b,
			  const struct rowtree *y, struct rowdiff_table *out, struct err *err)
{
	struct rows s = {.t = a, .tree = x}, t = {.t = b, .tree = y};
	int r;

	if (x->without_rowid != y->without_rowid) {
		out->removed = x->cells;
		out->added = y->cells;
		return 0;
	}
	r = x->without_rowid ? compare_by_hash(&s, &t, out, err) : merge(&s, &t, out, err);
	buf_wipe(&s.c.bytes);
	buf_wipe(&t.c.bytes);
	return r;
}

static int compare_trees(const void *a, const void *b)
{
	const struct rowtree *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

/* The tables that count, by name. */
static int list_tables(const struct rowtrees *t, struct rowtree ***out, size_t *out_count,
		       struct err *err)
{
	struct rowtree **list = malloc((t->count + 1) * sizeof(*list));
	size_t count = 0;

	if (!list)
		return err_nomem(err);
	for (size_t i = 0; i < t->count; i++) {
		if (t->trees[i].is_table && !t->trees[i].internal)
			list[count++] = &t->trees[i];
	}
	if (count)
		qsort(list, count, sizeof(struct rowtree *), compare_trees);
	*out = list;
	*out_count = count;
	return 0;
}

static int add_table(struct rowdiff *d, const char *name, const struct rowdiff_table *t,
		     struct err *err)
{
	if (t->is == ROWDIFF_KEPT && !t->added && !t->removed && !t->changed)
		return 0;
	d->tables[d->count] = *t;
	d->tables[d->count].name = strdup(name);
	if (!d->tables[d->count].name)
		return err_nomem(err);
	d->count++;
	return 0;
}

static int each_table(struct rowtrees *a, struct rowtrees *b, struct rowdiff *out, struct err *err)
{
	struct rowtree **x = NULL, **y = NULL;
	size_t x_count = 0, y_count = 0, i = 0, j = 0;
	int r = list_tables(a, &x, &x_count, err);

	if (!r)
		r = list_tables(b, &y, &y_count, err);
	if (!r)
		out->tables = calloc(x_count + y_count + 1, sizeof(*out->tables));
	if (!r && !out->tables)
		r = err_nomem(err);
	while (!r && (i < x_count || j < y_count)) {
		struct rowdiff_table t = {0};
		int c = i == x_count ? 1 : j == y_count ? -1 : strcmp(x[i]->name, y[j]->name);

		if (c < 0) {
			t.is = ROWDIFF_GONE;
			t.removed = x[i]->cells;
		} else if (c > 0) {
			t.is = ROWDIFF_NEW;
			t.added = y[j]->cells;
		} else {
			r = compare_tables(a, x[i], b, y[j], &t, err);
		}
		if (!r)
			r = add_table(out, c <= 0 ? x[i]->name : y[j]->name, &t, err);
		i += c <= 0;
		j += c >= 0;
	}
	free(x);
	free(y);
	return r;
}

void rowdiff_wipe(struct rowdiff *d)
{
	for (size_t i = 0; i < d->count; i++)
		free(d->tables[i].name);
	free(d->tables);
	free(d->uncounted);
	*d = (struct rowdiff){0};
}

static int diff_images(struct rowtrees *a, struct rowtrees *b, struct rowdiff *out, struct err *err)
{
	int r = 0;

	if (alike(a, b)) {
		r = pair_chunks(a, b, err);
		if (!r)
			r = part_long_rows(a, b, err);
		if (!r)
			r = part_long_rows(b, a, err);
	}
	if (!r)
		r = rowtrees_find_parts(a, err);
	if (!r && !a->uncounted)
		r = rowtrees_find_parts(b, err);
	if (!r && !a->uncounted && !b->uncounted)
		r = each_table(a, b, out, err);
	return r;
}

int rowdiff_run(struct reader *reader, const struct rowdiff_side *before,
		const struct rowdiff_side *after, rowdiff_tick_fn *tick, void *tick_arg,
		struct rowdiff *out_diff, struct err *err)
{
	struct rowtrees t[2] = {{.tick = tick, .tick_arg = tick_arg},
				{.tick = tick, .tick_arg = tick_arg}};
	const char *uncounted;
	int r = rowtrees_open(&t[BEFORE], reader, before, err);

	*out_diff = (struct rowdiff){0};
	if (!r)
		r = rowtrees_open(&t[AFTER], reader, after, err);
	if (!r && !t[BEFORE].uncounted && !t[AFTER].uncounted)
		r = diff_images(&t[BEFORE], &t[AFTER], out_diff, err);
	uncounted = t[BEFORE].uncounted ? t[BEFORE].uncounted : t[AFTER].uncounted;
	if (r || uncounted)
		rowdiff_wipe(out_diff);
	if (!r && uncounted) {
		out_diff->uncounted = strdup(uncounted);
		r = out_diff->uncounted ? 0 : err_nomem(err);
	}
	rowtrees_free(&t[BEFORE]);
	rowtrees_free(&t[AFTER]);
	return r;
}
