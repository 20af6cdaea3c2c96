#include "repo/pagevfs.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JOURNAL_SUFFIX "-journal"
#define SIDE_BUDGET_BYTES (16u * PAGEIMAGE_BLOCK_BYTES)
#define VERSION_BYTES_AT 18 /* header: write version, read version; 2 = WAL, 1 = rollback journal */

struct pagevfs {
	sqlite3_vfs base;
	sqlite3_vfs *below; /* for time, sleep and randomness */
	char name[48];
	char *cache_dir;
	struct pageimage *image, *journal;
	uint64_t bytes_read;
	bool opened;
	struct err err;
};

struct page_file {
	sqlite3_file base;
	struct pagevfs *v;
	struct pageimage *bytes;
	bool main_db, as_rollback, own_bytes, drop_journal;
};

static struct pagevfs *vfs_of(sqlite3_vfs *base)
{
	return base->pAppData;
}

static int fail(struct pagevfs *v, const struct err *err, int io_code)
{
	v->err = *err;
	switch (err->code) {
	case ERR_FULL:
		return SQLITE_FULL;
	case ERR_NOMEM:
		return SQLITE_NOMEM;
	default:
		return io_code;
	}
}

static int file_close(sqlite3_file *base)
{
	struct page_file *f = (struct page_file *)base;

	if (f->own_bytes)
		pageimage_free(f->bytes);
	if (f->drop_journal) {
		pageimage_free(f->v->journal);
		f->v->journal = NULL;
	}
	return SQLITE_OK;
}

static void show_rollback_mode(uint8_t *out, sqlite3_int64 at, int n)
{
	int i;

	for (i = 0; i < n; i++)
		if ((at + i == VERSION_BYTES_AT || at + i == VERSION_BYTES_AT + 1) && out[i] == 2)
			out[i] = 1;
}

static int file_read(sqlite3_file *base, void *out, int n, sqlite3_int64 at)
{
	struct page_file *f = (struct page_file *)base;
	uint64_t size = pageimage_size(f->bytes);
	uint64_t have = (uint64_t)at < size ? size - (uint64_t)at : 0;
	size_t want = (size_t)n;
	struct err err = {0};

	if (have < want) {
		memset(out, 0, want);
		want = (size_t)have;
	}
	if (want > 0 && pageimage_read(f->bytes, (uint64_t)at, out, want, &err) != 0)
		return fail(f->v, &err, SQLITE_IOERR_READ);
	if (f->as_rollback)
		show_rollback_mode(out, at, (int)want);
	if (f->main_db)
		f->v->bytes_read += want;
	return want == (size_t)n ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static int file_write(sqlite3_file *base, const void *bytes, int n, sqlite3_int64 at)
{
	struct page_file *f = (struct page_file *)base;
	struct err err = {0};

	if (pageimage_write(f->bytes, (uint64_t)at, bytes, (size_t)n, &err) != 0)
		return fail(f->v, &err, SQLITE_IOERR_WRITE);
	return SQLITE_OK;
}

static int file_truncate(sqlite3_file *base, sqlite3_int64 size)
{
	struct page_file *f = (struct page_file *)base;
	struct err err = {0};

	if (pageimage_truncate(f->bytes, (uint64_t)size, &err) != 0)
		return fail(f->v, &err, SQLITE_IOERR_TRUNCATE);
	return SQLITE_OK;
}

static int file_sync(sqlite3_file *base, int flags)
{
	(void)base;
	(void)flags;
	return SQLITE_OK;
}

static int file_size(sqlite3_file *base, sqlite3_int64 *out_size)
{
	*out_size = (sqlite3_int64)pageimage_size(((struct page_file *)base)->bytes);
	return SQLITE_OK;
}

static int file_lock(sqlite3_file *base, int level)
{
	(void)base;
	(void)level;
	return SQLITE_OK;
}

static int file_reserved(sqlite3_file *base, int *out_reserved)
{
	(void)base;
	*out_reserved = 0;
	return SQLITE_OK;
}

static int file_control(sqlite3_file *base, int op, void *arg)
{
	(void)base;
	(void)op;
	(void)arg;
	return SQLITE_NOTFOUND;
}

static int file_sector(sqlite3_file *base)
{
	(void)base;
	return 512;
}

static int file_characteristics(sqlite3_file *base)
{
	(void)base;
	return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

/* Version 1: without shared memory methods SQLite cannot start a WAL here. */
static const sqlite3_io_methods file_methods = {
    .iVersion = 1,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_lock,
    .xCheckReservedLock = file_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector,
    .xDeviceCharacteristics = file_characteristics,
};

static bool is_journal(const char *name)
{
	return name != NULL && strcmp(name, PAGEVFS_DATABASE JOURNAL_SUFFIX) == 0;
}

/* A file nobody else opens: a statement journal or a temporary one. */
static int open_private(struct pagevfs *v, struct page_file *f)
{
	struct err err = {0};

	if (pageimage_new(v->cache_dir, SIDE_BUDGET_BYTES, &f->bytes, &err) != 0)
		return fail(v, &err, SQLITE_CANTOPEN);
	f->own_bytes = true;
	return SQLITE_OK;
}

static int vfs_open(sqlite3_vfs *base, const char *name, sqlite3_file *file, int flags,
		    int *out_flags)
{
	struct pagevfs *v = vfs_of(base);
	struct page_file *f = (struct page_file *)file;
	int rc = SQLITE_OK;

	memset(f, 0, sizeof(*f));
	f->v = v;
	if ((flags & SQLITE_OPEN_MAIN_DB) != 0 && name != NULL &&
	    strcmp(name, PAGEVFS_DATABASE) == 0) {
		f->main_db = true;
		f->bytes = v->image;
		f->as_rollback = (flags & SQLITE_OPEN_READONLY) != 0;
		v->opened = true;
	} else if ((flags & SQLITE_OPEN_MAIN_JOURNAL) != 0 && is_journal(name)) {
		f->bytes = pagevfs_journal(v);
		f->drop_journal = (flags & SQLITE_OPEN_DELETEONCLOSE) != 0;
		rc = f->bytes == NULL ? SQLITE_NOMEM : SQLITE_OK;
	} else if (name == NULL) {
		rc = open_private(v, f);
	} else {
		rc = SQLITE_CANTOPEN;
	}
	if (rc != SQLITE_OK)
		return rc;
	f->base.pMethods = &file_methods;
	if (out_flags != NULL)
		*out_flags = flags;
	return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *base, const char *name, int sync_dir)
{
	struct pagevfs *v = vfs_of(base);

	(void)sync_dir;
	if (!is_journal(name) || v->journal == NULL)
		return SQLITE_IOERR_DELETE_NOENT;
	pageimage_free(v->journal);
	v->journal = NULL;
	return SQLITE_OK;
}

static int vfs_access(sqlite3_vfs *base, const char *name, int flags, int *out_yes)
{
	struct pagevfs *v = vfs_of(base);

	(void)flags;
	*out_yes = is_journal(name) ? v->journal != NULL : strcmp(name, PAGEVFS_DATABASE) == 0;
	return SQLITE_OK;
}

static int vfs_full_pathname(sqlite3_vfs *base, const char *name, int out_len, char *out)
{
	(void)base;
	if (snprintf(out, (size_t)out_len, "%s", name) >= out_len)
		return SQLITE_CANTOPEN;
	return SQLITE_OK;
}

static int vfs_randomness(sqlite3_vfs *base, int n, char *out)
{
	sqlite3_vfs *below = vfs_of(base)->below;

	return below->xRandomness(below, n, out);
}

static int vfs_sleep(sqlite3_vfs *base, int us)
{
	sqlite3_vfs *below = vfs_of(base)->below;

	return below->xSleep(below, us);
}

static int vfs_time(sqlite3_vfs *base, double *out_days)
{
	sqlite3_vfs *below = vfs_of(base)->below;

	return below->xCurrentTime(below, out_days);
}

static int vfs_last_error(sqlite3_vfs *base, int n, char *out)
{
	(void)n;
	(void)out;
	return vfs_of(base)->err.sys_errno;
}

int pagevfs_new(struct pageimage *image, const char *cache_dir, struct pagevfs **out_vfs,
		struct err *err)
{
	struct pagevfs *v = calloc(1, sizeof(*v));
	int rc;

	if (v == NULL)
		return err_nomem(err);
	v->image = image;
	v->cache_dir = strdup(cache_dir);
	v->below = sqlite3_vfs_find(NULL);
	(void)snprintf(v->name, sizeof(v->name), "nightjar-%p", (void *)v);
	v->base = (sqlite3_vfs){
	    .iVersion = 1,
	    .szOsFile = (int)sizeof(struct page_file),
	    .mxPathname = 64,
	    .zName = v->name,
	    .pAppData = v,
	    .xOpen = vfs_open,
	    .xDelete = vfs_delete,
	    .xAccess = vfs_access,
	    .xFullPathname = vfs_full_pathname,
	    .xRandomness = vfs_randomness,
	    .xSleep = vfs_sleep,
	    .xCurrentTime = vfs_time,
	    .xGetLastError = vfs_last_error,
	};
	rc = v->cache_dir == NULL ? err_nomem(err) : 0;
	/* SQLite has a VFS to go on and takes another one, but where it has no memory to start. */
	if (rc == 0 && (v->below == NULL || sqlite3_vfs_register(&v->base, 0) != SQLITE_OK))
		rc = err_nomem(err);
	if (rc != 0) {
		free(v->cache_dir);
		free(v);
		return rc;
	}
	*out_vfs = v;
	return 0;
}

const char *pagevfs_name(const struct pagevfs *v)
{
	return v->name;
}

bool pagevfs_was_opened(const struct pagevfs *v)
{
	return v->opened;
}

uint64_t pagevfs_bytes_read(const struct pagevfs *v)
{
	return v->bytes_read;
}

struct pageimage *pagevfs_journal(struct pagevfs *v)
{
	struct err err = {0};

	if (v->journal == NULL)
		(void)!pageimage_new(v->cache_dir, SIDE_BUDGET_BYTES, &v->journal, &err);
	return v->journal;
}

const struct err *pagevfs_error(const struct pagevfs *v)
{
	return &v->err;
}

void pagevfs_free(struct pagevfs *v)
{
	if (v == NULL)
		return;
	(void)sqlite3_vfs_unregister(&v->base);
	pageimage_free(v->journal);
	free(v->cache_dir);
	free(v);
}
