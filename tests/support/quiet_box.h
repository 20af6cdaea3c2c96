/*
 * quiet_box: a repository in memory and one database, backed up night after night, for the tests of what is recognised as unchanged.
 * Everything here fails the running cmocka test when something is not as said.
 */
#ifndef NIGHTJAR_TESTS_SUPPORT_QUIET_BOX_H
#define NIGHTJAR_TESTS_SUPPORT_QUIET_BOX_H

#include "repo/backup.h"
#include "tests/support/dbkit.h"
#include "tests/support/repo_case.h"

#define QUIET_BOX_HOUR INT64_C(3600000000000)
#define QUIET_BOX_DAY (24 * QUIET_BOX_HOUR)
#define QUIET_BOX_ROWS                                                                             \
	"CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB);"                                           \
	"WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i<3000) "             \
	"INSERT INTO t SELECT i, randomblob(100) FROM n;"

struct quiet_box {
	struct kit kit;
	struct repo_case *c;
	int64_t now_ns; /* of the next night; 0: the clock */
	const char *cache;
	bool force, integrity, dry_run;
	struct backup_result result;
	unsigned told;  /* "unchanged since" in the last night */
	unsigned asked; /* by a backup with write_meanwhile */
};

int quiet_box_setup(void **state);
int quiet_box_teardown(void **state);

/* Backs up by the next run of the program. */
void quiet_box_night(struct quiet_box *f);
/*
 * Backs up. Was the image taken over from the manifest before? Whether it was or not, what is stored is what the database
 * holds now.
 */
bool quiet_box_recognised(struct quiet_box *f);
/* Two nights: the state is noted, and found again. */
void quiet_box_settle(struct quiet_box *f);

#endif
