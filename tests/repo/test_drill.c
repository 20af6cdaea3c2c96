/* drill: what a practice restore finds, what it tells, what it leaves behind, and that none of it is readable on a disk (DESIGN §5, I5). */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "repo/backup.h"
#include "repo/check.h"
#include "repo/drill.h"
#include "tests/support/dbkit.h"
#include "tests/support/must.h"
#include "tests/support/repo_case.h"

#define MARKER "nobody may read this on a disk"

struct fixture {
	struct kit kit;
	struct repo_case *c;
	char target[400];
	struct drill_options options;
	struct drillnote_counts counts;
	char told[4000];    /* failures, a line each */
	char warned[4000];  /* warnings */
	unsigned ticks;     /* of progress */
	unsigned cancel_at; /* that tick cancels; 0 = none */
	unsigned spilled;   /* open files of the cache that were looked into */
	bool leaked;        /* one of them held the marker */
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	void *c = NULL;

	assert_non_null(f);
	kit_new(&f->kit);
	assert_int_equal(repo_case_setup(&c), 0);
	f->c = c;
	(void)kit_path(&f->kit, "target", f->target);
	f->options.cache_dir = f->kit.cache;
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

/* --- a backup of the kit's database and a file --- */

static void back_up(struct fixture *f, int64_t time_ns)
{
	const char *paths[] = {f->kit.db, NULL};
	char file[400];
	struct backup_options options = {.paths = paths,
					 .path_count = 2,
					 .host = REPO_CASE_HOST,
					 .cache_dir = f->kit.cache,
					 .now_ns = time_ns};
	struct backup_result result = {0};
	uint8_t *bytes = repo_case_block(3, 400000);

	paths[1] = kit_path(&f->kit, "photo", file);
	kit_spew(file, bytes, 400000);
	free(bytes);
	MUST(backup_run(f->c->repo, &options, &result, &f->c->err), &f->c->err);
	assert_int_equal(result.databases, 1);
}

static void make_db(struct fixture *f, const char *sql)
{
	kit_make(f->kit.db, sql);
	back_up(f, 1000);
}

#define SOUND                                                                                      \
	"CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT); INSERT INTO t(b) VALUES('one'),('two')"

/* --- drilling --- */

static void add_line(char *to, size_t room, const char *item, const char *text)
{
	size_t used = strlen(to);
	const char *slash = strrchr(item, '/');

	(void)snprintf(to + used, room - used, "%s: %s\n", slash ? slash + 1 : item, text);
}

static void on_failed(void *arg, const char *item, const char *text)
{
	struct fixture *f = arg;

	add_line(f->told, sizeof(f->told), item, text);
}

static void on_warning(void *arg, const char *item, const char *text)
{
	struct fixture *f = arg;

	add_line(f->warned, sizeof(f->warned), item, text);
}

static void look_into(struct fixture *f, int fd)
{
	struct stat st;
	char *bytes;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_nlink != 0 || st.st_size == 0)
		return;
	bytes = malloc((size_t)st.st_size);
	assert_non_null(bytes);
	assert_true(pread(fd, bytes, (size_t)st.st_size, 0) == st.st_size);
	f->spilled++;
	f->leaked = f->leaked || memmem(bytes, (size_t)st.st_size, MARKER, strlen(MARKER)) != NULL;
	free(bytes);
}

static int on_progress(void *arg, uint64_t files, uint64_t bytes, const char *path)
{
	struct fixture *f = arg;

	(void)files;
	(void)bytes;
	(void)path;
	for (int fd = 3; fd < 64; fd++)
		look_into(f, fd);
	return ++f->ticks == f->cancel_at;
}

/* Of the last manifest, with this repository's key. */
static int drill_as(struct fixture *f, struct repo *repo, struct err *err)
{
	struct manifest_list list = {0};
	struct index *index = NULL;
	struct reader *reader = NULL;
	int r;

	f->options.cb = (struct drill_callbacks){on_failed, on_warning, on_progress, f};
	f->told[0] = f->warned[0] = '\0';
	f->ticks = 0;
	MUST(manifests_load(repo, NULL, NULL, &list, err), err);
	MUST(index_load(repo, NULL, NULL, &index, err), err);
	MUST(reader_new(repo, index, &reader, err), err);
	r = drill_run(reader, &list.items[list.count - 1].m, &f->options, &f->counts, err);
	reader_free(reader);
	index_free(index);
	manifest_list_free(&list);
	return r;
}

static enum drillnote_verdict drill(struct fixture *f)
{
	MUST(drill_as(f, f->c->repo, &f->c->err), &f->c->err);
	return drillnote_judge(&f->counts);
}

static void test_good(void **state)
{
	struct fixture *f = *state;

	make_db(f, SOUND);
	assert_int_equal(drill(f), DRILLNOTE_GOOD);
	assert_string_equal(f->told, "");
	assert_string_equal(f->warned, "");
	assert_true(f->counts.files == 2 && f->counts.databases == 1);
	assert_true(f->counts.bytes > 400000);
	f->options.target = f->target;
	assert_int_equal(drill(f), DRILLNOTE_GOOD);
	assert_true(f->counts.files == 2 && f->counts.databases == 1);
	assert_string_equal(f->told, "");
	MUST_FAIL(drill_as(f, f->c->repo, &f->c->err), ERR_USAGE, &f->c->err);
	assert_non_null(strstr(f->c->err.text, "not empty"));
}

static void test_foreign_keys(void **state)
{
	struct fixture *f = *state;

	make_db(f, "CREATE TABLE p(a INTEGER PRIMARY KEY); CREATE TABLE c(x REFERENCES p(a));"
		   "INSERT INTO c VALUES(NULL),(7),(8)");
	for (int files = 0; files < 2; files++) {
		f->options.target = files ? f->target : NULL;
		assert_int_equal(drill(f), DRILLNOTE_FAILED);
		assert_int_equal(f->counts.databases_failed, 1);
		assert_string_equal(f->told,
				    "app.db: foreign_key_check: 2 rows refer to what is not "
				    "there; the first: row 2 of c refers to p\n");
	}
}

/* A database that was broken when it was backed up: the drill says so, whatever the backup said. */
static void test_corrupt(void **state)
{
	struct fixture *f = *state;
	size_t len;
	uint8_t *bytes;

	kit_make(f->kit.db, "CREATE TABLE t(a INTEGER PRIMARY KEY, b); CREATE INDEX i ON t(b);"
			    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE "
			    "i<3000) INSERT INTO t(b) SELECT hex(randomblob(50)) FROM n");
	bytes = kit_slurp(f->kit.db, &len);
	memset(bytes + 20 * 4096, 0xff, 4096);
	kit_spew(f->kit.db, bytes, len);
	free(bytes);
	back_up(f, 1000);
	assert_int_equal(drill(f), DRILLNOTE_FAILED);
	assert_int_equal(f->counts.databases_failed, 1);
	assert_memory_equal(f->told, "app.db: integrity_check: ", 25);
	assert_ptr_equal(strchr(f->told, '\n') + 1, f->told + strlen(f->told)); /* one line */
}

static int any_order(void *arg, int a_len, const void *a, int b_len, const void *b)
{
	(void)arg;
	return a_len != b_len ? a_len - b_len : memcmp(a, b, (size_t)a_len);
}

static void test_unchecked(void **state)
{
	struct fixture *f = *state;
	sqlite3 *db = kit_open(f->kit.db);

	assert_int_equal(sqlite3_create_collation(db, "odd", SQLITE_UTF8, NULL, any_order),
			 SQLITE_OK);
	kit_exec(db, "CREATE TABLE t(a TEXT COLLATE odd); CREATE INDEX i ON t(a);"
		     "INSERT INTO t VALUES('x'),('y')");
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	back_up(f, 1000);
	assert_int_equal(drill(f), DRILLNOTE_GOOD);
	assert_int_equal(f->counts.databases_unchecked, 1);
	assert_non_null(strstr(f->warned, "no such collation"));
}

/* --- damage --- */

static void flip_largest_pack(struct fixture *f)
{
	struct id *names = NULL;
	uint64_t *sizes = NULL;
	size_t count = 0, at = 0;

	MUST(repo_list(f->c->inner, STORE_DATA, &names, &sizes, &count, &f->c->err), &f->c->err);
	for (size_t i = 0; i < count; i++)
		at = sizes[i] > sizes[at] ? i : at;
	repo_case_flip(f->c->inner, STORE_DATA, &names[at], (size_t)sizes[at] / 2, 3);
	free(names);
	free(sizes);
}

static void test_damaged_pack(void **state)
{
	struct fixture *f = *state;

	make_db(f, SOUND);
	flip_largest_pack(f);
	for (int files = 0; files < 2; files++) {
		f->options.target = files ? f->target : NULL;
		assert_int_equal(drill(f), DRILLNOTE_FAILED);
		assert_true(f->counts.files_failed == 1);
		assert_memory_equal(f->told, "photo: ", 7);
	}
}

static void test_lost_packs(void **state)
{
	char database[] = "app.db", sql[] = "SELECT 1";
	const struct drill_assertion ask = {database, sql};
	struct fixture *f = *state;
	struct id *names = NULL;
	size_t count = 0;

	make_db(f, SOUND);
	MUST(repo_list(f->c->inner, STORE_DATA, &names, NULL, &count, &f->c->err), &f->c->err);
	for (size_t i = 0; i < count; i++)
		MUST(store_remove(f->c->inner, STORE_DATA, &names[i], &f->c->err), &f->c->err);
	free(names);
	f->options.assertions = &ask;
	f->options.assertion_count = 1;
	assert_int_equal(drill(f), DRILLNOTE_FAILED);
	assert_int_equal(f->counts.databases_failed, 1);
	assert_int_equal(f->counts.assertions_failed, 1);
	assert_non_null(strstr(f->told, "could not be asked"));
}

/* --- assertions --- */

static void test_assertions(void **state)
{
	static const struct {
		const char *sql, *told; /* told NULL: it holds */
	} cases[] = {
	    {"SELECT count(*) = 2 FROM t", NULL},
	    {"SELECT -1", NULL},
	    {"SELECT 0.5, 'more', 'columns'", NULL},
	    {"SELECT '1'", NULL},
	    {"WITH x AS (SELECT 1) SELECT * FROM x;", NULL},
	    {"SELECT count(*) > 2 FROM t", "gives 0, not true"},
	    {"SELECT NULL", "gives NULL, not true"},
	    {"SELECT b FROM t WHERE a = 1", "gives one, not true"},
	    {"SELECT 1 FROM t", "gives 2 rows, not one"},
	    {"SELECT 1 FROM t WHERE 0", "gives 0 rows, not one"},
	    {"SELECT 1 FROM nothere", "no such table: nothere"},
	    {"SELECT 1; SELECT 1", "more than one statement"},
	    {"WITH x AS (SELECT 1) DELETE FROM t", "could not be run"},
	    {"SELECT load_extension('x')", "could not be run"},
	    {"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT sum(i) FROM n",
	     "takes too long"},
	};
	struct fixture *f = *state;

	make_db(f, SOUND);
	f->options.most_steps = 1000000;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char database[] = "app.db", sql[200];
		const struct drill_assertion a = {database, sql};

		(void)snprintf(sql, sizeof(sql), "%s", cases[i].sql);
		f->options.assertions = &a;
		f->options.assertion_count = 1;
		assert_int_equal(drill(f), cases[i].told ? DRILLNOTE_FAILED : DRILLNOTE_GOOD);
		assert_int_equal(f->counts.assertions_failed, cases[i].told != NULL);
		assert_int_equal(f->counts.databases_failed, 0);
		if (!cases[i].told)
			assert_string_equal(f->told, "");
		else if (!strstr(f->told, cases[i].told) || !strstr(f->told, cases[i].sql))
			fail_msg("%s: %s", cases[i].sql, f->told);
	}
}

static void test_assertion_of_no_database(void **state)
{
	struct fixture *f = *state;
	char other[] = "pp.db", sql[] = "SELECT 1";
	const struct drill_assertion a = {other, sql};

	make_db(f, SOUND);
	f->options.assertions = &a;
	f->options.assertion_count = 1;
	MUST_FAIL(drill_as(f, f->c->repo, &f->c->err), ERR_USAGE, &f->c->err);
	assert_int_equal(f->ticks, 0);
}

/* --- nothing readable, nothing left --- */

static unsigned entries(const char *dir)
{
	DIR *d = opendir(dir);
	const struct dirent *e;
	unsigned n = 0;

	assert_non_null(d);
	while ((e = readdir(d)))
		n += e->d_name[0] != '.' && strcmp(e->d_name, "files") != 0;
	(void)closedir(d);
	return n;
}

static void test_no_plaintext(void **state)
{
	struct fixture *f = *state;
	char sql[] =
	    "SELECT count(*) = 0 FROM (SELECT b, row_number() OVER (ORDER BY b DESC) FROM t)",
	     database[] = "app.db";
	const struct drill_assertion a = {database, sql}; /* makes SQLite sort all of it */
	unsigned before;

	make_db(f, "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT); CREATE INDEX i ON t(b);"
		   "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<20000) "
		   "INSERT INTO t(b) SELECT '" MARKER "' || i FROM n");
	before = entries(f->kit.cache);
	f->options.ram_budget_bytes = 1;
	f->options.assertions = &a;
	f->options.assertion_count = 1;
	assert_int_equal(drill(f), DRILLNOTE_FAILED);
	assert_true(f->spilled > 0);
	assert_false(f->leaked);
	assert_int_equal(entries(f->kit.cache), before);
}

static void test_cancel(void **state)
{
	struct fixture *f = *state;
	unsigned ticks;

	make_db(f, SOUND);
	(void)drill(f);
	ticks = f->ticks;
	assert_true(ticks > 3);
	for (f->cancel_at = 1; f->cancel_at <= ticks; f->cancel_at++)
		MUST_FAIL(drill_as(f, f->c->repo, &f->c->err), ERR_CANCELLED, &f->c->err);
}

/* --- roles and notes --- */

static struct repo *open_as(struct fixture *f, enum role role)
{
	struct buf keyfile = repo_case_keyfile(f->c, role);
	struct repo *repo = NULL;

	MUST(repo_case_open_with(f->c, &keyfile, &repo, &f->c->err), &f->c->err);
	buf_wipe(&keyfile);
	return repo;
}

/* Keeps a made-up drill of the manifest at `which`, and says whether it is in the repository. */
static bool keep(struct fixture *f, struct repo *repo, size_t which, int64_t at, bool good)
{
	struct drillnote note = {.time_ns = at,
				 .place = DRILLNOTE_MEMORY,
				 .counts = {.files = 1, .files_failed = !good}};
	struct manifest_list list = {0};
	struct err why;

	MUST(manifests_load(repo, NULL, NULL, &list, &f->c->err), &f->c->err);
	assert_int_equal(list.bad, 0);
	MUST(drill_keep(repo, &list, &list.items[which], f->kit.cache, &note, &why, &f->c->err),
	     &f->c->err);
	manifest_list_free(&list);
	return why.code == 0;
}

static void assert_last(struct fixture *f, struct repo *repo, int64_t last, int64_t good)
{
	struct manifest_list list = {0};
	struct drillnote n = {0};

	MUST(manifests_load(repo, NULL, NULL, &list, &f->c->err), &f->c->err);
	assert_int_equal(list.bad, 0);
	assert_int_equal(drill_last(&list, repo->keys->repo, f->kit.cache, &n), last != 0);
	assert_true(!last || n.time_ns == last);
	assert_int_equal(drill_last_good(&list, repo->keys->repo, f->kit.cache, &n), good != 0);
	assert_true(!good || n.time_ns == good);
	manifest_list_free(&list);
}

static void test_notes(void **state)
{
	struct fixture *f = *state;
	struct repo *repo = f->c->repo;
	size_t before;

	make_db(f, SOUND);
	back_up(f, 2000);
	before = repo_case_count(f->c->inner, STORE_SNAPSHOTS);
	assert_last(f, repo, 0, 0);
	assert_true(keep(f, repo, 0, 50, false));
	assert_last(f, repo, 50, 0);
	assert_true(keep(f, repo, 0, 60, true));
	assert_last(f, repo, 60, 60);
	assert_int_equal(repo_case_count(f->c->inner, STORE_SNAPSHOTS), before + 1);
	for (int64_t at = 70; at < 80; at++)
		assert_true(keep(f, repo, 1, at, false));
	assert_last(f, repo, 79, 60); /* failing ones do not hide the last good one */
	assert_int_equal(repo_case_count(f->c->inner, STORE_SNAPSHOTS), before + 2);
	repo_case_reopen(f->c);
	repo = open_as(f, ROLE_MAINTAIN);
	assert_last(f, repo, 79, 60);
	repo_close(repo);
	repo_case_assert_format(f->c->inner);
}

/* A key that signs nothing: this host remembers. */
static void test_read_key(void **state)
{
	struct fixture *f = *state;
	struct check_options o = {.read_data = true};
	struct check_result res;
	struct repo *repo;
	size_t before;

	make_db(f, SOUND);
	before = repo_case_count(f->c->inner, STORE_SNAPSHOTS);
	repo = open_as(f, ROLE_READ);
	MUST(drill_as(f, repo, &f->c->err), &f->c->err);
	assert_false(keep(f, repo, 0, 50, true));
	assert_false(keep(f, repo, 0, 60, false));
	assert_false(keep(f, repo, 0, 70, false));
	assert_last(f, repo, 70, 50);
	repo_close(repo);
	assert_int_equal(repo_case_count(f->c->inner, STORE_SNAPSHOTS), before);
	assert_true(keep(f, f->c->repo, 0, 65, true));
	assert_last(f, f->c->repo, 70, 65);
	MUST(check_run(f->c->repo, &o, &res, &f->c->err), &f->c->err);
	assert_true(res.damaged == 0);
}

static void test_other_roles(void **state)
{
	struct fixture *f = *state;

	make_db(f, SOUND);
	for (int i = 0; i < 2; i++) {
		struct repo *repo = open_as(f, i ? ROLE_MAINTAIN : ROLE_WRITE);
		struct drillnote_counts counts;
		struct manifest none = {0};
		struct index *index = NULL;
		struct reader *reader = NULL;
		struct err err = {0};

		MUST(index_load(f->c->repo, NULL, NULL, &index, &err), &err);
		MUST(reader_new(repo, index, &reader, &err), &err);
		MUST_FAIL(drill_run(reader, &none, &f->options, &counts, &err), ERR_KEY, &err);
		assert_non_null(strstr(err.text, "full or read key"));
		reader_free(reader);
		index_free(index);
		repo_close(repo);
	}
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    CASE(test_good),         CASE(test_foreign_keys),
	    CASE(test_corrupt),      CASE(test_unchecked),
	    CASE(test_damaged_pack), CASE(test_lost_packs),
	    CASE(test_assertions),   CASE(test_assertion_of_no_database),
	    CASE(test_no_plaintext), CASE(test_cancel),
	    CASE(test_notes),        CASE(test_read_key),
	    CASE(test_other_roles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
