#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>
#include <zstd.h>

#include "core/comp.h"
#include "core/limits.h"

static struct comp *comp;

static int setup(void **state)
{
	struct err err = {0};

	(void)state;
	return comp_new(0, &comp, &err);
}

static int teardown(void **state)
{
	(void)state;
	comp_free(comp);
	comp_free(NULL);
	return 0;
}

static void put_text(struct buf *b, size_t len)
{
	for (size_t i = 0; b->len < len; i++) {
		buf_put_u8(b, (uint8_t)('a' + i * i % 17));
		buf_put_u8(b, (uint8_t)(i / 1000));
	}
	b->len = len;
}

static void round_trip(const void *plain, size_t len, uint8_t codec)
{
	struct buf packed = {0}, back = {0};
	struct err err = {0};
	uint8_t made = 99;

	buf_put(&packed, "front", 5);
	buf_put(&back, "front", 5);
	assert_int_equal(comp_put(comp, plain, len, &packed, &made, &err), 0);
	assert_int_equal(made, codec);
	assert_memory_equal(packed.data, "front", 5);
	if (codec == CODEC_ZSTD)
		assert_true(packed.len - 5 < len);
	else
		assert_int_equal(packed.len - 5, len);
	assert_int_equal(comp_get(comp, made, packed.data + 5, packed.len - 5, len, &back, &err),
			 0);
	assert_int_equal(back.len, len + 5);
	assert_memory_equal(back.data, "front", 5);
	if (len)
		assert_memory_equal(back.data + 5, plain, len);
	buf_free(&packed);
	buf_free(&back);
}

static void what_goes_in_comes_out(void **state)
{
	const size_t lens[] = {1000, 70000, 1u << 20, LIMIT_CHUNK_BYTES};
	struct buf text = {0};
	uint8_t noise[5000];

	(void)state;
	round_trip("", 0, CODEC_RAW);
	round_trip("x", 1, CODEC_RAW);
	round_trip("hello", 5, CODEC_RAW);
	randombytes_buf(noise, sizeof(noise));
	round_trip(noise, sizeof(noise), CODEC_RAW);
	for (size_t i = 0; i < 4; i++) {
		buf_reset(&text);
		put_text(&text, lens[i]);
		round_trip(text.data, text.len, CODEC_ZSTD);
	}
	buf_free(&text);
}

/* RFC 8878, 3.1.1.1: the descriptor is zero without content size, single segment, checksum and dictionary. */
static void frames_announce_nothing(void **state)
{
	struct buf text = {0}, packed = {0};
	struct err err = {0};
	uint8_t codec;

	(void)state;
	put_text(&text, 10000);
	assert_int_equal(comp_put(comp, text.data, text.len, &packed, &codec, &err), 0);
	assert_memory_equal(packed.data, "\x28\xb5\x2f\xfd\x00", 5);
	assert_true(ZSTD_getFrameContentSize(packed.data, packed.len) == ZSTD_CONTENTSIZE_UNKNOWN);
	buf_free(&text);
	buf_free(&packed);
}

static void refuse(uint8_t codec, const void *bytes, size_t len, size_t plain_len)
{
	struct buf out = {0};
	struct err err = {0};

	buf_put(&out, "kept", 4);
	assert_int_equal(comp_get(comp, codec, bytes, len, plain_len, &out, &err), -ERR_DAMAGED);
	assert_int_equal(out.len, 4);
	assert_true(err.text[0] != '\0');
	buf_free(&out);
}

/* What the library would write with its own defaults is not what the format has. */
static void frames_that_announce_are_refused(void **state)
{
	const ZSTD_cParameter flags[] = {ZSTD_c_contentSizeFlag, ZSTD_c_checksumFlag};
	struct buf text = {0};
	uint8_t frame[4096];

	(void)state;
	put_text(&text, 3000);
	for (size_t i = 0; i < 2; i++) {
		ZSTD_CCtx *cctx = ZSTD_createCCtx();
		size_t len;

		ZSTD_CCtx_setParameter(cctx, ZSTD_c_contentSizeFlag, 0);
		ZSTD_CCtx_setParameter(cctx, flags[i], 1);
		len = ZSTD_compress2(cctx, frame, sizeof(frame), text.data, text.len);
		assert_false(ZSTD_isError(len));
		refuse(CODEC_ZSTD, frame, len, text.len);
		ZSTD_freeCCtx(cctx);
	}
	refuse(CODEC_ZSTD, "\x50\x2a\x4d\x18\x00\x00\x00\x00", 8, 0);
	buf_free(&text);
}

static void damage_is_refused(void **state)
{
	struct buf text = {0}, packed = {0};
	struct err err = {0};
	uint8_t codec;

	(void)state;
	put_text(&text, 3000);
	assert_int_equal(comp_put(comp, text.data, text.len, &packed, &codec, &err), 0);
	for (size_t len = 0; len < packed.len; len++)
		refuse(CODEC_ZSTD, packed.data, len, text.len);
	refuse(CODEC_ZSTD, packed.data, packed.len, text.len - 1);
	refuse(CODEC_ZSTD, packed.data, packed.len, text.len + 1);
	refuse(CODEC_RAW, packed.data, packed.len, packed.len - 1);
	refuse(CODEC_RAW, packed.data, packed.len, packed.len + 1);
	refuse(CODEC_DELTA, packed.data, packed.len, text.len);
	refuse(3, packed.data, packed.len, text.len);
	refuse(255, packed.data, packed.len, text.len);
	refuse(CODEC_RAW, packed.data, packed.len, (size_t)LIMIT_CHUNK_BYTES + 1);
	refuse(CODEC_ZSTD, packed.data, packed.len, SIZE_MAX);
	/* Bytes left over, be it rubbish, an empty frame or a skippable one. */
	buf_put_u8(&packed, 0);
	refuse(CODEC_ZSTD, packed.data, packed.len, text.len);
	packed.len--;
	buf_put(&packed, "\x28\xb5\x2f\xfd\x00\x00\x01\x00\x00", 9);
	refuse(CODEC_ZSTD, packed.data, packed.len, text.len);
	packed.len -= 9;
	buf_put(&packed, "\x50\x2a\x4d\x18\x00\x00\x00\x00", 8);
	refuse(CODEC_ZSTD, packed.data, packed.len, text.len);
	buf_free(&text);
	buf_free(&packed);
}

/* A flipped bit may give other bytes (the AEAD is there for that), but never another length, nor a crash. */
static void flipped_bits_do_no_harm(void **state)
{
	struct buf text = {0}, packed = {0}, out = {0};
	struct err err = {0};
	uint8_t codec;

	(void)state;
	put_text(&text, 3000);
	assert_int_equal(comp_put(comp, text.data, text.len, &packed, &codec, &err), 0);
	for (size_t bit = 0; bit < packed.len * 8; bit++) {
		packed.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		buf_reset(&out);
		if (comp_get(comp, codec, packed.data, packed.len, text.len, &out, &err) == 0)
			assert_int_equal(out.len, text.len);
		else
			assert_int_equal(out.len, 0);
		packed.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	buf_reset(&out);
	assert_int_equal(comp_get(comp, codec, packed.data, packed.len, text.len, &out, &err), 0);
	assert_memory_equal(out.data, text.data, text.len);
	buf_free(&text);
	buf_free(&packed);
	buf_free(&out);
}

/* 16 blocks of 128 KiB out of 4 bytes each are refused at the promised length, not unpacked. */
static void a_bomb_is_bounded(void **state)
{
	struct buf frame = {0};

	(void)state;
	buf_put(&frame, "\x28\xb5\x2f\xfd\x00\x70", 6);
	for (unsigned i = 0; i < 16; i++) {
		uint32_t head = (i == 15) | 1u << 1 | 131072u << 3;

		buf_put_u8(&frame, (uint8_t)head);
		buf_put_u8(&frame, (uint8_t)(head >> 8));
		buf_put_u8(&frame, (uint8_t)(head >> 16));
		buf_put_u8(&frame, 'z');
	}
	refuse(CODEC_ZSTD, frame.data, frame.len, 1000);
	round_trip(frame.data, 0, CODEC_RAW);
	buf_free(&frame);
}

static void levels_and_lengths_are_bounded(void **state)
{
	struct comp *other = NULL;
	struct buf out = {0};
	struct err err = {0};
	uint8_t codec, *big = calloc(1, (size_t)LIMIT_CHUNK_BYTES + 1);

	(void)state;
	assert_non_null(big);
	assert_int_equal(comp_new(-1, &other, &err), -ERR_USAGE);
	assert_int_equal(comp_new(20, &other, &err), -ERR_USAGE);
	assert_null(other);
	assert_int_equal(comp_put(comp, big, (size_t)LIMIT_CHUNK_BYTES + 1, &out, &codec, &err),
			 -ERR_LIMIT);
	assert_int_equal(out.len, 0);
	assert_int_equal(comp_new(19, &other, &err), 0);
	comp_free(comp);
	comp = other;
	round_trip(big, LIMIT_CHUNK_BYTES, CODEC_ZSTD);
	buf_free(&out);
	free(big);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_goes_in_comes_out),
	    cmocka_unit_test(frames_announce_nothing),
	    cmocka_unit_test(frames_that_announce_are_refused),
	    cmocka_unit_test(damage_is_refused),
	    cmocka_unit_test(flipped_bits_do_no_harm),
	    cmocka_unit_test(a_bomb_is_bounded),
	    cmocka_unit_test(levels_and_lengths_are_bounded),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
