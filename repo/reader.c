#include "repo/reader.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#define KEY_CACHE 64 /* slot keys kept; a pack has two */

struct cached_key {
	bool used;
	uint32_t pack;
	uint16_t slot;
	uint8_t key[32];
};

struct reader {
	struct repo *repo;
	struct index *index;
	struct comp *comp;
	struct cached_key *keys; /* locked memory; a direct-mapped cache */
	struct buf sealed;
	char *scratch;
};

int reader_new(struct repo *repo, struct index *index, struct reader **out_reader, struct err *err)
{
	struct reader *reader = calloc(1, sizeof(*reader));
	int r;

	if (!reader)
		return err_nomem(err);
	reader->repo = repo;
	reader->index = index;
	reader->keys = sodium_allocarray(KEY_CACHE, sizeof(*reader->keys));
	r = reader->keys ? comp_new(0, &reader->comp, err) : err_nomem(err);
	if (r) {
		reader_free(reader);
		return r;
	}
	for (size_t i = 0; i < KEY_CACHE; i++)
		reader->keys[i].used = false;
	*out_reader = reader;
	return 0;
}

void reader_free(struct reader *reader)
{
	if (!reader)
		return;
	sodium_free(reader->keys);
	comp_free(reader->comp);
	buf_free(&reader->sealed);
	free(reader->scratch);
	free(reader);
}

int reader_set_scratch(struct reader *reader, const char *dir, struct err *err)
{
	char *copy = strdup(dir);

	if (!copy)
		return err_nomem(err);
	free(reader->scratch);
	reader->scratch = copy;
	return 0;
}

const char *reader_scratch(const struct reader *reader)
{
	return reader->scratch ? reader->scratch : "";
}

struct index *reader_index(struct reader *reader)
{
	return reader->index;
}

struct repo *reader_repo(struct reader *reader)
{
	return reader->repo;
}

static int slot_key(struct reader *reader, uint32_t pack, uint16_t slot, const uint8_t **out_key,
		    struct err *err)
{
	struct cached_key *c = &reader->keys[(pack * 2u + slot) % KEY_CACHE];
	int r;

	if (!c->used || c->pack != pack || c->slot != slot) {
		c->used = false;
		r = slot_open(reader->repo->keys, &reader->index->packs[pack].slots[slot], c->key,
			      err);
		if (r)
			return r;
		c->used = true;
		c->pack = pack;
		c->slot = slot;
	}
	*out_key = c->key;
	return 0;
}

int reader_open_place(struct reader *reader, const struct index_place *place, const void *sealed,
		      size_t len, struct buf *out, struct err *err)
{
	const struct index_pack *pack = &reader->index->packs[place->pack];
	const struct domain_keys *domain;
	const uint8_t *key;
	struct err why = {0};
	int r = slot_key(reader, place->pack, place->slot, &key, err);

	if (r)
		return r;
	/* A maintenance key opens lists without being able to recompute their ids. */
	domain = keys_domain(reader->repo->keys, pack->slots[place->slot].domain, &why);
	return record_open(reader->comp, key, place->counter, reader->repo->conf.repo, domain,
			   &place->info, sealed, len, out, err);
}

/* Says which chunk of which pack an error is about: check and the operator ask for both. */
static int name_place(const struct reader *reader, const struct index_place *place, struct err *err)
{
	char path[STORE_PATH_CHARS], hex[ID_HEX_CHARS + 1];

	id_hex(&place->info.id, hex);
	store_path(STORE_DATA, &reader->index->packs[place->pack].name, path);
	if (err->code == ERR_MISSING)
		return err_set(err, ERR_MISSING, "%s/%s: the pack is missing (it holds chunk %.*s)",
			       reader->repo->store->location, path, ID_SHORT_CHARS, hex);
	return err_prefix(err, "%s/%s: chunk %.*s", reader->repo->store->location, path,
			  ID_SHORT_CHARS, hex);
}

static int read_place(struct reader *reader, const struct index_place *place, struct buf *out,
		      struct err *err)
{
	int r;

	buf_reset(&reader->sealed);
	r = store_get_range(reader->repo->store, STORE_DATA,
			    &reader->index->packs[place->pack].name, place->offset,
			    place->stored_bytes, &reader->sealed, err);
	if (!r)
		r = reader_open_place(reader, place, reader->sealed.data, reader->sealed.len, out,
				      err);
	return r ? name_place(reader, place, err) : 0;
}

/* 1 when no place of the id gave the chunk; *why then tells of the last, or of none. */
static int try_places(struct reader *reader, uint8_t kind, const struct id *id, struct buf *out,
		      struct err *why)
{
	uint32_t at = index_find(reader->index, kind, id);
	char hex[ID_HEX_CHARS + 1];
	size_t before = out->len;
	int r;

	if (at == INDEX_NONE) {
		id_hex(id, hex);
		err_set(why, ERR_MISSING,
			"a part of it (chunk %.*s) is missing from the repository; 'nightjar "
			"check' names the damage",
			ID_SHORT_CHARS, hex);
	}
	for (; at != INDEX_NONE; at = reader->index->places[at].next) {
		r = read_place(reader, &reader->index->places[at], out, why);
		if (!r || r == -ERR_NOMEM || r == -ERR_KEY)
			return r;
		out->len = before;
	}
	return 1;
}

int reader_get(struct reader *reader, uint8_t kind, const struct id *id, struct buf *out,
	       struct err *err)
{
	struct err why = {0};
	int r = try_places(reader, kind, id, out, &why);

	if (r > 0 && !reader->index->rescued) {
		r = index_rescue(reader->repo, reader->index, err);
		if (r)
			return r;
		r = try_places(reader, kind, id, out, &why);
	}
	if (r)
		*err = why;
	return r ? -err->code : 0;
}
