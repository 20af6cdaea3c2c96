/*
 * weakfs: what a power failure may leave of the recorded operations on a folder, on a file system that promises no more than it
 * must.
 *
 * What was written to a file before a sync of that file is there. What was written since may be there, in part, sector by sector,
 * or not; the length may have grown while zeros are in the place of the bytes. A name that was made, changed or removed before a
 * sync of its folder is so; each later change may have happened or not, whatever became of those before and after it. A rename is
 * one change.
 */
#ifndef NIGHTJAR_TESTS_SUPPORT_WEAKFS_H
#define NIGHTJAR_TESTS_SUPPORT_WEAKFS_H

#include "tests/support/oplog.h"

struct weakfs;
struct weakfs_image;

/* The first of these are fixed, from nothing unsynced to all of it; then it is all chance, by the number alone. */
#define WEAKFS_FIXED 6u

/* base: the folder as it was before. ops outlive the result. Aborts when something is not as they say. */
struct weakfs *weakfs_new(const char *base, const struct oplog *ops);
void weakfs_free(struct weakfs *fs);

/* What was there after the first `point` operations and a failure; the same for the same numbers. */
struct weakfs_image *weakfs_image(const struct weakfs *fs, size_t point, unsigned way);
void weakfs_image_free(struct weakfs_image *image);

/* A digest of names and contents. */
uint64_t weakfs_sum(const struct weakfs_image *image);
/* Makes the folder, which must not exist. */
void weakfs_write(const struct weakfs_image *image, const char *folder);
/* Is the folder exactly that? Says on stderr what is not. */
bool weakfs_is(const struct weakfs_image *image, const char *folder);

#endif
