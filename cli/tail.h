/*
 * tail: the end of what the program says, kept while it is said, for those who are told about a run. A stream that passes everything on
 * and remembers the last of it. One thread.
 */
#ifndef NIGHTJAR_CLI_TAIL_H
#define NIGHTJAR_CLI_TAIL_H

#include <stdio.h>

#include "core/err.h"

#define TAIL_BYTES 10000u

struct tail {
	char bytes[TAIL_BYTES]; /* a ring */
	size_t total;           /* bytes that went through */
};

/* A stream that writes to `to` and into tail; fclose ends it and leaves `to` open. ERR_NOMEM. */
int tail_open(struct tail *tail, FILE *to, FILE **out_stream, struct err *err) ERR_UNUSED_WARN;

/*
 * The last lines, whole, as text that is the caller's to free, without the users and passwords of URLs in it, and without secret (NULL = none)
 * wherever it stands. ERR_NOMEM.
 */
int tail_text(const struct tail *tail, const char *secret, char **out_text,
	      struct err *err) ERR_UNUSED_WARN;

#endif
