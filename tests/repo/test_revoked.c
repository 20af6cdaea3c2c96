/*
 * A writer whose key was revoked, and who had planted garbage under the ids of chunks to come, or does so still: no backup of anybody rests on it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "repo/writers.h"
#include "tests/support/attacker.h"
#include "tests/support/must.h"
#include "tests/support/prunebox.h"

static const char later_bytes[] = "what the victim will store tomorrow, which the attacker knows";

/* Garbage at the id of that file, before anybody has it. */
static void plant(struct attacker *a)
{
	struct attacker_record record;
	struct indexseg_pack pack;
	struct id id;

	MUST(record_id(keys_domain(a->repo->keys, 0, a->err), CHUNK_DATA, later_bytes,
		       sizeof(later_bytes), &id, a->err),
	     a->err);
	record = attacker_raw(CHUNK_DATA, &id, "garbage", 7);
	pack = attacker_pack(a, &record, 1, 1);
	(void)attacker_segment(a, &pack, 1);
	pack_dir_free(&pack.dir);
}

static void revoke(struct prunebox *b, const struct attacker *a)
{
	struct manifest_list list = {0};
	struct writer *writers = NULL;
	size_t count = 0, revoked = 0;

	MUST(manifests_load(b->c->repo, NULL, NULL, &list, b->err), b->err);
	MUST(writers_list(b->c->repo, &list, &writers, &count, b->err), b->err);
	for (size_t i = 0; i < count; i++) {
		if (memcmp(writers[i].pub, a->repo->keys->writer_pub, 32) != 0)
			continue;
		MUST(writers_revoke(b->c->repo, &list, &writers[i], writers[i].last_sequence,
				    b->err),
		     b->err);
		revoked++;
	}
	assert_int_equal(revoked, 1);
	free(writers);
	manifest_list_free(&list);
}

static void spoil(struct prunebox *b, bool after)
{
	struct attacker *a;
	char path[400];

	prunebox_night(b);
	a = attacker_new(b->c, "evil", 0);
	if (after)
		revoke(b, a);
	plant(a);
	if (!after)
		revoke(b, a);
	kit_spew(kit_path(&b->kit, "src/later", path), (const uint8_t *)later_bytes,
		 sizeof(later_bytes));
	prunebox_night(b);
	prunebox_assert_restores(b);
	prunebox_nights(b, 2);
	prunebox_assert_restores(b);
	attacker_free(a);
}

static void test_planted_before(void **state)
{
	spoil(*state, false);
}

static void test_planted_after(void **state)
{
	spoil(*state, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_planted_before, prunebox_setup, prunebox_teardown),
	    cmocka_unit_test_setup_teardown(test_planted_after, prunebox_setup, prunebox_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
