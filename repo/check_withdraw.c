/* check --repair: damage notes go of which nothing is true any more, as what was damaged was mended, put back, or is gone. */
#include "repo/check_run.h"

#include <stdlib.h>

#include "core/damage.h"
#include "repo/notes.h"

/* A pack that no segment names may still be there, unread. */
static bool is_gone(const struct check_run *run, const struct id *pack)
{
	struct err why = {0};
	uint64_t size;

	return store_size(run->repo->store, STORE_DATA, pack, &size, &why) == -ERR_MISSING;
}

/* Every copy was read: one that was damaged is marked. */
static bool is_stale(const struct check_run *run, const struct damage_place *p)
{
	const struct index *index = run->index;
	uint32_t at = notes_find(index, p);

	if (index_find_pack(index, &p->pack) == INDEX_NONE)
		return is_gone(run, &p->pack);
	return at == INDEX_NONE ||
	       !(index->packs[index->places[at].pack].bad || index->places[at].bad);
}

static bool all_stale(const struct check_run *run, const struct damage_place *places, size_t count)
{
	size_t i = 0;

	while (i < count && is_stale(run, &places[i]))
		i++;
	return i == count;
}

/* Not what this key cannot open, nor what is not as it should be: that was told when the manifests were read. */
static int withdraw_one(struct check_run *run, const struct id *name, struct err *err)
{
	struct damage d = {0};
	struct buf bytes = {0};
	struct err why = {0};
	int r = repo_get(run->repo, STORE_SNAPSHOTS, name, LIMIT_MANIFEST_BYTES, &bytes, &why);
	bool note = !r && bytes.len > 6 && bytes.data[6] == DAMAGE_KIND;

	if (note && damage_dec(run->repo->keys, bytes.data, bytes.len, &d, &why) == 0 &&
	    all_stale(run, d.places, d.count))
		r = store_remove(run->repo->store, STORE_SNAPSHOTS, name, err);
	else
		r = check_ends(r) ? r : 1;
	if (r && r != 1 && err->code == 0)
		*err = why;
	run->result->withdrawn += r ? 0 : d.count;
	damage_free(&d);
	buf_free(&bytes);
	return r > 0 ? 0 : r;
}

static int withdraw_in_repository(struct check_run *run, struct err *err)
{
	struct id *names = NULL;
	size_t count = 0;
	int r = repo_list(run->repo->store, STORE_SNAPSHOTS, &names, NULL, &count, err);

	for (size_t i = 0; !r && i < count; i++)
		r = withdraw_one(run, &names[i], err);
	free(names);
	return r;
}

static int withdraw_on_host(struct check_run *run, struct err *err)
{
	struct notes local = {0}, left = {0};
	const char *state_dir = run->options->state_dir;
	const uint8_t *repo = run->repo->conf.repo;
	int r = state_dir ? notes_load_local(state_dir, repo, &local, err) : 0;

	for (size_t i = 0; !r && i < local.count; i++) {
		if (!is_stale(run, &local.places[i]))
			r = notes_add(&left, &local.places[i], err);
	}
	notes_settle(&left);
	if (!r && left.count < local.count)
		r = notes_save_local(state_dir, repo, &left, err);
	notes_free(&local);
	notes_free(&left);
	return r;
}

void check_withdraw(struct check_run *run, const struct notes *known)
{
	const struct check_options *o = run->options;
	struct err why = {0};

	if (!o->withdraw || !o->read_data || !run->part.all || o->manifests)
		return;
	if (known->count && withdraw_in_repository(run, &why) && o->unkept)
		o->unkept(o->arg, "in the repository", why.text);
	why = (struct err){0};
	if (withdraw_on_host(run, &why) && o->unkept)
		o->unkept(o->arg, "on this host", why.text);
}
