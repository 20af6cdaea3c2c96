/*
 * faultplan: what the preloaded library (tests/tools/faultlib.c) is told and what it tells, in a file that both map.
 */
#ifndef NIGHTJAR_TESTS_SUPPORT_FAULTPLAN_H
#define NIGHTJAR_TESTS_SUPPORT_FAULTPLAN_H

#include <stdint.h>

#define FAULTPLAN_VARIABLE "NIGHTJAR_FAULTPLAN" /* names the file */
#define FAULT_SHORT (-1) /* in place of an errno: a read or write does half of what was asked */

enum fault_class {
	FAULT_NONE,
	FAULT_READ,
	FAULT_WRITE,
	FAULT_SYNC,
	FAULT_CREATE, /* opens that make a file */
	FAULT_OPEN,   /* those that do not, folders included */
	FAULT_NAME,   /* rename, link, mkdir, unlink and their like */
	FAULT_SIZE,   /* ftruncate and fallocate */
	FAULT_LIST,   /* readdir */
	FAULT_STAT,
	FAULT_MAP,    /* mmap of a file */
	FAULT_ALLOC,  /* malloc and its like, and mmap of memory, but not libcrypto's */
	FAULT_CRYPTO, /* libcrypto's: thousands at every start */
	FAULT_CLASSES
};

struct faultplan {
	/* The plan. */
	uint32_t call_class;
	int32_t error;
	uint64_t at;      /* the first call that fails, from 1; 0 = none */
	uint32_t lasting; /* every later one fails as well */
	uint32_t reserved;
	int64_t shift_s; /* what the clock of a local store is ahead */
	char below[512]; /* only calls for what lies there count; not with the last two classes */
	/* What became of it. */
	uint64_t calls; /* that counted */
	uint64_t fired;
	char first[600]; /* the first call that failed, and its path */
};

#endif
