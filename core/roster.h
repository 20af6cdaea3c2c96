/*
 * roster: who may write (FORMAT.md §3 "Roster"). Pure.
 */
#ifndef NIGHTJAR_CORE_ROSTER_H
#define NIGHTJAR_CORE_ROSTER_H

#include "core/buf.h"
#include "core/id.h"
#include "core/keys.h"

struct roster_writer {
	uint8_t pub[32];
	uint32_t domain;
	uint64_t first_sequence, last_sequence; /* UINT64_MAX: no end, else it was revoked */
	uint64_t version;
	/* Of one that was revoked: its manifests that count, ascending; who has the key could still sign others of old numbers. In a roster owned. */
	struct id *kept;
	size_t kept_count;
};

struct roster_epoch {
	uint32_t epoch;
	uint8_t pub[32];
};

struct roster {
	uint64_t epoch;              /* the highest that was merged */
	struct roster_epoch *epochs; /* ascending */
	size_t epoch_count;
	struct roster_writer *writers; /* ascending by pub */
	size_t writer_count;
};

void roster_free(struct roster *r); /* {0} is fine */
int roster_enc(const struct roster *r, const uint8_t repo[REPO_ID_BYTES],
	       const uint8_t owner_secret[64], struct buf *out, struct err *err) ERR_UNUSED_WARN;
/* Checks repository, O and signature first. ERR_VERSION, ERR_LIMIT, otherwise ERR_DAMAGED. */
int roster_dec(const void *bytes, size_t len, const uint8_t repo[REPO_ID_BYTES],
	       const uint8_t owner_pub[32], struct roster *out_roster,
	       struct err *err) ERR_UNUSED_WARN;
/* On failure into keeps what was merged so far. Merges `from` into `into` by the rule of §3. */
int roster_merge(struct roster *into, const struct roster *from, struct err *err) ERR_UNUSED_WARN;
/* A writer that is there already is merged by the same rule; w is copied. ERR_LIMIT. */
int roster_add_writer(struct roster *r, const struct roster_writer *w,
		      struct err *err) ERR_UNUSED_WARN;
/* ERR_DAMAGED when this epoch has another key already. */
int roster_add_epoch(struct roster *r, uint32_t epoch, const uint8_t pub[32],
		     struct err *err) ERR_UNUSED_WARN;
/* Was it revoked? */
bool roster_revoked(const struct roster_writer *w);
/* Does its manifest of this sequence and name count? */
bool roster_counts(const struct roster_writer *w, uint64_t sequence, const struct id *name);
/* What is between repository and owner, for who keeps a roster elsewhere; out is to be freed also after a failure. */
void roster_put_lists(struct buf *b, const struct roster *r);
int roster_get_lists(struct rd *r, struct roster *out, struct err *err) ERR_UNUSED_WARN;
/* NULL when not named. */
const struct roster_writer *roster_find(const struct roster *r, const uint8_t pub[32]);

#endif
