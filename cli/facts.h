/*
 * facts: what a command came to, for those who ask later: `nightly` for its summary, metrics and hooks, `status` by the small file
 * that is kept on this host (repo/runstate.h). That the file cannot be written is a warning and fails nothing. One thread.
 */
#ifndef NIGHTJAR_CLI_FACTS_H
#define NIGHTJAR_CLI_FACTS_H

#include <stdbool.h>
#include <stdint.h>

#include "repo/runstate.h"

/* {0} = nothing came to anything. */
struct facts {
	char repo[RUNSTATE_ID_CHARS + 1]; /* id of the repository that was opened; "" = none */
	char location[RUNSTATE_LOCATION_CHARS];
	bool backed_up; /* a manifest was made */
	char manifest[ID_HEX_CHARS + 1];
	uint64_t bytes_stored, files, databases, databases_failed, unreadable;
	uint64_t refs_missing;
	uint64_t alarms; /* files of immutable folders that are not what they were */
	bool full;       /* there was no room for the backup */
	bool checked;    /* to its end */
	uint64_t packs_read, bytes_read, damaged;
	uint64_t rollback; /* what was found to have vanished, each once */
	uint64_t accepted; /* of that, what --accept-rollback took for right */
};

struct cli;
struct repo;
struct backup_result;
struct check_result;

/* A location as it is shown and kept: without credentials, a local one as an absolute path where it is there. */
void facts_location(const char *location, char *out, size_t out_size);

/* Whose facts they are: a repository that was opened. */
void facts_repo(struct cli *cli, const struct repo *repo);

/* After a backup; nothing of a dry run is kept. cli->codes: what it ended with. */
void facts_backup(struct cli *cli, const struct backup_result *res);
/* After a check that came to its end, with cli->codes; whole: of the whole repository. */
void facts_check(struct cli *cli, const struct check_result *res, bool whole);

/* After a drill that came to a verdict. */
void facts_drill(struct cli *cli, bool good);

/* runstate_update on this host. A failure is a warning. */
void facts_keep(struct cli *cli, const char *repo_hex,
		void (*change)(void *arg, struct runstate *state), void *arg);

#endif
