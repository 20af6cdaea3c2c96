/* repairbox: a repository in memory with a few backups of small files, of which tests break something and repair it. */
#ifndef NIGHTJAR_TESTS_SUPPORT_REPAIRBOX_H
#define NIGHTJAR_TESTS_SUPPORT_REPAIRBOX_H

#include "repo/repair.h"
#include "tests/support/repo_case.h"

#define REPAIRBOX_FILES 4
#define REPAIRBOX_FILE_BYTES 3000
#define REPAIRBOX_BACKUPS 3

struct repairbox {
	struct repo_case *c;
	uint8_t *blocks[REPAIRBOX_BACKUPS][REPAIRBOX_FILES];
	struct repo_case_file files[REPAIRBOX_BACKUPS][REPAIRBOX_FILES];
	struct id manifests[REPAIRBOX_BACKUPS];
	struct err *err;
};

int repairbox_setup(void **state);
int repairbox_teardown(void **state);

/* How many backups read back whole. */
unsigned repairbox_readable(struct repairbox *f);
/* The n-th name of a type. */
struct id repairbox_nth(struct repairbox *f, enum store_type type, size_t n);
/* Turns a bit in it. */
void repairbox_rot(struct repairbox *f, enum store_type type, size_t n, size_t at);

/* The repairs, which must succeed. */
struct repair_index_result repairbox_index(struct repairbox *f);
struct repair_packs_result repairbox_packs(struct repairbox *f);

#endif
