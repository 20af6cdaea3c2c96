#include "tests/model/model.h"

#include <stdio.h>
#include <string.h>

#define DEPTH_NONE 9

/* --- which ids are where --- */

/* Is there a copy of id at this depth in one of the packs? */
static bool has_copy(const struct state *s, unsigned packs, unsigned id, unsigned depth)
{
	for (unsigned i = 0; i < PACKS; i++)
		if (((packs >> i) & 1) && s->pack[i].copy[id] == COPY_FULL + depth)
			return true;
	return false;
}

uint8_t state_decodable(const struct state *s, unsigned packs)
{
	unsigned least[2] = {DEPTH_NONE, DEPTH_NONE};

	for (unsigned depth = 0; depth <= COPY_DELTA_OF_DELTA - COPY_FULL; depth++) {
		for (unsigned id = 0; id < 2; id++)
			if (least[id] == DEPTH_NONE && has_copy(s, packs, id, depth) &&
			    (depth == 0 || least[1 - id] < depth))
				least[id] = depth;
	}
	return (uint8_t)((least[0] < DEPTH_NONE ? 1U : 0U) | (least[1] < DEPTH_NONE ? 2U : 0U));
}

uint8_t state_copied(const struct state *s, unsigned packs)
{
	unsigned ids = 0;

	for (unsigned i = 0; i < PACKS; i++)
		if ((packs >> i) & 1)
			ids |= state_pack_ids(&s->pack[i]);
	return (uint8_t)ids;
}

uint8_t state_copied_closed(const struct state *s, unsigned packs)
{
	unsigned ids = state_copied(s, packs);

	if (ids == 3)
		return 3;
	for (unsigned id = 0; id < 2; id++)
		if (((ids >> id) & 1) && !has_copy(s, packs, id, 0))
			ids = 0; /* a delta whose base is nowhere */
	return (uint8_t)ids;
}

uint8_t state_pack_ids(const struct pack *p)
{
	return (uint8_t)((p->copy[0] ? 1U : 0U) | (p->copy[1] ? 2U : 0U));
}

uint8_t state_live(const struct state *s)
{
	unsigned ids = 0;

	for (unsigned set = 1; set <= 3; set++)
		if ((s->visible >> (set - 1)) & 1)
			ids |= set;
	return (uint8_t)ids;
}

uint8_t state_reach(const struct state *s, unsigned packs, uint8_t live)
{
	for (unsigned i = 0; i < PACKS; i++)
		for (unsigned id = 0; id < 2; id++)
			if (((packs >> i) & 1) && ((live >> id) & 1) &&
			    s->pack[i].copy[id] > COPY_FULL)
				return 3;
	return live;
}

unsigned state_present(const struct state *s)
{
	unsigned packs = 0;

	for (unsigned i = 0; i < PACKS; i++)
		packs |= (unsigned)s->pack[i].present << i;
	return packs;
}

struct pack *state_room(struct state *s)
{
	static const struct pack nothing;

	for (size_t i = 0; i < PACKS; i++)
		if (memcmp(&s->pack[i], &nothing, sizeof nothing) == 0)
			return &s->pack[i];
	return NULL;
}

/* --- packing --- */

static uint64_t pack_word(const struct pack *p, unsigned ids, unsigned writers, unsigned pruners)
{
	return (uint64_t)p->present << 15 | (uint64_t)p->record << 12 |
	       (uint64_t)p->copy[ids] << 10 | (uint64_t)p->copy[1 - ids] << 8 |
	       (uint64_t)p->seen[writers] << 7 | (uint64_t)p->seen[1 - writers] << 6 |
	       (uint64_t)p->mine[writers] << 5 | (uint64_t)p->mine[1 - writers] << 4 |
	       (uint64_t)p->known[pruners] << 2 | (uint64_t)p->known[1 - pruners];
}

static uint64_t ids_swapped(uint8_t set, unsigned ids)
{
	return ids ? (uint64_t)((set & 1) << 1 | (set >> 1)) : set;
}

/* Sets as bits: {x} {y} {x,y}. */
static uint64_t sets_swapped(uint8_t sets, unsigned ids)
{
	return ids ? (uint64_t)((sets & 1) << 1 | ((sets >> 1) & 1) | (sets & 4)) : sets;
}

static uint64_t writer_word(const struct writer *w, unsigned ids)
{
	return (uint64_t)w->at << 10 | ids_swapped(w->goal, ids) << 8 | (uint64_t)w->ticks << 6 |
	       (uint64_t)w->copy[ids] << 4 | (uint64_t)w->copy[1 - ids] << 2 |
	       ids_swapped(w->carried, ids);
}

static uint64_t pruner_word(const struct pruner *p, unsigned ids)
{
	return (uint64_t)p->at << 4 | (uint64_t)p->ticks << 2 | ids_swapped(p->live, ids);
}

static struct packed pack_as(const struct state *s, unsigned ids, unsigned writers,
			     unsigned pruners)
{
	uint64_t packs[PACKS];
	struct packed out = {{0, 0, 0}};

	for (unsigned i = 0; i < PACKS; i++) {
		uint64_t word = pack_word(&s->pack[i], ids, writers, pruners);
		unsigned at = i;

		for (; at > 0 && packs[at - 1] < word; at--)
			packs[at] = packs[at - 1];
		packs[at] = word;
	}
	for (unsigned i = 0; i < PACKS; i++)
		out.word[i / 4] |= packs[i] << (16 * (i % 4));
	out.word[1] |= writer_word(&s->writer[writers], ids) << 16 |
		       writer_word(&s->writer[1 - writers], ids) << 32;
	out.word[2] = pruner_word(&s->pruner[pruners], ids) |
		      pruner_word(&s->pruner[1 - pruners], ids) << 8 |
		      sets_swapped(s->visible, ids) << 16 | sets_swapped(s->acked, ids) << 20 |
		      ids_swapped(s->newest, ids) << 24;
	for (unsigned b = 0; b < BOUNDS; b++)
		out.word[2] |= (uint64_t)s->left[b] << (26 + 2 * b);
	return out;
}

static bool less(const struct packed *a, const struct packed *b)
{
	for (size_t i = STATE_WORDS; i-- > 0;)
		if (a->word[i] != b->word[i])
			return a->word[i] < b->word[i];
	return false;
}

struct packed state_canonical(const struct model *m, const struct state *s)
{
	struct packed best = {{UINT64_MAX, UINT64_MAX, UINT64_MAX}};

	/* What an actor is at decides the order of the two; only where that is the same are both tried. */
	for (unsigned i = 0; i < 8; i++) {
		unsigned ids = i & 1, writers = (i >> 1) & 1, pruners = i >> 2;
		struct packed other;

		if ((ids && m->bounds.ids == 1) ||
		    writer_word(&s->writer[writers], ids) <
			writer_word(&s->writer[1 - writers], ids) ||
		    pruner_word(&s->pruner[pruners], ids) <
			pruner_word(&s->pruner[1 - pruners], ids))
			continue;
		if ((writers && s->writer[1].at == WRITER_IDLE && s->writer[0].at == WRITER_IDLE) ||
		    (pruners && s->pruner[1].at == PRUNER_IDLE && s->pruner[0].at == PRUNER_IDLE))
			continue;
		other = pack_as(s, ids, writers, pruners);
		if (less(&other, &best))
			best = other;
	}
	return best;
}

static void unpack_pack(uint64_t word, struct pack *out)
{
	out->present = (word >> 15) & 1;
	out->record = (word >> 12) & 7;
	out->copy[0] = (word >> 10) & 3;
	out->copy[1] = (word >> 8) & 3;
	for (unsigned a = 0; a < ACTORS; a++) {
		out->seen[a] = (word >> (7 - a)) & 1;
		out->mine[a] = (word >> (5 - a)) & 1;
		out->known[a] = (word >> (2 - 2 * a)) & 3;
	}
}

void state_unpack(const struct packed *p, struct state *out)
{
	memset(out, 0, sizeof *out);
	for (unsigned i = 0; i < PACKS; i++)
		unpack_pack(p->word[i / 4] >> (16 * (i % 4)), &out->pack[i]);
	for (unsigned a = 0; a < ACTORS; a++) {
		uint64_t w = p->word[1] >> (16 + 16 * a), r = p->word[2] >> (8 * a);

		out->writer[a] = (struct writer){.at = (w >> 10) & 7,
						 .goal = (w >> 8) & 3,
						 .ticks = (w >> 6) & 3,
						 .copy = {(w >> 4) & 3, (w >> 2) & 3},
						 .carried = w & 3};
		out->pruner[a] =
		    (struct pruner){.at = (r >> 4) & 7, .ticks = (r >> 2) & 3, .live = r & 3};
	}
	out->visible = (p->word[2] >> 16) & 7;
	out->acked = (p->word[2] >> 20) & 7;
	out->newest = (p->word[2] >> 24) & 3;
	for (unsigned b = 0; b < BOUNDS; b++)
		out->left[b] = (p->word[2] >> (26 + 2 * b)) & 3;
}

/* --- printing --- */

static size_t print_copies(const struct pack *p, char *out, size_t room)
{
	static const char *const names[2][4] = {{"", "x", "x/y", "x/y/x"},
						{"", "y", "y/x", "y/x/y"}};

	return (size_t)snprintf(out, room, "%s%s%s", names[0][p->copy[0]],
				p->copy[0] && p->copy[1] ? " " : "", names[1][p->copy[1]]);
}

size_t state_print(const struct state *s, char *out, size_t room)
{
	static const char *const sets[] = {"{x}", "{y}", "{x y}"};
	size_t n = 0;

	for (unsigned i = 0; i < PACKS; i++) {
		const struct pack *p = &s->pack[i];

		if (!p->present)
			continue;
		n += (size_t)snprintf(out + n, room - n, " %c(", 'A' + (char)i);
		n += print_copies(p, out + n, room - n);
		n += (size_t)snprintf(out + n, room - n, ")");
		if (p->record == RECORD_LOST)
			n += (size_t)snprintf(out + n, room - n, "lost");
		else if (p->record)
			n += (size_t)snprintf(out + n, room - n, "condemned:%d%s", p->record - 1,
					      p->record == RECORD_DUE ? "+" : "");
	}
	n += (size_t)snprintf(out + n, room - n, " | manifests");
	for (unsigned i = 0; i < 3; i++)
		if ((s->visible >> i) & 1)
			n += (size_t)snprintf(out + n, room - n, " %s%s", sets[i],
					      ((s->acked >> i) & 1) ? "acknowledged" : "");
	return n;
}
