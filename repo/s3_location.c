#include "repo/s3_location.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/sigv4.h"

#define FORM "s3:https://HOST/BUCKET/PREFIX"
#define AMAZON ".amazonaws.com"

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), tail = strlen(end);

	return len >= tail && strcasecmp(text + len - tail, end) == 0;
}

static bool only_of(const char *text, const char *others)
{
	for (; *text; text++)
		if (!(*text >= 'a' && *text <= 'z') && !(*text >= 'A' && *text <= 'Z') &&
		    !(*text >= '0' && *text <= '9') && !strchr(others, *text))
			return false;
	return true;
}

/* Copies up to the character, and moves behind it. False when it does not fit. */
static bool take(const char **at, char to, char *out, size_t room)
{
	const char *end = strchr(*at, to);
	size_t len = end ? (size_t)(end - *at) : strlen(*at);

	if (len >= room)
		return false;
	memcpy(out, *at, len);
	out[len] = '\0';
	*at += len + (end ? 1 : 0);
	return true;
}

static int parse_host(const char **at, struct s3_location *l, struct err *err)
{
	const char *own_port = l->tls ? ":443" : ":80";

	/* A user before the host would be said in every message. */
	if (memchr(*at, '@', strcspn(*at, "/")))
		return err_set(err, ERR_USAGE,
			       "an s3: location holds no user and no password; the keys come from "
			       "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
	if (!take(at, '/', l->host, sizeof(l->host)) || !*l->host || *l->host == ':' ||
	    !only_of(l->host, ".-:[]_"))
		return err_set(err, ERR_USAGE,
			       "the host of an s3: location is no host name: "
			       "write " FORM);
	if (ends_with(l->host, own_port))
		l->host[strlen(l->host) - strlen(own_port)] = '\0';
	return 0;
}

static int parse_bucket(const char **at, struct s3_location *l, struct err *err)
{
	if (!**at)
		return err_set(err, ERR_USAGE, "the s3: location names no bucket: write " FORM);
	if (!take(at, '/', l->bucket, sizeof(l->bucket)) || strlen(l->bucket) < 3 ||
	    !only_of(l->bucket, ".-_") || l->bucket[0] == '.')
		return err_set(err, ERR_USAGE,
			       "the bucket of an s3: location has 3 to 63 letters, digits, "
			       "dots and hyphens: write " FORM);
	return 0;
}

static int parse_prefix(const char *at, struct s3_location *l, struct err *err)
{
	size_t len = strlen(at);

	while (len && at[len - 1] == '/')
		len--;
	if (len + 2 > sizeof(l->prefix))
		return err_set(err, ERR_USAGE, "the prefix of the s3: location is too long");
	(void)snprintf(l->prefix, sizeof(l->prefix), "%.*s%s", (int)len, at, len ? "/" : "");
	for (const char *p = l->prefix; *p; p += strcspn(p, "/") + 1) {
		size_t part = strcspn(p, "/");

		if (part == 0 || (part == 1 && p[0] == '.') || (part == 2 && !memcmp(p, "..", 2)))
			return err_set(err, ERR_USAGE,
				       "the prefix of an s3: location has a part that is empty, "
				       "\".\" or \"..\"");
	}
	for (const char *p = l->prefix; *p; p++)
		if ((*p >= 0 && *p < ' ') || *p == 0x7f || *p == '?' || *p == '#')
			return err_set(err, ERR_USAGE,
				       "the prefix of an s3: location holds a '?', a '#' or an "
				       "unprintable character");
	return 0;
}

/* "s3.eu-west-1.amazonaws.com", "s3-eu-west-1.…", "s3.dualstack.eu-west-1.…"; "s3.amazonaws.com" names none. */
static void region_of_host(struct s3_location *l)
{
	size_t len = strlen(l->host) - (l->amazon ? strlen(AMAZON) : 0), begin = len;

	if (!l->amazon)
		return;
	while (begin && l->host[begin - 1] != '.')
		begin--;
	if (begin == 0 && strncmp(l->host, "s3-", 3) == 0)
		begin = 3;
	/* All of them end in a digit, "accelerate" and "vpce" do not. */
	if (begin > 0 && len > begin && len - begin < sizeof(l->region) &&
	    l->host[len - 1] >= '0' && l->host[len - 1] <= '9')
		(void)snprintf(l->region, sizeof(l->region), "%.*s", (int)(len - begin),
			       l->host + begin);
}

int s3_location_parse(const char *location, enum net_s3_lookup lookup,
		      struct s3_location *out_location, struct err *err)
{
	struct s3_location l = {.tls = true};
	const char *at = location + (strncmp(location, "s3:", 3) ? 0 : 3);
	int rc;

	if (strncmp(at, "http://", 7) == 0) {
		l.tls = false;
		at += 7;
	} else if (strncmp(at, "https://", 8) == 0) {
		at += 8;
	}
	rc = parse_host(&at, &l, err);
	if (rc == 0)
		rc = parse_bucket(&at, &l, err);
	if (rc == 0)
		rc = parse_prefix(at, &l, err);
	if (rc != 0)
		return rc;
	l.amazon = ends_with(l.host, AMAZON);
	region_of_host(&l);
	/* A dot in the bucket's name, and no certificate fits. */
	l.by_host = lookup == NET_S3_LOOKUP_DNS ||
		    (lookup == NET_S3_LOOKUP_AUTO && l.amazon && !strchr(l.bucket, '.'));
	*out_location = l;
	return 0;
}

static void put_text(struct buf *out, const char *text)
{
	buf_put(out, text, strlen(text));
}

void s3_location_put_host(struct buf *out, const struct s3_location *location)
{
	if (location->by_host) {
		put_text(out, location->bucket);
		put_text(out, ".");
	}
	put_text(out, location->host);
}

void s3_location_put_path(struct buf *out, const struct s3_location *location, const char *key)
{
	put_text(out, "/");
	if (!location->by_host)
		sigv4_put_path(out, location->bucket);
	if (!key)
		return;
	if (!location->by_host)
		put_text(out, "/");
	sigv4_put_path(out, location->prefix);
	sigv4_put_path(out, key);
}

void s3_location_move(struct s3_location *location, const char *region)
{
	if (!location->amazon || strlen(region) >= sizeof(location->region))
		return;
	(void)snprintf(location->host, sizeof(location->host), "s3.%s" AMAZON, region);
	(void)snprintf(location->region, sizeof(location->region), "%s", region);
}
