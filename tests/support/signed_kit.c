#include "tests/support/signed_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/sign.h"

void signed_kit_cut_and_flip(struct manifest_kit_ring *ring, signed_kit_sample_fn *sample,
			     signed_kit_dec_fn *dec, size_t dense)
{
	struct buf object = {0};

	sample(ring, &object);
	assert_int_equal(dec(ring->full, object.data, object.len), 0);
	for (size_t len = 0; len < object.len; len += len < dense ? 1 : 61)
		assert_true(dec(ring->full, object.data, len) < 0);
	for (size_t i = 0; i < object.len * 8; i += i / 8 < dense ? 1 : 9) {
		object.data[i / 8] ^= (uint8_t)(1u << (i % 8));
		assert_true(dec(ring->write, object.data, object.len) < 0);
		object.data[i / 8] ^= (uint8_t)(1u << (i % 8));
	}
	buf_put_u8(&object, 0);
	assert_true(dec(ring->full, object.data, object.len) < 0);
	buf_free(&object);
}

int signed_kit_change(struct manifest_kit_ring *ring, signed_kit_sample_fn *sample,
		      signed_kit_dec_fn *dec, struct keys *reader, size_t at, uint8_t to,
		      const char *tag)
{
	struct buf object = {0};
	struct err err = {0};
	int rc;

	sample(ring, &object);
	object.data[at] = to;
	object.len -= SIGN_BYTES;
	assert_int_equal(sign_append(&object, tag, ring->full->writer_secret, &err), 0);
	rc = dec(reader, object.data, object.len);
	buf_free(&object);
	return rc;
}
