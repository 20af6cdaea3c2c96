#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "core/roster.h"
#include "tests/support/known.h"
#include "tests/support/testkeys.h"

static int dec(void *arg, const uint8_t *bytes, size_t len)
{
	const struct keys *keys = arg;
	struct roster r = {0};
	struct err err = {0};
	int rc = roster_dec(bytes, len, keys->repo, keys->owner_pub, &r, &err);

	if (rc != 0)
		assert_null(r.writers);
	roster_free(&r);
	return rc;
}

static struct roster roster_named(const char *name)
{
	struct keys *keys = testkeys_full();
	struct buf b = known_get("roster", name);
	struct roster r = {0};
	struct err err = {0};

	assert_int_equal(roster_dec(b.data, b.len, keys->repo, keys->owner_pub, &r, &err), 0);
	buf_free(&b);
	keys_free(keys);
	return r;
}

static struct roster_writer writer_of(uint8_t first_byte, uint64_t version)
{
	struct roster_writer w = {.first_sequence = 1, .last_sequence = 100, .version = version};

	w.pub[0] = first_byte;
	return w;
}

static void expect_bytes(const struct roster *r, const char *name)
{
	struct keys *keys = testkeys_full();
	struct buf b = {0};
	struct err err = {0};

	assert_int_equal(roster_enc(r, keys->repo, keys->owner_secret, &b, &err), 0);
	known_expect("roster", name, b.data, b.len);
	buf_free(&b);
	keys_free(keys);
}

static void knows_answers(void **state)
{
	struct roster r = roster_named("roster"), none = roster_named("empty");

	(void)state;
	assert_int_equal(r.epoch, 3);
	assert_int_equal(r.epoch_count, 2);
	assert_int_equal(r.epochs[1].epoch, 2);
	assert_int_equal(r.writer_count, 2);
	assert_int_equal(r.writers[0].last_sequence, UINT64_MAX);
	assert_int_equal(r.writers[1].domain, 7);
	assert_int_equal(r.writers[1].first_sequence, 5);
	assert_int_equal(r.writers[1].version, 4);
	assert_int_equal(r.writers[0].kept_count, 0);
	assert_int_equal(r.writers[1].kept_count, 2);
	assert_int_equal(r.writers[1].kept[1].b[0], 0x31);
	expect_bytes(&r, "roster");
	assert_int_equal(none.writer_count + none.epoch_count, 0);
	expect_bytes(&none, "empty");
	roster_free(&r);
	roster_free(&none);
}

static void builds_the_known_one(void **state)
{
	struct roster want = roster_named("roster"), r = {.epoch = 3};
	struct err err = {0};

	(void)state;
	for (size_t i = 2; i-- > 0;) {
		assert_int_equal(roster_add_writer(&r, &want.writers[i], &err), 0);
		assert_int_equal(
		    roster_add_epoch(&r, want.epochs[i].epoch, want.epochs[i].pub, &err), 0);
	}
	expect_bytes(&r, "roster");
	roster_free(&want);
	roster_free(&r);
}

static void refuses_damage(void **state)
{
	struct keys *keys = testkeys_full();
	struct buf b = known_get("roster", "roster");
	struct decoder d = {dec, keys};

	(void)state;
	expect_prefixes_refused(&d, b.data, b.len);
	expect_flips_refused(&d, b.data, b.len, 0, b.len);
	b.data[4] = 2;
	assert_int_equal(dec(keys, b.data, b.len), -ERR_VERSION);
	buf_free(&b);
	keys_free(keys);
}

static void refuses_signed_nonsense(void **state)
{
	static const char *names[] = {"epoch_order",  "epoch_twice", "epoch_0",     "writer_order",
				      "writer_twice", "other_repo",  "other_owner", "tail",
				      "kept_order",   "kept_twice"};
	struct keys *keys = testkeys_full();

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct buf b = known_get("roster", names[i]);

		assert_int_equal(dec(keys, b.data, b.len), -ERR_DAMAGED);
		buf_free(&b);
	}
	keys_free(keys);
}

static void refuses_another_owner(void **state)
{
	struct keys *keys = testkeys_full();
	struct buf b = known_get("roster", "roster");

	(void)state;
	memcpy(keys->owner_pub, keys->gc_pub, 32);
	assert_int_equal(dec(keys, b.data, b.len), -ERR_DAMAGED);
	buf_free(&b);
	keys_free(keys);
}

static void finds_by_key(void **state)
{
	struct roster r = {0};
	struct roster_writer w;
	struct err err = {0};

	(void)state;
	w = writer_of(1, 1);
	assert_null(roster_find(&r, w.pub));
	for (unsigned i = 0; i < 40; i++) {
		w = writer_of((uint8_t)(i * 37 % 40 * 2), i);
		assert_int_equal(roster_add_writer(&r, &w, &err), 0);
	}
	assert_int_equal(r.writer_count, 40);
	for (unsigned i = 0; i < 80; i++) {
		w = writer_of((uint8_t)i, 0);
		assert_true((roster_find(&r, w.pub) != NULL) == (i % 2 == 0));
		if (i && i < 40)
			assert_true(memcmp(r.writers[i - 1].pub, r.writers[i].pub, 32) < 0);
	}
	roster_free(&r);
}

static void a_higher_version_wins(void **state)
{
	struct roster r = {0};
	struct roster_writer old = writer_of(1, 1), new = writer_of(1, 2);
	struct err err = {0};

	(void)state;
	new.last_sequence = 1000; /* wider, and it holds */
	assert_int_equal(roster_add_writer(&r, &old, &err), 0);
	assert_int_equal(roster_add_writer(&r, &new, &err), 0);
	assert_int_equal(roster_add_writer(&r, &old, &err), 0);
	assert_int_equal(r.writer_count, 1);
	assert_int_equal(roster_find(&r, old.pub)->last_sequence, 1000);
	assert_int_equal(roster_find(&r, old.pub)->version, 2);
	roster_free(&r);
}

static void equal_versions_meet(void **state)
{
	struct roster_writer a = writer_of(1, 5), b = writer_of(1, 5);
	struct err err = {0};

	(void)state;
	a.first_sequence = 10;
	a.domain = 4;
	b.last_sequence = 50;
	b.domain = 3;
	for (int swap = 0; swap < 2; swap++) {
		struct roster r = {0};

		assert_int_equal(roster_add_writer(&r, swap ? &a : &b, &err), 0);
		assert_int_equal(roster_add_writer(&r, swap ? &b : &a, &err), 0);
		assert_int_equal(r.writers[0].first_sequence, 10);
		assert_int_equal(r.writers[0].last_sequence, 50);
		assert_int_equal(r.writers[0].domain, 3);
		roster_free(&r);
	}
}

/* Of a revoked writer only the backups that every roster of the version names. */
static void revoked_ones_keep_what_is_named(void **state)
{
	struct id one[] = {{{1}}, {{2}}, {{4}}}, other[] = {{{2}}, {{3}}, {{4}}};
	struct roster_writer a = writer_of(1, 5), b = writer_of(1, 5), open = writer_of(1, 5);
	struct roster r = {0};
	struct err err = {0};

	(void)state;
	open.last_sequence = UINT64_MAX;
	a.kept = one;
	b.kept = other;
	a.kept_count = b.kept_count = 3;
	assert_int_equal(roster_add_writer(&r, &open, &err), 0);
	assert_true(roster_counts(&r.writers[0], 100, &other[1]));
	assert_int_equal(roster_add_writer(&r, &a, &err), 0);
	assert_true(roster_counts(&r.writers[0], 1, &one[0]));
	assert_false(roster_counts(&r.writers[0], 1, &other[1]));
	assert_int_equal(roster_add_writer(&r, &b, &err), 0);
	assert_int_equal(r.writers[0].kept_count, 2);
	assert_false(roster_counts(&r.writers[0], 1, &one[0]));
	assert_true(roster_counts(&r.writers[0], 1, &one[1]));
	assert_true(roster_counts(&r.writers[0], 100, &one[2]));
	assert_false(roster_counts(&r.writers[0], 101, &one[2]));
	assert_int_equal(roster_add_writer(&r, &open, &err), 0);
	assert_int_equal(r.writers[0].kept_count, 2);
	a.version = 6;
	a.kept_count = 1;
	assert_int_equal(roster_add_writer(&r, &a, &err), 0);
	assert_int_equal(r.writers[0].kept_count, 1);
	assert_true(r.writers[0].kept != one);
	assert_false(roster_counts(&r.writers[0], 0, &one[0]));
	/* One that keeps none takes all from the other. */
	a.kept_count = 0;
	assert_int_equal(roster_add_writer(&r, &a, &err), 0);
	assert_int_equal(r.writers[0].kept_count, 0);
	assert_false(roster_counts(&r.writers[0], 1, &one[0]));
	roster_free(&r);
}

static void merge_is_the_union(void **state)
{
	struct roster a = roster_named("roster"), b = {.epoch = 9}, c = {0};
	struct roster_writer w = writer_of(0x15, 1);
	struct err err = {0};

	(void)state;
	assert_int_equal(roster_add_writer(&b, &w, &err), 0);
	assert_int_equal(roster_add_epoch(&b, 7, w.pub, &err), 0);
	assert_int_equal(roster_merge(&c, &a, &err), 0);
	assert_int_equal(roster_merge(&c, &b, &err), 0);
	assert_int_equal(roster_merge(&c, &a, &err), 0);
	assert_int_equal(c.epoch, 9);
	assert_int_equal(c.writer_count, 3);
	assert_memory_equal(c.writers[1].pub, w.pub, 32);
	assert_int_equal(c.epoch_count, 3);
	assert_int_equal(c.epochs[2].epoch, 7);
	roster_free(&a);
	roster_free(&b);
	roster_free(&c);
}

static void an_epoch_has_one_key(void **state)
{
	struct roster a = roster_named("roster"), b = {0};
	uint8_t pub[32] = {1};
	struct err err = {0};

	(void)state;
	assert_int_equal(roster_add_epoch(&a, 0, pub, &err), -ERR_USAGE);
	assert_int_equal(roster_add_epoch(&b, 2, pub, &err), 0);
	assert_int_equal(roster_merge(&a, &b, &err), -ERR_DAMAGED);
	roster_free(&a);
	roster_free(&b);
}

static void has_limits(void **state)
{
	struct keys *keys = testkeys_full();
	struct roster r = {0};
	struct roster_writer *many = calloc(LIMIT_WRITERS + 1, sizeof(*many)), more = {0};
	uint8_t pub[32] = {0};
	struct buf b = {0};
	struct err err = {0};

	(void)state;
	for (uint32_t e = 1; e <= LIMIT_EPOCHS; e++)
		assert_int_equal(roster_add_epoch(&r, e, pub, &err), 0);
	assert_int_equal(roster_add_epoch(&r, LIMIT_EPOCHS + 1, pub, &err), -ERR_LIMIT);
	for (size_t i = 0; i <= LIMIT_WRITERS; i++) {
		many[i].pub[0] = (uint8_t)(i >> 8);
		many[i].pub[1] = (uint8_t)i;
	}
	r.writers = many;
	r.writer_count = LIMIT_WRITERS;
	memset(more.pub, 0xff, 32);
	assert_int_equal(roster_add_writer(&r, &more, &err), -ERR_LIMIT);
	assert_int_equal(roster_enc(&r, keys->repo, keys->owner_secret, &b, &err), 0);
	assert_int_equal(dec(keys, b.data, b.len), 0);
	r.writer_count++;
	assert_int_equal(roster_enc(&r, keys->repo, keys->owner_secret, &b, &err), -ERR_LIMIT);
	roster_free(&r);
	buf_free(&b);
	keys_free(keys);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(knows_answers),
	    cmocka_unit_test(builds_the_known_one),
	    cmocka_unit_test(refuses_damage),
	    cmocka_unit_test(refuses_signed_nonsense),
	    cmocka_unit_test(refuses_another_owner),
	    cmocka_unit_test(finds_by_key),
	    cmocka_unit_test(a_higher_version_wins),
	    cmocka_unit_test(equal_versions_meet),
	    cmocka_unit_test(revoked_ones_keep_what_is_named),
	    cmocka_unit_test(merge_is_the_union),
	    cmocka_unit_test(an_epoch_has_one_key),
	    cmocka_unit_test(has_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
