/*
 * out: everything the program says. Results go to stdout, the rest to stderr. For people: plain lines,
 * errors as "nightjar: <text>", always one line (control bytes are escaped). With --json: one object a
 * line with a message_type; results and status on stdout, "error" and "exit_error" on stderr, as
 * restic does. Nothing below cli prints. One thread.
 */
#ifndef NIGHTJAR_CLI_OUT_H
#define NIGHTJAR_CLI_OUT_H

#include <stdbool.h>
#include <stdio.h>

#include "cli/exit.h"
#include "cli/json.h"
#include "core/err.h"

struct out {
	FILE *results;
	FILE *errors;
	bool json;
	bool quiet;
	unsigned verbose; /* how many -v */
	const char *
	    step; /* NULL, or which part of a longer command speaks: what ends a part is an error of the whole */
	bool exit_error_said; /* an exit_error object went out already */
	bool meter_shown; /* the terminal shows a progress line, which the next line takes away */
	int write_errno;  /* the first failed write of results, or 0 */
};

/* Takes the progress line (cli/progress.h) off the terminal. */
void out_clear_meter(struct out *o);

/* A line of the result. Nothing with --json. */
void out_line(struct out *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* What is nice to know: not with --quiet, not with --json. */
void out_note(struct out *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* What is only worth saying with at least one -v, not with --json. */
void out_detail(struct out *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A whole document as a line on stdout; reports a failed allocation as an error. */
void out_json(struct out *o, const struct json *j);
/* Raw bytes on stdout, as `dump` needs. */
void out_bytes(struct out *o, const void *bytes, size_t len);

/*
 * Something went wrong with one item and the command goes on: "nightjar: <item>: <text>", without the item where
 * the text names it. during ("archival", "check", …) and item may be NULL.
 */
void out_error(struct out *o, const char *during, const char *item, const char *text);
/* As out_error, but not wrong: "nightjar: warning: <text>"; message_type "warning"; not with --quiet. */
void out_warning(struct out *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/*
 * As out_warning, for what happens behind a call that takes long: the one call here that any thread may make at any
 * time. A progress line that is shown is written over.
 */
void out_elsewhere(const struct out *o, const char *text);
/* The error that ends the command. */
void out_exit_error(struct out *o, enum exit_code code, const char *text);

/*
 * Flushes stdout. 0, or ERR_IO when anything of the result was lost. *out_pipe_closed: the reader went
 * away (`| head`), which deserves an exit code and no words.
 */
int out_finish(struct out *o, bool *out_pipe_closed, struct err *err) ERR_UNUSED_WARN;

#endif
