/* What is to become of each pack, from what is live in it. */
#include "repo/prune_job.h"

#include <stdlib.h>
#include <string.h>

#define WATCH_S (14 * 24 * 3600) /* R9 */
#define SMALL_BYTES (1u << 20)   /* a smaller pack is small, */
#define SMALL_MOST 64            /* and so many small ones of a domain are too many */

/* --- packs of backups that may not have ended yet (R9) --- */

/*
 * Who stored these records has made a manifest of that sequence or a later one since, so that backup has ended, one way or the
 * other. The newest manifest of a writer is never forgotten.
 */
static bool has_ended(const struct prune_job *job, const struct pack_source *source)
{
	for (size_t i = 0; i < job->manifests.count; i++) {
		const struct manifest *m = &job->manifests.items[i].m;

		if (m->sequence >= source->sequence &&
		    memcmp(m->writer, source->writer, sizeof(m->writer)) == 0)
			return true;
	}
	return false;
}

static bool all_ended(const struct prune_job *job, const struct index_pack *pack)
{
	if (!pack->named)
		return false;
	for (size_t i = 0; i < pack->source_count; i++) {
		if (!has_ended(job, &pack->sources[i]))
			return false;
	}
	return pack->source_count > 0;
}

static int compare_ids(const void *a, const void *b)
{
	return id_cmp(a, b);
}

/* Since when it is watched; false: it is not. */
static bool watched_since(const struct prune_job *job, const struct id *pack, int64_t *out_s)
{
	bool found = false;

	for (size_t i = 0; i < job->condemned.count; i++) {
		const struct condemn *c = &job->condemned.records[i].c;

		if (c->kind != CONDEMN_WATCH || (found && c->time_s >= *out_s) ||
		    !bsearch(pack, c->packs, c->pack_count, sizeof(*pack), compare_ids))
			continue;
		*out_s = c->time_s;
		found = true;
	}
	return found;
}

static bool watched_enough(const struct prune_job *job, const struct id *pack)
{
	int64_t since = 0;

	return job->options->no_writers ||
	       (watched_since(job, pack, &since) && job->now_s - since >= WATCH_S);
}

static bool is_condemned(const struct prune_job *job, const struct id *pack)
{
	for (size_t i = 0; i < job->condemned.count; i++) {
		const struct condemn *c = &job->condemned.records[i].c;

		if (c->kind == CONDEMN_PACKS &&
		    bsearch(pack, c->packs, c->pack_count, sizeof(*pack), compare_ids))
			return true;
	}
	return false;
}

/* --- fates --- */

static void sum_up(struct prune_job *job, uint32_t number)
{
	const struct index_pack *pack = &job->index->packs[number];
	struct prune_pack *p = &job->packs[number];

	for (uint32_t i = 0; i < pack->place_count; i++) {
		uint32_t at = pack->first_place + i;
		uint64_t bytes = job->index->places[at].stored_bytes;

		if (job->liveness.live[at])
			p->live_bytes += bytes;
		else
			p->dead_bytes += bytes;
	}
}

static enum prune_fate fate_of(const struct prune_job *job, uint32_t number)
{
	const struct index_pack *pack = &job->index->packs[number];
	uint64_t bytes;

	if (!prune_in_store(job, &pack->name, &bytes))
		return PRUNE_GONE;
	if (pack->condemned)
		return job->liveness.needed[number] ? PRUNE_NEEDED : PRUNE_CONDEMNED;
	if (job->packs[number].live_bytes)
		return PRUNE_KEEP;
	return all_ended(job, pack) || watched_enough(job, &pack->name) ? PRUNE_DEAD : PRUNE_ORPHAN;
}

static bool movable(const struct prune_job *job, size_t number)
{
	const struct index_pack *pack = &job->index->packs[number];

	return job->packs[number].fate == PRUNE_KEEP && pack->named && !pack->bad;
}

/* --- what is worth moving --- */

struct candidate {
	uint32_t pack;
	double share; /* of its records that nobody needs */
};

static int compare_candidates(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->share != y->share)
		return x->share > y->share ? -1 : 1;
	return (x->pack > y->pack) - (x->pack < y->pack);
}

static uint64_t allowed_unused(const struct prune_job *job)
{
	const struct prune_options *o = job->options;
	double percent =
	    o->unused == PRUNE_UNUSED_PERCENT ? o->unused_percent : PRUNE_UNUSED_DEFAULT_PERCENT;

	if (o->unused == PRUNE_UNUSED_ALL || (o->unused != PRUNE_UNUSED_BYTES && percent >= 100))
		return UINT64_MAX;
	if (o->unused == PRUNE_UNUSED_BYTES)
		return o->unused_bytes;
	return (uint64_t)((double)job->result->used_bytes * percent / (100 - percent));
}

struct budget {
	uint64_t unused, allowed, moved, most;
};

static void take(struct prune_job *job, struct budget *b, uint32_t number)
{
	uint64_t bytes = job->index->packs[number].pack_bytes;

	if (job->packs[number].fate != PRUNE_KEEP || bytes > b->most - b->moved)
		return;
	job->packs[number].fate = PRUNE_REPACK;
	b->moved += bytes;
	b->unused -= job->packs[number].dead_bytes;
}

/* Nights leave small packs, of which much of the space and all of the requests are for nothing. */
static void take_small(struct prune_job *job, struct budget *b)
{
	size_t packs = job->liveness.pack_count;

	for (size_t i = 0; i < packs; i++) {
		uint32_t domain = job->index->packs[i].slots[0].domain;
		size_t small = 0;

		if (!movable(job, i) || job->index->packs[i].pack_bytes >= SMALL_BYTES)
			continue;
		for (size_t k = i; k < packs && small <= SMALL_MOST; k++)
			small += movable(job, k) && job->index->packs[k].pack_bytes < SMALL_BYTES &&
				 job->index->packs[k].slots[0].domain == domain;
		for (size_t k = i; small > SMALL_MOST && k < packs; k++) {
			if (movable(job, k) && job->index->packs[k].pack_bytes < SMALL_BYTES &&
			    job->index->packs[k].slots[0].domain == domain)
				take(job, b, (uint32_t)k);
		}
	}
}

static int choose_moves(struct prune_job *job, struct err *err)
{
	size_t packs = job->liveness.pack_count, count = 0;
	struct budget b = {.unused = job->result->unused_bytes,
			   .allowed = allowed_unused(job),
			   .most = job->options->max_repack_bytes};
	struct candidate *c = calloc(packs + 1, sizeof(*c));

	if (!c)
		return err_nomem(err);
	b.most = b.most ? b.most : UINT64_MAX;
	for (size_t i = 0; i < packs; i++) {
		const struct prune_pack *p = &job->packs[i];

		if (movable(job, i) && p->dead_bytes)
			c[count++] = (struct candidate){
			    (uint32_t)i,
			    (double)p->dead_bytes / (double)(p->live_bytes + p->dead_bytes)};
	}
	if (count)
		qsort(c, count, sizeof(*c), compare_candidates);
	for (size_t i = 0; i < count && b.unused > b.allowed; i++)
		take(job, &b, c[i].pack);
	free(c);
	if (job->options->unused != PRUNE_UNUSED_ALL)
		take_small(job, &b);
	job->result->unused_bytes = b.unused;
	return 0;
}

int prune_strangers(struct prune_job *job, struct prune_names *out, struct err *err)
{
	int r = 0;

	for (size_t i = 0; !r && i < job->name_count; i++) {
		const struct id *name = &job->names[i];

		if (index_find_pack(job->index, name) == INDEX_NONE &&
		    !idset_has(&job->deleted, name) && !is_condemned(job, name))
			r = prune_names_add(out, name, err);
	}
	return r;
}

static int watch_or_condemn(struct prune_job *job, const struct id *name, bool orphan,
			    struct prune_names *dead, struct prune_names *fresh, struct err *err)
{
	uint64_t bytes = 0;
	int64_t since;

	(void)prune_in_store(job, name, &bytes);
	if (!orphan || watched_enough(job, name)) {
		prune_add(&job->result->condemned, bytes);
		return prune_names_add(dead, name, err);
	}
	prune_add(&job->result->watched, bytes);
	return watched_since(job, name, &since) ? 0 : prune_names_add(fresh, name, err);
}

int prune_verdict(struct prune_job *job, struct prune_names *dead, struct prune_names *fresh,
		  struct err *err)
{
	struct prune_names strangers = {0};
	int r = prune_strangers(job, &strangers, err);

	for (size_t i = 0; !r && i < strangers.count; i++)
		r = watch_or_condemn(job, &strangers.ids[i], true, dead, fresh, err);
	for (size_t i = 0; !r && i < job->liveness.pack_count; i++) {
		enum prune_fate fate = job->packs[i].fate;

		if (fate == PRUNE_DEAD || fate == PRUNE_REPACK || fate == PRUNE_ORPHAN)
			r = watch_or_condemn(job, &job->index->packs[i].name, fate == PRUNE_ORPHAN,
					     dead, fresh, err);
	}
	free(strangers.ids);
	return r;
}

int prune_plan(struct prune_job *job, struct err *err)
{
	size_t packs = job->liveness.pack_count;

	job->packs = calloc(packs + 1, sizeof(*job->packs));
	if (!job->packs)
		return err_nomem(err);
	job->result->used_bytes = job->result->unused_bytes = 0;
	for (size_t i = 0; i < packs; i++) {
		struct prune_pack *p = &job->packs[i];

		sum_up(job, (uint32_t)i);
		p->fate = fate_of(job, (uint32_t)i);
		job->result->used_bytes += p->live_bytes;
		job->result->unused_bytes += p->fate == PRUNE_KEEP ? p->dead_bytes : 0;
	}
	return choose_moves(job, err);
}
