#include "repo/s3_credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#define FILE_MOST (64u << 10)

/* A piece of the file's text. */
struct piece {
	const char *at;
	size_t len;
};

/* --- values --- */

/* What goes into a header line or a path must be one word of printable characters. */
static int copy_value(const char *name, struct piece value, char *out, size_t room, struct err *err)
{
	if (value.len >= room)
		return err_set(err, ERR_LIMIT, "%s is longer than %zu characters", name, room - 1);
	for (size_t i = 0; i < value.len; i++)
		if (value.at[i] <= ' ' || value.at[i] > '~')
			return err_set(err, ERR_USAGE,
				       "%s holds a character that cannot be part of it", name);
	memcpy(out, value.at, value.len);
	out[value.len] = '\0';
	return 0;
}

static int from_variable(const struct net *net, const char *name, char *out, size_t room,
			 struct err *err)
{
	const char *value = net_environment(net, name);

	return value ? copy_value(name, (struct piece){value, strlen(value)}, out, room, err) : 0;
}

static int from_environment(const struct net *net, struct s3_credentials *c, struct err *err)
{
	int rc = from_variable(net, "AWS_ACCESS_KEY_ID", c->access_key, S3_KEY_CHARS, err);

	if (rc == 0)
		rc = from_variable(net, "AWS_SECRET_ACCESS_KEY", c->secret_key, S3_KEY_CHARS, err);
	if (rc == 0 && *c->access_key)
		rc = from_variable(net, "AWS_SESSION_TOKEN", c->session_token, S3_TOKEN_CHARS, err);
	if (rc == 0)
		rc = from_variable(net, "AWS_REGION", c->region, S3_REGION_CHARS, err);
	if (rc == 0 && !*c->region)
		rc = from_variable(net, "AWS_DEFAULT_REGION", c->region, S3_REGION_CHARS, err);
	if (rc == 0 && !*c->access_key != !*c->secret_key)
		rc = err_set(err, ERR_USAGE, "%s is set, %s is not: S3 needs both",
			     *c->access_key ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
			     *c->access_key ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
	return rc;
}

/* --- files --- */

/*
 * By hand, for two reasons: inih keeps lines in ordinary memory, and cuts them at 200 bytes, which session tokens
 * pass. Lines that are indented belong to a group of settings of other tools.
 */

struct profile_file {
	const char *path;
	const char *section; /* "default", "profile night" */
	bool found;
	bool region_only; /* keys are known: a token of another key is of no use beside them */
};

static struct piece trimmed(struct piece p)
{
	while (p.len && (*p.at == ' ' || *p.at == '\t')) {
		p.at++;
		p.len--;
	}
	while (p.len && strchr(" \t\r", p.at[p.len - 1]))
		p.len--;
	return p;
}

static bool is_text(struct piece p, const char *text)
{
	return p.len == strlen(text) && memcmp(p.at, text, p.len) == 0;
}

static int on_setting(const struct profile_file *f, struct piece name, struct piece value,
		      struct s3_credentials *c, struct err *err)
{
	const struct {
		const char *name;
		char *to;
		size_t room;
	} known[] = {{"aws_access_key_id", c->access_key, S3_KEY_CHARS},
		     {"aws_secret_access_key", c->secret_key, S3_KEY_CHARS},
		     {"aws_session_token", c->session_token, S3_TOKEN_CHARS},
		     {"region", c->region, S3_REGION_CHARS}};

	for (size_t i = f->region_only ? 3 : 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (is_text(name, known[i].name) && !*known[i].to &&
		    copy_value(known[i].name, value, known[i].to, known[i].room, err) != 0)
			return err_prefix(err, "%s, [%s]", f->path, f->section);
	return 0;
}

/* What is known already stays: the environment comes before files, credentials before config. */
static int read_profile(struct profile_file *f, const char *text, size_t len,
			struct s3_credentials *c, struct err *err)
{
	const char *end = text + len;
	bool inside = false;
	int rc = 0;

	while (text < end && rc == 0) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		struct piece raw = {text, (size_t)((newline ? newline : end) - text)};
		struct piece line = trimmed(raw);
		const char *equals = line.len ? memchr(line.at, '=', line.len) : NULL;

		text = newline ? newline + 1 : end;
		if (line.len && line.at[0] == '[' && line.at[line.len - 1] == ']') {
			line = trimmed((struct piece){line.at + 1, line.len - 2});
			inside = is_text(line, f->section);
			f->found |= inside;
		} else if (inside && equals && line.at == raw.at && !strchr("#;", *line.at)) {
			size_t name = (size_t)(equals - line.at);

			rc = on_setting(f, trimmed((struct piece){line.at, name}),
					trimmed((struct piece){equals + 1, line.len - name - 1}), c,
					err);
		}
	}
	return rc;
}

static int read_whole(int fd, char *to, size_t room, size_t *out_len)
{
	ssize_t n = 1;

	*out_len = 0;
	while (*out_len < room && n > 0) {
		n = read(fd, to + *out_len, room - *out_len);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n < 0)
			return errno;
		else
			*out_len += (size_t)n;
	}
	return 0;
}

static int read_file(struct profile_file *f, struct s3_credentials *c, struct err *err)
{
	int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int failed, rc = 0;
	size_t len = 0;
	char *text;

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR
			   ? 0
			   : err_sys(err, errno, "cannot open %s", f->path);
	text = sodium_malloc(FILE_MOST);
	failed = text ? read_whole(fd, text, FILE_MOST, &len) : ENOMEM;
	if (failed != 0)
		rc = err_sys(err, failed, "cannot read %s", f->path);
	else if (len == FILE_MOST)
		rc = err_set(err, ERR_LIMIT, "%s is larger than a file of AWS profiles can be",
			     f->path);
	else
		rc = read_profile(f, text, len, c, err);
	sodium_free(text);
	(void)close(fd);
	return rc;
}

/* "" when there is neither the variable nor a home. */
static void path_of(const struct net *net, const char *variable, const char *below_home,
		    char out[PATH_MAX])
{
	const char *said = net_environment(net, variable), *home = net_environment(net, "HOME");

	out[0] = '\0';
	if (said)
		(void)snprintf(out, PATH_MAX, "%s", said);
	else if (home)
		(void)snprintf(out, PATH_MAX, "%s/%s", home, below_home);
}

static int from_files(const struct net *net, struct s3_credentials *c, struct err *err)
{
	const char *profile = net_environment(net, "AWS_PROFILE");
	char paths[2][PATH_MAX], section[300];
	struct profile_file keys = {paths[0], profile ? profile : "default", false, false};
	struct profile_file config = {paths[1], section, false, false};
	bool had_key = *c->access_key;
	int rc = 0;

	path_of(net, "AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials", paths[0]);
	path_of(net, "AWS_CONFIG_FILE", ".aws/config", paths[1]);
	(void)snprintf(section, sizeof(section), "%s%.250s",
		       strcmp(keys.section, "default") ? "profile " : "", keys.section);
	if (!had_key && *paths[0])
		rc = read_file(&keys, c, err);
	config.region_only = *c->access_key;
	if (rc == 0 && *paths[1])
		rc = read_file(&config, c, err);
	if (rc != 0 || (*c->access_key && *c->secret_key))
		return rc;
	if (keys.found || config.found)
		return err_set(err, ERR_USAGE,
			       "the AWS profile \"%s\" has no aws_access_key_id with an "
			       "aws_secret_access_key; keys that are written down are the only "
			       "kind nightjar reads",
			       keys.section);
	if (profile)
		return err_set(err, ERR_USAGE,
			       "AWS_PROFILE says \"%s\", which is neither in %s nor in %s", profile,
			       *paths[0] ? paths[0] : "~/.aws/credentials",
			       *paths[1] ? paths[1] : "~/.aws/config");
	return err_set(err, ERR_USAGE,
		       "no S3 credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
		       "AWS_PROFILE and ~/.aws/credentials");
}

int s3_credentials_new(const struct net *net, struct s3_credentials **out_credentials,
		       struct err *err)
{
	struct s3_credentials *c = sodium_malloc(sizeof(*c));
	int rc;

	*out_credentials = NULL;
	if (!c)
		return err_nomem(err);
	sodium_memzero(c, sizeof(*c));
	rc = from_environment(net, c, err);
	if (rc == 0 && (!*c->access_key || !*c->region))
		rc = from_files(net, c, err);
	if (rc != 0) {
		s3_credentials_free(c);
		return rc;
	}
	*out_credentials = c;
	return 0;
}

void s3_credentials_free(struct s3_credentials *credentials)
{
	sodium_free(credentials);
}
