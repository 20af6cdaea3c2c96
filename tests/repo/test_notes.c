/* Notes of damage, in a repository and on a host: what comes back, what is refused, and what an index makes of them. */
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
#include <sodium.h>

#include "repo/notes.h"
#include "tests/support/bytes.h"
#include "tests/support/dbkit.h"
#include "tests/support/must.h"
#include "tests/support/repo_case.h"

#define LINE_CHARS (ID_HEX_CHARS + 10)

struct fixture {
	struct kit kit;
	struct repo_case *c;
	char folder[400], file[440];
	struct err *err;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char id[2 * REPO_ID_BYTES + 1];
	void *c = NULL;

	assert_non_null(f);
	kit_new(&f->kit);
	assert_int_equal(repo_case_setup(&c), 0);
	f->c = c;
	f->err = &f->c->err;
	(void)sodium_bin2hex(id, sizeof(id), f->c->repo->conf.repo, REPO_ID_BYTES);
	(void)kit_path(&f->kit, id, f->folder);
	(void)snprintf(f->file, sizeof(f->file), "%s/damage", f->folder);
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

static struct damage_place place(unsigned n)
{
	return (struct damage_place){bytes_id(n), 200 - n};
}

static struct notes some(unsigned from, unsigned count)
{
	struct notes n = {0};
	struct err err = {0};

	for (unsigned i = 0; i < count; i++) {
		const struct damage_place p = place(from + i);

		MUST(notes_add(&n, &p, &err), &err);
	}
	notes_settle(&n);
	return n;
}

static void assert_same(const struct notes *a, const struct notes *b)
{
	assert_int_equal(a->count, b->count);
	for (size_t i = 0; i < a->count; i++)
		assert_int_equal(damage_place_cmp(&a->places[i], &b->places[i]), 0);
}

static void test_settle(void **state)
{
	const unsigned order[] = {9, 2, 9, 7, 2, 9, 1};
	struct notes n = {0};
	struct err err = {0};

	(void)state;
	notes_settle(&n);
	for (size_t i = 0; i < 7; i++) {
		const struct damage_place p = place(order[i]);

		MUST(notes_add(&n, &p, &err), &err);
	}
	notes_settle(&n);
	assert_int_equal(n.count, 4);
	for (unsigned i = 0; i < 10; i++) {
		const struct damage_place p = place(i);

		assert_int_equal(notes_have(&n, &p), i == 1 || i == 2 || i == 7 || i == 9);
	}
	notes_free(&n);
}

/* --- in the repository --- */

static struct notes load(struct fixture *f, size_t bad)
{
	struct manifest_list list = {0};
	struct notes n;

	MUST(manifests_load(f->c->repo, NULL, NULL, &list, f->err), f->err);
	assert_int_equal(list.count, 0);
	assert_int_equal(list.bad, bad);
	n = list.notes;
	list.notes = (struct notes){0};
	manifest_list_free(&list);
	return n;
}

static void put(struct fixture *f, const struct notes *n, uint64_t seen, uint64_t want)
{
	MUST(notes_put(f->c->repo, n, 5, &seen, f->err), f->err);
	assert_true(seen == want);
}

static void test_put_and_take(void **state)
{
	struct fixture *f = *state;
	struct notes first = some(1, 3), second = some(2, 4), all = some(1, 5), none = {0}, got;

	put(f, &none, 7, 7);
	assert_int_equal(repo_case_count(f->c->inner, STORE_SNAPSHOTS), 0);
	put(f, &first, 0, 1);
	got = load(f, 0);
	assert_same(&got, &first);
	assert_true(got.number == 1);
	notes_free(&got);
	put(f, &second, 1, 2);
	assert_int_equal(repo_case_count(f->c->inner, STORE_SNAPSHOTS), 2);
	repo_case_reopen(f->c);
	got = load(f, 0);
	assert_same(&got, &all);
	assert_true(got.number == 2);
	repo_case_assert_format(f->c->inner);
	notes_free(&got);
	notes_free(&first);
	notes_free(&second);
	notes_free(&all);
}

static void test_no_number_left(void **state)
{
	struct fixture *f = *state;
	struct notes n = some(1, 1);
	uint64_t number = UINT64_MAX;

	MUST_FAIL(notes_put(f->c->repo, &n, 5, &number, f->err), ERR_LIMIT, f->err);
	assert_true(number == UINT64_MAX);
	put(f, &n, UINT64_MAX - 1, UINT64_MAX);
	notes_free(&n);
}

/* More than one note takes: several, numbered on. */
static void test_many(void **state)
{
	const size_t count = (size_t)LIMIT_DAMAGE_PLACES + 10;
	struct fixture *f = *state;
	struct notes n = {.places = calloc(count, sizeof(*n.places)), .count = count, .cap = count};
	struct notes got;

	assert_non_null(n.places);
	for (size_t i = 0; i < count; i++)
		n.places[i].record = (uint32_t)i;
	put(f, &n, 3, 5);
	assert_int_equal(repo_case_count(f->c->inner, STORE_SNAPSHOTS), 2);
	got = load(f, 0);
	assert_same(&got, &n);
	assert_true(got.number == 5);
	notes_free(&got);
	notes_free(&n);
}

static void test_damaged(void **state)
{
	struct fixture *f = *state;
	struct notes n = some(1, 3), got;
	struct id *names = NULL;
	size_t count = 0;

	put(f, &n, 0, 1);
	MUST(repo_list(f->c->inner, STORE_SNAPSHOTS, &names, NULL, &count, f->err), f->err);
	repo_case_flip(f->c->inner, STORE_SNAPSHOTS, &names[0], 100, 1);
	got = load(f, 1);
	assert_int_equal(got.count, 0);
	notes_free(&got);
	notes_free(&n);
	free(names);
}

/* Signed by a writer, in the roster or not: refused. He could have the copies of others deleted in favour of what he has planted. */
static void test_signer(void **state)
{
	struct fixture *f = *state;
	struct notes n = some(1, 3), got;

	f->c->repo->keys->has_gc_secret = false; /* as a key of the write role */
	put(f, &n, 0, 1);
	repo_case_reopen(f->c);
	got = load(f, 1);
	assert_int_equal(got.count, 0);
	notes_free(&got);
	notes_free(&n);
}

/* --- what an index makes of them --- */

static void test_apply(void **state)
{
	const struct repo_case_file files[] = {{"a", "some", 4}, {"b", "thing", 5}};
	struct fixture *f = *state;
	struct notes n = {0}, others = some(1, 5);
	struct index *index;
	struct damage_place p;

	(void)repo_case_backup(f->c, files, 2, 1000);
	index = repo_case_index(f->c);
	assert_true(index->place_count > 2);
	/* Packs and chunks that are gone, or never were. */
	notes_apply(&others, index);
	assert_int_equal(index->marks, 0);
	p = notes_place(index, 1);
	assert_int_equal(notes_find(index, &p), 1);
	MUST(notes_add(&n, &p, f->err), f->err);
	p.record = index->packs[index->places[1].pack].place_count; /* none of this pack's */
	assert_true(notes_find(index, &p) == INDEX_NONE);
	MUST(notes_add(&n, &p, f->err), f->err);
	p.record = 0;
	p.pack = bytes_id(1); /* or of none */
	assert_true(notes_find(index, &p) == INDEX_NONE);
	MUST(notes_add(&n, &p, f->err), f->err);
	notes_settle(&n);
	notes_apply(&n, index);
	for (size_t i = 0; i < index->place_count; i++)
		assert_int_equal(index->places[i].bad, i == 1);
	index_free(index);
	notes_free(&n);
	notes_free(&others);
}

/* --- on this host --- */

static int load_local(struct fixture *f, struct notes *n)
{
	*f->err = (struct err){0};
	return notes_load_local(f->kit.dir, f->c->repo->conf.repo, n, f->err);
}

static void save_local(struct fixture *f, const struct notes *n)
{
	MUST(notes_save_local(f->kit.dir, f->c->repo->conf.repo, n, f->err), f->err);
}

static void test_local(void **state)
{
	struct fixture *f = *state;
	struct notes five = some(1, 5), two = some(3, 2), got = {0};
	char temp[460];
	struct stat st;

	MUST(load_local(f, &got), f->err);
	assert_int_equal(got.count, 0);
	save_local(f, &five);
	assert_int_equal(stat(f->folder, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(stat(f->file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(st.st_size, 5 * LINE_CHARS);
	MUST(load_local(f, &got), f->err);
	assert_same(&got, &five);
	notes_free(&got);
	/* Written anew, also over what an interrupted run left. */
	(void)snprintf(temp, sizeof(temp), "%s.new", f->file);
	kit_spew(temp, "left", 4);
	save_local(f, &two);
	assert_false(kit_exists(temp));
	MUST(load_local(f, &got), f->err);
	assert_same(&got, &two);
	notes_free(&got);
	notes_free(&five);
	notes_free(&two);
}

/* The line at `at` of three is changed: what stands before it was read. */
static void spoilt(struct fixture *f, const char *what, size_t at, size_t cut, const char *bytes,
		   size_t len)
{
	struct notes three = some(1, 3), got = {0};
	struct buf text = {0};
	size_t whole_len = 0;
	uint8_t *whole;

	save_local(f, &three);
	whole = kit_slurp(f->file, &whole_len);
	assert_int_equal(whole_len, 3 * LINE_CHARS);
	buf_put(&text, whole, at);
	buf_put(&text, bytes, len);
	buf_put(&text, whole + at + cut, whole_len - at - cut);
	kit_spew(f->file, text.data, text.len);
	if (load_local(f, &got) != -ERR_DAMAGED || got.count != at / LINE_CHARS)
		fail_msg("%s: %zu places, %s", what, got.count, f->err->text);
	/* The next one to save replaces it. */
	save_local(f, &three);
	notes_free(&got);
	MUST(load_local(f, &got), f->err);
	assert_same(&got, &three);
	notes_free(&got);
	notes_free(&three);
	buf_free(&text);
	free(whole);
}

static void test_local_damaged(void **state)
{
	struct fixture *f = *state;
	char longer[5000];

	memset(longer, 'a', sizeof(longer));
	spoilt(f, "no hex", 2 * LINE_CHARS, 1, "g", 1);
	spoilt(f, "no hex in the record", 2 * LINE_CHARS + ID_HEX_CHARS + 3, 1, "g", 1);
	spoilt(f, "a record that no pack can have", LINE_CHARS + ID_HEX_CHARS + 1, 4, "0004", 4);
	spoilt(f, "a digit that is none", LINE_CHARS + ID_HEX_CHARS + 1, 1, "+", 1);
	spoilt(f, "a large letter", LINE_CHARS + ID_HEX_CHARS + 8, 1, "A", 1);
	spoilt(f, "no space before the record", LINE_CHARS + ID_HEX_CHARS, 1, "x", 1);
	spoilt(f, "a NUL", LINE_CHARS + 9, 1, "\0", 1);
	spoilt(f, "a byte too many", LINE_CHARS, 0, "a", 1);
	spoilt(f, "a byte too few", LINE_CHARS, 1, "", 0);
	spoilt(f, "an empty line", LINE_CHARS, 0, "\n", 1);
	spoilt(f, "a long line", LINE_CHARS, 0, longer, sizeof(longer));
	spoilt(f, "cut short", 3 * LINE_CHARS - 1, 1, "", 0);
	spoilt(f, "cut to half", 2 * LINE_CHARS + 37, LINE_CHARS - 37, "", 0);
}

/* Somebody else's file is neither read nor written through a link; other things of that name say so. */
static void test_local_of_others(void **state)
{
	struct fixture *f = *state;
	struct notes three = some(1, 3), got = {0};
	char other[400];
	struct stat st;

	(void)kit_path(&f->kit, "other", other);
	save_local(f, &three);
	assert_int_equal(rename(f->file, other), 0);
	assert_int_equal(symlink(other, f->file), 0);
	MUST_FAIL(load_local(f, &got), ERR_IO, f->err);
	assert_int_equal(got.count, 0);
	three.count = 1;
	save_local(f, &three);
	assert_int_equal(lstat(f->file, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(stat(other, &st), 0);
	assert_int_equal(st.st_size, 3 * LINE_CHARS);

	assert_int_equal(unlink(f->file), 0);
	assert_int_equal(mkdir(f->file, 0700), 0);
	MUST_FAIL(load_local(f, &got), ERR_IO, f->err);
	MUST_FAIL(notes_save_local(f->kit.dir, f->c->repo->conf.repo, &three, f->err), ERR_IO,
		  f->err);
	assert_int_equal(rmdir(f->file), 0);
	assert_int_equal(mkfifo(f->file, 0600), 0);
	MUST(load_local(f, &got), f->err); /* and does not wait for anybody */
	assert_int_equal(got.count, 0);
	assert_int_equal(unlink(f->file), 0);
	assert_int_equal(rmdir(f->folder), 0); /* nothing is left beside it */
	MUST_FAIL(notes_save_local("/nowhere/at/all", f->c->repo->conf.repo, &three, f->err),
		  ERR_MISSING, f->err);
	notes_free(&three);
	notes_free(&got);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_settle),
	    CASE(test_put_and_take),
	    CASE(test_no_number_left),
	    CASE(test_many),
	    CASE(test_damaged),
	    CASE(test_signer),
	    CASE(test_apply),
	    CASE(test_local),
	    CASE(test_local_damaged),
	    CASE(test_local_of_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
