#include "repo/packer.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#include "core/seal.h"
#include "repo/idset.h"
#include "repo/packjob.h"
#include "repo/rested.h"
#include "repo/workers.h"

#define JOBS_PER_WORKER 3
/* What may be under way, and what its buffers may keep, however many workers there are. */
#define UNDER_WAY_BYTES ((size_t)12 << 20)
#define HELD_BYTES ((size_t)16 << 20)

/* So many deltas are made as small as can be; a quiet night has no more. Of 914, 128 such took half as long again and saved 0.3 %. */
#define THOROUGH_DELTAS 128
#define THOROUGH_NEW 32   /* so many new chunks are few, */
#define THOROUGH_SHARE 16 /* and one more of so many seen */

/*
 * A segment is put when so many packs, or records, wait for one, or the first of them for so long: what no segment names is sent again
 * by the backup after one that was cut off. Seen: 650 MB have 5 of them, of 150 kB together.
 */
#define SEGMENT_PACKS 8
#define SEGMENT_ENTRIES 262144
#define SEGMENT_S (5 * 60)

struct packer {
	struct repo *repo;
	struct index *index;
	bool dry_run;
	const struct domain_keys *domain;
	struct chunker *chunker; /* locked memory: its tables are keys */
	struct workers *workers;
	struct comp **comps; /* a worker's context each */
	unsigned worker_count;
	struct packjob *jobs; /* as many as may be under way */
	size_t job_count, next_job;
	size_t under_way; /* plaintext bytes of those that are */
	struct pack_builder *builder;
	struct indexseg_pack *packs; /* put, not yet in a segment */
	size_t pack_count, pack_cap;
	size_t segment_entries;   /* records in packs */
	int64_t waits_since_s;    /* of the first of packs */
	struct base_source bases; /* get NULL: there is none */
	unsigned thorough;        /* deltas that were made as small as can be */
	struct reader *reader;    /* what bases falls back to; NULL when it is the caller's */
	uint32_t packs_before;    /* packs that were known before this run */
	struct rested rested;     /* what the next manifest rests on */
	struct idset pending;     /* ids on their way to a pack, or that a dry run would store */
	struct buf object;
	struct packer_stats stats;
	struct packer_tally *tally; /* of chunks that are added now */
	bool tally_cells;
	size_t pack_bytes; /* of a full pack */
	packer_clock_fn *clock;
	void *clock_arg;
	struct err failed; /* the first failure: what was gathered until then may be lost */
};

static int64_t monotonic_s(void *arg)
{
	struct timespec t;

	(void)arg;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec;
}

static void run_job(void *context, void *arg)
{
	packjob_run(context, arg);
}

static int start_workers(struct packer *p, unsigned count, struct err *err)
{
	void **contexts;
	int r = 0;

	p->worker_count = count ? count : workers_default_count();
	p->job_count = (size_t)p->worker_count * JOBS_PER_WORKER;
	p->comps = calloc(p->worker_count, sizeof(struct comp *));
	p->jobs = calloc(p->job_count, sizeof(*p->jobs));
	contexts = calloc(p->worker_count, sizeof(*contexts));
	if (!p->comps || !p->jobs || !contexts)
		r = err_nomem(err);
	for (unsigned i = 0; !r && i < p->worker_count; i++) {
		r = comp_new(0, &p->comps[i], err);
		contexts[i] = p->comps[i];
	}
	if (!r)
		r = workers_new(p->worker_count, (unsigned)p->job_count, run_job, contexts,
				&p->workers, err);
	free(contexts);
	return r;
}

static void stop_workers(struct packer *p)
{
	workers_free(p->workers);
	for (unsigned i = 0; p->comps && i < p->worker_count; i++)
		comp_free(p->comps[i]);
	for (size_t i = 0; p->jobs && i < p->job_count; i++)
		packjob_wipe(&p->jobs[i]);
	free(p->comps);
	free(p->jobs);
}

static int get_from_reader(void *arg, uint8_t kind, const struct id *id, struct buf *out,
			   struct err *err)
{
	return reader_get_base(arg, kind, id, out, err);
}

struct base_source base_source_of(struct reader *reader)
{
	return (struct base_source){.get = get_from_reader, .arg = reader};
}

static int open_bases(struct packer *p, const struct base_source *given, struct err *err)
{
	struct err why = {0};
	int r;

	/* Not those of this run: when a pack is put depends on how many workers there are. */
	p->packs_before = (uint32_t)p->index->pack_count;
	if (given) {
		p->bases = *given;
		return 0;
	}
	if (keys_allow(p->repo->keys, POWER_READ, "a delta", &why) != 0)
		return 0;
	r = reader_new(p->repo, p->index, &p->reader, err);
	if (!r)
		p->bases = base_source_of(p->reader);
	return r;
}

static int packer_open(struct packer *p, const struct packer_options *options, struct err *err)
{
	struct keys *keys = p->repo->keys;
	int r;

	p->domain = keys_domain(keys, keys->writer_domain, err);
	if (!p->domain)
		return -err->code;
	/* A chunk of a lost pack must be stored again, or the next manifest would lack it (I2). */
	r = index_mark_lost(p->repo, p->index, &p->stats.packs_lost, err);
	if (r)
		return r;
	p->chunker = sodium_malloc(sizeof(*p->chunker));
	if (!p->chunker)
		return err_nomem(err);
	chunker_init(p->chunker, p->domain->chunker_key);
	r = open_bases(p, options->bases, err);
	if (!r)
		r = start_workers(p, options->workers, err);
	if (!r)
		r = pack_builder_new(keys, options->sequence, p->repo->conf.floor_log2, &p->builder,
				     err);
	if (!r)
		pack_builder_set_parity(p->builder, p->repo->parity);
	return r;
}

int packer_new(struct repo *repo, struct index *index, const struct packer_options *options,
	       struct packer **out_packer, struct err *err)
{
	struct packer *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return err_nomem(err);
	p->repo = repo;
	p->index = index;
	p->dry_run = options->dry_run;
	p->pack_bytes = options->pack_bytes ? options->pack_bytes : PACK_TARGET_BYTES;
	p->clock = options->clock ? options->clock : monotonic_s;
	p->clock_arg = options->clock_arg;
	r = packer_open(p, options, err);
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
	stop_workers(p);
	for (size_t i = 0; i < p->pack_count; i++)
		pack_dir_free(&p->packs[i].dir);
	free(p->packs);
	rested_free(&p->rested);
	idset_free(&p->pending);
	pack_builder_free(p->builder);
	reader_free(p->reader);
	sodium_free(p->chunker);
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

void packer_count_in(struct packer *p, struct packer_tally *tally, bool cells)
{
	p->tally = tally;
	p->tally_cells = cells;
}

static int packs_push(struct packer *p, struct indexseg_pack *pack, struct err *err)
{
	if (p->pack_count == 0)
		p->waits_since_s = p->clock(p->clock_arg);
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
	/* The packs may be under way still, and an index of what is not there is worse than none (I2). */
	r = store_flush(p->repo->store, err);
	if (!r)
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

int packer_rest_on(struct packer *p, uint32_t place, struct err *err)
{
	return rested_add(&p->rested, p->index, place, err);
}

int packer_lacking(const struct packer *p, struct chunk_ref **out_refs, size_t *out_count,
		   struct err *err)
{
	return rested_lacking(&p->rested, p->index, out_refs, out_count, err);
}

/* The index has what was in the builder; only chunks that are still under way are pending. */
static int forget_pending(struct packer *p, struct err *err)
{
	size_t under_way = workers_pending(p->workers);
	int r = 0;

	idset_free(&p->pending);
	for (size_t i = 1; !r && i <= under_way; i++)
		r = idset_add(&p->pending, &p->jobs[(p->next_job - i) % p->job_count].info.id, err);
	return r;
}

/* The builder has hashed the pack; and as its keys are fresh, one of its name can only be itself. */
static int put_pack(struct packer *p, const struct id *name, struct err *err)
{
	return store_put_later(p->repo->store, STORE_DATA, name, p->object.data, p->object.len,
			       err);
}

static bool segment_is_due(const struct packer *p)
{
	return p->pack_count >= SEGMENT_PACKS || p->segment_entries >= SEGMENT_ENTRIES ||
	       (p->pack_count && p->clock(p->clock_arg) - p->waits_since_s >= SEGMENT_S);
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
		r = rested_add_pack(&p->rested, p->index, index_find_pack(p->index, &pack.name),
				    err);
	}
	if (!r)
		r = packs_push(p, &pack, err);
	pack_dir_free(&pack.dir);
	if (!r)
		r = forget_pending(p, err);
	if (!r && segment_is_due(p))
		r = put_segment(p, err);
	return r;
}

static void count(struct packer *p, const struct packjob *job)
{
	uint64_t bytes = packjob_result(job)->len + SEAL_TAG_BYTES;

	p->stats.bytes_packed += bytes;
	p->stats.deltas += job->is_delta;
	p->stats.bytes_deltas += job->is_delta ? bytes : 0;
	if (!job->tally)
		return;
	job->tally->cells_new += job->cells_new;
	job->tally->bytes_packed += bytes;
}

static int pack_job(struct packer *p, const struct packjob *job, struct err *err)
{
	const struct buf *bytes = packjob_result(job);
	int r;

	if (job->result) {
		*err = job->err;
		return job->result;
	}
	count(p, job);
	if (p->dry_run)
		return 0;
	r = pack_builder_add(p->builder, &job->info, bytes->data, bytes->len, err);
	if (!r && pack_builder_bytes(p->builder) >= p->pack_bytes)
		r = flush(p, err);
	return r;
}

/* Buffers are kept for the next chunk, as long as all of them together are not too much. */
static void trim(struct packer *p, struct packjob *job)
{
	size_t held = 0;

	for (size_t i = 0; i < p->job_count; i++) {
		/* Of the jobs under way what comes out is a worker's, and about as long as the first. */
		held += 2 * p->jobs[i].plain.cap + p->jobs[i].bases.cap + p->jobs[i].last.cap;
	}
	if (held > p->stats.held_most)
		p->stats.held_most = held;
	if (held <= HELD_BYTES)
		return;
	packjob_wipe(job);
}

/* The oldest chunk under way goes into the builder, and from there, when enough is together, into a pack. */
static int finish_one(struct packer *p, struct err *err)
{
	struct packjob *job = workers_take(p->workers);
	int r = pack_job(p, job, err);

	p->under_way -= job->plain.len;
	trim(p, job);
	return r;
}

static int finish_all(struct packer *p, struct err *err)
{
	int r = 0;

	while (!r && workers_pending(p->workers))
		r = finish_one(p, err);
	return r;
}

/* Without an error whatever the source says: then there are no bases. */
static int read_bases(struct packer *p, struct packjob *job, struct err *err)
{
	struct bases_choice *choice = &job->choice;
	struct err why = {0};
	int r = 0;

	buf_reset(&job->bases);
	for (size_t i = 0; !r && i < choice->count; i++) {
		r = p->bases.get(p->bases.arg, job->info.kind, &choice->ids[i], &job->bases, &why);
		job->base_ends[i] = job->bases.len;
	}
	if (r == -ERR_NOMEM || job->bases.failed)
		return err_nomem(err);
	if (r)
		choice->count = 0;
	return 0;
}

static bool may_be_thorough(const struct packer *p)
{
	return p->thorough < THOROUGH_DELTAS &&
	       p->stats.chunks_new <= THOROUGH_NEW + p->stats.chunks_seen / THOROUGH_SHARE;
}

/*
 * A version that rests on an older one than the last, or on none, is stored so to keep chains short; what changed is what it has
 * and the last one has not. That one is in the cache, as a rule. Nothing depends on it but a number.
 */
static int read_last(struct packer *p, struct packjob *job, struct err *err)
{
	const struct bases_choice *choice = &job->choice;
	struct err why = {0};
	int r;

	if (!job->count_cells || !choice->follows ||
	    (choice->count && id_eq(&choice->ids[0], &choice->last)))
		return 0;
	r = p->bases.get(p->bases.arg, job->info.kind, &choice->last, &job->last, &why);
	if (r == -ERR_NOMEM || job->last.failed)
		return err_nomem(err);
	if (r)
		buf_reset(&job->last);
	return 0;
}

/*
 * An id that is known is stored again because its copies are damaged or lost, and then only full: what rests on it must
 * not become what it rests on.
 */
static int choose_bases(struct packer *p, struct packjob *job, const struct id *ids, size_t count,
			struct err *err)
{
	struct bases_query query = {
	    .writer = p->repo->keys->writer_pub,
	    .kind = job->info.kind,
	    .plain_bytes = job->info.plain_bytes,
	    .domain = p->domain->number,
	    .pack_count = p->packs_before,
	    .ids = ids,
	    .count = count,
	};
	bool chosen;
	int r = 0;

	job->choice.count = 0;
	job->choice.follows = false;
	buf_reset(&job->last);
	job->level = may_be_thorough(p) ? COMP_DELTA_SMALL : COMP_DELTA_FAST;
	if (!count || !p->bases.get ||
	    index_find(p->index, job->info.kind, &job->info.id) != INDEX_NONE)
		return 0;
	chosen = bases_choose(p->index, &query, &job->choice);
	if (chosen)
		r = read_bases(p, job, err);
	/* An older version may be in the repository only, and this key cannot read; the last one is in its cache. */
	query.plain_chain = true;
	if (!r && chosen && !job->choice.count && !id_eq(&job->choice.ids[0], &job->choice.last) &&
	    bases_choose(p->index, &query, &job->choice))
		r = read_bases(p, job, err);
	p->thorough += job->choice.count && job->level == COMP_DELTA_SMALL;
	return r ? r : read_last(p, job, err);
}

/* Waits until one more chunk of len bytes may be under way; one always may. */
static int make_room(struct packer *p, size_t len, struct err *err)
{
	int r = 0;

	while (!r && workers_pending(p->workers) &&
	       (workers_full(p->workers) || p->under_way + len > UNDER_WAY_BYTES))
		r = finish_one(p, err);
	return r;
}

static int store_new(struct packer *p, const struct record_info *info, const void *plain,
		     size_t len, const struct id *bases, size_t base_count, struct err *err)
{
	struct packjob *job;
	int r = make_room(p, len, err);

	if (!r)
		r = idset_add(&p->pending, &info->id, err);
	if (r)
		return r;
	p->stats.chunks_new++;
	p->stats.bytes_new += len;
	job = &p->jobs[p->next_job++ % p->job_count];
	job->info = *info;
	job->result = 0;
	job->tally = p->tally;
	job->count_cells = p->tally && p->tally_cells && info->kind == CHUNK_DATA;
	buf_reset(&job->plain);
	buf_put(&job->plain, plain, len);
	r = buf_check(&job->plain, err);
	if (!r)
		r = choose_bases(p, job, bases, base_count, err);
	if (r)
		return r;
	p->under_way += len;
	workers_submit(p->workers, job);
	return 0;
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

static int add(struct packer *p, bool delta, uint8_t kind, const void *plain, size_t len,
	       const struct id *bases, size_t base_count, struct id *out_id, struct err *err)
{
	struct record_info info = {.kind = kind, .plain_bytes = (uint32_t)len};
	uint32_t known;
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
	if (delta && p->bases.keep)
		r = p->bases.keep(p->bases.arg, kind, &info.id, plain, len, err);
	if (r)
		return settle(p, r, err);
	known = index_find_good(p->index, kind, &info.id);
	if (known != INDEX_NONE)
		return packer_rest_on(p, known, err);
	if (idset_has(&p->pending, &info.id))
		return 0;
	return settle(p, store_new(p, &info, plain, len, bases, base_count, err), err);
}

int packer_add(struct packer *p, uint8_t kind, const void *plain, size_t len, struct id *out_id,
	       struct err *err)
{
	return add(p, false, kind, plain, len, NULL, 0, out_id, err);
}

int packer_add_delta(struct packer *p, uint8_t kind, const void *plain, size_t len,
		     const struct id *bases, size_t base_count, struct id *out_id, struct err *err)
{
	return add(p, true, kind, plain, len, bases, base_count, out_id, err);
}

int packer_finish(struct packer *p, struct err *err)
{
	int r = failed_before(p, err);

	if (!r)
		r = finish_all(p, err);
	if (!r && !p->dry_run)
		r = flush(p, err);
	if (!r)
		r = put_segment(p, err);
	return settle(p, r, err);
}
