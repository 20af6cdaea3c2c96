#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "core/seal.h"
#include "tests/support/known.h"

#define COUNTER 0x0102030405060708u

static int dec(void *arg, const uint8_t *bytes, size_t len)
{
	struct buf out = {0};
	struct err err = {0};
	int rc = seal_get(arg, COUNTER, "bound", 5, bytes, len, "thing", &out, &err);

	if (rc != 0)
		assert_int_equal(out.len, 0);
	buf_free(&out);
	return rc;
}

static void knows_answers(void **state)
{
	struct buf key = known_get("seal", "key"), out = {0}, plain = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(seal_put(key.data, COUNTER, "bound", 5, "sealed text", 11, &out, &err), 0);
	known_expect("seal", "sealed", out.data, out.len);
	assert_int_equal(
	    seal_get(key.data, COUNTER, "bound", 5, out.data, out.len, "thing", &plain, &err), 0);
	known_expect("seal", "plain", plain.data, plain.len);
	buf_reset(&out);
	assert_int_equal(seal_put(key.data, 0, NULL, 0, "", 0, &out, &err), 0);
	known_expect("seal", "nothing", out.data, out.len);
	buf_free(&key);
	buf_free(&out);
	buf_free(&plain);
}

static void refuses_what_was_changed(void **state)
{
	struct buf key = known_get("seal", "key"), sealed = known_get("seal", "sealed");
	struct decoder d = {dec, key.data};
	struct buf out = {0};
	struct err err = {0};

	(void)state;
	expect_prefixes_refused(&d, sealed.data, sealed.len);
	expect_flips_refused(&d, sealed.data, sealed.len, 0, sealed.len);
	/* What is shorter than a tag is damage, not a lack of memory. */
	for (size_t len = 0; len <= SEAL_TAG_BYTES; len++)
		assert_int_equal(dec(key.data, sealed.data, len), -ERR_DAMAGED);
	buf_put(&out, "kept", 4);
	assert_int_equal(seal_get(key.data, COUNTER + 1, "bound", 5, sealed.data, sealed.len,
				  "thing", &out, &err),
			 -ERR_DAMAGED);
	assert_non_null(strstr(err.text, "thing"));
	assert_int_equal(
	    seal_get(key.data, COUNTER, "Bound", 5, sealed.data, sealed.len, "thing", &out, &err),
	    -ERR_DAMAGED);
	key.data[0] ^= 1;
	assert_int_equal(dec(key.data, sealed.data, sealed.len), -ERR_DAMAGED);
	assert_int_equal(out.len, 4);
	buf_free(&out);
	buf_free(&key);
	buf_free(&sealed);
}

/* "All bytes before": what is bound lies in the buffer that grows and moves. */
static void binds_its_own_buffer(void **state)
{
	uint8_t key[32] = {1}, before[250];
	struct buf out = {0}, plain = {0};
	struct err err = {0};

	(void)state;
	memset(before, 'b', sizeof(before));
	for (size_t skip = 0; skip <= 100; skip += 100) {
		buf_free(&out);
		buf_put(&out, before, sizeof(before));
		assert_int_equal(
		    seal_put(key, 1, out.data + skip, out.len - skip, before, 250, &out, &err), 0);
		buf_reset(&plain);
		assert_int_equal(seal_get(key, 1, before, sizeof(before) - skip, out.data + 250,
					  out.len - 250, "thing", &plain, &err),
				 0);
		assert_memory_equal(plain.data, before, 250);
	}
	buf_free(&out);
	buf_free(&plain);
}

static void survives_no_memory(void **state)
{
	struct buf out = {.failed = true};
	uint8_t key[32] = {0}, sealed[16] = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(seal_put(key, 0, NULL, 0, "x", 1, &out, &err), -ERR_NOMEM);
	assert_int_equal(seal_get(key, 0, NULL, 0, sealed, 16, "thing", &out, &err), -ERR_NOMEM);
	assert_int_equal(seal_put(key, 0, NULL, 0, "x", SIZE_MAX, &out, &err), -ERR_NOMEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(knows_answers),
	    cmocka_unit_test(refuses_what_was_changed),
	    cmocka_unit_test(binds_its_own_buffer),
	    cmocka_unit_test(survives_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
