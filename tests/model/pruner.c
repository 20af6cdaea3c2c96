/*
 * Phase 2 of a pruner: asks the clocks and lists the condemn records, reads the manifests, lists the packs, deletes one.
 * Phase 1 and repacking are in world.c, as they may happen at any time.
 */
#include "tests/model/model.h"

static bool packs_first(const struct model *m)
{
	return m->off[RULE_RECORDS_FIRST_PRUNER];
}

static void idle(struct state *s, unsigned p)
{
	for (size_t i = 0; i < PACKS; i++)
		s->pack[i].known[p] = KNOWN_NOT;
	s->pruner[p] = (struct pruner){.at = PRUNER_IDLE};
}

/* Too late to decide anything on what the run has listed. */
static bool late(const struct model *m, const struct pruner *p)
{
	return p->ticks > DELETE_TICKS && !m->off[RULE_DELETE_LIMIT];
}

/* What a record says of the pack to a pruner whose clock is ahead by skew ticks. */
static uint8_t record_says(const struct model *m, const struct pack *p, int skew)
{
	bool due;

	if (m->off[RULE_TWO_PHASES] && p->present)
		return KNOWN_DUE;
	if (p->record == RECORD_NONE || (p->record == RECORD_LOST && !m->off[RULE_RECORD_PRESENT]))
		return KNOWN_NOT;
	due = p->record + skew >= RECORD_DUE || m->off[RULE_GRACE];
	return due ? KNOWN_DUE : KNOWN_CONDEMNED;
}

static uint8_t mark(const struct model *m, const struct state *s)
{
	return m->off[RULE_ALL_MANIFESTS] ? s->newest : state_live(s);
}

/*
 * Lists the records, before the packs or after, and picks the due pack that this run is after; none, no run. A run that
 * deletes two packs is two pruners in step. Hosts' clocks matter only where the rule is off.
 */
static void lists_records(struct steps *out, const struct state *s, unsigned p)
{
	const struct model *m = out->model;
	bool skewed = m->off[RULE_STORE_CLOCK];

	for (unsigned target = 0; target < PACKS; target++) {
		struct state to = *s;

		for (unsigned i = 0; i < PACKS; i++) {
			uint8_t says = record_says(m, &to.pack[i], skewed ? GRACE_TICKS : 0);

			if (says == KNOWN_DUE && i != target)
				says = to.pack[i].record ? KNOWN_CONDEMNED : KNOWN_NOT;
			if (!packs_first(m) || (says && to.pack[i].known[p]))
				to.pack[i].known[p] = says;
		}
		if (to.pack[target].known[p] != KNOWN_DUE)
			continue;
		if (!packs_first(m) && !world_spend(&to, BOUND_PRUNES))
			continue;
		to.pruner[p].at =
		    packs_first(m) || m->off[RULE_FRESH_MARK] ? PRUNER_MARKED : PRUNER_LISTING;
		if (packs_first(m))
			to.pruner[p].live = mark(m, s);
		step_emit(out, &to, NULL, "pruner %u lists the condemn records: pack %c is due%s",
			  p + 1, 'A' + (char)target,
			  skewed && to.pack[target].record < RECORD_DUE ? " by its own clock" : "");
	}
}

static void lists_packs(struct state *s, unsigned p)
{
	for (size_t i = 0; i < PACKS; i++)
		if (s->pack[i].present && !s->pack[i].known[p])
			s->pack[i].known[p] = KNOWN_FREE;
}

static void starts(struct steps *out, const struct state *s, unsigned p)
{
	struct state to = *s;

	if (!packs_first(out->model)) {
		lists_records(out, s, p);
		return;
	}
	if (!world_spend(&to, BOUND_PRUNES))
		return;
	lists_packs(&to, p);
	to.pruner[p].at = PRUNER_LISTING;
	step_emit(out, &to, NULL, "pruner %u lists the packs", p + 1);
}

static unsigned believed(const struct state *s, unsigned p, uint8_t least, uint8_t most)
{
	unsigned packs = 0;

	for (unsigned i = 0; i < PACKS; i++)
		if (s->pack[i].known[p] >= least && s->pack[i].known[p] <= most)
			packs |= 1U << i;
	return packs;
}

/* Reads the manifests; the index and the packs come after. */
static void marks(struct steps *out, const struct state *s, unsigned p)
{
	struct state to = *s;

	to.pruner[p].live = mark(out->model, s);
	to.pruner[p].at = to.pruner[p].at == PRUNER_IDLE ? PRUNER_EARLY : PRUNER_MARKED;
	step_emit(out, &to, NULL, "pruner %u reads the manifests", p + 1);
}

/* May the pack that is due be deleted? */
static void test_due(struct steps *out, const struct state *s, unsigned p)
{
	const struct model *m = out->model;
	unsigned all = believed(s, p, KNOWN_FREE, KNOWN_DUE);
	unsigned target = believed(s, p, KNOWN_DUE, KNOWN_DUE);
	unsigned others =
	    m->off[RULE_COPY_FREE] ? all & ~target : believed(s, p, KNOWN_FREE, KNOWN_FREE);
	uint8_t live = s->pruner[p].live;
	uint8_t reach = m->off[RULE_MARK_BASES] ? live : state_reach(s, all, live);
	uint8_t safe = m->off[RULE_TWO_PHASES]         ? 0
		       : m->off[RULE_DECODABLE_PRUNER] ? state_copied_closed(s, others)
						       : state_decodable(s, others);
	bool deletes = !late(m, &s->pruner[p]) && (state_copied(s, target) & reach & ~safe) == 0;
	struct state to = *s;

	for (unsigned i = 0; i < PACKS; i++)
		to.pack[i].known[p] = !((target >> i) & 1)     ? KNOWN_NOT
				      : deletes                ? KNOWN_DUE
				      : m->off[RULE_NO_PARDON] ? KNOWN_CONDEMNED
							       : KNOWN_NOT;
	to.pruner[p].at = PRUNER_DELETES;
	to.pruner[p].live = 0;
	if (m->world != WORLD_LOSS)
		to.pruner[p].ticks = 0;
	if (!deletes)
		out->events[EVENT_KEPT]++;
	step_emit(out, &to, NULL, "pruner %u lists the packs: that one may %s", p + 1,
		  deletes ? "be deleted" : "not be deleted");
}

/* Lists the packs, unless that was done, and decides. */
static void decides(struct steps *out, const struct state *from, unsigned p)
{
	struct state listed = *from;

	if (!packs_first(out->model))
		lists_packs(&listed, p);
	test_due(out, &listed, p);
}

/* One pack, and with it what names it; without RULE_RECORD_LAST the record goes in a step before. */
static void deletes(struct steps *out, const struct state *s, unsigned p, unsigned i)
{
	struct state to = *s;
	struct pack *pack = &to.pack[i];
	uint8_t reach = state_reach(s, state_present(s), state_live(s));

	if (out->model->off[RULE_RECORD_LAST] && pack->known[p] == KNOWN_DUE) {
		pack->record = RECORD_NONE;
		pack->known[p] = KNOWN_FREE;
		step_emit(out, &to, NULL, "pruner %u removes the record of pack %c", p + 1,
			  'A' + (char)i);
		return;
	}
	out->events[state_pack_ids(pack) & reach ? EVENT_LIVE_MOVED : EVENT_GARBAGE_DELETED]++;
	pack->present = 0;
	step_emit(out, &to, NULL, "pruner %u deletes pack %c", p + 1, 'A' + (char)i);
}

static void works(struct steps *out, const struct state *s, unsigned p)
{
	const struct model *m = out->model;

	if (m->world == WORLD_LOSS && late(m, &s->pruner[p]))
		return;
	for (unsigned i = 0; i < PACKS; i++) {
		struct state to = *s;

		if (!s->pack[i].present || !s->pack[i].known[p])
			continue;
		if (s->pack[i].known[p] != KNOWN_CONDEMNED) {
			deletes(out, s, p, i);
			continue;
		}
		to.pack[i].record = RECORD_NONE;
		to.pack[i].known[p] = KNOWN_NOT;
		step_emit(out, &to, NULL, "pruner %u pardons pack %c", p + 1, 'A' + (char)i);
	}
}

/* Done, or killed: the same to all others. */
static void ends(struct steps *out, const struct state *s, unsigned p)
{
	struct state to = *s;

	idle(&to, p);
	out->events[EVENT_KILLED]++;
	step_emit(out, &to, NULL, "pruner %u ends", p + 1);
}

void pruner_steps(struct steps *out, const struct state *s, unsigned p)
{
	const struct model *m = out->model;

	switch ((enum pruner_at)s->pruner[p].at) {
	case PRUNER_IDLE:
		if (m->off[RULE_FRESH_MARK])
			marks(out, s, p);
		else
			starts(out, s, p);
		return;
	case PRUNER_EARLY:
		starts(out, s, p);
		break;
	case PRUNER_LISTING:
		if (packs_first(m))
			lists_records(out, s, p);
		else
			marks(out, s, p);
		break;
	case PRUNER_MARKED:
		decides(out, s, p);
		break;
	case PRUNER_DELETES:
		works(out, s, p);
		break;
	}
	ends(out, s, p);
}
