/* check --read-data of a part of the packs: which, and where the next one begins. */
#include "repo/check_run.h"

#include "repo/checkpos.h"

#define SECOND_NS INT64_C(1000000000)

static uint64_t all_bytes(const struct check_run *run)
{
	uint64_t total = 0;

	for (size_t i = 0; i < run->index->pack_count; i++)
		total += run->index->packs[i].pack_bytes;
	return total;
}

/* A position that cannot be had is no reason not to read: the round begins anew. */
static int choose_due(struct check_run *run, struct err *err)
{
	const struct check_options *o = run->options;
	struct checkpos pos;
	struct err why = {0};
	bool found;
	int r = checkpos_load(o->state_dir, run->repo->conf.repo, &pos, &found, &why);

	if (r == -ERR_NOMEM)
		return err_nomem(err);
	if (r && o->note)
		o->note(o->arg, "where the last check stopped", why.text);
	run->part = checkpos_due(found ? &pos : NULL, o->part_days, o->now_ns / SECOND_NS);
	return 0;
}

int check_part_choose(struct check_run *run, struct err *err)
{
	const struct check_options *o = run->options;

	switch (o->part) {
	case CHECK_WHOLE:
		run->part = (struct rotation){.all = true};
		return 0;
	case CHECK_ARC:
		run->part = o->arc;
		return 0;
	case CHECK_BYTES:
		run->part = rotation_share(o->arc.from, o->part_bytes, all_bytes(run));
		return 0;
	case CHECK_DUE:
		break;
	}
	return choose_due(run, err);
}

int check_part_done(struct check_run *run, struct err *err)
{
	const struct check_options *o = run->options;
	const struct checkpos next = {rotation_end(&run->part), o->now_ns / SECOND_NS};
	struct err why = {0};
	int r;

	if (o->part != CHECK_DUE)
		return 0;
	r = checkpos_save(o->state_dir, run->repo->conf.repo, &next, &why);
	if (r == -ERR_NOMEM)
		return err_nomem(err);
	if (r && o->note)
		o->note(o->arg, "where this check stopped could not be kept", why.text);
	return 0;
}
