/* index: from the segments, and from the packs' own directories. */
#include <stdlib.h>
#include <string.h>

#include "repo/index.h"

/* A writer has stored first what is in its packs: of another's backups it has nothing to say, nor of packs that prune has made. */
static bool is_own(const struct indexseg *seg)
{
	for (size_t i = 0; i < seg->pack_count; i++) {
		const struct pack_dir *dir = &seg->packs[i].dir;

		for (size_t k = 0; k < dir->source_count; k++) {
			if (memcmp(dir->sources[k].writer, seg->signer, sizeof(seg->signer)) != 0)
				return false;
		}
	}
	return true;
}

static int signer_known(struct repo *repo, const struct indexseg *seg, struct err *err)
{
	if (seg->kind == 2 && memcmp(seg->signer, repo->conf.gc_pub, 32) == 0)
		return 0;
	if (seg->kind != 1 || !repo_find_writer(repo, seg->signer))
		return err_set(err, ERR_DAMAGED,
			       "signed by a host that the roster in keys/ does not name");
	return is_own(seg) ? 0
			   : err_set(err, ERR_DAMAGED,
				     "its signer says of packs that another host has stored them");
}

int index_get_segment(struct repo *repo, const struct id *name, struct indexseg *out_seg,
		      struct err *err)
{
	struct buf bytes = {0};
	struct indexseg seg = {0};
	int r = repo_get(repo, STORE_INDEX, name, LIMIT_INDEX_BYTES, &bytes, err);

	if (!r)
		r = indexseg_dec(repo->keys, bytes.data, bytes.len, &seg, err);
	if (!r)
		r = signer_known(repo, &seg, err);
	buf_free(&bytes);
	if (r) {
		indexseg_free(&seg);
		return r;
	}
	*out_seg = seg;
	return 0;
}

struct segment_load {
	struct repo *repo;
	struct index *index;
	index_bad_fn *bad;
	void *bad_arg;
	struct id vanished; /* one that was listed and then not there */
	struct err vanished_why;
	bool any_vanished;
};

/* --- segments that contradict one another --- */

/*
 * Only the pack itself tells which of two segments lies: any writer may sign one that names any pack. Who cannot open its directory, as
 * writers cannot, rests nothing on the pack.
 */
static int settle(struct repo *repo, struct index *index, uint32_t number, struct err *err)
{
	const struct id name = index->packs[number].name;
	struct pack_dir dir = {0};
	struct err why = {0};
	uint64_t bytes = 0;
	int r = store_size(repo->store, STORE_DATA, &name, &bytes, &why);

	if (!r)
		r = index_get_directory(repo, &name, bytes, &dir, &why);
	if (!r && !index_says_so(index, number, bytes, &dir))
		r = index_replace_pack(index, number, bytes, &dir, &why);
	else if (r && r != -ERR_NOMEM && !store_is_away(r))
		index_mark_pack(index, number);
	pack_dir_free(&dir);
	index->packs[number].settled = true;
	if (r != -ERR_NOMEM && !store_is_away(r))
		return 0;
	*err = why;
	return r;
}

static int add_named(struct segment_load *l, const struct id *segment,
		     const struct indexseg_pack *pack, struct err *err)
{
	struct index *index = l->index;
	uint32_t known = index_find_pack(index, &pack->name);
	char hex[ID_HEX_CHARS + 1];
	struct err why = {0};
	int r = index_add_pack(index, &pack->name, pack->pack_bytes, &pack->dir, err);

	if (!r && known != INDEX_NONE &&
	    !index_says_so(index, known, pack->pack_bytes, &pack->dir)) {
		if (!index->packs[known].settled)
			r = settle(l->repo, index, known, err);
		id_hex(&pack->name, hex);
		(void)err_set(
		    &why, ERR_DAMAGED,
		    "it and another segment contradict each other about pack %.*s: a writer "
		    "lies, or its key is in other hands",
		    ID_SHORT_CHARS, hex);
		if (!r && l->bad)
			l->bad(l->bad_arg, segment, &why);
	}
	if (!r)
		index->packs[index_find_pack(index, &pack->name)].named = true;
	return r;
}

static int load_segment(struct segment_load *l, const struct id *name, struct err *err)
{
	struct indexseg seg = {0};
	int r = index_get_segment(l->repo, name, &seg, err);

	for (size_t i = 0; !r && i < seg.pack_count; i++)
		r = add_named(l, name, &seg.packs[i], err);
	indexseg_free(&seg);
	return r;
}

/* 0 also when it cannot be used. */
static int load_listed(struct segment_load *l, const struct id *name, struct err *err)
{
	struct err why = {0};
	int r = load_segment(l, name, &why);

	if (r == -ERR_MISSING) {
		l->any_vanished = true;
		l->vanished = *name;
		l->vanished_why = why;
		return 0;
	}
	if (r == -ERR_NOMEM || r == -ERR_VERSION || store_is_away(r)) {
		*err = why;
		return r == -ERR_VERSION ? repo_name(l->repo->store, STORE_INDEX, name, err) : r;
	}
	/* A write key of another domain: what is in there is none of its business. */
	if (r && r != -ERR_KEY && l->bad)
		l->bad(l->bad_arg, name, &why);
	return idset_add(&l->index->segments, name, err);
}

static int load_new(struct segment_load *l, struct err *err)
{
	struct id *names = NULL;
	size_t count = 0, fresh = 0;
	int r = repo_list(l->repo->store, STORE_INDEX, &names, NULL, &count, err);

	l->any_vanished = false;
	for (size_t i = 0; !r && i < count; i++) {
		if (!idset_has(&l->index->segments, &names[i]))
			names[fresh++] = names[i];
	}
	if (!r)
		store_expect(l->repo->store, STORE_INDEX, names, fresh);
	for (size_t i = 0; !r && i < fresh; i++)
		r = load_listed(l, &names[i], err);
	free(names);
	return r;
}

/*
 * A prune puts the segment that takes the place of others before it removes them (FORMAT.md §12 R8), so one that is gone when it
 * is read is found again in what a new listing gives.
 */
#define LISTINGS_MOST 8

int index_refresh(struct repo *repo, struct index *index, index_bad_fn *bad, void *bad_arg,
		  struct err *err)
{
	struct segment_load l = {.repo = repo, .index = index, .bad = bad, .bad_arg = bad_arg};
	int r = load_new(&l, err);

	for (int i = 1; !r && l.any_vanished && i < LISTINGS_MOST; i++)
		r = load_new(&l, err);
	if (!r && l.any_vanished && bad)
		bad(bad_arg, &l.vanished, &l.vanished_why);
	return r;
}

static bool is_revoked(const struct repo *repo, const struct pack_source *source)
{
	const struct roster_writer *w = roster_find(&repo->roster, source->writer);

	return w && roster_revoked(w);
}

static void mark_source(struct index *index, const struct index_pack *pack, size_t source)
{
	for (uint32_t i = 0; i < pack->place_count; i++) {
		if (index->places[pack->first_place + i].source == source)
			index_mark_place(index, pack->first_place + i);
	}
}

void index_mark_revoked(const struct repo *repo, struct index *index)
{
	for (size_t n = 0; n < index->pack_count; n++) {
		const struct index_pack *pack = &index->packs[n];

		for (size_t s = 0; s < pack->source_count; s++) {
			if (is_revoked(repo, &pack->sources[s]))
				mark_source(index, pack, s);
		}
	}
}

int index_load(struct repo *repo, index_bad_fn *bad, void *bad_arg, struct index **out_index,
	       struct err *err)
{
	struct index *index = NULL;
	int r = index_new(&index, err);

	if (!r)
		r = index_refresh(repo, index, bad, bad_arg, err);
	if (r) {
		index_free(index);
		return r;
	}
	*out_index = index;
	return 0;
}

static int compare_ids(const void *a, const void *b)
{
	return id_cmp(a, b);
}

int index_mark_lost(struct repo *repo, struct index *index, uint64_t *out_bad, struct err *err)
{
	struct id *names = NULL;
	uint64_t *sizes = NULL;
	size_t count = 0;
	int r = repo_list(repo->store, STORE_DATA, &names, &sizes, &count, err);

	*out_bad = 0;
	for (size_t i = 0; !r && i < index->pack_count; i++) {
		const struct index_pack *pack = &index->packs[i];
		const struct id *found =
		    count ? bsearch(&pack->name, names, count, sizeof(*names), compare_ids) : NULL;

		if (found && sizes[found - names] == pack->pack_bytes)
			continue;
		index_mark_pack(index, (uint32_t)i);
		++*out_bad;
	}
	free(names);
	free(sizes);
	return r;
}

/* Reads a pack's front in one or two ranged reads. */
static int read_front(struct repo *repo, const struct id *name, uint64_t pack_bytes,
		      struct buf *front, struct err *err)
{
	struct pack_head head;
	size_t first = pack_bytes < 16384 ? (size_t)pack_bytes : 16384;
	uint64_t whole;
	int r = store_get_range(repo->store, STORE_DATA, name, 0, first, front, err);

	if (!r)
		r = pack_head_get(front->data, front->len, &head, err);
	if (r)
		return r;
	whole = pack_front_bytes(&head);
	if (whole > pack_bytes)
		return err_set(err, ERR_DAMAGED, "pack is cut short");
	if (whole > first)
		return store_get_range(repo->store, STORE_DATA, name, first, (size_t)whole - first,
				       front, err);
	front->len = (size_t)whole;
	return 0;
}

static int get_directory(struct repo *repo, const struct id *pack, uint64_t pack_bytes,
			 struct pack_dir *out_dir, struct err *err)
{
	struct buf front = {0};
	int r = read_front(repo, pack, pack_bytes, &front, err);

	if (!r)
		r = pack_front_dec(repo->keys, front.data, front.len, pack_bytes, out_dir, err);
	buf_free(&front);
	return r;
}

/* Read once more, from the store itself, when it was this host's cache that gave what does not open. */
int index_get_directory(struct repo *repo, const struct id *pack, uint64_t pack_bytes,
			struct pack_dir *out_dir, struct err *err)
{
	int r = get_directory(repo, pack, pack_bytes, out_dir, err);

	if (r != -ERR_DAMAGED || !store_distrust(repo->store, STORE_DATA, pack))
		return r;
	*err = (struct err){0};
	return get_directory(repo, pack, pack_bytes, out_dir, err);
}

static int rescue_pack(struct repo *repo, struct index *index, const struct id *name,
		       uint64_t pack_bytes, struct err *err)
{
	struct pack_dir dir = {0};
	struct err why = {0};
	int r;

	if (index_find_pack(index, name) != INDEX_NONE)
		return 0;
	r = index_get_directory(repo, name, pack_bytes, &dir, &why);
	if (!r)
		r = index_add_pack(index, name, pack_bytes, &dir, &why);
	pack_dir_free(&dir);
	if (r != -ERR_NOMEM && r != -ERR_VERSION && !store_is_away(r))
		return 0;
	*err = why;
	return r == -ERR_VERSION ? repo_name(repo->store, STORE_DATA, name, err) : r;
}

int index_rescue(struct repo *repo, struct index *index, struct err *err)
{
	struct id *names = NULL;
	uint64_t *sizes = NULL;
	size_t count = 0;
	int r;

	if (index->rescued)
		return 0;
	r = repo_list(repo->store, STORE_DATA, &names, &sizes, &count, err);
	for (size_t i = 0; !r && i < count; i++)
		r = rescue_pack(repo, index, &names[i], sizes[i], err);
	index->rescued = r == 0;
	free(names);
	free(sizes);
	return r;
}
