/*
 * secret: where a password comes from. It lives in guarded, locked memory (sodium_malloc), is wiped
 * when freed, and never reaches argv, the environment, a log or an error text. One thread.
 */
#ifndef NIGHTJAR_CLI_SECRET_H
#define NIGHTJAR_CLI_SECRET_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/options.h"
#include "core/err.h"

/* {0} is none. No NUL at the end; may hold any byte. At most LIMIT_PASSWORD_BYTES, never empty. */
struct secret {
	char *bytes;
	size_t len;
};

void secret_free(struct secret *secret); /* {0} is fine */

/*
 * Nobody but its owner may open a file with a secret: ERR_USAGE names it as what ("key file") and path, and says what to do. But who gets it from a
 * container or the service manager cannot choose its mode: on a read-only mount, and below /run/secrets, *out_tolerated is true
 * instead, which deserves a warning. What is no regular file is nobody's to judge.
 */
int secret_judge_mode(int fd, const char *what, const char *path, bool *out_tolerated,
		      struct err *err) ERR_UNUSED_WARN;

/*
 * The contents of path without one trailing newline (LF or CRLF). /dev/fd/N reads a descriptor.
 * ERR_KEY when empty, ERR_LIMIT when too long, as secret_judge_mode, or the error of opening it; all name the path.
 */
int secret_from_file(const char *path, struct secret *out_secret, bool *out_tolerated,
		     struct err *err) ERR_UNUSED_WARN;

/*
 * The first line that `sh -c command` prints. Its stderr and stdin are ours. ERR_IO when it does not run or
 * exits nonzero, ERR_KEY when the line is empty, ERR_LIMIT, ERR_CANCELLED.
 */
int secret_from_command(const char *command, struct secret *out_secret,
			struct err *err) ERR_UNUSED_WARN;

/*
 * A line from the terminal with echo off. again: another prompt, for a new password; NULL = ask once.
 * ERR_KEY when there is no terminal (naming the options that would do), when the two differ or the line is
 * empty; ERR_CANCELLED. The terminal is restored in every case.
 */
int secret_from_terminal(const char *prompt, const char *again, struct secret *out_secret,
			 struct err *err) ERR_UNUSED_WARN;

/*
 * The password as the options say: from the file, the command, or the terminal. is_new asks twice there.
 * Not for --key-file, which is no password.
 */
int secret_password(const struct options_global *global, bool is_new, struct secret *out_secret,
		    bool *out_tolerated, struct err *err) ERR_UNUSED_WARN;

#endif
