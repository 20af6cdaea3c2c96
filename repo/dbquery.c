#include "repo/dbquery.h"

#include <time.h>

#include "repo/dbconn.h"
#include "repo/dbfunctions.h"
#include "repo/pagevfs.h"

/*
 * One step may call a function on values as long as they may be, 10 ms each where it is harmless, so the clock is looked at often. The
 * worst that one call takes is one to two seconds by these two: GLOB '*[^a][^a]…' of a whole value.
 */
#define STEPS_PER_LOOK 100u
#define TICK_MS 50
#define MOST_VALUE_BYTES (4 << 20) /* one value or row that is put together */
#define MOST_PATTERN_BYTES 250     /* of LIKE and GLOB, and what trim takes away */
#define MOST_STEPS UINT64_C(4000000000)
#define MOST_S 1800
#define MOST_HEAP_BYTES (256 << 20) /* of SQLite, above what it held before: sorting, recursion */

struct running {
	const struct dbquery *q;
	uint64_t steps;
	int64_t began_ms, ticked_ms;
	bool too_many_steps, too_long, cancelled;
};

static int64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static uint64_t most_steps(const struct dbquery *q)
{
	return q->most_steps ? q->most_steps : MOST_STEPS;
}

static int64_t most_s(const struct dbquery *q)
{
	return q->most_s ? q->most_s : MOST_S;
}

static int on_look(void *arg)
{
	struct running *run = arg;
	int64_t now = now_ms();

	run->steps += STEPS_PER_LOOK;
	run->too_many_steps = run->steps > most_steps(run->q);
	run->too_long = now - run->began_ms > most_s(run->q) * 1000;
	if (run->q->tick && now - run->ticked_ms >= TICK_MS) {
		run->ticked_ms = now;
		run->cancelled = run->q->tick(run->q->tick_arg) != 0;
	}
	return run->cancelled || run->too_many_steps || run->too_long;
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

/*
 * Reading, and what the modules of full-text search ask for themselves. Everything else is refused, and functions whose time grows
 * with the square of a value.
 */
static int authorize(void *arg, int action, const char *first, const char *second, const char *db,
		     const char *inner)
{
	static const char *const reading[] = {"data_version", "page_size"};
	static const char *const never[] = {
	    "load_extension", "fts3_tokenizer",  "edit",           "readfile",
	    "writefile",      "fileio_ls",       "json_patch",     "jsonb_patch",
	    "unhex",          "geopoly_overlap", "geopoly_within", "snippet",
	};

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

static int harden(struct running *run, struct dbconn *c)
{
	sqlite3 *db = c->db;
	int rc;

	run->began_ms = run->ticked_ms = now_ms();
	sqlite3_progress_handler(db, STEPS_PER_LOOK, on_look, run);
	rc = dbconn_exec(c, "PRAGMA query_only=ON; PRAGMA cell_size_check=ON;"
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
		rc = dbfunctions_add(db, MOST_PATTERN_BYTES);
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

/* A limit was met: which. */
static int stopped(const struct dbquery *q, const char *limit, unsigned long long most,
		   const char *unit, struct err *err)
{
	return err_set(err, ERR_SOURCE, "%s: %s was stopped: it takes %s (%llu %s at most)",
		       q->path, q->what, limit, most, unit);
}

static int failed(const struct running *run, const struct dbconn *c, int rc, struct err *err)
{
	const struct dbquery *q = run->q;

	if (run->cancelled)
		return err_set(err, ERR_CANCELLED, "%s: interrupted", q->path);
	if (run->too_many_steps)
		return stopped(q, "too long", most_steps(q), "steps", err);
	if (run->too_long)
		return stopped(q, "too long", (unsigned long long)most_s(q), "seconds", err);
	if ((rc & 0xff) == SQLITE_NOMEM)
		return stopped(q, "too much memory", MOST_HEAP_BYTES >> 20, "MiB", err);
	if ((rc & 0xff) == SQLITE_TOOBIG)
		return stopped(q, "a value or a text that is too big", MOST_VALUE_BYTES >> 20,
			       "MiB", err);
	return err_set(err, is_no_database(rc) ? ERR_DAMAGED : ERR_SOURCE, "%s: %s failed: %s",
		       q->path, q->what, c->db ? sqlite3_errmsg(c->db) : sqlite3_errstr(rc));
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
	int rc = harden(run, c), r = rc == SQLITE_OK ? 0 : failed(run, c, rc, err);

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
	struct dbconn c = {.path = q->path};
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
