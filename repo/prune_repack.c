/* What is needed of packs that hold much else is moved, sealed as it is, into new ones. */
#include "repo/prune_job.h"

#include <stdlib.h>

#include "core/pack_move.h"

struct repack {
	struct prune_job *job;
	struct pack_mover *mover; /* of the domain under way; NULL: none */
	uint32_t domain;
	struct prune_names fresh; /* packs that were put */
	uint64_t done, total;     /* packs */
};

/* The pack's keys are new, so one of its name can only be itself. */
static int put_pack(struct prune_job *job, const struct id *name, const struct buf *bytes,
		    struct err *err)
{
	return store_put_later(job->repo->store, STORE_DATA, name, bytes->data, bytes->len, err);
}

static int finish(struct repack *rp, struct err *err)
{
	struct prune_job *job = rp->job;
	struct pack_dir dir = {0};
	struct buf bytes = {0};
	struct id name;
	int r;

	if (!rp->mover || !pack_mover_records(rp->mover))
		return 0;
	r = pack_mover_finish(rp->mover, &bytes, &dir, &name, err);
	if (!r)
		r = put_pack(job, &name, &bytes, err);
	if (!r)
		r = index_add_pack(job->index, &name, bytes.len, &dir, err);
	if (!r)
		r = prune_names_add(&rp->fresh, &name, err);
	if (!r) {
		job->result->written.packs++;
		job->result->written.bytes += bytes.len;
		prune_detail(job, &name, "written by repacking");
	}
	pack_dir_free(&dir);
	buf_free(&bytes);
	return r;
}

static int add_record(struct repack *rp, uint32_t at, const struct buf *pack, struct err *err)
{
	const struct index_place *p = &rp->job->index->places[at];
	const struct index_pack *from = &rp->job->index->packs[p->pack];
	struct pack_moved record = {
	    .info = p->info,
	    .slot = &from->slots[p->slot],
	    .source = &from->sources[p->source],
	    .counter = p->counter,
	    .sealed = pack->data + p->offset,
	    .sealed_bytes = p->stored_bytes,
	};
	struct err why = {0};
	int r;

	if (p->offset > pack->len || p->stored_bytes > pack->len - p->offset)
		return err_set(err, ERR_DAMAGED, "a record lies beyond the end of its pack");
	r = pack_mover_add(rp->mover, &record, &why);
	if (r == -ERR_LIMIT) { /* full */
		r = finish(rp, err);
		return r ? r : add_record(rp, at, pack, err);
	}
	if (r)
		*err = why;
	return r;
}

static int move_records(struct repack *rp, uint32_t number, const struct buf *bytes,
			struct err *err)
{
	struct prune_job *job = rp->job;
	const uint32_t first = job->index->packs[number].first_place;
	const uint32_t count = job->index->packs[number].place_count;
	int r = 0;

	for (uint32_t i = 0; !r && i < count; i++) {
		if (job->liveness.live[first + i])
			r = add_record(rp, first + i, bytes, err);
	}
	if (!r && pack_mover_bytes(rp->mover) >= PACK_TARGET_BYTES)
		r = finish(rp, err);
	return r;
}

static bool is_moved(const struct prune_job *job, size_t pack)
{
	return job->packs[pack].fate == PRUNE_REPACK || job->packs[pack].fate == PRUNE_NEEDED;
}

static int cannot_move(struct prune_job *job, uint32_t number, const struct err *why)
{
	prune_warning(job, STORE_DATA, &job->index->packs[number].name, why->text);
	if (job->packs[number].fate == PRUNE_REPACK)
		job->packs[number].fate = PRUNE_KEEP;
	return 0;
}

/* A pack that is not what it was stays, for check and repair to look at. */
static int move_pack(struct repack *rp, uint32_t number, struct err *err)
{
	struct prune_job *job = rp->job;
	const struct id name = job->index->packs[number].name;
	struct buf bytes = {0};
	struct err why = {0};
	int r = prune_tick(job, "repack", rp->done++, rp->total, err);

	if (r)
		return r;
	r = prune_get_pack(job, &name, &bytes, &why);
	if (r == -ERR_DAMAGED || r == -ERR_MISSING || r == -ERR_LIMIT) {
		r = cannot_move(job, number, &why);
	} else if (r) {
		*err = why;
	} else {
		prune_add(job->packs[number].fate == PRUNE_NEEDED ? &job->result->needed_again
								  : &job->result->repacked,
			  bytes.len);
		r = move_records(rp, number, &bytes, err);
	}
	buf_free(&bytes);
	return r;
}

static int move_domain(struct repack *rp, size_t packs, uint32_t domain, struct err *err)
{
	struct prune_job *job = rp->job;
	int r =
	    pack_mover_new(job->repo->keys, domain, job->repo->conf.floor_log2, &rp->mover, err);

	if (!r)
		pack_mover_set_parity(rp->mover, job->repo->parity);
	for (size_t i = 0; !r && i < packs; i++) {
		if (is_moved(job, i) && job->index->packs[i].slots[0].domain == domain)
			r = move_pack(rp, (uint32_t)i, err);
	}
	if (!r)
		r = finish(rp, err);
	pack_mover_free(rp->mover);
	rp->mover = NULL;
	return r;
}

/* Has a pack before this one the same domain, and is to be moved, too? */
static bool domain_begun(const struct prune_job *job, size_t at)
{
	for (size_t i = 0; i < at; i++) {
		if (is_moved(job, i) &&
		    job->index->packs[i].slots[0].domain == job->index->packs[at].slots[0].domain)
			return true;
	}
	return false;
}

static int move_all(struct repack *rp, size_t packs, struct err *err)
{
	struct prune_job *job = rp->job;
	int r = 0;

	for (size_t i = 0; i < packs; i++)
		rp->total += is_moved(job, i);
	for (size_t i = 0; !r && rp->done < rp->total && i < packs; i++) {
		if (is_moved(job, i) && !domain_begun(job, i))
			r = move_domain(rp, packs, job->index->packs[i].slots[0].domain, err);
	}
	return r;
}

int prune_repack(struct prune_job *job, struct err *err)
{
	struct repack rp = {.job = job};
	const struct idset none = {0};
	/* Those that are made now come behind them. */
	int r = move_all(&rp, job->liveness.pack_count, err);

	if (!r)
		r = store_flush(job->repo->store, err);
	if (!r && rp.fresh.count)
		r = prune_index(job, &none, &rp.fresh, err);
	free(rp.fresh.ids);
	return r;
}
