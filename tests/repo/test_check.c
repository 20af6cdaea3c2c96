/* A whole repository is clean; whatever is taken away, cut or turned over in it is reported by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "repo/check.h"
#include "repo/packer.h"
#include "tests/support/must.h"
#include "tests/support/repo_case.h"

#define FIRST_COUNT 3
#define SECOND_COUNT 4

struct check_case {
	struct repo_case *c;
	struct repo_case_file files[SECOND_COUNT]; /* the first backup lacks the last */
	uint8_t *blocks[SECOND_COUNT];
	struct id first, second;
	struct err err;
};

static int setup(void **state)
{
	const char *names[] = {"a", "b", "empty", "new"};
	const size_t lens[] = {700, 1500, 0, 900};
	struct check_case *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	assert_int_equal(repo_case_setup(state), 0);
	t->c = *state;
	for (size_t i = 0; i < SECOND_COUNT; i++) {
		t->blocks[i] = repo_case_block(i, lens[i]);
		t->files[i] = (struct repo_case_file){names[i], t->blocks[i], lens[i]};
	}
	t->first = repo_case_backup(t->c, t->files, FIRST_COUNT, 1000);
	t->second = repo_case_backup(t->c, t->files, SECOND_COUNT, 2000);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct check_case *t = *state;

	for (size_t i = 0; i < SECOND_COUNT; i++)
		free(t->blocks[i]);
	repo_case_free(t->c);
	free(t);
	return 0;
}

/* What a check has said, one line a call: "damage <object>", "touched <manifest> <path>", "note <object>". */
struct said {
	struct buf text;
	struct check_result result;
	unsigned ticks, cancel_at;
};

static void say(struct said *s, const char *a, const char *b, const char *c)
{
	const char *words[] = {a, b, c};

	for (size_t i = 0; i < 3; i++) {
		buf_put(&s->text, words[i], strlen(words[i]));
		buf_put_u8(&s->text, i == 2 ? '\n' : ' ');
	}
}

static void on_damage(void *arg, const char *object, const char *text)
{
	assert_true(text[0] != '\0');
	say(arg, "damage", object, "");
}

static void on_touched(void *arg, const struct id *manifest, const char *path, const char *text)
{
	char hex[ID_HEX_CHARS + 1];

	assert_true(text[0] != '\0');
	id_hex(manifest, hex);
	say(arg, "touched", hex, path);
}

static void on_note(void *arg, const char *object, const char *text)
{
	assert_true(text[0] != '\0');
	say(arg, "note", object, "");
}

static int on_progress(void *arg, uint64_t done, uint64_t total, const char *what)
{
	struct said *s = arg;

	assert_true(done <= total && what);
	return ++s->ticks == s->cancel_at;
}

static void said_free(struct said *s)
{
	buf_free(&s->text);
}

static int try_check(struct repo *repo, bool read_data, struct said *s, struct err *err)
{
	struct check_options options = {.read_data = read_data,
					.damage = on_damage,
					.touched = on_touched,
					.note = on_note,
					.progress = on_progress,
					.arg = s};

	return check_run(repo, &options, &s->result, err);
}

static struct said check(struct check_case *t, bool read_data)
{
	struct said s = {0};

	MUST(try_check(t->c->repo, read_data, &s, &t->err), &t->err);
	buf_put_u8(&s.text, 0);
	return s;
}

static bool has(const struct said *s, const char *line)
{
	return strstr((const char *)s->text.data, line) != NULL;
}

static bool has_damage(const struct said *s, enum store_type type, const struct id *name)
{
	char path[STORE_PATH_CHARS], line[STORE_PATH_CHARS + 16] = "damage ";

	store_path(type, name, path);
	return has(s, strcat(line, path));
}

static bool has_touched(const struct said *s, const struct id *manifest, const char *path)
{
	char line[160] = "touched ";

	id_hex(manifest, line + 8);
	(void)strcat(line, " ");
	(void)strcat(line, path);
	return has(s, strcat(line, "\n"));
}

static size_t list(struct check_case *t, enum store_type type, struct id **out_names)
{
	size_t count = 0;

	MUST(repo_list(t->c->inner, type, out_names, NULL, &count, &t->err), &t->err);
	return count;
}

static void assert_readable(struct check_case *t)
{
	MUST(repo_case_try_read(t->c->repo, &t->first, t->files, FIRST_COUNT, &t->err), &t->err);
	MUST(repo_case_try_read(t->c->repo, &t->second, t->files, SECOND_COUNT, &t->err), &t->err);
}

/* --- healthy --- */

static void test_healthy(void **state)
{
	struct check_case *t = *state;

	for (int read_data = 0; read_data < 2; read_data++) {
		struct said s = check(t, read_data);

		assert_string_equal((const char *)s.text.data, "");
		assert_int_equal(s.result.damaged, 0);
		assert_int_equal(s.result.orphans, 0);
		assert_int_equal(s.result.manifests, 2);
		assert_int_equal(s.result.packs, 2);
		assert_int_equal(s.result.segments, 2);
		assert_int_equal(s.result.bytes_read > 0, read_data);
		/* a, b, a folder and the root, two records a node; then new and the nodes, but the root's body is the same. */
		assert_true(repo_case_records(t->c) >= 2 + 4 + 1 + 3);
		assert_int_equal(s.result.chunks, read_data ? repo_case_records(t->c) : 0);
		said_free(&s);
	}
	assert_readable(t);
	repo_case_assert_format(t->c->inner);
}

static void test_without_callbacks(void **state)
{
	struct check_case *t = *state;
	struct check_options options = {.read_data = true};
	struct check_result result;
	struct id *names = NULL;

	MUST(check_run(t->c->repo, &options, &result, &t->err), &t->err);
	assert_int_equal(result.damaged, 0);
	assert_int_equal(list(t, STORE_DATA, &names), 2);
	MUST(store_remove(t->c->inner, STORE_DATA, &names[0], &t->err), &t->err);
	MUST(check_run(t->c->repo, &options, &result, &t->err), &t->err);
	assert_true(result.damaged > 0);
	free(names);
}

/* --- every object --- */

static void damaged_as(struct check_case *t, enum store_type type, const struct id *name, size_t at,
		       const char *what)
{
	struct said s = check(t, true);

	if (s.result.damaged == 0 || !has_damage(&s, type, name))
		fail_msg("%s: %s at %zu: %llu damaged:\n%s", store_type_name(type), what, at,
			 (unsigned long long)s.result.damaged, (const char *)s.text.data);
	said_free(&s);
}

static const enum store_type named[] = {STORE_KEYS, STORE_DATA, STORE_INDEX, STORE_SNAPSHOTS};

static void test_every_object_cut_short(void **state)
{
	struct check_case *t = *state;

	for (size_t k = 0; k < 4; k++) {
		struct id *names = NULL;
		size_t count = list(t, named[k], &names);

		assert_true(count >= 2);
		for (size_t i = 0; i < count; i++) {
			struct buf whole = repo_case_get(t->c->inner, named[k], &names[i]);
			const size_t lens[] = {0, 7, 8, 36, 100, whole.len / 2, whole.len - 1};

			for (size_t n = 0; n < 7; n++) {
				repo_case_replace(t->c->inner, named[k], &names[i], whole.data,
						  lens[n]);
				damaged_as(t, named[k], &names[i], lens[n], "cut short");
			}
			buf_put_u8(&whole, 0);
			repo_case_replace(t->c->inner, named[k], &names[i], whole.data, whole.len);
			damaged_as(t, named[k], &names[i], whole.len, "longer");
			repo_case_replace(t->c->inner, named[k], &names[i], whole.data,
					  whole.len - 1);
			buf_free(&whole);
		}
		free(names);
	}
	test_healthy(state);
}

/* Every byte of the front of every object, and one in 31 behind it, a bit each. */
static void test_every_object_flipped(void **state)
{
	struct check_case *t = *state;

	for (size_t k = 0; k < 4; k++) {
		struct id *names = NULL;
		size_t count = list(t, named[k], &names);

		for (size_t i = 0; i < count; i++) {
			struct buf whole = repo_case_get(t->c->inner, named[k], &names[i]);

			for (size_t at = 0; at < whole.len; at += at < 200 ? 1 : 31) {
				unsigned bit = (unsigned)(at * 5 % 8);

				repo_case_flip(t->c->inner, named[k], &names[i], at, bit);
				damaged_as(t, named[k], &names[i], at, "flipped");
				repo_case_flip(t->c->inner, named[k], &names[i], at, bit);
			}
			buf_free(&whole);
		}
		free(names);
	}
	test_healthy(state);
}

static void test_every_pack_removed(void **state)
{
	struct check_case *t = *state;
	struct id *names = NULL;
	size_t count = list(t, STORE_DATA, &names);

	for (int read_data = 0; read_data < 2; read_data++) {
		for (size_t i = 0; i < count; i++) {
			struct buf whole = repo_case_get(t->c->inner, STORE_DATA, &names[i]);
			struct said s;

			MUST(store_remove(t->c->inner, STORE_DATA, &names[i], &t->err), &t->err);
			s = check(t, read_data);
			assert_true(has_damage(&s, STORE_DATA, &names[i]));
			/* Either pack has nodes that the second backup needs. */
			assert_true(has(&s, "touched "));
			said_free(&s);
			MUST(store_put(t->c->inner, STORE_DATA, &names[i], whole.data, whole.len,
				       &t->err),
			     &t->err);
			buf_free(&whole);
		}
	}
	free(names);
	test_healthy(state);
}

/* A lost segment cannot be named; the pack that it told of can, and backups still read. */
static void test_every_segment_removed(void **state)
{
	struct check_case *t = *state;
	struct id *names = NULL, *packs = NULL;
	size_t count = list(t, STORE_INDEX, &names);

	for (size_t i = 0; i < count; i++) {
		struct buf whole = repo_case_get(t->c->inner, STORE_INDEX, &names[i]);
		struct said s;

		MUST(store_remove(t->c->inner, STORE_INDEX, &names[i], &t->err), &t->err);
		s = check(t, i % 2);
		assert_int_equal(s.result.damaged, 1);
		assert_int_equal(s.result.orphans, 0);
		assert_true(has(&s, "damage data/"));
		assert_false(has(&s, "touched"));
		assert_readable(t);
		said_free(&s);
		MUST(store_put(t->c->inner, STORE_INDEX, &names[i], whole.data, whole.len, &t->err),
		     &t->err);
		buf_free(&whole);
	}
	for (size_t i = 0; i < count; i++)
		MUST(store_remove(t->c->inner, STORE_INDEX, &names[i], &t->err), &t->err);
	{
		struct said s = check(t, true);
		size_t pack_count = list(t, STORE_DATA, &packs);

		assert_int_equal(s.result.damaged, pack_count);
		for (size_t i = 0; i < pack_count; i++)
			assert_true(has_damage(&s, STORE_DATA, &packs[i]));
		said_free(&s);
	}
	assert_readable(t);
	free(packs);
	free(names);
}

/* A manifest whose writer no roster names any more is reported by name. */
static void test_roster_removed(void **state)
{
	struct check_case *t = *state;
	struct id *names = NULL;
	size_t count = list(t, STORE_KEYS, &names);
	struct repo *repo = NULL;
	struct said s = {0};

	for (size_t i = 0; i < count; i++)
		MUST(store_remove(t->c->inner, STORE_KEYS, &names[i], &t->err), &t->err);
	free(names);
	MUST(repo_case_open_with(t->c, &t->c->keyfile, &repo, &t->err), &t->err);
	MUST(try_check(repo, false, &s, &t->err), &t->err);
	buf_put_u8(&s.text, 0);
	assert_true(has_damage(&s, STORE_SNAPSHOTS, &t->first));
	assert_true(has_damage(&s, STORE_SNAPSHOTS, &t->second));
	said_free(&s);
	repo_close(repo);
}

/* --- what damage touches --- */

/* The place of the data of a file of one chunk. */
static struct index_place place_of(struct check_case *t, const struct repo_case_file *f,
				   struct id *out_pack)
{
	struct index *index = repo_case_index(t->c);
	const struct domain_keys *domain = keys_domain(t->c->repo->keys, 0, &t->err);
	struct index_place place;
	struct id id;
	uint32_t at;

	assert_non_null(domain);
	MUST(record_id(domain, CHUNK_DATA, f->bytes, f->len, &id, &t->err), &t->err);
	at = index_find(index, CHUNK_DATA, &id);
	assert_true(at != INDEX_NONE);
	place = index->places[at];
	*out_pack = index->packs[place.pack].name;
	index_free(index);
	return place;
}

static void test_touched_files(void **state)
{
	struct check_case *t = *state;
	struct id pack;
	struct index_place place = place_of(t, &t->files[1], &pack);
	struct said s;

	repo_case_flip(t->c->inner, STORE_DATA, &pack, place.offset + 9, 2);
	s = check(t, false); /* reads nodes only */
	assert_int_equal(s.result.damaged, 0);
	said_free(&s);
	s = check(t, true);
	assert_int_equal(s.result.damaged, 3);
	assert_true(has_damage(&s, STORE_DATA, &pack));
	assert_true(has_touched(&s, &t->first, "/f/b"));
	assert_true(has_touched(&s, &t->second, "/f/b"));
	assert_false(has_touched(&s, &t->second, "/f/a"));
	said_free(&s);
	repo_case_flip(t->c->inner, STORE_DATA, &pack, place.offset + 9, 2);

	place = place_of(t, &t->files[3], &pack);
	repo_case_flip(t->c->inner, STORE_DATA, &pack, place.offset, 0);
	s = check(t, true);
	assert_int_equal(s.result.damaged, 2);
	assert_true(has_touched(&s, &t->second, "/f/new"));
	said_free(&s);
}

/* A chunk that lies in another pack, too, is not lost with one of them: the object is damaged, no backup is. */
static void test_good_copy_elsewhere(void **state)
{
	const struct packer_options options = {.sequence = 3};
	struct check_case *t = *state;
	struct index *none = NULL;
	struct packer *p = NULL;
	struct id pack, id;
	struct index_place place = place_of(t, &t->files[1], &pack);
	struct said s;

	MUST(index_new(&none, &t->err), &t->err);
	MUST(packer_new(t->c->repo, none, &options, &p, &t->err), &t->err);
	MUST(packer_add(p, CHUNK_DATA, t->files[1].bytes, t->files[1].len, &id, &t->err), &t->err);
	MUST(packer_finish(p, &t->err), &t->err);
	packer_free(p);
	index_free(none);
	repo_case_flip(t->c->inner, STORE_DATA, &pack, place.offset + 9, 2);
	s = check(t, true);
	assert_int_equal(s.result.damaged, 0);
	assert_int_equal(s.result.healed, 1);
	assert_false(has(&s, "touched"));
	said_free(&s);
	assert_readable(t);
}

/* --- what is no damage --- */

static void test_orphan(void **state)
{
	const struct packer_options options = {.sequence = 3};
	struct check_case *t = *state;
	struct index *index = repo_case_index(t->c);
	struct packer *p = NULL;
	struct said s;
	struct id id;

	MUST(packer_new(t->c->repo, index, &options, &p, &t->err), &t->err);
	MUST(packer_add(p, CHUNK_DATA, "orphan", 6, &id, &t->err), &t->err);
	store_fault_arm(t->c->fault, &(struct store_fault_plan){.kind = FAULT_STOP,
								.at = 1,
								.types = FAULT_TYPE(STORE_INDEX)});
	MUST_FAIL(packer_finish(p, &t->err), ERR_IO, &t->err);
	packer_free(p);
	index_free(index);
	repo_case_reopen(t->c);
	for (int read_data = 0; read_data < 2; read_data++) {
		s = check(t, read_data);
		assert_int_equal(s.result.damaged, 0);
		assert_int_equal(s.result.orphans, 1);
		assert_true(has(&s, "note data/"));
		assert_false(has(&s, "damage"));
		said_free(&s);
	}
}

/* I3, I4, I6, I7: a backup is killed at every put. */
static void test_backup_killed(void **state)
{
	const enum store_fault_kind kinds[] = {FAULT_BEFORE, FAULT_AFTER, FAULT_STOP};

	for (size_t i = 0; i < 3; i++) {
		for (uint64_t k = 1;; k++) {
			struct repo_case_file more[] = {{"x", "some", 4}, {"y", "thing", 5}};
			struct check_case *t;
			struct id name;
			struct said s;
			bool fired;
			int r;

			assert_int_equal(setup(state), 0);
			t = *state;
			store_fault_arm(t->c->fault, &(struct store_fault_plan){
							 .kind = kinds[i],
							 .at = k,
							 .ops = FAULT_OP(FAULT_PUT),
						     });
			r = repo_case_try_backup(t->c->repo, more, 2, 3000, &name, &t->err);
			fired = store_fault_fired(t->c->fault);
			assert_int_equal(r, fired ? -ERR_IO : 0);
			repo_case_reopen(t->c);
			s = check(t, true);
			if (s.result.damaged)
				fail_msg("%s", (const char *)s.text.data);
			said_free(&s);
			assert_readable(t);
			name = repo_case_backup(t->c, more, 2, 4000);
			MUST(repo_case_try_read(t->c->repo, &name, more, 2, &t->err), &t->err);
			s = check(t, true);
			assert_int_equal(s.result.damaged, 0);
			said_free(&s);
			repo_case_assert_format(t->c->inner);
			teardown(state);
			if (!fired) {
				assert_int_equal(k, 4); /* pack, segment, manifest */
				break;
			}
		}
	}
}

static void test_cancel(void **state)
{
	struct check_case *t = *state;
	struct said s = {0};
	unsigned all;

	MUST(try_check(t->c->repo, true, &s, &t->err), &t->err);
	all = s.ticks < 4 ? 4 : s.ticks;
	said_free(&s);
	for (unsigned at = 1; at <= all; at++) {
		s = (struct said){.cancel_at = at};
		MUST_FAIL(try_check(t->c->repo, true, &s, &t->err), ERR_CANCELLED, &t->err);
		said_free(&s);
	}
}

static void test_roles(void **state)
{
	struct check_case *t = *state;
	const enum role roles[] = {ROLE_READ, ROLE_WRITE, ROLE_MAINTAIN};

	for (size_t i = 0; i < 3; i++) {
		struct buf text = repo_case_keyfile(t->c, roles[i]);
		struct repo *repo = NULL;
		struct said s = {0};

		MUST(repo_case_open_with(t->c, &text, &repo, &t->err), &t->err);
		assert_int_equal(try_check(repo, true, &s, &t->err),
				 roles[i] == ROLE_WRITE ? -ERR_KEY : 0);
		assert_true(s.result.structure_only == (roles[i] == ROLE_MAINTAIN) &&
			    s.result.damaged == 0);
		said_free(&s);
		repo_close(repo);
		buf_wipe(&text);
	}
}

/* A store that cannot be listed is not a clean one. */
static void test_store_fails(void **state)
{
	struct check_case *t = *state;

	for (uint64_t k = 1;; k++) {
		struct said s = {0};
		int r;

		store_fault_arm(t->c->fault,
				&(struct store_fault_plan){.kind = FAULT_BEFORE, .at = k});
		r = try_check(t->c->repo, true, &s, &t->err);
		if (!store_fault_fired(t->c->fault)) {
			assert_int_equal(r, 0);
			assert_int_equal(s.result.damaged, 0);
			said_free(&s);
			break;
		}
		/* Failed, or reported: never passed over. */
		if (r == 0 && s.result.damaged == 0)
			fail_msg("call %u failed unnoticed", (unsigned)k);
		said_free(&s);
	}
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_healthy),
	    CASE(test_without_callbacks),
	    CASE(test_every_object_cut_short),
	    CASE(test_every_object_flipped),
	    CASE(test_every_pack_removed),
	    CASE(test_every_segment_removed),
	    CASE(test_roster_removed),
	    CASE(test_touched_files),
	    CASE(test_good_copy_elsewhere),
	    CASE(test_orphan),
	    cmocka_unit_test(test_backup_killed),
	    CASE(test_cancel),
	    CASE(test_roles),
	    CASE(test_store_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
