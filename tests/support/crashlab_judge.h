/* crashlab_judge: what crashlab.c and crashlab_judge.c share. */
#ifndef NIGHTJAR_TESTS_SUPPORT_CRASHLAB_JUDGE_H
#define NIGHTJAR_TESTS_SUPPORT_CRASHLAB_JUDGE_H

#include "tests/support/crashlab.h"

#define CRASH_MARKER "NOBODY-MAY-READ-THIS-"
#define CRASH_IDS_MOST 16

/* The backups in the repository, oldest first. Aborts when there are more than fit. */
size_t crashlab_ids(const struct crashlab *lab, char out_ids[CRASH_IDS_MOST][65]);

/* Restores a backup aside and sums app/ of it. False: it does not restore; the log says why. */
bool crashlab_restored_sum(const struct crashlab *lab, const char *id,
			   uint8_t out_sum[TREESUM_BYTES]);

/* SQLite's shared memory is no data, and a reader may touch it. */
bool crashlab_skip_shm(const char *path);

#endif
