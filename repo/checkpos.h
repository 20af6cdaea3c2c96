/*
 * checkpos: how far on its round through the packs (core/rotation.h) this host's reading of a repository is: a line in
 * <state_dir>/<repository id>/check-position. One thread.
 */
#ifndef NIGHTJAR_REPO_CHECKPOS_H
#define NIGHTJAR_REPO_CHECKPOS_H

#include "core/header.h"
#include "core/rotation.h"

struct checkpos {
	uint64_t point; /* where the next part begins */
	int64_t read_at_s;
};

/* False when nothing was read yet; what does not read as a position is the same as none: the round begins anew. ERR_NOMEM, ERR_IO. */
int checkpos_load(const char *state_dir, const uint8_t repo[REPO_ID_BYTES],
		  struct checkpos *out_pos, bool *out_found, struct err *err) ERR_UNUSED_WARN;
int checkpos_save(const char *state_dir, const uint8_t repo[REPO_ID_BYTES],
		  const struct checkpos *pos, struct err *err) ERR_UNUSED_WARN;

/*
 * What is due so that everything is read every so many days: what the time since the last part is of them, whether nights were left out or
 * came twice. The first part is that of one day, and so is one after a clock that went back. pos: NULL = none.
 */
struct rotation checkpos_due(const struct checkpos *pos, unsigned days, int64_t now_s);

#endif
