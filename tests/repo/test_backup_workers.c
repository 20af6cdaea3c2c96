/* What a backup stores does not depend on how many workers compress it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/keyfile.h"
#include "repo/backup.h"
#include "repo/index.h"
#include "tests/support/must.h"
#include "tests/support/repo_case.h"
#include "tests/support/tmpdir.h"

#define FILES 60

/* A chunk as it was stored: which, and how. */
struct stored {
	struct id id;
	uint32_t kind, codec; /* no padding: compared as memory */
	uint32_t plain_bytes, stored_bytes;
};

struct outcome {
	struct backup_result result;
	struct stored *chunks;
	size_t count;
};

static void write_file(const char *folder, unsigned number)
{
	size_t len = (size_t)number * number * 900 + 1;
	uint8_t *bytes =
	    repo_case_block(number % 40, len); /* some twice: the same bytes, another name */
	char path[512];
	FILE *f;

	/* Half of each compresses. */
	memset(bytes, (int)number % 40, len / 2);
	(void)snprintf(path, sizeof(path), "%s/f%02u", folder, number);
	f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
	free(bytes);
}

static int compare_stored(const void *a, const void *b)
{
	return id_cmp(&((const struct stored *)a)->id, &((const struct stored *)b)->id);
}

static void collect(struct repo *repo, struct outcome *o)
{
	struct index *index = NULL;
	struct err err = {0};

	MUST(index_load(repo, NULL, NULL, &index, &err), &err);
	o->chunks = calloc(index->place_count, sizeof(*o->chunks));
	assert_non_null(o->chunks);
	for (size_t i = 0; i < index->place_count; i++) {
		const struct index_place *p = &index->places[i];

		if (p->info.kind)
			o->chunks[o->count++] =
			    (struct stored){p->info.id, p->info.kind, p->info.codec,
					    p->info.plain_bytes, p->stored_bytes};
	}
	qsort(o->chunks, o->count, sizeof(*o->chunks), compare_stored);
	index_free(index);
}

static struct outcome back_up(struct keys *keys, const char *folder, const char *cache,
			      unsigned workers)
{
	const char *const paths[] = {folder};
	struct repo_init_options init = {.now_s = 1};
	struct backup_options options = {.paths = paths,
					 .path_count = 1,
					 .host = "h",
					 .cache_dir = cache,
					 .workers = workers,
					 .force = true,
					 .now_ns = 1000};
	struct repo_credentials by = {0};
	struct outcome o = {0};
	struct store *store = NULL;
	struct repo *repo = NULL;
	struct buf text = {0};
	struct err err = {0};

	MUST(store_mem_new(&store, &err), &err);
	MUST(repo_init(store, keys, &init, &err), &err);
	MUST(keyfile_enc(keys, ROLE_FULL, &text, &err), &err);
	by.keyfile = text.data;
	by.keyfile_len = text.len;
	MUST(repo_open(store, &by, &repo, &err), &err);
	MUST(backup_run(repo, &options, &o.result, &err), &err);
	collect(repo, &o);
	repo_close(repo);
	buf_wipe(&text);
	return o;
}

static void same_for_every_number_of_workers(void **state)
{
	static const unsigned numbers[] = {2, 3, 8};
	char *folder = tmpdir_make(), *cache = tmpdir_make();
	struct keys *keys = NULL;
	struct outcome one;
	struct err err = {0};

	(void)state;
	for (unsigned i = 0; i < FILES; i++)
		write_file(folder, i);
	MUST(repo_new_keys(&keys, &err), &err);
	one = back_up(keys, folder, cache, 1);
	assert_true(one.count > FILES / 2);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct outcome many = back_up(keys, folder, cache, numbers[i]);

		assert_int_equal(many.count, one.count);
		assert_memory_equal(many.chunks, one.chunks, one.count * sizeof(*one.chunks));
		assert_int_equal(many.result.bytes_added, one.result.bytes_added);
		assert_int_equal(many.result.bytes_packed, one.result.bytes_packed);
		free(many.chunks);
	}
	free(one.chunks);
	keys_free(keys);
	tmpdir_remove(folder);
	tmpdir_remove(cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(same_for_every_number_of_workers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
