/* What a check says of what it finds. */
#include "repo/check_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/mend.h"

/* Once a pack; one after the other they are told. What is away or forbidden cannot be judged, and is no more said. */
static bool is_mendable(struct check_run *run, const struct id *name)
{
	struct buf bytes = {0};
	struct err why = {0};
	struct mend m;

	if (run->has_judged && id_eq(&run->judged, name))
		return run->judged_mendable;
	run->judged = *name;
	run->has_judged = true;
	run->judged_mendable = mend_pack(run->repo->store, name, false, &bytes, &m, &why) == 0 &&
			       m.state == MEND_COULD;
	run->result->mendable += run->judged_mendable;
	buf_free(&bytes);
	return run->judged_mendable;
}

void check_tell_damage(struct check_run *run, enum store_type type, const struct id *name,
		       const char *text)
{
	char path[STORE_PATH_CHARS], more[600];

	if (run->gathering)
		return;
	store_path(type, name, path);
	run->result->damaged++;
	if (type == STORE_DATA && !run->options->by_notes && is_mendable(run, name)) {
		(void)snprintf(more, sizeof(more), "%s; 'nightjar check --repair' can mend this",
			       text);
		text = more;
	}
	if (run->options->damage)
		run->options->damage(run->options->arg, path, text);
}

void check_tell_touched(struct check_run *run, const struct id *manifest, const char *path,
			const char *text)
{
	if (run->gathering)
		return;
	if (run->told_path && strcmp(run->told_path, path) == 0 &&
	    id_eq(&run->told_manifest, manifest))
		return;
	free(run->told_path);
	run->told_path = strdup(path); /* without memory it is told again, no more */
	run->told_manifest = *manifest;
	run->result->damaged++;
	if (run->options->touched)
		run->options->touched(run->options->arg, manifest, path, text);
}

void check_tell_healed(struct check_run *run, const struct id *pack, const char *text)
{
	char path[STORE_PATH_CHARS];

	store_path(STORE_DATA, pack, path);
	run->result->healed++;
	if (run->options->healed)
		run->options->healed(run->options->arg, path, text);
}

/* Nothing is lost with this copy: the chunk is not asked for, or another copy is whole. */
static bool place_replaced(const struct check_run *run, uint32_t at)
{
	const struct record_info *info = &run->index->places[at].info;

	return index_find_good(run->index, info->kind, &info->id) != INDEX_NONE;
}

/* As much was said of another record of its pack: where records are not judged one by one, they share a line. */
static bool is_said(const struct check_run *run, const struct check_found *f,
		    const struct check_found *before)
{
	return run->structure && before && strcmp(before->text, f->text) == 0 &&
	       run->index->places[before->place].pack == run->index->places[f->place].pack;
}

void check_tell_found(struct check_run *run, size_t first)
{
	const struct check_found *healed = NULL, *damaged = NULL;

	for (size_t i = first; i < run->found_count; i++) {
		const struct check_found *f = &run->found[i];
		const struct index_place *place = &run->index->places[f->place];
		const struct id *pack = &run->index->packs[place->pack].name;

		if (place_replaced(run, f->place)) {
			if (!is_said(run, f, healed))
				check_tell_healed(run, pack, f->text);
			healed = f;
		} else if (check_in_scope(run, &place->info.id)) {
			if (!is_said(run, f, damaged))
				check_tell_damage(run, STORE_DATA, pack, f->text);
			damaged = f;
		}
	}
}
