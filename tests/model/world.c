/* What happens at any time: condemning, copying, forgetting, the clock, the loss of a record. And what must hold. */
#include "tests/model/model.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Takes out what no longer means anything, so that it makes no difference between states. */
static void tidy(const struct model *m, struct state *s)
{
	bool writer_believes = m->off[RULE_RECORDS_FIRST_WRITER] || m->off[RULE_STORE_GONE];
	bool pruner_believes = m->off[RULE_RECORDS_FIRST_PRUNER];

	for (size_t i = 0; i < PACKS; i++) {
		struct pack *p = &s->pack[i];
		unsigned used = 0;

		if (p->present)
			continue;
		p->record = RECORD_NONE;
		for (unsigned a = 0; a < ACTORS; a++) {
			p->mine[a] = 0;
			if (!writer_believes && (s->writer[a].at == WRITER_LISTING ||
						 s->writer[a].at == WRITER_LISTING_AGAIN))
				p->seen[a] = 0;
			if (s->pruner[a].at == PRUNER_DELETES ||
			    (s->pruner[a].at == PRUNER_LISTING && !pruner_believes))
				p->known[a] = KNOWN_NOT;
			used |= p->seen[a] | p->known[a];
		}
		if (!used)
			memset(p, 0, sizeof *p);
	}
	for (unsigned a = 0; a < ACTORS; a++) {
		bool plans = s->pruner[a].at != PRUNER_DELETES;

		for (size_t i = 0; i < PACKS; i++)
			plans = plans || s->pack[i].known[a];
		if (!plans) /* nothing left to do */
			s->pruner[a] = (struct pruner){.at = PRUNER_IDLE};
	}
}

void step_emit(struct steps *out, struct state *to, const char *broken, const char *format, ...)
{
	char label[160] = "";

	if (out->labels) {
		va_list args;

		va_start(args, format);
		(void)vsnprintf(label, sizeof label, format, args);
		va_end(args);
	}
	tidy(out->model, to);
	out->fn(out->arg, to, label, broken);
}

bool world_spend(struct state *s, enum bound b)
{
	if (s->left[b] == 0)
		return false;
	if (s->left[b] < BOUND_NONE)
		s->left[b]--;
	return true;
}

/* --- phase 1, repacking, forget --- */

static void condemn(struct steps *out, const struct state *s, unsigned i)
{
	const struct model *m = out->model;
	const struct pack *p = &s->pack[i];
	int oldest = m->off[RULE_VISIBLE_STAMP] ? GRACE_TICKS : 0;
	bool mine = m->world == WORLD_NAMED && (p->mine[0] || p->mine[1]);

	if (!p->present || (p->record != RECORD_NONE && p->record != RECORD_LOST) ||
	    (mine && !m->off[RULE_NEVER_NAMED]))
		return;
	for (int age = 0; age <= oldest; age += GRACE_TICKS) {
		struct state to = *s;

		if (!world_spend(&to, BOUND_CONDEMNS))
			continue;
		to.pack[i].record = (uint8_t)(RECORD_NEW + age);
		step_emit(out, &to, mine ? "a writer's own pack is condemned under it" : NULL,
			  "pack %c is condemned%s", 'A' + (char)i,
			  age ? ", by a record that was written long ago" : "");
	}
}

/* Copies of one pack into a new one, as they are; of one id or both. */
static void repack(struct steps *out, const struct state *s, unsigned i)
{
	for (uint8_t ids = 1; ids <= 3; ids++) {
		struct state to = *s;
		struct pack *room = state_room(&to);

		if (!room || !s->pack[i].present || (state_pack_ids(&s->pack[i]) & ids) != ids)
			continue;
		if (!world_spend(&to, BOUND_COPIES))
			continue;
		room->present = 1;
		room->copy[0] = ids & 1 ? s->pack[i].copy[0] : COPY_NONE;
		room->copy[1] = ids & 2 ? s->pack[i].copy[1] : COPY_NONE;
		step_emit(out, &to, NULL, "%s of pack %c copied to pack %c",
			  ids == 3 ? "x and y" : (ids == 1 ? "x" : "y"), 'A' + (char)i,
			  'A' + (char)(room - to.pack));
	}
}

static void forget(struct steps *out, const struct state *s)
{
	for (uint8_t ids = 1; ids <= 3; ids++) {
		unsigned set = 1U << (ids - 1);
		struct state to = *s;
		bool newest = ids == s->newest;

		if (!(s->visible & set) || (newest && !out->model->off[RULE_KEEP_NEWEST]))
			continue;
		to.visible &= (uint8_t)~set;
		to.acked &= (uint8_t)~set;
		out->events[EVENT_FORGOTTEN]++;
		step_emit(out, &to, newest ? "the newest manifest is forgotten" : NULL,
			  "a manifest is forgotten");
	}
}

/* --- time, accidents --- */

static void age(uint8_t *ticks, unsigned most)
{
	if (*ticks < most)
		(*ticks)++;
}

/* asleep: writers, as bits, whose clock stands still. */
static void tick(struct steps *out, const struct state *s, unsigned asleep)
{
	const struct model *m = out->model;
	struct state to = *s;

	for (size_t i = 0; i < PACKS; i++)
		if (to.pack[i].record >= RECORD_NEW && to.pack[i].record < RECORD_DUE)
			to.pack[i].record++;
	for (unsigned a = 0; a < ACTORS; a++) {
		bool timed = to.writer[a].at >= WRITER_LISTING && to.writer[a].at <= WRITER_READY;

		if (timed && m->world != WORLD_STALL && !m->off[RULE_HALF_GRACE] &&
		    !((asleep >> a) & 1))
			age(&to.writer[a].ticks, PUBLISH_TICKS + 1);
		bool limited = to.pruner[a].at == PRUNER_LISTING ||
			       to.pruner[a].at == PRUNER_MARKED ||
			       (to.pruner[a].at == PRUNER_DELETES && m->world == WORLD_LOSS);

		if (limited && (m->world == WORLD_LOSS || !m->off[RULE_DELETE_LIMIT]))
			age(&to.pruner[a].ticks, DELETE_TICKS + 1);
	}
	step_emit(out, &to, NULL, "a tick%s", asleep ? "; a writer's clock stood still" : "");
}

static void lose(struct steps *out, const struct state *s, unsigned i)
{
	const struct model *m = out->model;
	struct state to = *s;

	if (s->pack[i].record == RECORD_NONE || s->pack[i].record == RECORD_LOST)
		return;
	for (unsigned a = 0; a < ACTORS; a++)
		if (s->pack[i].known[a] && s->pruner[a].ticks <= DELETE_TICKS)
			return;
	to.pack[i].record = m->off[RULE_RECORD_PRESENT] && s->pack[i].record == RECORD_DUE
				? RECORD_LOST
				: RECORD_NONE;
	out->events[EVENT_RECORD_LOST]++;
	step_emit(out, &to, NULL, "the record of pack %c is lost", 'A' + (char)i);
}

void world_steps(struct steps *out, const struct state *s)
{
	unsigned sleepers = out->model->off[RULE_BOOTTIME] ? (1U << ACTORS) - 1 : 0;

	for (unsigned i = 0; i < PACKS; i++) {
		condemn(out, s, i);
		repack(out, s, i);
		if (out->model->world == WORLD_LOSS)
			lose(out, s, i);
	}
	forget(out, s);
	for (unsigned asleep = 0; asleep <= sleepers; asleep++)
		tick(out, s, asleep);
}

void model_steps(struct steps *out, const struct state *s)
{
	for (unsigned a = 0; a < ACTORS; a++) {
		writer_steps(out, s, a);
		pruner_steps(out, s, a);
	}
	world_steps(out, s);
}

/* --- what holds --- */

const char *model_broken(const struct model *m, const struct state *s)
{
	uint8_t have = state_decodable(s, state_present(s));
	uint8_t sets = m->world == WORLD_STALL ? s->acked : s->visible;

	for (unsigned ids = 1; ids <= 3; ids++)
		if (((sets >> (ids - 1)) & 1) && (ids & ~have))
			return m->world == WORLD_STALL ? "an acknowledged manifest lacks an id"
						       : "a visible manifest lacks an id";
	return NULL;
}

bool model_root(const struct model *m, size_t n, struct state *out)
{
	memset(out, 0, sizeof *out);
	memcpy(out->left, m->bounds.left, sizeof out->left);
	switch (n) {
	case 0: /* nothing yet */
		return true;
	case 1: /* one night */
		out->pack[0] = (struct pack){.copy = {COPY_FULL, 0}, .present = 1};
		break;
	case 2: /* of which a repack made two packs, x resting on y */
		out->pack[0] = (struct pack){.copy = {COPY_DELTA, 0}, .present = 1};
		out->pack[1] = (struct pack){.copy = {0, COPY_FULL}, .present = 1};
		break;
	case 3: /* two writers at once, each of the ids a delta of the other one's, and a repack */
	case 4: /* the same, and all forgotten since but a manifest without either */
		out->pack[0] = (struct pack){.copy = {COPY_DELTA, COPY_DELTA}, .present = 1};
		out->pack[1] = (struct pack){.copy = {COPY_FULL, 0}, .present = 1};
		out->pack[2] = (struct pack){.copy = {0, COPY_FULL}, .present = 1};
		break;
	default:
		return false;
	}
	if (n < 4)
		out->visible = out->acked = out->newest = 1;
	return n == 1 || m->bounds.ids == 2;
}
