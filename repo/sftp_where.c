#include "repo/sftp_where.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "repo/store.h"

#define LOOKS "an SFTP location is sftp:user@host:/path or sftp://user@host:port//path"

/* Copies of the parts of a location, as they are cut out of it. */
struct parts {
	char *user, *host, *port, *path;
};

static int hex_of(char c)
{
	const char *digits = "0123456789abcdef", *at;

	if (c >= 'A' && c <= 'F')
		c = (char)(c - 'A' + 'a');
	at = c ? strchr(digits, c) : NULL;
	return at ? (int)(at - digits) : -1;
}

/* In place. False for a % that nothing follows, and for a NUL. */
static bool decode(char *text)
{
	char *to = text;

	for (; *text; text++) {
		int high, low;

		if (*text != '%') {
			*to++ = *text;
			continue;
		}
		high = hex_of(text[1]);
		low = high < 0 ? -1 : hex_of(text[2]);
		if (low < 0 || high + low == 0)
			return false;
		*to++ = (char)(high << 4 | low);
		text += 2;
	}
	*to = '\0';
	return true;
}

/* user@host, of which user may hold an @ itself (mail addresses as accounts). */
static void cut_user(char *text, struct parts *p)
{
	char *at = strrchr(text, '@');

	p->host = text;
	if (at) {
		*at = '\0';
		p->user = text;
		p->host = at + 1;
	}
}

/* Where the host ends: behind the bracket, or at the colon. NULL: a bracket is not closed. */
static char *host_end(char *host, const char *enders)
{
	if (*host != '[')
		return host + strcspn(host, enders);
	host = strchr(host, ']');
	return host ? host + 1 : NULL;
}

/* [user@]host:path */
static bool split_plain(char *text, struct parts *p)
{
	char *slash = text + strcspn(text, "/"), kept = *slash, *end;

	*slash = '\0'; /* an @ in the path is no user's */
	cut_user(text, p);
	*slash = kept;
	end = host_end(p->host, ":");
	if (!end || *end != ':')
		return false;
	*end = '\0';
	p->path = end + 1;
	return *p->path != '\0';
}

/* [user@]host[:port]/path */
static bool split_url(char *text, struct parts *p)
{
	char *slash = strchr(text, '/'), *end;

	if (!slash)
		return false;
	*slash = '\0';
	p->path = slash + 1;
	cut_user(text, p);
	end = host_end(p->host, ":");
	if (!end || (*end && *end != ':'))
		return false;
	if (*end) {
		*end = '\0';
		p->port = end + 1;
	}
	return (!p->user || decode(p->user)) && decode(p->path) && *p->path != '\0';
}

/* As OpenSSH 9.6 refuses them: what a ProxyCommand or a Match exec would hand to a shell. */
static bool is_safe(const char *name, const char *never)
{
	if (*name == '\0' || *name == '-')
		return false;
	for (const char *c = name; *c; c++)
		if ((unsigned char)*c <= ' ' || *c == 127 || strchr(never, *c))
			return false;
	return true;
}

static bool is_port(const char *port)
{
	size_t len = strlen(port);

	return len > 0 && len <= 5 && strspn(port, "0123456789") == len && *port != '0' &&
	       strtoul(port, NULL, 10) <= 65535;
}

static int check(const struct parts *p, struct err *err)
{
	if (p->user && strchr(p->user, ':'))
		return err_set(
		    err, ERR_USAGE,
		    "a password in an SFTP location is not used: ssh asks its agent and its "
		    "key files; " LOOKS);
	if (p->user && !is_safe(p->user, "'`\"$;&<>|(){}"))
		return err_set(err, ERR_USAGE, "the user of this location cannot be one; " LOOKS);
	if (!is_safe(p->host, "'`\"$;&<>|(){}\\[]/@"))
		return err_set(err, ERR_USAGE, "the host of this location cannot be one; " LOOKS);
	if (p->port && !is_port(p->port))
		return err_set(err, ERR_USAGE, "a port is a number from 1 to 65535; " LOOKS);
	if (p->path[0] == '~')
		return err_set(
		    err, ERR_USAGE,
		    "a server does not know ~: a path without a slash in front begins at the "
		    "user's home there; " LOOKS);
	if (strlen(p->path) >= PATH_MAX - 2 * STORE_PATH_CHARS)
		return err_set(err, ERR_USAGE, "the repository's path is too long");
	return 0;
}

static void no_brackets(struct parts *p)
{
	size_t len = strlen(p->host);

	if (*p->host == '[' && p->host[len - 1] == ']') {
		p->host[len - 1] = '\0';
		p->host++;
	}
}

static int fill(const struct parts *p, struct sftp_where *where, struct err *err)
{
	size_t len = strlen(p->path);

	while (len > 0 && p->path[len - 1] == '/')
		len--;
	where->host = strdup(p->host);
	where->path = strndup(p->path, len);
	where->user = p->user ? strdup(p->user) : NULL;
	if (p->port)
		memcpy(where->port, p->port, strlen(p->port) + 1);
	if (where->host && where->path && (where->user || !p->user))
		return 0;
	sftp_where_free(where);
	return err_nomem(err);
}

int sftp_where_parse(const char *location, struct sftp_where *where, struct err *err)
{
	struct parts p = {0};
	char *copy;
	bool fine;
	int rc;

	*where = (struct sftp_where){0};
	copy = strdup(strncmp(location, "sftp:", 5) == 0 ? location + 5 : location);
	if (!copy)
		return err_nomem(err);
	fine = strncmp(copy, "//", 2) == 0 ? split_url(copy + 2, &p) : split_plain(copy, &p);
	if (fine) {
		no_brackets(&p);
		rc = check(&p, err);
	} else {
		rc = err_set(err, ERR_USAGE, "this names no host and folder; " LOOKS);
	}
	if (rc == 0)
		rc = fill(&p, where, err);
	free(copy);
	return rc;
}

void sftp_where_free(struct sftp_where *where)
{
	free(where->user);
	free(where->host);
	free(where->path);
	*where = (struct sftp_where){0};
}
