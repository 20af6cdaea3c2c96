/*
 * u8 codec, u32 plaintext length, stored bytes: decoding gives exactly that length or nothing. The same bytes as
 * plaintext come back from compression, and from a delta: the first half is the prefix, the second what rests on it. With
 * codec 2 a quarter of the bytes is a prefix, and the rest a frame to be read with it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/comp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_get(struct comp *c, const uint8_t *data, size_t size)
{
	struct rd r = rd_of(data, size);
	uint8_t codec = rd_u8(&r);
	size_t plain_len = rd_u32(&r);
	struct buf out = {0};
	struct err err = {0};
	size_t prefix = codec == CODEC_DELTA ? r.left / 4 : 0;
	int rc = codec == CODEC_DELTA ? comp_get_delta(c, r.p, prefix, r.p + prefix,
						       r.left - prefix, plain_len, &out, &err)
				      : comp_get(c, codec, r.p, r.left, plain_len, &out, &err);

	if (out.len != (rc ? 0 : plain_len))
		abort();
	buf_free(&out);
}

static void check_round_trip(struct comp *c, const uint8_t *data, size_t size)
{
	struct buf packed = {0}, out = {0};
	struct err err = {0};
	uint8_t codec;

	if (comp_put(c, 0, data, size, &packed, &codec, &err) == 0) {
		if (packed.len > size ||
		    comp_get(c, codec, packed.data, packed.len, size, &out, &err) != 0 ||
		    out.len != size || (size && memcmp(out.data, data, size) != 0))
			abort();
	}
	buf_free(&packed);
	buf_free(&out);
}

static void check_delta(struct comp *c, const uint8_t *data, size_t size)
{
	size_t half = size / 2;
	struct buf packed = {0}, out = {0};
	struct err err = {0};

	if (comp_put_delta(c, COMP_DELTA_FAST, data, half, data + half, size - half, &packed,
			   &err) == 0) {
		if (comp_get_delta(c, data, half, packed.data, packed.len, size - half, &out,
				   &err) != 0 ||
		    out.len != size - half ||
		    (out.len && memcmp(out.data, data + half, out.len) != 0))
			abort();
	}
	buf_free(&packed);
	buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct comp *c = NULL;
	struct err err = {0};

	if (comp_new(1, &c, &err) != 0)
		return 0;
	check_get(c, data, size);
	check_round_trip(c, data, size);
	check_delta(c, data, size);
	check_round_trip(c, data, size);
	comp_free(c);
	return 0;
}
