/*
 * faultlab: a small application and repositories in every state in which a command is tried with faults, in a folder of one worker.
 *
 * Below dir: app/, key (and key2 of the repository that copies go to); start/<name>/ as a command finds things: repo, cache, state, other,
 * target; work/, where it is tried. Anything that goes wrong here prints why and aborts.
 */
#ifndef NIGHTJAR_TESTS_SUPPORT_FAULTLAB_H
#define NIGHTJAR_TESTS_SUPPORT_FAULTLAB_H

#include <stdbool.h>
#include <stddef.h>

#include "tests/support/faultrun.h"
#include "tests/support/faulttree.h"
#include "tests/support/treesum.h"

#define FAULTLAB_NIGHTS 3

/* What tells that a command has done what it was asked for. */
enum faultgoal {
	GOAL_REPO,   /* the repository is as it should be */
	GOAL_TENDED, /* that, or a warning says what was left for another time */
	GOAL_BACKUP, /* the last night is there and restores */
	GOAL_WHOLE,  /* the repository is as it should be, or check is clean */
	GOAL_TARGET, /* what was to be written is */
	GOAL_SAID    /* what was to be said was */
};

enum faultplace {
	PLACE_REPO = 1,
	PLACE_CACHE = 2,
	PLACE_STATE = 4,
	PLACE_TARGET = 8,
	PLACE_SOURCE = 16,
	PLACE_OTHER = 32
};

struct faultcase {
	const char *name, *start, *key;
	const char *argv[10]; /* "%x" is dir/x, "@" the last night */
	enum faultgoal goal;
	unsigned places;
	int verdict;  /* its exit code for a repository that cannot be read in parts, or 0 */
	bool broken;  /* the repository has a damage that this command is for */
	bool deletes; /* it may remove manifests */
	int64_t shift_s;
};

extern const struct faultcase faultlab_cases[];
extern const size_t faultlab_case_count;

/* How a command ends that nothing disturbs. */
struct faultgood {
	int status;
	uint8_t repo[FAULTTREE_BYTES], target[TREESUM_BYTES], said[TREESUM_BYTES];
};

struct faultlab {
	char *dir, *work;
	struct faultrun run;
	char nights[FAULTLAB_NIGHTS][65];
	uint8_t want[FAULTLAB_NIGHTS][TREESUM_BYTES]; /* those nights, restored */
	struct faultgood *good;                       /* of each case */
	uint8_t starts[TREESUM_BYTES];
};

void faultlab_open(struct faultlab *lab);
/* Dies when what was to stay as it was has changed. */
void faultlab_close(struct faultlab *lab);

/* work/ as the case begins, and the environment for it. */
void faultlab_begin(struct faultlab *lab, const struct faultcase *c);

/* Runs the case's command, with whatever lab->run.plan says. */
int faultlab_try(struct faultlab *lab, const struct faultcase *c);

/* Runs another one without faults. */
#define FAULTLAB_RUN(lab, ...)                                                                     \
	faultlab_run(lab, (const char *const[]){spawn_program(), __VA_ARGS__, NULL})
int faultlab_run(struct faultlab *lab, const char *const argv[]);

/* What was asked for is there. Call at once after faultlab_try: it reads what that said. */
bool faultlab_reached(struct faultlab *lab, const struct faultcase *c);

/* The last run warned of something, and said this word then or later. */
bool faultlab_warned(const struct faultlab *lab, const char *of);

/*
 * What must hold after a run that ended with status, whatever failed in it: earlier backups restore, check is clean, the same command works
 * now, and all is well then. NULL, or what does not hold.
 */
const char *faultlab_aftermath(struct faultlab *lab, const struct faultcase *c);

#endif
