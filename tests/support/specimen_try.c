/* specimen: what is asked of it after it was damaged, and the matrix of damages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "repo/check.h"
#include "repo/reader.h"
#include "tests/support/must.h"
#include "tests/support/specimen.h"

/* --- one trial --- */

struct trial {
	struct specimen *s;
	const struct specimen_object *damaged;
	const char *what;
	struct repo *repo;
	bool heal;
	bool named; /* check has named the object */
	struct err why;
};

/* An error names the object, or, where the damage is of several or of the roster, something. */
static void assert_telling(const struct trial *t, const struct err *err)
{
	if (!err->text[0] || err->code == ERR_NOMEM || err->code == ERR_CANCELLED)
		fail_msg("%s: an error that tells nothing: %d '%s'", t->what, err->code, err->text);
	if (!strstr(err->text, "config") && !strstr(err->text, "/") && !strstr(err->text, "chunk"))
		fail_msg("%s: an error that names nothing: '%s'", t->what, err->text);
}

static bool names(const struct specimen_object *o, const char *text)
{
	char path[STORE_PATH_CHARS];

	store_path(o->type, &o->name, path);
	return strstr(text, path) != NULL;
}

static void on_damage(void *arg, const char *object, const char *text)
{
	struct trial *t = arg;

	assert_true(text[0]);
	t->named = t->named || (t->damaged && names(t->damaged, object));
}

static bool check(struct trial *t)
{
	const struct check_options options = {.read_data = true,
					      .put_notes = t->heal,
					      .now_ns = INT64_C(1700300000000000000),
					      .damage = on_damage,
					      .healed = on_damage,
					      .arg = t};
	struct check_result result;

	if (check_run(t->repo, &options, &result, &t->why)) {
		assert_telling(t, &t->why);
		return true;
	}
	return result.damaged > 0 || result.healed > 0;
}

static void on_bad(void *arg, const struct id *name, const struct err *why)
{
	(void)name;
	assert_telling(arg, why);
}

static void on_bad_segment(void *arg, const struct id *name, const struct err *why)
{
	on_bad(arg, name, why);
}

static const struct specimen_backup *backup_of(const struct specimen *s, const struct id *name)
{
	for (size_t i = 0; i < SPECIMEN_BACKUPS; i++) {
		if (id_eq(&s->backups[i].name, name))
			return &s->backups[i];
	}
	return NULL; /* the next one */
}

static void restore_one(struct trial *t, struct index *index, const struct manifest_item *item)
{
	const struct specimen_backup *wanted = backup_of(t->s, &item->name);
	struct err why = {0};

	if (!wanted)
		return;
	if (specimen_restore(t->repo, index, &item->m, wanted, &why) == 0) {
		t->s->restored++;
		return;
	}
	assert_telling(t, &why);
	t->s->refused++;
}

static void restore_all(struct trial *t)
{
	struct manifest_list list = {0};
	struct index *index = NULL;

	MUST(manifests_load(t->repo, on_bad, t, &list, &t->why), &t->why);
	t->s->refused +=
	    SPECIMEN_BACKUPS - (list.count < SPECIMEN_BACKUPS ? list.count : SPECIMEN_BACKUPS);
	if (index_load(t->repo, on_bad_segment, t, &index, &t->why)) {
		assert_telling(t, &t->why);
	} else {
		for (size_t i = 0; i < list.count; i++)
			restore_one(t, index, &list.items[i]);
	}
	index_free(index);
	manifest_list_free(&list);
}

/* --- what the next backup heals --- */

static bool open_clone(struct trial *t)
{
	const struct repo_credentials by = {.keyfile = t->s->c->keyfile.data,
					    .keyfile_len = t->s->c->keyfile.len};
	struct store *store = repo_case_clone(t->s->c->inner, INT64_C(1700300000), &t->why);

	if (repo_open(store, &by, &t->repo, &t->why) == 0)
		return true;
	store_free(store);
	return false;
}

static void on_touched(void *arg, const struct id *manifest, const char *path, const char *text)
{
	const struct trial *t = arg;

	(void)manifest;
	fail_msg("%s: the next backup lacks %s: %s", t->what, path, text);
}

/* As the newest backup, whatever has become of that. An object that is damaged may stay so; the backup does not need it. */
static void assert_whole(struct trial *t, const struct id *name)
{
	const struct check_options options = {.read_data = true,
					      .manifests = name,
					      .manifest_count = 1,
					      .touched = on_touched,
					      .arg = t};
	struct manifest_list list = {0};
	struct check_result result;
	struct index *index = NULL;
	size_t i = 0;

	MUST(check_run(t->repo, &options, &result, &t->why), &t->why);
	MUST(manifests_load(t->repo, NULL, NULL, &list, &t->why), &t->why);
	MUST(index_load(t->repo, NULL, NULL, &index, &t->why), &t->why);
	while (!id_eq(&list.items[i].name, name))
		assert_true(++i < list.count);
	MUST(specimen_restore(t->repo, index, &list.items[i].m,
			      &t->s->backups[SPECIMEN_BACKUPS - 1], &t->why),
	     &t->why);
	index_free(index);
	manifest_list_free(&list);
}

static void heal(struct trial *t)
{
	struct id name;

	t->heal = true;
	if (!open_clone(t)) {
		assert_telling(t, &t->why);
		return;
	}
	MUST(repo_use_writer(t->repo, REPO_CASE_HOST, false, &t->why), &t->why);
	(void)check(t);
	if (specimen_night(t->s, t->repo, INT64_C(1700400000), &name, &t->why))
		fail_msg("%s: the next backup fails: %s", t->what, t->why.text);
	assert_whole(t, &name);
	restore_all(t);
	t->s->healed++;
	repo_close(t->repo);
}

void specimen_try(struct specimen *s, const struct specimen_object *damaged, const char *what,
		  bool must_find, bool heal_too)
{
	struct trial t = {.s = s, .damaged = damaged, .what = what};
	bool found;

	s->trials++;
	if (repo_case_open_with(s->c, &s->c->keyfile, &t.repo, &t.why)) {
		assert_telling(&t, &t.why);
		s->refused += SPECIMEN_BACKUPS;
		found = true;
	} else {
		found = check(&t);
		restore_all(&t);
		repo_close(t.repo);
	}
	s->found += found;
	s->harmless += !found;
	if (must_find && !found)
		fail_msg("%s: check finds nothing", what);
	t.repo = NULL;
	if (heal_too)
		heal(&t);
}

/* --- the matrix --- */

struct matrix {
	struct specimen *s;
	const struct specimen_matrix *m;
	uint64_t random, number;
};

static uint64_t draw(struct matrix *x)
{
	uint64_t out;

	repo_case_bytes(x->random++, &out, sizeof(out));
	return out;
}

static void try_one(struct matrix *x, const struct specimen_object *o, const char *how, size_t at)
{
	char what[200], path[STORE_PATH_CHARS];

	store_path(o->type, &o->name, path);
	(void)snprintf(what, sizeof(what), "%s: %s %zu", path, how, at);
	specimen_try(x->s, o, what, !o->needless,
		     x->m->heal_every && draw(x) % x->m->heal_every == 0);
}

/* One of `every`; where in each run of so many is drawn. */
static bool is_drawn(struct matrix *x)
{
	return x->m->every <= 1 || draw(x) % x->m->every == 0;
}

static void flip_bytes(struct matrix *x, const struct specimen_object *o)
{
	uint8_t *bytes = malloc(o->bytes.len);

	assert_non_null(bytes);
	memcpy(bytes, o->bytes.data, o->bytes.len);
	for (size_t at = 0; at < o->bytes.len; at++) {
		unsigned first = (unsigned)(draw(x) % 8);

		if (!is_drawn(x))
			continue;
		for (unsigned bit = 0; bit < x->m->bits; bit++) {
			bytes[at] ^= (uint8_t)(1u << (first + bit) % 8);
			specimen_set(x->s, o, bytes, o->bytes.len);
			try_one(x, o, "a bit of byte", at);
			bytes[at] = o->bytes.data[at];
		}
	}
	specimen_mend(x->s, o);
	free(bytes);
}

static void cut(struct matrix *x, const struct specimen_object *o)
{
	for (size_t len = 0; len < o->bytes.len; len++) {
		if (!is_drawn(x))
			continue;
		specimen_set(x->s, o, o->bytes.data, len);
		try_one(x, o, "cut to", len);
	}
	specimen_mend(x->s, o);
}

static void lengthen(struct matrix *x, const struct specimen_object *o)
{
	const size_t more[] = {1, 8, 4096, 70000};

	for (size_t i = 0; i < 8; i++) {
		size_t len = o->bytes.len + more[i / 2];
		uint8_t *bytes = calloc(1, len);

		assert_non_null(bytes);
		memcpy(bytes, o->bytes.data, o->bytes.len);
		if (i & 1)
			repo_case_bytes(i, bytes + o->bytes.len, more[i / 2]);
		specimen_set(x->s, o, bytes, len);
		try_one(x, o, "longer by", more[i / 2]);
		free(bytes);
	}
	specimen_mend(x->s, o);
}

/* Under a name that could be one; what it is not the name of. */
static void doubled(struct matrix *x, const struct specimen_object *o)
{
	for (int i = 0; i < 3 && o->type != STORE_CONFIG; i++) {
		struct specimen_object other = *o;
		struct err err = {0};

		if (i == 0)
			other.name.b[31] ^= 1;
		else
			repo_case_bytes(draw(x), other.name.b, ID_BYTES);
		other.needless = true; /* what it says is there under its own name, too */
		specimen_set(x->s, &other, o->bytes.data, o->bytes.len);
		try_one(x, &other, "doubled", 0);
		MUST(store_remove(x->s->c->inner, other.type, &other.name, &err), &err);
	}
}

static void swap_with_all(struct matrix *x, size_t first)
{
	const struct specimen_object *a = &x->s->objects[first];

	for (size_t i = first + 1; i < x->s->object_count; i++) {
		const struct specimen_object *b = &x->s->objects[i];

		if (x->m->every > 100 && a->type != b->type && draw(x) % 8)
			continue;
		specimen_set(x->s, a, b->bytes.data, b->bytes.len);
		specimen_set(x->s, b, a->bytes.data, a->bytes.len);
		try_one(x, a->needless ? b : a, "swapped with object", i);
		specimen_mend(x->s, a);
		try_one(x, b, "has the bytes of object", first);
		specimen_mend(x->s, b);
	}
}

typedef void damage_fn(struct matrix *x, const struct specimen_object *o);

static void missing(struct matrix *x, const struct specimen_object *o)
{
	specimen_set(x->s, o, NULL, SIZE_MAX);
	/* Of a record in locks/, or a note, nobody can know that it was there: rollback detection knows of backups. */
	specimen_try(x->s, o, "missing", false, true);
	specimen_mend(x->s, o);
}

static void run_all(struct matrix *x, const char *how, damage_fn *fn)
{
	struct specimen *s = x->s;
	uint64_t trials = s->trials, found = s->found, healed = s->healed;
	uint64_t restored = s->restored, refused = s->refused;

	for (size_t i = 0; i < s->object_count; i++)
		fn(x, &s->objects[i]);
	printf(
	    "# %s: %llu trials, check finds %llu; restores of the %d backups: %llu whole, %llu "
	    "refused; %llu next backups, all whole\n",
	    how, (unsigned long long)(s->trials - trials), (unsigned long long)(s->found - found),
	    SPECIMEN_BACKUPS, (unsigned long long)(s->restored - restored),
	    (unsigned long long)(s->refused - refused), (unsigned long long)(s->healed - healed));
}

static void swap_one(struct matrix *x, const struct specimen_object *o)
{
	swap_with_all(x, (size_t)(o - x->s->objects));
}

void specimen_run(struct specimen *s, const struct specimen_matrix *m)
{
	struct matrix x = {.s = s, .m = m, .random = m->seed};

	printf("# %zu objects, %zu bytes\n", s->object_count, s->bytes);
	run_all(&x, "bits flipped", flip_bytes);
	run_all(&x, "cut short", cut);
	run_all(&x, "lengthened", lengthen);
	run_all(&x, "missing", missing);
	run_all(&x, "doubled", doubled);
	run_all(&x, "swapped", swap_one);
}
