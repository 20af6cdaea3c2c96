#include "repo/filescache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "core/seal.h"
#include "core/sha256.h"
#include "repo/bucketdb.h"
#include "repo/filescache_entry.h"
#include "repo/fsread.h"

#define SALT_BYTES 32
#define BUCKET_BYTES (64u << 10) /* a bucket is closed when it is this full */
#define MEMORY_BYTES                                                                               \
	((size_t)1 << 30) /* of buckets; what a larger cache holds beyond is read again */
#define NOBODY UINT32_MAX

/* As loaded, or (row 0) to be added. Entries lie one after the other in plain. */
struct bucket {
	int64_t row;
	struct buf plain;
	bool dirty; /* its row goes; what is kept of it moves to new buckets */
};

/* Where the entry of a path is. */
struct cell {
	uint32_t bucket; /* NOBODY = free */
	uint32_t at;
	bool kept; /* found or put in this run */
};

struct filescache {
	char *folder, *path;
	uint8_t repo[REPO_ID_BYTES];
	uint8_t path_key[FILESCACHE_KEY_BYTES];
	uint8_t *seal_key; /* 32 bytes, locked memory */
	struct bucket *buckets;
	size_t bucket_count, bucket_cap;
	struct cell *cells; /* open addressing */
	size_t cell_count, used;
	size_t bytes;
	uint32_t filling; /* the bucket that takes new entries, or NOBODY */
	bool anew;        /* the file is replaced */
	struct err note;
};

/* --- keys and places --- */

static int set_keys(struct filescache *c, const struct cache_owner *o, struct err *err)
{
	struct id root, key = {{0}};
	int r = cachekey_root(o, "files cache 1", &root, err);

	if (!r)
		r = cachekey_derive(&root, "seal", &key, err);
	if (!r) {
		memcpy(c->seal_key, key.b, 32);
		r = cachekey_derive(&root, "path", &key, err);
	}
	if (!r) {
		memcpy(c->path_key, key.b, FILESCACHE_KEY_BYTES);
		r = cachekey_folder(o, &c->folder, err);
	}
	if (!r)
		r = cachekey_file(c->folder, &root, "files-", ".db", &c->path, err);
	sodium_memzero(&root, sizeof(root));
	sodium_memzero(&key, sizeof(key));
	return r;
}

static void key_of(const struct filescache *c, const char *path,
		   uint8_t out_key[FILESCACHE_KEY_BYTES])
{
	(void)crypto_shorthash_siphashx24(out_key, (const uint8_t *)path, strlen(path),
					  c->path_key);
}

/* --- the table --- */

static const uint8_t *entry_at(const struct filescache *c, const struct cell *cell)
{
	return c->buckets[cell->bucket].plain.data + cell->at;
}

/* The cell of a key: where it is, or the free one where it would go. */
static struct cell *cell_of(const struct filescache *c, const uint8_t key[FILESCACHE_KEY_BYTES])
{
	size_t mask = c->cell_count - 1, at;
	uint64_t h;

	memcpy(&h, key, sizeof(h));
	for (at = (size_t)h & mask; c->cells[at].bucket != NOBODY; at = (at + 1) & mask) {
		if (memcmp(entry_at(c, &c->cells[at]), key, FILESCACHE_KEY_BYTES) == 0)
			break;
	}
	return &c->cells[at];
}

static int cells_grow(struct filescache *c, struct err *err)
{
	size_t old_count = c->cell_count, count = old_count ? old_count * 2 : 1024;
	struct cell *old = c->cells, *cells = malloc(count * sizeof(*cells));

	if (!cells)
		return err_nomem(err);
	for (size_t i = 0; i < count; i++)
		cells[i] = (struct cell){.bucket = NOBODY};
	c->cells = cells;
	c->cell_count = count;
	for (size_t i = 0; i < old_count; i++) {
		if (old[i].bucket != NOBODY)
			*cell_of(c, entry_at(c, &old[i])) = old[i];
	}
	free(old);
	return 0;
}

/* Points the cell of the entry's key to it; what it pointed to is forgotten. */
static int cell_set(struct filescache *c, uint32_t bucket, size_t at, bool kept, struct err *err)
{
	struct cell *cell;

	if (c->used * 2 >= c->cell_count) {
		int r = cells_grow(c, err);

		if (r)
			return r;
	}
	cell = cell_of(c, c->buckets[bucket].plain.data + at);
	if (cell->bucket == NOBODY)
		c->used++;
	else
		c->buckets[cell->bucket].dirty = true;
	*cell = (struct cell){bucket, (uint32_t)at, kept};
	return 0;
}

static int bucket_new(struct filescache *c, int64_t row, uint32_t *out, struct err *err)
{
	if (c->bucket_count == c->bucket_cap) {
		size_t cap = c->bucket_cap ? c->bucket_cap * 2 : 64;
		struct bucket *buckets = realloc(c->buckets, cap * sizeof(*buckets));

		if (!buckets)
			return err_nomem(err);
		c->buckets = buckets;
		c->bucket_cap = cap;
	}
	*out = (uint32_t)c->bucket_count++;
	c->buckets[*out] = (struct bucket){.row = row};
	return 0;
}

/* --- entries --- */

static bool look_fits(const struct filescache_look *look, const struct stat *st)
{
	int64_t mtime = fs_time_ns(&st->st_mtim), ctime_at = fs_time_ns(&st->st_ctim);

	return S_ISREG(st->st_mode) && look->inode == st->st_ino &&
	       look->size == (uint64_t)st->st_size && look->mtime_ns == mtime &&
	       look->ctime_ns == ctime_at && mtime <= look->looked_ns - FILESCACHE_RACY_NS &&
	       ctime_at <= look->looked_ns - FILESCACHE_RACY_NS;
}

/* --- sealing --- */

static int bucket_key(const struct filescache *c, const uint8_t *salt, struct id *out_key,
		      struct err *err)
{
	const struct hmac_part parts[] = {{"bucket", 6}, {salt, SALT_BYTES}};

	return hmac256_of(c->seal_key, parts, 2, out_key, err);
}

static int bucket_seal(const struct filescache *c, const struct bucket *b, struct buf *out,
		       struct err *err)
{
	uint8_t salt[SALT_BYTES];
	struct id key;
	int r;

	randombytes_buf(salt, sizeof(salt));
	r = bucket_key(c, salt, &key, err);
	buf_put(out, salt, sizeof(salt));
	if (!r)
		r = seal_put(key.b, 0, c->repo, REPO_ID_BYTES, b->plain.data, b->plain.len, out,
			     err);
	sodium_memzero(&key, sizeof(key));
	return r ? r : buf_check(out, err);
}

static int bucket_unseal(const struct filescache *c, struct bucket *b, const uint8_t *row,
			 size_t len, struct err *err)
{
	struct id key;
	int r;

	if (len < SALT_BYTES)
		return err_set(err, ERR_DAMAGED, "a bucket of the files cache is cut short");
	r = bucket_key(c, row, &key, err);
	if (!r)
		r = seal_get(key.b, 0, c->repo, REPO_ID_BYTES, row + SALT_BYTES, len - SALT_BYTES,
			     "a bucket of the files cache", &b->plain, err);
	sodium_memzero(&key, sizeof(key));
	return r;
}

/* --- loading --- */

static int load_entries(struct filescache *c, uint32_t bucket, struct err *err)
{
	struct bucket *b = &c->buckets[bucket];
	struct rd r = rd_of(b->plain.data, b->plain.len);
	int status = 0;

	while (!status && r.left) {
		size_t at = b->plain.len - r.left;

		if (!filescache_entry_bytes(&r)) {
			b->dirty = true;
			break;
		}
		status = cell_set(c, bucket, at, false, err);
	}
	return status;
}

static int load_row(void *arg, int64_t row, const void *bytes, size_t len, struct err *err)
{
	struct filescache *c = arg;
	struct err why = {0};
	uint32_t bucket;
	int r;

	r = bucket_new(c, row, &bucket, err);
	if (r)
		return r;
	if (c->bytes + len > MEMORY_BYTES) {
		c->buckets[bucket].dirty = true;
		return 0;
	}
	r = bucket_unseal(c, &c->buckets[bucket], bytes, len, &why);
	c->bytes += c->buckets[bucket].plain.len;
	if (!r)
		return load_entries(c, bucket, err);
	c->buckets[bucket].dirty = true;
	c->note = why;
	if (r != -ERR_NOMEM)
		return 0;
	*err = why;
	return r;
}

static int load(struct filescache *c, struct err *err)
{
	struct err why = {0};
	int r = bucketdb_load(c->path, load_row, c, &why);

	if (r == -ERR_NOMEM)
		return err_nomem(err);
	if (r == -ERR_DAMAGED)
		c->anew = true;
	if (r && r != -ERR_MISSING)
		c->note = why;
	return 0;
}

int filescache_open(const struct cache_owner *owner, bool reread, struct filescache **out_cache,
		    struct err *err)
{
	struct filescache *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return err_nomem(err);
	memcpy(c->repo, owner->repo, REPO_ID_BYTES);
	c->filling = NOBODY;
	c->anew = reread;
	c->seal_key = sodium_malloc(32);
	r = c->seal_key ? set_keys(c, owner, err) : err_nomem(err);
	if (!r)
		r = cells_grow(c, err);
	if (!r && !reread)
		r = load(c, err);
	if (r) {
		filescache_close(c);
		return r;
	}
	*out_cache = c;
	return 0;
}

void filescache_close(struct filescache *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->bucket_count; i++)
		buf_free(&c->buckets[i].plain);
	free(c->buckets);
	free(c->cells);
	sodium_free(c->seal_key);
	sodium_memzero(c->path_key, sizeof(c->path_key));
	free(c->folder);
	free(c->path);
	free(c);
}

/* --- asking and telling --- */

static struct cell *find(const struct filescache *c, const char *path, const struct stat *st)
{
	uint8_t key[FILESCACHE_KEY_BYTES];
	struct cell *cell;
	struct filescache_look look;

	key_of(c, path, key);
	cell = cell_of(c, key);
	if (cell->bucket == NOBODY)
		return NULL;
	look = filescache_entry_look(entry_at(c, cell));
	return look_fits(&look, st) ? cell : NULL;
}

bool filescache_knows(const struct filescache *c, const char *path, const struct stat *st)
{
	return c && find(c, path, st);
}

int filescache_get(struct filescache *c, const char *path, const struct stat *st,
		   struct filescache_file *out_file, struct err *err)
{
	struct cell *cell = c ? find(c, path, st) : NULL;
	const struct buf *plain;
	int r;

	if (!cell)
		return 0;
	plain = &c->buckets[cell->bucket].plain;
	*out_file = (struct filescache_file){0};
	r = filescache_entry_get(rd_of(plain->data + cell->at, plain->len - cell->at), out_file,
				 err);
	if (!r) {
		cell->kept = true;
		return 1;
	}
	filescache_file_wipe(out_file);
	return r == -ERR_NOMEM ? r : 0;
}

/* The bucket that takes the next entry. */
static int filling(struct filescache *c, struct err *err)
{
	if (c->filling != NOBODY && c->buckets[c->filling].plain.len < BUCKET_BYTES)
		return 0;
	return bucket_new(c, 0, &c->filling, err);
}

static int put(struct filescache *c, const uint8_t key[FILESCACHE_KEY_BYTES],
	       const struct filescache_look *look, const struct filescache_file *file,
	       struct err *err)
{
	struct buf *b;
	size_t at;
	int r;

	if (c->bytes > MEMORY_BYTES)
		return 0;
	r = filling(c, err);
	if (r)
		return r;
	b = &c->buckets[c->filling].plain;
	at = b->len;
	filescache_entry_put(b, key, look, file);
	c->bytes += b->len - at;
	r = buf_check(b, err);
	return r ? r : cell_set(c, c->filling, at, true, err);
}

int filescache_put(struct filescache *c, const char *path, const struct stat *st,
		   int64_t looked_at_ns, const struct filescache_file *file, struct err *err)
{
	const struct filescache_look look = {st->st_ino, (uint64_t)st->st_size,
					     fs_time_ns(&st->st_mtim), fs_time_ns(&st->st_ctim),
					     looked_at_ns};
	uint8_t key[FILESCACHE_KEY_BYTES];

	if (!c)
		return 0;
	key_of(c, path, key);
	return put(c, key, &look, file, err);
}

/* --- marks --- */

/* The zero byte at the end of the path is part of it here, so no file's key is made of the same bytes. */
static void mark_key_of(const struct filescache *c, const char *path,
			uint8_t out_key[FILESCACHE_KEY_BYTES])
{
	(void)crypto_shorthash_siphashx24(out_key, (const uint8_t *)path, strlen(path) + 1,
					  c->path_key);
}

/* An entry of a file that was never looked at, whose only chunk is the mark. */
bool filescache_get_mark(struct filescache *c, const char *path, struct id *out_mark)
{
	uint8_t key[FILESCACHE_KEY_BYTES];
	struct filescache_file file = {0};
	struct err ignored = {0};
	const struct buf *plain;
	struct cell *cell;
	bool found;

	if (!c)
		return false;
	mark_key_of(c, path, key);
	cell = cell_of(c, key);
	if (cell->bucket == NOBODY)
		return false;
	plain = &c->buckets[cell->bucket].plain;
	found = filescache_entry_get(rd_of(plain->data + cell->at, plain->len - cell->at), &file,
				     &ignored) == 0 &&
		file.content.child_count == 1;
	if (found) {
		*out_mark = file.content.children[0].id;
		cell->kept = true;
	}
	filescache_file_wipe(&file);
	return found;
}

int filescache_put_mark(struct filescache *c, const char *path, const struct id *mark,
			struct err *err)
{
	struct chunk_ref child = {.id = *mark};
	const struct filescache_file file = {.content = {.children = &child, .child_count = 1}};
	uint8_t key[FILESCACHE_KEY_BYTES];

	if (!c)
		return 0;
	mark_key_of(c, path, key);
	return put(c, key, &(struct filescache_look){0}, &file, err);
}

/* --- saving --- */

/* What was not met in this run makes its bucket dirty. */
static void forget_the_rest(struct filescache *c)
{
	for (size_t i = 0; i < c->cell_count; i++) {
		if (c->cells[i].bucket != NOBODY && !c->cells[i].kept)
			c->buckets[c->cells[i].bucket].dirty = true;
	}
}

/* Moves what is kept of dirty buckets to new ones; a replaced file needs them all. */
static int move_kept(struct filescache *c, struct err *err)
{
	size_t old_count = c->bucket_count;
	int r = 0;

	c->filling = NOBODY;
	for (size_t i = 0; !r && i < c->cell_count; i++) {
		struct cell *cell = &c->cells[i];
		const uint8_t *entry;
		struct rd rest;
		struct buf *b;
		size_t at, len;

		if (cell->bucket == NOBODY || !cell->kept || cell->bucket >= old_count ||
		    !c->buckets[cell->bucket].dirty)
			continue;
		r = filling(c, err);
		if (r)
			break;
		entry = entry_at(c, cell);
		rest = rd_of(entry, c->buckets[cell->bucket].plain.len - cell->at);
		len = filescache_entry_bytes(&rest);
		b = &c->buckets[c->filling].plain;
		at = b->len;
		buf_put(b, entry, len);
		r = buf_check(b, err);
		cell->bucket = c->filling;
		cell->at = (uint32_t)at;
	}
	return r;
}

static int write_changes(struct filescache *c, struct err *err)
{
	int64_t *remove = calloc(c->bucket_count + 1, sizeof(*remove));
	struct buf *add = calloc(c->bucket_count + 1, sizeof(*add));
	struct bucketdb_change change = {.anew = c->anew, .remove = remove, .add = add};
	int r = remove && add ? 0 : err_nomem(err);

	for (size_t i = 0; !r && i < c->bucket_count; i++) {
		const struct bucket *b = &c->buckets[i];

		if (b->row && b->dirty && !c->anew)
			remove[change.remove_count++] = b->row;
		if (!b->row && !b->dirty)
			r = bucket_seal(c, b, &add[change.add_count++], err);
	}
	if (!r && (change.anew || change.remove_count || change.add_count))
		r = bucketdb_save(c->path, &change, err);
	for (size_t i = 0; add && i < change.add_count; i++)
		buf_free(&add[i]);
	free(add);
	free(remove);
	return r;
}

int filescache_save(struct filescache *c, struct err *err)
{
	struct err why = {0};
	int r;

	if (!c)
		return 0;
	c->note = (struct err){0};
	forget_the_rest(c);
	r = move_kept(c, &why);
	if (!r && mkdir(c->folder, 0700) != 0 && errno != EEXIST)
		r = err_sys(&why, errno, "%s", c->folder);
	if (!r)
		r = write_changes(c, &why);
	if (!r)
		(void)utimensat(AT_FDCWD, c->path, NULL, AT_SYMLINK_NOFOLLOW);
	if (r == -ERR_NOMEM)
		return err_nomem(err);
	if (r)
		c->note = why;
	return 0;
}

const char *filescache_note(const struct filescache *c)
{
	return c ? c->note.text : "";
}

size_t filescache_count(const struct filescache *c)
{
	return c ? c->used : 0;
}
