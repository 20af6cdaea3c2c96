/*
 * sqlrec: a row of SQLite's record format taken apart, column by column (https://www.sqlite.org/fileformat2.html#record_format).
 * Nothing here trusts a byte. Pure; any thread.
 */
#ifndef NIGHTJAR_CORE_SQLREC_H
#define NIGHTJAR_CORE_SQLREC_H

#include <stdbool.h>

#include "core/buf.h"

struct sqlrec {
	struct span types, values; /* what was not read yet */
};

struct sqlrec_column {
	uint64_t serial; /* its type and length: 0 is NULL, odd from 13 on is text */
	struct span value;
};

/* False when it cannot be the front of a record: then there are no columns. */
bool sqlrec_open(const void *payload, size_t len, struct sqlrec *out_record);
/* False behind the last column, and when what follows is cut short. */
bool sqlrec_next(struct sqlrec *r, struct sqlrec_column *out_column);

static inline bool sqlrec_is_text(const struct sqlrec_column *c)
{
	return c->serial >= 13 && (c->serial & 1);
}

#endif
