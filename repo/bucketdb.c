#include "repo/bucketdb.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUSY_MS 2000

/* Looks before SQLite does, which would hang on a fifo and follow a symlink. flags: O_RDONLY, or O_RDWR | O_CREAT. */
static int look(const char *path, int flags, struct err *err)
{
	int fd = open(path, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	struct stat st;
	int r = 0;

	if (fd < 0)
		return err_sys(err, errno, "%s", path);
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		r = err_set(err, ERR_IO, "%s is not a regular file", path);
	(void)close(fd);
	return r;
}

static int fail(sqlite3 *db, const char *path, int rc, struct err *err)
{
	switch (rc & 0xff) {
	case SQLITE_NOMEM:
		return err_nomem(err);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return err_set(err, ERR_BUSY, "%s: another process is writing it", path);
	case SQLITE_FULL:
		return err_set(err, ERR_FULL, "%s: %s", path, sqlite3_errstr(rc));
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
	case SQLITE_IOERR:
		return err_set(err, ERR_IO, "%s: %s", path, sqlite3_errstr(rc));
	case SQLITE_READONLY:
		/* A journal that is not ours lies beside it. */
		return err_set(err, rc == SQLITE_READONLY_ROLLBACK ? ERR_DAMAGED : ERR_IO, "%s: %s",
			       path, sqlite3_errstr(rc));
	default:
		return err_set(err, ERR_DAMAGED, "%s: %s", path,
			       db ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
	}
}

static int open_db(const char *path, int flags, sqlite3 **out_db)
{
	int rc = sqlite3_open_v2(path, out_db, flags | SQLITE_OPEN_NOFOLLOW, NULL);

	if (rc != SQLITE_OK)
		return rc;
	(void)sqlite3_extended_result_codes(*out_db, 1);
	(void)sqlite3_busy_timeout(*out_db, BUSY_MS);
	return sqlite3_exec(*out_db, "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON", NULL,
			    NULL, NULL);
}

static int give_row(sqlite3_stmt *stmt, const char *path, bucketdb_row_fn *fn, void *arg,
		    struct err *err)
{
	int64_t row = sqlite3_column_int64(stmt, 0);
	const void *bytes;
	int len;

	if (sqlite3_column_type(stmt, 1) != SQLITE_BLOB)
		return err_set(err, ERR_DAMAGED, "%s: a row is no blob", path);
	bytes = sqlite3_column_blob(stmt, 1);
	len = sqlite3_column_bytes(stmt, 1);
	if (len < 0 || (unsigned)len > BUCKETDB_ROW_BYTES)
		return err_set(err, ERR_DAMAGED, "%s: a row is too long", path);
	if (len > 0 && !bytes)
		return err_nomem(err);
	return fn(arg, row, bytes, (size_t)len, err);
}

int bucketdb_load(const char *path, bucketdb_row_fn *fn, void *arg, struct err *err)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *stmt = NULL;
	int rc, r = look(path, O_RDONLY, err);

	if (r)
		return r;
	rc = open_db(path, SQLITE_OPEN_READONLY, &db);
	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(db, "SELECT n, sealed FROM bucket", -1, &stmt, NULL);
	if (rc != SQLITE_OK)
		r = fail(db, path, rc, err);
	while (!r) {
		rc = sqlite3_step(stmt);
		if (rc == SQLITE_DONE)
			break;
		r = rc == SQLITE_ROW ? give_row(stmt, path, fn, arg, err) : fail(db, path, rc, err);
	}
	(void)sqlite3_finalize(stmt);
	(void)sqlite3_close(db);
	return r;
}

static int remove_rows(sqlite3 *db, const struct bucketdb_change *change)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db, "DELETE FROM bucket WHERE n = ?1", -1, &stmt, NULL);

	for (size_t i = 0; rc == SQLITE_OK && i < change->remove_count; i++) {
		(void)sqlite3_bind_int64(stmt, 1, change->remove[i]);
		(void)sqlite3_step(stmt);
		rc = sqlite3_reset(stmt);
	}
	(void)sqlite3_finalize(stmt);
	return rc;
}

static int add_rows(sqlite3 *db, const struct bucketdb_change *change)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db, "INSERT INTO bucket (sealed) VALUES (?1)", -1, &stmt, NULL);

	for (size_t i = 0; rc == SQLITE_OK && i < change->add_count; i++) {
		rc = sqlite3_bind_blob64(stmt, 1, change->add[i].data, change->add[i].len,
					 SQLITE_STATIC);
		if (rc != SQLITE_OK)
			break;
		(void)sqlite3_step(stmt);
		rc = sqlite3_reset(stmt);
	}
	(void)sqlite3_finalize(stmt);
	return rc;
}

static int change_rows(sqlite3 *db, const struct bucketdb_change *change)
{
	int rc = sqlite3_exec(db,
			      "PRAGMA page_size=16384; PRAGMA journal_mode=MEMORY;"
			      "PRAGMA synchronous=OFF; BEGIN IMMEDIATE;"
			      "CREATE TABLE IF NOT EXISTS bucket"
			      " (n INTEGER PRIMARY KEY, sealed BLOB NOT NULL)",
			      NULL, NULL, NULL);

	if (rc == SQLITE_OK)
		rc = remove_rows(db, change);
	if (rc == SQLITE_OK)
		rc = add_rows(db, change);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
	return rc;
}

/* The file and what SQLite may find beside it. */
static void remove_file(const char *path)
{
	static const char *const tails[] = {"", "-journal", "-wal", "-shm"};

	for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
		char *name = NULL;

		if (asprintf(&name, "%s%s", path, tails[i]) < 0)
			return;
		(void)unlink(name);
		free(name);
	}
}

int bucketdb_save(const char *path, const struct bucketdb_change *change, struct err *err)
{
	sqlite3 *db = NULL;
	int rc, r;

	if (change->anew)
		remove_file(path);
	r = look(path, O_RDWR | O_CREAT, err);
	if (r)
		return r;
	rc = open_db(path, SQLITE_OPEN_READWRITE, &db);
	if (rc == SQLITE_OK)
		rc = change_rows(db, change);
	if (rc != SQLITE_OK)
		r = fail(db, path, rc, err);
	(void)sqlite3_close(db); /* rolls back what was not committed */
	if (r == -ERR_DAMAGED)
		remove_file(path);
	return r;
}
