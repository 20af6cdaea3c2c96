#include "repo/witness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/sha256.h"
#include "repo/place.h"
#include "repo/statefile.h"
#include "repo/witness_run.h"

#define NAME_CHARS (5 + 16 + 1)

/* --- what is kept --- */

/* A file for each location: a mirror is the same repository, and may be behind. */
static int name_of(const char *place, char out[NAME_CHARS], struct err *err)
{
	char hex[ID_HEX_CHARS + 1];
	struct id sum;
	int r = place ? sha256_of(place, strlen(place), &sum, err) : 0;

	(void)snprintf(out, NAME_CHARS, "seen");
	if (r || !place)
		return r;
	id_hex(&sum, hex);
	(void)snprintf(out, NAME_CHARS, "seen-%.16s", hex);
	return 0;
}

/* *out_raw: the bytes it was, empty when there were none. */
static int load(const char *state_dir, const uint8_t repo[REPO_ID_BYTES], const char *place,
		struct sightings *out, struct buf *out_raw, struct err *err)
{
	char name[NAME_CHARS];
	struct err why = {0};
	int r = name_of(place, name, err);

	*out = (struct sightings){0};
	if (!r)
		r = statefile_read(state_dir, repo, name, LIMIT_SIGHTINGS_BYTES, out_raw, err);
	if (r == -ERR_LIMIT)
		return statefile_damaged(state_dir, repo, name, "damaged: too large", err);
	if (r || !out_raw->len)
		return r;
	r = sightings_dec(out_raw->data, out_raw->len, repo, out, &why);
	if (!r)
		return 0;
	if (r == -ERR_NOMEM)
		return err_nomem(err);
	r = statefile_damaged(state_dir, repo, name, why.text, err);
	if (r == -ERR_DAMAGED && why.code == ERR_VERSION)
		err->code = ERR_VERSION;
	return -err->code;
}

int witness_load(const char *state_dir, const uint8_t repo[REPO_ID_BYTES], const char *place,
		 struct sightings *out_sightings, struct err *err)
{
	struct buf raw = {0};
	int r = load(state_dir, repo, place, out_sightings, &raw, err);

	buf_free(&raw);
	return r;
}

/* Written only where it says something new: most looks change nothing. */
static int keep(const struct repo *repo, const struct sightings *s, const struct buf *before,
		struct err *err)
{
	const struct witness_options *o = &repo->witness->o;
	char name[NAME_CHARS];
	struct buf now = {0};
	int r = sightings_enc(s, &now, err);

	if (!r)
		r = name_of(o->place, name, err);
	if (!r && (now.len != before->len || memcmp(now.data, before->data, now.len) != 0))
		r = statefile_write(o->state_dir, repo->conf.repo, name, now.data, now.len, err);
	buf_free(&now);
	return r;
}

int witness_update(const struct repo *repo,
		   int (*change)(void *arg, struct sightings *s, struct err *err), void *arg,
		   struct err *err)
{
	const char *state_dir = repo->witness->o.state_dir;
	struct sightings s = {0};
	struct buf before = {0};
	int fd = -1, r = statefile_lock(state_dir, repo->conf.repo, &fd, err);

	if (r)
		return r;
	r = load(state_dir, repo->conf.repo, repo->witness->o.place, &s, &before, err);
	if (r == -ERR_DAMAGED) /* begun anew */
		r = 0;
	memcpy(s.repo, repo->conf.repo, sizeof(s.repo));
	if (!r)
		r = change(arg, &s, err);
	if (!r)
		r = keep(repo, &s, &before, err);
	sightings_free(&s);
	buf_free(&before);
	(void)close(fd);
	return r;
}

void witness_warn(struct witness *w, const struct err *why)
{
	if (!w->warned && w->o.warning)
		w->o.warning(w->o.arg, why->text);
	w->warned = true;
}

/* --- telling --- */

/* What makes a finding the same: its kind, and whom it is about. */
static struct id key_of(const struct witness_finding *f)
{
	struct id key = {{0}};

	if (f->kind == WITNESS_MANIFEST || f->kind == WITNESS_RETIRE)
		key = f->name;
	else if (f->kind == WITNESS_WRITER || f->kind == WITNESS_UNDONE)
		memcpy(key.b, f->writer, sizeof(key.b));
	else
		memcpy(key.b, &f->was, sizeof(f->was));
	key.b[ID_BYTES - 1] = (uint8_t)(key.b[ID_BYTES - 1] ^ f->kind);
	return key;
}

/* Unless it was told. */
static int tell_one(struct witness *w, const struct witness_finding *f, size_t *told,
		    struct err *err)
{
	const struct id key = key_of(f);
	int r;

	if (idset_has(&w->told, &key))
		return 0;
	r = idset_add(&w->told, &key, err);
	if (!r && w->o.found)
		w->o.found(w->o.arg, f);
	++*told;
	return r;
}

/* --- the place --- */

/* A repository without a backup is missed by nobody. */
static bool had_backups(const struct witness *w, const uint8_t repo[REPO_ID_BYTES])
{
	struct sightings s = {0};
	struct err ignored = {0};
	int r = witness_load(w->o.state_dir, repo, w->o.place, &s, &ignored);
	bool had = r != 0;

	for (size_t i = 0; i < s.count; i++)
		had = had || s.items[i].fate == SIGHTING_SEEN;
	sightings_free(&s);
	return had;
}

static int misplaced(struct repo *repo, const struct place *place, struct err *err)
{
	struct witness *w = repo->witness;
	struct witness_finding f = {.kind = WITNESS_PLACE, .location = repo->store->location};
	size_t told = 0;
	int r;

	memcpy(f.was_repo, place->repos[place->count - 1], REPO_ID_BYTES);
	memcpy(f.is_repo, repo->conf.repo, REPO_ID_BYTES);
	r = tell_one(w, &f, &told, err);
	if (!r && w->o.looked)
		w->o.looked(w->o.arg, told);
	w->misplaced = !w->o.accept;
	return r;
}

static int look_at_place(struct repo *repo, struct err *err)
{
	struct witness *w = repo->witness;
	struct place place;
	struct err why = {0};
	int r = place_load(w->o.state_dir, w->o.place, &place, &why);
	bool missed = false;

	if (r == -ERR_NOMEM)
		return err_nomem(err);
	if (r)
		witness_warn(w, &why);
	if (!r && place_has(&place, repo->conf.repo))
		return 0;
	for (size_t i = 0; i < place.count && !missed; i++)
		missed = had_backups(w, place.repos[i]);
	r = missed ? misplaced(repo, &place, err) : 0;
	if (r || w->misplaced)
		return r;
	r = place_add(w->o.state_dir, w->o.place, repo->conf.repo, &why);
	if (r && (w->o.accept || r == -ERR_NOMEM))
		*err = why;
	else if (r)
		witness_warn(w, &why);
	return w->o.accept || r == -ERR_NOMEM ? r : 0;
}

/* --- attaching --- */

void witness_free(struct witness *w)
{
	if (!w)
		return;
	sightings_free(&w->base);
	idset_free(&w->told);
	/* They were made by strdup here. */
	free((void *)(uintptr_t)w->o.state_dir);
	free((void *)(uintptr_t)w->o.place);
	free(w);
}

int witness_attach(struct repo *repo, const struct witness_options *options, struct err *err)
{
	struct witness *w = calloc(1, sizeof(*w));

	if (!w)
		return err_nomem(err);
	w->o = *options;
	w->o.state_dir = options->state_dir ? strdup(options->state_dir) : NULL;
	w->o.place = options->place ? strdup(options->place) : NULL;
	if ((options->state_dir && !w->o.state_dir) || (options->place && !w->o.place)) {
		witness_free(w);
		return err_nomem(err);
	}
	repo->witness = w;
	return w->o.state_dir && w->o.place ? look_at_place(repo, err) : 0;
}

uint64_t witness_findings(const struct repo *repo)
{
	return repo->witness ? repo->witness->standing + repo->witness->misplaced : 0;
}

int witness_allow_removal(const struct repo *repo, const char *what, struct err *err)
{
	if (!witness_findings(repo))
		return 0;
	return err_set(
	    err, ERR_ROLLBACK,
	    "%s removes nothing while the repository is not what this host has seen; put "
	    "back what vanished, or take it as it is: 'nightjar check --accept-rollback'",
	    what);
}

/* --- looking --- */

int witness_begin(struct repo *repo, struct err *err)
{
	struct witness *w = repo->witness;
	struct err why = {0};
	int r;

	if (!w || !w->o.state_dir)
		return 0;
	sightings_free(&w->base);
	r = witness_load(w->o.state_dir, repo->conf.repo, w->o.place, &w->base, &why);
	if (r == -ERR_NOMEM)
		return err_nomem(err);
	if (r == -ERR_DAMAGED)
		(void)err_set(&why, ERR_DAMAGED,
			      "%s; what this host had seen of the repository is begun anew",
			      why.text);
	if (r)
		witness_warn(w, &why);
	return 0;
}

/* A record that was not there when the first listing went by. Any other object is the next look's. */
static int take_retire(struct witness_run *run, const struct id *name, struct err *err)
{
	struct buf bytes = {0};
	struct err why = {0};
	struct rd rd;
	uint8_t kind = 0;
	int r = repo_get(run->repo, STORE_SNAPSHOTS, name, LIMIT_MANIFEST_BYTES, &bytes, &why);

	rd = rd_of(bytes.data, bytes.len);
	if (!r)
		r = header_get(&rd, OBJECT_SNAPSHOT, &kind, &why);
	if (!r && kind == RETIRE_KIND)
		r = retires_take(run->repo, name, &bytes, &run->list->retires, &why);
	buf_free(&bytes);
	if (r != -ERR_NOMEM && !store_is_away(r))
		return 0;
	*err = why;
	return r;
}

static int compare_ids(const void *a, const void *b)
{
	return id_cmp(a, b);
}

static bool listed(const struct id *names, size_t count, const struct id *name)
{
	return count && bsearch(name, names, count, sizeof(*names), compare_ids);
}

bool witness_is_gone(const struct witness_run *run, const struct id *name)
{
	return !listed(run->names, run->count, name) && !listed(run->more, run->more_count, name);
}

/*
 * A listing is not of one moment: a forget may have published its record behind it and removed the manifest before it, and a new writer may
 * have come since the roster was read. So nothing is said before a second look.
 */
static int look_again(struct witness_run *run, struct err *err)
{
	int r =
	    repo_list(run->repo->store, STORE_SNAPSHOTS, &run->more, NULL, &run->more_count, err);

	for (size_t i = 0; !r && i < run->more_count; i++) {
		if (!listed(run->names, run->count, &run->more[i]))
			r = take_retire(run, &run->more[i], err);
	}
	if (!r)
		r = retires_settle(&run->list->retires, err);
	if (!r)
		r = repo_refresh_roster(run->repo, err);
	return r ? r : witness_judge(run, err);
}

static int tell(struct witness_run *run, struct err *err)
{
	struct witness *w = run->w;
	size_t told = 0;
	int r = 0;

	for (size_t i = 0; !r && i < run->finding_count; i++)
		r = tell_one(w, &run->findings[i], &told, err);
	if (!r && told && w->o.looked)
		w->o.looked(w->o.arg, told);
	w->standing = w->o.accept ? 0 : run->finding_count;
	return r;
}

static int remember(struct witness_run *run, struct err *err)
{
	struct err why = {0};
	int r;

	if (!run->w->o.state_dir)
		return 0;
	r = witness_update(run->repo, witness_merge, run, &why);
	if (r == -ERR_NOMEM || (r && run->w->o.accept)) {
		*err = why;
		return r;
	}
	if (r)
		witness_warn(run->w, &why);
	return 0;
}

int witness_look(struct repo *repo, struct manifest_list *list, const struct id *names,
		 size_t count, struct err *err)
{
	struct witness_run run = {
	    .repo = repo, .w = repo->witness, .list = list, .names = names, .count = count};
	int r;

	if (!run.w)
		return 0;
	r = witness_judge(&run, err);
	if (!r && run.finding_count)
		r = look_again(&run, err);
	if (!r)
		r = tell(&run, err);
	if (!r)
		r = remember(&run, err);
	free(run.more);
	free(run.refs);
	free(run.findings);
	return r;
}

const struct sighting *witness_recall(const struct repo *repo, const struct id *name)
{
	return repo->witness ? sightings_find(&repo->witness->base, name) : NULL;
}

enum witness_word witness_ask(const struct manifest_list *list, const struct sighting *wanted)
{
	struct retire_entry entry = {.sequence = wanted->sequence, .name = wanted->name};

	for (size_t i = 0; i < list->count; i++) {
		const struct manifest_item *item = &list->items[i];

		if (id_eq(&item->name, &wanted->name))
			return memcmp(item->m.writer, wanted->writer, 32) == 0 &&
				       item->m.sequence == wanted->sequence
				   ? WITNESS_THERE
				   : WITNESS_UNKNOWN;
	}
	memcpy(entry.writer, wanted->writer, sizeof(entry.writer));
	return retires_say(&list->retires, &entry) ? WITNESS_REMOVED : WITNESS_UNKNOWN;
}
