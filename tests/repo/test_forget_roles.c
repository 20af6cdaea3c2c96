/* forget by the part for maintenance alone: a maintain key keeps and removes what a full key would, whatever there is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "repo/forget.h"
#include "tests/support/bytes.h"
#include "tests/support/must.h"
#include "tests/support/repo_case.h"

#define NS INT64_C(1000000000)
#define HOUR (3600 * NS)
#define START (INT64_C(1704067200) * NS)
#define BACKUPS 48
#define POPULATIONS 10
#define POLICIES 30

/* The same at each run: splitmix64. */
struct dice {
	uint64_t state;
};

static uint64_t roll(struct dice *d, uint64_t below)
{
	uint64_t z = d->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (z ^ (z >> 31)) % below;
}

struct world {
	struct repo_case *c;
	struct repo *maintain;
	struct dice dice;
	unsigned copies, repaired, incomplete; /* so many had a say */
};

static char **one_text(const char *text)
{
	char **texts = calloc(1, sizeof(*texts));

	assert_non_null(texts);
	texts[0] = bytes_text(text);
	return texts;
}

/* Sometimes a copy, a repaired one, one that lacks something, with a failed database; by one of a few hosts; at times in no order. */
static struct manifest random_backup(struct world *w, int n)
{
	static const char *const hosts[] = {"alpha", "beta", "gamma"};
	static const char *const sources[] = {"/srv/a", "/srv/b"};
	static const char *const tags[] = {"repaired", "weekly"};
	struct dice *d = &w->dice;
	struct manifest m = {
	    .root = bytes_id((uint8_t)(n + 1)),
	    .unreadable = roll(d, 4) == 0,
	    .time_ns = START + n * 9 * HOUR + ((int64_t)roll(d, 200) - 100) * HOUR,
	};

	m.host = bytes_text(hosts[roll(d, 3)]);
	m.sources = one_text(sources[roll(d, 2)]);
	m.source_count = 1;
	if (roll(d, 3) == 0) {
		m.tags = one_text(tags[roll(d, 2)]);
		m.tag_count = 1;
	}
	m.standing = roll(d, 2) ? MANIFEST_ORDINARY : (enum manifest_standing)(1 + roll(d, 2));
	if (m.standing != MANIFEST_ORDINARY)
		m.original = bytes_id((uint8_t)(100 + n));
	m.dbs = calloc(1, sizeof(*m.dbs));
	assert_non_null(m.dbs);
	m.dbs[0] = (struct manifest_db){.method = 1, .check = 1, .path = bytes_text("/srv/a/db")};
	m.dbs[0].verdict = (uint8_t)(roll(d, 3) ? 1 : 1 + roll(d, 3));
	m.db_count = 1;
	return m;
}

static void add_backup(struct world *w, int n)
{
	struct repo *repo = w->c->repo;
	struct err *err = &w->c->err;
	struct manifest m = random_backup(w, n);
	struct manifest_list list = {0};
	struct id name;
	uint64_t bytes;

	MUST(manifests_load(repo, NULL, NULL, &list, err), err);
	MUST(repo_use_writer(repo, m.host, false, err), err);
	MUST(manifests_succeed(repo, &list, &m, err), err);
	MUST(manifests_put(repo, &m, &name, &bytes, err), err);
	w->copies += m.standing == MANIFEST_COPY;
	w->repaired += m.standing == MANIFEST_REPAIRED;
	w->incomplete += m.incomplete;
	manifest_list_free(&list);
	manifest_free(&m);
}

/* What an interrupted forget left: named by a record, and still there. */
static void retire_some(struct world *w)
{
	struct err *err = &w->c->err;
	struct manifest_list list = {0};
	struct retire_entry e = {0};

	MUST(manifests_load(w->c->repo, NULL, NULL, &list, err), err);
	for (int i = 0; i < 3; i++) {
		const struct manifest_item *item = &list.items[roll(&w->dice, list.count)];

		memcpy(e.writer, item->m.writer, sizeof(e.writer));
		e.sequence = item->m.sequence;
		e.name = item->name;
		MUST(retires_put(w->c->repo, &list.retires, &e, 1, START, err), err);
		list.retires.number++;
	}
	manifest_list_free(&list);
}

static struct forget_options random_policy(struct world *w)
{
	struct forget_options o = {.group_by = FORGET_BY_HOST | FORGET_BY_PATHS};
	struct dice *d = &w->dice;

	for (size_t u = 0; u < RETENTION_UNITS; u++) {
		if (roll(d, 3) == 0)
			o.policy.count[u] = 1 + (int64_t)roll(d, 5);
		if (roll(d, 6) == 0)
			o.policy.within[u] = (struct retention_span){
			    .given = true, .days = 1 + (uint32_t)roll(d, 9)};
	}
	if (retention_policy_empty(&o.policy))
		o.policy.count[RETENTION_DAILY] = 3;
	if (roll(d, 4) == 0)
		o.policy.min_age = (struct retention_span){.given = true, .days = 2};
	o.policy.now_ns = START + (int64_t)(1 + roll(d, BACKUPS)) * 12 * HOUR;
	return o;
}

/* Returns how many would go. */
static size_t assert_same(struct world *w, const struct forget_options *o,
			  const struct manifest_list lists[2])
{
	struct repo *repos[2] = {w->c->repo, w->maintain};
	struct forget_plan plans[2] = {{0}, {0}};
	struct err *err = &w->c->err;
	size_t removed;

	for (size_t i = 0; i < 2; i++)
		MUST(forget_plan(repos[i], &lists[i], o, &plans[i], err), err);
	assert_int_equal(plans[0].count, plans[1].count);
	assert_int_equal(plans[0].group_count, plans[1].group_count);
	for (size_t i = 0; i < plans[0].count; i++) {
		const struct forget_backup *a = &plans[0].backups[i], *b = &plans[1].backups[i];

		assert_true(id_eq(&a->item->name, &b->item->name));
		assert_int_equal(a->reasons, b->reasons);
		assert_int_equal(a->retired, b->retired);
		assert_true(a->item->m.has_read && !b->item->m.has_read);
	}
	removed = plans[0].removed;
	assert_int_equal(removed, plans[1].removed);
	forget_plan_free(&plans[0]);
	forget_plan_free(&plans[1]);
	return removed;
}

static void fill(struct world *w)
{
	struct buf keyfile = repo_case_keyfile(w->c, ROLE_MAINTAIN);

	for (int n = 0; n < BACKUPS; n++)
		add_backup(w, n);
	retire_some(w);
	MUST(repo_case_open_with(w->c, &keyfile, &w->maintain, &w->c->err), &w->c->err);
	buf_wipe(&keyfile);
}

static void test_same_as_full(void **state)
{
	size_t removed = 0, judged = 0;
	unsigned copies = 0, repaired = 0, incomplete = 0;

	(void)state;
	for (uint64_t p = 0; p < POPULATIONS; p++) {
		struct world w = {.dice = {p}};
		struct manifest_list lists[2] = {{0}, {0}};
		void *fresh = NULL;

		assert_int_equal(repo_case_setup(&fresh), 0);
		w.c = fresh;
		fill(&w);
		MUST(manifests_load(w.c->repo, NULL, NULL, &lists[0], &w.c->err), &w.c->err);
		MUST(manifests_load(w.maintain, NULL, NULL, &lists[1], &w.c->err), &w.c->err);
		assert_int_equal(lists[0].count, BACKUPS);
		for (int i = 0; i < POLICIES; i++) {
			struct forget_options o = random_policy(&w);

			removed += assert_same(&w, &o, lists);
			judged += BACKUPS;
		}
		copies += w.copies;
		repaired += w.repaired;
		incomplete += w.incomplete;
		manifest_list_free(&lists[0]);
		manifest_list_free(&lists[1]);
		repo_close(w.maintain);
		(void)repo_case_teardown(&fresh);
	}
	(void)printf(
	    "# %zu decisions by a full and a maintain key, %zu to remove; of %d backups %u "
	    "copies, %u repaired, %u incomplete\n",
	    judged, removed, POPULATIONS * BACKUPS, copies, repaired, incomplete);
	assert_true(removed > judged / 10 && removed < judged);
	assert_true(copies > 50 && repaired > 50 && incomplete > 50);
}

/* What names hosts, paths or tags is refused before anything is decided, and says which key it needs. */
static void test_what_needs_names(void **state)
{
	const char *const words[] = {"alpha"};
	char *tag_words[] = {"weekly"};
	const struct forget_tags tags = {tag_words, 1};
	struct forget_options refused[6];
	struct world w = {.dice = {7}};
	struct manifest_list list = {0};

	w.c = *state;
	fill(&w);
	for (size_t i = 0; i < 6; i++) {
		refused[i] = (struct forget_options){.group_by = FORGET_BY_HOST | FORGET_BY_PATHS};
		refused[i].policy.count[RETENTION_LAST] = 1;
		refused[i].policy.now_ns = START + 1000 * HOUR;
	}
	refused[0].hosts = words;
	refused[0].host_count = 1;
	refused[1].paths = words;
	refused[1].path_count = 1;
	refused[2].tags = &tags;
	refused[2].tag_count = 1;
	refused[3].keep_tags = &tags;
	refused[3].keep_tag_count = 1;
	refused[4].group_by = FORGET_BY_HOST;
	refused[5].group_by = 0;
	MUST(manifests_load(w.maintain, NULL, NULL, &list, &w.c->err), &w.c->err);
	for (size_t i = 0; i < 6; i++) {
		struct forget_plan plan = {0};

		w.c->err = (struct err){0};
		if (i == 5) { /* all in one group: nothing of it is a name */
			MUST(forget_plan(w.maintain, &list, &refused[i], &plan, &w.c->err),
			     &w.c->err);
			assert_int_equal(plan.group_count, 1);
			forget_plan_free(&plan);
			continue;
		}
		MUST_FAIL(forget_plan(w.maintain, &list, &refused[i], &plan, &w.c->err), ERR_KEY,
			  &w.c->err);
		assert_non_null(strstr(w.c->err.text, "need a full key"));
	}
	manifest_list_free(&list);
	repo_close(w.maintain);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_same_as_full),
	    cmocka_unit_test_setup_teardown(test_what_needs_names, repo_case_setup,
					    repo_case_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
