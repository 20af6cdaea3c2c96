#include "repo/filescache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "core/sha256.h"
#include "repo/bigalloc.h"
#include "repo/bucketdb.h"
#include "repo/filescache_entry.h"
#include "repo/filescache_table.h"
#include "repo/filescache_seal.h"
#include "repo/fsread.h"

#define BUCKET_BYTES (64u << 10) /* a bucket is closed when it is this full */
#define MEMORY_BYTES                                                                               \
	((size_t)1 << 30) /* of buckets; what a larger cache holds beyond is read again */
#define NOBODY UINT32_MAX

/*
 * As loaded, or (row 0) to be added. Entries lie one after the other in plain; those that were found or put in this run are marked as
 * kept there. One that another took the place of has a key of zeros.
 */
struct bucket {
	int64_t row;
	struct buf plain;
	size_t end; /* of the entries; damage may follow */
	bool dirty; /* its row goes; what is kept of it moves to new buckets */
};

/*
 * Where the entry of a path is. 32 bits of the path's hash stand here, too, so that other entries are not looked at on the way
 * and the table grows without them: each would be a miss of the processor's caches.
 */
struct cell {
	uint32_t bucket; /* NOBODY = free */
	uint32_t at;
	uint32_t tag;
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
	/* Behind the entry that was found last: paths are mostly asked for in the order in which the backup before did, too. */
	uint32_t next_bucket;
	size_t next_at;
	bool anew; /* the file is replaced */
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

void filescache_key(const struct filescache *c, const char *bytes, size_t len,
		    uint8_t out_key[FILESCACHE_KEY_BYTES])
{
	(void)crypto_shorthash_siphashx24(out_key, (const uint8_t *)bytes, len, c->path_key);
}

/* --- the table --- */

static uint8_t *entry_at(const struct filescache *c, const struct cell *cell)
{
	return c->buckets[cell->bucket].plain.data + cell->at;
}

static struct rd rest_at(const struct bucket *b, size_t at)
{
	return rd_of(b->plain.data + at, b->end - at);
}

static uint32_t tag_of(const uint8_t key[FILESCACHE_KEY_BYTES])
{
	uint32_t tag;

	memcpy(&tag, key, sizeof(tag));
	return tag;
}

/* The cell of a key: where it is, or the free one where it would go. */
static struct cell *cell_of(const struct filescache *c, const uint8_t key[FILESCACHE_KEY_BYTES])
{
	size_t mask = c->cell_count - 1, at;
	uint32_t tag = tag_of(key);

	for (at = tag & mask; c->cells[at].bucket != NOBODY; at = (at + 1) & mask) {
		if (c->cells[at].tag == tag &&
		    memcmp(entry_at(c, &c->cells[at]), key, FILESCACHE_KEY_BYTES) == 0)
			break;
	}
	return &c->cells[at];
}

static int cells_grow(struct filescache *c, struct err *err)
{
	size_t old_count = c->cell_count, count = old_count ? old_count * 2 : 1024;
	struct cell *old = c->cells, *cells = bigalloc(count * sizeof(*cells));

	if (!cells)
		return err_nomem(err);
	for (size_t i = 0; i < count; i++)
		cells[i] = (struct cell){.bucket = NOBODY};
	c->cells = cells;
	c->cell_count = count;
	for (size_t i = 0; i < old_count; i++) {
		size_t at = old[i].tag & (count - 1);

		if (old[i].bucket == NOBODY)
			continue;
		while (cells[at].bucket != NOBODY)
			at = (at + 1) & (count - 1);
		cells[at] = old[i];
	}
	free(old);
	return 0;
}

/* Points the cell of the entry's key to it; what it pointed to is forgotten. */
static int cell_set(struct filescache *c, uint32_t bucket, size_t at, struct err *err)
{
	const uint8_t *key = c->buckets[bucket].plain.data + at;
	struct cell *cell;

	if (c->used * 3 >= c->cell_count * 2) {
		int r = cells_grow(c, err);

		if (r)
			return r;
	}
	cell = cell_of(c, key);
	if (cell->bucket == NOBODY) {
		c->used++;
	} else {
		c->buckets[cell->bucket].dirty = true;
		filescache_entry_keep(entry_at(c, cell), false);
		memset(entry_at(c, cell), 0, FILESCACHE_KEY_BYTES);
	}
	*cell = (struct cell){bucket, (uint32_t)at, tag_of(key)};
	return 0;
}

uint8_t *filescache_entry_of(struct filescache *c, const uint8_t key[FILESCACHE_KEY_BYTES],
			     struct rd *out_rest)
{
	struct cell at = {.bucket = c->next_bucket, .at = (uint32_t)c->next_at};
	struct rd after;

	if (at.bucket < c->bucket_count && at.at == c->buckets[at.bucket].end)
		at = (struct cell){.bucket = at.bucket + 1};
	if (at.bucket >= c->bucket_count || at.at == c->buckets[at.bucket].end ||
	    memcmp(entry_at(c, &at), key, FILESCACHE_KEY_BYTES) != 0)
		at = *cell_of(c, key);
	if (at.bucket == NOBODY)
		return NULL;
	*out_rest = after = rest_at(&c->buckets[at.bucket], at.at);
	c->next_bucket = at.bucket;
	c->next_at = at.at + filescache_entry_bytes(&after);
	return entry_at(c, &at);
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

/* --- loading --- */

/* The cells of all entries, far apart, are fetched at once. */
static void want_cells(const struct filescache *c, const struct bucket *b)
{
	for (struct rd r = rest_at(b, 0); r.left;) {
		const uint8_t *key = b->plain.data + (b->end - r.left);

		__builtin_prefetch(&c->cells[tag_of(key) & (c->cell_count - 1)]);
		(void)filescache_entry_bytes(&r);
	}
}

static int load_entries(struct filescache *c, uint32_t bucket, struct err *err)
{
	struct bucket *b = &c->buckets[bucket];
	struct rd r = rd_of(b->plain.data, b->plain.len);
	int status = 0;

	while (r.left && filescache_entry_bytes(&r))
		b->end = b->plain.len - r.left;
	if (b->end < b->plain.len)
		b->dirty = true;
	want_cells(c, b);
	for (r = rest_at(b, 0); !status && r.left;) {
		size_t at = b->end - r.left;

		(void)filescache_entry_bytes(&r);
		filescache_entry_keep(b->plain.data + at, false);
		status = cell_set(c, bucket, at, err);
	}
	return status;
}

static int load_row(void *arg, int64_t row, const void *bytes, size_t len, struct err *err)
{
	struct filescache *c = arg;
	struct err why = {0};
	uint32_t bucket = NOBODY;
	int r;

	r = bucket_new(c, row, &bucket, err);
	if (r)
		return r;
	if (c->bytes + len > MEMORY_BYTES) {
		c->buckets[bucket].dirty = true;
		return 0;
	}
	r = filescache_unseal(c->seal_key, c->repo, bytes, len, &c->buckets[bucket].plain, &why);
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

static uint8_t *find(struct filescache *c, const char *path, struct rd *out_rest)
{
	uint8_t key[FILESCACHE_KEY_BYTES];

	if (!c)
		return NULL;
	filescache_key(c, path, strlen(path), key);
	return filescache_entry_of(c, key, out_rest);
}

bool filescache_remembers(struct filescache *c, const char *path, uint64_t *out_bytes)
{
	struct rd rest;
	const uint8_t *entry = find(c, path, &rest);

	if (entry)
		*out_bytes = filescache_entry_look(entry).size;
	return entry;
}

bool filescache_knows(struct filescache *c, const char *path, const struct stat *st)
{
	struct filescache_look look;
	struct rd rest;
	const uint8_t *entry = find(c, path, &rest);

	if (!entry)
		return false;
	look = filescache_entry_look(entry);
	return S_ISREG(st->st_mode) && filescache_look_fits(&look, st);
}

int filescache_get(struct filescache *c, const char *path, const struct stat *st,
		   struct filescache_file *out_file, struct err *err)
{
	struct filescache_look look;
	struct rd rest;
	uint8_t *entry = find(c, path, &rest);
	int r;

	if (!entry)
		return 0;
	look = filescache_entry_look(entry);
	if (!S_ISREG(st->st_mode) || !filescache_look_fits(&look, st))
		return 0;
	*out_file = (struct filescache_file){0};
	r = filescache_entry_get(rest, out_file, err);
	if (!r) {
		filescache_entry_keep(entry, true);
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

int filescache_entry_set(struct filescache *c, const uint8_t key[FILESCACHE_KEY_BYTES],
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
	if (r)
		return r;
	filescache_entry_keep(b->data + at, true);
	c->buckets[c->filling].end = b->len;
	return cell_set(c, c->filling, at, err);
}

int filescache_put(struct filescache *c, const char *path, const struct stat *st,
		   int64_t looked_at_ns, const struct filescache_file *file, struct err *err)
{
	const struct filescache_look look = filescache_look_of(st, looked_at_ns);
	uint8_t key[FILESCACHE_KEY_BYTES];

	if (!c)
		return 0;
	filescache_key(c, path, strlen(path), key);
	return filescache_entry_set(c, key, &look, file, err);
}

/* --- saving --- */

/* What was not met in this run makes its bucket dirty. A file that is replaced needs them all again. */
static void forget_the_rest(struct filescache *c)
{
	for (size_t i = 0; i < c->bucket_count; i++) {
		struct bucket *b = &c->buckets[i];

		b->dirty = b->dirty || (b->row && c->anew);
		for (struct rd r = rest_at(b, 0); !b->dirty && r.left;) {
			b->dirty = !filescache_entry_kept(b->plain.data + (b->end - r.left));
			(void)filescache_entry_bytes(&r);
		}
	}
}

/* Moves what is kept of a dirty bucket to new ones, in the order in which it will be asked for. */
static int move_bucket(struct filescache *c, size_t from, struct err *err)
{
	int r = 0;

	for (size_t at = 0, len; !r && at < c->buckets[from].end; at += len) {
		struct rd rest = rest_at(&c->buckets[from], at);
		const uint8_t *entry = c->buckets[from].plain.data + at;
		struct buf *to;

		len = filescache_entry_bytes(&rest);
		if (!filescache_entry_kept(entry))
			continue;
		r = filling(c, err);
		if (r)
			break;
		to = &c->buckets[c->filling].plain;
		buf_put(to, entry, len);
		r = buf_check(to, err);
		c->buckets[c->filling].end = to->len;
	}
	return r;
}

static int move_kept(struct filescache *c, struct err *err)
{
	size_t old_count = c->bucket_count;
	int r = 0;

	c->filling = NOBODY;
	for (size_t i = 0; !r && i < old_count; i++)
		r = c->buckets[i].dirty ? move_bucket(c, i, err) : 0;
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
			r = filescache_seal(c->seal_key, c->repo, &b->plain,
					    &add[change.add_count++], err);
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
