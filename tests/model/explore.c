#include "tests/model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct node {
	struct packed state;
	uint32_t parent; /* its own number for a root */
};

struct explorer {
	const struct model *model;
	struct node *nodes; /* in the order they were found, which is by distance */
	uint32_t *table;    /* number + 1 of a node; open addressing */
	size_t count, most, mask;
	uint32_t current;
	uint64_t transitions;
	const char *broken;
	uint32_t at; /* the node that breaks it, or after which a step does */
	struct packed bad;
	bool full;
};

static size_t hash(const struct packed *p)
{
	uint64_t h = 0x9e3779b97f4a7c15ULL;

	for (size_t i = 0; i < STATE_WORDS; i++) {
		h ^= p->word[i];
		h *= 0xff51afd7ed558ccdULL;
		h ^= h >> 32;
	}
	return (size_t)h;
}

static void found_state(struct explorer *e, const struct packed *p, uint32_t parent)
{
	size_t at = hash(p) & e->mask;

	for (; e->table[at]; at = (at + 1) & e->mask)
		if (memcmp(&e->nodes[e->table[at] - 1].state, p, sizeof *p) == 0)
			return;
	if (e->count == e->most) {
		e->full = true;
		return;
	}
	e->nodes[e->count] = (struct node){.state = *p, .parent = parent};
	e->table[at] = (uint32_t)++e->count;
}

static void visit(void *arg, const struct state *to, const char *label, const char *broken)
{
	struct explorer *e = arg;
	struct packed p = state_canonical(e->model, to);

	(void)label;
	e->transitions++;
	if (e->broken)
		return;
	found_state(e, &p, e->current);
	if (!broken)
		broken = model_broken(e->model, to);
	if (broken) {
		e->broken = broken;
		e->at = e->current;
		e->bad = p;
	}
}

/* --- the way to a state, told with names that stay the same --- */

struct replay {
	const struct model *model;
	struct packed wanted;
	struct state next;
	char label[160];
	bool done;
};

static void replay_step(void *arg, const struct state *to, const char *label, const char *broken)
{
	struct replay *r = arg;
	struct packed p = state_canonical(r->model, to);

	(void)broken;
	if (r->done || memcmp(&p, &r->wanted, sizeof p) != 0)
		return;
	r->next = *to;
	(void)snprintf(r->label, sizeof r->label, "%s", label);
	r->done = true;
}

static void tell_step(const struct model *m, struct state *s, const struct packed *to,
		      size_t number, void (*line)(const char *text))
{
	struct replay r = {.model = m, .wanted = *to};
	struct steps steps = {.model = m, .fn = replay_step, .arg = &r, .labels = true};
	char text[400];
	size_t n;

	model_steps(&steps, s);
	*s = r.next;
	n = (size_t)snprintf(text, sizeof text, "%3zu %-62s", number, r.label);
	(void)state_print(s, text + n, sizeof text - n);
	line(text);
}

/* Steps from a root to the node. */
static size_t way(const struct explorer *e, uint32_t node, uint32_t *out, size_t room)
{
	size_t n = 0;

	for (;; node = e->nodes[node].parent) {
		if (n < room)
			out[n] = node;
		n++;
		if (e->nodes[node].parent == node)
			return n;
	}
}

static void tell(const struct explorer *e, void (*line)(const char *text))
{
	uint32_t nodes[200];
	size_t n = way(e, e->at, nodes, sizeof nodes / sizeof *nodes), number = 0;
	char text[400];
	struct state s;
	size_t used;

	if (n > sizeof nodes / sizeof *nodes)
		return;
	(void)model_root(e->model, nodes[n - 1], &s); /* roots were found first, in their order */
	used = (size_t)snprintf(text, sizeof text, "    %-62s", "begins with");
	(void)state_print(&s, text + used, sizeof text - used);
	line(text);
	while (n-- > 1)
		tell_step(e->model, &s, &e->nodes[nodes[n - 1]].state, ++number, line);
	tell_step(e->model, &s, &e->bad, ++number, line);
}

void explore(const struct model *m, size_t states_most, void (*line)(const char *text),
	     struct found *out)
{
	struct explorer e = {.model = m, .most = states_most};
	struct steps steps = {.model = m, .fn = visit, .arg = &e};
	size_t slots = 1;
	struct state s;

	while (slots < states_most * 3 / 2)
		slots *= 2;
	e.mask = slots - 1;
	e.nodes = calloc(states_most, sizeof *e.nodes);
	e.table = calloc(slots, sizeof *e.table);
	if (!e.nodes || !e.table)
		abort();
	for (size_t i = 0; model_root(m, i, &s); i++) {
		struct packed p = state_canonical(m, &s);

		found_state(&e, &p, (uint32_t)i);
	}
	for (size_t i = 0; i < e.count && !e.broken && !e.full; i++) {
		e.current = (uint32_t)i;
		state_unpack(&e.nodes[i].state, &s);
		model_steps(&steps, &s);
	}
	memset(out, 0, sizeof *out);
	out->states = e.count;
	out->transitions = e.transitions;
	out->broken = e.broken;
	out->full = e.full;
	memcpy(out->events, steps.events, sizeof out->events);
	if (e.broken)
		tell(&e, line);
	out->steps_longest = way(&e, e.broken ? e.at : (uint32_t)(e.count - 1), NULL, 0);
	free(e.nodes);
	free(e.table);
}
