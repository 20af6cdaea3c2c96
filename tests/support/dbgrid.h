/*
 * dbgrid: database images for tests of the cell codec, the same in every run. Over page sizes, reserved bytes,
 * encodings, auto_vacuum and what the tables hold (DBGRID_FLAVOURS), each both as VACUUM INTO leaves it and as a plain
 * copy of the file with its free list, freeblocks and fragments; then broken copies of each; then what is no database.
 * They are made in memory. Fails the running cmocka test when SQLite refuses something.
 *
 * One thread at a time: the databases lie under fixed names of SQLite's memdb VFS.
 */
#ifndef NIGHTJAR_TESTS_SUPPORT_DBGRID_H
#define NIGHTJAR_TESTS_SUPPORT_DBGRID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DBGRID_FLAVOURS 16
#define DBGRID_PAGE_SIZES 8 /* 512 << 0..7 */

enum dbgrid_form {
	DBGRID_VACUUM, /* what VACUUM INTO wrote */
	DBGRID_PLAIN,  /* the pages of the database as they are */
	DBGRID_BROKEN, /* one of the two, damaged; or not a database at all */
};

struct dbgrid_image {
	char name[160]; /* enough to find the recipe again */
	uint8_t *bytes; /* exactly len of them, so that a read beyond meets a sanitizer */
	size_t len;
	enum dbgrid_form form;
	/* Of the database it was made from; 0 for what is no database. */
	unsigned page_bytes, reserved_bytes, encoding, auto_vacuum;
	bool secure_delete; /* bytes that nothing uses are zeros */
	uint64_t recipe;
};

typedef void dbgrid_visit(void *arg, const struct dbgrid_image *image);

/* Every image in turn, valid during the call. */
void dbgrid_each(dbgrid_visit *visit, void *arg);
/* One sound image of that flavour ("rows", "overflow"; dbgrid_fill.c) and page size. The caller frees its bytes. */
struct dbgrid_image dbgrid_one(const char *flavour, unsigned page_bytes, enum dbgrid_form form);
/* How many pages of a sound image belong to no b-tree: free pages, ptrmap pages, the lock-byte page. */
uint64_t dbgrid_odd_pages(const struct dbgrid_image *image);

/* --- for tests that make their own --- */

/* A sequence of numbers that a seed determines (SplitMix64). */
struct dbgrid_rng {
	uint64_t state;
};

uint64_t dbgrid_next(struct dbgrid_rng *rng);
uint64_t dbgrid_below(struct dbgrid_rng *rng, uint64_t limit); /* limit 0 gives 0 */
void dbgrid_noise(struct dbgrid_rng *rng, uint8_t *out, size_t len);

#endif
