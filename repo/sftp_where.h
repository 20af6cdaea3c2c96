/*
 * sftp_where: where a repository location `sftp:…` leads, as restic reads it:
 *
 *   sftp:[user@]host:/path            absolute
 *   sftp:[user@]host:path             below the home of that user
 *   sftp://[user@]host[:port]/path    below the home, too
 *   sftp://[user@]host[:port]//path   absolute
 *
 * The host may be an address, or a name of ~/.ssh/config; IPv6 goes in brackets. %XX counts in the // form only. A
 * user or host that ssh or a shell could take for something else (a leading '-', quotes, spaces) is refused, and so is a
 * password, without being repeated. Pure; any thread.
 */
#ifndef NIGHTJAR_REPO_SFTP_WHERE_H
#define NIGHTJAR_REPO_SFTP_WHERE_H

#include "core/err.h"

struct sftp_where {
	char *user;   /* NULL: as ssh chooses */
	char *host;   /* without brackets */
	char port[6]; /* "" : as ssh chooses */
	char *path;   /* without a slash at its end; "" is the server's root folder */
};

/* ERR_USAGE, saying what a location looks like; where is empty then. Free with sftp_where_free. */
int sftp_where_parse(const char *location, struct sftp_where *where,
		     struct err *err) ERR_UNUSED_WARN;
void sftp_where_free(struct sftp_where *where);

#endif
