/*
 * First byte even: the rest is an image, and decode(encode(image)) is the image. Odd: u16 size of the image, then chunks of
 * hostile streams, each a u16 whose highest bit names the stream and whose others are the length. An image that comes
 * out is encoded and decoded again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/cells.h"

#define CHUNKS_MAX 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct chunk {
	uint8_t *p; /* of exactly len bytes, so that a read beyond meets the sanitizer */
	size_t len;
};

struct stream {
	struct chunk chunks[CHUNKS_MAX];
	size_t count, fed;
	bool full; /* an input of more chunks is not decoded */
};

struct image {
	uint8_t *p;
	uint64_t len;
};

static void streams_free(struct stream *streams)
{
	for (int s = 0; s < 2; s++) {
		for (size_t i = 0; i < streams[s].count; i++)
			free(streams[s].chunks[i].p);
	}
}

static int put_chunk(void *arg, enum cells_stream stream, uint64_t key_hash, const void *bytes,
		     size_t len, struct err *err)
{
	struct stream *s = (struct stream *)arg + stream;
	struct chunk c = {.p = malloc(len ? len : 1), .len = len};

	(void)key_hash;
	if (!c.p)
		return err_nomem(err);
	if (s->count == CHUNKS_MAX) {
		s->full = true;
		free(c.p);
		return 0;
	}
	if (len)
		memcpy(c.p, bytes, len);
	s->chunks[s->count++] = c;
	return 0;
}

static int get_chunk(void *arg, enum cells_stream stream, const uint8_t **out_bytes,
		     size_t *out_len, struct err *err)
{
	struct stream *s = (struct stream *)arg + stream;

	(void)err;
	*out_bytes = NULL;
	*out_len = 0;
	if (s->fed < s->count) {
		*out_bytes = s->chunks[s->fed].p;
		*out_len = s->chunks[s->fed++].len;
	}
	return 0;
}

static int read_image(void *arg, uint64_t offset, void *out, size_t len, struct err *err)
{
	const struct image *image = arg;

	(void)err;
	if (offset > image->len || len > image->len - offset)
		abort();
	if (len)
		memcpy(out, image->p + offset, len);
	return 0;
}

static int write_image(void *arg, uint64_t offset, const void *bytes, size_t len, struct err *err)
{
	struct image *image = arg;

	(void)err;
	if (offset > image->len || len > image->len - offset)
		abort();
	if (len)
		memcpy(image->p + offset, bytes, len);
	return 0;
}

/* 0, or -code; out has room for len bytes. */
static int decode(struct stream *streams, struct image *out)
{
	const struct cells_feed feed = {.arg = streams, .next = get_chunk};
	const struct cells_target target = {.arg = out, .write = write_image};
	struct err err = {0};
	int r;

	out->p = calloc(out->len ? (size_t)out->len : 1, 1);
	if (!out->p)
		return -ERR_NOMEM;
	streams[0].fed = streams[1].fed = 0;
	r = cells_decode(&feed, out->len, &target, &err);
	if (r != 0 && (r != -err.code || err.text[0] == '\0'))
		abort();
	return r;
}

static void law(struct image *image)
{
	static const uint8_t key[32] = {7};
	static struct chunker cutter;
	static bool made;
	struct stream *streams = calloc(2, sizeof(*streams));
	const struct cells_source source = {.arg = image, .bytes = image->len, .read = read_image};
	const struct cells_sink sink = {.arg = streams, .chunk = put_chunk};
	struct cells_stats stats;
	struct image back = {.len = image->len};
	struct err err = {0};

	if (!made)
		chunker_init(&cutter, key);
	made = true;
	if (!streams)
		return;
	if (cells_encode(&source, &cutter, &sink, &stats, &err) != 0)
		abort();
	if (!streams[0].full && !streams[1].full) {
		if (decode(streams, &back) != 0 ||
		    memcmp(back.p, image->p, (size_t)image->len) != 0)
			abort();
		free(back.p);
	}
	streams_free(streams);
	free(streams);
}

static void hostile(struct rd *r)
{
	struct stream *streams = calloc(2, sizeof(*streams));
	struct image out = {.len = rd_u16(r)};
	struct err err = {0};

	while (streams && r->left && !r->bad) {
		uint16_t head = rd_u16(r);
		size_t len = head & 0x7fff;
		const uint8_t *p;

		if (len > r->left)
			len = r->left;
		p = rd_bytes(r, len);
		if (p && len)
			(void)put_chunk(streams, head >> 15 ? CELLS_LAYOUT : CELLS_DATA, 0, p, len,
					&err);
	}
	if (streams && decode(streams, &out) == 0)
		law(&out);
	free(out.p);
	if (streams)
		streams_free(streams);
	free(streams);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_of(data, size);
	bool streams = rd_u8(&r) & 1;
	struct image image = {0};

	if (r.bad)
		return 0;
	if (streams) {
		hostile(&r);
		return 0;
	}
	image.len = r.left;
	image.p = malloc(r.left ? r.left : 1);
	if (!image.p)
		return 0;
	memcpy(image.p, r.p, r.left);
	law(&image);
	free(image.p);
	return 0;
}
