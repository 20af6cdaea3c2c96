/*
 * Junk manifests by a writer with a real key: thousands of them, from 1970 and from 2100, with sequences that jump to the end, forked, under its
 * own host or the victim's. Retention keeps of the victim's backups all that it keeps without them, and his next backup goes on as before.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "repo/backup.h"
#include "repo/forget.h"
#include "tests/support/attacker.h"
#include "tests/support/bytes.h"
#include "tests/support/dbkit.h"
#include "tests/support/must.h"

#define NIGHTS 60
#define DAY_NS INT64_C(86400000000000)
#define FIRST_NS (INT64_C(19700) * DAY_NS + DAY_NS / 8)
#define NOW_NS (FIRST_NS + (NIGHTS + 1) * DAY_NS)
#define IN_2100_NS (INT64_C(4102444800) * 1000000000)
#define JUNK 1500

static unsigned judged;

struct box {
	struct repo_case *c;
	struct attacker *a;
	struct id nights[NIGHTS];
};

static const struct repo_case_file files[] = {{"a", "what the victim has", 19}};

static int setup(void **state)
{
	struct box *box = calloc(1, sizeof(*box));
	void *c = NULL;

	assert_non_null(box);
	assert_int_equal(repo_case_setup(&c), 0);
	box->c = c;
	for (int i = 0; i < NIGHTS; i++)
		box->nights[i] = repo_case_backup(box->c, files, 1, FIRST_NS + i * DAY_NS);
	box->a = attacker_new(box->c, "evil", 0);
	*state = box;
	return 0;
}

static int teardown(void **state)
{
	struct box *box = *state;
	void *c = box->c;

	attacker_free(box->a);
	assert_int_equal(repo_case_teardown(&c), 0);
	free(box);
	return 0;
}

#define POLICIES 12

static struct forget_options policy(unsigned n)
{
	struct forget_options o = {.policy.now_ns = NOW_NS,
				   .group_by = n % 2 ? FORGET_BY_HOST | FORGET_BY_PATHS : 0};
	static const int64_t counts[][RETENTION_UNITS] = {
	    {7, 0, 0, 0, 0, 0}, {0, 24, 0, 0, 0, 0}, {0, 0, 14, 0, 0, 0},
	    {0, 0, 7, 4, 0, 0}, {0, 0, 7, 4, 12, 3}, {0, 0, 0, 0, 0, 0},
	};

	memcpy(o.policy.count, counts[n / 2], sizeof(counts[0]));
	if (n / 2 == 5)
		o.policy.within[RETENTION_LAST] =
		    (struct retention_span){.given = true, .days = 20};
	o.policy.min_age = (struct retention_span){.given = true, .days = 3};
	return o;
}

struct kept {
	bool nights[NIGHTS];
	size_t count;
};

static struct kept judge(struct box *box, const struct manifest_list *list, unsigned n)
{
	const struct forget_options o = policy(n);
	struct forget_plan plan = {0};
	struct kept kept = {0};

	MUST(forget_plan(box->c->repo, list, &o, &plan, &box->c->err), &box->c->err);
	for (size_t i = 0; i < plan.count; i++) {
		for (size_t k = 0; k < NIGHTS; k++) {
			if (!plan.backups[i].reasons ||
			    !id_eq(&plan.backups[i].item->name, &box->nights[k]))
				continue;
			kept.nights[k] = true;
			kept.count++;
		}
	}
	forget_plan_free(&plan);
	judged++;
	return kept;
}

static struct manifest_list load(struct box *box)
{
	struct manifest_list list = {0};

	repo_case_reopen(box->c);
	MUST(manifests_load(box->c->repo, NULL, NULL, &list, &box->c->err), &box->c->err);
	assert_int_equal(list.bad, 0);
	return list;
}

/* Dates of every kind, and sequences: one after the other, jumps, forks, the last ones that there are. */
static void throw_junk(struct box *box)
{
	static const uint64_t jumps[] = {UINT64_MAX, UINT64_MAX - 1, UINT64_C(1) << 63, 61, 60, 1};
	const struct id root = bytes_id(9); /* of nothing */

	for (unsigned i = 0; i < JUNK; i++) {
		int64_t at = i % 4 == 0 ? (int64_t)i * 1000
			     : i % 4 == 1
				 ? IN_2100_NS + i
				 : FIRST_NS + (int64_t)(i % NIGHTS) * DAY_NS - (i % 4 == 2);

		(void)attacker_manifest(box->a, i % 3 ? REPO_CASE_HOST : "evil", "/f", at,
					i % 50 ? i : jumps[i / 50 % 6], &root);
		if (i == 0)
			i++;
	}
}

static void test_retention(void **state)
{
	struct box *box = *state;
	struct kept before[POLICIES];
	struct manifest_list list = load(box);
	struct id next;

	for (unsigned n = 0; n < POLICIES; n++) {
		before[n] = judge(box, &list, n);
		assert_true(before[n].count >= 3 && before[n].count < NIGHTS);
	}
	manifest_list_free(&list);
	throw_junk(box);
	list = load(box);
	assert_true(list.count > NIGHTS + JUNK / 2);
	for (unsigned n = 0; n < POLICIES; n++) {
		struct kept after = judge(box, &list, n);

		for (size_t k = 0; k < NIGHTS; k++) {
			if (before[n].nights[k] && !after.nights[k])
				fail_msg("policy %u: junk pushed night %zu out", n, k);
		}
		/* Nor does it make everything stay. */
		assert_int_equal(after.count, before[n].count);
	}
	manifest_list_free(&list);
	/* The victim's next backup is the next of his own. */
	next = repo_case_backup(box->c, files, 1, NOW_NS);
	list = load(box);
	for (size_t i = 0; i < list.count; i++) {
		if (id_eq(&list.items[i].name, &next))
			assert_int_equal(list.items[i].m.sequence, NIGHTS + 1);
	}
	manifest_list_free(&list);
}

/*
 * Somebody with the victim's own key. What he dates back, or ahead, goes where the newest backup would: it takes one place in each unit of the
 * calendar, as one more night does, however much of it there is. (Of the newest N, N new ones are the newest.)
 */
static void test_own_key(void **state)
{
	struct box *box = *state;
	struct kept before[POLICIES];
	struct attacker thief = {.err = &box->c->err};
	struct manifest_list list = load(box);
	const struct id root = bytes_id(9);

	for (unsigned n = 0; n < POLICIES; n++)
		before[n] = judge(box, &list, n);
	manifest_list_free(&list);
	thief.repo = box->c->repo; /* as it was opened last */
	for (unsigned i = 0; i < 200; i++)
		(void)attacker_manifest(&thief, REPO_CASE_HOST, "/f",
					i % 2 ? IN_2100_NS + i : (int64_t)i, NIGHTS + 1 + i, &root);
	list = load(box);
	for (unsigned n = 2; n < POLICIES; n++) {
		const struct forget_options o = policy(n);
		struct kept after = judge(box, &list, n);
		size_t lost = 0, units = 0;

		for (size_t u = 0; u < RETENTION_UNITS; u++)
			units += o.policy.count[u] > 0 || o.policy.within[u].given;
		for (size_t k = 0; k < NIGHTS; k++)
			lost += before[n].nights[k] && !after.nights[k];
		if (lost > units + 1) /* a span ends now, two days behind the newest night */
			fail_msg("policy %u: junk pushed %zu nights out", n, lost);
	}
	manifest_list_free(&list);
}

/* The last sequence there is: no backup follows it by wrapping round, and the error says what has happened. */
static void test_last_sequence(void **state)
{
	struct box *box = *state;
	struct attacker thief = {.repo = box->c->repo, .err = &box->c->err};
	const struct id root = bytes_id(9);
	struct id name;

	(void)attacker_manifest(&thief, REPO_CASE_HOST, "/f", NOW_NS, UINT64_MAX, &root);
	MUST_FAIL(repo_case_try_backup(box->c->repo, files, 1, NOW_NS, &name, &box->c->err),
		  ERR_KEY, &box->c->err);
	assert_non_null(strstr(box->c->err.text, "sequence"));
}

/* Of a backup that claims to be of the same host and paths, and newer, nothing is taken over. */
static void test_parent(void **state)
{
	struct box *box = *state;
	struct kit kit;
	char src[400], file[400];
	const char *const paths[] = {src};
	struct backup_options options = {
	    .paths = paths, .path_count = 1, .host = REPO_CASE_HOST, .workers = 1};
	struct backup_result result = {0};
	const struct id root = bytes_id(9);

	kit_new(&kit);
	options.cache_dir = kit.cache;
	assert_int_equal(mkdir(kit_path(&kit, "src", src), 0700), 0);
	kit_spew(kit_path(&kit, "src/file", file), (const uint8_t *)"bytes", 5);
	for (int i = 0; i < 2; i++) {
		options.now_ns = NOW_NS + i * DAY_NS;
		repo_case_reopen(box->c);
		MUST(backup_run(box->c->repo, &options, &result, &box->c->err), &box->c->err);
		assert_int_equal(result.files_new, i == 0);
		assert_int_equal(result.files_unmodified, i == 1);
		(void)attacker_manifest(box->a, REPO_CASE_HOST, src, IN_2100_NS, 1, &root);
	}
	kit_free(&kit);
}

static void test_counts(void **state)
{
	(void)state;
	printf("# junk: %u manifests of another writer, %u judgements of %u policies\n", JUNK,
	       judged, POLICIES);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_retention),          CASE(test_own_key),
	    CASE(test_last_sequence),      CASE(test_parent),
	    cmocka_unit_test(test_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
