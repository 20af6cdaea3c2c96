#include "tests/support/dbkit.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

void kit_new(struct kit *k)
{
	const char *tmp = getenv("TMPDIR");

	(void)snprintf(k->dir, sizeof(k->dir), "%.200s/nightjar-test-XXXXXX",
		       tmp != NULL && tmp[0] == '/' ? tmp : "/tmp");
	assert_non_null(mkdtemp(k->dir));
	(void)snprintf(k->db, sizeof(k->db), "%s/app.db", k->dir);
	(void)snprintf(k->cache, sizeof(k->cache), "%s/cache", k->dir);
	assert_int_equal(mkdir(k->cache, 0700), 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void kit_free(struct kit *k)
{
	(void)nftw(k->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int kit_setup(void **state)
{
	struct kit *k = calloc(1, sizeof(*k));

	assert_non_null(k);
	kit_new(k);
	*state = k;
	return 0;
}

int kit_teardown(void **state)
{
	kit_free(*state);
	free(*state);
	return 0;
}

const char *kit_path(const struct kit *k, const char *name, char out[400])
{
	(void)snprintf(out, 400, "%s/%s", k->dir, name);
	return out;
}

sqlite3 *kit_open(const char *path)
{
	sqlite3 *db = NULL;

	assert_int_equal(
	    sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL),
	    SQLITE_OK);
	(void)sqlite3_busy_timeout(db, 5000);
	return db;
}

void kit_exec(sqlite3 *db, const char *sql)
{
	char *message = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
		fail_msg("%s: %s", sql, message);
}

void kit_make(const char *path, const char *sql)
{
	sqlite3 *db = kit_open(path);

	kit_exec(db, sql);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

int64_t kit_int(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *st = NULL;
	int64_t n;

	if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	n = sqlite3_column_int64(st, 0);
	(void)sqlite3_finalize(st);
	return n;
}

uint8_t *kit_slurp(const char *path, size_t *out_len)
{
	FILE *f = fopen(path, "rb");
	long size;
	uint8_t *bytes;

	*out_len = 0;
	if (f == NULL)
		return NULL;
	assert_int_equal(fseek(f, 0, SEEK_END), 0);
	size = ftell(f);
	rewind(f);
	bytes = malloc((size_t)size + 1);
	assert_non_null(bytes);
	assert_int_equal(fread(bytes, 1, (size_t)size, f), (size_t)size);
	(void)fclose(f);
	*out_len = (size_t)size;
	return bytes;
}

void kit_spew(const char *path, const void *bytes, size_t len)
{
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

bool kit_exists(const char *path)
{
	return access(path, F_OK) == 0;
}

void kit_in_dead_process(void (*fn)(const char *path), const char *path)
{
	pid_t pid = fork();
	int status = 0;

	assert_true(pid >= 0);
	if (pid == 0) {
		fn(path);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

struct snapshot *kit_snapshot(const struct kit *k, const struct snapshot_options *more)
{
	struct snapshot_options o = more != NULL ? *more : (struct snapshot_options){0};
	struct snapshot *s = NULL;
	struct err err = {0};

	o.cache_dir = k->cache;
	if (snapshot_take(k->db, &o, &s, &err) != 0)
		fail_msg("snapshot_take: %s", err.text);
	if (snapshot_verify(s, &o, &err) != 0)
		fail_msg("snapshot_verify: %s", err.text);
	return s;
}

void kit_write_image(struct snapshot *s, const char *path)
{
	uint64_t size = snapshot_info(s)->image_bytes;
	uint8_t *all = malloc((size_t)size + 1);
	struct err err = {0};

	assert_non_null(all);
	assert_int_equal(snapshot_read(s, 0, all, (size_t)size, &err), 0);
	kit_spew(path, all, (size_t)size);
	free(all);
}

struct kit_bytes kit_remember(const struct kit *k, const char *name)
{
	char path[400];
	struct kit_bytes b;

	b.p = kit_slurp(kit_path(k, name, path), &b.len);
	return b;
}

void kit_unchanged(const struct kit *k, const char *name, struct kit_bytes before)
{
	struct kit_bytes now = kit_remember(k, name);

	assert_int_equal(now.p == NULL, before.p == NULL);
	assert_int_equal(now.len, before.len);
	if (now.p != NULL)
		assert_memory_equal(now.p, before.p, now.len);
	free(now.p);
	free(before.p);
}

int64_t kit_image_int(const struct kit *k, struct snapshot *s, const char *sql)
{
	char copy[400];
	sqlite3 *db;
	int64_t n;

	kit_write_image(s, kit_path(k, "image.db", copy));
	db = kit_open(copy);
	n = kit_int(db, sql);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	assert_int_equal(unlink(copy), 0);
	return n;
}
