#include "repo/dbfile.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "repo/dbcheck.h"
#include "repo/dbconn.h"
#include "repo/fsread.h"
#include "repo/pagevfs.h"

#define HEADER_BYTES 100
#define TEMP_INFIX ".nightjar-tmp-"

/* What a connection's tick needs to say how far it is. */
struct watch {
	const struct dbfile_progress *progress;
	const char *phase;
	const char *growing; /* file whose size tells what is done, or NULL */
	uint64_t total_pages, page_size;
};

static int watch_tick(void *arg)
{
	const struct watch *w = arg;
	struct stat st;
	uint64_t done = 0;

	if (w->progress == NULL || w->progress->fn == NULL)
		return 0;
	if (w->growing != NULL && w->page_size != 0 && stat(w->growing, &st) == 0)
		done = (uint64_t)st.st_size / w->page_size;
	if (w->total_pages != 0 && done > w->total_pages)
		done = w->total_pages;
	return w->progress->fn(w->progress->arg, w->phase, done, w->total_pages);
}

/* Resolves path and looks at its first bytes. The descriptor is closed before SQLite opens the file. */
static int look_at(const char *path, char out_abs[PATH_MAX], uint8_t out_head[HEADER_BYTES],
		   struct stat *out_st, struct err *err)
{
	ssize_t n = -1;
	int fd;

	if (realpath(path, out_abs) == NULL)
		return err_set(err, errno == ENOENT ? ERR_MISSING : ERR_SOURCE, "%s: %s", path,
			       strerror(errno));
	fd = open(out_abs, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, out_st) != 0 ||
	    (S_ISREG(out_st->st_mode) && (n = fs_pread(fd, out_head, HEADER_BYTES, 0)) < 0)) {
		(void)err_set(err, ERR_SOURCE, "%s: cannot be read: %s", path, strerror(errno));
		if (fd >= 0)
			(void)close(fd);
		return -err->code;
	}
	(void)close(fd);
	if (n < 0 || !snapshot_is_database(out_head, (size_t)n))
		return err_set(err, ERR_SOURCE, "%s: not an SQLite database", path);
	return 0;
}

static int open_failed(const struct dbconn *c, const char *abs_path, const uint8_t *head, int rc,
		       struct err *err)
{
	if (rc == SQLITE_READONLY_ROLLBACK)
		return err_set(err, ERR_SOURCE,
			       "%s: a writer died in its transaction and left a journal; open the "
			       "database once with its application",
			       c->path);
	if ((rc & 0xff) == SQLITE_CANTOPEN || (rc & 0xff) == SQLITE_READONLY)
		return dbconn_explain_cantopen(c, abs_path, head[18] == 2, err);
	return dbconn_fail(c, rc, err);
}

static int fsync_path(const char *path, int flags, struct err *err)
{
	int fd = open(path, flags | O_RDONLY | O_CLOEXEC), rc = 0;

	if (fd < 0 || fsync(fd) != 0)
		rc = err_sys(err, errno, "%s: cannot be synced", path);
	if (fd >= 0)
		(void)close(fd);
	return rc;
}

/* 1 when it is, or when that cannot be known. */
static int beside_exists(const char *path, const char *suffix, struct err *err)
{
	size_t cap = strlen(path) + strlen(suffix) + 1;
	char *name = malloc(cap);
	struct stat st;
	int there;

	if (name == NULL)
		return err_nomem(err);
	(void)snprintf(name, cap, "%s%s", path, suffix);
	there = lstat(name, &st) == 0 || errno != ENOENT;
	free(name);
	return there;
}

/* SQLite would take a stale companion for this database's own and play it into the file. */
static int refuse_companions(const char *path, struct err *err)
{
	static const char *const suffixes[] = {"-journal", "-wal", "-shm"};
	int there = 0;
	size_t i;

	for (i = 0; there == 0 && i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		there = beside_exists(path, suffixes[i], err);
		if (there > 0)
			return err_set(err, ERR_EXISTS,
				       "%s%s: is in the way: SQLite would take it for part of the "
				       "database; move it away",
				       path, suffixes[i]);
	}
	return there;
}

/*
 * The two version bytes of the header are all that PRAGMA journal_mode leaves in a file. Written like this, SQLite need not
 * open it: that would want its -journal and -wal beside a name that others may see, follow what was put there
 * meanwhile, and fail where a database is kept because it is broken.
 */
void dbfile_put_mode(const char *journal_mode, uint8_t head[DBFILE_MODE_BYTES])
{
	bool wal = strcmp(journal_mode, "wal") == 0;

	if (!snapshot_is_database(head, DBFILE_MODE_BYTES))
		return;
	if (wal || strcmp(journal_mode, "delete") == 0 || strcmp(journal_mode, "persist") == 0 ||
	    strcmp(journal_mode, "truncate") == 0)
		head[18] = head[19] = wal ? 2 : 1;
}

/* Two bytes of the first page; cut short they are written again, whole. */
static ssize_t put_head(int fd, const uint8_t *head, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pwrite(fd, head + done, len - done, (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static int set_mode(const char *path, const char *journal_mode, struct err *err)
{
	uint8_t head[DBFILE_MODE_BYTES];
	int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC), rc = 0;
	ssize_t n = -1;

	if (fd >= 0)
		n = fs_pread(fd, head, sizeof(head), 0);
	if (n == (ssize_t)sizeof(head)) {
		dbfile_put_mode(journal_mode, head);
		n = put_head(fd, head, sizeof(head));
	}
	if (n != (ssize_t)sizeof(head))
		rc = err_sys(err, n < 0 ? errno : EIO, "%s: cannot set its journal mode", path);
	if (fd >= 0)
		(void)close(fd);
	return rc;
}

int dbfile_verify(const char *path, unsigned busy_timeout_ms,
		  const struct dbfile_progress *progress, bool *out_ok, bool *out_unchecked,
		  char **out_text, struct err *err)
{
	struct watch w = {.progress = progress, .phase = "verify"};
	struct dbconn c = {
	    .path = path, .timeout_ms = busy_timeout_ms, .tick = watch_tick, .tick_arg = &w};
	enum snapshot_verdict verdict = SNAPSHOT_FAILED;
	uint8_t head[HEADER_BYTES] = {0};
	char abs_path[PATH_MAX];
	struct stat st;
	int sqlite_rc, rc = look_at(path, abs_path, head, &st, err);

	*out_ok = *out_unchecked = false;
	*out_text = NULL;
	if (rc != 0)
		return rc;
	sqlite_rc = dbconn_open_source(&c, abs_path);
	if (sqlite_rc != SQLITE_OK && (sqlite_rc & 0xff) != SQLITE_CORRUPT &&
	    (sqlite_rc & 0xff) != SQLITE_NOTADB && sqlite_rc != SQLITE_IOERR_SHORT_READ)
		rc = open_failed(&c, abs_path, head, sqlite_rc, err);
	if (rc == 0)
		rc = dbcheck_run(&c, sqlite_rc, SNAPSHOT_CHECK_INTEGRITY, &verdict, out_text, err);
	dbconn_close(&c);
	*out_ok = rc == 0 && verdict != SNAPSHOT_FAILED;
	*out_unchecked = rc == 0 && verdict == SNAPSHOT_UNCHECKED;
	return rc;
}

int dbfile_verify_bytes(const char *path, const struct dbfile_bytes *bytes,
			const struct dbfile_progress *progress, bool *out_ok, char **out_text,
			struct err *err)
{
	struct watch w = {.progress = progress, .phase = "verify"};
	struct dbconn c = {.path = path, .tick = watch_tick, .tick_arg = &w};
	enum snapshot_verdict verdict = SNAPSHOT_FAILED;
	struct pageimage *image = NULL;
	struct pagevfs *vfs = NULL;
	int sqlite_rc, rc = pageimage_over(bytes->read, bytes->arg, bytes->size_bytes, &image, err);

	*out_ok = false;
	*out_text = NULL;
	/* Nothing spills: temp_store is memory, and a reader has no journal. */
	if (rc == 0)
		rc = pagevfs_new(image, "", &vfs, err);
	if (rc == 0) {
		sqlite_rc = dbconn_open_vfs(&c, pagevfs_name(vfs), SQLITE_OPEN_READONLY);
		rc = dbcheck_run(&c, sqlite_rc, SNAPSHOT_CHECK_INTEGRITY, &verdict, out_text, err);
		dbconn_close(&c);
	}
	/* What the image was read from failed: that is no verdict. */
	if (vfs != NULL && pagevfs_error(vfs)->code != 0) {
		*err = *pagevfs_error(vfs);
		rc = err_prefix(err, "%s", path);
	}
	*out_ok = rc == 0 && verdict != SNAPSHOT_FAILED;
	pagevfs_free(vfs);
	pageimage_free(image);
	return rc;
}

struct copy {
	const char *src, *dest;
	char src_abs[PATH_MAX];
	char temp[PATH_MAX];
	uint8_t head[HEADER_BYTES];
	struct stat st;
	unsigned timeout_ms;
	struct watch watch;
	char journal_mode[16];
};

static int make_temp(struct copy *k, struct err *err)
{
	uint64_t nonce;
	int fd;

	randombytes_buf(&nonce, sizeof(nonce));
	if (snprintf(k->temp, sizeof(k->temp), "%s" TEMP_INFIX "%016llx", k->dest,
		     (unsigned long long)nonce) >= (int)sizeof(k->temp))
		return err_set(err, ERR_USAGE, "%s: the name is too long", k->dest);
	fd = open(k->temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		int rc = err_sys(err, errno, "%s: cannot be created", k->dest);

		k->temp[0] = '\0';
		return rc;
	}
	(void)close(fd);
	return 0;
}

static void drop_temp(struct copy *k)
{
	static const char *const suffixes[] = {"-journal", "-wal", "-shm", ""};
	char name[PATH_MAX + 16];
	size_t i;

	if (k->temp[0] == '\0')
		return;
	for (i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		(void)snprintf(name, sizeof(name), "%s%s", k->temp, suffixes[i]);
		(void)unlink(name);
	}
}

/* Without the sizes there is no progress, without the journal mode the copy would be another database. */
static int ask_source(struct copy *k, struct dbconn *c, struct err *err)
{
	sqlite3_stmt *st = NULL;
	const char *mode = NULL;
	int64_t n = 0;
	int sqlite_rc;

	if (dbconn_get_int(c, "PRAGMA page_count", &n) == SQLITE_OK && n > 0)
		k->watch.total_pages = (uint64_t)n;
	if (dbconn_get_int(c, "PRAGMA page_size", &n) == SQLITE_OK && n > 0)
		k->watch.page_size = (uint64_t)n;
	sqlite_rc = sqlite3_prepare_v2(c->db, "PRAGMA journal_mode", -1, &st, NULL);
	if (sqlite_rc == SQLITE_OK)
		sqlite_rc = sqlite3_step(st);
	if (sqlite_rc == SQLITE_ROW)
		mode = (const char *)sqlite3_column_text(st, 0);
	if (mode != NULL)
		(void)snprintf(k->journal_mode, sizeof(k->journal_mode), "%s", mode);
	(void)sqlite3_finalize(st);
	if (mode == NULL)
		return dbconn_fail(c, sqlite_rc == SQLITE_ROW ? SQLITE_NOMEM : sqlite_rc, err);
	return 0;
}

static int vacuum_into_temp(struct copy *k, struct err *err)
{
	struct dbconn c = {
	    .path = k->src, .timeout_ms = k->timeout_ms, .tick = watch_tick, .tick_arg = &k->watch};
	char *uri = NULL, *sql = NULL, abs_temp[PATH_MAX];
	int rc = 0, sqlite_rc = dbconn_open_source(&c, k->src_abs);

	if (sqlite_rc != SQLITE_OK) {
		rc = open_failed(&c, k->src_abs, k->head, sqlite_rc, err);
		goto out;
	}
	rc = ask_source(k, &c, err);
	if (rc == 0 && realpath(k->temp, abs_temp) == NULL)
		rc = err_sys(err, errno, "%s", k->temp);
	if (rc != 0)
		goto out;
	uri = dbconn_uri(abs_temp, NULL);
	sql = uri != NULL ? sqlite3_mprintf("VACUUM INTO %Q", uri) : NULL;
	if (sql == NULL) {
		rc = err_nomem(err);
		goto out;
	}
	sqlite_rc = dbconn_exec(&c, sql);
	if (sqlite_rc != SQLITE_OK)
		rc = dbconn_fail(&c, sqlite_rc, err);
out:
	sqlite3_free(sql);
	free(uri);
	dbconn_close(&c);
	return rc;
}

static int check_temp(struct copy *k, struct err *err)
{
	char *text = NULL;
	bool ok = false, unchecked = false;
	int rc =
	    dbfile_verify(k->temp, k->timeout_ms, k->watch.progress, &ok, &unchecked, &text, err);

	if (rc == -ERR_SOURCE || (rc == 0 && !ok))
		rc = err_set(err, ERR_DAMAGED, "%s: the copy failed its integrity check: %.300s",
			     k->src, text != NULL ? text : err->text);
	free(text);
	return rc;
}

/* link, not rename: the name is given only if nobody took it meanwhile. */
static int give_name(struct copy *k, struct err *err)
{
	char dir[PATH_MAX];

	if (link(k->temp, k->dest) != 0) {
		int errnum = errno;

		if (errnum == EEXIST ||
		    renameat2(AT_FDCWD, k->temp, AT_FDCWD, k->dest, RENAME_NOREPLACE) != 0)
			return err_sys(err, errnum == EEXIST ? errnum : errno,
				       "%s: cannot be given its name", k->dest);
	} else if (unlink(k->temp) != 0) {
		return err_sys(err, errno, "%s: cannot be removed", k->temp);
	}
	k->temp[0] = '\0';
	(void)snprintf(dir, sizeof(dir), "%s", k->dest);
	return fsync_path(dirname(dir), O_DIRECTORY, err);
}

static int fill_and_publish(struct copy *k, struct err *err)
{
	int rc = make_temp(k, err);

	k->watch.growing = k->temp;
	if (rc == 0)
		rc = vacuum_into_temp(k, err);
	if (rc == 0)
		rc = check_temp(k, err);
	if (rc == 0)
		rc = set_mode(k->temp, k->journal_mode, err);
	if (rc == 0 && chmod(k->temp, 0600 & k->st.st_mode) != 0)
		rc = err_sys(err, errno, "%s: cannot set its mode", k->temp);
	if (rc == 0)
		rc = fsync_path(k->temp, 0, err);
	if (rc == 0)
		rc = give_name(k, err);
	return rc;
}

int dbfile_copy(const char *src, const char *dest, unsigned busy_timeout_ms,
		const struct dbfile_progress *progress, struct err *err)
{
	struct copy *k = calloc(1, sizeof(*k));
	struct stat st;
	int rc;

	if (k == NULL)
		return err_nomem(err);
	k->src = src;
	k->dest = dest;
	k->timeout_ms = busy_timeout_ms;
	k->watch.progress = progress;
	k->watch.phase = "copy";
	rc = look_at(src, k->src_abs, k->head, &k->st, err);
	if (rc == 0 && lstat(dest, &st) == 0)
		rc = err_set(err, ERR_EXISTS, "%s: exists already; it was not touched", dest);
	if (rc == 0)
		rc = refuse_companions(dest, err);
	if (rc == 0 && sodium_init() < 0)
		rc = err_set(err, ERR_IO, "the random number generator does not work");
	if (rc == 0)
		rc = fill_and_publish(k, err);
	if (rc == -ERR_FULL)
		err_set(err, ERR_FULL, "%s: no room left for the copy; nothing was kept of it",
			dest);
	drop_temp(k);
	free(k);
	return rc;
}
