#include "repo/dbcheck.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/sha256.h"
#include "core/buf.h"
#include "core/limits.h"

#define NULL_LENGTH UINT32_MAX

static bool names_missing(const char *message)
{
	static const char *const words[] = {
	    "no such collation", "no such function",  "unknown function", "no such module",
	    "unsafe use of",     "unknown tokenizer", "no such tokenizer"};
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strstr(message, words[i]) != NULL)
			return true;
	return false;
}

static bool is_damage(int sqlite_rc)
{
	switch (sqlite_rc & 0xff) {
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_ERROR: /* a malformed schema, an unsupported file format */
	case SQLITE_TOOBIG:
	case SQLITE_CANTOPEN: /* the header asks for what an image cannot have */
		return true;
	default:
		return sqlite_rc == SQLITE_IOERR_SHORT_READ;
	}
}

static bool is_short(int sqlite_rc)
{
	return (sqlite_rc & 0xff) == SQLITE_NOMEM;
}

struct findings {
	struct buf text;
	unsigned lines;
	bool damage, missing;
};

static void add_line(struct findings *f, const char *prefix, const char *line, size_t len)
{
	char cut[DBCHECK_LINE_BYTES + 1];
	int n = (int)(len < DBCHECK_LINE_BYTES ? len : DBCHECK_LINE_BYTES);

	if (len == 0 || f->lines >= DBCHECK_LINES)
		return;
	(void)snprintf(cut, sizeof(cut), "%s%.*s", prefix, n, line);
	if (f->lines++ > 0)
		buf_put_u8(&f->text, '\n');
	buf_put(&f->text, cut, strlen(cut));
}

/* SQLite reports all that is wrong with the b-trees in one row of many lines. */
static void add_lines(struct findings *f, const char *prefix, const char *text)
{
	while (*text != '\0') {
		size_t len = strcspn(text, "\n");

		add_line(f, prefix, text, len);
		text += len + (text[len] == '\n');
	}
}

/* Runs one check pragma to its end. Returns the code of what is neither damage nor something missing. */
static int run_pragma(struct dbconn *c, const char *sql, const char *prefix, struct findings *f)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(c->db, sql, -1, &st, NULL);

	while (rc == SQLITE_OK || rc == SQLITE_ROW) {
		const char *line;

		rc = sqlite3_step(st);
		if (rc != SQLITE_ROW)
			break;
		line = (const char *)sqlite3_column_text(st, 0);
		if (line == NULL || strcmp(line, "ok") == 0)
			continue;
		if (names_missing(line))
			f->missing = true;
		else
			f->damage = true;
		add_lines(f, prefix, line);
	}
	if (rc != SQLITE_DONE && rc != SQLITE_OK) {
		const char *message = sqlite3_errmsg(c->db);

		if ((rc & 0xff) == SQLITE_ERROR && names_missing(message))
			f->missing = true;
		else if (is_damage(rc))
			f->damage = true;
		if (f->missing || f->damage)
			add_lines(f, prefix, message);
	}
	if (rc == SQLITE_DONE || is_damage(rc))
		rc = SQLITE_OK;
	(void)sqlite3_finalize(st);
	return rc;
}

/* Names of the tables of the database; an unreadable schema gives none. */
static int list_tables(struct dbconn *c, struct snapshot_table **out_tables, size_t *out_count,
		       struct err *err)
{
	static const char sql[] = "SELECT name FROM sqlite_schema WHERE type='table' "
				  "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";
	struct snapshot_table *tables = NULL, *more;
	size_t count = 0, cap = 0;
	sqlite3_stmt *st = NULL;
	int rc = 0, step = sqlite3_prepare_v2(c->db, sql, -1, &st, NULL);

	while (rc == 0 && count < LIMIT_DB_TABLES && (step == SQLITE_OK || step == SQLITE_ROW)) {
		const char *name;

		step = sqlite3_step(st);
		if (step != SQLITE_ROW)
			break;
		name = (const char *)sqlite3_column_text(st, 0);
		if (name == NULL)
			continue;
		if (count == cap) {
			cap = cap == 0 ? 16 : cap * 2;
			more = realloc(tables, cap * sizeof(*tables));
			if (more == NULL) {
				rc = err_nomem(err);
				break;
			}
			tables = more;
		}
		tables[count] = (struct snapshot_table){.name = strdup(name)};
		if (tables[count].name == NULL)
			rc = err_nomem(err);
		else
			count++;
	}
	(void)sqlite3_finalize(st);
	if (rc == 0 && is_short(step))
		rc = err_nomem(err);
	*out_tables = tables;
	*out_count = count;
	return rc;
}

/* Each table alone: what is missing for one does not keep the others from being checked. */
static int check_tables(struct dbconn *c, const char *pragma, struct findings *f,
			int *out_sqlite_rc, struct err *err)
{
	struct snapshot_table *tables = NULL;
	size_t count = 0, i;
	int rc = list_tables(c, &tables, &count, err);

	for (i = 0; rc == 0 && *out_sqlite_rc == SQLITE_OK && i < count; i++) {
		char *sql = sqlite3_mprintf("PRAGMA %s(%Q)", pragma, tables[i].name);
		char prefix[80];

		if (sql == NULL) {
			rc = err_nomem(err);
			break;
		}
		(void)snprintf(prefix, sizeof(prefix), "%s: ", tables[i].name);
		*out_sqlite_rc = run_pragma(c, sql, prefix, f);
		sqlite3_free(sql);
	}
	dbcheck_free_tables(tables, count);
	return rc;
}

static int give_text(struct findings *f, char **out_text, struct err *err)
{
	buf_put_u8(&f->text, 0);
	if (buf_check(&f->text, err) != 0)
		return -err->code;
	*out_text = (char *)f->text.data;
	f->text = (struct buf){0};
	return 0;
}

static int check_all(struct dbconn *c, const char *pragma, struct findings *f, int *out_sqlite_rc,
		     struct err *err)
{
	char sql[40];

	buf_reset(&f->text);
	*f = (struct findings){.text = f->text};
	(void)snprintf(sql, sizeof(sql), "PRAGMA %s(%d)", pragma, DBCHECK_LINES);
	*out_sqlite_rc = run_pragma(c, sql, "", f);
	if (*out_sqlite_rc != SQLITE_OK || !f->missing || f->damage)
		return 0;
	buf_reset(&f->text);
	f->lines = 0;
	return check_tables(c, pragma, f, out_sqlite_rc, err);
}

/* More than a check of a sane database asks for at once. */
static bool memory_is_there(void)
{
	void *p = malloc((size_t)16 << 20);
	bool there = p != NULL;

	free(p);
	return there;
}

int dbcheck_run(struct dbconn *c, int open_rc, enum snapshot_check kind,
		enum snapshot_verdict *out_verdict, char **out_text, struct err *err)
{
	const char *pragma = kind == SNAPSHOT_CHECK_INTEGRITY ? "integrity_check" : "quick_check";
	struct findings f = {0};
	int rc = 0, sqlite_rc = open_rc;

	if (open_rc != SQLITE_OK && is_damage(open_rc)) {
		f.damage = true;
		add_lines(&f, "", c->db != NULL ? sqlite3_errmsg(c->db) : sqlite3_errstr(open_rc));
		sqlite_rc = SQLITE_OK;
	} else if (open_rc == SQLITE_OK) {
		rc = check_all(c, pragma, &f, &sqlite_rc, err);
		/* Memory was short, or numbers that no database can have ask for more than there is: those do so again. */
		if (rc == 0 && is_short(sqlite_rc) && memory_is_there())
			rc = check_all(c, pragma, &f, &sqlite_rc, err);
	}
	if (rc == 0 && is_short(sqlite_rc) && (open_rc != SQLITE_OK || !memory_is_there()))
		rc = err_nomem(err);
	if (rc == 0 && (is_short(sqlite_rc) || (sqlite_rc & 0xff) == SQLITE_FULL)) {
		f.damage = true;
		add_lines(&f, "", sqlite3_errstr(sqlite_rc));
		sqlite_rc = SQLITE_OK;
	}
	if (rc == 0 && sqlite_rc != SQLITE_OK)
		rc = dbconn_fail(c, sqlite_rc, err);
	if (rc == 0) {
		*out_verdict = f.damage    ? SNAPSHOT_FAILED
			       : f.missing ? SNAPSHOT_UNCHECKED
					   : SNAPSHOT_CLEAN;
		*out_text = NULL;
		if (f.damage || f.missing)
			rc = give_text(&f, out_text, err);
	}
	buf_free(&f.text);
	return rc;
}

/* A row of foreign_key_check: table, rowid (NULL in a WITHOUT ROWID table), parent, number of the key. */
static void describe_violation(sqlite3_stmt *st, char *out, size_t out_size)
{
	const char *table = (const char *)sqlite3_column_text(st, 0);
	const char *row = (const char *)sqlite3_column_text(st, 1);
	const char *parent = (const char *)sqlite3_column_text(st, 2);

	(void)snprintf(out, out_size, "%s%s of %.60s refers to %.60s", row ? "row " : "a row",
		       row ? row : "", table ? table : "?", parent ? parent : "?");
}

static int step_foreign_keys(struct dbconn *c, uint64_t *out_rows, char *first, size_t first_size)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(c->db, "PRAGMA foreign_key_check", -1, &st, NULL);

	while (rc == SQLITE_OK || rc == SQLITE_ROW) {
		rc = sqlite3_step(st);
		if (rc == SQLITE_ROW && (*out_rows)++ == 0)
			describe_violation(st, first, first_size);
	}
	(void)sqlite3_finalize(st);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int dbcheck_foreign_keys(struct dbconn *c, enum snapshot_verdict *out_verdict, char **out_text,
			 struct err *err)
{
	char line[DBCHECK_LINE_BYTES], first[200] = "";
	struct findings f = {0};
	uint64_t rows = 0;
	int rc = 0, sqlite_rc = step_foreign_keys(c, &rows, first, sizeof(first));

	*out_text = NULL;
	(void)snprintf(line, sizeof(line), "%llu rows refer to what is not there; the first: %s",
		       (unsigned long long)rows, first);
	if (sqlite_rc != SQLITE_OK) {
		const char *message = sqlite3_errmsg(c->db);

		f.missing = (sqlite_rc & 0xff) == SQLITE_ERROR && names_missing(message);
		f.damage = rows > 0 || (!f.missing && is_damage(sqlite_rc));
		if (!f.missing && !f.damage)
			return dbconn_fail(c, sqlite_rc, err);
		if (rows == 0)
			(void)snprintf(line, sizeof(line), "%s", message);
	}
	f.damage = f.damage || rows > 0;
	*out_verdict = f.damage ? SNAPSHOT_FAILED : f.missing ? SNAPSHOT_UNCHECKED : SNAPSHOT_CLEAN;
	if (f.damage || f.missing) {
		add_line(&f, "", line, strlen(line));
		rc = give_text(&f, out_text, err);
	}
	buf_free(&f.text);
	return rc;
}

/* An index with an unknown collation is the quickest way to count, and the only one that fails. */
static int count_one(struct dbconn *c, struct snapshot_table *table, char **out_missing)
{
	static const char *const forms[] = {"SELECT count(*) FROM main.\"%w\"",
					    "SELECT count(*) FROM main.\"%w\" NOT INDEXED"};
	int64_t n = 0;
	int rc = SQLITE_ERROR;
	size_t i;

	for (i = 0; i < 2 && (rc & 0xff) == SQLITE_ERROR; i++) {
		char *sql = sqlite3_mprintf(forms[i], table->name);

		if (sql == NULL)
			return SQLITE_NOMEM;
		rc = dbconn_get_int(c, sql, &n);
		sqlite3_free(sql);
		if (rc != SQLITE_OK && *out_missing == NULL && names_missing(sqlite3_errmsg(c->db)))
			*out_missing = strdup(sqlite3_errmsg(c->db));
	}
	table->rows = (uint64_t)n;
	return rc;
}

int dbcheck_count_rows(struct dbconn *c, struct snapshot_table **out_tables, size_t *out_count,
		       char **out_missing, struct err *err)
{
	struct snapshot_table *tables = NULL;
	size_t count = 0, kept = 0, i;
	int rc = list_tables(c, &tables, &count, err);

	for (i = 0; rc == 0 && i < count; i++) {
		int sqlite_rc = count_one(c, &tables[i], out_missing);

		if ((sqlite_rc & 0xff) == SQLITE_NOMEM || (sqlite_rc & 0xff) == SQLITE_INTERRUPT)
			rc = dbconn_fail(c, sqlite_rc, err);
		if (sqlite_rc == SQLITE_OK) {
			struct snapshot_table moved = tables[i];

			tables[i] = tables[kept];
			tables[kept++] = moved;
		}
	}
	for (i = kept; i < count; i++)
		free(tables[i].name);
	*out_tables = tables;
	*out_count = kept;
	return rc;
}

void dbcheck_free_tables(struct snapshot_table *tables, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		free(tables[i].name);
	free(tables);
}

static int compare_rows(const void *a, const void *b)
{
	const struct buf *x = a, *y = b;
	int d = memcmp(x->data, y->data, x->len < y->len ? x->len : y->len);

	if (d != 0)
		return d;
	return x->len < y->len ? -1 : x->len > y->len;
}

static void encode_row(sqlite3_stmt *st, struct buf *row)
{
	int i;

	for (i = 0; i < 4; i++) {
		const unsigned char *text = sqlite3_column_text(st, i);
		int len = sqlite3_column_bytes(st, i);

		buf_put_u32(row, text == NULL ? NULL_LENGTH : (uint32_t)len);
		if (text != NULL)
			buf_put(row, text, (size_t)len);
	}
}

static int hash_rows(const struct buf *rows, size_t count, uint8_t out_hash[32], struct err *err)
{
	struct sha256 *sha = NULL;
	struct id digest = {{0}};
	int rc = sha256_new(&sha, err);

	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = sha256_update(sha, rows[i].data, rows[i].len, err);
	if (rc == 0)
		rc = sha256_final(sha, &digest, err);
	memcpy(out_hash, digest.b, ID_BYTES);
	sha256_free(sha);
	return rc;
}

int dbcheck_schema_hash(struct dbconn *c, uint8_t out_hash[32], struct err *err)
{
	struct buf *rows = NULL, *more;
	size_t count = 0, cap = 0, i;
	sqlite3_stmt *st = NULL;
	int rc = 0, step;

	memset(out_hash, 0, 32);
	step = sqlite3_prepare_v2(c->db, "SELECT type, name, tbl_name, sql FROM sqlite_schema", -1,
				  &st, NULL);
	if (step == SQLITE_OK)
		step = sqlite3_step(st);
	while (rc == 0 && step == SQLITE_ROW) {
		if (count == cap) {
			cap = cap == 0 ? 64 : cap * 2;
			more = realloc(rows, cap * sizeof(*rows));
			if (more == NULL) {
				rc = err_nomem(err);
				break;
			}
			rows = more;
		}
		rows[count] = (struct buf){0};
		encode_row(st, &rows[count]);
		rc = buf_check(&rows[count++], err);
		step = sqlite3_step(st);
	}
	(void)sqlite3_finalize(st);
	if (rc == 0 && is_short(step))
		rc = err_nomem(err);
	if (rc == 0 && step == SQLITE_DONE) {
		if (count > 0)
			qsort(rows, count, sizeof(*rows), compare_rows);
		rc = hash_rows(rows, count, out_hash, err);
	}
	for (i = 0; i < count; i++)
		buf_free(&rows[i]);
	free(rows);
	return rc;
}
