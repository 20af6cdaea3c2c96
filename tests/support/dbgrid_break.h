/* dbgrid_break: how images of the grid are damaged (dbgrid.h). */
#ifndef NIGHTJAR_TESTS_SUPPORT_DBGRID_BREAK_H
#define NIGHTJAR_TESTS_SUPPORT_DBGRID_BREAK_H

#include "tests/support/dbgrid.h"

/* What a breaker works on; it may replace bytes (by realloc) and len. */
struct dbgrid_victim {
	uint8_t *bytes;
	size_t len;
	size_t page_bytes; /* what it was made with */
	struct dbgrid_rng rng;
};

unsigned dbgrid_breakers(void);
/* Damages v in way number kind, below dbgrid_breakers(); gives the way's name. */
const char *dbgrid_break(struct dbgrid_victim *v, unsigned kind);

#endif
