/* sightings: round trips, known bytes, everything that must be refused, and which are the newest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/sha256.h"
#include "core/sightings.h"
#include "tests/support/bytes.h"

static const uint8_t repo[REPO_ID_BYTES] = {0xaa, 1};

static struct sighting item(unsigned name, uint8_t writer, uint64_t sequence, uint8_t fate)
{
	struct sighting s = {
	    .name = bytes_id(name), .sequence = sequence, .time_ns = -5, .fate = fate};

	memset(s.writer, writer, sizeof(s.writer));
	return s;
}

/* Two of one writer, a fork of another, and what is only named, retired, accepted. */
static struct sightings sample(void)
{
	struct sightings s = {.retire_number = 7, .findings = 2};
	struct roster_writer w = {
	    .domain = 3, .first_sequence = 1, .last_sequence = 9, .version = 2};
	const uint8_t pub[32] = {5};
	struct err err = {0};

	memcpy(s.repo, repo, sizeof(repo));
	memset(s.owner_pub, 0x0f, sizeof(s.owner_pub));
	s.roster.epoch = 4;
	memset(w.pub, 0x33, sizeof(w.pub));
	assert_int_equal(roster_add_writer(&s.roster, &w, &err), 0);
	assert_int_equal(roster_add_epoch(&s.roster, 1, pub, &err), 0);
	s.items = calloc(7, sizeof(*s.items));
	assert_non_null(s.items);
	s.items[0] = item(1, 0x33, 1, SIGHTING_SEEN);
	s.items[1] = item(2, 0x33, 2, SIGHTING_SEEN);
	s.items[2] = item(3, 0x22, 5, SIGHTING_SEEN);
	s.items[3] = item(4, 0x22, 5, SIGHTING_SEEN);
	s.items[4] = item(5, 0x22, 4, SIGHTING_NAMED);
	s.items[5] = item(6, 0x22, 9, SIGHTING_RETIRED);
	s.items[6] = item(7, 0x22, 8, SIGHTING_ACCEPTED);
	s.count = 7;
	return s;
}

static void enc(const struct sightings *s, struct buf *out)
{
	struct err err = {0};

	assert_int_equal(sightings_enc(s, out, &err), 0);
}

static int dec(const void *bytes, size_t len)
{
	struct sightings s = {0};
	struct err err = {0};
	int rc = sightings_dec(bytes, len, repo, &s, &err);

	assert_int_equal(rc, -err.code);
	sightings_free(&s);
	return rc;
}

/* After a change of the bytes, so that it is not the sum that refuses them. */
static void sum_again(struct buf *b)
{
	struct err err = {0};
	struct id sum;

	assert_int_equal(sha256_of(b->data, b->len - 8, &sum, &err), 0);
	memcpy(b->data + b->len - 8, sum.b, 8);
}

static void test_round_trip(void **state)
{
	struct sightings s = sample(), back = {0};
	struct buf one = {0}, two = {0};
	struct err err = {0};

	(void)state;
	enc(&s, &one);
	assert_int_equal(sightings_dec(one.data, one.len, repo, &back, &err), 0);
	assert_int_equal(back.count, 7);
	assert_true(back.retire_number == 7 && back.findings == 2 && back.roster.epoch == 4);
	assert_int_equal(back.roster.writers[0].version, 2);
	for (size_t i = 0; i < 7; i++) {
		const struct sighting *found = sightings_find(&back, &s.items[i].name);

		assert_non_null(found);
		assert_memory_equal(found->writer, s.items[i].writer, 32);
		assert_true(found->sequence == s.items[i].sequence && found->time_ns == -5);
		assert_int_equal(found->fate, s.items[i].fate);
	}
	enc(&back, &two);
	assert_int_equal(one.len, two.len);
	assert_memory_equal(one.data, two.data, one.len);
	buf_free(&one);
	buf_free(&two);
	sightings_free(&s);
	sightings_free(&back);
}

static void test_known_bytes(void **state)
{
	struct sightings s = {.retire_number = 0x0102, .findings = 1};
	struct buf got = {0}, want = {0};

	(void)state;
	memset(s.repo, 0xaa, sizeof(s.repo));
	memset(s.owner_pub, 0xbb, sizeof(s.owner_pub));
	s.items = calloc(1, sizeof(*s.items));
	assert_non_null(s.items);
	s.items[0] = item(9, 0xcc, 3, SIGHTING_RETIRED);
	s.count = 1;
	enc(&s, &got);
	bytes_put_hex(&want, "6e6a7365656e0100");
	bytes_put_hex(&want, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
	buf_put(&want, s.owner_pub, 32);
	bytes_put_hex(&want, "02010000000000000100000000000000");
	bytes_put_hex(&want, "0000000000000000000000000000"); /* an empty roster */
	bytes_put_hex(&want, "01000000");
	buf_put(&want, s.items[0].name.b, ID_BYTES);
	buf_put(&want, s.items[0].writer, 32);
	bytes_put_hex(&want, "0300000000000000fbffffffffffffff03");
	assert_int_equal(got.len, want.len + 8);
	assert_memory_equal(got.data, want.data, want.len);
	buf_free(&got);
	buf_free(&want);
	sightings_free(&s);
}

static void test_every_byte_and_length(void **state)
{
	struct sightings s = sample();
	struct buf b = {0};

	(void)state;
	enc(&s, &b);
	for (size_t i = 0; i < b.len; i++) {
		b.data[i] ^= 4;
		assert_true(dec(b.data, b.len) < 0);
		b.data[i] ^= 4;
		assert_true(dec(b.data, i) < 0);
	}
	assert_int_equal(dec(b.data, b.len), 0);
	b.data[6] = 2;
	assert_int_equal(dec(b.data, b.len), -ERR_VERSION);
	buf_free(&b);
	sightings_free(&s);
}

/* What the sum vouches for and is wrong all the same. */
static void test_refused(void **state)
{
	struct sightings s = sample(), other = {0};
	struct buf b = {0};
	struct err err = {0};
	const uint8_t another[REPO_ID_BYTES] = {1};
	struct sighting swap;

	(void)state;
	enc(&s, &b);
	assert_int_equal(sightings_dec(b.data, b.len, another, &other, &err), -ERR_DAMAGED);
	b.data[b.len - 9] = 0; /* the fate of the last */
	sum_again(&b);
	assert_int_equal(dec(b.data, b.len), -ERR_DAMAGED);
	b.data[b.len - 9] = 5;
	sum_again(&b);
	assert_int_equal(dec(b.data, b.len), -ERR_DAMAGED);
	b.data[b.len - 9] = 4;
	sum_again(&b);
	assert_int_equal(dec(b.data, b.len), 0);
	buf_reset(&b);
	swap = s.items[0];
	s.items[0] = s.items[1];
	s.items[1] = swap;
	enc(&s, &b);
	assert_int_equal(dec(b.data, b.len), -ERR_DAMAGED);
	buf_reset(&b);
	s.items[0] = s.items[1];
	enc(&s, &b);
	assert_int_equal(dec(b.data, b.len), -ERR_DAMAGED);
	buf_free(&b);
	sightings_free(&s);
}

/* A count that the bytes do not hold asks for no memory. */
static void test_gigantic_counts(void **state)
{
	struct sightings s = {.count = 0};
	struct buf b = {0};
	struct err err = {0};

	(void)state;
	memcpy(s.repo, repo, sizeof(repo));
	enc(&s, &b);
	memset(b.data + b.len - 12, 0xff, 4);
	sum_again(&b);
	assert_int_equal(dec(b.data, b.len), -ERR_LIMIT);
	memset(b.data + b.len - 12, 0x0f, 4);
	b.data[b.len - 9] = 0;
	sum_again(&b);
	assert_int_equal(dec(b.data, b.len), -ERR_DAMAGED);
	s.count = LIMIT_SIGHTINGS + 1;
	buf_reset(&b);
	assert_int_equal(sightings_enc(&s, &b, &err), -ERR_LIMIT);
	assert_int_equal(b.len, 0);
	buf_free(&b);
}

/* The roster in it is under no signature. */
static void test_roster_refused(void **state)
{
	const size_t kept_at = 182;
	struct sightings s = sample();
	struct buf b = {0};
	struct err err = {0};

	(void)state;
	enc(&s, &b);
	memset(b.data + kept_at, 0xff, 4);
	sum_again(&b);
	assert_int_equal(dec(b.data, b.len), -ERR_LIMIT);
	memset(b.data + kept_at, 0, 4);
	b.data[kept_at + 1] = 4; /* 1,024 names */
	sum_again(&b);
	assert_int_equal(dec(b.data, b.len), -ERR_DAMAGED);
	b.len = kept_at + 2 + 8; /* the count itself is cut */
	sum_again(&b);
	assert_int_equal(dec(b.data, b.len), -ERR_DAMAGED);
	buf_reset(&b);
	s.roster.epoch_count = LIMIT_EPOCHS + 1;
	assert_int_equal(sightings_enc(&s, &b, &err), -ERR_LIMIT);
	s.roster.epoch_count = 1;
	s.roster.writer_count = LIMIT_WRITERS + 1;
	assert_int_equal(sightings_enc(&s, &b, &err), -ERR_LIMIT);
	s.roster.writer_count = 1;
	enc(&s, &b);
	b.data[6] = 0; /* a version that never was */
	sum_again(&b);
	assert_int_equal(dec(b.data, b.len), -ERR_DAMAGED);
	assert_int_equal(dec(b.data, LIMIT_SIGHTINGS_BYTES + 1), -ERR_LIMIT);
	buf_free(&b);
	sightings_free(&s);
}

static void test_newest(void **state)
{
	struct sightings s = sample(), none = {0};
	struct sighting *newest = NULL;
	struct err err = {0};
	size_t count = 0;

	(void)state;
	assert_int_equal(sightings_newest(&s, &newest, &count, &err), 0);
	assert_int_equal(
	    count, 3); /* both of the fork; what was only named, retired or lost is not shown */
	assert_true(id_eq(&newest[0].name, &s.items[2].name));
	assert_true(id_eq(&newest[1].name, &s.items[3].name));
	assert_true(id_eq(&newest[2].name, &s.items[1].name));
	free(newest);
	assert_int_equal(sightings_newest(&none, &newest, &count, &err), 0);
	assert_int_equal(count, 0);
	assert_null(sightings_find(&none, &s.items[0].name));
	free(newest);
	sightings_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_known_bytes),
	    cmocka_unit_test(test_every_byte_and_length),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_gigantic_counts),
	    cmocka_unit_test(test_roster_refused),
	    cmocka_unit_test(test_newest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
