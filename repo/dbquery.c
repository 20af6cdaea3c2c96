#include "repo/dbquery.h"

#include "repo/dbconn.h"
#include "repo/pagevfs.h"

#define STEPS_PER_TICK 20000u /* as dbconn.c asks */
#define MOST_STEPS UINT64_C(4000000000)
#define MOST_VALUE_BYTES (16 << 20) /* one value or row that is put together */
#define MOST_PATTERN_BYTES 1000     /* of LIKE and GLOB */
#define MOST_HEAP_BYTES (256 << 20) /* of SQLite, above what it held before: sorting, recursion */

struct running {
	const struct dbquery *q;
	uint64_t steps;
	bool too_long;
};

static int on_tick(void *arg)
{
	struct running *run = arg;
	uint64_t most = run->q->most_steps ? run->q->most_steps : MOST_STEPS;

	run->steps += STEPS_PER_TICK;
	run->too_long = run->steps > most;
	if (run->too_long)
		return 1;
	return run->q->tick ? run->q->tick(run->q->tick_arg) : 0;
}

/* --- what a query may do --- */

static bool one_of(const char *name, const char *const *names, size_t count)
{
	for (size_t i = 0; name && i < count; i++) {
		if (sqlite3_stricmp(name, names[i]) == 0)
			return true;
	}
	return false;
}

/* Reading, and what the modules of full-text search ask for themselves. Everything else is refused. */
static int authorize(void *arg, int action, const char *first, const char *second, const char *db,
		     const char *inner)
{
	static const char *const reading[] = {"data_version", "page_size"};
	static const char *const never[] = {"load_extension", "fts3_tokenizer", "edit",
					    "readfile",       "writefile",      "fileio_ls"};

	(void)arg;
	(void)db;
	(void)inner;
	switch (action) {
	case SQLITE_SELECT:
	case SQLITE_READ:
	case SQLITE_RECURSIVE:
		return SQLITE_OK;
	case SQLITE_FUNCTION:
		return one_of(second, never, sizeof(never) / sizeof(never[0])) ? SQLITE_DENY
									       : SQLITE_OK;
	case SQLITE_PRAGMA:
		return !second && one_of(first, reading, 2) ? SQLITE_OK : SQLITE_DENY;
	case SQLITE_UPDATE:
		/*
		 * How SQLite parses the columns that a module of full-text search declares; nothing is written. As a
		 * query it is refused all the same: the schema cannot be modified.
		 */
		return sqlite3_stricmp(first, "sqlite_master") == 0 ? SQLITE_OK : SQLITE_DENY;
	default:
		return SQLITE_DENY;
	}
}

/*
 * Views and generated columns of a hostile schema are not trusted, unless the schema cannot be read so: up to 3.40 SQLite takes an
 * index over json_extract for a malformed one. The authorizer holds in any case.
 */
static void distrust_schema(sqlite3 *db)
{
	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	if (sqlite3_table_column_metadata(db, "main", "sqlite_schema", NULL, NULL, NULL, NULL, NULL,
					  NULL) != SQLITE_OK)
		(void)sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 1, NULL);
}

static int harden(struct dbconn *c)
{
	sqlite3 *db = c->db;
	int rc = dbconn_exec(c, "PRAGMA query_only=ON; PRAGMA cell_size_check=ON;"
				"PRAGMA mmap_size=0; PRAGMA cache_size=-8192;");

	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, 0, NULL);
	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	(void)sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
	(void)sqlite3_limit(db, SQLITE_LIMIT_WORKER_THREADS, 0);
	(void)sqlite3_limit(db, SQLITE_LIMIT_LENGTH, MOST_VALUE_BYTES);
	(void)sqlite3_limit(db, SQLITE_LIMIT_LIKE_PATTERN_LENGTH, MOST_PATTERN_BYTES);
	(void)sqlite3_limit(db, SQLITE_LIMIT_SQL_LENGTH, 1 << 20); /* a schema's own, too */
	distrust_schema(db);
	if (rc == SQLITE_OK)
		rc = sqlite3_set_authorizer(db, authorize, NULL);
	return rc;
}

/* --- running it --- */

static int refuse(const struct dbquery *q, const char *why, struct err *err)
{
	return err_set(err, ERR_SOURCE, "%s: %s was not run: %s", q->path, q->what, why);
}

static bool is_no_database(int rc)
{
	return (rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_NOTADB;
}

static int failed(struct running *run, const struct dbconn *c, int rc, struct err *err)
{
	if (run->too_long)
		return err_set(err, ERR_SOURCE, "%s: %s was stopped: it takes too long",
			       run->q->path, run->q->what);
	if (c->cancelled || (rc & 0xff) == SQLITE_INTERRUPT)
		return err_set(err, ERR_CANCELLED, "%s: interrupted", run->q->path);
	if ((rc & 0xff) == SQLITE_NOMEM)
		return err_set(err, ERR_SOURCE, "%s: %s was stopped: it takes too much memory",
			       run->q->path, run->q->what);
	return err_set(err, is_no_database(rc) ? ERR_DAMAGED : ERR_SOURCE, "%s: %s failed: %s",
		       run->q->path, run->q->what,
		       c->db ? sqlite3_errmsg(c->db) : sqlite3_errstr(rc));
}

/* Behind the statement there may be a semicolon, blanks and comments. */
static bool nothing_follows(sqlite3 *db, const char *tail)
{
	while (*tail) {
		sqlite3_stmt *more = NULL;
		const char *next = NULL;
		int rc = sqlite3_prepare_v2(db, tail, -1, &more, &next);
		bool is_nothing = rc == SQLITE_OK && !more;

		(void)sqlite3_finalize(more);
		if (!is_nothing || next == tail)
			return is_nothing;
		tail = next;
	}
	return true;
}

static int prepare(struct running *run, struct dbconn *c, sqlite3_stmt **out_st, struct err *err)
{
	const char *tail = "";
	int columns, rc = sqlite3_prepare_v2(c->db, run->q->sql, -1, out_st, &tail);

	if (rc != SQLITE_OK)
		return failed(run, c, rc, err);
	if (!*out_st)
		return refuse(run->q, "it is empty", err);
	if (!nothing_follows(c->db, tail))
		return refuse(run->q, "it is more than one statement", err);
	columns = sqlite3_column_count(*out_st);
	if (!sqlite3_stmt_readonly(*out_st) || sqlite3_stmt_isexplain(*out_st) != 0 || columns == 0)
		return refuse(run->q, "only a SELECT is", err);
	if (run->q->most_columns == 0 || columns <= run->q->most_columns)
		return 0;
	return err_set(err, ERR_SOURCE, "%s: %s was not run: its columns are more than %s",
		       run->q->path, run->q->what, run->q->columns_text);
}

static int run_on(struct running *run, struct dbconn *c, struct err *err)
{
	sqlite3_stmt *st = NULL;
	int rc = harden(c), r = rc == SQLITE_OK ? 0 : failed(run, c, rc, err);

	if (!r)
		r = prepare(run, c, &st, err);
	while (!r && (rc = sqlite3_step(st)) == SQLITE_ROW)
		r = run->q->row(run->q->row_arg, st, err);
	if (!r && rc != SQLITE_DONE)
		r = failed(run, c, rc, err);
	(void)sqlite3_finalize(st);
	return r;
}

int dbquery_run(const struct dbquery *q, struct err *err)
{
	struct running run = {.q = q};
	struct dbconn c = {.path = q->path, .tick = on_tick, .tick_arg = &run};
	struct pagevfs *vfs = NULL;
	sqlite3_int64 before;
	int rc, r = pagevfs_new(q->image, q->cache_dir, &vfs, err);

	if (r)
		return r;
	before = sqlite3_hard_heap_limit64(sqlite3_memory_used() + MOST_HEAP_BYTES);
	rc = dbconn_open_vfs(&c, pagevfs_name(vfs), SQLITE_OPEN_READONLY);
	r = rc == SQLITE_OK ? run_on(&run, &c, err) : failed(&run, &c, rc, err);
	dbconn_close(&c);
	(void)sqlite3_hard_heap_limit64(before);
	if (r == -ERR_SOURCE && pagevfs_error(vfs)->code != 0) {
		*err = *pagevfs_error(vfs);
		r = err_prefix(err, "%s", q->path);
	}
	pagevfs_free(vfs);
	return r;
}
