/*
 * cells_diff: how many cells of a chunk are new, as seen from the chunks that it is like (FORMAT.md §11). For the numbers that
 * operators are shown: cells are told apart by a 64-bit hash, which somebody who writes rows for that purpose could
 * lead astray. Pure; any thread.
 */
#ifndef NIGHTJAR_CORE_CELLS_DIFF_H
#define NIGHTJAR_CORE_CELLS_DIFF_H

#include "core/buf.h"

/*
 * Counts the cells of chunk, one of CELLS_DATA, of which no base has the same rowid and payload; without bases that is all
 * of them. A payload that is cut apart from its cell is only known by its length, and its pieces hold no cells. Any bytes may
 * be given: what is no cell counts as none, here and in a base. ERR_NOMEM only.
 */
int cells_diff(const struct span *chunk, const struct span *bases, size_t base_count,
	       uint64_t *out_new, struct err *err) ERR_UNUSED_WARN;

#endif
