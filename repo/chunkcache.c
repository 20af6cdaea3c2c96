#include "repo/chunkcache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "core/limits.h"

#define NONCE_BYTES crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define SEAL_BYTES (NONCE_BYTES + crypto_aead_xchacha20poly1305_ietf_ABYTES)
#define MARK_BYTES 16 /* what the data file begins with, and the list names */
#define LIST_ENTRY_BYTES (1 + ID_BYTES + 8 + 4)
#define LIST_LIMIT_BYTES (256u << 20)
#define END_LIMIT_BYTES (UINT64_C(1) << 36) /* the file begins anew when its offsets come to this */

struct held {
	struct id id;
	uint64_t at;
	uint32_t sealed_bytes; /* 0: a free place of the table */
	uint8_t kind;
	bool used; /* in this run */
	bool bad;  /* it does not open */
};

struct chunkcache {
	char *folder, *data_path, *list_path;
	uint8_t *key; /* locked memory */
	int fd;       /* the data file, locked; -1: there is no cache */
	uint8_t mark[MARK_BYTES];
	struct held *table; /* open addressing */
	size_t size, count;
	uint64_t end, used_bytes, limit_bytes;
	struct buf sealed;
	struct err note;
};

/* --- the table --- */

static struct held *place_of(const struct chunkcache *c, uint8_t kind, const struct id *id)
{
	uint64_t h;
	size_t at;

	memcpy(&h, id->b, sizeof(h));
	for (at = (size_t)h & (c->size - 1); c->table[at].sealed_bytes;
	     at = (at + 1) & (c->size - 1)) {
		if (c->table[at].kind == kind && id_eq(&c->table[at].id, id))
			break;
	}
	return &c->table[at];
}

static int table_grow(struct chunkcache *c, struct err *err)
{
	size_t old_size = c->size;
	struct held *old = c->table;

	c->size = old_size ? old_size * 2 : 1024;
	c->table = calloc(c->size, sizeof(*c->table));
	if (!c->table) {
		c->table = old;
		c->size = old_size;
		return err_nomem(err);
	}
	for (size_t i = 0; i < old_size; i++) {
		if (old[i].sealed_bytes)
			*place_of(c, old[i].kind, &old[i].id) = old[i];
	}
	free(old);
	return 0;
}

static int table_add(struct chunkcache *c, const struct held *h, struct err *err)
{
	int r = c->count * 2 >= c->size ? table_grow(c, err) : 0;

	if (r)
		return r;
	c->count += place_of(c, h->kind, &h->id)->sealed_bytes == 0;
	*place_of(c, h->kind, &h->id) = *h;
	return 0;
}

/* --- sealing --- */

static int seal(struct chunkcache *c, const uint8_t *ad, size_t ad_len, const void *plain,
		size_t len, struct err *err)
{
	uint8_t *at;

	buf_reset(&c->sealed);
	at = buf_extend(&c->sealed, len + SEAL_BYTES);
	if (!at)
		return err_nomem(err);
	randombytes_buf(at, NONCE_BYTES);
	(void)crypto_aead_xchacha20poly1305_ietf_encrypt(at + NONCE_BYTES, NULL, plain, len, ad,
							 ad_len, NULL, at, c->key);
	return 0;
}

static bool unseal(const struct chunkcache *c, const uint8_t *ad, size_t ad_len,
		   const uint8_t *sealed, size_t len, uint8_t *out)
{
	return crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, sealed + NONCE_BYTES,
							  len - NONCE_BYTES, ad, ad_len, sealed,
							  c->key) == 0;
}

/* --- the list --- */

static bool read_whole(int fd, uint8_t *out, size_t len, uint64_t at)
{
	while (len) {
		ssize_t got = pread(fd, out, len, (off_t)at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		out += got;
		len -= (size_t)got;
		at += (uint64_t)got;
	}
	return true;
}

static bool write_whole(int fd, const uint8_t *bytes, size_t len, uint64_t at)
{
	while (len) {
		ssize_t put = pwrite(fd, bytes, len, (off_t)at);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return false;
		bytes += put;
		len -= (size_t)put;
		at += (uint64_t)put;
	}
	return true;
}

static int parse_list(struct chunkcache *c, struct rd *r, struct err *err)
{
	uint64_t count;
	int rc = 0;

	c->end = rd_u64(r);
	count = rd_u64(r);
	if (r->bad || count > r->left / LIST_ENTRY_BYTES)
		return err_set(err, ERR_DAMAGED, "the list is cut short");
	for (uint64_t i = 0; !rc && i < count; i++) {
		struct held h = {.kind = rd_u8(r)};

		rd_copy(r, h.id.b, ID_BYTES);
		h.at = rd_u64(r);
		h.sealed_bytes = rd_u32(r);
		if (h.sealed_bytes < SEAL_BYTES ||
		    h.sealed_bytes > LIMIT_CHUNK_BYTES + SEAL_BYTES || h.at > c->end ||
		    h.sealed_bytes > c->end - h.at)
			return err_set(err, ERR_DAMAGED, "the list is damaged");
		rc = table_add(c, &h, err);
	}
	return rc;
}

/* Any failure but ERR_NOMEM: the cache begins anew. */
static int read_list(struct chunkcache *c, struct err *err)
{
	int fd = open(c->list_path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), r = 0;
	struct buf sealed = {0}, plain = {0};
	struct stat st;
	struct rd rd;

	if (fd < 0)
		return err_sys(err, errno, "%s", c->list_path);
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size < (off_t)SEAL_BYTES ||
	    st.st_size > (off_t)LIST_LIMIT_BYTES)
		r = err_set(err, ERR_DAMAGED, "%s: is no list of chunks", c->list_path);
	if (!r && (!buf_extend(&sealed, (size_t)st.st_size) ||
		   !buf_extend(&plain, (size_t)st.st_size - SEAL_BYTES)))
		r = err_nomem(err);
	/* The mark of the data file is authenticated with the list: they belong together. */
	if (!r && (!read_whole(fd, sealed.data, sealed.len, 0) ||
		   !unseal(c, c->mark, MARK_BYTES, sealed.data, sealed.len, plain.data)))
		r = err_set(err, ERR_DAMAGED, "%s: does not open", c->list_path);
	(void)close(fd);
	rd = rd_of(plain.data, plain.len);
	if (!r)
		r = parse_list(c, &rd, err);
	buf_free(&sealed);
	buf_free(&plain);
	return r;
}

static int write_list(struct chunkcache *c, struct err *err)
{
	struct buf plain = {0};
	char *temp = NULL;
	int fd = -1, r;

	buf_put_u64(&plain, c->end);
	buf_put_u64(&plain, c->count);
	for (size_t i = 0; i < c->size; i++) {
		const struct held *h = &c->table[i];

		if (!h->sealed_bytes)
			continue;
		buf_put_u8(&plain, h->kind);
		buf_put(&plain, h->id.b, ID_BYTES);
		buf_put_u64(&plain, h->at);
		buf_put_u32(&plain, h->sealed_bytes);
	}
	r = buf_check(&plain, err);
	if (!r)
		r = seal(c, c->mark, MARK_BYTES, plain.data, plain.len, err);
	buf_free(&plain);
	if (!r && asprintf(&temp, "%s.new", c->list_path) < 0) {
		temp = NULL;
		r = err_nomem(err);
	}
	if (!r) {
		(void)unlink(temp);
		fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	}
	if (!r && (fd < 0 || !write_whole(fd, c->sealed.data, c->sealed.len, 0) ||
		   rename(temp, c->list_path) != 0))
		r = err_sys(err, errno, "%s", c->list_path);
	if (fd >= 0)
		(void)close(fd);
	free(temp);
	return r;
}

/* --- opening --- */

static void begin_anew(struct chunkcache *c)
{
	free(c->table);
	c->table = NULL;
	c->size = c->count = 0;
	c->end = MARK_BYTES;
	(void)unlink(c->list_path);
	randombytes_buf(c->mark, MARK_BYTES);
	if (ftruncate(c->fd, 0) == 0 && write_whole(c->fd, c->mark, MARK_BYTES, 0))
		return;
	(void)err_sys(&c->note, errno, "%s", c->data_path);
	(void)close(c->fd);
	c->fd = -1;
}

/* Leaves fd -1 and a note when there can be no cache. */
static void open_data(struct chunkcache *c)
{
	struct stat st;

	if (mkdir(c->folder, 0700) != 0 && errno != EEXIST) {
		(void)err_sys(&c->note, errno, "%s", c->folder);
		return;
	}
	c->fd = open(c->data_path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (c->fd < 0) {
		(void)err_sys(&c->note, errno, "%s", c->data_path);
		return;
	}
	if (fstat(c->fd, &st) != 0 || !S_ISREG(st.st_mode))
		(void)err_set(&c->note, ERR_IO, "%s: is no regular file", c->data_path);
	else if (flock(c->fd, LOCK_EX | LOCK_NB) != 0)
		(void)err_set(&c->note, ERR_BUSY, "%s: another backup uses it", c->data_path);
	if (c->note.code) {
		(void)close(c->fd);
		c->fd = -1;
	}
}

static int load(struct chunkcache *c, struct err *err)
{
	struct err why = {0};
	int r;

	open_data(c);
	if (c->fd < 0)
		return 0;
	r = read_whole(c->fd, c->mark, MARK_BYTES, 0) ? read_list(c, &why) : -ERR_MISSING;
	if (r == -ERR_NOMEM) {
		*err = why;
		return r;
	}
	if (r == -ERR_DAMAGED)
		c->note = why;
	if (r || c->end > END_LIMIT_BYTES)
		begin_anew(c);
	return 0;
}

int chunkcache_open(const struct cache_owner *owner, uint64_t limit_bytes,
		    struct chunkcache **out_cache, struct err *err)
{
	struct chunkcache *c = calloc(1, sizeof(*c));
	struct id root = {{0}}, key = {{0}};
	int r;

	if (!c)
		return err_nomem(err);
	c->fd = -1;
	c->limit_bytes = limit_bytes ? limit_bytes : CHUNKCACHE_LIMIT_BYTES;
	c->key = sodium_malloc(crypto_aead_xchacha20poly1305_ietf_KEYBYTES);
	r = c->key ? cachekey_root(owner, "chunk cache 1", &root, err) : err_nomem(err);
	if (!r)
		r = cachekey_derive(&root, "seal", &key, err);
	if (!r) {
		memcpy(c->key, key.b, crypto_aead_xchacha20poly1305_ietf_KEYBYTES);
		r = cachekey_folder(owner, &c->folder, err);
	}
	if (!r)
		r = cachekey_file(c->folder, &root, "chunks-", ".dat", &c->data_path, err);
	if (!r)
		r = cachekey_file(c->folder, &root, "chunks-", ".idx", &c->list_path, err);
	sodium_memzero(&root, sizeof(root));
	sodium_memzero(&key, sizeof(key));
	if (!r)
		r = load(c, err);
	if (r)
		chunkcache_close(c);
	else
		*out_cache = c;
	return r;
}

void chunkcache_close(struct chunkcache *c)
{
	if (!c)
		return;
	if (c->fd >= 0)
		(void)close(c->fd);
	sodium_free(c->key);
	buf_free(&c->sealed);
	free(c->table);
	free(c->folder);
	free(c->data_path);
	free(c->list_path);
	free(c);
}

const char *chunkcache_note(const struct chunkcache *c)
{
	return c ? c->note.text : "";
}

/* --- chunks --- */

static void ad_of(uint8_t kind, const struct id *id, uint8_t ad[1 + ID_BYTES])
{
	ad[0] = kind;
	memcpy(ad + 1, id->b, ID_BYTES);
}

int chunkcache_get(struct chunkcache *c, uint8_t kind, const struct id *id, struct buf *out,
		   struct err *err)
{
	struct held *h = c && c->fd >= 0 && c->size ? place_of(c, kind, id) : NULL;
	uint8_t ad[1 + ID_BYTES], *sealed, *at;
	size_t before = out->len;

	if (!h || !h->sealed_bytes)
		return err_set(err, ERR_MISSING, "the chunk is not in the cache");
	buf_reset(&c->sealed);
	sealed = buf_extend(&c->sealed, h->sealed_bytes);
	at = buf_extend(out, h->sealed_bytes - SEAL_BYTES);
	if (!sealed || !at)
		return err_nomem(err);
	ad_of(kind, id, ad);
	if (read_whole(c->fd, sealed, h->sealed_bytes, h->at) &&
	    unseal(c, ad, sizeof(ad), sealed, h->sealed_bytes, at))
		return 0;
	out->len = before;
	h->bad = true;
	(void)err_set(&c->note, ERR_DAMAGED, "%s: a chunk does not open any more", c->data_path);
	return err_set(err, ERR_MISSING, "%s", c->note.text);
}

void chunkcache_touch(struct chunkcache *c, uint8_t kind, const struct id *id)
{
	struct held *h = c && c->fd >= 0 && c->size ? place_of(c, kind, id) : NULL;

	if (!h || !h->sealed_bytes || h->bad || h->used)
		return;
	h->used = true;
	c->used_bytes += h->sealed_bytes;
}

int chunkcache_keep(struct chunkcache *c, uint8_t kind, const struct id *id, const void *plain,
		    size_t len, struct err *err)
{
	struct held h = {.id = *id, .kind = kind, .used = true};
	struct held *known = c && c->size ? place_of(c, kind, id) : NULL;
	bool here = known && known->sealed_bytes && !known->bad;
	uint8_t ad[1 + ID_BYTES];
	int r;

	if (!c || c->fd < 0)
		return 0;
	if (here) {
		chunkcache_touch(c, kind, id);
		return 0;
	}
	if (len > LIMIT_CHUNK_BYTES || c->used_bytes + len + SEAL_BYTES > c->limit_bytes)
		return 0;
	ad_of(kind, id, ad);
	r = seal(c, ad, sizeof(ad), plain, len, err);
	if (r)
		return r;
	if (!write_whole(c->fd, c->sealed.data, c->sealed.len, c->end)) {
		(void)err_sys(&c->note, errno, "%s", c->data_path);
		(void)close(c->fd);
		c->fd = -1;
		return 0;
	}
	h.at = c->end;
	h.sealed_bytes = (uint32_t)c->sealed.len;
	c->end += c->sealed.len;
	c->used_bytes += c->sealed.len;
	return table_add(c, &h, err);
}

/* --- saving --- */

static int by_place(const void *a, const void *b)
{
	const struct held *x = a, *y = b;

	return x->at < y->at ? -1 : x->at > y->at;
}

/* Gives the space between the chunks that stay back to the file system; without punching the file would only ever grow. */
static void punch(struct chunkcache *c, struct held *kept, size_t count)
{
	uint64_t at = MARK_BYTES;
	bool punched = true;

	if (count)
		qsort(kept, count, sizeof(*kept), by_place);
	for (size_t i = 0; punched && i <= count; i++) {
		uint64_t until = i < count ? kept[i].at : c->end;

		if (until > at)
			punched = fallocate(c->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					    (off_t)at, (off_t)(until - at)) == 0;
		if (i < count)
			at = kept[i].at + kept[i].sealed_bytes;
	}
	if (!punched && c->end > 2 * c->limit_bytes)
		begin_anew(c);
}

int chunkcache_save(struct chunkcache *c, struct err *err)
{
	struct held *kept;
	size_t count = 0;
	int r = 0;

	if (!c || c->fd < 0)
		return 0;
	kept = calloc(c->count + 1, sizeof(*kept));
	if (!kept)
		return err_nomem(err);
	for (size_t i = 0; i < c->size; i++) {
		if (c->table[i].sealed_bytes && c->table[i].used)
			kept[count++] = c->table[i];
	}
	free(c->table);
	c->table = NULL;
	c->size = c->count = 0;
	for (size_t i = 0; !r && i < count; i++)
		r = table_add(c, &kept[i], err);
	/* The list first: it must never name a chunk whose space was given back. */
	if (!r)
		r = write_list(c, &c->note) == -ERR_NOMEM ? err_nomem(err) : 0;
	if (!r && !c->note.code)
		punch(c, kept, count);
	free(kept);
	return r;
}

void chunkcache_remove(struct chunkcache *c)
{
	if (!c || c->fd < 0)
		return;
	(void)unlink(c->list_path);
	(void)unlink(c->data_path);
	(void)close(c->fd);
	c->fd = -1;
}
