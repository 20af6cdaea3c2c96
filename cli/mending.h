/* mending: packs are mended by their parity, with words about it: for `repair packs` and `check --repair`, with a key or without. */
#ifndef NIGHTJAR_CLI_MENDING_H
#define NIGHTJAR_CLI_MENDING_H

#include "cli/command.h"
#include "repo/repair.h"

/*
 * Reads all packs, or those whose names begin as operands say, and mends what can be mended. A line for each damaged one: a warning when it was mended,
 * an error of `during` when not. Errors as repair_parity and repair_find_pack.
 */
int mending_run(struct cli *cli, struct store *store, const char *during, int count,
		char **operands, struct repair_parity_result *out_result,
		struct err *err) ERR_UNUSED_WARN;

/* The fields of a summary. */
void mending_json(struct json *j, const struct repair_parity_result *res);

/* The whole of such a command for who has no key, or one that allows no more. store: NULL = the one that options say. */
enum exit_code mending_alone(struct cli *cli, struct store *store, const char *during, int count,
			     char **operands);

/* A warning, where damage kept something from being read: what may give it back. */
void mending_advise(struct cli *cli);
/* The same behind the text of an error that is ERR_DAMAGED; another stays as it is. */
void mending_hint(struct err *err);

/* The packs that operands name by their first digits; *out_ids is the caller's, also after a failure. */
int mending_find_packs(struct store *store, int count, char **operands, struct id **out_ids,
		       struct err *err) ERR_UNUSED_WARN;

#endif
