/* What a check found is kept for those who write: in the repository, and on this host. */
#include "repo/check_run.h"

/* What was found and is in none of the notes. */
static int new_places(const struct check_run *run, const struct notes *known, struct notes *out,
		      struct err *err)
{
	int r = 0;

	for (size_t i = 0; !r && i < run->found_count; i++) {
		const struct damage_place place = notes_place(run->index, run->found[i].place);

		if (run->found[i].lasting && !notes_have(known, &place))
			r = notes_add(out, &place, err);
	}
	notes_settle(out);
	return r;
}

static int note_in_repository(struct check_run *run, const struct notes *known, struct err *err)
{
	struct notes fresh = {0};
	uint64_t number = known->number;
	int r = new_places(run, known, &fresh, err);

	if (!r && fresh.count && run->options->put_notes) {
		r = notes_put(run->repo, &fresh, run->options->now_ns, &number, err);
		if (!r)
			run->result->noted = fresh.count;
	}
	notes_free(&fresh);
	return r;
}

static int note_on_host(struct check_run *run, struct err *err)
{
	struct notes local = {0}, fresh = {0};
	const uint8_t *repo = run->repo->conf.repo;
	int r = 0;

	if (!run->options->state_dir || !run->found_count)
		return 0;
	/* A file that does not read is replaced. */
	if (notes_load_local(run->options->state_dir, repo, &local, err) == -ERR_NOMEM)
		r = -ERR_NOMEM;
	notes_settle(&local);
	if (!r)
		r = new_places(run, &local, &fresh, err);
	for (size_t i = 0; !r && i < fresh.count; i++)
		r = notes_add(&local, &fresh.places[i], err);
	notes_settle(&local);
	if (!r && fresh.count)
		r = notes_save_local(run->options->state_dir, repo, &local, err);
	notes_free(&local);
	notes_free(&fresh);
	return r;
}

static void tell_unkept(const struct check_run *run, const char *where, const char *text)
{
	if (run->options->unkept)
		run->options->unkept(run->options->arg, where, text);
}

/*
 * Notes that this check has not looked into. They are no findings: the object may have been put back from a copy since, and
 * only reading it would tell.
 */
static void count_noted_before(struct check_run *run, const struct notes *known)
{
	struct index *index = run->index;

	if ((run->options->read_data && run->part.all) || run->options->manifests)
		return;
	notes_apply(known, index);
	for (size_t i = 0; i < known->count; i++) {
		uint32_t at = notes_find(index, &known->places[i]);
		const struct record_info *info = at == INDEX_NONE ? NULL : &index->places[at].info;

		if (info && index_find_good(index, info->kind, &info->id) == INDEX_NONE)
			run->result->noted_before++;
	}
}

/* The check is made, whether its findings can be kept or not. */
int check_note(struct check_run *run, const struct notes *known, struct err *err)
{
	struct err why = {0};

	if (note_in_repository(run, known, &why))
		tell_unkept(run, "in the repository", why.text);
	if (why.code == ERR_NOMEM)
		return err_nomem(err);
	why = (struct err){0};
	if (note_on_host(run, &why))
		tell_unkept(run, "on this host", why.text);
	count_noted_before(run, known);
	return why.code == ERR_NOMEM ? err_nomem(err) : 0;
}
