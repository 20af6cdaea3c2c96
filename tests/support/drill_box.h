/* drill_box: a backup of a database and a file, to be drilled. Everything here fails the running cmocka test when something is not as said. */
#ifndef NIGHTJAR_TESTS_SUPPORT_DRILL_BOX_H
#define NIGHTJAR_TESTS_SUPPORT_DRILL_BOX_H

#include "repo/drill.h"
#include "tests/support/dbkit.h"
#include "tests/support/repo_case.h"

#define DRILL_BOX_MARKER "nobody may read this on a disk"
#define DRILL_BOX_SOUND                                                                            \
	"CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT); INSERT INTO t(b) VALUES('one'),('two')"

struct drill_box {
	struct kit kit;
	struct repo_case *c;
	char target[400];
	struct drill_options options;
	struct drillnote_counts counts;
	char told[4000];    /* failures, a line each */
	char warned[4000];  /* warnings */
	unsigned ticks;     /* of progress */
	unsigned cancel_at; /* that tick cancels; 0 = none */
	bool spoil;         /* the manifest's SHA-256 of the image */
	unsigned spilled;   /* open files of the cache that were looked into */
	bool leaked;        /* one of them held the marker */
};

int drill_box_setup(void **state);
int drill_box_teardown(void **state);

/* Backs up the kit's database and "photo", 400,000 bytes. */
void drill_box_back_up(struct drill_box *f, int64_t time_ns);
/* The same after making the database, at the time 1000. */
void drill_box_make_db(struct drill_box *f, const char *sql);

/* Drills the last manifest, with this repository's key. */
int drill_box_drill_as(struct drill_box *f, struct repo *repo, struct err *err);
/* With the box's own; it must come to a verdict. */
enum drillnote_verdict drill_box_drill(struct drill_box *f);

struct repo *drill_box_open_as(struct drill_box *f, enum role role);

#endif
