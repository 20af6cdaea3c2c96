#include "core/sha256.h"
#include "repo/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "repo/dbcheck.h"
#include "repo/dbconn.h"
#include "repo/fsread.h"
#include "repo/pageimage.h"
#include "repo/pagevfs.h"
#include "repo/snapshot_raw.h"

#define DEFAULT_RAM_BYTES ((size_t)64 << 20)
#define HEADER_BYTES 100
#define BACKUP_STEP_PAGES 1024
#define HASH_STEP_BYTES 65536

struct snapshot {
	char *path;
	struct pageimage *image;
	struct pagevfs *vfs;
	struct snapshot_info info;
	bool lacking; /* VACUUM INTO met a function, collation or module that is not here */
};

/* One run of snapshot_take. */
struct take {
	const char *path;
	const struct snapshot_options *o;
	char abs_path[PATH_MAX];
	uint8_t head[HEADER_BYTES];
	struct snapshot *s;
	struct dbconn source;
	struct pageimage *copy; /* a raw copy with its journal, where the file itself will not do */
	struct pagevfs *copy_vfs;
	uint64_t total_pages;
	uint32_t page_size;
	char reason[256];
};

bool snapshot_is_database(const void *head, size_t head_len)
{
	static const char magic[16] = "SQLite format 3";

	return head_len >= sizeof(magic) && memcmp(head, magic, sizeof(magic)) == 0;
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t header_page_size(const uint8_t *head)
{
	uint32_t n = (uint32_t)head[16] << 8 | head[17];

	if (n == 1)
		return 65536;
	return n >= 512 && (n & (n - 1)) == 0 ? n : 0;
}

static int64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int take_tick(void *arg)
{
	const struct take *t = arg;
	uint64_t done = 0;

	if (t->o->progress == NULL)
		return 0;
	if (t->s->image != NULL && t->page_size != 0)
		done = pageimage_size(t->s->image) / t->page_size;
	if (t->total_pages != 0 && done > t->total_pages)
		done = t->total_pages;
	return t->o->progress(t->o->progress_arg, done, t->total_pages);
}

static size_t ram_budget(const struct take *t)
{
	size_t all = t->o->ram_budget_bytes != 0 ? t->o->ram_budget_bytes : DEFAULT_RAM_BYTES;

	return t->copy != NULL ? all / 2 : all;
}

static void drop_image(struct snapshot *s)
{
	pagevfs_free(s->vfs);
	pageimage_free(s->image);
	s->vfs = NULL;
	s->image = NULL;
}

/* An empty image and its VFS: what an abandoned method wrote is gone. */
static int fresh_image(struct take *t, struct err *err)
{
	int rc;

	drop_image(t->s);
	rc = pageimage_new(t->o->cache_dir, ram_budget(t), &t->s->image, err);
	if (rc == 0)
		rc = pagevfs_new(t->s->image, t->o->cache_dir, &t->s->vfs, err);
	return rc;
}

/* The file as it lies there: regular, readable, with SQLite's header. No connection is open yet. */
static int look_at_file(struct take *t, struct err *err)
{
	struct stat st;
	ssize_t n;
	int fd;

	if (lstat(t->path, &st) != 0)
		return err_set(err, errno == ENOENT ? ERR_MISSING : ERR_SOURCE, "%s: %s", t->path,
			       strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_SOURCE, "%s: not a regular file", t->path);
	if (realpath(t->path, t->abs_path) == NULL)
		return err_set(err, ERR_SOURCE, "%s: %s", t->path, strerror(errno));
	fd = open(t->abs_path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	n = fd < 0 ? -1 : fs_pread(fd, t->head, sizeof(t->head), 0);
	if (fd >= 0)
		(void)close(fd);
	if (n < 0)
		return err_set(err, ERR_SOURCE, "%s: cannot be read: %s", t->path, strerror(errno));
	if (!snapshot_is_database(t->head, (size_t)n))
		return err_set(err, ERR_SOURCE, "%s: not an SQLite database", t->path);
	t->page_size = header_page_size(t->head);
	if (t->page_size != 0)
		t->total_pages = ((uint64_t)st.st_size + t->page_size - 1) / t->page_size;
	return 0;
}

/* The error of a method that must not be followed by another one, or 0. */
static int final_error(struct take *t, int sqlite_rc, struct err *err)
{
	const struct err *below = pagevfs_error(t->s->vfs);

	if (below->code != 0) {
		*err = *below;
		return err_prefix(err, "%s", t->path);
	}
	if (t->copy_vfs != NULL && pagevfs_error(t->copy_vfs)->code != 0) {
		*err = *pagevfs_error(t->copy_vfs);
		return err_prefix(err, "%s", t->path);
	}
	/* Without an error of ours SQLite says so of numbers that no database can have: of a broken source. */
	if ((sqlite_rc & 0xff) == SQLITE_FULL || (sqlite_rc & 0xff) == SQLITE_NOMEM)
		return 0;
	return dbconn_is_final(sqlite_rc) ? dbconn_fail(&t->source, sqlite_rc, err) : 0;
}

static int must_be_complete(struct take *t, uint64_t pages, uint64_t page_size, struct err *err)
{
	uint64_t size = pageimage_size(t->s->image);

	if (pagevfs_was_opened(t->s->vfs) && pages != 0 && page_size != 0 &&
	    size == pages * page_size)
		return 0;
	return err_set(err, ERR_SOURCE,
		       "%s: SQLite reported success, but the snapshot holds %llu bytes instead of "
		       "%llu pages",
		       t->path, (unsigned long long)size, (unsigned long long)pages);
}

/* *out_sqlite_rc tells why it did not work when 0 is returned without an image. */
static int by_vacuum(struct take *t, int *out_sqlite_rc, struct err *err)
{
	uint8_t head[HEADER_BYTES] = {0};
	char sql[128];
	int rc = fresh_image(t, err);

	if (rc != 0)
		return rc;
	(void)snprintf(sql, sizeof(sql), "VACUUM INTO 'file:" PAGEVFS_DATABASE "?vfs=%s'",
		       pagevfs_name(t->s->vfs));
	*out_sqlite_rc = dbconn_exec(&t->source, sql);
	if (*out_sqlite_rc != SQLITE_OK)
		return final_error(t, *out_sqlite_rc, err);
	if (pageimage_size(t->s->image) >= sizeof(head))
		rc = pageimage_read(t->s->image, 0, head, sizeof(head), err);
	if (rc == 0)
		rc = must_be_complete(t, be32(head + 28), header_page_size(head), err);
	t->s->info.method = SNAPSHOT_VACUUM;
	return rc;
}

static int run_backup(struct take *t, struct dbconn *target, uint64_t *out_pages)
{
	sqlite3_backup *b = sqlite3_backup_init(target->db, "main", t->source.db, "main");
	int rc = SQLITE_OK, end;

	if (b == NULL)
		return sqlite3_extended_errcode(target->db);
	while (rc == SQLITE_OK) {
		rc = sqlite3_backup_step(b, BACKUP_STEP_PAGES);
		*out_pages = (uint64_t)sqlite3_backup_pagecount(b);
		if (rc == SQLITE_OK && take_tick(t) != 0)
			rc = SQLITE_INTERRUPT;
	}
	end = sqlite3_backup_finish(b);
	return rc != SQLITE_DONE ? rc : end;
}

/* One read transaction around all steps, so that a writer does not make the copy start again. */
static int by_pages(struct take *t, int *out_sqlite_rc, struct err *err)
{
	struct dbconn target = {.path = t->path};
	uint64_t pages = 0;
	int rc = fresh_image(t, err);

	if (rc != 0)
		return rc;
	*out_sqlite_rc = dbconn_exec(&t->source, "BEGIN; PRAGMA schema_version");
	if (*out_sqlite_rc == SQLITE_OK)
		*out_sqlite_rc = dbconn_open_vfs(&target, pagevfs_name(t->s->vfs),
						 SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
	if (*out_sqlite_rc == SQLITE_OK)
		*out_sqlite_rc = run_backup(t, &target, &pages);
	dbconn_close(&target);
	(void)dbconn_exec(&t->source, "ROLLBACK");
	if (*out_sqlite_rc != SQLITE_OK)
		return final_error(t, *out_sqlite_rc, err);
	t->s->info.method = SNAPSHOT_PAGES;
	return must_be_complete(t, pages, t->page_size, err);
}

static struct snapshot_raw raw_reader(struct take *t)
{
	return (struct snapshot_raw){.path = t->path,
				     .abs_path = t->abs_path,
				     .timeout_ms = t->o->busy_timeout_ms != 0
						       ? t->o->busy_timeout_ms
						       : DBCONN_BUSY_TIMEOUT_MS,
				     .tick = take_tick,
				     .tick_arg = t};
}

/* The last resort. A copy that was already read for its hot journal is that image. */
static int by_raw(struct take *t, struct err *err)
{
	struct snapshot_raw r = raw_reader(t);
	bool hot = false;
	int rc;

	dbconn_close(&t->source);
	t->s->info.method = SNAPSHOT_RAW;
	if (t->copy == NULL) {
		rc = fresh_image(t, err);
		return rc != 0 ? rc : snapshot_raw_read(&r, t->s->image, NULL, &hot, err);
	}
	drop_image(t->s);
	pagevfs_free(t->copy_vfs);
	t->copy_vfs = NULL;
	t->s->image = t->copy;
	t->copy = NULL;
	return pagevfs_new(t->s->image, t->o->cache_dir, &t->s->vfs, err);
}

static void note_reason(struct take *t, const char *what, int sqlite_rc)
{
	(void)snprintf(t->reason, sizeof(t->reason), "%s: %s", what,
		       t->source.db != NULL ? sqlite3_errmsg(t->source.db)
					    : sqlite3_errstr(sqlite_rc));
}

static void ask_source(struct take *t)
{
	struct snapshot_info *info = &t->s->info;
	sqlite3_stmt *st = NULL;
	int64_t n = 0;

	if (dbconn_get_int(&t->source, "PRAGMA page_count", &n) == SQLITE_OK && n > 0)
		t->total_pages = (uint64_t)n;
	if (dbconn_get_int(&t->source, "PRAGMA page_size", &n) == SQLITE_OK && n > 0)
		t->page_size = (uint32_t)n;
	if (t->copy == NULL &&
	    sqlite3_prepare_v2(t->source.db, "PRAGMA journal_mode", -1, &st, NULL) == SQLITE_OK &&
	    sqlite3_step(st) == SQLITE_ROW && sqlite3_column_text(st, 0) != NULL)
		(void)snprintf(info->journal_mode, sizeof(info->journal_mode), "%s",
			       (const char *)sqlite3_column_text(st, 0));
	(void)sqlite3_finalize(st);
}

/* From an open source: each method in turn, until one works or fails for good. */
static int from_source(struct take *t, struct err *err)
{
	int sqlite_rc = SQLITE_OK, rc;

	ask_source(t);
	rc = by_vacuum(t, &sqlite_rc, err);
	if (rc != 0 || sqlite_rc == SQLITE_OK)
		return rc;
	note_reason(t, "VACUUM INTO", sqlite_rc);
	t->s->lacking = (sqlite_rc & 0xff) == SQLITE_ERROR;
	rc = by_pages(t, &sqlite_rc, err);
	if (rc != 0 || sqlite_rc == SQLITE_OK)
		return rc;
	return by_raw(t, err);
}

static struct dbconn new_source(struct take *t)
{
	return (struct dbconn){
	    .path = t->path, .timeout_ms = t->o->busy_timeout_ms, .tick = take_tick, .tick_arg = t};
}

/*
 * A hot journal may only be rolled back by someone who writes, so we write to a copy: main file and
 * journal are read under the SHARED lock, and SQLite rolls back inside our VFS. A path longer than
 * SQLite can open goes the same way.
 */
static int from_copy(struct take *t, struct err *err)
{
	struct snapshot_raw r = raw_reader(t);
	bool hot = false;
	int rc, sqlite_rc;

	rc = pageimage_new(t->o->cache_dir, ram_budget(t) / 2, &t->copy, err);
	if (rc == 0)
		rc = pagevfs_new(t->copy, t->o->cache_dir, &t->copy_vfs, err);
	if (rc == 0 && pagevfs_journal(t->copy_vfs) == NULL)
		rc = err_nomem(err);
	if (rc == 0)
		rc = fresh_image(t, err);
	if (rc == 0)
		rc = snapshot_raw_read(&r, t->copy, pagevfs_journal(t->copy_vfs), &hot, err);
	if (rc != 0)
		return rc;
	t->source = new_source(t);
	sqlite_rc = dbconn_open_vfs(&t->source, pagevfs_name(t->copy_vfs),
				    hot ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY);
	if (sqlite_rc == SQLITE_OK)
		return from_source(t, err);
	rc = final_error(t, sqlite_rc, err);
	if (rc != 0)
		return rc;
	note_reason(t, "cannot be opened", sqlite_rc);
	if (hot && (pageimage_size(pagevfs_journal(t->copy_vfs)) != 0))
		return err_set(err, ERR_SOURCE,
			       "%s: a writer died in its transaction and its journal cannot be "
			       "rolled back on a copy (%s); open it once with its application",
			       t->path, t->reason);
	return by_raw(t, err);
}

static int take_image(struct take *t, struct err *err)
{
	sqlite3_vfs *os = sqlite3_vfs_find(NULL);
	int rc, sqlite_rc;

	/* Room for "-journal" behind it. */
	if (os == NULL || strlen(t->abs_path) + 8 >= (size_t)os->mxPathname)
		return from_copy(t, err);
	rc = fresh_image(t, err);
	if (rc != 0)
		return rc;
	t->source = new_source(t);
	sqlite_rc = dbconn_open_source(&t->source, t->abs_path);
	if (sqlite_rc == SQLITE_OK)
		return from_source(t, err);
	if (sqlite_rc == SQLITE_READONLY_ROLLBACK) {
		dbconn_close(&t->source);
		return from_copy(t, err);
	}
	if ((sqlite_rc & 0xff) == SQLITE_CANTOPEN || (sqlite_rc & 0xff) == SQLITE_READONLY)
		return dbconn_explain_cantopen(&t->source, t->abs_path, t->head[18] == 2, err);
	rc = final_error(t, sqlite_rc, err);
	if (rc != 0)
		return rc;
	note_reason(t, "cannot be opened", sqlite_rc);
	return by_raw(t, err);
}

static int hash_image(struct snapshot *s, struct err *err)
{
	struct sha256 *sha = NULL;
	struct id digest = {{0}};
	uint64_t at = 0;
	uint8_t *step = malloc(HASH_STEP_BYTES);
	int rc;

	if (step == NULL)
		return err_nomem(err);
	rc = sha256_new(&sha, err);
	while (rc == 0 && at < s->info.image_bytes) {
		uint64_t left = s->info.image_bytes - at;
		size_t n = left < HASH_STEP_BYTES ? (size_t)left : HASH_STEP_BYTES;

		rc = pageimage_read(s->image, at, step, n, err);
		if (rc == 0)
			rc = sha256_update(sha, step, n, err);
		at += n;
	}
	if (rc == 0)
		rc = sha256_final(sha, &digest, err);
	memcpy(s->info.image_sha256, digest.b, ID_BYTES);
	sha256_free(sha);
	sodium_memzero(step, HASH_STEP_BYTES);
	free(step);
	return rc;
}

/* Facts that the header holds, whatever state the rest is in. */
static int read_header(struct take *t, struct err *err)
{
	struct snapshot_info *info = &t->s->info;
	uint8_t h[HEADER_BYTES] = {0};
	size_t n = sizeof(h);
	int rc;

	info->image_bytes = pageimage_size(t->s->image);
	if (info->image_bytes < n)
		n = (size_t)info->image_bytes;
	rc = pageimage_read(t->s->image, 0, h, n, err);
	if (rc != 0)
		return rc;
	info->page_size = header_page_size(h);
	info->page_count = info->page_size != 0 ? info->image_bytes / info->page_size : 0;
	info->encoding = be32(h + 56) <= 3 ? h[59] : 0;
	info->auto_vacuum = be32(h + 52) == 0 ? 0 : be32(h + 64) == 0 ? 1 : 2;
	info->user_version = be32(h + 60);
	info->application_id = be32(h + 68);
	if (info->journal_mode[0] == '\0' && (t->head[18] == 1 || t->head[18] == 2))
		(void)snprintf(info->journal_mode, sizeof(info->journal_mode), "%s",
			       t->head[18] == 2 ? "wal" : "delete");
	(void)snprintf(info->sqlite_version, sizeof(info->sqlite_version), "%s",
		       sqlite3_libversion());
	return 0;
}

static int keep_reason(struct take *t, struct err *err)
{
	struct snapshot_info *info = &t->s->info;

	if (info->method == SNAPSHOT_VACUUM)
		return 0;
	info->method_reason = strdup(t->reason);
	return info->method_reason == NULL ? err_nomem(err) : 0;
}

int snapshot_take(const char *path, const struct snapshot_options *options,
		  struct snapshot **out_snapshot, struct err *err)
{
	struct take *t = calloc(1, sizeof(*t));
	struct snapshot *s = calloc(1, sizeof(*s));
	int rc;

	if (t == NULL || s == NULL || (s->path = strdup(path)) == NULL) {
		rc = err_nomem(err);
		goto out;
	}
	t->path = path;
	t->o = options;
	t->s = s;
	s->info.verdict = SNAPSHOT_UNCHECKED;
	s->info.started_at_ns = now_ns();
	rc = look_at_file(t, err);
	if (rc == 0)
		rc = take_image(t, err);
	s->info.finished_at_ns = now_ns();
	dbconn_close(&t->source);
	if (rc == 0)
		rc = read_header(t, err);
	if (rc == 0)
		rc = keep_reason(t, err);
	if (rc == 0)
		rc = hash_image(s, err);
out:
	if (t != NULL) {
		pagevfs_free(t->copy_vfs);
		pageimage_free(t->copy);
	}
	free(t);
	if (rc != 0) {
		snapshot_free(s);
		return rc;
	}
	*out_snapshot = s;
	return 0;
}

struct check_run {
	const struct snapshot *s;
	const struct snapshot_options *o;
};

static int check_tick(void *arg)
{
	const struct check_run *run = arg;
	const struct snapshot_info *info = &run->s->info;
	uint64_t done =
	    info->page_size != 0 ? pagevfs_bytes_read(run->s->vfs) / info->page_size : 0;

	if (run->o->progress == NULL)
		return 0;
	return run->o->progress(run->o->progress_arg,
				done < info->page_count ? done : info->page_count,
				info->page_count);
}

static void forget_facts(struct snapshot_info *info)
{
	dbcheck_free_tables(info->tables, info->table_count);
	free(info->check_text);
	info->tables = NULL;
	info->table_count = 0;
	info->check_text = NULL;
}

/* Counts rows and hashes the schema; what has no module here cannot be called checked. */
static int gather_facts(struct dbconn *c, struct snapshot_info *info, struct err *err)
{
	char *missing = NULL;
	int rc = dbcheck_schema_hash(c, info->schema_hash, err);

	if (rc == 0)
		rc = dbcheck_count_rows(c, &info->tables, &info->table_count, &missing, err);
	if (rc == 0 && missing != NULL && info->verdict == SNAPSHOT_CLEAN) {
		info->verdict = SNAPSHOT_UNCHECKED;
		info->check_text = missing;
		missing = NULL;
	}
	free(missing);
	return rc;
}

/*
 * quick_check says ok of an index over a function that is not here, since it does not compute it; what
 * VACUUM INTO could not compute was not checked either.
 */
static int doubt(struct snapshot *s, struct err *err)
{
	if (!s->lacking || s->info.verdict != SNAPSHOT_CLEAN)
		return 0;
	s->info.check_text = strdup(s->info.method_reason);
	if (s->info.check_text == NULL)
		return err_nomem(err);
	s->info.verdict = SNAPSHOT_UNCHECKED;
	return 0;
}

int snapshot_verify(struct snapshot *s, const struct snapshot_options *options, struct err *err)
{
	struct snapshot_info *info = &s->info;
	struct check_run run = {.s = s, .o = options};
	struct dbconn c = {.path = s->path, .tick = check_tick, .tick_arg = &run};
	int rc, sqlite_rc;

	forget_facts(info);
	info->check_kind =
	    options->integrity_full ? SNAPSHOT_CHECK_INTEGRITY : SNAPSHOT_CHECK_QUICK;
	sqlite_rc = dbconn_open_vfs(&c, pagevfs_name(s->vfs), SQLITE_OPEN_READONLY);
	rc = dbcheck_run(&c, sqlite_rc, info->check_kind, &info->verdict, &info->check_text, err);
	if (rc == 0 && sqlite_rc == SQLITE_OK)
		rc = gather_facts(&c, info, err);
	if (rc == 0)
		rc = doubt(s, err);
	dbconn_close(&c);
	if (pagevfs_error(s->vfs)->code != 0) {
		*err = *pagevfs_error(s->vfs);
		rc = err_prefix(err, "%s", s->path);
	}
	return rc;
}

const struct snapshot_info *snapshot_info(const struct snapshot *s)
{
	return &s->info;
}

int snapshot_read(struct snapshot *s, uint64_t offset, void *out_bytes, size_t len, struct err *err)
{
	return pageimage_read(s->image, offset, out_bytes, len, err);
}

void snapshot_free(struct snapshot *s)
{
	if (s == NULL)
		return;
	drop_image(s);
	forget_facts(&s->info);
	free(s->info.method_reason);
	free(s->path);
	free(s);
}
