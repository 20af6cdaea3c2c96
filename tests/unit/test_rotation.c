/* rotation: parts that cover the ring once, wherever they begin, and never a pack twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "core/rotation.h"
#include "core/sha256.h"

#define PACKS 2000u

static struct id pack(uint64_t n)
{
	struct err err = {0};
	struct id id;

	assert_int_equal(sha256_of(&n, sizeof(n), &id, &err), 0);
	return id;
}

static struct id at_point(uint64_t point)
{
	struct id id;

	memset(&id, 0x5a, sizeof(id));
	for (unsigned i = 0; i < 8; i++)
		id.b[i] = (uint8_t)(point >> (56 - 8 * i));
	return id;
}

static unsigned count(const struct rotation *part)
{
	unsigned n = 0;

	for (uint64_t i = 0; i < PACKS; i++) {
		struct id id = pack(i);

		n += rotation_has(part, &id);
	}
	return n;
}

static void every_pack_is_in_one_of_t_parts(void **state)
{
	const uint64_t ts[] = {1, 2, 3, 7, 30, 1000};
	const uint64_t points[] = {0,         1, UINT64_MAX / 3, UINT64_MAX / 2, UINT64_MAX - 1,
				   UINT64_MAX};

	(void)state;
	for (size_t k = 0; k < sizeof(ts) / sizeof(ts[0]); k++) {
		unsigned total = 0;

		for (uint64_t n = 1; n <= ts[k] && ts[k] <= 30; n++) {
			struct rotation part = rotation_nth(n, ts[k]);

			total += count(&part);
		}
		if (ts[k] <= 30)
			assert_int_equal(total, PACKS);
		for (size_t p = 0; p < sizeof(points) / sizeof(points[0]); p++) {
			struct id id = at_point(points[p]);
			unsigned seen = 0;

			for (uint64_t n = 1; n <= ts[k]; n++) {
				struct rotation part = rotation_nth(n, ts[k]);

				seen += rotation_has(&part, &id);
			}
			assert_int_equal(seen, 1);
		}
	}
}

/* One after the other, as nights do: uneven shares that add up to the whole. */
static void shares_join(void **state)
{
	const uint64_t shares[] = {1, 86400, 86399, 3 * 86400,
				   7 * 86400 - 86400 - 1 - 86399 - 3 * 86400};
	const uint64_t starts[] = {0, 12345, UINT64_MAX - 5};

	(void)state;
	for (size_t s = 0; s < sizeof(starts) / sizeof(starts[0]); s++) {
		uint64_t at = starts[s];
		unsigned seen[PACKS] = {0};

		for (size_t k = 0; k < sizeof(shares) / sizeof(shares[0]); k++) {
			struct rotation part = rotation_share(at, shares[k], 7 * 86400);

			for (uint64_t i = 0; i < PACKS; i++) {
				struct id id = pack(i);

				seen[i] += rotation_has(&part, &id);
			}
			at = rotation_end(&part);
		}
		for (uint64_t i = 0; i < PACKS; i++)
			assert_int_equal(seen[i], 1);
	}
}

static void shares_at_the_ends(void **state)
{
	struct rotation part;

	(void)state;
	part = rotation_share(77, 0, 100);
	assert_int_equal(count(&part), 0);
	assert_true(rotation_end(&part) == 77);
	part = rotation_share(77, 100, 100);
	assert_int_equal(count(&part), PACKS);
	assert_true(rotation_end(&part) == 77);
	part = rotation_share(77, 500, 100);
	assert_int_equal(count(&part), PACKS);
	part = rotation_share(77, 0, 0);
	assert_int_equal(count(&part), PACKS);
	part = rotation_share(UINT64_MAX - 100, UINT64_MAX - 1, UINT64_MAX);
	assert_int_equal(count(&part), PACKS);
	part = rotation_share(0, 1, 4);
	assert_in_range(count(&part), PACKS / 4 - 100, PACKS / 4 + 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_pack_is_in_one_of_t_parts),
	    cmocka_unit_test(shares_join),
	    cmocka_unit_test(shares_at_the_ends),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
