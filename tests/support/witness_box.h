/*
 * witness_box: a repository and the state of a host that looks at it, run after run, and counts what it is told.
 *
 * Include after cmocka.h: it asserts. One thread.
 */
#ifndef NIGHTJAR_TESTS_SUPPORT_WITNESS_BOX_H
#define NIGHTJAR_TESTS_SUPPORT_WITNESS_BOX_H

#include "repo/witness.h"
#include "tests/support/repo_case.h"

/* Of the place "here": the first 16 digits of its SHA-256. */
#define WITNESS_BOX_SEEN "seen-fcec91509759ad99"

struct witness_told {
	size_t of[WITNESS_PLACE + 1], looks, warnings;
	char warning[512];
};

struct witness_box {
	struct repo_case *c;
	char *state;
	struct witness_told told;
	int day;
};

int witness_box_setup(void **state);
int witness_box_teardown(void **state);

/* The next run of the program. */
void witness_box_again(struct witness_box *b, bool accept);

/* One of a day later than the one before. */
struct id witness_box_backup(struct witness_box *b);

/* What a look finds; tells have been counted. */
uint64_t witness_box_look(struct witness_box *b);

/* The state, read and written; the caller frees it with sightings_free. */
struct sightings witness_box_seen(struct witness_box *b);
void witness_box_keep(struct witness_box *b, const struct sightings *s);

/* How many backups have this fate in it. */
size_t witness_box_kept(struct witness_box *b, uint8_t fate);

#endif
