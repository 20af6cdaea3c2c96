/*
 * The fingerprint game: 200 secrets of other true sizes each; the store sees one of them backed up, that is the sizes, numbers and folders of
 * the objects that came, and the lengths of directories, which packs say in clear. It has seen a labelled example of each before, and names the
 * one whose example is the most alike. Where FORMAT.md §2 promises a bucket it can do no better than to guess among what shares one. From the
 * lengths before padding it names nearly all, so the game has teeth.
 *
 * Chance: a secret that shares its bucket with n - 1 others is named once in n times, so the expected number of hits is that of the buckets in
 * use, k. Hits beyond k + 5 sqrt(k) + 5 have a probability below 1 in 10^5 (Bernstein's bound: t^2 / (2 (k + t / 3)) > 11 for t = 5 sqrt(k) + 5 up
 * to k = 100).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "repo/backup.h"
#include "repo/index.h"
#include "tests/support/dbkit.h"
#include "tests/support/must.h"
#include "tests/support/repo_case.h"

#define MOST_SECRETS 200
#define MOST_SEEN 16

/* What came with a backup. */
struct sight {
	uint64_t
	    seen[MOST_SEEN]; /* folder and size of each object, and each pack's directory; sorted */
	size_t count;
	uint64_t exact; /* what the packs would be long without padding: not for the store's eyes */
};

struct game {
	struct kit kit;
	struct repo_case *c;
	struct id *before[STORE_TYPES];
	size_t before_count[STORE_TYPES];
	char src[400], db[400];
	uint64_t random;
};

static uint64_t draw(struct game *g)
{
	uint64_t out;

	repo_case_bytes(g->random += 7919, &out, sizeof(out));
	return out;
}

static int setup(void **state)
{
	struct game *g = calloc(1, sizeof(*g));
	void *c = NULL;

	assert_non_null(g);
	assert_int_equal(repo_case_setup(&c), 0);
	g->c = c;
	kit_new(&g->kit);
	(void)kit_path(&g->kit, "src", g->src);
	(void)kit_path(&g->kit, "src/app.db", g->db);
	assert_int_equal(mkdir(g->src, 0700), 0);
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	struct game *g = *state;
	void *c = g->c;

	assert_int_equal(repo_case_teardown(&c), 0);
	kit_free(&g->kit);
	free(g);
	return 0;
}

/* --- what the store sees --- */

static void remember(struct game *g)
{
	for (int t = 1; t < STORE_TYPES; t++)
		MUST(repo_list(g->c->inner, (enum store_type)t, &g->before[t], NULL,
			       &g->before_count[t], &g->c->err),
		     &g->c->err);
}

/* The next secret finds the repository as it was made. */
static void forget(struct game *g)
{
	const enum store_type types[] = {STORE_SNAPSHOTS, STORE_INDEX, STORE_DATA};

	for (int t = 1; t < STORE_TYPES; t++)
		free(g->before[t]);
	for (size_t t = 0; t < 3; t++) {
		struct id *names = NULL;
		size_t count = 0;

		MUST(repo_list(g->c->inner, types[t], &names, NULL, &count, &g->c->err),
		     &g->c->err);
		for (size_t i = 0; i < count; i++)
			MUST(store_remove(g->c->inner, types[t], &names[i], &g->c->err),
			     &g->c->err);
		free(names);
	}
}

static bool is_new(const struct game *g, int type, const struct id *name)
{
	for (size_t i = 0; i < g->before_count[type]; i++) {
		if (id_eq(&g->before[type][i], name))
			return false;
	}
	return true;
}

static void add(struct sight *s, uint64_t what)
{
	assert_true(s->count < MOST_SEEN);
	s->seen[s->count++] = what;
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void look_into_pack(struct game *g, const struct id *name, struct sight *s)
{
	struct buf pack = repo_case_get(g->c->inner, STORE_DATA, name);
	struct pack_dir dir = {0};
	struct pack_head head;

	MUST(pack_head_get(pack.data, pack.len, &head, &g->c->err), &g->c->err);
	add(s, UINT64_C(99) << 40 | head.directory_bytes);
	MUST(pack_front_dec(g->c->repo->keys, pack.data, (size_t)pack_front_bytes(&head), pack.len,
			    &dir, &g->c->err),
	     &g->c->err);
	s->exact += pack_front_bytes(&head);
	for (size_t i = 0; i < dir.entry_count; i++)
		s->exact += dir.entries[i].stored_bytes;
	pack_dir_free(&dir);
	buf_free(&pack);
}

static struct sight look(struct game *g)
{
	struct sight s = {0};

	for (int t = 1; t < STORE_TYPES; t++) {
		struct id *names = NULL;
		uint64_t *sizes = NULL;
		size_t count = 0;

		MUST(repo_list(g->c->inner, (enum store_type)t, &names, &sizes, &count, &g->c->err),
		     &g->c->err);
		for (size_t i = 0; i < count; i++) {
			if (!is_new(g, t, &names[i]))
				continue;
			add(&s, (uint64_t)t << 40 | sizes[i]);
			if (t == STORE_DATA)
				look_into_pack(g, &names[i], &s);
		}
		free(names);
		free(sizes);
	}
	qsort(s.seen, s.count, sizeof(s.seen[0]), by_value);
	return s;
}

/* --- guessing --- */

static uint64_t distance(const struct sight *a, const struct sight *b, bool exact)
{
	uint64_t sum = 0;

	if (exact)
		return a->exact > b->exact ? a->exact - b->exact : b->exact - a->exact;
	if (a->count != b->count)
		return UINT64_MAX;
	for (size_t i = 0; i < a->count; i++)
		sum += a->seen[i] > b->seen[i] ? a->seen[i] - b->seen[i] : b->seen[i] - a->seen[i];
	return sum;
}

/* The example that is the most alike; of several one by lot. */
static size_t guess(struct game *g, const struct sight *examples, size_t count,
		    const struct sight *seen, bool exact)
{
	uint64_t best = UINT64_MAX;
	size_t ties = 0, choice = 0;

	for (size_t i = 0; i < count; i++) {
		uint64_t d = distance(&examples[i], seen, exact);

		if (d < best) {
			best = d;
			ties = 0;
		}
		if (d == best && draw(g) % ++ties == 0)
			choice = i;
	}
	return choice;
}

/* How many sorts of sight there are. */
static size_t count_sorts(const struct sight *s, size_t count)
{
	size_t sorts = 0;

	for (size_t i = 0; i < count; i++) {
		size_t k = 0;

		while (k < i && distance(&s[i], &s[k], false) != 0)
			k++;
		sorts += k == i;
	}
	return sorts;
}

static uint64_t root_of(uint64_t n)
{
	uint64_t r = 0;

	while ((r + 1) * (r + 1) <= n)
		r++;
	return r;
}

struct score {
	size_t hits, exact_hits, sorts;
};

typedef struct sight play_fn(struct game *g, unsigned secret, unsigned copy);

static struct score play(struct game *g, const char *what, play_fn *fn, unsigned secrets,
			 size_t buckets)
{
	struct sight *examples = calloc(secrets, sizeof(*examples));
	struct sight *tests = calloc(secrets, sizeof(*tests));
	struct score s = {0};
	uint64_t most = buckets + 5 * (root_of(buckets) + 1) + 5;

	assert_true(examples && tests && secrets <= MOST_SECRETS);
	for (unsigned i = 0; i < secrets; i++) {
		examples[i] = fn(g, i, 0);
		tests[i] = fn(g, i, 1);
	}
	for (unsigned i = 0; i < secrets; i++) {
		s.hits += guess(g, examples, secrets, &tests[i], false) == i;
		s.exact_hits += guess(g, examples, secrets, &tests[i], true) == i;
	}
	s.sorts = count_sorts(examples, secrets);
	printf(
	    "# %s: of %u secrets in %zu buckets %zu are named by what the store sees (chance: %zu; "
	    "at most %llu), %zu by true sizes; %zu sorts of sight\n",
	    what, secrets, buckets, s.hits, buckets, (unsigned long long)most, s.exact_hits,
	    s.sorts);
	assert_true(s.hits <= most);
	assert_true(s.exact_hits * 10 > 9 * secrets);
	free(examples);
	free(tests);
	return s;
}

/* --- files --- */

/* One document, of its own size, in a repository that has one backup of another already. */
static struct sight back_up_file(struct game *g, size_t len, unsigned copy)
{
	uint8_t *bytes = repo_case_block(len * 2 + copy, len);
	struct repo_case_file files[] = {{"a", "what was there before", 21}, {"b", bytes, len}};
	struct sight s;

	(void)repo_case_backup(g->c, files, 1, 1000);
	remember(g);
	(void)repo_case_backup(g->c, files, 2, 2000);
	s = look(g);
	forget(g);
	free(bytes);
	return s;
}

/* 7,600 to 13,570 bytes: with what a night has besides packs of 16 KiB. */
static struct sight similar_file(struct game *g, unsigned secret, unsigned copy)
{
	return back_up_file(g, 7600 + 30 * secret, copy);
}

/* 4 to 203 KiB: packs of 8 to 256 KiB. */
static struct sight any_file(struct game *g, unsigned secret, unsigned copy)
{
	return back_up_file(g, 4096 + 1024 * secret, copy);
}

static void test_similar_files(void **state)
{
	struct score s = play(*state, "documents of 7 to 14 kB", similar_file, MOST_SECRETS, 1);

	assert_int_equal(s.sorts, 1);
}

static void test_all_files(void **state)
{
	/* 8, 16, 32, 64, 128 and 256 KiB. */
	struct score s = play(*state, "documents of 4 to 203 KiB", any_file, MOST_SECRETS, 6);

	assert_true(s.sorts <= 6);
}

/* --- databases --- */

static void back_up(struct game *g, int64_t at_s)
{
	const char *const paths[] = {g->src};
	struct backup_options options = {.paths = paths,
					 .path_count = 1,
					 .host = REPO_CASE_HOST,
					 .cache_dir = g->kit.cache,
					 .workers = 1,
					 .now_ns = at_s * 1000000000};
	struct backup_result result = {0};

	repo_case_reopen(g->c);
	MUST(backup_run(g->c->repo, &options, &result, &g->c->err), &g->c->err);
	assert_true(result.committed && result.databases == 1);
}

static struct sight end_night(struct game *g)
{
	struct sight s = look(g);

	forget(g);
	return s;
}

#define DB_SECRETS 60

/* Databases of 60 to 119 rows, which are as incompressible as what people keep in them once it is encrypted or compressed. */
static struct sight a_database(struct game *g, unsigned secret, unsigned copy)
{
	char sql[300];

	(void)copy;
	(void)unlink(g->db);
	(void)snprintf(
	    sql, sizeof(sql),
	    "CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB);"
	    "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < %u)"
	    "INSERT INTO t SELECT i, randomblob(100) FROM c",
	    60 + secret);
	kit_make(g->db, sql);
	remember(g);
	back_up(g, 1000);
	return end_night(g);
}

/* A night in which 30 to 89 of 200 rows have changed. */
static struct sight a_night(struct game *g, unsigned secret, unsigned copy)
{
	char sql[300];

	(void)copy;
	(void)unlink(g->db);
	kit_make(g->db,
		 "CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB);"
		 "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 200)"
		 "INSERT INTO t SELECT i, randomblob(100) FROM c");
	back_up(g, 1000);
	remember(g);
	(void)snprintf(sql, sizeof(sql), "UPDATE t SET v = randomblob(100) WHERE id <= %u",
		       30 + secret);
	kit_make(g->db, sql);
	back_up(g, 90000);
	return end_night(g);
}

static void test_databases(void **state)
{
	/* 8 and 16 KiB. */
	(void)play(*state, "databases of 60 to 119 rows", a_database, DB_SECRETS, 2);
}

static void test_nights(void **state)
{
	(void)play(*state, "nights of 30 to 89 changed rows", a_night, DB_SECRETS, 3);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_similar_files),
	    CASE(test_all_files),
	    CASE(test_databases),
	    CASE(test_nights),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
