#include "repo/walfile.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "repo/fsread.h"

#define WAL_HEADER_BYTES 32u
#define FRAME_HEADER_BYTES 24u
#define WAL_MAGIC 0x377f0682u /* lowest bit: checksums are big-endian */
#define WAL_VERSION 3007000u
#define FRAMES_PER_TICK 256u
/*
 * A transaction may end the database with pages that it never wrote, free ones; so many are believed. More would be a
 * number that a damaged or hostile log makes up, for which memory would be taken.
 */
#define UNWRITTEN_MOST (1u << 20)
#define UNCOMMITTED_MOST 100000u /* frame headers that walfile_mark reads back for a commit */

struct wal {
	int fd;
	bool big_endian;
	uint32_t page_size;
	uint8_t salt[8];
	uint32_t sum[2];        /* running checksum */
	uint8_t *frame;         /* header and page */
	uint64_t commit_frames; /* frames up to and with the last commit */
	uint32_t commit_pages;  /* size of the database after it */
};

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t le32(const uint8_t *p)
{
	return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static void add_sum(struct wal *w, const uint8_t *p, size_t len)
{
	size_t i;

	for (i = 0; i + 8 <= len; i += 8) {
		w->sum[0] += (w->big_endian ? be32(p + i) : le32(p + i)) + w->sum[1];
		w->sum[1] += (w->big_endian ? be32(p + i + 4) : le32(p + i + 4)) + w->sum[0];
	}
}

static int read_header(struct wal *w, bool *out_valid, struct err *err)
{
	uint8_t h[WAL_HEADER_BYTES];
	ssize_t n = fs_pread(w->fd, h, sizeof(h), 0);

	*out_valid = false;
	if (n < 0)
		return err_set(err, ERR_SOURCE, "cannot read the -wal: %s", strerror(errno));
	if (n < (ssize_t)sizeof(h) || (be32(h) & ~1u) != WAL_MAGIC || be32(h + 4) != WAL_VERSION)
		return 0;
	w->big_endian = (be32(h) & 1) != 0;
	w->page_size = be32(h + 8);
	if (w->page_size < 512 || w->page_size > 65536 || (w->page_size & (w->page_size - 1)) != 0)
		return 0;
	memcpy(w->salt, h + 16, sizeof(w->salt));
	w->sum[0] = w->sum[1] = 0;
	add_sum(w, h, 24);
	*out_valid = w->sum[0] == be32(h + 24) && w->sum[1] == be32(h + 28);
	return 0;
}

/* The next frame, if it is there and belongs to this generation of the log. */
static int next_frame(struct wal *w, uint64_t number, bool *out_valid, struct err *err)
{
	size_t len = FRAME_HEADER_BYTES + w->page_size;
	ssize_t n = fs_pread(w->fd, w->frame, len, WAL_HEADER_BYTES + number * len);

	*out_valid = false;
	if (n < 0)
		return err_set(err, ERR_SOURCE, "cannot read the -wal: %s", strerror(errno));
	if ((size_t)n < len || be32(w->frame) == 0 ||
	    memcmp(w->frame + 8, w->salt, sizeof(w->salt)) != 0)
		return 0;
	add_sum(w, w->frame, 8);
	add_sum(w, w->frame + FRAME_HEADER_BYTES, w->page_size);
	*out_valid = w->sum[0] == be32(w->frame + 16) && w->sum[1] == be32(w->frame + 20);
	return 0;
}

static int tick_now(uint64_t number, int (*tick)(void *arg), void *tick_arg, struct err *err)
{
	if (number % FRAMES_PER_TICK == 0 && tick != NULL && tick(tick_arg) != 0)
		return err_set(err, ERR_CANCELLED, "interrupted");
	return 0;
}

static int find_commit(struct wal *w, int (*tick)(void *arg), void *tick_arg, struct err *err)
{
	bool valid = true;
	uint64_t number;
	int rc = 0;

	for (number = 0; rc == 0 && valid; number++) {
		rc = tick_now(number, tick, tick_arg, err);
		if (rc == 0)
			rc = next_frame(w, number, &valid, err);
		if (rc == 0 && valid && be32(w->frame + 4) != 0) {
			w->commit_frames = number + 1;
			w->commit_pages = be32(w->frame + 4);
		}
	}
	return rc;
}

/* The size that the last commit names is what was there, and at most a page more for each frame. */
static int judge_size(const struct wal *w, const struct pageimage *image, struct err *err)
{
	uint64_t there = pageimage_size(image) / w->page_size + w->commit_frames;

	if (w->commit_pages <= there + UNWRITTEN_MOST)
		return 0;
	return err_set(err, ERR_SOURCE,
		       "the -wal is damaged: it names a database of %" PRIu32
		       " pages, where there are %" PRIu64 " at most",
		       w->commit_pages, there);
}

static int apply(struct wal *w, struct pageimage *image, int (*tick)(void *arg), void *tick_arg,
		 struct err *err)
{
	bool valid = true;
	uint64_t number;
	int rc = 0;

	for (number = 0; rc == 0 && number < w->commit_frames; number++) {
		rc = tick_now(number, tick, tick_arg, err);
		if (rc == 0)
			rc = next_frame(w, number, &valid, err);
		if (rc == 0 && !valid)
			return err_set(err, ERR_SOURCE, "the -wal changed while it was read");
		if (rc == 0 && be32(w->frame) <= w->commit_pages)
			rc = pageimage_write(image, (uint64_t)(be32(w->frame) - 1) * w->page_size,
					     w->frame + FRAME_HEADER_BYTES, w->page_size, err);
	}
	if (rc == 0)
		rc = pageimage_truncate(image, (uint64_t)w->commit_pages * w->page_size, err);
	return rc;
}

int walfile_apply(int fd, struct pageimage *image, int (*tick)(void *arg), void *tick_arg,
		  struct err *err)
{
	struct wal w = {.fd = fd};
	bool valid = false;
	int rc = read_header(&w, &valid, err);

	if (rc != 0 || !valid)
		return rc;
	w.frame = malloc(FRAME_HEADER_BYTES + (size_t)w.page_size);
	if (w.frame == NULL)
		return err_nomem(err);
	rc = find_commit(&w, tick, tick_arg, err);
	if (rc == 0)
		rc = judge_size(&w, image, err);
	if (rc == 0 && w.commit_frames > 0) {
		rc = read_header(&w, &valid, err); /* checksums run from the start again */
		if (rc == 0 && !valid)
			rc = err_set(err, ERR_SOURCE, "the -wal changed while it was read");
	}
	if (rc == 0 && w.commit_frames > 0)
		rc = apply(&w, image, tick, tick_arg, err);
	free(w.frame);
	return rc;
}

/* --- marks --- */

static bool frame_head(const struct wal *w, uint64_t number, uint8_t out[FRAME_HEADER_BYTES])
{
	uint64_t at = WAL_HEADER_BYTES + number * (FRAME_HEADER_BYTES + (uint64_t)w->page_size);

	return fs_pread(w->fd, out, FRAME_HEADER_BYTES, at) == FRAME_HEADER_BYTES;
}

/*
 * How many of the frames are of this generation. A log that began anew keeps its size: new frames stand in front, and after
 * them what is left of older generations, whose salts differ.
 */
static bool own_frames(const struct wal *w, uint64_t count, uint64_t *out_own)
{
	uint64_t low = 0, high = count;
	uint8_t head[FRAME_HEADER_BYTES];

	while (low < high) {
		uint64_t mid = low + (high - low) / 2;

		if (!frame_head(w, mid, head))
			return false;
		if (memcmp(head + 8, w->salt, sizeof(w->salt)) == 0)
			low = mid + 1;
		else
			high = mid;
	}
	*out_own = low;
	return true;
}

bool walfile_mark(int fd, uint64_t size_bytes, struct walfile_mark *out_mark)
{
	struct wal w = {.fd = fd};
	uint8_t head[FRAME_HEADER_BYTES];
	struct err ignored = {0};
	bool valid = false;
	uint64_t own, i;

	*out_mark = (struct walfile_mark){0};
	if (size_bytes < WAL_HEADER_BYTES || read_header(&w, &valid, &ignored) != 0 || !valid)
		return false;
	memcpy(out_mark->salts, w.salt, sizeof(w.salt));
	if (!own_frames(
		&w, (size_bytes - WAL_HEADER_BYTES) / (FRAME_HEADER_BYTES + (uint64_t)w.page_size),
		&own))
		return false;
	for (i = own; i > 0 && own - i < UNCOMMITTED_MOST; i--) {
		if (!frame_head(&w, i - 1, head))
			return false;
		if (be32(head + 4) == 0)
			continue;
		memcpy(out_mark->commit_sum, head + 16, sizeof(out_mark->commit_sum));
		out_mark->commit_frames = i;
		return true;
	}
	return i == 0;
}
