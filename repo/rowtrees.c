/* The schema of an image, from the first cells of its stream. */
#include "repo/rowtrees.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/btree.h"
#include "core/cells_cut.h"
#include "core/sqlrec.h"
#include "repo/rowtext.h"
#include "repo/snapshot.h"

#define SEARCH_BACK 4096u /* an index follows its table, and mostly at once */

/* --- one chunk --- */

static int give_once(void *arg, enum cells_stream stream, const uint8_t **out_bytes,
		     size_t *out_len, struct err *err)
{
	struct rowchunk *c = arg;

	(void)stream;
	(void)err;
	*out_bytes = c->bytes.data;
	*out_len = c->given ? 0 : c->bytes.len;
	c->given = true;
	return 0;
}

void rowchunk_begin(struct rowchunk *c)
{
	c->given = false;
	c->feed = (struct cells_feed){c, give_once};
	c->reader = cells_reader_of(&c->feed);
}

bool rowchunk_is_cells(const struct rowchunk *c)
{
	return c->bytes.len > 1 && c->bytes.data[0] == CELLS_CHUNK_CELLS;
}

bool rowchunk_at_group(const struct rowchunk *c)
{
	return !c->reader.looked && c->reader.left == 0;
}

int rowtrees_chunk(struct rowtrees *t, size_t chunk, struct buf *out, struct err *err)
{
	buf_reset(out);
	if (t->tick && t->tick(t->tick_arg) != 0)
		return err_set(err, ERR_CANCELLED, "interrupted");
	return reader_get(t->reader, CHUNK_DATA, &t->map.chunks[chunk].id, out, err);
}

/* --- schema rows --- */

struct schema_row {
	struct sqlrec_column type, name, table, root, sql;
};

static bool read_row(const uint8_t *payload, size_t len, struct schema_row *out)
{
	struct sqlrec r;

	return sqlrec_open(payload, len, &r) && sqlrec_next(&r, &out->type) &&
	       sqlrec_next(&r, &out->name) && sqlrec_next(&r, &out->table) &&
	       sqlrec_next(&r, &out->root) && sqlrec_next(&r, &out->sql);
}

/* Whether it holds the word; enough to know when SQLite must be asked. */
static bool has_word(const char *sql, const char *word)
{
	size_t len = strlen(word);

	for (; *sql; sql++) {
		if (strncasecmp(sql, word, len) == 0)
			return true;
	}
	return false;
}

/* A table definition that somebody else wrote must not run a query. */
static int allow_no_select(void *arg, int action, const char *a, const char *b, const char *c,
			   const char *d)
{
	(void)arg;
	(void)a;
	(void)b;
	(void)c;
	(void)d;
	return action == SQLITE_SELECT || action == SQLITE_ATTACH ? SQLITE_DENY : SQLITE_OK;
}

/* How many columns the key of the table that was made has, when it has no rowids. */
static void ask(sqlite3 *db, struct rowtree *tree)
{
	static const char sql[] = "SELECT (SELECT wr FROM pragma_table_list WHERE name = ?1),"
				  "(SELECT count(*) FROM pragma_table_xinfo(?1) WHERE pk > 0)";
	sqlite3_stmt *st = NULL;

	if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK &&
	    sqlite3_bind_text(st, 1, tree->name, -1, SQLITE_STATIC) == SQLITE_OK &&
	    sqlite3_step(st) == SQLITE_ROW) {
		tree->without_rowid = sqlite3_column_int(st, 0) != 0;
		tree->key_columns = (uint32_t)sqlite3_column_int(st, 1);
	}
	(void)sqlite3_finalize(st);
}

/* Where SQLite cannot tell, without a function that the table uses, the words do, and the whole row is the key. */
static void describe_table(struct rowtree *tree, const char *sql)
{
	sqlite3_stmt *st = NULL;
	sqlite3 *db = NULL;

	tree->without_rowid = has_word(sql, "without") && has_word(sql, "rowid");
	if (!tree->without_rowid || strncasecmp(sql, "create table", 12) != 0)
		return;
	if (sqlite3_open_v2(":memory:", &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_MEMORY, NULL) ==
	    SQLITE_OK) {
		(void)sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
		(void)sqlite3_db_config(db, SQLITE_DBCONFIG_WRITABLE_SCHEMA, 0, NULL);
		(void)sqlite3_set_authorizer(db, allow_no_select, NULL);
		if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK &&
		    sqlite3_step(st) == SQLITE_DONE) {
			(void)sqlite3_finalize(st);
			st = NULL;
			(void)sqlite3_set_authorizer(db, NULL, NULL);
			ask(db, tree);
		}
		(void)sqlite3_finalize(st);
	}
	(void)sqlite3_close(db);
}

static int compare_name(const void *key, const void *table)
{
	return strcmp(key, ((const struct manifest_table *)table)->name);
}

static enum rowtree_fill fill_of_table(const struct rowtrees *t, const char *name)
{
	const struct manifest_db *db = t->side->db;
	const struct manifest_table *found =
	    db->table_count
		? bsearch(name, db->tables, db->table_count, sizeof(*db->tables), compare_name)
		: NULL;

	if (!found)
		return ROWTREE_UNKNOWN;
	return found->rows ? ROWTREE_FILLED : ROWTREE_EMPTY;
}

static enum rowtree_fill fill_of_index(const struct rowtrees *t, const char *table, bool partial)
{
	size_t last = t->count > SEARCH_BACK ? t->count - SEARCH_BACK : 0;

	for (size_t i = t->count; i > last; i--) {
		const struct rowtree *tree = &t->trees[i - 1];

		if (!tree->is_table || strcmp(tree->name, table) != 0)
			continue;
		if (tree->fill == ROWTREE_FILLED && partial)
			return ROWTREE_UNKNOWN;
		return tree->fill;
	}
	return ROWTREE_UNKNOWN;
}

static int describe(struct rowtrees *t, struct rowtree *tree, const struct schema_row *row,
		    struct err *err)
{
	char *type = rowtext_utf8(&row->type.value, t->side->db->encoding);
	char *table = rowtext_utf8(&row->table.value, t->side->db->encoding);
	char *sql = rowtext_utf8(&row->sql.value, t->side->db->encoding);
	int r = type && table && sql ? 0 : err_nomem(err);

	if (!r) {
		tree->is_table = strcmp(type, "table") == 0;
		tree->internal = strncasecmp(tree->name, "sqlite_", 7) == 0;
		tree->partial = !tree->is_table && has_word(sql, "where");
	}
	if (!r && tree->is_table) {
		describe_table(tree, sql);
		tree->fill = fill_of_table(t, tree->name);
	} else if (!r) {
		tree->fill = fill_of_index(t, table, tree->partial);
	}
	free(type);
	free(table);
	free(sql);
	return r;
}

static int reserve(struct rowtrees *t, struct err *err)
{
	size_t cap = t->cap ? t->cap * 2 : 64;
	struct rowtree *trees;

	if (t->count < t->cap)
		return 0;
	trees = realloc(t->trees, cap * sizeof(*trees));
	if (!trees)
		return err_nomem(err);
	t->trees = trees;
	t->cap = cap;
	return 0;
}

static int add_raw(struct rowtrees *t, const struct chunker *cutter, struct err *err)
{
	static const struct span type = {(const uint8_t *)"raw", 3}, none = {NULL, 0};
	struct rowtree tree = {.is_table = true, .internal = true, .raw = true};
	int r = reserve(t, err);

	if (!r)
		r = cells_tree_key(cutter, &type, &none, tree.key, err);
	if (!r)
		tree.name = strdup("");
	if (!r && !tree.name)
		r = err_nomem(err);
	if (!r)
		t->trees[t->count++] = tree;
	return r;
}

static int add_tree(struct rowtrees *t, const struct btree_schema *schema,
		    const struct schema_row *row, const struct chunker *cutter, struct err *err)
{
	struct rowtree tree = {.name = rowtext_utf8(&schema->name, t->side->db->encoding)};
	int r = tree.name ? reserve(t, err) : err_nomem(err);

	if (!r)
		r = cells_tree_key(cutter, &schema->type, &schema->name, tree.key, err);
	if (!r)
		r = describe(t, &tree, row, err);
	if (r) {
		free(tree.name);
		return r;
	}
	t->trees[t->count++] = tree;
	return 0;
}

/* The schema's cells of one chunk. *out_more: the next chunk may have more of them. */
static int read_schema_chunk(struct rowtrees *t, size_t chunk, struct rowchunk *c,
			     const struct chunker *cutter, bool *out_more, struct err *err)
{
	struct cell_ahead a;
	bool first = true;
	int r;

	rowchunk_begin(c);
	for (;; first = false) {
		const uint8_t *payload;
		struct btree_schema schema;
		struct schema_row row;

		*out_more = true;
		if (!first && rowchunk_at_group(c)) {
			r = cells_look(&c->reader, &a, err);
			*out_more = !r && !a.any; /* else another tree begins here */
			return r;
		}
		r = cells_look(&c->reader, &a, err);
		if (r)
			return r;
		*out_more = a.any && a.table &&
			    (!first || t->map.chunks[chunk].key ==
					   cells_key_hash(t->schema_key, true, a.rowid, NULL, 0));
		if (!*out_more || a.big) /* a long row names no tree, and is its chunk's last */
			return 0;
		r = cells_take(&c->reader, &payload, err);
		if (!r && btree_schema_get(payload, (size_t)a.payload, &schema) &&
		    read_row(payload, (size_t)a.payload, &row))
			r = add_tree(t, &schema, &row, cutter, err);
		if (r)
			return r;
		if (t->count > LIMIT_DB_TABLES) {
			t->uncounted = "it has too many tables";
			*out_more = false;
			return 0;
		}
	}
}

static int read_schema(struct rowtrees *t, const struct chunker *cutter, struct err *err)
{
	static const struct span type = {(const uint8_t *)"schema", 6}, none = {NULL, 0};
	struct rowchunk c = {0};
	bool more = true;
	int r = cells_tree_key(cutter, &type, &none, t->schema_key, err);

	for (size_t i = 0; !r && more && i < t->map.data_count; i++) {
		r = rowtrees_chunk(t, i, &c.bytes, err);
		if (!r && rowchunk_is_cells(&c))
			r = read_schema_chunk(t, i, &c, cutter, &more, err);
	}
	buf_wipe(&c.bytes);
	return r;
}

int rowtrees_open(struct rowtrees *t, struct reader *reader, const struct rowdiff_side *side,
		  struct err *err)
{
	struct chunker cutter;
	int r;

	t->reader = reader;
	t->side = side;
	/* Only VACUUM INTO leaves nothing but trees, whose rows the manifest counts. */
	if (side->db->method != SNAPSHOT_VACUUM) {
		t->uncounted = "it was not backed up by VACUUM INTO";
		return 0;
	}
	r = image_map_load(reader, side->e, side->children, &t->map, err);
	if (r)
		return r;
	t->partner = malloc((t->map.data_count + 1) * sizeof(*t->partner));
	if (!t->partner)
		return err_nomem(err);
	memset(t->partner, 0xff, (t->map.data_count + 1) * sizeof(*t->partner));
	chunker_init(&cutter, side->domain->chunker_key);
	r = read_schema(t, &cutter, err);
	if (!r)
		r = add_raw(t, &cutter, err);
	chunker_wipe(&cutter);
	return r;
}

void rowtrees_free(struct rowtrees *t)
{
	for (size_t i = 0; i < t->count; i++) {
		free(t->trees[i].name);
		free(t->trees[i].parts);
	}
	free(t->trees);
	free(t->partner);
	image_map_free(&t->map);
	*t = (struct rowtrees){0};
}
