#include "tests/support/local_case.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/must.h"
#include "tests/support/tmpdir.h"

int local_case_setup_bare(void **state)
{
	struct local_case *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->dir = tmpdir_make();
	f->root = tmpdir_path(f->dir, "repo");
	MUST(store_local_open(f->root, &f->store, &f->err), &f->err);
	*state = f;
	return 0;
}

int local_case_setup(void **state)
{
	struct local_case *f;

	local_case_setup_bare(state);
	f = *state;
	MUST(store_create(f->store, &f->err), &f->err);
	return 0;
}

int local_case_teardown(void **state)
{
	struct local_case *f = *state;

	/* A test that fails as another user must not leave its folder behind. */
	assert_int_equal(seteuid(getuid()), 0);
	store_free(f->store);
	free(f->root);
	tmpdir_remove(f->dir);
	buf_free(&f->buf);
	free(f);
	return 0;
}

const struct id local_case_id = {{0xaa, 1}};
const char local_case_text[LOCAL_CASE_BYTES] = "the bytes of an object, longer than seven";

int local_case_put(struct local_case *f)
{
	return store_put(f->store, STORE_DATA, &local_case_id, local_case_text, LOCAL_CASE_BYTES,
			 &f->err);
}

void local_case_assert_whole(struct local_case *f)
{
	buf_reset(&f->buf);
	MUST(store_get(f->store, STORE_DATA, &local_case_id, 100, &f->buf, &f->err), &f->err);
	assert_int_equal(f->buf.len, LOCAL_CASE_BYTES);
	assert_memory_equal(f->buf.data, local_case_text, LOCAL_CASE_BYTES);
}

unsigned local_case_entries(const char *dir, const char *prefix)
{
	DIR *d = opendir(dir);
	unsigned n = 0;
	struct dirent *e;

	if (!d)
		return 0;
	while ((e = readdir(d)) != NULL)
		n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
		     strncmp(e->d_name, prefix, strlen(prefix)) == 0;
	(void)closedir(d);
	return n;
}

unsigned local_case_temps(struct local_case *f)
{
	char *dir = tmpdir_path(f->root, "data/aa");
	unsigned n = local_case_entries(dir, ".tmp-");

	free(dir);
	return n;
}

static int count_name(void *arg, const struct id *name, uint64_t size_bytes, struct err *err)
{
	(void)name, (void)size_bytes, (void)err;
	++*(unsigned *)arg;
	return 0;
}

unsigned local_case_listed(struct local_case *f, enum store_type type)
{
	unsigned n = 0;

	MUST(store_list(f->store, type, count_name, &n, &f->err), &f->err);
	return n;
}
