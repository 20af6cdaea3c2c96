/*
 * rollback: the words for what has vanished from a repository (repo/witness.h), and exit code 24. One thread.
 */
#ifndef NIGHTJAR_CLI_ROLLBACK_H
#define NIGHTJAR_CLI_ROLLBACK_H

#include "cli/command.h"
#include "core/sightings.h"
#include "repo/manifests.h"

/*
 * Has a repository that was opened watched: what is found is told, once a command, and adds EXIT_ROLLBACK to cli->codes; with
 * cli->accept_rollback it is told as accepted and adds nothing. Uses cli until the repository is closed. A host without a state folder only
 * misses what manifests name; it cannot accept anything (ERR_USAGE).
 */
int rollback_watch(struct cli *cli, struct repo *repo, struct err *err) ERR_UNUSED_WARN;

/* A repository that no key opened: is it another than this host has found there? Then that is said, and the code added. */
void rollback_suspect(struct cli *cli, struct store *store);

/* "WRITER:SEQUENCE:HASH", as `status` prints it. */
#define ROLLBACK_RECORD_CHARS (2 * ID_HEX_CHARS + 24)
void rollback_record(const struct sighting *s, char out[ROLLBACK_RECORD_CHARS]);
/* ERR_USAGE when it is not exactly such a line. */
int rollback_record_parse(const char *text, struct sighting *out, struct err *err) ERR_UNUSED_WARN;
/* Does the repository know of the backup that was written down? If not that is said, and the code added. */
void rollback_expect(struct cli *cli, const struct manifest_list *list, const char *text,
		     const struct sighting *wanted);

#endif
