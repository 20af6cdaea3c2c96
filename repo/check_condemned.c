/* What a check makes of prunes: packs that they have condemned, are deleting just now, or have deleted. */
#include "repo/check_run.h"

#include <stdlib.h>

#include "repo/liveness.h"

static void on_bad_record(void *arg, const struct id *name, const struct err *why)
{
	check_tell_damage(arg, STORE_LOCKS, name, why->text);
}

/* Before anything else is listed: what goes meanwhile had been condemned long before. */
int check_load_condemned(struct check_run *run, struct err *err)
{
	return condemned_load(run->repo, on_bad_record, run, &run->condemned, err);
}

int check_match_condemned(struct check_run *run, struct err *err)
{
	run->doomed = calloc(run->index->pack_count + 1, sizeof(*run->doomed));
	if (!run->doomed)
		return err_nomem(err);
	for (size_t i = 0; i < run->condemned.count; i++) {
		const struct condemn *c = &run->condemned.records[i].c;

		for (size_t k = 0; c->kind == CONDEMN_PACKS && k < c->pack_count; k++) {
			uint32_t pack = index_find_pack(run->index, &c->packs[k]);

			if (pack == INDEX_NONE || run->doomed[pack])
				continue;
			run->doomed[pack] = true;
			run->result->condemned++;
		}
	}
	return 0;
}

bool check_is_condemned(const struct check_run *run, uint32_t pack)
{
	return pack < run->indexed && run->doomed[pack];
}

void check_tell_needed(struct check_run *run, uint32_t pack)
{
	char path[STORE_PATH_CHARS];

	if (!check_is_condemned(run, pack) || run->gathering)
		return;
	run->doomed[pack] = false;
	store_path(STORE_DATA, &run->index->packs[pack].name, path);
	if (run->options->note)
		run->options->note(run->options->arg, path,
				   "condemned by a prune, but needed again: the next prune moves "
				   "what is needed of it");
}

/* --- packs that are gone and that a segment still names --- */

/* Of two prunes at once one may have put a segment that names what the other was about to delete. Found out only when one is missing. */
static int mark_needed(struct check_run *run, const struct manifest_list *list, struct err *err)
{
	const struct liveness_options how = {0};
	struct index *index = NULL;
	struct reader *reader = NULL;
	struct liveness live = {0};
	uint64_t lost;
	int r = index_load(run->repo, NULL, NULL, &index, err);

	if (!r)
		r = index_rescue(run->repo, index, err);
	if (!r)
		r = index_mark_lost(run->repo, index, &lost, err);
	if (!r)
		r = reader_new(run->repo, index, &reader, err);
	if (!r)
		r = liveness_mark(reader, list, &how, &live, err);
	run->all_found = !r;
	liveness_free(&live);
	reader_free(reader);
	index_free(index);
	return check_ends(r) ? r : 0;
}

int check_unneeded(struct check_run *run, const struct manifest_list *list, bool *out_unneeded,
		   struct err *err)
{
	struct err why = {0};
	int r = 0;

	if (!run->looked_for_all)
		r = mark_needed(run, list, &why);
	run->looked_for_all = true;
	*out_unneeded = run->all_found;
	if (r)
		*err = why;
	return r;
}
