/*
 * A writer: starts, lists the condemn records, lists the packs, puts what it has to, lists the records again, publishes,
 * and lists everything again. pack.seen tells between the first two listings which packs a record names, and then, until
 * the last look at the records, which are relied on. Without one of the rules on the order of listings the packs come
 * first, and seen tells in between which were there.
 */
#include "tests/model/model.h"

static const char *const ids_text[] = {"{}", "{x}", "{y}", "{x y}"};

/* The bit of a set of ids among visible manifests; a manifest without any is not looked at. */
static uint8_t set_bit(uint8_t ids)
{
	return ids ? (uint8_t)(1U << (ids - 1)) : 0;
}

static bool packs_first(const struct model *m)
{
	return m->off[RULE_RECORDS_FIRST_WRITER] || m->off[RULE_STORE_GONE];
}

static bool record_visible(const struct pack *p)
{
	return p->record != RECORD_NONE && p->record != RECORD_LOST;
}

static void rely_on(struct state *s, unsigned w, unsigned packs)
{
	for (unsigned i = 0; i < PACKS; i++)
		s->pack[i].seen[w] = (packs >> i) & 1;
}

static void drop_mine(struct state *s, unsigned w)
{
	for (size_t i = 0; i < PACKS; i++)
		s->pack[i].mine[w] = 0;
}

static void begin_listing(const struct model *m, struct state *s, unsigned w, uint8_t at)
{
	bool ignore = m->off[RULE_LIST_BEFORE] && at == WRITER_LISTING;

	for (size_t i = 0; i < PACKS; i++)
		s->pack[i].seen[w] =
		    packs_first(m) ? s->pack[i].present : record_visible(&s->pack[i]) && !ignore;
	s->writer[w].at = at;
	s->writer[w].ticks = 0;
}

/* The packs that the writer relies on, at its second listing. */
static unsigned usable(const struct model *m, const struct state *s, unsigned w)
{
	unsigned packs = 0;

	for (unsigned i = 0; i < PACKS; i++) {
		const struct pack *p = &s->pack[i];
		bool use =
		    packs_first(m) ? p->seen[w] && !record_visible(p) : p->present && !p->seen[w];

		packs |= (unsigned)use << i;
	}
	return packs;
}

/* What the writer takes to be safely stored when these packs are. */
static uint8_t stored(const struct model *m, const struct state *s, unsigned w, unsigned packs)
{
	uint8_t ids = m->off[RULE_REACH_BASES]        ? state_copied(s, packs)
		      : m->off[RULE_DECODABLE_WRITER] ? state_copied_closed(s, packs)
						      : state_decodable(s, packs);

	return ids | s->writer[w].carried;
}

/* May this copy of id be made, next to the other one of the same pack? */
static bool may_make(const struct model *m, const struct state *s, unsigned packs, unsigned id,
		     const uint8_t copy[2])
{
	struct state t = *s;
	bool again = (state_copied(s, state_present(s)) >> id) & 1;
	unsigned base = 1 - id;

	if (copy[id] <= COPY_FULL)
		return true;
	if (again && !m->off[RULE_STORE_FULL])
		return false;
	if (copy[base] == copy[id] - 1)
		return true;
	/* The base: a copy one level below in a pack that is relied on, decodable unless nobody cares. */
	for (size_t i = 0; i < PACKS; i++)
		if (!((packs >> i) & 1) || t.pack[i].copy[base] != copy[id] - 1)
			t.pack[i].copy[base] = COPY_NONE;
	if (!((state_copied(&t, packs) >> base) & 1))
		return false;
	return m->off[RULE_STORE_FULL] || ((state_decodable(s, packs) >> base) & 1);
}

/* With this new pack beside those relied on, is all of the goal stored? */
static bool suffices(const struct model *m, const struct state *s, unsigned w, unsigned packs,
		     const uint8_t copy[2])
{
	struct state t = *s;
	uint8_t goal = s->writer[w].goal;
	struct pack *made = state_room(&t);

	if (m->off[RULE_STORE_FULL]) {
		const struct pack only = {.copy = {copy[0], copy[1]}};

		return (goal & ~(stored(m, s, w, packs) | state_pack_ids(&only))) == 0;
	}
	if (!made)
		return false;
	made->copy[0] = copy[0];
	made->copy[1] = copy[1];
	return (goal & ~stored(m, &t, w, packs | 1U << (made - t.pack))) == 0;
}

/* Every pack that would do: those of one copy if any, else those of two. */
static unsigned store_choices(struct steps *out, const struct state *s, unsigned w, unsigned packs,
			      bool both, bool condemned, uint8_t at)
{
	const struct model *m = out->model;
	unsigned made = 0;

	for (uint8_t code = 1; code < 16; code++) {
		const uint8_t copy[2] = {code & 3, code >> 2};
		struct state to = *s;

		if ((m->bounds.ids == 1 && code != COPY_FULL) || (copy[0] && copy[1]) != both ||
		    !may_make(m, s, packs, 0, copy) || !may_make(m, s, packs, 1, copy) ||
		    !suffices(m, s, w, packs, copy))
			continue;
		rely_on(&to, w, at == WRITER_PUTS ? packs : 0);
		to.writer[w].at = at;
		to.writer[w].copy[0] = copy[0];
		to.writer[w].copy[1] = copy[1];
		if (at == WRITER_PUTS_AGAIN)
			out->events[EVENT_HEALED]++;
		if (condemned)
			out->events[EVENT_STORED_AGAIN]++;
		step_emit(out, &to, NULL, "writer %u lists the %s: it has to store %s%s%s", w + 1,
			  packs_first(m) ? "condemn records" : "packs",
			  copy[0] ? (copy[0] == COPY_FULL ? "x" : "x as a delta") : "",
			  both ? " and " : "",
			  copy[1] ? (copy[1] == COPY_FULL ? "y" : "y as a delta") : "");
		made++;
	}
	return made;
}

/* The second listing, and what follows from it for a backup of these ids. */
static void end_listing(struct steps *out, const struct state *s, unsigned w, uint8_t goal)
{
	const struct model *m = out->model;
	bool again = s->writer[w].at == WRITER_LISTING_AGAIN;
	unsigned packs = usable(m, s, w);
	uint8_t there = state_copied(s, state_present(s)), need;
	struct state to = *s;

	to.writer[w].goal = goal;
	to.writer[w].carried &= goal;
	need = goal & (uint8_t)~stored(m, &to, w, packs);
	if (m->off[RULE_STORE_GONE] && !again)
		to.writer[w].ticks = 0; /* what it remembers of the packs has no age */
	if (need) {
		uint8_t at = again ? WRITER_PUTS_AGAIN : WRITER_PUTS;

		if (!store_choices(out, &to, w, packs, false, need & there, at))
			(void)store_choices(out, &to, w, packs, true, need & there, at);
		return;
	}
	rely_on(&to, w, again ? 0 : packs);
	if (again) {
		to.acked |= to.visible & set_bit(goal);
		to.writer[w] = (struct writer){.at = WRITER_IDLE};
		out->events[EVENT_ACKNOWLEDGED]++;
	} else {
		to.writer[w].at = WRITER_STORED;
	}
	step_emit(out, &to, NULL, "writer %u lists the %s for %s: all is stored%s", w + 1,
		  packs_first(m) ? "condemn records" : "packs", ids_text[goal],
		  again ? ", done" : "");
}

static void starts(struct steps *out, const struct state *s, unsigned w)
{
	struct state to = *s;

	if (!world_spend(&to, BOUND_RUNS))
		return;
	if (out->model->off[RULE_REACH_CARRIED])
		to.writer[w].carried = s->newest;
	begin_listing(out->model, &to, w, WRITER_LISTING);
	step_emit(out, &to, NULL, "writer %u starts and lists the %s", w + 1,
		  packs_first(out->model) ? "packs" : "condemn records");
}

static bool late(const struct model *m, const struct writer *self)
{
	return m->world != WORLD_STALL && !m->off[RULE_HALF_GRACE] && self->ticks > PUBLISH_TICKS;
}

static void begins_anew(struct steps *out, const struct state *s, unsigned w, const char *why)
{
	struct state to = *s;

	to.writer[w].goal = 0;
	begin_listing(out->model, &to, w, WRITER_LISTING);
	step_emit(out, &to, NULL, "writer %u %s and lists the %s anew", w + 1, why,
		  packs_first(out->model) ? "packs" : "condemn records");
}

/* As stored(), but a delta that it made itself is good when the base is: it does not see that the base may rest on it. */
static uint8_t trusted(const struct model *m, const struct state *s, unsigned w, unsigned packs)
{
	struct state t = *s;
	unsigned ids, bases = 0;

	for (size_t i = 0; i < PACKS; i++)
		for (unsigned id = 0; id < 2; id++)
			if (s->pack[i].mine[w] && s->pack[i].copy[id] > COPY_FULL) {
				t.pack[i].copy[id] = COPY_FULL;
				bases |= 2U >> id;
			}
	ids = stored(m, &t, w, packs);
	return bases & ~ids ? 0 : (uint8_t)ids;
}

/* The last look: the records alone, as the packs that went since they were listed were condemned before. */
static void looks(struct steps *out, const struct state *s, unsigned w)
{
	const struct model *m = out->model;
	struct state to = *s;
	unsigned packs = 0;
	uint8_t have;

	if (late(m, &s->writer[w])) {
		begins_anew(out, s, w, "is late");
		return;
	}
	for (unsigned i = 0; i < PACKS; i++)
		if (s->pack[i].seen[w] &&
		    (!record_visible(&s->pack[i]) || m->off[RULE_LIST_BEFORE]))
			packs |= 1U << i;
	have = m->off[RULE_STORE_FULL] ? trusted(m, s, w, packs) : stored(m, s, w, packs);
	if (s->writer[w].goal & ~have) {
		begins_anew(out, s, w, "lists the condemn records, lacks something");
		return;
	}
	rely_on(&to, w, 0);
	to.writer[w].at = WRITER_READY;
	to.writer[w].ticks = 0;
	step_emit(out, &to, NULL, "writer %u lists the condemn records: nothing new", w + 1);
}

static void publishes(struct steps *out, const struct state *s, unsigned w)
{
	const struct model *m = out->model;
	struct state to = *s;
	struct writer *self = &to.writer[w];
	unsigned set = set_bit(self->goal), before = set_bit(s->newest);

	if (late(m, self)) {
		out->events[EVENT_LATE]++;
		begins_anew(out, s, w, "is late");
		return;
	}
	/* One that was never acknowledged is superseded, and taken to be forgotten with that. */
	if (m->world == WORLD_STALL && before != set && !(to.acked & before))
		to.visible &= (uint8_t)~before;
	to.visible |= (uint8_t)set;
	to.newest = self->goal;
	drop_mine(&to, w);
	self->ticks = 0;
	if (self->at == WRITER_PUTS)
		self->at = WRITER_PUTS_AGAIN; /* before its packs */
	else if (m->world == WORLD_STALL && !m->off[RULE_LIST_AGAIN])
		self->at = WRITER_PUBLISHED;
	else {
		if (m->world == WORLD_STALL)
			to.acked |= (uint8_t)set;
		*self = (struct writer){.at = WRITER_IDLE};
	}
	step_emit(out, &to, NULL, "writer %u publishes a manifest of %s", w + 1,
		  ids_text[s->writer[w].goal]);
}

static void put(struct steps *out, const struct state *s, unsigned w)
{
	struct state to = *s;
	struct writer *self = &to.writer[w];
	struct pack *room = state_room(&to);

	if (!room)
		return;
	room->present = 1;
	room->copy[0] = self->copy[0];
	room->copy[1] = self->copy[1];
	if (self->at == WRITER_PUTS &&
	    (out->model->world == WORLD_NAMED || out->model->off[RULE_STORE_FULL]))
		room->mine[w] = 1;
	room->seen[w] = self->at == WRITER_PUTS;
	self->at = self->at == WRITER_PUTS ? WRITER_STORED : WRITER_PUBLISHED;
	self->copy[0] = self->copy[1] = COPY_NONE;
	step_emit(out, &to, NULL, "writer %u puts pack %c", w + 1, 'A' + (char)(room - to.pack));
}

static void dies(struct steps *out, const struct state *s, unsigned w)
{
	struct state to = *s;

	rely_on(&to, w, 0);
	drop_mine(&to, w);
	to.writer[w] = (struct writer){.at = WRITER_IDLE};
	out->events[EVENT_KILLED]++;
	step_emit(out, &to, NULL, "writer %u is killed", w + 1);
}

void writer_steps(struct steps *out, const struct state *s, unsigned w)
{
	switch ((enum writer_at)s->writer[w].at) {
	case WRITER_IDLE:
		starts(out, s, w);
		return;      /* nothing to kill */
	case WRITER_LISTING: /* what it backs up mattered to nobody until now */
		for (uint8_t goal = out->model->bounds.ids == 1 ? 0 : 1;
		     goal <= (out->model->bounds.ids == 1 ? 1 : 3); goal++)
			end_listing(out, s, w, goal);
		break;
	case WRITER_LISTING_AGAIN:
		end_listing(out, s, w, s->writer[w].goal);
		break;
	case WRITER_PUTS:
		if (out->model->off[RULE_MANIFEST_LAST])
			publishes(out, s, w);
		put(out, s, w);
		break;
	case WRITER_PUTS_AGAIN:
		put(out, s, w);
		break;
	case WRITER_STORED:
		looks(out, s, w);
		break;
	case WRITER_READY:
		publishes(out, s, w);
		break;
	case WRITER_PUBLISHED: {
		struct state to = *s;

		begin_listing(out->model, &to, w, WRITER_LISTING_AGAIN);
		step_emit(out, &to, NULL, "writer %u lists the %s once more", w + 1,
			  packs_first(out->model) ? "packs" : "condemn records");
		break;
	}
	}
	dies(out, s, w);
}
