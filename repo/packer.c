#include "repo/packer.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "core/seal.h"

#define SEGMENT_ENTRIES 262144 /* a segment is put when its packs hold so many records */

struct packer {
	struct repo *repo;
	struct index *index;
	bool dry_run;
	const struct domain_keys *domain;
	struct chunker *chunker; /* locked memory: its tables are keys */
	struct comp *comp;
	struct pack_builder *builder;
	struct indexseg_pack *packs; /* put, not yet in a segment */
	size_t pack_count, pack_cap;
	size_t segment_entries; /* records in packs */
	struct index
	    *pending; /* ids of chunks that lie in the builder, or that a dry run would store */
	struct buf compressed, object;
	struct packer_stats stats;
	struct err failed; /* the first failure: what was gathered until then may be lost */
};

static int packer_open(struct packer *p, uint64_t sequence, struct err *err)
{
	struct keys *keys = p->repo->keys;
	int r;

	p->domain = keys_domain(keys, keys->writer_domain, err);
	if (!p->domain)
		return -err->code;
	/* A chunk of a lost pack must be stored again, or the next manifest would lack it (I2). */
	r = index_mark_lost(p->repo, p->index, err);
	if (r)
		return r;
	p->chunker = sodium_malloc(sizeof(*p->chunker));
	if (!p->chunker)
		return err_nomem(err);
	chunker_init(p->chunker, p->domain->chunker_key);
	r = comp_new(0, &p->comp, err);
	if (!r)
		r = index_new(&p->pending, err);
	if (!r)
		r = pack_builder_new(keys, sequence, p->repo->conf.floor_log2, &p->builder, err);
	return r;
}

int packer_new(struct repo *repo, struct index *index, uint64_t sequence, bool dry_run,
	       struct packer **out_packer, struct err *err)
{
	struct packer *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return err_nomem(err);
	p->repo = repo;
	p->index = index;
	p->dry_run = dry_run;
	r = packer_open(p, sequence, err);
	if (r) {
		packer_free(p);
		return r;
	}
	*out_packer = p;
	return 0;
}

void packer_free(struct packer *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->pack_count; i++)
		pack_dir_free(&p->packs[i].dir);
	free(p->packs);
	index_free(p->pending);
	pack_builder_free(p->builder);
	comp_free(p->comp);
	sodium_free(p->chunker);
	buf_free(&p->compressed);
	buf_free(&p->object);
	free(p);
}

const struct packer_stats *packer_stats(const struct packer *p)
{
	return &p->stats;
}

const struct domain_keys *packer_domain(const struct packer *p)
{
	return p->domain;
}

const struct chunker *packer_chunker(const struct packer *p)
{
	return p->chunker;
}

static int packs_push(struct packer *p, struct indexseg_pack *pack, struct err *err)
{
	if (p->pack_count == p->pack_cap) {
		size_t cap = p->pack_cap ? p->pack_cap * 2 : 16;
		struct indexseg_pack *packs = realloc(p->packs, cap * sizeof(*packs));

		if (!packs)
			return err_nomem(err);
		p->packs = packs;
		p->pack_cap = cap;
	}
	p->segment_entries += pack->dir.entry_count;
	p->packs[p->pack_count++] = *pack;
	*pack = (struct indexseg_pack){0};
	return 0;
}

static int put_segment(struct packer *p, struct err *err)
{
	int r;

	if (p->pack_count == 0)
		return 0;
	buf_reset(&p->object);
	r = indexseg_enc(p->repo->keys, p->domain->number, p->packs, p->pack_count,
			 p->repo->conf.floor_log2, &p->object, err);
	if (!r)
		r = repo_put(p->repo, STORE_INDEX, &p->object, NULL, err);
	if (r)
		return r;
	p->stats.bytes_stored += p->object.len;
	for (size_t i = 0; i < p->pack_count; i++)
		pack_dir_free(&p->packs[i].dir);
	p->pack_count = 0;
	p->segment_entries = 0;
	return 0;
}

static int pending_clear(struct packer *p, struct err *err)
{
	struct index *empty = NULL;
	int r = index_new(&empty, err);

	if (r)
		return r;
	index_free(p->pending);
	p->pending = empty;
	return 0;
}

/* The builder has hashed the pack; and as its keys are fresh, one of its name can only be itself. */
static int put_pack(struct packer *p, const struct id *name, struct err *err)
{
	struct err why = {0};
	int r = store_put(p->repo->store, STORE_DATA, name, p->object.data, p->object.len, &why);

	if (!r || r == -ERR_EXISTS)
		return 0;
	*err = why;
	return r;
}

static int flush(struct packer *p, struct err *err)
{
	struct indexseg_pack pack = {0};
	int r;

	if (pack_builder_records(p->builder) == 0)
		return 0;
	buf_reset(&p->object);
	r = pack_builder_finish(p->builder, &p->object, &pack.dir, &pack.name, err);
	if (r)
		return r;
	pack.pack_bytes = p->object.len;
	r = put_pack(p, &pack.name, err);
	if (!r)
		r = index_add_pack(p->index, &pack.name, pack.pack_bytes, &pack.dir, err);
	if (!r) {
		p->stats.bytes_stored += p->object.len;
		r = packs_push(p, &pack, err);
	}
	pack_dir_free(&pack.dir);
	if (!r)
		r = pending_clear(p, err);
	if (!r && p->segment_entries >= SEGMENT_ENTRIES)
		r = put_segment(p, err);
	return r;
}

/* Remembers an id that no index has yet, under a pack of its own name: the pending index needs no more. */
static int pending_add(struct packer *p, const struct record_info *info, struct err *err)
{
	struct pack_entry entry = {.info = *info};
	struct pack_dir dir = {.entries = &entry, .entry_count = 1};

	return index_add_pack(p->pending, &info->id, 0, &dir, err);
}

static int store_new(struct packer *p, struct record_info *info, const void *plain, size_t len,
		     struct err *err)
{
	int r;

	buf_reset(&p->compressed);
	r = comp_put(p->comp, plain, len, &p->compressed, &info->codec, err);
	if (!r)
		r = pending_add(p, info, err);
	if (r)
		return r;
	p->stats.chunks_new++;
	p->stats.bytes_new += len;
	p->stats.bytes_packed += p->compressed.len + SEAL_TAG_BYTES;
	if (p->dry_run)
		return 0;
	r = pack_builder_add(p->builder, info, p->compressed.data, p->compressed.len, err);
	if (!r && pack_builder_bytes(p->builder) >= PACK_TARGET_BYTES)
		r = flush(p, err);
	return r;
}

/* Remembers the first failure, and gives it again: a chunk that was lost with it must not be built upon. */
static int settle(struct packer *p, int r, const struct err *err)
{
	if (r)
		p->failed = *err;
	return r;
}

static int failed_before(const struct packer *p, struct err *err)
{
	if (p->failed.code)
		*err = p->failed;
	return -p->failed.code;
}

int packer_add(struct packer *p, uint8_t kind, const void *plain, size_t len, struct id *out_id,
	       struct err *err)
{
	struct record_info info = {.kind = kind, .plain_bytes = (uint32_t)len};
	int r = failed_before(p, err);

	if (r)
		return r;
	if (len > LIMIT_CHUNK_BYTES)
		return err_set(err, ERR_LIMIT, "a chunk of %zu bytes is too large", len);
	r = record_id(p->domain, kind, plain, len, &info.id, err);
	if (r)
		return r;
	*out_id = info.id;
	p->stats.chunks_seen++;
	if (index_find_good(p->index, kind, &info.id) != INDEX_NONE ||
	    index_find(p->pending, kind, &info.id) != INDEX_NONE)
		return 0;
	return settle(p, store_new(p, &info, plain, len, err), err);
}

int packer_finish(struct packer *p, struct err *err)
{
	int r = failed_before(p, err);

	if (!r && !p->dry_run)
		r = flush(p, err);
	if (!r)
		r = put_segment(p, err);
	return settle(p, r, err);
}
