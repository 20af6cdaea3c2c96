/* dbgrid_fill: what the tables of a database of the grid hold (dbgrid.h). */
#ifndef NIGHTJAR_TESTS_SUPPORT_DBGRID_FILL_H
#define NIGHTJAR_TESTS_SUPPORT_DBGRID_FILL_H

#include <sqlite3.h>

#include "tests/support/dbgrid.h"

struct dbgrid_recipe {
	uint64_t number;
	unsigned flavour; /* below DBGRID_FLAVOURS */
	unsigned page_bytes, reserved_bytes;
	unsigned encoding;    /* 0 UTF-8, 1 UTF-16le, 2 UTF-16be */
	unsigned auto_vacuum; /* 0 none, 1 full, 2 incremental */
	bool secure_delete;
	bool old_format; /* schema format 1: no DESC in indexes, no one-byte 0 and 1 */
	struct dbgrid_rng rng;
};

const char *dbgrid_flavour_name(unsigned flavour);

/*
 * Gives the database the SQL functions that the flavours use: rows() and pagesize() of the recipe, rnd(n) below n,
 * rnd64(), noise(bytes), words(n). They draw from the recipe's rng, which must outlive the connection.
 */
void dbgrid_functions(sqlite3 *db, struct dbgrid_recipe *r);
/* Makes the tables, fills them, and then changes them, so that pages get holes and a free list. */
void dbgrid_fill(sqlite3 *db, const struct dbgrid_recipe *r);
/* Makes the schema lie, as no application would. False when this flavour has no such lies. */
bool dbgrid_lies(sqlite3 *db, const struct dbgrid_recipe *r);

#endif
