/* weakfs_data: the bytes of one file for weakfs, and what becomes of those that no sync has seen. */
#ifndef NIGHTJAR_TESTS_SUPPORT_WEAKFS_DATA_H
#define NIGHTJAR_TESTS_SUPPORT_WEAKFS_DATA_H

#include "tests/support/oplog.h"

struct weakfs_bytes {
	uint8_t *p; /* the owner frees it */
	size_t len;
};

void weakfs_bytes_read(struct weakfs_bytes *b, const char *path);
void weakfs_bytes_write(const struct weakfs_bytes *b, const char *path);
void weakfs_bytes_copy(struct weakfs_bytes *b, const struct weakfs_bytes *from);

/* The first len bytes of a write or hole, or the length that is set. */
void weakfs_bytes_apply(struct weakfs_bytes *b, const struct op *op, size_t len);

/* Numbers that look random, and follow from the first. */
struct weakfs_chance {
	uint64_t state;
};

unsigned weakfs_draw(struct weakfs_chance *chance, unsigned below);

enum weakfs_fate {
	FATE_OLD,     /* nothing came to the disk */
	FATE_NEW,     /* all did */
	FATE_ZEROS,   /* the new length, zeros in it */
	FATE_TORN,    /* some operations, and of the next one some sectors of 512 bytes */
	FATE_SECTORS, /* any of all sectors of 512 bytes */
	FATE_BLOCKS,  /* any of all blocks of 4 KiB */
	FATES
};

void weakfs_bytes_suffer(struct weakfs_bytes *b, const struct op *const *pending, size_t count,
			 enum weakfs_fate fate, struct weakfs_chance *chance);

#endif
