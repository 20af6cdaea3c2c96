/* witness: what is wrong. */
#include <stdlib.h>
#include <string.h>

#include "repo/witness_run.h"

/* --- what manifests name --- */

static int add_ref(struct witness_run *run, const struct witness_ref *ref, struct err *err)
{
	if (!witness_is_gone(run, &ref->name))
		return 0;
	if (run->ref_count == run->ref_cap) {
		size_t cap = run->ref_cap ? 2 * run->ref_cap : 16;
		struct witness_ref *grown = realloc(run->refs, cap * sizeof(*grown));

		if (!grown)
			return err_nomem(err);
		run->refs = grown;
		run->ref_cap = cap;
	}
	run->refs[run->ref_count++] = *ref;
	return 0;
}

static int add_refs(struct witness_run *run, const struct manifest_item *item, struct err *err)
{
	const struct manifest *m = &item->m;
	struct witness_ref ref = {.by = item->name};
	int r = 0;

	memcpy(ref.writer, m->writer, sizeof(ref.writer));
	for (size_t i = 0; !r && i < m->parent_count; i++) {
		ref.name = m->parents[i];
		r = add_ref(run, &ref, err);
	}
	for (size_t i = 0; !r && i < m->seen_count; i++) {
		ref.name = m->seen[i].name;
		ref.sequence = m->seen[i].sequence;
		memcpy(ref.writer, m->seen[i].writer, sizeof(ref.writer));
		r = add_ref(run, &ref, err);
	}
	return r;
}

/* Of one name the one that knows most first. */
static int compare_refs(const void *a, const void *b)
{
	const struct witness_ref *x = a, *y = b;
	int order = id_cmp(&x->name, &y->name);

	if (order == 0)
		order = (x->sequence < y->sequence) - (x->sequence > y->sequence);
	return order ? order : id_cmp(&x->by, &y->by);
}

static int compare_to_ref(const void *name, const void *ref)
{
	return id_cmp(name, &((const struct witness_ref *)ref)->name);
}

const struct witness_ref *witness_find_ref(const struct witness_run *run, const struct id *name)
{
	return run->ref_count
		   ? bsearch(name, run->refs, run->ref_count, sizeof(*run->refs), compare_to_ref)
		   : NULL;
}

static int gather_refs(struct witness_run *run, struct err *err)
{
	size_t kept = 0;
	int r = 0;

	run->ref_count = 0;
	for (size_t i = 0; !r && i < run->list->count; i++)
		r = add_refs(run, &run->list->items[i], err);
	if (run->ref_count)
		qsort(run->refs, run->ref_count, sizeof(*run->refs), compare_refs);
	for (size_t i = 0; i < run->ref_count; i++) {
		if (!kept || !id_eq(&run->refs[kept - 1].name, &run->refs[i].name))
			run->refs[kept++] = run->refs[i];
	}
	run->ref_count = kept;
	return r;
}

/* --- findings --- */

static int add_finding(struct witness_run *run, const struct witness_finding *f, struct err *err)
{
	if (run->finding_count == run->finding_cap) {
		size_t cap = run->finding_cap ? 2 * run->finding_cap : 16;
		struct witness_finding *grown = realloc(run->findings, cap * sizeof(*grown));

		if (!grown)
			return err_nomem(err);
		run->findings = grown;
		run->finding_cap = cap;
	}
	run->findings[run->finding_count] = *f;
	run->findings[run->finding_count++].location = run->repo->store->location;
	return 0;
}

/* Something that this host knew of. */
static int judge_sighting(struct witness_run *run, const struct sighting *s, struct err *err)
{
	const struct witness_ref *ref = witness_find_ref(run, &s->name);
	struct witness_finding f = {.kind = s->fate == SIGHTING_RETIRED ? WITNESS_RETIRE
									: WITNESS_MANIFEST,
				    .name = s->name,
				    .sequence = s->sequence,
				    .time_ns = s->time_ns,
				    .seen = s->fate == SIGHTING_SEEN};

	if (!witness_is_gone(run, &s->name) || s->fate == SIGHTING_ACCEPTED ||
	    retires_have(&run->list->retires, &s->name))
		return 0;
	memcpy(f.writer, s->writer, sizeof(f.writer));
	if (ref)
		f.by = ref->by;
	if (ref && !f.sequence)
		f.sequence = ref->sequence;
	return add_finding(run, &f, err);
}

/* Something that only manifests know of. */
static int judge_ref(struct witness_run *run, const struct witness_ref *ref, struct err *err)
{
	struct witness_finding f = {
	    .kind = WITNESS_MANIFEST, .name = ref->name, .sequence = ref->sequence, .by = ref->by};

	if (sightings_find(&run->w->base, &ref->name) ||
	    retires_have(&run->list->retires, &ref->name))
		return 0;
	memcpy(f.writer, ref->writer, sizeof(f.writer));
	return add_finding(run, &f, err);
}

/* Number and removals of a record that is gone are told once: by the removals, where somebody still misses one. */
static int judge_records(struct witness_run *run, struct err *err)
{
	struct witness_finding f = {.kind = WITNESS_RECORDS,
				    .was = run->w->base.retire_number,
				    .is = run->list->retires.number};

	for (size_t i = 0; i < run->finding_count; i++) {
		if (run->findings[i].kind == WITNESS_RETIRE)
			return 0;
	}
	return f.is < f.was ? add_finding(run, &f, err) : 0;
}

/* --- roster --- */

/* Of the backups that count a merge leaves those that both name: as many are the same. */
static bool same_rights(const struct roster_writer *a, const struct roster_writer *b)
{
	return a->version == b->version && a->domain == b->domain &&
	       a->first_sequence == b->first_sequence && a->last_sequence == b->last_sequence &&
	       a->kept_count == b->kept_count;
}

/* all: what is in the store and what was seen, merged. Nothing in it may be news to the store. */
static int judge_writers(struct witness_run *run, const struct roster *all, struct err *err)
{
	const struct roster *now = &run->repo->roster;
	int r = 0;

	for (size_t i = 0; !r && i < all->writer_count; i++) {
		const struct roster_writer *has = roster_find(now, all->writers[i].pub);
		struct witness_finding f = {.kind = has ? WITNESS_UNDONE : WITNESS_WRITER};

		memcpy(f.writer, all->writers[i].pub, sizeof(f.writer));
		if (!has || !same_rights(has, &all->writers[i]))
			r = add_finding(run, &f, err);
	}
	return r;
}

static const struct roster_epoch *find_epoch(const struct roster *r, uint32_t epoch)
{
	for (size_t i = 0; i < r->epoch_count; i++) {
		if (r->epochs[i].epoch == epoch)
			return &r->epochs[i];
	}
	return NULL;
}

static int judge_read_keys(struct witness_run *run, struct err *err)
{
	const struct roster *was = &run->w->base.roster;
	int r = 0;

	for (size_t i = 0; !r && i < was->epoch_count; i++) {
		const struct roster_epoch *has =
		    find_epoch(&run->repo->roster, was->epochs[i].epoch);
		struct witness_finding f = {.kind = WITNESS_READ_KEY, .was = was->epochs[i].epoch};

		if (!has || memcmp(has->pub, was->epochs[i].pub, 32) != 0)
			r = add_finding(run, &f, err);
	}
	return r;
}

static int judge_roster(struct witness_run *run, struct err *err)
{
	const struct roster *now = &run->repo->roster, *was = &run->w->base.roster;
	struct witness_finding f = {.kind = WITNESS_ROSTER, .was = was->epoch, .is = now->epoch};
	struct roster all = {0};
	int r = f.is < f.was ? add_finding(run, &f, err) : 0;

	if (!r)
		r = judge_read_keys(run, err);
	for (size_t i = 0; !r && i < now->writer_count; i++)
		r = roster_add_writer(&all, &now->writers[i], err);
	for (size_t i = 0; !r && i < was->writer_count; i++)
		r = roster_add_writer(&all, &was->writers[i], err);
	if (!r)
		r = judge_writers(run, &all, err);
	roster_free(&all);
	return r;
}

static int judge_owner(struct witness_run *run, struct err *err)
{
	static const uint8_t nobody[32];
	const uint8_t *was = run->w->base.owner_pub;
	struct witness_finding f = {.kind = WITNESS_OWNER};

	if (memcmp(was, nobody, 32) == 0 || memcmp(was, run->repo->conf.owner_pub, 32) == 0)
		return 0;
	return add_finding(run, &f, err);
}

int witness_judge(struct witness_run *run, struct err *err)
{
	const struct sightings *base = &run->w->base;
	int r = gather_refs(run, err);

	run->finding_count = 0;
	for (size_t i = 0; !r && i < base->count; i++)
		r = judge_sighting(run, &base->items[i], err);
	for (size_t i = 0; !r && i < run->ref_count; i++)
		r = judge_ref(run, &run->refs[i], err);
	if (!r)
		r = judge_records(run, err);
	if (!r)
		r = judge_roster(run, err);
	return r ? r : judge_owner(run, err);
}
