/*
 * lines: lists that the user keeps in files: paths for --files-from, patterns for --exclude-file. One thread.
 */
#ifndef NIGHTJAR_CLI_LINES_H
#define NIGHTJAR_CLI_LINES_H

#include <stddef.h>

#include "core/err.h"

enum lines_kind {
	LINES_TRIMMED, /* a line each, white space around it cut; empty ones and those that begin with # are skipped */
	LINES_VERBATIM, /* a line each as it is; empty ones are skipped */
	LINES_RAW       /* ended by a zero byte each, the last one too */
};

/* {0} is none. Items point into texts; both are freed by lines_free. */
struct lines {
	char **items;
	size_t count;
	char **texts; /* as read */
	size_t text_count;
};
void lines_free(struct lines *lines);

/*
 * Adds what text (len bytes, malloc'd, taken over in every case) holds. ERR_USAGE naming `from`: a zero byte where lines
 * are expected, a list of LINES_RAW that does not end in one or has an empty item; ERR_NOMEM.
 */
int lines_split(struct lines *lines, char *text, size_t len, enum lines_kind kind, const char *from,
		struct err *err) ERR_UNUSED_WARN;

/* Adds what a file holds; "-" is standard input. ERR_IO, ERR_MISSING, ERR_LIMIT (more than 1 GiB), and as lines_split. */
int lines_read(struct lines *lines, const char *path, enum lines_kind kind,
	       struct err *err) ERR_UNUSED_WARN;

/*
 * Adds the paths that a shell pattern matches, in order, hidden ones too; one without `*?[` matches itself when it is there.
 * Returns how many there were, or ERR_NOMEM, ERR_IO.
 */
int lines_expand(struct lines *lines, const char *pattern, struct err *err) ERR_UNUSED_WARN;

/* Adds copies of the parts of text between separators; empty ones are skipped. */
int lines_add_parts(struct lines *lines, const char *text, char separator,
		    struct err *err) ERR_UNUSED_WARN;

/* Adds a copy of one item. */
int lines_add(struct lines *lines, const char *item, struct err *err) ERR_UNUSED_WARN;

#endif
