#include "repo/prune_job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/sha256.h"
#include "repo/witness.h"

#define ROUNDS_MOST 16  /* surveys of one run that end */
#define SURVEYS_AGAIN 2 /* before damage is believed */

int64_t prune_boot_s(const struct prune_job *job)
{
	struct timespec now;

	if (job->options->boot_s)
		return job->options->boot_s(job->options->arg);
	(void)clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec;
}

void prune_warning(struct prune_job *job, enum store_type type, const struct id *name,
		   const char *text)
{
	char path[STORE_PATH_CHARS];
	struct err bare = {0};

	if (!job->options->warning)
		return;
	store_path(type, name, path);
	(void)err_set(&bare, ERR_IO, "%s", text);
	repo_unname(job->repo->store, type, name, &bare);
	job->options->warning(job->options->arg, path, bare.text);
}

void prune_detail(struct prune_job *job, const struct id *pack, const char *text)
{
	char path[STORE_PATH_CHARS];

	store_path(STORE_DATA, pack, path);
	if (job->options->detail)
		job->options->detail(job->options->arg, path, text);
}

int prune_tick(struct prune_job *job, const char *phase, uint64_t done, uint64_t total,
	       struct err *err)
{
	const struct prune_options *o = job->options;

	if (o->progress && o->progress(o->arg, phase, done, total) != 0)
		return err_set(err, ERR_CANCELLED,
			       "interrupted; nothing that is needed was deleted, and the next "
			       "prune goes on");
	return 0;
}

static int compare_ids(const void *a, const void *b)
{
	return id_cmp(a, b);
}

bool prune_in_store(const struct prune_job *job, const struct id *pack, uint64_t *out_bytes)
{
	const struct id *found =
	    job->name_count ? bsearch(pack, job->names, job->name_count, sizeof(*pack), compare_ids)
			    : NULL;

	if (!found || idset_has(&job->deleted, pack))
		return false;
	*out_bytes = job->sizes[found - job->names];
	return true;
}

int prune_names_add(struct prune_names *n, const struct id *name, struct err *err)
{
	if (n->count == n->cap) {
		size_t cap = n->cap ? n->cap * 2 : 64;
		struct id *ids = realloc(n->ids, cap * sizeof(*ids));

		if (!ids)
			return err_nomem(err);
		n->ids = ids;
		n->cap = cap;
	}
	n->ids[n->count++] = *name;
	return 0;
}

int prune_get_pack(struct prune_job *job, const struct id *pack, struct buf *out, struct err *err)
{
	struct err why = {0};
	struct id digest;
	int r = store_get(job->repo->store, STORE_DATA, pack, LIMIT_PACK_BYTES, out, err);

	if (!r)
		r = sha256_of(out->data, out->len, &digest, err);
	if (!r && !id_eq(&digest, pack))
		r = err_set(err, ERR_DAMAGED, "its bytes are not those of its name");
	if ((r == -ERR_DAMAGED || r == -ERR_MISSING || r == -ERR_LIMIT) &&
	    idset_add(&job->distrusted, pack, &why)) {
		*err = why;
		return -err->code;
	}
	return r;
}

void prune_add(struct prune_sum *sum, uint64_t bytes)
{
	sum->packs++;
	sum->bytes += bytes;
}

/* --- the survey: the mark of R4 and R5 --- */

/* In a dry run it is told now, otherwise when it is removed. Without memory it stays until the next prune. */
static void on_bad_record(void *arg, const struct id *name, const struct err *why)
{
	struct prune_job *job = arg;
	struct err nomem = {0};

	if (job->options->dry_run || prune_names_add(&job->rotten, name, &nomem))
		prune_warning(job, STORE_LOCKS, name, why->text);
}

static void on_bad_segment(void *arg, const struct id *name, const struct err *why)
{
	prune_warning(arg, STORE_INDEX, name, why->text);
}

/* One that is gone meanwhile was forgotten. */
static void on_bad_manifest(void *arg, const struct id *name, const struct err *why)
{
	struct prune_job *job = arg;
	const char *next = why->code == ERR_DAMAGED
			       ? "; put it back from a copy of the repository, or where there is "
				 "none remove it by 'nightjar repair manifests --forget'"
			       : "";
	char path[STORE_PATH_CHARS];

	if (why->code == ERR_MISSING || why->code == ERR_KEY || job->bad_manifest.code)
		return;
	store_path(STORE_SNAPSHOTS, name, path);
	job->bad_manifest = *why;
	repo_unname(job->repo->store, STORE_SNAPSHOTS, name, &job->bad_manifest);
	if (why->code != ERR_DENIED)
		job->bad_manifest.code = ERR_DAMAGED;
	err_prefix(&job->bad_manifest,
		   "%s cannot be read, so what it needs is not known and nothing is deleted%s",
		   path, next);
}

static int load_manifests(struct prune_job *job, struct err *err)
{
	int r;

	job->bad_manifest = (struct err){0};
	r = manifests_load(job->repo, on_bad_manifest, job, &job->manifests, err);
	if (!r && job->bad_manifest.code) {
		*err = job->bad_manifest;
		r = -err->code;
	}
	if (!r && !job->options->dry_run)
		r = witness_allow_removal(job->repo, "prune", err);
	job->result->manifests = job->manifests.count;
	return r;
}

static void mark_absent(struct prune_job *job)
{
	uint64_t bytes;

	for (size_t i = 0; i < job->index->pack_count; i++) {
		const struct index_pack *pack = &job->index->packs[i];

		if (!prune_in_store(job, &pack->name, &bytes) || bytes != pack->pack_bytes ||
		    idset_has(&job->distrusted, &pack->name))
			index_mark_pack(job->index, (uint32_t)i);
	}
}

static int on_mark(void *arg)
{
	struct prune_job *job = arg;
	const struct prune_options *o = job->options;

	return o->progress ? o->progress(o->arg, "mark", job->result->manifests, 0) : 0;
}

/*
 * The order matters. The clocks before all else, so that every age is judged as smaller than it is. Manifests before the index,
 * which then has what they reach. Packs after the records: what an earlier prune was deleting is condemned here or gone (R5).
 */
static int survey(struct prune_job *job, struct err *err)
{
	struct liveness_options how = {.progress = on_mark, .arg = job};
	struct repo *repo = job->repo;
	int r;

	job->lacks = false;
	how.merge_writers = repo->keys->role == ROLE_FULL;
	job->boot_s = prune_boot_s(job);
	r = store_now(repo->store, &job->now_s, err);
	if (!r)
		r = condemned_load(repo, on_bad_record, job, &job->condemned, err);
	if (!r)
		r = load_manifests(job, err);
	if (!r)
		r = index_load(repo, on_bad_segment, job, &job->index, err);
	if (!r)
		r = index_rescue(repo, job->index, err);
	if (!r)
		r = repo_list(repo->store, STORE_DATA, &job->names, &job->sizes, &job->name_count,
			      err);
	if (!r)
		r = reader_new(repo, job->index, &job->reader, err);
	if (r)
		return r;
	notes_apply(&job->manifests.notes, job->index);
	mark_absent(job);
	(void)condemned_apply(&job->condemned, job->index);
	r = liveness_mark(job->reader, &job->manifests, &how, &job->liveness, err);
	job->lacks = r == -ERR_DAMAGED || r == -ERR_MISSING;
	job->result->chunks = job->liveness.chunks;
	return r ? r : prune_plan(job, err);
}

static void survey_free(struct prune_job *job)
{
	liveness_free(&job->liveness);
	reader_free(job->reader);
	index_free(job->index);
	manifest_list_free(&job->manifests);
	condemned_free(&job->condemned);
	free(job->names);
	free(job->sizes);
	free(job->packs);
	job->reader = NULL;
	job->index = NULL;
	job->names = NULL;
	job->sizes = NULL;
	job->name_count = 0;
	job->packs = NULL;
	free(job->rotten.ids);
	job->rotten = (struct prune_names){0};
}

/* Where another prune has moved what is needed, and deleted where it was, between two of these steps, new segments say where. */
static bool has_moved(struct prune_job *job)
{
	const size_t before = job->index->segments.count;
	struct err why = {0};

	return index_refresh(job->repo, job->index, NULL, NULL, &why) == 0 &&
	       job->index->segments.count > before;
}

static int survey_surely(struct prune_job *job, struct err *err)
{
	int r = survey(job, err);

	for (int i = 0; i < SURVEYS_AGAIN && job->lacks && has_moved(job); i++) {
		survey_free(job);
		r = survey(job, err);
	}
	return r;
}

/* --- records --- */

/* A record is of use while a pack that it names is there; of those that are watched, while nobody knows what it is. */
static bool is_of_use(const struct prune_job *job, const struct condemn *c)
{
	uint64_t bytes;

	for (size_t i = 0; i < c->pack_count; i++) {
		uint32_t pack = index_find_pack(job->index, &c->packs[i]);

		if (!prune_in_store(job, &c->packs[i], &bytes))
			continue;
		if (c->kind == CONDEMN_PACKS || pack == INDEX_NONE ||
		    pack >= job->liveness.pack_count || job->packs[pack].fate == PRUNE_ORPHAN)
			return true;
	}
	return false;
}

static bool is_dangling(const struct prune_job *job, const struct condemn *date)
{
	for (size_t i = 0; i < job->condemned.count; i++) {
		if (id_eq(&job->condemned.records[i].name, &date->record))
			return false;
	}
	return true;
}

static int remove_rotten(struct prune_job *job, struct err *err)
{
	int r = 0;

	for (size_t i = 0; !r && i < job->rotten.count; i++) {
		struct err why = {0};

		r = condemned_remove_bad(job->repo, &job->rotten.ids[i], &why, err);
		if (r || !why.code)
			continue;
		(void)err_set(&why, (enum err_code)why.code,
			      "%s; it bound nobody and was removed: the grace of what it condemned "
			      "begins anew",
			      why.text);
		prune_warning(job, STORE_LOCKS, &job->rotten.ids[i], why.text);
	}
	return r;
}

/* Dates what no prune has dated, which it was killed before, or what seems to have been in the future; removes what is done with. */
static int tend_records(struct prune_job *job, struct err *err)
{
	int r = remove_rotten(job, err);

	for (size_t i = 0; !r && i < job->condemned.count; i++) {
		const struct condemned_record *record = &job->condemned.records[i];
		const struct condemn *c = &record->c;

		if (c->kind == CONDEMN_DATE ? is_dangling(job, c) : !is_of_use(job, c))
			r = condemned_remove(job->repo, &job->condemned, &record->name, err);
		else if (c->kind == CONDEMN_PACKS &&
			 (!record->dated || record->dated_s > job->now_s))
			r = condemned_date(job->repo, &record->name, err);
	}
	return r;
}

/* --- phase one --- */

static void count_waiting(struct prune_job *job, bool condemned_now)
{
	struct prune_result *res = job->result;
	uint64_t bytes;

	for (size_t i = 0; i < job->condemned.count; i++) {
		const struct condemned_record *record = &job->condemned.records[i];
		int64_t due = (record->dated && record->dated_s <= job->now_s ? record->dated_s
									      : job->now_s) +
			      job->grace_s;
		bool any = false;

		if (record->c.kind != CONDEMN_PACKS)
			continue;
		for (size_t k = 0; k < record->c.pack_count; k++) {
			if (!prune_in_store(job, &record->c.packs[k], &bytes) ||
			    (job->options->dry_run && prune_is_due(job, record) &&
			     !job->liveness.needed_count))
				continue;
			prune_add(&res->waiting, bytes);
			any = true;
		}
		if (any && (!res->due_s || due < res->due_s))
			res->due_s = due;
	}
	res->waiting.packs += res->condemned.packs;
	res->waiting.bytes += res->condemned.bytes;
	if (condemned_now && (!res->due_s || job->now_s + job->grace_s < res->due_s))
		res->due_s = job->now_s + job->grace_s;
}

static void estimate_written(struct prune_job *job)
{
	for (size_t i = 0; i < job->liveness.pack_count; i++) {
		if (job->packs[i].fate != PRUNE_REPACK && job->packs[i].fate != PRUNE_NEEDED)
			continue;
		prune_add(job->packs[i].fate == PRUNE_NEEDED ? &job->result->needed_again
							     : &job->result->repacked,
			  job->index->packs[i].pack_bytes);
		job->result->written.bytes += job->packs[i].live_bytes;
	}
	job->result->written.packs =
	    (job->result->written.bytes + PACK_TARGET_BYTES - 1) / PACK_TARGET_BYTES;
}

/* New packs and their index, then the records that condemn what they take the place of. */
static int condemn(struct prune_job *job, bool *out_any, struct err *err)
{
	struct prune_names dead = {0}, fresh = {0};
	int r = 0;

	if (job->options->dry_run)
		estimate_written(job);
	else
		r = prune_repack(job, err);
	if (!r)
		r = prune_verdict(job, &dead, &fresh, err);
	if (!r && !job->options->dry_run)
		r = condemned_put(job->repo, CONDEMN_PACKS, dead.ids, dead.count, err);
	if (!r && !job->options->dry_run)
		r = condemned_put(job->repo, CONDEMN_WATCH, fresh.ids, fresh.count, err);
	for (size_t i = 0; !r && i < dead.count; i++)
		prune_detail(job, &dead.ids[i], "condemned");
	*out_any = dead.count > 0;
	free(dead.ids);
	free(fresh.ids);
	return r;
}

static void sum_before(struct prune_job *job)
{
	for (size_t i = 0; i < job->name_count; i++)
		prune_add(&job->result->before, job->sizes[i]);
}

/* What is counted once, though there may be several surveys. */
static void sums_restart(struct prune_result *res)
{
	const struct prune_sum none = {0};

	res->condemned = res->waiting = res->watched = none;
	res->due_s = 0;
	res->unfinished = false;
}

/* *out_again: with what is known now a new survey is to be made. */
static int one_round(struct prune_job *job, bool first, bool *out_again, struct err *err)
{
	bool any = false;
	int r;

	*out_again = false;
	sums_restart(job->result);
	r = survey_surely(job, err);
	if (r)
		return r;
	job->result->now_s = job->now_s;
	if (first)
		sum_before(job);
	/*
	 * R4: who finds something needed again deletes nothing, and moves it; another prune may have chosen another copy to stay. The record
	 * stays: to withdraw it would make writers trust what a third is about to delete.
	 */
	if (!job->liveness.needed_count)
		r = prune_delete_due(job, out_again, err);
	if (!r && !job->options->dry_run)
		r = tend_records(job, err);
	if (r || *out_again)
		return r;
	r = condemn(job, &any, err);
	if (!r)
		count_waiting(job, any);
	*out_again = any && job->options->no_writers && !job->options->dry_run;
	return r;
}

static int check_options(const struct prune_job *job, struct err *err)
{
	const struct prune_options *o = job->options;

	if (o->unused == PRUNE_UNUSED_PERCENT &&
	    !(o->unused_percent >= 0 && o->unused_percent <= 100))
		return err_set(err, ERR_USAGE, "unused space is 0 to 100 percent");
	if (!o->no_writers && job->grace_s < CONDEMNED_GRACE_LEAST_S)
		return err_set(err, ERR_USAGE,
			       "a grace of less than %d hours is not safe while backups run",
			       CONDEMNED_GRACE_LEAST_S / 3600);
	return keys_allow(job->repo->keys, POWER_MAINTAIN, "prune", err);
}

/* Files of puts that were killed, in a store that has such. What does not go is no reason to fail: all else is done. */
static void sweep(struct prune_job *job)
{
	struct err why = {0};

	if (store_sweep(job->repo->store, job->grace_s, job->options->dry_run, &job->result->left,
			&why) &&
	    job->options->warning)
		job->options->warning(job->options->arg, "what killed backups left", why.text);
}

static void sum_after(struct prune_result *res)
{
	res->after.packs = res->before.packs - res->deleted.packs + res->written.packs;
	res->after.bytes = res->before.bytes - res->deleted.bytes + res->written.bytes;
}

int prune_run(struct repo *repo, const struct prune_options *options,
	      struct prune_result *out_result, struct err *err)
{
	struct prune_job job = {.repo = repo, .options = options, .result = out_result};
	bool again = true;
	int r;

	*out_result = (struct prune_result){0};
	job.grace_s = options->grace_s ? options->grace_s : CONDEMNED_GRACE_DEFAULT_S;
	if (options->no_writers)
		job.grace_s = 0;
	r = check_options(&job, err);
	for (int i = 0; !r && again && i < ROUNDS_MOST; i++) {
		r = one_round(&job, i == 0, &again, err);
		survey_free(&job);
	}
	if (!r)
		sweep(&job);
	sum_after(out_result);
	idset_free(&job.distrusted);
	idset_free(&job.deleted);
	return r;
}
