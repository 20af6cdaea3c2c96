#include "repo/pageimage.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <unistd.h>

#define BLOCK ((size_t)PAGEIMAGE_BLOCK_BYTES)
#define NO_BLOCK UINT64_MAX
#define PASSING_SHARE 8 /* of the slots, the part in which blocks take turns once all are in use */
#define KEY_BYTES crypto_aead_xchacha20poly1305_ietf_KEYBYTES
#define NONCE_BYTES crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_BYTES crypto_aead_xchacha20poly1305_ietf_ABYTES

struct block {
	uint64_t counter; /* nonce of the copy in the spill file; 0 = there is none */
	uint8_t tag[TAG_BYTES];
	uint32_t slot_1; /* slot + 1 when in RAM, else 0 */
	bool dirty;      /* the copy in RAM is newer than the spilled one */
};

struct slot {
	uint64_t block; /* NO_BLOCK = free */
	bool used_lately;
};

struct pageimage {
	char *cache_dir;
	uint64_t size_bytes;
	struct block *blocks;
	size_t block_count, block_cap;
	struct slot *slots;
	uint8_t *arena; /* slot_count blocks, mapped at the first write, touched as they are used */
	uint32_t slot_count, slots_touched, slots_free; /* free: of the touched */
	uint32_t hand;
	uint8_t *key;     /* sodium_malloc'd when the first block is spilled */
	uint8_t *scratch; /* one block of ciphertext */
	uint64_t counter;
	int spill_fd;
	pageimage_read_fn
	    *elsewhere; /* or NULL; then nothing of the above is used but size_bytes */
	void *elsewhere_arg;
};

int pageimage_new(const char *cache_dir, size_t ram_budget_bytes, struct pageimage **out_image,
		  struct err *err)
{
	size_t slots = ram_budget_bytes / BLOCK;
	struct pageimage *p;

	if (sodium_init() < 0)
		return err_set(err, ERR_IO, "the random number generator does not work");
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return err_nomem(err);
	if (slots < PAGEIMAGE_MIN_BLOCKS)
		slots = PAGEIMAGE_MIN_BLOCKS;
	if (slots > UINT32_MAX / 2)
		slots = UINT32_MAX / 2;
	p->slot_count = (uint32_t)slots;
	p->spill_fd = -1;
	p->cache_dir = strdup(cache_dir);
	if (p->cache_dir == NULL) {
		pageimage_free(p);
		return err_nomem(err);
	}
	*out_image = p;
	return 0;
}

int pageimage_over(pageimage_read_fn *read, void *arg, uint64_t size_bytes,
		   struct pageimage **out_image, struct err *err)
{
	struct pageimage *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return err_nomem(err);
	p->spill_fd = -1;
	p->size_bytes = size_bytes;
	p->elsewhere = read;
	p->elsewhere_arg = arg;
	*out_image = p;
	return 0;
}

static int only_read(struct err *err)
{
	return err_set(err, ERR_USAGE, "this snapshot image is only for reading");
}

/* The arena is address space until it is touched, so a small image costs what it holds. */
static int map_arena(struct pageimage *p, struct err *err)
{
	size_t bytes = (size_t)p->slot_count * BLOCK;
	void *mem;

	if (p->arena != NULL)
		return 0;
	if (p->slots == NULL)
		p->slots = calloc(p->slot_count, sizeof(*p->slots));
	if (p->slots == NULL)
		return err_nomem(err);
	mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		   -1, 0);
	if (mem == MAP_FAILED)
		return err_nomem(err);
	(void)madvise(mem, bytes, MADV_DONTDUMP); /* a core dump is a plaintext copy, too */
	p->arena = mem;
	return 0;
}

static uint8_t *slot_bytes(const struct pageimage *p, uint32_t slot)
{
	return p->arena + (size_t)slot * BLOCK;
}

static int open_unnamed(const char *dir)
{
	char path[4200];
	int fd = open(dir, O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
		return fd;
	if (snprintf(path, sizeof(path), "%s/nightjar-spill-XXXXXX", dir) >= (int)sizeof(path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		(void)unlink(path);
	return fd;
}

static int open_spill(struct pageimage *p, struct err *err)
{
	struct statfs fs;

	if (p->spill_fd >= 0)
		return 0;
	if (statfs(p->cache_dir, &fs) != 0)
		return err_sys(err, errno, "cannot use the cache directory %s", p->cache_dir);
	if (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC)
		return err_set(
		    err, ERR_FULL,
		    "the snapshot does not fit its memory budget, and the cache directory "
		    "%s is itself memory (tmpfs); set NIGHTJAR_CACHE_DIR to one on a disk",
		    p->cache_dir);
	if (p->key == NULL) {
		p->key = sodium_malloc(KEY_BYTES);
		if (p->key == NULL)
			return err_nomem(err);
		randombytes_buf(p->key, KEY_BYTES);
	}
	if (p->scratch == NULL)
		p->scratch = malloc(BLOCK);
	if (p->scratch == NULL)
		return err_nomem(err);
	p->spill_fd = open_unnamed(p->cache_dir);
	if (p->spill_fd < 0)
		return err_sys(err, errno, "cannot make a temporary file in the cache directory %s",
			       p->cache_dir);
	return 0;
}

/* Counter and position: a block can be neither replayed from an older spill nor moved. */
static void make_nonce(uint64_t counter, uint64_t block, uint8_t out_nonce[NONCE_BYTES])
{
	memset(out_nonce, 0, NONCE_BYTES);
	memcpy(out_nonce, &counter, sizeof(counter));
	memcpy(out_nonce + sizeof(counter), &block, sizeof(block));
}

static int write_spill(struct pageimage *p, uint64_t block, struct err *err)
{
	size_t done = 0;

	while (done < BLOCK) {
		ssize_t n = pwrite(p->spill_fd, p->scratch + done, BLOCK - done,
				   (off_t)(block * BLOCK + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_sys(err, n == 0 ? ENOSPC : errno,
				       "cannot spill the snapshot to the cache directory %s",
				       p->cache_dir);
		done += (size_t)n;
	}
	return 0;
}

static int spill_block(struct pageimage *p, uint64_t block, struct err *err)
{
	struct block *b = &p->blocks[block];
	uint8_t nonce[NONCE_BYTES], tag[TAG_BYTES];
	int rc = open_spill(p, err);

	if (rc != 0)
		return rc;
	p->counter++; /* even if the write fails: a nonce is never used for two contents */
	make_nonce(p->counter, block, nonce);
	(void)crypto_aead_xchacha20poly1305_ietf_encrypt_detached(
	    p->scratch, tag, NULL, slot_bytes(p, b->slot_1 - 1), BLOCK, NULL, 0, NULL, nonce,
	    p->key);
	rc = write_spill(p, block, err);
	if (rc != 0) {
		/* The older spilled copy may be half overwritten; the one in RAM stays the good one. */
		return rc;
	}
	memcpy(b->tag, tag, sizeof(tag));
	b->counter = p->counter;
	b->dirty = false;
	return 0;
}

static int load_block(struct pageimage *p, uint64_t block, uint8_t *out_plain, struct err *err)
{
	const struct block *b = &p->blocks[block];
	uint8_t nonce[NONCE_BYTES];
	size_t done = 0;

	if (b->counter == 0) {
		memset(out_plain, 0, BLOCK);
		return 0;
	}
	while (done < BLOCK) {
		ssize_t n = pread(p->spill_fd, p->scratch + done, BLOCK - done,
				  (off_t)(block * BLOCK + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, "cannot read the spilled snapshot back from %s",
				       p->cache_dir);
		if (n == 0)
			break;
		done += (size_t)n;
	}
	make_nonce(b->counter, block, nonce);
	if (done < BLOCK ||
	    crypto_aead_xchacha20poly1305_ietf_decrypt_detached(
		out_plain, NULL, p->scratch, BLOCK, b->tag, NULL, 0, nonce, p->key) != 0)
		return err_set(err, ERR_DAMAGED, "the spilled snapshot in %s was changed",
			       p->cache_dir);
	return 0;
}

/* Slots below keep their blocks once all are in use. */
static uint32_t settled_slots(const struct pageimage *p)
{
	uint32_t passing = p->slot_count / PASSING_SHARE;

	return p->slot_count - (passing < PAGEIMAGE_MIN_BLOCKS ? PAGEIMAGE_MIN_BLOCKS : passing);
}

static uint32_t free_slot(struct pageimage *p)
{
	uint32_t at = 0;

	if (p->slots_free == 0)
		return p->slots_touched++;
	while (p->slots[at].block != NO_BLOCK)
		at++;
	p->slots_free--;
	return at;
}

/*
 * A free slot, or by the clock one that was not used since the hand came by.
 *
 * An image is read from its beginning to its end, and again. Were all slots taken by turns, each block would be gone by the
 * time it is wanted again. So the hand stays among the last few, and what came first is still there.
 */
static int take_slot(struct pageimage *p, uint32_t *out_slot, struct err *err)
{
	uint32_t at;
	int rc;

	if (p->slots_free > 0 || p->slots_touched < p->slot_count) {
		*out_slot = free_slot(p);
		p->slots[*out_slot].block = NO_BLOCK;
		return 0;
	}
	for (;;) {
		if (p->hand < settled_slots(p) || p->hand >= p->slot_count)
			p->hand = settled_slots(p);
		at = p->hand++;
		if (!p->slots[at].used_lately)
			break;
		p->slots[at].used_lately = false;
	}
	rc = p->blocks[p->slots[at].block].dirty ? spill_block(p, p->slots[at].block, err) : 0;
	if (rc != 0)
		return rc;
	p->blocks[p->slots[at].block].slot_1 = 0;
	p->slots[at].block = NO_BLOCK;
	*out_slot = at;
	return 0;
}

/* The block's bytes in RAM; they stay put until the next call. */
static int get_block(struct pageimage *p, uint64_t block, uint8_t **out_bytes, struct err *err)
{
	struct block *b = &p->blocks[block];
	uint32_t slot = 0;
	int rc;

	if (b->slot_1 == 0) {
		rc = map_arena(p, err);
		if (rc == 0)
			rc = take_slot(p, &slot, err);
		if (rc != 0)
			return rc;
		rc = load_block(p, block, slot_bytes(p, slot), err);
		if (rc != 0) {
			p->slots_free++;
			return rc;
		}
		p->slots[slot].block = block;
		b->slot_1 = slot + 1;
	}
	p->slots[b->slot_1 - 1].used_lately = true;
	*out_bytes = slot_bytes(p, b->slot_1 - 1);
	return 0;
}

static int grow_blocks(struct pageimage *p, uint64_t size_bytes, struct err *err)
{
	uint64_t want = size_bytes / BLOCK + (size_bytes % BLOCK != 0);

	if (want > p->block_cap) {
		size_t cap = p->block_cap < 64 ? 64 : p->block_cap * 2;
		struct block *more;

		if (want > SIZE_MAX / (2 * sizeof(*more)))
			return err_nomem(err);
		cap = cap < want ? (size_t)want : cap;
		more = realloc(p->blocks, cap * sizeof(*more));
		if (more == NULL)
			return err_nomem(err);
		p->blocks = more;
		p->block_cap = cap;
	}
	if (want > p->block_count) {
		memset(p->blocks + p->block_count, 0,
		       ((size_t)want - p->block_count) * sizeof(*p->blocks));
		p->block_count = (size_t)want;
	}
	return 0;
}

int pageimage_write(struct pageimage *p, uint64_t offset, const void *bytes, size_t len,
		    struct err *err)
{
	const uint8_t *from = bytes;
	int rc;

	if (p->elsewhere != NULL)
		return only_read(err);
	if (len == 0)
		return 0;
	if (offset > (uint64_t)INT64_MAX - len)
		return err_set(err, ERR_LIMIT, "a snapshot page lies beyond any file's end");
	rc = grow_blocks(p, offset + len, err);
	while (rc == 0 && len > 0) {
		size_t at = (size_t)(offset % BLOCK);
		size_t n = BLOCK - at < len ? BLOCK - at : len;
		uint8_t *to = NULL;

		rc = get_block(p, offset / BLOCK, &to, err);
		if (rc != 0)
			break;
		memcpy(to + at, from, n);
		p->blocks[offset / BLOCK].dirty = true;
		from += n;
		offset += n;
		len -= n;
		if (offset > p->size_bytes)
			p->size_bytes = offset;
	}
	return rc;
}

int pageimage_read(struct pageimage *p, uint64_t offset, void *out_bytes, size_t len,
		   struct err *err)
{
	uint8_t *to = out_bytes;

	if (offset > p->size_bytes || len > p->size_bytes - offset)
		return err_set(err, ERR_USAGE, "read behind the end of a snapshot image");
	if (p->elsewhere != NULL)
		return p->elsewhere(p->elsewhere_arg, offset, out_bytes, len, err);
	while (len > 0) {
		size_t at = (size_t)(offset % BLOCK);
		size_t n = BLOCK - at < len ? BLOCK - at : len;
		uint8_t *from = NULL;
		int rc = get_block(p, offset / BLOCK, &from, err);

		if (rc != 0)
			return rc;
		memcpy(to, from + at, n);
		to += n;
		offset += n;
		len -= n;
	}
	return 0;
}

static void drop_block(struct pageimage *p, uint64_t block)
{
	struct block *b = &p->blocks[block];

	if (b->slot_1 != 0) {
		sodium_memzero(slot_bytes(p, b->slot_1 - 1), BLOCK);
		p->slots[b->slot_1 - 1].block = NO_BLOCK;
		p->slots_free++;
	}
	memset(b, 0, sizeof(*b));
}

int pageimage_truncate(struct pageimage *p, uint64_t size_bytes, struct err *err)
{
	uint64_t keep = size_bytes / BLOCK + (size_bytes % BLOCK != 0);
	uint8_t *last = NULL;
	int rc;

	if (p->elsewhere != NULL)
		return only_read(err);
	if (size_bytes >= p->size_bytes) {
		rc = grow_blocks(p, size_bytes, err);
		if (rc == 0)
			p->size_bytes = size_bytes;
		return rc;
	}
	if (size_bytes % BLOCK != 0) {
		/* What is cut off must not come back when the image grows again. */
		rc = get_block(p, keep - 1, &last, err);
		if (rc != 0)
			return rc;
		memset(last + size_bytes % BLOCK, 0, BLOCK - (size_t)(size_bytes % BLOCK));
		p->blocks[keep - 1].dirty = true;
	}
	while (p->block_count > keep)
		drop_block(p, --p->block_count);
	p->size_bytes = size_bytes;
	return 0;
}

uint64_t pageimage_size(const struct pageimage *p)
{
	return p->size_bytes;
}

uint64_t pageimage_spills(const struct pageimage *p)
{
	return p->counter;
}

void pageimage_free(struct pageimage *p)
{
	if (p == NULL)
		return;
	if (p->arena != NULL) {
		sodium_memzero(p->arena, (size_t)p->slots_touched * BLOCK);
		(void)munmap(p->arena, (size_t)p->slot_count * BLOCK);
	}
	if (p->spill_fd >= 0)
		(void)close(p->spill_fd);
	sodium_free(p->key);
	free(p->scratch);
	free(p->slots);
	free(p->blocks);
	free(p->cache_dir);
	free(p);
}
