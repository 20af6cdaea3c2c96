/*
 * exit: the exit codes of the program and which of several wins. Scripts depend on the numbers.
 * Pure; any thread.
 */
#ifndef NIGHTJAR_CLI_EXIT_H
#define NIGHTJAR_CLI_EXIT_H

#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

enum exit_code {
	EXIT_OK = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_SOURCE = 3, /* a source could not be read; the manifest was made */
	EXIT_NOREPO = 10,
	EXIT_BUSY = 11,
	EXIT_KEY = 12,       /* wrong password or key, or its role does not allow this */
	EXIT_DAMAGED = 20,   /* check found damage */
	EXIT_INTEGRITY = 21, /* a database failed its integrity check */
	EXIT_REFS = 22,      /* references missing */
	EXIT_DRILL = 23,
	EXIT_ROLLBACK = 24,
	EXIT_INTERRUPTED = 130
};
#define EXIT_CODES 13

/* Everything that applies to a run so far. {0} = nothing, which is EXIT_OK. */
struct exit_codes {
	uint32_t seen; /* a bit a code, in order of precedence */
};

/* EXIT_OK changes nothing. */
void exit_add(struct exit_codes *codes, enum exit_code code);

/* The one that wins: 130, 12, 10, 24, 1, 20, 21, 22, 23, 2, 3, 11; EXIT_OK when there is none. */
enum exit_code exit_first(const struct exit_codes *codes);

/* All that were added, the winner first. Returns how many. */
size_t exit_list(const struct exit_codes *codes, enum exit_code out_codes[EXIT_CODES]);

/*
 * What an error that ends a command means to a script. ERR_DAMAGED and ERR_SOURCE are EXIT_FAILED here:
 * 20 and 3 are verdicts of commands that went on (`check`, `backup`), which add them themselves.
 */
enum exit_code exit_of_err(const struct err *err);

/* A few words about a code, for people: "a source could not be read". */
const char *exit_text(enum exit_code code);

#endif
