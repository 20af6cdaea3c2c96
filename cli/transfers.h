/*
 * transfers: what the options say about stores behind a network, as cli->net, and what went over it in a command, for its
 * summary. One thread, but for what net's own callbacks and counts promise.
 */
#ifndef NIGHTJAR_CLI_TRANSFERS_H
#define NIGHTJAR_CLI_TRANSFERS_H

#include "cli/json.h"
#include "cli/secret.h"
#include "core/err.h"
#include "repo/net.h"

struct transfers {
	struct net_counts counts; /* of the command under way */
	struct net_pace up, down;
	struct secret rest_password; /* read from a file, a NUL behind it */
};

#define TRANSFERS_MOST_KIB (UINT64_C(1) << 40) /* of a limit */

/* Numbers of one or more commands. {0} = nothing was sent. */
struct transfer_sums {
	uint64_t requests, retries, sent_bytes, received_bytes;
};

struct cli;

/*
 * Fills cli->net from cli->global, as it is before a command is run, and begins to count anew. cli must stay where it is.
 * ERR_USAGE for a key of -o that there is not, or a value that cannot be meant; and what reading the password of rest: gives.
 */
int transfers_set(struct cli *cli, struct err *err) ERR_UNUSED_WARN;
/*
 * The same as cli->from_net for a second repository, behind command_repo: what options and variables say holds for both, what the
 * configuration file says for the location that it says it of. Counted together, and limits of options are shared.
 */
int transfers_set_from(struct cli *cli, const char *location, struct err *err) ERR_UNUSED_WARN;
/* Forgets the passwords. */
void transfers_wipe(struct cli *cli);

/* Would -o take this KEY=VALUE? ERR_USAGE begins with "-o ". */
int transfers_judge(const char *word, struct err *err) ERR_UNUSED_WARN;

/* Adds what was counted since transfers_set. */
void transfers_add(const struct cli *cli, struct transfer_sums *sums);

/* "34 requests, 13.218 MiB sent, 41.002 KiB received, 1 retried"; "" of nothing. */
#define TRANSFERS_CHARS 320
void transfers_words(const struct transfer_sums *sums, char out[TRANSFERS_CHARS]);
/* The fields requests, requests_retried, bytes_sent, bytes_received; none of nothing. */
void transfers_json(const struct transfer_sums *sums, struct json *j);

#endif
