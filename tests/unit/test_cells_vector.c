/*
 * A database of a few rows and its two streams, byte for byte (FORMAT.md §11), as tests/vectors/cells.hex has them: pages of 512 bytes, rowids
 * below zero and far apart, a payload with an overflow page. The second reader is given the same (tests/cli/reader.bats).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "core/buf.h"
#include "tests/support/cellbox.h"
#include "tests/support/must.h"
#include "tests/support/vector.h"

static void assert_stream(const struct cellbox *box, enum cells_stream stream, const char *name)
{
	struct buf want = vector_get("cells.hex", name);

	assert_int_equal(box->count[stream], 1);
	assert_int_equal(box->chunks[stream][0].len, want.len);
	assert_memory_equal(box->chunks[stream][0].bytes, want.data, want.len);
	buf_free(&want);
}

static void test_known_bytes(void **state)
{
	static const uint8_t key[32] = {1};
	static struct chunker cutter;
	static uint8_t again[4096];
	struct buf image = vector_get("cells.hex", "image");
	struct cellbox box = {0};
	struct cells_stats stats;
	struct err err = {0};

	(void)state;
	chunker_init(&cutter, key);
	MUST(cellbox_encode(&box, image.data, image.len, &cutter, &stats, &err), &err);
	assert_stream(&box, CELLS_LAYOUT, "layout");
	assert_stream(&box, CELLS_DATA, "data");
	assert_true(image.len <= sizeof(again));
	memset(again, 0, sizeof(again));
	MUST(cellbox_decode(&box, again, image.len, &err), &err);
	assert_memory_equal(again, image.data, image.len);
	cellbox_free(&box);
	buf_free(&image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_known_bytes)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
