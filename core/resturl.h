/*
 * resturl: takes the location of a rest: repository apart: rest:http(s)://[user[:password]@]host[:port]/path/. Pure;
 * any thread.
 */
#ifndef NIGHTJAR_CORE_RESTURL_H
#define NIGHTJAR_CORE_RESTURL_H

#include "core/err.h"

/* All are the struct's. {0} is empty. */
struct resturl {
	char *location; /* for messages: "***" instead of the password, no slash at its end */
	char *url;      /* without user and password, encoded as it was given; ends in '/' */
	char *user, *password; /* decoded; NULL when the location has no user */
};

/*
 * ERR_USAGE for what is no such location, has a query or a fragment, a byte that a URL must encode, or a user or password
 * that is encoded wrongly. No message repeats any of it. Nothing to free after an error.
 */
int resturl_parse(const char *location, struct resturl *out, struct err *err) ERR_UNUSED_WARN;
void resturl_free(struct resturl *r); /* wipes the password; {0} is fine */

#endif
