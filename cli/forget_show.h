/*
 * forget_show: what a plan of repo/forget keeps and removes, and why, for people and as restic's JSON document (cli/JSON.md "forget"). One
 * thread.
 */
#ifndef NIGHTJAR_CLI_FORGET_SHOW_H
#define NIGHTJAR_CLI_FORGET_SHOW_H

#include "cli/out.h"
#include "repo/forget.h"

/* The tables; as a result, or, where quiet is fine, as notes. Nothing with --json. */
void forget_show_tables(struct out *out, const struct forget_plan *plan, unsigned group_by,
			bool as_notes);
/* The array of groups. */
void forget_show_json(struct out *out, const struct forget_plan *plan, unsigned group_by);

#endif
