/*
 * repair_run: what the repairs share (repair_index.c, repair_packs.c, repair_manifests.c). Internal to them.
 */
#ifndef NIGHTJAR_REPO_REPAIR_RUN_H
#define NIGHTJAR_REPO_REPAIR_RUN_H

#include "repo/index.h"
#include "repo/repair.h"

/* ERR_CANCELLED when progress says so. */
int repair_tick(const struct repair_callbacks *cb, uint64_t done, uint64_t total, const char *what,
		struct err *err) ERR_UNUSED_WARN;
/* Tells what was repaired, or lost, of one object. */
void repair_tell(const struct repair_callbacks *cb, bool lost, enum store_type type,
		 const struct id *name, const char *text);
/* Not what only this user or this moment could not read: nothing is given up for that. */
bool repair_is_damage(const struct err *why);

#endif
