/*
 * sizes: where stored bytes go.
 *
 *   sizes records REPO KEYFILE    of all records, by what they hold, as the index tells: "<data> <trees> <lists> <records>"
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
#include "repo/index.h"
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
	} else if (argc == 3 && strcmp(argv[1], "pieces") == 0) {
		r = pieces(argv[2], &err);
	} else {
		fputs("usage: sizes records REPO KEYFILE | pieces FILE\n", stderr);
		return 2;
	}
	if (r)
		fprintf(stderr, "sizes: %s\n", err.text);
	return r != 0;
}
