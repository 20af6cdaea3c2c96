/* decode(encode(x)) = x, over the images of the grid; and what the codec does when the other side fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/cellbox.h"
#include "tests/support/dbgrid.h"
#include "tests/support/dbkit.h"
#include "tests/support/must.h"

#define SOUND_LEAST 500
#define BROKEN_LEAST 1000
#define COMBINATIONS (DBGRID_PAGE_SIZES * 3 * 3)

struct grid {
	struct chunker cutter;
	struct cellbox box;
	unsigned sound, broken;
	bool seen[COMBINATIONS]; /* page size, encoding, auto_vacuum */
};

static int setup(void **state)
{
	struct grid *g = calloc(1, sizeof(*g));
	uint8_t key[32];

	assert_non_null(g);
	memset(key, 11, sizeof(key));
	chunker_init(&g->cutter, key);
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	struct grid *g = *state;

	cellbox_free(&g->box);
	free(g);
	return 0;
}

static uint8_t *room_for(size_t len)
{
	uint8_t *p = malloc(len ? len : 1);

	assert_non_null(p);
	return p;
}

/* Every chunk that was made was asked for, none was missed, and what counts the chunks counts right. */
static void chunks_are_used(const struct cellbox *box, const struct cells_stats *stats,
			    const char *name)
{
	uint64_t bytes[CELLBOX_STREAMS] = {0};

	for (int stream = 0; stream < CELLBOX_STREAMS; stream++) {
		for (size_t i = 0; i < box->count[stream]; i++)
			bytes[stream] += box->chunks[stream][i].len;
		if (box->fed[stream] != box->count[stream] || box->ends[stream] > 1)
			fail_msg("%s: stream %d: %zu of %zu chunks used, told its end %u times",
				 name, stream, box->fed[stream], box->count[stream],
				 box->ends[stream]);
	}
	if (stats->layout_chunks != box->count[CELLS_LAYOUT] ||
	    stats->data_chunks != box->count[CELLS_DATA])
		fail_msg("%s: chunks miscounted", name);
	if (stats->layout_bytes != bytes[CELLS_LAYOUT] || stats->data_bytes != bytes[CELLS_DATA])
		fail_msg(
		    "%s: %llu and %llu bytes counted, %llu and %llu made", name,
		    (unsigned long long)stats->layout_bytes, (unsigned long long)stats->data_bytes,
		    (unsigned long long)bytes[CELLS_LAYOUT], (unsigned long long)bytes[CELLS_DATA]);
}

static size_t first_difference(const uint8_t *a, const uint8_t *b, size_t len)
{
	size_t i = 0;

	while (i < len && a[i] == b[i])
		i++;
	return i;
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The image is what the recipe promises, by its own header. */
static void note_combination(struct grid *g, const struct dbgrid_image *image)
{
	const uint8_t *head = image->bytes;
	unsigned encoding = be32(head + 56), size = 0;
	unsigned auto_vacuum = be32(head + 52) == 0 ? 0 : be32(head + 64) ? 2 : 1;

	while (512u << size < image->page_bytes)
		size++;
	assert_int_equal(head[16] << 8 | head[17], (512u << size) % 65535);
	assert_int_equal(head[20], image->reserved_bytes);
	if (encoding != 0) /* none yet: without tables */
		g->seen[(size * 3 + encoding - 1) * 3 + auto_vacuum] = true;
}

static void sound_image(struct grid *g, const struct dbgrid_image *image,
			const struct cells_stats *stats)
{
	note_combination(g, image);
	g->sound++;
	if (stats->raw_pages > dbgrid_odd_pages(image))
		fail_msg("%s: %llu of %llu pages raw", image->name,
			 (unsigned long long)stats->raw_pages, (unsigned long long)stats->pages);
	/* Where VACUUM leaves no bytes of before, nearly all of the layout is as predicted. */
	if (image->form == DBGRID_VACUUM && image->secure_delete &&
	    stats->layout_bytes > 200 + image->len / 64)
		fail_msg("%s: a layout of %llu bytes", image->name,
			 (unsigned long long)stats->layout_bytes);
}

static void round_trip(void *arg, const struct dbgrid_image *image)
{
	struct grid *g = arg;
	struct cells_stats stats = {0};
	struct err err = {0};
	uint8_t *back = room_for(image->len);

	if (cellbox_encode(&g->box, image->bytes, image->len, &g->cutter, &stats, &err) != 0)
		fail_msg("%s: encode: %s", image->name, err.text);
	if (cellbox_decode(&g->box, back, image->len, &err) != 0)
		fail_msg("%s: decode: %s", image->name, err.text);
	if (memcmp(back, image->bytes, image->len) != 0)
		fail_msg("%s: differs from byte %zu", image->name,
			 first_difference(back, image->bytes, image->len));
	chunks_are_used(&g->box, &stats, image->name);
	if (image->form == DBGRID_BROKEN)
		g->broken++;
	else
		sound_image(g, image, &stats);
	free(back);
}

static void grid_round_trips(void **state)
{
	struct grid *g = *state;

	dbgrid_each(round_trip, g);
	assert_true(g->sound >= SOUND_LEAST);
	assert_true(g->broken >= BROKEN_LEAST);
	for (size_t i = 0; i < COMBINATIONS; i++)
		assert_true(g->seen[i]);
}

/* --- the other side fails --- */

/* Each call of the source or the sink fails once: the error comes out, nothing is lost (asan). */
static void encode_passes_errors_on(struct grid *g, const struct dbgrid_image *sample)
{
	struct cells_stats stats;
	struct err err = {0};
	int rc = -ERR_BUSY;
	unsigned long at;

	for (at = 1; rc != 0; at++) {
		g->box.fail_at = at;
		rc = cellbox_encode(&g->box, sample->bytes, sample->len, &g->cutter, &stats, &err);
		assert_true(rc == 0 || rc == -ERR_BUSY);
	}
	assert_true(at > 5);
}

static void decode_passes_errors_on(struct grid *g, const struct dbgrid_image *sample)
{
	uint8_t *back = room_for(sample->len);
	struct err err = {0};
	int rc = -ERR_BUSY;
	unsigned long at;

	for (at = 1; rc != 0; at += at / 50 + 1) {
		g->box.fail_at = at;
		rc = cellbox_decode(&g->box, back, sample->len, &err);
		assert_true(rc == 0 || rc == -ERR_BUSY);
	}
	assert_true(at > 5);
	assert_memory_equal(back, sample->bytes, sample->len);
	g->box.fail_at = 0;
	free(back);
}

/* The stream's last chunk comes again. */
static void chunk_too_many(struct cellbox *box, int stream, struct dbgrid_image *back)
{
	size_t count = box->count[stream];
	struct cellbox_chunk *more = calloc(count + 1, sizeof(*more)),
			     *chunks = box->chunks[stream];
	struct err err = {0};
	int rc;

	assert_non_null(more);
	memcpy(more, chunks, count * sizeof(*more));
	more[count] = chunks[count - 1];
	box->chunks[stream] = more;
	box->count[stream]++;
	rc = cellbox_decode(box, back->bytes, back->len, &err);
	box->count[stream]--;
	box->chunks[stream] = chunks;
	free(more);
	assert_int_equal(rc, -ERR_DAMAGED);
}

/* A chunk that is missing, cut, or there twice never gives an image silently. */
static void decode_misses_what_is_missing(struct grid *g, const struct dbgrid_image *sample)
{
	uint8_t *back = room_for(sample->len);
	struct err err = {0};

	for (int stream = 0; stream < CELLBOX_STREAMS; stream++) {
		struct cellbox_chunk *last = &g->box.chunks[stream][g->box.count[stream] - 1];

		assert_true(g->box.count[stream] > 0);
		g->box.count[stream]--;
		assert_int_equal(cellbox_decode(&g->box, back, sample->len, &err), -ERR_DAMAGED);
		g->box.count[stream]++;
		last->len--;
		assert_int_equal(cellbox_decode(&g->box, back, sample->len, &err), -ERR_DAMAGED);
		last->len++;
		chunk_too_many(&g->box, stream,
			       &(struct dbgrid_image){.bytes = back, .len = sample->len});
	}
	assert_int_equal(cellbox_decode(&g->box, back, sample->len - 1, &err), -ERR_DAMAGED);
	assert_int_equal(cellbox_decode(&g->box, back, 0, &err), -ERR_DAMAGED);
	free(back);
}

/* Seeded damage in the streams: an error or another image, but an end, and no write outside of it. */
static void decode_survives_damage(struct grid *g, const struct dbgrid_image *sample)
{
	uint8_t *back = room_for(sample->len);
	struct dbgrid_rng rng = {5};

	for (unsigned turn = 0; turn < 1500; turn++) {
		int stream = dbgrid_below(&rng, 3) == 0;
		size_t which = (size_t)dbgrid_below(&rng, g->box.count[stream]);
		struct cellbox_chunk *chunk = &g->box.chunks[stream][which];
		size_t at = (size_t)dbgrid_below(&rng, chunk->len);
		uint8_t was = chunk->bytes[at];
		struct err err = {0};

		chunk->bytes[at] ^= (uint8_t)(1 + dbgrid_below(&rng, 255));
		(void)cellbox_decode(&g->box, back, sample->len, &err);
		chunk->bytes[at] = was;
	}
	free(back);
}

static void other_side_fails(void **state)
{
	struct grid *g = *state;
	struct dbgrid_image sample = dbgrid_one("overflow", 1024, DBGRID_PLAIN);

	encode_passes_errors_on(g, &sample);
	decode_passes_errors_on(g, &sample);
	decode_misses_what_is_missing(g, &sample);
	decode_survives_damage(g, &sample);
	sample.bytes[0] ^= 1; /* no database any more */
	encode_passes_errors_on(g, &sample);
	decode_passes_errors_on(g, &sample);
	decode_misses_what_is_missing(g, &sample);
	decode_survives_damage(g, &sample);
	free(sample.bytes);
}

static void goes_round(struct grid *g, const uint8_t *image, size_t len, uint8_t *back)
{
	struct cells_stats stats = {0};
	struct err err = {0};

	MUST(cellbox_encode(&g->box, image, len, &g->cutter, &stats, &err), &err);
	MUST(cellbox_decode(&g->box, back, len, &err), &err);
	assert_memory_equal(back, image, len);
}

/* Each byte of pages that nothing is unusual about, also those that no cell has: a gap, padding of a cell of three bytes. */
static void any_byte_comes_back(void **state)
{
	struct grid *g = *state;
	sqlite3 *db = kit_open(":memory:");
	sqlite3_int64 len = 0;
	uint8_t *image, *back;

	kit_exec(db, "PRAGMA page_size = 512; CREATE TABLE t(a PRIMARY KEY) WITHOUT ROWID;"
		     "CREATE TABLE u(a); INSERT INTO t VALUES (0); INSERT INTO u VALUES (0), "
		     "(zeroblob(90)); VACUUM");
	image = sqlite3_serialize(db, "main", &len, 0);
	back = room_for((size_t)len);
	assert_int_equal(len, 3 * 512);
	for (size_t i = 0; i < 3 * (size_t)len; i++) {
		static const uint8_t turned[3] = {1, 128, 255};

		image[i / 3] ^= turned[i % 3];
		goes_round(g, image, (size_t)len, back);
		image[i / 3] ^= turned[i % 3];
	}
	free(back);
	sqlite3_free(image);
	(void)sqlite3_close(db);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(grid_round_trips, setup, teardown),
	    cmocka_unit_test_setup_teardown(any_byte_comes_back, setup, teardown),
	    cmocka_unit_test_setup_teardown(other_side_fails, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
