#include "core/resturl.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "core/buf.h"
#include "core/limits.h"

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c | 0x20 : c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* A copy with %41 as A. NULL without memory, and *bad where a % means nothing. */
static char *decoded(const char *text, size_t len, bool *bad)
{
	char *out = calloc(1, len + 1);
	size_t n = 0;

	for (size_t i = 0; out && i < len; i++) {
		int high = -1, low = -1;

		if (text[i] == '%' && i + 2 < len) {
			high = hex_digit(text[i + 1]);
			low = hex_digit(text[i + 2]);
		}
		*bad = *bad || (text[i] == '%' && (high < 0 || low < 0 || high + low == 0));
		out[n++] = text[i] == '%' ? (char)(high * 16 + low) : text[i];
		i += text[i] == '%' ? 2 : 0;
	}
	return out;
}

/* What a URL consists of, encoded as it must be; '?' and '#' have no place in a repository's. */
static bool url_chars(const char *text)
{
	for (; *text; text++)
		if (*text <= ' ' || *text >= 0x7f || strchr("\"<>\\^`{|}?#", *text))
			return false;
	return true;
}

struct place {
	const char *scheme;
	size_t scheme_len; /* "https://" */
	const char *user;  /* NULL: none */
	size_t user_len;
	const char *password; /* NULL: none */
	size_t password_len;
	const char *host; /* and the rest, without slashes at its end */
	size_t host_len;
};

/* The last: a password may hold one that is not encoded. */
static const char *last_at(const char *text, size_t len)
{
	while (len && text[len - 1] != '@')
		len--;
	return len ? text + len - 1 : NULL;
}

static bool place_of(const char *url, struct place *out)
{
	size_t authority, end = strlen(url);
	const char *at;

	*out = (struct place){.scheme = url,
			      .scheme_len = strncmp(url, "https://", 8) == 0  ? 8
					    : strncmp(url, "http://", 7) == 0 ? 7
									      : 0};
	if (!out->scheme_len || !url_chars(url))
		return false;
	while (end > out->scheme_len && url[end - 1] == '/')
		end--;
	if (end >= LIMIT_URL_BYTES) /* with the slash that is put there */
		return false;
	out->host = url + out->scheme_len;
	authority = strcspn(out->host, "/");
	at = last_at(out->host, authority);
	if (at) {
		size_t user_len = (size_t)(at - out->host);
		const char *colon = memchr(out->host, ':', user_len);

		out->user = out->host;
		out->user_len = colon ? (size_t)(colon - out->user) : user_len;
		out->password = colon ? colon + 1 : NULL;
		out->password_len = colon ? (size_t)(at - colon - 1) : 0;
		out->host = at + 1;
	}
	out->host_len = url + end > out->host ? (size_t)(url + end - out->host) : 0;
	return out->host_len > 0 && out->host[0] != ':' && out->host[0] != '/';
}

static void put(struct buf *b, const char *text, size_t len)
{
	if (text)
		buf_put(b, text, len);
}

static char *text_of(struct buf *b)
{
	buf_put_u8(b, 0);
	if (!b->failed)
		return (char *)b->data;
	buf_free(b);
	return NULL;
}

static char *masked(const struct place *p)
{
	struct buf b = {0};

	put(&b, "rest:", 5);
	put(&b, p->scheme, p->scheme_len);
	put(&b, p->user, p->user_len);
	put(&b, p->password ? ":***" : NULL, 4);
	put(&b, p->user ? "@" : NULL, 1);
	put(&b, p->host, p->host_len);
	return text_of(&b);
}

static char *plain(const struct place *p)
{
	struct buf b = {0};

	put(&b, p->scheme, p->scheme_len);
	put(&b, p->host, p->host_len);
	put(&b, "/", 1);
	return text_of(&b);
}

int resturl_parse(const char *location, struct resturl *out, struct err *err)
{
	struct place p;
	bool bad = false;

	*out = (struct resturl){0};
	if (strncmp(location, "rest:", 5) != 0 || !place_of(location + 5, &p))
		return err_set(err, ERR_USAGE,
			       "a location of rest: is written rest:https://[USER[:PASSWORD]@]HOST"
			       "[:PORT]/PATH/");
	out->location = masked(&p);
	out->url = plain(&p);
	if (p.user) {
		out->user = decoded(p.user, p.user_len, &bad);
		out->password = decoded(p.password ? p.password : "", p.password_len, &bad);
	}
	if (!out->location || !out->url || (p.user && (!out->user || !out->password)))
		(void)err_nomem(err);
	else if (bad || (out->user && strchr(out->user, ':')))
		(void)err_set(err, ERR_USAGE,
			      "rest: the location's user or password is not encoded as a URL "
			      "wants it (%%40 for @)");
	else
		return 0;
	resturl_free(out);
	return -err->code;
}

void resturl_free(struct resturl *r)
{
	if (r->password)
		sodium_memzero(r->password, strlen(r->password));
	free(r->password);
	free(r->user);
	free(r->url);
	free(r->location);
	*r = (struct resturl){0};
}
