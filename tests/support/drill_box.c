#include "tests/support/drill_box.h"

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
#include "tests/support/must.h"

int drill_box_setup(void **state)
{
	struct drill_box *f = calloc(1, sizeof(*f));
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

int drill_box_teardown(void **state)
{
	struct drill_box *f = *state;
	void *c = f->c;

	(void)repo_case_teardown(&c);
	kit_free(&f->kit);
	free(f);
	return 0;
}

/* --- a backup of the kit's database and a file --- */

void drill_box_back_up(struct drill_box *f, int64_t time_ns)
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

void drill_box_make_db(struct drill_box *f, const char *sql)
{
	kit_make(f->kit.db, sql);
	drill_box_back_up(f, 1000);
}

/* --- drilling --- */

static void add_line(char *to, size_t room, const char *item, const char *text)
{
	size_t used = strlen(to);
	const char *slash = strrchr(item, '/');

	(void)snprintf(to + used, room - used, "%s: %s\n", slash ? slash + 1 : item, text);
}

static void on_failed(void *arg, const char *item, const char *text)
{
	struct drill_box *f = arg;

	add_line(f->told, sizeof(f->told), item, text);
}

static void on_warning(void *arg, const char *item, const char *text)
{
	struct drill_box *f = arg;

	add_line(f->warned, sizeof(f->warned), item, text);
}

static void look_into(struct drill_box *f, int fd)
{
	struct stat st;
	char *bytes;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_nlink != 0 || st.st_size == 0)
		return;
	bytes = malloc((size_t)st.st_size);
	assert_non_null(bytes);
	assert_true(pread(fd, bytes, (size_t)st.st_size, 0) == st.st_size);
	f->spilled++;
	f->leaked = f->leaked || memmem(bytes, (size_t)st.st_size, DRILL_BOX_MARKER,
					strlen(DRILL_BOX_MARKER)) != NULL;
	free(bytes);
}

static int on_progress(void *arg, uint64_t files, uint64_t bytes, const char *path)
{
	struct drill_box *f = arg;

	(void)files;
	(void)bytes;
	(void)path;
	for (int fd = 3; fd < 64; fd++)
		look_into(f, fd);
	return ++f->ticks == f->cancel_at;
}

/* Of the last manifest, with this repository's key. */
int drill_box_drill_as(struct drill_box *f, struct repo *repo, struct err *err)
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
	if (f->spoil)
		list.items[list.count - 1].m.dbs[0].image_sha256[31] ^= 1;
	r = drill_run(reader, &list.items[list.count - 1].m, &f->options, &f->counts, err);
	reader_free(reader);
	index_free(index);
	manifest_list_free(&list);
	return r;
}

enum drillnote_verdict drill_box_drill(struct drill_box *f)
{
	MUST(drill_box_drill_as(f, f->c->repo, &f->c->err), &f->c->err);
	return drillnote_judge(&f->counts);
}

struct repo *drill_box_open_as(struct drill_box *f, enum role role)
{
	struct buf keyfile = repo_case_keyfile(f->c, role);
	struct repo *repo = NULL;

	MUST(repo_case_open_with(f->c, &keyfile, &repo, &f->c->err), &f->c->err);
	buf_wipe(&keyfile);
	return repo;
}
