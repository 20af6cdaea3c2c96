/*
 * model: the protocol of deletion (FORMAT.md §12) as a transition system that is small enough to visit every state of it.
 * Two writers and two pruners take their steps in any order, are suspended for any time between any two of them and die
 * at any; a forget removes manifests, the store's clock ticks, and in one world condemn records get lost. Every rule of
 * the protocol can be removed, one at a time.
 *
 * What is abstracted, always towards more behaviours than the program has:
 *  - there are two chunk ids, x and y; a copy of one is full or a delta, which rests on the other at lower depth;
 *  - phase 1 of prune is "any pack may be condemned at any time, whatever anybody knows", and a repack is "any copies
 *    may appear in a new pack at any time": so condemning and copying need no condition to be safe, in either order;
 *  - a pruner tests one pack at a time; one that deletes two is two pruners in step;
 *  - both writers write one history of manifests (a cloned machine), so the newest manifest of one may be forgotten
 *    while the other still builds on it; what a writer cannot have again, and leaves out, is not here.
 * Index segments are not here: they are rebuilt from the packs, whose directories say the same. Neither is damage.
 *
 * What bounds it: PACKS at a time, ages that stop at the last one that matters, and of runs, prunes, condemned packs
 * and repacked ones a number each (struct bounds); kills, manifests forgotten, ticks and new listings are unbounded.
 * Time is counted in ticks: PUBLISH_TICKS is half the grace, DELETE_TICKS the hour that a prune has. In the strict world
 * the removal itself may still come at any time after it was decided on.
 */
#ifndef NIGHTJAR_TESTS_MODEL_MODEL_H
#define NIGHTJAR_TESTS_MODEL_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACKS 3
#define ACTORS 2 /* writers, and pruners */
#define GRACE_TICKS 2
#define PUBLISH_TICKS 1
#define DELETE_TICKS 1

enum rule {
	RULE_MANIFEST_LAST,
	RULE_LIST_BEFORE,
	RULE_REACH_BASES,
	RULE_REACH_CARRIED,
	RULE_STORE_GONE,
	RULE_STORE_FULL,
	RULE_LIST_AGAIN,
	RULE_HALF_GRACE,
	RULE_BOOTTIME,
	RULE_TWO_PHASES,
	RULE_RECORD_PRESENT,
	RULE_GRACE,
	RULE_STORE_CLOCK,
	RULE_FRESH_MARK,
	RULE_ALL_MANIFESTS,
	RULE_MARK_BASES,
	RULE_COPY_FREE,
	RULE_DELETE_LIMIT,
	RULE_NEVER_NAMED,
	RULE_KEEP_NEWEST,
	RULE_RECORDS_FIRST_WRITER,
	RULE_RECORDS_FIRST_PRUNER,
	RULE_DECODABLE_WRITER,
	RULE_DECODABLE_PRUNER,
	RULE_RECORD_LAST,
	RULE_NO_PARDON,
	RULE_VISIBLE_STAMP,
	RULES
};

/* What the surroundings do, and which promise is asked for. */
enum world {
	/* The store does what is asked within the limits. No visible manifest ever lacks an id or a base of it. */
	WORLD_STRICT,
	/* A writer may be suspended between its look at the clock and the rename, for any time, which no clock can
	 * prevent: a manifest may be visible and lack something, but never one that was acknowledged. */
	WORLD_STALL,
	/* Condemn records get lost, but not while a run relies on one that it read within the limit of a run. */
	WORLD_LOSS,
	/* As WORLD_STRICT; and no writer finds a pack of its own run condemned. */
	WORLD_NAMED,
	WORLDS
};

/* How much of each there is. */
enum bound {
	BOUND_RUNS,     /* of writers */
	BOUND_PRUNES,   /* runs of pruners that find something due */
	BOUND_CONDEMNS, /* packs condemned */
	BOUND_COPIES,   /* packs made by repacking */
	BOUNDS
};
#define BOUND_NONE 3

struct bounds {
	unsigned ids; /* 1: x alone, no deltas, and manifests without it; 2: x and y */
	uint8_t left[BOUNDS];
};

struct model {
	enum world world;
	struct bounds bounds;
	bool off[RULES]; /* removed */
};

/* One id's copy in a pack: none, full, or a delta, which rests on the other id at a lower depth. */
enum copy { COPY_NONE, COPY_FULL, COPY_DELTA, COPY_DELTA_OF_DELTA };

/* pack.record: none, then 1 + its age in ticks, then one that is lost and only remembered. */
enum { RECORD_NONE = 0, RECORD_NEW = 1, RECORD_DUE = 1 + GRACE_TICKS, RECORD_LOST };

/* What a pruner believes of a pack. In PRUNER_DELETES: DUE is to be deleted, CONDEMNED to be pardoned, and FREE to be
 * deleted now that its record is. */
enum known { KNOWN_NOT, KNOWN_FREE, KNOWN_CONDEMNED, KNOWN_DUE };

struct pack {
	uint8_t copy[2]; /* of x and of y */
	uint8_t present; /* in the store; otherwise somebody may still believe it is */
	uint8_t record;  /* that condemns it */
	uint8_t seen
	    [ACTORS]; /* by a writer between its two listings: named by a record (or present: see writer.c) */
	uint8_t mine[ACTORS];  /* put by this writer's run, no manifest yet; WORLD_NAMED only */
	uint8_t known[ACTORS]; /* enum known, by a pruner */
};

enum writer_at {
	WRITER_IDLE,
	WRITER_LISTING, /* one of its two listings is done */
	WRITER_PUTS,
	WRITER_STORED, /* everything; a last look at the records */
	WRITER_READY,  /* to publish */
	WRITER_PUBLISHED,
	WRITER_LISTING_AGAIN,
	WRITER_PUTS_AGAIN
};

/* Sets of ids: bit 0 is x, bit 1 is y. */
struct writer {
	uint8_t at, goal /* the ids of its manifest */, ticks /* since its first listing began */;
	uint8_t copy[2]; /* that it is about to put */
	uint8_t
	    carried; /* ids taken over from the newest manifest; without RULE_REACH_CARRIED only */
};

enum pruner_at {
	PRUNER_IDLE,
	PRUNER_EARLY, /* without RULE_FRESH_MARK only: the manifests were read, no record was */
	PRUNER_LISTING,
	PRUNER_MARKED,
	PRUNER_DELETES
};

struct pruner {
	uint8_t at, ticks /* since its first listing */;
	uint8_t live; /* ids that manifests reach */
};

/* Manifests with the same ids count as one: bit i of visible is the set of ids i + 1. */
struct state {
	struct pack pack[PACKS];
	struct writer writer[ACTORS];
	struct pruner pruner[ACTORS];
	uint8_t visible, acked /* WORLD_STALL only */;
	uint8_t newest; /* ids of the newest manifest, 0 before the first */
	uint8_t left[BOUNDS];
};

/* Things that must happen somewhere, or the protocol is kept by doing nothing. */
enum event {
	EVENT_GARBAGE_DELETED,
	EVENT_LIVE_MOVED,   /* a pack that holds live ids deleted, as they are elsewhere */
	EVENT_STORED_AGAIN, /* an id whose copies are all condemned */
	EVENT_HEALED,       /* what the listing after the publishing found condemned or gone */
	EVENT_LATE,         /* a writer listed again because its time was over */
	EVENT_KEPT,         /* a due pack kept because of a manifest that came after the record */
	EVENT_ACKNOWLEDGED,
	EVENT_KILLED,
	EVENT_FORGOTTEN,
	EVENT_RECORD_LOST,
	EVENTS
};

/* --- rules.c --- */
const char *rule_name(enum rule r);
const char *rule_text(enum rule r); /* the sentence that it stands for */
enum world rule_world(enum rule r); /* where its removal is noticed */
unsigned rule_ids(enum rule r);     /* and how many ids that takes */
const char *event_name(enum event e);
const char *world_name(enum world w);

/* --- state.c --- */
#define STATE_WORDS 3
struct packed {
	uint64_t word[STATE_WORDS];
};
/* The representative of all states that differ in names only (of packs, writers, pruners, ids), packed. */
struct packed state_canonical(const struct model *m, const struct state *s);
void state_unpack(const struct packed *p, struct state *out);
/* ids that decode from the packs of the mask alone, through copies of strictly lower depth. */
uint8_t state_decodable(const struct state *s, unsigned packs);
/* ids that have a copy there; and those whose bases, too, have one (were there no depths). */
uint8_t state_copied(const struct state *s, unsigned packs);
uint8_t state_copied_closed(const struct state *s, unsigned packs);
uint8_t state_pack_ids(const struct pack *p);
uint8_t state_live(const struct state *s); /* ids of the visible manifests */
/* live, and every id that a copy of one in these packs rests on. */
uint8_t state_reach(const struct state *s, unsigned packs, uint8_t live);
unsigned state_present(const struct state *s); /* mask of packs */
struct pack *state_room(struct state *s);      /* a place for a new pack; NULL when there is none */
size_t state_print(const struct state *s, char *out, size_t room);

/* --- writer.c, pruner.c, world.c: steps --- */

struct steps;
/* A step from the state in hand to `to`. broken: the promise that the step itself breaks, or NULL. */
typedef void step_fn(void *arg, const struct state *to, const char *label, const char *broken);
struct steps {
	const struct model *model;
	step_fn *fn;
	void *arg;
	bool labels;             /* wanted? they are slow */
	uint64_t events[EVENTS]; /* counted as steps are emitted */
};
void step_emit(struct steps *out, struct state *to, const char *broken, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void writer_steps(struct steps *out, const struct state *s, unsigned w);
void pruner_steps(struct steps *out, const struct state *s, unsigned p);
void world_steps(struct steps *out, const struct state *s);
void model_steps(struct steps *out, const struct state *s); /* all of them */
/* The promise of the model's world that the state breaks, or NULL. */
const char *model_broken(const struct model *m, const struct state *s);
/* Where it may begin: the n-th, false when there is none. */
bool model_root(const struct model *m, size_t n, struct state *out);
/* Uses up one of what is bounded; false when none is left. */
bool world_spend(struct state *s, enum bound b);

/* --- explore.c --- */

struct found {
	size_t states, steps_longest; /* of a shortest way to a state */
	uint64_t transitions, events[EVENTS];
	const char *broken; /* NULL: holds in every state */
	bool full;          /* the table was too small: nothing is proved */
};
/*
 * Visits every state, breadth first, up to states_most of them, until a promise is broken; the shortest way there goes
 * to line, a call each.
 */
void explore(const struct model *m, size_t states_most, void (*line)(const char *text),
	     struct found *out);

#endif
