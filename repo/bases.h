/*
 * bases: which stored chunks a new one is to rest on (FORMAT.md §4 "Delta records"), from what the index knows: finds the
 * records, lets core/lineage decide. One thread.
 */
#ifndef NIGHTJAR_REPO_BASES_H
#define NIGHTJAR_REPO_BASES_H

#include "core/lineage.h"
#include "repo/index.h"

/* A chunk that is not stored, and what may be under it. */
struct bases_query {
	uint8_t kind;
	uint64_t plain_bytes;
	uint32_t domain;      /* that it is stored in; chunks of others are no bases */
	uint32_t pack_count;  /* packs of the index that count; later ones are this run's own */
	const struct id *ids; /* former versions, the best first */
	/*
	 * A list rests only on lists that this writer has stored: who maintains opens lists but cannot recompute their ids, and by a base that
	 * another writer has planted would read another list.
	 */
	const uint8_t *writer;
	size_t count;
	bool plain_chain; /* the version it follows is its first base, whatever its lineage */
};

struct bases_choice {
	struct id ids[LIMIT_BASES];
	size_t count;
	struct lineage_plan plan;
	bool
	    follows; /* there is a version that the chunk follows: last, which may be none of ids */
	struct id last;
};

/* False: it is stored full. */
bool bases_choose(const struct index *index, const struct bases_query *query,
		  struct bases_choice *out_choice);

#endif
