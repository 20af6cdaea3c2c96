/* witness: what is kept in mind after a look, and after what this host did itself. Only ever more, but for what was accepted. */
#include <stdlib.h>
#include <string.h>

#include "repo/witness_run.h"

/* --- one by one --- */

struct adding {
	struct sightings *s;
	struct sighting *fresh; /* not among those of s yet */
	size_t count, cap;
};

/* The place of a name, a new one (all zero but the name) when there is none. */
static struct sighting *place_of(struct adding *a, const struct id *name, struct err *err)
{
	struct sighting *item = sightings_find(a->s, name);

	if (item)
		return item;
	if (a->count == a->cap) {
		size_t cap = a->cap ? 2 * a->cap : 16;
		struct sighting *grown = realloc(a->fresh, cap * sizeof(*grown));

		if (!grown) {
			(void)err_nomem(err);
			return NULL;
		}
		a->fresh = grown;
		a->cap = cap;
	}
	item = &a->fresh[a->count++];
	*item = (struct sighting){.name = *name};
	return item;
}

static int add_seen(struct adding *a, const struct id *name, const struct manifest *m,
		    struct err *err)
{
	struct sighting *item = place_of(a, name, err);

	if (!item)
		return -err->code;
	memcpy(item->writer, m->writer, sizeof(item->writer));
	item->sequence = m->sequence;
	item->time_ns = m->time_ns;
	item->fate = SIGHTING_SEEN;
	return 0;
}

static int compare_items(const void *a, const void *b)
{
	return id_cmp(&((const struct sighting *)a)->name, &((const struct sighting *)b)->name);
}

/* Takes the new ones in, and leaves out those of fate 0. */
static int add_end(struct adding *a, struct err *err)
{
	struct sightings *s = a->s;
	struct sighting *grown = realloc(s->items, (s->count + a->count + 1) * sizeof(*grown));
	size_t kept = 0;

	if (!grown)
		return err_nomem(err);
	s->items = grown;
	if (a->count)
		memcpy(grown + s->count, a->fresh, a->count * sizeof(*grown));
	for (size_t i = 0; i < s->count + a->count; i++) {
		if (grown[i].fate)
			grown[kept++] = grown[i];
	}
	s->count = kept;
	qsort(grown, kept, sizeof(*grown), compare_items);
	return 0;
}

/* --- after a look --- */

/* One that is gone: what is to be said of it next time. Nothing where no manifest that is there misses it. */
static uint8_t next_fate(const struct witness_run *run, const struct id *name, uint8_t fate)
{
	const bool missed = witness_find_ref(run, name) != NULL;

	if (retires_have(&run->list->retires, name))
		return missed ? SIGHTING_RETIRED : 0;
	if (run->w->o.accept || fate == SIGHTING_ACCEPTED)
		return missed ? SIGHTING_ACCEPTED : 0;
	return fate ? fate : SIGHTING_NAMED;
}

/* What another process has added meanwhile is not in the base, and not this look's to judge. */
static void settle_gone(const struct witness_run *run, struct sightings *s)
{
	for (size_t i = 0; i < s->count; i++) {
		struct sighting *item = &s->items[i];

		if (sightings_find(&run->w->base, &item->name) && witness_is_gone(run, &item->name))
			item->fate = next_fate(run, &item->name, item->fate);
	}
}

static int add_ref(const struct witness_run *run, struct adding *a, const struct witness_ref *ref,
		   struct err *err)
{
	struct sighting *item = place_of(a, &ref->name, err);

	if (!item)
		return -err->code;
	if (!item->sequence) {
		memcpy(item->writer, ref->writer, sizeof(item->writer));
		item->sequence = ref->sequence;
	}
	item->fate = next_fate(run, &ref->name, item->fate);
	return 0;
}

static int merge_items(const struct witness_run *run, struct sightings *s, struct err *err)
{
	struct adding a = {.s = s};
	int r = 0;

	settle_gone(run, s);
	for (size_t i = 0; !r && i < run->list->count; i++)
		r = add_seen(&a, &run->list->items[i].name, &run->list->items[i].m, err);
	for (size_t i = 0; !r && i < run->ref_count; i++)
		r = add_ref(run, &a, &run->refs[i], err);
	if (!r)
		r = add_end(&a, err);
	free(a.fresh);
	return r;
}

/* Of a read key that is another now the one stays that was seen first. */
static int merge_roster(struct roster *into, const struct roster *now, struct err *err)
{
	int r = 0;

	for (size_t i = 0; !r && i < now->epoch_count; i++) {
		r = roster_add_epoch(into, now->epochs[i].epoch, now->epochs[i].pub, err);
		r = r == -ERR_DAMAGED ? 0 : r;
	}
	for (size_t i = 0; !r && i < now->writer_count; i++)
		r = roster_add_writer(into, &now->writers[i], err);
	if (now->epoch > into->epoch)
		into->epoch = now->epoch;
	return r;
}

int witness_merge(void *arg, struct sightings *s, struct err *err)
{
	static const uint8_t nobody[32];
	const struct witness_run *run = arg;
	const bool accept = run->w->o.accept;
	const uint64_t number = run->list->retires.number;
	int r = merge_items(run, s, err);

	if (accept || memcmp(s->owner_pub, nobody, 32) == 0)
		memcpy(s->owner_pub, run->repo->conf.owner_pub, sizeof(s->owner_pub));
	if (accept || number > s->retire_number)
		s->retire_number = number;
	s->findings = witness_findings(run->repo);
	if (accept)
		roster_free(&s->roster);
	return r ? r : merge_roster(&s->roster, &run->repo->roster, err);
}

/* --- what this host did --- */

struct made {
	const struct manifest *m;
	const struct id *name;
};

static int note_made(void *arg, struct sightings *s, struct err *err)
{
	const struct made *made = arg;
	struct adding a = {.s = s};
	int r = add_seen(&a, made->name, made->m, err);

	if (!r)
		r = add_end(&a, err);
	free(a.fresh);
	return r;
}

static void update(struct repo *repo,
		   int (*change)(void *arg, struct sightings *s, struct err *err), void *arg)
{
	struct err why = {0};

	if (repo->witness && repo->witness->o.state_dir &&
	    witness_update(repo, change, arg, &why) != 0)
		witness_warn(repo->witness, &why);
}

void witness_made(struct repo *repo, const struct manifest *m, const struct id *name)
{
	struct made made = {m, name};

	update(repo, note_made, &made);
}

struct retired {
	const struct retire_entry *entries;
	size_t count;
	uint64_t number;
};

/* They stay in mind until a look finds that nothing names them any more. */
static int note_retired(void *arg, struct sightings *s, struct err *err)
{
	const struct retired *retired = arg;

	(void)err;
	for (size_t i = 0; i < retired->count; i++) {
		struct sighting *item = sightings_find(s, &retired->entries[i].name);

		if (item)
			item->fate = SIGHTING_RETIRED;
	}
	if (retired->number > s->retire_number)
		s->retire_number = retired->number;
	return 0;
}

void witness_retired(struct repo *repo, const struct retire_entry *entries, size_t count,
		     uint64_t number)
{
	struct retired retired = {entries, count, number};

	update(repo, note_retired, &retired);
}

static int note_roster(void *arg, struct sightings *s, struct err *err)
{
	return merge_roster(&s->roster, arg, err);
}

void witness_enrolled(struct repo *repo)
{
	update(repo, note_roster, &repo->roster);
}
