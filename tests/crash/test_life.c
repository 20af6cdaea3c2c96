/*
 * The life of a small application: 1,000 nights on a clock of its own, kept by 7 daily, 4 weekly and 12 monthly backups, pruned every night with the
 * usual grace. What it stores, how many objects and what a night and a restore take stay flat: said every 100 nights, and held
 * as far as bytes and counts go. A single night's bytes swing by a sixth, with what is unused, and what was repacked and is there
 * twice until the grace is over; so the average of the last nights is held against that of as many before.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "repo/forget.h"
#include "repo/restore.h"
#include "tests/support/must.h"
#include "tests/support/prunebox.h"

#define NIGHTS 1000
#define REPORT 100
#define SPAN                                                                                       \
	250 /* nights of an average; the oldest kept is a year old by then, and what came before is gone */
#define GROWN_PERCENT 5    /* from one such average to the next: noise */
#define ATTACHMENTS 60     /* as many as the application keeps */
#define OBJECTS_A_BACKUP 6 /* more or less since the last repacking */
#define ROWS 60            /* that a day brings, and takes */

static const char schema[] =
    "CREATE TABLE entry(id INTEGER PRIMARY KEY, who TEXT, said TEXT, at INTEGER);"
    "CREATE INDEX entry_who ON entry(who, at);"
    "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 5000)"
    "INSERT INTO entry SELECT i, 'user' || (i % 97), hex(randomblob(60)), i FROM c;";

struct life {
	struct prunebox *box;
	sqlite3 *db;
	double backup_s, forget_s, prune_s; /* processor time of the nights since the last report */
};

static double now_s(void)
{
	struct timespec t;

	assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t), 0);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* New rows and an attachment; as much that is old goes, and some of what stays is edited. */
static void day(struct life *l, unsigned night)
{
	char sql[600], name[40], path[400];

	(void)snprintf(
	    sql, sizeof(sql),
	    "BEGIN;"
	    "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < %d)"
	    "INSERT INTO entry(who, said, at) SELECT 'user' || abs(random() %% 97), "
	    "hex(randomblob(60)), %u FROM c;"
	    "DELETE FROM entry WHERE id IN (SELECT id FROM entry ORDER BY id LIMIT %d);"
	    "UPDATE entry SET said = hex(randomblob(60)) WHERE id %% 500 = %u;"
	    "COMMIT",
	    ROWS, night, ROWS, night % 500);
	kit_exec(l->db, sql);
	(void)snprintf(name, sizeof(name), "upload-%u", night);
	prunebox_attach(l->box, name, night, 2000 + night * 7919 % 40000);
	if (night < ATTACHMENTS)
		return;
	(void)snprintf(name, sizeof(name), "src/upload-%u", night - ATTACHMENTS);
	assert_int_equal(unlink(kit_path(&l->box->kit, name, path)), 0);
}

static void forget(struct prunebox *b)
{
	struct forget_options options = {.group_by = FORGET_BY_HOST | FORGET_BY_PATHS};
	struct manifest_list list = {0};
	struct forget_plan plan = {0};
	struct forget_result result;

	options.policy.count[RETENTION_DAILY] = 7;
	options.policy.count[RETENTION_WEEKLY] = 4;
	options.policy.count[RETENTION_MONTHLY] = 12;
	options.policy.now_ns = b->now_s * 1000000000;
	repo_case_reopen(b->c);
	MUST(manifests_load(b->c->repo, NULL, NULL, &list, b->err), b->err);
	MUST(forget_plan(b->c->repo, &list, &options, &plan, b->err), b->err);
	MUST(forget_apply(b->c->repo, &list, &plan, options.policy.now_ns, NULL, &result, b->err),
	     b->err);
	b->night_count = 0;
	for (size_t i = 0; i < plan.count; i++)
		if (plan.backups[i].reasons)
			b->nights[b->night_count++] = plan.backups[i].item->name;
	forget_plan_free(&plan);
	manifest_list_free(&list);
}

static void night(struct life *l)
{
	double at[4];

	at[0] = now_s();
	prunebox_night(l->box);
	at[1] = now_s();
	forget(l->box);
	at[2] = now_s();
	prunebox_prune(l->box);
	at[3] = now_s();
	l->backup_s += at[1] - at[0];
	l->forget_s += at[2] - at[1];
	l->prune_s += at[3] - at[2];
}

struct count {
	uint64_t objects, bytes;
};

static int count_object(void *arg, const struct id *name, uint64_t size_bytes, struct err *err)
{
	struct count *c = arg;

	(void)name, (void)err;
	c->objects++;
	c->bytes += size_bytes;
	return 0;
}

static struct count count_all(struct prunebox *b)
{
	struct count c = {0};

	for (int t = 0; t < STORE_TYPES; t++)
		MUST(store_list(b->c->inner, (enum store_type)t, count_object, &c, b->err), b->err);
	return c;
}

static double restore_newest(struct prunebox *b)
{
	char target[400];
	struct restore_options options = {.target = kit_path(&b->kit, "newest", target)};
	struct restore_result result;
	struct manifest_list list = {0};
	struct reader *reader = NULL;
	double begun = now_s();
	struct index *index;

	repo_case_reopen(b->c);
	index = repo_case_index(b->c);
	MUST(manifests_load(b->c->repo, NULL, NULL, &list, b->err), b->err);
	MUST(reader_new(b->c->repo, index, &reader, b->err), b->err);
	MUST(restore_run(reader, &list.items[list.count - 1].m, &options, &result, b->err), b->err);
	assert_int_equal(result.failed, 0);
	reader_free(reader);
	manifest_list_free(&list);
	index_free(index);
	return now_s() - begun;
}

static void add(struct prunebox *b, struct count *sum)
{
	struct count c = count_all(b);

	sum->objects += c.objects;
	sum->bytes += c.bytes;
}

static void report(struct life *l, unsigned nights)
{
	struct count c = count_all(l->box);
	double restored_s = restore_newest(l->box);

	printf("# night %4u: %zu backups, %llu objects, %llu kB; ms of CPU a night: backup %.1f, "
	       "forget %.1f, prune %.1f; restore of the newest %.1f\n",
	       nights, l->box->night_count, (unsigned long long)c.objects,
	       (unsigned long long)c.bytes / 1000, l->backup_s * 1000 / REPORT,
	       l->forget_s * 1000 / REPORT, l->prune_s * 1000 / REPORT, restored_s * 1000);
	(void)fflush(stdout);
	l->backup_s = l->forget_s = l->prune_s = 0;
}

static void test_a_thousand_nights(void **state)
{
	struct life l = {.box = *state};
	struct count before = {0}, last = {0}; /* sums over the last two spans */

	assert_int_equal(unlink(l.box->db), 0);
	l.db = kit_open(l.box->db);
	kit_exec(l.db, "PRAGMA journal_mode=WAL");
	kit_exec(l.db, schema);
	for (unsigned n = 0; n < NIGHTS; n++) {
		day(&l, n);
		night(&l);
		if (n >= NIGHTS - 2 * SPAN)
			add(l.box, n >= NIGHTS - SPAN ? &last : &before);
		if ((n + 1) % REPORT)
			continue;
		report(&l, n + 1);
		prunebox_assert_clean(l.box, l.box->c->repo, true);
	}
	printf("# on average of %d nights: %llu objects, %llu kB, and then %llu objects, %llu kB\n",
	       SPAN, (unsigned long long)before.objects / SPAN,
	       (unsigned long long)before.bytes / SPAN / 1000,
	       (unsigned long long)last.objects / SPAN,
	       (unsigned long long)last.bytes / SPAN / 1000);
	assert_true(last.objects <= SPAN * OBJECTS_A_BACKUP * l.box->night_count);
	assert_true(last.bytes <= before.bytes + before.bytes * GROWN_PERCENT / 100);
	assert_true(l.box->night_count <= 7 + 4 + 12);
	prunebox_assert_restores(l.box);
	assert_int_equal(sqlite3_close(l.db), SQLITE_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_a_thousand_nights, prunebox_setup,
					    prunebox_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
