/* The files cache by itself: what it believes, what it forgets, and that nothing in its place can hurt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <sodium.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "repo/filescache.h"
#include "tests/support/dbkit.h"
#include "tests/support/must.h"
#include "tests/support/sandbox.h"

#define S INT64_C(1000000000)
#define LOOKED (INT64_C(1700000000) * S)

static const uint8_t repo_id[REPO_ID_BYTES] = "0123456789abcde";
static const uint8_t secret[32] = "thirty-two bytes of a secret key";
static const char *const sources[] = {"/srv/app"};

struct box {
	struct kit kit;
	struct filescache_owner owner;
	struct err err;
};

static int setup(void **state)
{
	struct box *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	kit_new(&b->kit);
	b->owner = (struct filescache_owner){b->kit.cache, repo_id, secret, "db1", sources, 1};
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct box *b = *state;

	kit_free(&b->kit);
	free(b);
	return 0;
}

static struct filescache *open_cache(struct box *b)
{
	struct filescache *c = NULL;

	MUST(filescache_open(&b->owner, false, &c, &b->err), &b->err);
	return c;
}

static void save(struct box *b, struct filescache *c)
{
	MUST(filescache_save(c, &b->err), &b->err);
	filescache_close(c);
}

/* A file that was quiet for a minute when it was looked at. */
static struct stat quiet(uint64_t inode)
{
	struct stat st = {.st_mode = S_IFREG | 0644, .st_ino = inode, .st_size = 4000};

	st.st_mtim = (struct timespec){LOOKED / S - 60, 123456789};
	st.st_ctim = (struct timespec){LOOKED / S - 59, 987654321};
	return st;
}

static void put(struct box *b, struct filescache *c, const char *path, uint64_t inode, uint8_t tag)
{
	struct chunk_ref ref = {.kind = CHUNK_DATA};
	struct filescache_file f = {.size = 4000,
				    .content = {.children = &ref, .child_count = 1, .bytes = 4000}};
	struct stat st = quiet(inode);

	memset(ref.id.b, tag, ID_BYTES);
	MUST(filescache_put(c, path, &st, LOOKED, &f, &b->err), &b->err);
}

/* The tag of what is found, or -1. */
static int found(struct box *b, struct filescache *c, const char *path, const struct stat *st)
{
	struct filescache_file f = {0};
	int r = filescache_get(c, path, st, &f, &b->err), tag = -1;

	assert_in_range(r, 0, 1);
	assert_int_equal(filescache_knows(c, path, st), r);
	if (r) {
		assert_int_equal(f.content.child_count, 1);
		assert_int_equal(f.content.bytes, 4000);
		tag = f.content.children[0].id.b[31];
	}
	filescache_file_wipe(&f);
	return tag;
}

/* The one file of the cache; freed by the caller. */
static char *only_file(const struct box *b)
{
	char *folder, *path = NULL;
	struct dirent *e;
	DIR *dir;

	assert_true(asprintf(&folder, "%s/30313233343536373839616263646500", b->kit.cache) > 0);
	dir = opendir(folder);
	assert_non_null(dir);
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		assert_null(path);
		assert_true(asprintf(&path, "%s/%s", folder, e->d_name) > 0);
	}
	(void)closedir(dir);
	free(folder);
	assert_non_null(path);
	return path;
}

/* --- what it believes --- */

static void remembers(void **state)
{
	struct box *b = *state;
	struct filescache *c = open_cache(b);
	struct stat st = quiet(7), file, folder;
	char *path;

	assert_int_equal(found(b, c, "/srv/app/a", &st), -1);
	put(b, c, "/srv/app/a", 7, 42);
	assert_int_equal(found(b, c, "/srv/app/a", &st), 42);
	save(b, c);
	c = open_cache(b);
	assert_string_equal(filescache_note(c), "");
	assert_int_equal(found(b, c, "/srv/app/a", &st), 42);
	assert_int_equal(found(b, c, "/srv/app/b", &st), -1);
	filescache_close(c);
	path = only_file(b);
	assert_int_equal(stat(path, &file), 0);
	assert_int_equal(file.st_mode & 07777, 0600);
	*strrchr(path, '/') = '\0';
	assert_int_equal(stat(path, &folder), 0);
	assert_int_equal(folder.st_mode & 07777, 0700);
	free(path);
}

static void believes_only_the_same_state(void **state)
{
	struct box *b = *state;
	struct filescache *c = open_cache(b);
	const struct stat st = quiet(7);
	struct stat other;

	put(b, c, "/f", 7, 1);
	other = st;
	other.st_ino = 8;
	assert_int_equal(found(b, c, "/f", &other), -1);
	other = st;
	other.st_size++;
	assert_int_equal(found(b, c, "/f", &other), -1);
	other = st;
	other.st_mtim.tv_nsec--;
	assert_int_equal(found(b, c, "/f", &other), -1);
	other = st;
	other.st_ctim.tv_nsec++;
	assert_int_equal(found(b, c, "/f", &other), -1);
	other = st;
	other.st_mode = S_IFDIR | 0755;
	assert_int_equal(found(b, c, "/f", &other), -1);
	assert_int_equal(found(b, c, "/f", &st), 1);
	filescache_close(c);
}

static void put_at(struct box *b, struct filescache *c, const char *path, struct stat *st,
		   int64_t mtime_ns, int64_t ctime_ns)
{
	struct chunk_ref ref = {.kind = CHUNK_DATA};
	struct filescache_file f = {.size = 4000,
				    .content = {.children = &ref, .child_count = 1, .bytes = 4000}};

	*st = quiet(7);
	st->st_mtim = (struct timespec){mtime_ns / S, mtime_ns % S};
	st->st_ctim = (struct timespec){ctime_ns / S, ctime_ns % S};
	MUST(filescache_put(c, path, st, LOOKED, &f, &b->err), &b->err);
}

static void distrusts_what_was_just_written(void **state)
{
	struct box *b = *state;
	struct filescache *c = open_cache(b);
	struct stat st;

	put_at(b, c, "/edge", &st, LOOKED - 2 * S, LOOKED - 2 * S);
	assert_int_equal(found(b, c, "/edge", &st), 0);
	put_at(b, c, "/mtime", &st, LOOKED - 2 * S + 1, LOOKED - 60 * S);
	assert_int_equal(found(b, c, "/mtime", &st), -1);
	put_at(b, c, "/ctime", &st, LOOKED - 60 * S, LOOKED - 2 * S + 1);
	assert_int_equal(found(b, c, "/ctime", &st), -1);
	put_at(b, c, "/future", &st, LOOKED + 3600 * S, LOOKED - 60 * S);
	assert_int_equal(found(b, c, "/future", &st), -1);
	filescache_close(c);
}

static void keeps_shapes_and_extents(void **state)
{
	struct box *b = *state;
	struct filescache *c = open_cache(b);
	struct chunk_ref refs[2] = {{.kind = CHUNK_LIST}, {.kind = CHUNK_LIST}};
	struct entry_extent extents[3] = {{0, 10}, {100, 1}, {UINT64_C(1) << 40, 4096}};
	struct filescache_file f = {.size = UINT64_C(1) << 41,
				    .content = {SHAPE_LIST, refs, 2, 4107},
				    .extents = extents,
				    .extent_count = 3,
				    .has_xattrs = true};
	struct filescache_file got = {0};
	struct stat st = quiet(9);

	memset(refs[1].id.b, 0xee, ID_BYTES);
	MUST(filescache_put(c, "/sparse", &st, LOOKED, &f, &b->err), &b->err);
	save(b, c);
	c = open_cache(b);
	assert_int_equal(filescache_get(c, "/sparse", &st, &got, &b->err), 1);
	assert_int_equal(got.size, f.size);
	assert_int_equal(got.content.shape, SHAPE_LIST);
	assert_int_equal(got.content.bytes, 4107);
	assert_int_equal(got.content.child_count, 2);
	assert_int_equal(got.content.children[1].kind, CHUNK_LIST);
	assert_memory_equal(got.content.children[1].id.b, refs[1].id.b, ID_BYTES);
	assert_int_equal(got.extent_count, 3);
	assert_memory_equal(got.extents, extents, sizeof(extents));
	assert_true(got.has_xattrs);
	filescache_file_wipe(&got);
	filescache_close(c);
}

static void no_cache_knows_nothing(void **state)
{
	struct box *b = *state;
	struct filescache_file f = {0};
	struct stat st = quiet(1);

	assert_false(filescache_knows(NULL, "/f", &st));
	assert_int_equal(filescache_get(NULL, "/f", &st, &f, &b->err), 0);
	MUST(filescache_put(NULL, "/f", &st, LOOKED, &f, &b->err), &b->err);
	MUST(filescache_save(NULL, &b->err), &b->err);
	assert_string_equal(filescache_note(NULL), "");
	filescache_close(NULL);
}

/* --- what it forgets and writes --- */

#define MANY 3000

static void put_many(struct box *b, struct filescache *c)
{
	char path[32];

	for (unsigned i = 0; i < MANY; i++) {
		(void)snprintf(path, sizeof(path), "/many/%u", i);
		put(b, c, path, i + 1, 5);
	}
}

static void get_many(struct box *b, struct filescache *c, unsigned first, unsigned end, int want)
{
	char path[32];

	for (unsigned i = first; i < end; i++) {
		struct stat st = quiet(i + 1);

		(void)snprintf(path, sizeof(path), "/many/%u", i);
		assert_int_equal(found(b, c, path, &st), want);
	}
}

static void forgets_what_is_not_met(void **state)
{
	struct box *b = *state;
	struct filescache *c = open_cache(b);

	put_many(b, c);
	save(b, c);
	c = open_cache(b);
	assert_int_equal(filescache_count(c), MANY);
	get_many(b, c, 10, MANY - 10, 5);
	save(b, c);
	c = open_cache(b);
	assert_int_equal(filescache_count(c), MANY - 20);
	get_many(b, c, 0, 10, -1);
	get_many(b, c, 10, MANY - 10, 5);
	get_many(b, c, MANY - 10, MANY, -1);
	filescache_close(c);
}

/* The row numbers, as text. */
static char *rows_of(const char *path)
{
	sqlite3_stmt *stmt = NULL;
	sqlite3 *db = kit_open(path);
	char *text;

	assert_int_equal(
	    sqlite3_prepare_v2(db, "SELECT group_concat(n), count(*) FROM bucket", -1, &stmt, NULL),
	    SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	assert_in_range(sqlite3_column_int(stmt, 1), 4, 8);
	text = strdup((const char *)sqlite3_column_text(stmt, 0));
	(void)sqlite3_finalize(stmt);
	(void)sqlite3_close(db);
	return text;
}

static void writes_only_what_changed(void **state)
{
	struct box *b = *state;
	struct filescache *c = open_cache(b);
	char *path, *before, *after;
	struct timespec old[2] = {{1000, 0}, {1000, 0}};
	uint8_t *bytes, *same;
	struct stat st;
	size_t len, len2;

	put_many(b, c);
	save(b, c);
	path = only_file(b);
	bytes = kit_slurp(path, &len);
	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);

	c = open_cache(b);
	get_many(b, c, 0, MANY, 5);
	save(b, c);
	same = kit_slurp(path, &len2);
	assert_int_equal(len, len2);
	assert_memory_equal(bytes, same, len);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_mtim.tv_sec > 1000); /* used today, all the same */

	before = rows_of(path);
	c = open_cache(b);
	get_many(b, c, 0, MANY - 1, 5);
	put(b, c, "/many/2999", 77, 6);
	save(b, c);
	after = rows_of(path);
	/* the last bucket has gone, those before are as they were */
	*strrchr(before, ',') = '\0';
	assert_memory_equal(before, after, strlen(before));
	c = open_cache(b);
	get_many(b, c, 0, MANY - 1, 5);
	st = quiet(77);
	assert_int_equal(found(b, c, "/many/2999", &st), 6);
	filescache_close(c);
	free(before);
	free(after);
	free(bytes);
	free(same);
	free(path);
}

static void rereading_begins_empty(void **state)
{
	struct box *b = *state;
	struct filescache *c = open_cache(b);
	struct stat st = quiet(1);

	put(b, c, "/a", 1, 1);
	put(b, c, "/b", 1, 1);
	save(b, c);
	MUST(filescache_open(&b->owner, true, &c, &b->err), &b->err);
	assert_int_equal(found(b, c, "/a", &st), -1);
	put(b, c, "/a", 1, 2);
	save(b, c);
	c = open_cache(b);
	assert_int_equal(found(b, c, "/a", &st), 2);
	assert_int_equal(found(b, c, "/b", &st), -1);
	filescache_close(c);
}

/* --- whose it is --- */

static void belongs_to_one(void **state)
{
	struct box *b = *state;
	const char *const more[] = {"/srv/app", "/etc"};
	static const uint8_t other_repo[REPO_ID_BYTES] = "another repo id";
	static const uint8_t other_secret[32] = "32 bytes of another secret keys!";
	const struct filescache_owner mine = b->owner;
	struct filescache *c = open_cache(b);
	struct stat st = quiet(1);

	put(b, c, "/a", 1, 1);
	save(b, c);
	for (int i = 0; i < 4; i++) {
		b->owner = mine;
		if (i == 0)
			b->owner.repo = other_repo;
		if (i == 1)
			b->owner.secret = other_secret;
		if (i == 2)
			b->owner.host = "db2";
		if (i == 3) {
			b->owner.sources = more;
			b->owner.source_count = 2;
		}
		c = open_cache(b);
		assert_int_equal(found(b, c, "/a", &st), -1);
		put(b, c, "/other", 1, 9);
		save(b, c);
	}
	b->owner = mine;
	c = open_cache(b);
	assert_int_equal(found(b, c, "/a", &st), 1);
	assert_int_equal(found(b, c, "/other", &st), -1);
	filescache_close(c);
}

static void anothers_file_is_no_use(void **state)
{
	struct box *b = *state;
	static const uint8_t other_secret[32] = "32 bytes of another secret keys!";
	struct filescache *c = open_cache(b);
	struct stat st = quiet(1);
	char *mine, *theirs;

	put(b, c, "/a", 1, 1);
	save(b, c);
	mine = only_file(b);
	assert_true(asprintf(&theirs, "%s.theirs", mine) > 0);
	assert_int_equal(unlink(mine), 0);
	b->owner.secret = other_secret;
	c = open_cache(b);
	put(b, c, "/a", 1, 2);
	save(b, c);
	free(theirs);
	theirs = only_file(b);
	assert_int_equal(rename(theirs, mine), 0);

	b->owner.secret = secret;
	c = open_cache(b);
	assert_int_equal(found(b, c, "/a", &st), -1);
	assert_string_not_equal(filescache_note(c), "");
	put(b, c, "/a", 1, 3);
	save(b, c);
	c = open_cache(b);
	assert_string_equal(filescache_note(c), "");
	assert_int_equal(found(b, c, "/a", &st), 3);
	filescache_close(c);
	free(mine);
	free(theirs);
}

static bool holds(const uint8_t *bytes, size_t len, const void *what, size_t what_len)
{
	return memmem(bytes, len, what, what_len) != NULL;
}

static void shows_nothing(void **state)
{
	struct box *b = *state;
	struct filescache *c = open_cache(b);
	char *path;
	uint8_t *bytes, id[16];
	struct stat st = quiet(0x1122334455667788);
	int64_t mtime = (int64_t)st.st_mtim.tv_sec * S + st.st_mtim.tv_nsec;
	size_t len;

	put(b, c, "/srv/app/attachment.pdf", st.st_ino, 0xab);
	save(b, c);
	path = only_file(b);
	bytes = kit_slurp(path, &len);
	memset(id, 0xab, sizeof(id));
	assert_false(holds(bytes, len, "attachment", 10));
	assert_false(holds(bytes, len, "/srv", 4));
	assert_false(holds(bytes, len, "db1", 3));
	assert_false(holds(bytes, len, id, sizeof(id)));
	assert_false(holds(bytes, len, &st.st_ino, 8));
	assert_false(holds(bytes, len, &mtime, 8));
	assert_true(holds(bytes, len, "SQLite format 3", 15));
	free(bytes);
	free(path);
}

/* --- damage --- */

/* Whatever lies there: no error, no wrong answer, and the next save makes it good. */
static void survives(struct box *b, const char *path, const void *bytes, size_t len)
{
	struct stat st = quiet(1), changed = quiet(2);
	struct filescache *c;
	int tag;

	kit_spew(path, bytes, len);
	c = open_cache(b);
	tag = found(b, c, "/a", &st);
	assert_true(tag == -1 || tag == 1);
	assert_int_equal(found(b, c, "/a", &changed), -1);
	put(b, c, "/a", 1, 1);
	put(b, c, "/b", 1, 2);
	save(b, c);
	c = open_cache(b);
	if (found(b, c, "/b", &st) != 2) { /* damage that only the save met: gone now */
		put(b, c, "/b", 1, 2);
		save(b, c);
		c = open_cache(b);
	}
	assert_int_equal(found(b, c, "/b", &st), 2);
	filescache_close(c);
}

static void survives_damage(void **state)
{
	struct box *b = *state;
	struct filescache *c = open_cache(b);
	uint8_t *good, *bad;
	char *path;
	size_t len;

	put(b, c, "/a", 1, 1);
	put_many(b, c);
	save(b, c);
	path = only_file(b);
	good = kit_slurp(path, &len);
	bad = malloc(len);
	assert_non_null(bad);
	survives(b, path, good, 0);
	survives(b, path, "not a database, and shorter than a page", 39);
	for (size_t cut = 1; cut < len; cut = cut * 3 + 50)
		survives(b, path, good, cut);
	memset(bad, 0, len);
	survives(b, path, bad, len);
	for (size_t at = 0; at < len; at += at < 200 ? 7 : len / 60) {
		memcpy(bad, good, len);
		bad[at] ^= 0x55;
		survives(b, path, bad, len);
	}
	for (size_t at = 0; at < len; at += len / 10) { /* a torn page */
		memcpy(bad, good, len);
		memset(bad + at, 0, len - at < 16384 ? len - at : 16384);
		survives(b, path, bad, len);
	}
	free(good);
	free(bad);
	free(path);
}

static void survives_a_foreign_schema(void **state)
{
	struct box *b = *state;
	static const char *const schemas[] = {
	    "CREATE TABLE notes (text)",
	    "CREATE TABLE bucket (n INTEGER PRIMARY KEY, sealed TEXT);"
	    "INSERT INTO bucket VALUES (1, 'text')",
	    "CREATE TABLE bucket (a, b)",
	    "CREATE VIEW bucket AS SELECT 1 AS n, x'00' AS sealed",
	    "CREATE TABLE bucket (n INTEGER PRIMARY KEY, sealed BLOB);"
	    "INSERT INTO bucket VALUES (0, x''), (-1, zeroblob(31)), (5, zeroblob(5000000))",
	};
	struct filescache *c = open_cache(b);
	char *path, *made;
	uint8_t *bytes;
	size_t len;

	put(b, c, "/a", 1, 1);
	save(b, c);
	path = only_file(b);
	assert_true(asprintf(&made, "%s/made.db", b->kit.dir) > 0);
	for (size_t i = 0; i < sizeof(schemas) / sizeof(schemas[0]); i++) {
		kit_make(made, schemas[i]);
		bytes = kit_slurp(made, &len);
		survives(b, path, bytes, len);
		free(bytes);
		assert_int_equal(unlink(made), 0);
	}
	free(made);
	free(path);
}

static int in_place_folder(const char *path)
{
	return mkdir(path, 0700);
}

static int in_place_fifo(const char *path)
{
	return mkfifo(path, 0600);
}

static int in_place_link(const char *path)
{
	return symlink("../../precious", path);
}

static void survives_what_is_no_file(void **state)
{
	struct box *b = *state;
	int (*const place[])(const char *) = {in_place_folder, in_place_fifo, in_place_link};
	struct stat st = quiet(1);
	char *path, *precious;
	struct filescache *c = open_cache(b);
	uint8_t *bytes;
	size_t len;

	put(b, c, "/a", 1, 1);
	save(b, c);
	path = only_file(b);
	assert_true(asprintf(&precious, "%s/precious", b->kit.dir) > 0);
	kit_spew(precious, "precious", 8);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(remove(path), 0);
		assert_int_equal(place[i](path), 0);
		c = open_cache(b);
		assert_string_not_equal(filescache_note(c), "");
		assert_int_equal(found(b, c, "/a", &st), -1);
		put(b, c, "/a", 1, 1);
		MUST(filescache_save(c, &b->err), &b->err);
		assert_string_not_equal(filescache_note(c), "");
		filescache_close(c);
	}
	bytes = kit_slurp(precious, &len);
	assert_int_equal(len, 8);
	assert_memory_equal(bytes, "precious", 8);
	free(bytes);
	free(precious);
	free(path);
}

static void survives_no_folder(void **state)
{
	struct box *b = *state;
	struct filescache *c;
	char *folder;

	assert_true(asprintf(&folder, "%s/30313233343536373839616263646500", b->kit.cache) > 0);
	kit_spew(folder, "in the way", 10);
	c = open_cache(b);
	put(b, c, "/a", 1, 1);
	MUST(filescache_save(c, &b->err), &b->err);
	assert_string_not_equal(filescache_note(c), "");
	filescache_close(c);
	free(folder);
	b->owner.cache_dir = "/nonexistent/cache";
	c = open_cache(b);
	MUST(filescache_save(c, &b->err), &b->err);
	assert_string_not_equal(filescache_note(c), "");
	filescache_close(c);
}

static int use_read_only(void *arg)
{
	struct box *b = arg;
	struct filescache *c = NULL;
	struct filescache_file f = {0};
	struct stat st = quiet(1);

	SANDBOX_CHECK(chmod(b->kit.cache, 0500) == 0);
	SANDBOX_CHECK(filescache_open(&b->owner, false, &c, &b->err) == 0);
	SANDBOX_CHECK(filescache_put(c, "/a", &st, LOOKED, &f, &b->err) == 0);
	SANDBOX_CHECK(filescache_save(c, &b->err) == 0);
	SANDBOX_CHECK(*filescache_note(c));
	filescache_close(c);
	SANDBOX_CHECK(chmod(b->kit.cache, 0700) == 0);
	return 0;
}

static void survives_a_read_only_folder(void **state)
{
	struct box *b = *state;

	assert_int_equal(chmod(b->kit.dir, 0755), 0);
	if (geteuid() == 0)
		assert_int_equal(chown(b->kit.cache, 65534, 65534), 0);
	assert_int_equal(sandbox_as_nobody(use_read_only, b), 0);
}

/* --- two at once --- */

static void the_last_one_wins(void **state)
{
	struct box *b = *state;
	struct filescache *one = open_cache(b), *two;
	struct stat st = quiet(1);

	put(b, one, "/a", 1, 1);
	save(b, one);
	one = open_cache(b);
	two = open_cache(b);
	put(b, one, "/a", 1, 2);
	put(b, two, "/a", 1, 3);
	save(b, one);
	save(b, two);
	one = open_cache(b);
	assert_int_equal(found(b, one, "/a", &st), 3);
	assert_int_equal(filescache_count(one), 1);
	filescache_close(one);
}

static void a_locked_file_is_left(void **state)
{
	struct box *b = *state;
	struct filescache *c = open_cache(b);
	struct stat st = quiet(1);
	sqlite3 *other;
	char *path;

	put(b, c, "/a", 1, 1);
	save(b, c);
	path = only_file(b);
	other = kit_open(path);
	kit_exec(other, "BEGIN EXCLUSIVE");
	c = open_cache(b);
	assert_non_null(strstr(filescache_note(c), "another process"));
	put(b, c, "/a", 1, 2);
	MUST(filescache_save(c, &b->err), &b->err);
	assert_non_null(strstr(filescache_note(c), "another process"));
	filescache_close(c);
	kit_exec(other, "ROLLBACK");
	(void)sqlite3_close(other);
	c = open_cache(b);
	assert_int_equal(found(b, c, "/a", &st), 1);
	filescache_close(c);
	free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(remembers, setup, teardown),
	    cmocka_unit_test_setup_teardown(believes_only_the_same_state, setup, teardown),
	    cmocka_unit_test_setup_teardown(distrusts_what_was_just_written, setup, teardown),
	    cmocka_unit_test_setup_teardown(keeps_shapes_and_extents, setup, teardown),
	    cmocka_unit_test_setup_teardown(no_cache_knows_nothing, setup, teardown),
	    cmocka_unit_test_setup_teardown(forgets_what_is_not_met, setup, teardown),
	    cmocka_unit_test_setup_teardown(writes_only_what_changed, setup, teardown),
	    cmocka_unit_test_setup_teardown(rereading_begins_empty, setup, teardown),
	    cmocka_unit_test_setup_teardown(belongs_to_one, setup, teardown),
	    cmocka_unit_test_setup_teardown(anothers_file_is_no_use, setup, teardown),
	    cmocka_unit_test_setup_teardown(shows_nothing, setup, teardown),
	    cmocka_unit_test_setup_teardown(survives_damage, setup, teardown),
	    cmocka_unit_test_setup_teardown(survives_a_foreign_schema, setup, teardown),
	    cmocka_unit_test_setup_teardown(survives_what_is_no_file, setup, teardown),
	    cmocka_unit_test_setup_teardown(survives_no_folder, setup, teardown),
	    cmocka_unit_test_setup_teardown(survives_a_read_only_folder, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_last_one_wins, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_locked_file_is_left, setup, teardown),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
