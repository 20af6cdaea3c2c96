/* Phase two: condemned packs that are due are deleted (FORMAT.md §12 R5, R7, R8). */
#include "repo/prune_job.h"

#include <stdlib.h>

#define DELETE_MOST_S 3600 /* R5: from the survey's begin to the last delete */
#define SEGMENTS_MANY 24   /* so many are worth a look at whether small ones can be merged */

bool prune_is_due(const struct prune_job *job, const struct condemned_record *record)
{
	if (record->c.kind != CONDEMN_PACKS)
		return false;
	if (job->options->no_writers)
		return true;
	return record->dated && record->dated_s <= job->now_s &&
	       job->now_s - record->dated_s >= job->grace_s;
}

/* Packs, and with each the record that condemns it. */
static int gather_due(struct prune_job *job, struct prune_names *due, struct prune_names *by,
		      struct idset *gone, struct err *err)
{
	uint64_t bytes;
	int r = 0;

	for (size_t i = 0; !r && i < job->condemned.count; i++) {
		const struct condemned_record *record = &job->condemned.records[i];

		for (size_t k = 0; !r && prune_is_due(job, record) && k < record->c.pack_count;
		     k++) {
			const struct id *name = &record->c.packs[k];

			if (!prune_in_store(job, name, &bytes) || idset_has(gone, name))
				continue;
			r = idset_add(gone, name, err);
			if (!r)
				r = prune_names_add(due, name, err);
			if (!r)
				r = prune_names_add(by, &record->name, err);
		}
	}
	return r;
}

/* Packs that have what is needed of a pack that is to go. */
static void find_heirs(const struct prune_job *job, const struct prune_names *due, bool *heirs)
{
	const struct index *index = job->index;

	for (size_t i = 0; i < due->count; i++) {
		uint32_t number = index_find_pack(index, &due->ids[i]);
		const struct index_pack *pack;

		if (number == INDEX_NONE)
			continue;
		pack = &index->packs[number];
		for (uint32_t k = 0; k < pack->place_count; k++) {
			const struct record_info *info = &index->places[pack->first_place + k].info;

			for (uint32_t at = index_find(index, info->kind, &info->id);
			     at != INDEX_NONE; at = index->places[at].next) {
				if (job->liveness.live[at])
					heirs[index->places[at].pack] = true;
			}
		}
	}
}

/* R7: the last other copy goes only when the one that stays has just been read. False: one is not what it should be. */
static int verify_heirs(struct prune_job *job, const struct prune_names *due, bool *out_good,
			struct err *err)
{
	bool *heirs = calloc(job->index->pack_count + 1, sizeof(*heirs));
	struct buf bytes = {0};
	int r = heirs ? 0 : err_nomem(err);

	*out_good = true;
	if (!r)
		find_heirs(job, due, heirs);
	for (size_t i = 0; !r && i < job->index->pack_count; i++) {
		struct err why = {0};

		if (!heirs[i])
			continue;
		r = prune_tick(job, "verify", i, job->index->pack_count, err);
		buf_reset(&bytes);
		if (!r && prune_get_pack(job, &job->index->packs[i].name, &bytes, &why) == 0)
			continue;
		if (!r && idset_has(&job->distrusted, &job->index->packs[i].name)) {
			prune_warning(job, STORE_DATA, &job->index->packs[i].name, why.text);
			*out_good = false;
		} else if (!r) {
			*err = why;
			r = -err->code;
		}
	}
	buf_free(&bytes);
	free(heirs);
	return r;
}

/* 1: the record is not there any more, which writers would have to see: then nothing goes by it. */
static int delete_pack(struct prune_job *job, const struct id *pack, const struct id *record,
		       struct err *err)
{
	struct store *store = job->repo->store;
	struct err why = {0};
	uint64_t bytes = 0;
	int r = store_size(store, STORE_LOCKS, record, &bytes, &why);

	if (r == -ERR_MISSING)
		return 1;
	(void)prune_in_store(job, pack, &bytes);
	if (!r)
		r = store_remove(store, STORE_DATA, pack, &why);
	if (r && r != -ERR_MISSING) {
		*err = why;
		return r;
	}
	if (!r)
		prune_add(&job->result->deleted, bytes);
	prune_detail(job, pack, "deleted");
	return idset_add(&job->deleted, pack, err);
}

static int delete_packs(struct prune_job *job, const struct prune_names *due,
			const struct prune_names *by, struct err *err)
{
	int r = 0;

	for (size_t i = 0; !r && i < due->count; i++) {
		r = prune_tick(job, "delete", i, due->count, err);
		if (!r && prune_boot_s(job) - job->boot_s > DELETE_MOST_S) {
			job->result->unfinished = true;
			return 0;
		}
		if (!r)
			r = delete_pack(job, &due->ids[i], &by->ids[i], err);
		if (r == 1) {
			prune_warning(job, STORE_LOCKS, &by->ids[i],
				      "removed by somebody else; what it condemned stays for now");
			r = 0;
		}
	}
	return r;
}

/*
 * Packs that segments name and the store has not, which nobody needs: the survey would have failed otherwise. And those that are needed
 * but no segment names, since one was lost.
 */
static int gather_index(struct prune_job *job, struct idset *gone, struct prune_names *unnamed,
			struct err *err)
{
	int r = 0;

	for (size_t i = 0; !r && i < job->liveness.pack_count; i++) {
		const struct index_pack *pack = &job->index->packs[i];

		if (job->packs[i].fate == PRUNE_GONE)
			r = idset_add(gone, &pack->name, err);
		else if (job->packs[i].live_bytes && !pack->named)
			r = prune_names_add(unnamed, &pack->name, err);
	}
	return r;
}

int prune_delete_due(struct prune_job *job, bool *out_again, struct err *err)
{
	struct prune_names due = {0}, by = {0}, unnamed = {0};
	struct idset gone = {0};
	uint64_t bytes = 0, before = job->result->deleted.packs;
	bool good = true;
	int r = gather_due(job, &due, &by, &gone, err);

	if (!r && job->options->dry_run) {
		for (size_t i = 0; i < due.count; i++) {
			(void)prune_in_store(job, &due.ids[i], &bytes);
			prune_add(&job->result->deleted, bytes);
		}
	} else if (!r) {
		r = verify_heirs(job, &due, &good, err);
		if (!r)
			r = gather_index(job, &gone, &unnamed, err);
		if (!r && good &&
		    (gone.count || unnamed.count || job->index->segments.count > SEGMENTS_MANY))
			r = prune_index(job, &gone, &unnamed, err);
		if (!r && good)
			r = delete_packs(job, &due, &by, err);
		/* Where the mark alone takes the hour another one would not help. */
		*out_again =
		    !good || (job->result->unfinished && job->result->deleted.packs > before);
	}
	free(due.ids);
	free(by.ids);
	free(unnamed.ids);
	idset_free(&gone);
	return r;
}
