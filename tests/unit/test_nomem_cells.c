/* Out of memory in the cell codec: each allocation fails once, while images are taken apart and put together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cells.h"
#include "tests/support/cellbox.h"
#include "tests/support/dbkit.h"
#include "tests/support/must.h"
#include "tests/support/nomem.h"

static const uint8_t chunker_key[32] = {3};

/* --- cells: of an image of the fuzz corpus, with its streams kept before --- */

static struct {
	uint8_t *image;
	size_t len;
	struct cellbox streams;
	size_t next[CELLBOX_STREAMS];
} cells;

static int read_image(void *arg, uint64_t offset, void *out, size_t len, struct err *err)
{
	(void)arg;
	(void)err;
	memcpy(out, cells.image + offset, len);
	return 0;
}

static int drop_chunk(void *arg, enum cells_stream stream, uint64_t key_hash, const void *bytes,
		      size_t len, struct err *err)
{
	(void)arg;
	(void)stream;
	(void)key_hash;
	(void)bytes;
	(void)len;
	(void)err;
	return 0;
}

static int next_chunk(void *arg, enum cells_stream stream, const uint8_t **out_bytes,
		      size_t *out_len, struct err *err)
{
	size_t at = cells.next[stream];

	(void)arg;
	(void)err;
	*out_len = 0;
	if (at == cells.streams.count[stream])
		return 0;
	cells.next[stream]++;
	*out_bytes = cells.streams.chunks[stream][at].bytes;
	*out_len = cells.streams.chunks[stream][at].len;
	return 0;
}

static int drop_bytes(void *arg, uint64_t offset, const void *bytes, size_t len, struct err *err)
{
	(void)arg;
	(void)offset;
	(void)bytes;
	(void)len;
	(void)err;
	return 0;
}

static int run_cells(struct err *err)
{
	const struct cells_source source = {.bytes = cells.len, .read = read_image};
	const struct cells_sink sink = {.chunk = drop_chunk};
	const struct cells_feed feed = {.next = next_chunk};
	const struct cells_target target = {.write = drop_bytes};
	static struct chunker cutter;
	struct cells_stats stats;
	int rc;

	chunker_init(&cutter, chunker_key);
	memset(cells.next, 0, sizeof(cells.next));
	rc = cells_encode(&source, &cutter, &sink, &stats, err);
	return rc ? rc : cells_decode(&feed, cells.len, &target, err);
}

static void test_cells(void **state)
{
	static const char *const names[] = {"overflow", "without_rowid", "holes",
					    "indexes",  "deep",          "no_database"};
	static struct chunker cutter;
	unsigned long all = 0;

	(void)state;
	if (!nomem_works)
		skip();
	chunker_init(&cutter, chunker_key);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct nomem_op op = {names[i], run_cells};
		uint8_t *file;
		char path[200];
		struct cells_stats stats;
		struct err err = {0};

		(void)snprintf(path, sizeof(path), "fuzz/corpus/cells/%s", names[i]);
		file = kit_slurp(path, &cells.len);
		assert_non_null(file);
		/* Its first byte says that the rest is an image. */
		cells.image = file + 1;
		cells.len--;
		MUST(cellbox_encode(&cells.streams, cells.image, cells.len, &cutter, &stats, &err),
		     &err);
		all += nomem_each(&op);
		cellbox_free(&cells.streams);
		free(file);
	}
	print_message("# of %zu images %lu allocations failed\n", sizeof(names) / sizeof(names[0]),
		      all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_cells)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
