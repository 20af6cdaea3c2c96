/*
 * place: which repositories this host has found at a location, so that another one in the place of the first is noticed, also by who has
 * only a password that opens both. Several may be known, such as disks that take turns. Kept in <state_dir>/<first half of the SHA-256 of the
 * location>/place. One thread.
 */
#ifndef NIGHTJAR_REPO_PLACE_H
#define NIGHTJAR_REPO_PLACE_H

#include <stdbool.h>

#include "core/header.h"

#define PLACE_REPOS 16 /* of more the oldest are forgotten */

struct place {
	uint8_t repos[PLACE_REPOS][REPO_ID_BYTES]; /* in the order in which they were found */
	size_t count;
};

/* A location that nothing is known of gives none. ERR_DAMAGED names the file, and is to be taken for none. */
int place_load(const char *state_dir, const char *location, struct place *out_place,
	       struct err *err) ERR_UNUSED_WARN;
bool place_has(const struct place *place, const uint8_t repo[REPO_ID_BYTES]);
/* Keeps in mind that it was found there. */
int place_add(const char *state_dir, const char *location, const uint8_t repo[REPO_ID_BYTES],
	      struct err *err) ERR_UNUSED_WARN;

#endif
