/*
 * sizes: where stored bytes go.
 *
 *   sizes records REPO KEYFILE    of all records, by what they hold, as the index tells: "<data> <trees> <lists> <records>"
 *   sizes live REPO KEYFILE       of records that backups need: "<reached> <deep> <pinned>": what they reach, of that deltas of
 *                                 depth 8 and more, and what is only there because such records rest on it
 *   sizes pieces FILE             of FILE cut in 1 MiB pieces, each a zstd -3 frame of its own: "<bytes>"
 *
 * Bytes of sealed records before padding; without pack heads, directories and segments.
 */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/comp.h"
#include "repo/idset.h"
#include "repo/index.h"
#include "repo/manifests.h"
#include "repo/repair_tree.h"
#include "repo/store.h"

#define PIECE_BYTES (1u << 20)
#define KEYFILE_MOST 65536

static int read_all(const char *path, char *out, size_t most, size_t *out_len, struct err *err)
{
	FILE *f = fopen(path, "rb");

	if (f)
		*out_len = fread(out, 1, most, f);
	if (!f || ferror(f) || fclose(f) != 0)
		return err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
	return 0;
}

static int open_repo(const char *location, const char *keyfile, struct repo **out, struct err *err)
{
	static char text[KEYFILE_MOST];
	struct repo_credentials with = {.keyfile = text};
	struct store *store = NULL;
	int r = read_all(keyfile, text, sizeof(text), &with.keyfile_len, err);

	if (!r)
		r = store_open(location, NULL, &store, err);
	if (!r)
		r = repo_open(store, &with, out, err);
	if (r)
		store_free(store);
	return r;
}

static int records(const char *location, const char *keyfile, struct err *err)
{
	unsigned long long data = 0, trees = 0, lists = 0;
	struct index *index = NULL;
	struct repo *repo = NULL;
	int r = open_repo(location, keyfile, &repo, err);

	if (!r)
		r = index_load(repo, NULL, NULL, &index, err);
	for (size_t i = 0; !r && i < index->place_count; i++) {
		const struct index_place *p = &index->places[i];

		if (p->info.kind == CHUNK_DATA)
			data += p->stored_bytes;
		else if (p->info.kind == CHUNK_LIST || p->info.kind == CHUNK_LIST_BODY)
			lists += p->stored_bytes;
		else
			trees += p->stored_bytes;
	}
	if (!r)
		printf("%llu %llu %llu %zu\n", data, trees, lists, index->place_count);
	index_free(index);
	repo_close(repo);
	return r;
}

/* --- what backups need --- */

struct live {
	struct index *index;
	struct idset reached, needed;
};

static int on_ref(void *arg, const struct chunk_ref *ref, const char *path, struct err *err)
{
	struct live *live = arg;

	(void)path;
	return idset_add(&live->reached, &ref->id, err);
}

/* Each base once, of strictly lower depth at each step. */
static int need(struct live *live, uint8_t kind, const struct id *id, struct err *err)
{
	uint32_t at = index_find_good(live->index, kind, id);
	int r = idset_has(&live->needed, id) ? 1 : idset_add(&live->needed, id, err);

	if (r || at == INDEX_NONE)
		return r == 1 ? 0 : r;
	for (size_t i = 0; !r && i < live->index->places[at].info.base_count; i++)
		r = need(live, kind, &live->index->places[at].info.bases[i], err);
	return r;
}

static int sum_live(struct live *live, struct err *err)
{
	unsigned long long reached = 0, deep = 0, pinned = 0;
	const struct index *index = live->index;
	int r = 0;

	for (uint32_t i = 0; !r && i < index->place_count; i++) {
		const struct record_info *info = &index->places[i].info;

		if (idset_has(&live->reached, &info->id))
			r = need(live, info->kind, &info->id, err);
	}
	for (uint32_t i = 0; !r && i < index->place_count; i++) {
		const struct index_place *p = &index->places[i];

		if (index_find_good(index, p->info.kind, &p->info.id) != i)
			continue;
		if (idset_has(&live->reached, &p->info.id)) {
			reached += p->stored_bytes;
			deep += p->info.depth >= 8 ? p->stored_bytes : 0;
		} else if (idset_has(&live->needed, &p->info.id)) {
			pinned += p->stored_bytes;
		}
	}
	if (!r)
		printf("%llu %llu %llu\n", reached, deep, pinned);
	return r;
}

static int live(const char *location, const char *keyfile, struct err *err)
{
	struct manifest_list list = {0};
	struct reader *reader = NULL;
	struct repo *repo = NULL;
	struct live live = {0};
	int r = open_repo(location, keyfile, &repo, err);

	if (!r)
		r = index_load(repo, NULL, NULL, &live.index, err);
	if (!r)
		r = manifests_load(repo, NULL, NULL, &list, err);
	if (!r)
		r = reader_new(repo, live.index, &reader, err);
	for (size_t i = 0; !r && i < list.count; i++)
		r = repair_tree_refs(reader, &list.items[i].m.root, on_ref, &live, err);
	if (!r)
		r = sum_live(&live, err);
	idset_free(&live.reached);
	idset_free(&live.needed);
	manifest_list_free(&list);
	reader_free(reader);
	index_free(live.index);
	repo_close(repo);
	return r;
}

static int pieces_of(FILE *f, uint8_t *piece, struct err *err)
{
	unsigned long long total = 0;
	struct comp *comp = NULL;
	struct buf out = {0};
	uint8_t codec;
	size_t len;
	int r = comp_new(3, &comp, err);

	while (!r && (len = fread(piece, 1, PIECE_BYTES, f)) > 0) {
		buf_reset(&out);
		r = comp_put(comp, 0, piece, len, &out, &codec, err);
		total += out.len;
	}
	if (!r && ferror(f))
		r = err_set(err, ERR_IO, "%s", strerror(errno));
	if (!r)
		printf("%llu\n", total);
	buf_free(&out);
	comp_free(comp);
	return r;
}

static int pieces(const char *path, struct err *err)
{
	uint8_t *piece = malloc(PIECE_BYTES);
	FILE *f = fopen(path, "rb");
	int r;

	if (!piece)
		r = err_nomem(err);
	else if (!f)
		r = err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
	else
		r = pieces_of(f, piece, err);
	if (f)
		(void)fclose(f);
	free(piece);
	return r;
}

int main(int argc, char **argv)
{
	struct err err = {0};
	int r;

	if (sodium_init() < 0)
		return 1;
	if (argc == 4 && strcmp(argv[1], "records") == 0) {
		r = records(argv[2], argv[3], &err);
	} else if (argc == 4 && strcmp(argv[1], "live") == 0) {
		r = live(argv[2], argv[3], &err);
	} else if (argc == 3 && strcmp(argv[1], "pieces") == 0) {
		r = pieces(argv[2], &err);
	} else {
		fputs("usage: sizes records REPO KEYFILE | live REPO KEYFILE | pieces FILE\n",
		      stderr);
		return 2;
	}
	if (r)
		fprintf(stderr, "sizes: %s\n", err.text);
	return r != 0;
}
