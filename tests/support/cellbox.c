#include "tests/support/cellbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct image {
	struct cellbox *box;
	const uint8_t *from;
	uint8_t *to;
	uint64_t len;
};

/* Has the moment come at which this call is to fail? */
static int fails_now(struct cellbox *box, struct err *err)
{
	if (++box->calls == box->fail_at)
		return err_set(err, ERR_BUSY, "the test wants it");
	return 0;
}

static int read_image(void *arg, uint64_t offset, void *out, size_t len, struct err *err)
{
	const struct image *image = arg;
	int rc = fails_now(image->box, err);

	if (rc != 0)
		return rc;
	assert_true(offset <= image->len && len <= image->len - offset);
	if (len)
		memcpy(out, image->from + offset, len);
	return 0;
}

static int keep_chunk(void *arg, enum cells_stream stream, uint64_t key_hash, const void *bytes,
		      size_t len, struct err *err)
{
	struct cellbox *box = arg;
	struct cellbox_chunk *chunk;
	int rc = fails_now(box, err);

	if (rc != 0)
		return rc;
	assert_true(stream == CELLS_LAYOUT || stream == CELLS_DATA);
	assert_true(len > 0);
	if (box->count[stream] == box->room[stream]) {
		size_t room = 2 * box->room[stream] + 8;

		chunk = realloc(box->chunks[stream], room * sizeof(*chunk));
		assert_non_null(chunk);
		box->chunks[stream] = chunk;
		box->room[stream] = room;
	}
	chunk = &box->chunks[stream][box->count[stream]];
	chunk->key_hash = key_hash;
	chunk->len = len;
	chunk->bytes = malloc(len);
	assert_non_null(chunk->bytes);
	memcpy(chunk->bytes, bytes, len);
	box->count[stream]++;
	return 0;
}

int cellbox_encode(struct cellbox *box, const uint8_t *image, size_t len,
		   const struct chunker *cutter, struct cells_stats *out_stats, struct err *err)
{
	struct image whole = {.box = box, .from = image, .len = len};
	struct cells_source source = {.arg = &whole, .bytes = len, .read = read_image};
	struct cells_sink sink = {.arg = box, .chunk = keep_chunk};
	unsigned long fail_at = box->fail_at;

	cellbox_free(box);
	box->fail_at = fail_at;
	return cells_encode(&source, cutter, &sink, out_stats, err);
}

static int feed_chunk(void *arg, enum cells_stream stream, const uint8_t **out_bytes,
		      size_t *out_len, struct err *err)
{
	struct cellbox *box = ((struct image *)arg)->box;
	const struct cellbox_chunk *chunk;
	int rc = fails_now(box, err);

	if (rc != 0)
		return rc;
	assert_true(stream == CELLS_LAYOUT || stream == CELLS_DATA);
	free(box->lent[stream]);
	box->lent[stream] = NULL;
	*out_bytes = NULL;
	*out_len = 0;
	if (box->fed[stream] == box->count[stream]) {
		box->ends[stream]++;
		return 0;
	}
	chunk = &box->chunks[stream][box->fed[stream]++];
	box->lent[stream] = malloc(chunk->len);
	assert_non_null(box->lent[stream]);
	memcpy(box->lent[stream], chunk->bytes, chunk->len);
	*out_bytes = box->lent[stream];
	*out_len = chunk->len;
	return 0;
}

static int write_image(void *arg, uint64_t offset, const void *bytes, size_t len, struct err *err)
{
	const struct image *image = arg;
	int rc = fails_now(image->box, err);

	if (rc != 0)
		return rc;
	assert_true(offset <= image->len && len <= image->len - offset);
	if (len)
		memcpy(image->to + offset, bytes, len);
	return 0;
}

int cellbox_decode(struct cellbox *box, uint8_t *out, size_t len, struct err *err)
{
	struct image whole = {.box = box, .to = out, .len = len};
	struct cells_feed feed = {.arg = &whole, .next = feed_chunk};
	struct cells_target target = {.arg = &whole, .write = write_image};
	int rc;

	memset(out, 0, len);
	memset(box->fed, 0, sizeof(box->fed));
	memset(box->ends, 0, sizeof(box->ends));
	box->calls = 0;
	rc = cells_decode(&feed, len, &target, err);
	for (int stream = 0; stream < CELLBOX_STREAMS; stream++) {
		free(box->lent[stream]);
		box->lent[stream] = NULL;
	}
	return rc;
}

void cellbox_free(struct cellbox *box)
{
	for (int stream = 0; stream < CELLBOX_STREAMS; stream++) {
		for (size_t i = 0; i < box->count[stream]; i++)
			free(box->chunks[stream][i].bytes);
		free(box->chunks[stream]);
		free(box->lent[stream]);
	}
	memset(box, 0, sizeof(*box));
}
