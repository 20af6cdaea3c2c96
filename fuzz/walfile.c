/*
 * A write-ahead log: u8 of the header, then frames of u8 flags, u32 page, u32 commit, u8 what is in it, with checksums that hold unless a
 * flag says otherwise. What is recovered is what the frames say that SQLite would believe. The same bytes are a log as they are, too.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/buf.h"
#include "repo/walfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BASE_PAGES 3u
#define FRAMES_MOST 40u
#define SALT "saltsalt"
#define BREAK_SALT 1u
#define BREAK_SUM 2u

struct frame {
	uint32_t page, commit;
	uint8_t fill;
};

struct log {
	bool big_endian;
	uint32_t page_bytes, sum[2];
	struct buf bytes;
	struct frame frames[FRAMES_MOST];
	size_t count;  /* frames that hold, from the first */
	size_t commit; /* up to and with the last commit among them */
	bool ended;    /* one did not hold */
};

static void put_be(struct buf *b, uint32_t v)
{
	for (int shift = 24; shift >= 0; shift -= 8)
		buf_put_u8(b, (uint8_t)(v >> shift));
}

static uint32_t word(const struct log *l, const uint8_t *p)
{
	return l->big_endian
		   ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]
		   : (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static void add_sum(struct log *l, size_t from, size_t len)
{
	for (const uint8_t *p = l->bytes.data + from; len >= 8; p += 8, len -= 8) {
		l->sum[0] += word(l, p) + l->sum[1];
		l->sum[1] += word(l, p + 4) + l->sum[0];
	}
}

static void put_header(struct log *l, uint8_t with)
{
	l->big_endian = with & 1;
	l->page_bytes = 512u << (with >> 1) % 4;
	put_be(&l->bytes, 0x377f0682u | (with & 1));
	put_be(&l->bytes, 3007000);
	put_be(&l->bytes, l->page_bytes);
	put_be(&l->bytes, 0);
	buf_put(&l->bytes, SALT, 8);
	add_sum(l, 0, 24);
	put_be(&l->bytes, l->sum[0]);
	put_be(&l->bytes, l->sum[1]);
}

static void put_frame(struct log *l, struct rd *r)
{
	size_t at = l->bytes.len;
	uint8_t flags = rd_u8(r), page[4096];
	struct frame f = {.page = rd_u32(r)};

	f.commit = rd_u32(r);
	f.fill = rd_u8(r);
	memset(page, f.fill, sizeof(page));
	put_be(&l->bytes, f.page);
	put_be(&l->bytes, f.commit);
	buf_put(&l->bytes, flags & BREAK_SALT ? "otherone" : SALT, 8);
	buf_put_zeros(&l->bytes, 8);
	buf_put(&l->bytes, page, l->page_bytes);
	if (l->bytes.failed)
		return;
	add_sum(l, at, 8);
	add_sum(l, at + 24, l->page_bytes);
	for (size_t i = 0; i < 8; i++)
		l->bytes.data[at + 16 + i] = (uint8_t)(l->sum[i / 4] >> (24 - 8 * (i % 4)));
	l->bytes.data[at + 23] ^= flags & BREAK_SUM ? 1 : 0;
	l->ended = l->ended || f.page == 0 || flags & (BREAK_SALT | BREAK_SUM);
	if (l->ended)
		return;
	l->frames[l->count++] = f;
	if (f.commit)
		l->commit = l->count;
}

static int file_of(const void *bytes, size_t len)
{
	int fd = memfd_create("wal", MFD_CLOEXEC);

	if (fd < 0 || write(fd, bytes, len) != (ssize_t)len)
		abort();
	return fd;
}

/* What the last of its frames says of a page; the base is of ones, and what grew of zeros. */
static uint8_t fill_of(const struct log *l, uint32_t page)
{
	uint8_t fill = page <= BASE_PAGES ? 1 : 0;

	for (size_t i = 0; i < l->commit; i++) {
		if (l->frames[i].page == page)
			fill = l->frames[i].fill;
	}
	return fill;
}

static void check_page(const struct log *l, struct pageimage *image, uint32_t page)
{
	uint8_t bytes[4096], want[4096];
	struct err err = {0};

	if (page == 0 || (uint64_t)page * l->page_bytes > pageimage_size(image))
		return;
	if (pageimage_read(image, (uint64_t)(page - 1) * l->page_bytes, bytes, l->page_bytes,
			   &err) != 0)
		abort();
	memset(want, fill_of(l, page), sizeof(want));
	if (memcmp(bytes, want, l->page_bytes) != 0)
		abort();
}

static void check(const struct log *l, struct pageimage *image)
{
	uint64_t pages = l->commit ? l->frames[l->commit - 1].commit : BASE_PAGES;

	if (pageimage_size(image) != pages * l->page_bytes)
		abort();
	for (uint32_t i = 1; i <= BASE_PAGES + 1; i++)
		check_page(l, image, i);
	for (size_t i = 0; i < l->count; i++)
		check_page(l, image, l->frames[i].page);
}

static void apply(const struct log *l, int fd)
{
	uint8_t ones[4096 * BASE_PAGES];
	struct pageimage *image = NULL;
	struct err err = {0};

	memset(ones, 1, sizeof(ones));
	if (pageimage_new("/nonexistent", 64 << 20, &image, &err) != 0 ||
	    pageimage_write(image, 0, ones, (size_t)BASE_PAGES * l->page_bytes, &err) != 0)
		abort();
	if (walfile_apply(fd, image, NULL, NULL, &err) == 0)
		check(l, image);
	else if (err.code != ERR_SOURCE || l->commit == 0 ||
		 l->frames[l->commit - 1].commit <= BASE_PAGES + FRAMES_MOST)
		abort();
	pageimage_free(image);
}

/* The mark believes checksums, so it is judged where they hold. */
static void mark(const struct log *l, int fd)
{
	struct walfile_mark m;

	if (!walfile_mark(fd, l->bytes.len, &m))
		abort();
	if (!l->ended && m.commit_frames != l->commit)
		abort();
}

static void as_it_is(const uint8_t *data, size_t size)
{
	struct pageimage *image = NULL;
	struct walfile_mark m;
	struct err err = {0};
	int fd = file_of(data, size);

	if (pageimage_new("/nonexistent", 1 << 20, &image, &err) != 0)
		abort();
	(void)!walfile_apply(fd, image, NULL, NULL, &err);
	(void)walfile_mark(fd, size, &m);
	pageimage_free(image);
	(void)close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_of(data, size);
	struct log l = {0};
	int fd;

	as_it_is(data, size);
	put_header(&l, rd_u8(&r));
	for (size_t i = 0; i < FRAMES_MOST && r.left && !r.bad; i++)
		put_frame(&l, &r);
	if (!l.bytes.failed) {
		fd = file_of(l.bytes.data, l.bytes.len);
		apply(&l, fd);
		mark(&l, fd);
		(void)close(fd);
	}
	buf_free(&l.bytes);
	return 0;
}
