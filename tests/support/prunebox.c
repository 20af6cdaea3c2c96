#include "tests/support/prunebox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "repo/check.h"
#include "repo/restore.h"
#include "tests/support/must.h"

#define START_S INT64_C(1700000000)

static int64_t boot(void *arg)
{
	struct prunebox *b = arg;
	int64_t now_s = b->boot_s;
	int (*meanwhile)(struct prunebox *) = b->meanwhile;

	if (++b->boot_asked == b->asleep_at && meanwhile) {
		b->asleep_at = 0;
		b->meanwhile = NULL;
		(void)meanwhile(b);
	}
	return now_s;
}

int prunebox_setup(void **state)
{
	struct prunebox *b = calloc(1, sizeof(*b));
	void *c = NULL;

	assert_non_null(b);
	kit_new(&b->kit);
	assert_int_equal(repo_case_setup(&c), 0);
	b->c = c;
	b->err = &b->c->err;
	b->options = (struct prune_options){.boot_s = boot, .arg = b};
	prunebox_pass(b, START_S);
	(void)kit_path(&b->kit, "src", b->src);
	(void)kit_path(&b->kit, "src/app.db", b->db);
	assert_int_equal(mkdir(b->src, 0700), 0);
	kit_make(b->db,
		 "CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB);"
		 "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 4000)"
		 "INSERT INTO t SELECT i, randomblob(100) FROM c");
	*state = b;
	return 0;
}

int prunebox_teardown(void **state)
{
	struct prunebox *b = *state;
	void *c = b->c;

	(void)repo_case_teardown(&c);
	kit_free(&b->kit);
	free(b);
	return 0;
}

void prunebox_pass(struct prunebox *b, int64_t seconds)
{
	b->now_s += seconds;
	store_mem_set_now(b->c->inner, b->now_s);
}

void prunebox_attach(struct prunebox *b, const char *name, uint64_t seed, size_t len)
{
	char below[200], path[400];
	uint8_t *bytes = repo_case_block(seed, len);

	(void)snprintf(below, sizeof(below), "src/%s", name);
	kit_spew(kit_path(&b->kit, below, path), bytes, len);
	free(bytes);
}

static int on_progress(void *arg, const struct backup_progress *at)
{
	struct prunebox *b = arg;
	int (*meanwhile)(struct prunebox *) = b->meanwhile;

	if (at->phase != BACKUP_PUBLISH || !meanwhile || b->asleep_at)
		return 0;
	b->meanwhile = NULL;
	return meanwhile(b);
}

static void on_warning(void *arg, const char *path, const char *text)
{
	struct prunebox *b = arg;

	(void)path, (void)text;
	b->warnings++;
}

int prunebox_try_night(struct prunebox *b)
{
	const char *const paths[] = {b->src};
	struct backup_options options = {
	    .paths = paths,
	    .path_count = 1,
	    .host = REPO_CASE_HOST,
	    .cache_dir = b->kit.cache,
	    .workers = 1,
	    .now_ns = b->now_s * 1000000000,
	    .boot_s = boot,
	    .boot_arg = b,
	    .cb = {.progress = on_progress, .warning = on_warning, .arg = b},
	};
	int r;

	prunebox_pass(b, PRUNEBOX_DAY);
	options.now_ns = b->now_s * 1000000000;
	b->boot_asked = 0;
	repo_case_reopen(b->c);
	r = backup_run(b->c->repo, &options, &b->backup, b->err);
	assert_true(b->night_count < PRUNEBOX_NIGHTS);
	if (!r)
		b->nights[b->night_count++] = b->backup.manifest;
	return r;
}

void prunebox_night(struct prunebox *b)
{
	MUST(prunebox_try_night(b), b->err);
	assert_true(b->backup.committed);
	assert_int_equal(b->backup.unreadable, 0);
}

void prunebox_nights(struct prunebox *b, unsigned count)
{
	char name[32];

	for (unsigned i = 0; i < count; i++) {
		(void)snprintf(name, sizeof(name), "n%u", i);
		prunebox_attach(b, name, 100 + i, 20000 + 30 * i);
		prunebox_attach(b, "changing", 200 + i, 30000);
		kit_make(b->db,
			 "UPDATE t SET v = randomblob(100) WHERE id % 50 = abs(random()) % 50");
		prunebox_night(b);
	}
}

void prunebox_dead_pack(struct prunebox *b)
{
	b->options.unused = PRUNE_UNUSED_PERCENT;
	prunebox_attach(b, "a", 1, PRUNEBOX_LARGE);
	prunebox_night(b);
	prunebox_attach(b, "a", 2, PRUNEBOX_LARGE);
	prunebox_attach(b, "b", 3, PRUNEBOX_LARGE);
	kit_make(b->db, "UPDATE t SET v = randomblob(100)");
	prunebox_night(b);
	prunebox_attach(b, "c", 4, 1000);
	prunebox_night(b);
	prunebox_forget(b, 0);
}

size_t prunebox_count(struct prunebox *b, enum store_type type)
{
	return repo_case_count(b->c->inner, type);
}

void prunebox_forget(struct prunebox *b, size_t night)
{
	assert_true(night < b->night_count);
	MUST(store_remove(b->c->inner, STORE_SNAPSHOTS, &b->nights[night], b->err), b->err);
	b->night_count--;
	memmove(&b->nights[night], &b->nights[night + 1],
		(b->night_count - night) * sizeof(b->nights[0]));
}

int prunebox_try_prune(struct prunebox *b, struct repo *repo)
{
	return prune_run(repo, &b->options, &b->result, b->err);
}

void prunebox_prune(struct prunebox *b)
{
	repo_case_reopen(b->c);
	MUST(prunebox_try_prune(b, b->c->repo), b->err);
}

static void on_damage(void *arg, const char *object, const char *text)
{
	(void)arg;
	(void)fprintf(stderr, "#   %s: %s\n", object, text);
}

static void on_touched(void *arg, const struct id *manifest, const char *path, const char *text)
{
	(void)manifest;
	on_damage(arg, path, text);
}

void prunebox_assert_clean(struct prunebox *b, struct repo *repo, bool read_data)
{
	const struct check_options options = {
	    .read_data = read_data, .damage = on_damage, .touched = on_touched};
	struct check_result result;

	MUST(check_run(repo, &options, &result, b->err), b->err);
	assert_int_equal(result.damaged, 0);
	assert_int_equal(result.manifests, b->night_count);
}

static void restore(struct prunebox *b, struct reader *reader, const struct manifest *m)
{
	char target[400], word[32];
	const struct restore_options options = {.target = target, .verify = true};
	struct restore_result result = {0};

	(void)snprintf(word, sizeof(word), "back%u", b->targets++);
	(void)kit_path(&b->kit, word, target);
	MUST(restore_run(reader, m, &options, &result, b->err), b->err);
	assert_int_equal(result.failed, 0);
	assert_int_equal(result.databases, 1);
}

void prunebox_assert_restores(struct prunebox *b)
{
	struct manifest_list list = {0};
	struct reader *reader = NULL;
	struct index *index;

	repo_case_reopen(b->c);
	index = repo_case_index(b->c);
	MUST(manifests_load(b->c->repo, NULL, NULL, &list, b->err), b->err);
	assert_int_equal(list.count, b->night_count);
	MUST(reader_new(b->c->repo, index, &reader, b->err), b->err);
	for (size_t i = 0; i < list.count; i++)
		restore(b, reader, &list.items[i].m);
	assert_false(index->rescued); /* all that was needed a segment names */
	reader_free(reader);
	manifest_list_free(&list);
	index_free(index);
}

struct store *prunebox_clone(struct prunebox *b)
{
	return repo_case_clone(b->c->inner, b->now_s, b->err);
}
