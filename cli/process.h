/*
 * process: what the program does to its own process before anything else, and signals. Signal handlers
 * need the one flag of the program that outlives a call; it lives here and nowhere else.
 */
#ifndef NIGHTJAR_CLI_PROCESS_H
#define NIGHTJAR_CLI_PROCESS_H

#include <stdbool.h>

#include "core/err.h"

/*
 * No core dumps, no ptrace by others, umask 077, descriptors 0–2 open (on /dev/null if need be; a stdout that was closed
 * refuses every write), SIGPIPE
 * and SIGXFSZ ignored, SIGINT, SIGTERM and SIGHUP caught, libsodium ready.
 */
int process_start(struct err *err) ERR_UNUSED_WARN;

/* True after the first SIGINT, SIGTERM or SIGHUP. The second one kills. For cancel callbacks of any thread. */
bool process_interrupted(void);

#endif
