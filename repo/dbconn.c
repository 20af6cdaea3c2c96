#include "repo/dbconn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BUSY_NAP_NS 20000000L
#define OPS_PER_TICK 20000

/* The path was resolved: a link in it was put there since. SQLite itself refuses only one in the last place. */
#ifdef SQLITE_OPEN_NOFOLLOW
#define NOFOLLOW SQLITE_OPEN_NOFOLLOW
#else
#define NOFOLLOW 0
#endif

static int64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int ask(struct dbconn *c)
{
	if (!c->cancelled && c->tick != NULL && c->tick(c->tick_arg) != 0)
		c->cancelled = true;
	return c->cancelled ? 1 : 0;
}

static int on_ops(void *arg)
{
	return ask(arg);
}

static int on_busy(void *arg, int tries)
{
	struct dbconn *c = arg;
	struct timespec nap = {0, BUSY_NAP_NS};

	if (tries == 0)
		c->waiting_since_ms = now_ms();
	if (ask(c) != 0 || now_ms() - c->waiting_since_ms >= (int64_t)c->timeout_ms)
		return 0;
	(void)nanosleep(&nap, NULL);
	return 1;
}

static bool is_plain(unsigned char b)
{
	return (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9') ||
	       b == '/' || b == '.' || b == '-' || b == '_';
}

char *dbconn_uri(const char *abs_path, const char *query)
{
	/* "//" before the path, so that a path that begins with two slashes names no host. */
	size_t cap = strlen(abs_path) * 3 + (query != NULL ? strlen(query) : 0) + 16;
	char *uri = malloc(cap), *at = uri;

	if (uri == NULL)
		return NULL;
	at += snprintf(at, cap, "%s", abs_path[0] == '/' ? "file://" : "file:");
	for (; *abs_path != '\0'; abs_path++) {
		unsigned char b = (unsigned char)*abs_path;

		if (is_plain(b))
			*at++ = (char)b;
		else
			at += snprintf(at, 4, "%%%02X", b);
	}
	*at = '\0';
	if (query != NULL)
		(void)snprintf(at, cap - (size_t)(at - uri), "?%s", query);
	return uri;
}

static int open_uri(struct dbconn *c, const char *uri, int flags)
{
	int rc = sqlite3_open_v2(uri, &c->db, flags | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL);

	if (c->db == NULL)
		return SQLITE_NOMEM;
	(void)sqlite3_extended_result_codes(c->db, 1);
	if (rc != SQLITE_OK)
		return sqlite3_extended_errcode(c->db);
	if (c->timeout_ms == 0)
		c->timeout_ms = DBCONN_BUSY_TIMEOUT_MS;
	(void)sqlite3_busy_handler(c->db, on_busy, c);
	sqlite3_progress_handler(c->db, OPS_PER_TICK, on_ops, c);
	/*
	 * trusted_schema stays on: off, SQLite up to 3.40 takes an index over json_extract for a malformed schema, and
	 * a sound database would be reported as corrupt. Nothing is registered here that a hostile schema could call, and
	 * load_extension and its like are never allowed in one.
	 */
	rc = dbconn_exec(c, "PRAGMA temp_store=MEMORY; PRAGMA secure_delete=ON;");
	if (rc == SQLITE_OK)
		rc = dbconn_exec(c, "PRAGMA schema_version");
	return rc;
}

static int chown_if_other(int fd, uid_t uid, gid_t gid)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_uid == uid && st.st_gid == gid ? 0
									   : fchown(fd, uid, gid);
}

/*
 * For root, SQLite gives each -wal that it opens to the owner of the database, whosever it is: its ctime moves, and a
 * database that nobody writes would look changed after each look at it (repo/dbstate.h).
 */
static void leave_owners(void)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

	if (vfs && vfs->iVersion >= 3 && vfs->xSetSystemCall)
		(void)vfs->xSetSystemCall(vfs, "fchown", (sqlite3_syscall_ptr)chown_if_other);
}

int dbconn_open_source(struct dbconn *c, const char *abs_path)
{
	char *uri = dbconn_uri(abs_path, "mode=ro");
	int rc = SQLITE_NOMEM;

	leave_owners();
	if (uri != NULL)
		rc = open_uri(c, uri, SQLITE_OPEN_READONLY | NOFOLLOW);
	free(uri);
	return rc;
}

int dbconn_open_vfs(struct dbconn *c, const char *vfs_name, int flags)
{
	char uri[128];

	(void)snprintf(uri, sizeof(uri), "file:image?vfs=%s", vfs_name);
	return open_uri(c, uri, flags);
}

int dbconn_exec(struct dbconn *c, const char *sql)
{
	return sqlite3_exec(c->db, sql, NULL, NULL, NULL);
}

int dbconn_get_int(struct dbconn *c, const char *sql, int64_t *out)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(c->db, sql, -1, &st, NULL);

	if (rc == SQLITE_OK) {
		rc = sqlite3_step(st);
		if (rc == SQLITE_ROW)
			*out = sqlite3_column_int64(st, 0);
		rc = rc == SQLITE_ROW ? SQLITE_OK : rc == SQLITE_DONE ? SQLITE_ERROR : rc;
	}
	(void)sqlite3_finalize(st);
	return rc;
}

void dbconn_close(struct dbconn *c)
{
	(void)sqlite3_close(c->db);
	c->db = NULL;
}

bool dbconn_is_final(int sqlite_rc)
{
	switch (sqlite_rc & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_PROTOCOL:
	case SQLITE_INTERRUPT:
	case SQLITE_FULL:
	case SQLITE_NOMEM:
	case SQLITE_CANTOPEN:
		return true;
	default:
		return false;
	}
}

int dbconn_fail(const struct dbconn *c, int sqlite_rc, struct err *err)
{
	int errnum = c->db != NULL ? sqlite3_system_errno(c->db) : 0;

	if (c->cancelled)
		return err_set(err, ERR_CANCELLED, "%s: interrupted", c->path);
	switch (sqlite_rc & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_PROTOCOL:
		return err_set(err, ERR_BUSY, "%s: another process has it locked; waited %u ms",
			       c->path, c->timeout_ms);
	case SQLITE_INTERRUPT:
		return err_set(err, ERR_CANCELLED, "%s: interrupted", c->path);
	case SQLITE_NOMEM:
		return err_nomem(err);
	case SQLITE_FULL:
		return err_set(err, ERR_FULL, "%s: no room left for the copy", c->path);
	default:
		break;
	}
	/* CANTOPEN: a journal that could not be made. */
	if (((sqlite_rc & 0xff) == SQLITE_IOERR || (sqlite_rc & 0xff) == SQLITE_CANTOPEN) &&
	    (errnum == ENOSPC || errnum == EDQUOT || errnum == EFBIG))
		return err_sys(err, errnum, "%s: no room left for the copy", c->path);
	return err_set(err, ERR_SOURCE, "%s: %s", c->path,
		       c->db != NULL ? sqlite3_errmsg(c->db) : sqlite3_errstr(sqlite_rc));
}

int dbconn_explain_cantopen(const struct dbconn *c, const char *abs_path, bool is_wal,
			    struct err *err)
{
	const char *slash = strrchr(abs_path, '/');
	int dir_len = slash == NULL || slash == abs_path ? 1 : (int)(slash - abs_path);
	char dir[4200], shm[4200];

	(void)snprintf(dir, sizeof(dir), "%.*s", dir_len, slash == NULL ? "." : abs_path);
	(void)snprintf(shm, sizeof(shm), "%s-shm", abs_path);
	if (is_wal && faccessat(AT_FDCWD, shm, F_OK, AT_EACCESS) != 0 &&
	    faccessat(AT_FDCWD, dir, W_OK | X_OK, AT_EACCESS) != 0)
		return err_set(
		    err, ERR_SOURCE,
		    "%s: the database is in WAL mode and has no -shm file, and uid %ld may "
		    "not write to its directory %s, so it cannot be read safely: run as "
		    "its application's user or give write permission to the directory",
		    c->path, (long)geteuid(), dir);
	if (is_wal && faccessat(AT_FDCWD, shm, F_OK, AT_EACCESS) == 0 &&
	    faccessat(AT_FDCWD, shm, R_OK, AT_EACCESS) != 0)
		return err_set(err, ERR_SOURCE,
			       "%s: uid %ld has no read permission for %s: run as the "
			       "application's user",
			       c->path, (long)geteuid(), shm);
	return err_set(err, ERR_SOURCE, "%s: SQLite cannot open it: %s", c->path,
		       c->db != NULL ? sqlite3_errmsg(c->db) : "unable to open database file");
}
