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
	unsigned
	    records; /* that the chunk under way rests on, as far as they gave what they should */
	uint8_t *failed; /* a bit a place: tried for that chunk, and gave nothing. NULL: none */
	size_t failed_places;
	struct err failed_why; /* of the last of them */
	uint8_t depth;         /* of the place that gave the last one */
	bool strict;           /* bases are compared with their ids, too */
	bool trusts;           /* one was not */
	bool blind;            /* this key recomputes no ids */
	bool poolable; /* the last base came from where its pooled plaintext is looked for */
	size_t held;   /* plaintext of bases that wait for others of theirs */
};

int reader_new(struct repo *repo, struct index *index, struct reader **out_reader, struct err *err)
{
	struct reader *reader = calloc(1, sizeof(*reader));
	int r;

	if (!reader)
		return err_nomem(err);
	reader->repo = repo;
	reader->index = index;
	reader->blind = repo->keys->role == ROLE_MAINTAIN;
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
	free(reader->failed);
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

/* A chunk that is looked for below a depth, and what rests on it (NULL: nothing, it was asked for). */
struct seek {
	uint8_t kind;
	const struct id *id;
	unsigned below_depth;
	bool verify;
	const struct index_place *for_place;
};

static int try_places(struct reader *reader, const struct seek *seek, struct buf *out,
		      struct err *why);

static const uint8_t *writer_of(const struct reader *reader, const struct index_place *place)
{
	return reader->index->packs[place->pack].sources[place->source].writer;
}

/* Who recomputes no ids must not take what one writer stored under an id for what another did: pooled plaintext is of one writer. */
static struct id pooled_id(const struct reader *reader, const struct id *id,
			   const struct index_place *by)
{
	struct id pooled = *id;

	for (size_t i = 0; reader->blind && i < sizeof(pooled.b); i++)
		pooled.b[i] ^= writer_of(reader, by)[i];
	return pooled;
}

/* Where a base goes that was opened as they are now. */
static struct plainpool *base_pool(const struct reader *reader)
{
	return reader->strict ? reader->pool : reader->trusted;
}

static bool pool_base(struct reader *reader, const struct index_place *place, size_t n,
		      struct span *out)
{
	const struct record_info *info = &place->info;
	const struct id id = pooled_id(reader, &info->bases[n], place);

	if (plainpool_get(reader->pool, info->kind, &id, info->depth, out))
		return true;
	if (reader->strict)
		return false;
	reader->trusts = true;
	return plainpool_get(reader->trusted, info->kind, &id, info->depth, out);
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

static struct seek base_of(const struct reader *reader, const struct index_place *place, size_t n)
{
	return (struct seek){.kind = place->info.kind,
			     .id = &place->info.bases[n],
			     .below_depth = place->info.depth,
			     .verify = reader->strict,
			     .for_place = place};
}

/* Appends one base from wherever it is to be had below that depth. 1 when it is not, and err tells where the damage is. */
static int append_base(struct reader *reader, const struct index_place *place, size_t n,
		       struct buf *out, struct err *err)
{
	const struct record_info *info = &place->info;
	const struct seek seek = base_of(reader, place, n);
	const struct id pooled = pooled_id(reader, seek.id, place);
	size_t before = out->len;
	struct span plain;
	int r;

	if (pool_base(reader, place, n, &plain)) {
		buf_put(out, plain.p, plain.len);
		return buf_check(out, err);
	}
	r = try_places(reader, &seek, out, err);
	if (!r && reader->poolable)
		plainpool_put(base_pool(reader), info->kind, &pooled, reader->depth,
			      out->data + before, out->len - before);
	return r;
}

/* The only base, as most have: it stays in the pool, or goes there, and is not copied. */
static int only_base(struct reader *reader, const struct index_place *place, struct buf *out,
		     struct span *out_plain, struct err *err)
{
	const struct record_info *info = &place->info;
	const struct seek seek = base_of(reader, place, 0);
	const struct id pooled = pooled_id(reader, seek.id, place);
	int r;

	if (pool_base(reader, place, 0, out_plain))
		return 0;
	r = try_places(reader, &seek, out, err);
	if (r)
		return r;
	if (!reader->poolable ||
	    !plainpool_give(base_pool(reader), info->kind, &pooled, reader->depth, out) ||
	    !pool_base(reader, place, 0, out_plain))
		*out_plain = (struct span){out->data, out->len};
	return 0;
}

/* All of them, one after the other. */
static int join_bases(struct reader *reader, const struct index_place *place, struct buf *out,
		      struct err *err)
{
	size_t held = reader->held;
	int r = 0;

	for (size_t i = 0; !r && i < place->info.base_count; i++) {
		r = append_base(reader, place, i, out, err);
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
static int get_bases(struct reader *reader, const struct index_place *place, struct buf *out,
		     struct span *out_bases, struct err *err)
{
	int r;

	*out_bases = (struct span){0};
	if (place->info.base_count == 1)
		return only_base(reader, place, out, out_bases, err);
	r = join_bases(reader, place, out, err);
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
		r = get_bases(reader, &place, &held, &bases, err);
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

static bool has_failed(const struct reader *reader, uint32_t at)
{
	return reader->failed && at < reader->failed_places &&
	       (reader->failed[at / 8] >> at % 8 & 1);
}

/* What a place gives does not depend on what asks for it, so it is tried once: planted copies by the thousands cost each its own bytes. */
static int set_failed(struct reader *reader, uint32_t at, struct err *err)
{
	reader->failed_why = *err;
	if (!reader->failed) {
		reader->failed_places = reader->index->place_count;
		reader->failed = calloc(reader->failed_places / 8 + 1, 1);
		if (!reader->failed)
			return err_nomem(err);
	}
	if (at < reader->failed_places)
		reader->failed[at / 8] |= (uint8_t)(1u << at % 8);
	return 0;
}

static bool same_writer(const struct index *index, const struct index_place *a,
			const struct index_place *b)
{
	return memcmp(index->packs[a->pack].sources[a->source].writer,
		      index->packs[b->pack].sources[b->source].writer, 32) == 0;
}

/* 0: tried first. Whole copies of who wrote what rests on them, which he knew; other whole ones; those that are known to be bad. */
static int rank_of(const struct reader *reader, const struct seek *seek, uint32_t at)
{
	const struct index *index = reader->index;

	if (!index_place_whole(index, at))
		return 2;
	if (!seek->for_place)
		return 0;
	/* A directory that no segment names may say what it likes of who stored a record. */
	return !index->packs[index->places[at].pack].named ||
	       !same_writer(index, &index->places[at], seek->for_place);
}

/*
 * 1 when no place of the id below that depth gave the chunk; *why then tells of the last, or of none. Places that are
 * whole as far as the index knows come first; the others are still tried. What failed does not count as rested on.
 */
static int try_places(struct reader *reader, const struct seek *seek, struct buf *out,
		      struct err *why)
{
	unsigned records = reader->records;
	size_t before = out->len;
	int r = no_place(seek->id, why);

	for (int rank = 0; rank < 3; rank++) {
		for (uint32_t at = index_find(reader->index, seek->kind, seek->id);
		     at != INDEX_NONE; at = reader->index->places[at].next) {
			if (reader->index->places[at].info.depth >= seek->below_depth ||
			    rank_of(reader, seek, at) != rank)
				continue;
			if (has_failed(reader, at)) {
				*why = reader->failed_why;
				continue;
			}
			r = read_place(reader, at, seek->verify, out, why);
			reader->poolable = !reader->blind || rank == 0;
			if (!r || ends_all(r))
				return r;
			out->len = before;
			reader->records = records;
			r = set_failed(reader, at, why);
			if (r)
				return r;
		}
	}
	return 1;
}

static void begin(struct reader *reader, bool strict)
{
	reader->records = 0;
	free(reader->failed);
	reader->failed = NULL;
	reader->held = 0;
	reader->strict = strict;
	reader->trusts = false;
}

static int get_placed(struct reader *reader, uint8_t kind, const struct id *id, struct buf *out,
		      struct err *why)
{
	const struct seek seek = {
	    .kind = kind, .id = id, .below_depth = LIMIT_DEPTH + 1, .verify = true};
	int r;

	begin(reader, false);
	r = try_places(reader, &seek, out, why);
	if (r <= 0 || !reader->trusts)
		return r;
	begin(reader, true);
	return try_places(reader, &seek, out, why);
}

static int get_known(struct reader *reader, uint8_t kind, const struct id *id, bool keep,
		     struct buf *out, struct err *why)
{
	size_t before = out->len;
	struct span plain;
	int r;

	if (!reader->blind && plainpool_get(reader->pool, kind, id, LIMIT_DEPTH + 1, &plain)) {
		buf_put(out, plain.p, plain.len);
		return buf_check(out, why);
	}
	r = get_placed(reader, kind, id, out, why);
	if (!r && keep && !reader->blind)
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
	r = get_bases(reader, place, &held, &bases, err);
	if (!r)
		r = open_record(reader, place, true, bases, sealed, len, out, err);
	put_by(reader, &held);
	return r;
}

int reader_open_place(struct reader *reader, const struct index_place *place, const void *sealed,
		      size_t len, struct buf *out, struct err *err)
{
	size_t before = out->len;
	struct id pooled;
	int r = open_place(reader, false, place, sealed, len, out, err);

	if (r && !ends_all(r) && reader->trusts) {
		out->len = before;
		r = open_place(reader, true, place, sealed, len, out, err);
	}
	pooled = pooled_id(reader, &place->info.id, place);
	if (!r && (!reader->blind || reader->index->packs[place->pack].named))
		plainpool_put(reader->pool, place->info.kind, &pooled, place->info.depth,
			      out->data + before, out->len - before);
	if (r > 0)
		err->code = ERR_MISSING;
	return r > 0 ? -ERR_MISSING : r;
}
