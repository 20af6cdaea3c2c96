/*
 * sightings: what a host has seen of a repository, so that what vanishes from it is noticed: the backups, which of them it knows to have been
 * removed on purpose, and the roster. Kept on the host alone, in no repository. Pure codec; the arrays of a decoded one are owned by it and
 * freed by sightings_free.
 */
#ifndef NIGHTJAR_CORE_SIGHTINGS_H
#define NIGHTJAR_CORE_SIGHTINGS_H

#include "core/buf.h"
#include "core/header.h"
#include "core/id.h"
#include "core/limits.h"
#include "core/roster.h"

enum sighting_fate {
	SIGHTING_SEEN = 1, /* it was there, and verified */
	SIGHTING_NAMED,    /* another manifest names it; this host never saw it */
	SIGHTING_RETIRED, /* removed on purpose, as a record said; another manifest still names it */
	SIGHTING_ACCEPTED /* lost, and the operator knows; another manifest still names it */
};

struct sighting {
	struct id name;
	uint8_t writer[32];
	uint64_t sequence; /* 0: not known, as of one that is only named */
	int64_t time_ns;   /* 0: not known */
	uint8_t fate;      /* enum sighting_fate */
};

struct sightings {
	uint8_t repo[REPO_ID_BYTES];
	uint8_t owner_pub[32];
	uint64_t retire_number; /* the highest */
	uint64_t findings;      /* of the last look; 0 = nothing was wrong */
	struct roster roster;   /* all of it that was ever seen, merged */
	struct sighting *items; /* ascending by name, none twice */
	size_t count;
};
void sightings_free(struct sightings *s); /* {0} is fine */

/* ERR_LIMIT more than core/limits.h allows; out is unchanged then. */
int sightings_enc(const struct sightings *s, struct buf *out, struct err *err) ERR_UNUSED_WARN;
/* ERR_DAMAGED also for those of another repository, ERR_LIMIT, ERR_VERSION. */
int sightings_dec(const void *bytes, size_t len, const uint8_t repo[REPO_ID_BYTES],
		  struct sightings *out_sightings, struct err *err) ERR_UNUSED_WARN;

/* NULL when it is not among them. */
struct sighting *sightings_find(const struct sightings *s, const struct id *name);

/*
 * Of each writer those of the highest sequence that was seen, of a fork all, by writer and name. *out_items is one allocation, free().
 */
int sightings_newest(const struct sightings *s, struct sighting **out_items, size_t *out_count,
		     struct err *err) ERR_UNUSED_WARN;

#endif
