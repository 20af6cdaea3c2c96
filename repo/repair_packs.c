/* repair packs: what still opens of a damaged pack goes into a new one. */
#include "repo/repair.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "core/pack_move.h"
#include "repo/check.h"
#include "repo/idset.h"
#include "repo/manifests.h"
#include "repo/mend.h"
#include "repo/repair_run.h"

/* A pack that is damaged and stays so. */
struct bad {
	struct id name;
	uint64_t saved, unjudged; /* records of it */
	bool told;                /* there is nothing to count */
};

struct run {
	struct repo *repo;
	const struct repair_packs_options *options;
	struct repair_packs_result *result;
	struct manifest_list list; /* for its notes */
	struct index *index;
	struct bad *bad;
	size_t bad_count, bad_cap;
	struct notes fresh;       /* of damaged packs, not noted yet */
	struct idset lost;        /* chunks, counted once whatever packs they are lost with */
	struct pack_mover *mover; /* of one domain */
	uint32_t domain;          /* its */
	struct indexseg_wrap wrap;
	struct buf bytes;  /* of the pack under way */
	bool whole_read;   /* bytes are all of it; otherwise each record is read by itself */
	struct buf one;    /* record */
	bool lists_only;   /* a maintain key: what is sealed for reading it cannot judge */
	uint64_t unjudged; /* of the pack under way */
	struct err unput;  /* why a pack or its segment could not be written */
};

/* --- new packs --- */

static int put(struct run *run, enum store_type type, struct buf *object, struct err *err)
{
	int r = repo_put(run->repo, type, object, NULL, err);

	if (r && mend_is_refusal(err))
		run->unput = *err;
	return r;
}

static int put_segment(struct run *run, uint32_t domain, const struct indexseg_wrap *wrap,
		       const struct indexseg_pack *pack, struct err *err)
{
	struct buf segment = {0};
	int r = indexseg_enc_gc(run->repo->keys, domain, wrap, pack, 1, run->repo->conf.floor_log2,
				&segment, err);

	if (!r)
		r = put(run, STORE_INDEX, &segment, err);
	buf_free(&segment);
	return r;
}

/* The pack, and at once the segment that names it. */
static int flush(struct run *run, struct err *err)
{
	const size_t records = run->mover ? pack_mover_records(run->mover) : 0;
	struct indexseg_pack pack = {0};
	struct buf object = {0};
	int r;

	if (!records)
		return 0;
	r = pack_mover_finish(run->mover, &object, &pack.dir, &pack.name, err);
	pack.pack_bytes = object.len;
	if (!r)
		r = put(run, STORE_DATA, &object, err);
	if (!r)
		r = put_segment(run, run->domain, &run->wrap, &pack, err);
	if (!r)
		r = index_add_pack(run->index, &pack.name, pack.pack_bytes, &pack.dir, err);
	if (!r)
		run->index->packs[index_find_pack(run->index, &pack.name)].named = true;
	run->result->records_saved += r ? 0 : records;
	pack_dir_free(&pack.dir);
	buf_free(&object);
	return r;
}

static int find_wrap(struct run *run, uint32_t domain, struct indexseg_wrap *out_wrap,
		     struct err *err)
{
	return run->lists_only ? repair_find_wrap(run->repo, domain, out_wrap, err)
			       : indexseg_wrap_new(run->repo->keys, domain, out_wrap, err);
}

static int use_domain(struct run *run, uint32_t domain, struct err *err)
{
	int r;

	if (run->mover && run->domain == domain)
		return 0;
	r = flush(run, err);
	pack_mover_free(run->mover);
	run->mover = NULL;
	run->domain = domain;
	if (!r)
		r = find_wrap(run, domain, &run->wrap, err);
	if (!r)
		r = pack_mover_new(run->repo->keys, domain, run->repo->conf.floor_log2, &run->mover,
				   err);
	if (!r)
		pack_mover_set_parity(run->mover, run->repo->parity);
	return r;
}

static int move(struct run *run, uint32_t at, const void *sealed, struct err *err)
{
	const struct index_place place = run->index->places[at];
	/* flush adds to the index, so its arrays may move. */
	const struct slot slot = run->index->packs[place.pack].slots[place.slot];
	const struct pack_source source = run->index->packs[place.pack].sources[place.source];
	const struct pack_moved moved = {
	    .info = place.info,
	    .slot = &slot,
	    .source = &source,
	    .counter = place.counter,
	    .sealed = sealed,
	    .sealed_bytes = place.stored_bytes,
	};
	int r = use_domain(run, slot.domain, err);

	if (!r)
		r = pack_mover_add(run->mover, &moved, err);
	if (r == -ERR_LIMIT) {
		r = flush(run, err);
		if (!r)
			r = pack_mover_add(run->mover, &moved, err);
	}
	if (!r && pack_mover_bytes(run->mover) >= PACK_TARGET_BYTES)
		r = flush(run, err);
	return r;
}

/* --- a damaged pack --- */

/* The sealed bytes of a place, as far as the store gives them. */
static int read_record(struct run *run, const struct index_place *place, const uint8_t **out_bytes,
		       struct err *err)
{
	int r;

	if (run->whole_read) {
		*out_bytes = run->bytes.data + place->offset;
		return (uint64_t)place->offset + place->stored_bytes <= run->bytes.len
			   ? 0
			   : err_set(err, ERR_DAMAGED, "a record lies beyond its end");
	}
	buf_reset(&run->one);
	r = store_get_range(run->repo->store, STORE_DATA, &run->index->packs[place->pack].name,
			    place->offset, place->stored_bytes, &run->one, err);
	*out_bytes = run->one.data;
	return r;
}

/* Of one slot after the other, as places of a pack mostly are. */
struct slot_cache {
	bool used;
	uint16_t slot;
	uint8_t key[32];
};

static int open_slot(struct run *run, const struct index_place *place, struct slot_cache *cache,
		     struct err *err)
{
	int r;

	if (cache->used && cache->slot == place->slot)
		return 0;
	cache->used = false;
	r = slot_open(run->repo->keys, &run->index->packs[place->pack].slots[place->slot],
		      cache->key, err);
	cache->used = !r;
	cache->slot = place->slot;
	return r;
}

/* 1 when the record is damaged. */
static int save_record(struct run *run, uint32_t at, struct slot_cache cache[2], struct err *err)
{
	const struct index_place place = run->index->places[at];
	struct slot_cache *slot = &cache[chunk_kind_recipient(place.info.kind) == SLOT_M ? 0 : 1];
	const uint8_t *sealed = NULL;
	struct err why = {0};
	int r;

	if (run->lists_only && chunk_kind_recipient(place.info.kind) != SLOT_M) {
		run->unjudged++;
		return 1;
	}
	r = read_record(run, &place, &sealed, &why);
	if (!r)
		r = open_slot(run, &place, slot, &why);
	if (!r)
		r = record_check(slot->key, place.counter, run->repo->conf.repo, &place.info,
				 sealed, place.stored_bytes, &why);
	if (!r)
		return move(run, at, sealed, err);
	if (repair_is_damage(&why))
		return 1;
	*err = why;
	return r;
}

/*
 * What is in this pack needs no moving. No segment names it where a repair was cut off between the two: from now on backups rest on
 * it, so it must be found without asking every pack.
 */
static int rest_on(struct run *run, uint32_t number, struct err *err)
{
	struct index_pack *p = &run->index->packs[number];
	struct indexseg_pack pack = {.name = p->name, .pack_bytes = p->pack_bytes};
	struct indexseg_wrap wrap;
	int r;

	if (p->named)
		return 0;
	r = index_get_directory(run->repo, &p->name, p->pack_bytes, &pack.dir, err);
	if (!r && repair_knows_domain(run->repo, pack.dir.slots[0].domain)) {
		r = find_wrap(run, pack.dir.slots[0].domain, &wrap, err);
		if (!r)
			r = put_segment(run, pack.dir.slots[0].domain, &wrap, &pack, err);
	}
	p->named = !r;
	pack_dir_free(&pack.dir);
	return r;
}

static int keep_record(struct run *run, uint32_t at, struct slot_cache cache[2], struct err *err)
{
	/* A copy that lies deeper does not do: others may rest on this one. */
	uint32_t other = index_find_instead(run->index, at);

	return other == INDEX_NONE ? save_record(run, at, cache, err)
				   : rest_on(run, run->index->places[other].pack, err);
}

static int note(struct run *run, uint32_t at, struct err *err)
{
	const struct damage_place place = notes_place(run->index, at);

	return notes_have(&run->list.notes, &place) ? 0 : notes_add(&run->fresh, &place, err);
}

/* When the bases of deltas are moved, too: then it shows what is whole without the damaged pack. */
static int count_lost(struct run *run, uint32_t number, uint64_t *out_lost, struct err *err)
{
	const struct index_pack *pack = &run->index->packs[number];
	int r = 0;

	*out_lost = 0;
	for (uint32_t i = 0; !r && i < pack->place_count; i++) {
		const struct record_info *info = &run->index->places[pack->first_place + i].info;

		if (index_find_good(run->index, info->kind, &info->id) != INDEX_NONE)
			continue;
		++*out_lost;
		run->result->records_lost += !idset_has(&run->lost, &info->id);
		r = idset_add(&run->lost, &info->id, err);
	}
	return r;
}

static int save_records(struct run *run, uint32_t number, struct err *err)
{
	const uint32_t first = run->index->packs[number].first_place;
	const uint32_t count = run->index->packs[number].place_count;
	struct slot_cache *cache = sodium_allocarray(2, sizeof(*cache));
	int r = cache ? 0 : err_nomem(err);

	for (size_t i = 0; cache && i < 2; i++)
		cache[i].used = false;
	run->unjudged = 0;
	for (uint32_t i = 0; !r && i < count; i++) {
		r = repair_tick(&run->options->cb, 0, 0, "records", err);
		if (!r)
			r = keep_record(run, first + i, cache, err);
		if (r >= 0)
			r = note(run, first + i, err);
	}
	sodium_free(cache);
	return r ? r : flush(run, err);
}

/*
 * It stays as it is, and unnoted, or prune might take what still opens of it. What was moved before is in a pack of its own.
 */
static void give_up(struct run *run, const struct id *name, size_t noted)
{
	char text[1000];

	pack_mover_free(run->mover);
	run->mover = NULL;
	run->fresh.count = noted;
	run->result->unwritten++;
	(void)snprintf(text, sizeof(text),
		       "damaged; what still opens of it cannot be moved into a new pack: %s; it is "
		       "as it was; when that is put right, do this again",
		       run->unput.text);
	repair_tell(&run->options->cb, true, STORE_DATA, name, text);
	run->unput = (struct err){0};
}

/* Its bytes once more, which there was no room for while others were looked at. 1: by now it is whole, or gone. */
static int read_again(struct run *run, const struct id *name, struct err *err)
{
	struct mend m;
	int r = mend_pack(run->repo->store, name, false, &run->bytes, &m, err);

	if (r == -ERR_MISSING && !run->options->packs)
		return 1;
	if (r)
		return repo_name(run->repo->store, STORE_DATA, name, err);
	run->whole_read = m.state != MEND_BEYOND || run->bytes.len > 0;
	return m.state == MEND_WHOLE;
}

static int save_pack(struct run *run, struct bad *bad, struct err *err)
{
	const size_t noted = run->fresh.count;
	const uint64_t saved = run->result->records_saved;
	uint32_t number = index_find_pack(run->index, &bad->name);
	int r;

	bad->told = true;
	if (number == INDEX_NONE) {
		run->result->packs_lost++;
		repair_tell(&run->options->cb, true, STORE_DATA, &bad->name,
			    "damaged, and neither its directory nor an index segment tells what "
			    "was in it");
		return 0;
	}
	r = read_again(run, &bad->name, err);
	if (r)
		return r < 0 ? r : 0;
	r = save_records(run, number, err);
	if (r && run->unput.code) {
		give_up(run, &bad->name, noted);
		return 0;
	}
	bad->told = false;
	bad->saved = run->result->records_saved - saved;
	bad->unjudged = run->unjudged;
	run->result->unjudged += run->unjudged;
	return r;
}

static int tell_pack(struct run *run, const struct bad *bad, struct err *err)
{
	uint32_t number = index_find_pack(run->index, &bad->name);
	char text[200];
	uint64_t lost = 0;
	int r = bad->told ? 0 : count_lost(run, number, &lost, err);

	if (r || bad->told)
		return r;
	if (run->lists_only && lost)
		(void)snprintf(text, sizeof(text),
			       "damaged; records: %lu, moved into a new pack: %llu; sealed for "
			       "reading, which a full key can judge and save: %llu",
			       (unsigned long)run->index->packs[number].place_count,
			       (unsigned long long)bad->saved, (unsigned long long)bad->unjudged);
	else if (!lost && !bad->saved)
		(void)snprintf(text, sizeof(text),
			       "damaged; nothing is lost by it, all that it "
			       "held is elsewhere");
	else
		(void)snprintf(text, sizeof(text),
			       "damaged; records: %lu, moved into a new pack: %llu, lost: %llu",
			       (unsigned long)run->index->packs[number].place_count,
			       (unsigned long long)bad->saved, (unsigned long long)lost);
	repair_tell(&run->options->cb, lost != 0, STORE_DATA, &bad->name, text);
	return 0;
}

/* Nothing rests on it from now on, not even what others of these hold: each may be whole where another is not. */
static int add_bad(struct run *run, const struct id *name, struct err *err)
{
	uint32_t number = index_find_pack(run->index, name);

	if (run->bad_count == run->bad_cap) {
		size_t cap = run->bad_cap ? 2 * run->bad_cap : 16;
		struct bad *grown = realloc(run->bad, cap * sizeof(*grown));

		if (!grown)
			return err_nomem(err);
		run->bad = grown;
		run->bad_cap = cap;
	}
	run->bad[run->bad_count++] = (struct bad){.name = *name};
	run->result->damaged++;
	if (number != INDEX_NONE)
		index_mark_pack(run->index, number);
	return 0;
}

/* First all of them are known; then what opens is moved; then it shows what is lost. */
static int repair_bad(struct run *run, struct err *err)
{
	int r = 0;

	for (size_t i = 0; !r && i < run->bad_count; i++)
		r = save_pack(run, &run->bad[i], err);
	for (size_t i = 0; !r && i < run->bad_count; i++)
		r = tell_pack(run, &run->bad[i], err);
	return r;
}

/*
 * Mended, it is no longer damaged. Where the store never lets it be written back, what it was is moved instead; where there is only no room now, or
 * no right, there is none for that either.
 */
static int tell_mended(struct run *run, const struct id *name, const struct mend *m)
{
	char what[MEND_TEXT_CHARS], text[REPAIR_TEXT_CHARS];
	const bool moves = m->state == MEND_COULD && m->why.code == ERR_DENIED;

	mend_text(m, what);
	run->result->damaged += !moves; /* else it is counted when it is moved */
	if (m->state == MEND_DONE) {
		run->result->mended++;
		run->result->blocks_mended += m->mended.blocks;
		(void)snprintf(text, sizeof(text), "mended by its parity: %s", what);
	} else if (!moves) {
		run->result->unwritten++;
		repair_say_unwritten(m, text);
	} else {
		(void)snprintf(text, sizeof(text),
			       "its parity gives it back (%s), but it cannot be put in its place: "
			       "%s; its records are moved instead",
			       what, m->why.text);
	}
	repair_tell(&run->options->cb, m->state != MEND_DONE && !moves, STORE_DATA, name, text);
	return moves;
}

/* 1 when the bytes are not those of the name, and could not be made so. */
static int is_damaged(struct run *run, const struct id *name, struct err *err)
{
	struct mend m;
	int r = mend_pack(run->repo->store, name, true, &run->bytes, &m, err);

	if (r)
		return repo_name(run->repo->store, STORE_DATA, name, err);
	if (m.state == MEND_DONE || m.state == MEND_COULD)
		return tell_mended(run, name, &m);
	return m.state == MEND_BEYOND;
}

static int look_at(struct run *run, const struct id *name, struct err *err)
{
	int r = is_damaged(run, name, err);

	run->result->packs++;
	if (r == -ERR_MISSING && !run->options->packs) {
		run->result->packs--; /* prune was faster */
		return 0;
	}
	return r == 1 ? add_bad(run, name, err) : r;
}

static int look_at_all(struct run *run, struct err *err)
{
	struct id *names = NULL;
	size_t count = run->options->pack_count;
	int r = run->options->packs
		    ? 0
		    : repo_list(run->repo->store, STORE_DATA, &names, NULL, &count, err);

	for (size_t i = 0; !r && i < count; i++) {
		r = repair_tick(&run->options->cb, i, count, "", err);
		if (!r)
			r = look_at(run, run->options->packs ? &run->options->packs[i] : &names[i],
				    err);
	}
	free(names);
	return r;
}

/* --- what it comes to --- */

static int put_notes(struct run *run, struct err *err)
{
	const struct repair_callbacks *cb = &run->options->cb;
	uint64_t number = run->list.notes.number;
	char text[900];
	int r;

	notes_settle(&run->fresh);
	if (!run->fresh.count)
		return 0;
	r = notes_put(run->repo, &run->fresh, run->options->now_ns, &number, err);
	run->result->noted = r ? 0 : run->fresh.count;
	run->result->unnoted = r && mend_is_refusal(err);
	if (!run->result->unnoted)
		return r;
	(void)snprintf(text, sizeof(text),
		       "it cannot be written: %s; when that is put right, do this again",
		       err->text);
	if (cb->lost)
		cb->lost(cb->arg, "damage note", text);
	return 0;
}

static void on_touched(void *arg, const struct id *manifest, const char *path, const char *text)
{
	const struct run *run = arg;
	const struct repair_callbacks *cb = &run->options->cb;

	run->result->touched++;
	if (cb->touched)
		cb->touched(cb->arg, manifest, path, text);
}

static int on_check_progress(void *arg, uint64_t done, uint64_t total, const char *what)
{
	const struct run *run = arg;
	const struct repair_callbacks *cb = &run->options->cb;

	return cb->progress ? cb->progress(cb->arg, done, total, what) : 0;
}

static int tell_touched(struct run *run, struct err *err)
{
	const struct check_options options = {
	    .by_notes = true,
	    .now_ns = run->options->now_ns,
	    .touched = on_touched,
	    .progress = on_check_progress,
	    .arg = run,
	};
	struct check_result result;

	return run->result->records_lost + run->result->packs_lost
		   ? check_run(run->repo, &options, &result, err)
		   : 0;
}

int repair_packs(struct repo *repo, const struct repair_packs_options *options,
		 struct repair_packs_result *out_result, struct err *err)
{
	struct run run = {.repo = repo, .options = options, .result = out_result};
	int r = keys_allow(repo->keys, POWER_MAINTAIN, "repair packs", err);

	run.lists_only = repo->keys->role == ROLE_MAINTAIN;
	*out_result = (struct repair_packs_result){0};
	if (!r)
		r = manifests_load(repo, NULL, NULL, &run.list, err);
	if (!r)
		r = index_load(repo, NULL, NULL, &run.index, err);
	if (!r)
		r = index_rescue(repo, run.index, err);
	if (!r) {
		notes_apply(&run.list.notes, run.index);
		r = look_at_all(&run, err);
	}
	if (!r)
		r = repair_bad(&run, err);
	if (!r)
		r = put_notes(&run, err);
	if (!r)
		r = tell_touched(&run, err);
	pack_mover_free(run.mover);
	index_free(run.index);
	manifest_list_free(&run.list);
	notes_free(&run.fresh);
	idset_free(&run.lost);
	free(run.bad);
	buf_free(&run.bytes);
	buf_free(&run.one);
	return r;
}
