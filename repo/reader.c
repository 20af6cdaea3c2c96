#include "repo/reader.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "repo/plainpool.h"

#define KEY_CACHE                                                                                  \
	512 /* slot keys kept: of the packs of half a year of nights. Each costs a multiplication on a curve */
#define POOL_BYTES ((size_t)4 << 20)
#define TRUSTED_BYTES                                                                              \
	((size_t)1 << 20) /* with what is decoded from them they fit in a processor's cache */

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
	struct buf spare; /* memory for the next plaintext */
	char *scratch;
	reader_aside_fn *aside; /* NULL: there is nothing */
	void *aside_arg;
	struct plainpool *pool;    /* plaintext whose id was recomputed */
	struct plainpool *trusted; /* plaintext whose id was not */
	unsigned records;          /* tried for the chunk under way */
	uint8_t depth;             /* of the place that gave the last one */
	bool strict;               /* bases are compared with their ids, too */
	bool trusts;               /* one was not */
	size_t held;               /* plaintext of bases that wait for others of theirs */
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
	if (!r)
		r = plainpool_new(POOL_BYTES, &reader->pool, err);
	if (!r)
		r = plainpool_new(TRUSTED_BYTES, &reader->trusted, err);
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
	plainpool_free(reader->pool);
	plainpool_free(reader->trusted);
	buf_free(&reader->sealed);
	buf_wipe(&reader->spare);
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

void reader_set_aside(struct reader *reader, reader_aside_fn *get, void *arg)
{
	reader->aside = get;
	reader->aside_arg = arg;
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

/* Says which chunk (told: the error does already) of which pack an error is about: check and the operator ask for both. */
static int name_place(const struct reader *reader, const struct index_place *place, bool told,
		      struct err *err)
{
	char path[STORE_PATH_CHARS], hex[ID_HEX_CHARS + 1];

	id_hex(&place->info.id, hex);
	store_path(STORE_DATA, &reader->index->packs[place->pack].name, path);
	if (err->code == ERR_MISSING)
		return err_set(err, ERR_MISSING, "%s/%s: the pack is missing (it holds chunk %.*s)",
			       reader->repo->store->location, path, ID_SHORT_CHARS, hex);
	repo_unname(reader->repo->store, STORE_DATA, &reader->index->packs[place->pack].name, err);
	if (told)
		return err_prefix(err, "%s/%s", reader->repo->store->location, path);
	return err_prefix(err, "%s/%s: chunk %.*s", reader->repo->store->location, path,
			  ID_SHORT_CHARS, hex);
}

/* Everything but what is wrong with these bytes. */
static bool ends_all(int r)
{
	return r == -ERR_NOMEM || r == -ERR_KEY;
}

/*
 * verify: the id is recomputed. Of a base it need not be: the id of what rests on it tells whether it was right. Only when that
 * is wrong, all is read again, strictly, so that another copy of the base may take the place of the one that lied.
 */
static int open_record(struct reader *reader, const struct index_place *place, bool verify,
		       struct span bases, const void *sealed, size_t len, struct buf *out,
		       struct err *err)
{
	const struct index_pack *pack = &reader->index->packs[place->pack];
	const struct domain_keys *domain = NULL;
	const uint8_t *key;
	struct err why = {0};
	int r = slot_key(reader, place->pack, place->slot, &key, err);

	if (r)
		return r;
	/* A maintenance key opens lists without being able to recompute their ids. */
	if (verify)
		domain = keys_domain(reader->repo->keys, pack->slots[place->slot].domain, &why);
	return record_open_delta(reader->comp, key, place->counter, reader->repo->conf.repo, domain,
				 &place->info, bases, sealed, len, out, err);
}

static int try_places(struct reader *reader, uint8_t kind, const struct id *id,
		      unsigned below_depth, bool verify, struct buf *out, struct err *why);

/* Where a base goes that was opened as they are now. */
static struct plainpool *base_pool(const struct reader *reader)
{
	return reader->strict ? reader->pool : reader->trusted;
}

static bool pool_base(struct reader *reader, const struct record_info *info, size_t n,
		      struct span *out)
{
	const struct id *id = &info->bases[n];

	if (plainpool_get(reader->pool, info->kind, id, info->depth, out))
		return true;
	if (reader->strict)
		return false;
	reader->trusts = true;
	return plainpool_get(reader->trusted, info->kind, id, info->depth, out);
}

/* Memory that held plaintext, to be written over before long. */
static void put_by(struct reader *reader, struct buf *b)
{
	struct buf smaller = *b;

	if (b->cap > reader->spare.cap) {
		smaller = reader->spare;
		reader->spare = *b;
	}
	buf_reset(&reader->spare);
	buf_wipe(&smaller);
	*b = (struct buf){0};
}

/* Appends one base from wherever it is to be had below that depth. 1 when it is not, and err tells where the damage is. */
static int append_base(struct reader *reader, const struct record_info *info, size_t n,
		       struct buf *out, struct err *err)
{
	const struct id *id = &info->bases[n];
	size_t before = out->len;
	struct span plain;
	int r;

	if (pool_base(reader, info, n, &plain)) {
		buf_put(out, plain.p, plain.len);
		return buf_check(out, err);
	}
	r = try_places(reader, info->kind, id, info->depth, reader->strict, out, err);
	if (!r)
		plainpool_put(base_pool(reader), info->kind, id, reader->depth, out->data + before,
			      out->len - before);
	return r;
}

/* The only base, as most have: it stays in the pool, or goes there, and is not copied. */
static int only_base(struct reader *reader, const struct record_info *info, struct buf *out,
		     struct span *out_plain, struct err *err)
{
	int r;

	if (pool_base(reader, info, 0, out_plain))
		return 0;
	r = try_places(reader, info->kind, &info->bases[0], info->depth, reader->strict, out, err);
	if (r)
		return r;
	if (!plainpool_give(base_pool(reader), info->kind, &info->bases[0], reader->depth, out) ||
	    !pool_base(reader, info, 0, out_plain))
		*out_plain = (struct span){out->data, out->len};
	return 0;
}

/* All of them, one after the other. */
static int join_bases(struct reader *reader, const struct record_info *info, struct buf *out,
		      struct err *err)
{
	size_t held = reader->held;
	int r = 0;

	for (size_t i = 0; !r && i < info->base_count; i++) {
		r = append_base(reader, info, i, out, err);
		reader->held = held + out->len;
		if (!r && reader->held > LIMIT_BASES_HELD_BYTES)
			r = err_set(err, ERR_DAMAGED, "its bases are too large");
	}
	reader->held = held;
	return r;
}

/*
 * 1 when one of them cannot be had: the record that rests on them may be whole. *out_bases is in `out` or in the pool, until
 * something is put there.
 *
 * Below a base the same happens again, to a depth of 255 at most, as each step leads strictly lower; what waits
 * meanwhile is counted, so that hostile bases end at a limit.
 */
static int get_bases(struct reader *reader, const struct record_info *info, struct buf *out,
		     struct span *out_bases, struct err *err)
{
	int r;

	*out_bases = (struct span){0};
	if (info->base_count == 1)
		return only_base(reader, info, out, out_bases, err);
	r = join_bases(reader, info, out, err);
	if (!r)
		*out_bases = (struct span){out->data, out->len};
	return r;
}

static int read_sealed(struct reader *reader, const struct index_place *place, struct err *err)
{
	buf_reset(&reader->sealed);
	return store_get_range(reader->repo->store, STORE_DATA,
			       &reader->index->packs[place->pack].name, place->offset,
			       place->stored_bytes, &reader->sealed, err);
}

/* What does not open may have been garbled on its way into this host's cache: then it is read again, from the store itself. */
static int open_sealed(struct reader *reader, const struct index_place *place, bool verify,
		       struct span bases, struct buf *out, struct err *err)
{
	size_t before = out->len;
	int r = open_record(reader, place, verify, bases, reader->sealed.data, reader->sealed.len,
			    out, err);

	if (r != -ERR_DAMAGED || !store_distrust(reader->repo->store, STORE_DATA,
						 &reader->index->packs[place->pack].name))
		return r;
	out->len = before;
	*err = (struct err){0};
	r = read_sealed(reader, place, err);
	return r ? r
		 : open_record(reader, place, verify, bases, reader->sealed.data,
			       reader->sealed.len, out, err);
}

static int read_place(struct reader *reader, uint32_t at, bool verify, struct buf *out,
		      struct err *err)
{
	/* A copy: what the index is made of may move while bases are looked for. */
	const struct index_place place = reader->index->places[at];
	struct buf held = {0};
	struct span bases;
	bool told;
	int r = 0;

	/* Counted before anything is tried: also what leads nowhere must end. */
	if (++reader->records > LIMIT_CLOSURE)
		r = err_set(err, ERR_DAMAGED, "it rests on more than %u records", LIMIT_CLOSURE);
	if (!r)
		r = get_bases(reader, &place.info, &held, &bases, err);
	/* After the bases: they are read through the same buffer. */
	if (!r)
		r = read_sealed(reader, &place, err);
	told = !r;
	if (!r && !out->data) {
		*out = reader->spare;
		reader->spare = (struct buf){0};
	}
	if (!r)
		r = open_sealed(reader, &place, verify, bases, out, err);
	put_by(reader, &held);
	reader->depth = place.info.depth;
	if (r > 0)
		return -err->code; /* which names another place */
	return r ? name_place(reader, &place, told, err) : 0;
}

static int no_place(const struct id *id, struct err *err)
{
	char hex[ID_HEX_CHARS + 1];

	id_hex(id, hex);
	(void)err_set(err, ERR_MISSING,
		      "a part of it (chunk %.*s) is missing from the repository; 'nightjar "
		      "check' names the damage",
		      ID_SHORT_CHARS, hex);
	return 1;
}

/*
 * 1 when no place of the id below that depth gave the chunk; *why then tells of the last, or of none. Places that are
 * whole as far as the index knows come first; the others are still tried.
 */
static int try_places(struct reader *reader, uint8_t kind, const struct id *id,
		      unsigned below_depth, bool verify, struct buf *out, struct err *why)
{
	size_t before = out->len;
	int r = no_place(id, why);

	for (int pass = 0; pass < 2; pass++) {
		for (uint32_t at = index_find(reader->index, kind, id); at != INDEX_NONE;
		     at = reader->index->places[at].next) {
			if (reader->index->places[at].info.depth >= below_depth ||
			    index_place_whole(reader->index, at) != (pass == 0))
				continue;
			r = read_place(reader, at, verify, out, why);
			if (!r || ends_all(r))
				return r;
			out->len = before;
		}
	}
	return 1;
}

static void begin(struct reader *reader, bool strict)
{
	reader->records = 0;
	reader->held = 0;
	reader->strict = strict;
	reader->trusts = false;
}

static int get_placed(struct reader *reader, uint8_t kind, const struct id *id, struct buf *out,
		      struct err *why)
{
	int r;

	begin(reader, false);
	r = try_places(reader, kind, id, LIMIT_DEPTH + 1, true, out, why);
	if (r <= 0 || !reader->trusts)
		return r;
	begin(reader, true);
	return try_places(reader, kind, id, LIMIT_DEPTH + 1, true, out, why);
}

static int get_known(struct reader *reader, uint8_t kind, const struct id *id, bool keep,
		     struct buf *out, struct err *why)
{
	size_t before = out->len;
	struct span plain;
	int r;

	if (plainpool_get(reader->pool, kind, id, LIMIT_DEPTH + 1, &plain)) {
		buf_put(out, plain.p, plain.len);
		return buf_check(out, why);
	}
	r = get_placed(reader, kind, id, out, why);
	if (!r && keep)
		plainpool_put(reader->pool, kind, id, reader->depth, out->data + before,
			      out->len - before);
	return r;
}

int reader_get(struct reader *reader, uint8_t kind, const struct id *id, struct buf *out,
	       struct err *err)
{
	struct err why = {0};
	/* Nodes rest on one another and are walked together; data is read once. */
	bool keep = kind != CHUNK_DATA;
	bool opens = reader->repo->keys->has_maint_secret;
	int r = -ERR_MISSING;

	if (reader->aside)
		r = reader->aside(reader->aside_arg, kind, id, out, err);
	if (r != -ERR_MISSING)
		return r;
	r = get_known(reader, kind, id, keep, out, &why);
	if (r > 0 && opens && !reader->index->rescued) {
		r = index_rescue(reader->repo, reader->index, err);
		if (r)
			return r;
		r = get_known(reader, kind, id, keep, out, &why);
	}
	if (r)
		*err = why;
	return r ? -err->code : 0;
}

int reader_get_base(struct reader *reader, uint8_t kind, const struct id *id, struct buf *out,
		    struct err *err)
{
	int r = get_known(reader, kind, id, true, out, err);

	return r ? -err->code : 0;
}

/* 1 when bases cannot be had. */
static int open_place(struct reader *reader, bool strict, const struct index_place *place,
		      const void *sealed, size_t len, struct buf *out, struct err *err)
{
	struct buf held = {0};
	struct span bases;
	int r;

	begin(reader, strict);
	reader->records = 1; /* this one */
	r = get_bases(reader, &place->info, &held, &bases, err);
	if (!r)
		r = open_record(reader, place, true, bases, sealed, len, out, err);
	put_by(reader, &held);
	return r;
}

int reader_open_place(struct reader *reader, const struct index_place *place, const void *sealed,
		      size_t len, struct buf *out, struct err *err)
{
	size_t before = out->len;
	int r = open_place(reader, false, place, sealed, len, out, err);

	if (r && !ends_all(r) && reader->trusts) {
		out->len = before;
		r = open_place(reader, true, place, sealed, len, out, err);
	}
	if (!r)
		plainpool_put(reader->pool, place->info.kind, &place->info.id, place->info.depth,
			      out->data + before, out->len - before);
	if (r > 0)
		err->code = ERR_MISSING;
	return r > 0 ? -ERR_MISSING : r;
}
