#include "repo/footing.h"

#include <time.h>

#define LOOK_MOST_S (CONDEMNED_GRACE_LEAST_S / 2)

static int64_t now_s(const struct footing *f)
{
	struct timespec now;

	if (f->clock)
		return f->clock(f->clock_arg);
	(void)clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec;
}

/* Records that nobody can use condemn nothing (R1). */
static int list_condemned(struct footing *f, size_t *out_fresh, struct err *err)
{
	struct condemned c = {0};
	int r;

	f->listed_s = now_s(f);
	r = condemned_load(f->repo, NULL, NULL, &c, err);
	*out_fresh = r ? 0 : condemned_apply(&c, f->index);
	condemned_free(&c);
	return r;
}

int footing_open(struct footing *f, struct repo *repo, struct index *index, footing_clock_fn *clock,
		 void *clock_arg, struct err *err)
{
	size_t fresh;
	int r;

	*f = (struct footing){.repo = repo, .index = index, .clock = clock, .clock_arg = clock_arg};
	r = list_condemned(f, &fresh, err);
	/* The packer lists data/ when it is made. */
	f->packs_listed_s = f->listed_s;
	return r;
}

/*
 * A pack that went since data/ was listed had been condemned for a whole grace by then. So within half of one the listing of locks/ before
 * that told of it; later it may have been condemned and deleted in between, and its record removed, so data/ is listed anew, after locks/.
 */
static int look_at_packs(struct footing *f, struct err *err)
{
	struct condemned c = {0};
	uint64_t lost;
	int r = condemned_load(f->repo, NULL, NULL, &c, err);

	/* What was condemned by repacking lies in packs that new segments name. */
	if (!r)
		r = index_refresh(f->repo, f->index, NULL, NULL, err);
	if (!r) {
		(void)condemned_apply(&c, f->index);
		r = index_mark_lost(f->repo, f->index, &lost, err);
	}
	if (!r)
		f->packs_listed_s = f->listed_s;
	condemned_free(&c);
	return r;
}

int footing_look(struct footing *f, struct packer *packer, struct chunk_ref **out_lacking,
		 size_t *out_count, struct err *err)
{
	size_t fresh;
	int r = list_condemned(f, &fresh, err);

	if (!r && (fresh || f->listed_s - f->packs_listed_s > LOOK_MOST_S))
		r = look_at_packs(f, err);
	return r ? r : packer_lacking(packer, out_lacking, out_count, err);
}

bool footing_in_time(const struct footing *f)
{
	return now_s(f) - f->listed_s <= LOOK_MOST_S;
}
