#include "tests/support/quiet_box.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "core/sha256.h"
#include "repo/browse.h"
#include "tests/support/must.h"

int quiet_box_setup(void **state)
{
	struct quiet_box *f = calloc(1, sizeof(*f));
	struct timespec now;
	void *c = NULL;

	assert_non_null(f);
	kit_new(&f->kit);
	assert_int_equal(repo_case_setup(&c), 0);
	f->c = c;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	f->now_ns = (int64_t)now.tv_sec * 1000000000 + QUIET_BOX_HOUR;
	f->cache = f->kit.cache;
	*state = f;
	return 0;
}

int quiet_box_teardown(void **state)
{
	struct quiet_box *f = *state;
	void *c = f->c;

	(void)repo_case_teardown(&c);
	kit_free(&f->kit);
	free(f);
	return 0;
}

/* --- nights --- */

static void on_detail(void *arg, const char *path, const char *text)
{
	struct quiet_box *f = arg;

	if (strncmp(text, "unchanged since manifest ", 25) != 0)
		return;
	assert_string_equal(path, f->kit.db);
	assert_string_equal(text + 25 + 8, ", not read");
	f->told++;
}

void quiet_box_night(struct quiet_box *f)
{
	const char *const paths[] = {f->kit.db};
	struct backup_options options = {
	    .paths = paths,
	    .path_count = 1,
	    .host = REPO_CASE_HOST,
	    .cache_dir = f->cache,
	    .workers = 1,
	    .force = f->force,
	    .integrity_full = f->integrity,
	    .dry_run = f->dry_run,
	    .now_ns = f->now_ns,
	    .cb = {.detail = on_detail, .arg = f},
	};

	f->told = 0;
	repo_case_reopen(f->c);
	MUST(backup_run(f->c->repo, &options, &f->result, &f->c->err), &f->c->err);
	if (f->now_ns)
		f->now_ns += QUIET_BOX_DAY;
	assert_int_equal(f->result.databases, 1);
	assert_int_equal(f->result.unreadable, 0);
}

static int hash_bytes(void *arg, const void *bytes, size_t len, struct err *err)
{
	return sha256_update(arg, bytes, len, err);
}

static void assert_comes_back(struct quiet_box *f, const struct manifest *m)
{
	struct index *index = repo_case_index(f->c);
	struct reader *reader = NULL;
	struct sha256 *sha = NULL;
	struct err *err = &f->c->err;
	struct id digest;

	MUST(reader_new(f->c->repo, index, &reader, err), err);
	MUST(sha256_new(&sha, err), err);
	MUST(browse_dump(reader, m, f->kit.db, hash_bytes, sha, err), err);
	MUST(sha256_final(sha, &digest, err), err);
	assert_memory_equal(digest.b, m->dbs[0].image_sha256, ID_BYTES);
	sha256_free(sha);
	reader_free(reader);
	index_free(index);
}

bool quiet_box_recognised(struct quiet_box *f)
{
	struct manifest_list list = {0};
	const struct manifest *last, *before;
	struct snapshot *now;
	bool same;

	quiet_box_night(f);
	MUST(manifests_load(f->c->repo, NULL, NULL, &list, &f->c->err), &f->c->err);
	assert_true(list.count >= 2);
	last = &list.items[list.count - 1].m;
	before = &list.items[list.count - 2].m;
	same = last->dbs[0].started_ns == before->dbs[0].started_ns;
	assert_int_equal(same, f->told == 1);
	assert_int_equal(last->dbs[0].verdict, SNAPSHOT_CLEAN);
	if (same) {
		assert_memory_equal(last->root.b, before->root.b, ID_BYTES);
		assert_int_equal(f->result.bytes_added, 0);
		assert_int_equal(f->result.files_unmodified, 1);
		assert_int_equal(f->result.bytes, last->dbs[0].image_bytes);
	}
	assert_comes_back(f, last);
	now = kit_snapshot(&f->kit, NULL);
	assert_memory_equal(snapshot_info(now)->image_sha256, last->dbs[0].image_sha256, 32);
	snapshot_free(now);
	manifest_list_free(&list);
	return same;
}

void quiet_box_settle(struct quiet_box *f)
{
	quiet_box_night(f);
	assert_true(quiet_box_recognised(f));
}
