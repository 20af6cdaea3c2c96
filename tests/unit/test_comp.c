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
	assert_int_equal(comp_put(comp, 0, plain, len, &packed, &made, &err), 0);
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
	assert_int_equal(comp_put(comp, 0, text.data, text.len, &packed, &codec, &err), 0);
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
	assert_int_equal(comp_put(comp, 0, text.data, text.len, &packed, &codec, &err), 0);
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
	assert_int_equal(comp_put(comp, 0, text.data, text.len, &packed, &codec, &err), 0);
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
	assert_int_equal(comp_put(comp, 0, big, (size_t)LIMIT_CHUNK_BYTES + 1, &out, &codec, &err),
			 -ERR_LIMIT);
	assert_int_equal(out.len, 0);
	assert_int_equal(comp_new(19, &other, &err), 0);
	comp_free(comp);
	comp = other;
	round_trip(big, LIMIT_CHUNK_BYTES, CODEC_ZSTD);
	buf_free(&out);
	free(big);
}

/* --- deltas --- */

/* Rows of a table: two nights of it differ in one row of many. */
static void put_rows(struct buf *b, size_t len, unsigned night)
{
	for (unsigned row = 0; b->len < len; row++) {
		unsigned seed = row * 2654435761u + (row % 97 == 5 ? night : 0);

		for (unsigned i = 0; i < 40; i++) {
			seed = seed * 1103515245u + 12345;
			buf_put_u8(b, (uint8_t)("0123456789abcdef"[seed >> 28]));
		}
	}
	b->len = len;
}

static struct buf delta_of(struct comp *c, const struct buf *prefix, const struct buf *plain)
{
	struct buf packed = {0};
	struct err err = {0};

	buf_put(&packed, "front", 5);
	assert_int_equal(comp_put_delta(c, COMP_DELTA_FAST, prefix->data, prefix->len, plain->data,
					plain->len, &packed, &err),
			 0);
	assert_memory_equal(packed.data, "front", 5);
	memmove(packed.data, packed.data + 5, packed.len - 5);
	packed.len -= 5;
	return packed;
}

static int undelta(const struct buf *prefix, const struct buf *packed, size_t plain_len,
		   struct buf *out, struct err *err)
{
	return comp_get_delta(comp, prefix->data, prefix->len, packed->data, packed->len, plain_len,
			      out, err);
}

static void assert_delta(const struct buf *prefix, const struct buf *plain, size_t at_most)
{
	struct buf packed = delta_of(comp, prefix, plain), back = {0};
	struct err err = {0};

	assert_true(packed.len <= at_most);
	assert_memory_equal(packed.data, "\x28\xb5\x2f\xfd\x00", 5);
	buf_put(&back, "front", 5);
	assert_int_equal(undelta(prefix, &packed, plain->len, &back, &err), 0);
	assert_int_equal(back.len, plain->len + 5);
	assert_memory_equal(back.data, "front", 5);
	if (plain->len)
		assert_memory_equal(back.data + 5, plain->data, plain->len);
	buf_free(&packed);
	buf_free(&back);
}

static void deltas_come_back(void **state)
{
	const size_t lens[] = {0, 1, 1000, 65536, 262144, LIMIT_CHUNK_BYTES};
	struct buf old = {0}, now = {0}, none = {0};
	size_t most;

	(void)state;
	for (size_t i = 0; i < 6; i++) {
		buf_reset(&old);
		buf_reset(&now);
		put_rows(&old, lens[i], 1);
		put_rows(&now, lens[i], 2);
		/* Small where chunks of rows are; how small one of 8 MiB becomes is not promised. */
		most = lens[i] > 262144 ? lens[i] : lens[i] / 20 + 100;
		assert_delta(&old, &now, most);
		assert_delta(&now, &old, most);
		assert_delta(&old, &none, 20);
		assert_delta(&none, &now, lens[i] + 100);
	}
	buf_free(&old);
	buf_free(&now);
}

/* The window covers bases and plaintext: with 1 MiB of it the second half would find nothing. */
static void the_window_covers_all(void **state)
{
	struct buf bases = {0}, now = {0};

	(void)state;
	put_rows(&bases, 1500000, 1);
	put_rows(&now, 1500000, 2);
	assert_delta(&bases, &now, 40000);
	buf_free(&bases);
	buf_free(&now);
}

/* A worker's context has seen other chunks than another's; what it makes must not tell. */
static void deltas_depend_on_nothing_else(void **state)
{
	struct buf old = {0}, now = {0}, large = {0}, plain[2] = {0}, delta[2] = {0};
	struct comp *fresh = NULL;
	struct err err = {0};
	uint8_t codec;

	(void)state;
	put_rows(&old, 100000, 1);
	put_rows(&now, 90000, 2);
	put_rows(&large, 3000000, 1); /* so large that a window which is left set would show */
	for (size_t n = 0; n < 20; n++) {
		struct buf noise = {0}, made;

		assert_int_equal(comp_new(0, &fresh, &err), 0);
		delta[1] = delta_of(fresh, &old, &now);
		comp_free(fresh);
		assert_int_equal(comp_new(0, &fresh, &err), 0);
		buf_reset(&plain[1]);
		assert_int_equal(comp_put(fresh, 0, large.data, large.len, &plain[1], &codec, &err),
				 0);
		comp_free(fresh);
		put_rows(&noise, 1 + n * n * 4000, (unsigned)n);
		made = delta_of(comp, &now, &noise);
		buf_free(&made);
		delta[0] = delta_of(comp, &old, &now);
		buf_reset(&plain[0]);
		assert_int_equal(comp_put(comp, 0, large.data, large.len, &plain[0], &codec, &err),
				 0);
		assert_int_equal(plain[0].len, plain[1].len);
		assert_memory_equal(plain[0].data, plain[1].data, plain[0].len);
		assert_int_equal(delta[0].len, delta[1].len);
		assert_memory_equal(delta[0].data, delta[1].data, delta[0].len);
		buf_free(&noise);
		buf_free(&delta[0]);
		buf_free(&delta[1]);
	}
	buf_free(&old);
	buf_free(&now);
	buf_free(&large);
	buf_free(&plain[0]);
	buf_free(&plain[1]);
}

static void refuse_delta(const struct buf *prefix, const struct buf *packed, size_t plain_len)
{
	struct buf out = {0};
	struct err err = {0};

	buf_put(&out, "kept", 4);
	assert_int_equal(undelta(prefix, packed, plain_len, &out, &err), -ERR_DAMAGED);
	assert_int_equal(out.len, 4);
	assert_true(err.text[0] != '\0');
	buf_free(&out);
}

static void damaged_deltas_are_refused(void **state)
{
	struct buf old = {0}, now = {0}, packed, none = {0};

	(void)state;
	put_rows(&old, 5000, 1);
	put_rows(&now, 5000, 2);
	packed = delta_of(comp, &old, &now);
	refuse_delta(&old, &packed, now.len - 1);
	refuse_delta(&old, &packed, now.len + 1);
	refuse_delta(&old, &packed, (size_t)LIMIT_CHUNK_BYTES + 1);
	refuse_delta(&none, &packed, now.len); /* matches reach back before the start */
	old.len = COMP_PREFIX_BYTES + 1;
	refuse_delta(&old, &packed, now.len);
	old.len = 5000;
	for (size_t len = packed.len; packed.len > 0; packed.len = --len)
		refuse_delta(&old, &(struct buf){.data = packed.data, .len = packed.len - 1},
			     now.len);
	/* And no refusal leaves a prefix behind. */
	refuse(CODEC_DELTA, now.data, now.len, now.len);
	round_trip(now.data, now.len, CODEC_ZSTD);
	buf_free(&old);
	buf_free(&now);
	buf_free(&packed);
}

static void too_large_deltas_are_not_made(void **state)
{
	uint8_t *big = calloc(1, (size_t)COMP_PREFIX_BYTES + 1);
	struct buf out = {0};
	struct err err = {0};

	(void)state;
	assert_non_null(big);
	assert_int_equal(comp_put_delta(comp, COMP_DELTA_FAST, big, 10, big,
					(size_t)LIMIT_CHUNK_BYTES + 1, &out, &err),
			 -ERR_LIMIT);
	assert_int_equal(comp_put_delta(comp, COMP_DELTA_FAST, big, (size_t)COMP_PREFIX_BYTES + 1,
					big, 10, &out, &err),
			 -ERR_LIMIT);
	assert_int_equal(out.len, 0);
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
	    cmocka_unit_test(deltas_come_back),
	    cmocka_unit_test(the_window_covers_all),
	    cmocka_unit_test(deltas_depend_on_nothing_else),
	    cmocka_unit_test(damaged_deltas_are_refused),
	    cmocka_unit_test(too_large_deltas_are_not_made),
	    cmocka_unit_test(levels_and_lengths_are_bounded),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
