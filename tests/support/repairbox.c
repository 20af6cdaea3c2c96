#include "tests/support/repairbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/must.h"

static const char *const file_names[REPAIRBOX_FILES] = {"a", "b", "c", "d"};

int repairbox_setup(void **state)
{
	struct repairbox *f = calloc(1, sizeof(*f));
	void *c = NULL;

	assert_non_null(f);
	assert_int_equal(repo_case_setup(&c), 0);
	f->c = c;
	f->err = &f->c->err;
	for (unsigned b = 0; b < REPAIRBOX_BACKUPS; b++) {
		for (unsigned i = 0; i < REPAIRBOX_FILES; i++) {
			f->blocks[b][i] =
			    repo_case_block(b * REPAIRBOX_FILES + i + 1, REPAIRBOX_FILE_BYTES);
			f->files[b][i] = (struct repo_case_file){file_names[i], f->blocks[b][i],
								 REPAIRBOX_FILE_BYTES};
		}
		f->manifests[b] = repo_case_backup(f->c, f->files[b], REPAIRBOX_FILES, b + 1);
	}
	*state = f;
	return 0;
}

int repairbox_teardown(void **state)
{
	struct repairbox *f = *state;
	void *c = f->c;

	for (unsigned b = 0; b < REPAIRBOX_BACKUPS; b++) {
		for (unsigned i = 0; i < REPAIRBOX_FILES; i++)
			free(f->blocks[b][i]);
	}
	(void)repo_case_teardown(&c);
	free(f);
	return 0;
}

unsigned repairbox_readable(struct repairbox *f)
{
	struct err err = {0};
	unsigned count = 0;

	for (unsigned b = 0; b < REPAIRBOX_BACKUPS; b++)
		count += repo_case_try_read(f->c->repo, &f->manifests[b], f->files[b],
					    REPAIRBOX_FILES, &err) == 0;
	return count;
}

struct id repairbox_nth(struct repairbox *f, enum store_type type, size_t n)
{
	struct id *names = NULL, name;
	size_t count = 0;

	MUST(repo_list(f->c->inner, type, &names, NULL, &count, f->err), f->err);
	assert_true(n < count);
	name = names[n];
	free(names);
	return name;
}

void repairbox_rot(struct repairbox *f, enum store_type type, size_t n, size_t at)
{
	struct id name = repairbox_nth(f, type, n);

	repo_case_flip(f->c->inner, type, &name, at, 1);
}

struct repair_index_result repairbox_index(struct repairbox *f)
{
	const struct repair_index_options options = {0};
	struct repair_index_result result;

	MUST(repair_index(f->c->repo, &options, &result, f->err), f->err);
	return result;
}

struct repair_packs_result repairbox_packs(struct repairbox *f)
{
	const struct repair_packs_options options = {.now_ns = 9};
	struct repair_packs_result result;

	MUST(repair_packs(f->c->repo, &options, &result, f->err), f->err);
	return result;
}
