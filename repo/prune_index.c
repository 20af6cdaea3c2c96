/* The index follows what prune does to packs: segments that G signs take the place of others (FORMAT.md §12 R8). */
#include "repo/prune_job.h"

#include <stdlib.h>
#include <string.h>

#define SMALL_ENTRIES 4096     /* a segment of fewer records is small, */
#define SMALL_MOST 24          /* and so many small ones of a domain are too many */
#define SEGMENT_ENTRIES 262144 /* a new one is put when its packs hold so many records */

struct segment {
	struct id name;
	uint32_t domain;
	struct indexseg_wrap wrap;
	struct id *packs;
	size_t pack_count, entries;
	bool keep, replace;
};

struct segments {
	struct segment *items;
	size_t count;
};

static void segments_free(struct segments *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->items[i].packs);
	free(s->items);
}

static int keep_names(const struct indexseg *seg, struct segment *out, struct err *err)
{
	out->packs = malloc((seg->pack_count + 1) * sizeof(*out->packs));
	if (!out->packs)
		return err_nomem(err);
	for (size_t i = 0; i < seg->pack_count; i++) {
		out->packs[i] = seg->packs[i].name;
		out->entries += seg->packs[i].dir.entry_count;
	}
	out->pack_count = seg->pack_count;
	out->domain = seg->domain;
	out->wrap = seg->wrap;
	return 0;
}

/* Who signed it was found out when the index was loaded; a segment that this left out stays as it is. */
static bool is_signed(struct prune_job *job, const struct indexseg *seg)
{
	if (seg->kind == 2)
		return memcmp(seg->signer, job->repo->conf.gc_pub, 32) == 0;
	return repo_find_writer(job->repo, seg->signer) != NULL;
}

/* 1: it is not there any more, or cannot be used; those stay as they are. */
static int load_one(struct prune_job *job, const struct id *name, struct segment *out,
		    struct err *err)
{
	struct buf bytes = {0};
	struct indexseg seg = {0};
	struct err why = {0};
	int r = repo_get(job->repo, STORE_INDEX, name, LIMIT_INDEX_BYTES, &bytes, &why);

	if (!r)
		r = indexseg_dec(job->repo->keys, bytes.data, bytes.len, &seg, &why);
	if (!r && !is_signed(job, &seg))
		r = 1;
	if (!r) {
		*out = (struct segment){.name = *name};
		r = keep_names(&seg, out, &why);
	}
	indexseg_free(&seg);
	buf_free(&bytes);
	if (r == -ERR_NOMEM)
		return err_nomem(err);
	/* What is damaged the survey has told; this was well then. */
	if (r < 0 && r != -ERR_MISSING && why.code == ERR_IO)
		prune_warning(job, STORE_INDEX, name, why.text);
	return r ? 1 : 0;
}

static int load_all(struct prune_job *job, struct segments *s, struct err *err)
{
	struct id *names = NULL;
	size_t count = 0;
	int r = repo_list(job->repo->store, STORE_INDEX, &names, NULL, &count, err);

	s->items = calloc(count + 1, sizeof(*s->items));
	if (!r && !s->items)
		r = err_nomem(err);
	for (size_t i = 0; !r && i < count; i++) {
		r = load_one(job, &names[i], &s->items[s->count], err);
		s->count += !r;
		r = r == 1 ? 0 : r;
	}
	free(names);
	return r;
}

static bool names_gone(const struct segment *seg, const struct idset *gone)
{
	for (size_t i = 0; i < seg->pack_count; i++) {
		if (idset_has(gone, &seg->packs[i]))
			return true;
	}
	return false;
}

/* Put since the survey, of which the new segment could not say what it says: it has to stay. */
static bool names_unknown(const struct prune_job *job, const struct segment *seg,
			  const struct idset *gone)
{
	for (size_t i = 0; i < seg->pack_count; i++) {
		if (!idset_has(gone, &seg->packs[i]) &&
		    index_find_pack(job->index, &seg->packs[i]) == INDEX_NONE)
			return true;
	}
	return false;
}

/* Those that name what is gone; and where one is written anyway, or small ones have become many, all small ones. */
static void choose(const struct prune_job *job, struct segments *s, uint32_t domain,
		   const struct idset *gone, bool fresh)
{
	size_t small = 0, chosen = 0;

	for (size_t i = 0; i < s->count; i++) {
		struct segment *seg = &s->items[i];

		if (seg->domain != domain)
			continue;
		seg->keep = names_unknown(job, seg, gone);
		seg->replace = !seg->keep && names_gone(seg, gone);
		chosen += seg->replace;
		small += !seg->keep && seg->entries < SMALL_ENTRIES;
	}
	if (!chosen && !fresh && small <= SMALL_MOST)
		return;
	for (size_t i = 0; i < s->count; i++) {
		if (s->items[i].domain == domain && s->items[i].entries < SMALL_ENTRIES)
			s->items[i].replace = !s->items[i].keep;
	}
}

/* As its segment said it, from the index; arrays of dir are the caller's to free, but slots and sources. */
static int describe_pack(const struct index *index, uint32_t number, struct indexseg_pack *out,
			 struct err *err)
{
	const struct index_pack *pack = &index->packs[number];

	*out = (struct indexseg_pack){.name = pack->name, .pack_bytes = pack->pack_bytes};
	out->dir =
	    (struct pack_dir){pack->slots, pack->slot_count, pack->sources, pack->source_count,
			      NULL,        pack->place_count};
	out->dir.entries = calloc(pack->place_count + 1, sizeof(*out->dir.entries));
	if (!out->dir.entries)
		return err_nomem(err);
	for (uint32_t i = 0; i < pack->place_count; i++) {
		const struct index_place *p = &index->places[pack->first_place + i];

		out->dir.entries[i] = (struct pack_entry){.info = p->info,
							  .slot = p->slot,
							  .source = p->source,
							  .counter = p->counter,
							  .offset = p->offset,
							  .stored_bytes = p->stored_bytes};
	}
	return 0;
}

/* Packs that are to be in the next segment. */
struct batch {
	const struct indexseg_wrap *wrap;
	uint32_t domain;
	struct indexseg_pack *packs;
	size_t count, cap, entries;
};

static int batch_put(struct prune_job *job, struct batch *b, struct err *err)
{
	struct buf bytes = {0};
	int r = 0;

	if (b->count) {
		r = indexseg_enc_gc(job->repo->keys, b->domain, b->wrap, b->packs, b->count,
				    job->repo->conf.floor_log2, &bytes, err);
		if (!r)
			r = repo_put(job->repo, STORE_INDEX, &bytes, NULL, err);
		job->result->segments_written += !r;
	}
	buf_free(&bytes);
	for (size_t i = 0; i < b->count; i++)
		free(b->packs[i].dir.entries);
	b->count = b->entries = 0;
	return r;
}

static int batch_add(struct prune_job *job, struct batch *b, const struct id *name,
		     struct idset *done, struct err *err)
{
	uint32_t pack = index_find_pack(job->index, name);
	int r;

	if (pack == INDEX_NONE || idset_has(done, name))
		return 0;
	if (b->count == b->cap) {
		size_t cap = b->cap ? b->cap * 2 : 32;
		struct indexseg_pack *packs = realloc(b->packs, cap * sizeof(*packs));

		if (!packs)
			return err_nomem(err);
		b->packs = packs;
		b->cap = cap;
	}
	r = idset_add(done, name, err);
	if (!r)
		r = describe_pack(job->index, pack, &b->packs[b->count], err);
	if (r)
		return r;
	b->entries += b->packs[b->count++].dir.entry_count;
	return b->entries >= SEGMENT_ENTRIES ? batch_put(job, b, err) : 0;
}

static uint32_t domain_of(const struct index *index, const struct id *name)
{
	return index->packs[index_find_pack(index, name)].slots[0].domain;
}

static int put_new(struct prune_job *job, const struct segments *s, struct batch *b,
		   const struct idset *gone, const struct prune_names *fresh, struct err *err)
{
	struct idset done = {0};
	int r = 0;

	for (size_t i = 0; !r && i < fresh->count; i++) {
		if (domain_of(job->index, &fresh->ids[i]) == b->domain)
			r = batch_add(job, b, &fresh->ids[i], &done, err);
	}
	for (size_t i = 0; !r && i < s->count; i++) {
		const struct segment *seg = &s->items[i];

		for (size_t k = 0;
		     !r && seg->domain == b->domain && seg->replace && k < seg->pack_count; k++) {
			if (!idset_has(gone, &seg->packs[k]))
				r = batch_add(job, b, &seg->packs[k], &done, err);
		}
	}
	if (!r)
		r = batch_put(job, b, err);
	idset_free(&done);
	return r;
}

static int remove_old(struct prune_job *job, const struct segments *s, uint32_t domain,
		      struct err *err)
{
	int r = 0;

	for (size_t i = 0; !r && i < s->count; i++) {
		if (s->items[i].domain != domain || !s->items[i].replace)
			continue;
		r = store_remove(job->repo->store, STORE_INDEX, &s->items[i].name, err);
		job->result->segments_removed += !r;
		r = r == -ERR_MISSING ? 0 : r; /* another prune was there, too */
	}
	return r;
}

static int replace(struct prune_job *job, struct segments *s, size_t donor,
		   const struct idset *gone, const struct prune_names *fresh, struct err *err)
{
	struct batch b = {.wrap = &s->items[donor].wrap, .domain = s->items[donor].domain};
	bool any_fresh = false;
	int r;

	for (size_t i = 0; !any_fresh && i < fresh->count; i++)
		any_fresh = domain_of(job->index, &fresh->ids[i]) == b.domain;
	choose(job, s, b.domain, gone, any_fresh);
	r = put_new(job, s, &b, gone, fresh, err);
	for (size_t i = 0; i < b.count; i++)
		free(b.packs[i].dir.entries);
	free(b.packs);
	return r ? r : remove_old(job, s, b.domain, err);
}

/* Where no segment of its domain is left there is no key to go by, and nothing of it is moved. Once is enough. */
static void tell_unnamed(struct prune_job *job, const struct segments *s,
			 const struct prune_names *fresh)
{
	for (size_t i = 0; i < fresh->count; i++) {
		uint32_t domain = domain_of(job->index, &fresh->ids[i]);
		bool any = false;

		for (size_t k = 0; !any && k < s->count; k++)
			any = s->items[k].domain == domain;
		if (any)
			continue;
		prune_warning(job, STORE_DATA, &fresh->ids[i],
			      "no index segment names it, nor is there another one: packs such as "
			      "this are not repacked before 'nightjar repair index'");
		return;
	}
}

int prune_index(struct prune_job *job, const struct idset *gone, const struct prune_names *fresh,
		struct err *err)
{
	struct segments s = {0};
	int r = load_all(job, &s, err);

	/* What a backup has put since the survey is in no place of the index yet; merged without it, its packs would be named no more. */
	if (!r)
		r = index_refresh(job->repo, job->index, NULL, NULL, err);
	/* The first segment of a domain lends its key to those that are made. */
	for (size_t i = 0; !r && i < s.count; i++) {
		bool first = true;

		for (size_t k = 0; first && k < i; k++)
			first = s.items[k].domain != s.items[i].domain;
		if (first)
			r = replace(job, &s, i, gone, fresh, err);
	}
	if (!r)
		tell_unnamed(job, &s, fresh);
	segments_free(&s);
	return r;
}
