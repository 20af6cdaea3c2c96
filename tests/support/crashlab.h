/*
 * crashlab: a small application, repositories of it in several stages, the commands that are cut off in them, and what must hold
 * of whatever disk is left: I1 to I7 of FORMAT.md §2. Who cuts off, and how, is the caller's.
 *
 * Include after cmocka.h. One thread; workers are processes, each with a `work` of its own.
 */
#ifndef NIGHTJAR_TESTS_SUPPORT_CRASHLAB_H
#define NIGHTJAR_TESTS_SUPPORT_CRASHLAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/support/treesum.h"

struct sqlite3;

enum crash_stage {
	STAGE_EMPTY,     /* no repository */
	STAGE_MADE,      /* no backup */
	STAGE_ONE,       /* one, of the application as it was before */
	STAGE_THREE,     /* two more, of the application as it is */
	STAGE_FORGOTTEN, /* the first two are forgotten */
	STAGE_CONDEMNED, /* and what only they needed condemned */
	STAGE_UNINDEXED, /* STAGE_THREE without its index */
	STAGE_OTHER,     /* another repository, with one backup */
	STAGE_RESTORED,  /* STAGE_THREE, and the first of its backups restored below out/ */
	STAGE_ROTTEN,    /* STAGE_THREE, a block of each pack rotten, which parity gives back */
	STAGE_SPOILT, /* STAGE_ONE and one more, whose pack is damaged and has no parity; its records still open */
	STAGES
};

#define CRASH_KNOWN_MOST 3

struct crash_known {
	char id[65];
	uint8_t sum[TREESUM_BYTES]; /* of app/, restored */
};

struct crashlab {
	char *dir;                      /* app/, and the stages */
	char *work;                     /* the worker's own: disk/, log, back/ */
	char *disk;                     /* work/disk: repo, cache, state, tmp, cwd, held/key, out */
	uint8_t app_sum[TREESUM_BYTES]; /* of app/, without -shm */
	uint8_t source_sum[TREESUM_BYTES]; /* of the repository that is copied from */
	uint8_t want_sum[TREESUM_BYTES];   /* of app/ restored from a backup of it as it is */
	struct crash_known known[STAGES][CRASH_KNOWN_MOST]; /* oldest first */
	size_t known_count[STAGES];
	struct sqlite3 *db; /* the application's, open all the time */
};

enum crash_kind {
	CRASH_INIT,
	CRASH_BACKUP,
	CRASH_FORGET,
	CRASH_PRUNE,
	CRASH_REPAIR,
	CRASH_COPY,
	CRASH_RESTORE
};

struct crash_case {
	const char *name;
	enum crash_stage stage;
	enum crash_kind kind;
	const char *promise; /* what it writes when it is done, which acknowledges it */
	size_t may_go;       /* so many of the oldest known backups */
	const char *args[8]; /* @app, @out, @key, @source, @sourcekey stand for paths */
};

/* Both assert by cmocka; the second, too, that the repository that was copied from is as it was. */
void crashlab_new(struct crashlab *lab);
void crashlab_free(struct crashlab *lab);

/*
 * Every case, or the one that NIGHTJAR_CRASH_ONLY names, in a lab of its own. try_case is false where ptrace is not permitted: then nothing
 * further is tried, and the test is skipped.
 */
typedef bool crashlab_try_fn(struct crashlab *lab, const struct crash_case *c, void *arg);
void crashlab_each(crashlab_try_fn *try_case, void *arg);

/* Which states workers have judged, in memory that they share; {0} is empty. */
#define CRASH_STATES_MOST 65536u
struct crash_states {
	uint64_t keys[CRASH_STATES_MOST];
	unsigned count; /* different ones */
};
/* True for one of the workers alone, and once. key: not 0. */
bool crashlab_is_new(struct crash_states *states, uint64_t key);
/* Adds one to a counter that workers share. */
void crashlab_count(unsigned *counter);

/* Gives this process its own work and the environment for it. crashlab_leave removes it. */
void crashlab_enter(struct crashlab *lab, const char *name);
void crashlab_leave(struct crashlab *lab);

/* Makes the disk anew, as it is before the command. */
void crashlab_reset(const struct crashlab *lab, const struct crash_case *c);

/* The folder that crashlab_reset copies; the caller frees it. */
char *crashlab_stage(const struct crashlab *lab, enum crash_stage stage);

/* The command; crashlab_free_argv frees it. */
char **crashlab_argv(const struct crashlab *lab, const struct crash_case *c);
void crashlab_free_argv(char **argv);

/*
 * Judges the disk, and changes it. said: what the command had written, at least its promise when it was acknowledged. NULL, or
 * what does not hold; then the log is shown.
 */
const char *crashlab_judge(const struct crashlab *lab, const struct crash_case *c,
			   const char *said);

#endif
