/* Files that vanish while a backup runs are kept as the parent manifest has them; files that were deleted before are not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "repo/backup.h"
#include "repo/browse.h"
#include "repo/reader.h"
#include "tests/support/dbkit.h"
#include "tests/support/must.h"
#include "tests/support/repo_case.h"

struct fixture {
	struct kit kit;
	struct repo_case *c;
	char src[300];
	enum backup_phase phase;   /* when it vanishes: */
	const char *at;            /* the end of the path under way; NULL: never */
	const char *const *doomed; /* ends with NULL */
	struct backup_result result;
	char names[2000]; /* of the newest manifest, below src */
	unsigned unreadable, missing;
	const char *refs[1];
	size_t ref_count;
};

static const char *below(const struct fixture *f, const char *name, char out[600])
{
	(void)snprintf(out, 600, "%s/%s", f->src, name);
	return out;
}

static void make(const struct fixture *f, const char *name)
{
	char path[600];

	kit_spew(below(f, name, path), name, strlen(name));
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char path[600];
	void *c = NULL;

	assert_non_null(f);
	kit_new(&f->kit);
	assert_int_equal(repo_case_setup(&c), 0);
	f->c = c;
	(void)snprintf(f->src, sizeof(f->src), "%s/src", f->kit.dir);
	assert_int_equal(mkdir(f->src, 0755), 0);
	assert_int_equal(mkdir(below(f, "b", path), 0755), 0);
	kit_make(below(f, "app.db", path), "CREATE TABLE f(p); INSERT INTO f VALUES('b/2'),('c')");
	make(f, "a");
	make(f, "b/1");
	make(f, "b/2");
	make(f, "b/3");
	make(f, "c");
	make(f, "d");
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	void *c = f->c;

	(void)repo_case_teardown(&c);
	kit_free(&f->kit);
	free(f);
	return 0;
}

static int on_progress(void *arg, const struct backup_progress *at)
{
	struct fixture *f = arg;
	size_t len = strlen(at->path), end = f->at ? strlen(f->at) : 0;

	if (!f->at || at->phase != f->phase || len < end ||
	    strcmp(at->path + len - end, f->at) != 0)
		return 0;
	f->at = NULL;
	for (const char *const *name = f->doomed; *name; name++) {
		char path[600];

		assert_int_equal(remove(below(f, *name, path)), 0);
	}
	return 0;
}

static void on_unreadable(void *arg, const char *path, const char *text)
{
	(void)path;
	(void)text;
	((struct fixture *)arg)->unreadable++;
}

static void on_missing(void *arg, const char *database, const char *path, const char *text)
{
	(void)database;
	(void)path;
	(void)text;
	((struct fixture *)arg)->missing++;
}

static int add_name(void *arg, const char *path, const struct entry *e, struct err *err)
{
	struct fixture *f = arg;
	size_t at = strlen(f->names), skip = strlen(f->src);

	(void)err;
	if (strncmp(path, f->src, skip) == 0 && path[skip] == '/')
		(void)snprintf(f->names + at, sizeof(f->names) - at, "%s%s ", path + skip + 1,
			       e->type == ENTRY_DIR ? "/" : "");
	return 0;
}

static int compare_bytes(void *arg, const void *bytes, size_t len, struct err *err)
{
	const char *name = arg;

	(void)err;
	assert_int_equal(len, strlen(name));
	assert_memory_equal(bytes, name, len);
	return 0;
}

static void backup(struct fixture *f, int64_t now_ns)
{
	const char *const paths[] = {f->src};
	struct backup_options options = {.paths = paths,
					 .path_count = 1,
					 .host = REPO_CASE_HOST,
					 .cache_dir = f->kit.cache,
					 .now_ns = now_ns,
					 .refs = f->refs,
					 .ref_count = f->ref_count,
					 .cb = {.unreadable = on_unreadable,
						.missing = on_missing,
						.progress = on_progress,
						.arg = f}};
	struct manifest_list list = {0};
	struct reader *reader = NULL;
	struct index *index;
	const struct manifest *m;
	char path[600];
	char last[] = "d";

	f->unreadable = f->missing = 0;
	f->names[0] = '\0';
	MUST(backup_run(f->c->repo, &options, &f->result, &f->c->err), &f->c->err);
	MUST(manifests_load(f->c->repo, NULL, NULL, &list, &f->c->err), &f->c->err);
	index = repo_case_index(f->c);
	MUST(reader_new(f->c->repo, index, &reader, &f->c->err), &f->c->err);
	m = &list.items[list.count - 1].m;
	MUST(browse_list(reader, m, NULL, add_name, f, &f->c->err), &f->c->err);
	assert_int_equal(m->carried, f->result.carried);
	assert_int_equal(m->files, f->result.files);
	if (strstr(f->names, "d "))
		MUST(browse_dump(reader, m, below(f, last, path), compare_bytes, last, &f->c->err),
		     &f->c->err);
	reader_free(reader);
	index_free(index);
	manifest_list_free(&list);
}

/* The first backup, then one during which these vanish. */
static void night(struct fixture *f, enum backup_phase phase, const char *at,
		  const char *const *doomed)
{
	backup(f, 1000);
	assert_string_equal(f->names, "a app.db b/ b/1 b/2 b/3 c d ");
	f->phase = phase;
	f->at = at;
	f->doomed = doomed;
	backup(f, 2000);
	assert_null(f->at);
}

static void between_the_walks(void **state)
{
	static const char *const doomed[] = {"a", "b/2", "d", NULL};
	struct fixture *f = *state;

	night(f, BACKUP_SNAPSHOT, "app.db", doomed);
	assert_string_equal(f->names, "a app.db b/ b/1 b/2 b/3 c d ");
	assert_int_equal(f->result.carried, 3);
	assert_int_equal(f->result.files, 7);
	assert_int_equal(f->unreadable, 0);
	/* The next night sees that they were deleted. */
	backup(f, 3000);
	assert_string_equal(f->names, "app.db b/ b/1 b/3 c ");
	assert_int_equal(f->result.carried, 0);
}

static void after_its_folder_is_listed(void **state)
{
	static const char *const doomed[] = {"b/2", "d", NULL};
	struct fixture *f = *state;

	night(f, BACKUP_FILES, "b/2", doomed);
	assert_string_equal(f->names, "a app.db b/ b/1 b/2 b/3 c d ");
	assert_int_equal(f->result.carried, 2);
	assert_int_equal(f->unreadable, 0);
}

static void a_whole_folder(void **state)
{
	struct fixture *f = *state;
	char path[600];

	backup(f, 1000);
	assert_int_equal(unlink(below(f, "b/3", path)), 0);
	make(f, "b/new");
	f->phase = BACKUP_SNAPSHOT;
	f->at = "app.db";
	f->doomed = (const char *const[]){"b/1", "b/2", "b/new", "b", NULL};
	backup(f, 2000);
	/* b/3 was deleted before, and of b/new there is nothing to keep. */
	assert_string_equal(f->names, "a app.db b/ b/1 b/2 c d ");
	assert_int_equal(f->result.carried, 2);
}

static void deleted_before_the_backup(void **state)
{
	struct fixture *f = *state;
	char path[600];

	backup(f, 1000);
	assert_int_equal(unlink(below(f, "c", path)), 0);
	backup(f, 2000);
	assert_string_equal(f->names, "a app.db b/ b/1 b/2 b/3 d ");
	assert_int_equal(f->result.carried, 0);
}

static void without_a_parent(void **state)
{
	struct fixture *f = *state;

	f->phase = BACKUP_FILES;
	f->at = "/c";
	f->doomed = (const char *const[]){"c", NULL};
	backup(f, 1000);
	assert_string_equal(f->names, "a app.db b/ b/1 b/2 b/3 d ");
	assert_int_equal(f->result.carried, 0);
	assert_int_equal(f->unreadable, 1);
}

/* The database of the snapshot still names them: what was kept counts as there. */
static void references_are_whole(void **state)
{
	static const char *const doomed[] = {"b/2", "c", NULL};
	struct fixture *f = *state;

	f->refs[0] = "app.db: SELECT p FROM f";
	f->ref_count = 1;
	night(f, BACKUP_FILES, "/a", doomed);
	assert_int_equal(f->result.carried, 2);
	assert_int_equal(f->missing, 0);
	assert_int_equal(f->result.refs_referenced, 2);
	backup(f, 3000);
	assert_int_equal(f->missing, 2);
	assert_int_equal(f->result.refs_missing, 2);
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
	    CASE(between_the_walks), CASE(after_its_folder_is_listed),
	    CASE(a_whole_folder),    CASE(deleted_before_the_backup),
	    CASE(without_a_parent),  CASE(references_are_whole),
	};

	return cmocka_run_group_tests_name("backup_carry", tests, NULL, NULL);
}
