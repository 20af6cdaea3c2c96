#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/witness_box.h"

#include <stdio.h>
#include <stdlib.h>

#include "repo/statefile.h"
#include "tests/support/tmpdir.h"

static void on_found(void *arg, const struct witness_finding *f)
{
	struct witness_told *t = arg;

	assert_non_null(f->location);
	t->of[f->kind]++;
}

static void on_looked(void *arg, size_t told)
{
	struct witness_told *t = arg;

	assert_true(told > 0);
	t->looks++;
}

static void on_warning(void *arg, const char *text)
{
	struct witness_told *t = arg;

	t->warnings++;
	(void)snprintf(t->warning, sizeof(t->warning), "%s", text);
}

static void attach(struct witness_box *b, struct repo *repo, bool accept)
{
	const struct witness_options o = {
	    .state_dir = b->state,
	    .place = "here",
	    .accept = accept,
	    .found = on_found,
	    .looked = on_looked,
	    .warning = on_warning,
	    .arg = &b->told,
	};

	b->told = (struct witness_told){0};
	assert_int_equal(witness_attach(repo, &o, &b->c->err), 0);
}

int witness_box_setup(void **state)
{
	struct witness_box *b = calloc(1, sizeof(*b));
	void *c = NULL;

	assert_non_null(b);
	assert_int_equal(repo_case_setup(&c), 0);
	b->c = c;
	b->state = tmpdir_make();
	attach(b, b->c->repo, false);
	*state = b;
	return 0;
}

int witness_box_teardown(void **state)
{
	struct witness_box *b = *state;
	void *c = b->c;

	assert_int_equal(repo_case_teardown(&c), 0);
	tmpdir_remove(b->state);
	free(b);
	return 0;
}

void witness_box_again(struct witness_box *b, bool accept)
{
	repo_case_reopen(b->c);
	attach(b, b->c->repo, accept);
}

struct id witness_box_backup(struct witness_box *b)
{
	const struct repo_case_file file = {"a", "x", 1};

	b->day++;
	return repo_case_backup(b->c, &file, 1, (int64_t)b->day * 1000000000);
}

uint64_t witness_box_look(struct witness_box *b)
{
	struct manifest_list list = {0};

	assert_int_equal(manifests_load(b->c->repo, NULL, NULL, &list, &b->c->err), 0);
	manifest_list_free(&list);
	return witness_findings(b->c->repo);
}

struct sightings witness_box_seen(struct witness_box *b)
{
	struct sightings s = {0};

	assert_int_equal(witness_load(b->state, b->c->repo->conf.repo, "here", &s, &b->c->err), 0);
	return s;
}

void witness_box_keep(struct witness_box *b, const struct sightings *s)
{
	struct buf bytes = {0};

	assert_int_equal(sightings_enc(s, &bytes, &b->c->err), 0);
	assert_int_equal(statefile_write(b->state, b->c->repo->conf.repo, WITNESS_BOX_SEEN,
					 bytes.data, bytes.len, &b->c->err),
			 0);
	buf_free(&bytes);
}

size_t witness_box_kept(struct witness_box *b, uint8_t fate)
{
	struct sightings s = witness_box_seen(b);
	size_t count = 0;

	for (size_t i = 0; i < s.count; i++)
		count += s.items[i].fate == fate;
	sightings_free(&s);
	return count;
}
