/* place: what a host keeps in mind of a location; what it is for is in tests/cli/rollback.bats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "repo/place.h"
#include "tests/support/must.h"
#include "tests/support/tmpdir.h"

/* Disks that take turns are all known, up to a number; of more the oldest are forgotten. */
static void test_as_many_as_fit(void **state)
{
	char *dir = tmpdir_make();
	uint8_t repo[REPO_ID_BYTES] = {0};
	struct place place;
	struct err err = {0};

	(void)state;
	for (repo[0] = 1; repo[0] <= PLACE_REPOS + 2; repo[0]++)
		MUST(place_add(dir, "there", repo, &err), &err);
	MUST(place_load(dir, "there", &place, &err), &err);
	assert_int_equal(place.count, PLACE_REPOS);
	for (size_t i = 0; i < PLACE_REPOS; i++)
		assert_int_equal(place.repos[i][0], i + 3);
	repo[0] = 1;
	assert_false(place_has(&place, repo));
	repo[0] = 3;
	assert_true(place_has(&place, repo));
	MUST(place_load(dir, "elsewhere", &place, &err), &err);
	assert_int_equal(place.count, 0);
	tmpdir_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_as_many_as_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
